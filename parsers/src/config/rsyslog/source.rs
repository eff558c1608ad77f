//! A file's text as rsyslog's lexer sees it: lines that end in a backslash go on in the next one, whose
//! leading blanks do not count. Every byte still knows where it was written.

use std::sync::Arc;

use crate::config::lines::numbered;
use crate::place::Place;

/// A position in the joined text.
pub(super) struct Source {
    /// The joined text; it ends in a line end.
    pub text: String,
    /// Where parts start in the text, and the line and column that they were written at.
    parts: Vec<(usize, u32, u32)>,
    file: Arc<str>,
}

impl Source {
    pub fn new(file: &Arc<str>, bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len() + 1);
        let mut parts = Vec::new();
        let mut goes_on = false;
        for line in numbered(bytes) {
            let whole = line.text();
            let cut = if goes_on { whole.trim_start_matches([' ', '\t']) } else { &whole[..] };
            let column = u32::try_from(whole.len() - cut.len() + 1).unwrap_or(u32::MAX);
            parts.push((text.len(), line.number, column));
            goes_on = cut.ends_with('\\');
            text.push_str(cut.strip_suffix('\\').unwrap_or(cut));
            if !goes_on {
                text.push('\n');
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if parts.is_empty() {
            parts.push((0, 1, 1));
        }
        Self { text, parts, file: Arc::clone(file) }
    }

    pub fn place(&self, offset: usize) -> Place {
        let known = self.parts.partition_point(|(start, ..)| *start <= offset);
        let (start, line, column) = self.parts[known.saturating_sub(1)];
        let inside = u32::try_from(offset - start).unwrap_or(u32::MAX);
        Place::new(&self.file, line, column.saturating_add(inside))
    }
}
