//! The systemd journal's export format (`journalctl -o export`), entry by entry from a stream.
//!
//! An entry is lines of `NAME=value`, or `NAME`, a newline, a 64-bit little-endian length, that many
//! bytes and a newline for values that hold control bytes; an empty line ends it. See systemd's
//! JOURNAL_EXPORT_FORMATS. Values are kept up to [`VALUE_BYTES_MAX`], entries up to [`FIELDS_MAX`]
//! fields; what is longer is read past, never held, and tagged.

use std::io::{self, BufRead};

/// Most bytes of one value that are kept.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// Most bytes of a field name; journald itself allows 64.
pub const NAME_BYTES_MAX: usize = 256;

/// Most fields of one entry that are kept.
pub const FIELDS_MAX: usize = 512;

/// A binary value that claims to be longer than this is damage, not data (journald's own bound).
pub const CLAIM_BYTES_MAX: u64 = 768 << 20;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether a value was cut or fields were dropped.
    pub truncated: bool,
}

impl Entry {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(key, _)| key.as_slice() == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// When the journal received it, seconds since the epoch.
    pub fn time(&self) -> Option<i64> {
        let text = std::str::from_utf8(self.field("__REALTIME_TIMESTAMP")?).ok()?;
        Some(text.parse::<i64>().ok()?.div_euclid(1_000_000))
    }

    /// The program: `SYSLOG_IDENTIFIER`, or `_COMM`.
    pub fn program(&self) -> &[u8] {
        self.field("SYSLOG_IDENTIFIER").or_else(|| self.field("_COMM")).unwrap_or_default()
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        let value = self.field("_PID").or_else(|| self.field("SYSLOG_PID"))?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// What it said.
    pub fn message(&self) -> &[u8] {
        self.field("MESSAGE").unwrap_or_default()
    }
}

/// Reads the next entry; `None` at the end of the stream. A damaged length is an error: what follows
/// cannot be trusted.
pub fn next_entry(reader: &mut impl BufRead) -> io::Result<Option<Entry>> {
    let mut entry = Entry::default();
    let mut any = false;
    loop {
        let mut line = Vec::new();
        let (read, cut) = read_line(reader, &mut line, NAME_BYTES_MAX + VALUE_BYTES_MAX)?;
        if read == 0 {
            return Ok(any.then_some(entry));
        }
        if line.is_empty() {
            if any {
                return Ok(Some(entry));
            }
            continue;
        }
        any = true;
        entry.truncated |= cut;
        let (name, value) = match memchr::memchr(b'=', &line) {
            Some(at) => (line[..at].to_vec(), line[at + 1..].to_vec()),
            None => {
                let (value, cut) = binary(reader)?;
                entry.truncated |= cut;
                (line, value)
            }
        };
        if entry.fields.len() < FIELDS_MAX && name.len() <= NAME_BYTES_MAX {
            entry.fields.push((name, value));
        } else {
            entry.truncated = true;
        }
    }
}

/// A line without its end, cut at `limit`: bytes read and whether it was cut.
fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<(usize, bool)> {
    let (mut read, mut cut) = (0, false);
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok((read, cut));
        }
        let (piece, used, ended) = match memchr::memchr(b'\n', block) {
            Some(at) => (&block[..at], at + 1, true),
            None => (block, block.len(), false),
        };
        let room = limit - line.len();
        cut |= piece.len() > room;
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        reader.consume(used);
        read += used;
        if ended {
            return Ok((read, cut));
        }
    }
}

fn binary(reader: &mut impl BufRead) -> io::Result<(Vec<u8>, bool)> {
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > CLAIM_BYTES_MAX {
        let message = "a journal field claims more bytes than a journal can hold";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut value = Vec::new();
    let mut left = length;
    while left > 0 {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        let kept = used.min(VALUE_BYTES_MAX - value.len());
        value.extend_from_slice(&block[..kept]);
        reader.consume(used);
        left -= used as u64;
    }
    let mut end = [0];
    reader.read_exact(&mut end)?;
    if end != *b"\n" {
        let message = "a journal field does not end where it says";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok((value, length > VALUE_BYTES_MAX as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn entries_with_text_and_binary_fields_are_read() {
        let mut bytes =
            b"__REALTIME_TIMESTAMP=1700000000123456\n_PID=7\nSYSLOG_IDENTIFIER=sshd\n".to_vec();
        bytes.extend(field("MESSAGE", b"two\nlines"));
        bytes.extend(b"\n\n__REALTIME_TIMESTAMP=1700000001000000\nMESSAGE=a=b\n");
        let mut reader = &bytes[..];
        let first = next_entry(&mut reader).unwrap().unwrap();
        assert_eq!((first.time(), first.pid()), (Some(1_700_000_000), Some(7)));
        assert_eq!((first.program(), first.message()), (&b"sshd"[..], &b"two\nlines"[..]));
        assert_eq!(next_entry(&mut reader).unwrap().unwrap().message(), b"a=b");
        assert_eq!(next_entry(&mut reader).unwrap(), None);
    }

    #[test]
    fn long_values_are_cut_and_lies_about_length_are_errors() {
        for (length, cut) in [(VALUE_BYTES_MAX, false), (VALUE_BYTES_MAX + 1, true)] {
            let bytes = field("MESSAGE", &vec![b'x'; length]);
            let entry = next_entry(&mut &bytes[..]).unwrap().unwrap();
            assert_eq!((entry.message().len(), entry.truncated), (VALUE_BYTES_MAX, cut));
        }
        let mut lie = b"MESSAGE\n".to_vec();
        lie.extend(u64::MAX.to_le_bytes());
        assert!(next_entry(&mut &lie[..]).is_err());
        let mut short = b"MESSAGE\n".to_vec();
        short.extend(9_u64.to_le_bytes());
        short.extend(b"four");
        assert!(next_entry(&mut &short[..]).is_err());
        let many = "A=b\n".repeat(FIELDS_MAX + 1);
        let entry = next_entry(&mut many.as_bytes()).unwrap().unwrap();
        assert_eq!((entry.fields.len(), entry.truncated), (FIELDS_MAX, true));
        let line = format!("MESSAGE={}\n", "x".repeat(1 << 20));
        let entry = next_entry(&mut line.as_bytes()).unwrap().unwrap();
        assert!(entry.truncated && entry.message().len() <= NAME_BYTES_MAX + VALUE_BYTES_MAX);
    }
}
