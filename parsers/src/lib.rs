//! Bytes in, structure out: logs, configuration formats, rule and policy formats, guarded mapping.
//!
//! Invariants: no clock, no network, no environment. Values keep where they were written
//! (`file:line:column`). Hostile input is bounded in size, depth, count and time; a malformed line
//! becomes a [`place::Problem`], never a panic, and nothing around it is lost. Files are read only
//! through [`tree::Tree`] (formats with includes) and [`map`].

pub mod config;
pub mod log;
pub mod map;
pub mod place;
pub mod rules;
mod sys;
pub mod time;
pub mod tls;
pub mod tree;
