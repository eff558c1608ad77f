//! Words of a text: where they are, and a number for each different one.
//!
//! Words are split at white space (Unicode's). ASCII text is looked through 64 bytes at a time. The
//! hash is fixed, so that replay holds, and therefore foreseeable: a word whose [`MAX_PROBES`] places
//! are taken goes to an ordered tree, so that text made to collide costs a logarithm, not a scan.

use std::collections::BTreeMap;

use super::{MAX_SYMBOLS, TooMuch};

/// Most different words that one vocabulary holds.
pub const MAX_WORDS: usize = 1 << 20;
/// Places of the table that are tried for a word before it goes to the tree.
const MAX_PROBES: usize = 16;
/// Bytes of a word that are kept in its slot.
const SHORT: usize = 16;

/// Words numbered in the order in which they were first met.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    words: u32,
    /// A power of two; at most half of them taken.
    slots: Vec<Slot>,
    taken: usize,
    /// Words of more than [`SHORT`] bytes, one after another.
    long: Vec<u8>,
    /// Words that found no slot.
    crowded: BTreeMap<Box<[u8]>, u32>,
}

/// A word of the table; `number` counts from 1, 0 is a free slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The bytes of a short word; the hash and place in `long` of a long one.
    key: [u64; 2],
    length: u32,
    number: u32,
}

/// What to do with capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `Root` and `root` are two words.
    Kept,
    /// ASCII capitals count as small letters.
    Folded,
}

impl Vocabulary {
    /// An empty vocabulary with room for some words before it grows.
    pub(crate) fn with_room(words: usize) -> Self {
        let slots = (2 * words.min(MAX_WORDS)).next_power_of_two().max(64);
        Self { slots: vec![Slot::default(); slots], ..Self::default() }
    }

    /// How many different words it has met.
    pub fn len(&self) -> usize {
        self.words as usize
    }

    /// Whether it has met no word yet.
    pub fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// The words of a text, split at white space. Fails on too long a text or too full a vocabulary.
    pub fn words(&mut self, text: &str) -> Result<Vec<u32>, TooMuch> {
        let mut symbols = Vec::with_capacity(text.len().min(MAX_SYMBOLS) / 6);
        each_word(text, |start, end| {
            if symbols.len() == MAX_SYMBOLS {
                return Err(TooMuch::Symbols);
            }
            symbols.push(self.number(text.as_bytes(), start, end, Case::Kept)?);
            Ok(())
        })?;
        Ok(symbols)
    }

    /// The number of the word at `start..end` of a text. Fails on a new word for a full vocabulary.
    #[inline(always)] // the hot loop of every comparison of texts
    pub(crate) fn number(
        &mut self,
        text: &[u8],
        start: usize,
        end: usize,
        case: Case,
    ) -> Result<u32, TooMuch> {
        let length = end - start;
        if length > SHORT {
            return self.long_number(&text[start..end], case);
        }
        let mut key = short_key(text, start, length);
        if case == Case::Folded {
            key = key.map(small_letters);
        }
        let length = length as u32; // at most SHORT
        let hash = mix(key, length);
        if !self.slots.is_empty() {
            let mask = self.slots.len() - 1;
            let mut place = hash as usize & mask;
            for _ in 0..MAX_PROBES {
                let slot = &self.slots[place & mask];
                if slot.key == key && slot.length == length && slot.number != 0 {
                    return Ok(slot.number - 1);
                }
                if slot.number == 0 {
                    break;
                }
                place += 1;
            }
        }
        self.add_short(key, length)
    }

    #[cold]
    fn add_short(&mut self, key: [u64; 2], length: u32) -> Result<u32, TooMuch> {
        let bytes: Vec<u8> = key.iter().flat_map(|half| half.to_le_bytes()).collect();
        self.add(&bytes[..length as usize], Slot { key, length, number: 0 })
    }

    fn long_number(&mut self, word: &[u8], case: Case) -> Result<u32, TooMuch> {
        let folded;
        let word = match case {
            Case::Kept => word,
            Case::Folded => {
                folded = word.to_ascii_lowercase();
                &folded[..]
            }
        };
        let hash = long_hash(word);
        let length = u32::try_from(word.len()).map_err(|_| TooMuch::Symbols)?;
        for slot in self.places(hash) {
            let slot = &self.slots[slot];
            if slot.number == 0 {
                break;
            }
            let same = slot.length == length && slot.key[0] == hash;
            if same && self.long[slot.key[1] as usize..].starts_with(word) {
                return Ok(slot.number - 1);
            }
        }
        self.add(word, Slot { key: [hash, self.long.len() as u64], length, number: 0 })
    }

    /// A word that no slot holds: an old one from the tree, or a new one.
    fn add(&mut self, word: &[u8], slot: Slot) -> Result<u32, TooMuch> {
        if let Some(&number) = self.crowded.get(word) {
            return Ok(number);
        }
        if self.len() == MAX_WORDS {
            return Err(TooMuch::Words);
        }
        if 2 * (self.taken + 1) > self.slots.len() {
            self.grow();
        }
        self.words += 1;
        let slot = Slot { number: self.words, ..slot };
        if !self.settle(slot) {
            self.crowded.insert(word.into(), self.words - 1);
        } else if word.len() > SHORT {
            self.long.extend_from_slice(word);
        }
        Ok(self.words - 1)
    }

    /// Puts a word into the first free of its slots; false if there is none.
    fn settle(&mut self, slot: Slot) -> bool {
        let hash =
            if slot.length as usize > SHORT { slot.key[0] } else { mix(slot.key, slot.length) };
        let free = self.places(hash).find(|&place| self.slots[place].number == 0);
        if let Some(place) = free {
            self.slots[place] = slot;
            self.taken += 1;
        }
        free.is_some()
    }

    fn grow(&mut self) {
        let larger = (4 * self.slots.len()).max(64);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); larger]);
        self.taken = 0;
        for slot in old.into_iter().filter(|slot| slot.number != 0) {
            if !self.settle(slot) {
                let word = self.spelt(&slot);
                self.crowded.insert(word, slot.number - 1);
            }
        }
    }

    fn spelt(&self, slot: &Slot) -> Box<[u8]> {
        let length = slot.length as usize;
        if length > SHORT {
            let start = slot.key[1] as usize;
            return self.long[start..start + length].into();
        }
        slot.key.iter().flat_map(|half| half.to_le_bytes()).take(length).collect()
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        let probes = if slots == 0 { 0 } else { MAX_PROBES };
        (0..probes).map(move |probe| (hash as usize).wrapping_add(probe) & (slots - 1))
    }
}

/// Calls `found(start, end)` for every run of other than white space, in order, until it fails.
#[inline(always)] // with what each caller does with a word
pub(crate) fn each_word<E>(
    text: &str,
    mut found: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    if !text.is_ascii() {
        return each_unicode_word(text, found);
    }
    let bytes = text.as_bytes();
    let (mut start, mut before, mut at) = (0, 0_u64, 0);
    let mut tail = [b' '; 64];
    while at < bytes.len() {
        let block = match bytes.get(at..).and_then(<[u8]>::first_chunk) {
            Some(block) => block,
            None => {
                tail[..bytes.len() - at].copy_from_slice(&bytes[at..]);
                &tail
            }
        };
        let inside = !spaces(block);
        // A bit where a word starts or has just ended, by turns.
        let mut edges = inside ^ (inside << 1 | before);
        let mut open = before == 1;
        before = inside >> 63;
        while edges != 0 {
            let edge = at + edges.trailing_zeros() as usize;
            edges &= edges - 1;
            if open {
                found(start, edge)?;
            } else {
                start = edge;
            }
            open = !open;
        }
        at += 64;
    }
    if before == 1 { found(start, bytes.len()) } else { Ok(()) }
}

fn each_unicode_word<E>(
    text: &str,
    mut found: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut start = 0;
    for (at, letter) in text.char_indices().filter(|(_, letter)| letter.is_whitespace()) {
        if at > start {
            found(start, at)?;
        }
        start = at + letter.len_utf8();
    }
    if text.len() > start { found(start, text.len()) } else { Ok(()) }
}

/// How many words a text has.
pub(crate) fn count_words(text: &str) -> usize {
    let mut words = 0;
    let counted: Result<(), std::convert::Infallible> = each_word(text, |_, _| {
        words += 1;
        Ok(())
    });
    counted.map_or(0, |()| words)
}

/// A byte's value in every byte of a word.
const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// A bit for every byte that is white space; all bytes are ASCII (below 128).
#[inline(always)]
fn spaces(block: &[u8; 64]) -> u64 {
    let mut found = 0;
    for (at, chunk) in block.as_chunks::<8>().0.iter().enumerate() {
        let bytes = u64::from_le_bytes(*chunk);
        // No sum or difference leaves its byte, so that the top bit of each tells about it alone.
        let space = every(0x80) - (bytes ^ every(b' '));
        let from_tab = bytes + every(0x80 - b'\t');
        let past_return = bytes + every(0x80 - b'\r' - 1);
        let flags = (space | (from_tab & !past_return)) & every(0x80);
        // Moves the top bit of byte n to bit n of the top byte.
        found |= ((flags >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
    }
    found
}

/// A word of at most 16 bytes as two numbers, padded with zeros.
#[inline(always)]
fn short_key(text: &[u8], start: usize, length: usize) -> [u64; 2] {
    let (low, high) = match text[start..].first_chunk::<SHORT>() {
        Some(bytes) => {
            let both = u128::from_le_bytes(*bytes);
            (both as u64, (both >> 64) as u64)
        }
        None => {
            let mut bytes = [0; SHORT];
            let rest = &text[start..];
            bytes[..rest.len()].copy_from_slice(rest);
            let both = u128::from_le_bytes(bytes);
            (both as u64, (both >> 64) as u64)
        }
    };
    let (keep_low, keep_high) = KEEP[length & 31];
    [low & keep_low, high & keep_high]
}

/// Masks that keep the first `length` bytes of two words; 32 entries, so that no index is outside.
const KEEP: [(u64, u64); 32] = {
    let mut keep = [(u64::MAX, u64::MAX); 32];
    let mut length = 0;
    while length < SHORT {
        keep[length] = if length < 8 {
            ((1 << (8 * length)) - 1, 0)
        } else {
            (u64::MAX, (1 << (8 * (length - 8))) - 1)
        };
        length += 1;
    }
    keep
};

/// ASCII capitals made small, in all eight bytes at once; other bytes stay.
#[inline(always)]
fn small_letters(bytes: u64) -> u64 {
    let low = bytes & every(0x7f);
    let from_a = low + every(0x80 - b'A');
    let past_z = low + every(0x80 - b'Z' - 1);
    bytes | (from_a & !past_z & !bytes & every(0x80)) >> 2
}

/// Folded multiplication (as in wyhash and foldhash).
#[inline(always)]
fn mix(key: [u64; 2], length: u32) -> u64 {
    let low = key[0] ^ 0x9e37_79b9_7f4a_7c15 ^ u64::from(length) << 56;
    let product = u128::from(low) * u128::from(key[1] ^ 0xd6e8_feb8_6659_fd93);
    product as u64 ^ (product >> 64) as u64
}

fn long_hash(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    for chunk in word.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        hash = mix([u64::from_le_bytes(bytes), hash], 0);
    }
    hash
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        each_word(text, |start, end| {
            words.push(&text[start..end]);
            Ok::<(), ()>(())
        })
        .unwrap();
        words
    }

    /// The numbers that the standard map would give.
    fn numbered<'a>(words: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let mut numbers = HashMap::new();
        words
            .map(|word| {
                let next = numbers.len() as u32;
                *numbers.entry(word.to_owned()).or_insert(next)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn words_are_those_of_the_standard_library(text in "([a-cA-C\0]{0,20}|[ \t\n\u{b}\u{c}\r\u{1c}-\u{1f}]|[é\u{85}\u{a0}\u{3000}])*") {
            prop_assert_eq!(split(&text), text.split_whitespace().collect::<Vec<_>>());
            prop_assert_eq!(count_words(&text), text.split_whitespace().count());
            let mut vocabulary = Vocabulary::default();
            prop_assert_eq!(vocabulary.words(&text).unwrap(), numbered(text.split_whitespace()));
        }

        #[test]
        fn folded_words_are_lower_case_words(text in "([a-cA-CÉé@\\[`{]{1,20} )*") {
            let mut vocabulary = Vocabulary::default();
            let mut symbols = Vec::new();
            each_word(&text, |start, end| {
                symbols.push(vocabulary.number(text.as_bytes(), start, end, Case::Folded)?);
                Ok::<(), TooMuch>(())
            })
            .unwrap();
            prop_assert_eq!(symbols, numbered(text.to_ascii_lowercase().split_whitespace()));
        }
    }

    #[test]
    fn every_ascii_byte_is_space_or_not_as_in_the_standard_library() {
        for byte in 0..128_u8 {
            for at in [0, 7, 8, 63] {
                let mut block = [b'x'; 64];
                block[at] = byte;
                let space = char::from(byte).is_whitespace();
                assert_eq!(spaces(&block), u64::from(space) << at, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn words_that_collide_are_told_apart() {
        let mut vocabulary = Vocabulary::with_room(4096);
        let slots = vocabulary.slots.len() as u64;
        let home = |word: &str| {
            mix(short_key(word.as_bytes(), 0, word.len()), word.len() as u32) & (slots - 1)
        };
        let names = (0_u32..).map(|n| format!("w{n}"));
        let collide: Vec<String> =
            names.filter(|word| home(word) == 5).take(3 * MAX_PROBES).collect();
        for round in 0..2 {
            for (number, word) in collide.iter().enumerate() {
                assert_eq!(vocabulary.words(word).unwrap(), [number as u32], "round {round}");
            }
        }
        assert!(!vocabulary.crowded.is_empty());
        vocabulary.grow();
        for (number, word) in collide.iter().enumerate() {
            assert_eq!(vocabulary.words(word).unwrap(), [number as u32], "after growing");
        }
    }

    #[test]
    fn full_vocabulary_still_knows_its_words() {
        let mut vocabulary = Vocabulary::default();
        for number in 0..MAX_WORDS as u32 {
            let word = number.to_string();
            assert_eq!(vocabulary.words(&word), Ok(vec![number]));
        }
        assert_eq!(vocabulary.len(), MAX_WORDS);
        assert_eq!(vocabulary.words("5 7 5"), Ok(vec![5, 7, 5]));
        assert_eq!(vocabulary.words("new"), Err(TooMuch::Words));
    }
}
