//! The least that would have to be missing for a verdict to be lower.
//!
//! All sets of one, then all of two, and so on, are tried until one lowers the level; up to
//! [`EXACT_DECISIONS`] sets, which is every set of twelve. Beyond, one after the other is removed by
//! what lowers the decision most, and whatever turns out not to be needed is put back: such a set
//! lowers the level and none of it can be left out, but a smaller one may exist (`exact: false`).

use schemars::JsonSchema;
use serde::Serialize;

use super::Id;
use crate::Severity;

/// Most sets that are tried one by one.
pub const EXACT_DECISIONS: usize = 1 << 12;
/// Most candidates that are considered; with more, nothing is exact.
pub const MAX_CANDIDATES: usize = 256;

/// What would be decided without some of the causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// The level.
    pub level: Severity,
    /// How far it is from being lower, in any unit: guides the search where not every set is tried.
    pub margin: i64,
}

/// What would have to be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cut {
    /// What, causes first; empty where nothing lowers the level.
    pub removed: Vec<Id>,
    /// The level with everything.
    pub before: Severity,
    /// The level without the removed.
    pub after: Severity,
    /// Whether no smaller set lowers the level (or none at all, where none is given).
    pub exact: bool,
}

impl Cut {
    /// Whether there is a set that lowers the level.
    pub fn lowers(&self) -> bool {
        self.after < self.before
    }
}

/// The smallest set of candidates without which `decide` gives a lower level than with all of them. Of
/// sets of one size, the first in the order of the candidates.
pub fn smallest_cut(candidates: &[Id], mut decide: impl FnMut(&[Id]) -> Decision) -> Cut {
    let before = decide(&[]).level;
    let considered = &candidates[..candidates.len().min(MAX_CANDIDATES)];
    let all = considered.len() == candidates.len();
    let mut tried = 1;
    let mut size = 1;
    while size <= considered.len() && tried + ways(considered.len(), size) <= EXACT_DECISIONS {
        tried += ways(considered.len(), size);
        if let Some((removed, after)) = first_of(considered, size, before, &mut decide) {
            return Cut { removed, before, after, exact: all };
        }
        size += 1;
    }
    if size > considered.len() {
        return Cut { removed: Vec::new(), before, after: before, exact: all };
    }
    let (removed, after) = greedy(considered, before, &mut decide);
    Cut { removed, before, after, exact: false }
}

/// n over k, no more than one above [`EXACT_DECISIONS`].
fn ways(n: usize, k: usize) -> usize {
    let mut ways: usize = 1;
    for step in 0..k.min(n - k) {
        // Below the limit times 256: no overflow.
        ways = ways * (n - step) / (step + 1);
        if ways > EXACT_DECISIONS {
            return EXACT_DECISIONS + 1;
        }
    }
    ways
}

/// The first set of so many, in lexicographic order, that gives a lower level.
fn first_of(
    candidates: &[Id],
    size: usize,
    before: Severity,
    decide: &mut impl FnMut(&[Id]) -> Decision,
) -> Option<(Vec<Id>, Severity)> {
    let mut places: Vec<usize> = (0..size).collect();
    loop {
        let removed: Vec<Id> = places.iter().map(|place| candidates[*place]).collect();
        let after = decide(&removed).level;
        if after < before {
            return Some((removed, after));
        }
        // The last place that can move on does; those after it follow closely.
        let moving = (0..size).rev().find(|at| places[*at] < candidates.len() - size + at)?;
        let first = places[moving] + 1;
        for (step, place) in places[moving..].iter_mut().enumerate() {
            *place = first + step;
        }
    }
}

fn greedy(
    candidates: &[Id],
    before: Severity,
    decide: &mut impl FnMut(&[Id]) -> Decision,
) -> (Vec<Id>, Severity) {
    let mut removed: Vec<Id> = Vec::new();
    let mut left = candidates.to_vec();
    let mut after = before;
    while after >= before {
        let mut best: Option<(Decision, usize)> = None;
        for (place, candidate) in left.iter().enumerate() {
            removed.push(*candidate);
            let decision = decide(&removed);
            removed.pop();
            if best.is_none_or(|(lowest, _)| decision < lowest) {
                best = Some((decision, place));
            }
        }
        let Some((decision, place)) = best else { return (Vec::new(), before) };
        removed.push(left.remove(place));
        after = decision.level;
    }
    // Put back what is not needed, the first removed first: later ones may have made it idle.
    let mut place = 0;
    while place < removed.len() {
        let one = removed.remove(place);
        let level = decide(&removed).level;
        if level < before {
            after = level;
        } else {
            removed.insert(place, one);
            place += 1;
        }
    }
    removed.sort_unstable();
    (removed, after)
}
