//! Which parameters `Defaults` knows and what values they take, by sudo 1.9.13 (`defaults.txt`).
//!
//! sudo itself warns of a parameter that it does not know and goes on, `visudo -c` refuses it: it is a
//! note here, not a problem. Other versions know more or fewer.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Operator;

struct Parameter {
    kind: &'static str,
    may_be_off: bool,
    path: Option<char>,
}

static TABLE: LazyLock<HashMap<&'static str, Parameter>> = LazyLock::new(|| {
    let lines = include_str!("defaults.txt").lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| {
        let mut fields = line.split(' ');
        let mut field = || fields.next().unwrap_or_default();
        let (name, kind, flags) = (field(), field(), field());
        let path = flags.chars().find(|flag| matches!(flag, 'p' | 'c'));
        (name, Parameter { kind, may_be_off: flags.contains('b'), path })
    });
    fields.collect()
});

/// Names of the parameters and their types, for those who write policies.
pub fn parameters() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|(name, parameter)| (*name, parameter.kind))
}

/// What `visudo -c` would say of a setting; `None` when it is fine. `value` is `None` without a `=`.
pub(super) fn fault(name: &str, operator: Operator, value: Option<&str>) -> Option<&'static str> {
    let Some(parameter) = TABLE.get(name) else { return Some("unknown Defaults entry") };
    let kind = parameter.kind.split(':').next().unwrap_or_default();
    let Some(value) = value else {
        return match (kind, operator) {
            ("flag", _) => None,
            ("logfac", Operator::On) => None,
            ("tuple", _) if parameter.may_be_off => None,
            ("tuple" | "logfac", _) => None,
            (_, Operator::Off) if parameter.may_be_off => None,
            _ => Some("the Defaults entry has no value"),
        };
    };
    if matches!(operator, Operator::Add | Operator::Remove) && kind != "list" {
        return Some("`+=` and `-=` are for lists only");
    }
    if kind == "flag" {
        return Some("the Defaults entry does not take a value");
    }
    let is_fine = match kind {
        "str" => match parameter.path {
            Some('p') => value.starts_with('/'),
            Some(_) => value.starts_with(['/', '~']) || value == "*",
            None => true,
        },
        "int" => value.parse::<i32>().is_ok(),
        "uint" => value.parse::<u32>().is_ok(),
        "mode" => u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o777),
        "tuple" => parameter
            .kind
            .split(':')
            .nth(1)
            .is_some_and(|list| list.split('|').any(|known| known == value)),
        "timespec" => is_minutes(value),
        "timeout" => is_timeout(value),
        "rlimit" => is_limit(value),
        "logfac" => FACILITIES.contains(&value),
        "logpri" => PRIORITIES.contains(&value),
        _ => true,
    };
    (!is_fine).then_some("the value is invalid for this Defaults entry")
}

const FACILITIES: [&str; 12] = [
    "authpriv", "auth", "daemon", "user", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

const PRIORITIES: [&str; 9] =
    ["alert", "crit", "debug", "emerg", "err", "info", "notice", "warning", "none"];

/// Minutes with an optional sign and fraction.
fn is_minutes(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(&fraction[..fraction.len().min(9)]) && whole.len() < 17
}

/// `1d2h3m4s`, units from large to small.
fn is_timeout(text: &str) -> bool {
    let mut units = "dhms".chars();
    let mut rest = text;
    loop {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 || rest[..length].parse::<i32>().is_err() {
            return false;
        }
        let mut after = rest[length..].chars();
        match after.next() {
            None => return true,
            // The same unit may come again, an earlier one may not.
            Some(unit) => {
                let unit = unit.to_ascii_lowercase();
                let mut ahead = units.clone();
                loop {
                    match ahead.clone().next() {
                        Some(known) if known == unit => break,
                        Some(_) => drop(ahead.next()),
                        None => return false,
                    }
                }
                units = ahead;
            }
        }
        rest = after.as_str();
        if rest.is_empty() {
            return true;
        }
    }
}

/// `infinity`, a number, `soft,hard`, `user` or `default`.
fn is_limit(text: &str) -> bool {
    let one = |text: &str| {
        text == "infinity"
            || (text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<u64>().is_ok())
    };
    match text.split_once(',') {
        Some((soft, hard)) => one(soft) && one(hard),
        None => matches!(text, "user" | "default") || one(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_their_type() {
        let set = |name, value| fault(name, Operator::Set, Some(value)).is_none();
        for (name, right, wrong) in [
            ("passwd_tries", "3", "x"),
            ("umask", "0022", "9"),
            ("lecture", "once", "twice"),
            ("timestamp_timeout", "-1.5", "1m"),
            ("command_timeout", "1h30m", "5x"),
            ("rlimit_core", "0,infinity", "much"),
            ("syslog", "authpriv", "kern"),
            ("syslog_goodpri", "notice", "loud"),
            ("logfile", "/var/log/sudo", "sudo.log"),
            ("runcwd", "~", "tmp"),
        ] {
            assert!(set(name, right) && !set(name, wrong), "{name}");
        }
        assert!(fault("use_pty", Operator::Off, None).is_none());
        assert!(fault("use_pty", Operator::Set, Some("x")).is_some());
        assert!(fault("passwd_tries", Operator::On, None).is_some());
        assert!(fault("passprompt", Operator::Add, Some("x")).is_some());
        assert!(fault("nonsense", Operator::On, None).is_some());
        assert!(parameters().count() > 150);
    }
}
