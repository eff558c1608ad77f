//! login.defs: what new passwords, accounts and files get.

use consensus::Severity;
use parsers::config::keyvalue::{Dialect, Entry, KeyValues};
use parsers::tree::LookError;

use crate::checks::{Observation, Outcome};
use crate::{Fact, Facts};

/// `/etc/login.defs`, read once.
struct LoginDefs(Result<KeyValues, LookError>);

impl Fact for LoginDefs {
    fn look(facts: &Facts<'_>) -> Self {
        let path = "/etc/login.defs";
        Self(facts.read(path).map(|bytes| KeyValues::parse(path, &bytes, Dialect::LoginDefs)))
    }
}

fn with(facts: &Facts<'_>, judge: impl Fn(&KeyValues) -> Outcome) -> Outcome {
    match &facts.get::<LoginDefs>().0 {
        Ok(defs) => judge(defs),
        Err(error) => Outcome::unreadable(error),
    }
}

fn seen(entry: &Entry, title: String) -> Observation {
    Observation::at(&entry.place, &entry.text).key(entry.key.clone()).title(title)
}

pub(super) fn encrypt_method(facts: &Facts<'_>) -> Outcome {
    with(facts, |defs| {
        let method = defs.get("ENCRYPT_METHOD");
        let weak = |entry: &&Entry| {
            matches!(entry.value.to_ascii_uppercase().as_str(), "DES" | "MD5" | "NT" | "SHA1")
        };
        if let Some(entry) = method.filter(weak) {
            let title = format!("new passwords are hashed with {}", entry.value);
            return Outcome::failed(seen(entry, title));
        }
        // MD5_CRYPT_ENAB only counts where ENCRYPT_METHOD is not set.
        match (method, defs.get("MD5_CRYPT_ENAB")) {
            (Some(entry), _) => {
                Outcome::passed(format!("ENCRYPT_METHOD {} ({})", entry.value, entry.place))
            }
            (None, Some(entry)) if entry.value.eq_ignore_ascii_case("yes") => {
                Outcome::failed(seen(entry, "new passwords are hashed with MD5".into()))
            }
            (None, _) => Outcome::unknown("ENCRYPT_METHOD is not set; PAM's own default holds"),
        }
    })
}

pub(super) fn password_age(facts: &Facts<'_>) -> Outcome {
    with(facts, |defs| {
        let Some(entry) = defs.get("PASS_MAX_DAYS") else {
            return Outcome::unknown("PASS_MAX_DAYS is not set");
        };
        match entry.value.parse::<i64>() {
            Ok(days) if (1..=3_650).contains(&days) => {
                Outcome::passed(format!("PASS_MAX_DAYS {days} ({})", entry.place))
            }
            Ok(_) => Outcome::failed(seen(entry, "passwords never have to be changed".into())),
            Err(_) => Outcome::failed(seen(entry, "PASS_MAX_DAYS is not a number".into())),
        }
    })
}

pub(super) fn umask(facts: &Facts<'_>) -> Outcome {
    with(facts, |defs| {
        let Some(entry) = defs.get("UMASK") else {
            return Outcome::unknown("UMASK is not set in login.defs");
        };
        let Ok(mask) = u32::from_str_radix(&entry.value, 8) else {
            return Outcome::failed(seen(entry, "UMASK is not an octal number".into()));
        };
        if mask & 0o002 == 0 {
            let title = format!("new files are world-writable (UMASK {})", entry.value);
            return Outcome::failed(seen(entry, title).level(Severity::High));
        }
        if mask & 0o005 != 0o005 {
            let title = format!("new files are readable by all users (UMASK {})", entry.value);
            return Outcome::failed(seen(entry, title));
        }
        Outcome::passed(format!("UMASK {} ({})", entry.value, entry.place))
    })
}
