//! The detection of a rule: selections, conditions, fields and values.

use parsers::place::Place;
use parsers::rules::sigma::{self, Condition, Document, Logsource};
use scanner::logs::event::{Event, Form};
use scanner::logs::extract;
use serde_yaml::Value;

use super::{Subject, twice};
use crate::commands::rules::feeds::{self, Kind};
use crate::commands::rules::values::{has_literal, is_wild, regex_has_literal};

/// Most selections for which every combination is tried.
const COMBINED_MAX: usize = 12;

/// Fields of every syslog line.
const SYSLOG_FIELDS: [&str; 5] = ["message", "program", "host", "hostname", "pid"];

/// Lines of web servers that between them have every field of such lines.
const WEB_LINES: [&str; 5] = [
    "example.org 192.0.2.1 - bob [10/Oct/2000:13:55:36 -0700] \"GET /a/b.php?q=%27+or+1=1;cat+/etc/passwd HTTP/1.1\" 404 5 \"https://example.org/\" \"curl/8\"",
    "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a%252e%252e/b HTTP/1.1\" 404 5",
    "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"\\x16\\x03\\x01\" 400 5",
    "[Sun Dec 04 04:47:44 2005] [error] [client 192.0.2.1] File does not exist: /var/www/x",
    "2024/05/01 10:00:00 [error] 7#7: *1 open() \"/x\" failed, client: 192.0.2.1, server: x",
];

type Say<'a> = &'a mut dyn FnMut(Place, String);

pub(super) fn check(subject: &Subject<'_>, say: Say<'_>) {
    let Some(Value::Mapping(detection)) = subject.map.get("detection") else { return };
    for (key, value) in detection {
        let Some(name) = key.as_str().filter(|name| *name != "condition") else { continue };
        let mut walk = Walk { subject, name, say: &mut *say };
        walk.selection(value);
    }
    let parsed = sigma::parse(&std::sync::Arc::from(""), subject.outline.text.as_bytes());
    if let Some(Document::Rule(rule)) = parsed.ok().and_then(|mut found| found.pop()) {
        let names = rule.detection.selections.iter().map(|(name, _)| name.as_str()).collect();
        condition(subject, names, &rule.detection.condition, say);
        fields_known(subject, detection, say);
    }
}

/// Selections that nothing reads, and conditions that say nothing.
fn condition(subject: &Subject<'_>, names: Vec<&str>, condition: &Condition, say: Say<'_>) {
    let mut read = vec![false; names.len()];
    reads(condition, &mut read);
    for (name, _) in names.iter().zip(&read).filter(|(_, read)| !**read) {
        let place = subject.outline.at(&["detection", name]);
        say(place, format!("no condition reads the selection `{name}`"));
    }
    if names.len() > COMBINED_MAX {
        return;
    }
    let outcomes = (0..1_u32 << names.len()).map(|holds| holds_with(condition, holds));
    let (mut always, mut never) = (true, true);
    for outcome in outcomes {
        always &= outcome;
        never &= !outcome;
    }
    let place = || subject.outline.at(&["detection", "condition"]);
    if never {
        say(place(), "the condition can never hold".into());
    } else if always {
        say(place(), "the condition always holds".into());
    } else if holds_with(condition, 0) {
        let message = "the condition holds when no selection does: it matches nearly every line";
        say(place(), message.into());
    }
}

fn reads(condition: &Condition, read: &mut [bool]) {
    match condition {
        Condition::Selection(index) => read[*index] = true,
        Condition::Not(inner) => reads(inner, read),
        Condition::And(parts) | Condition::Or(parts) => {
            parts.iter().for_each(|part| reads(part, read));
        }
        Condition::AtLeast(_, of) => of.iter().for_each(|index| read[*index] = true),
    }
}

/// Whether a condition holds when those selections do whose bit is set.
fn holds_with(condition: &Condition, holds: u32) -> bool {
    let bit = |index: &usize| holds >> index & 1 == 1;
    match condition {
        Condition::Selection(index) => bit(index),
        Condition::Not(inner) => !holds_with(inner, holds),
        Condition::And(parts) => parts.iter().all(|part| holds_with(part, holds)),
        Condition::Or(parts) => parts.iter().any(|part| holds_with(part, holds)),
        Condition::AtLeast(count, of) => of.iter().filter(|index| bit(index)).count() >= *count,
    }
}

/// The fields that a rule's logs have; `None` where they may have any.
pub(super) fn fields(subject: &Subject<'_>) -> Option<&'static [&'static str]> {
    match feeds::kind(&logsource(subject)) {
        Kind::Syslog | Kind::Own(_) => Some(&extract::FIELDS),
        Kind::Web | Kind::Audit | Kind::Fields => None,
    }
}

/// Whether the logs of a list of fields have this one.
pub(super) fn has_field(fields: Option<&'static [&'static str]>, field: &str) -> bool {
    fields.is_none_or(|fields| fields.contains(&field) || SYSLOG_FIELDS.contains(&field))
}

fn logsource(subject: &Subject<'_>) -> Logsource {
    let text = |key: &str| {
        let value = subject.map.get("logsource").and_then(|source| source.get(key));
        value.and_then(Value::as_str).map(str::to_ascii_lowercase)
    };
    Logsource { product: text("product"), category: text("category"), service: text("service") }
}

fn fields_known(subject: &Subject<'_>, detection: &serde_yaml::Mapping, say: Say<'_>) {
    let logsource = logsource(subject);
    let kind = feeds::kind(&logsource);
    // Packets and queries have Sigma's own names beside those of messages.
    let any = logsource.category.is_some() && kind == Kind::Syslog;
    for (key, value) in detection {
        let Some(name) = key.as_str() else { continue };
        for (field, written) in fields_of(value, 0) {
            let has = match kind {
                Kind::Syslog | Kind::Own(_) => any || has_field(fields(subject), &field),
                Kind::Web => web_has(&field),
                Kind::Audit | Kind::Fields => true,
            };
            if !has {
                let place = subject.outline.at(&["detection", name, &written]);
                say(place, format!("no log of this source has a field `{field}`"));
            }
        }
    }
}

fn web_has(field: &str) -> bool {
    WEB_LINES.iter().any(|line| {
        let event = Event::read(line.as_bytes(), &mut Form::default());
        event.field(field).is_some()
    })
}

/// The fields of a selection, and as they are written with their modifiers.
fn fields_of(value: &Value, depth: usize) -> Vec<(String, String)> {
    match value {
        Value::Mapping(map) => {
            let keys = map.keys().filter_map(Value::as_str);
            let field = |key: &str| key.split('|').next().unwrap_or_default().to_string();
            keys.map(|key| (field(key), key.to_string())).filter(|(f, _)| !f.is_empty()).collect()
        }
        Value::Sequence(list) if depth < sigma_depth() => {
            list.iter().flat_map(|one| fields_of(one, depth + 1)).collect()
        }
        _ => Vec::new(),
    }
}

/// Deepest nesting that is looked at: the reader of rules refuses deeper.
const fn sigma_depth() -> usize {
    8
}

/// One selection and its name.
struct Walk<'a, 'b> {
    subject: &'a Subject<'a>,
    name: &'a str,
    say: &'b mut dyn FnMut(Place, String),
}

impl Walk<'_, '_> {
    fn selection(&mut self, value: &Value) {
        match value {
            Value::Mapping(map) => {
                // A regular expression beside a text costs nothing: the text picks the lines.
                let texts = map.iter().any(|(key, value)| {
                    let key = key.as_str().unwrap_or_default();
                    !key.contains("|re") && is_picked(value)
                });
                for (key, value) in map {
                    if let Some(key) = key.as_str() {
                        self.test(key, value, texts);
                    }
                }
            }
            Value::Sequence(list) if list.iter().any(|v| v.is_mapping() || v.is_sequence()) => {
                list.iter().for_each(|one| self.selection(one));
            }
            keywords => self.test("", keywords, false),
        }
    }

    fn test(&mut self, key: &str, value: &Value, picked: bool) {
        let place = || self.subject.outline.at(&["detection", self.name, key]);
        let (field, modifiers) = key.split_once('|').unwrap_or((key, ""));
        let has = |name: &str| modifiers.split('|').any(|modifier| modifier == name);
        let list: Vec<&str> = super::texts(Some(value));
        let one = if field.is_empty() { "a keyword".into() } else { format!("`{key}`") };
        for text in &list {
            if has("re") {
                let regex = regex::bytes::Regex::new(text);
                if regex.as_ref().is_ok_and(|regex| regex.is_match(b"")) {
                    (self.say)(place(), format!("{one} matches everything, the empty text too"));
                } else if regex.is_ok() && !picked && !regex_has_literal(text) {
                    let message = format!(
                        "{one} holds no text of three characters that every match has: the rule is \
                         held against each line of its source"
                    );
                    (self.say)(place(), message);
                }
            } else if is_wild(text)
                && (field.is_empty()
                    || ["contains", "startswith", "endswith"].iter().any(|m| has(m)))
            {
                (self.say)(place(), format!("{one} matches everything"));
            }
        }
        if !has("re") && !has("cased") && !modifiers.contains("base64") {
            for text in twice(&list) {
                (self.say)(place(), format!("{one} has the value `{text}` twice"));
            }
        }
        if has("all") && !matches!(value, Value::Sequence(list) if list.len() > 1) {
            (self.say)(place(), format!("{one} asks for all of a single value"));
        }
    }
}

/// Whether every value is a text by which lines are picked.
fn is_picked(value: &Value) -> bool {
    let list = super::texts(Some(value));
    !list.is_empty() && list.iter().all(|text| has_literal(text))
}
