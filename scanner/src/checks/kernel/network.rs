//! Settings that exist once per interface: what `all`, `default` and the interface's own value make
//! together (ip-sysctl.rst), for every interface of the running kernel and for new ones.

use std::path::Path;

use consensus::Subject;
use parsers::config::sysctl::{Sysctl, proc_path};
use parsers::place::Place;

use super::judge::{Files, Fine, Live, Seen, live, number, proc_place};
use crate::Facts;
use crate::checks::{Observation, Outcome};

/// Most interfaces that are looked at one by one.
pub(super) const INTERFACES_MAX: usize = 256;

/// How the value of `all` and an interface's own value become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// The larger one.
    Largest,
    /// On when either is on.
    Either,
    /// On when both are on.
    Both,
    /// Only the interface's own counts.
    Own,
}

impl Join {
    fn of(self, all: i64, own: i64) -> i64 {
        match self {
            Self::Largest => all.max(own),
            Self::Either => i64::from(all != 0 || own != 0),
            Self::Both => i64::from(all > 0 && own > 0),
            Self::Own => own,
        }
    }
}

/// Judges one setting over all interfaces.
pub(super) fn interfaces(
    facts: &Facts<'_>,
    base: &str,
    name: &str,
    join: Join,
    fine: Fine,
    default: i64,
) -> Outcome {
    let files = facts.get::<Files>();
    let mut seen = Seen::default();
    let all_key = format!("{base}.all.{name}");
    let default_key = format!("{base}.default.{name}");
    let of_files = after_reboot(&files.0, (&all_key, &default_key), join, default);
    let is_weak_later = of_files.is_some_and(|value| !fine.accepts(value));
    let label = format!("{base}.*.{name}");
    match live(facts, &all_key) {
        Live::Absent => seen.absent.push(label),
        Live::Unreadable(why) => seen.unseen.push(why),
        Live::Elsewhere => {
            let value = of_files.unwrap_or(join.of(default, default));
            let note = if of_files.is_none() { " (kernel default)" } else { "" };
            if fine.accepts(value) {
                seen.fine.push(format!("{label} = {value}{note}"));
            } else {
                let title = format!("{label} will be {value}{note} (want {})", fine.words());
                seen.bad.push(observation(&files.0, &label, (&all_key, &default_key), title));
            }
        }
        Live::Value(all, text) => {
            let weak = weak_now(facts, base, name, join, fine, all, &mut seen);
            let title = match (weak.is_empty(), is_weak_later) {
                (true, false) => {
                    seen.fine.push(format!("{label}: all = {all}"));
                    return seen.outcome(&files.0.unread);
                }
                (true, true) => format!("{label} will be weak after reboot (fine now)"),
                (false, false) if of_files.is_some() => {
                    format!("{label} is weak on {} until reboot", list(&weak))
                }
                (false, _) => format!("{label} is weak on {}", list(&weak)),
            };
            let keys = (all_key.as_str(), default_key.as_str());
            let title = format!("{title} (want {})", fine.words());
            let mut bad = observation(&files.0, &label, keys, title);
            if !weak.is_empty() {
                bad = bad.line(&proc_place(&all_key), &text).fact("interfaces", list(&weak));
            }
            bad.lines.retain(|line| weak.is_empty() || line.line > 0);
            seen.bad.push(bad);
        }
    }
    seen.outcome(&files.0.unread)
}

/// What the files give a new interface; `None` when they set neither key.
fn after_reboot(files: &Sysctl, keys: (&str, &str), join: Join, default: i64) -> Option<i64> {
    let value = |key: &str| files.effective(key).and_then(|set| number(&set.value));
    match (value(keys.0), value(keys.1)) {
        (None, None) => None,
        (all, own) => Some(join.of(all.unwrap_or(default), own.unwrap_or(default))),
    }
}

/// Interfaces (and `default`) on which the joined value is not fine.
fn weak_now(
    facts: &Facts<'_>,
    base: &str,
    name: &str,
    join: Join,
    fine: Fine,
    all: i64,
    seen: &mut Seen,
) -> Vec<String> {
    let directory = proc_path(base);
    let entries = match facts.tree.list(Path::new(&directory)) {
        Ok(entries) => entries,
        Err(error) => {
            seen.unseen.push(error.to_string());
            Vec::new()
        }
    };
    if entries.len() > INTERFACES_MAX {
        seen.unseen.push(format!("{directory}: only {INTERFACES_MAX} interfaces were looked at"));
    }
    let mut weak = Vec::new();
    for entry in entries.iter().take(INTERFACES_MAX) {
        let interface = entry.path.file_name().unwrap_or_default().to_string_lossy();
        if interface == "all" || interface == "lo" {
            continue;
        }
        // A dot in an interface's name is a slash in the dotted form of a key.
        let key = format!("{base}.{}.{name}", interface.replace('.', "/"));
        match live(facts, &key) {
            Live::Value(own, _) if !fine.accepts(join.of(all, own)) => {
                weak.push(interface.into_owned());
            }
            Live::Unreadable(why) => seen.unseen.push(why),
            _ => {}
        }
    }
    weak
}

/// The first names, and how many more.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn observation(files: &Sysctl, label: &str, keys: (&str, &str), title: String) -> Observation {
    let mut seen = Observation::default().key(label).title(title).fact("key", label);
    for key in [keys.0, keys.1] {
        if let Some(setting) = files.effective(key) {
            seen = seen.line(&setting.place, &setting.text);
        }
    }
    if seen.lines.is_empty() {
        seen = seen.line(&Place::whole("/etc/sysctl.d"), "(no file sets it)");
    }
    seen.subject = Subject { path: Some(proc_path(keys.0)), ..Subject::default() };
    seen
}
