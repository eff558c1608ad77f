//! Sigma rules and correlations: the YAML form to typed rules.
//!
//! Follows the Sigma specification 2.1 (detection, conditions, modifiers, correlations). What is not
//! known here is an error that names file and line: a modifier that is ignored would make a rule
//! match something else than its author meant. Matching a value is [`Matcher::accepts`]; which events
//! a rule is shown, and when it fires, is the scanner's.

use std::sync::Arc;

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use crate::config::yaml;
use crate::place::{Place, Problem};

mod condition;
mod correlation;
mod detection;
mod pattern;

pub use condition::Condition;
pub use correlation::{Compare, Correlation, CorrelationKind, Threshold};
pub use detection::{Detection, Selection, Test};
pub use pattern::{Around, Matcher, Pattern};

/// Most bytes of one rule file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Most documents of one rule file.
pub const DOCUMENTS_MAX: usize = 1000;

/// What one document holds.
#[derive(Clone, Debug)]
pub enum Document {
    /// A rule over single events.
    Rule(Box<Rule>),
    /// A rule over the hits of other rules.
    Correlation(Box<Correlation>),
}

/// What rules and correlations have in common.
#[derive(Clone, Debug)]
pub struct Header {
    /// UUID, or empty.
    pub id: String,
    /// Name by which correlations may refer to it.
    pub name: Option<String>,
    /// One line for people.
    pub title: String,
    /// What it sees and why it matters.
    pub description: String,
    /// `informational` to `critical`; `medium` when the author says nothing.
    pub level: Level,
    /// `attack.t1110` …
    pub tags: Vec<String>,
    /// When it is right although nothing is wrong.
    pub falsepositives: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// Where it is written.
    pub place: Place,
}

/// A rule's level, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// Which logs a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logsource {
    /// `linux`, `apache` …
    pub product: Option<String>,
    /// `webserver`, `process_creation` …
    pub category: Option<String>,
    /// `sshd`, `auditd` …
    pub service: Option<String>,
}

/// A rule over single events.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its names and words.
    pub header: Header,
    /// Which logs it is about.
    pub logsource: Logsource,
    /// What it looks for.
    pub detection: Detection,
}

impl Header {
    /// The id under which results show it: its name, else its UUID, else its title.
    pub fn key(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None if !self.id.is_empty() => &self.id,
            None => &self.title,
        }
    }

    /// Whether a correlation's reference means this rule.
    pub fn is_called(&self, reference: &str) -> bool {
        self.name.as_deref() == Some(reference) || (!self.id.is_empty() && self.id == reference)
    }
}

/// Reads every document of one rule file; the first thing wrong in it is the error.
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> Result<Vec<Document>, Problem> {
    let source = Source::new(file, bytes)?;
    let mut documents = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(source.text).enumerate() {
        if index == DOCUMENTS_MAX {
            return Err(source.whole(format!("more than {DOCUMENTS_MAX} documents")));
        }
        let value = Value::deserialize(document).map_err(|error| source.yaml(&error))?;
        match value {
            Value::Null => {}
            Value::Mapping(map) => documents.push(one(&source.document(index), &map)?),
            _ => return Err(source.document(index).whole("a rule is a map of keys")),
        }
    }
    if documents.is_empty() {
        return Err(source.whole("no rule in it"));
    }
    Ok(documents)
}

fn one(source: &Source<'_>, map: &Mapping) -> Result<Document, Problem> {
    let header = header(source, map)?;
    if let Some(body) = map.get("correlation") {
        let correlation = correlation::parse(source, header, body, map)?;
        return Ok(Document::Correlation(Box::new(correlation)));
    }
    for unsupported in ["action", "filter"] {
        if map.contains_key(unsupported) {
            let message = format!("documents with `{unsupported}` are not supported");
            return Err(source.at(unsupported, message));
        }
    }
    let Some(Value::Mapping(body)) = map.get("detection") else {
        return Err(source.at("detection", "a rule needs a map `detection`"));
    };
    let detection = detection::parse(source, body)?;
    let logsource = logsource(source, map)?;
    Ok(Document::Rule(Box::new(Rule { header, logsource, detection })))
}

fn header(source: &Source<'_>, map: &Mapping) -> Result<Header, Problem> {
    let text = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(source.at(key, format!("`{key}` is a text"))),
    };
    let Some(title) = text("title")? else {
        return Err(source.whole("a rule needs a `title`"));
    };
    let level = match text("level")?.as_deref() {
        Some("informational" | "info") => Level::Informational,
        Some("low") => Level::Low,
        None | Some("medium") => Level::Medium,
        Some("high") => Level::High,
        Some("critical") => Level::Critical,
        Some(_) => {
            let message = "unknown level: use informational, low, medium, high or critical";
            return Err(source.at("level", message));
        }
    };
    Ok(Header {
        id: text("id")?.unwrap_or_default(),
        name: text("name")?,
        title,
        description: text("description")?.unwrap_or_default(),
        level,
        tags: texts(map.get("tags")),
        falsepositives: texts(map.get("falsepositives")),
        author: text("author")?.unwrap_or_default(),
        place: source.place(1),
    })
}

fn logsource(source: &Source<'_>, map: &Mapping) -> Result<Logsource, Problem> {
    let Some(Value::Mapping(body)) = map.get("logsource") else {
        return Err(source.at("logsource", "a rule needs a map `logsource`"));
    };
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_ascii_lowercase);
    let logsource = Logsource {
        product: text("product"),
        category: text("category"),
        service: text("service"),
    };
    if logsource == Logsource::default() {
        let message = "`logsource` names no product, category or service";
        return Err(source.at("logsource", message));
    }
    Ok(logsource)
}

/// A text, or the texts of a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Sequence(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_string).collect()
        }
        _ => Vec::new(),
    }
}

/// A rule file's text, to find the line of a key again: the YAML reader keeps no places.
struct Source<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    /// Lines before `text`.
    before: u32,
}

impl<'a> Source<'a> {
    fn new(file: &'a Arc<str>, bytes: &'a [u8]) -> Result<Self, Problem> {
        let problem = |message: String| Problem { place: Place::whole(Arc::clone(file)), message };
        if bytes.len() > FILE_BYTES_MAX {
            return Err(problem(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| problem(format!("not UTF-8 after byte {}", error.valid_up_to())))?;
        // The loader takes quadratic time on nested brackets.
        yaml::brackets(bytes).map_err(|error| Problem {
            place: Place::new(file, error.line, error.column),
            message: error.message,
        })?;
        Ok(Self { file, text, before: 0 })
    }

    /// The part of the text that holds document `index`.
    fn document(&self, index: usize) -> Self {
        let starts = |line: &str| line == "---" || line.starts_with("--- ");
        let has_front = self
            .text
            .lines()
            .find(|line| !line.trim().is_empty() && !line.starts_with(['#', '%']))
            .is_some_and(starts);
        let wanted = if has_front { index + 1 } else { index };
        let (mut seen, mut offset, mut before) = (0, 0, 0);
        for line in self.text.split_inclusive('\n') {
            seen += usize::from(starts(line.trim_end()));
            if seen >= wanted {
                break;
            }
            offset += line.len();
            before += 1;
        }
        Self { file: self.file, text: &self.text[offset..], before }
    }

    fn place(&self, line: u32) -> Place {
        Place::new(self.file, self.before + line, 1)
    }

    /// The line on which a key is first written, or the document's first.
    fn at(&self, key: &str, message: impl Into<String>) -> Problem {
        let is_key = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start();
            let line = line.trim_start_matches(['\'', '"']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['\'', '"']).starts_with(':'))
        };
        for (index, line) in self.text.lines().enumerate() {
            if is_key(line) {
                let line_number = self.before + u32::try_from(index).unwrap_or(u32::MAX - 1) + 1;
                let column = line.len() - line.trim_start().len() + 1;
                let column = u32::try_from(column).unwrap_or(u32::MAX);
                let place = Place::new(self.file, line_number, column);
                return Problem { place, message: message.into() };
            }
        }
        self.whole(message)
    }

    fn whole(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.place(1), message: message.into() }
    }

    fn yaml(&self, error: &serde_yaml::Error) -> Problem {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let place = match error.location() {
            Some(at) => Place::new(self.file, number(at.line()), number(at.column())),
            None => self.place(1),
        };
        Problem { place, message: "not the YAML of a rule: the reader stopped here".into() }
    }
}

#[cfg(test)]
mod tests;
