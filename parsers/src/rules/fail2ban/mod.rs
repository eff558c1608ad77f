//! fail2ban's filters and jails as they stand in `/etc/fail2ban`: the formats, not the deciding.
//!
//! `ini` reads a file, `config` merges files in fail2ban's order and fills in `%(…)s`, `tags` fills in
//! `<…>`, [`call`] reads `name[option=value]`, [`filter`] and [`jail`] give what is then compiled and
//! run elsewhere. Actions are never read: nothing here can start or block anything.

pub mod call;
pub mod config;
pub mod duration;
pub mod effective;
pub mod filter;
pub mod ini;
pub mod jail;
pub mod tags;

pub use call::Call;
pub use filter::{Backend, Definition};
pub use jail::{Jail, Jails};

#[cfg(test)]
mod tests;
