//! Password fields and their dates.

use consensus::Severity;
use parsers::config::accounts::{Password, Shadow};
use parsers::tree::LookError;

use super::known::{Known, about, is_login_shell, no_passwd};
use crate::Facts;
use crate::checks::{Observation, Outcome};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Joins what was seen with what shadow's absence leaves unseen.
fn with_shadow(bad: Vec<Observation>, shadow: Option<&LookError>, fine: &str) -> Outcome {
    match shadow {
        Some(error) if !error.not_found() && bad.is_empty() => Outcome::not_run(error.to_string()),
        Some(error) if !error.not_found() => {
            Outcome::failed_or(bad, fine).unseen([error.to_string()])
        }
        _ => Outcome::failed_or(bad, fine),
    }
}

fn floor_of(name: &str, uid: Option<u32>) -> Severity {
    if name == "root" || uid == Some(0) { Severity::Critical } else { Severity::High }
}

pub(super) fn empty(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    let mut bad = Vec::new();
    let passwd = match &known.passwd {
        Ok(table) => table.entries.as_slice(),
        Err(error) if known.shadow.is_err() => return no_passwd(error),
        Err(_) => &[],
    };
    for user in passwd.iter().filter(|user| user.password == Password::Empty) {
        let title = format!("{} has no password (empty field in passwd)", user.name);
        let floor = floor_of(&user.name, Some(user.uid));
        bad.push(about(&user.name, &user.row, 1).title(title).floor(floor));
    }
    for entry in known.shadow.iter().flat_map(|table| &table.entries) {
        if entry.password == Password::Empty {
            let title = format!("{} has no password", entry.name);
            let floor = floor_of(&entry.name, known.uid_of(&entry.name));
            let seen = about(&entry.name, &entry.row, 1).title(title).floor(floor);
            bad.push(with_snippet(seen, format!("passwd -l {}", shell(&entry.name))));
        }
    }
    with_shadow(bad, known.shadow.as_ref().err(), "every account has a password or is locked")
}

/// A name as a word of a shell command; a name that is not plain becomes a placeholder.
fn shell(name: &str) -> &str {
    let is_plain = !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if is_plain && !name.is_empty() { name } else { "NAME" }
}

fn with_snippet(mut seen: Observation, snippet: String) -> Observation {
    seen.snippet = Some(snippet);
    seen
}

pub(super) fn in_passwd(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    let table = match &known.passwd {
        Ok(table) => table,
        Err(error) => return no_passwd(error),
    };
    let is_hash = |p: Password| matches!(p, Password::Hash(_) | Password::LockedHash(_));
    let bad = table.entries.iter().filter(|user| is_hash(user.password)).map(|user| {
        let title = format!("the password hash of {} is in passwd", user.name);
        about(&user.name, &user.row, 1).title(title)
    });
    Outcome::failed_or(bad.collect(), "no hashes in passwd")
}

pub(super) fn weak_hash(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    let shadow =
        known.shadow.iter().flat_map(|t| &t.entries).map(|e| (&e.name, e.password, &e.row));
    let passwd =
        known.passwd.iter().flat_map(|t| &t.entries).map(|e| (&e.name, e.password, &e.row));
    let groups =
        known.gshadow.iter().flat_map(|t| &t.entries).map(|e| (&e.name, e.password, &e.row));
    let mut bad = Vec::new();
    for (name, password, row) in shadow.chain(passwd).chain(groups) {
        let (scheme, level) = match password {
            Password::Hash(scheme) => (scheme, Severity::High),
            Password::LockedHash(scheme) => (scheme, Severity::Low),
            _ => continue,
        };
        if scheme.is_weak() {
            let locked = if level == Severity::Low { " (locked)" } else { "" };
            let title = format!("the password of {name}{locked} is hashed with {}", scheme.name());
            let key = format!("{}:{name}", row.file);
            let seen = about(name, row, 1).key(key).title(title).level(level);
            bad.push(seen.fact("scheme", scheme.name()));
        }
    }
    if bad.is_empty()
        && let (Err(error), Err(_)) = (&known.shadow, &known.passwd)
    {
        return no_passwd(error);
    }
    with_shadow(bad, known.shadow.as_ref().err(), "no weak hashes")
}

pub(super) fn system_login(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    let table = match &known.passwd {
        Ok(table) => table,
        Err(error) => return no_passwd(error),
    };
    let is_system = |uid: u32| (1..1000).contains(&uid) || uid == 65_534;
    let mut bad = Vec::new();
    for user in table.entries.iter().filter(|u| is_system(u.uid) && is_login_shell(&u.shell)) {
        if known.has_password(user) == Some(true) {
            let title = format!("system account {} has a password and a login shell", user.name);
            let mut seen = about(&user.name, &user.row, 6).title(title);
            if let Some(shadow) = known.shadow_of(&user.name) {
                seen = seen.line(&shadow.row.at(1), &crate::redact::crypt_field(&shadow.row.text));
            }
            let snippet = format!("usermod -L -s /usr/sbin/nologin {}", shell(&user.name));
            bad.push(with_snippet(seen, snippet));
        }
    }
    with_shadow(bad, known.shadow.as_ref().err(), "system accounts cannot log in with a password")
}

pub(super) fn no_shadow(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    let table = match &known.passwd {
        Ok(table) => table,
        Err(error) => return no_passwd(error),
    };
    let shadow = match &known.shadow {
        Ok(shadow) => shadow,
        Err(error) => return Outcome::unreadable(error),
    };
    let named: std::collections::HashSet<&str> =
        shadow.entries.iter().map(|entry| entry.name.as_str()).collect();
    let is_missing = |user: &&parsers::config::accounts::User| {
        user.password == Password::Shadowed && !named.contains(user.name.as_str())
    };
    let bad = table.entries.iter().filter(is_missing).map(|user| {
        about(&user.name, &user.row, 0).title(format!("{} has no line in shadow", user.name))
    });
    Outcome::failed_or(bad.collect(), "every account has a line in shadow")
}

pub(super) fn of_groups(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let (Err(error), Err(_)) = (&known.group, &known.gshadow) {
        return Outcome::unreadable(error);
    }
    let is_set = |p: Password| matches!(p, Password::Hash(_));
    let mut bad: Vec<Observation> = Vec::new();
    for entry in known.gshadow.iter().flat_map(|table| &table.entries) {
        if is_set(entry.password) {
            bad.push(of_group(&entry.name, &entry.row));
        }
    }
    for entry in known.group.iter().flat_map(|table| &table.entries) {
        if is_set(entry.password) {
            bad.push(of_group(&entry.name, &entry.row));
        }
    }
    with_shadow(bad, known.gshadow.as_ref().err(), "no group has a password")
}

fn of_group(name: &str, row: &parsers::config::accounts::Row) -> Observation {
    let mut seen = about(name, row, 1).title(format!("group {name} has a password"));
    seen.subject = consensus::Subject::default();
    with_snippet(seen, format!("gpasswd -r {}", shell(name)))
}

pub(super) fn dates(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    let table = match &known.shadow {
        Ok(table) => table,
        Err(error) => return Outcome::unreadable(error),
    };
    let today = facts.now.div_euclid(DAY);
    let mut bad = Vec::new();
    for entry in &table.entries {
        if let Some((field, title, level)) = odd_date(entry, today) {
            let title = format!("{}: {title}", entry.name);
            bad.push(about(&entry.name, &entry.row, field).title(title).level(level));
        }
    }
    Outcome::failed_or(bad, "password dates are in order")
}

/// The field that makes no sense, and why.
fn odd_date(entry: &Shadow, today: i64) -> Option<(usize, &'static str, Severity)> {
    if !entry.password.is_usable() {
        return None;
    }
    if entry.changed.is_some_and(|day| day > today + 1) {
        return Some((2, "the last password change is in the future", Severity::Low));
    }
    if let (Some(least), Some(most)) = (entry.min_days, entry.max_days)
        && most >= 0
        && least > most
    {
        return Some((3, "the password may not be changed before it expires", Severity::Low));
    }
    if entry.expires.is_some_and(|day| day > 0 && day < today) {
        return Some((7, "the account has expired but still has its password", Severity::Info));
    }
    if entry.changed == Some(0) {
        return Some((2, "the password must be changed at the next login", Severity::Info));
    }
    None
}
