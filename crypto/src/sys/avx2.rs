//! G of Argon2 with AVX2: four words a register, a row in four registers, in the order of RFC 9106.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_castpd_si256, _mm256_castsi256_pd, _mm256_loadu_si256,
    _mm256_mul_epu32, _mm256_or_si256, _mm256_permute4x64_epi64, _mm256_setr_epi8,
    _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_shuffle_pd, _mm256_srli_epi64,
    _mm256_storeu_si256, _mm256_xor_si256,
};

use crate::argon2::block::{Block, Step, WORDS};

const REGISTERS: usize = WORDS / 4;

/// Proof that this processor has AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Asks the processor.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// One use of G.
    #[inline]
    pub(crate) fn mix(self, blocks: &mut [Block], step: Step) {
        // SAFETY: `self` proves the feature.
        unsafe { mix(blocks, step) }
    }
}

#[target_feature(enable = "avx2")]
fn mix(blocks: &mut [Block], step: Step) {
    let (previous, reference) = (&blocks[step.previous].0, &blocks[step.reference].0);
    let mut z: [__m256i; REGISTERS] =
        std::array::from_fn(|at| _mm256_xor_si256(load(previous, at), load(reference, at)));
    rows(&mut z);
    columns(&mut z);
    for (at, mixed) in z.iter_mut().enumerate() {
        let before = _mm256_xor_si256(load(previous, at), load(reference, at));
        *mixed = _mm256_xor_si256(*mixed, before);
    }
    let current = &mut blocks[step.current].0;
    for (at, mixed) in z.iter().enumerate() {
        let kept = if step.keep { _mm256_xor_si256(*mixed, load(current, at)) } else { *mixed };
        store(current, at, kept);
    }
}

#[target_feature(enable = "avx2")]
fn rows(z: &mut [__m256i; REGISTERS]) {
    for row in z.as_chunks_mut::<4>().0 {
        let [mut a, mut b, mut c, mut d] = *row;
        quarter(&mut a, &mut b, &mut c, &mut d);
        // Word i + 1 (B), i + 2 (C) and i + 3 (D) of the same four.
        b = _mm256_permute4x64_epi64::<0b00_11_10_01>(b);
        c = _mm256_permute4x64_epi64::<0b01_00_11_10>(c);
        d = _mm256_permute4x64_epi64::<0b10_01_00_11>(d);
        quarter(&mut a, &mut b, &mut c, &mut d);
        b = _mm256_permute4x64_epi64::<0b10_01_00_11>(b);
        c = _mm256_permute4x64_epi64::<0b01_00_11_10>(c);
        d = _mm256_permute4x64_epi64::<0b00_11_10_01>(d);
        *row = [a, b, c, d];
    }
}

/// Two columns at once: the rows are A, B, C and D, each in two registers (an even and an odd row).
#[target_feature(enable = "avx2")]
fn columns(z: &mut [__m256i; REGISTERS]) {
    for l in 0..4 {
        let [mut a0, mut a1, mut b0, mut b1] = [z[l], z[4 + l], z[8 + l], z[12 + l]];
        let [mut c0, mut c1, mut d0, mut d1] = [z[16 + l], z[20 + l], z[24 + l], z[28 + l]];
        quarter(&mut a0, &mut b0, &mut c0, &mut d0);
        quarter(&mut a1, &mut b1, &mut c1, &mut d1);
        (b0, b1) = (across(b0, b1), across(b1, b0));
        (d0, d1) = (across(d1, d0), across(d0, d1));
        quarter(&mut a0, &mut b0, &mut c1, &mut d0);
        quarter(&mut a1, &mut b1, &mut c0, &mut d1);
        (b0, b1) = (across(b1, b0), across(b0, b1));
        (d0, d1) = (across(d0, d1), across(d1, d0));
        [z[l], z[4 + l], z[8 + l], z[12 + l]] = [a0, a1, b0, b1];
        [z[16 + l], z[20 + l], z[24 + l], z[28 + l]] = [c0, c1, d0, d1];
    }
}

/// Of each pair of words: the second of `x` and the first of `y`.
#[inline]
#[target_feature(enable = "avx2")]
fn across(x: __m256i, y: __m256i) -> __m256i {
    let (x, y) = (_mm256_castsi256_pd(x), _mm256_castsi256_pd(y));
    _mm256_castpd_si256(_mm256_shuffle_pd::<0b0101>(x, y))
}

/// GB of RFC 9106 section 3.6, four at once.
#[inline]
#[target_feature(enable = "avx2")]
fn quarter(a: &mut __m256i, b: &mut __m256i, c: &mut __m256i, d: &mut __m256i) {
    let right24 = _mm256_setr_epi8(
        3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13,
        14, 15, 8, 9, 10,
    );
    let right16 = _mm256_setr_epi8(
        2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12,
        13, 14, 15, 8, 9,
    );
    *a = add(*a, *b);
    *d = _mm256_shuffle_epi32::<0b10_11_00_01>(_mm256_xor_si256(*d, *a));
    *c = add(*c, *d);
    *b = _mm256_shuffle_epi8(_mm256_xor_si256(*b, *c), right24);
    *a = add(*a, *b);
    *d = _mm256_shuffle_epi8(_mm256_xor_si256(*d, *a), right16);
    *c = add(*c, *d);
    let mixed = _mm256_xor_si256(*b, *c);
    *b = _mm256_or_si256(_mm256_srli_epi64::<63>(mixed), _mm256_add_epi64(mixed, mixed));
}

/// `x + y + 2 × low(x) × low(y)`.
#[inline]
#[target_feature(enable = "avx2")]
fn add(x: __m256i, y: __m256i) -> __m256i {
    let product = _mm256_mul_epu32(x, y);
    _mm256_add_epi64(_mm256_add_epi64(x, y), _mm256_add_epi64(product, product))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u64; WORDS], at: usize) -> __m256i {
    assert!(at < REGISTERS);
    // SAFETY: four words from 4 * at on are within the block's 128.
    unsafe { _mm256_loadu_si256(words.as_ptr().add(4 * at).cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(words: &mut [u64; WORDS], at: usize, value: __m256i) {
    assert!(at < REGISTERS);
    // SAFETY: four words from 4 * at on are within the block's 128.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().add(4 * at).cast(), value) }
}
