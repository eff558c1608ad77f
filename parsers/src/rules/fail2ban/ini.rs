//! One file of fail2ban's INI: sections, options, values over several lines.
//!
//! The grammar is that of Python's `configparser` as fail2ban uses it: `=` or `:`, names in lower case,
//! deeper indented lines go on with a value, `#` and `;` begin comments, ` ;` ends a line. Refused, as
//! there: an option twice in a section, a section twice, text that is neither.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::place::{Place, Problem};

/// Largest file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Options of a section by name.
pub(super) type Options = BTreeMap<String, Value>;

/// A value and where its option stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) place: Place,
}

/// A file: its defaults and its sections in order.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) defaults: Options,
    pub(super) sections: Vec<(String, Options)>,
}

/// Reads a file.
pub(super) fn parse(file: &Arc<str>, bytes: &[u8]) -> Result<File, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        problem(&Place::new(file, number(line), 0), "not UTF-8")
    })?;
    let mut reader = Reader { file, read: File::default(), section: None, option: None, indent: 0 };
    for (index, line) in text.split('\n').enumerate() {
        reader.line(number(index + 1), line)?;
    }
    reader.end_option();
    Ok(reader.read)
}

pub(super) fn problem(place: &Place, message: impl Into<String>) -> Problem {
    Problem { place: place.clone(), message: message.into() }
}

fn number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    file: &'a Arc<str>,
    read: File,
    /// The present section: the defaults, or one of `sections`.
    section: Option<Option<usize>>,
    option: Option<(String, Value)>,
    indent: usize,
}

impl Reader<'_> {
    fn line(&mut self, number: u32, line: &str) -> Result<(), Problem> {
        let comment = line.trim_start().starts_with(['#', ';']);
        let text = if comment { "" } else { without_comment(line).trim() };
        if text.is_empty() {
            if !comment && let Some((_, value)) = &mut self.option {
                value.text.push('\n');
            }
            return Ok(());
        }
        let indent = line.len() - line.trim_start().len();
        if indent > self.indent
            && let Some((_, value)) = &mut self.option
        {
            value.text.push('\n');
            value.text.push_str(text);
            return Ok(());
        }
        self.end_option();
        self.indent = indent;
        let place = Place::new(self.file, number, u32::try_from(indent + 1).unwrap_or(u32::MAX));
        if let Some(end) = text.rfind(']').filter(|end| text.starts_with('[') && *end > 1) {
            return self.begin_section(&text[1..end], &place);
        }
        let Some(at) = text.find(['=', ':']) else {
            return Err(problem(&place, "neither a section nor an option"));
        };
        let name = text[..at].trim().to_lowercase();
        let value = Value { text: text[at + 1..].trim().to_string(), place: place.clone() };
        let Some(section) = self.section else {
            return Err(problem(&place, "an option before the first section"));
        };
        if name.is_empty() {
            return Err(problem(&place, "an option without a name"));
        }
        let known = match section {
            None => self.read.defaults.contains_key(&name),
            Some(index) => self.read.sections[index].1.contains_key(&name),
        };
        if known {
            return Err(problem(&place, format!("option `{name}` twice in its section")));
        }
        self.option = Some((name, value));
        Ok(())
    }

    fn begin_section(&mut self, name: &str, place: &Place) -> Result<(), Problem> {
        if name == "DEFAULT" {
            self.section = Some(None);
            return Ok(());
        }
        if self.read.sections.iter().any(|(known, _)| known == name) {
            return Err(problem(place, format!("section `{name}` twice in a file")));
        }
        self.read.sections.push((name.to_string(), Options::new()));
        self.section = Some(Some(self.read.sections.len() - 1));
        Ok(())
    }

    fn end_option(&mut self) {
        let Some((name, mut value)) = self.option.take() else { return };
        value.text.truncate(value.text.trim_end().len());
        match self.section {
            Some(Some(index)) => self.read.sections[index].1.insert(name, value),
            _ => self.read.defaults.insert(name, value),
        };
    }
}

/// The line up to a `;` after white space.
fn without_comment(line: &str) -> &str {
    let mut after_space = true;
    for (at, one) in line.char_indices() {
        if one == ';' && after_space {
            return &line[..at];
        }
        after_space = one.is_whitespace();
    }
    line
}
