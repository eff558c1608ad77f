//! A tree with one directory of very many entries, which costs nothing to make; and counted reads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parsers::tree::{Entry, FileKind, Links, LookError, MemoryTree, Stat, Tree, Why};

/// A tree in memory beside a crowd of equal files.
pub struct Crowd {
    pub tree: MemoryTree,
    /// Where the crowd is.
    pub directory: PathBuf,
    /// The end of every name.
    pub suffix: String,
    /// What every file holds.
    pub text: Vec<u8>,
    pub count: usize,
    /// How many files of the crowd were read.
    pub reads: AtomicUsize,
}

impl Crowd {
    fn has(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path.parent() == Some(&self.directory)
            && name.strip_suffix(&self.suffix).is_some_and(|number| {
                number.len() == 6 && number.parse::<usize>().is_ok_and(|n| n < self.count)
            })
    }
}

impl Tree for Crowd {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        if !self.has(path) {
            return self.tree.read(path, limit);
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        match self.text.len() > limit {
            true => Err(LookError::new(path, Why::TooLarge(limit))),
            false => Ok(self.text.clone()),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        if path != self.directory {
            return self.tree.list(path);
        }
        let name = |number| path.join(format!("{number:06}{}", self.suffix));
        Ok((0..self.count).map(|n| Entry { path: name(n), kind: FileKind::Regular }).collect())
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        if !self.has(path) {
            return self.tree.stat(path, links);
        }
        Ok(Stat {
            kind: FileKind::Regular,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size_bytes: self.text.len() as u64,
            modified: 0,
            device: 1,
            inode: 2,
            born: None,
        })
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        self.tree.read_link(path)
    }
}
