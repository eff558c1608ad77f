//! Evidence in, verdict out.
//!
//! A [`Panel`] of deterministic [`experts`] reads one piece of [`Evidence`] in its [`Context`]. Each
//! expert may give an [`Opinion`]; the [`pool`] makes one [`Verdict`] of them, with the reasons why.
//!
//! Invariants: values in, values out. No clock, no network, no files, no environment, no
//! randomness. The same evidence, context and model give the same verdict, bit for bit, on any
//! number of threads and in any order of the evidence's parts.
#![deny(unsafe_code)] // allowed in `sys` only

pub mod aggregate;
pub mod carryover;
pub mod context;
pub mod digest;
pub mod evidence;
pub mod experts;
pub mod fusion;
pub mod gate;
pub mod graph;
pub mod labels;
pub mod learn;
pub mod likelihood;
pub mod networks;
pub mod opinion;
pub mod outside;
pub mod panel;
pub mod patterns;
pub mod pool;
pub mod severity;
pub mod similarity;
mod sys;
pub mod trace;
pub mod triage;
pub mod verdict;
mod words;

pub use context::{Attack, Context, Exposure, Operator, Past, Service};
pub use evidence::{Evidence, Kind, Privilege, Proof, SourceLine, Subject};
pub use likelihood::Model;
pub use opinion::{BadOpinion, Opinion};
pub use panel::{Expert, Panel};
pub use severity::Severity;
pub use verdict::{Dissent, Verdict};
