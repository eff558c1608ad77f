//! A file mapped into memory, guarded against being cut or rewritten under the mapping.
//!
//! For files that nobody writes any more (rotated ones) and for files that are read once. What a block
//! of it holds may only be believed after [`Mapped::holds`] has said so: whoever cuts the file while its
//! bytes are looked at makes them zeros, and does not kill the process. Refuses empty files and more
//! than 64 mappings at a time (an error: the caller then reads the file by position).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::LINE_BYTES_MAX;
use super::block::Block;
use super::proof::{Proof, Torn};
use crate::sys::Guarded;

/// A mapped file, read by any number of threads.
#[derive(Debug)]
pub struct Mapped {
    file: File,
    map: Guarded,
    proof: Arc<Proof>,
}

impl Mapped {
    /// Maps what `proof` speaks of.
    pub fn new(file: File, proof: Arc<Proof>) -> io::Result<Self> {
        let length = usize::try_from(proof.end()).map_err(io::Error::other)?;
        let map = Guarded::new(&file, length)?;
        // Cut before it was mapped: the mapping would begin with lost pages.
        proof.holds(&file, 0)?;
        Ok(Self { file, map, proof })
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.map.bytes().len() as u64
    }

    /// The lines that begin in `part`, as [`super::Shared::lines_in`] gives them, without copying them.
    pub fn lines_in(&self, part: Range<u64>) -> Block<'_> {
        let bytes = self.map.bytes();
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let (start, end) = (place(part.start), place(part.end));
        // The byte before tells whether a line begins at the part's first byte.
        let first = match start {
            0 => Some(0),
            _ if start >= end => None,
            _ => memchr::memchr(b'\n', &bytes[start - 1..end - 1]).map(|at| start + at),
        };
        let Some(first) = first else {
            return Block { offset: end as u64, bytes: &[], cut: false };
        };
        if end == bytes.len() || bytes[first..end].last().is_none_or(|last| *last == b'\n') {
            return Block { offset: first as u64, bytes: &bytes[first..end], cut: false };
        }
        let rest = &bytes[end..bytes.len().min(end + LINE_BYTES_MAX)];
        match memchr::memchr(b'\n', rest) {
            Some(at) => Block { offset: first as u64, bytes: &bytes[first..=end + at], cut: false },
            None => {
                let to = end + rest.len();
                Block { offset: first as u64, bytes: &bytes[first..to], cut: to < bytes.len() }
            }
        }
    }

    /// The bytes of a part, whatever lines they belong to; fewer when the file ends.
    pub fn bytes_in(&self, part: Range<u64>) -> &[u8] {
        let bytes = self.map.bytes();
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        bytes.get(place(part.start)..place(part.end)).unwrap_or_default()
    }

    /// Whether what was read of `block` is what the file held: to be asked after the block was used and
    /// before anything found in it is believed. An error names where the doubt begins ([`Torn`]).
    pub fn holds(&self, block: &Block<'_>) -> io::Result<()> {
        let end = block.offset + block.bytes.len() as u64;
        if self.map.lost_from().is_some_and(|from| (from as u64) < end) {
            return Err(Torn { from: block.offset }.into());
        }
        self.proof.holds(&self.file, block.offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::super::{Shared, Source};
    use super::*;

    fn file_of(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn mapped(file: File, end: u64) -> Mapped {
        let proof = Proof::new(&file, end).unwrap();
        Mapped::new(file, proof.into()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn mapped_and_copied_blocks_are_the_same(
            lines in prop::collection::vec((0_usize..12, any::<bool>()), 1..30),
            long in prop::option::of(LINE_BYTES_MAX - 2..3 * LINE_BYTES_MAX),
            part in 1_u64..100_000,
        ) {
            let mut text = Vec::new();
            for (length, ended) in lines {
                text.resize(text.len() + length, b'x');
                if ended { text.push(b'\n'); }
            }
            text.resize(text.len() + long.unwrap_or(1), b'y');
            let end = text.len() as u64;
            let mapped = mapped(file_of(&text), end);
            let shared = Shared::new(file_of(&text), end);
            let mut buffer = Vec::new();
            let part = if long.is_some() { part.max(997) } else { part % 50 + 1 };
            for at in 0..=end / part {
                let (at, to) = (at * part, (at + 1) * part);
                let copied = shared.lines_in(at..to, &mut buffer).unwrap();
                let block = mapped.lines_in(at..to);
                prop_assert_eq!((block.bytes, block.cut), (copied.bytes, copied.cut));
                prop_assert!(block.bytes.is_empty() || block.offset == copied.offset);
                prop_assert!(mapped.holds(&block).is_ok());
            }
        }
    }

    /// What a reader believed of a file in the middle of being cut: whole lines of the old text only.
    /// With `wait` the second half is read after the cut, else at the same time.
    fn read_all(source: &Source, threads: u64, cut: &[AtomicBool; 2], wait: bool) -> (u64, u64) {
        let (next, good, torn) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        const PART: u64 = 5000;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut buffer = Vec::new();
                    loop {
                        let at = next.fetch_add(PART, Ordering::SeqCst);
                        if at >= source.end() {
                            return;
                        }
                        if at >= source.end() / 2 {
                            cut[0].store(true, Ordering::SeqCst);
                            while wait && !cut[1].load(Ordering::SeqCst) {
                                std::thread::yield_now();
                            }
                        }
                        let Ok(block) = source.lines_in(at..at + PART, &mut buffer) else {
                            torn.fetch_add(1, Ordering::SeqCst);
                            continue;
                        };
                        let lines = block.bytes.chunks(10);
                        let right = lines.clone().all(|line| line == b"old line.\n");
                        let count = lines.count() as u64;
                        match source.holds(&block) {
                            Ok(()) => {
                                assert!(right, "torn lines were believed");
                                good.fetch_add(count, Ordering::SeqCst);
                            }
                            Err(error) => {
                                assert!(Torn::of(&error).is_some());
                                torn.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                });
            }
        });
        (good.into_inner(), torn.into_inner())
    }

    /// Thousands of rounds on several threads: the file is cut, or cut and written anew beyond its old
    /// size, while it is read. Nobody dies, and nothing but the old lines is believed.
    #[test]
    fn a_file_cut_while_it_is_read_gives_old_lines_or_a_tear() {
        let rounds = std::env::var("WARDMOTE_TEST_ROUNDS").ok().and_then(|n| n.parse().ok());
        let rounds: u64 = rounds.unwrap_or(2000);
        let old = b"old line.\n".repeat(10_000);
        let new = b"NEW LINE!\n".repeat(11_000);
        let end = old.len() as u64;
        let mut tears = 0;
        for round in 0..rounds {
            let file = file_of(&old);
            let again = file.try_clone().unwrap();
            let source = match round % 2 {
                0 => Source::Mapped(mapped(again, end)),
                _ => Source::Copied(Shared::new(again, end)),
            };
            let cut = [AtomicBool::new(false), AtomicBool::new(false)];
            let (good, torn) = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !cut[0].load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    let kept =
                        [0, 4096, end / 2 + 7, end - 1][usize::try_from(round / 2 % 4).unwrap()];
                    file.set_len(kept).unwrap();
                    if round % 3 == 0 {
                        file.write_all_at(&new, 0).unwrap();
                    }
                    cut[1].store(true, Ordering::SeqCst);
                });
                read_all(&source, 1 + round % 3, &cut, round % 5 < 3)
            });
            assert!(good + torn > 0 && good <= 10_000);
            tears += u64::from(torn > 0);
        }
        assert!(tears >= rounds / 2, "{tears} of {rounds} rounds met the cut");
    }
}
