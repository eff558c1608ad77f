//! fail2ban's filters and jails, run unchanged.
//!
//! What files say comes from `parsers::rules::fail2ban`. Here `tags` makes regular expressions of
//! `<HOST>` and its like, `pattern` runs them as Python does, [`date`] finds stamps, [`Filter`] judges a
//! line for itself, [`State`] puts lines of a connection together, [`Jails`] are the host's own jails.
//! Nothing is resolved: a name in a log stays a name. Nothing is banned: this only looks.

pub mod date;
mod expression;
mod filter;
mod jails;
pub mod pattern;
mod state;
mod tags;
mod watch;

pub use date::Moment;
pub use filter::{Filter, LINES_MAX, NEEDLES_MAX, Scratch, Seen, Sight, Stored, When};
pub use jails::{Jail, Jails, StoredJail};
pub use state::{CONNECTION_S, CONNECTIONS_MAX, Failure, State, Taken, USERS_MAX};
pub use watch::Watch;

#[cfg(test)]
mod tests;
