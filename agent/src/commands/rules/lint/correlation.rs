//! Correlations: what they refer to, and whether they can ever be met.

use std::collections::BTreeMap;

use parsers::place::Place;
use serde_yaml::{Mapping, Value};

use super::{Known, Subject, detection, texts, twice};

type Say<'a> = &'a mut dyn FnMut(Place, String);

pub(super) fn check(subject: &Subject<'_>, known: &Known, say: Say<'_>) {
    let Some(Value::Mapping(body)) = subject.map.get("correlation") else { return };
    let rules = texts(body.get("rules"));
    let groups = texts(body.get("group-by"));
    let at = |key: &str| subject.outline.at(&["correlation", key]);
    for rule in rules.iter().filter(|rule| !known.contains_key(**rule)) {
        say(at("rules"), format!("refers to `{rule}`, which is no rule here and none built in"));
    }
    for rule in rules.iter().filter(|rule| subject.names().any(|name| name == **rule)) {
        say(at("rules"), format!("refers to itself: `{rule}`"));
    }
    for group in twice(&groups) {
        say(at("group-by"), format!("groups by `{group}` twice"));
    }
    let aliases = aliases(body);
    for (alias, pairs) in &aliases {
        if !groups.contains(&alias.as_str()) && counted(body) != Some(alias) {
            say(at("aliases"), format!("the alias `{alias}` is not used"));
        }
        for rule in pairs.keys().filter(|rule| !rules.contains(&rule.as_str())) {
            say(at("aliases"), format!("the alias `{alias}` names `{rule}`, which is not read"));
        }
    }
    for rule in &rules {
        let Some(fields) = known.get(*rule) else { continue };
        for (key, field) in groups
            .iter()
            .map(|g| ("group-by", *g))
            .chain(counted(body).map(|field| ("condition", field.as_str())))
        {
            let own = aliases.get(field).and_then(|pairs| pairs.get(*rule));
            let own = own.map_or(field, String::as_str);
            if !detection::has_field(*fields, own) {
                let message = format!("no log of `{rule}` has a field `{own}`: it never counts");
                say(at(key), message);
            }
        }
    }
    threshold(body, &rules, &groups, &at, say);
}

/// Counts that are met at once, or never.
fn threshold(
    body: &Mapping,
    rules: &[&str],
    groups: &[&str],
    at: &dyn Fn(&str) -> Place,
    say: Say<'_>,
) {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind.starts_with("temporal") && rules.len() < 2 {
        say(at("rules"), format!("`{kind}` of a single rule holds at each of its hits"));
    }
    let Some(Value::Mapping(condition)) = body.get("condition") else { return };
    let number = |key: &str| condition.get(key).and_then(Value::as_i64);
    let least = number("gte").or(number("gt").map(|count| count.saturating_add(1)));
    let most = number("lte").or(number("lt").map(|count| count.saturating_sub(1)));
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        say(at("condition"), "the condition contradicts itself: no count is so".into());
    }
    if !kind.ends_with("_count") {
        return;
    }
    // Grouped or of several rules, a count of one is a fold: one story of whatever was seen.
    let fold = kind == "event_count" && (!groups.is_empty() || rules.len() > 1);
    if least == Some(1) && most.is_none() && !fold {
        say(at("condition"), "the count is reached by a single event".into());
    }
    if let Some(field) = counted(body)
        && kind == "value_count"
        && groups.contains(&field.as_str())
        && least.is_some_and(|least| least > 1)
    {
        let message = format!("counts the values of `{field}` and groups by it: there is only one");
        say(at("condition"), message);
    }
}

/// The field whose values are counted.
fn counted(body: &Mapping) -> Option<&String> {
    match body.get("condition")?.get("field")? {
        Value::String(field) => Some(field),
        _ => None,
    }
}

/// Alias, then rule and field.
fn aliases(body: &Mapping) -> BTreeMap<String, BTreeMap<String, String>> {
    let Some(Value::Mapping(aliases)) = body.get("aliases") else { return BTreeMap::new() };
    let pairs = |value: &Value| -> BTreeMap<String, String> {
        let Value::Mapping(pairs) = value else { return BTreeMap::new() };
        let text = |(rule, field): (&Value, &Value)| {
            Some((rule.as_str()?.to_string(), field.as_str()?.to_string()))
        };
        pairs.iter().filter_map(text).collect()
    };
    aliases.iter().filter_map(|(key, value)| Some((key.as_str()?.into(), pairs(value)))).collect()
}
