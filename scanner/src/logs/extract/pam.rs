//! What PAM's modules say under the name of the program that asks them, in the form of today
//! (`pam_unix(sshd:auth): …`) and in that of old systems (`sshd(pam_unix)[7]: authentication failure; …`,
//! where the module stands in the tag).

use super::address::address;
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
    let part = |name: &str| {
        text.split(' ').find_map(|word| word.strip_prefix(name)).filter(|value| !value.is_empty())
    };
    if text.contains("authentication failure") {
        let actor = part("ruser=").or_else(|| part("user="));
        let host = part("rhost=");
        return Extracted {
            user: actor,
            // modules that log unknown names exist: only a success shows that the account does
            typed: true,
            target: part("user="),
            ip: host.and_then(address),
            host,
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    if let Some((_, rest)) = text.split_once("session opened for user ") {
        let name = |part: &'_ str| part.find(['(', ' ']).unwrap_or(part.len());
        let target = &rest[..name(rest)];
        let by = rest.split_once(" by ").map(|(_, by)| &by[..name(by)]);
        let user = by.filter(|by| !by.is_empty()).or(Some(target));
        return Extracted {
            user,
            target: Some(target),
            ended: Some(Ended::Success),
            ..Extracted::default()
        };
    }
    if let Some((_, rest)) = text.split_once("): Consecutive login failures for user ") {
        let user = rest.strip_suffix(" account temporarily locked").unwrap_or(rest);
        return Extracted { user: Some(user), typed: true, ..Extracted::default() };
    }
    if let Some((_, rest)) = text.split_once("): user ")
        && let Some((user, _)) = rest.split_once(" tally ")
    {
        let user = user.rsplit_once(" (").map_or(user, |(user, _)| user);
        return Extracted { user: Some(user), typed: true, ..Extracted::default() };
    }
    if let Some((_, user)) = text.split_once("password changed for ") {
        return Extracted { user: Some(user.trim()), ..Extracted::default() };
    }
    Extracted::default()
}
