//! One key: what it is now, what it will be, and what that means.

use consensus::Subject;
use parsers::config::sysctl::{Setting, Sysctl, proc_path};
use parsers::place::Place;
use parsers::tree::LookError;

use crate::checks::{CheckResult, Observation, Outcome};
use crate::{Fact, Facts};

/// What the sysctl files say together.
pub(super) struct Files(pub Sysctl);

impl Fact for Files {
    fn look(facts: &Facts<'_>) -> Self {
        Self(Sysctl::read(facts.tree))
    }
}

/// Which values are fine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fine {
    AtLeast(i64),
    AtMost(i64),
    OneOf(&'static [i64]),
    NoneOf(&'static [i64]),
}

impl Fine {
    pub fn accepts(self, value: i64) -> bool {
        match self {
            Self::AtLeast(low) => value >= low,
            Self::AtMost(high) => value <= high,
            Self::OneOf(known) => known.contains(&value),
            Self::NoneOf(known) => !known.contains(&value),
        }
    }

    pub fn words(self) -> String {
        let list =
            |known: &[i64]| known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        match self {
            Self::AtLeast(low) => format!("{low} or more"),
            Self::AtMost(high) => format!("{high} or less"),
            Self::OneOf(known) => list(known),
            Self::NoneOf(known) => format!("anything but {}", list(known)),
        }
    }
}

/// A key and the values that are fine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub key: &'static str,
    pub fine: Fine,
    /// The kernel's own default, where it does not depend on how the kernel was built.
    pub default: Option<i64>,
}

impl Key {
    pub const fn new(key: &'static str, fine: Fine, default: Option<i64>) -> Self {
        Self { key, fine, default }
    }
}

/// What the running kernel says about a key.
pub(super) enum Live {
    /// A mounted tree: its kernel does not run.
    Elsewhere,
    /// This kernel has no such key.
    Absent,
    /// Its value, and the text of it.
    Value(i64, String),
    /// It could not be read, or is no number.
    Unreadable(String),
}

pub(super) fn live(facts: &Facts<'_>, key: &str) -> Live {
    let path = proc_path(key);
    match facts.read_live(&path) {
        None => Live::Elsewhere,
        Some(Ok(bytes)) => {
            let text = String::from_utf8_lossy(&bytes).trim().to_string();
            match number(&text) {
                Some(value) => Live::Value(value, text),
                None => Live::Unreadable(format!("{path}: not a number")),
            }
        }
        Some(Err(error)) if error.not_found() => Live::Absent,
        Some(Err(error)) => Live::Unreadable(error.to_string()),
    }
}

/// The first number of a value, as the kernel reads it: decimal, octal or hexadecimal.
pub(super) fn number(text: &str) -> Option<i64> {
    let text = text.split_whitespace().next()?;
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

/// Where the running kernel shows a key.
pub(super) fn proc_place(key: &str) -> Place {
    Place::new(&proc_path(key).into(), 1, 1)
}

/// Judges keys one by one.
pub(super) fn keys(facts: &Facts<'_>, wanted: &[Key]) -> Outcome {
    let files = facts.get::<Files>();
    let mut seen = Seen::default();
    for key in wanted {
        one(facts, &files.0, *key, &mut seen);
    }
    seen.outcome(&files.0.unread)
}

/// What was found about the keys of one check.
#[derive(Default)]
pub(super) struct Seen {
    pub bad: Vec<Observation>,
    pub fine: Vec<String>,
    pub absent: Vec<String>,
    pub unknown: Vec<String>,
    pub unseen: Vec<String>,
}

impl Seen {
    pub fn outcome(self, unread: &[LookError]) -> Outcome {
        let outcome = if !self.bad.is_empty() || !self.fine.is_empty() {
            Outcome::failed_or(self.bad, self.fine.join(", "))
        } else if !self.unseen.is_empty() {
            Outcome::not_run(self.unseen.join("; "))
        } else if !self.unknown.is_empty() && unread.is_empty() {
            Outcome::unknown(format!("no file sets {}", self.unknown.join(", ")))
        } else if !self.unknown.is_empty() {
            Outcome::not_run(format!("sysctl files could not be read ({})", unread[0]))
        } else {
            Outcome::not_applicable(format!("this kernel has no {}", self.absent.join(", ")))
        };
        match outcome.result {
            CheckResult::Passed | CheckResult::Failed => outcome.unseen(self.unseen),
            _ => outcome,
        }
    }
}

fn one(facts: &Facts<'_>, files: &Sysctl, key: Key, seen: &mut Seen) {
    let setting = files.effective(key.key);
    let later = setting.and_then(|setting| number(&setting.value));
    let is_weak_later = later.is_some_and(|value| !key.fine.accepts(value));
    let name = key.key;
    match live(facts, name) {
        Live::Absent => seen.absent.push(name.into()),
        Live::Unreadable(why) => seen.unseen.push(why),
        Live::Value(now, text) => {
            let when = match (key.fine.accepts(now), is_weak_later) {
                (true, false) => return seen.fine.push(format!("{name} = {now}")),
                (true, true) => "after reboot",
                (false, false) if later.is_some() => "until reboot",
                (false, _) => "now",
            };
            seen.bad.push(observation(key, when, Some((now, text)), setting, later));
        }
        Live::Elsewhere => match (setting, later.or(key.default)) {
            (_, Some(value)) if key.fine.accepts(value) => {
                let default = if later.is_none() { " (kernel default)" } else { "" };
                seen.fine.push(format!("{name} = {value}{default}"));
            }
            (_, Some(_)) => seen.bad.push(observation(key, "after reboot", None, setting, later)),
            (_, None) => seen.unknown.push(name.into()),
        },
    }
}

fn observation(
    key: Key,
    when: &str,
    now: Option<(i64, String)>,
    setting: Option<&Setting>,
    later: Option<i64>,
) -> Observation {
    let name = key.key;
    let want = key.fine.words();
    let after = match (later, key.default) {
        (Some(value), _) => value.to_string(),
        (None, Some(value)) => format!("{value} (kernel default)"),
        (None, None) => "not set by any file".to_string(),
    };
    let title = match (when, &now) {
        ("until reboot", Some((now, _))) => {
            format!("{name} is {now} until reboot (the files set {after}; want {want})")
        }
        ("after reboot", Some((now, _))) => {
            format!("{name} will be {after} after reboot (now {now}; want {want})")
        }
        (_, Some((now, _))) => format!("{name} is {now} (after reboot {after}; want {want})"),
        (_, None) => format!("{name} will be {after} (want {want})"),
    };
    let mut seen = Observation::default().key(name).title(title).fact("key", name);
    if let Some(setting) = setting {
        seen = seen.line(&setting.place, &setting.text);
        for old in setting.overrides.iter().rev().take(3) {
            seen = seen.line(&old.place, &old.text);
        }
    }
    if let Some((value, text)) = now {
        seen = seen.line(&proc_place(name), &text).fact("now", value.to_string());
    }
    if seen.lines.is_empty() {
        seen = seen.line(&Place::whole("/etc/sysctl.d"), "(no file sets it)");
    }
    seen.subject = Subject { path: Some(proc_path(name)), ..Subject::default() };
    seen.fact("after_reboot", after).fact("want", want).fact("when", when)
}

/// Two outcomes as one: IPv4 and IPv6 of the same setting.
pub(super) fn both(first: Outcome, second: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome.result {
        CheckResult::Failed => 0,
        CheckResult::NotRun => 1,
        CheckResult::Unknown => 2,
        CheckResult::Passed => 3,
        CheckResult::NotApplicable => 4,
    };
    let (mut main, other) =
        if rank(&first) <= rank(&second) { (first, second) } else { (second, first) };
    main.observations.extend(other.observations);
    main.unseen.extend(other.unseen);
    match (main.result, other.result) {
        (CheckResult::Failed, CheckResult::Failed) => {
            main.reason = format!("{} found", main.observations.len());
        }
        (CheckResult::Failed, CheckResult::NotRun) => main.unseen.push(other.reason),
        (a, b) if a == b => main.reason = format!("{}, {}", main.reason, other.reason),
        _ => {}
    }
    main
}

/// Problems of the files themselves, and settings in a file that nobody reads.
pub(super) fn files(facts: &Facts<'_>) -> Outcome {
    let files = facts.get::<Files>();
    let all = &files.0;
    let mut bad: Vec<Observation> = all
        .problems
        .kept
        .iter()
        .map(|problem| {
            Observation::at(&problem.place, "")
                .key(problem.place.to_string())
                .title(format!("sysctl line is ignored: {}", problem.message))
        })
        .collect();
    let differs = |key: &str, value: &str| all.effective(key).is_none_or(|set| set.value != value);
    for (key, written) in all.unused.iter().filter(|(key, set)| differs(key, &set.value)) {
        bad.push(
            Observation::at(&written.place, &written.text)
                .key(format!("unused:{key}"))
                .title(format!("{key} in /etc/sysctl.conf is not read by systemd-sysctl at boot"))
                .level(consensus::Severity::Info),
        );
    }
    if all.files.is_empty() && bad.is_empty() && all.unread.is_empty() {
        return Outcome::not_applicable("there are no sysctl files");
    }
    if all.files.is_empty() && !all.unread.is_empty() {
        return Outcome::not_run(all.unread[0].to_string());
    }
    Outcome::failed_or(bad, format!("{} files read", all.files.len()))
        .unseen(all.unread.iter().map(ToString::to_string))
}
