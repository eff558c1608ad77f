//! Files read once per look, and again only when they changed.
//!
//! [`Remembered`] stands before another [`Tree`]. Within one look each path is read once, so that all
//! checks judge the same bytes. Between looks of one process a [`Memory`] keeps the bytes by device,
//! inode, size, mtime and ctime: a file whose facts are all the same is not read again. What may change
//! without changing them is never kept between looks: files of kernel file systems, empty ones, and
//! those changed so shortly before they were read that the clock of the file system cannot tell another
//! change apart (git's "racily clean" entries). Directories, links and facts are always asked anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parsers::tree::{Entry, Identity, Links, LookError, Stat, Tree, Visited, Why};

/// Largest file that is kept.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// Most bytes that a [`Memory`] keeps; beyond it nothing more is kept until the next look forgets what
/// it did not use.
pub const MEMORY_BYTES_MAX: usize = 24 << 20;

/// A file changed less than so many nanoseconds before it was read may change again unseen.
const RACY_NS: i128 = 2_000_000_000;

/// Bytes of files by their identity, kept between looks.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Identity, File>,
    bytes: usize,
    look: u64,
}

#[derive(Debug)]
struct File {
    bytes: Arc<[u8]>,
    /// The last look that used it.
    look: u64,
}

impl Memory {
    /// A view of a tree for one look; `now` is in seconds since the epoch. What the look before did not
    /// ask for is forgotten.
    pub fn look<'a>(&'a self, under: &'a dyn Tree, now: i64) -> Remembered<'a> {
        let mut kept = self.kept();
        let last = kept.look;
        kept.files.retain(|_, file| file.look == last);
        kept.bytes = kept.files.values().map(|file| file.bytes.len()).sum();
        kept.look += 1;
        Remembered {
            under,
            memory: self,
            now,
            seen: Mutex::default(),
            held_bytes: AtomicUsize::new(0),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, identity: &Identity) -> Option<Arc<[u8]>> {
        let look = self.look;
        let file = self.files.get_mut(identity)?;
        file.look = look;
        Some(Arc::clone(&file.bytes))
    }

    fn keep(&mut self, identity: Identity, bytes: &Arc<[u8]>) {
        if self.bytes + bytes.len() > MEMORY_BYTES_MAX || self.files.contains_key(&identity) {
            return;
        }
        self.bytes += bytes.len();
        self.files.insert(identity, File { bytes: Arc::clone(bytes), look: self.look });
    }
}

/// What a path gave in this look; filled once, whoever asks first.
type Slot = Arc<OnceLock<Result<Arc<[u8]>, LookError>>>;

/// A tree in which each file is read at most once.
pub struct Remembered<'a> {
    under: &'a dyn Tree,
    memory: &'a Memory,
    now: i64,
    seen: Mutex<HashMap<PathBuf, Slot>>,
    held_bytes: AtomicUsize,
}

impl Remembered<'_> {
    fn slot(&self, path: &Path) -> Option<Slot> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(path).cloned()
    }

    fn new_slot(&self, path: &Path) -> Slot {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(seen.entry(path.to_path_buf()).or_default())
    }

    /// Reads through the memory.
    fn fetch(&self, path: &Path, before: Identity) -> Result<Arc<[u8]>, LookError> {
        if let Some(known) = self.memory.kept().take(&before) {
            return Ok(known);
        }
        let bytes: Arc<[u8]> = self.under.read(path, FILE_BYTES_MAX)?.into();
        self.held_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let settled = i128::from(self.now) * 1_000_000_000 - RACY_NS;
        let is_settled = before.modified_ns.max(before.changed_ns) < settled;
        let whole = before.size_bytes == bytes.len() as u64 && !bytes.is_empty();
        // Asked again: what was read may already belong to another file or state.
        if is_settled && whole && self.under.identity(path).ok().flatten() == Some(before.clone()) {
            self.memory.kept().keep(before, &bytes);
        }
        Ok(bytes)
    }
}

impl Tree for Remembered<'_> {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        let slot = match self.slot(path) {
            Some(slot) => slot,
            None => {
                let full = self.held_bytes.load(Ordering::Relaxed) > MEMORY_BYTES_MAX;
                match self.under.identity(path) {
                    Ok(Some(identity)) if !full => {
                        let slot = self.new_slot(path);
                        slot.get_or_init(|| self.fetch(path, identity));
                        slot
                    }
                    _ => return self.under.read(path, limit),
                }
            }
        };
        match slot.get() {
            Some(Ok(bytes)) if bytes.len() > limit => {
                Err(LookError::new(path, Why::TooLarge(limit)))
            }
            Some(Ok(bytes)) => Ok(bytes.to_vec()),
            Some(Err(error)) if !matches!(error.why, Why::TooLarge(_)) => Err(error.clone()),
            // Larger than what is kept here, or still being read by another thread.
            _ => self.under.read(path, limit),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        self.under.list(path)
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        self.under.stat(path, links)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        self.under.read_link(path)
    }

    fn visit(&self, directory: &Path, each: &mut dyn FnMut(Visited<'_>)) -> Result<(), LookError> {
        self.under.visit(directory, each)
    }

    fn identity(&self, path: &Path) -> Result<Option<Identity>, LookError> {
        self.under.identity(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootedTree;

    /// Counts what is read below.
    struct Counting<'a> {
        under: &'a RootedTree,
        reads: AtomicUsize,
    }

    impl<'a> Counting<'a> {
        fn new(under: &'a RootedTree) -> Self {
            Self { under, reads: AtomicUsize::new(0) }
        }

        fn count(&self) -> usize {
            self.reads.swap(0, Ordering::Relaxed)
        }
    }

    impl Tree for Counting<'_> {
        fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.under.read(path, limit)
        }
        fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
            self.under.list(path)
        }
        fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
            self.under.stat(path, links)
        }
        fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
            self.under.read_link(path)
        }
        fn identity(&self, path: &Path) -> Result<Option<Identity>, LookError> {
            self.under.identity(path)
        }
    }

    /// Long after any file of a test was written.
    const LATER: i64 = 1 << 40;

    fn read(tree: &dyn Tree, path: &str) -> String {
        String::from_utf8(tree.read_config(path).unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_read_once_a_look_and_again_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let under = RootedTree::open(dir.path()).unwrap();
        let (tree, memory) = (Counting::new(&under), Memory::default());
        let first = memory.look(&tree, LATER);
        for _ in 0..3 {
            assert_eq!(read(&first, "/a"), "a");
        }
        assert_eq!((read(&first, "/b"), tree.count()), ("b".to_string(), 2));

        // Another file, the same length and mtime: the inode and the ctime tell.
        let old = std::fs::metadata(dir.path().join("a")).unwrap().modified().unwrap();
        std::fs::write(dir.path().join("new"), "A").unwrap();
        let new = std::fs::File::options().write(true).open(dir.path().join("new")).unwrap();
        new.set_modified(old).unwrap();
        std::fs::rename(dir.path().join("new"), dir.path().join("a")).unwrap();
        assert_eq!(read(&first, "/a"), "a", "one look sees one state");
        let second = memory.look(&tree, LATER);
        assert_eq!((read(&second, "/a"), read(&second, "/b")), ("A".into(), "b".into()));
        assert_eq!(tree.count(), 1);

        // What a look did not ask for is forgotten.
        assert_eq!(read(&memory.look(&tree, LATER), "/b"), "b");
        let fourth = memory.look(&tree, LATER);
        assert_eq!((read(&fourth, "/a"), tree.count()), ("A".to_string(), 1));
    }

    #[test]
    fn a_file_that_changed_just_before_it_was_read_is_not_believed_later() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a").unwrap();
        let under = RootedTree::open(dir.path()).unwrap();
        let now = under.identity(Path::new("/a")).unwrap().unwrap().changed_ns / 1_000_000_000;
        let now = i64::try_from(now).unwrap();
        let (tree, memory) = (Counting::new(&under), Memory::default());
        let look = |at: i64| {
            assert_eq!(read(&memory.look(&tree, at), "/a"), "a");
            tree.count()
        };
        assert_eq!((look(now), look(now + 1), look(now + 4), look(now + 5)), (1, 1, 1, 0));
    }

    #[test]
    fn kernel_files_limits_and_errors_are_as_without_a_memory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("large"), vec![b'x'; FILE_BYTES_MAX + 1]).unwrap();
        std::fs::write(dir.path().join("empty"), "").unwrap();
        let under = RootedTree::open(dir.path()).unwrap();
        let (tree, memory) = (Counting::new(&under), Memory::default());
        let look = memory.look(&tree, LATER);
        let large = |limit| look.read(Path::new("/large"), limit).map(|bytes| bytes.len());
        assert_eq!(large(FILE_BYTES_MAX + 1), Ok(FILE_BYTES_MAX + 1));
        assert_eq!(large(9).unwrap_err().why, Why::TooLarge(9));
        assert_eq!(read(&look, "/empty"), "");
        assert!(look.read_config("/absent").unwrap_err().not_found());

        let host = RootedTree::open(Path::new("/")).unwrap();
        assert_eq!(host.identity(Path::new("/proc/self/stat")), Ok(None));
        assert_eq!(host.identity(Path::new("/sys/kernel/notes")).ok().flatten(), None);
    }
}
