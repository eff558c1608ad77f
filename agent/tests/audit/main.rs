//! The audit from outside: made trees, planted faults, hostile inputs.

mod golden;
mod hostile;
mod tree;
