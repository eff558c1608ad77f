//! Linux audit records: `type=SYSCALL msg=audit(1364481363.243:24287): key=value …`.
//!
//! One record at a time: joining the records of an event is the caller's. Values in quotes are
//! unquoted; `proctitle`, `exe`, `comm`, `name`, `cwd` and the like, and the arguments of EXECVE, that the
//! kernel wrote as hexadecimal because they hold a space or a control byte are decoded. Arguments that
//! it split (`a1[0]`, `a1[1]` …) are put together again. What was decoded does not stand in the line as it
//! is: [`AuditRecord::hidden`] says so. The audit lines that the kernel sends to syslog
//! (`audit: type=1400 audit(…)`) are read too, their numbers named.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// The host, where records of several are in one log (`node=…`).
    pub node: &'a [u8],
    /// `SYSCALL`, `EXECVE`, `USER_LOGIN` …
    pub kind: &'a [u8],
    /// Fields in the order in which they are written; those inside `msg='…'` too.
    pub fields: Vec<(&'a [u8], Cow<'a, [u8]>)>,
    /// Whether a value is not in the line as it is given here.
    pub hidden: bool,
}

/// What a socket address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketAddress {
    /// An address and a port.
    Inet(IpAddr, u16),
    /// A path; empty for a socket without a name.
    Unix(Vec<u8>),
}

/// The types that wardmote knows by number, as the kernel writes them into syslog.
const KINDS: [(&[u8], &[u8]); 17] = [
    (b"1100", b"USER_AUTH"),
    (b"1101", b"USER_ACCT"),
    (b"1105", b"USER_START"),
    (b"1106", b"USER_END"),
    (b"1112", b"USER_LOGIN"),
    (b"1123", b"USER_CMD"),
    (b"1130", b"SERVICE_START"),
    (b"1131", b"SERVICE_STOP"),
    (b"1300", b"SYSCALL"),
    (b"1302", b"PATH"),
    (b"1306", b"SOCKADDR"),
    (b"1307", b"CWD"),
    (b"1309", b"EXECVE"),
    (b"1320", b"EOE"),
    (b"1326", b"SECCOMP"),
    (b"1327", b"PROCTITLE"),
    (b"1400", b"AVC"),
];

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
    let (node, start) = match line.strip_prefix(b"node=") {
        Some(rest) => {
            let end = memchr::memchr(b' ', rest)?;
            (&rest[..end], &rest[end + 1..])
        }
        None => (&b""[..], line.strip_prefix(b"audit: ").unwrap_or(line)),
    };
    let rest = start.strip_prefix(b"type=")?;
    let end = memchr::memchr(b' ', rest)?;
    let (kind, rest) = rest.split_at(end);
    let known = KINDS.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name);
    let rest = rest.strip_prefix(b" msg=audit(").or_else(|| rest.strip_prefix(b" audit("))?;
    let (stamp, used) = time::epoch(rest)?;
    let rest = rest.get(used..)?.strip_prefix(b":")?;
    let close = memchr::memchr(b')', rest)?;
    let serial = std::str::from_utf8(&rest[..close]).ok()?.parse().ok()?;
    let body = rest[close + 1..].strip_prefix(b":").unwrap_or(&rest[close + 1..]);
    let kind = known.unwrap_or(kind);
    let hidden = known.is_some();
    let mut record = AuditRecord { stamp, serial, node, kind, fields: Vec::new(), hidden };
    pairs(body, &mut record);
    Some(record)
}

fn pairs<'a>(mut text: &'a [u8], record: &mut AuditRecord<'a>) {
    while record.fields.len() < FIELDS_MAX {
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
            add(record, key, Cow::Borrowed(&inner[..end]));
            text = inner.get(end + 1..).unwrap_or(&[]);
            continue;
        }
        let end = text.iter().position(|b| matches!(b, b' ' | b'\'' | 0x1d)).unwrap_or(text.len());
        let value = value(record.kind, key, &text[..end]);
        record.hidden |= matches!(value, Cow::Owned(_));
        add(record, key, value);
        text = &text[end..];
    }
}

/// Adds a field, or to the last one if it is another piece of the same argument.
fn add<'a>(record: &mut AuditRecord<'a>, key: &'a [u8], value: Cow<'a, [u8]>) {
    let Some(open) = key.iter().position(|byte| *byte == b'[').filter(|at| *at > 1) else {
        record.fields.push((key, value));
        return;
    };
    let name = &key[..open];
    match record.fields.last_mut() {
        Some((last, so_far)) if *last == name => {
            so_far.to_mut().extend_from_slice(&value);
            record.hidden = true;
        }
        _ => record.fields.push((name, value)),
    }
}

fn value<'a>(kind: &[u8], key: &[u8], text: &'a [u8]) -> Cow<'a, [u8]> {
    // A SYSCALL's a0 to a3 are numbers; an argument of EXECVE without quotes is encoded.
    let argument = kind == b"EXECVE"
        && key.len() > 1
        && key[0] == b'a'
        && key[1..].iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'[' | b']'));
    let named = matches!(
        key,
        b"proctitle"
            | b"exe"
            | b"comm"
            | b"ocomm"
            | b"name"
            | b"cwd"
            | b"acct"
            | b"cmd"
            | b"data"
            | b"path"
            | b"dir"
            | b"key"
    );
    if !(argument || named) || text.is_empty() || !text.len().is_multiple_of(2) {
        return Cow::Borrowed(text);
    }
    match decoded(text) {
        Some(bytes) => Cow::Owned(bytes),
        None => Cow::Borrowed(text),
    }
}

/// What the field `saddr` of a SOCKADDR record names: `sockaddr_in`, `sockaddr_in6` or `sockaddr_un` in
/// hexadecimal, the family in the byte order of the machine (little-endian here, or big).
pub fn socket_address(saddr: &[u8]) -> Option<SocketAddress> {
    let bytes = hexadecimal(saddr)?;
    let family = match bytes.get(..2)? {
        [low, 0] => *low,
        [0, high] => *high,
        _ => return None,
    };
    match family {
        1 => {
            let path = bytes.get(2..)?;
            let end = memchr::memchr(0, path).unwrap_or(path.len());
            Some(SocketAddress::Unix(path[..end].to_vec()))
        }
        2 => {
            let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddress::Inet(Ipv4Addr::from(address).into(), port))
        }
        10 => {
            let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let address = Ipv6Addr::from(address);
            let plain = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
            Some(SocketAddress::Inet(plain, port))
        }
        _ => None,
    }
}

/// Hexadecimal as the kernel writes it; NULs between arguments become spaces.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = hexadecimal(text)?;
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    Some(bytes)
}

/// Bytes from hexadecimal in upper case.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
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
    fn arguments_are_decoded_in_execve_only_and_put_together() {
        let line = b"type=EXECVE msg=audit(1364481363.243:1): argc=3 a0=6C73 a1_len=6 a1[0]=\"ab\" a1[1]=\"cd\" a1[2]=2065 a2=\"x\"";
        let record = parse(line).unwrap();
        assert_eq!(record.field(b"a0"), Some(&b"ls"[..]));
        assert_eq!(record.field(b"a1"), Some(&b"abcd e"[..]));
        assert_eq!(record.field(b"a2"), Some(&b"x"[..]));
        assert!(record.hidden);
        let call = b"type=SYSCALL msg=audit(1364481363.243:1): syscall=59 a0=55C1D2A3B4C5 a1=3 comm=6C73 key=(null)";
        let record = parse(call).unwrap();
        assert_eq!(record.field(b"a0"), Some(&b"55C1D2A3B4C5"[..]));
        assert_eq!(
            (record.field(b"comm"), record.field(b"key")),
            (Some(&b"ls"[..]), Some(&b"(null)"[..]))
        );
        assert!(!parse(b"type=CWD msg=audit(1364481363.243:1): cwd=\"/\"").unwrap().hidden);
        let kernel = b"audit: type=1400 audit(1364481363.243:7): apparmor=\"DENIED\" name=\"/x\"";
        let record = parse(kernel).unwrap();
        assert_eq!((record.kind, record.serial), (&b"AVC"[..], 7));
        assert_eq!(record.field(b"apparmor"), Some(&b"DENIED"[..]));
    }

    #[test]
    fn socket_addresses_are_read_or_none() {
        let inet = |text: &str, port| Some(SocketAddress::Inet(text.parse().unwrap(), port));
        for (saddr, expected) in [
            ("0200115CC00002010000000000000000", inet("192.0.2.1", 4444)),
            ("000201BBC0000201", inet("192.0.2.1", 443)),
            (
                "0A0001BB0000000020010DB80000000000000000000000010000000000",
                inet("2001:db8::1", 443),
            ),
            ("0A0001BB0000000000000000000000000000FFFFC000020100000000", inet("192.0.2.1", 443)),
            ("01002F72756E2F7800", Some(SocketAddress::Unix(b"/run/x".to_vec()))),
            ("0100", Some(SocketAddress::Unix(Vec::new()))),
            ("0200", None),
            ("1000000000", None),
            ("020", None),
            ("zz", None),
            ("", None),
        ] {
            assert_eq!(socket_address(saddr.as_bytes()), expected, "{saddr}");
        }
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
