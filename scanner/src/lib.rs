//! A host in, evidence out: ports and services, log sweeps, configuration checks, accounts, files.
//!
//! Invariants: looks, never changes. Reads files only through a [`parsers::tree::Tree`], the kernel
//! only through small `sys` calls; takes the time as a value; writes nothing; starts no program (what
//! a peer such as `nft` says is given as bytes by the caller). What could not be looked at is said,
//! never counted as clean.
#![deny(unsafe_code)]

pub mod checks;
pub mod facts;
pub mod files;
pub mod gate;
pub mod logs;
pub mod packages;
pub mod passwords;
pub mod ports;
pub mod redact;
pub mod remembered;
pub mod root;
pub mod vantage;

pub use facts::{Fact, Facts};
pub use root::RootedTree;
