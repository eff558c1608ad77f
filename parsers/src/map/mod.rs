//! Files that may change under us, read as lines and blocks of lines.
//!
//! A log that another process truncates under a memory mapping raises SIGBUS (`MAP_PRIVATE` too), and
//! one that is truncated and written again shows torn lines. So a file is either copied block by block
//! with `pread(2)` into a reused buffer ([`Shared`], [`Lines`]), or mapped with a guard ([`Mapped`]); in
//! both, nothing is believed before the file was asked whether it still is what it was ([`Torn`]).
//! Compressed siblings come through [`Packing`]. Refuses: lines over [`LINE_BYTES_MAX`] (cut and
//! tagged), archives that expand beyond the caller's bound (an error after the lines before it).

mod archive;
mod block;
mod cache;
mod flow;
mod mapped;
mod proof;

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

pub use archive::{EXPANDED_BYTES_MAX, MAGIC_BYTES, Packing, WINDOW_BYTES_MAX, gunzip, is_gzip};
pub use block::{Block, Shared, Source};
pub use cache::SPARED_BYTES_MIN;
pub use flow::Flow;
pub use mapped::Mapped;
pub use proof::{Proof, Torn};

use cache::Manners;

/// Bytes asked for at once: fits the second-level cache of small servers.
pub const BLOCK_BYTES: usize = 256 << 10;

/// Longest line that is kept; of a longer one the first bytes are kept and it is tagged.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// A file read by position, never past `end`: bytes that a writer adds meanwhile are for next time. A
/// file that is cut meanwhile is an error ([`Torn`]) after the bytes before.
#[derive(Debug)]
pub struct Positioned {
    file: File,
    offset: u64,
    end: u64,
    proof: io::Result<Arc<Proof>>,
    manners: Manners,
}

impl Positioned {
    /// Reads `file` from `offset` up to `end` (its size when the sweep began).
    pub fn new(file: File, offset: u64, end: u64) -> Self {
        let proof = Proof::new(&file, end).map(Arc::new);
        Self { file, offset, end, proof, manners: Manners::new(end) }
    }

    /// Reads a file of which is known what it was, from `offset` on.
    pub fn proved(file: File, offset: u64, proof: Arc<Proof>) -> Self {
        let end = proof.end();
        Self { file, offset, end, proof: Ok(proof), manners: Manners::new(end) }
    }
}

impl Read for Positioned {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.manners.read_at(&self.file, &mut into[..wanted], self.offset)?;
        proof::asked(&self.proof)?.holds(&self.file, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Drop for Positioned {
    fn drop(&mut self) {
        self.manners.restore(&self.file);
    }
}

/// One line of a log, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// From 1, counted from where the reader began.
    pub number: u64,
    /// Where it starts, in bytes from where the reader began.
    pub offset: u64,
    /// Its bytes, at most [`LINE_BYTES_MAX`].
    pub bytes: &'a [u8],
    /// Whether it was longer and has been cut.
    pub truncated: bool,
    /// Whether a line end follows; only the last line of a file may lack it.
    pub terminated: bool,
}

/// Lines from any reader, through one buffer that is reused.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of `buffer[start]`.
    offset: u64,
    number: u64,
    ended: bool,
    long: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Lines of `reader`, numbered from 1 and placed from 0.
    pub fn new(reader: R) -> Self {
        Self::starting_at(reader, 0, 0)
    }

    /// Lines of a reader that stands at `offset`, after `lines_before` lines.
    pub fn starting_at(reader: R, offset: u64, lines_before: u64) -> Self {
        Self {
            reader,
            buffer: vec![0; BLOCK_BYTES],
            start: 0,
            end: 0,
            offset,
            number: lines_before,
            ended: false,
            long: Vec::new(),
        }
    }

    /// Offset of the first byte that has not been given out.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of lines given out, plus those before the start.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end. After an error the lines before it have all been given.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        let mut searched = 0;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.start + searched..self.end]);
            if let Some(at) = found {
                let length = searched + at;
                return Ok(Some(self.take(length, length + 1)));
            }
            searched = self.end - self.start;
            if searched > LINE_BYTES_MAX {
                return self.take_long().map(Some);
            }
            if self.ended {
                return Ok((searched > 0).then(|| self.take(searched, searched)));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize, consumed: usize) -> RawLine<'_> {
        let offset = self.offset;
        let start = self.start;
        self.start += consumed;
        self.offset += consumed as u64;
        self.number += 1;
        let bytes = &self.buffer[start..start + length];
        let kept = &bytes[..length.min(LINE_BYTES_MAX)];
        RawLine {
            number: self.number,
            offset,
            bytes: kept.strip_suffix(b"\r").unwrap_or(kept),
            truncated: length > LINE_BYTES_MAX,
            terminated: consumed > length,
        }
    }

    /// Keeps the head of an over-long line and drops the rest without holding it.
    fn take_long(&mut self) -> io::Result<RawLine<'_>> {
        let offset = self.offset;
        self.long.clear();
        self.long.extend_from_slice(&self.buffer[self.start..self.start + LINE_BYTES_MAX]);
        let terminated = loop {
            match memchr::memchr(b'\n', &self.buffer[self.start..self.end]) {
                Some(at) => {
                    self.start += at + 1;
                    self.offset += at as u64 + 1;
                    break true;
                }
                None => {
                    self.offset += (self.end - self.start) as u64;
                    self.start = self.end;
                    if self.ended {
                        break false;
                    }
                    self.fill()?;
                }
            }
        };
        self.number += 1;
        Ok(RawLine { number: self.number, offset, bytes: &self.long, truncated: true, terminated })
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>, bool, bool)> {
        let mut lines = Lines::new(bytes);
        let mut out = Vec::new();
        while let Some(l) = lines.next_line().unwrap() {
            out.push((l.number, l.offset, l.bytes.to_vec(), l.truncated, l.terminated));
        }
        assert_eq!(lines.offset(), bytes.len() as u64);
        out
    }

    #[test]
    fn lines_keep_their_place_and_the_last_says_that_it_is_open() {
        assert_eq!(
            all(b"a\r\n\nbc"),
            [
                (1, 0, b"a".to_vec(), false, true),
                (2, 3, b"".to_vec(), false, true),
                (3, 4, b"bc".to_vec(), false, false)
            ]
        );
        assert!(all(b"").is_empty());
    }

    #[test]
    fn a_line_at_the_limit_is_whole_and_one_byte_more_is_cut_and_tagged() {
        for (length, cut) in [(LINE_BYTES_MAX, false), (LINE_BYTES_MAX + 1, true), (10 << 20, true)]
        {
            let mut text = vec![b'x'; length];
            text.extend_from_slice(b"\nnext\n");
            let lines = all(&text);
            assert_eq!(lines.len(), 2);
            assert_eq!((lines[0].2.len(), lines[0].3), (length.min(LINE_BYTES_MAX), cut));
            assert!(lines[0].4);
            assert_eq!((lines[1].1, &lines[1].2[..]), (length as u64 + 1, &b"next"[..]));
        }
        let open = all(&vec![0; 300 << 10]);
        assert_eq!((open.len(), open[0].3, open[0].4), (1, true, false));
    }

    #[test]
    fn archives_are_read_to_their_bound_and_a_cut_one_gives_the_lines_before_the_cut() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&b"line\n".repeat(100_000)).unwrap();
        let packed = gz.finish().unwrap();
        assert!(is_gzip(&packed));
        let count = |bytes: &[u8], limit| {
            let mut lines = Lines::new(gunzip(bytes, limit));
            let mut seen = 0;
            loop {
                match lines.next_line() {
                    Ok(Some(_)) => seen += 1,
                    Ok(None) => return (seen, None),
                    Err(error) => return (seen, Some(error.to_string())),
                }
            }
        };
        assert_eq!(count(&packed, 500_000), (100_000, None));
        assert_eq!(
            count(&packed, 499_999),
            (99_999, Some("expands beyond 499999 bytes".to_string()))
        );
        let (seen, error) = count(&packed[..packed.len() / 2], 500_000);
        assert!(seen < 100_000 && error.is_some());
        let twice = [&packed[..], &packed[..]].concat();
        assert_eq!(count(&twice, 1 << 30), (200_000, None));
    }

    #[test]
    fn a_positioned_file_stops_where_it_was_told_and_outlives_a_truncation() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        let mut lines = Lines::starting_at(Positioned::new(file.try_clone().unwrap(), 4, 8), 4, 1);
        let line = lines.next_line().unwrap().unwrap();
        assert_eq!((line.number, line.offset, line.bytes), (2, 4, &b"two"[..]));
        assert!(lines.next_line().unwrap().is_none());
        let mut cut = Lines::new(Positioned::new(file.try_clone().unwrap(), 0, 14));
        file.set_len(0).unwrap();
        assert_eq!(Torn::of(&cut.next_line().unwrap_err()), Some(Torn { from: 0 }));
    }
}
