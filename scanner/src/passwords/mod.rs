//! What `/etc/shadow` says about passwords: scheme and cost of each hash, empty, locked, expired,
//! copied and forgotten ones; and, only when asked, which of them fall to guesses.
//!
//! Pure: bytes, a day and a deadline come in, [`Account`]s come out. No value that leaves this module holds a
//! hash or a password, and [`Account`] does not show the hash it keeps for [`guess`].

use std::collections::BTreeMap;

use consensus::Severity;
use crypto::shadow::Hash;
use parsers::config::accounts::{self, Password, Shadow, User};
use parsers::place::Problem;
use schemars::JsonSchema;
use serde::Serialize;

pub mod guess;
mod judge;

/// What a password field comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No password is asked.
    Empty,
    /// A password may match.
    Hash,
    /// A hash behind `!` or `*`: unlocking brings it back.
    LockedHash,
    /// No password matches.
    Locked,
}

/// Something about one account that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// Stable name.
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// In words.
    pub title: String,
}

/// One line of the shadow file.
#[derive(Serialize, JsonSchema)]
pub struct Account {
    /// Name.
    pub name: String,
    /// Line in the file.
    pub line: u32,
    /// What its password field comes to.
    pub state: State,
    /// Scheme of the hash, as crypt(5) calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// What a guess costs: rounds, or memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// Day of the last change, in days since 1970-01-01; absent when ageing is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_day: Option<i64>,
    /// Whether its user's shell allows a login; absent when the user is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<bool>,
    /// What is wrong, worst first.
    pub faults: Vec<Fault>,
    /// The user's full name, for guesses.
    #[serde(skip)]
    pub(crate) gecos: String,
    #[serde(skip)]
    pub(crate) hash: Option<Hash>,
}

impl Account {
    /// The worst of its faults.
    pub fn severity(&self) -> Severity {
        self.faults.iter().map(|fault| fault.severity).max().unwrap_or(Severity::Info)
    }

    fn add(&mut self, id: &'static str, severity: Severity, title: impl Into<String>) {
        self.faults.push(Fault { id, severity, title: title.into() });
        self.faults.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.id.cmp(b.id)));
    }
}

/// What was read.
pub struct Passwords {
    /// Accounts in the order of the file.
    pub accounts: Vec<Account>,
    /// Lines that are none, without their text.
    pub problems: Vec<Problem>,
    /// How many more of those.
    pub more_problems: usize,
}

/// Reads and judges a shadow file; `passwd` is the user table beside it, where it can be read, and
/// `today` the day in days since 1970-01-01.
pub fn read(name: &str, shadow: &[u8], passwd: Option<&[u8]>, today: i64) -> Passwords {
    let table = accounts::shadow(name, shadow);
    let users = passwd.map(|bytes| accounts::passwd("passwd", bytes).entries);
    let by_name: Option<BTreeMap<&str, &User>> = users
        .as_ref()
        .map(|users| users.iter().rev().map(|user| (user.name.as_str(), user)).collect());
    let mut accounts: Vec<Account> = table
        .entries
        .iter()
        .map(|entry| {
            let user = by_name.as_ref().map(|users| users.get(entry.name.as_str()).copied());
            account(entry, user, today)
        })
        .collect();
    judge::copies(&mut accounts);
    Passwords { accounts, problems: table.problems.kept, more_problems: table.problems.more }
}

/// `user`: `None` where the user table is unknown, `Some(None)` where it has no such user.
fn account(entry: &Shadow, user: Option<Option<&User>>, today: i64) -> Account {
    let known = user.flatten();
    let mut account = Account {
        name: entry.name.clone(),
        line: entry.row.line,
        state: match entry.password {
            Password::Empty => State::Empty,
            Password::Hash(_) => State::Hash,
            Password::LockedHash(_) => State::LockedHash,
            Password::Locked | Password::Shadowed => State::Locked,
        },
        scheme: None,
        cost: None,
        changed_day: entry.changed,
        login: known.map(judge::allows_login),
        faults: Vec::new(),
        gecos: known.map(|user| user.gecos.clone()).unwrap_or_default(),
        hash: None,
    };
    if let (Password::Hash(scheme) | Password::LockedHash(scheme), Some(field)) =
        (entry.password, entry.row.text.split(':').nth(1))
    {
        judge::hash(&mut account, scheme, field.trim_start_matches(['!', '*']));
    }
    judge::state(&mut account);
    judge::dates(&mut account, entry, today);
    if matches!(user, Some(None)) {
        account.add("no-user", Severity::Low, "no user of this name in the user table");
    }
    account
}

#[cfg(test)]
mod tests;
