//! What several experts' texts about one case say together: one pass over all texts counts each
//! word, and notes which experts name it.
//!
//! A word is what stands between white space, without punctuation at its ends, with ASCII capitals
//! made small. From this an explanation takes the words most experts agree on, and those that only
//! one of them uses. Cases are independent: many are aggregated on several threads with the same
//! result as on one. More than [`MAX_TEXTS`] texts, [`MAX_SYMBOLS`] words in a text,
//! [`similarity::MAX_WORDS`] different spellings or [`MAX_BYTES`] bytes are refused, never cut.
//!
//! [`similarity::MAX_WORDS`]: crate::similarity::MAX_WORDS

use std::cmp::Reverse;

use crate::similarity::words::{Vocabulary, each_word};
use crate::similarity::{MAX_SYMBOLS, MAX_TEXTS, TooMuch};

/// Most bytes of one case's texts together.
pub const MAX_BYTES: usize = 1 << 24;
/// Most threads that [`of_cases`] uses.
pub const MAX_THREADS: usize = 64;
/// Bytes of text for which the table of words first has a slot for one word.
const BYTES_PER_WORD: usize = 8;

/// Words for which there is room at first, whatever the texts' length.
const MAX_FIRST_ROOM: usize = 512;

/// The words of one case's texts; text `n` is expert `n`'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate<'a> {
    texts: Vec<&'a str>,
    /// In the order in which they first occur.
    words: Vec<Word>,
    /// A bit an expert beyond the first 64, `width` numbers a word.
    experts: Vec<u64>,
    width: usize,
    totals: Vec<u32>,
}

/// One word and who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    /// Where it first occurs.
    text: u16,
    start: u32,
    end: u32,
    count: u32,
    /// A bit for each of the first 64 experts.
    experts: u64,
}

/// Words as they are written, each looked at closely only once.
struct Spellings {
    vocabulary: Vocabulary,
    /// The word that each is a spelling of.
    words: Vec<u32>,
}

/// What is nothing but punctuation.
const NO_WORD: u32 = u32::MAX;

/// A word as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The word, ASCII capitals made small.
    pub word: String,
    /// How often it occurs in all texts.
    pub count: u32,
    /// How many experts use it.
    pub experts: u32,
}

impl<'a> Aggregate<'a> {
    /// Reads all texts of a case. Fails if there is more than the limits allow.
    pub fn of(texts: &[&'a str]) -> Result<Self, TooMuch> {
        if texts.len() > MAX_TEXTS {
            return Err(TooMuch::Texts);
        }
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        if bytes > MAX_BYTES {
            return Err(TooMuch::Bytes);
        }
        let room = (bytes / BYTES_PER_WORD).min(MAX_FIRST_ROOM);
        let mut spellings =
            Spellings { vocabulary: Vocabulary::with_room(room), words: Vec::with_capacity(room) };
        let mut all = Self {
            texts: texts.to_vec(),
            words: Vec::with_capacity(room),
            experts: Vec::new(),
            width: texts.len().div_ceil(64).saturating_sub(1),
            totals: Vec::with_capacity(texts.len()),
        };
        for (expert, text) in texts.iter().enumerate() {
            let total = all.read(&mut spellings, expert as u16, text)?; // below MAX_TEXTS
            all.totals.push(total);
        }
        Ok(all)
    }

    fn read(&mut self, spellings: &mut Spellings, expert: u16, text: &str) -> Result<u32, TooMuch> {
        let bytes = text.as_bytes();
        let (group, bit) = (usize::from(expert) / 64, 1 << (expert % 64));
        let mut total = 0_u32;
        each_word(text, |start, end| {
            let spelling = spellings.vocabulary.number(bytes, start, end)? as usize;
            if spelling == spellings.words.len() {
                self.meet(spellings, expert, bytes, (start, end))?;
            }
            let number = spellings.words[spelling] as usize;
            let Some(word) = self.words.get_mut(number) else {
                return Ok(()); // nothing but punctuation
            };
            total += 1;
            word.count += 1;
            match group.checked_sub(1) {
                None => word.experts |= bit,
                Some(group) => self.experts[number * self.width + group] |= bit,
            }
            Ok(())
        })?;
        if total as usize > MAX_SYMBOLS { Err(TooMuch::Symbols) } else { Ok(total) }
    }

    /// Finds out of which word a new spelling is.
    #[inline(never)]
    fn meet(
        &mut self,
        spellings: &mut Spellings,
        expert: u16,
        text: &[u8],
        spelt: (usize, usize),
    ) -> Result<(), TooMuch> {
        let (start, end) = bare(text, spelt.0, spelt.1);
        let known = spellings.words.len();
        spellings.words.push(NO_WORD);
        if start == end {
            return Ok(());
        }
        let bytes = &text[start..end];
        let plain = if bytes.iter().any(u8::is_ascii_uppercase) {
            let small = bytes.to_ascii_lowercase();
            spellings.vocabulary.number(&small, 0, small.len())? as usize
        } else if (start, end) == spelt {
            known
        } else {
            spellings.vocabulary.number(text, start, end)? as usize
        };
        if plain == spellings.words.len() {
            spellings.words.push(NO_WORD);
        }
        if spellings.words[plain] == NO_WORD {
            spellings.words[plain] = self.words.len() as u32; // below MAX_WORDS
            let (start, end) = (start as u32, end as u32); // at most MAX_BYTES
            self.words.push(Word { text: expert, start, end, count: 0, experts: 0 });
            self.experts.resize(self.words.len() * self.width, 0);
        }
        spellings.words[known] = spellings.words[plain];
        Ok(())
    }

    /// How many words all texts have together.
    pub fn total(&self) -> u64 {
        self.totals.iter().copied().map(u64::from).sum()
    }

    /// How many words each expert's text has.
    pub fn totals(&self) -> &[u32] {
        &self.totals
    }

    /// How many different words there are.
    pub fn distinct(&self) -> usize {
        self.words.len()
    }

    /// The words that at least `experts` experts use: first those of most experts, then those that
    /// occur most often, then those that come first. At most `most` of them.
    pub fn shared(&self, experts: usize, most: usize) -> Vec<Named> {
        let ranked = |n: usize| (Reverse((self.users(n), self.words[n].count)), n);
        let mut shared: Vec<_> = (0..self.words.len())
            .filter(|&n| self.users(n) as usize >= experts)
            .map(ranked)
            .collect();
        shared.sort_unstable();
        shared.into_iter().take(most).map(|(_, n)| self.named(n)).collect()
    }

    /// The words that nobody but this expert uses, in the order of its text; at most `most`.
    pub fn only(&self, expert: usize, most: usize) -> Vec<Named> {
        let own = |&n: &usize| usize::from(self.words[n].text) == expert && self.users(n) == 1;
        (0..self.words.len()).filter(own).take(most).map(|n| self.named(n)).collect()
    }

    /// The experts who use the `n`th word in the order of first occurrence; none beyond the words.
    pub fn experts_of(&self, n: usize) -> impl Iterator<Item = usize> + '_ {
        let bits = move |group: usize| self.bits(n).nth(group).unwrap_or(0);
        (0..self.texts.len()).filter(move |e| bits(e / 64) >> (e % 64) & 1 == 1)
    }

    fn bits(&self, n: usize) -> impl Iterator<Item = u64> + '_ {
        let first = self.words.get(n).map(|word| word.experts);
        let others = self.experts.get(n * self.width..(n + 1) * self.width).unwrap_or_default();
        first.into_iter().chain(others.iter().copied())
    }

    fn users(&self, n: usize) -> u32 {
        self.bits(n).map(u64::count_ones).sum()
    }

    /// The `n`th word in the order of first occurrence.
    pub fn word(&self, n: usize) -> Option<Named> {
        (n < self.words.len()).then(|| self.named(n))
    }

    fn named(&self, n: usize) -> Named {
        let Word { text, start, end, count, .. } = self.words[n];
        let word = &self.texts[usize::from(text)][start as usize..end as usize];
        Named { word: word.to_ascii_lowercase(), count, experts: self.users(n) }
    }
}

/// A word without the punctuation before and after it. Signs that belong to names (`/`, `_`, `-`,
/// `@`, `#`, `$`, `%`, `&`, `*`, `+`, `=`, `~`, `|`, `^`, `<`, `>`, `\`) stay.
fn bare(text: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    let mark = |at: usize| PUNCTUATION[usize::from(text[at])];
    while start < end && mark(start) {
        start += 1;
    }
    while start < end && mark(end - 1) {
        end -= 1;
    }
    (start, end)
}

const PUNCTUATION: [bool; 256] = {
    let (mut table, marks, mut at) = ([false; 256], b".,;:!?()[]{}\"'`", 0);
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Aggregates many cases on up to `threads` threads, in their order. The result is that of
/// [`Aggregate::of`] for each, whatever the number of threads.
pub fn of_cases<'a>(cases: &[Vec<&'a str>], threads: usize) -> Vec<Result<Aggregate<'a>, TooMuch>> {
    let each = |cases: &[Vec<&'a str>]| -> Vec<_> {
        cases.iter().map(|texts| Aggregate::of(texts)).collect()
    };
    let parts = parts(cases, threads.clamp(1, MAX_THREADS));
    let Some((own, others)) = parts.split_first() else {
        return Vec::new();
    };
    std::thread::scope(|scope| {
        let others: Vec<_> =
            others.iter().map(|part| (part, scope.spawn(move || each(part)))).collect();
        let mut all = each(own);
        for (part, thread) in others {
            // A thread that could not finish costs time, not a result.
            all.extend(thread.join().unwrap_or_else(|_| each(part)));
        }
        all
    })
}

/// Cuts cases into runs of about as many bytes each.
fn parts<'c, 'a>(cases: &'c [Vec<&'a str>], threads: usize) -> Vec<&'c [Vec<&'a str>]> {
    // A byte more a case, so that empty ones count.
    let size = |case: &Vec<&str>| 1 + case.iter().map(|text| text.len()).sum::<usize>();
    let share = cases.iter().map(size).sum::<usize>().div_ceil(threads);
    let (mut parts, mut start, mut filled) = (Vec::new(), 0, 0);
    for (at, case) in cases.iter().enumerate() {
        filled += size(case);
        if filled >= share || at + 1 == cases.len() {
            parts.push(&cases[start..=at]);
            (start, filled) = (at + 1, 0);
        }
    }
    parts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn named(word: &str, count: u32, experts: u32) -> Named {
        Named { word: word.into(), count, experts }
    }

    #[test]
    fn tells_what_is_shared_and_what_one_says_alone() {
        let all = Aggregate::of(&[
            "Root login, from 192.0.2.7: root!",
            "(root) by key",
            "... login by root.",
        ])
        .unwrap();
        assert_eq!(all.totals(), [5, 3, 3]);
        assert_eq!((all.total(), all.distinct()), (11, 6));
        let shared = [named("root", 4, 3), named("login", 2, 2), named("by", 2, 2)];
        assert_eq!(all.shared(2, 10), shared);
        assert_eq!(all.shared(2, 1), shared[..1]);
        assert_eq!(all.only(0, 10), [named("from", 1, 1), named("192.0.2.7", 1, 1)]);
        assert_eq!((all.only(1, 10), all.only(2, 10)), (vec![named("key", 1, 1)], vec![]));
        assert!(all.experts_of(0).eq([0, 1, 2]) && all.experts_of(1).eq([0, 2]));
        assert_eq!((all.word(6), all.experts_of(6).next()), (None, None));
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("([a-dA-D.,é]{0,20}|[ \n\u{a0}]){0,30}", 0..70)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_the_definition(texts in texts()) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let all = Aggregate::of(&texts).unwrap();
            let mut counts: BTreeMap<String, (u32, BTreeSet<usize>)> = BTreeMap::new();
            for (expert, text) in texts.iter().enumerate() {
                let words = text.split_whitespace().map(|word| word.trim_matches(['.', ',']));
                let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
                prop_assert_eq!(all.totals()[expert] as usize, words.len());
                for word in words {
                    let entry = counts.entry(word.to_ascii_lowercase()).or_default();
                    entry.0 += 1;
                    entry.1.insert(expert);
                }
            }
            prop_assert_eq!(all.distinct(), counts.len());
            for n in 0..all.distinct() {
                let Named { word, count, experts } = all.word(n).unwrap();
                let (times, who) = &counts[&word];
                prop_assert_eq!((count, experts as usize), (*times, who.len()));
                prop_assert!(all.experts_of(n).eq(who.iter().copied()));
            }
        }

        #[test]
        fn threads_change_nothing(cases in prop::collection::vec(texts(), 0..20), threads in 0_usize..9) {
            let cases: Vec<Vec<&str>> =
                cases.iter().map(|case| case.iter().map(String::as_str).collect()).collect();
            let one: Vec<_> = cases.iter().map(|texts| Aggregate::of(texts)).collect();
            prop_assert!(parts(&cases, threads.max(1)).len() <= threads.max(1));
            prop_assert_eq!(of_cases(&cases, threads), one);
        }
    }

    #[test]
    fn at_most_as_much_as_the_limits_say() {
        let many = vec!["a"; MAX_TEXTS + 1];
        let all = Aggregate::of(&many[..MAX_TEXTS]).unwrap();
        assert_eq!(all.shared(1, 1), [named("a", 256, 256)]);
        assert_eq!(Aggregate::of(&many), Err(TooMuch::Texts));
        let long = "a ".repeat(MAX_SYMBOLS + 1);
        assert_eq!(Aggregate::of(&[&long[2..]]).unwrap().total(), MAX_SYMBOLS as u64);
        assert_eq!(Aggregate::of(&[&long]), Err(TooMuch::Symbols));
        let large = "a".repeat(MAX_BYTES + 1);
        assert_eq!(Aggregate::of(&[&large[1..]]).unwrap().distinct(), 1);
        assert_eq!(Aggregate::of(&[&large]), Err(TooMuch::Bytes));
        let cases = vec![vec!["a"]; 4 * MAX_THREADS];
        assert_eq!(parts(&cases, MAX_THREADS).len(), MAX_THREADS);
        assert_eq!(of_cases(&cases, MAX_THREADS + 1), of_cases(&cases, MAX_THREADS));
    }
}
