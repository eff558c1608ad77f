//! Which rules a line can match at all: the texts that rules need, looked for in whole blocks.
//!
//! Of the texts of which a rule needs one, the rarest in ordinary logs are taken (a rule that needs
//! both `session opened` and `mallory` waits for `mallory`). A rule without such texts waits for the
//! names of its programs, or is always looked at. Texts are compared without case, as rules are.

use parsers::rules::sigma::{Condition, Matcher, Rule, Selection, Test};

use super::event::Class;
use super::literals::{Found, Literals, commonness};
use super::matcher::Compiled;
use super::shape::Masked;
use super::web::request::{DERIVED, SUSPECT};

/// A shorter literal would be found in nearly every line.
const LITERAL_BYTES_MIN: usize = 3;

/// What is in a syslog line whose message is a record of another class: such a line is read even when
/// no rule about syslog needs it.
const ENVELOPED: [&[u8]; 4] = [b"type=", b"node=", b"date=", b"<event"];

/// Texts to look for, and the rules that need them.
#[derive(Default)]
pub(super) struct Prefilter {
    literals: Literals,
    /// Rules of each literal.
    rules_of: Vec<Vec<u32>>,
    /// Rules that are always looked at.
    pub(super) always: Vec<u32>,
}

/// Memory that a caller keeps from line to line.
#[derive(Default)]
pub struct Scratch {
    marks: Vec<u32>,
    round: u32,
    pub(super) candidates: Vec<u32>,
    found: Vec<Found>,
}

impl Scratch {
    /// No candidates, of so many rules.
    pub(super) fn begin(&mut self, rules: usize) {
        self.candidates.clear();
        self.marks.resize(rules, 0);
        self.round = match self.round.checked_add(1) {
            Some(round) => round,
            None => {
                self.marks.fill(0);
                1
            }
        };
    }

    /// These candidates and no others.
    pub(super) fn plan(&mut self, rules: &[u32]) {
        self.candidates.clear();
        self.candidates.extend_from_slice(rules);
    }

    /// One more, unless it is there.
    pub(super) fn also(&mut self, rule: u32) {
        if !self.candidates.contains(&rule) {
            self.candidates.push(rule);
        }
    }

    /// Adds a rule once.
    pub(super) fn add(&mut self, rule: u32) {
        let mark = &mut self.marks[rule as usize];
        if *mark != self.round {
            *mark = self.round;
            self.candidates.push(rule);
        }
    }
}

impl Prefilter {
    /// The texts of the rules that events of this class can reach.
    pub(super) fn new(rules: &[Compiled], class: Class) -> Self {
        let mut filter = Self::default();
        let mut literals: std::collections::BTreeMap<Vec<u8>, Vec<u32>> = Default::default();
        for (index, compiled) in rules.iter().enumerate() {
            if !compiled.reaches(class) {
                continue;
            }
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            // Audit values may be written in hexadecimal: `Event::decoded` has them as they are.
            // A JSON line need not name a program for a rule about one to be asked.
            let programs = if class == Class::Json { None } else { compiled.program_texts() };
            let needed = best([needed(&compiled.rule), programs].into_iter());
            match needed {
                Some(texts) => {
                    for text in texts {
                        let rules = literals.entry(text).or_default();
                        if rules.last() != Some(&index) {
                            rules.push(index);
                        }
                    }
                }
                None => filter.always.push(index),
            }
        }
        if class == Class::Syslog {
            for text in ENVELOPED {
                literals.entry(text.to_vec()).or_default();
            }
        }
        filter.literals = Literals::new(literals.keys().map(Vec::as_slice));
        filter.rules_of = literals.into_values().collect();
        filter
    }

    /// Appends every place of a block where a text stands.
    pub(super) fn find(&self, block: &[u8], found: &mut Vec<Found>) {
        self.literals.find(block, found);
    }

    /// The texts that rules need, in lower case; not what only tells the kind of a line.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let each = self.literals.texts().zip(&self.rules_of);
        each.filter(|(text, rules)| !rules.is_empty() && *text != SUSPECT).map(|(text, _)| text)
    }

    /// The rules that need a text that was found.
    pub(super) fn rules_of(&self, found: Found) -> &[u32] {
        &self.rules_of[found.text as usize]
    }

    /// Whether a line of a shape may carry a record of another class.
    pub(super) fn may_envelop(&self, shape: &Masked) -> bool {
        ENVELOPED.iter().any(|text| shape.may_contain(text))
    }

    /// Each rule that needs a text with digits which may be in a line of a shape, and that text.
    pub(super) fn possible(&self, line: &[u8], shape: &Masked) -> Vec<(u32, u32)> {
        let numbered = self.literals.numbered(line, |text| shape.may_contain(text));
        let rules = numbered.into_iter().map(|text| (text, &self.rules_of[text as usize]));
        rules.flat_map(|(text, rules)| rules.iter().map(move |rule| (text, *rule))).collect()
    }

    /// Whether a text stands in a line.
    pub(super) fn stands(&self, text: u32, line: &[u8]) -> bool {
        self.literals.stands(text, line)
    }

    /// Adds the rules of which a text without digits is found.
    pub(super) fn mark_steady(&self, line: &[u8], scratch: &mut Scratch) {
        let mut found = std::mem::take(&mut scratch.found);
        found.clear();
        self.literals.find(line, &mut found);
        for one in found.iter().filter(|one| !self.literals.is_numbered(one.text)) {
            self.rules_of(*one).iter().for_each(|rule| scratch.add(*rule));
        }
        scratch.found = found;
    }

    /// Adds the rules of which a text is found.
    pub(super) fn mark(&self, text: &[u8], scratch: &mut Scratch) {
        let mut found = std::mem::take(&mut scratch.found);
        found.clear();
        self.literals.find(text, &mut found);
        for one in &found {
            for rule in self.rules_of(*one) {
                scratch.add(*rule);
            }
        }
        scratch.found = found;
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

/// Of several things that all hold, the one whose texts are rarest together.
fn best(each: impl Iterator<Item = Option<Vec<Vec<u8>>>>) -> Option<Vec<Vec<u8>>> {
    let lines = |texts: &Vec<Vec<u8>>| -> u32 { texts.iter().map(|text| commonness(text)).sum() };
    each.flatten().min_by_key(lines)
}

/// Of several things of which one holds: all texts, and only if each has some.
fn union(each: impl Iterator<Item = Option<Vec<Vec<u8>>>>) -> Option<Vec<Vec<u8>>> {
    let all: Option<Vec<_>> = each.collect();
    all.map(|all| all.into_iter().flatten().collect::<Vec<_>>()).filter(|all| !all.is_empty())
}
