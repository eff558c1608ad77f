//! Accounts and groups that are made, changed and removed: the tools of shadow, and passwd's.

use super::Extracted;
use super::sought::sought;

/// `new user: name=x, UID=1001, GID=1001, home=/home/x, …`, and of groups.
pub(super) fn created(text: &str) -> Extracted<'_> {
    let part = |name: &str| {
        let rest = text.split_once(name)?.1;
        Some(rest.split(',').next().unwrap_or(rest).trim())
    };
    if text.starts_with("new group") || text.starts_with("group added") {
        return Extracted { group: part("name="), uid: part("GID="), ..Extracted::default() };
    }
    if text.starts_with("new user") {
        return Extracted { user: part("name="), uid: part("UID="), ..Extracted::default() };
    }
    changed(text)
}

/// `add 'bob' to group 'sudo'`, `user bob added by root to group sudo`, `change user 'x' UID from …`,
/// `delete user 'x'`, `members of group sudo set by root to bob`.
pub(super) fn changed(text: &str) -> Extracted<'_> {
    if let Some(rest) = text.strip_prefix("user ")
        && let Some((user, rest)) = sought!(" added by ").split(rest)
    {
        let group = sought!(" to group ").split(rest).map(|(_, group)| group.trim());
        return Extracted { user: Some(user), group, ..Extracted::default() };
    }
    if let Some(rest) = text.strip_prefix("add member ")
        && let Some((user, rest)) = sought!(" to group ").split(rest)
    {
        return Extracted {
            user: Some(user),
            group: rest.split(' ').next(),
            ..Extracted::default()
        };
    }
    if let Some(rest) = text.strip_prefix("members of group ")
        && let Some((group, rest)) = sought!(" set by ").split(rest)
    {
        let user = sought!(" to ").split(rest).map(|(_, user)| user);
        return Extracted { user, group: Some(group), ..Extracted::default() };
    }
    let mut quoted = text.split('\'').skip(1).step_by(2);
    let user = quoted.next();
    let group = if sought!("group '").is_in(text) { quoted.next() } else { None };
    let uid = sought!("UID from ").split(text).and_then(|(_, rest)| {
        Some(sought!(" to ").split(rest)?.1.trim_matches('\'')).map(|uid| uid.trim())
    });
    Extracted { user, group: if uid.is_some() { None } else { group }, uid, ..Extracted::default() }
}

/// `password for 'bob' changed by 'root'`, `changed password expiry for bob`.
pub(super) fn password(text: &str) -> Extracted<'_> {
    for words in ["password changed for ", "password expiry for "] {
        if let Some((_, user)) = text.split_once(words) {
            return Extracted { user: Some(user.trim()), ..Extracted::default() };
        }
    }
    changed(text)
}
