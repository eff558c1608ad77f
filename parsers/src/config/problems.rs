//! A bounded list of problems: a hostile file of a million bad lines does not become a million strings.
//!
//! The first [`PROBLEMS_MAX`] are kept with their places; the rest are counted, and the count is told.

use std::sync::Arc;

use serde::Serialize;

use crate::place::{Place, Problem};
use crate::tree::{LookError, Why};

/// Most problems of one configuration that are kept.
pub const PROBLEMS_MAX: usize = 200;

/// Most things of one configuration that could not be read and are listed.
pub const UNREAD_MAX: usize = 1_000;

/// Lists what could not be read; the same thing twice in a row is listed once, and past the limit one
/// entry tells that there is more.
pub fn note_unread(unread: &mut Vec<LookError>, error: LookError) {
    if unread.last() == Some(&error) || unread.len() > UNREAD_MAX {
        return;
    }
    let is_full = unread.len() == UNREAD_MAX;
    unread.push(if is_full { LookError { why: Why::TooMany(UNREAD_MAX), ..error } } else { error });
}

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
    fn what_could_not_be_read_is_listed_up_to_the_limit() {
        let mut unread = Vec::new();
        for number in 0..UNREAD_MAX + 5 {
            let error = LookError::new(format!("/{number}").as_ref(), Why::Denied);
            note_unread(&mut unread, error.clone());
            note_unread(&mut unread, error);
        }
        assert_eq!(unread.len(), UNREAD_MAX + 1);
        assert_eq!(unread[UNREAD_MAX - 1].why, Why::Denied);
        assert_eq!(unread[UNREAD_MAX].why, Why::TooMany(UNREAD_MAX));
    }

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
