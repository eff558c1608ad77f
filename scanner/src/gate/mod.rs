//! A tree and kernel tables for a process that may open nothing: it asks another one, its broker.
//!
//! The asking side is [`Asked`], a [`Tree`](parsers::tree::Tree) that [`RootedTree::asking`] wraps, so that
//! everything that reads a host runs unchanged inside a sandbox; the answering side is [`answer`]. One
//! question, one answer, at most one descriptor, over a [`Channel`] that the caller gives. Questions name
//! what is wanted, never how: no flag, no write, no program. What is asked comes from a process that has
//! read hostile text, so the answering side takes every byte as an attacker's; paths are bounded, links
//! resolve inside the root as ever, and files that hold secrets of the answering process are closed.
//!
//! [`RootedTree::asking`]: crate::RootedTree::asking

use std::io;
use std::os::fd::OwnedFd;

mod answer;
mod ask;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use answer::born;
pub use answer::{Closed, Reply, answer};
pub use ask::Asked;
pub use wire::{Answer, PATH_BYTES_MAX, Question, Table};

/// Carries questions to the one who answers. Several threads may ask at once.
pub trait Channel: std::fmt::Debug + Send + Sync {
    /// Asks, and waits for the answer's bytes and the descriptor that came with them.
    fn ask(&self, question: &Question<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)>;
}
