//! The whole service, killed and short of everything. It sees a log directory of the test's own in a mount
//! namespace, which needs root.
#![allow(clippy::unwrap_used)] // helpers of tests too

mod faults;
mod killed;
mod stage;
