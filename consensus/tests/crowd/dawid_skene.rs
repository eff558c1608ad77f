//! Dawid and Skene (1979) as published: expectation and maximisation from the majority, nothing shrunk.

use consensus::labels::{Ballots, Decision};

const TURNS: usize = 100;
const LEAST: f64 = 1e-10;

pub fn dawid_skene(ballots: &Ballots) -> Vec<Decision> {
    let labels = ballots.labels.len();
    let mut beliefs = vec![vec![0.0; labels]; ballots.items.len()];
    for vote in &ballots.votes {
        beliefs[vote.item as usize][vote.label as usize] += 1.0;
    }
    beliefs.iter_mut().for_each(|row| normalise(row));
    for _ in 0..TURNS {
        beliefs = turn(ballots, &beliefs);
    }
    let decided = |row: Vec<f64>| {
        let label = (0..labels).rev().max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        Decision { label, probabilities: row }
    };
    beliefs.into_iter().map(decided).collect()
}

fn turn(ballots: &Ballots, beliefs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let labels = ballots.labels.len();
    let mut matrices = vec![vec![vec![0.0; labels]; labels]; ballots.experts.len()];
    let mut prior = vec![0.0; labels];
    for row in beliefs {
        prior.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
    }
    normalise(&mut prior);
    for vote in &ballots.votes {
        for (truth, p) in beliefs[vote.item as usize].iter().enumerate() {
            matrices[vote.expert as usize][truth][vote.label as usize] += p;
        }
    }
    for row in matrices.iter_mut().flatten() {
        row.iter_mut().for_each(|n| *n = n.max(LEAST));
        normalise(row);
        row.iter_mut().for_each(|p| *p = p.ln());
    }
    let start: Vec<f64> = prior.iter().map(|p| p.max(LEAST).ln()).collect();
    let mut scores = vec![start; beliefs.len()];
    for vote in &ballots.votes {
        let matrix = &matrices[vote.expert as usize];
        for (truth, score) in scores[vote.item as usize].iter_mut().enumerate() {
            *score += matrix[truth][vote.label as usize];
        }
    }
    for row in &mut scores {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|score| *score = (*score - most).exp());
        normalise(row);
    }
    scores
}

fn normalise(row: &mut [f64]) {
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= sum);
}
