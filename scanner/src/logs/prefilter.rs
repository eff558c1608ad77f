//! Which rules a line can match at all: an Aho-Corasick automaton over the texts that they need.
//!
//! A rule without such texts is always looked at. Texts are compared without case, as rules are.

use aho_corasick::AhoCorasick;
use parsers::rules::sigma::{Condition, Matcher, Rule, Selection, Test};

use super::event::Class;
use super::matcher::Compiled;
use super::web::request::{DERIVED, SUSPECT};

/// A shorter literal would be found in nearly every line.
const LITERAL_BYTES_MIN: usize = 3;

/// Texts to look for, and the rules that need them.
#[derive(Default)]
pub(super) struct Prefilter {
    automaton: Option<AhoCorasick>,
    /// Rules of each literal.
    rules_of: Vec<Vec<usize>>,
    /// Rules that are always looked at.
    pub(super) always: Vec<usize>,
}

/// Memory that a caller keeps from line to line.
#[derive(Default)]
pub struct Scratch {
    pub(super) marks: Vec<u32>,
    pub(super) round: u32,
    pub(super) candidates: Vec<usize>,
}

impl Prefilter {
    /// The texts of the rules that events of this class can reach.
    pub(super) fn new(rules: &[Compiled], class: Class) -> Self {
        let mut filter = Self::default();
        let mut literals: std::collections::BTreeMap<Vec<u8>, Vec<usize>> = Default::default();
        for (index, compiled) in rules.iter().enumerate() {
            if !compiled.reaches(class) {
                continue;
            }
            // Audit values may be written in hexadecimal: `Event::decoded` has them as they are.
            let needed = needed(&compiled.rule);
            match needed {
                Some(texts) => {
                    for text in texts {
                        literals.entry(text).or_default().push(index);
                    }
                }
                None => filter.always.push(index),
            }
        }
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build(literals.keys());
        match built {
            Ok(automaton) if !literals.is_empty() => {
                filter.automaton = Some(automaton);
                filter.rules_of = literals.into_values().collect();
            }
            // Nothing to look for, or too much for one automaton: then each rule is always asked.
            _ => {
                filter.always.extend(literals.into_values().flatten());
                filter.always.sort_unstable();
                filter.always.dedup();
            }
        }
        filter
    }

    /// Adds the rules of which a text is found.
    pub(super) fn mark(&self, text: &[u8], scratch: &mut Scratch) {
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(text) {
            for rule in &self.rules_of[found.pattern().as_usize()] {
                if scratch.marks[*rule] != scratch.round {
                    scratch.marks[*rule] = scratch.round;
                    scratch.candidates.push(*rule);
                }
            }
        }
    }
}

/// Texts of which one must be in the line for the rule to match; `None` when there are no such.
fn needed(rule: &Rule) -> Option<Vec<Vec<u8>>> {
    condition_needs(&rule.detection.condition, rule)
}

fn condition_needs(condition: &Condition, rule: &Rule) -> Option<Vec<Vec<u8>>> {
    let selection = |index: &usize| selection_needs(&rule.detection.selections[*index].1);
    match condition {
        Condition::Selection(index) => selection(index),
        Condition::Not(_) => None,
        Condition::And(parts) => best(parts.iter().map(|part| condition_needs(part, rule))),
        Condition::Or(parts) => union(parts.iter().map(|part| condition_needs(part, rule))),
        Condition::AtLeast(count, of) if *count == of.len() => best(of.iter().map(selection)),
        Condition::AtLeast(_, of) => union(of.iter().map(selection)),
    }
}

fn selection_needs(selection: &Selection) -> Option<Vec<Vec<u8>>> {
    match selection {
        Selection::All(tests) => best(tests.iter().map(test_needs)),
        Selection::Any(parts) => union(parts.iter().map(selection_needs)),
    }
}

fn test_needs(test: &Test) -> Option<Vec<Vec<u8>>> {
    if test.negated {
        return None;
    }
    if test.field.as_deref().is_some_and(|field| DERIVED.contains(&field)) {
        // Its value stands in no line, but it exists only in lines that are suspect.
        let absent = |value: &Matcher| matches!(value, Matcher::Null | Matcher::Exists(false));
        return (!test.values.iter().any(absent)).then(|| vec![SUSPECT.to_vec()]);
    }
    let long = |texts: &Vec<Vec<u8>>| texts.iter().all(|text| text.len() >= LITERAL_BYTES_MIN);
    test.required().filter(long)
}

/// Of several things that all hold, the one whose shortest text is longest.
fn best(each: impl Iterator<Item = Option<Vec<Vec<u8>>>>) -> Option<Vec<Vec<u8>>> {
    each.flatten().max_by_key(|texts| texts.iter().map(Vec::len).min().unwrap_or(0))
}

/// Of several things of which one holds: all texts, and only if each has some.
fn union(each: impl Iterator<Item = Option<Vec<Vec<u8>>>>) -> Option<Vec<Vec<u8>>> {
    let all: Option<Vec<_>> = each.collect();
    all.map(|all| all.into_iter().flatten().collect::<Vec<_>>()).filter(|all| !all.is_empty())
}
