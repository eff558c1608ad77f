//! How many different ones: exact for a few, a HyperLogLog sketch (Flajolet et al. 2007) for many.
//!
//! Merging and order do not matter. 256 registers: 6.5 % standard error, 256 bytes.

/// Most different values that are kept one by one.
pub const EXACT_MAX: usize = 16;
const REGISTERS: usize = 256;

/// A set of hashed values of which only the size is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distinct {
    /// The values, sorted.
    Exact(Vec<u64>),
    /// The longest run of zeros of each register.
    Sketch(Box<[u8; REGISTERS]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Distinct {
    /// Adds a value by its hash.
    pub fn add(&mut self, hash: u64) {
        let hash = even(hash);
        match self {
            Self::Exact(values) => {
                let Err(at) = values.binary_search(&hash) else { return };
                if values.len() < EXACT_MAX {
                    values.insert(at, hash);
                    return;
                }
                let mut registers = Box::new([0; REGISTERS]);
                values.iter().chain([&hash]).for_each(|hash| note(&mut registers, *hash));
                *self = Self::Sketch(registers);
            }
            Self::Sketch(registers) => note(registers, hash),
        }
    }

    /// How many: exact up to [`EXACT_MAX`].
    pub fn count(&self) -> u64 {
        let registers = match self {
            Self::Exact(values) => return values.len() as u64,
            Self::Sketch(registers) => registers,
        };
        let size = REGISTERS as f64;
        let sum: f64 = registers.iter().map(|run| 1.0 / (1_u64 << run) as f64).sum();
        let raw = 0.7182 * size * size / sum;
        let empty = registers.iter().filter(|run| **run == 0).count();
        let estimate =
            if raw <= 2.5 * size && empty > 0 { size * (size / empty as f64).ln() } else { raw };
        (estimate.round() as u64).max(EXACT_MAX as u64 + 1)
    }
}

/// A hash of which every bit depends on every bit (the last steps of MurmurHash3, Appleby).
fn even(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let run = ((hash >> 8) | 1 << 56).trailing_zeros() as u8 + 1;
    let register = &mut registers[(hash & 0xff) as usize];
    *register = (*register).max(run);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::templates::tokens::hash;

    #[test]
    fn few_are_exact_and_many_are_near() {
        for (count, least, most) in [
            (0_u32, 0, 0),
            (16, 16, 16),
            (17, 17, 20),
            (1_000, 850, 1_150),
            (100_000, 85_000, 115_000),
        ] {
            let mut forward = Distinct::default();
            let mut backward = Distinct::default();
            for value in (0..count).chain(0..count) {
                forward.add(hash(&value.to_le_bytes()));
            }
            for value in (0..count).rev() {
                backward.add(hash(&value.to_le_bytes()));
            }
            assert_eq!(forward, backward);
            assert!((least..=most).contains(&forward.count()), "{count}: {}", forward.count());
        }
    }
}
