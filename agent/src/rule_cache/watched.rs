//! A tree that notes what is looked at, and as what it stood there.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use parsers::tree::{Entry, Links, LookError, Stat, Tree};
use scanner::logs::stored::Stamp;

/// The live file system, noted down. Paths are those of the process.
pub(super) struct Watched<'t> {
    tree: &'t dyn Tree,
    /// As each thing stood when it was first looked at; `None` where nobody can say.
    seen: Mutex<BTreeMap<PathBuf, Option<Stamp>>>,
}

impl<'t> Watched<'t> {
    pub(super) fn new(tree: &'t dyn Tree) -> Self {
        Self { tree, seen: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Stamp>>> {
        // A thread that panicked spoils nothing that was noted.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, path: &Path) {
        let mut seen = self.lock();
        if !seen.contains_key(path) {
            seen.insert(path.to_path_buf(), stamp(path));
        }
    }

    /// Everything that was looked at, if it stands there now as it did then and had not changed since
    /// `before`, in seconds since the epoch.
    pub(super) fn unchanged_since(&self, before: i64) -> Option<Vec<(PathBuf, Stamp)>> {
        let seen = self.lock();
        let settled = |stamp: &Stamp| match stamp {
            Stamp::Absent => true,
            Stamp::There { changed, .. } => changed.0 < before,
        };
        let each = seen.iter().map(|(path, then)| {
            let then = then.filter(settled)?;
            (stamp(path) == Some(then)).then(|| (path.clone(), then))
        });
        each.collect()
    }
}

/// What stands at a path now, links followed; `None` where that cannot be told.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let nanoseconds = |count: i64| u32::try_from(count).unwrap_or(0);
    match std::fs::metadata(path) {
        Ok(meta) => Some(Stamp::There {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), nanoseconds(meta.mtime_nsec())),
            changed: (meta.ctime(), nanoseconds(meta.ctime_nsec())),
        }),
        Err(error) => match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Some(Stamp::Absent),
            _ => None,
        },
    }
}

impl Tree for Watched<'_> {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        self.note(path);
        let bytes = self.tree.read(path, limit)?;
        if !matches!(self.tree.identity(path), Ok(Some(_))) {
            self.lock().insert(path.to_path_buf(), None);
        }
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        self.note(path);
        self.tree.list(path)
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        self.note(path);
        self.tree.stat(path, links)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        self.note(path);
        self.tree.read_link(path)
    }
}
