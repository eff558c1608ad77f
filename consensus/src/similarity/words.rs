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
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// By number.
    words: Vec<Word>,
    /// A word's number plus 1, below some bits of its hash; 0 is free. Their count is a power of two,
    /// and at most one in four is taken.
    slots: Vec<u32>,
    /// Words of more than [`SHORT`] bytes, one after another.
    long: Vec<u8>,
    /// Words that found no slot.
    crowded: BTreeMap<Box<[u8]>, u32>,
}

/// The bytes of a short word; the hash and place in `long` of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    key: [u64; 2],
    length: u32,
}

/// Bits of a slot that hold the number; those above are of the hash.
const NUMBER_BITS: u32 = 21;
const _: () = assert!(MAX_WORDS < 1 << NUMBER_BITS);
const FEWEST_SLOTS: usize = 64;

/// What to do with capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `Root` and `root` are two words.
    Kept,
    /// ASCII capitals count as small letters.
    Folded,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::with_room(0)
    }
}

impl Vocabulary {
    /// An empty vocabulary with room for some words before it grows.
    pub(crate) fn with_room(words: usize) -> Self {
        let slots = (4 * words.min(MAX_WORDS)).next_power_of_two().max(FEWEST_SLOTS);
        Self {
            words: Vec::with_capacity(words.min(MAX_WORDS)),
            slots: vec![0; slots],
            long: Vec::new(),
            crowded: BTreeMap::new(),
        }
    }

    /// How many different words it has met.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it has met no word yet.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
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
        let word = Word { key, length: length as u32 }; // at most SHORT
        let hash = mix(key, word.length);
        match self.look(hash, |_, other| *other == word) {
            Some(number) => Ok(number),
            None => self.add_short(word, hash),
        }
    }

    /// The number of a word with this hash that `same` recognises; `None` if no slot has it.
    #[inline(always)]
    fn look(&self, hash: u64, same: impl Fn(&Self, &Word) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        for probe in 0..MAX_PROBES {
            let slot = self.slots[(hash as usize).wrapping_add(probe) & mask];
            if slot == 0 {
                return None;
            }
            let number = (slot & ((1 << NUMBER_BITS) - 1)) - 1;
            if slot >> NUMBER_BITS == upper(hash) && same(self, &self.words[number as usize]) {
                return Some(number);
            }
        }
        None
    }

    #[inline(never)]
    fn add_short(&mut self, word: Word, hash: u64) -> Result<u32, TooMuch> {
        if !self.crowded.is_empty()
            && let Some(&number) = self.crowded.get(&*self.spelt(&word))
        {
            return Ok(number);
        }
        self.add(word, hash)
    }

    fn long_number(&mut self, word: &[u8], case: Case) -> Result<u32, TooMuch> {
        let folded;
        let bytes = match case {
            Case::Kept => word,
            Case::Folded => {
                folded = word.to_ascii_lowercase();
                &folded[..]
            }
        };
        let hash = long_hash(bytes);
        let length = u32::try_from(bytes.len()).map_err(|_| TooMuch::Symbols)?;
        let known = self.look(hash, |all, other| {
            let start = other.key[1] as usize;
            other.length == length && other.key[0] == hash && all.long[start..].starts_with(bytes)
        });
        if let Some(number) = known.or_else(|| self.crowded.get(bytes).copied()) {
            return Ok(number);
        }
        let word = Word { key: [hash, self.long.len() as u64], length };
        self.long.extend_from_slice(bytes);
        self.add(word, hash)
    }

    /// A new word.
    fn add(&mut self, word: Word, hash: u64) -> Result<u32, TooMuch> {
        if self.len() == MAX_WORDS {
            return Err(TooMuch::Words);
        }
        self.words.push(word);
        let number = self.words.len() as u32 - 1; // below MAX_WORDS
        if 4 * self.words.len() > self.slots.len() {
            self.grow();
        } else {
            self.settle(number, hash);
        }
        Ok(number)
    }

    /// Puts a word into the first free of its slots, or among the crowded.
    fn settle(&mut self, number: u32, hash: u64) {
        let mask = self.slots.len() - 1;
        for probe in 0..MAX_PROBES {
            let slot = &mut self.slots[(hash as usize).wrapping_add(probe) & mask];
            if *slot == 0 {
                *slot = upper(hash) << NUMBER_BITS | (number + 1);
                return;
            }
        }
        let word = self.spelt(&self.words[number as usize]);
        self.crowded.insert(word, number);
    }

    #[cold]
    fn grow(&mut self) {
        self.slots = vec![0; 4 * self.slots.len()];
        self.crowded.clear();
        for number in 0..self.words.len() {
            let Word { key, length } = self.words[number];
            let hash = if length as usize > SHORT { key[0] } else { mix(key, length) };
            self.settle(number as u32, hash);
        }
    }

    fn spelt(&self, word: &Word) -> Box<[u8]> {
        let length = word.length as usize;
        if length > SHORT {
            let start = word.key[1] as usize;
            return self.long[start..start + length].into();
        }
        word.key.iter().flat_map(|half| half.to_le_bytes()).take(length).collect()
    }
}

/// The bits of a hash that a slot keeps; its place in the table is made of the lowest.
#[inline(always)]
fn upper(hash: u64) -> u32 {
    (hash >> (32 + NUMBER_BITS)) as u32
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
