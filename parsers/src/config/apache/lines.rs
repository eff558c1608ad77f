//! Logical lines of httpd: continuations joined, `${NAME}` put in, and where each byte was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LINE_BYTES_MAX;
use crate::config::lines::numbered;
use crate::config::problems::Problems;
use crate::place::Place;

/// A stretch of a line's text.
#[derive(Clone, Copy)]
struct Mark {
    /// Where it starts in the text.
    start: usize,
    line: u32,
    column: u32,
    /// Whether columns go on with the text; inside of an inserted value they do not.
    moves: bool,
}

/// A line without its blanks at both ends.
pub(super) struct Logical {
    pub text: String,
    marks: Vec<Mark>,
}

impl Logical {
    /// Where a byte of the text was written.
    pub fn place(&self, file: &Arc<str>, index: usize) -> Place {
        let known = self.marks.partition_point(|mark| mark.start <= index).max(1);
        let mark = &self.marks[known - 1];
        let moved = if mark.moves { index.saturating_sub(mark.start) } else { 0 };
        let column = mark.column.saturating_add(u32::try_from(moved).unwrap_or(u32::MAX));
        Place::new(file, mark.line, column)
    }

    /// Takes blanks off both ends.
    fn trimmed(mut self) -> Self {
        self.text.truncate(self.text.trim_end_matches(is_blank).len());
        let blanks = self.text.len() - self.text.trim_start_matches(is_blank).len();
        self.text.drain(..blanks);
        for mark in &mut self.marks {
            let cut = blanks.saturating_sub(mark.start);
            mark.column += u32::try_from(cut).unwrap_or(0);
            mark.start = mark.start.saturating_sub(blanks);
        }
        // Stretches that were nothing but blanks: the last one that starts at 0 holds.
        let first = self.marks.iter().rposition(|mark| mark.start == 0).unwrap_or(0);
        self.marks.drain(..first);
        self
    }

    /// Puts the values of variables in. Names without a value are handed to `unset`.
    pub fn resolved(
        self,
        variables: &BTreeMap<String, String>,
        mut unset: impl FnMut(usize, &str),
    ) -> Option<Self> {
        if !self.text.contains("${") {
            return Some(self);
        }
        let mut out = Self { text: String::new(), marks: Vec::new() };
        let mut from = 0;
        while let Some(at) = self.text[from..].find("${").map(|at| from + at) {
            self.copy(from, at, &mut out);
            let Some(end) = self.text[at..].find('}').map(|end| at + end) else {
                from = at;
                break;
            };
            let name = &self.text[at + 2..end];
            match variables.get(name) {
                Some(value) => {
                    let here = self.mark(at);
                    out.marks.push(Mark { start: out.text.len(), moves: false, ..here });
                    out.text.push_str(value);
                }
                None => {
                    unset(at, name);
                    self.copy(at, end + 1, &mut out);
                }
            }
            from = end + 1;
            if out.text.len() > LINE_BYTES_MAX {
                return None;
            }
        }
        self.copy(from, self.text.len(), &mut out);
        if out.marks.is_empty() {
            out.marks.push(self.mark(0));
        }
        Some(out)
    }

    fn mark(&self, index: usize) -> Mark {
        let known = self.marks.partition_point(|mark| mark.start <= index).max(1);
        let mark = self.marks[known - 1];
        let moved = if mark.moves { index.saturating_sub(mark.start) } else { 0 };
        Mark { start: index, column: mark.column + u32::try_from(moved).unwrap_or(0), ..mark }
    }

    fn copy(&self, from: usize, to: usize, out: &mut Self) {
        if from >= to {
            return;
        }
        let base = out.text.len();
        out.marks.push(Mark { start: base, ..self.mark(from) });
        let inner = self.marks.iter().filter(|mark| mark.start > from && mark.start < to);
        out.marks.extend(inner.map(|mark| Mark { start: base + mark.start - from, ..*mark }));
        out.text.push_str(&self.text[from..to]);
    }
}

/// What C's `isspace` calls a blank.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

/// The logical lines of a file; blank ones are left out. A comment too goes on after a `\`.
pub(super) fn logical(file: &Arc<str>, bytes: &[u8], problems: &mut Problems) -> Vec<Logical> {
    let mut all = Vec::new();
    let mut current = Logical { text: String::new(), marks: Vec::new() };
    let mut is_too_long = false;
    for line in numbered(bytes) {
        let ended = bytes.get(line.offset + line.bytes.len()).is_some();
        let text = line.text();
        let (text, continues) = match text.strip_suffix('\\') {
            Some(rest) if ended => (rest, true),
            _ => (&*text, false),
        };
        let start = current.text.len();
        if start + text.len() > LINE_BYTES_MAX {
            if !is_too_long {
                problems.at(file, line.number, 1, "the line is too long");
            }
            is_too_long = true;
        } else if !is_too_long {
            current.marks.push(Mark { start, line: line.number, column: 1, moves: true });
            current.text.push_str(text);
        }
        if continues {
            continue;
        }
        let done =
            std::mem::replace(&mut current, Logical { text: String::new(), marks: Vec::new() });
        if std::mem::take(&mut is_too_long) {
            continue;
        }
        let done = done.trimmed();
        if done.text.contains('\0') {
            problems.push(done.place(file, 0), "a NUL byte");
        } else if !done.text.is_empty() {
            all.push(done);
        }
    }
    let rest = current.trimmed();
    if !rest.text.is_empty() && !is_too_long {
        all.push(rest);
    }
    all
}

/// A word of a line: its text without quotes, and where it starts.
pub(super) struct Word {
    pub text: String,
    pub at: usize,
}

/// The next word from `at` (`ap_getword_conf`), and where the one after it starts. At the end of the
/// text the word is empty.
pub(super) fn word(text: &str, mut at: usize) -> (Word, usize) {
    let bytes = text.as_bytes();
    let skip = |mut at: usize| {
        while bytes.get(at).is_some_and(|byte| is_blank(char::from(*byte))) {
            at += 1;
        }
        at
    };
    at = skip(at);
    let start = at;
    let Some(first) = bytes.get(at).copied() else {
        return (Word { text: String::new(), at }, at);
    };
    let quote = matches!(first, b'"' | b'\'').then_some(first);
    let mut out = Vec::new();
    at += usize::from(quote.is_some());
    while let Some(byte) = bytes.get(at).copied() {
        let next = bytes.get(at + 1).copied();
        let is_end = match quote {
            Some(quote) => byte == quote,
            None => is_blank(char::from(byte)),
        };
        if is_end {
            break;
        }
        let is_escape =
            byte == b'\\' && (next == Some(b'\\') || (quote.is_some() && next == quote));
        if is_escape {
            out.extend(next);
            at += 2;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    if quote.is_some() && at < bytes.len() {
        at += 1;
    }
    (Word { text: String::from_utf8_lossy(&out).into_owned(), at: start }, skip(at))
}

/// All words of a text.
pub(super) fn words(text: &str, from: usize, max: usize) -> Vec<Word> {
    let mut found = Vec::new();
    let mut at = from;
    while at < text.len() && found.len() < max {
        let (word, next) = word(text, at);
        at = next;
        found.push(word);
    }
    found
}
