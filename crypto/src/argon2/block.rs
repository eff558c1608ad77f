//! A block of Argon2's memory, and its compression function G (RFC 9106 section 3.5) in plain Rust.

use zeroize::Zeroize;

/// Words of a block.
pub(crate) const WORDS: usize = 128;
/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 8 * WORDS;

/// 1 KiB as words. In which order they stand is the business of the [`Kernel`](super::Kernel).
#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Block(pub(crate) [u64; WORDS]);

impl Block {
    pub(crate) const ZERO: Self = Self([0; WORDS]);
}

impl Zeroize for Block {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// One use of G: `current = G(previous, reference)`, as indices of blocks.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) previous: usize,
    pub(crate) reference: usize,
    pub(crate) current: usize,
    /// Whether what stands in `current` is XORed to the result (version 19, from the second pass on).
    pub(crate) keep: bool,
}

/// G for any processor.
pub(crate) fn mix(blocks: &mut [Block], step: Step) {
    let mut mixed = blocks[step.previous].clone();
    xor(&mut mixed, &blocks[step.reference]);
    let mut result = mixed.clone();
    if step.keep {
        xor(&mut result, &blocks[step.current]);
    }
    for row in 0..8 {
        permute(&mut mixed.0, |word| 16 * row + word);
    }
    for column in 0..8 {
        permute(&mut mixed.0, |word| 16 * (word / 2) + 2 * column + word % 2);
    }
    xor(&mut result, &mixed);
    blocks[step.current] = result;
}

fn xor(block: &mut Block, other: &Block) {
    block.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word ^= other);
}

/// The permutation P of sixteen words, which `at` finds in the block.
#[inline(always)]
fn permute(words: &mut [u64; WORDS], at: impl Fn(usize) -> usize) {
    let mut v: [u64; 16] = std::array::from_fn(|word| words[at(word)]);
    for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
        quarter(&mut v, a, b, c, d);
    }
    for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
        quarter(&mut v, a, b, c, d);
    }
    v.iter().enumerate().for_each(|(word, value)| words[at(word)] = *value);
}

/// GB of RFC 9106 section 3.6: BLAKE2b's mixing with a product added.
#[inline(always)]
fn quarter(v: &mut [u64; 16], a: usize, b: usize, c: usize, d: usize) {
    for (first, second) in [(32, 24), (16, 63)] {
        v[a] = add(v[a], v[b]);
        v[d] = (v[d] ^ v[a]).rotate_right(first);
        v[c] = add(v[c], v[d]);
        v[b] = (v[b] ^ v[c]).rotate_right(second);
    }
}

#[inline(always)]
fn add(x: u64, y: u64) -> u64 {
    let product = (x & 0xffff_ffff) * (y & 0xffff_ffff);
    x.wrapping_add(y).wrapping_add(product.wrapping_mul(2))
}
