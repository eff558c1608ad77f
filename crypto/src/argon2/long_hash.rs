//! H', the hash of any length (RFC 9106 section 3.3), in the two lengths that occur: a block and a tag.

use blake2::digest::block_api::{UpdateCore, VariableOutputCore};
use blake2::digest::block_buffer::LazyBuffer;
use blake2::{Blake2b512, Blake2bVarCore, Digest};
use zeroize::{Zeroize, Zeroizing};

use super::block::BLOCK_BYTES;

const HALF: usize = 32;

/// H' of 1024 bytes: halves of a chain of hashes, and the whole of the last one.
pub(super) fn block(inputs: &[&[u8]], out: &mut [u8; BLOCK_BYTES]) {
    let mut digest = Blake2b512::new();
    digest.update((BLOCK_BYTES as u32).to_le_bytes());
    inputs.iter().for_each(|input| digest.update(input));
    let mut last = digest.finalize();
    let (halves, whole) = out.split_at_mut(BLOCK_BYTES - 2 * HALF);
    for half in halves.as_chunks_mut::<HALF>().0 {
        half.copy_from_slice(&last[..HALF]);
        last = Blake2b512::digest(last);
    }
    whole.copy_from_slice(&last);
    last.as_mut_slice().zeroize();
}

/// H' of at most 64 bytes: one hash of that length.
pub(super) fn tag(input: &[u8], out: &mut [u8]) {
    let mut core = Blake2bVarCore::new(out.len()).expect("1 to 64 bytes, as callers bound it");
    let mut buffer = LazyBuffer::new(&(out.len() as u32).to_le_bytes());
    buffer.digest_blocks(input, |blocks| core.update_blocks(blocks));
    let mut whole = Default::default();
    core.finalize_variable_core(&mut buffer, &mut whole);
    let whole = Zeroizing::new(<[u8; 2 * HALF]>::from(whole));
    out.copy_from_slice(&whole[..out.len()]);
}
