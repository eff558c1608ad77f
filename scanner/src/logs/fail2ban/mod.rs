//! fail2ban filters and jails, run unchanged.

pub mod pattern;
