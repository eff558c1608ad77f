//! Argon2 (RFC 9106), versions 19 and 16, with the widest vectors that the processor has.
//!
//! Written here because batch hashing is what this crate is for: the library's compression function is
//! bound to AVX2 and copies every block twice. Held against the RFC's vectors and against the library on thousands of
//! random parameters, with every kernel.
//!
//! What `Argon2i` promises stays: in its passes, and in the first half of `Argon2id`'s first, which block
//! is read depends on the position alone, and no kernel has a branch or an index that depends on data.

pub(crate) mod block;
mod fill;
mod long_hash;

use blake2::{Blake2b512, Digest};
use zeroize::{Zeroize, Zeroizing};

use crate::phc::{Cost, Phc, Variant, Version};
use block::{BLOCK_BYTES, Block, Step};
use fill::Shape;

/// Which compression function runs, and so in which order a block's words stand.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    /// Rust for any processor.
    Plain,
    /// Four words at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::sys::Avx2),
    /// Eight words at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::sys::Avx512),
}

impl Kernel {
    /// The fastest that this processor has.
    pub(crate) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Plain)
    }

    /// All that this processor has, slowest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(crate::sys::Avx2::detect().map(Self::Avx2));
            kernels.extend(crate::sys::Avx512::detect().map(Self::Avx512));
        }
        kernels
    }

    /// Where a word of a block stands.
    fn place(self, word: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => crate::sys::Avx512::place(word),
            _ => word,
        }
    }

    fn mix(self, blocks: &mut [Block], step: Step) {
        match self {
            Self::Plain => block::mix(blocks, step),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => kernel.mix(blocks, step),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.mix(blocks, step),
        }
    }
}

/// What a tag is made of, beside the password.
pub(crate) struct Input<'a> {
    pub(crate) variant: Variant,
    pub(crate) version: Version,
    pub(crate) cost: Cost,
    pub(crate) salt: &'a [u8],
    /// A key ("pepper"); no PHC string has one.
    pub(crate) secret: &'a [u8],
    /// Associated data; no PHC string that we read has any.
    pub(crate) data: &'a [u8],
}

impl<'a> Input<'a> {
    /// What a PHC string says.
    pub(crate) fn of(phc: &'a Phc) -> Self {
        let Phc { variant, version, cost, ref salt, .. } = *phc;
        Self { variant, version, cost, salt, secret: b"", data: b"" }
    }
}

/// Blocks that a hash of this cost needs: its memory, rounded down to four segments a lane.
pub(crate) fn block_count(cost: Cost) -> usize {
    Shape::of(cost).block_count()
}

/// Computes a tag in `memory`, which has at least [`block_count`] blocks; what is in them does not matter.
///
/// # Panics
/// When the memory is too small, or the tag longer than 64 bytes or empty: callers bound both.
pub(crate) fn derive(
    kernel: Kernel,
    memory: &mut [Block],
    input: &Input<'_>,
    password: &[u8],
    tag: &mut [u8],
) {
    let shape = Shape::of(input.cost);
    let blocks = &mut memory[..shape.block_count()];
    begin(kernel, blocks, &shape, input, password, tag.len());
    fill::fill(kernel, blocks, &shape, input);
    end(kernel, blocks, &shape, tag);
}

/// The first two blocks of every lane (RFC 9106 section 3.2, steps 1, 3 and 4).
fn begin(
    kernel: Kernel,
    blocks: &mut [Block],
    shape: &Shape,
    input: &Input<'_>,
    password: &[u8],
    tag_bytes: usize,
) {
    let number = |value: usize| (value as u32).to_le_bytes();
    let mut digest = Blake2b512::new();
    for value in [input.cost.lanes(), tag_bytes as u32, input.cost.memory_kib(), input.cost.time()]
    {
        digest.update(value.to_le_bytes());
    }
    let version: u32 = if input.version == Version::V16 { 0x10 } else { 0x13 };
    digest.update(version.to_le_bytes());
    digest.update(number(variant_number(input.variant)));
    for text in [password, input.salt, input.secret, input.data] {
        digest.update(number(text.len()));
        digest.update(text);
    }
    let mut first = digest.finalize();
    let mut bytes = Zeroizing::new([0; BLOCK_BYTES]);
    for lane in 0..shape.lanes {
        for index in 0..2 {
            long_hash::block(&[&first, &number(index), &number(lane)], &mut bytes);
            let block = &mut blocks[lane * shape.lane_length + index].0;
            for (word, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
                block[kernel.place(word)] = u64::from_le_bytes(*eight);
            }
        }
    }
    first.as_mut_slice().zeroize();
}

/// The tag of the XOR of the lanes' last blocks (steps 7 and 8).
fn end(kernel: Kernel, blocks: &[Block], shape: &Shape, tag: &mut [u8]) {
    let mut bytes = Zeroizing::new([0; BLOCK_BYTES]);
    for (word, eight) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let at = kernel.place(word);
        let last = |lane: usize| blocks[(lane + 1) * shape.lane_length - 1].0[at];
        *eight = (0..shape.lanes).map(last).fold(0, |one, other| one ^ other).to_le_bytes();
    }
    long_hash::tag(&*bytes, tag);
}

fn variant_number(variant: Variant) -> usize {
    match variant {
        Variant::D => 0,
        Variant::I => 1,
        Variant::Id => 2,
    }
}

#[cfg(test)]
mod tests;
