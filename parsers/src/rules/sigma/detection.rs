//! The `detection` map: named selections and the condition over them.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::stored::nested;
use super::values::Test;
use super::{Condition, Placeholders, Source, condition, modifiers};
use crate::place::Problem;

/// Most selections of one rule.
pub const SELECTIONS_MAX: usize = 256;

/// Deepest nesting of lists and maps in a selection.
pub const DEPTH_MAX: usize = 8;

/// What a rule looks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detection {
    /// Named selections in the order in which they are written.
    pub selections: Vec<(String, Selection)>,
    /// When the rule matches; numbers are positions in `selections`.
    pub condition: Condition,
}

/// One selection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Selection {
    /// Every test holds (a map).
    All(Vec<Test>),
    /// One of these holds (a list).
    Any(#[serde(deserialize_with = "nested")] Vec<Selection>),
}

/// Reads the map of a rule, or of a filter, whose key `rules` is no selection.
pub(super) fn parse(
    source: &Source<'_>,
    body: &Mapping,
    others: &[&str],
    placeholders: &Placeholders,
) -> Result<Detection, Problem> {
    let mut selections = Vec::new();
    let read = Reader { source, placeholders, read: RefCell::default() };
    for (key, value) in body {
        let Some(name) = key.as_str() else {
            return Err(source.at("detection", "names of selections are texts"));
        };
        if name == "condition" || others.contains(&name) {
            continue;
        }
        if name == "timeframe" {
            let message =
                "`timeframe` belongs to aggregations, which Sigma 2 removed: write a correlation";
            return Err(source.at(name, message));
        }
        if selections.len() == SELECTIONS_MAX {
            return Err(source.at(name, format!("more than {SELECTIONS_MAX} selections")));
        }
        selections.push((name.to_string(), read.selection(name, value, 0)?));
    }
    let names: Vec<&str> = selections.iter().map(|(name, _)| name.as_str()).collect();
    let condition = match body.get("condition") {
        Some(Value::String(text)) => condition::parse(text, &names),
        Some(Value::Sequence(list)) if !list.is_empty() => list
            .iter()
            .map(|one| match one {
                Value::String(text) => condition::parse(text, &names),
                _ => Err("a condition is a text".into()),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Condition::Or),
        _ => Err("a rule needs a `condition`".into()),
    };
    let condition = condition.map_err(|message| source.at("condition", message))?;
    Ok(Detection { selections, condition })
}

struct Reader<'a> {
    source: &'a Source<'a>,
    placeholders: &'a Placeholders,
    /// Keys that were read, to find the line of one that is written several times.
    read: RefCell<HashMap<String, usize>>,
}

impl Reader<'_> {
    fn selection(&self, name: &str, value: &Value, depth: usize) -> Result<Selection, Problem> {
        if depth == DEPTH_MAX {
            return Err(self.source.at(name, format!("nested deeper than {DEPTH_MAX}")));
        }
        match value {
            Value::Mapping(map) => {
                let tests = map.iter().map(|(key, value)| match key.as_str() {
                    Some(key) => self.test(key, key, value),
                    None => Err(self.source.at(name, "names of fields are texts")),
                });
                Ok(Selection::All(tests.collect::<Result<_, _>>()?))
            }
            Value::Sequence(list) if list.iter().any(|v| v.is_mapping() || v.is_sequence()) => {
                let parts = list.iter().map(|part| self.selection(name, part, depth + 1));
                Ok(Selection::Any(parts.collect::<Result<_, _>>()?))
            }
            keywords => Ok(Selection::All(vec![self.test(name, "", keywords)?])),
        }
    }

    fn test(&self, place: &str, key: &str, value: &Value) -> Result<Test, Problem> {
        let mut read = self.read.borrow_mut();
        let count = read.entry(place.to_string()).or_default();
        let before = *count;
        *count += 1;
        modifiers::test(key, value, self.placeholders)
            .map_err(|message| self.source.at_nth(place, before, message))
    }
}
