//! What confirmed and dismissed cases teach: a log of clicks in, counts for a [`Model`] out.
//!
//! The whole log is replayed each time; nothing is learnt that is not in it, and never from a verdict
//! that nobody looked at. For each opinion of a case whose truth an operator told, the expert's counts
//! grow along an ordinal kernel `exp(-|y' - y|)` around the truth `y`, halve in 180 days, and weigh more
//! where such cases are seldom shown (inverse propensity, at most tenfold).
//!
//! Bounds: one click moves no log-likelihood ratio of an expert and no prior by more than
//! [`STEP_NATS`], whatever else is in the log, because no cell grows by more than a tenth of what the
//! cold model imagines in it; of one operator the first [`DAY_CLICKS`] clicks of a day count. Clicks of
//! the same time count the same in any order. An operator's later word on a case replaces the earlier
//! one; two operators who differ both count. What lies in the future counts as of now.

mod log;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use log::{
    BadLog, CLICKS_MAX, Folded, LINE_BYTES_MAX, LOG_BYTES_MAX, Log, OPINIONS_MAX, Unread,
};

use crate::likelihood::{COLD_CASES, Counts, THRESHOLDS, cold_confusion};
use crate::{Kind, Model, Opinion, Severity};

/// Most nats by which one click moves a log-likelihood ratio of an expert, or a prior.
pub const STEP_NATS: f64 = 0.2;
/// Days after which a click weighs half.
pub const HALF_LIFE_DAYS: f64 = 180.0;
/// Clicks of one operator that count on one day (UTC).
pub const DAY_CLICKS: usize = 20;
/// Most experts that are learnt about; further ones in order of name are left out.
pub const EXPERTS_MAX: usize = 256;
/// Days that count as recent in an expert's trend.
pub const RECENT_DAYS: i64 = 30;

/// A cell grows by at most this share of the cold model's: the ratio of two means of cells then moves by
/// at most 2 ln 1.1 = 0.19 nats (the cell itself, and its row's sum).
const CELL_STEP: f64 = 0.1;
/// Least chance of being shown that is corrected for.
const SHOWN_LEAST: f64 = 0.1;
/// Imagined cases behind a prior; a click weighs at most a tenth of them, which moves it by 2 ln 1.1 nats.
const PRIOR_CASES: f64 = 50.0;
const DAY_SECONDS: i64 = 86_400;

/// What an operator says about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// There is nothing wrong.
    Dismiss,
    /// It is as bad as it was judged.
    Confirm,
    /// It is this bad.
    Severity(Severity),
}

/// One expert's opinion in a case, as far as it can be learnt from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Name of the expert.
    pub expert: String,
    /// Probability per level.
    pub distribution: [f64; 5],
    /// 0 to 1.
    pub confidence: f64,
}

impl From<&Opinion> for Said {
    fn from(opinion: &Opinion) -> Self {
        let Opinion { expert, distribution, confidence, .. } = opinion;
        Self { expert: expert.clone(), distribution: *distribution, confidence: *confidence }
    }
}

/// One word of an operator about one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Click {
    /// When, seconds since the epoch.
    pub time: i64,
    /// Who: a uid.
    pub operator: u32,
    /// The verdict's trace.
    pub trace: String,
    /// The finding, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub finding: String,
    /// What was said.
    pub word: Word,
    /// Sort of evidence.
    pub kind: Kind,
    /// The level that was judged.
    pub severity: Severity,
    /// How likely such a case is shown to an operator at all, 0 to 1.
    pub shown: f64,
    /// What the experts had said.
    pub opinions: Vec<Said>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Click {
    /// What the operator holds to be true.
    pub fn truth(&self) -> Severity {
        match self.word {
            Word::Dismiss => Severity::Info,
            Word::Confirm => self.severity,
            Word::Severity(level) => level,
        }
    }

    /// How much the click weighs for cases like it that are not shown.
    fn correction(&self) -> f64 {
        let shown = if self.shown.is_finite() { self.shown } else { 1.0 };
        1.0 / shown.clamp(SHOWN_LEAST, 1.0)
    }
}

/// How often an expert was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// Its most probable level was the truth.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

impl Hits {
    /// Share of hits; `None` where there was nothing to be right about.
    pub fn rate(self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }

    fn count(&mut self, hit: bool) {
        *(if hit { &mut self.hits } else { &mut self.misses }) += 1;
    }
}

/// An expert's record, from cases whose truth somebody told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// In the last [`RECENT_DAYS`].
    pub recent: Hits,
    /// Before that.
    pub before: Hits,
}

impl Record {
    /// How its share of hits has changed lately, -1 to 1; `None` without both a past and a present.
    pub fn trend(&self) -> Option<f64> {
        Some(self.recent.rate()? - self.before.rate()?)
    }
}

/// Weight of truths and of judgements worse than each level, for one kind of evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Weight of all.
    pub all: f64,
    /// Weight of those whose truth was worse than the level.
    pub true_worse: [f64; THRESHOLDS],
    /// Weight of those judged worse than the level.
    pub judged_worse: [f64; THRESHOLDS],
}

/// What a log of clicks teaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Learnt {
    /// Additive counts by expert.
    pub counts: BTreeMap<String, Counts>,
    /// Shifts of the prior by kind of evidence, in nats per threshold.
    pub shifts: Vec<(Kind, [f64; THRESHOLDS])>,
    /// Hash of everything that went in.
    pub digest: [u8; 32],
    /// Hits and misses by expert.
    pub records: BTreeMap<String, Record>,
    /// Clicks that counted, folded ones too.
    pub clicks: u64,
    /// Clicks beyond an operator's [`DAY_CLICKS`].
    pub beyond: u64,
    /// Clicks that were replaced by a later word of the same operator on the same case.
    pub replaced: u64,
}

impl Learnt {
    /// The model that has learnt it.
    pub fn model(&self) -> Model {
        Model::learnt(&self.counts, &self.shifts, self.digest)
    }
}

/// Replays the log as of `now` (seconds since the epoch).
pub fn learn(log: &Log, now: i64) -> Learnt {
    let chosen = choose(&log.clicks, now);
    let mut sums = Sums::from_folded(log.folded.as_ref(), now);
    for click in &chosen.counted {
        sums.add(click, now);
    }
    Learnt {
        digest: digest(log.folded.as_ref(), &chosen, now),
        shifts: sums.tallies.iter().map(|(kind, tally)| (*kind, shift(tally))).collect(),
        counts: sums.counts,
        records: sums.records,
        clicks: log.folded.as_ref().map_or(0, |folded| folded.clicks) + chosen.counted.len() as u64,
        beyond: log.folded.as_ref().map_or(0, |folded| folded.beyond) + chosen.beyond,
        replaced: log.folded.as_ref().map_or(0, |folded| folded.replaced) + chosen.replaced,
    }
}

/// The clicks that count, in an order that does not depend on the one they came in.
struct Chosen<'a> {
    counted: Vec<&'a Click>,
    beyond: u64,
    replaced: u64,
}

fn choose(clicks: &[Click], now: i64) -> Chosen<'_> {
    // The truth before the rest: of two words at the same second the graver one is the later.
    let key = |click: &&Click| {
        let whole = serde_json::to_string(click).unwrap_or_default();
        (click.time.min(now), click.operator, click.trace.clone(), click.truth(), whole)
    };
    let mut sorted: Vec<&Click> = clicks.iter().collect();
    sorted.sort_by_cached_key(key);
    let mut last: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for (place, click) in sorted.iter().enumerate() {
        last.insert((click.operator, &click.trace), place);
    }
    let mut of_day: BTreeMap<(u32, i64), usize> = BTreeMap::new();
    let mut chosen = Chosen { counted: Vec::new(), beyond: 0, replaced: 0 };
    for (place, click) in sorted.iter().enumerate() {
        if last.get(&(click.operator, click.trace.as_str())) != Some(&place) {
            chosen.replaced += 1;
            continue;
        }
        let day = click.time.min(now).div_euclid(DAY_SECONDS);
        let counted = of_day.entry((click.operator, day)).or_default();
        if *counted < DAY_CLICKS {
            *counted += 1;
            chosen.counted.push(click);
        } else {
            chosen.beyond += 1;
        }
    }
    chosen
}

/// What was added up.
#[derive(Default)]
struct Sums {
    counts: BTreeMap<String, Counts>,
    tallies: BTreeMap<Kind, Tally>,
    records: BTreeMap<String, Record>,
}

impl Sums {
    fn from_folded(folded: Option<&Folded>, now: i64) -> Self {
        let Some(folded) = folded else { return Self::default() };
        let fade = fade(folded.through, now);
        let counts = folded.counts.iter().take(EXPERTS_MAX);
        let tallies = folded.tallies.iter().map(|(kind, tally)| {
            let faded = Tally {
                all: tally.all * fade,
                true_worse: tally.true_worse.map(|weight| weight * fade),
                judged_worse: tally.judged_worse.map(|weight| weight * fade),
            };
            (*kind, faded)
        });
        Self {
            counts: counts
                .map(|(name, counts)| (name.clone(), counts.map(|row| row.map(|n| n * fade))))
                .collect(),
            tallies: tallies.collect(),
            records: folded.records.iter().map(|(name, record)| (name.clone(), *record)).collect(),
        }
    }

    fn add(&mut self, click: &Click, now: i64) {
        let time = click.time.min(now);
        let (fade, truth) = (fade(time, now), click.truth());
        self.tally(click, fade);
        let recent = now.saturating_sub(time) <= RECENT_DAYS * DAY_SECONDS;
        let mut heard_already = BTreeSet::new();
        for said in &click.opinions {
            // The panel asks each once: whoever stands there twice was written by another hand.
            if !heard_already.insert(said.expert.as_str()) {
                continue;
            }
            let known = self.counts.contains_key(&said.expert);
            let Some(said) = heard(said).filter(|_| known || self.counts.len() < EXPERTS_MAX)
            else {
                continue;
            };
            let step = step(&said, truth, click.correction());
            let counts = self.counts.entry(said.expert.clone()).or_default();
            for (row, grown) in counts.iter_mut().zip(step) {
                for (cell, grown) in row.iter_mut().zip(grown) {
                    *cell += grown * fade;
                }
            }
            let record = self.records.entry(said.expert.clone()).or_default();
            let hits = if recent { &mut record.recent } else { &mut record.before };
            hits.count(level(&said.distribution) == truth);
        }
    }

    fn tally(&mut self, click: &Click, fade: f64) {
        let weight = click.correction().min(PRIOR_CASES / 10.0) * fade;
        let tally = self.tallies.entry(click.kind).or_default();
        tally.all += weight;
        for k in 0..THRESHOLDS {
            if click.truth().index() > k {
                tally.true_worse[k] += weight;
            }
            if click.severity.index() > k {
                tally.judged_worse[k] += weight;
            }
        }
    }
}

/// What is left of a click's weight.
fn fade(time: i64, now: i64) -> f64 {
    let days = now.saturating_sub(time).max(0) as f64 / DAY_SECONDS as f64;
    (-days / HALF_LIFE_DAYS).exp2()
}

/// An opinion with a distribution that sums to 1; `None` for one that makes no sense.
fn heard(said: &Said) -> Option<Said> {
    let opinion = Opinion {
        expert: said.expert.clone(),
        distribution: said.distribution,
        confidence: said.confidence,
        rationale: String::new(),
        sources: Vec::new(),
        facts: Vec::new(),
    };
    opinion.checked().ok().map(|opinion| Said::from(&opinion))
}

/// The most probable level, the higher one of equals.
fn level(distribution: &[f64; 5]) -> Severity {
    let best =
        (1..5).fold(0, |best, at| if distribution[at] >= distribution[best] { at } else { best });
    Severity::from_index(best)
}

/// What one click adds to the counts of one expert, before it fades.
fn step(said: &Said, truth: Severity, correction: f64) -> Counts {
    let cold = cold_confusion(&said.expert);
    let near: [f64; 5] = std::array::from_fn(|row| (-(row.abs_diff(truth.index()) as f64)).exp());
    let sum: f64 = near.iter().sum();
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            // What was nearly right is no hit: hits alone raise what a stranger may say.
            if row == column && row != truth.index() {
                return 0.0;
            }
            let wanted = correction * near[row] / sum * said.distribution[column] * said.confidence;
            // The bound falls with the distance too: else rare cells near the truth would grow no faster
            // than those far from it, and nothing would be learnt from what is surprising.
            wanted.min(CELL_STEP * near[row] * COLD_CASES * cold[row][column])
        })
    })
}

/// By how much truths were commoner than judgements, in nats per threshold.
fn shift(tally: &Tally) -> [f64; THRESHOLDS] {
    let odds = |worse: f64| {
        ((worse.max(0.0) + PRIOR_CASES) / ((tally.all - worse).max(0.0) + PRIOR_CASES)).ln()
    };
    std::array::from_fn(|k| odds(tally.true_worse[k]) - odds(tally.judged_worse[k]))
}

fn digest(folded: Option<&Folded>, chosen: &Chosen<'_>, now: i64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"wardmote.learnt/1\0");
    hash.update(now.to_le_bytes());
    // Values of these types always have a JSON form, and the same values the same one.
    hash.update(serde_json::to_vec(&folded).unwrap_or_default());
    for click in &chosen.counted {
        let line = serde_json::to_vec(click).unwrap_or_default();
        hash.update((line.len() as u64).to_le_bytes());
        hash.update(line);
    }
    hash.finalize().into()
}
