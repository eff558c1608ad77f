//! Syslog lines: RFC 3164 as rsyslog and syslog-ng write it to files, its ISO-stamped successor, and
//! RFC 5424; with and without `<PRI>`, with and without a host.
//!
//! `message repeated N times: [ … ]` (rsyslog's RepeatedMsgReduction) is opened: the message is the
//! inner one and `weight` is N. The classic `last message repeated N times` stands for N more of the line
//! before it: see [`repeats_last`]. Logs that daemons write by themselves are read by `own`.

use super::own;
use crate::time::{self, Stamp};

/// Most repetitions that one line may claim.
pub const REPEATED_MAX: u64 = 1_000_000;

/// One syslog line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyslogRecord<'a> {
    /// When, as written.
    pub stamp: Stamp,
    /// Host; empty where it is not written.
    pub host: &'a [u8],
    /// Program as written, without a path or a PAM suffix: `sshd` for `sshd(pam_unix)`.
    pub program: &'a [u8],
    /// Process.
    pub pid: Option<u32>,
    /// What it said.
    pub message: &'a [u8],
    /// How many times: more than 1 for `message repeated N times`.
    pub weight: u64,
}

/// Reads one line.
pub fn parse(line: &[u8]) -> Option<SyslogRecord<'_>> {
    let line = without_priority(line);
    if let Some(rest) = line.strip_prefix(b"1 ")
        && let Some(record) = rfc5424(rest)
    {
        return Some(record);
    }
    let Some((stamp, used)) = stamp(line) else { return own::redis(line) };
    let rest = trim(line.get(used..)?);
    if let Some(record) = own::after_stamp(stamp, rest) {
        return Some(record);
    }
    let (host, tagged) = host(rest);
    let (program, pid, message) = tag(tagged);
    let pid = process(pid);
    Some(opened(SyslogRecord { stamp, host, program, pid, message, weight: 1 }))
}

/// Program and message of what follows the stamp; `message repeated` is left as it is.
pub fn body(stamp: Stamp, after_stamp: &[u8]) -> (&[u8], &[u8]) {
    let rest = trim(after_stamp);
    if let Some(record) = own::after_stamp(stamp, rest) {
        return (record.program, record.message);
    }
    let (program, _, message) = tag(host(rest).1);
    (program, message)
}

/// Tag and message of what follows the stamp, where that is surely of syslog's own form: what [`told`]
/// reads of them is then what [`body`] would.
pub fn tagged(stamp: Stamp, after_stamp: &[u8]) -> Option<&[u8]> {
    let rest = trim(after_stamp);
    let (first, after) = word(rest);
    let after = trim(after);
    if first.is_empty() || own::may_stand(stamp, first, after) {
        return None;
    }
    Some(if is_tag(first) { rest } else { after })
}

/// Program and message of a tag and message.
pub fn told(tagged: &[u8]) -> (&[u8], &[u8]) {
    let (program, _, message) = tag(tagged);
    (program, message)
}

/// The host and what follows it. `sshd[7]: text` right after the stamp: there is no host.
fn host(rest: &[u8]) -> (&[u8], &[u8]) {
    let (first, after) = word(rest);
    if is_tag(first) { (b"", rest) } else { (first, trim(after)) }
}

/// The stamp at the start of a syslog line, and its length.
pub fn stamp(line: &[u8]) -> Option<(Stamp, usize)> {
    match line.first()? {
        b'0'..=b'9' => time::iso(line).or_else(|| spaced(line)).or_else(|| time::epoch(line)),
        _ => time::rfc3164(line).or_else(|| time::asctime(line)),
    }
}

/// `2015-10-07  8:25:38`: MariaDB pads the hour with a space.
fn spaced(line: &[u8]) -> Option<(Stamp, usize)> {
    let mut padded: [u8; 19] = line.get(..19)?.try_into().ok()?;
    if padded[10..12] != *b"  " {
        return None;
    }
    padded[11] = b'0';
    time::iso(&padded)
}

/// Opens `message repeated N times: [ … ]`.
pub fn opened(record: SyslogRecord<'_>) -> SyslogRecord<'_> {
    match repeated(record.message) {
        Some((weight, message)) => SyslogRecord { weight, message, ..record },
        None => record,
    }
}

fn repeated(message: &[u8]) -> Option<(u64, &[u8])> {
    let (count, rest) = count(message.strip_prefix(b"message repeated ")?)?;
    let inner = rest.strip_prefix(b" times: [ ")?;
    Some((count, inner.strip_suffix(b"]").unwrap_or(inner)))
}

/// How many further times the line before this one happened: `last message repeated N times`, as
/// syslogd and old rsyslog write it in the place of a tag and message. The line before it is that of the
/// same file, whatever program wrote it: the daemon compares what it writes.
pub fn repeats_last(record: &SyslogRecord<'_>) -> Option<u64> {
    // A program that says so of itself means its own counting.
    if !matches!(record.program, b"" | b"syslogd" | b"rsyslogd") {
        return None;
    }
    let (count, rest) = count(record.message.strip_prefix(b"last message repeated ")?)?;
    (rest == b" times" || rest == b" times.").then_some(count)
}

/// A count of repetitions, kept within bounds, and what follows it.
fn count(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take(12).take_while(|byte| byte.is_ascii_digit()).count();
    let count: u64 = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((count.clamp(1, REPEATED_MAX), &text[digits..]))
}

fn without_priority(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"<") else { return line };
    let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits) {
        Some(b'>') if digits > 0 => &rest[digits + 1..],
        _ => line,
    }
}

/// After the version: `TIME HOST APP PROCID MSGID SD [MSG]`; `-` is "not given".
fn rfc5424<'a>(text: &'a [u8]) -> Option<SyslogRecord<'a>> {
    let (time_text, rest) = word(text);
    let (stamp, used) = time::iso(time_text)?;
    if used != time_text.len() {
        return None;
    }
    let (host, rest) = word(trim(rest));
    let (program, rest) = word(trim(rest));
    let (process, rest) = word(trim(rest));
    let (_id, rest) = word(trim(rest));
    let message = after_structured_data(trim(rest))?;
    let known = |value: &'a [u8]| if value == b"-" { &b""[..] } else { value };
    let pid = std::str::from_utf8(process).ok().and_then(|text| text.parse().ok());
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    let program = bare(known(program));
    Some(opened(SyslogRecord { stamp, host: known(host), program, pid, message, weight: 1 }))
}

/// Skips `-` or `[id k="v"]…`; a `]` inside quotes or after `\` does not close.
fn after_structured_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(trim(rest));
    }
    let (mut quoted, mut escaped, mut open) = (false, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' if !quoted => open = true,
            b']' if !quoted => open = false,
            b' ' if !open && !quoted => return Some(trim(&text[at..])),
            _ => {}
        }
    }
    (!open).then_some(&[])
}

/// `prog[pid]: message`, `prog: message`, or just a message; the process as written, empty for none.
fn tag(text: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (first, _) = word(text);
    // Some programs write spaces into their names (`CRON`, `systemd logind`); those stay messages.
    let Some(colon) = memchr::memchr(b':', first) else {
        return match bracketed(first) {
            Some((program, pid)) => (bare(program), pid, trim(&text[first.len()..])),
            None => (b"", b"", text),
        };
    };
    let name = &first[..colon];
    let message = trim(&text[colon + 1..]);
    match bracketed(name) {
        Some((program, pid)) => (bare(program), pid, message),
        None => (bare(name), b"", message),
    }
}

fn bracketed(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = name.strip_suffix(b"]")?;
    let open = inner.iter().rposition(|byte| *byte == b'[')?;
    (open > 0).then_some((&inner[..open], &inner[open + 1..]))
}

fn process(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a word is a syslog tag (ends in `:` or `]:`) and so no host; `fe80::1` is a host.
fn is_tag(first: &[u8]) -> bool {
    match first.strip_suffix(b":") {
        Some(name) => !name.contains(&b':') && !name.is_empty(),
        None => false,
    }
}

/// The program's bare name: no directory, no `(pam_unix)`.
fn bare(name: &[u8]) -> &[u8] {
    let name = match name.iter().position(|byte| *byte == b'(') {
        Some(open) if open > 0 => &name[..open],
        _ => name,
    };
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) if slash + 1 < name.len() && name.starts_with(b"/") => &name[slash + 1..],
        _ => name,
    }
}

pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    text.split_at(end)
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (String, String, Option<u32>, String, u64) {
        let record = parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(record.host), text(record.program), record.pid, text(record.message), record.weight)
    }

    fn is(
        host: &str,
        program: &str,
        pid: Option<u32>,
        message: &str,
        weight: u64,
    ) -> (String, String, Option<u32>, String, u64) {
        (host.into(), program.into(), pid, message.into(), weight)
    }

    #[test]
    fn all_the_forms_of_a_syslog_line_are_read() {
        for (line, expected) in [
            (
                "Dec 10 06:55:46 web sshd[24200]: Invalid user x from 192.0.2.1",
                is("web", "sshd", Some(24200), "Invalid user x from 192.0.2.1", 1),
            ),
            ("<38>Dec 10 06:55:46 web su: hello", is("web", "su", None, "hello", 1)),
            ("Dec 10 06:55:46 sshd[7]: no host", is("", "sshd", Some(7), "no host", 1)),
            (
                "2024-05-01T10:00:00.123456+02:00 web sudo:  bob : TTY=pts/0",
                is("web", "sudo", None, "bob : TTY=pts/0", 1),
            ),
            (
                "Dec 10 06:55:46 fe80::1 kernel: [ 12.3] x",
                is("fe80::1", "kernel", None, "[ 12.3] x", 1),
            ),
            (
                "Dec 10 06:55:46 web sshd(pam_unix)[9]: authentication failure",
                is("web", "sshd", Some(9), "authentication failure", 1),
            ),
            ("Dec 10 06:55:46 web /usr/sbin/cron[9]: x", is("web", "cron", Some(9), "x", 1)),
            (
                "Dec 10 06:55:46 web postfix/smtpd[9]: x",
                is("web", "postfix/smtpd", Some(9), "x", 1),
            ),
            (
                "Dec 10 06:55:46 web last message repeated 2 times",
                is("web", "", None, "last message repeated 2 times", 1),
            ),
            (
                "<34>1 2003-10-11T22:14:15.003Z web su 12 ID47 - failed",
                is("web", "su", Some(12), "failed", 1),
            ),
            (
                "<34>1 2003-10-11T22:14:15.003Z web su - - [a b=\"x ] \\\" y\"][c] failed",
                is("web", "su", None, "failed", 1),
            ),
            (
                "Dec 10 07:13:56 web sshd[1]: message repeated 5 times: [ Failed password for root]",
                is("web", "sshd", Some(1), "Failed password for root", 5),
            ),
            (
                "Dec 10 07:13:56 web sshd[1]: message repeated 99999999999 times: [ x]",
                is("web", "sshd", Some(1), "x", REPEATED_MAX),
            ),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn the_classic_repetition_says_how_often() {
        for (line, count) in [
            ("Dec 10 06:55:46 web last message repeated 2 times", Some(2)),
            ("Dec 10 06:55:46 web last message repeated 99999999999 times", Some(REPEATED_MAX)),
            ("Dec 10 06:55:46 web last message repeated 0 times", Some(1)),
            ("Dec 10 06:55:46 web last message repeated x times", None),
            ("Dec 10 06:55:46 web last message repeated 2 times or more", None),
            ("Dec 10 06:55:46 web sshd[1]: last message repeated 2 times", None),
        ] {
            let record = parse(line.as_bytes()).unwrap();
            assert_eq!(repeats_last(&record), count, "{line}");
        }
    }

    #[test]
    fn what_is_no_syslog_line_is_none() {
        for line in ["", "hello", "<34>", "<34>1 ", "1 x y", "\0\0", "Dec 99 00:00:00 x y: z"] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
        assert!(parse(b"Dec 10 06:55:46").is_some());
        assert!(parse(b"Dec 10 06:55:46 \xff\xfe[\xff]: \0").is_some());
    }
}
