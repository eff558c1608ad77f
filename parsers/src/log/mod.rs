//! Log lines to records: syslog, access and error logs, audit, JSON, journal export.
//!
//! Records borrow from the line wherever the bytes stand in it. A line that a grammar does not accept
//! gives `None`; the caller counts it. Nothing here looks at more than the line (or entry) it is given.

pub mod access;
pub mod audit;
pub mod journal;
pub mod json;
mod own;
pub mod syslog;
pub mod utmp;

pub use access::{AccessRecord, ErrorRecord};
pub use syslog::SyslogRecord;
