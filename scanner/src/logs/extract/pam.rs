//! What PAM's modules say under the name of the program that asks them, in the form of today
//! (`pam_unix(sshd:auth): …`) and in that of old systems (`sshd(pam_unix)[7]: authentication failure; …`,
//! where the module stands in the tag).

use super::address::address;
use super::sought::{Sought, sought};
use super::{Ended, Extracted};

/// Whether a message is PAM's.
pub(super) fn is_pam(text: &str) -> bool {
    ["pam_", "PAM ", "authentication failure;", "session opened for user "]
        .iter()
        .any(|start| text.starts_with(start))
}

/// `authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`,
/// `session opened for user root(uid=0) by bob(uid=1000)`, and what locks accounts say.
pub(super) fn pam(text: &str) -> Extracted<'_> {
    if sought!("authentication failure").is_in(text) {
        let target = value_of(text, sought!("user="));
        let actor = value_of(text, sought!("ruser=")).or(target);
        let host = value_of(text, sought!("rhost="));
        return Extracted {
            user: actor,
            // modules that log unknown names exist: only a success shows that the account does
            typed: true,
            target,
            ip: host.and_then(address),
            host,
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    if let Some((_, rest)) = sought!("session opened for user ").split(text) {
        let name = |part: &str| memchr::memchr2(b'(', b' ', part.as_bytes()).unwrap_or(part.len());
        let target = &rest[..name(rest)];
        let by = sought!(" by ").split(rest).map(|(_, by)| &by[..name(by)]);
        let user = by.filter(|by| !by.is_empty()).or(Some(target));
        return Extracted {
            user,
            target: Some(target),
            ended: Some(Ended::Success),
            ..Extracted::default()
        };
    }
    if let Some((_, rest)) = sought!("): Consecutive login failures for user ").split(text) {
        let user = rest.strip_suffix(" account temporarily locked").unwrap_or(rest);
        return Extracted { user: Some(user), typed: true, ..Extracted::default() };
    }
    if let Some((_, rest)) = sought!("): user ").split(text)
        && let Some((user, _)) = sought!(" tally ").split(rest)
    {
        let user = sought!(" (").rsplit(user).map_or(user, |(user, _)| user);
        return Extracted { user: Some(user), typed: true, ..Extracted::default() };
    }
    if let Some((_, user)) = sought!("password changed for ").split(text) {
        return Extracted { user: Some(user.trim()), ..Extracted::default() };
    }
    Extracted::default()
}

/// What follows the first word that begins with this key, where anything does.
fn value_of<'a>(text: &'a str, key: &Sought) -> Option<&'a str> {
    let at = key.each(text).find(|at| *at == 0 || text.as_bytes()[at - 1] == b' ')?;
    let value = &text[at + key.len()..];
    let value = &value[..memchr::memchr(b' ', value.as_bytes()).unwrap_or(value.len())];
    (!value.is_empty()).then_some(value)
}
