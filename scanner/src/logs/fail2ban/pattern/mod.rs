//! Regular expressions of Python's `re`, as filters of fail2ban write them.
//!
//! A pattern is read into a tree (`syntax`, `escape`), `facts` are drawn from it, `program` makes instructions,
//! `machine` runs them. Why not the `regex` crate: a tenth of the filters need look-around, conditions
//! or back references, `\s`, `\w` and `$` differ, and compiling its automata for all filters costs more
//! than a sweep of a small log may; here a pattern compiles in microseconds and a line is answered by
//! trying, as in Python. The price is a bound: a search that takes too many steps is undecided, and its
//! caller has to say so.

mod class;
mod escape;
mod facts;
mod machine;
mod possible;
mod program;
mod syntax;

pub use facts::Bytes;
pub use machine::{Machine, STEPS_MAX};
pub use syntax::{DEPTH_MAX, GROUPS_MAX, PATTERN_BYTES_MAX, PatternError};

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use machine::Outcome;
use possible::Automaton;
use program::{Program, compile};

use crate::logs::shape::{Masked, Piece};

/// A compiled pattern, and the automaton that is made when it is first asked about a shape.
#[derive(Debug)]
pub struct Pattern(Program, OnceLock<Option<Automaton>>);

/// A search ran into the bound of the machine: nobody knows whether the pattern matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern took too many steps")]
pub struct Undecided;

/// Whether `^` and `$` match at every line of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lines {
    /// At the text's ends only.
    One,
    /// At every line (Python's MULTILINE).
    Many,
}

impl Pattern {
    /// Compiles a pattern, or says what is wrong with it and where.
    pub fn new(pattern: &str, lines: Lines) -> Result<Self, PatternError> {
        Ok(Self(compile(pattern, lines == Lines::Many)?, OnceLock::new()))
    }

    /// Searches a text; if it matches, the machine knows the groups.
    pub fn search(&self, text: &str, machine: &mut Machine) -> Result<bool, Undecided> {
        match machine.search(&self.0, text) {
            Outcome::Found(_) => Ok(true),
            Outcome::None => Ok(false),
            Outcome::Undecided => Err(Undecided),
        }
    }

    /// Whether it may match in some line of a shape, of which these are the pieces that it is shown, and
    /// a line feed. Never a wrong no.
    pub(in crate::logs) fn may_match(&self, text: &[Piece]) -> bool {
        let automaton = self.1.get_or_init(|| Automaton::new(&self.0));
        automaton.as_ref().is_none_or(|automaton| automaton.may_match(&self.0, text))
    }

    /// Whether it may match some line (with its line feed) that differs from this one only in the digits
    /// of its numbers: never a wrong no.
    pub fn may_match_like(&self, line: &[u8]) -> bool {
        Masked::of(line).is_none_or(|shape| self.may_match(shape.pieces()))
    }

    /// Where a group of the last match lies; 0 is the whole.
    pub fn group(&self, machine: &Machine, group: usize) -> Option<(usize, usize)> {
        let (start, end) = (*machine.slots.get(group * 2)?, *machine.slots.get(group * 2 + 1)?);
        (group * 2 + 1 < self.0.names.len() * 2 && start <= end && end != usize::MAX)
            .then_some((start, end))
    }

    /// Named groups and their numbers.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        let names = self.0.names.iter().enumerate();
        names.filter_map(|(number, name)| Some((name.as_deref()?, number)))
    }

    /// Texts of which every match contains one; they survive a date being cut out of the line.
    pub fn needles(&self) -> Option<&[String]> {
        self.0.needles.as_deref()
    }

    /// Whether a match can only begin at the start of the text.
    pub fn anchored(&self) -> bool {
        self.0.anchored
    }

    /// The bytes with which a match may begin.
    pub fn first(&self) -> Bytes {
        self.0.first
    }

    /// Whether an automaton could run it: no look-around, condition, back reference, atomic group.
    pub fn is_regular(&self) -> bool {
        self.0.regular
    }
}

#[cfg(test)]
mod tests;
