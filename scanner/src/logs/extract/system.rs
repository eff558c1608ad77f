//! The rest of a host: systemd and its login daemon, cron, packages, clocks, and the gates to the
//! network (xinetd, OpenVPN).

use super::address::{address, leading_with_port, value};
use super::sought::sought;
use super::{Ended, Extracted};

/// The unit that systemd speaks of.
pub(super) fn unit(text: &str) -> Option<&str> {
    const KINDS: [&str; 6] = [".service", ".socket", ".timer", ".mount", ".scope", ".slice"];
    let bytes = text.as_bytes();
    let end_from = |at: usize| {
        memchr::memchr2(b' ', b':', &bytes[at..]).map_or(bytes.len(), |length| at + length)
    };
    let mut dots = memchr::memchr_iter(b'.', bytes);
    let (dot, end) = dots.find_map(|dot| {
        let end = end_from(dot);
        KINDS.contains(&&text[dot..end]).then_some((dot, end))
    })?;
    let start = memchr::memrchr2(b' ', b':', &bytes[..dot]).map_or(0, |before| before + 1);
    Some(&text[start..end])
}

/// `New session 5 of user bob.`
pub(super) fn logind(text: &str) -> Extracted<'_> {
    let user =
        sought!(" of user ").split(text).map(|(_, user)| user.strip_suffix('.').unwrap_or(user));
    Extracted { user, ..Extracted::default() }
}

/// `(bob) CMD (/opt/job)`.
pub(super) fn cron(text: &str) -> Extracted<'_> {
    let Some((user, rest)) = text.strip_prefix('(').and_then(|rest| sought!(") ").split(rest))
    else {
        return Extracted::default();
    };
    let command = rest.strip_prefix("CMD (").map(|rest| rest.strip_suffix(')').unwrap_or(rest));
    Extracted { user: Some(user), command, ..Extracted::default() }
}

/// The package of `remove auditd:amd64 1:3.0.9-1 <none>` (dpkg) and `Erased: audit-3.0.7-1.el9` (dnf, yum).
pub(super) fn package(text: &str) -> Option<&str> {
    let (verb, rest) = text.split_once(' ')?;
    let name = rest.trim_start().split(' ').next()?;
    Some(if verb.ends_with(':') { name } else { name.split(':').next().unwrap_or(name) })
}

/// The seconds by which a clock was set: `System clock was stepped by -3600.1 seconds` (chrony), `time
/// reset +3600.1 s`, `step time server 192.0.2.1 offset 3600.1 sec` (ntpd, ntpdate).
pub(super) fn seconds(text: &str) -> Option<&str> {
    let starts = ["stepped by ", "wrong by ", "time reset ", " offset "];
    let rest = starts.iter().find_map(|start| Some(text.split_once(start)?.1))?;
    let number = rest.split(' ').next()?;
    Some(number.strip_prefix('+').unwrap_or(number))
}

/// `FAIL: telnet address from=192.0.2.1`.
pub(super) fn xinetd(text: &str) -> Extracted<'_> {
    let ip = sought!("from=").rsplit(text).and_then(|(_, rest)| address(value(rest)));
    let ended = text.starts_with("FAIL: ").then_some(Ended::Failure);
    Extracted { ip, ended, ..Extracted::default() }
}

/// `192.0.2.1:5555 TLS Error: …`, `bob/192.0.2.1:5555 …`, `… from [AF_INET]192.0.2.1:5555`.
pub(super) fn openvpn(text: &str) -> Extracted<'_> {
    let first = text.split(' ').next().unwrap_or(text);
    let (user, client) = match first.rsplit_once('/') {
        Some((user, client)) => (Some(user), client),
        None => (None, first),
    };
    let ip = leading_with_port(client).or_else(|| {
        let (_, rest) =
            sought!("[AF_INET]").rsplit(text).or_else(|| sought!("[AF_INET6]").rsplit(text))?;
        leading_with_port(rest)
    });
    let user = user.filter(|_| ip.is_some());
    let failed = ["TLS Auth Error: ", "VERIFY ERROR: ", "TLS Error: ", "AUTH_FAILED"];
    let ended = failed.iter().any(|words| text.contains(words)).then_some(Ended::Failure);
    Extracted { user, ip, ended, ..Extracted::default() }
}
