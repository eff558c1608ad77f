//! Opinions in, one verdict out: the anchored ordinal log-linear pool.
//!
//! For each threshold "worse than info, low, medium, high" the pool adds, in integer micro-nats, the
//! prior of the kind of evidence and what each opinion is worth ([`likelihood`]), weighted by its
//! confidence and shared among [`copies`]. Calling too low costs 3 per level, calling too high costs 1:
//! that loss falls apart into the thresholds, so the level that costs least is the one up to which every
//! sum stays above -ln 3. The explanation is therefore exact: the contributions at one threshold, the
//! prior and the ln 3 of caution add up to the margin of the decision; and so is what [`certificate`]
//! says about how many experts could be wrong.
//!
//! Invariants: the verdict is never below the evidence's floor; what was only inferred is held at medium
//! unless three experts from two sources spoke; opinions in any order give the same bytes; an expert who
//! raises its level never lowers the verdict; n copies weigh as one. Refused: opinions that make no
//! sense, and more than [`MAX_OPINIONS`]; both are named in the reasons.

mod certificate;
mod copies;
mod tell;

use std::collections::BTreeMap;

pub use certificate::{Bounds, Certificate, EXACT};

use crate::likelihood::{self, Model, NAT, THRESHOLDS, Table};
use crate::opinion::MAX_NAMED;
use crate::trace::{self, Digest};
use crate::{Dissent, Evidence, Kind, Opinion, Proof, Severity, Verdict, gate};
use copies::Share;

/// Most opinions that are pooled about one piece of evidence.
pub const MAX_OPINIONS: usize = 256;

/// Calling a level too low costs this many times as much as calling it a level too high.
pub const COST_OF_MISSING: f64 = 3.0;

/// ln 3 in micro-nats: how far below even odds a threshold may be and still count as passed.
pub const CAUTION: i64 = 1_098_612;

/// Below this probability of being within one level of the truth, a human should look.
const SURE_ENOUGH: f64 = 0.75;

/// The probability that the set of levels holds, in parts per million.
const SET_PPM: i64 = 900_000;

/// Parts per million: the resolution of probabilities and confidences.
const PPM: i64 = 1_000_000;

/// What one opinion adds at each threshold, in micro-nats towards "worse than level k", after
/// confidence, cap and copy discount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// What it adds.
    pub towards: [i64; THRESHOLDS],
    /// The least that this expert could add, whatever it said.
    pub least: [i64; THRESHOLDS],
    /// The most that it could add.
    pub most: [i64; THRESHOLDS],
    /// The weight it had, in nats: cap times confidence, shared among copies.
    pub weight: f64,
    /// What it shares with those who copy it.
    share: Share,
}

/// The sums behind a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighing {
    /// What the kind of evidence says before anybody spoke, per threshold.
    pub prior: [i64; THRESHOLDS],
    /// One entry an opinion, in the order of the experts' names.
    pub contributions: Vec<Contribution>,
    /// Prior plus contributions.
    pub sums: [i64; THRESHOLDS],
    /// The level that the opinions decide, before any floor or cap.
    pub decided: Severity,
    /// How many experts spoke, those who say the same counted once.
    pub voices: usize,
    /// The largest difference that rounding among copies may make, in micro-nats.
    pub rounding: i64,
}

/// Why the decision is what it is: everything here adds up to `margin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The question that decided: is it worse than this level?
    pub worse_than: Severity,
    /// Micro-nats for "worse"; above zero is yes.
    pub margin: i64,
    /// The prior's part.
    pub prior: i64,
    /// The part of the cost of missing something.
    pub caution: i64,
    /// Each opinion's part, in the order of [`Weighing::contributions`].
    pub parts: Vec<i64>,
}

/// Pools the opinions about one piece of evidence; `context` is the digest of what the experts knew.
pub fn pool(
    evidence: &Evidence,
    context: &Digest,
    opinions: Vec<Opinion>,
    model: &Model,
) -> Verdict {
    let (opinions, refused) = admitted(opinions);
    let weighing = weigh(evidence, &opinions, model);
    let cap = gate::cap(evidence.proof, weighing.voices, sources(&opinions));
    let bounds = Bounds { floor: evidence.floor, cap };
    let severity = bounds.hold(weighing.decided);
    let worse = worse(&weighing.sums, &bounds);
    let within: i64 = share(&worse, severity.index().saturating_sub(1), severity.index() + 1);
    let proven = evidence.proof == Proof::Direct && evidence.floor == Some(severity);
    let capped = (severity < weighing.decided).then_some(weighing.decided);
    let unsure = opinions.is_empty() || (within as f64) < SURE_ENOUGH * PPM as f64;
    let certificate = Certificate::of(&weighing, &opinions, &bounds, model);
    let mut reasons = tell::reasons(evidence, &weighing, &opinions, severity, capped);
    reasons.extend(refused);
    Verdict {
        severity,
        needs_human: capped.is_some() || (!proven && unsure),
        probabilities: probabilities(&worse),
        set: set(&worse, severity),
        agreement: agreement(&weighing, &opinions),
        dissent: dissent(&weighing, &opinions, severity),
        effective_experts: thousandths(
            weighing.contributions.iter().map(|part| part.share.weight()).sum(),
        ),
        stands_without_experts: certificate.experts,
        stands_without_sources: certificate.sources,
        would_change: certificate.would_change,
        capped,
        reasons,
        trace: trace::id(evidence, context, &opinions, model),
        opinions,
    }
}

/// Adds up what well-formed opinions, sorted by name, say about this evidence.
pub fn weigh(evidence: &Evidence, opinions: &[Opinion], model: &Model) -> Weighing {
    let prior = prior(evidence.kind, model);
    let shares = copies::shares(evidence, opinions);
    let mut contributions: Vec<Contribution> =
        opinions.iter().zip(&shares).map(|(one, share)| contribution(one, *share, model)).collect();
    let rounding = join_copies(opinions, &shares, model, &mut contributions);
    let mut sums = prior;
    for part in &contributions {
        sums.iter_mut().zip(part.towards).for_each(|(sum, towards)| *sum += towards);
    }
    let voices = opinions
        .iter()
        .zip(shares.iter().enumerate())
        .filter(|(opinion, (place, share))| share.first == *place && opinion.confidence > 0.0)
        .count();
    Weighing { prior, decided: decided(&sums), contributions, sums, voices, rounding }
}

/// How many sources the opinions rest on; one that names none is a source of its own. A stranger may
/// name what it likes, so it brings one at most.
fn sources(opinions: &[Opinion]) -> usize {
    let spoken = opinions.iter().filter(|opinion| opinion.confidence > 0.0);
    let mut named: Vec<&str> = spoken
        .clone()
        .flat_map(|opinion| {
            let most = if likelihood::is_known(&opinion.expert) { MAX_NAMED } else { 1 };
            opinion.sources.iter().take(most).map(String::as_str)
        })
        .collect();
    named.sort_unstable();
    named.dedup();
    named.len() + spoken.filter(|opinion| opinion.sources.is_empty()).count()
}

/// The level up to which every threshold is passed.
fn decided(sums: &[i64; THRESHOLDS]) -> Severity {
    Severity::from_index(sums.iter().take_while(|sum| **sum > -CAUTION).count())
}

impl Weighing {
    /// Explains the decision at the threshold that decided: the highest one passed where it is at or
    /// above the declared level, else the lowest one missed.
    pub fn explain(&self, declared: Severity) -> Explanation {
        let level = self.decided.index();
        let k = if level > 0 && self.decided >= declared {
            level - 1
        } else {
            level.min(THRESHOLDS - 1)
        };
        Explanation {
            worse_than: Severity::from_index(k),
            margin: self.sums[k] + CAUTION,
            prior: self.prior[k],
            caution: CAUTION,
            parts: self.contributions.iter().map(|part| part.towards[k]).collect(),
        }
    }
}

/// Log-odds in micro-nats per threshold before anybody spoke, as far as the model has learnt them.
/// Postures are looked for because they go wrong often; grave activities are rare among the many that
/// are logged.
pub fn prior(kind: Kind, model: &Model) -> [i64; THRESHOLDS] {
    let cold = match kind {
        Kind::Posture | Kind::Service | Kind::Patch => [1_000_000, 200_000, -1_150_000, -1_300_000],
        Kind::Activity => [300_000, -500_000, -1_300_000, -1_600_000],
    };
    let shift = model.shift(kind);
    std::array::from_fn(|k| cold[k] + shift[k])
}

/// Checks and sorts the opinions; one opinion an expert (the gravest, where one speaks twice). The
/// second part names what was refused.
fn admitted(opinions: Vec<Opinion>) -> (Vec<Opinion>, Vec<String>) {
    let mut refused = Vec::new();
    let mut kept = opinions;
    kept.retain_mut(|opinion| {
        match opinion.sense() {
            Ok(()) => opinion.settle(),
            Err(error) => {
                let shown = opinion.expert.chars().filter(|c| !c.is_control());
                let name: String = shown.take(40).collect();
                refused.push(format!("ignored: opinion of `{name}`: {error}"));
                return false;
            }
        }
        true
    });
    if !kept.is_sorted_by(|a, b| a.expert < b.expert) {
        kept.sort_by(|a, b| {
            a.expert
                .cmp(&b.expert)
                .then_with(|| survivors(b).cmp(&survivors(a)))
                .then_with(|| b.confidence.total_cmp(&a.confidence))
                .then_with(|| {
                    (&a.rationale, &a.sources, &a.facts).cmp(&(&b.rationale, &b.sources, &b.facts))
                })
                .then_with(|| {
                    a.distribution.map(f64::to_bits).cmp(&b.distribution.map(f64::to_bits))
                })
        });
        kept.dedup_by(|later, first| {
            let same = later.expert == first.expert;
            if same && later != first {
                refused.push(format!("ignored: a second opinion of `{}`", first.expert));
            }
            same
        });
    }
    if kept.len() > MAX_OPINIONS {
        let more = kept.len() - MAX_OPINIONS;
        refused.push(format!("ignored: {more} opinions beyond the first {MAX_OPINIONS}"));
        kept.truncate(MAX_OPINIONS);
    }
    refused.sort_unstable();
    refused.truncate(MAX_OPINIONS);
    (kept, refused)
}

/// Probability of each level or worse, in ppm, from `low` upwards.
fn survivors(opinion: &Opinion) -> [i64; THRESHOLDS] {
    let mut worse = 0.0;
    let mut survivors = [0; THRESHOLDS];
    for k in (0..THRESHOLDS).rev() {
        worse += opinion.distribution[k + 1];
        survivors[k] = ppm(worse);
    }
    survivors
}

fn ppm(share: f64) -> i64 {
    (share.clamp(0.0, 1.0) * PPM as f64 + 0.5) as i64
}

/// What an opinion is worth at each threshold before it is shared among copies: `survivors` as
/// [`survivors`] gives them, confidence in ppm.
fn worth(table: &Table, survivors: [i64; THRESHOLDS], confidence: i64) -> [i64; THRESHOLDS] {
    std::array::from_fn(|k| {
        let row = &table[k];
        let steps: i64 =
            (0..THRESHOLDS).map(|l| survivors[l] * (row[l + 1] - row[l])).sum::<i64>() / PPM;
        (row[0] + steps) * confidence / PPM
    })
}

fn worth_of(opinion: &Opinion, table: &Table) -> [i64; THRESHOLDS] {
    worth(table, survivors(opinion), ppm(opinion.confidence))
}

fn contribution(opinion: &Opinion, share: Share, model: &Model) -> Contribution {
    let (table, cap) = model.of(&opinion.expert);
    Contribution {
        towards: worth_of(opinion, table).map(|amount| share.of_all(amount)),
        least: std::array::from_fn(|k| share.of_all(table[k][0].min(0))),
        most: std::array::from_fn(|k| share.of_all(table[k][4].max(0))),
        weight: cap * opinion.confidence * share.weight(),
        share,
    }
}

/// What rounding leaves over among those who say the same goes to the first of them, so that n copies
/// add up to exactly one. Gives the largest difference that this can make to any sum.
fn join_copies(
    opinions: &[Opinion],
    shares: &[Share],
    model: &Model,
    contributions: &mut [Contribution],
) -> i64 {
    let mut rounding = 0;
    for (first, share) in shares.iter().enumerate() {
        if share.first != first || share.size == 1 {
            continue;
        }
        rounding += share.size + 1;
        let mut whole = [0; THRESHOLDS];
        let mut given = [0; THRESHOLDS];
        for (place, _) in shares.iter().enumerate().filter(|(_, other)| other.first == first) {
            let worth = worth_of(&opinions[place], model.of(&opinions[place].expert).0);
            for k in 0..THRESHOLDS {
                whole[k] += worth[k];
                given[k] += contributions[place].towards[k];
            }
        }
        for k in 0..THRESHOLDS {
            contributions[first].towards[k] += share.of_all(whole[k]) - given[k];
        }
    }
    rounding
}

/// Probability in ppm of each level or worse, from `info` (certain) to beyond `critical` (none); what
/// lies below the floor moves up to it. A cap moves nothing: it says that this is too little to act on.
fn worse(sums: &[i64; THRESHOLDS], bounds: &Bounds) -> [i64; THRESHOLDS + 2] {
    let mut worse = [PPM; THRESHOLDS + 2];
    worse[THRESHOLDS + 1] = 0;
    for k in 0..THRESHOLDS {
        let odds = 1.0 / (1.0 + (-(sums[k] as f64) / NAT as f64).exp());
        let known = bounds.floor.is_some_and(|floor| k < floor.index());
        // Never more likely than the threshold below it.
        worse[k + 1] = if known { PPM } else { ppm(odds).min(worse[k]) };
    }
    worse
}

fn share(worse: &[i64; THRESHOLDS + 2], from: usize, to: usize) -> i64 {
    worse[from] - worse[to.min(4) + 1]
}

fn probabilities(worse: &[i64; THRESHOLDS + 2]) -> BTreeMap<Severity, f64> {
    Severity::ALL.map(|l| (l, share(worse, l.index(), l.index()) as f64 / PPM as f64)).into()
}

/// The narrowest range of levels around the verdict with at least 90 % of the probability: the likelier
/// neighbour joins first, the graver one of equals.
fn set(worse: &[i64; THRESHOLDS + 2], severity: Severity) -> [Severity; 2] {
    let (mut low, mut high) = (severity.index(), severity.index());
    while share(worse, low, high) < SET_PPM && (low > 0 || high < 4) {
        let below = if low > 0 { share(worse, low - 1, low - 1) } else { -1 };
        let above = if high < 4 { share(worse, high + 1, high + 1) } else { -1 };
        if above >= below { high += 1 } else { low -= 1 }
    }
    [Severity::from_index(low), Severity::from_index(high)]
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// 1 minus the weighted mean distance between two experts' mean levels, over its largest value.
fn agreement(weighing: &Weighing, opinions: &[Opinion]) -> f64 {
    let weights = weighing.contributions.iter().map(|part| part.weight);
    let total: f64 = weights.clone().sum();
    if total <= 0.0 {
        return 1.0;
    }
    let mean = |opinion: &Opinion| survivors(opinion).iter().sum::<i64>() as f64 / PPM as f64;
    let mut said: Vec<(f64, f64)> = opinions.iter().map(mean).zip(weights).collect();
    said.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Sum over pairs in one pass: between neighbours, weight below times weight above.
    let mut below = 0.0;
    let mut distance = 0.0;
    for pair in said.windows(2) {
        below += pair[0].1 / total;
        distance += below * (1.0 - below) * (pair[1].0 - pair[0].0);
    }
    // The largest is 4 levels times half times half.
    (1.0 - distance).clamp(0.0, 1.0)
}

fn dissent(weighing: &Weighing, opinions: &[Opinion], severity: Severity) -> Vec<Dissent> {
    let total: f64 = weighing.contributions.iter().map(|part| part.weight).sum();
    let mut dissent: Vec<Dissent> = opinions
        .iter()
        .zip(&weighing.contributions)
        .filter(|(opinion, part)| opinion.level() != severity && part.weight > 0.0)
        .map(|(opinion, part)| Dissent {
            expert: opinion.expert.clone(),
            label: opinion.level(),
            weight: thousandths(part.weight / total),
        })
        .collect();
    dissent.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.expert.cmp(&b.expert)));
    dissent
}
