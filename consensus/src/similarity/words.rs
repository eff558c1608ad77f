//! Words of a text: where they are, and a number for each different one.
//!
//! Words are split at white space (Unicode's). ASCII text is looked through 64 bytes at a time. The
//! hash is fixed, so that replay holds, and therefore foreseeable: a word whose [`MAX_PROBES`] places
//! are taken goes to an ordered tree, so that text made to collide costs a logarithm, not a scan.

use std::collections::BTreeMap;

use super::{MAX_SYMBOLS, TooMuch};
use crate::sys::spaces;

/// Most different words that one vocabulary holds.
pub const MAX_WORDS: usize = 1 << 20;
/// Places of the table that are tried for a word before it goes to the tree.
const MAX_PROBES: usize = 16;
/// Most bytes of a short word.
const SHORT: usize = 15;

/// Words numbered in the order in which they were first met.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// By number.
    words: Vec<Word>,
    /// A word's number plus 1; 0 is free. Their count is a power of two, and at most one in four is
    /// taken.
    slots: Vec<u32>,
    /// Words of more than [`SHORT`] bytes, one after another.
    long: Vec<u8>,
    /// Words that found no slot.
    crowded: BTreeMap<Box<[u8]>, u32>,
}

/// A short word's bytes and, topmost, its length; a long one's hash and place in `long`, topmost
/// [`LONG`]. Two words are the same if these are, but for long ones.
type Word = [u64; 2];

/// What a long word has in the place of its length.
const LONG: u64 = 0xff << 56;
const FEWEST_SLOTS: usize = 64;

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
            symbols.push(self.number(text.as_bytes(), start, end)?);
            Ok(())
        })?;
        Ok(symbols)
    }

    /// The number of the word at `start..end` of a text. Fails on a new word for a full vocabulary.
    #[inline(always)] // the hot loop of every comparison of texts
    pub(crate) fn number(&mut self, text: &[u8], start: usize, end: usize) -> Result<u32, TooMuch> {
        let length = end - start;
        if length > SHORT {
            return self.long_number(&text[start..end]);
        }
        let [low, high] = short_bytes(text, start, length);
        let word = [low, high | (length as u64) << 56];
        let hash = mix(word);
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
            let number = self.slots[(hash as usize).wrapping_add(probe) & mask].checked_sub(1)?;
            if same(self, &self.words[number as usize]) {
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

    fn long_number(&mut self, bytes: &[u8]) -> Result<u32, TooMuch> {
        let hash = long_hash(bytes);
        let known = self.look(hash, |all, other| {
            let is_long = other[1] >> 56 == LONG >> 56;
            is_long && other[0] == hash && all.long_bytes(other) == bytes
        });
        if let Some(number) = known.or_else(|| self.crowded.get(bytes).copied()) {
            return Ok(number);
        }
        let word = [hash, LONG | self.long.len() as u64];
        self.long.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
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
                *slot = number + 1;
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
            let word = self.words[number];
            let hash = if word[1] >= LONG { word[0] } else { mix(word) };
            self.settle(number as u32, hash);
        }
    }

    fn spelt(&self, word: &Word) -> Box<[u8]> {
        if word[1] >= LONG {
            return self.long_bytes(word).into();
        }
        let length = (word[1] >> 56) as usize;
        word.iter().flat_map(|half| half.to_le_bytes()).take(length).collect()
    }

    /// The bytes of a long word: in `long`, after their number.
    fn long_bytes(&self, word: &Word) -> &[u8] {
        let place = (word[1] & !LONG) as usize;
        let (length, bytes) = self.long[place..].split_first_chunk().unwrap_or((&[0; 8], &[]));
        &bytes[..u64::from_le_bytes(*length) as usize]
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
    let mut found_here = Piece::default();
    // A byte more than the text has, so that its last word ends.
    for at in (0..=text.len()).step_by(PIECE) {
        found_here.find(text.as_bytes(), at);
        let Piece { starts, ends, started, ended, .. } = &mut found_here;
        for (&start, &end) in starts[..*ended].iter().zip(&ends[..*ended]) {
            found(start, end)?;
        }
        // A word that goes on in the next piece.
        if *started > *ended {
            starts[0] = starts[*ended];
        }
        (*started, *ended) = (*started - *ended, 0);
    }
    Ok(())
}

/// Bytes that are looked through before their words are used: the search for words and their use
/// both run faster in loops of their own.
const PIECE: usize = 64;

/// Where words start and end.
struct Piece {
    /// More than a piece and an open word can have, and a power of two.
    starts: [usize; 64],
    ends: [usize; 64],
    started: usize,
    ended: usize,
    /// 1 if the byte before was part of a word.
    inside: u64,
}

impl Default for Piece {
    fn default() -> Self {
        Self { starts: [0; 64], ends: [0; 64], started: 0, ended: 0, inside: 0 }
    }
}

impl Piece {
    /// Adds those of the piece at `at`; what lies beyond the text is space.
    #[inline(always)]
    fn find(&mut self, text: &[u8], at: usize) {
        for at in (at..(at + PIECE).min(text.len() + 1)).step_by(64) {
            let mut tail = [b' '; 64];
            let block = match text[at..].first_chunk() {
                Some(block) => block,
                None => {
                    tail[..text.len() - at].copy_from_slice(&text[at..]);
                    &tail
                }
            };
            let inside = !spaces(block);
            let before = inside << 1 | self.inside;
            self.inside = inside >> 63;
            let (mut starts, mut ends) = (inside & !before, before & !inside);
            let (started, ended) = (self.started, self.ended);
            self.started += starts.count_ones() as usize;
            self.ended += ends.count_ones() as usize;
            let mut nth = 0;
            // Four at a time, some of them in vain: a loop whose end is foreseen more often.
            while starts | ends != 0 {
                for _ in 0..4 {
                    self.starts[(started + nth) & 63] = at + starts.trailing_zeros() as usize;
                    self.ends[(ended + nth) & 63] = at + ends.trailing_zeros() as usize;
                    starts &= starts.wrapping_sub(1);
                    ends &= ends.wrapping_sub(1);
                    nth += 1;
                }
            }
        }
    }
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
    if !text.is_ascii() {
        return text.split_whitespace().count();
    }
    let (mut words, mut before) = (0, 0);
    let (blocks, rest) = text.as_bytes().as_chunks::<64>();
    let mut tail = [b' '; 64];
    tail[..rest.len()].copy_from_slice(rest);
    for block in blocks.iter().chain([&tail]) {
        let inside = !spaces(block);
        words += (inside & !(inside << 1 | before)).count_ones() as usize;
        before = inside >> 63;
    }
    words
}

/// A byte's value in every byte of a word.
#[cfg(any(test, not(target_arch = "x86_64")))]
const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// A bit for every byte that is white space; all bytes are ASCII (below 128). Eight bytes in a number
/// at a time, for processors of which `sys` knows nothing better.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
pub(crate) fn portable_spaces(block: &[u8; 64]) -> u64 {
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

/// A word of at most [`SHORT`] bytes as two numbers, padded with zeros.
#[inline(always)]
fn short_bytes(text: &[u8], start: usize, length: usize) -> [u64; 2] {
    let bytes = match text[start..].first_chunk() {
        Some(bytes) => u128::from_le_bytes(*bytes),
        None => {
            let mut bytes = [0; 16];
            let rest = &text[start..];
            bytes[..rest.len()].copy_from_slice(rest);
            u128::from_le_bytes(bytes)
        }
    };
    let [keep_low, keep_high] = KEEP[length & 15];
    [bytes as u64 & keep_low, (bytes >> 64) as u64 & keep_high]
}

/// Masks that keep the first `length` bytes of two numbers.
const KEEP: [[u64; 2]; 16] = {
    let (mut keep, mut length) = ([[0; 2]; 16], 0);
    while length < 16 {
        let bytes = (1_u128 << (8 * length)) - 1;
        keep[length] = [bytes as u64, (bytes >> 64) as u64];
        length += 1;
    }
    keep
};

/// Folded multiplication (as in wyhash and foldhash).
#[inline(always)]
fn mix(word: Word) -> u64 {
    let low = u128::from(word[0] ^ 0x9e37_79b9_7f4a_7c15);
    let product = low * u128::from(word[1] ^ 0xd6e8_feb8_6659_fd93);
    product as u64 ^ (product >> 64) as u64
}

/// Of a word of more than [`SHORT`] bytes: 16 at a time, the last 16 perhaps with some once more.
fn long_hash(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    let last = word.last_chunk().into_iter();
    for chunk in word.as_chunks::<16>().0.iter().chain(last) {
        let both = u128::from_le_bytes(*chunk);
        hash = mix([both as u64 ^ hash, (both >> 64) as u64]);
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

    }

    #[test]
    fn every_ascii_byte_is_space_or_not_as_in_the_standard_library() {
        for byte in 0..128_u8 {
            for at in [0, 7, 8, 63] {
                let mut block = [b'x'; 64];
                block[at] = byte;
                let space = char::from(byte).is_whitespace();
                assert_eq!(spaces(&block), u64::from(space) << at, "{byte} at {at}");
                assert_eq!(portable_spaces(&block), spaces(&block), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn words_that_collide_are_told_apart() {
        let mut vocabulary = Vocabulary::with_room(4096);
        let slots = vocabulary.slots.len() as u64;
        let home = |word: &str| {
            let [low, high] = short_bytes(word.as_bytes(), 0, word.len());
            mix([low, high | (word.len() as u64) << 56]) & (slots - 1)
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
