//! From a host to findings, one file a step, in the order in which data goes through them:
//! `ask` (helper programs) → `look` (vantage, services, checks, logs) → `surround` (context) →
//! `judge` (the panel) → `accept` (what the operator has accepted) → [`crate::report`].

pub mod accept;
pub mod ask;
pub mod judge;
pub mod look;
pub mod surround;
