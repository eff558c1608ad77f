//! Sigma rules and correlations: the YAML form to typed rules.
//!
//! Follows the Sigma specification 2.1 (detection, conditions, modifiers, correlations). What is not
//! known here is an error that names file and line: a modifier that is ignored would make a rule
//! match something else than its author meant. Matching a value is [`Matcher::accepts`]; which events
//! a rule is shown, and when it fires, is the scanner's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use crate::place::{Place, Problem};

mod collection;
mod condition;
mod correlation;
mod detection;
mod expression;
mod modifiers;
mod moment;
mod pattern;
mod source;
mod stored;
mod values;

pub use collection::{Collection, EXPRESSIONS_COST_MAX, Filter};
pub use condition::Condition;
pub use correlation::{Compare, Correlation, CorrelationKind, Threshold};
pub use detection::{Detection, Selection};
pub use expression::Expression;
pub use modifiers::{Placeholders, VALUES_MAX};
pub use moment::Part as TimePart;
pub use pattern::{Around, Matcher, Pattern};
use source::Source;
pub use values::Test;

/// Most bytes of one rule file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Most documents of one rule file.
pub const DOCUMENTS_MAX: usize = 1000;

/// What one document holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Document {
    /// A rule over single events.
    Rule(Box<Rule>),
    /// A rule over the hits of other rules.
    Correlation(Box<Correlation>),
    /// What is taken from other rules' matches.
    Filter(Box<Filter>),
}

/// What rules and correlations have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logsource {
    /// `linux`, `apache` …
    pub product: Option<String>,
    /// `webserver`, `process_creation` …
    pub category: Option<String>,
    /// `sshd`, `auditd` …
    pub service: Option<String>,
}

/// A rule over single events.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    parse_with(file, bytes, &Placeholders::new())
}

/// [`parse`] with values for the placeholders of `expand`; one without a value is an error.
pub fn parse_with(
    file: &Arc<str>,
    bytes: &[u8],
    placeholders: &Placeholders,
) -> Result<Vec<Document>, Problem> {
    let source = Source::new(file, bytes)?;
    let mut documents = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(source.text).enumerate() {
        if index == DOCUMENTS_MAX {
            return Err(source.whole(format!("more than {DOCUMENTS_MAX} documents")));
        }
        let value = Value::deserialize(document).map_err(|error| source.yaml(&error))?;
        match value {
            Value::Null => {}
            Value::Mapping(map) => {
                documents.push(one(&source.document(index), &map, placeholders)?)
            }
            _ => return Err(source.document(index).whole("a rule is a map of keys")),
        }
    }
    if documents.is_empty() {
        return Err(source.whole("no rule in it"));
    }
    Ok(documents)
}

fn one(
    source: &Source<'_>,
    map: &Mapping,
    placeholders: &Placeholders,
) -> Result<Document, Problem> {
    if map.contains_key("action") {
        let message =
            "`action` was removed from Sigma: write each rule out as a document of its own";
        return Err(source.at("action", message));
    }
    let header = header(source, map)?;
    if let Some(body) = map.get("correlation") {
        let correlation = correlation::parse(source, header, body, map)?;
        return Ok(Document::Correlation(Box::new(correlation)));
    }
    let logsource = logsource(source, map)?;
    if let Some(body) = map.get("filter") {
        let filter = collection::filter(source, header, logsource, body, placeholders)?;
        return Ok(Document::Filter(Box::new(filter)));
    }
    let Some(Value::Mapping(body)) = map.get("detection") else {
        return Err(source.at("detection", "a rule needs a map `detection`"));
    };
    let detection = detection::parse(source, body, &[], placeholders)?;
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

#[cfg(test)]
mod tests;
