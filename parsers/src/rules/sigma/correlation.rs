//! Correlation documents: rules over the hits of other rules.

use serde_yaml::{Mapping, Value};

use super::{Header, Source, texts};
use crate::place::Problem;

/// Longest timespan: 90 days.
pub const TIMESPAN_SECONDS_MAX: i64 = 90 * 86_400;

/// Most rules that one correlation refers to.
pub const RULES_MAX: usize = 64;

/// Most fields of `group-by`.
pub const GROUP_BY_MAX: usize = 8;

/// Largest count that a threshold may ask for.
pub const THRESHOLD_MAX: u64 = 100_000;

/// A rule over the hits of other rules.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// Its names and words.
    pub header: Header,
    /// What is counted.
    pub kind: CorrelationKind,
    /// Names or ids of the rules whose hits it reads, in order.
    pub rules: Vec<String>,
    /// Fields whose values are looked at apart.
    pub group_by: Vec<String>,
    /// Alias name, then (rule, field) pairs.
    pub aliases: Vec<(String, Vec<(String, String)>)>,
    /// How long the window is, in seconds.
    pub timespan_s: i64,
    /// Whether the hits of its rules are shown by themselves too.
    pub generate: bool,
}

/// What a correlation counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorrelationKind {
    /// Events.
    EventCount(Threshold),
    /// Distinct values of a field.
    ValueCount(String, Threshold),
    /// Every rule hit within the timespan.
    Temporal,
    /// Every rule hit, in the order of `rules`.
    TemporalOrdered,
}

/// A count and how it is compared. It is held against the count at each event, so only comparisons
/// that a growing count can come to satisfy are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// The smallest count that satisfies it.
    pub at_least: u64,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `gt`
    Above,
    /// `gte`
    AtLeast,
    /// `lt`
    Below,
    /// `lte`
    AtMost,
}

impl Compare {
    /// Whether `number` stands so to `bound`.
    pub fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Above => number > bound,
            Self::AtLeast => number >= bound,
            Self::Below => number < bound,
            Self::AtMost => number <= bound,
        }
    }
}

pub(super) fn parse(
    source: &Source<'_>,
    header: Header,
    body: &Value,
    document: &Mapping,
) -> Result<Correlation, Problem> {
    let Value::Mapping(map) = body else {
        return Err(source.at("correlation", "`correlation` is a map"));
    };
    const KEYS: [&str; 7] =
        ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
    for key in map.keys().filter_map(Value::as_str) {
        if !KEYS.contains(&key) {
            return Err(source.at(key, "unknown key of a correlation"));
        }
    }
    let rules = texts(map.get("rules"));
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(source.at("rules", format!("a correlation names 1 to {RULES_MAX} rules")));
    }
    let group_by = texts(map.get("group-by"));
    if group_by.len() > GROUP_BY_MAX {
        return Err(source.at("group-by", format!("more than {GROUP_BY_MAX} fields")));
    }
    let timespan_s =
        map.get("timespan").and_then(Value::as_str).and_then(seconds).ok_or_else(|| {
            source.at("timespan", "`timespan` is a number with s, m, h or d, up to 90d")
        })?;
    let flag = map.get("generate").or_else(|| document.get("generate"));
    let generate = match flag {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(source.at("generate", "`generate` is true or false")),
    };
    let kind = kind(source, map)?;
    let aliases = aliases(source, map)?;
    Ok(Correlation { header, kind, rules, group_by, aliases, timespan_s, generate })
}

fn kind(source: &Source<'_>, map: &Mapping) -> Result<CorrelationKind, Problem> {
    let condition = map.get("condition");
    match map.get("type").and_then(Value::as_str) {
        Some("event_count") => Ok(CorrelationKind::EventCount(threshold(source, condition)?)),
        Some("value_count") => {
            let field = condition.and_then(|c| c.get("field")).and_then(Value::as_str);
            let Some(field) = field else {
                return Err(source.at("condition", "`value_count` needs a `field` to count"));
            };
            Ok(CorrelationKind::ValueCount(field.to_string(), threshold(source, condition)?))
        }
        Some(name @ ("temporal" | "temporal_ordered")) => {
            if condition.is_some() {
                let message = "a condition is not supported here: all rules have to hit";
                return Err(source.at("condition", message));
            }
            let ordered = name == "temporal_ordered";
            Ok(if ordered { CorrelationKind::TemporalOrdered } else { CorrelationKind::Temporal })
        }
        _ => {
            let message = "`type` is event_count, value_count, temporal or temporal_ordered";
            Err(source.at("type", message))
        }
    }
}

fn threshold(source: &Source<'_>, condition: Option<&Value>) -> Result<Threshold, Problem> {
    let wrong = |message: &str| source.at("condition", message);
    let Some(Value::Mapping(map)) = condition else {
        return Err(wrong("a count needs a condition such as `gte: 10`"));
    };
    let mut found = None;
    for (key, value) in map {
        let add = match key.as_str() {
            Some("gte") => 0,
            Some("gt") => 1,
            Some("field") => continue,
            Some("lt" | "lte" | "eq" | "neq") => {
                return Err(wrong("only gt and gte are supported: fewer events are no event"));
            }
            _ => return Err(wrong("unknown comparison: use gt or gte")),
        };
        let number = value.as_u64().and_then(|number| number.checked_add(add));
        if found.is_some() {
            return Err(wrong("one comparison at most"));
        }
        found = number.filter(|number| (1..=THRESHOLD_MAX).contains(number));
        if found.is_none() {
            return Err(wrong("the count is a number from 1 to 100000"));
        }
    }
    let at_least = found.ok_or_else(|| wrong("a count needs a condition such as `gte: 10`"))?;
    Ok(Threshold { at_least })
}

type Aliases = Vec<(String, Vec<(String, String)>)>;

fn aliases(source: &Source<'_>, map: &Mapping) -> Result<Aliases, Problem> {
    let wrong = || source.at("aliases", "`aliases` maps an alias to `rule: field` pairs");
    match map.get("aliases") {
        None => Ok(Vec::new()),
        Some(Value::Mapping(aliases)) => aliases
            .iter()
            .map(|(alias, pairs)| {
                let alias = alias.as_str().ok_or_else(wrong)?.to_string();
                let pairs = pairs.as_mapping().ok_or_else(wrong)?;
                let pairs = pairs.iter().map(|(rule, field)| {
                    let pair = rule.as_str().zip(field.as_str()).ok_or_else(wrong)?;
                    Ok((pair.0.to_string(), pair.1.to_string()))
                });
                Ok((alias, pairs.collect::<Result<_, Problem>>()?))
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// `30s`, `10m`, `2h`, `1d`.
fn seconds(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).filter(|seconds| (1..=TIMESPAN_SECONDS_MAX).contains(seconds))
}
