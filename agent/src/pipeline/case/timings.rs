//! What each stage took: how often, in all, and at most.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Is it worth more than the panel?
    Assess,
    /// What was like it?
    Retrieve,
    /// The first questions.
    Decompose,
    /// May it be believed?
    Verify,
    /// Who is asked?
    Route,
    /// Their opinions.
    Collect,
    /// The verdict.
    Synthesize,
    /// Into the store and the journal.
    Record,
    /// Told, and answered.
    Respond,
}

impl Stage {
    /// Its name in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assess => "assess",
            Self::Retrieve => "retrieve",
            Self::Decompose => "decompose",
            Self::Verify => "verify",
            Self::Route => "route",
            Self::Collect => "collect",
            Self::Synthesize => "synthesize",
            Self::Record => "record",
            Self::Respond => "respond",
        }
    }

    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Assess,
        Self::Retrieve,
        Self::Decompose,
        Self::Verify,
        Self::Route,
        Self::Collect,
        Self::Synthesize,
        Self::Record,
        Self::Respond,
    ];
}

/// What one stage took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Took {
    /// How often it ran.
    pub count: u64,
    /// In all, nanoseconds.
    pub total_ns: u64,
    /// The longest, nanoseconds.
    pub most_ns: u64,
}

/// What all stages took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings([Took; Stage::ALL.len()]);

impl Timings {
    /// One run of a stage.
    pub fn add(&mut self, stage: Stage, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let sum = &mut self.0[stage as usize];
        sum.count += 1;
        sum.total_ns = sum.total_ns.saturating_add(nanos);
        sum.most_ns = sum.most_ns.max(nanos);
    }

    /// The same and what another process took.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            sum.count = sum.count.saturating_add(more.count);
            sum.total_ns = sum.total_ns.saturating_add(more.total_ns);
            sum.most_ns = sum.most_ns.max(more.most_ns);
        }
        self
    }

    /// Each stage with what it took.
    pub fn stages(&self) -> impl Iterator<Item = (Stage, Took)> + use<> {
        Stage::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_add_up_by_stage() {
        let mut timings = Timings::default();
        timings.add(Stage::Verify, Duration::from_nanos(5));
        timings.add(Stage::Verify, Duration::from_nanos(7));
        let verify = timings.stages().find(|(stage, _)| *stage == Stage::Verify).unwrap().1;
        assert_eq!(verify, Took { count: 2, total_ns: 12, most_ns: 7 });
        assert_eq!(timings.stages().filter(|(_, took)| took.count == 0).count(), 8);
        assert!(Stage::ALL.iter().enumerate().all(|(place, stage)| *stage as usize == place));
    }
}
