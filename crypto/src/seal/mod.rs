//! Sealed files: C2SP chunked encryption (<https://c2sp.org/chunked-encryption>) with AES-256-GCM and
//! HKDF-SHA-512, which others call Cobblestone-256.
//!
//! `salt 24 ‖ commitment 32 ‖ chunks`, each chunk 16 KiB of plaintext with its tag of 16 bytes; the last
//! one is always shorter and may be empty, so that a cut is seen. Key, base nonce and commitment come
//! from the file's key, its random salt and the caller's context, so the 2^32 messages of a random GCM
//! nonce are no limit, a file opens under one key only, and a file made for one purpose does not open
//! for another.
//!
//! Streaming: one chunk in memory; between two files [`files`] works on all cores. [`open`] writes only chunks that it has authenticated, but only its
//! `Ok` says that the file is whole: the caller must keep what was written out of sight until then.
//!
//! A passphrase adds a [`Lock`] of 32 bytes before that stream; it holds what Argon2id needs, bounded.
//! It needs no tag of its own: whoever changes it changes the key, and the commitment then fails.

use std::io::{self, Read, Write};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::Error;
use crate::password::{Hasher, SALT_BYTES as LOCK_SALT_BYTES};
use crate::phc::Cost;
use crate::sys::Wiped;

pub mod files;

/// Key of a sealed file in bytes.
pub const KEY_BYTES: usize = 32;
/// Salt of a sealed file in bytes.
pub const SALT_BYTES: usize = 24;
/// Plaintext of a chunk in bytes.
pub const CHUNK_BYTES: usize = 16 << 10;
/// Most chunks of a file (4 PiB).
pub const CHUNKS_MAX: u64 = 1 << 38;
/// A passphrase's head in bytes.
pub const LOCK_BYTES: usize = 32;

const COMMITMENT_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const INFO: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const LOCK_MAGIC: &[u8; 8] = b"WARDSEAL";
const LOCK_VERSION: u8 = 1;

/// A key, zeroized when dropped. It must be uniformly random, never a password.
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// Takes 32 random bytes.
    pub fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// Takes the contents of a key file; `None` when they are not exactly 32 bytes.
    pub fn from_file_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }
}

/// Seals a stream. `salt` must be fresh random bytes: it may not repeat under one key.
///
/// Gives the number of plaintext bytes.
pub fn seal(
    key: &Key,
    salt: &[u8; SALT_BYTES],
    context: &[u8],
    mut input: impl Read,
    mut output: impl Write,
) -> Result<u64, Error> {
    let mut chunks = Chunks::new(key, salt, context);
    output.write_all(salt)?;
    output.write_all(&chunks.commitment)?;
    let mut buffer = Zeroizing::new(vec![0; CHUNK_BYTES]);
    let mut bytes = 0;
    loop {
        let count = read_full(&mut input, &mut buffer)?;
        let chunk = &mut buffer[..count];
        let tag = chunks.seal(chunk)?;
        output.write_all(chunk)?;
        output.write_all(&tag)?;
        bytes += count as u64;
        if count < CHUNK_BYTES {
            output.flush()?;
            return Ok(bytes);
        }
    }
}

/// Opens a sealed stream. What was written to `output` counts only when this returns `Ok`.
///
/// Gives the number of plaintext bytes.
pub fn open(
    key: &Key,
    context: &[u8],
    mut input: impl Read,
    mut output: impl Write,
) -> Result<u64, Error> {
    let mut salt = [0; SALT_BYTES];
    let mut commitment = [0; COMMITMENT_BYTES];
    if read_full(&mut input, &mut salt)? < SALT_BYTES
        || read_full(&mut input, &mut commitment)? < COMMITMENT_BYTES
    {
        return Err(Error::Truncated("it ends within its head"));
    }
    let mut chunks = Chunks::new(key, &salt, context);
    if !bool::from(chunks.commitment.ct_eq(&commitment)) {
        return Err(Error::Commitment);
    }
    let mut buffer = Zeroizing::new(vec![0; CHUNK_BYTES + TAG_BYTES]);
    let mut bytes = 0;
    loop {
        let count = read_full(&mut input, &mut buffer)?;
        if count < TAG_BYTES {
            return Err(end_of_chunks());
        }
        let plain = chunks.open(&mut buffer[..count], 0)?;
        output.write_all(&buffer[..plain])?;
        bytes += plain as u64;
        if count < CHUNK_BYTES + TAG_BYTES {
            output.flush()?;
            return Ok(bytes);
        }
    }
}

/// A stream whose last chunk is not there: the last one is always shorter than the others.
fn end_of_chunks() -> Error {
    Error::Truncated("its last chunk is missing or cut")
}

/// What turns a passphrase into the key of one file: the head before a stream sealed with one.
///
/// `WARDSEAL ‖ version 1 ‖ lanes 1 ‖ passes 2 ‖ memory in KiB 4 ‖ salt 16`, numbers big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    cost: Cost,
    salt: [u8; LOCK_SALT_BYTES],
}

impl Lock {
    /// A lock at the cost of RFC 9106's second recommendation (64 MiB, 3 passes, 4 lanes).
    pub fn new(salt: [u8; LOCK_SALT_BYTES]) -> Self {
        Self { cost: Cost::RFC9106, salt }
    }

    /// Whether a file that starts with these bytes was sealed with a passphrase.
    pub fn begins(head: &[u8]) -> bool {
        head.starts_with(LOCK_MAGIC)
    }

    /// As written at the head of the file.
    pub fn encode(&self) -> [u8; LOCK_BYTES] {
        let mut head = [0; LOCK_BYTES];
        head[..8].copy_from_slice(LOCK_MAGIC);
        head[8] = LOCK_VERSION;
        head[9] = u8::try_from(self.cost.lanes()).expect("lanes are bounded by 16");
        let time = u16::try_from(self.cost.time()).expect("passes are bounded by 10");
        head[10..12].copy_from_slice(&time.to_be_bytes());
        head[12..16].copy_from_slice(&self.cost.memory_kib().to_be_bytes());
        head[16..].copy_from_slice(&self.salt);
        head
    }

    /// Reads a head; the costs are bounded before anything is computed with them.
    pub fn decode(head: &[u8; LOCK_BYTES]) -> Result<Self, Error> {
        if !Self::begins(head) {
            return Err(Error::Truncated("it has no passphrase head"));
        }
        if head[8] != LOCK_VERSION {
            return Err(Error::Bounds {
                what: "version of the head",
                value: head[8].into(),
                least: LOCK_VERSION.into(),
                most: LOCK_VERSION.into(),
            });
        }
        let time = u16::from_be_bytes([head[10], head[11]]);
        let memory = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
        let cost = Cost::new(memory, time.into(), head[9].into())?;
        let mut salt = [0; LOCK_SALT_BYTES];
        salt.copy_from_slice(&head[16..]);
        Ok(Self { cost, salt })
    }

    /// The key that the passphrase gives.
    pub fn key(&self, passphrase: &[u8]) -> Result<Key, Error> {
        Ok(Key(Hasher::new().key(self.cost, passphrase, &self.salt)?))
    }
}

/// Encrypts or decrypts the chunks of one file in order.
#[derive(Clone)]
struct Chunks {
    cipher: Arc<Wiped<LessSafeKey>>,
    base_nonce: [u8; NONCE_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
    next: u64,
}

impl Chunks {
    fn new(key: &Key, salt: &[u8; SALT_BYTES], context: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES]);
        expand(&*key.0, &[INFO, salt, context], derived.as_mut_slice());
        let (cipher_key, rest) = derived.split_at(KEY_BYTES);
        let (nonce, commitment) = rest.split_at(NONCE_BYTES);
        Self {
            cipher: Arc::new(Wiped::new(|| {
                let key = UnboundKey::new(&AES_256_GCM, cipher_key);
                LessSafeKey::new(key.expect("the key has 32 bytes"))
            })),
            base_nonce: nonce.try_into().expect("split at 12 bytes"),
            commitment: commitment.try_into().expect("32 bytes are left"),
            next: 0,
        }
    }

    fn seal(&mut self, chunk: &mut [u8]) -> Result<[u8; TAG_BYTES], Error> {
        let (_, nonce) = self.step()?;
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce, Aad::empty(), chunk)
            .expect("a chunk is far below the limit of GCM");
        Ok(tag.as_ref().try_into().expect("a tag of GCM has 16 bytes"))
    }

    /// Opens a chunk with its tag, which begin at `from`; the plaintext is then at the start of the room.
    fn open(&mut self, room: &mut [u8], from: usize) -> Result<usize, Error> {
        let (number, nonce) = self.step()?;
        match self.cipher.open_within(nonce, Aad::empty(), room, from..) {
            Ok(plain) => Ok(plain.len()),
            Err(_) => {
                let head = (SALT_BYTES + COMMITMENT_BYTES) as u64;
                let offset = head + number * (CHUNK_BYTES + TAG_BYTES) as u64;
                Err(Error::Damaged { chunk: number, offset })
            }
        }
    }

    /// Number and nonce of the next chunk: the base nonce XOR the number, big-endian.
    fn step(&mut self) -> Result<(u64, Nonce), Error> {
        let number = self.next;
        if number >= CHUNKS_MAX {
            return Err(Error::TooLong);
        }
        self.next += 1;
        let mut nonce = self.base_nonce;
        for (byte, count) in nonce[NONCE_BYTES - 8..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= count;
        }
        Ok((number, Nonce::assume_unique_for_key(nonce)))
    }
}

/// HKDF-Expand with SHA-512 (RFC 5869 section 2.3) for a key of any length.
///
/// Written here because the `hkdf` crate refuses keys shorter than the hash (64 bytes) and
/// Cobblestone-256 has one of 32; a test holds it against that crate for longer keys.
fn expand(key: &[u8], info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= 255 * 64, "RFC 5869 allows 255 blocks");
    let keyed =
        <Hmac<Sha512> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    let mut previous = Zeroizing::new([0_u8; 64]);
    for (number, block) in (1_u8..).zip(out.chunks_mut(64)) {
        let mut mac = keyed.clone();
        if number > 1 {
            mac.update(&*previous);
        }
        for part in info {
            mac.update(part);
        }
        mac.update(&[number]);
        let mut made = mac.finalize().into_bytes();
        previous.copy_from_slice(&made);
        made.zeroize();
        block.copy_from_slice(&previous[..block.len()]);
    }
}

/// Reads until the buffer is full or the input ends.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use hkdf::Hkdf;
    use proptest::prelude::*;

    use super::*;

    pub(super) const SALT: [u8; SALT_BYTES] = [3; SALT_BYTES];

    pub(super) fn key(byte: u8) -> Key {
        Key(Zeroizing::new([byte; KEY_BYTES]))
    }

    fn sealed(plain: &[u8], context: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        seal(&key(1), &SALT, context, plain, &mut out).unwrap();
        out
    }

    fn opened(sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        open(&key(1), context, sealed, &mut out).map(|_| out)
    }

    #[test]
    fn every_length_around_the_chunks_comes_back() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let file = sealed(&plain, b"context");
            assert_eq!(file.len(), 56 + length + (length / CHUNK_BYTES + 1) * TAG_BYTES);
            assert_eq!(opened(&file, b"context").unwrap(), plain);
        }
    }

    #[test]
    fn cuts_swaps_flips_and_other_contexts_are_refused() {
        let plain = vec![9; 2 * CHUNK_BYTES + 100];
        let file = sealed(&plain, b"a");
        let wire = CHUNK_BYTES + TAG_BYTES;
        assert!(matches!(opened(&file, b"b"), Err(Error::Commitment)));
        let mut out = Vec::new();
        assert!(matches!(open(&key(2), b"a", &*file, &mut out), Err(Error::Commitment)));
        for cut in [0, 23, 24, 55] {
            assert!(matches!(opened(&file[..cut], b"a"), Err(Error::Truncated(_))), "{cut}");
        }
        for cut in [56, 56 + 15, 56 + wire, 56 + 2 * wire, 56 + 2 * wire + 15] {
            assert!(matches!(opened(&file[..cut], b"a"), Err(Error::Truncated(_))), "{cut}");
        }
        for cut in [56 + 16, 56 + wire - 1, file.len() - 1] {
            assert!(matches!(opened(&file[..cut], b"a"), Err(Error::Damaged { .. })), "{cut}");
        }
        let mut swapped = file.clone();
        swapped[56..56 + 2 * wire].rotate_left(wire);
        assert!(matches!(opened(&swapped, b"a"), Err(Error::Damaged { chunk: 0, offset: 56 })));
        let longer = [&file[..], b"x"].concat();
        assert!(matches!(opened(&longer, b"a"), Err(Error::Damaged { chunk: 2, .. })));
        for at in [0, 24, 55] {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            assert!(matches!(opened(&flipped, b"a"), Err(Error::Commitment)), "{at}");
        }
        for at in [56, 56 + wire - 1, file.len() - 1] {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            assert!(matches!(opened(&flipped, b"a"), Err(Error::Damaged { .. })), "{at}");
        }
    }

    #[test]
    fn the_chunk_after_the_last_allowed_one_is_refused() {
        let mut chunks = Chunks::new(&key(1), &SALT, b"");
        chunks.next = CHUNKS_MAX - 1;
        assert!(chunks.seal(&mut []).is_ok());
        assert!(matches!(chunks.seal(&mut []), Err(Error::TooLong)));
    }

    #[test]
    fn a_lock_is_read_back_and_a_hostile_one_is_bounded() {
        let lock = Lock::new([5; LOCK_SALT_BYTES]);
        let head = lock.encode();
        assert_eq!(Lock::decode(&head).unwrap(), lock);
        assert!(Lock::begins(&head) && !Lock::begins(b"WARDSEA"));
        for (at, byte) in [(8, 2), (9, 0), (9, 17), (10, 1), (11, 11), (12, 1), (0, b'X')] {
            let mut hostile = head;
            hostile[at] = byte;
            assert!(Lock::decode(&hostile).is_err(), "byte {at} = {byte}");
        }
    }

    #[test]
    fn expand_agrees_with_the_hkdf_crate_for_long_keys() {
        for length in [64, 65, 128, 200] {
            let key: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for wanted in [1, 63, 64, 65, 76, 300] {
                let (mut ours, mut theirs) = (vec![0; wanted], vec![0; wanted]);
                expand(&key, &[b"one", b"two"], &mut ours);
                Hkdf::<Sha512>::from_prk(&key).unwrap().expand(b"onetwo", &mut theirs).unwrap();
                assert_eq!(ours, theirs);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn one_flipped_bit_anywhere_is_seen(
            plain in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut file = sealed(&plain, b"");
            let at = at.index(file.len());
            file[at] ^= 1_u8 << bit;
            prop_assert!(opened(&file, b"").is_err());
        }
    }
}
