//! Linux audit records: `type=SYSCALL msg=audit(1364481363.243:24287): key=value …`.
//!
//! One record at a time: joining the records of an event is the caller's. Values in quotes are
//! unquoted; `aN`, `proctitle`, `exe`, `comm`, `name`, `cwd` and the like that the kernel wrote as
//! hexadecimal because they hold a space or a control byte are decoded.

use std::borrow::Cow;

use crate::time::{self, Stamp};

/// Most fields of one record that are kept.
pub const FIELDS_MAX: usize = 256;

/// One audit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord<'a> {
    /// When.
    pub stamp: Stamp,
    /// Serial number of the event.
    pub serial: u64,
    /// `SYSCALL`, `EXECVE`, `USER_LOGIN` …
    pub kind: &'a [u8],
    /// Fields in the order in which they are written; those inside `msg='…'` too.
    pub fields: Vec<(&'a [u8], Cow<'a, [u8]>)>,
}

impl AuditRecord<'_> {
    /// The first field of that name.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        if name == b"type" {
            return Some(self.kind);
        }
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_ref())
    }
}

/// Reads one record.
pub fn parse(line: &[u8]) -> Option<AuditRecord<'_>> {
    let start = match line.strip_prefix(b"node=") {
        Some(rest) => &rest[memchr::memchr(b' ', rest)? + 1..],
        None => line,
    };
    let rest = start.strip_prefix(b"type=")?;
    let end = memchr::memchr(b' ', rest)?;
    let (kind, rest) = rest.split_at(end);
    let rest = rest.strip_prefix(b" msg=audit(")?;
    let (stamp, used) = time::epoch(rest)?;
    let rest = rest.get(used..)?.strip_prefix(b":")?;
    let close = memchr::memchr(b')', rest)?;
    let serial = std::str::from_utf8(&rest[..close]).ok()?.parse().ok()?;
    let body = rest[close + 1..].strip_prefix(b":").unwrap_or(&rest[close + 1..]);
    let mut fields = Vec::new();
    pairs(body, &mut fields);
    Some(AuditRecord { stamp, serial, kind, fields })
}

fn pairs<'a>(mut text: &'a [u8], fields: &mut Vec<(&'a [u8], Cow<'a, [u8]>)>) {
    while fields.len() < FIELDS_MAX {
        // auditd's enriched part follows a group separator (0x1d)
        let skipped = text.iter().take_while(|b| matches!(b, b' ' | 0x1d | b'\'')).count();
        text = &text[skipped..];
        let Some(equals) = memchr::memchr(b'=', text) else { return };
        let key = &text[..equals];
        let key = key.rsplit(|byte| *byte == b' ').next().unwrap_or(key);
        text = &text[equals + 1..];
        if let Some(inner) = text.strip_prefix(b"'") {
            // msg='op=… acct="…"': its fields are fields of the record
            text = inner;
            continue;
        }
        if let Some(inner) = text.strip_prefix(b"\"") {
            let end = memchr::memchr(b'"', inner).unwrap_or(inner.len());
            fields.push((key, Cow::Borrowed(&inner[..end])));
            text = inner.get(end + 1..).unwrap_or(&[]);
            continue;
        }
        let end = text.iter().position(|b| matches!(b, b' ' | b'\'' | 0x1d)).unwrap_or(text.len());
        fields.push((key, value(key, &text[..end])));
        text = &text[end..];
    }
}

fn value<'a>(key: &[u8], text: &'a [u8]) -> Cow<'a, [u8]> {
    let argument = key.len() > 1 && key[0] == b'a' && key[1..].iter().all(u8::is_ascii_digit);
    let named = matches!(
        key,
        b"proctitle" | b"exe" | b"comm" | b"name" | b"cwd" | b"acct" | b"cmd" | b"data" | b"path"
    );
    // A SYSCALL's a0 to a3 are plain short numbers in hexadecimal, an encoded text is longer.
    let long_enough = if argument { 6 } else { 2 };
    if !(argument || named) || text.len() < long_enough || !text.len().is_multiple_of(2) {
        return Cow::Borrowed(text);
    }
    match decoded(text) {
        Some(bytes) => Cow::Owned(bytes),
        None => Cow::Borrowed(text),
    }
}

/// Hexadecimal as the kernel writes it (upper case); NULs between arguments become spaces.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> =
        text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    let mut bytes = bytes?;
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_with_quotes_and_hexadecimal() {
        let line = b"type=EXECVE msg=audit(1364481363.243:24287): argc=3 a0=\"sh\" a1=\"-c\" a2=6964202D75";
        let record = parse(line).unwrap();
        assert_eq!((record.kind, record.serial), (&b"EXECVE"[..], 24287));
        assert_eq!(record.stamp, Stamp::Exact(1_364_481_363));
        assert_eq!(record.field(b"a0"), Some(&b"sh"[..]));
        assert_eq!(record.field(b"a2"), Some(&b"id -u"[..]));
        assert_eq!(record.field(b"none"), None);
        let login = b"type=USER_LOGIN msg=audit(1364481363.243:9): pid=1 uid=0 msg='op=login acct=\"bob\" addr=192.0.2.1 res=failed'";
        let record = parse(login).unwrap();
        assert_eq!(record.field(b"acct"), Some(&b"bob"[..]));
        assert_eq!(record.field(b"addr"), Some(&b"192.0.2.1"[..]));
        assert_eq!(record.field(b"res"), Some(&b"failed"[..]));
    }

    #[test]
    fn what_is_no_record_is_none_and_hostile_ones_end() {
        for line in ["", "type=", "type=X msg=audit(", "type=X msg=audit(1.2:x): a=b", "x=y"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        let many = format!("type=X msg=audit(1364481363.243:1): {}", "a=b ".repeat(FIELDS_MAX + 1));
        assert_eq!(parse(many.as_bytes()).unwrap().fields.len(), FIELDS_MAX);
        assert!(parse(b"type=X msg=audit(1364481363.243:1): a=\"open").is_some());
    }
}
