//! G of Argon2 with AVX-512: the whole block in sixteen registers.
//!
//! A block's words stand so that no permutation is needed between rows and columns: register `4k + l`
//! holds the words `4l` to `4l + 3` of the rows `2k` and `2k + 1`. The four registers of one `k` are then
//! A, B, C and D of two rows at once; those of one `l` are A, B, C and D of two columns at once, each
//! register with the even row's pairs below and the odd row's above.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_loadu_si512, _mm512_mul_epu32, _mm512_permutex_epi64,
    _mm512_permutexvar_epi64, _mm512_ror_epi64, _mm512_setr_epi64, _mm512_shuffle_i64x2,
    _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_xor_si512,
};

use crate::argon2::block::{Block, Step, WORDS};

const REGISTERS: usize = WORDS / 8;
type State = [__m512i; REGISTERS];
/// Which registers are A, B, C and D of each of four groups.
type Groups = [[usize; 4]; 4];
/// Ternary logic: the XOR of all three.
const XOR3: i32 = 0x96;

/// Half of GB (RFC 9106 section 3.6) on all groups, eight words at once. The groups take turns: each alone
/// is one chain of dependent instructions. A macro, because a function that is not inlined here would send
/// all sixteen registers through memory.
macro_rules! half {
    ($z:ident, $groups:ident, $first:literal, $second:literal) => {
        for [a, b, _, _] in $groups {
            $z[a] = add($z[a], $z[b]);
        }
        for [a, _, _, d] in $groups {
            $z[d] = _mm512_ror_epi64::<$first>(_mm512_xor_si512($z[d], $z[a]));
        }
        for [_, _, c, d] in $groups {
            $z[c] = add($z[c], $z[d]);
        }
        for [_, b, c, _] in $groups {
            $z[b] = _mm512_ror_epi64::<$second>(_mm512_xor_si512($z[b], $z[c]));
        }
    };
}

/// Proof that this processor has AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Asks the processor.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    /// Where the word of a block stands.
    pub(crate) fn place(word: usize) -> usize {
        let (row, column) = (word / 16, word % 16);
        8 * (4 * (row / 2) + column / 4) + 4 * (row % 2) + column % 4
    }

    /// One use of G.
    #[inline]
    pub(crate) fn mix(self, blocks: &mut [Block], step: Step) {
        // SAFETY: `self` proves the feature.
        unsafe { mix(blocks, step) }
    }
}

#[target_feature(enable = "avx512f")]
fn mix(blocks: &mut [Block], step: Step) {
    let (previous, reference) = (&blocks[step.previous].0, &blocks[step.reference].0);
    let mut z: State =
        std::array::from_fn(|at| _mm512_xor_si512(load(previous, at), load(reference, at)));
    rows(&mut z);
    columns(&mut z);
    for (at, mixed) in z.iter_mut().enumerate() {
        let (x, y) = (load(previous, at), load(reference, at));
        *mixed = _mm512_ternarylogic_epi64::<XOR3>(*mixed, x, y);
    }
    let current = &mut blocks[step.current].0;
    for (at, mixed) in z.iter().enumerate() {
        let kept = if step.keep { _mm512_xor_si512(*mixed, load(current, at)) } else { *mixed };
        store(current, at, kept);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rows(z: &mut State) {
    const GROUPS: Groups = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]];
    half!(z, GROUPS, 32, 24);
    half!(z, GROUPS, 16, 63);
    // Word i + 1 (B), i + 2 (C) and i + 3 (D) of the same four.
    for [_, b, c, d] in GROUPS {
        z[b] = _mm512_permutex_epi64::<0b00_11_10_01>(z[b]);
        z[c] = _mm512_permutex_epi64::<0b01_00_11_10>(z[c]);
        z[d] = _mm512_permutex_epi64::<0b10_01_00_11>(z[d]);
    }
    half!(z, GROUPS, 32, 24);
    half!(z, GROUPS, 16, 63);
    for [_, b, c, d] in GROUPS {
        z[b] = _mm512_permutex_epi64::<0b10_01_00_11>(z[b]);
        z[c] = _mm512_permutex_epi64::<0b01_00_11_10>(z[c]);
        z[d] = _mm512_permutex_epi64::<0b00_11_10_01>(z[d]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn columns(z: &mut State) {
    const GROUPS: Groups = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]];
    // Of two columns' words i, i + 1 (below) and i + 2, i + 3 (above): each one word on, and one back.
    let on = _mm512_setr_epi64(1, 4, 3, 6, 5, 0, 7, 2);
    let back = _mm512_setr_epi64(5, 0, 7, 2, 1, 4, 3, 6);
    half!(z, GROUPS, 32, 24);
    half!(z, GROUPS, 16, 63);
    for [_, b, c, d] in GROUPS {
        z[b] = _mm512_permutexvar_epi64(on, z[b]);
        z[c] = _mm512_shuffle_i64x2::<0b01_00_11_10>(z[c], z[c]);
        z[d] = _mm512_permutexvar_epi64(back, z[d]);
    }
    half!(z, GROUPS, 32, 24);
    half!(z, GROUPS, 16, 63);
    for [_, b, c, d] in GROUPS {
        z[b] = _mm512_permutexvar_epi64(back, z[b]);
        z[c] = _mm512_shuffle_i64x2::<0b01_00_11_10>(z[c], z[c]);
        z[d] = _mm512_permutexvar_epi64(on, z[d]);
    }
}

/// `x + y + 2 × low(x) × low(y)`.
#[inline]
#[target_feature(enable = "avx512f")]
fn add(x: __m512i, y: __m512i) -> __m512i {
    let product = _mm512_mul_epu32(x, y);
    _mm512_add_epi64(_mm512_add_epi64(x, y), _mm512_add_epi64(product, product))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u64; WORDS], at: usize) -> __m512i {
    assert!(at < REGISTERS);
    // SAFETY: eight words from 8 * at on are within the block's 128.
    unsafe { _mm512_loadu_si512(words.as_ptr().add(8 * at).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut [u64; WORDS], at: usize, value: __m512i) {
    assert!(at < REGISTERS);
    // SAFETY: eight words from 8 * at on are within the block's 128.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().add(8 * at).cast(), value) }
}
