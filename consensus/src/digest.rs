//! Long evidence cut to a budget of words, without losing what matters.
//!
//! Kept in any case: every line that an opinion cites, the first and the last. If these alone exceed
//! the budget they stay, and [`Digest::over_budget`] says so. With the rest of the budget each
//! template that has no line yet gets its best one (coverage), then the best of what remains. Nothing
//! vanishes: the count of every template is reported, and the counts sum to the number of lines.
//!
//! A line's score is relevance × novelty × decay, in integers, so that equal input gives equal output
//! everywhere; of equal lines the earlier one is taken. More than [`MAX_LINES`] lines are refused.

use std::cmp::Reverse;

use crate::patterns::{LOG_BITS, log2};
use crate::similarity::words::count_words;

/// Most lines of one digest.
pub const MAX_LINES: usize = 1 << 16;
/// Highest relevance of a line.
pub const MAX_RELEVANCE: u16 = 1000;
/// Halvings after which a line is not counted as older.
const MAX_HALVINGS: u64 = 16;

/// A line of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// What it says.
    pub text: &'a str,
    /// When, in seconds since the epoch.
    pub at: i64,
    /// Which kind of line it is; lines of a template differ only in their fields.
    pub template: u32,
    /// How much it matters by itself, 0 to [`MAX_RELEVANCE`]; more counts as that.
    pub relevance: u16,
    /// Whether an opinion cites it.
    pub cited: bool,
}

/// How much to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Words (runs of other than white space) of all kept lines together.
    pub tokens: usize,
    /// Seconds after which a line counts half; 0 if age does not matter.
    pub half_life: u64,
}

/// What is kept, and what there was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Places of the kept lines, rising.
    pub kept: Vec<usize>,
    /// Words of the kept lines.
    pub tokens: usize,
    /// Whether the lines that must stay have more words than the budget allows.
    pub over_budget: bool,
    /// Every template, by number.
    pub templates: Vec<Template>,
}

/// A template's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its number.
    pub template: u32,
    /// How many lines it has.
    pub lines: usize,
    /// How many of them are kept.
    pub kept: usize,
}

/// There are more than [`MAX_LINES`] lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_LINES} lines")]
pub struct TooManyLines;

/// A line that may be kept: those with the highest order are tried first.
type Candidate = (bool, u64, Reverse<u32>);

impl Digest {
    /// Keeps the lines of a sequence that a budget allows. Fails if there are too many lines.
    pub fn of(lines: &[Line<'_>], budget: Budget) -> Result<Self, TooManyLines> {
        if lines.len() > MAX_LINES {
            return Err(TooManyLines);
        }
        let last = lines.len().saturating_sub(1);
        let mut keep: Vec<bool> = (0..)
            .zip(lines)
            .map(|(place, line)| line.cited || place == 0 || place == last)
            .collect();
        let words: Vec<usize> = lines.iter().map(|line| count_words(line.text)).collect();
        let kept_words = |keep: &[bool]| -> usize {
            words.iter().zip(keep).filter(|&(_, &keep)| keep).map(|(words, _)| words).sum()
        };
        let mut tokens = kept_words(&keep);
        let over_budget = tokens > budget.tokens;
        let (mut templates, mut candidates) = rank(lines, &keep, budget.half_life);
        candidates.sort_unstable_by(|one, other| other.cmp(one));
        for (_, _, Reverse(place)) in candidates {
            let place = place as usize;
            if tokens.saturating_add(words[place]) <= budget.tokens {
                tokens += words[place];
                keep[place] = true;
                let template = lines[place].template;
                if let Ok(at) = templates.binary_search_by_key(&template, |each| each.template) {
                    templates[at].kept += 1;
                }
            }
        }
        let kept = (0..lines.len()).filter(|&place| keep[place]).collect();
        Ok(Self { kept, tokens, over_budget, templates })
    }

    /// How many lines there were.
    pub fn lines(&self) -> usize {
        self.templates.iter().map(|template| template.lines).sum()
    }
}

/// The templates by number, with what is kept already, and the lines that may be kept.
fn rank(lines: &[Line<'_>], keep: &[bool], half_life: u64) -> (Vec<Template>, Vec<Candidate>) {
    let newest = lines.iter().map(|line| line.at).max().unwrap_or(0);
    // Within a template: what is kept already, then the weightiest, then the earliest.
    let mut order: Vec<(u32, Reverse<bool>, Reverse<u64>, u32)> = (0_u32..)
        .zip(lines.iter().zip(keep))
        .map(|(place, (line, &keep))| {
            let weight = u64::from(line.relevance.min(MAX_RELEVANCE))
                * decay(newest.abs_diff(line.at), half_life);
            (line.template, Reverse(keep), Reverse(weight), place)
        })
        .collect();
    order.sort_unstable();
    let mut templates = Vec::new();
    let mut candidates = Vec::with_capacity(lines.len());
    for group in order.chunk_by(|one, other| one.0 == other.0) {
        let rarity = rarity(lines.len(), group.len());
        let kept = group.iter().take_while(|line| line.1.0).count();
        templates.push(Template { template: group[0].0, lines: group.len(), kept });
        for (before, &(_, _, Reverse(weight), place)) in (0_u64..).zip(group).skip(kept) {
            // At most 2^10 × 2^16 × 17 × 2^8.
            let score = weight * rarity / (before + 1);
            candidates.push((before == 0, score, Reverse(place)));
        }
    }
    (templates, candidates)
}

/// How rare a template's lines are: 1 + log2(lines ÷ its lines), times 256. With the division by the
/// lines before it in its template, this is a line's novelty.
fn rarity(lines: usize, own: usize) -> u64 {
    let bits = log2(lines as u32) - log2(own as u32); // at most MAX_LINES, and own ≤ lines
    256 + (bits >> (LOG_BITS - 8))
}

/// ½ to the power of age ÷ half-life, times 65,536; a straight line between the powers, at least 1.
fn decay(age: u64, half_life: u64) -> u64 {
    const ONE: u64 = 1 << MAX_HALVINGS;
    let Some(halvings) = age.checked_div(half_life) else {
        return ONE; // a half-life of 0
    };
    if halvings >= MAX_HALVINGS {
        return 1;
    }
    let power = ONE >> halvings;
    let part = u128::from(power / 2) * u128::from(age % half_life) / u128::from(half_life);
    power - part as u64 // less than half of it
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn line(text: &str, at: i64, template: u32, relevance: u16) -> Line<'_> {
        Line { text, at, template, relevance, cited: false }
    }

    fn budget(tokens: usize) -> Budget {
        Budget { tokens, half_life: 60 }
    }

    #[test]
    fn covers_templates_before_it_repeats_one() {
        let lines = [
            line("a b", 0, 1, 500),
            line("a c", 0, 1, 1000),
            line("a d", 0, 1, 1000),
            line("e f", 0, 2, 1),
            line("g h", 0, 3, 2),
            line("a i", 0, 1, 500),
        ];
        let digest = Digest::of(&lines, budget(8)).unwrap();
        assert_eq!((&digest.kept[..], digest.tokens), (&[0, 3, 4, 5][..], 8));
        let more = Digest::of(&lines, budget(10)).unwrap();
        assert_eq!(more.kept, [0, 1, 3, 4, 5]);
        // Not enough for both: the more relevant of two as rare templates.
        assert_eq!(Digest::of(&lines, budget(7)).unwrap().kept, [0, 4, 5]);
        let one = Template { template: 1, lines: 4, kept: 2 };
        assert_eq!((digest.templates[0], digest.lines()), (one, 6));
    }

    #[test]
    fn lines_that_must_stay_may_exceed_the_budget() {
        let cited = Line { cited: true, ..line("x y z", 0, 1, 0) };
        let lines = [line("a", 0, 1, 9), cited, line("b", 0, 2, 9), line("c", 0, 1, 9)];
        let digest = Digest::of(&lines, budget(4)).unwrap();
        assert_eq!((digest.kept, digest.tokens, digest.over_budget), (vec![0, 1, 3], 5, true));
        let digest = Digest::of(&lines, budget(5)).unwrap();
        assert_eq!((digest.kept, digest.over_budget), (vec![0, 1, 3], false));
    }

    #[test]
    fn newer_lines_are_kept_of_equals_and_earlier_ones_of_the_same_age() {
        let lines = [0, 10, 20, 20, 20].map(|at| line("a", at, 7, 100));
        assert_eq!(Digest::of(&lines, budget(3)).unwrap().kept, [0, 2, 4]);
        let ageless = Budget { tokens: 3, half_life: 0 };
        assert_eq!(Digest::of(&lines, ageless).unwrap().kept, [0, 1, 4]);
    }

    #[test]
    fn relevance_above_the_highest_counts_as_the_highest() {
        let with = |relevance| {
            let lines = [0, MAX_RELEVANCE, relevance, 0].map(|each| line("a", 0, 1, each));
            Digest::of(&lines, budget(3)).unwrap().kept
        };
        // Of equals the earlier: 1,001 is no more than 1,000.
        assert_eq!((with(MAX_RELEVANCE), with(MAX_RELEVANCE + 1)), (vec![0, 1, 3], vec![0, 1, 3]));
        let lines = [0, MAX_RELEVANCE - 1, MAX_RELEVANCE, 0].map(|each| line("a", 0, 1, each));
        assert_eq!(Digest::of(&lines, budget(3)).unwrap().kept, [0, 2, 3]);
    }

    #[test]
    fn decay_halves_and_never_rises() {
        assert_eq!([0, 60, 120, 90].map(|age| decay(age, 60)), [65_536, 32_768, 16_384, 24_576]);
        assert!((0..2000).all(|age| decay(age, 60) >= decay(age + 1, 60)));
        assert_eq!(
            (decay(u64::MAX, 1), decay(u64::MAX, u64::MAX), decay(5, 0)),
            (1, 32_768, 65_536)
        );
    }

    #[test]
    fn most_lines_are_taken_and_one_more_refused() {
        let lines = vec![line("a b", i64::MIN, 1, u16::MAX); MAX_LINES + 1];
        let digest = Digest::of(&lines[..MAX_LINES], budget(100)).unwrap();
        assert_eq!((digest.kept.len(), digest.lines()), (50, MAX_LINES));
        assert_eq!(Digest::of(&lines, budget(100)), Err(TooManyLines));
        assert!(Digest::of(&[], budget(1)).unwrap().kept.is_empty());
    }

    fn lines() -> impl Strategy<Value = Vec<(String, i64, u32, u16, bool)>> {
        let line = (
            "([a-c]{1,3} ?){0,6}",
            -100_i64..100,
            0_u32..6,
            0_u16..1200,
            prop::bool::weighted(0.1),
        );
        prop::collection::vec(line, 0..40)
    }

    proptest! {
        #[test]
        fn keeps_what_it_promises(lines in lines(), tokens in 0_usize..60, half_life in 0_u64..50) {
            let lines: Vec<Line<'_>> = lines
                .iter()
                .map(|(text, at, template, relevance, cited)| Line {
                    cited: *cited,
                    ..line(text, *at, *template, *relevance)
                })
                .collect();
            let digest = Digest::of(&lines, Budget { tokens, half_life }).unwrap();
            prop_assert!(digest.kept.is_sorted_by(|a, b| a < b));
            let words = |place: &usize| lines[*place].text.split_whitespace().count();
            let must = |place: &usize| {
                lines[*place].cited || *place == 0 || *place + 1 == lines.len()
            };
            prop_assert!((0..lines.len()).filter(must).all(|place| digest.kept.contains(&place)));
            prop_assert_eq!(digest.tokens, digest.kept.iter().map(words).sum::<usize>());
            let least: usize = (0..lines.len()).filter(must).map(|place| words(&place)).sum();
            prop_assert_eq!(digest.over_budget, least > tokens);
            prop_assert!(digest.tokens <= tokens.max(least));
            let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
            for (place, line) in lines.iter().enumerate() {
                let count = counts.entry(line.template).or_default();
                count.0 += 1;
                count.1 += usize::from(digest.kept.contains(&place));
            }
            let reported = digest.templates.iter().map(|t| (t.template, (t.lines, t.kept)));
            prop_assert!(reported.eq(counts));
            prop_assert_eq!(digest.lines(), lines.len());
            prop_assert_eq!(Digest::of(&lines, Budget { tokens, half_life }), Ok(digest));
        }

        #[test]
        fn equal_lines_are_kept_in_order(count in 3_usize..30, tokens in 2_usize..30) {
            let lines = vec![line("a", 5, 1, 10); count];
            let digest = Digest::of(&lines, budget(tokens)).unwrap();
            let first = tokens.min(count) - 1;
            prop_assert!(digest.kept.iter().copied().eq((0..first).chain([count - 1])));
        }
    }
}
