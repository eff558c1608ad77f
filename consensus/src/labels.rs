//! Bring your own labels: pooling of a table of item, expert, label (the `consensus` command).
//!
//! [`table`] reads JSON lines or CSV into [`Ballots`], one vote an expert and item; [`model`] pools
//! them without knowing any truth, [`copies`] counting as one; [`score`] compares the result with a
//! truth, where there is one.
//! This calibrates offline, on a table that is complete: the panel never learns this way.
//!
//! Refused, with line and column: what is not JSON or CSV, unknown columns and labels, lines and
//! tables beyond the bounds named in [`table`].

pub mod copies;
pub mod csv;
pub mod model;
mod names;
pub mod score;
pub mod shrinkage;
pub mod table;

pub use copies::Copies;
pub use model::{Decision, Pooled, Scale, pool};
pub use score::{Score, Truth};
pub use table::{BadLine, Ballots, Reader, Vote};
