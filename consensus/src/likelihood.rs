//! How far each expert is trusted: what its level is worth as evidence for the true one.
//!
//! An expert's confusion matrix says how often it names level `l` when the truth is `z`. The cold one
//! is a fixed, sceptical prior: `(1 - error) exp(-sharpness |z - l|) / Z + error / 5`. From it comes,
//! for each of the four thresholds "worse than info / low / medium / high", the log-likelihood ratio
//! of hearing `l`. Each ratio is cut at the expert's cap (no voice alone outweighs the rest), then
//! projected onto the nearest sequence that rises with `l`: an expert who raises its level never
//! lowers a verdict, whatever the matrix. Micro-nats in integers: sums do not depend on their order.

use std::sync::LazyLock;

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
/// anchor; privilege and the like only tip the balance.
const TRUST: [Trust; 6] = [
    Trust { name: "declared", sharpness: 3.0, error: 0.05, cap: 3.5 },
    Trust { name: "exposure", sharpness: 5.0, error: 0.001, cap: 7.0 },
    Trust { name: "attack", sharpness: 4.5, error: 0.005, cap: 6.0 },
    Trust { name: "privilege", sharpness: 1.5, error: 0.2, cap: 1.0 },
    Trust { name: "corroboration", sharpness: 4.0, error: 0.02, cap: 4.5 },
    Trust { name: "novelty", sharpness: 4.0, error: 0.02, cap: 4.5 },
];

/// Any expert that is not built in, until it has a record of its own.
const STRANGER: Trust = Trust { name: "", sharpness: 1.0, error: 0.1, cap: 3.0 };

static TABLES: LazyLock<[Table; TRUST.len()]> = LazyLock::new(|| TRUST.each_ref().map(cold));
static STRANGERS: LazyLock<Table> = LazyLock::new(|| cold(&STRANGER));

/// Whether this expert is a built-in one.
pub fn is_known(expert: &str) -> bool {
    TRUST.iter().any(|trust| trust.name == expert)
}

/// The ratios of an expert, and its cap in nats.
pub fn of(expert: &str) -> (&'static Table, f64) {
    match TRUST.iter().position(|trust| trust.name == expert) {
        Some(place) => (&TABLES[place], TRUST[place].cap),
        None => (&STRANGERS, STRANGER.cap),
    }
}

fn cold(trust: &Trust) -> Table {
    table(&confusion(trust), trust.cap)
}

fn table(confusion: &[[f64; 5]; 5], cap: f64) -> Table {
    std::array::from_fn(|k| {
        let ratios = std::array::from_fn(|said| {
            let worse = mean((k + 1..5).map(|truth| confusion[truth][said]));
            let not_worse = mean((0..k + 1).map(|truth| confusion[truth][said]));
            (worse / not_worse).ln().clamp(-cap, cap)
        });
        rising(ratios).map(|nats| (nats * NAT as f64).round() as i64)
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
            for row in table(&rows, cap) {
                proptest::prop_assert!(row.is_sorted(), "{row:?}");
                proptest::prop_assert!(row.iter().all(|n| n.abs() <= (cap * 1e6).ceil() as i64));
            }
        }
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
