//! The policy: what each thing about an account is worth.
//!
//! Floors are those of crypt(5)'s defaults and OWASP's Password Storage Cheat Sheet (2024): below them a
//! stolen file gives its passwords away cheaply.

use std::collections::BTreeMap;

use consensus::Severity;
use crypto::Error;
use crypto::shadow::{Cost, Hash};
use parsers::config::accounts::{Scheme, Shadow, User};

use super::{Account, State};

/// Rounds that sha256crypt and sha512crypt have without a word.
const SHA_ROUNDS_DEFAULT: u32 = 5_000;
/// Least cost of bcrypt (OWASP: 10 or more).
const BCRYPT_COST_MIN: u32 = 10;
/// Least memory of memory-hard schemes: half of what crypt_gensalt(3) gives yescrypt (16 MiB).
const MEMORY_BYTES_MIN: u64 = 8 << 20;
/// Days after which an unchanged password is worth a word, where ageing is off.
const FORGOTTEN_DAYS: i64 = 5 * 365;
/// Shells that end a login at once.
const NO_LOGIN: [&str; 4] = ["nologin", "false", "sync", "shutdown"];

/// Whether the user's shell is one (POSIX passwd(5): an empty field is `/bin/sh`).
pub(super) fn allows_login(user: &User) -> bool {
    let name = user.shell.rsplit('/').next().unwrap_or_default();
    !NO_LOGIN.contains(&name) && name != "halt"
}

/// Scheme and cost.
pub(super) fn hash(account: &mut Account, scheme: Scheme, text: &str) {
    account.scheme = Some(scheme.name().to_string());
    if scheme.is_weak() {
        let title = format!("hashed with {}, which is guessed at billions a second", scheme.name());
        account.add("weak-scheme", Severity::High, title);
    }
    match Hash::parse(text) {
        None => {
            if scheme == Scheme::Other {
                account.add(
                    "unknown-scheme",
                    Severity::Low,
                    "a scheme that crypt(5) does not list",
                );
            }
        }
        // The hash is one, and login would compute it: it is we who do not.
        Some(Err(error @ Error::Bounds { .. })) => {
            account.add("costly-hash", Severity::Info, format!("not guessed here: {error}"));
        }
        Some(Err(error)) => {
            account.add(
                "malformed-hash",
                Severity::Medium,
                format!("no password matches: {error}"),
            );
        }
        Some(Ok(hash)) => {
            let cost = hash.cost();
            account.scheme = Some(hash.scheme().name().to_string());
            account.cost = Some(cost.to_string());
            let cheap = match cost {
                Cost::Fixed => false,
                Cost::Rounds(rounds) => rounds < SHA_ROUNDS_DEFAULT,
                Cost::Log2(log) => log < BCRYPT_COST_MIN,
                Cost::Memory { bytes, .. } => bytes < MEMORY_BYTES_MIN,
            };
            if cheap {
                account.add(
                    "cheap-hash",
                    Severity::Medium,
                    format!("a guess costs little: {cost}"),
                );
            } else if matches!(cost, Cost::Rounds(SHA_ROUNDS_DEFAULT)) {
                let title = "5000 rounds, the default of 2007: yescrypt costs an attacker far more";
                account.add("old-default", Severity::Info, title);
            }
            account.hash = Some(hash);
        }
    }
}

/// What an empty field or a lock means.
pub(super) fn state(account: &mut Account) {
    match (account.state, account.login) {
        (State::Empty, Some(false)) => {
            account.add(
                "empty",
                Severity::High,
                "no password is asked; only its shell keeps it shut",
            );
        }
        (State::Empty, _) => account.add("empty", Severity::Critical, "no password is asked"),
        (State::LockedHash, _) => {
            let title = "locked over a hash: unlocking it brings the old password back";
            account.add("locked-hash", Severity::Info, title);
        }
        (State::Hash, Some(false)) => {
            let title = "has a password though its shell allows no login";
            account.add("password-without-login", Severity::Low, title);
        }
        _ => {}
    }
}

/// Ageing and expiry (shadow(5)).
pub(super) fn dates(account: &mut Account, entry: &Shadow, today: i64) {
    if account.state != State::Hash && account.state != State::Empty {
        return;
    }
    if entry.expires.is_some_and(|day| day <= today) {
        account.add(
            "expired-account",
            Severity::Info,
            "the account has expired and can be removed",
        );
    }
    match entry.changed {
        Some(0) => account.add("must-change", Severity::Info, "must be changed at the next login"),
        Some(day) if day > today => {
            account.add("changed-in-future", Severity::Low, "changed on a day that is yet to come");
        }
        Some(day) => {
            let age = today - day;
            let limit = entry.max_days.filter(|days| (0..10_000).contains(days));
            if limit.is_some_and(|days| age > days) {
                let title = format!("{age} days old, past its limit: a login must change it");
                account.add("past-limit", Severity::Low, title);
            } else if limit.is_none() && age > FORGOTTEN_DAYS {
                account.add(
                    "forgotten",
                    Severity::Info,
                    format!("not changed for {} years", age / 365),
                );
            }
        }
        None => account.add("never-changed", Severity::Info, "has no day of change: ageing is off"),
    }
}

/// The same hash in two accounts: somebody copied it, and whoever knows one password knows both.
pub(super) fn copies(accounts: &mut [Account]) {
    let mut same: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for one in 0..accounts.len() {
        let Some(hash) = &accounts[one].hash else { continue };
        for other in one + 1..accounts.len() {
            if accounts[other].hash.as_ref().is_some_and(|theirs| theirs == hash) {
                same.entry(one).or_default().push(accounts[other].name.clone());
                same.entry(other).or_default().push(accounts[one].name.clone());
            }
        }
    }
    for (at, names) in same {
        let title = format!("the same hash as {}: a copied password", names.join(", "));
        accounts[at].add("copied-hash", Severity::Medium, title);
    }
}
