//! Guardian Proof: is what the panel says good enough to act on?
//!
//! It reads the verdict and nothing else: level, probability, how many experts and sources may be wrong,
//! how old it is, whether somebody has dismissed it. What the action would be, and whom it would hit, it
//! is never told; that is [`super::harm`]'s. What it cannot tell is a doubt.

use std::fmt;

use consensus::{Severity, Verdict};

use super::Answer;

/// A verdict may be stamped so much later than now: clocks are read one after the other.
const CLOCK_SLACK_S: i64 = 5;

/// What a verdict has to be worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// At least this level.
    pub level: Severity,
    /// At least this probability of that level or a worse one, 0 to 1.
    pub probability: f64,
    /// So many experts may be wrong without changing it.
    pub experts: usize,
    /// So many sources may be forged without changing it.
    pub sources: usize,
    /// What happened last, and the verdict on it, are at most so old, in seconds.
    pub fresh_s: i64,
}

/// A verdict as Proof reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Testimony {
    /// The decision.
    pub severity: Severity,
    /// Probability per level, lowest first.
    pub probabilities: [f64; 5],
    /// How many experts may be wrong.
    pub experts: usize,
    /// How many sources may be forged.
    pub sources: usize,
    /// The panel itself asks for a human.
    pub needs_human: bool,
    /// When it was judged, seconds since the epoch.
    pub judged: i64,
    /// When what it is about last happened; `None` for a state.
    pub happened: Option<i64>,
    /// Whether an operator dismissed it; `None` where that could not be read.
    pub dismissed: Option<bool>,
    /// The second reading found its evidence at fault, or refuted it.
    pub refuted: bool,
}

impl Testimony {
    /// What a verdict says.
    pub fn of(
        verdict: &Verdict,
        judged: i64,
        happened: Option<i64>,
        dismissed: Option<bool>,
    ) -> Self {
        let probability = |level| verdict.probabilities.get(&level).copied().unwrap_or(0.0);
        Self {
            severity: verdict.severity,
            probabilities: Severity::ALL.map(probability),
            experts: verdict.stands_without_experts,
            sources: verdict.stands_without_sources,
            needs_human: verdict.needs_human,
            judged,
            happened,
            dismissed,
            refuted: false,
        }
    }

    /// Probability of a level or a worse one.
    pub fn at_least(&self, level: Severity) -> f64 {
        self.probabilities[level.index()..].iter().sum()
    }
}

/// Why Proof says no.
#[derive(Clone, Debug, PartialEq)]
pub enum Doubt {
    /// Not bad enough.
    Level {
        /// What it is.
        is: Severity,
        /// What it has to be.
        wanted: Severity,
    },
    /// Not likely enough.
    Probability {
        /// What it is.
        is: f64,
        /// What it has to be.
        wanted: f64,
    },
    /// Too few experts may be wrong.
    Experts {
        /// So many may.
        is: usize,
        /// So many have to.
        wanted: usize,
    },
    /// Too few sources may be forged.
    Sources {
        /// So many may.
        is: usize,
        /// So many have to.
        wanted: usize,
    },
    /// The panel itself is too uncertain.
    NeedsHuman,
    /// Judged, or happened, too long ago.
    Old {
        /// Its age in seconds.
        seconds: i64,
    },
    /// Judged, or happened, in the future.
    Future,
    /// An operator has dismissed it.
    Dismissed,
    /// What operators said could not be read.
    FeedbackUnread,
    /// It did not stand a second reading.
    Refuted,
}

impl fmt::Display for Doubt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level { is, wanted } => write!(out, "it is {is}, not {wanted}"),
            Self::Probability { is, wanted } => {
                write!(out, "its probability is {is:.2}, below {wanted:.2}")
            }
            Self::Experts { is, wanted } => {
                write!(out, "{is} experts may be wrong without changing it, fewer than {wanted}")
            }
            Self::Sources { is, wanted } => {
                write!(out, "{is} sources may be forged without changing it, fewer than {wanted}")
            }
            Self::NeedsHuman => out.write_str("the panel is too uncertain"),
            Self::Old { seconds } => write!(out, "it is {seconds} s old"),
            Self::Future => out.write_str("it is from the future: a clock is wrong"),
            Self::Dismissed => out.write_str("an operator has dismissed it"),
            Self::Refuted => out.write_str("a second reading of its evidence speaks against it"),
            Self::FeedbackUnread => out.write_str("what operators said of it could not be read"),
        }
    }
}

/// Whether a verdict is good enough, or every doubt about it.
pub fn proof(testimony: &Testimony, bar: &Bar, now: i64) -> Answer<Doubt> {
    let mut doubts = Vec::new();
    if testimony.severity < bar.level {
        doubts.push(Doubt::Level { is: testimony.severity, wanted: bar.level });
    }
    let likely = testimony.at_least(bar.level);
    // Written so that what is no number is a doubt.
    if !(likely >= bar.probability && likely.is_finite()) {
        doubts.push(Doubt::Probability { is: likely, wanted: bar.probability });
    }
    if testimony.experts < bar.experts {
        doubts.push(Doubt::Experts { is: testimony.experts, wanted: bar.experts });
    }
    if testimony.sources < bar.sources {
        doubts.push(Doubt::Sources { is: testimony.sources, wanted: bar.sources });
    }
    if testimony.needs_human {
        doubts.push(Doubt::NeedsHuman);
    }
    let times = [Some(testimony.judged), testimony.happened];
    let age = |time: i64| now.saturating_sub(time);
    let oldest = times.iter().flatten().map(|time| age(*time)).max().unwrap_or(i64::MAX);
    if oldest > bar.fresh_s {
        doubts.push(Doubt::Old { seconds: oldest });
    }
    if times.iter().flatten().any(|time| age(*time) < -CLOCK_SLACK_S) {
        doubts.push(Doubt::Future);
    }
    if testimony.refuted {
        doubts.push(Doubt::Refuted);
    }
    match testimony.dismissed {
        Some(false) => {}
        Some(true) => doubts.push(Doubt::Dismissed),
        None => doubts.push(Doubt::FeedbackUnread),
    }
    Answer::of(doubts)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A verdict that passes [`bar`].
    pub fn sure(now: i64) -> Testimony {
        Testimony {
            severity: Severity::High,
            probabilities: [0.0, 0.0, 0.02, 0.9, 0.08],
            experts: 2,
            sources: 1,
            needs_human: false,
            judged: now,
            happened: Some(now - 10),
            dismissed: Some(false),
            refuted: false,
        }
    }

    pub fn bar() -> Bar {
        Bar { level: Severity::High, probability: 0.8, experts: 1, sources: 1, fresh_s: 900 }
    }

    #[test]
    fn a_sure_verdict_passes_and_each_single_doubt_is_enough() {
        let now = 1_000_000;
        assert_eq!(proof(&sure(now), &bar(), now), Answer::Yes);
        let mut spoilt: Vec<(Testimony, &str)> = Vec::new();
        let mut spoil = |how: fn(&mut Testimony), why| {
            let mut one = sure(1_000_000);
            how(&mut one);
            spoilt.push((one, why));
        };
        spoil(|one| one.severity = Severity::Medium, "not high");
        spoil(|one| one.probabilities = [0.0, 0.0, 0.3, 0.7, 0.0], "0.70, below 0.80");
        spoil(|one| one.probabilities[3] = f64::NAN, "NaN");
        spoil(|one| one.probabilities[3] = f64::INFINITY, "inf");
        spoil(|one| one.experts = 0, "0 experts");
        spoil(|one| one.sources = 0, "0 sources");
        spoil(|one| one.needs_human = true, "uncertain");
        spoil(|one| one.judged -= 901, "901 s old");
        spoil(|one| one.happened = Some(1_000_000 - 901), "901 s old");
        spoil(|one| one.judged = i64::MIN, "s old");
        spoil(|one| one.judged += 6, "future");
        spoil(|one| one.happened = Some(i64::MAX), "future");
        spoil(|one| one.dismissed = Some(true), "dismissed");
        spoil(|one| one.dismissed = None, "could not be read");
        spoil(|one| one.refuted = true, "second reading");
        for (one, why) in spoilt {
            let answer = proof(&one, &bar(), now);
            let Answer::No(doubts) = &answer else { panic!("{why}: {answer:?}") };
            assert_eq!(doubts.len(), 1, "{why}: {doubts:?}");
            assert!(doubts[0].to_string().contains(why), "{why}: {}", doubts[0]);
        }
    }

    #[test]
    fn just_within_the_bounds_is_within() {
        let now = 1_000_000;
        let edge = Testimony {
            judged: now - 900,
            happened: Some(now + CLOCK_SLACK_S),
            probabilities: [0.0, 0.0, 0.2, 0.5, 0.3],
            ..sure(now)
        };
        assert_eq!(proof(&edge, &bar(), now), Answer::Yes);
        assert_eq!(proof(&Testimony { happened: None, ..sure(now) }, &bar(), now), Answer::Yes);
    }

    #[test]
    fn a_verdict_is_read_whole() {
        let evidence = serde_json::json!({
            "severity": "high", "probabilities": {"high": 0.75, "critical": 0.25}, "agreement": 1.0,
            "dissent": [], "reasons": [], "trace": "t", "stands_without_experts": 3,
            "stands_without_sources": 2, "needs_human": true
        });
        let verdict: Verdict = serde_json::from_value(evidence).unwrap();
        let read = Testimony::of(&verdict, 5, Some(4), None);
        assert_eq!(read.probabilities, [0.0, 0.0, 0.0, 0.75, 0.25]);
        assert_eq!((read.experts, read.sources, read.needs_human), (3, 2, true));
        assert_eq!((read.at_least(Severity::High), read.at_least(Severity::Critical)), (1.0, 0.25));
        assert_eq!((read.judged, read.happened, read.dismissed), (5, Some(4), None));
    }
}
