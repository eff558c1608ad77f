//! `<name>` tags of values: filled in from other values until nothing is left to fill in.
//!
//! A tag that names nothing stays as it is, because `<HOST>`, `<F-USER>` and the like are the business
//! of whoever makes regular expressions. Circles are errors, as in fail2ban.

use std::collections::BTreeMap;

use super::config::{Config, Variables, bounded};
use super::ini::{Value, problem};
use crate::place::Problem;

/// How often one tag may be filled in within a value.
pub const TAG_MAX: u32 = 25;

/// Most replacements within a value.
pub const REPLACEMENTS_MAX: u32 = 1_000;

/// Fills in the tags of all values.
pub(super) fn fill(
    config: &Config,
    values: &BTreeMap<String, Value>,
    variables: &Variables,
) -> Result<BTreeMap<String, Value>, Problem> {
    let mut asked = Asked { config, values, variables, known: BTreeMap::new() };
    let mut filled = BTreeMap::new();
    for (name, value) in values {
        let text = asked.value(name, value)?;
        filled.insert(name.clone(), Value { text, place: value.place.clone() });
    }
    Ok(filled)
}

struct Asked<'a> {
    config: &'a Config,
    values: &'a BTreeMap<String, Value>,
    variables: &'a Variables,
    known: BTreeMap<String, Option<String>>,
}

impl Asked<'_> {
    fn value(&mut self, name: &str, value: &Value) -> Result<String, Problem> {
        let mut text = value.text.clone();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let mut total = 0;
        let mut changed = true;
        while std::mem::take(&mut changed) {
            let mut from = 0;
            while let Some((start, end)) = next(&text, from) {
                let tag = text[start + 1..end - 1].to_string();
                let count = counts.entry(tag.clone()).or_insert(0);
                if tag == name || *count > TAG_MAX {
                    let message = format!("`<{tag}>` refers to itself, within `{name}`");
                    return Err(problem(&value.place, message));
                }
                let Some(replacement) = self.tag(&tag)? else {
                    from = end;
                    continue;
                };
                *count += 1;
                total += 1;
                if total > REPLACEMENTS_MAX {
                    return Err(problem(&value.place, "too many tags to fill in"));
                }
                let occurrences = text.matches(&format!("<{tag}>")).count();
                if text.len().saturating_add(occurrences.saturating_mul(replacement.len()))
                    > 2 * super::config::VALUE_BYTES_MAX
                {
                    return Err(problem(&value.place, "tags make the value too long"));
                }
                text = text.replace(&format!("<{tag}>"), &replacement);
                bounded(&text, &value.place)?;
                from = start;
                changed = true;
            }
        }
        Ok(text)
    }

    fn tag(&mut self, tag: &str) -> Result<Option<String>, Problem> {
        if let Some(value) = self.values.get(tag) {
            return Ok(Some(value.text.clone()));
        }
        if let Some(known) = self.known.get(tag) {
            return Ok(known.clone());
        }
        let found = self.config.tagged("Definition", tag, self.variables)?;
        self.known.insert(tag.to_string(), found.clone());
        Ok(found)
    }
}

/// The next `<…>` without blanks and angles inside: where it starts and ends.
fn next(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut open = None;
    for (at, one) in text.get(from..)?.char_indices() {
        match one {
            '<' => open = Some(from + at),
            '>' => match open {
                Some(start) if from + at > start + 1 => return Some((start, from + at + 1)),
                _ => open = None,
            },
            ' ' => open = None,
            _ => {}
        }
    }
    None
}
