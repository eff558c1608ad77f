//! The skeleton of a text: its bytes with each run of digits as one mark; its keyed hash and where the
//! runs are, eight bytes at a time.
//!
//! The key is secret and new in each process: who writes log lines can neither compute hashes nor see
//! any. Bounded: [`TEXT_BYTES_MAX`] and [`RUNS_MAX`]; other texts have no skeleton here.

use std::hash::{BuildHasher, RandomState};

use crate::logs::digits::run_end;

/// Hash of a skeleton.
pub(super) use crate::logs::digits::Key;

/// Longest text that has one.
pub(super) const TEXT_BYTES_MAX: usize = 2048;
/// Most runs of digits in a text that has one.
pub(super) const RUNS_MAX: usize = 64;

/// Where a run of digits is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from: u16,
    pub(super) to: u16,
}

/// Makes skeletons.
pub(super) struct Skeletons {
    secret: [u64; 4],
    runs: [Run; RUNS_MAX],
    count: usize,
}

impl Default for Skeletons {
    fn default() -> Self {
        let random = RandomState::new();
        let secret = [0_u64, 1, 2, 3].map(|number| random.hash_one(number) | 1);
        Self { secret, runs: [Run::default(); RUNS_MAX], count: 0 }
    }
}

impl Run {
    /// Digits in it.
    pub(super) fn length(self) -> u16 {
        self.to - self.from
    }
}

impl Skeletons {
    /// The hash of a text's skeleton; its runs are then in [`Self::runs`].
    pub(super) fn read(&mut self, text: &[u8]) -> Option<Key> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let [one, other, third, fourth] = self.secret;
        let mut key = Key(one, other);
        let mut at = 0;
        self.count = 0;
        loop {
            let from = key.mix_to_digit(text, at, [third, fourth]);
            if from >= text.len() {
                return Some(key);
            }
            at = run_end(text, from);
            *self.runs.get_mut(self.count)? = run(from, at);
            self.count += 1;
        }
    }

    /// The runs of the text that was read last.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs[..self.count]
    }
}

fn run(from: usize, to: usize) -> Run {
    let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    Run { from: place(from), to: place(to) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_have_one_key_exactly_if_they_have_one_skeleton(
            texts in proptest::collection::vec("[ab019 /:\u{1}\u{0}é]{0,24}", 2..40),
        ) {
            let mut skeletons = Skeletons::default();
            let mut known: HashMap<Vec<u8>, Key> = HashMap::new();
            for text in &texts {
                let key = skeletons.read(text.as_bytes()).unwrap();
                let (mut plain, mut runs, mut at) = (Vec::new(), Vec::new(), 0);
                let bytes = text.as_bytes();
                while at < bytes.len() {
                    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    if digits > 0 {
                        runs.push(run(at, at + digits));
                    }
                    plain.push(if digits > 0 { b'#' } else { bytes[at] });
                    at += digits.max(1);
                }
                prop_assert_eq!(skeletons.runs(), &runs);
                prop_assert_eq!(*known.entry(plain).or_insert(key), key);
            }
            let distinct: std::collections::HashSet<Key> = known.values().copied().collect();
            prop_assert_eq!(distinct.len(), known.len());
        }
    }

    #[test]
    fn texts_beyond_the_limits_have_none() {
        let mut skeletons = Skeletons::default();
        assert!(skeletons.read(&[b'x'; TEXT_BYTES_MAX]).is_some());
        assert!(skeletons.read(&[b'x'; TEXT_BYTES_MAX + 1]).is_none());
        assert!(skeletons.read("x1".repeat(RUNS_MAX).as_bytes()).is_some());
        assert!(skeletons.read("x1".repeat(RUNS_MAX + 1).as_bytes()).is_none());
    }
}
