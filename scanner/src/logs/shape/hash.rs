//! A keyed hash of a line's shape, eight bytes at a time.
//!
//! Two lines have the same key if they differ only in the digits of their runs of digits and, within a
//! bucket (1 to 3, 4 to 5, 6 and more), in how long these are. The key is secret and new for each
//! sweep: who writes log lines can neither compute hashes nor see any, and 128 bits meet by chance once
//! in more lines than there are.

use std::hash::{BuildHasher, RandomState};

/// Hash of a shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key(pub(super) u64, pub(super) u64);

/// Hashes shapes; all hashers of one [`RandomState`] alike.
pub struct Hasher {
    secret: [u64; 4],
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// Bytes of a word.
const WORD: usize = 8;

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
            // The text up to the next digit, in words; the last one cut to what belongs to it.
            let digit = loop {
                let word = word_at(line, at);
                let digits = digits_of(word);
                let left = line.len() - at;
                if digits == 0 && left >= WORD {
                    state = state.mix(word, third, fourth);
                    at += WORD;
                    continue;
                }
                let length = (digits.trailing_zeros() as usize / 8).min(left);
                let kept = if length == WORD { word } else { word & ((1 << (length * 8)) - 1) };
                // Where a text ends is part of it; words of whole texts have no such mark.
                state = state.mix(kept ^ (length as u64 + 1) << 56, fourth, third);
                break at + length;
            };
            if digit >= line.len() {
                return state;
            }
            at = run_end(line, digit);
            state = state.mix(bucket(at - digit), other, one);
        }
    }
}

impl Key {
    #[inline(always)]
    fn mix(self, word: u64, one: u64, other: u64) -> Self {
        Self(folded(self.0 ^ word, one), folded(self.1.rotate_left(29) ^ word, other))
    }
}

/// Both halves of a product.
#[inline(always)]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    #[allow(clippy::cast_possible_truncation)] // the two halves
    {
        (product as u64) ^ (product >> 64) as u64
    }
}

/// The next eight bytes; zeros behind the end.
#[inline(always)]
fn word_at(line: &[u8], at: usize) -> u64 {
    match line.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => {
            let mut bytes = [0; WORD];
            let rest = line.get(at..).unwrap_or_default();
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(bytes)
        }
    }
}

/// The high bit of each byte that is an ASCII digit.
#[inline(always)]
fn digits_of(word: u64) -> u64 {
    let low = word ^ (ONES * 0x30);
    let over = (low & !HIGHS) + ONES * (0x7f - 9);
    !(over | low) & HIGHS
}

/// Where the run of digits that begins here ends.
#[inline(always)]
fn run_end(line: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        let others = !digits_of(word_at(line, at)) & HIGHS;
        if others != 0 {
            return (at + others.trailing_zeros() as usize / 8).min(line.len());
        }
        at += WORD;
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
    fn every_byte_is_a_digit_or_is_none_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..WORD {
                let mut bytes = *b"x\x2f\x3a~\xb0\xff\0y";
                bytes[place] = byte;
                let found = digits_of(u64::from_le_bytes(bytes));
                let wanted = if byte.is_ascii_digit() { 0x80_u64 << (place * 8) } else { 0 };
                assert_eq!(found, wanted, "{byte} at {place}");
            }
        }
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
