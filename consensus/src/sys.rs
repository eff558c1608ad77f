//! The one place with `unsafe`: code built for an instruction set is called, once the processor was
//! asked whether it has it or where every processor of its kind has it.
//!
//! Edit distance is the same safe, generic Rust for every instruction set, and white space is one bit
//! a byte, so every path gives the same result; the tests compare them on every length and byte.
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
    edit::distances::<2, 2>(texts, patterns, partners, found);
}

/// A bit for every byte that is ASCII white space; all bytes are ASCII (below 128).
#[cfg(target_arch = "x86_64")]
#[inline(always)] // two dozen instructions in the hot loop of every splitter
pub fn spaces(block: &[u8; 64]) -> u64 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { spaces_sse2(block) }
}

#[cfg(not(target_arch = "x86_64"))]
pub use crate::similarity::words::portable_spaces as spaces;

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn spaces_sse2(block: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };
    let mut found = 0;
    for (at, chunk) in block.as_chunks::<16>().0.iter().enumerate() {
        let both = u128::from_le_bytes(*chunk);
        let bytes = _mm_set_epi64x((both >> 64) as i64, both as i64);
        let space = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b' ' as i8));
        // 9 to 13: at most 4 above 9; what is below 9 wraps to far above.
        let above = _mm_sub_epi8(bytes, _mm_set1_epi8(b'\t' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(4)), above);
        let bits = _mm_movemask_epi8(_mm_or_si128(space, control));
        found |= u64::from(bits as u16) << (16 * at);
    }
    found
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
    edit::distances::<8, 2>(texts, patterns, partners, found);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Found = Vec<(usize, usize, usize)>;

    /// All pairs by one path; `run` is given the texts and where to put what it finds.
    fn found(texts: &[Vec<u32>], run: impl Fn(Texts<'_>, &mut Found)) -> Found {
        let mut found = Vec::new();
        run(Texts { all: texts, alphabet: 8 }, &mut found);
        found.sort_unstable();
        found
    }

    /// Asserts that every path that this processor has finds what one lane of one block finds.
    fn paths_agree(texts: &[Vec<u32>]) {
        let all = 0..texts.len();
        let partners = |_: usize| 0..texts.len();
        let narrow = found(texts, |texts, found| {
            edit::distances::<1, 1>(texts, all.clone(), partners, |a, b, d| found.push((a, b, d)));
        });
        assert_eq!(narrow.len(), texts.len() * texts.len());
        let portable = found(texts, |texts, found| {
            edit::distances::<2, 2>(texts, all.clone(), partners, |a, b, d| found.push((a, b, d)));
        });
        assert_eq!(portable, narrow);
        let chosen = found(texts, |texts, found| {
            distances(texts, all.clone(), partners, |a, b, d| found.push((a, b, d)));
        });
        assert_eq!(chosen, narrow);
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            let avx2 = found(texts, |texts, found| {
                let push = |a, b, d| found.push((a, b, d));
                // SAFETY: the processor has just said that it has AVX2.
                unsafe { distances_avx2(texts, all.clone(), partners, push) };
            });
            assert_eq!(avx2, narrow);
        }
        #[cfg(target_arch = "x86_64")]
        if has_avx512() {
            let avx512 = found(texts, |texts, found| {
                let push = |a, b, d| found.push((a, b, d));
                // SAFETY: the processor has just said that it has these features.
                unsafe { distances_avx512(texts, all.clone(), partners, push) };
            });
            assert_eq!(avx512, narrow);
        }
    }

    /// A text of some length that is its own from the first symbol on.
    fn text(length: usize) -> Vec<u32> {
        (0..length).map(|at| ((at * at + at * length / 3 + length) % 8) as u32).collect()
    }

    #[test]
    fn wide_and_narrow_paths_agree_on_every_length() {
        // Past two bands of the widest path, with every length beside its neighbours.
        for from in (0..530).step_by(10) {
            let texts: Vec<Vec<u32>> = (from..from + 11).map(text).collect();
            paths_agree(&texts);
        }
        paths_agree(&[text(600), text(0), text(1), text(600), text(257), text(64), text(3)]);
    }

    #[test]
    fn texts_are_taken_in_batches_and_the_longest_alone() {
        let long = edit::MAX_COLUMNS;
        paths_agree(&[text(long - 1), text(1), text(2), text(long), text(long + 1), text(5)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn wide_and_narrow_paths_agree(
            texts in prop::collection::vec(prop::collection::vec(0_u32..8, 0..300), 0..12)
        ) {
            paths_agree(&texts);
        }
    }
}
