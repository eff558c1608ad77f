//! Where the reading of a line stands.

use std::path::Path;
use std::sync::Arc;

use crate::config::lines::Line;
use crate::place::Place;

/// A place in a line, and what the reading of its file knows.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) line: &'a Line<'a>,
    pub(super) file: &'a Arc<str>,
    pub(super) from: &'a Path,
    pub(super) depth: usize,
    pub(super) is_fine: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn place(&self) -> Place {
        self.line.place(self.file, self.at)
    }

    pub(super) fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r']).len();
    }

    /// The rest of the line without blanks and `=` before it.
    pub(super) fn take_line(&mut self) -> String {
        let rest = self.rest().trim_matches([' ', '\t', '\r']);
        self.at = self.text.len();
        rest.strip_prefix('=').unwrap_or(rest).trim_start().to_string()
    }
}
