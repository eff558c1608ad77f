//! Templates: what a log's messages have in common, so that what is new or changed can be told.
//!
//! In order: `head` takes a line's time and program, [`tokens`] masks what varies by its [`kinds`] (or
//! `recipes` knows what was read of lines of the same `skeleton`), a [`Census`] counts the distinct masked messages of a part of a file, and [`Known`] takes censuses in
//! order and learns which words vary too. One configuration for all logs.
//!
//! Reading is pure and learning looks only at which messages there are, never at how often: so any
//! cutting of a file into parts gives the same templates, with the same counts.
//! (Ideas: Drain, He et al. 2017; Brain, Yu et al. 2023; tuple space search, Srinivasan et al. 1999.)

pub mod census;
mod counter;
mod head;
pub mod kinds;
pub mod known;
mod learn;
mod recipes;
mod skeleton;
pub mod tokens;

pub use census::{Census, Outcome};
pub use known::{Known, Template};

/// Most templates that are known at a time, in at most 16 MiB.
pub const TEMPLATES_MAX: usize = 10_000;
/// Most templates of one program: none can push out the others'.
pub const PROGRAM_TEMPLATES_MAX: usize = 1_250;
/// Most templates of one program with the same number of words.
pub const BUCKET_TEMPLATES_MAX: usize = 256;
/// Most programs that are told apart; further ones share one name.
pub const PROGRAMS_MAX: usize = 1_024;
/// Most bytes of a template's text that are kept.
pub const TEXT_BYTES_MAX: usize = 400;
/// Most bytes of a sample line that are kept with a template.
pub const SAMPLE_BYTES_MAX: usize = 240;
