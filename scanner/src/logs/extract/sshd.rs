//! OpenSSH's messages, 3.9 to 10: who was let in or turned away, from where.
//!
//! Strangers choose the user name, the words with which they disconnect, and the algorithms that they
//! offer. Where such a text stands before the address the last address counts, where it stands after it
//! the first.

use super::address::{bracketed, last, leading, leading_with_port};
use super::sought::sought;
use super::{Ended, Extracted, pam};

pub(super) fn sshd(text: &str) -> Extracted<'_> {
    let text =
        text.strip_prefix("error: ").or_else(|| text.strip_prefix("fatal: ")).unwrap_or(text);
    if let Some(rest) = text.strip_prefix("Accepted ") {
        return login(rest, Ended::Success, First);
    }
    for (prefix, ended) in [("Failed ", Some(Ended::Failure)), ("Postponed ", None)] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return Extracted { ended, ..login(rest, Ended::Failure, Last) };
        }
    }
    for prefix in ["Invalid user ", "Illegal user "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (user, ip) = user_from(rest, Last);
            return Extracted { user, typed: true, ip, ..Extracted::default() };
        }
    }
    if let Some(rest) = text.strip_prefix("maximum authentication attempts exceeded for ") {
        let (typed, rest) = without_invalid(rest);
        let (user, ip) = user_from(rest, Last);
        return Extracted { user, typed, ip, ..Extracted::default() };
    }
    refused(text).unwrap_or_else(|| connection(text))
}

/// The many ways in which sshd says no.
fn refused(text: &str) -> Option<Extracted<'_>> {
    let ended = Some(Ended::Failure);
    if let Some(rest) = text.strip_prefix("User ")
        && sought!(" not allowed because ").is_in(rest)
    {
        let (user, ip) = user_from(rest, First);
        return Some(Extracted { user, typed: true, ip, ended, ..Extracted::default() });
    }
    if let Some(rest) = text.strip_prefix("PAM: ") {
        let (_, rest) = sought!(" for ").split(rest)?;
        let (typed, rest) = without_invalid(rest);
        let (user, ip) = user_from(rest, Last);
        let method = Some("keyboard-interactive/pam");
        return Some(Extracted { user, typed, ip, ended, method, ..Extracted::default() });
    }
    if let Some(rest) = text.strip_prefix("ROOT LOGIN REFUSED FROM ") {
        return Some(Extracted {
            user: Some("root"),
            ip: leading(rest),
            ended,
            ..Extracted::default()
        });
    }
    if let Some(rest) = text.strip_prefix("input_userauth_request: invalid user ") {
        let user = Some(rest.strip_suffix(" [preauth]").unwrap_or(rest));
        return Some(Extracted { user, typed: true, ..Extracted::default() });
    }
    pam::is_pam(text).then(|| pam::pam(text))
}

/// `METHOD for [invalid user ]USER from IP port N …`.
fn login(rest: &str, ended: Ended, which: Which) -> Extracted<'_> {
    let Some((method, rest)) = sought!(" for ").split(rest) else { return Extracted::default() };
    let (typed, rest) = without_invalid(rest);
    let (user, ip) = user_from(rest, which);
    Extracted { user, typed, ip, ended: Some(ended), method: Some(method), ..Extracted::default() }
}

/// Connections that come, go or are cut. What the stranger says stands behind the address in the first
/// forms; in `Connection closed by invalid user x 192.0.2.1 port 4` it stands before.
fn connection(text: &str) -> Extracted<'_> {
    for prefix in [
        "Received disconnect from ",
        "Connection from ",
        "Unable to negotiate with ",
        "Timeout before authentication for connection from ",
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return Extracted { ip: leading(rest), ..Extracted::default() };
        }
    }
    if text.starts_with("drop connection ") {
        let ip = sought!(" from ").split(text).and_then(|(_, rest)| leading_with_port(rest));
        return Extracted { ip, ..Extracted::default() };
    }
    if text.starts_with("Server listening on ") {
        return Extracted::default();
    }
    // `… port 4: Change of username or service not allowed: (x,ssh-connection) -> (y,ssh-connection)`
    let text = sought!(": Change of username ").split(text).map_or(text, |(before, _)| before);
    let ip = last(text).or_else(|| bracketed(text));
    let announced = [
        (sought!("invalid user "), true),
        (sought!("authenticating user "), false),
        (sought!("from user "), false),
    ];
    for (words, typed) in announced {
        let Some(rest) = words.after(text) else { continue };
        let user = ip.and_then(|ip| rest.rfind(ip).map(|at| rest[..at].trim_end()));
        return Extracted { user, typed, ip, ..Extracted::default() };
    }
    Extracted { ip, ..Extracted::default() }
}

#[derive(Clone, Copy)]
enum Which {
    First,
    Last,
}
use Which::{First, Last};

/// `USER from IP…`: splits at the first or last ` from ` that an address follows.
fn user_from(text: &str, which: Which) -> (Option<&str>, Option<&str>) {
    let from = sought!(" from ");
    // The number of ` from ` is bounded by the line's length, each is looked at once.
    let address_at = |at: usize| Some((at, leading(&text[at + from.len()..])?));
    let found = match which {
        First => from.each(text).find_map(address_at),
        Last => from.each_back(text).find_map(address_at),
    };
    match found {
        Some((at, ip)) => (Some(&text[..at]), Some(ip)),
        None => (Some(from.split(text).map_or(text, |(user, _)| user)), None),
    }
}

fn without_invalid(text: &str) -> (bool, &str) {
    for words in ["invalid user ", "illegal user "] {
        if let Some(rest) = text.strip_prefix(words) {
            return (true, rest);
        }
    }
    (false, text)
}
