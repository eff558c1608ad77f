//! Experts who copy each other: found without any truth, and weighed as one.
//!
//! Good experts agree because they are right; copies agree on their mistakes too. So a pair is not
//! judged by how often it agrees but by how often it should, were both honest: given the truth as
//! everyone sees it, each with its own confusion matrix, independently. Nobody's agreement is
//! explained by being *wrong*: who does worse than chance is expected to agree like one who guesses
//! (with two labels, liars in league would otherwise look like independent experts turned round).
//! Copies may outvote the honest and define the truth themselves; so it is estimated with all
//! suspects of one lot weighing as one, again and again until no suspect is cleared.
//!
//! Who agrees with one another and with nobody else may be a league, or the only ones who know. So
//! there are copies only where the others know something: where their labels predict one another.
//!
//! Limits are said, never passed over: see [`Copies::NotLooked`]. Copies with more private noise
//! than about one label in twenty, or that share too few items, are not told from honest experts.

use super::model::{Model, fit};
use super::shrinkage::Shrinkage;
use super::table::{Ballots, Vote};

/// Fewest items that two experts must both have labelled.
const MIN_SHARED: u32 = 30;
/// Least agreement of copies.
const NEAR: f64 = 0.9;
/// Share of the disagreements expected of honest experts that must be missing.
const MISSING: f64 = 0.8;
/// Natural logarithm of the odds against chance, for the whole table: a million to one.
const SURE: f64 = 13.8;
/// Imagined labels a row of the matrices that honest agreement is expected from.
const STRENGTH: f64 = 10.0;
/// Turns of expectation and maximisation behind each look.
const TURNS: usize = 20;
/// Most looks; the last one's suspects are taken for copies.
const MAX_LOOKS: usize = 8;
/// Most meetings that are counted: two experts who label the same item, over all items.
pub const MAX_MEETINGS: usize = 1 << 25;
/// Most pairs that are examined.
pub const MAX_PAIRS: usize = 1 << 16;

/// What was found out about copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Groups of two and more that weigh as one: places in [`Ballots::experts`], sorted.
    Found(Vec<Vec<u32>>),
    /// More than [`MAX_MEETINGS`], or more than [`MAX_PAIRS`] that agree on nearly everything: nobody
    /// was looked for, everybody weighs alone.
    NotLooked,
}

/// Two experts who agree on nearly everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    first: u32,
    second: u32,
}

/// Looks for copies.
pub(super) fn find(ballots: &Ballots, shrinkage: &Shrinkage) -> Copies {
    let Some((mut suspects, met)) = near_pairs(ballots, MAX_MEETINGS, MAX_PAIRS) else {
        return Copies::NotLooked;
    };
    let by_expert = by_expert(ballots);
    let sure = SURE + (met.max(1) as f64).ln();
    for _ in 0..MAX_LOOKS {
        if suspects.is_empty() {
            break;
        }
        let honest = Honest::estimate(ballots, shrinkage, &suspects);
        if honest.knowledge < SURE {
            suspects.clear();
        }
        let before = suspects.len();
        suspects.retain(|pair| {
            let labels = |expert: u32| by_expert[expert as usize].as_slice();
            let (expected, seen) =
                honest.disagreements(*pair, labels(pair.first), labels(pair.second));
            seen <= (1.0 - MISSING) * expected && surprise(expected, seen) >= sure
        });
        if suspects.len() == before {
            break;
        }
    }
    Copies::Found(groups(ballots.experts.len(), &suspects))
}

/// The table with each group as one expert, whose label of an item is shared by what its members
/// said; `None` where there is nothing to merge.
pub(super) fn merged(ballots: &Ballots, copies: &Copies) -> Option<Ballots> {
    let Copies::Found(groups) = copies else { return None };
    if groups.is_empty() {
        return None;
    }
    let mut speaker: Vec<u32> = (0..ballots.experts.len() as u32).collect();
    for group in groups {
        group.iter().for_each(|member| speaker[*member as usize] = group[0]);
    }
    let mut votes = Vec::with_capacity(ballots.votes.len());
    for item in ballots.votes.chunk_by(|a, b| a.item == b.item) {
        let mut item: Vec<Vote> = item
            .iter()
            .map(|vote| Vote { expert: speaker[vote.expert as usize], ..*vote })
            .collect();
        item.sort_by_key(|vote| (vote.expert, vote.label));
        for said in item.chunk_by(|a, b| a.expert == b.expert) {
            for same in said.chunk_by(|a, b| a.label == b.label) {
                let sum: f64 = same.iter().map(|vote| vote.confidence).sum();
                votes.push(Vote { confidence: sum / said.len() as f64, ..same[0] });
            }
        }
    }
    Some(Ballots { votes, ..ballots.clone() })
}

/// The pairs that agree on nearly everything, and how many pairs share enough items to tell; `None`
/// beyond the limits.
fn near_pairs(ballots: &Ballots, meetings: usize, pairs: usize) -> Option<(Vec<Pair>, usize)> {
    let mut left = meetings;
    for item in ballots.votes.chunk_by(|a, b| a.item == b.item) {
        left = left.checked_sub(item.len() * (item.len() - 1) / 2)?;
    }
    let mut own: Vec<Vec<usize>> = vec![Vec::new(); ballots.experts.len()];
    for (place, vote) in ballots.votes.iter().enumerate() {
        own[vote.expert as usize].push(place);
    }
    let mut near = Vec::new();
    let mut met = 0;
    let mut shared = vec![(0_u32, 0_u32); ballots.experts.len()];
    for (first, places) in own.iter().enumerate() {
        let mut seen = Vec::new();
        for &place in places {
            let vote = ballots.votes[place];
            for other in ballots.votes[place + 1..].iter().take_while(|v| v.item == vote.item) {
                let (items, agreed) = &mut shared[other.expert as usize];
                if *items == 0 {
                    seen.push(other.expert);
                }
                *items += 1;
                *agreed += u32::from(other.label == vote.label);
            }
        }
        seen.sort_unstable();
        for second in seen {
            let (items, agreed) = std::mem::take(&mut shared[second as usize]);
            if items < MIN_SHARED {
                continue;
            }
            met += 1;
            if f64::from(agreed) >= NEAR * f64::from(items) {
                if near.len() == pairs {
                    return None;
                }
                near.push(Pair { first: first as u32, second });
            }
        }
    }
    Some((near, met))
}

/// Item and label of each vote, by expert, sorted by item.
fn by_expert(ballots: &Ballots) -> Vec<Vec<(u32, u32)>> {
    let mut by_expert = vec![Vec::new(); ballots.experts.len()];
    for vote in &ballots.votes {
        by_expert[vote.expert as usize].push((vote.item, vote.label));
    }
    by_expert
}

/// Everybody taken for honest: what they would say, and what is true, as far as that can be known.
struct Honest {
    labels: usize,
    /// Probability of each label of each item.
    beliefs: Vec<f64>,
    /// Flat: expert, truth, label said.
    matrices: Vec<f64>,
    /// How much better the labels of those who are not suspected are predicted by all other labels
    /// than by how frequent they are, in nats.
    knowledge: f64,
}

impl Honest {
    /// Every suspect weighs as its share of the lot that it agrees with.
    fn estimate(ballots: &Ballots, shrinkage: &Shrinkage, suspects: &[Pair]) -> Self {
        let mut lot = vec![1.0_f64; ballots.experts.len()];
        for pair in suspects {
            lot[pair.first as usize] += 1.0;
            lot[pair.second as usize] += 1.0;
        }
        let mut weighed = ballots.clone();
        for vote in &mut weighed.votes {
            vote.confidence /= lot[vote.expert as usize];
        }
        let beliefs = fit(&weighed, shrinkage, STRENGTH, TURNS).beliefs;
        let model = Model::estimate(ballots, &beliefs, shrinkage, STRENGTH);
        let labels = ballots.labels.len();
        let mut matrices: Vec<f64> = model.logs.iter().map(|log| log.exp()).collect();
        let square = labels * labels;
        for (matrix, counts) in matrices.chunks_mut(square).zip(model.counts.chunks(square)) {
            unless_worse_than_chance(matrix, counts, labels);
        }
        let knowledge = knowledge(&weighed, &beliefs, shrinkage, &lot);
        Self { labels, beliefs, matrices, knowledge }
    }

    /// How often these two should disagree, and how often they do. Their labels: item and label.
    fn disagreements(&self, pair: Pair, first: &[(u32, u32)], second: &[(u32, u32)]) -> (f64, f64) {
        let square = self.labels * self.labels;
        let matrix = |expert: u32| &self.matrices[expert as usize * square..][..square];
        let rows = |expert: u32| matrix(expert).chunks_exact(self.labels);
        let apart: Vec<f64> = rows(pair.first)
            .zip(rows(pair.second))
            .map(|(a, b)| 1.0 - a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>())
            .collect();
        let (mut expected, mut seen) = (0.0, 0.0);
        let mut others = second.iter().peekable();
        for (item, label) in first {
            while others.next_if(|(other, _)| other < item).is_some() {}
            let Some((_, other)) = others.next_if(|(other, _)| other == item) else { continue };
            let beliefs = &self.beliefs[*item as usize * self.labels..][..self.labels];
            expected += beliefs.iter().zip(&apart).map(|(p, apart)| p * apart).sum::<f64>();
            seen += f64::from(u8::from(other != label));
        }
        (expected, seen)
    }
}

/// See [`Honest::knowledge`]; those who are alone in their lot are not suspected.
fn knowledge(weighed: &Ballots, beliefs: &[f64], shrinkage: &Shrinkage, lot: &[f64]) -> f64 {
    let alone = |vote: &Vote| lot[vote.expert as usize] == 1.0;
    let model = Model::estimate(weighed, beliefs, shrinkage, STRENGTH);
    let scores = model.scores(weighed);
    let (predicted, all) = model.predicted(weighed, beliefs, &scores, alone);
    let mut said = vec![0.0; weighed.labels.len()];
    for vote in weighed.votes.iter().filter(|vote| alone(vote)) {
        said[vote.label as usize] += vote.confidence;
    }
    let frequent: f64 = said.iter().filter(|n| **n > 0.0).map(|n| n * (n / all).ln()).sum();
    predicted - frequent
}

/// Someone who is right less often than their habits would be by chance is expected to guess, with
/// the same habits.
fn unless_worse_than_chance(matrix: &mut [f64], counts: &[f64], labels: usize) {
    let total: f64 = counts.iter().sum();
    let said: Vec<f64> =
        (0..labels).map(|label| counts.iter().skip(label).step_by(labels).sum()).collect();
    let (mut right, mut chance) = (0.0, 0.0);
    for (truth, row) in counts.chunks_exact(labels).enumerate() {
        right += row[truth];
        chance += row.iter().sum::<f64>() * said[truth];
    }
    if total > 0.0 && right * total < chance {
        for row in matrix.chunks_exact_mut(labels) {
            row.iter_mut().zip(&said).for_each(|(p, said)| *p = said / total);
        }
    }
}

/// How surprising so few disagreements are, in nats: Chernoff's bound for a sum of independent
/// events (Hoeffding 1963 shows that unequal probabilities only help).
fn surprise(expected: f64, seen: f64) -> f64 {
    if seen >= expected {
        return 0.0;
    }
    let far = if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
    expected - seen + far
}

/// Joins pairs to groups of two and more.
fn groups(experts: usize, pairs: &[Pair]) -> Vec<Vec<u32>> {
    let mut first: Vec<u32> = (0..experts as u32).collect();
    let root = |first: &[u32], mut of: u32| {
        while first[of as usize] != of {
            of = first[of as usize];
        }
        of
    };
    for pair in pairs {
        let (a, b) = (root(&first, pair.first), root(&first, pair.second));
        first[a.max(b) as usize] = a.min(b);
    }
    let mut groups: Vec<Vec<u32>> = vec![Vec::new(); experts];
    for expert in 0..experts as u32 {
        groups[root(&first, expert) as usize].push(expert);
    }
    groups.retain(|group| group.len() > 1);
    groups
}
