//! Where a value was written, and what was wrong with a line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place in a file. Lines and columns count from 1, columns in bytes; 0 means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Path as seen inside the tree that was read.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    /// A line and column of a file.
    pub fn new(file: &Arc<str>, line: u32, column: u32) -> Self {
        Self { file: Arc::clone(file), line, column }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(out, "{}", self.file),
            (line, 0) => write!(out, "{}:{line}", self.file),
            (line, column) => write!(out, "{}:{line}:{column}", self.file),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The whole line as written, without its line end; may hold a secret, redact before showing.
    #[serde(skip)]
    pub text: String,
}

/// A line that the grammar does not accept. The file's author is at fault; the rest was still read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong, lower case, no full stop.
    pub message: String,
}
