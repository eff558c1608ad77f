//! The shape of a line: its bytes with each run of digits masked, and what is judged once a shape.
//!
//! Nearly all lines of a log repeat a few thousand shapes. A `Key` is a keyed hash of a shape
//! (`hash`); [`Masked`] is the shape itself, a set of lines about which something can be proved;
//! [`Plan`] says which rules and filters may match a line of a shape, whatever its digits are; [`Memo`]
//! keeps the plans of the shapes that a thread has met. A plan leaves out only what provably cannot
//! match: with a memo or without one, everything that is found is the same.

mod hash;
mod masked;
mod memo;

pub use masked::{Masked, Piece};
pub use memo::{Memo, Met, Plan};
