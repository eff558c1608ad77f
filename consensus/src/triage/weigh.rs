//! One (host, window) on the scale: what its names weigh, in nats of surprise.
//!
//! The rarest names count, each only by what the rarer ones beside it do not explain, later ones less
//! (the k-th by 1/√k). `evidence` decides what the baseline may learn; `weight` ranks.

use std::collections::HashMap;

use super::baseline::Baseline;
use super::episode::{Added, Episodes};
use super::model::Model;

/// How many of a window's names count, rarest first.
const TOP: usize = 8;

/// A name's part of a window's weight.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The name.
    pub id: u32,
    /// Its surprise by the past alone.
    pub surprise: f64,
    /// It goes on since it began as something rare.
    pub lasting: bool,
    /// On how many hosts it is rare in this window.
    pub hosts: usize,
    /// What it adds to the evidence, before its rank.
    evidence: f64,
    /// What it adds to the weight.
    pub weight: f64,
}

/// A window's weight and what it is made of, the heaviest first.
#[derive(Clone, Debug, Default)]
pub struct Weighed {
    /// All that speaks for it.
    pub evidence: f64,
    /// What ranks it.
    pub weight: f64,
    /// Name by name.
    pub parts: Vec<Part>,
}

/// A name and its surprise.
pub type Ranked = (f64, u32);

/// Names with their surprise, the rarest first; ties by name.
pub fn rank(baseline: &Baseline, names: impl Iterator<Item = u32>) -> Vec<Ranked> {
    let mut ranked: Vec<_> = names.map(|id| (baseline.surprise(id), id)).collect();
    let name = |id: u32| &baseline.at(id).name;
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| name(a.1).cmp(name(b.1))));
    ranked
}

/// On how many hosts each rare name is.
pub fn spread(model: &Model, windows: &[Vec<Ranked>]) -> HashMap<u32, usize> {
    let mut spread = HashMap::new();
    for (_, id) in windows.iter().flatten().filter(|(surprise, _)| *surprise >= model.rare) {
        *spread.entry(*id).or_insert(0) += 1;
    }
    spread
}

/// Weighs one host's window, and remembers what began in it.
pub fn weigh(
    model: &Model,
    baseline: &Baseline,
    episodes: &mut Episodes,
    (host, window): (&str, i64),
    ranked: &[Ranked],
    spread: &HashMap<u32, usize>,
) -> Weighed {
    let top = &ranked[..ranked.len().min(TOP)];
    let mut parts = Vec::with_capacity(top.len());
    for (index, &(surprise, id)) in top.iter().enumerate() {
        let left = top[..index]
            .iter()
            .map(|&(_, other)| baseline.surprise_given(id, surprise, other))
            .fold(surprise, f64::min);
        let new = Added { evidence: left, weight: left.min(baseline.novelty()) };
        let held = episodes.held(host, id, baseline.at(id).since, window);
        let added = held.map_or(new, |held| Added {
            evidence: held.evidence.max(new.evidence),
            weight: held.weight.max(new.weight),
        });
        if held.is_some() || added.evidence >= model.rare {
            episodes.hold(host, id, added, held.is_some(), window);
        }
        let hosts = spread.get(&id).copied().unwrap_or(1);
        let fan_out = 1.0 + model.fan_out * (hosts as f64).ln();
        parts.push(Part {
            id,
            surprise,
            lasting: held.is_some(),
            hosts,
            evidence: added.evidence * fan_out,
            weight: added.weight * fan_out,
        });
    }
    // The sort is stable: equal parts stay in the order of their names.
    parts.sort_by(|a, b| b.evidence.total_cmp(&a.evidence));
    let mut weighed = Weighed::default();
    for (index, part) in parts.iter_mut().enumerate() {
        let share = 1.0 / ((index + 1) as f64).sqrt();
        part.weight *= share;
        weighed.evidence += part.evidence * share;
        weighed.weight += part.weight;
    }
    weighed.parts = parts;
    weighed
}
