//! How good pooled labels are, where a truth is at hand. The truth is never seen by the model.

use std::collections::HashMap;

use super::csv;
use super::model::Decision;
use super::names;
use super::table::{self, BadLine, Ballots, MAX_VOTES};

/// What is true, by item.
#[derive(Debug, Default)]
pub struct Truth {
    columns: Option<(usize, usize)>,
    known: HashMap<String, String>,
}

/// Measures over the items whose truth is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Items that were scored.
    pub items: usize,
    /// Items of the truth that nobody labelled: not scored.
    pub unlabelled: usize,
    /// Share of labels that are right.
    pub accuracy: f64,
    /// Mean distance in levels, where labels have an order.
    pub level_error: Option<f64>,
    /// Mean squared error of the probabilities, summed over labels: 0 is perfect, 2 the worst.
    pub brier: f64,
}

impl Truth {
    /// Reads one line of CSV with the columns `item` (or `task`) and `truth` (or `label`, `gold`).
    pub fn line(&mut self, bytes: &[u8]) -> Result<(), BadLine> {
        let line = table::text(bytes)?;
        let line = if self.columns.is_none() { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() {
            return Ok(());
        }
        let fields = csv::fields(line)?;
        let Some((item, truth)) = self.columns else {
            let place = |names: &[&str]| {
                fields.iter().position(|f| names.iter().any(|n| f.text.eq_ignore_ascii_case(n)))
            };
            let columns = place(&["item", "task"]).zip(place(&["truth", "label", "gold"]));
            let hint = "the first line names the columns: item,truth";
            self.columns =
                Some(columns.ok_or_else(|| BadLine::new(1, "no columns item and truth", hint))?);
            return Ok(());
        };
        let (Some(item), Some(truth)) = (fields.get(item), fields.get(truth)) else {
            let problem = format!("only {} fields on this line", fields.len());
            return Err(BadLine::new(line.len() + 1, problem, "every line needs item and truth"));
        };
        if self.known.len() == MAX_VOTES {
            let problem = format!("more than {MAX_VOTES} items");
            return Err(BadLine::new(1, problem, "split the table by items"));
        }
        self.known.insert(item.text.clone(), truth.text.clone());
        Ok(())
    }

    /// Compares decisions with the truth; `None` when no item has a known truth.
    pub fn score(&self, ballots: &Ballots, decisions: &[Decision]) -> Option<Score> {
        let truths: Vec<String> = self.known.values().cloned().collect();
        let (places, ordered) = names::joined(ballots, &truths);
        let (mut right, mut distance, mut squared, mut items) = (0_usize, 0_usize, 0.0, 0_usize);
        for (name, decision) in ballots.items.iter().zip(decisions) {
            let Some(truth) = self.known.get(name) else { continue };
            let said = &ballots.labels[decision.label];
            items += 1;
            right += usize::from(said == truth);
            distance += places[said].abs_diff(places[truth]);
            let mut seen = false;
            for (label, p) in ballots.labels.iter().zip(&decision.probabilities) {
                let is = label == truth;
                seen |= is;
                squared += (p - f64::from(u8::from(is))).powi(2);
            }
            // A truth that nobody ever named was given no probability at all.
            squared += f64::from(u8::from(!seen));
        }
        (items > 0).then(|| Score {
            items,
            unlabelled: self.known.len() - items,
            accuracy: right as f64 / items as f64,
            level_error: ordered.then(|| distance as f64 / items as f64),
            brier: squared / items as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{Reader, Scale, pool};

    fn scored(truth: &[&str]) -> Option<Score> {
        let mut reader = Reader::new(None).unwrap();
        for line in ["item,expert,label", "a,x,low", "a,y,low", "b,x,high", "b,y,high"] {
            reader.line(line.as_bytes()).unwrap();
        }
        let ballots = reader.finish().unwrap();
        let mut known = Truth::default();
        for line in truth {
            known.line(line.as_bytes()).unwrap();
        }
        known.score(&ballots, &pool(&ballots, Scale::Nominal).decisions)
    }

    #[test]
    fn right_and_wrong_are_told() {
        let score = scored(&["item,truth", "a,low", "b,low", "c,low"]).unwrap();
        assert_eq!((score.items, score.unlabelled, score.accuracy), (2, 1, 0.5));
        assert_eq!(score.level_error, Some(0.5));
        assert!(score.brier > 0.5 && score.brier < 1.1, "{score:?}");
    }

    #[test]
    fn a_truth_that_nobody_named_is_wrong_at_its_distance() {
        let score = scored(&["task,gold", "a,critical", "b,high"]).unwrap();
        assert_eq!((score.accuracy, score.level_error), (0.5, Some(1.0)));
    }

    #[test]
    fn nothing_to_score_is_not_a_perfect_score() {
        assert_eq!(scored(&["item,truth", "zz,low"]), None);
        assert!(Truth::default().line(b"a,b").is_err());
        let mut short = Truth::default();
        short.line(b"item,truth").unwrap();
        assert_eq!(short.line(b"a").unwrap_err().column, 2);
    }
}
