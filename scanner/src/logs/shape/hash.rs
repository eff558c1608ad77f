//! A keyed hash of a line's shape, eight bytes at a time.
//!
//! Two lines have the same key if they differ only in the digits of their runs of digits and, within a
//! bucket (1 to 3, 4 to 5, 6 and more), in how long these are. The key is secret and new for each
//! sweep: who writes log lines can neither compute hashes nor see any, and 128 bits meet by chance once
//! in more lines than there are.

use std::hash::{BuildHasher, RandomState};

use crate::logs::digits::run_end;

/// Hash of a shape.
pub(super) use crate::logs::digits::Key;

/// Hashes shapes; all hashers of one [`RandomState`] alike.
pub struct Hasher {
    secret: [u64; 4],
}

/// Longest run of digits of the first and second bucket.
pub(super) const BUCKETS: [usize; 2] = [3, 5];

impl Hasher {
    /// With secrets of this source.
    pub fn new(random: &RandomState) -> Self {
        Self { secret: [0_u64, 1, 2, 3].map(|number| random.hash_one(number) | 1) }
    }

    /// The key of a line's shape; of another one with each seed.
    pub fn key(&self, line: &[u8], seed: u64) -> Key {
        let [one, other, third, fourth] = self.secret;
        let mut state = Key(one ^ seed, other).mix(seed, third, fourth);
        let mut at = 0;
        loop {
            let digit = state.mix_to_digit(line, at, [third, fourth]);
            if digit >= line.len() {
                return state;
            }
            at = run_end(line, digit);
            state = state.mix(bucket(at - digit), other, one);
        }
    }
}

/// Which lengths of runs are one shape.
pub(super) fn bucket(length: usize) -> u64 {
    let [first, second] = BUCKETS;
    u64::from(length > first) + u64::from(length > second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape as a text.
    fn masked(line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < line.len() {
            let run = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if run == 0 {
                out.push(line[at]);
                at += 1;
            } else {
                out.push(b'0' + u8::try_from(bucket(run)).unwrap());
                at += run;
            }
        }
        out
    }

    fn hasher() -> Hasher {
        Hasher::new(&RandomState::new())
    }

    #[test]
    fn lines_have_one_key_exactly_if_they_have_one_shape() {
        let hasher = hasher();
        let mut seed = 3_u64;
        let mut next = |most: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % most
        };
        let mut keys = std::collections::HashMap::new();
        let mut shapes = std::collections::HashSet::new();
        for _ in 0..60_000 {
            let length = next(28);
            let line: Vec<u8> = (0..length).map(|_| b"ab019 /:\xb0\0"[next(10)]).collect();
            let shape = masked(&line);
            let known =
                keys.entry(shape.clone()).or_insert_with(|| hasher.key(&line, 0)).to_owned();
            assert_eq!(known, hasher.key(&line, 0), "{line:?}");
            shapes.insert(shape);
        }
        let distinct: std::collections::HashSet<(u64, u64)> =
            keys.values().map(|key| (key.0, key.1)).collect();
        assert_eq!(distinct.len(), shapes.len());
        assert!(shapes.len() > 10_000);
    }

    #[test]
    fn keys_are_those_of_the_secret() {
        let random = RandomState::new();
        let line = b"Jun  1 00:00:00 web02 sshd[1508]: x";
        assert_eq!(Hasher::new(&random).key(line, 0), Hasher::new(&random).key(line, 0));
        assert_ne!(Hasher::new(&random).key(line, 0), hasher().key(line, 0));
        assert_ne!(hasher().key(b"", 0), hasher().key(b"", 0));
    }
}
