//! The terms of fusion: what becomes of an alert, what a case is, and what was counted.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::Severity;

/// The number of a case: the first case of a stream has the first number, and so on. Of cases that are
/// joined, the lowest number stays; a number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct CaseId(pub u64);

/// The number of a joining, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct JoiningId(pub u64);

/// Two cases that were joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Joining {
    /// Its number.
    pub id: JoiningId,
    /// The two, the lower number first. Each may itself have been joined with others before.
    pub cases: [CaseId; 2],
    /// Whether an operator joined them rather than an alert that belongs to both.
    pub by_operator: bool,
}

/// Why an alert is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It adds nothing to its episode, and is no exemplar.
    Duplicate,
    /// Its case had too much news in short time; never said of `high` and `critical`.
    Storm,
    /// Too many new cases in short time; its case is notified later, where it goes on. Never said of
    /// `high` and `critical`.
    Limit,
    /// Older than the newest alert by more than the gap.
    Late,
    /// From further ahead of the time that was told than the gap.
    Ahead,
}

impl Reason {
    /// All reasons: number `i` of [`Tally::suppressed`] belongs to `ALL[i]`.
    pub const ALL: [Self; 5] = [Self::Duplicate, Self::Storm, Self::Limit, Self::Late, Self::Ahead];
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Somebody is told: a new case, or a higher level of one.
    Notified,
    /// It is kept with its case: something new about it, or an exemplar of what repeats.
    Merged,
    /// It is counted only.
    Suppressed(Reason),
}

/// What became of one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Outcome {
    /// Its case, as it is called now; none for what is late or ahead.
    pub case: Option<CaseId>,
    /// What became of it.
    pub fate: Fate,
}

/// How many alerts there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// All of them.
    pub received: u64,
    /// Of them, notified.
    pub notified: u64,
    /// Of them, merged.
    pub merged: u64,
    /// Of them, suppressed, by reason as in [`Reason::ALL`].
    pub suppressed: [u64; Reason::ALL.len()],
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(&mut self, fate: Fate) {
        self.received += 1;
        match fate {
            Fate::Notified => self.notified += 1,
            Fate::Merged => self.merged += 1,
            Fate::Suppressed(reason) => self.suppressed[reason as usize] += 1,
        }
    }

    /// Counts all of another.
    pub(super) fn join(&mut self, other: &Self) {
        self.received += other.received;
        self.notified += other.notified;
        self.merged += other.merged;
        self.suppressed.iter_mut().zip(other.suppressed).for_each(|(sum, part)| *sum += part);
    }

    /// Whether received = notified + merged + suppressed. Always.
    pub fn holds(&self) -> bool {
        let suppressed: u64 = self.suppressed.iter().sum();
        self.received == self.notified + self.merged + suppressed
    }
}

/// What was counted since the stream began. Open cases = opened - joined - closed - evicted; received =
/// those of the open, closed and evicted cases + late + ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// The alerts.
    pub tally: Tally,
    /// Episodes begun.
    pub episodes: u64,
    /// Cases opened.
    pub opened: u64,
    /// Joinings of two cases that were not taken back.
    pub joined: u64,
    /// Alerts that belonged to two cases that were not joined: told apart by an operator, or too full.
    pub unjoined: u64,
    /// Cases given out as over.
    pub closed: u64,
    /// Cases dropped to make room for others.
    pub evicted: u64,
    /// Alerts of those.
    pub evicted_alerts: u64,
    /// Indicators not looked at because an alert had too many.
    pub cut: u64,
}

/// What a case lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// A host.
    Host,
    /// The name of a rule.
    Name,
    /// An address.
    Ip,
    /// An account.
    User,
    /// Anything else that alerts share.
    Indicator,
}

/// Alerts that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Case {
    /// Its number: the lowest of those that were joined.
    pub id: CaseId,
    /// The other numbers, sorted.
    pub joined: Vec<CaseId>,
    /// Its first alert, seconds since the epoch.
    pub first: i64,
    /// Its last alert.
    pub last: i64,
    /// The highest level of its alerts.
    pub level: Severity,
    /// Its alerts.
    pub tally: Tally,
    /// What they are about, sorted.
    pub keys: Vec<(Sort, Arc<str>)>,
}
