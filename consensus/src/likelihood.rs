//! How far each expert is trusted: what its level is worth as evidence for the true one.
//!
//! An expert's confusion matrix says how often it names level `l` when the truth is `z`. The cold one
//! is a fixed, sceptical prior: `(1 - error) exp(-sharpness |z - l|) / Z + error / 5`. From it comes,
//! for each of the four thresholds "worse than info / low / medium / high", the log-likelihood ratio
//! of hearing `l`. Each ratio is cut at the expert's cap (no voice alone outweighs the rest), then
//! projected onto the nearest sequence that rises with `l`: an expert who raises its level never
//! lowers a verdict, whatever the matrix. Micro-nats in integers: sums do not depend on their order.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::Kind;

/// One nat in the fixed-point unit of all sums.
pub const NAT: i64 = 1_000_000;

/// The thresholds between the five levels: `k` asks whether the truth is worse than level `k`.
pub const THRESHOLDS: usize = 4;

/// Log-likelihood ratios in micro-nats: `[threshold][level said]`, rising in the level said.
pub type Table = [[i64; 5]; THRESHOLDS];

/// Constants of one expert's cold model.
struct Trust {
    name: &'static str,
    /// How fast confusion falls with the distance between truth and what is said.
    sharpness: f64,
    /// Share of opinions that say nothing about the truth.
    error: f64,
    /// Most nats that the expert can add to or take from any threshold.
    cap: f64,
}

/// The built-in experts. Exposure is read from the kernel's own tables, so it may overrule the
/// anchor; rarity is the strongest signal measured on labelled alerts, and what the operator told
/// counts for much; privilege and the like, and whoever could be wrong, only tip the balance.
const TRUST: [Trust; 16] = [
    Trust { name: "declared", sharpness: 3.0, error: 0.05, cap: 3.5 },
    Trust { name: "exposure", sharpness: 5.0, error: 0.001, cap: 7.0 },
    Trust { name: "attack", sharpness: 4.5, error: 0.005, cap: 6.0 },
    Trust { name: "preconditions", sharpness: 1.5, error: 0.15, cap: 1.5 },
    Trust { name: "privilege", sharpness: 1.5, error: 0.2, cap: 1.0 },
    Trust { name: "credentials", sharpness: 2.0, error: 0.1, cap: 2.0 },
    Trust { name: "role", sharpness: 1.5, error: 0.2, cap: 1.0 },
    Trust { name: "corroboration", sharpness: 4.0, error: 0.02, cap: 4.5 },
    Trust { name: "rarity", sharpness: 4.0, error: 0.02, cap: 4.5 },
    Trust { name: "novelty", sharpness: 4.0, error: 0.02, cap: 4.5 },
    Trust { name: "change", sharpness: 2.0, error: 0.1, cap: 1.5 },
    Trust { name: "recurrence", sharpness: 2.0, error: 0.1, cap: 2.5 },
    Trust { name: "known-good", sharpness: 4.0, error: 0.02, cap: 4.5 },
    Trust { name: "noise", sharpness: 4.0, error: 0.02, cap: 4.0 },
    Trust { name: "threat", sharpness: 2.0, error: 0.15, cap: 1.5 },
    Trust { name: "hours", sharpness: 2.0, error: 0.1, cap: 1.5 },
];

/// Any expert that is not built in, until it has a record of its own.
const STRANGER: Trust = Trust { name: "", sharpness: 1.0, error: 0.1, cap: 3.0 };

static TABLES: LazyLock<[Table; TRUST.len()]> = LazyLock::new(|| TRUST.each_ref().map(cold));
static STRANGERS: LazyLock<Table> = LazyLock::new(|| cold(&STRANGER));

/// Whether this expert is a built-in one.
pub fn is_known(expert: &str) -> bool {
    TRUST.iter().any(|trust| trust.name == expert)
}

/// How often an expert said level `l` (column) when the truth turned out to be `z` (row): additive
/// counts from confirmed and dismissed cases only, never from own verdicts.
pub type Counts = [[f64; 5]; 5];

/// Imagined cases a row that the cold matrix stands for: what is learnt must outweigh these first.
pub const COLD_CASES: f64 = 8.0;

/// How far what is learnt may move the prior of a kind of evidence at any threshold, in nats.
pub const MOST_SHIFT: f64 = 1.0;

/// What a stranger's cap may grow to with confirmed hits, and by how much for each, in nats.
const STRANGER_MOST: f64 = 6.0;
const STRANGER_STEP: f64 = 0.25;

/// How far each expert is trusted, and how common each level is: the cold constants, or these with
/// what confirmed cases taught.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    learnt: BTreeMap<String, (Table, f64)>,
    shifts: [[i64; THRESHOLDS]; 4],
    digest: Option<[u8; 32]>,
}

impl Model {
    /// The fixed, sceptical constants: the same on every host.
    pub fn cold() -> Self {
        Self::default()
    }

    /// The constants with what was learnt: counts by expert, shifts of the prior by kind of evidence
    /// (nats per threshold, cut at [`MOST_SHIFT`]), and the digest of what it was learnt from.
    pub fn learnt(
        counts: &BTreeMap<String, Counts>,
        shifts: &[(Kind, [f64; THRESHOLDS])],
        digest: [u8; 32],
    ) -> Self {
        let learn = |(name, counts): (&String, &Counts)| {
            let cold = trust(name);
            let hits: f64 = (1..5).map(|level| counts[level][level]).sum();
            let cap = match cold.name {
                "" => (cold.cap + STRANGER_STEP * hits).min(STRANGER_MOST),
                _ => cold.cap,
            };
            let trust = Trust { cap, ..*cold };
            (name.clone(), (corrected(&trust, &blended(&confusion(cold), counts)), cap))
        };
        let mut model = Self {
            learnt: counts.iter().map(learn).collect(),
            shifts: [[0; THRESHOLDS]; 4],
            digest: Some(digest),
        };
        for (kind, shift) in shifts {
            model.shifts[*kind as usize] = shift.map(|nats| {
                let nats = if nats.is_finite() { nats } else { 0.0 };
                (nats.clamp(-MOST_SHIFT, MOST_SHIFT) * NAT as f64).round() as i64
            });
        }
        model
    }

    /// The ratios of an expert, and its cap in nats.
    pub fn of(&self, expert: &str) -> (&Table, f64) {
        if let Some((table, cap)) = self.learnt.get(expert) {
            return (table, *cap);
        }
        match TRUST.iter().position(|trust| trust.name == expert) {
            Some(place) => (&TABLES[place], TRUST[place].cap),
            None => (&STRANGERS, STRANGER.cap),
        }
    }

    /// What is added to the prior of a kind of evidence, in micro-nats per threshold.
    pub fn shift(&self, kind: Kind) -> [i64; THRESHOLDS] {
        self.shifts[kind as usize]
    }

    /// The digest of what it was learnt from; `None` for the cold model.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.digest.as_ref()
    }
}

fn trust(expert: &str) -> &'static Trust {
    TRUST.iter().find(|trust| trust.name == expert).unwrap_or(&STRANGER)
}

/// The cold matrix as [`COLD_CASES`] imagined cases a row, and the counted ones. Counts that make no
/// sense (negative, not a number) are none.
fn blended(cold: &[[f64; 5]; 5], counts: &Counts) -> [[f64; 5]; 5] {
    std::array::from_fn(|truth| {
        let counted = counts[truth].map(|n| if n.is_finite() { n.max(0.0) } else { 0.0 });
        let cases = COLD_CASES + counted.iter().sum::<f64>();
        std::array::from_fn(|said| (COLD_CASES * cold[truth][said] + counted[said]) / cases)
    })
}

/// Cold, nobody speaks for anything worse than the level it names: any number of experts who all say
/// `high` make it high.
fn cold(trust: &Trust) -> Table {
    corrected(trust, &confusion(trust))
}

/// The table of a matrix, less what the cold one would give an opinion towards something worse than it
/// names. Only a record of calling too low gains that back.
fn corrected(trust: &Trust, matrix: &[[f64; 5]; 5]) -> Table {
    let excess = ratios(&confusion(trust), trust.cap);
    let mut ratios = ratios(matrix, trust.cap);
    for k in 0..THRESHOLDS {
        for said in 0..=k {
            let fair = ratios[k][said] - excess[k][said].max(0.0);
            ratios[k][said] = fair.max(-trust.cap);
        }
    }
    ratios.map(|row| rising(row).map(|nats| (nats * NAT as f64).round() as i64))
}

/// Log-likelihood ratios in nats, cut at the cap and made to rise.
fn ratios(confusion: &[[f64; 5]; 5], cap: f64) -> [[f64; 5]; THRESHOLDS] {
    std::array::from_fn(|k| {
        let ratios = std::array::from_fn(|said| {
            let worse = mean((k + 1..5).map(|truth| confusion[truth][said]));
            let not_worse = mean((0..k + 1).map(|truth| confusion[truth][said]));
            (worse / not_worse).ln().clamp(-cap, cap)
        });
        rising(ratios)
    })
}

/// Row: truth; column: level said.
fn confusion(trust: &Trust) -> [[f64; 5]; 5] {
    std::array::from_fn(|truth| {
        let near: [f64; 5] =
            std::array::from_fn(|said| (-trust.sharpness * truth.abs_diff(said) as f64).exp());
        let sum: f64 = near.iter().sum();
        near.map(|weight| (1.0 - trust.error) * weight / sum + trust.error / 5.0)
    })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The nearest non-decreasing sequence in least squares (pool adjacent violators).
fn rising(values: [f64; 5]) -> [f64; 5] {
    let mut blocks: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for value in values {
        let mut block = (value, 1);
        while let Some(&(before, width)) = blocks.last()
            && before > block.0
        {
            let joined = width + block.1;
            block = ((before * width as f64 + block.0 * block.1 as f64) / joined as f64, joined);
            blocks.pop();
        }
        blocks.push(block);
    }
    let mut flat = blocks.into_iter().flat_map(|(value, width)| std::iter::repeat_n(value, width));
    std::array::from_fn(|_| flat.next().unwrap_or_default())
}

/// How often an expert is imagined to say level `l` (column) when the truth is `z` (row), before it has
/// a record: [`COLD_CASES`] times this is what its counts are added to.
pub fn cold_confusion(expert: &str) -> Counts {
    confusion(trust(expert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_ratios_rise_and_stay_within_the_cap() {
        for trust in TRUST.iter().chain([&STRANGER]) {
            for row in cold(trust) {
                assert!(row.is_sorted(), "{} {row:?}", trust.name);
                assert!(row.iter().all(|nats| nats.abs() <= (trust.cap * 1e6) as i64));
                assert!(row[0] < 0 && row[4] > 0, "{} {row:?}", trust.name);
            }
        }
    }

    proptest::proptest! {
        /// Whatever an expert's record looks like, raising its level never speaks for a lower one.
        #[test]
        fn ratios_rise_for_any_confusion_matrix(
            weights in proptest::array::uniform5(proptest::array::uniform5(0.001_f64..1.0)),
            cap in 0.5_f64..8.0,
        ) {
            let rows = weights.map(|row| {
                let sum: f64 = row.iter().sum();
                row.map(|weight| weight / sum)
            });
            let trust = Trust { cap, ..STRANGER };
            for row in corrected(&trust, &rows) {
                proptest::prop_assert!(row.is_sorted(), "{row:?}");
                proptest::prop_assert!(row.iter().all(|n| n.abs() <= (cap * 1e6).ceil() as i64));
            }
        }
    }

    #[test]
    fn what_is_learnt_moves_the_ratios_and_nonsense_moves_nothing() {
        let mut counts = [[0.0; 5]; 5];
        counts[0][3] = 40.0;
        let learnt = |counts| Model::learnt(&[("tool".to_string(), counts)].into(), &[], [1; 32]);
        let crier = learnt(counts);
        let (table, _) = crier.of("tool");
        assert!(table[2][3] < Model::cold().of("tool").0[2][3]);
        assert_eq!(learnt([[f64::NAN; 5]; 5]).of("tool").0, Model::cold().of("tool").0);
        let mut hits = [[0.0; 5]; 5];
        hits[3][3] = 1e9;
        assert_eq!(learnt(hits).of("tool").1, STRANGER_MOST);
        assert!(learnt(hits).of("tool").0.iter().all(|row| row.is_sorted()));
        let shifted = Model::learnt(&BTreeMap::new(), &[(Kind::Patch, [9.0; 4])], [1; 32]);
        assert_eq!(shifted.shift(Kind::Patch), [NAT; 4]);
        assert_eq!(shifted.shift(Kind::Posture), [0; 4]);
    }

    #[test]
    fn the_projection_is_the_nearest_rising_sequence() {
        assert_eq!(rising([0.0, 2.0, 1.0, 3.0, 2.0]), [0.0, 1.5, 1.5, 2.5, 2.5]);
        assert_eq!(rising([5.0, 4.0, 3.0, 2.0, 1.0]), [3.0; 5]);
        assert_eq!(rising([1.0, 2.0, 3.0, 4.0, 5.0]), [1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn rows_of_a_confusion_matrix_are_distributions() {
        for row in confusion(&STRANGER) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
