//! What is known of one case: alerts that belong together, in the order in which they happened, how bad
//! it has become, and what somebody was told of it.

use std::collections::BTreeSet;

use consensus::{Evidence, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tactic::Tactic;

/// Most steps that a file lists; beyond, the mildest in the middle are left out and counted.
pub const STEPS_MAX: usize = 64;
/// The first steps of a case always stay: they say how it began.
const BEGINNING: usize = 4;

/// One alert of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When it last happened, seconds since the epoch.
    pub at: i64,
    /// The finding's fingerprint, for `wardmote explain`.
    pub fingerprint: String,
    /// Check or rule.
    pub check: String,
    /// One line.
    pub title: String,
    /// The verdict.
    pub severity: Severity,
    /// Events it stands for.
    pub count: u64,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which unit or file, where it is about neither address nor account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<String>,
}

/// Why somebody is told of a case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// It began.
    New,
    /// It is worse than what was told.
    Risen,
    /// Somebody has come a tactic further.
    Further,
}

/// What somebody was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The severity then.
    pub severity: Severity,
    /// The tactics then.
    pub tactics: BTreeSet<Tactic>,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseFile {
    /// Its number.
    pub id: u64,
    /// First event, seconds since the epoch.
    pub first: i64,
    /// Last event.
    pub last: i64,
    /// The worst verdict of its alerts.
    pub severity: Severity,
    /// One line: its worst step.
    pub title: String,
    /// How far it has come.
    pub tactics: BTreeSet<Tactic>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// Steps that are not listed.
    #[serde(default)]
    pub left_out: u64,
    /// Numbers of cases that turned out to be part of this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<u64>,
    /// What somebody was told of it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// News that nobody was told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<News>,
}

impl Step {
    /// A judged piece of evidence as a step.
    pub fn of(fingerprint: &str, evidence: &Evidence, severity: Severity, now: i64) -> Self {
        let subject = &evidence.subject;
        Self {
            // What comes from the future belongs to now: one wrong clock must not hold a case open.
            at: evidence.last.map_or(now, |last| last.min(now)),
            fingerprint: fingerprint.to_string(),
            check: evidence.check.clone(),
            title: evidence.title.clone(),
            severity,
            count: evidence.count,
            ip: subject.ip.clone(),
            user: subject.user.clone(),
            thing: subject.unit.clone().or_else(|| subject.path.clone()),
        }
    }
}

impl CaseFile {
    /// A case that begins; its first step is added by the caller.
    pub fn new(id: u64, step: &Step) -> Self {
        Self {
            id,
            first: step.at,
            last: step.at,
            severity: Severity::Info,
            title: step.title.clone(),
            tactics: BTreeSet::new(),
            steps: Vec::new(),
            left_out: 0,
            joined: Vec::new(),
            told: None,
            untold: None,
        }
    }

    /// Adds a step; whether it shows a tactic further in than all before. A finding that is seen again
    /// takes the place of what was known of it: its count goes on, its title is the latest.
    pub fn add(&mut self, step: Step, tactics: &[Tactic]) -> bool {
        self.first = self.first.min(step.at);
        self.last = self.last.max(step.at);
        if self.steps.is_empty() || step.severity > self.severity {
            self.title.clone_from(&step.title);
        }
        self.severity = self.severity.max(step.severity);
        let before = self.tactics.last().copied();
        self.tactics.extend(tactics);
        match self.steps.iter_mut().find(|known| known.fingerprint == step.fingerprint) {
            Some(known) => {
                let count = known.count.saturating_add(step.count);
                let severity = known.severity.max(step.severity);
                *known = Step { count, severity, ..step };
            }
            None => self.steps.push(step),
        }
        self.order();
        self.tactics.last().copied() > before
    }

    /// Takes over what another file holds; gives its number.
    pub fn swallow(&mut self, other: Self) -> u64 {
        if other.severity > self.severity {
            self.title = other.title;
        }
        self.severity = self.severity.max(other.severity);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.tactics.extend(other.tactics);
        self.left_out += other.left_out;
        self.joined.push(other.id);
        self.joined.extend(other.joined);
        for step in other.steps {
            if !self.has(&step.fingerprint) {
                self.steps.push(step);
            }
        }
        self.told = match (self.told.take(), other.told) {
            (Some(one), Some(two)) => Some(Told {
                severity: one.severity.max(two.severity),
                tactics: one.tactics.union(&two.tactics).copied().collect(),
            }),
            (one, two) => one.or(two),
        };
        self.untold = self.untold.or(other.untold);
        self.order();
        other.id
    }

    /// In order of time and bounded.
    fn order(&mut self) {
        self.steps.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
        while self.steps.len() > STEPS_MAX {
            let middle = self.steps.iter().enumerate().skip(BEGINNING);
            let mildest = middle.min_by_key(|(place, step)| (step.severity, *place));
            let place = mildest.map_or(BEGINNING, |(place, _)| place);
            self.steps.remove(place);
            self.left_out += 1;
        }
    }

    /// Whether a finding is among the steps that are listed.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.steps.iter().any(|step| step.fingerprint == fingerprint)
    }

    /// Whether it is worse than what somebody was told.
    pub fn has_risen(&self) -> bool {
        self.told.as_ref().is_some_and(|told| self.severity > told.severity)
    }

    /// What is told when it is told now.
    pub fn as_told(&self) -> Told {
        Told { severity: self.severity, tactics: self.tactics.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::evidence;

    fn step(print: &str, at: i64, severity: Severity) -> Step {
        let mut seen = evidence(print, severity);
        seen.last = Some(at);
        Step::of(print, &seen, severity, at)
    }

    #[test]
    fn a_file_tells_the_story_in_order_under_its_worst_title() {
        let first = step("guessing", 100, Severity::Medium);
        let mut file = CaseFile::new(7, &first);
        assert!(file.add(first, &[Tactic::CredentialAccess]));
        assert!(!file.add(step("scan", 50, Severity::Low), &[Tactic::Reconnaissance]));
        assert!(file.add(step("change", 200, Severity::High), &[Tactic::Impact]));
        let order: Vec<&str> = file.steps.iter().map(|step| step.check.as_str()).collect();
        assert_eq!(order, ["scan", "guessing", "change"]);
        assert_eq!((file.first, file.last, file.severity), (50, 200, Severity::High));
        assert_eq!(file.title, "change is seen");
    }

    #[test]
    fn the_same_finding_is_one_step_that_counts() {
        let first = step("guessing", 100, Severity::High);
        let mut file = CaseFile::new(7, &first);
        file.add(first, &[]);
        file.add(step("guessing", 160, Severity::Medium), &[]);
        assert_eq!(file.steps.len(), 1);
        let only = &file.steps[0];
        assert_eq!((only.count, only.at, only.severity), (4, 160, Severity::High));
    }

    #[test]
    fn a_long_case_keeps_its_beginning_and_its_worst() {
        let first = step("s0", 0, Severity::Low);
        let mut file = CaseFile::new(1, &first);
        for at in 0..200 {
            let severity = if at == 100 { Severity::Critical } else { Severity::Low };
            file.add(step(&format!("s{at}"), at, severity), &[]);
        }
        assert_eq!((file.steps.len(), file.left_out), (STEPS_MAX, 136));
        let kept: Vec<&str> = file.steps.iter().map(|step| step.check.as_str()).collect();
        assert_eq!(kept[..4], ["s0", "s1", "s2", "s3"]);
        assert!(kept.contains(&"s100") && kept.contains(&"s199"));
    }

    #[test]
    fn files_that_are_one_become_one() {
        let (early, late) = (step("a", 1, Severity::Low), step("b", 9, Severity::High));
        let mut kept = CaseFile::new(1, &early);
        kept.add(early, &[Tactic::Reconnaissance]);
        kept.told = Some(kept.as_told());
        let mut other = CaseFile::new(2, &late);
        other.add(late, &[Tactic::Impact]);
        other.untold = Some(News::New);
        assert_eq!(kept.swallow(other), 2);
        assert_eq!((kept.joined.as_slice(), kept.steps.len()), ([2].as_slice(), 2));
        assert_eq!((kept.severity, kept.untold), (Severity::High, Some(News::New)));
        assert!(kept.has_risen());
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<CaseFile>(&text).unwrap(), kept);
    }
}
