//! Ten public crowd-sourcing sets with known truths: pooled labels against the plain majority. The
//! constants of the model were looked at on these same sets, so the figures are in-sample.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::fs;
use std::path::{Path, PathBuf};

use consensus::labels::{Ballots, Reader, Scale, Score, Truth, pool};

const SETS: [&str; 10] =
    ["CF", "CF_amt", "MS", "SP", "SP_amt", "product", "face", "dog", "rte", "web"];

/// Where the sets are; `None`, with a line said, where they are not.
fn corpus() -> Option<PathBuf> {
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

fn ballots(set: &Path) -> Ballots {
    let mut reader = Reader::new(None).unwrap();
    for line in fs::read(set.join("label.csv")).unwrap().split(|byte| *byte == b'\n') {
        reader.line(line).unwrap();
    }
    reader.finish().unwrap()
}

fn truth(set: &Path) -> Truth {
    let mut truth = Truth::default();
    for line in fs::read(set.join("truth.csv")).unwrap().split(|byte| *byte == b'\n') {
        truth.line(line).unwrap();
    }
    truth
}

/// Accuracy of the plain majority; a tie is worth its share.
fn majority(ballots: &Ballots, set: &Path) -> f64 {
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

fn scored(set: &Path, scale: Scale) -> (f64, Score) {
    let ballots = ballots(set);
    let score = truth(set).score(&ballots, &pool(&ballots, scale).decisions).unwrap();
    (majority(&ballots, set), score)
}

#[test]
fn pooled_labels_beat_the_majority_on_ten_crowd_sets() {
    let Some(crowd) = corpus() else { return };
    let results: Vec<(f64, Score)> = std::thread::scope(|scope| {
        let one = |set| {
            let path = crowd.join(set);
            scope.spawn(move || scored(&path, Scale::Nominal))
        };
        let started: Vec<_> = SETS.into_iter().map(one).collect();
        started.into_iter().map(|set| set.join().unwrap()).collect()
    });
    let mut sum = (0.0, 0.0);
    eprintln!("{:8} {:>8} {:>8} {:>8}", "set", "majority", "pooled", "brier");
    for (set, (majority, score)) in SETS.iter().zip(&results) {
        eprintln!("{set:8} {majority:8.4} {:8.4} {:8.4}", score.accuracy, score.brier);
        assert!(score.accuracy >= majority - 0.01, "{set} is below its majority");
        sum = (sum.0 + majority, sum.1 + score.accuracy);
    }
    let mean = (sum.0 / SETS.len() as f64, sum.1 / SETS.len() as f64);
    eprintln!("{:8} {:8.4} {:8.4}", "mean", mean.0, mean.1);
    assert!(mean.1 >= 0.856, "mean accuracy {:.4}", mean.1);
}

#[test]
fn on_a_scale_the_levels_are_nearer() {
    let Some(crowd) = corpus() else { return };
    let (_, nominal) = scored(&crowd.join("web"), Scale::Nominal);
    let (_, ordinal) = scored(&crowd.join("web"), Scale::Ordinal);
    eprintln!("web nominal {nominal:?}\nweb ordinal {ordinal:?}");
    assert!(ordinal.level_error < nominal.level_error);
}
