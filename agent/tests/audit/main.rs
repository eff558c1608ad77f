//! The audit from outside: made trees, planted faults, hostile inputs.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

mod golden;
mod hostile;
mod tree;
