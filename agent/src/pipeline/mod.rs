//! From a host to findings, one file a step, in the order in which data goes through them:
//! `ask` (helper programs; `tables`, whether the firewall may be asked; `dumped`, what one wrote down) → `look` (vantage, services, checks, logs) → `advise` (what to do about what
//! logs show) → `known` (what else is known of the host) → `surround` (context) → `judge` (the panel, and
//! experts from outside) → `accept` (what the operator has accepted) → `keep` (for `explain` and
//! `replay`) → [`crate::report`]. `examine` runs all but `keep`. What the service sees in logs goes through
//! the stages of [`case`] instead of the bare panel.

pub mod accept;
pub mod advise;
pub mod ask;
pub mod case;
pub mod dumped;
pub mod examine;
pub mod judge;
pub mod keep;
pub mod known;
pub mod look;
pub mod surround;
pub mod tables;
