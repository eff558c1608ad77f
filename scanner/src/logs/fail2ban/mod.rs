//! fail2ban filters and jails, run unchanged.

pub mod date;
pub mod pattern;
mod tags;
