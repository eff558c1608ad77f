//! Lines that may be secrets, from a stream of any length.
//!
//! The one buffer and every line are zeroized when they are dropped; a line that does not fit is
//! skipped to its end and reported as such. Only LF ends a line (a CR belongs to the password), and a
//! last line without LF counts.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// A line of the input.
pub(crate) enum Line {
    /// Without its LF.
    Whole(Zeroizing<Vec<u8>>),
    /// Longer than the limit.
    TooLong,
}

/// Reads lines of at most `max_bytes`.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    /// Up to here no LF was found, so that a long line is searched once.
    searched: usize,
    max_bytes: usize,
    skipping: bool,
    ended: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R, max_bytes: usize) -> Self {
        // Room for one whole line, its LF, and a decent read behind it.
        let buffer = Zeroizing::new(vec![0; max_bytes + 1 + (32 << 10)]);
        Self {
            input,
            buffer,
            start: 0,
            end: 0,
            searched: 0,
            max_bytes,
            skipping: false,
            ended: false,
        }
    }

    /// Takes the line before `at` (the LF, or the end of the input).
    fn take(&mut self, at: usize) -> Option<Line> {
        let line = &self.buffer[self.start..at];
        let whole = line.len() <= self.max_bytes && !self.skipping;
        let taken = if whole { Line::Whole(Zeroizing::new(line.to_vec())) } else { Line::TooLong };
        self.start = (at + 1).min(self.end);
        self.searched = self.start;
        self.skipping = false;
        Some(taken)
    }

    /// Makes room and reads more; `false` at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.end - self.start > self.max_bytes {
            self.skipping = true;
            self.start = self.end;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.searched = self.end;
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
            }
        }
    }

    fn advance(&mut self) -> io::Result<Option<Line>> {
        loop {
            let fresh = &self.buffer[self.searched..self.end];
            if let Some(at) = fresh.iter().position(|&byte| byte == b'\n') {
                return Ok(self.take(self.searched + at));
            }
            self.searched = self.end;
            if !self.fill()? {
                self.ended = true;
                let rest = self.end > self.start || self.skipping;
                return Ok(if rest { self.take(self.end) } else { None });
            }
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance();
        self.ended |= next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives one byte, then two, then three … at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 % 7 + 1;
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(text: &[u8], max: usize) -> Vec<Option<Vec<u8>>> {
        Lines::new(Dribble(text, 0), max)
            .map(|line| match line.unwrap() {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong => None,
            })
            .collect()
    }

    #[test]
    fn lines_at_the_limit_are_whole_and_over_it_are_skipped() {
        assert_eq!(all(b"", 4), vec![]);
        assert_eq!(all(b"\n", 4), vec![Some(vec![])]);
        assert_eq!(all(b"abcd\nx", 4), vec![Some(b"abcd".to_vec()), Some(b"x".to_vec())]);
        assert_eq!(all(b"abcde\nx\r\n", 4), vec![None, Some(b"x\r".to_vec())]);
        let long = [vec![b'a'; 200_000], b"\nok\n".to_vec(), vec![b'b'; 200_000]].concat();
        assert_eq!(all(&long, 4), vec![None, Some(b"ok".to_vec()), None]);
    }

    proptest! {
        #[test]
        fn agrees_with_split(text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) {
            let mut expected: Vec<_> = text
                .split(|&byte| byte == b'\n')
                .map(|line| (line.len() <= 5).then(|| line.to_vec()))
                .collect();
            if text.is_empty() || text.ends_with(b"\n") {
                expected.pop();
            }
            prop_assert_eq!(all(&text, 5), expected);
        }
    }
}
