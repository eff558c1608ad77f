//! Which rules can hold for some line of a shape: by the texts that they need, and by the program.
//!
//! Only ever too generous: what is no text that the line must contain (negations, numbers, networks,
//! absent fields) is taken as possible.

use parsers::rules::sigma::{Condition, Rule, Selection, Test};

use super::{RuleSet, Scratch};
use crate::logs::event::{Class, Event};
use crate::logs::shape::Masked;
use crate::logs::web::request::DERIVED;

/// Fields of syslog whose values may be words that the line does not hold.
const UNWRITTEN: [&str; 2] = ["action", "auth_method"];

/// What a rule needs of a line.
#[derive(Clone, Debug)]
pub(super) enum Needs {
    /// Nothing that could be told of a line's shape.
    Nothing,
    /// One of these texts, in lower case.
    Text(Vec<Vec<u8>>),
    /// A program.
    Program(Box<Test>),
    /// So many of these.
    Some(usize, Vec<Needs>),
}

impl Needs {
    pub(super) fn of(rule: &Rule) -> Self {
        condition(&rule.detection.condition, rule)
    }

    /// Whether a line of the shape may have all of it; `program` where all its lines are of one.
    fn may_hold(&self, shape: &Masked, program: Option<&[u8]>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Text(texts) => texts.iter().any(|text| shape.may_contain(text)),
            Self::Program(test) => {
                program.is_none_or(|program| test.any_accepts(program) != test.negated)
            }
            Self::Some(count, parts) => {
                let holding = parts.iter().filter(|part| part.may_hold(shape, program));
                holding.take(*count).count() == *count
            }
        }
    }
}

/// Rules or jails that may match; and others, each with a text of the prefilter that it needs.
pub type Candidates = (Vec<u32>, Vec<(u32, u32)>);

impl RuleSet {
    /// The rules that a syslog line of this shape may match, and those that it may match if it holds a
    /// text; the event is one of its lines. `None` where its lines may be of another class.
    pub(in crate::logs) fn possible(
        &self,
        event: &Event<'_>,
        shape: &Masked,
        scratch: &mut Scratch,
    ) -> Option<Candidates> {
        let filter = self.filter(Class::Syslog);
        if event.class() != Class::Syslog || filter.may_envelop(shape) {
            return None;
        }
        let program = event.steady_program();
        self.begin(Class::Syslog, scratch);
        filter.mark_steady(event.raw, scratch);
        let may = |index: &u32| {
            let compiled = &self.rules[*index as usize];
            let needs = compiled.needs.get_or_init(|| Needs::of(&compiled.rule));
            (program.is_none() || compiled.route.admits(event) || !compiled.route.is_by_program())
                && needs.may_hold(shape, program)
        };
        let mut rules = scratch.candidates.clone();
        rules.sort_unstable();
        let mut rules_if = filter.possible(event.raw, shape);
        rules_if.retain(|(_, rule)| rules.binary_search(rule).is_err() && may(rule));
        rules.retain(may);
        Some((rules, rules_if))
    }

    /// Whether a text of the prefilter stands in a syslog line.
    pub(in crate::logs) fn stands(&self, text: u32, line: &[u8]) -> bool {
        self.filter(Class::Syslog).stands(text, line)
    }
}

fn condition(of: &Condition, rule: &Rule) -> Needs {
    let selected = |index: &usize| selection(&rule.detection.selections[*index].1);
    match of {
        Condition::Selection(index) => selected(index),
        Condition::Not(_) => Needs::Nothing,
        Condition::And(parts) => all(parts.iter().map(|part| condition(part, rule))),
        Condition::Or(parts) => {
            Needs::Some(1, parts.iter().map(|part| condition(part, rule)).collect())
        }
        Condition::AtLeast(count, of) => Needs::Some(*count, of.iter().map(selected).collect()),
    }
}

fn selection(of: &Selection) -> Needs {
    match of {
        Selection::All(tests) => all(tests.iter().map(test)),
        Selection::Any(parts) => Needs::Some(1, parts.iter().map(selection).collect()),
    }
}

fn all(each: impl Iterator<Item = Needs>) -> Needs {
    let needed: Vec<Needs> = each.filter(|one| !matches!(one, Needs::Nothing)).collect();
    Needs::Some(needed.len(), needed)
}

fn test(of: &Test) -> Needs {
    match of.field.as_deref() {
        Some("program") if !of.all && !of.relates() => Needs::Program(Box::new(of.clone())),
        Some("program") => Needs::Nothing,
        Some(field) if DERIVED.contains(&field) || UNWRITTEN.contains(&field) => Needs::Nothing,
        _ if of.negated => Needs::Nothing,
        _ if of.all => all(of.values.iter().filter_map(|one| one.required_any()).map(Needs::Text)),
        _ => of.required().map_or(Needs::Nothing, Needs::Text),
    }
}
