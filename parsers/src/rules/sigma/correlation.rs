//! Correlation documents: rules over the hits of other rules.
//!
//! Hits are counted while they come in, so only what more hits can bring about is accepted: an upper
//! bound on a count (`lt`, `lte`, `eq`, `neq`, a range) holds at some moment of nearly every window, and
//! would be told again and again; it is refused with words, as are the sums and averages that Sigma
//! has not settled.

use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The smallest count that satisfies it.
    pub at_least: u64,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// `gt`
    Above,
    /// `gte`
    AtLeast,
    /// `lt`
    Below,
    /// `lte`
    AtMost,
    /// A part of a date with no other comparison.
    Equal,
}

impl Compare {
    /// Whether `number` stands so to `bound`.
    pub fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Above => number > bound,
            Self::AtLeast => number >= bound,
            Self::Below => number < bound,
            Self::AtMost => number <= bound,
            Self::Equal => number == bound,
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
            source.at("timespan", "`timespan` is a number with s, m, h, d or w, up to 90d")
        })?;
    let flag = map.get("generate").or_else(|| document.get("generate"));
    let generate = match flag {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(source.at("generate", "`generate` is true or false")),
    };
    let kind = kind(source, map, &rules)?;
    let aliases = aliases(source, map)?;
    Ok(Correlation { header, kind, rules, group_by, aliases, timespan_s, generate })
}

fn kind(source: &Source<'_>, map: &Mapping, rules: &[String]) -> Result<CorrelationKind, Problem> {
    let condition = map.get("condition");
    match map.get("type").and_then(Value::as_str) {
        Some("event_count") => {
            if condition.is_some_and(|condition| condition.get("field").is_some()) {
                let message = "`event_count` counts events, not a `field`: use `value_count`";
                return Err(source.at("field", message));
            }
            Ok(CorrelationKind::EventCount(threshold(source, condition)?))
        }
        Some("value_count") => {
            let field = match condition.and_then(|condition| condition.get("field")) {
                Some(Value::String(field)) => field,
                Some(Value::Sequence(_)) => {
                    return Err(
                        source.at("field", "`value_count` of several fields is not supported")
                    );
                }
                _ => {
                    return Err(source.at("condition", "`value_count` needs a `field` to count"));
                }
            };
            Ok(CorrelationKind::ValueCount(field.to_string(), threshold(source, condition)?))
        }
        Some(name @ ("temporal" | "temporal_ordered")) => {
            every_rule(source, condition, rules)?;
            let ordered = name == "temporal_ordered";
            Ok(if ordered { CorrelationKind::TemporalOrdered } else { CorrelationKind::Temporal })
        }
        Some(
            name @ ("value_sum" | "value_avg" | "value_median" | "value_percentile" | "value_min"
            | "value_max"),
        ) => {
            let message = format!("`{name}` is not supported: Sigma has not settled it");
            Err(source.at("type", message))
        }
        _ => {
            let message = "`type` is event_count, value_count, temporal or temporal_ordered";
            Err(source.at("type", message))
        }
    }
}

/// A condition of `temporal` may say what holds without it: that every rule has to hit.
fn every_rule(
    source: &Source<'_>,
    condition: Option<&Value>,
    rules: &[String],
) -> Result<(), Problem> {
    let count = rules.len() as u64;
    let holds = match condition {
        None | Some(Value::Null) => true,
        Some(Value::Mapping(map)) if map.len() == 1 => map.iter().all(|(key, value)| {
            let least = match key.as_str() {
                Some("gte" | "eq") => value.as_u64(),
                Some("gt") => value.as_u64().map(|value| value.saturating_add(1)),
                _ => None,
            };
            least == Some(count)
        }),
        Some(Value::String(text)) => {
            let words: Vec<&str> = text.split_whitespace().collect();
            let named: std::collections::BTreeSet<&str> =
                words.iter().step_by(2).copied().collect();
            let joined =
                words.iter().skip(1).step_by(2).all(|word| word.eq_ignore_ascii_case("and"));
            joined && words.len() % 2 == 1 && named == rules.iter().map(String::as_str).collect()
        }
        _ => false,
    };
    if holds {
        return Ok(());
    }
    let message = "a condition is not supported here but that all rules have to hit";
    Err(source.at("condition", message))
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
            Some(name @ ("lt" | "lte" | "eq" | "neq")) => {
                let message = format!(
                    "`{name}` is not supported: a count that still grows can only be told to have \
                     reached a bound, with gt or gte"
                );
                return Err(source.at(name, message));
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

/// `30s`, `10m`, `2h`, `1d`, `2w`. Months and years have no fixed length.
fn seconds(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).filter(|seconds| (1..=TIMESPAN_SECONDS_MAX).contains(seconds))
}
