//! The lines of a file (`ReadConfigFile` of `configuration.cc`).

use std::sync::Arc;

use super::{AptConf, DEPTH_MAX, INCLUDES_MAX, words};
use crate::config::document::dropin::Reader;
use crate::config::lines::numbered;
use crate::place::{Place, Placed};

/// What a block or a value of several lines carries from one line to the next.
struct State<'a> {
    file: &'a Arc<str>,
    line: u32,
    /// The statement so far, and where it began.
    buffer: String,
    began: Place,
    parent: String,
    stack: Vec<String>,
}

type Fault = &'static str;

/// Reads a text; without a reader nothing is included. The first fault ends it.
pub(super) fn text(
    all: &mut AptConf,
    mut reader: Option<&mut Reader<'_>>,
    file: &Arc<str>,
    bytes: &[u8],
    depth: usize,
) {
    let began = Place::new(file, 1, 1);
    let (buffer, parent, stack) = (String::new(), String::new(), Vec::new());
    let mut state = State { file, line: 0, buffer, began, parent, stack };
    let mut in_comment = false;
    for line in numbered(bytes) {
        state.line = line.number;
        let whole = line.text();
        if whole.contains('\0') {
            return all.outcome.problems.push(line.place(file, 0), "the line holds a NUL byte");
        }
        let fragment = fragment(&whole, &mut in_comment);
        if fragment.trim_ascii().is_empty() {
            continue;
        }
        if let Err(message) = statements(all, &mut reader, &mut state, &fragment, depth) {
            let column = u32::try_from(whole.len() - whole.trim_ascii_start().len() + 1);
            let place = Place::new(file, line.number, column.unwrap_or(1));
            return all.outcome.problems.push(place, message);
        }
    }
    if !state.buffer.is_empty() {
        all.outcome.problems.push(state.began, "text that no `;` ends");
    }
}

/// A line without its comments, of the same length: they become blanks, so that columns hold. Comments of
/// several lines go on in the next.
fn fragment(line: &str, in_comment: &mut bool) -> String {
    let bytes = line.as_bytes();
    let mut start = 0;
    if *in_comment {
        match line.find("*/") {
            Some(at) => start = at + 2,
            None => return String::new(),
        }
        *in_comment = false;
    }
    let end = line_comment(line, start);
    let mut kept = " ".repeat(start).into_bytes();
    let (mut at, mut in_quote) = (start, false);
    while at < end {
        in_quote ^= bytes[at] == b'"';
        if !in_quote && bytes[at..end].starts_with(b"/*") {
            match line[at + 2..end].find("*/") {
                Some(length) => {
                    kept.extend(std::iter::repeat_n(b'\x01', length + 4));
                    at += length + 4;
                    continue;
                }
                None => {
                    *in_comment = true;
                    break;
                }
            }
        }
        kept.push(bytes[at]);
        at += 1;
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Where `//` or `#` begins outside of quotes. Two directives begin with `#` too.
fn line_comment(line: &str, start: usize) -> usize {
    let mut in_quote = false;
    for (at, byte) in line.bytes().enumerate().skip(start) {
        in_quote ^= byte == b'"';
        let rest = &line.as_bytes()[at..];
        let is_directive = rest.starts_with(b"#clear") || rest.starts_with(b"#include");
        if !in_quote && (rest.starts_with(b"//") || (byte == b'#' && !is_directive)) {
            return at;
        }
    }
    line.len()
}

fn statements(
    all: &mut AptConf,
    reader: &mut Option<&mut Reader<'_>>,
    state: &mut State<'_>,
    fragment: &str,
    depth: usize,
) -> Result<(), Fault> {
    let (mut start, mut in_quote) = (0, false);
    for (at, byte) in fragment.bytes().enumerate() {
        in_quote ^= byte == b'"';
        if in_quote || !matches!(byte, b'{' | b';' | b'}') {
            continue;
        }
        state.append(&fragment[start..at], start);
        start = at + 1;
        if state.buffer.is_empty() {
            match byte {
                b'{' => return Err("a block without a name"),
                b'}' => state.parent = state.stack.pop().unwrap_or_default(),
                _ => {}
            }
            continue;
        }
        let statement = std::mem::take(&mut state.buffer);
        state.statement(all, reader, &statement, byte, depth)?;
        if byte == b'}' {
            state.parent = state.stack.pop().unwrap_or_default();
        }
    }
    state.append(&fragment[start..], start);
    Ok(())
}

impl State<'_> {
    /// Adds a part of a line to the statement, a blank between parts. Tabs are eight blanks to apt, and
    /// comments inside of a line are nothing.
    fn append(&mut self, part: &str, offset: usize) {
        let first = part.len()
            - part.trim_start_matches(|c: char| c == '\x01' || c.is_ascii_whitespace()).len();
        let text = part.replace('\x01', "").replace('\t', "        ");
        let text = text.trim_ascii();
        if text.is_empty() {
            return;
        }
        if self.buffer.is_empty() {
            let column = u32::try_from(offset + first + 1).unwrap_or(u32::MAX);
            self.began = Place::new(self.file, self.line, column);
        } else {
            self.buffer.push(' ');
        }
        self.buffer.push_str(text);
    }

    fn statement(
        &mut self,
        all: &mut AptConf,
        reader: &mut Option<&mut Reader<'_>>,
        text: &str,
        end: u8,
        depth: usize,
    ) -> Result<(), Fault> {
        let (mut tag, rest) = words::quoted(text).ok_or("a name whose quotes do not close")?;
        let word = match words::concatenated(rest) {
            Some(word) => Some(word),
            None => match words::quoted(rest) {
                Some((_, behind)) if !behind.is_empty() => return Err("text behind the value"),
                Some((word, _)) => Some(word),
                None if !rest.is_empty() => return Err("text behind the value"),
                None => None,
            },
        };
        let word = match (word, end) {
            (None, b'{') => None,
            // A value alone belongs to the list of the block.
            (None, _) => Some(std::mem::take(&mut tag)),
            (word, _) => word,
        };
        if end == b'{' {
            if self.stack.len() == DEPTH_MAX {
                return Err("blocks are nested too deeply");
            }
            self.stack.push(self.parent.clone());
            let is_top = self.parent.is_empty();
            self.parent = if is_top { tag.clone() } else { format!("{}::{tag}", self.parent) };
            if self.parent.len() > super::NAME_BYTES_MAX {
                return Err("the name is too long");
            }
            tag.clear();
        }
        let item = match (self.parent.is_empty(), end == b'{' && tag.is_empty()) {
            (true, _) => tag.clone(),
            (false, true) => self.parent.clone(),
            (false, false) => format!("{}::{tag}", self.parent),
        };
        if let Some(directive) = tag.strip_prefix('#') {
            if !self.parent.is_empty() {
                return Err("directives stand outside of blocks");
            }
            return self.directive(all, reader, directive, &word.unwrap_or_default(), depth);
        }
        match word {
            Some(word) if tag.is_empty() && word == "#clear" => Err("#clear takes a name"),
            Some(value) => {
                let place = self.began.clone();
                all.set(&item, Placed { value, place, text: String::new() });
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn directive(
        &self,
        all: &mut AptConf,
        reader: &mut Option<&mut Reader<'_>>,
        name: &str,
        word: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        match (name, reader) {
            ("clear", _) => all.clear(word),
            ("include", _) if depth >= INCLUDES_MAX => {
                return Err("includes are nested too deeply");
            }
            ("include", None) => {}
            ("include", Some(reader)) => {
                let path = std::path::Path::new("/").join(word);
                let path = path.to_string_lossy();
                if word.len() > 2 && word.ends_with('/') {
                    all.directory(reader, &path, depth + 1);
                } else {
                    all.file(reader, &path, depth + 1);
                }
            }
            _ => return Err("no such directive"),
        }
        Ok(())
    }
}
