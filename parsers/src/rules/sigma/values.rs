//! One test of a rule: a field and the values that it may have.
//!
//! A list of values is asked as a whole: texts looked for anywhere by one automaton, equal texts by a
//! hash, starts and ends by their first or last byte. What is built for that is built when the first
//! value is asked about, so that rules that no line reaches cost nothing.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use serde::{Deserialize, Serialize};

use super::pattern::{Matcher, Shape};

/// Lists shorter than this are asked value by value.
const MANY_MIN: usize = 6;

/// Longer values are not copied to be compared by hash.
const HASHED_BYTES_MAX: usize = 512;

/// One field and its values; without a field: keywords, looked for anywhere in the event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Test {
    /// The field, or `None` for keywords.
    pub field: Option<String>,
    /// Whether all values must be accepted rather than one.
    pub all: bool,
    /// Whether the test holds when the values do not (`neq`).
    pub negated: bool,
    /// The values.
    pub values: Vec<Matcher>,
    /// Whether a value asks for more than the field's value: other fields, or that it is absent.
    relates: bool,
    /// Whether a value is a regular expression, which may ask where a text begins or ends.
    expressions: bool,
    #[serde(skip)]
    many: OnceLock<Option<Box<Many>>>,
}

/// The values of a long list, by how they are asked fastest.
#[derive(Clone, Debug, Default)]
struct Many {
    anywhere: Option<AhoCorasick>,
    whole: HashSet<Vec<u8>>,
    /// Positions of values by the lower-case byte with which they begin or end.
    starts: HashMap<u8, Vec<usize>>,
    ends: HashMap<u8, Vec<usize>>,
    rest: Vec<usize>,
}

impl Test {
    pub(super) fn new(
        field: Option<String>,
        all: bool,
        negated: bool,
        values: Vec<Matcher>,
    ) -> Self {
        let relates = values.iter().any(Matcher::relates);
        let expressions = values.iter().any(|value| matches!(value, Matcher::Regex(_)));
        Self { field, all, negated, values, relates, expressions, many: OnceLock::new() }
    }

    /// Whether a value is a regular expression, which may ask where a text begins or ends.
    pub fn has_expressions(&self) -> bool {
        self.expressions
    }

    /// Whether a value asks for more than the field's value: other fields, or that it is absent.
    pub fn relates(&self) -> bool {
        self.relates
    }

    /// Whether one of the values accepts what is there.
    pub fn any_accepts(&self, value: &[u8]) -> bool {
        if self.values.len() < MANY_MIN {
            return self.values.iter().any(|one| one.accepts(value));
        }
        match self.many.get_or_init(|| Many::new(&self.values).map(Box::new)) {
            Some(many) => many.accepts(&self.values, value),
            None => self.values.iter().any(|one| one.accepts(value)),
        }
    }

    /// Texts in lower case of which one is in every event for which the test holds (compared without
    /// case); `None` where nothing can be promised.
    pub fn required(&self) -> Option<Vec<Vec<u8>>> {
        if self.negated {
            return None;
        }
        let mut each = self.values.iter().map(Matcher::required_any);
        if self.all {
            return each.flatten().max_by_key(|texts| texts.iter().map(Vec::len).min());
        }
        let all: Option<Vec<_>> = each.by_ref().collect();
        all.map(|all| all.into_iter().flatten().collect::<Vec<_>>()).filter(|all| !all.is_empty())
    }
}

impl Many {
    fn new(values: &[Matcher]) -> Option<Self> {
        let mut many = Self::default();
        let mut anywhere = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let Matcher::Pattern(pattern) = value else {
                many.rest.push(index);
                continue;
            };
            let side = |byte: Option<&u8>| byte.map(u8::to_ascii_lowercase);
            match pattern.shape() {
                Shape::Anywhere(text) if !pattern.cased() => anywhere.push(text),
                Shape::Whole(text) if !pattern.cased() && text.len() <= HASHED_BYTES_MAX => {
                    many.whole.insert(text.to_vec());
                }
                Shape::Start(text) if !text.is_empty() => {
                    many.starts.entry(side(text.first())?).or_default().push(index);
                }
                Shape::End(text) if !text.is_empty() => {
                    many.ends.entry(side(text.last())?).or_default().push(index);
                }
                _ => many.rest.push(index),
            }
        }
        if !anywhere.is_empty() {
            let built = AhoCorasick::builder().ascii_case_insensitive(true).build(anywhere);
            many.anywhere = Some(built.ok()?);
        }
        Some(many)
    }

    fn accepts(&self, values: &[Matcher], value: &[u8]) -> bool {
        let by_byte = |lists: &HashMap<u8, Vec<usize>>, byte: Option<&u8>| {
            byte.and_then(|byte| lists.get(&byte.to_ascii_lowercase()))
                .is_some_and(|list| list.iter().any(|index| values[*index].accepts(value)))
        };
        let hashed = !self.whole.is_empty()
            && value.len() <= HASHED_BYTES_MAX
            && self.whole.contains(&value.to_ascii_lowercase());
        hashed
            || by_byte(&self.ends, value.last())
            || by_byte(&self.starts, value.first())
            || self.anywhere.as_ref().is_some_and(|automaton| automaton.is_match(value))
            || self.rest.iter().any(|index| values[*index].accepts(value))
    }
}
