//! The head of a line: when (the hour as the line writes it, and the second in it), which program, and
//! where the message begins.
//!
//! Lines of one hour share the bytes that name it: those are compared with the line before, and only
//! minutes and seconds are read. What another form writes goes through the grammars of `parsers::log`.
//! A line's head depends on that line alone.

use std::borrow::Cow;

use parsers::log::{access, audit, json, syslog};
use parsers::time::{Stamp, Wall};

use super::census::REQUESTS;
use crate::logs::extract::canonical_program;

/// When a line was written: `hour` is its stamp at minute 0, `second` the second of that hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When {
    pub hour: Stamp,
    pub second: u16,
}

/// A line without its stamp.
pub(super) struct Head<'a> {
    pub when: Option<When>,
    pub program: &'a [u8],
    pub message: Cow<'a, [u8]>,
    pub form: Form<'a>,
}

/// What sort of line it is, with what only that sort says.
pub(super) enum Form<'a> {
    Syslog,
    Error,
    Request { client: &'a [u8], user: &'a [u8], uri: &'a [u8], refused: bool },
    Audit { serial: u64 },
    Json,
    Unknown,
}

/// The bytes that named the hour of the last line, and that hour.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    prefix: [u8; 13],
    length: usize,
    /// The offset from UTC as written behind the seconds.
    zone: [u8; 6],
    zone_length: usize,
    hour: Option<Stamp>,
}

/// Reads the head of a line of which the [`stamp`] was read.
pub(super) fn read(line: &[u8], stamp: Option<(When, usize)>) -> Head<'_> {
    if let Some((when, used)) = stamp {
        let rest = line.get(used..).unwrap_or_default();
        if rest.first() == Some(&b' ') && line.get(4) != Some(&b'/') {
            let (program, message) = syslog::body(when.hour, rest);
            let program = canonical_program(program);
            return Head { when: Some(when), program, message: message.into(), form: Form::Syslog };
        }
    }
    slow(line)
}

/// The stamp of a line of syslog and its length, where it is of a usual form.
#[inline]
pub(super) fn stamp(line: &[u8], memo: &mut Memo) -> Option<(When, usize)> {
    memo.recall(line).or_else(|| memo.learn(line))
}

/// Tag and message of a line with such a stamp: what its program and message depend on.
#[inline]
pub(super) fn tagged(line: &[u8], when: When, used: usize) -> Option<&[u8]> {
    let rest = line.get(used..)?;
    let syslog = rest.first() == Some(&b' ') && line.get(4) != Some(&b'/');
    if syslog { syslog::tagged(when.hour, rest) } else { None }
}

/// The program as it is written, and the message of what [`tagged`] gave.
pub(super) fn told(tagged: &[u8]) -> (&[u8], &[u8]) {
    syslog::told(tagged)
}

impl Memo {
    /// The time of a line that begins with the same hour.
    fn recall(&self, line: &[u8]) -> Option<(When, usize)> {
        let hour = self.hour?;
        let rest = line.strip_prefix(&self.prefix[..self.length])?;
        let second = minutes_and_seconds(rest)?;
        let mut used = self.length + 6;
        used += fraction(line.get(used..)?);
        let zone = &self.zone[..self.zone_length];
        let after = line.get(used..)?.strip_prefix(zone)?;
        // a zone that the last line did not have
        if matches!(after.first(), Some(b'+' | b'-' | b'Z' | b'z' | b'0'..=b'9' | b':')) {
            return None;
        }
        Some((When { hour, second }, used + zone.len()))
    }

    /// Reads a stamp of one of the two usual forms and remembers its hour.
    fn learn(&mut self, line: &[u8]) -> Option<(When, usize)> {
        let (stamp, used) = syslog::stamp(line)?;
        let length = if line[0].is_ascii_digit() { 13 } else { 9 };
        let second = minutes_and_seconds(line.get(length..)?)?;
        let behind = length + 6;
        let zone = line.get(behind + fraction(line.get(behind..)?)..used)?;
        if zone.len() > self.zone.len() {
            return None;
        }
        let hour = back(stamp, second);
        self.prefix[..length].copy_from_slice(&line[..length]);
        self.zone[..zone.len()].copy_from_slice(zone);
        (self.length, self.zone_length, self.hour) = (length, zone.len(), Some(hour));
        Some((When { hour, second }, used))
    }
}

/// The stamp at minute 0.
fn back(stamp: Stamp, second: u16) -> Stamp {
    let earlier =
        |wall: Wall| Wall { second: wall.second.saturating_sub(u32::from(second)), ..wall };
    match stamp {
        Stamp::Exact(time) => Stamp::Exact(time - i64::from(second)),
        Stamp::Local(wall) => Stamp::Local(earlier(wall)),
        Stamp::Yearless(wall) => Stamp::Yearless(earlier(wall)),
    }
}

/// `:55:46`, second 60 as 59.
fn minutes_and_seconds(text: &[u8]) -> Option<u16> {
    let [b':', m1, m2, b':', s1, s2, ..] = text else { return None };
    let pair = |a: &u8, b: &u8| {
        let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
        (a <= 6 && b <= 9).then_some(u16::from(a) * 10 + u16::from(b))
    };
    let (minutes, seconds) = (pair(m1, m2)?, pair(s1, s2)?);
    (minutes < 60 && seconds <= 60).then_some(minutes * 60 + seconds.min(59))
}

/// Length of a fraction of a second.
fn fraction(text: &[u8]) -> usize {
    match text.first() {
        Some(b'.' | b',') => {
            match text[1..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count() {
                0 => 0,
                digits => digits + 1,
            }
        }
        _ => 0,
    }
}

/// Lines of any other form.
fn slow(line: &[u8]) -> Head<'_> {
    let head = |stamp: Option<Stamp>, program, message, form| Head {
        when: stamp.map(hour_of),
        program,
        message,
        form,
    };
    match line.first() {
        Some(b'{') if json::parse(line).is_some() => {
            return head(None, b"json", Cow::Borrowed(b"record"), Form::Json);
        }
        Some(b't' | b'n') => {
            if let Some(record) = audit::parse(line) {
                let form = Form::Audit { serial: record.serial };
                return head(Some(record.stamp), b"audit", shape(&record).into(), form);
            }
        }
        _ => {}
    }
    if let Some(record) = syslog::parse(line).filter(|_| line.get(4) != Some(&b'/')) {
        let message = unopened(line, record.message, record.weight);
        let program = canonical_program(record.program);
        return head(Some(record.stamp), program, message.into(), Form::Syslog);
    }
    if let Some(record) = access::parse_error(line) {
        return head(Some(record.stamp), b"web-error", record.message.into(), Form::Error);
    }
    if let Some(record) = access::parse(line) {
        let refused = matches!(record.status, 401 | 403);
        let ended = match record.status {
            401 | 403 => " refused",
            0..400 => " answered",
            400..500 => " not possible",
            _ => " failed on the server",
        };
        let method = if record.method.len() <= 8 { record.method } else { b"" };
        let message = [method, ended.as_bytes()].concat();
        let (client, user, uri) = (record.client, record.user, record.uri);
        let form = Form::Request { client, user, uri, refused };
        return head(Some(record.stamp), REQUESTS.as_bytes(), message.into(), form);
    }
    head(None, b"", line.into(), Form::Unknown)
}

fn hour_of(stamp: Stamp) -> When {
    let second = match stamp {
        Stamp::Exact(time) => time.rem_euclid(3600),
        Stamp::Local(wall) | Stamp::Yearless(wall) => i64::from(wall.second % 3600),
    };
    let second = u16::try_from(second).unwrap_or(0);
    When { hour: back(stamp, second), second }
}

/// `message repeated N times: [ … ]` as it is written: it is a message of its own.
fn unopened<'a>(line: &'a [u8], message: &'a [u8], weight: u64) -> &'a [u8] {
    match (weight, memchr::memmem::find(line, b"message repeated ")) {
        (2.., Some(at)) => &line[at..],
        _ => message,
    }
}

/// What audit records have in common: their type, the names of their fields, and how it ended.
fn shape(record: &audit::AuditRecord<'_>) -> Vec<u8> {
    let mut text = b"type=".to_vec();
    text.extend_from_slice(record.kind);
    for (key, value) in &record.fields {
        text.push(b' ');
        text.extend_from_slice(key);
        if matches!(*key, b"res" | b"success" | b"op") {
            text.push(b'=');
            text.extend(value.iter().take(24).filter(|byte| byte.is_ascii_alphanumeric()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memo_gives_what_reading_afresh_gives() {
        let lines = [
            "Dec 10 06:55:46 h sshd[1]: a",
            "Dec 10 06:59:60 h sshd[1]: message repeated 2 times: [ a]",
            "Dec 10 07:00:00 sshd[1]: a",
            "2024-05-01T10:00:00.123456+02:00 h sshd-session[7]: b",
            "2024-05-01T10:00:01.5+02:00 h x: b",
            "2024-05-01T10:00:01.5+01:00 h x: b",
            "2024-05-01T10:00:01Z h x: b",
            "2024-05-01 10:00:02 h x: b",
            "2024-05-01 10:00:02+05:30 h x: b",
            "2024-05-01 10:61:02 h x: b",
            "2024/05/01 10:00:00 [error] 7#7: x",
            "<38>Dec 10 07:00:00 h a: b",
            "Dec 10 07",
            "",
        ];
        let mut memo = Memo::default();
        for line in lines.iter().chain(lines.iter().rev()) {
            let line = line.as_bytes();
            let warm = read(line, stamp(line, &mut memo));
            let first = stamp(line, &mut Memo::default());
            let cold = read(line, first);
            if let Some(tagged) = first.and_then(|(when, used)| tagged(line, when, used)) {
                let (program, message) = told(tagged);
                assert_eq!((canonical_program(program), message), (cold.program, &*cold.message));
            }
            let line = std::str::from_utf8(line).unwrap();
            assert_eq!((warm.when, warm.program), (cold.when, cold.program), "{line}");
            assert_eq!(warm.message, cold.message, "{line}");
            if let (Some(record), Some(when)) = (syslog::parse(line.as_bytes()), warm.when)
                && line.get(4..5) != Some("/")
            {
                assert_eq!(back(record.stamp, when.second), when.hour, "{line}");
                assert_eq!(canonical_program(record.program), warm.program, "{line}");
            }
        }
    }
}
