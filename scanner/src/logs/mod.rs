//! Log sweeps: which files, which rules, what was detected, where to go on next time.
//!
//! In the order in which data goes through: [`source`] finds the files by the names that [`rotation`]
//! gives, [`view`] opens them, `reading` reads them from where [`checkpoint`] says, [`event`] and
//! [`extract`] make events of their lines, [`matcher`] asks the rules that its `prefilter` left, or that
//! the `shape` of a line leaves ([`web`] opens requests for them), `gather` takes their hits, [`window`] correlates them, [`story`] tells them
//! by subject, [`conceal`] hides what strangers typed. [`sweep`] drives it all; [`content`] holds the
//! built-in rules, [`stored`] those that were read before, and [`history`] says who was known here before.

pub mod abreast;
pub mod audit;
pub mod checkpoint;
pub mod conceal;
pub mod content;
pub mod context;
pub mod coverage;
mod digits;
pub mod event;
pub mod extract;
pub mod fail2ban;
pub mod features;
pub mod follow;
mod gather;
mod groups;
pub mod history;
pub mod literals;
pub mod matcher;
pub mod networks;
mod pace;
mod part;
pub mod patterns;
mod pool;
mod prefilter;
mod reading;
pub mod rotation;
mod shape;
pub mod source;
pub mod stored;
pub mod story;
pub mod sweep;
mod syscalls;
pub mod taxonomy;
pub mod templates;
pub mod view;
mod wanted;
pub mod web;
pub mod window;
mod years;

pub use matcher::RuleSet;
pub use story::Detection;
pub use sweep::{SweepOptions, SweepOutcome, audit_sweep, sweep};
