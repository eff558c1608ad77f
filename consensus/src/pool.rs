//! Opinions in, one verdict out: the anchored ordinal log-linear pool.
//!
//! For each threshold "worse than info, low, medium, high" the pool adds, in integer micro-nats, the
//! prior of the kind of evidence and what each opinion is worth ([`likelihood`]), weighted by its
//! confidence. Calling too low costs 3 per level, calling too high costs 1: that loss falls apart into
//! the thresholds, so the level that costs least is the one up to which every sum stays above
//! -ln 3. The explanation is therefore exact: the contributions at one threshold, the prior and the
//! ln 3 of caution add up to the margin of the decision.
//!
//! Invariants: the verdict is never below the evidence's floor; opinions in any order give the same
//! bytes; among experts that are not copies of each other, raising one never lowers the verdict;
//! identical opinions of strangers weigh as one. Refused: opinions that make no sense, and more than
//! [`MAX_OPINIONS`]; both are named in the reasons.

use std::collections::BTreeMap;

use crate::likelihood::{self, Model, NAT, THRESHOLDS};
use crate::trace::{self, Digest};
use crate::{Dissent, Evidence, Kind, Opinion, Proof, Severity, Verdict};

/// Most opinions that are pooled about one piece of evidence.
pub const MAX_OPINIONS: usize = 256;

/// Calling a level too low costs this many times as much as calling it a level too high.
pub const COST_OF_MISSING: f64 = 3.0;

/// ln 3 in micro-nats: how far below even odds a threshold may be and still count as passed.
const CAUTION: i64 = 1_098_612;

/// Below this probability of being within one level of the truth, a human should look.
const SURE_ENOUGH: f64 = 0.75;

/// Parts per million: the resolution of probabilities and confidences.
const PPM: i64 = 1_000_000;

/// What one opinion adds at each threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// Who.
    pub expert: String,
    /// Micro-nats towards "worse than level k", after confidence, cap and copy discount.
    pub towards: [i64; THRESHOLDS],
    /// The weight it had, in nats: cap times confidence, shared among copies.
    pub weight: f64,
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
    /// The level that the opinions decide, before any floor.
    pub decided: Severity,
}

/// Why the decision is what it is: everything here adds up to `margin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The level that it was decided against: one below, or one above, the decision.
    pub over: Severity,
    /// Micro-nats by which the decision stands; not negative.
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
    let weighing = weigh(evidence.kind, &opinions, model);
    let severity = evidence.floor.map_or(weighing.decided, |floor| floor.max(weighing.decided));
    let probabilities = probabilities(&weighing.sums, evidence.floor);
    let within: f64 = probabilities
        .iter()
        .filter(|(level, _)| level.index().abs_diff(severity.index()) <= 1)
        .map(|(_, p)| p)
        .sum();
    let proven = evidence.proof == Proof::Direct && evidence.floor == Some(severity);
    let mut reasons = reasons(evidence, &weighing, &opinions, severity);
    reasons.extend(refused);
    Verdict {
        severity,
        needs_human: !proven && (opinions.is_empty() || within < SURE_ENOUGH),
        set: [Severity::Info, Severity::Critical],
        effective_experts: 0.0,
        stands_without_experts: 0,
        stands_without_sources: 0,
        would_change: Vec::new(),
        capped: None,
        probabilities,
        agreement: agreement(&weighing, &opinions),
        dissent: dissent(&weighing, &opinions, severity),
        reasons,
        trace: trace::id(evidence, context, &opinions, model),
        opinions,
    }
}

/// Adds up what well-formed opinions, sorted by name, say about evidence of this kind.
pub fn weigh(kind: Kind, opinions: &[Opinion], model: &Model) -> Weighing {
    let (base, shift) = (prior(kind), model.shift(kind));
    let prior = std::array::from_fn(|k| base[k] + shift[k]);
    let contributions = contributions(opinions, model);
    let sums = std::array::from_fn(|k| {
        prior[k] + contributions.iter().map(|part| part.towards[k]).sum::<i64>()
    });
    let decided = Severity::from_index(sums.iter().take_while(|sum| **sum > -CAUTION).count());
    Weighing { prior, contributions, sums, decided }
}

impl Weighing {
    /// Explains the decision: why not lower where it is at or above the declared level, why not
    /// higher where it is below.
    pub fn explain(&self, declared: Severity) -> Explanation {
        let level = self.decided.index();
        let (k, sign, over) = if level > 0 && self.decided >= declared {
            (level - 1, 1, level - 1)
        } else {
            (level.min(THRESHOLDS - 1), -1, level + 1)
        };
        Explanation {
            over: Severity::from_index(over),
            margin: sign * (self.sums[k] + CAUTION),
            prior: sign * self.prior[k],
            caution: sign * CAUTION,
            parts: self.contributions.iter().map(|part| sign * part.towards[k]).collect(),
        }
    }
}

/// Log-odds per threshold before anybody spoke. Postures are looked for because they go wrong
/// often; grave activities are rare among the many that are logged.
fn prior(kind: Kind) -> [i64; THRESHOLDS] {
    match kind {
        Kind::Posture | Kind::Service => [1_000_000, 200_000, -1_150_000, -1_300_000],
        Kind::Patch => [1_000_000, 200_000, -1_150_000, -1_300_000],
        Kind::Activity => [300_000, -500_000, -1_300_000, -1_600_000],
    }
}

/// Checks and sorts the opinions; one opinion an expert (the gravest, where one speaks twice). The
/// second part names what was refused.
fn admitted(opinions: Vec<Opinion>) -> (Vec<Opinion>, Vec<String>) {
    let mut refused = Vec::new();
    let mut kept = Vec::with_capacity(opinions.len());
    for opinion in opinions {
        let name: String = opinion.expert.chars().filter(|c| !c.is_control()).take(40).collect();
        match opinion.checked() {
            Ok(opinion) => kept.push(opinion),
            Err(error) => refused.push(format!("ignored: opinion of `{name}`: {error}")),
        }
    }
    kept.sort_by(|a, b| {
        a.expert
            .cmp(&b.expert)
            .then_with(|| survivors(b).cmp(&survivors(a)))
            .then_with(|| b.confidence.total_cmp(&a.confidence))
            .then_with(|| a.rationale.cmp(&b.rationale))
            .then_with(|| a.distribution.map(f64::to_bits).cmp(&b.distribution.map(f64::to_bits)))
    });
    kept.dedup_by(|later, first| {
        let same = later.expert == first.expert;
        if same && later != first {
            refused.push(format!("ignored: a second opinion of `{}`", first.expert));
        }
        same
    });
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
    std::array::from_fn(|k| {
        let worse: f64 = opinion.distribution[k + 1..].iter().rev().sum();
        (worse.clamp(0.0, 1.0) * PPM as f64).round() as i64
    })
}

fn contributions(opinions: &[Opinion], model: &Model) -> Vec<Contribution> {
    let groups = copies(opinions);
    let mut met: BTreeMap<usize, i64> = BTreeMap::new();
    let share = |(place, opinion): (usize, &Opinion)| {
        let (table, cap) = model.of(&opinion.expert);
        let survivors = survivors(opinion);
        let confidence = (opinion.confidence * PPM as f64).round() as i64;
        let (group, size) = groups[place];
        let before = met.entry(group).or_insert(0);
        let first = *before == 0;
        *before += 1;
        let towards = std::array::from_fn(|k| {
            let row = &table[k];
            let steps: i64 =
                (0..THRESHOLDS).map(|l| survivors[l] * (row[l + 1] - row[l])).sum::<i64>() / PPM;
            let whole = (row[0] + steps) * confidence / PPM;
            // What does not divide goes to the first, so that n copies add up to exactly one.
            whole / size + if first { whole % size } else { 0 }
        });
        let weight = cap * opinion.confidence / size as f64;
        Contribution { expert: opinion.expert.clone(), towards, weight }
    };
    opinions.iter().enumerate().map(share).collect()
}

/// For each opinion: the place of the first opinion that it copies (itself where it copies none)
/// and how many say the same. Only strangers who give a reason can be copies: built-in experts are
/// different by construction, and bare labels may well agree by chance.
fn copies(opinions: &[Opinion]) -> Vec<(usize, i64)> {
    let said = |place: usize| (survivors(&opinions[place]), opinions[place].confidence.to_bits());
    let mut strangers: Vec<usize> =
        (0..opinions.len()).filter(|at| !likelihood::is_known(&opinions[*at].expert)).collect();
    strangers.sort_by_cached_key(|place| said(*place));
    let mut first: Vec<usize> = (0..opinions.len()).collect();
    // Reasons are read only where the numbers are the same.
    for alike in strangers.chunk_by(|a, b| said(*a) == said(*b)).filter(|run| run.len() > 1) {
        let mut reasons: BTreeMap<Words, usize> = BTreeMap::new();
        for &place in alike {
            let words = Words::of(&opinions[place].rationale);
            if !words.is_empty() {
                first[place] = *reasons.entry(words).or_insert(place);
            }
        }
    }
    let mut sizes = vec![0; opinions.len()];
    first.iter().for_each(|place| sizes[*place] += 1);
    first.into_iter().map(|place| (place, sizes[place])).collect()
}

/// The set of words of a rationale, whatever their case and order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Words {
    sorted: String,
}

impl Words {
    fn of(rationale: &str) -> Self {
        let lower = rationale.to_lowercase();
        let mut words: Vec<&str> =
            lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words.dedup();
        Self { sorted: words.join(" ") }
    }

    fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

/// Probability per level; what lies below the floor moves up to it.
fn probabilities(sums: &[i64; THRESHOLDS], floor: Option<Severity>) -> BTreeMap<Severity, f64> {
    let mut worse = [PPM; THRESHOLDS + 2];
    worse[THRESHOLDS + 1] = 0;
    for k in 0..THRESHOLDS {
        let odds = 1.0 / (1.0 + (-(sums[k] as f64) / NAT as f64).exp());
        let known = floor.is_some_and(|floor| k < floor.index());
        // Never more likely than the threshold below it.
        let ppm = if known { PPM } else { (odds * PPM as f64).round() as i64 };
        worse[k + 1] = ppm.min(worse[k]);
    }
    let share = |level: Severity| {
        let index = level.index();
        (level, (worse[index] - worse[index + 1]) as f64 / PPM as f64)
    };
    Severity::ALL.into_iter().map(share).collect()
}

/// 1 minus the weighted mean distance between two experts' mean levels, over its largest value.
fn agreement(weighing: &Weighing, opinions: &[Opinion]) -> f64 {
    let weights: Vec<f64> = weighing.contributions.iter().map(|part| part.weight).collect();
    let total: f64 = weights.iter().sum();
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
            weight: (part.weight / total * 1000.0).round() / 1000.0,
        })
        .collect();
    dissent.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.expert.cmp(&b.expert)));
    dissent
}

/// One line an opinion, the most influential first, then what they add up to.
fn reasons(
    evidence: &Evidence,
    weighing: &Weighing,
    opinions: &[Opinion],
    severity: Severity,
) -> Vec<String> {
    let explanation = weighing.explain(evidence.level);
    let mut parts: Vec<(i64, &Opinion)> = explanation.parts.iter().copied().zip(opinions).collect();
    parts.sort_by_key(|(nats, _)| std::cmp::Reverse(nats.abs()));
    let line = |(nats, opinion): (i64, &Opinion)| {
        format!("{} {}: {}", tenths(nats), opinion.expert, opinion.rationale)
    };
    let mut lines = Vec::with_capacity(parts.len() + 2);
    if severity > weighing.decided {
        lines.push(format!("known to be bad: never judged below {severity}"));
    }
    lines.extend(parts.into_iter().map(line));
    lines.push(format!(
        "{} for {} over {}, of it {} from the prior and {} because missing costs {COST_OF_MISSING} \
         times as much",
        tenths(explanation.margin),
        weighing.decided,
        explanation.over,
        tenths(explanation.prior),
        tenths(explanation.caution),
    ));
    lines
}

/// Micro-nats as `+1.2`.
fn tenths(nats: i64) -> String {
    let rounded = (nats.abs() + NAT / 20) / (NAT / 10);
    let sign = if nats < 0 && rounded > 0 { '-' } else { '+' };
    format!("{sign}{}.{}", rounded / 10, rounded % 10)
}
