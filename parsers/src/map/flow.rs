//! Blocks of whole lines from what can only be read once and forwards: archives, pipes.
//!
//! Gives the same [`Block`]s as [`super::Shared`], one after another, with offsets in the bytes that
//! come out of the reader. Holds one block and one line beyond it. After an error of the reader the
//! lines before it are given first.

use std::io::{self, Read};

use super::LINE_BYTES_MAX;
use super::block::Block;

/// A reader as blocks.
pub struct Flow<R> {
    reader: R,
    /// The begun line that follows the last block.
    begun: Vec<u8>,
    /// Where the next block begins.
    offset: u64,
    /// The line under way was cut; the rest of it is dropped.
    skipping: bool,
    ended: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Flow<R> {
    /// Blocks of `reader`, whose first byte stands at `offset`.
    pub fn new(reader: R, offset: u64) -> Self {
        let (skipping, ended, failed) = (false, false, None);
        Self { reader, begun: Vec::new(), offset, skipping, ended, failed }
    }

    /// Where the next block begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next block, of about `size` bytes and a line; `None` at the end. `buffer` holds the bytes.
    pub fn next_block<'b>(
        &mut self,
        size: usize,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<Option<Block<'b>>> {
        buffer.clear();
        buffer.append(&mut self.begun);
        loop {
            let searched = buffer.len();
            self.fill(size.max(searched + 1), buffer);
            if self.skipping {
                self.skip(buffer);
            }
            if let Some(last) = memchr::memrchr(b'\n', &buffer[searched.min(buffer.len())..]) {
                let end = searched.min(buffer.len()) + last + 1;
                self.begun.extend_from_slice(&buffer[end..]);
                buffer.truncate(end);
                return Ok(Some(self.give(buffer, false)));
            }
            if buffer.len() >= LINE_BYTES_MAX && !self.ended {
                self.skipping = true;
                return Ok(Some(self.give(buffer, true)));
            }
            if !self.ended {
                continue;
            }
            if !buffer.is_empty() && self.failed.is_none() {
                return Ok(Some(self.give(buffer, false)));
            }
            // A line that the error cut is not given.
            return self.failed.take().map_or(Ok(None), Err);
        }
    }

    fn give<'b>(&mut self, bytes: &'b [u8], cut: bool) -> Block<'b> {
        let block = Block { offset: self.offset, bytes, cut };
        self.offset += bytes.len() as u64;
        block
    }

    /// Drops what belongs to the line that was cut.
    fn skip(&mut self, buffer: &mut Vec<u8>) {
        let dropped = memchr::memchr(b'\n', buffer).map_or(buffer.len(), |at| at + 1);
        self.skipping = buffer[..dropped].last() != Some(&b'\n');
        self.offset += dropped as u64;
        buffer.drain(..dropped);
    }

    /// Reads until the buffer has `size` bytes or the reader ends.
    fn fill(&mut self, size: usize, buffer: &mut Vec<u8>) {
        let mut filled = buffer.len();
        buffer.resize(size.max(filled), 0);
        while filled < buffer.len() && !self.ended {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(error);
                }
            }
        }
        buffer.truncate(filled);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Lines;
    use super::*;

    /// Gives one to seven bytes at a time, then an error if asked.
    struct Drip<'a>(&'a [u8], bool);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() && self.1 {
                return Err(io::Error::other("broken"));
            }
            let length = self.0.len().min(into.len()).min(1 + self.0.len() % 7);
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    /// Offset, text (cut to the limit) and end of each line.
    fn by_blocks(reader: impl Read, size: usize) -> (Vec<(u64, Vec<u8>)>, Option<String>) {
        let mut flow = Flow::new(reader, 0);
        let (mut lines, mut buffer) = (Vec::new(), Vec::new());
        loop {
            match flow.next_block(size, &mut buffer) {
                Ok(Some(block)) => {
                    assert!(block.bytes.len() <= size.max(LINE_BYTES_MAX) + size + LINE_BYTES_MAX);
                    let mut at = block.offset;
                    for line in block.bytes.split_inclusive(|byte| *byte == b'\n') {
                        let text = line.strip_suffix(b"\n").unwrap_or(line);
                        lines.push((at, text[..text.len().min(LINE_BYTES_MAX)].to_vec()));
                        at += line.len() as u64;
                    }
                }
                Ok(None) => return (lines, None),
                Err(error) => return (lines, Some(error.to_string())),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
        #[test]
        fn blocks_hold_the_lines_that_reading_line_by_line_gives(
            lengths in prop::collection::vec(0_usize..12, 0..30),
            long in prop::option::of(LINE_BYTES_MAX - 2..4 * LINE_BYTES_MAX),
            open in any::<bool>(),
            size in 1_usize..200_000,
        ) {
            let mut text = Vec::new();
            for (at, length) in lengths.iter().enumerate() {
                text.resize(text.len() + length, b'x');
                if let (3, Some(long)) = (at, long) { text.resize(text.len() + long, b'y'); }
                text.push(b'\n');
            }
            if open { text.extend_from_slice(b"open"); }
            let mut lines = Lines::new(&text[..]);
            let mut wanted = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                wanted.push((line.offset, line.bytes.to_vec()));
            }
            prop_assert_eq!(by_blocks(&text[..], size), (wanted.clone(), None));
            let size = size % 60 + 1;
            prop_assert!(long.is_some() || by_blocks(Drip(&text, false), size) == (wanted, None));
        }
    }

    #[test]
    fn the_lines_before_an_error_come_first_and_the_one_it_cut_does_not() {
        let (lines, error) = by_blocks(Drip(b"one\ntwo\nthr", true), 5);
        assert_eq!(lines, [(0, b"one".to_vec()), (4, b"two".to_vec())]);
        assert_eq!(error.as_deref(), Some("broken"));
    }
}
