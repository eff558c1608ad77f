//! How alike texts are: cosine and Jaccard over words, normalised Levenshtein over words or characters.
//!
//! A text is a slice of interned symbols (`u32`): [`Vocabulary::words`] or [`characters`]. A star
//! compares each text with one, all pairs compares each with each. Every score lies in 0..=1, and two
//! empty texts are alike (1).
//!
//! Edit distance is Myers' bit-parallel algorithm in Hyyrö's block form (2003), several patterns side
//! by side ([`edit`]) with the widest vectors the processor has; the result does not depend on them.
//! Texts above [`MAX_SYMBOLS`] and sets above [`MAX_TEXTS`] are refused, never cut. Nothing here
//! normalises case or Unicode.

use std::collections::BTreeMap;

use crate::sys;

pub(crate) mod edit;
pub(crate) mod words;

pub use words::{MAX_WORDS, Vocabulary};

/// Longest text, in symbols.
pub const MAX_SYMBOLS: usize = 16_384;
/// Most texts in one comparison.
pub const MAX_TEXTS: usize = 256;

/// What a comparison refuses; each time the caller gave more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// A text is longer than [`MAX_SYMBOLS`].
    #[error("text longer than {MAX_SYMBOLS} symbols")]
    Symbols,
    /// There are more than [`MAX_TEXTS`] texts.
    #[error("more than {MAX_TEXTS} texts")]
    Texts,
    /// The texts have more bytes together than [`crate::aggregate::MAX_BYTES`].
    #[error("texts longer than {} bytes together", crate::aggregate::MAX_BYTES)]
    Bytes,
    /// The vocabulary holds [`MAX_WORDS`] words and met another.
    #[error("more than {MAX_WORDS} different words")]
    Words,
}

/// The characters of a text as symbols. Fails on too long a text.
pub fn characters(text: &str) -> Result<Vec<u32>, TooMuch> {
    let symbols: Vec<u32> = text.chars().take(MAX_SYMBOLS + 1).map(u32::from).collect();
    if symbols.len() > MAX_SYMBOLS { Err(TooMuch::Symbols) } else { Ok(symbols) }
}

/// The scores of all pairs of some texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    texts: usize,
    scores: Vec<f64>,
}

impl Pairs {
    /// The score of two texts by their places; 1 for a text with itself, `None` beyond the texts.
    pub fn score(&self, a: usize, b: usize) -> Option<f64> {
        let (low, high) = (a.min(b), a.max(b));
        if high >= self.texts {
            return None;
        }
        Some(if low == high { 1.0 } else { self.scores[high * (high - 1) / 2 + low] })
    }

    /// The mean over all pairs; 1 when there is no pair.
    pub fn mean(&self) -> f64 {
        if self.scores.is_empty() {
            return 1.0;
        }
        self.scores.iter().sum::<f64>() / self.scores.len() as f64
    }

    fn of(texts: usize, score: impl Fn(usize, usize) -> f64) -> Self {
        let pairs = (1..texts).flat_map(|high| (0..high).map(move |low| (low, high)));
        Self { texts, scores: pairs.map(|(low, high)| score(low, high)).collect() }
    }
}

/// Cosine of the word counts, all pairs.
pub fn cosine_pairs(texts: &[&[u32]]) -> Result<Pairs, TooMuch> {
    let counts = Counts::of(texts)?;
    Ok(Pairs::of(texts.len(), |a, b| counts.cosine(a, b)))
}

/// Cosine of the word counts, each text against `centre`.
pub fn cosine_star(centre: &[u32], texts: &[&[u32]]) -> Result<Vec<f64>, TooMuch> {
    let counts = Counts::of(&with_centre(centre, texts)?)?;
    Ok((1..=texts.len()).map(|text| counts.cosine(0, text)).collect())
}

/// The mean cosine over all pairs, in time linear in the texts: half of what the square of the sum of
/// the unit vectors has beyond the vectors' own squares. As [`Pairs::mean`] of [`cosine_pairs`], but
/// for the last bits; 1 when there is no pair.
pub fn cosine_mean(texts: &[&[u32]]) -> Result<f64, TooMuch> {
    let counts = Counts::of(texts)?;
    let pairs = texts.len() * texts.len().saturating_sub(1) / 2;
    if pairs == 0 {
        return Ok(1.0);
    }
    let mut sum = vec![0.0; counts.width];
    let mut empty = 0;
    for (row, norm) in counts.rows.chunks_exact(counts.width).zip(&counts.norms) {
        if *norm == 0.0 {
            empty += 1;
            continue;
        }
        let length = norm.sqrt();
        sum.iter_mut().zip(row).for_each(|(sum, &count)| *sum += f64::from(count) / length);
    }
    let square: f64 = sum.iter().map(|part| part * part).sum();
    let full = texts.len() - empty;
    // Two empty texts are alike; an empty one and another are not.
    let alike = (square - full as f64) / 2.0 + (empty * empty.saturating_sub(1) / 2) as f64;
    Ok((alike / pairs as f64).clamp(0.0, 1.0))
}

/// Jaccard index of the sets of words, all pairs.
pub fn jaccard_pairs(texts: &[&[u32]]) -> Result<Pairs, TooMuch> {
    let sets = Sets::of(texts)?;
    Ok(Pairs::of(texts.len(), |a, b| sets.jaccard(a, b)))
}

/// Jaccard index of the sets of words, each text against `centre`.
pub fn jaccard_star(centre: &[u32], texts: &[&[u32]]) -> Result<Vec<f64>, TooMuch> {
    let sets = Sets::of(&with_centre(centre, texts)?)?;
    Ok((1..=texts.len()).map(|text| sets.jaccard(0, text)).collect())
}

/// 1 − edit distance ÷ length of the longer text, all pairs.
pub fn levenshtein_pairs(texts: &[&[u32]]) -> Result<Pairs, TooMuch> {
    let local = Local::of(texts)?;
    let count = texts.len();
    let mut scores = vec![1.0; count * count.saturating_sub(1) / 2];
    sys::distances(
        local.view(),
        0..count,
        |first| first + 1..count,
        |low, high, distance| {
            // A group's own pairs come twice and with themselves: lanes that would be idle anyway.
            if low < high {
                scores[high * (high - 1) / 2 + low] = local.score(low, high, distance);
            }
        },
    );
    Ok(Pairs { texts: count, scores })
}

/// 1 − edit distance ÷ length of the longer text, each text against `centre`.
pub fn levenshtein_star(centre: &[u32], texts: &[&[u32]]) -> Result<Vec<f64>, TooMuch> {
    let local = Local::of(&with_centre(centre, texts)?)?;
    let mut scores = vec![1.0; texts.len()];
    sys::distances(
        local.view(),
        1..texts.len() + 1,
        |_| 0..1,
        |text, centre, distance| scores[text - 1] = local.score(text, centre, distance),
    );
    Ok(scores)
}

fn with_centre<'a>(centre: &'a [u32], texts: &[&'a [u32]]) -> Result<Vec<&'a [u32]>, TooMuch> {
    if texts.len() >= MAX_TEXTS {
        return Err(TooMuch::Texts);
    }
    Ok(std::iter::once(centre).chain(texts.iter().copied()).collect())
}

/// Texts renumbered without gaps, so that tables are as small as what these texts use.
struct Local {
    texts: Vec<Vec<u32>>,
    alphabet: usize,
}

/// Symbols below this are renumbered through a table, others through a tree.
const DIRECT: u32 = 4096;

impl Local {
    fn of(texts: &[&[u32]]) -> Result<Self, TooMuch> {
        if texts.len() > MAX_TEXTS {
            return Err(TooMuch::Texts);
        }
        if texts.iter().any(|text| text.len() > MAX_SYMBOLS) {
            return Err(TooMuch::Symbols);
        }
        let mut direct = [u32::MAX; DIRECT as usize];
        let mut rare = BTreeMap::new();
        let mut next = 0_u32;
        let mut renumber = |symbol: u32| {
            let number = match direct.get_mut(symbol as usize) {
                Some(number) => number,
                None => rare.entry(symbol).or_insert(u32::MAX),
            };
            if *number == u32::MAX {
                *number = next;
                next += 1;
            }
            *number
        };
        let texts = texts.iter().map(|text| text.iter().map(|&s| renumber(s)).collect()).collect();
        Ok(Self { texts, alphabet: next as usize })
    }

    fn view(&self) -> edit::Texts<'_> {
        edit::Texts { all: &self.texts, alphabet: self.alphabet }
    }

    /// 1 − edit distance ÷ length of the longer text.
    fn score(&self, one: usize, two: usize, distance: usize) -> f64 {
        let longer = self.texts[one].len().max(self.texts[two].len());
        if longer == 0 { 1.0 } else { 1.0 - distance as f64 / longer as f64 }
    }
}

/// Word counts as dense rows. A count is at most [`MAX_SYMBOLS`], so it fits `i16` and a product of
/// two rows (at most its square) fits `i32`: sums are exact whatever their order.
struct Counts {
    rows: Vec<i16>,
    width: usize,
    norms: Vec<f64>,
}

impl Counts {
    fn of(texts: &[&[u32]]) -> Result<Self, TooMuch> {
        let local = Local::of(texts)?;
        let width = local.alphabet.max(1);
        let mut rows = vec![0_i16; width * texts.len()];
        for (row, text) in rows.chunks_exact_mut(width).zip(&local.texts) {
            text.iter().for_each(|&symbol| row[symbol as usize] += 1);
        }
        let norms = rows.chunks_exact(width).map(|row| f64::from(product(row, row))).collect();
        Ok(Self { rows, width, norms })
    }

    fn cosine(&self, a: usize, b: usize) -> f64 {
        match (self.norms[a] == 0.0, self.norms[b] == 0.0) {
            (true, true) => return 1.0,
            (true, false) | (false, true) => return 0.0,
            (false, false) => {}
        }
        let row = |text: usize| &self.rows[text * self.width..(text + 1) * self.width];
        let cosine = f64::from(product(row(a), row(b))) / (self.norms[a] * self.norms[b]).sqrt();
        cosine.min(1.0)
    }
}

fn product(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Sets of words as rows of bits.
struct Sets {
    rows: Vec<u64>,
    width: usize,
    sizes: Vec<u32>,
}

impl Sets {
    fn of(texts: &[&[u32]]) -> Result<Self, TooMuch> {
        let local = Local::of(texts)?;
        let width = local.alphabet.div_ceil(64).max(1);
        let mut rows = vec![0_u64; width * texts.len()];
        for (row, text) in rows.chunks_exact_mut(width).zip(&local.texts) {
            text.iter().for_each(|&symbol| row[symbol as usize / 64] |= 1 << (symbol % 64));
        }
        let size = |row: &[u64]| row.iter().map(|bits| bits.count_ones()).sum();
        let sizes = rows.chunks_exact(width).map(size).collect();
        Ok(Self { rows, width, sizes })
    }

    fn jaccard(&self, a: usize, b: usize) -> f64 {
        let row = |text: usize| &self.rows[text * self.width..(text + 1) * self.width];
        let both: u32 = row(a).iter().zip(row(b)).map(|(a, b)| (a & b).count_ones()).sum();
        let either = self.sizes[a] + self.sizes[b] - both;
        if either == 0 { 1.0 } else { f64::from(both) / f64::from(either) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook's table, to compare with.
    fn table(a: &[u32], b: &[u32]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut corner = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let swap = corner + usize::from(x != y);
                corner = row[j + 1];
                row[j + 1] = swap.min(corner + 1).min(row[j] + 1);
            }
        }
        row[b.len()]
    }

    fn texts() -> impl Strategy<Value = Vec<Vec<u32>>> {
        let symbol = prop_oneof![4 => 0_u32..4, 1 => 4094_u32..4099];
        prop::collection::vec(prop::collection::vec(symbol, 0..200), 0..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_the_definitions(texts in texts()) {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let edits = levenshtein_pairs(&texts).unwrap();
            let (cosines, jaccards) = (cosine_pairs(&texts).unwrap(), jaccard_pairs(&texts).unwrap());
            for (a, one) in texts.iter().enumerate() {
                prop_assert_eq!(&levenshtein_star(one, &texts).unwrap()[a], &1.0);
                prop_assert!((cosine_mean(&texts).unwrap() - cosines.mean()).abs() < 1e-9);
                for (b, two) in texts.iter().enumerate().filter(|&(b, _)| b != a) {
                    let longer = one.len().max(two.len());
                    let edit = if longer == 0 { 1.0 } else { 1.0 - table(one, two) as f64 / longer as f64 };
                    prop_assert_eq!(edits.score(a, b), Some(edit));
                    prop_assert_eq!(levenshtein_star(one, &texts).unwrap()[b], edit);
                    prop_assert_eq!(Some(cosine_star(one, &texts).unwrap()[b]), cosines.score(a, b));
                    prop_assert_eq!(Some(jaccard_star(one, &texts).unwrap()[b]), jaccards.score(a, b));
                    let sets = [one, two].map(|t| t.iter().collect::<std::collections::BTreeSet<_>>());
                    let either = sets[0].union(&sets[1]).count();
                    let both = sets[0].intersection(&sets[1]).count();
                    let jaccard = if either == 0 { 1.0 } else { both as f64 / either as f64 };
                    prop_assert_eq!(jaccards.score(a, b), Some(jaccard));
                    prop_assert!((0.0..=1.0).contains(&cosines.score(a, b).unwrap()));
                }
            }
        }
    }

    #[test]
    fn cosine_of_known_counts() {
        let pairs = cosine_pairs(&[&[1, 1, 2], &[1, 3], &[], &[]]).unwrap();
        assert!((pairs.score(0, 1).unwrap() - 2.0 / 10_f64.sqrt()).abs() < 1e-12);
        assert_eq!((pairs.score(0, 2), pairs.score(2, 3)), (Some(0.0), Some(1.0)));
        assert_eq!(pairs.score(0, 4), None);
    }

    #[test]
    fn longest_text_is_taken_and_one_more_refused() {
        let long = "a ".repeat(MAX_SYMBOLS);
        let more = format!("{long}a");
        let mut vocabulary = Vocabulary::default();
        let words = vocabulary.words(&long).unwrap();
        assert_eq!(vocabulary.words(&more), Err(TooMuch::Symbols));
        assert_eq!(characters(&more[..MAX_SYMBOLS]).unwrap().len(), MAX_SYMBOLS);
        assert_eq!(characters(&more[..=MAX_SYMBOLS]), Err(TooMuch::Symbols));
        assert_eq!(cosine_pairs(&[&words, &words]).unwrap().score(0, 1), Some(1.0));
        assert_eq!(levenshtein_pairs(&[&words, &[7]]).unwrap().score(0, 1), Some(0.0));
        let beyond = vec![0; MAX_SYMBOLS + 1];
        assert_eq!(jaccard_pairs(&[&beyond]), Err(TooMuch::Symbols));
    }

    #[test]
    fn most_texts_are_taken_and_one_more_refused() {
        let texts = vec![&[1_u32, 2][..]; MAX_TEXTS + 1];
        assert_eq!(levenshtein_pairs(&texts[..MAX_TEXTS]).unwrap().mean(), 1.0);
        assert_eq!(levenshtein_pairs(&texts), Err(TooMuch::Texts));
        assert_eq!(jaccard_star(&[1], &texts[..MAX_TEXTS - 1]).unwrap().len(), MAX_TEXTS - 1);
        assert_eq!(jaccard_star(&[1], &texts[..MAX_TEXTS]), Err(TooMuch::Texts));
    }
}
