//! The text of a rule file, to name the place of what is wrong: the YAML reader keeps no places.

use std::sync::Arc;

use super::FILE_BYTES_MAX;
use crate::config::yaml;
use crate::place::{Place, Problem};

/// A rule file's text, to find the line of a key again: the YAML reader keeps no places.
pub(super) struct Source<'a> {
    file: &'a Arc<str>,
    pub(super) text: &'a str,
    /// Lines before `text`.
    before: u32,
    /// For each document: where it begins, in bytes and lines.
    starts: Vec<(usize, u32)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Arc<str>, bytes: &'a [u8]) -> Result<Self, Problem> {
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
        Ok(Self { file, text, before: 0, starts: starts(text) })
    }

    /// The part of the text that holds document `index`.
    pub(super) fn document(&self, index: usize) -> Self {
        let (offset, before) = self.starts.get(index).copied().unwrap_or_default();
        let end = self.starts.get(index + 1).map_or(self.text.len(), |(end, _)| *end);
        Self { file: self.file, text: &self.text[offset..end], before, starts: Vec::new() }
    }

    pub(super) fn place(&self, line: u32) -> Place {
        Place::new(self.file, self.before + line, 1)
    }

    /// The line on which a key is first written, or the document's first.
    pub(super) fn at(&self, key: &str, message: impl Into<String>) -> Problem {
        self.at_nth(key, 0, message)
    }

    /// The line on which a key is written after `before` others of it.
    pub(super) fn at_nth(&self, key: &str, before: usize, message: impl Into<String>) -> Problem {
        let is_key = |line: &&str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start();
            let line = line.trim_start_matches(['\'', '"']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['\'', '"']).starts_with(':'))
        };
        let found = self.text.lines().enumerate().filter(|(_, line)| is_key(line)).nth(before);
        let Some((index, line)) = found else {
            return match before {
                0 => self.whole(message),
                _ => self.at_nth(key, 0, message),
            };
        };
        let number = self.before + u32::try_from(index).unwrap_or(u32::MAX - 1) + 1;
        let column = line.len() - line.trim_start().len() + 1;
        let place = Place::new(self.file, number, u32::try_from(column).unwrap_or(u32::MAX));
        Problem { place, message: message.into() }
    }

    pub(super) fn whole(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.place(1), message: message.into() }
    }

    pub(super) fn yaml(&self, error: &serde_yaml::Error) -> Problem {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let place = match error.location() {
            Some(at) => Place::new(self.file, number(at.line()), number(at.column())),
            None => self.place(1),
        };
        Problem { place, message: "not the YAML of a rule: the reader stopped here".into() }
    }
}

/// Where documents begin: at `---`, the first also where there is none before it.
fn starts(text: &str) -> Vec<(usize, u32)> {
    let mut starts = Vec::new();
    let (mut offset, mut lines, mut content) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == "---" || line.starts_with("--- ") {
            if content && starts.is_empty() {
                starts.push((0, 0));
            }
            starts.push((offset, lines));
            content = true;
        } else {
            content |= !bare.is_empty() && !line.starts_with(['#', '%']);
        }
        offset += line.len();
        lines += 1;
    }
    if starts.is_empty() {
        starts.push((0, 0));
    }
    starts
}
