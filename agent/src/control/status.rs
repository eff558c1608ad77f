//! How the service is, as it says itself.

use std::collections::BTreeMap;

use consensus::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::Happened;
use crate::pipeline::case::timings::Took;
use crate::store::{Store, StoreError};

/// Most cases that are shown.
const CASES_SHOWN_MAX: usize = 10;
/// Cases of this time are shown, seconds.
const DAY_S: i64 = 86_400;

/// How the service is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// `wardmote.status/1`.
    pub schema: String,
    /// Version of the program that runs.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started, seconds since the epoch.
    pub started: i64,
    /// Open alerts by level.
    pub alerts: BTreeMap<Severity, u64>,
    /// The worst open alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Line>,
    /// Cases with something in the last day, the latest first.
    pub cases: Vec<Line>,
    /// The end of the last look at the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sweep: Option<i64>,
    /// The end of the last audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_audit: Option<i64>,
    /// Things that could not be looked at.
    pub incomplete: u64,
    /// Alerts that had to make room since the start.
    pub evicted: u64,
    /// What became of what the logs showed since the start.
    pub tally: Tally,
    /// What each stage took.
    pub stages: BTreeMap<String, Took>,
    /// What became of the notes to each target since the start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: BTreeMap<String, Delivery>,
    /// What the process gave up that reads logs and configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// What it did or met lately, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lately: Vec<Happened>,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Status {
    /// Fills in what the store knows.
    pub fn fill(&mut self, store: &dyn Store, now: i64) -> Result<(), StoreError> {
        let from: Result<Vec<usize>, StoreError> =
            Severity::ALL.iter().map(|level| store.open_count(*level)).collect();
        let from = from?;
        for (place, level) in Severity::ALL.into_iter().enumerate() {
            let above = from.get(place + 1).copied().unwrap_or(0);
            self.alerts.insert(level, from[place].saturating_sub(above) as u64);
        }
        self.worst = store.open_alerts(1)?.into_iter().next().map(|alert| Line {
            id: alert.seen.fingerprint,
            severity: alert.seen.severity,
            title: alert.seen.title,
            last: alert.last_seen,
        });
        let cases = store.cases(now.saturating_sub(DAY_S), CASES_SHOWN_MAX)?;
        self.cases = cases
            .into_iter()
            .map(|case| Line {
                id: case.id.to_string(),
                severity: case.severity,
                title: case.title,
                last: case.last,
            })
            .collect();
        Ok(())
    }
}

/// One alert or case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// An alert's fingerprint, a case's number.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Its last event, seconds since the epoch.
    pub last: i64,
}

/// What became of one target's notes: received = notified + merged + suppressed + waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// All, those included that waited at the start.
    pub received: u64,
    /// Taken by the target.
    pub notified: u64,
    /// Replaced by a later note on the same case.
    pub merged: u64,
    /// Over a limit, without room, or never to be taken.
    pub suppressed: u64,
    /// On the disk.
    pub waiting: u64,
    /// What is wrong with the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What became of alerts: received = notified + merged + suppressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// All.
    pub received: u64,
    /// A new case, or one that has become worse.
    pub notified: u64,
    /// Kept with their case.
    pub merged: u64,
    /// Only counted.
    pub suppressed: u64,
}

impl Tally {
    /// The same and what another process counted.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            notified: self.notified.saturating_add(other.notified),
            merged: self.merged.saturating_add(other.merged),
            suppressed: self.suppressed.saturating_add(other.suppressed),
        }
    }

    /// The same, with what a storm brought and was not judged: `held` more of the same, `left_out` only
    /// counted.
    #[must_use]
    pub fn with_storm(self, held: u64, left_out: u64) -> Self {
        Self {
            received: self.received + held + left_out,
            notified: self.notified,
            merged: self.merged + held,
            suppressed: self.suppressed + left_out,
        }
    }
}
