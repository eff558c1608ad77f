//! What goes wrong with a journal.

use std::io;
use std::sync::Arc;

/// Why the journal could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is none: the operator's, who makes one.
    #[error("no journal: there is no `key` in it")]
    None,
    /// There is one already, or something else.
    #[error("there is a journal already, or what is left of one")]
    Exists,
    /// The key's file is damaged or of another program: the chain cannot go on.
    #[error("key: no whole state of a writer")]
    Key,
    /// Another process writes.
    #[error("another process writes it")]
    Busy,
    /// The disk's: nothing that was not acknowledged before is promised.
    #[error("{name}: {doing}: {error}")]
    Disk {
        /// File.
        name: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// An earlier error stopped the writer.
    #[error("the writer has stopped: {0}")]
    Stopped(Arc<str>),
    /// Its epochs are used up: a new journal is needed.
    #[error("its epochs are used up")]
    Epochs,
}

impl Error {
    /// The journal's directory cannot be used.
    pub fn of_directory(path: &std::path::Path, error: io::Error) -> Self {
        let name = path.display().to_string();
        Self::Disk { name, doing: "opening", error: Arc::new(error) }
    }
}

/// Names an error of the disk.
pub(super) fn on<T>(name: &str, doing: &'static str, done: io::Result<T>) -> Result<T, Error> {
    done.map_err(|error| Error::Disk { name: name.into(), doing, error: Arc::new(error) })
}

/// Whether the disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
