//! Documents of all files together: filters applied to the rules they name, and what all regular
//! expressions together may cost.
//!
//! A filter's condition is joined with `and` to that of each rule it names, as Sigma's own tools do. The
//! specification's example leaves out the `not` that this needs; taken literally it would hide every
//! match but those of the filter. A filter that negates nothing is therefore refused.

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::{
    Condition, Correlation, Detection, Document, Header, Logsource, Matcher, Placeholders, Rule,
    Selection, Source, detection,
};
use crate::place::Problem;

/// Most rules that one filter names.
pub const FILTERED_MAX: usize = 1024;

/// Most that all regular expressions of a set of rules may cost together ([`super::Expression::cost`]):
/// about 200 MB if each of them were compiled.
pub const EXPRESSIONS_COST_MAX: u64 = 2_000_000;

/// What is taken from other rules' matches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Filter {
    /// Its names and words.
    pub header: Header,
    /// Only rules about these logs.
    pub logsource: Logsource,
    /// Names or ids of the rules; `None` for every rule of the log source.
    pub rules: Option<Vec<String>>,
    /// What has to hold too.
    pub detection: Detection,
}

/// The rules and correlations of all files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Collection {
    /// Rules over single events, with filters applied.
    pub rules: Vec<Rule>,
    /// Rules over the hits of other rules.
    pub correlations: Vec<Correlation>,
}

impl Collection {
    /// Sorts documents out and applies the filters. A filter that names no rule that is there is a
    /// problem, as is more work in regular expressions than is allowed.
    pub fn of(documents: Vec<Document>) -> Result<Self, Vec<Problem>> {
        let mut collection = Self::default();
        let mut filters = Vec::new();
        for document in documents {
            match document {
                Document::Rule(rule) => collection.rules.push(*rule),
                Document::Correlation(correlation) => collection.correlations.push(*correlation),
                Document::Filter(filter) => filters.push(*filter),
            }
        }
        let mut problems = Vec::new();
        for filter in filters {
            problems.extend(collection.apply(filter));
        }
        let mut cost = 0_u64;
        for rule in &collection.rules {
            cost = cost.saturating_add(expressions_cost(&rule.detection));
            if cost > EXPRESSIONS_COST_MAX {
                let message = "the regular expressions of all rules together are too big";
                problems
                    .push(Problem { place: rule.header.place.clone(), message: message.into() });
                break;
            }
        }
        if problems.is_empty() { Ok(collection) } else { Err(problems) }
    }

    fn apply(&mut self, filter: Filter) -> Option<Problem> {
        let mut unknown = filter.rules.clone().unwrap_or_default();
        let mut applied = false;
        for rule in &mut self.rules {
            let named = filter.rules.as_ref().is_none_or(|names| {
                names.iter().any(|name| rule.header.is_called(name) || rule.header.title == *name)
            });
            if named {
                unknown.retain(|name| !rule.header.is_called(name) && rule.header.title != *name);
            }
            if named && filter.logsource.covers(&rule.logsource) {
                rule.detection.join(&filter.detection);
                applied = true;
            }
        }
        let message = match unknown.first() {
            Some(name) => format!("the filter names `{name}`, a rule that is not loaded"),
            None if !applied && filter.rules.is_some() => {
                "the filter is about other logs than the rules that it names".to_string()
            }
            None => return None,
        };
        Some(Problem { place: filter.header.place, message })
    }
}

impl Logsource {
    /// Whether every log of `other` is one of these.
    fn covers(&self, other: &Self) -> bool {
        let part = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        part(&self.product, &other.product)
            && part(&self.category, &other.category)
            && part(&self.service, &other.service)
    }
}

impl Detection {
    fn join(&mut self, other: &Self) {
        let by = self.selections.len();
        self.selections.extend(other.selections.iter().cloned());
        let own = std::mem::replace(&mut self.condition, Condition::And(Vec::new()));
        self.condition = Condition::And(vec![own, other.condition.clone().moved(by)]);
    }
}

fn expressions_cost(detection: &Detection) -> u64 {
    fn of(selection: &Selection) -> u64 {
        match selection {
            Selection::Any(parts) => parts.iter().map(of).sum(),
            Selection::All(tests) => {
                let values = tests.iter().flat_map(|test| &test.values);
                values
                    .map(|value| match value {
                        Matcher::Regex(expression) => expression.cost(),
                        _ => 0,
                    })
                    .fold(0, u64::saturating_add)
            }
        }
    }
    detection.selections.iter().map(|(_, selection)| of(selection)).fold(0, u64::saturating_add)
}

/// Reads the key `filter` of a document.
pub(super) fn filter(
    source: &Source<'_>,
    header: Header,
    logsource: Logsource,
    body: &Value,
    placeholders: &Placeholders,
) -> Result<Filter, Problem> {
    let Value::Mapping(map) = body else {
        return Err(source.at("filter", "`filter` is a map"));
    };
    let rules = match map.get("rules") {
        Some(Value::String(text)) if text.eq_ignore_ascii_case("any") => None,
        Some(Value::Sequence(list)) if list.is_empty() => None,
        Some(value @ (Value::String(_) | Value::Sequence(_))) => Some(super::texts(Some(value))),
        _ => {
            let message = "a filter names the `rules` that it is for, or says `any`";
            return Err(source.at("rules", message));
        }
    };
    if rules.as_ref().is_some_and(|rules| rules.len() > FILTERED_MAX) {
        return Err(source.at("rules", format!("more than {FILTERED_MAX} rules")));
    }
    let detection = detection::parse(source, map, &["rules"], placeholders)?;
    if !detection.condition.negates() {
        let message = "a filter's condition is joined to its rules' with `and`: \
                       write `not` before what is to be left out";
        return Err(source.at("condition", message));
    }
    Ok(Filter { header, logsource, rules, detection })
}
