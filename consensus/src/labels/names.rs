//! Names and their order: of items and experts by name, of labels by what they mean.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use super::table::Ballots;
use crate::Severity;

/// Names in order of appearance, and where each is.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) places: HashMap<String, u32>,
    pub(super) order: Vec<String>,
}

impl Names {
    /// Where this name is; it is added when it is new.
    pub(super) fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.order.len() as u32;
        self.places.insert(name.to_string(), place);
        self.order.push(name.to_string());
        place
    }
}

/// Sorts names; for each old place the new one.
pub(super) fn sorted(names: Vec<String>) -> (Vec<String>, Vec<u32>) {
    reordered(names, |a, b| a.cmp(b))
}

/// Labels in their natural order: levels, whole numbers, or names; whether the order means something.
pub(super) fn in_order(labels: Vec<String>) -> (Vec<String>, Vec<u32>, bool) {
    let level = |label: &str| Severity::from_str(label).ok();
    let number = |label: &str| i64::from_str(label).ok();
    if labels.iter().all(|label| level(label).is_some()) {
        let (labels, places) = reordered(labels, |a, b| level(a).cmp(&level(b)).then(a.cmp(b)));
        (labels, places, true)
    } else if labels.iter().all(|label| number(label).is_some()) {
        let (labels, places) = reordered(labels, |a, b| number(a).cmp(&number(b)).then(a.cmp(b)));
        (labels, places, true)
    } else {
        let (labels, places) = sorted(labels);
        (labels, places, false)
    }
}

fn reordered(
    names: Vec<String>,
    order: impl Fn(&str, &str) -> std::cmp::Ordering,
) -> (Vec<String>, Vec<u32>) {
    let mut tagged: Vec<(String, usize)> =
        names.into_iter().enumerate().map(|(place, name)| (name, place)).collect();
    tagged.sort_by(|a, b| order(&a.0, &b.0));
    let mut places = vec![0; tagged.len()];
    for (new, (_, old)) in tagged.iter().enumerate() {
        places[*old] = new as u32;
    }
    (tagged.into_iter().map(|(name, _)| name).collect(), places)
}

/// Adds the labels that only a truth names, in the same sort of order; for scoring.
pub(super) fn joined(ballots: &Ballots, extra: &[String]) -> (BTreeMap<String, usize>, bool) {
    let known: BTreeMap<&str, ()> = ballots.labels.iter().map(|l| (l.as_str(), ())).collect();
    let mut unknown: Vec<String> =
        extra.iter().filter(|label| !known.contains_key(label.as_str())).cloned().collect();
    unknown.sort_unstable();
    unknown.dedup();
    let (labels, ordered) = if unknown.is_empty() {
        (ballots.labels.clone(), ballots.ordered)
    } else {
        let (labels, _, ordered) = in_order([ballots.labels.clone(), unknown].concat());
        (labels, ordered && ballots.ordered)
    };
    (labels.into_iter().enumerate().map(|(place, label)| (label, place)).collect(), ordered)
}
