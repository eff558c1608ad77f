//! The one place with `unsafe`: code built for an instruction set is called once the processor was
//! asked whether it has it.
//!
//! The code itself is the same safe, generic Rust for every instruction set, and distances are exact
//! integers, so every path gives the same result; the tests compare them on every length.
#![allow(unsafe_code)]

use std::ops::Range;

use crate::similarity::edit::{self, Texts};

/// [`edit::distances`], with the widest vectors that this processor has.
pub fn distances(
    texts: Texts<'_>,
    patterns: Range<usize>,
    partners: impl Fn(usize) -> Range<usize>,
    found: impl FnMut(usize, usize, usize),
) {
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx512() {
            // SAFETY: the processor has just said that it has these features.
            return unsafe { distances_avx512(texts, patterns, partners, found) };
        }
        if has_avx2() {
            // SAFETY: as above.
            return unsafe { distances_avx2(texts, patterns, partners, found) };
        }
    }
    edit::distances::<2, 4>(texts, patterns, partners, found);
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn distances_avx512(
    texts: Texts<'_>,
    patterns: Range<usize>,
    partners: impl Fn(usize) -> Range<usize>,
    found: impl FnMut(usize, usize, usize),
) {
    edit::distances::<8, 4>(texts, patterns, partners, found);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn distances_avx2(
    texts: Texts<'_>,
    patterns: Range<usize>,
    partners: impl Fn(usize) -> Range<usize>,
    found: impl FnMut(usize, usize, usize),
) {
    edit::distances::<4, 4>(texts, patterns, partners, found);
}
