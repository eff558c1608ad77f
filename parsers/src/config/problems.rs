//! A bounded list of problems: a hostile file of a million bad lines does not become a million strings.
//!
//! The first [`PROBLEMS_MAX`] are kept with their places; the rest are counted, and the count is told.

use std::sync::Arc;

use serde::Serialize;

use crate::place::{Place, Problem};

/// Most problems of one configuration that are kept.
pub const PROBLEMS_MAX: usize = 200;

/// Problems found while reading one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The first ones, in the order in which they were met.
    pub kept: Vec<Problem>,
    /// How many more there were.
    pub more: usize,
}

impl Problems {
    /// Notes a problem. The message names the fault, never the value.
    pub fn push(&mut self, place: Place, message: impl Into<String>) {
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(Problem { place, message: message.into() });
        } else {
            self.more += 1;
        }
    }

    /// Notes a problem at a line and column of a file.
    pub fn at(&mut self, file: &Arc<str>, line: u32, column: u32, message: impl Into<String>) {
        self.push(Place::new(file, line, column), message);
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        self.kept.len() + self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_past_the_limit_are_counted() {
        let mut problems = Problems::default();
        for _ in 0..=PROBLEMS_MAX {
            problems.push(Place::whole("/etc/x"), "bad");
        }
        assert_eq!((problems.kept.len(), problems.more), (PROBLEMS_MAX, 1));
        assert_eq!(problems.len(), PROBLEMS_MAX + 1);
    }
}
