//! The skeleton of a text: its bytes with each run of digits as one mark; its keyed hash and where the
//! runs are, eight bytes at a time.
//!
//! The key is secret and new in each process: who writes log lines can neither compute hashes nor see
//! any. Bounded: [`TEXT_BYTES_MAX`] and [`RUNS_MAX`]; other texts have no skeleton here.

use std::hash::{BuildHasher, RandomState};

/// Longest text that has one.
pub(super) const TEXT_BYTES_MAX: usize = 2048;
/// Most runs of digits in a text that has one.
pub(super) const RUNS_MAX: usize = 64;

/// Hash of a skeleton.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64, u64);

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

const WORD: usize = 8;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

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
            let word = word_at(text, at);
            let digits = digits_of(word);
            let left = text.len() - at;
            if digits == 0 && left >= WORD {
                key = key.mix(word, third, fourth);
                at += WORD;
                continue;
            }
            // What stands before the next digit, with its length; whole words have no such mark, and
            // are hashed by the other secrets.
            let length = (digits.trailing_zeros() as usize / 8).min(left);
            let kept = if length == WORD { word } else { word & ((1 << (length * 8)) - 1) };
            key = key.mix(kept ^ (length as u64 + 1) << 56, fourth, third);
            let from = at + length;
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

impl Key {
    #[inline(always)]
    fn mix(self, word: u64, one: u64, other: u64) -> Self {
        Self(folded(self.0 ^ word, one), folded(self.1.rotate_left(29) ^ word, other))
    }
}

fn run(from: usize, to: usize) -> Run {
    let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    Run { from: place(from), to: place(to) }
}

#[inline(always)]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ (product >> 64) as u64
}

/// The next eight bytes; zeros behind the end.
#[inline(always)]
fn word_at(text: &[u8], at: usize) -> u64 {
    if let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        return u64::from_le_bytes(*bytes);
    }
    let left = text.len() - at;
    match text.last_chunk::<WORD>() {
        Some(_) if left == 0 => 0,
        Some(bytes) => u64::from_le_bytes(*bytes) >> ((WORD - left) * 8),
        None => text[at..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
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
fn run_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        let others = !digits_of(word_at(text, at)) & HIGHS;
        if others != 0 {
            return (at + others.trailing_zeros() as usize / 8).min(text.len());
        }
        at += WORD;
    }
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
}
