//! What one expert says about one piece of evidence.
//!
//! Opinions of built-in experts are well formed by construction; those from outside pass
//! [`Opinion::checked`] first, which normalises what can be normalised and refuses the rest (no
//! NaN, no negative or empty distribution). [`crate::pool`] checks again and drops, visibly, what
//! does not pass, so that no opinion can make it panic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Severity;

/// Longest name of an expert, in bytes.
pub const MAX_NAME: usize = 128;
/// Longest rationale that is kept, in characters.
pub const MAX_RATIONALE: usize = 1024;
/// Most sources, and most facts of its own, that one opinion may name; further ones are left out.
pub const MAX_NAMED: usize = 16;
/// A distribution whose sum is as near to 1 as this is left as it is.
const EXACT_ENOUGH: f64 = 1e-12;

/// A distribution over the five severities, how sure the expert is, and why in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Opinion {
    /// Name of the expert.
    pub expert: String,
    /// Probability per level, lowest first; non-negative, sums to 1.
    pub distribution: [f64; 5],
    /// 0 (a guess) to 1 (certain): the weight it asks for.
    pub confidence: f64,
    /// One line that cites facts of the evidence or the context.
    pub rationale: String,
    /// Where what it says comes from: `file:/var/log/auth.log`, `kernel`, `history` …; what would have
    /// to be forged to make it wrong. An opinion without any is a source of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// What it knows beyond the evidence that every expert reads. Strangers who share these copy each
    /// other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

/// Why an opinion cannot be used; whoever gave the opinion is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOpinion {
    /// The expert gave no name, or one that is too long.
    #[error("the expert's name is empty or longer than {MAX_NAME} bytes")]
    Name,
    /// A probability is negative, infinite or not a number.
    #[error("a probability is negative or not a number")]
    Probability,
    /// All probabilities are zero.
    #[error("the distribution is empty")]
    Empty,
    /// The confidence lies outside 0 to 1 or is not a number.
    #[error("the confidence is not between 0 and 1")]
    Confidence,
}

impl Opinion {
    /// The most probable level; the higher one of equals, so that doubt is not hidden.
    pub fn level(&self) -> Severity {
        let mut best = 0;
        for index in 1..5 {
            if self.distribution[index] >= self.distribution[best] {
                best = index;
            }
        }
        Severity::from_index(best)
    }

    /// Whether there is anything to make sense of.
    pub fn sense(&self) -> Result<(), BadOpinion> {
        if self.expert.is_empty() || self.expert.len() > MAX_NAME {
            return Err(BadOpinion::Name);
        }
        if !(0.0..=1.0).contains(&self.confidence) {
            return Err(BadOpinion::Confidence);
        }
        if self.distribution.iter().any(|p| !p.is_finite() || *p < 0.0) {
            return Err(BadOpinion::Probability);
        }
        if self.distribution.iter().all(|p| *p == 0.0) {
            return Err(BadOpinion::Empty);
        }
        Ok(())
    }

    /// The opinion with a distribution that sums to 1, a rationale of one bounded line, and sorted,
    /// bounded names; an error where there is nothing to make sense of.
    pub fn checked(mut self) -> Result<Self, BadOpinion> {
        self.sense()?;
        self.settle();
        Ok(self)
    }

    /// Does what [`Opinion::checked`] does to an opinion that makes [`Opinion::sense`].
    pub(crate) fn settle(&mut self) {
        let sum: f64 = self.distribution.iter().sum();
        if (sum - 1.0).abs() > EXACT_ENOUGH {
            // Divided by the largest first: the sum of five finite numbers may be infinite.
            let largest = self.distribution.iter().fold(0.0_f64, |most, p| most.max(*p));
            let sum: f64 = self.distribution.iter().map(|p| p / largest).sum();
            self.distribution.iter_mut().for_each(|p| *p = *p / largest / sum);
        }
        tame(&mut self.rationale, MAX_RATIONALE);
        for names in [&mut self.sources, &mut self.facts] {
            names.truncate(MAX_NAMED);
            names.iter_mut().for_each(|name| tame(name, MAX_NAME));
            if !names.is_sorted_by(|a, b| a < b) {
                names.sort_unstable();
                names.dedup();
            }
        }
    }
}

/// Makes one line of at most so many characters.
fn tame(text: &mut String, most: usize) {
    // Only these bytes can be part of a control character; most texts have none of them.
    let mut plain = true;
    text.bytes().for_each(|byte| plain &= (b' '..0x7F).contains(&byte));
    if !plain && text.chars().any(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    if text.len() > most
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(distribution: [f64; 5], confidence: f64) -> Opinion {
        Opinion {
            expert: "e".into(),
            distribution,
            confidence,
            rationale: String::new(),
            sources: Vec::new(),
            facts: Vec::new(),
        }
    }

    #[test]
    fn counts_are_normalised() {
        let checked = opinion([1.0, 1.0, 2.0, 0.0, 0.0], 0.5).checked().unwrap();
        assert_eq!(checked.distribution, [0.25, 0.25, 0.5, 0.0, 0.0]);
        let huge = opinion([f64::MAX; 5], 0.5).checked().unwrap();
        assert!((huge.distribution.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let tiny = opinion([f64::MIN_POSITIVE; 5], 0.5).checked().unwrap();
        assert!((tiny.distribution.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = [0.2; 5];
        assert_eq!(opinion([0.0; 5], 0.5).checked(), Err(BadOpinion::Empty));
        for bad in [f64::NAN, f64::INFINITY, -0.1] {
            assert_eq!(
                opinion([0.2, bad, 0.2, 0.2, 0.2], 0.5).checked(),
                Err(BadOpinion::Probability)
            );
            assert_eq!(opinion(good, bad).checked(), Err(BadOpinion::Confidence));
        }
        let nameless = Opinion { expert: String::new(), ..opinion(good, 0.5) };
        assert_eq!(nameless.checked(), Err(BadOpinion::Name));
        let at_most = Opinion { expert: "e".repeat(MAX_NAME), ..opinion(good, 0.5) };
        assert!(at_most.checked().is_ok());
        let too_long = Opinion { expert: "e".repeat(MAX_NAME + 1), ..opinion(good, 0.5) };
        assert_eq!(too_long.checked(), Err(BadOpinion::Name));
    }

    #[test]
    fn a_rationale_is_one_bounded_line() {
        let long = "é\n\u{1b}[31m".repeat(MAX_RATIONALE);
        let checked = Opinion { rationale: long, ..opinion([0.2; 5], 1.0) }.checked().unwrap();
        assert_eq!(checked.rationale.chars().count(), MAX_RATIONALE);
        assert!(!checked.rationale.chars().any(char::is_control));
    }

    #[test]
    fn named_sources_are_bounded_and_sorted() {
        let many = |n: usize| (0..n).rev().map(|i| format!("s{i:02}\n")).collect::<Vec<_>>();
        let at_most = Opinion { sources: many(MAX_NAMED), ..opinion([0.2; 5], 1.0) };
        assert_eq!(at_most.checked().unwrap().sources.len(), MAX_NAMED);
        let more = Opinion { facts: many(MAX_NAMED + 1), ..opinion([0.2; 5], 1.0) };
        let facts = more.checked().unwrap().facts;
        assert_eq!(facts.len(), MAX_NAMED);
        assert!(facts.is_sorted() && facts[0] == "s01 ", "{facts:?}");
    }
}
