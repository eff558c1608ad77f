//! What an expert's confusion matrix shrinks towards: what is usual for an expert like it.
//!
//! Without an order of labels: what experts say on average, with the diagonal moved to this expert's
//! accuracy. On a scale: a mixture of readings, weighed by how well each explains what this expert
//! said. A reader hears level `z` as `gain * z + shift`, both from the middle of the scale, and says a
//! level whose probability falls off exponentially with its distance from there (scale usage:
//! Rossi, Gilula and Allenby 2001). Gain 0 ignores the item; shifts are the strict and the lenient.
//! The grid is averaged over, not searched, and every reading is as likely as any other beforehand.

use super::model::{Scale, normalise};

/// Imagined labels, of average accuracy, that every expert's accuracy starts from.
const ACCURACY_STRENGTH: f64 = 10.0;
/// Imagined labels a row that the common matrix starts from: spread evenly over the wrong ones.
const COMMON_STRENGTH: f64 = 100.0;
/// Least probability of anything being said: no single label is ever proof.
const LEAST: f64 = 1e-6;

/// How fast the probability of a label falls with each level of distance.
const FALLS: [f64; 7] = [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0];
/// How far off an expert reads, in levels.
const SHIFTS: [f64; 9] = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
/// How much of the scale an expert uses.
const GAINS: [f64; 3] = [0.0, 0.5, 1.0];
/// Ways to read a scale.
pub const READINGS: usize = FALLS.len() * SHIFTS.len() * GAINS.len();
/// Share of labels that any reader gives without reading.
const SLIP: f64 = 1e-3;
/// Counts and probabilities of readings below this add nothing.
const NEGLIGIBLE: f64 = 1e-9;

/// How the matrices of experts shrink.
pub(super) enum Shrinkage {
    /// Towards the common matrix at the expert's accuracy.
    Accuracy,
    /// Towards the readings of a scale. Probabilities and their logarithms: truth, label said,
    /// reading.
    Readings(Vec<f64>, Vec<f64>),
}

impl Shrinkage {
    /// The shrinkage of a scale of so many labels.
    pub(super) fn new(scale: Scale, labels: usize) -> Self {
        match scale {
            Scale::Nominal => Self::Accuracy,
            Scale::Ordinal => {
                let readings = readings(labels);
                let logs = readings.iter().map(|p| p.ln()).collect();
                Self::Readings(readings, logs)
            }
        }
    }

    /// For each expert's counts (flat: expert, truth, label said) what they shrink towards.
    pub(super) fn targets(&self, counts: &[f64], labels: usize) -> Vec<f64> {
        let mut targets = Vec::with_capacity(counts.len());
        let matrices = counts.chunks_exact(labels * labels);
        match self {
            Self::Accuracy => {
                let common = common(counts, labels);
                matrices.for_each(|matrix| target(matrix, &common, labels, &mut targets));
            }
            Self::Readings(readings, logs) => {
                matrices.for_each(|matrix| read(matrix, readings, logs, &mut targets));
            }
        }
        targets
    }
}

/// The probability of each label at each truth by each reading: truth, label said, reading.
fn readings(labels: usize) -> Vec<f64> {
    let middle = labels.saturating_sub(1) as f64 / 2.0;
    let mut out = vec![0.0; labels * labels * READINGS];
    let mut row = vec![0.0; labels];
    for truth in 0..labels {
        let mut reading = 0;
        for fall in FALLS {
            for shift in SHIFTS {
                for gain in GAINS {
                    let heard = gain * (truth as f64 - middle) + shift;
                    let log = |said: usize| -fall * (said as f64 - middle - heard).abs();
                    row.iter_mut().enumerate().for_each(|(said, p)| *p = log(said));
                    normalise(&mut row);
                    for (said, p) in row.iter().enumerate() {
                        let p = (1.0 - SLIP) * p + SLIP / labels as f64;
                        out[(truth * labels + said) * READINGS + reading] = p;
                    }
                    reading += 1;
                }
            }
        }
    }
    out
}

/// The mixture of readings that explains this expert.
fn read(matrix: &[f64], readings: &[f64], logs: &[f64], out: &mut Vec<f64>) {
    let mut weights = vec![0.0; READINGS];
    for (n, logs) in
        matrix.iter().zip(logs.chunks_exact(READINGS)).filter(|(n, _)| **n > NEGLIGIBLE)
    {
        weights.iter_mut().zip(logs).for_each(|(weight, log)| *weight += n * log);
    }
    normalise(&mut weights);
    let kept: Vec<(usize, f64)> =
        weights.into_iter().enumerate().filter(|(_, weight)| *weight > NEGLIGIBLE).collect();
    out.extend(readings.chunks_exact(READINGS).map(|cell| {
        let p: f64 = kept.iter().map(|(reading, weight)| weight * cell[*reading]).sum();
        p.max(LEAST)
    }));
}

/// What experts say on average, shrunk towards one accuracy with even mistakes.
fn common(counts: &[f64], labels: usize) -> Vec<f64> {
    let square = labels * labels;
    let mut common = vec![0.0; square];
    for matrix in counts.chunks_exact(square) {
        common.iter_mut().zip(matrix).for_each(|(sum, n)| *sum += n);
    }
    let all: f64 = common.iter().sum();
    let right: f64 = (0..labels).map(|label| common[label * labels + label]).sum();
    let accuracy = if all > 0.0 { right / all } else { 0.5 };
    let mistake = (1.0 - accuracy) / (labels.max(2) - 1) as f64;
    for truth in 0..labels {
        let row = &mut common[truth * labels..][..labels];
        let total: f64 = row.iter().sum();
        for (said, n) in row.iter_mut().enumerate() {
            let even = if said == truth { accuracy } else { mistake };
            *n = (*n + COMMON_STRENGTH * even) / (total + COMMON_STRENGTH);
        }
    }
    common
}

/// What an expert of this one's accuracy usually says: the common matrix with its diagonal moved.
fn target(matrix: &[f64], common: &[f64], labels: usize, out: &mut Vec<f64>) {
    let diagonal = |of: &[f64], truth: usize| of[truth * labels + truth];
    let total: f64 = matrix.iter().sum();
    let right: f64 = (0..labels).map(|truth| diagonal(matrix, truth)).sum();
    let usual: f64 = matrix
        .chunks_exact(labels)
        .enumerate()
        .map(|(truth, row)| row.iter().sum::<f64>() * diagonal(common, truth))
        .sum();
    let shift = if total > 0.0 {
        let usual = usual / total;
        let own = (right + ACCURACY_STRENGTH * usual) / (total + ACCURACY_STRENGTH);
        logit(own) - logit(usual)
    } else {
        0.0
    };
    for truth in 0..labels {
        let usual = diagonal(common, truth).clamp(LEAST, 1.0 - LEAST);
        let moved = 1.0 / (1.0 + (-(logit(usual) + shift)).exp());
        let others = (1.0 - moved) / (1.0 - usual);
        out.extend((0..labels).map(|said| {
            let p = if said == truth { moved } else { common[truth * labels + said] * others };
            p.max(LEAST)
        }));
    }
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_sum_to_one(targets: &[f64], labels: usize) {
        for row in targets.chunks_exact(labels) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{row:?}");
        }
    }

    #[test]
    fn targets_are_rows_of_probabilities() {
        for scale in [Scale::Nominal, Scale::Ordinal] {
            for labels in [1, 2, 5, 64] {
                let shrinkage = Shrinkage::new(scale, labels);
                let mut counts = vec![0.0; labels * labels * 2];
                counts[0] = 30.0;
                rows_sum_to_one(&shrinkage.targets(&counts, labels), labels);
            }
        }
    }

    /// Someone who says one level more than is true is expected to do so at every level.
    #[test]
    fn a_lenient_reader_is_recognised_on_levels_it_has_not_judged() {
        let labels = 5;
        let mut counts = vec![0.0; labels * labels];
        counts[labels + 2] = 20.0;
        counts[2 * labels + 3] = 20.0;
        let targets = Shrinkage::new(Scale::Ordinal, labels).targets(&counts, labels);
        let unseen = &targets[3 * labels..4 * labels];
        assert!(unseen[4] > 0.8, "{unseen:?}");
        let nominal = Shrinkage::new(Scale::Nominal, labels).targets(&counts, labels);
        assert!(nominal[3 * labels + 4] < 0.5);
    }

    /// Someone who always says the same is expected to do so whatever is true.
    #[test]
    fn who_ignores_the_item_is_recognised() {
        let labels = 5;
        let mut counts = vec![0.0; labels * labels];
        (0..4).for_each(|truth| counts[truth * labels + 2] = 20.0);
        let targets = Shrinkage::new(Scale::Ordinal, labels).targets(&counts, labels);
        assert!(targets[4 * labels + 2] > 0.8, "{:?}", &targets[4 * labels..]);
    }
}
