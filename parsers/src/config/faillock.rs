//! faillock.conf(5): when pam_faillock locks an account.
//!
//! One file and no drop-ins. The last value of a key holds; a value that pam_faillock does not take leaves
//! the one before it, and a flag cannot be switched off again (`set_conf_opt` in Linux-PAM's
//! `modules/pam_faillock`). Arguments in the PAM stack come after the file and are not read here.

use super::keyvalue::{Dialect, Form, KeyValues};
use super::settings::Settings;

/// The file.
pub const FAILLOCK_CONF: &str = "/etc/security/faillock.conf";

/// Longest time in seconds (`MAX_TIME_INTERVAL`: a week).
const SECONDS_MAX: u32 = 604_800;

const KNOWN: [(&str, Form); 13] = [
    ("dir", Form::AbsolutePath),
    ("deny", Form::Unsigned(u16::MAX as u32)),
    ("fail_interval", Form::Unsigned(SECONDS_MAX)),
    ("unlock_time", Form::UnsignedOrNever(SECONDS_MAX)),
    ("root_unlock_time", Form::UnsignedOrNever(SECONDS_MAX)),
    ("admin_group", Form::Text),
    ("even_deny_root", Form::Flag),
    ("audit", Form::Flag),
    ("silent", Form::Flag),
    ("no_log_info", Form::Flag),
    ("local_users_only", Form::Flag),
    ("nodelay", Form::Flag),
    ("uid_based_files", Form::Flag),
];

/// What holds, by key as written in the manual.
///
/// ```
/// use parsers::config::faillock::{FAILLOCK_CONF, parse};
/// let read = parse(FAILLOCK_CONF, b"deny = 3\ndeny = many\nunlock_time = never\nsilent\n");
/// assert_eq!((read.value("deny"), read.value("unlock_time")), (Some("3"), Some("never")));
/// assert_eq!(read.problems.kept[0].place.line, 2);
/// ```
pub fn parse(file: &str, bytes: &[u8]) -> Settings {
    let mut settings = Settings::default();
    let read = KeyValues::parse(file, bytes, Dialect::Equals);
    read.settle(&mut settings, |key| KNOWN.iter().find(|(name, _)| *name == key).copied());
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Rule;

    #[test]
    fn the_last_value_that_is_taken_holds() {
        let text = b"deny = 3 # c\n  audit\ndeny=5x\nfail_interval = 604801\nunlock_time 600\n\
            dir = tally\nDeny = 1\nsilent = no\n";
        let read = parse(FAILLOCK_CONF, text);
        let deny = read.get("deny").unwrap();
        assert_eq!((deny.value(), deny.values[0].place.line), (Some("5x"), 3));
        assert_eq!(deny.overrides[0].value.value, "3");
        assert_eq!(deny.overrides[0].rule, Rule::LastWins);
        assert_eq!((read.value("audit"), read.value("unlock_time")), (Some(""), Some("600")));
        assert!(read.get("silent").is_some());
        let lines: Vec<u32> = read.problems.kept.iter().map(|p| p.place.line).collect();
        assert_eq!(
            (lines, read.get("dir"), read.get("fail_interval")),
            (vec![4, 6, 7], None, None)
        );
    }
}
