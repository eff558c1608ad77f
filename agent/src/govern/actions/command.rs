//! The operator's own command, and its undo.
//!
//! No shell: the words of the configuration, each placeholder filled in within its word. What is filled
//! in was often chosen by an attacker (a user name in a log), so only what is plainly an address, an
//! account or a unit is; a case that has nothing of the sort gets no command. It starts with an
//! environment of our own making, without the service's capabilities, and, as root, only if root alone
//! can have written it. Time and output are bounded.

use std::ffi::OsString;
use std::time::Duration;

use super::{Failed, Way, run};
use crate::govern::Action;
use crate::outside::owner;

/// Longest name of an account (useradd(8)) or unit (systemd.unit(5)).
const USER_MAX: usize = 32;
const UNIT_MAX: usize = 255;

/// What placeholders stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filling {
    /// An address or a network.
    pub ip: Option<String>,
    /// An account.
    pub user: Option<String>,
    /// A unit.
    pub unit: Option<String>,
    /// The finding's fingerprint.
    pub case: String,
    /// How long it holds.
    pub seconds: i64,
}

impl Filling {
    fn of(&self, name: &str) -> Option<String> {
        match name {
            "ip" => self.ip.clone(),
            "user" => self.user.clone().filter(|user| is_user(user)),
            "unit" => self.unit.clone().filter(|unit| is_unit(unit)),
            "case" => Some(self.case.clone()),
            "seconds" => Some(self.seconds.to_string()),
            _ => None,
        }
    }
}

/// The words with their placeholders filled in; `None` where the case has nothing to fill one with.
pub fn filled(words: &[String], filling: &Filling) -> Option<Vec<String>> {
    words.iter().map(|word| fill(word, filling)).collect()
}

fn fill(word: &str, filling: &Filling) -> Option<String> {
    let mut text = String::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        text.push_str(&rest[..open]);
        text.push_str(&filling.of(&rest[open + 1..close])?);
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    Some(text)
}

/// A name that useradd(8) would take: it never begins with a hyphen.
pub fn is_user(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|c| c.is_ascii_lowercase() || c == b'_');
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-');
    first && name.len() <= USER_MAX && bytes.all(plain)
}

/// A name of a unit, without escapes.
pub fn is_unit(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'@' | b':');
    let first = name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.len() <= UNIT_MAX && name.bytes().all(plain)
}

/// Runs the command, or its undo, to its end.
pub fn start(action: &Action, case: &str, way: Way) -> Result<String, Failed> {
    let Action::Command { name, run: words, undo, timeout_ms, .. } = action else {
        return Err(Failed::Nothing("it is no command".into()));
    };
    let words = if way == Way::Do { words } else { undo };
    let root = rustix::process::geteuid().is_root();
    let words = owner::checked(words, root).map_err(Failed::Nothing)?;
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let mut command = run::plain(&words);
    command
        .env("WARDMOTE_RESPONSE", name)
        .env("WARDMOTE_WAY", if way == Way::Do { "do" } else { "undo" })
        .env("WARDMOTE_CASE", case);
    let within = Duration::from_millis(*timeout_ms);
    // Rights of a thread are inherited by what it starts: they are given up on one that only does that.
    let ended = std::thread::scope(|scope| {
        let start = || {
            rustix::thread::clear_ambient_capability_set()
                .map_err(|error| Failed::Nothing(error.to_string()))?;
            run::run(&mut command, b"", within)
        };
        scope.spawn(start).join()
    });
    let said = ended.unwrap_or_else(|_| Err(Failed::Halfway("it could not be followed".into())))?;
    match said.success {
        true => Ok(said.line()),
        false => Err(Failed::Halfway(format!("{name} ended with an error: {}", said.line()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling() -> Filling {
        Filling {
            ip: Some("192.0.2.7".into()),
            user: Some("bob".into()),
            unit: None,
            case: "c1".into(),
            seconds: 60,
        }
    }

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn placeholders_are_filled_in_within_their_words() {
        let given = words(&["/x", "--from={ip}/32", "{user}{case}", "{seconds}", "plain"]);
        let expected = words(&["/x", "--from=192.0.2.7/32", "bobc1", "60", "plain"]);
        assert_eq!(filled(&given, &filling()), Some(expected));
        assert_eq!(filled(&words(&["/x", "{unit}"]), &filling()), None, "there is none");
    }

    #[test]
    fn names_that_an_attacker_chose_are_filled_in_only_when_they_are_plain() {
        for user in ["-rf", "a b", "$(reboot)", "x;y", "", "ROOT", "a\n", "{ip}", "../x"] {
            let given = Filling { user: Some(user.into()), ..filling() };
            assert_eq!(filled(&words(&["/x", "{user}"]), &given), None, "{user:?}");
        }
        for user in ["bob", "_apt", "www-data", "u1", &"a".repeat(USER_MAX)] {
            assert!(is_user(user), "{user}");
        }
        assert!(!is_user(&"a".repeat(USER_MAX + 1)));
        for (unit, plain) in [
            ("nginx.service", true),
            ("getty@tty1.service", true),
            ("-x", false),
            ("a/b", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_unit(unit), plain, "{unit}");
        }
        assert!(is_unit(&"a".repeat(UNIT_MAX)) && !is_unit(&"a".repeat(UNIT_MAX + 1)));
    }

    fn command(script: &str, timeout_ms: u64) -> Action {
        Action::Command {
            name: "note".into(),
            about: "192.0.2.7".into(),
            run: words(&["/bin/sh", "-c", script]),
            undo: words(&["/bin/sh", "-c", "echo back $WARDMOTE_WAY"]),
            timeout_ms,
        }
    }

    #[test]
    fn a_command_is_run_and_taken_back_and_told_what_for() {
        let action = command("echo $WARDMOTE_RESPONSE $WARDMOTE_WAY $WARDMOTE_CASE", 5_000);
        assert_eq!(start(&action, "c1", Way::Do), Ok("note do c1".into()));
        assert_eq!(start(&action, "c1", Way::Undo), Ok("back undo".into()));
        let failed = start(&command("echo sorry >&2; exit 1", 5_000), "c1", Way::Do).unwrap_err();
        assert!(matches!(&failed, Failed::Halfway(why) if why.contains("sorry")), "{failed:?}");
        assert!(matches!(start(&command("sleep 9", 50), "c1", Way::Do), Err(Failed::Halfway(_))));
        let block = Action::Block { network: "192.0.2.7".parse().unwrap() };
        assert!(matches!(start(&block, "c1", Way::Do), Err(Failed::Nothing(_))));
    }
}
