//! The account files, read once.

use std::collections::HashMap;

use consensus::Subject;
use parsers::config::accounts::{self, Group, GroupShadow, Row, Shadow, Table, User};
use parsers::tree::LookError;

use crate::checks::{Observation, Outcome};
use crate::{Fact, Facts, redact};

/// The account files, and what NSS says besides.
pub(in crate::checks) struct Known {
    pub passwd: Result<Table<User>, LookError>,
    pub shadow: Result<Table<Shadow>, LookError>,
    pub group: Result<Table<Group>, LookError>,
    pub gshadow: Result<Table<GroupShadow>, LookError>,
    /// Accounts of `getent passwd` that the file does not list.
    pub others: Vec<User>,
    /// Where the first line of a name stands in shadow, and the user id of a name in passwd.
    by_name: (HashMap<String, usize>, HashMap<String, u32>),
}

impl Fact for Known {
    fn look(facts: &Facts<'_>) -> Self {
        let read = |path: &str| facts.read(path);
        let passwd = read("/etc/passwd").map(|b| accounts::passwd("/etc/passwd", &b));
        let mut others = Vec::new();
        if let Some(bytes) = &facts.spoken.getent_passwd {
            others = accounts::passwd("getent:passwd", bytes).entries;
            if let Ok(file) = &passwd {
                let local: std::collections::HashSet<(&str, u32)> =
                    file.entries.iter().map(|user| (user.name.as_str(), user.uid)).collect();
                others.retain(|user| !local.contains(&(user.name.as_str(), user.uid)));
            }
        }
        let shadow = read("/etc/shadow").map(|b| accounts::shadow("/etc/shadow", &b));
        let mut by_name = (HashMap::new(), HashMap::new());
        for (index, entry) in shadow.iter().flat_map(|table| &table.entries).enumerate() {
            by_name.0.entry(entry.name.clone()).or_insert(index);
        }
        for user in passwd.iter().flat_map(|table| &table.entries) {
            by_name.1.entry(user.name.clone()).or_insert(user.uid);
        }
        Self {
            passwd,
            shadow,
            group: read("/etc/group").map(|b| accounts::group("/etc/group", &b)),
            gshadow: read("/etc/gshadow").map(|b| accounts::gshadow("/etc/gshadow", &b)),
            others,
            by_name,
        }
    }
}

impl Known {
    /// Every account, those of the file first.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.passwd.iter().flat_map(|table| &table.entries).chain(&self.others)
    }

    /// The line of an account in shadow.
    pub fn shadow_of(&self, name: &str) -> Option<&Shadow> {
        self.shadow.as_ref().ok()?.entries.get(*self.by_name.0.get(name)?)
    }

    /// The user id of a name in passwd.
    pub fn uid_of(&self, name: &str) -> Option<u32> {
        self.by_name.1.get(name).copied()
    }

    /// Whether a password may let somebody in; `None` when shadow could not be read.
    pub fn has_password(&self, user: &User) -> Option<bool> {
        use parsers::config::accounts::Password;
        if user.password != Password::Shadowed {
            return Some(user.password.is_usable());
        }
        match &self.shadow {
            Err(error) if !error.not_found() => None,
            _ => Some(self.shadow_of(&user.name).is_some_and(|s| s.password.is_usable())),
        }
    }
}

/// Whether a shell lets its user work; an empty one means `/bin/sh`.
pub fn is_login_shell(shell: &str) -> bool {
    let name = shell.rsplit('/').next().unwrap_or(shell);
    !matches!(name, "nologin" | "false" | "true" | "sync" | "shutdown" | "halt")
}

/// An observation about an account, shown by a field of its line without the password.
pub(in crate::checks) fn about(name: &str, row: &Row, field: usize) -> Observation {
    let mut seen = Observation::at(&row.at(field), &redact::crypt_field(&row.text)).key(name);
    seen.subject = Subject { user: Some(redact::printable(name)), ..Subject::default() };
    seen
}

/// The outcome when passwd itself could not be read.
pub(super) fn no_passwd(error: &LookError) -> Outcome {
    Outcome::unreadable(error)
}
