//! Lines of logs that daemons write by themselves instead of by syslog: MySQL and MariaDB, PostgreSQL,
//! Redis, vsftpd and dpkg.
//!
//! They name no host and no program: the program is told by the form, so that rules find it under
//! `program` as they do in syslog. What has none of these forms is left to the syslog grammar.

use crate::log::SyslogRecord;
use crate::time::{self, Stamp, Wall};

/// Words with which a line of dpkg.log begins.
const DPKG_VERBS: [&[u8]; 10] = [
    b"install",
    b"upgrade",
    b"remove",
    b"purge",
    b"status",
    b"configure",
    b"trigproc",
    b"triggers-awaited",
    b"conffile",
    b"startup",
];

/// Severities with which PostgreSQL ends what stands before the message.
const POSTGRES_LEVELS: [&[u8]; 9] = [
    b"LOG:",
    b"FATAL:",
    b"ERROR:",
    b"WARNING:",
    b"PANIC:",
    b"STATEMENT:",
    b"DETAIL:",
    b"HINT:",
    b"NOTICE:",
];

/// Bytes after the process in which PostgreSQL's severity is looked for (`log_line_prefix`).
const PREFIX_BYTES_MAX: usize = 512;

/// A line whose stamp is read already; `rest` begins with what follows it.
pub(super) fn after_stamp(stamp: Stamp, rest: &[u8]) -> Option<SyslogRecord<'_>> {
    let record = |program, pid, message| SyslogRecord {
        stamp,
        host: &b""[..],
        program,
        pid,
        message,
        weight: 1,
    };
    let (first, after) = super::syslog::word(rest);
    let after = super::syslog::trim(after);
    match first.first()? {
        // `12 [Note] …`: the thread and the level
        b'0'..=b'9' if first.iter().all(u8::is_ascii_digit) && after.starts_with(b"[") => {
            let level = super::syslog::word(after).0;
            let known = matches!(level, b"[Note]" | b"[Warning]" | b"[ERROR]" | b"[System]");
            known.then(|| record(b"mysqld", None, after))
        }
        // `[pid 7] [bob] FAIL LOGIN: …`
        b'[' if first == b"[pid" => {
            let close = memchr::memchr(b']', after)?;
            let message = super::syslog::trim(&after[close + 1..]);
            Some(record(b"vsftpd", number(&after[..close]), message))
        }
        // `[7] …` or `UTC [7] …`
        b'[' => postgres(first, after).map(|(pid, message)| record(b"postgres", pid, message)),
        b'A'..=b'Z' | b'+' | b'-' if first.len() <= 6 && after.starts_with(b"[") => {
            let (process, after) = super::syslog::word(after);
            let found = postgres(process, super::syslog::trim(after));
            found.map(|(pid, message)| record(b"postgres", pid, message))
        }
        // Only dpkg.log: a host may be called `status`, but syslog's ISO stamps have an offset.
        b'a'..=b'z' if matches!(stamp, Stamp::Local(_)) && DPKG_VERBS.contains(&first) => {
            Some(record(b"dpkg", None, rest))
        }
        _ => None,
    }
}

/// Whether [`after_stamp`] might accept a line, by its first word and what follows it.
pub(super) fn may_stand(stamp: Stamp, first: &[u8], after: &[u8]) -> bool {
    let verb = matches!(stamp, Stamp::Local(_)) && first[0].is_ascii_lowercase();
    first[0] == b'[' || after.first() == Some(&b'[') || verb
}

/// `12345:M 01 May 2024 10:00:00.123 * message`, as Redis and Valkey write it.
pub(super) fn redis(line: &[u8]) -> Option<SyslogRecord<'_>> {
    let digits = line.iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
    let pid = number(line.get(..digits)?)?;
    let rest = line[digits..].strip_prefix(b":")?;
    if !matches!(rest.first()?, b'M' | b'S' | b'C' | b'X') {
        return None;
    }
    let rest = rest[1..].strip_prefix(b" ")?;
    let day = number(rest.get(..2)?)?;
    let month = time::month(rest.get(3..6)?)?;
    let year = number(rest.get(7..11)?)?;
    let clock = rest.get(12..20)?;
    let part = |at: usize| number(&clock[at..at + 2]);
    let (hour, minute, second) = (part(0)?, part(3)?, part(6)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let second = hour * 3600 + minute * 60 + second.min(59);
    let wall =
        Wall { year: i16::try_from(year).ok()?, month, day: u8::try_from(day).ok()?, second };
    wall.as_utc()?;
    // after the milliseconds: `*`, `#`, `-` or `.`, which is the level
    let (_, message) = super::syslog::word(&rest[20..]);
    let message = super::syslog::trim(message);
    let message = match message {
        [b'*' | b'#' | b'-' | b'.', b' ', text @ ..] => text,
        other => other,
    };
    let (stamp, host, program) = (Stamp::Local(wall), &b""[..], &b"redis-server"[..]);
    Some(SyslogRecord { stamp, host, program, pid: Some(pid), message, weight: 1 })
}

/// `[7]` or `[7-1]` and what follows, if a severity does; the message keeps what stands before it.
fn postgres<'a>(process: &[u8], rest: &'a [u8]) -> Option<(Option<u32>, &'a [u8])> {
    let inner = process.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', inner)?;
    let pid = number(inner[..end].split(|byte| *byte == b'-').next()?)?;
    let head = &rest[..rest.len().min(PREFIX_BYTES_MAX)];
    let says = head.split(|byte| *byte == b' ').any(|word| POSTGRES_LEVELS.contains(&word));
    says.then_some((Some(pid), rest))
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::syslog::parse;

    fn read(line: &str) -> (String, Option<u32>, String) {
        let record = parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(record.host, b"", "{line}");
        (text(record.program), record.pid, text(record.message))
    }

    #[test]
    fn daemons_with_logs_of_their_own_are_told_by_the_form() {
        for (line, program, pid, message) in [
            (
                "2019-01-03T08:50:04.634875Z 113 [Note] [MY-010926] [Server] Access denied",
                "mysqld",
                None,
                "[Note] [MY-010926] [Server] Access denied",
            ),
            (
                "2015-10-07  8:25:38 139845235329792 [Warning] Access denied for user 'x'@'192.0.2.1'",
                "mysqld",
                None,
                "[Warning] Access denied for user 'x'@'192.0.2.1'",
            ),
            (
                "2024-05-01 10:00:00.123 UTC [7] bob@db FATAL:  password authentication failed",
                "postgres",
                Some(7),
                "bob@db FATAL:  password authentication failed",
            ),
            ("2024-05-01 10:00:00 CEST [7-1] LOG:  started", "postgres", Some(7), "LOG:  started"),
            ("2024-05-01 10:00:00.123 [7] LOG:  started", "postgres", Some(7), "LOG:  started"),
            (
                "7:M 01 May 2024 10:00:00.123 # Possible SECURITY ATTACK detected.",
                "redis-server",
                Some(7),
                "Possible SECURITY ATTACK detected.",
            ),
            (
                "Wed May  1 10:00:00 2024 [pid 7] [bob] FAIL LOGIN: Client \"192.0.2.1\"",
                "vsftpd",
                Some(7),
                "[bob] FAIL LOGIN: Client \"192.0.2.1\"",
            ),
            (
                "2024-05-01 10:00:00 remove auditd:amd64 1:3.0.9-1 <none>",
                "dpkg",
                None,
                "remove auditd:amd64 1:3.0.9-1 <none>",
            ),
        ] {
            assert_eq!(read(line), (program.to_string(), pid, message.to_string()), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_one_stays_syslog() {
        for (line, host) in [
            ("2024-05-01T10:00:00Z 12 sshd[7]: x", "12"),
            ("2024-05-01T10:00:00Z WEB [7] no severity", "WEB"),
            ("2024-05-01T10:00:00Z status sshd[7]: x", "status"),
            ("2024-05-01T10:00:00Z web postgres[7]: [2-1] FATAL:  x", "web"),
        ] {
            let record = parse(line.as_bytes()).unwrap();
            assert_eq!(record.host, host.as_bytes(), "{line}");
        }
        for line in ["7:M 31 Feb 2024 10:00:00.1 # x", "7:M 01 May 2024 10:00", "7:M ", "7:Q 01"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_severity_behind_the_longest_prefix_is_not_looked_for() {
        let line = |bytes| format!("2024-05-01 10:00:00 UTC [7] {} LOG:  x", "p".repeat(bytes));
        let program = |line: &str| parse(line.as_bytes()).unwrap().program.to_vec();
        assert_eq!(program(&line(PREFIX_BYTES_MAX - 5)), b"postgres");
        assert_eq!(program(&line(PREFIX_BYTES_MAX - 4)), b"");
    }
}
