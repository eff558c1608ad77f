//! The journal's bytes: records in compact form, frames that chain them, and what verification finds.
//!
//! Pure: [`codec`] makes bytes of records and records of bytes, [`frame`] puts them into frames with
//! checksum and MAC, [`verify`] reads segments and says what does not hold; [`read`] reads them without a
//! key, [`packed`] holds closed ones compressed, [`state`] is what a writer keeps between two runs and [`resume`]
//! where it then goes on. Files, clocks and the disk are the caller's.
//!
//! A segment is a file of frames: `Begin`, then `Open`, `Records`, `EpochEnd` and `Gap` in any number, and
//! `End` when another segment follows. Each frame's head is a MAC over the head before it and the whole
//! frame under the key of its epoch ([`crate::chain`]). The records' dictionary begins anew with each segment,
//! so that a segment is read without the others.

pub mod codec;
pub mod frame;
pub mod packed;
pub mod read;
pub mod resume;
pub mod state;
pub mod verify;
