//! Ten public crowd-sourcing sets with known truths.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use consensus::labels::{Ballots, Decision, Reader, Score, Truth};

pub const SETS: [&str; 10] =
    ["CF", "CF_amt", "MS", "SP", "SP_amt", "product", "face", "dog", "rte", "web"];

/// Where the sets are; `None`, with a line said, where they are not.
pub fn corpus() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var_os("WARDMOTE_CORPORA").map_or(default.into(), PathBuf::from);
    let crowd = root.join("crowd");
    if crowd.is_dir() {
        return Some(crowd);
    }
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{} is required and absent", crowd.display());
    eprintln!("skipped: no crowd sets in {} (set WARDMOTE_CORPORA)", crowd.display());
    None
}

/// The lines of a set's labels, the header first.
pub fn lines(set: &Path) -> Vec<String> {
    fs::read_to_string(set.join("label.csv")).unwrap().lines().map(String::from).collect()
}

pub fn read<'a>(lines: impl IntoIterator<Item = &'a String>) -> Ballots {
    let mut reader = Reader::new(None).unwrap();
    lines.into_iter().for_each(|line| reader.line(line.as_bytes()).unwrap());
    reader.finish().unwrap()
}

pub fn score(set: &Path, ballots: &Ballots, decisions: &[Decision]) -> Score {
    let mut truth = Truth::default();
    for line in fs::read(set.join("truth.csv")).unwrap().split(|byte| *byte == b'\n') {
        truth.line(line).unwrap();
    }
    truth.score(ballots, decisions).unwrap()
}

/// The truth of each item, as a place among the labels.
pub fn truths(set: &Path, ballots: &Ballots) -> Vec<Option<usize>> {
    let text = fs::read_to_string(set.join("truth.csv")).unwrap();
    let known: HashMap<&str, &str> =
        text.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let place = |label: &&str| ballots.labels.iter().position(|known| known == label);
    ballots.items.iter().map(|item| known.get(item.as_str()).and_then(place)).collect()
}

/// Accuracy of the plain majority; a tie is worth its share.
pub fn majority(set: &Path, ballots: &Ballots) -> f64 {
    let mut counts = vec![vec![0_u32; ballots.labels.len()]; ballots.items.len()];
    for vote in &ballots.votes {
        counts[vote.item as usize][vote.label as usize] += 1;
    }
    let text = fs::read_to_string(set.join("truth.csv")).unwrap();
    let mut known = 0;
    let mut right = 0.0;
    for line in text.lines().skip(1) {
        let (item, truth) = line.split_once(',').unwrap();
        let Ok(item) = ballots.items.binary_search(&item.to_string()) else { continue };
        known += 1;
        let most = counts[item].iter().max().unwrap();
        let winners = counts[item].iter().filter(|count| *count == most).count();
        let place = ballots.labels.iter().position(|label| label == truth);
        if place.is_some_and(|place| counts[item][place] == *most) {
            right += 1.0 / winners as f64;
        }
    }
    right / f64::from(known)
}
