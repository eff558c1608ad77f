//! Sealing and opening between two files on all cores: every worker reads, works and writes batches of
//! chunks at their own places, so nothing is queued and nobody waits for another.
//!
//! The result is the same bytes as the streams of the parent module give. Memory is bounded by
//! [`WORKERS_MAX`] batches of [`BATCH_CHUNKS`] chunks. What is in the output counts only after `Ok`: the
//! caller must keep it out of sight until then.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    CHUNK_BYTES, CHUNKS_MAX, COMMITMENT_BYTES, Chunks, Key, SALT_BYTES, TAG_BYTES, end_of_chunks,
};
use crate::Error;

/// Chunks that a worker takes at a time (256 KiB).
const BATCH_CHUNKS: u64 = 16;
/// Most workers.
pub const WORKERS_MAX: usize = 8;
/// A chunk with its tag.
const WIRE_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
const HEAD_BYTES: u64 = (SALT_BYTES + COMMITMENT_BYTES) as u64;

/// Where in two files the work is: plaintext begins at the start of its file, the sealed stream at an
/// offset of its own.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// Read from.
    pub input: &'a File,
    /// Written to.
    pub output: &'a File,
    /// Where the sealed stream begins, in whichever of the two holds it.
    pub offset: u64,
    /// Workers wanted; at least one and at most [`WORKERS_MAX`] run.
    pub workers: usize,
}

/// Seals `bytes` bytes of a file. `salt` must be fresh random bytes: it may not repeat under one key.
///
/// A file that is cut meanwhile is an error; what is added to it meanwhile is not sealed.
pub fn seal(
    key: &Key,
    salt: &[u8; SALT_BYTES],
    context: &[u8],
    files: Files<'_>,
    bytes: u64,
) -> Result<(), Error> {
    let first = Chunks::new(key, salt, context);
    let count = bytes / CHUNK_BYTES as u64 + 1;
    if count > CHUNKS_MAX {
        return Err(Error::TooLong);
    }
    let head = [&salt[..], &first.commitment].concat();
    files.output.write_all_at(&head, files.offset).map_err(writing)?;
    work(&first, files.workers, count, |chunks, room, from, until| {
        let mut used = 0;
        for number in from..until {
            let at = number * CHUNK_BYTES as u64;
            let length = (bytes - at).min(CHUNK_BYTES as u64) as usize;
            let (chunk, rest) = room[used..].split_at_mut(length);
            files.input.read_exact_at(chunk, at).map_err(reading)?;
            rest[..TAG_BYTES].copy_from_slice(&chunks.seal(chunk)?);
            used += length + TAG_BYTES;
        }
        let at = files.offset + HEAD_BYTES + from * WIRE_BYTES as u64;
        files.output.write_all_at(&room[..used], at).map_err(writing)
    })
}

/// Opens a sealed stream that ends with its file, which has `bytes` bytes from the offset on; gives the
/// number of plaintext bytes.
///
/// Of several damaged chunks the first one that was met is told.
pub fn open(key: &Key, context: &[u8], files: Files<'_>, bytes: u64) -> Result<u64, Error> {
    if bytes < HEAD_BYTES {
        return Err(Error::Truncated("it ends within its head"));
    }
    let mut salt = [0; SALT_BYTES];
    let mut commitment = [0; COMMITMENT_BYTES];
    files.input.read_exact_at(&mut salt, files.offset).map_err(reading)?;
    files
        .input
        .read_exact_at(&mut commitment, files.offset + SALT_BYTES as u64)
        .map_err(reading)?;
    let first = Chunks::new(key, &salt, context);
    if !bool::from(first.commitment.ct_eq(&commitment)) {
        return Err(Error::Commitment);
    }
    let body = bytes - HEAD_BYTES;
    let last = (body % WIRE_BYTES as u64) as usize;
    if last < TAG_BYTES {
        return Err(end_of_chunks());
    }
    let count = body / WIRE_BYTES as u64 + 1;
    if count > CHUNKS_MAX {
        return Err(Error::TooLong);
    }
    work(&first, files.workers, count, |chunks, room, from, until| {
        let whole = (until - from) as usize * WIRE_BYTES;
        let length = if until == count { whole - WIRE_BYTES + last } else { whole };
        let at = files.offset + HEAD_BYTES + from * WIRE_BYTES as u64;
        files.input.read_exact_at(&mut room[..length], at).map_err(reading)?;
        let mut opened = 0;
        let mut read = 0;
        while read < length {
            let wire = WIRE_BYTES.min(length - read);
            opened += chunks.open(&mut room[opened..read + wire], read - opened)?;
            read += wire;
        }
        files.output.write_all_at(&room[..opened], from * CHUNK_BYTES as u64).map_err(writing)
    })?;
    Ok((count - 1) * CHUNK_BYTES as u64 + (last - TAG_BYTES) as u64)
}

/// The input failed, or was longer when it was measured.
fn reading(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::Truncated("the file became shorter while it was read")
        }
        kind => Error::Io(io::Error::new(kind, format!("reading: {error}"))),
    }
}

fn writing(error: io::Error) -> Error {
    Error::Io(io::Error::new(error.kind(), format!("writing: {error}")))
}

/// Hands out batches of chunks until all are done or one failed; the first error counts.
fn work<F>(first: &Chunks, workers: usize, count: u64, batch: F) -> Result<(), Error>
where
    F: Fn(&mut Chunks, &mut [u8], u64, u64) -> Result<(), Error> + Sync,
{
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let run = || {
        let mut chunks = first.clone();
        let mut room = Zeroizing::new(vec![0; BATCH_CHUNKS as usize * WIRE_BYTES]);
        while !failed.load(Ordering::Relaxed) {
            let from = next.fetch_add(BATCH_CHUNKS, Ordering::Relaxed);
            if from >= count {
                break;
            }
            chunks.next = from;
            let done = batch(&mut chunks, &mut room, from, count.min(from + BATCH_CHUNKS));
            if done.is_err() {
                failed.store(true, Ordering::Relaxed);
                return done;
            }
        }
        Ok(())
    };
    let batches = usize::try_from(count.div_ceil(BATCH_CHUNKS)).unwrap_or(usize::MAX);
    let more = workers.clamp(1, WORKERS_MAX).min(batches) - 1;
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..more).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            let theirs = other.join().map_err(|_| Error::Worker).and_then(|done| done);
            done = done.and(theirs);
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tests::{SALT, key};
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn contents(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn sealed(plain: &[u8], workers: usize, offset: u64) -> Vec<u8> {
        let (input, output) = (file(plain), file(&vec![b'h'; offset as usize]));
        let files = Files { input: &input, output: &output, offset, workers };
        seal(&key(1), &SALT, b"c", files, plain.len() as u64).unwrap();
        contents(&output)
    }

    fn opened(bytes: &[u8], workers: usize, offset: u64) -> Result<Vec<u8>, Error> {
        let (input, output) = (file(bytes), file(b""));
        let files = Files { input: &input, output: &output, offset, workers };
        let count = open(&key(1), b"c", files, bytes.len() as u64 - offset)?;
        let plain = contents(&output);
        assert_eq!(plain.len() as u64, count);
        Ok(plain)
    }

    #[test]
    fn files_are_sealed_to_the_bytes_of_the_stream_with_any_number_of_workers() {
        let batch = BATCH_CHUNKS as usize * CHUNK_BYTES;
        for length in [0, 1, CHUNK_BYTES, batch - 1, batch, batch + 1, 5 * batch + 77] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut stream = Vec::new();
            super::super::seal(&key(1), &SALT, b"c", &*plain, &mut stream).unwrap();
            for workers in [0, 1, 3, 99] {
                for offset in [0, 32] {
                    let made = sealed(&plain, workers, offset);
                    assert!(made[offset as usize..] == stream, "{length} with {workers}");
                    assert!(opened(&made, workers, offset).unwrap() == plain);
                }
            }
        }
    }

    #[test]
    fn damage_anywhere_is_told_as_the_stream_tells_it() {
        let plain = vec![9; 40 * CHUNK_BYTES + 100];
        let made = sealed(&plain, 2, 0);
        let stream = |bytes: &[u8]| super::super::open(&key(1), b"c", bytes, io::sink());
        for cut in [0, 55, 56, 56 + 15, 56 + 16, 56 + WIRE_BYTES, made.len() - 1, made.len() - 101]
        {
            let (ours, theirs) = (opened(&made[..cut], 2, 0), stream(&made[..cut]));
            assert_eq!(ours.unwrap_err().to_string(), theirs.unwrap_err().to_string(), "{cut}");
        }
        for at in [0, 30, 56, 56 + WIRE_BYTES, 56 + 33 * WIRE_BYTES + 5, made.len() - 1] {
            let mut flipped = made.clone();
            flipped[at] ^= 1;
            let (ours, theirs) = (opened(&flipped, 2, 0), stream(&flipped));
            assert_eq!(ours.unwrap_err().to_string(), theirs.unwrap_err().to_string(), "{at}");
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let (input, output) = (file(b"short"), file(b""));
        let files = Files { input: &input, output: &output, offset: 0, workers: 2 };
        let done = seal(&key(1), &SALT, b"", files, 1 << 20);
        assert!(matches!(done, Err(Error::Truncated(_))));
    }
}
