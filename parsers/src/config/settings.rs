//! Settings with their history: what holds for a key, where it was written, what it overrode, by which rule.
//!
//! The grammars of daemons that read several files (includes, drop-ins, later lines) give their result
//! in this form, so that reports and `wardmote parse --effective` need not know each daemon's order.
//! Values may hold secrets: redact before showing. The number of settings is bounded by [`SETTINGS_MAX`],
//! what one key remembers of overridden values by [`OVERRIDES_MAX`]; the rest is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::problems::Problems;
use crate::place::Placed;
use crate::tree::LookError;

/// Most values that one configuration may set, those that were overridden included.
pub const SETTINGS_MAX: usize = 200_000;

/// Most overridden values of one key that are remembered, as of sysctl's; the oldest go first.
pub const OVERRIDES_MAX: usize = 64;

/// Why one value does not hold beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The first value that was read holds.
    FirstWins,
    /// The last value that was read holds.
    LastWins,
    /// An empty value emptied the list so far.
    EmptyResets,
    /// A file of the same name in a directory of higher priority replaces the whole file.
    FileMasked,
    /// A block that names whom it is for comes before what stands outside of it.
    MoreSpecific,
    /// A source that is read apart (a command line, settings made by the daemon itself) comes first.
    SourceFirst,
    /// The inner block has values of its own and takes none from outside.
    NotInherited,
}

/// A value that was written and does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overridden {
    /// The value and where it was written.
    #[serde(flatten)]
    pub value: Placed<String>,
    /// Why it does not hold.
    pub rule: Rule,
}

/// What holds for one key.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Setting {
    /// One value, or all values of a key that adds up, in order; empty when only resets are left.
    pub values: Vec<Placed<String>>,
    /// What was written and does not hold, in the order of reading: the last [`OVERRIDES_MAX`].
    pub overrides: Vec<Overridden>,
    /// How many overridden values before those are not remembered.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Setting {
    /// The only or the last value.
    pub fn value(&self) -> Option<&str> {
        self.values.last().map(|value| value.value.as_str())
    }

    /// Replaces what held so far.
    pub fn replace(&mut self, value: Placed<String>, rule: Rule) {
        self.reset(rule);
        self.values.push(value);
    }

    /// Nothing holds any more.
    pub fn reset(&mut self, rule: Rule) {
        for value in std::mem::take(&mut self.values) {
            self.lose(Overridden { value, rule });
        }
    }

    /// Remembers a value that does not hold; past [`OVERRIDES_MAX`] the oldest is only counted.
    pub fn lose(&mut self, lost: Overridden) {
        if self.overrides.len() >= OVERRIDES_MAX {
            self.overrides.remove(0);
            self.left_out += 1;
        }
        self.overrides.push(lost);
    }

    /// `{"value":…,"file":…,"line":…,"column":…,"overrides":[{"file","line","column","value","rule"}]}`;
    /// a list is the value of a key with several. `left_out` counts overridden values that are not listed.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let value = match &self.values[..] {
            [one] => json!(one.value),
            many => many.iter().map(|value| json!(value.value)).collect(),
        };
        out.insert("value".into(), value);
        if let Some(first) = self.values.first() {
            out.insert("file".into(), json!(&*first.place.file));
            out.insert("line".into(), json!(first.place.line));
            out.insert("column".into(), json!(first.place.column));
        }
        out.insert("overrides".into(), json!(self.overrides));
        if self.left_out > 0 {
            out.insert("left_out".into(), json!(self.left_out));
        }
        Value::Object(out)
    }
}

/// The settings of one configuration, whatever number of files it has.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// By key. Sections are part of the key where the format has them (`Service.ExecStart`).
    pub by_key: BTreeMap<String, Setting>,
    /// Files that were read, in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Lines that the grammar does not accept.
    pub problems: Problems,
    /// What could not be read: the result is then a guess.
    pub unread: Vec<LookError>,
    written: usize,
}

impl Settings {
    /// What holds for a key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.by_key.get(key)
    }

    /// The only or the last value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Setting::value)
    }

    /// The last value wins.
    pub fn set(&mut self, key: &str, value: Placed<String>) {
        if self.has_room(&value) {
            self.entry(key).replace(value, Rule::LastWins);
        }
    }

    /// The first value wins.
    pub fn set_once(&mut self, key: &str, value: Placed<String>) {
        if !self.has_room(&value) {
            return;
        }
        let setting = self.entry(key);
        match setting.values.is_empty() {
            true => setting.values.push(value),
            false => setting.lose(Overridden { value, rule: Rule::FirstWins }),
        }
    }

    /// Values add up.
    pub fn add(&mut self, key: &str, value: Placed<String>) {
        if self.has_room(&value) {
            self.entry(key).values.push(value);
        }
    }

    /// An empty value empties a list.
    pub fn reset(&mut self, key: &str) {
        self.entry(key).reset(Rule::EmptyResets);
    }

    /// What is known of a key, to change it by a rule of the daemon's own. Count what is added with
    /// [`Settings::has_room`].
    pub fn entry(&mut self, key: &str) -> &mut Setting {
        self.by_key.entry(key.to_string()).or_default()
    }

    /// Counts a value that is to be kept; past the limit it becomes a problem instead.
    pub fn has_room(&mut self, value: &Placed<String>) -> bool {
        self.written += 1;
        let room = self.written <= SETTINGS_MAX;
        if !room {
            self.problems.push(
                value.place.clone(),
                format!("more than {SETTINGS_MAX} settings; this one is not kept"),
            );
        }
        room
    }

    /// `{"settings":{KEY:…},"files":[…]}`, values as [`Setting::to_json`] shows them.
    pub fn to_json(&self) -> Value {
        let settings: Map<String, Value> =
            self.by_key.iter().map(|(key, setting)| (key.clone(), setting.to_json())).collect();
        json!({ "settings": settings, "files": self.files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    fn at(value: &str, line: u32) -> Placed<String> {
        let place = Place::new(&"/etc/x".into(), line, 1);
        Placed { value: value.into(), place, text: String::new() }
    }

    #[test]
    fn what_lost_is_kept_with_the_rule_by_which_it_lost() {
        let mut settings = Settings::default();
        settings.set("a", at("1", 1));
        settings.set("a", at("2", 2));
        settings.set_once("b", at("3", 3));
        settings.set_once("b", at("4", 4));
        settings.add("c", at("5", 5));
        settings.add("c", at("6", 6));
        settings.reset("c");
        settings.add("c", at("7", 7));
        let shown = settings.to_json();
        assert_eq!(shown["settings"]["a"]["value"], "2");
        assert_eq!(shown["settings"]["a"]["line"], 2);
        assert_eq!(
            shown["settings"]["a"]["overrides"],
            json!([{"file": "/etc/x", "line": 1, "column": 1, "value": "1", "rule": "last_wins"}])
        );
        assert_eq!(shown["settings"]["b"]["overrides"][0]["rule"], "first_wins");
        assert_eq!(settings.value("b"), Some("3"));
        assert_eq!(shown["settings"]["c"]["value"], "7");
        assert_eq!(shown["settings"]["c"]["overrides"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_key_remembers_the_last_overridden_values_and_counts_the_others() {
        let mut settings = Settings::default();
        for line in 0..=OVERRIDES_MAX {
            settings.set("k", at("v", u32::try_from(line).unwrap()));
        }
        let setting = settings.get("k").unwrap();
        assert_eq!((setting.overrides.len(), setting.left_out), (OVERRIDES_MAX, 0));
        assert!(setting.to_json().get("left_out").is_none());
        settings.set("k", at("v", 1_000));
        let setting = settings.get("k").unwrap();
        assert_eq!((setting.overrides.len(), setting.left_out), (OVERRIDES_MAX, 1));
        assert_eq!(setting.overrides[0].value.place.line, 1);
        assert_eq!(settings.to_json()["settings"]["k"]["left_out"], 1);
        for line in 0..=OVERRIDES_MAX + 1 {
            settings.set_once("first", at("v", u32::try_from(line).unwrap()));
        }
        let first = settings.get("first").unwrap();
        assert_eq!((first.values[0].place.line, first.left_out), (0, 1));
    }

    #[test]
    fn the_number_of_values_is_bounded_and_what_is_left_out_is_told() {
        let mut settings = Settings::default();
        for line in 0..=SETTINGS_MAX {
            settings.add("k", at("v", u32::try_from(line).unwrap_or(0)));
        }
        assert_eq!(settings.get("k").map(|setting| setting.values.len()), Some(SETTINGS_MAX));
        assert_eq!(settings.problems.len(), 1);
    }
}
