//! The pooled confusion model: who is right when experts disagree, with no truth to learn from.
//!
//! Expectation and maximisation take turns a fixed number of times, from the majority. Each expert
//! has a confusion matrix (Dawid and Skene 1979) that shrinks towards what is usual for an expert
//! like it ([`super::shrinkage`]). How far it shrinks is chosen by how well each label is predicted
//! from all the others (leave one out): no truth is used, nothing is random. Experts who copy each
//! other are found first and weigh as one ([`super::copies`]). A label of confidence `c` counts as
//! `c` of a label.
//!
//! Cost: strengths times turns times labels times votes; memory: experts times labels squared. On a
//! scale, also [`super::shrinkage::READINGS`] times the cells of all matrices a turn.

use super::copies::{self, Copies};
use super::shrinkage::Shrinkage;
use super::table::Ballots;

/// Turns of expectation and maximisation.
const TURNS: usize = 40;
/// The strengths that are tried: each expert's matrix starts with this many imagined labels a row.
const STRENGTHS: [f64; 6] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// Whether labels have an order that the pooling should use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The most probable label.
    Nominal,
    /// The median label: the least expected distance on the scale. Experts are taken to read the
    /// scale each in their way: more or less finely, and too high or too low.
    Ordinal,
}

/// The pooled label of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Place in [`Ballots::labels`].
    pub label: usize,
    /// Probability of each label.
    pub probabilities: Vec<f64>,
}

/// A pooled table.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooled {
    /// One an item, in the order of [`Ballots::items`].
    pub decisions: Vec<Decision>,
    /// The experts who weighed as one.
    pub copies: Copies,
}

/// Pools the labels of every item.
pub fn pool(ballots: &Ballots, scale: Scale) -> Pooled {
    let shrinkage = Shrinkage::new(scale, ballots.labels.len());
    let copies = copies::find(ballots);
    let merged = copies::merged(ballots, &copies);
    let ballots = merged.as_ref().unwrap_or(ballots);
    let mut best: Option<(f64, Vec<f64>)> = None;
    for strength in STRENGTHS {
        let fit = fit(ballots, &shrinkage, strength);
        if best.as_ref().is_none_or(|(most, _)| fit.predicted > *most) {
            best = Some((fit.predicted, fit.beliefs));
        }
    }
    let beliefs = best.map(|(_, beliefs)| beliefs).unwrap_or_default();
    let decisions = beliefs
        .chunks_exact(ballots.labels.len().max(1))
        .map(|row| Decision { label: decided(row, scale), probabilities: row.to_vec() })
        .collect();
    Pooled { decisions, copies }
}

fn decided(probabilities: &[f64], scale: Scale) -> usize {
    match scale {
        Scale::Nominal => {
            let mut best = 0;
            for (label, p) in probabilities.iter().enumerate() {
                if *p > probabilities[best] {
                    best = label;
                }
            }
            best
        }
        Scale::Ordinal => {
            let mut sum = 0.0;
            let reached = |p: &f64| {
                sum += p;
                sum >= 0.5
            };
            probabilities.iter().position(reached).unwrap_or(probabilities.len() - 1)
        }
    }
}

/// What one strength leads to.
struct Fit {
    /// Mean log-probability of each label given the others.
    predicted: f64,
    /// Probability of each label of each item, flat.
    beliefs: Vec<f64>,
}

/// Runs all turns at one strength.
fn fit(ballots: &Ballots, shrinkage: &Shrinkage, strength: f64) -> Fit {
    let mut beliefs = majority(ballots);
    let mut predicted = f64::NEG_INFINITY;
    for turn in 0..TURNS {
        let model = Model::estimate(ballots, &beliefs, shrinkage, strength);
        let scores = model.scores(ballots);
        if turn + 1 == TURNS {
            predicted = model.predicted(ballots, &beliefs, &scores);
        }
        beliefs = scores;
        beliefs.chunks_exact_mut(model.labels).for_each(normalise);
    }
    Fit { predicted, beliefs }
}

/// The share of each label among an item's votes.
fn majority(ballots: &Ballots) -> Vec<f64> {
    let labels = ballots.labels.len();
    let mut shares = vec![0.0; ballots.items.len() * labels];
    for vote in &ballots.votes {
        shares[vote.item as usize * labels + vote.label as usize] += vote.confidence;
    }
    for row in shares.chunks_exact_mut(labels) {
        let sum: f64 = row.iter().sum();
        let even = 1.0 / labels as f64;
        row.iter_mut().for_each(|share| *share = if sum > 0.0 { *share / sum } else { even });
    }
    shares
}

/// Log-scores to probabilities.
pub(super) fn normalise(row: &mut [f64]) {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|score| *score /= sum);
}

/// Everything estimated in one turn. Matrices are flat: expert, truth, label said.
struct Model {
    labels: usize,
    strength: f64,
    prior: Vec<f64>,
    counts: Vec<f64>,
    targets: Vec<f64>,
    logs: Vec<f64>,
}

impl Model {
    fn estimate(ballots: &Ballots, beliefs: &[f64], shrinkage: &Shrinkage, strength: f64) -> Self {
        let labels = ballots.labels.len();
        let square = labels * labels;
        let mut counts = vec![0.0; ballots.experts.len() * square];
        for vote in &ballots.votes {
            let belief = &beliefs[vote.item as usize * labels..][..labels];
            let matrix = &mut counts[vote.expert as usize * square..][..square];
            for (truth, p) in belief.iter().enumerate() {
                matrix[truth * labels + vote.label as usize] += p * vote.confidence;
            }
        }
        let mut prior = vec![1.0; labels];
        for row in beliefs.chunks_exact(labels) {
            prior.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
        }
        let sum: f64 = prior.iter().sum();
        prior.iter_mut().for_each(|p| *p = (*p / sum).ln());
        let targets = shrinkage.targets(&counts, labels);
        let mut logs = Vec::with_capacity(counts.len());
        for (row, target) in counts.chunks_exact(labels).zip(targets.chunks_exact(labels)) {
            let total: f64 = row.iter().sum();
            let share = |(n, t): (&f64, &f64)| ((n + strength * t) / (total + strength)).ln();
            logs.extend(row.iter().zip(target).map(share));
        }
        Self { labels, strength, prior, counts, targets, logs }
    }

    /// The log-probability, up to a constant, of each label of each item.
    fn scores(&self, ballots: &Ballots) -> Vec<f64> {
        let mut scores = self.prior.repeat(ballots.items.len());
        for vote in &ballots.votes {
            let row = &mut scores[vote.item as usize * self.labels..][..self.labels];
            for (truth, score) in row.iter_mut().enumerate() {
                *score += vote.confidence * self.logs[self.cell(vote.expert, truth, vote.label)];
            }
        }
        scores
    }

    /// Mean log-probability of each vote given all other votes.
    fn predicted(&self, ballots: &Ballots, beliefs: &[f64], scores: &[f64]) -> f64 {
        let mut sum = 0.0;
        let mut weight = 0.0;
        let mut others = vec![0.0; self.labels];
        for vote in &ballots.votes {
            let start = vote.item as usize * self.labels;
            for (truth, other) in others.iter_mut().enumerate() {
                let own = vote.confidence * self.logs[self.cell(vote.expert, truth, vote.label)];
                *other = scores[start + truth] - own;
            }
            normalise(&mut others);
            let mut p = 0.0;
            for (truth, other) in others.iter().enumerate() {
                let cell = self.cell(vote.expert, truth, vote.label);
                let first = self.cell(vote.expert, truth, 0);
                let own = beliefs[start + truth] * vote.confidence;
                let total: f64 = self.counts[first..first + self.labels].iter().sum();
                let said = (self.counts[cell] - own).max(0.0) + self.strength * self.targets[cell];
                p += other * said / ((total - own).max(0.0) + self.strength);
            }
            sum += vote.confidence * p.max(f64::MIN_POSITIVE).ln();
            weight += vote.confidence;
        }
        if weight > 0.0 { sum / weight } else { 0.0 }
    }

    fn cell(&self, expert: u32, truth: usize, said: u32) -> usize {
        (expert as usize * self.labels + truth) * self.labels + said as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Reader;

    fn ballots(lines: impl IntoIterator<Item = String>) -> Ballots {
        let mut reader = Reader::new(None).unwrap();
        reader.line(b"item,expert,label").unwrap();
        for line in lines {
            reader.line(line.as_bytes()).unwrap();
        }
        reader.finish().unwrap()
    }

    fn labels(ballots: &Ballots) -> Vec<&str> {
        pool(ballots, Scale::Nominal)
            .decisions
            .iter()
            .map(|d| ballots.labels[d.label].as_str())
            .collect()
    }

    #[test]
    fn a_plain_majority_is_followed() {
        let few = ballots(["a,x,high", "a,y,high", "a,z,low"].map(String::from));
        assert_eq!(labels(&few), ["high"]);
        let one = ballots(["a,x,high".to_string()]);
        assert_eq!(labels(&one), ["high"]);
        assert!((pool(&one, Scale::Nominal).decisions[0].probabilities[0] - 1.0).abs() < 1e-9);
    }

    /// Three who guess and two who know: the two are found out by how well they predict each other.
    #[test]
    fn experts_who_know_outweigh_experts_who_guess() {
        let mut lines = Vec::new();
        let mut state = 7_u64;
        for item in 0..200 {
            let truth = item % 2;
            for expert in 0..5 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let coin = (state >> 33) % 100;
                let right = if expert < 2 { coin < 95 } else { coin < 50 };
                let said = if right { truth } else { 1 - truth };
                lines.push(format!("{item:03},e{expert},{said}"));
            }
        }
        let table = ballots(lines);
        let right = labels(&table)
            .iter()
            .enumerate()
            .filter(|(item, label)| label.parse() == Ok(item % 2))
            .count();
        assert!(right >= 185, "{right} of 200");
    }

    #[test]
    fn the_order_of_lines_changes_nothing() {
        let lines: Vec<String> =
            (0..60).map(|n| format!("i{},e{},{}", n % 12, n % 5, (n * 7 + n / 12) % 3)).collect();
        let forward = pool(&ballots(lines.clone()), Scale::Nominal);
        assert_eq!(forward, pool(&ballots(lines.into_iter().rev()), Scale::Nominal));
        for decision in forward.decisions {
            assert!((decision.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn on_a_scale_the_median_is_taken() {
        assert_eq!(decided(&[0.4, 0.3, 0.3], Scale::Nominal), 0);
        assert_eq!(decided(&[0.4, 0.3, 0.3], Scale::Ordinal), 1);
        assert_eq!(decided(&[0.2, 0.2], Scale::Ordinal), 1);
    }

    #[test]
    fn votes_without_confidence_decide_nothing() {
        let mut reader = Reader::new(None).unwrap();
        reader.line(br#"{"item":"a","expert":"x","label":"low","confidence":0}"#).unwrap();
        reader.line(br#"{"item":"b","expert":"x","label":"high"}"#).unwrap();
        let pooled = pool(&reader.finish().unwrap(), Scale::Nominal);
        assert!(pooled.decisions.iter().flat_map(|d| &d.probabilities).all(|p| p.is_finite()));
    }
}
