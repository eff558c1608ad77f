//! The checks: data plus small functions, one file an area.
//!
//! A check is a [`Check`] value in its area's `CHECKS` table and the function that it names. The
//! function looks at [`Facts`] and gives an [`Outcome`]; [`run_all`] runs every check on a few threads
//! and makes [`Evidence`] of what failed. To add a check, add its entry and function to its area's
//! file; a new area also gets a line in [`AREAS`].
//!
//! What a check could not see is `NotRun` or an entry in `unseen`, never a pass.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use consensus::{Evidence, Kind, Privilege, Proof, Severity, SourceLine, Subject};
use parsers::place::{Place, Placed};
use parsers::tree::LookError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Facts;

pub mod accounts;
pub mod cron;
pub mod files;
pub mod kernel;
pub mod mounts;
pub mod pam;
pub mod patches;
pub mod services;
pub mod ssh;
pub mod sudo;
pub mod system;

/// Every area, in the order of the report: name (for `--only`) and checks.
pub const AREAS: &[(&str, &[Check])] = &[
    ("accounts", accounts::CHECKS),
    ("ssh", ssh::CHECKS),
    ("services", services::CHECKS),
    ("sudo", sudo::CHECKS),
    ("pam", pam::CHECKS),
    ("kernel", kernel::CHECKS),
    ("files", files::CHECKS),
    ("mounts", mounts::CHECKS),
    ("cron", cron::CHECKS),
    ("patches", patches::CHECKS),
    ("system", system::CHECKS),
];

/// One check: what it is, why it matters, how to fix it, and the function that looks.
pub struct Check {
    /// Stable id, `area-what`, e.g. `ssh-permit-root-login`; a promise to users.
    pub id: &'static str,
    /// One line, what is wrong when it fails.
    pub title: &'static str,
    /// Why it matters, one or two sentences.
    pub why: &'static str,
    /// Sort of fact.
    pub kind: Kind,
    /// Level before the context is known.
    pub level: Severity,
    /// What an attacker would gain.
    pub privilege: Privilege,
    /// Canonical names of the services concerned.
    pub services: &'static [&'static str],
    /// Techniques that would use it, as tags of Sigma (`attack.t1110`): what logs show of them counts.
    pub techniques: &'static [&'static str],
    /// What to do, one or two sentences.
    pub remediation: &'static str,
    /// What to type or write; may be empty.
    pub snippet: &'static str,
    /// Where to read more: manual pages, RFCs, CIS section names.
    pub references: &'static [&'static str],
    /// Looks.
    pub run: fn(&Facts<'_>) -> Outcome,
}

/// How a check ended. The names are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// Looked, nothing wrong.
    Passed,
    /// Looked, found something.
    Failed,
    /// The host does not have what the check is about.
    NotApplicable,
    /// Could not look (rights, namespaces, limits).
    NotRun,
    /// Looked, but it could not be told.
    Unknown,
}

/// What a check's function says.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub result: CheckResult,
    /// Why, one line.
    pub reason: String,
    /// What failed: each becomes one piece of evidence, and so one finding.
    pub observations: Vec<Observation>,
    /// Parts that could not be looked at although the check ran: they go to `incomplete`.
    pub unseen: Vec<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What distinguishes it from others of the same check: a user, a path. Stable over runs.
    pub key: String,
    /// More specific than the check's title, if given.
    pub title: Option<String>,
    /// The lines that show it. Redact with [`crate::redact`] before they get here.
    pub lines: Vec<SourceLine>,
    /// Facts that experts may cite.
    pub facts: BTreeMap<String, String>,
    /// Instead of the check's level.
    pub level: Option<Severity>,
    /// Known-bad: never judged below this.
    pub floor: Option<Severity>,
    /// Instead of the check's privilege.
    pub privilege: Option<Privilege>,
    /// Instead of the check's services.
    pub services: Option<Vec<String>>,
    /// Whom or what it is about.
    pub subject: Subject,
    /// Instead of the check's snippet.
    pub snippet: Option<String>,
}

/// A check that ran, with its evidence.
pub struct Ran {
    /// The check.
    pub check: &'static Check,
    /// Its area.
    pub area: &'static str,
    /// How it ended.
    pub result: CheckResult,
    /// Why.
    pub reason: String,
    /// What it could not see.
    pub unseen: Vec<String>,
    /// One per observation, with the snippet that fixes it.
    pub evidence: Vec<(Evidence, String)>,
}

impl Outcome {
    /// Nothing wrong; say what was seen (`PermitRootLogin no (/etc/ssh/sshd_config:3)`).
    pub fn passed(reason: impl Into<String>) -> Self {
        Self::of(CheckResult::Passed, reason)
    }

    /// The host does not have what the check is about.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::of(CheckResult::NotApplicable, reason)
    }

    /// Could not look.
    pub fn not_run(reason: impl Into<String>) -> Self {
        Self::of(CheckResult::NotRun, reason)
    }

    /// Looked, but it could not be told.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::of(CheckResult::Unknown, reason)
    }

    /// Failed with these observations, or passed with `otherwise` when there are none.
    pub fn failed_or(observations: Vec<Observation>, otherwise: impl Into<String>) -> Self {
        if observations.is_empty() {
            return Self::passed(otherwise);
        }
        let reason = format!("{} found", observations.len());
        Self { observations, ..Self::of(CheckResult::Failed, reason) }
    }

    /// Failed with one observation.
    pub fn failed(observation: Observation) -> Self {
        Self::failed_or(vec![observation], "")
    }

    /// A file that could not be read: not applicable when it is not there, not run otherwise.
    pub fn unreadable(error: &LookError) -> Self {
        if error.not_found() {
            Self::not_applicable(format!("{} does not exist", error.path.display()))
        } else {
            Self::not_run(error.to_string())
        }
    }

    /// Adds parts that could not be looked at.
    #[must_use]
    pub fn unseen(mut self, parts: impl IntoIterator<Item = String>) -> Self {
        self.unseen.extend(parts);
        self
    }

    fn of(result: CheckResult, reason: impl Into<String>) -> Self {
        Self { result, reason: reason.into(), observations: Vec::new(), unseen: Vec::new() }
    }
}

impl Observation {
    /// An observation shown by one line; `text` is made safe with [`crate::redact::line`].
    pub fn at(place: &Place, text: &str) -> Self {
        Self { lines: vec![source(place, text)], ..Self::default() }
    }

    /// An observation shown by a placed value.
    pub fn of<T>(placed: &Placed<T>) -> Self {
        Self::at(&placed.place, &placed.text)
    }

    /// Sets what distinguishes it.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Sets a more specific title.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.facts.insert(name.to_string(), value.into());
        self
    }

    /// Adds a line that shows it.
    #[must_use]
    pub fn line(mut self, place: &Place, text: &str) -> Self {
        self.lines.push(source(place, text));
        self
    }

    /// Sets the level.
    #[must_use]
    pub fn level(mut self, level: Severity) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets the floor of a known-bad fact, and the level if that is lower.
    #[must_use]
    pub fn floor(mut self, floor: Severity) -> Self {
        self.floor = Some(floor);
        self.level = Some(self.level.unwrap_or(floor).max(floor));
        self
    }

    fn evidence(self, check: &Check) -> (Evidence, String) {
        let evidence = Evidence {
            check: check.id.to_string(),
            key: self.key,
            title: self.title.unwrap_or_else(|| check.title.to_string()),
            kind: check.kind,
            proof: Proof::Direct,
            level: self.level.unwrap_or(check.level),
            floor: self.floor,
            privilege: self.privilege.unwrap_or(check.privilege),
            services: self
                .services
                .unwrap_or_else(|| check.services.iter().map(ToString::to_string).collect()),
            subject: self.subject,
            sources: self.lines,
            facts: self.facts,
            tags: check.techniques.iter().map(ToString::to_string).collect(),
            count: 1,
            first: None,
            last: None,
        };
        (evidence, self.snippet.unwrap_or_else(|| check.snippet.to_string()))
    }
}

/// A source line from a place, redacted and safe to print.
pub fn source(place: &Place, text: &str) -> SourceLine {
    SourceLine {
        file: crate::redact::printable(&place.file),
        line: place.line,
        column: place.column,
        text: crate::redact::line(text),
    }
}

/// Runs every check of the wanted areas (all where `only` is empty) on `threads` threads; the result
/// is in the order of the tables, whatever the threads did.
pub fn run_all(facts: &Facts<'_>, only: &[String], threads: usize) -> Vec<Ran> {
    let wanted: Vec<(&'static str, &'static Check)> = AREAS
        .iter()
        .filter(|(area, _)| only.is_empty() || only.iter().any(|name| name == area))
        .flat_map(|(area, checks)| checks.iter().map(move |check| (*area, check)))
        .collect();
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, Ran)> = std::thread::scope(|scope| {
        let worker = || {
            let mut mine = Vec::new();
            while let Some(&(area, check)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                mine.push(run(facts, area, check));
            }
            mine
        };
        let handles: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().expect("a worker catches its checks' panics"))
            .map(|ran| {
                let place = wanted.iter().position(|(_, check)| check.id == ran.check.id);
                (place.unwrap_or(usize::MAX), ran)
            })
            .collect()
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, ran)| ran).collect()
}

/// Runs one check; a panic in it is a check that was not run, not the end of the audit.
fn run(facts: &Facts<'_>, area: &'static str, check: &'static Check) -> Ran {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| (check.run)(facts)))
        .unwrap_or_else(|_| Outcome::not_run("internal error in this check"));
    Ran {
        check,
        area,
        result: outcome.result,
        reason: crate::redact::line(&outcome.reason),
        unseen: outcome.unseen,
        evidence: outcome.observations.into_iter().map(|seen| seen.evidence(check)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_ids_are_unique_and_speak_of_their_area() {
        let mut seen = std::collections::BTreeSet::new();
        for (area, checks) in AREAS {
            for check in *checks {
                assert!(seen.insert(check.id), "{} twice", check.id);
                assert!(check.id.starts_with(area), "{} is not named after {area}", check.id);
                assert!(!check.title.is_empty() && !check.why.is_empty(), "{}", check.id);
                assert!(
                    !check.remediation.is_empty() && !check.references.is_empty(),
                    "{}",
                    check.id
                );
            }
        }
    }
}
