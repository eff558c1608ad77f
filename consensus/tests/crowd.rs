//! Ten public crowd-sourcing sets with known truths: pooled labels against the plain majority and
//! against Dawid and Skene, with and without eight experts in league. The constants of the model were
//! looked at on these same sets, so the figures are in-sample.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

#[path = "crowd/colluders.rs"]
mod colluders;
#[path = "crowd/dawid_skene.rs"]
mod dawid_skene;
#[path = "crowd/sets.rs"]
mod sets;

use std::path::Path;
use std::sync::OnceLock;

use colluders::{Random, colluders};
use consensus::labels::{Ballots, Copies, Decision, Pooled, Scale, Score, pool};
use dawid_skene::dawid_skene;
use sets::{SETS, corpus, lines, majority, read, score, truths};

/// Only `web` has levels.
fn scale(set: &str) -> Scale {
    if set == "web" { Scale::Ordinal } else { Scale::Nominal }
}

/// Pools an honest set; `web` only once for all tests.
fn pooled(set: &str, ballots: &Ballots) -> Pooled {
    static WEB: OnceLock<Pooled> = OnceLock::new();
    if set == "web" {
        return WEB.get_or_init(|| pool(ballots, Scale::Ordinal)).clone();
    }
    pool(ballots, Scale::Nominal)
}

/// Runs a job for each case at the same time; results in the order of the cases.
fn all<C: Send, R: Send>(cases: Vec<C>, job: impl Fn(C) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let job = &job;
        let started: Vec<_> =
            cases.into_iter().map(|case| scope.spawn(move || job(case))).collect();
        started.into_iter().map(|case| case.join().unwrap()).collect()
    })
}

#[test]
fn pooled_labels_beat_the_majority_on_ten_crowd_sets() {
    let Some(crowd) = corpus() else { return };
    let results: Vec<(f64, Score, Copies)> = all(SETS.to_vec(), |set| {
        let path = crowd.join(set);
        let ballots = read(&lines(&path));
        let pooled = pooled(set, &ballots);
        (majority(&path, &ballots), score(&path, &ballots, &pooled.decisions), pooled.copies)
    });
    let mut sum = (0.0, 0.0);
    eprintln!("{:8} {:>8} {:>8} {:>8}", "set", "majority", "pooled", "brier");
    for (set, (majority, score, copies)) in SETS.iter().zip(&results) {
        eprintln!("{set:8} {majority:8.4} {:8.4} {:8.4}", score.accuracy, score.brier);
        assert!(score.accuracy >= majority - 0.01, "{set} is below its majority");
        assert_eq!(*copies, Copies::Found(Vec::new()), "{set}: honest experts taken for copies");
        sum = (sum.0 + majority, sum.1 + score.accuracy);
    }
    let mean = (sum.0 / SETS.len() as f64, sum.1 / SETS.len() as f64);
    eprintln!("{:8} {:8.4} {:8.4}", "mean", mean.0, mean.1);
    assert!(mean.1 >= 0.860, "mean accuracy {:.4}", mean.1);
}

#[test]
fn on_a_scale_the_levels_are_nearer_than_those_of_dawid_and_skene() {
    let Some(crowd) = corpus() else { return };
    let web = crowd.join("web");
    let ballots = read(&lines(&web));
    let levels = |decisions: &[_]| {
        let score = score(&web, &ballots, decisions);
        (score.accuracy, score.level_error.unwrap())
    };
    let nominal = levels(&pool(&ballots, Scale::Nominal).decisions);
    let ordinal = levels(&pooled("web", &ballots).decisions);
    let theirs = levels(&dawid_skene(&ballots));
    eprintln!("web, accuracy and level error: {nominal:?}, on a scale {ordinal:?}, DS {theirs:?}");
    assert!(ordinal.0 > nominal.0 && ordinal.1 < nominal.1);
    assert!(ordinal.0 >= theirs.0 + 0.015 && ordinal.1 <= theirs.1 - 0.015);
    assert!(ordinal.0 >= 0.848 && ordinal.1 <= 0.188);
}

/// Labels that nobody looked at before: thirty experts, each with a noise and a bias of its own that are
/// normal and rounded (not what the model assumes), a tenth of them guessing, five labels an item.
fn made_up(random: &mut Random) -> (Ballots, Vec<usize>) {
    const EXPERTS: usize = 30;
    const LEVELS: usize = 5;
    let normal = |random: &mut Random| (0..12).map(|_| random.share()).sum::<f64>() - 6.0;
    let experts: Vec<(f64, f64, bool)> = (0..EXPERTS)
        .map(|_| (0.3 + 1.2 * random.share(), 0.5 * normal(random), random.share() < 0.1))
        .collect();
    let truths: Vec<usize> = (0..400).map(|_| random.below(LEVELS)).collect();
    let mut lines = vec!["item,expert,label".to_string()];
    for (item, truth) in truths.iter().enumerate() {
        let first = random.below(EXPERTS);
        for place in 0..5 {
            let expert = (first + 7 * place) % EXPERTS;
            let (noise, bias, guesses) = experts[expert];
            let heard = (*truth as f64 + bias + noise * normal(random)).round();
            let said = if guesses { random.below(LEVELS) } else { heard.clamp(0.0, 4.0) as usize };
            lines.push(format!("i{item:03},{expert},{said}"));
        }
    }
    (read(&lines), truths)
}

#[test]
fn a_scale_helps_on_labels_that_nobody_looked_at() {
    let mut random = Random(3);
    let mut sums = [0; 3];
    for _ in 0..3 {
        let (ballots, truths) = made_up(&mut random);
        let distance = |decisions: &[Decision]| {
            decisions.iter().zip(&truths).map(|(d, truth)| d.label.abs_diff(*truth)).sum::<usize>()
        };
        sums[0] += distance(&pool(&ballots, Scale::Ordinal).decisions);
        sums[1] += distance(&pool(&ballots, Scale::Nominal).decisions);
        sums[2] += distance(&dawid_skene(&ballots));
    }
    let [ordinal, nominal, theirs] = sums.map(|sum| sum as f64 / 1200.0);
    eprintln!("made up, level error: {ordinal:.4} on a scale, {nominal:.4}, DS {theirs:.4}");
    assert!(ordinal <= nominal - 0.01 && ordinal <= theirs - 0.01);
}

/// Honest labels with those of eight experts in league.
fn colluded(path: &Path, noise: f64) -> Ballots {
    let mut lines = lines(path);
    let honest = read(&lines);
    for said in colluders(&truths(path, &honest), honest.labels.len(), 8, noise) {
        let (item, label) = (&honest.items[said.item], &honest.labels[said.label]);
        lines.push(format!("{item},colluder{},{label}", said.copy));
    }
    read(&lines)
}

/// The places of the eight.
fn league(ballots: &Ballots) -> Vec<u32> {
    let is = |place: &u32| ballots.experts[*place as usize].starts_with("colluder");
    (0..ballots.experts.len() as u32).filter(is).collect()
}

#[test]
fn eight_colluders_weigh_as_one() {
    let Some(crowd) = corpus() else { return };
    let sets = ["dog", "rte", "web"];
    let cases: Vec<(&str, Option<f64>)> = sets
        .into_iter()
        .flat_map(|set| [None, Some(0.01), Some(0.02)].map(|noise| (set, noise)))
        .collect();
    let results: Vec<(f64, f64, f64, bool)> = all(cases.clone(), |(set, noise)| {
        let path = crowd.join(set);
        let (ballots, Pooled { decisions, copies }) = if let Some(noise) = noise {
            let ballots = colluded(&path, noise);
            let pooled = pool(&ballots, scale(set));
            (ballots, pooled)
        } else {
            let ballots = read(&lines(&path));
            let pooled = pooled(set, &ballots);
            (ballots, pooled)
        };
        let ours = score(&path, &ballots, &decisions).accuracy;
        let theirs = score(&path, &ballots, &dawid_skene(&ballots)).accuracy;
        let groups = Some(league(&ballots)).filter(|league| !league.is_empty());
        let found = copies == Copies::Found(groups.into_iter().collect());
        (ours, theirs, majority(&path, &ballots), found)
    });
    eprintln!("{:4} {:>6} {:>7} {:>7} {:>8}", "set", "noise", "pooled", "DS", "majority");
    let mut honest = 0.0;
    for ((set, noise), (ours, theirs, majority, found)) in cases.into_iter().zip(results) {
        let shown = noise.map_or("none".to_string(), |noise| format!("{noise}"));
        eprintln!("{set:4} {shown:>6} {ours:7.4} {theirs:7.4} {majority:8.4}");
        assert!(found, "{set} {shown}: the league, and nobody else, is found");
        match noise {
            None => honest = ours,
            Some(_) => {
                assert!(ours >= honest - 0.01, "{set} {shown}: {ours} after {honest}");
                assert!(theirs < 0.5, "{set} {shown}: Dawid and Skene reach {theirs}");
            }
        }
    }
}
