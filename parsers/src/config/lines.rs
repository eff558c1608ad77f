//! Numbered lines of a configuration file.

use std::sync::Arc;

use crate::place::Place;

/// Most bytes of a line that [`Line::shown`] keeps.
pub const SHOWN_BYTES_MAX: usize = 2 << 10;

/// A line of a file, without its line end (`\n` or `\r\n`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1.
    pub number: u32,
    /// Where it starts, in bytes.
    pub offset: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// The text, with invalid UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// The first [`SHOWN_BYTES_MAX`] bytes as text, for values that keep their line: a line with many
    /// values is then not kept whole by each of them.
    pub fn shown(&self) -> String {
        let end = self.bytes.len().min(SHOWN_BYTES_MAX);
        String::from_utf8_lossy(&self.bytes[..end]).into_owned()
    }

    /// The place of a byte of this line, counted from 0.
    pub fn place(&self, file: &Arc<str>, index: usize) -> Place {
        Place::new(file, self.number, u32::try_from(index + 1).unwrap_or(u32::MAX))
    }
}

/// Physical lines joined into a logical one, which still knows where each byte was written.
pub(crate) struct Joined {
    /// The joined text.
    pub(crate) text: String,
    /// For each physical line: where it starts in `text`, its number, and itself. Never empty.
    pub(crate) segments: Vec<(usize, u32, String)>,
}

impl Joined {
    /// Where a byte of the joined text was written, and the physical line.
    pub(crate) fn place(&self, file: &Arc<str>, index: usize) -> (Place, String) {
        let known = self.segments.partition_point(|(start, ..)| *start <= index);
        let (start, number, text) = &self.segments[known - 1];
        let column = u32::try_from(index - start + 1).unwrap_or(u32::MAX);
        (Place::new(file, *number, column), text.clone())
    }
}

/// Splits a file into numbered lines; a last line without a line end counts.
pub fn numbered(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut offset = 0;
    let mut number = 0_u32;
    std::iter::from_fn(move || {
        if offset >= bytes.len() {
            return None;
        }
        let start = offset;
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
        offset = end + 1;
        number = number.saturating_add(1);
        let line = &bytes[start..end];
        Some(Line { number, offset: start, bytes: line.strip_suffix(b"\r").unwrap_or(line) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_the_last_needs_no_newline() {
        let lines: Vec<_> = numbered(b"a\r\n\nb").map(|l| (l.number, l.offset, l.bytes)).collect();
        assert_eq!(lines, [(1, 0, &b"a"[..]), (2, 3, &b""[..]), (3, 4, &b"b"[..])]);
        assert_eq!(numbered(b"").count(), 0);
        assert_eq!(numbered(b"a\n").count(), 1);
    }
}
