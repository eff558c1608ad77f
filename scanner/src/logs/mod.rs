//! Log sweeps: which files, which rules, what was detected, where to go on next time.
//!
//! In the order in which data goes through: [`source`] finds the files, [`event`] and [`extract`] make
//! events of their lines, [`matcher`] asks the rules, [`window`] correlates their hits, [`story`]
//! gathers them by subject, [`conceal`] hides what strangers typed, [`sweep`] drives it all, and
//! [`checkpoint`] remembers where to go on. [`content`] holds the built-in rules.

pub mod checkpoint;
pub mod conceal;
pub mod content;
pub mod event;
pub mod extract;
pub mod matcher;
pub mod source;
pub mod story;
pub mod sweep;
pub mod window;

pub use matcher::RuleSet;
pub use story::Detection;
pub use sweep::{SweepOptions, SweepOutcome, audit_sweep, sweep};
