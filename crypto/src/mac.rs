//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) over streams, and check lists.
//!
//! A list has the form of `sha256sum`: `MAC`, two blanks, name; a name with a backslash, LF or CR is
//! escaped and its line starts with a backslash. Names are bytes, not text. Reading is strict: lower or
//! upper case hex of exactly 64 digits, and nothing else before the two blanks (`sha256sum -b`'s `*` is
//! taken too).
//!
//! A list proves that the files it names are as they were. It does not prove that no line was taken
//! out of it: keep a MAC of the list for that.

use std::io::{self, Read};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Error;

/// A MAC in bytes.
pub const MAC_BYTES: usize = 32;
/// Shortest key in bytes that a key file may hold (128 bit).
pub const KEY_BYTES_MIN: usize = 16;
/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = 4096;
/// Longest line of a check list in bytes: a path of 4096 bytes with every byte escaped.
pub const LIST_LINE_BYTES_MAX: usize = 2 * 4096 + 2 * MAC_BYTES + 3;

const READ_BYTES: usize = 64 << 10;

/// A key, ready for any number of MACs; zeroized when dropped.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// A key of any length; RFC 2104 wants at least 32 random bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length"))
    }

    /// The MAC of bytes.
    ///
    /// ```
    /// let key = crypto::mac::Key::new(b"Jefe");
    /// let mac = key.of(b"what do ya want for nothing?");
    /// assert!(crypto::mac::hex(&mac).starts_with("5bdcc146bf60754e"));
    /// ```
    pub fn of(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        self.of_parts(&[bytes])
    }

    /// The MAC of parts as if they were one.
    pub fn of_parts(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// The MAC of a stream, read to its end in pieces.
    pub fn of_stream(&self, mut input: impl Read) -> io::Result<[u8; MAC_BYTES]> {
        let mut mac = self.0.clone();
        let mut buffer = Zeroizing::new(vec![0; READ_BYTES]);
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(mac.finalize().into_bytes().into()),
                Ok(count) => mac.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether two MACs are equal, in constant time.
pub fn equal(one: &[u8; MAC_BYTES], other: &[u8; MAC_BYTES]) -> bool {
    one.ct_eq(other).into()
}

/// A MAC as 64 lower-case hex digits.
pub fn hex(mac: &[u8; MAC_BYTES]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line of a check list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The MAC that the file should have.
    pub mac: [u8; MAC_BYTES],
    /// The file's name, as bytes.
    pub name: Vec<u8>,
}

impl Entry {
    /// The line, without LF.
    pub fn line(&self) -> Vec<u8> {
        let name = escaped(&self.name);
        let mark: &[u8] = if name.len() == self.name.len() { b"" } else { b"\\" };
        [mark, hex(&self.mac).as_bytes(), b"  ", &name].concat()
    }

    /// Reads a line without its LF.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        let (marked, rest) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (digits, rest) =
            rest.split_at_checked(2 * MAC_BYTES).ok_or(Error::List("shorter than a MAC"))?;
        let mac = unhex(digits).ok_or(Error::List("the MAC is not 64 hex digits"))?;
        let name = rest
            .strip_prefix(b"  ")
            .or_else(|| rest.strip_prefix(b" *"))
            .ok_or(Error::List("no two blanks after the MAC"))?;
        let name = if marked { unescaped(name)? } else { name.to_vec() };
        match name {
            name if name.is_empty() => Err(Error::List("no name")),
            name if name.contains(&0) => Err(Error::List("a NUL in the name")),
            name => Ok(Self { mac, name }),
        }
    }
}

/// A name with backslash, LF and CR escaped: it cannot forge a line.
pub fn escaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.push(byte),
        }
    }
    out
}

fn unescaped(name: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match (byte, if byte == b'\\' { bytes.next() } else { None }) {
            (b'\\', Some(b'\\')) => b'\\',
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', _) => return Err(Error::List("an unknown escape in the name")),
            (byte, _) => byte,
        });
    }
    Ok(out)
}

fn unhex(digits: &[u8]) -> Option<[u8; MAC_BYTES]> {
    let mut mac = [0; MAC_BYTES];
    for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_has_the_mac_of_its_bytes() {
        let key = Key::new(&[1; 32]);
        for length in [0, 1, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 255) as u8).collect();
            assert!(equal(&key.of(&bytes), &key.of_stream(&*bytes).unwrap()));
        }
        assert!(!equal(&key.of(b"a"), &key.of(b"b")));
        assert!(!equal(&key.of(b"a"), &Key::new(&[2; 32]).of(b"a")));
    }

    #[test]
    fn only_strict_lines_are_read() {
        let digits = "0a".repeat(32);
        let parse = |line: &str| Entry::parse(line.as_bytes());
        assert_eq!(parse(&format!("{digits}  a b")).unwrap().name, b"a b");
        assert_eq!(parse(&format!("{digits} *a")).unwrap().name, b"a");
        assert_eq!(parse(&format!("{digits}  a\\n")).unwrap().name, b"a\\n");
        assert_eq!(parse(&format!("\\{digits}  a\\nb\\\\\\r")).unwrap().name, b"a\nb\\\r");
        for bad in [
            String::new(),
            digits.clone(),
            format!("{digits}  "),
            format!("{digits} a"),
            format!("{digits}\ta"),
            format!("{digits}0  a"),
            format!(" {digits}  a"),
            format!("{}g  a", &digits[1..]),
            format!("+{}  a", &digits[1..]),
            format!("\\{digits}  a\\t"),
            format!("\\{digits}  a\\"),
            format!("{digits}  a\0b"),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives_a_list(name in proptest::collection::vec(1_u8..=255, 1..64), mac in any::<[u8; 32]>()) {
            let entry = Entry { mac, name };
            let line = entry.line();
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(Entry::parse(&line).unwrap(), entry);
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::parse(&line);
        }
    }
}
