//! Databases: MySQL and MariaDB, PostgreSQL, Redis.
//!
//! MySQL writes the name before the host, so the last host counts. PostgreSQL names the client only
//! where its `log_line_prefix` does, before the severity, or in the message itself.

use super::address::{address, leading_with_port, value};
use super::sought::sought;
use super::{Ended, Extracted};

/// `… Access denied for user 'bob'@'192.0.2.1' (using password: YES)`.
pub(super) fn mysqld(text: &str) -> Extracted<'_> {
    if let Some((_, rest)) = sought!("Access denied for user '").split(text) {
        let Some((user, host)) = sought!("'@'").rsplit(rest) else { return Extracted::default() };
        let host = host.split('\'').next();
        return Extracted {
            user: Some(user),
            typed: true,
            ip: host.and_then(address),
            host,
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    let blocked =
        sought!("Host '").split(text).and_then(|(_, rest)| sought!("' is blocked ").split(rest));
    match blocked.or_else(|| sought!(" host: '").rsplit(text)?.1.split_once('\'')) {
        Some((host, _)) => {
            Extracted { ip: address(host), host: Some(host), ..Extracted::default() }
        }
        None => Extracted::default(),
    }
}

/// `bob@db FATAL:  password authentication failed for user "bob"`, `FATAL:  no pg_hba.conf entry for
/// host "192.0.2.1", user "bob", …`, `LOG:  connection authorized: user=bob database=db`.
pub(super) fn postgres(text: &str) -> Extracted<'_> {
    const LEVELS: [&str; 4] = ["FATAL:", "LOG:", "ERROR:", "WARNING:"];
    let Some((at, level)) = LEVELS.iter().find_map(|level| Some((text.find(level)?, level))) else {
        return Extracted::default();
    };
    let (prefix, said) = (&text[..at], text[at + level.len()..].trim_start());
    let mut words = prefix.rsplit([' ', ',', '=', '(']).take(32);
    let ip = words.find_map(|word| address(word.trim_end_matches([')', ':', ']'])));
    let quoted = |after: &str| {
        let rest = said.split_once(after)?.1;
        Some(rest.split('"').next().unwrap_or(rest))
    };
    if let Some(host) = quoted("for host \"") {
        let (user, typed) = (quoted("user \""), true);
        let (ip, ended) = (address(host).or(ip), Some(Ended::Failure));
        return Extracted { user, typed, ip, host: Some(host), ended, ..Extracted::default() };
    }
    if let Some(user) = quoted("authentication failed for user \"").or_else(|| quoted("role \"")) {
        let ended = (*level == "FATAL:").then_some(Ended::Failure);
        return Extracted { user: Some(user), typed: true, ip, ended, ..Extracted::default() };
    }
    if let Some(rest) = said.strip_prefix("connection authorized: user=") {
        let ended = Some(Ended::Success);
        return Extracted { user: Some(value(rest)), ip, ended, ..Extracted::default() };
    }
    let host = said.strip_prefix("connection received: host=").map(value);
    Extracted { ip: host.and_then(address).or(ip), host, ..Extracted::default() }
}

/// `Possible SECURITY ATTACK detected. … Connection from 192.0.2.1:4 aborted.`, `REPLICAOF
/// 198.51.100.1:6379 enabled (user request from 'id=3 addr=192.0.2.1:4 …')`.
pub(super) fn redis(text: &str) -> Extracted<'_> {
    let after = sought!(" addr=").split(text).or_else(|| sought!("Connection from ").rsplit(text));
    let ip = after.and_then(|(_, rest)| leading_with_port(rest));
    Extracted { ip, ..Extracted::default() }
}
