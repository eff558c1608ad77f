//! A rooted, link-safe, read-only view of a file system, given by the caller.
//!
//! Grammars with includes and every check read through it, so that `--root DIR`, the live host and
//! tests use the same code. Paths are absolute *inside* the tree. An implementation never follows a
//! link out of its root, never blocks on a FIFO or device, and never reads past the limit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

/// Most bytes a configuration file may have before it is refused (8 MiB).
pub const CONFIG_BYTES_MAX: usize = 8 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link (only seen by `stat` with [`Links::Keep`] and in listings).
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

/// Whether the last component of a path is followed when it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Follow it (inside the root).
    Follow,
    /// Look at the link itself.
    Keep,
}

/// Facts about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with set-id and sticky (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Last change of contents, seconds since the epoch.
    pub modified: i64,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// When it was made, nanoseconds since the epoch; only asked for where files have to be told apart.
    pub born: Option<i64>,
}

/// What tells two states of a file apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Last change of contents, nanoseconds since the epoch.
    pub modified_ns: i128,
    /// Last change of contents or facts, nanoseconds since the epoch.
    pub changed_ns: i128,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Full path inside the tree.
    pub path: PathBuf,
    /// What it is (a link is `Link`).
    pub kind: FileKind,
}

/// An entry of a directory while it is visited; its facts cost a system call only if they are asked for.
pub struct Visited<'a> {
    /// Its name.
    pub name: &'a OsStr,
    /// What it is (a link is `Link`).
    pub kind: FileKind,
    /// Asks for its facts, without following a link.
    pub stat: &'a dyn Fn() -> Result<Stat, LookError>,
}

/// Why something could not be looked at. Only `NotFound` means "it is not there".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing has that name.
    #[error("no such file or directory")]
    NotFound,
    /// The process has not the right; the operator may run with more.
    #[error("permission denied")]
    Denied,
    /// Something other than a regular file stands there.
    #[error("not a regular file ({0:?})")]
    NotRegular(FileKind),
    /// A directory was expected.
    #[error("not a directory")]
    NotDirectory,
    /// Larger than the limit.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(usize),
    /// More entries than the limit.
    #[error("more than {0} entries")]
    TooMany(usize),
    /// The system's word.
    #[error("{0}")]
    Io(String),
}

/// A path and why it could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct LookError {
    /// Path inside the tree.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

impl LookError {
    /// An error about a path.
    pub fn new(path: &Path, why: Why) -> Self {
        Self { path: path.to_path_buf(), why }
    }

    /// Whether the thing simply is not there.
    pub fn not_found(&self) -> bool {
        self.why == Why::NotFound
    }
}

/// A rooted, link-safe, read-only view of a file system.
pub trait Tree: Send + Sync {
    /// Reads a regular file whole, or says why not; `limit` is in bytes.
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError>;

    /// Lists a directory, sorted by name as bytes, without `.` and `..`.
    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError>;

    /// Facts about an entry.
    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError>;

    /// Where a link points, as written.
    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError>;

    /// What tells the state of a regular file apart from another; `None` where nothing does, as in the
    /// kernel's own file systems.
    fn identity(&self, path: &Path) -> Result<Option<Identity>, LookError> {
        self.stat(path, Links::Follow).map(|_| None)
    }

    /// Calls `each` for every entry of a directory, in any order, without `.` and `..`. A directory
    /// that is itself a link is not followed. Walks use this: nothing is sorted, copied or asked in vain.
    fn visit(&self, directory: &Path, each: &mut dyn FnMut(Visited<'_>)) -> Result<(), LookError> {
        if self.stat(directory, Links::Keep)?.kind != FileKind::Directory {
            return Err(LookError::new(directory, Why::NotDirectory));
        }
        for entry in self.list(directory)? {
            let stat = || self.stat(&entry.path, Links::Keep);
            let name = entry.path.file_name().unwrap_or_default();
            each(Visited { name, kind: entry.kind, stat: &stat });
        }
        Ok(())
    }

    /// Calls `each` with the name and the text of every link of a directory, in any order, until it
    /// breaks. Links that vanish in between are left out; one that may not be read is an error, since
    /// whoever counts links must know that there are more (links of `/proc/PID/fd` can be listed with
    /// CAP_DAC_READ_SEARCH and read only with CAP_SYS_PTRACE).
    fn visit_links(
        &self,
        directory: &Path,
        each: &mut dyn FnMut(&OsStr, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LookError> {
        for entry in self.list(directory)? {
            if entry.kind != FileKind::Link {
                continue;
            }
            let to = match self.read_link(&entry.path) {
                Err(error) if error.why == Why::Denied => return Err(error),
                Err(_) => continue,
                Ok(to) => to,
            };
            let name = entry.path.file_name().unwrap_or_default();
            if each(name, to.as_os_str().as_encoded_bytes()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads a configuration file: [`Tree::read`] with [`CONFIG_BYTES_MAX`].
    fn read_config(&self, path: &str) -> Result<Vec<u8>, LookError> {
        self.read(Path::new(path), CONFIG_BYTES_MAX)
    }
}

/// A tree in memory, for tests and for configuration proven before it is written.
///
/// ```
/// use parsers::tree::{MemoryTree, Tree};
/// let tree = MemoryTree::new().file("/etc/hostname", "ward\n");
/// assert_eq!(tree.read_config("/etc/hostname").unwrap(), b"ward\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    nodes: BTreeMap<PathBuf, Node>,
}

#[derive(Clone, Debug)]
enum Node {
    File { bytes: Vec<u8>, mode: u32, uid: u32, gid: u32 },
    Directory { mode: u32, uid: u32, gid: u32 },
    Link(PathBuf),
    Special(FileKind),
    Denied,
}

/// Links followed before a path counts as a loop, as in Linux (path_resolution(7)).
const LINKS_MAX: usize = 40;

impl MemoryTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file of root's with mode 0644, and its parent directories.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.file_with(path, text, 0o644, 0, 0)
    }

    /// Adds a file with its mode and owners.
    pub fn file_with(
        self,
        path: &str,
        text: impl AsRef<[u8]>,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Self {
        self.node(path, Node::File { bytes: text.as_ref().to_vec(), mode, uid, gid })
    }

    /// Adds a directory with its mode and owners.
    pub fn directory(self, path: &str, mode: u32, uid: u32, gid: u32) -> Self {
        self.node(path, Node::Directory { mode, uid, gid })
    }

    /// Adds a symbolic link.
    pub fn link(self, path: &str, to: &str) -> Self {
        self.node(path, Node::Link(to.into()))
    }

    /// Adds a FIFO, socket or device.
    pub fn special(self, path: &str, kind: FileKind) -> Self {
        self.node(path, Node::Special(kind))
    }

    /// Adds a file that may not be read.
    pub fn denied(self, path: &str) -> Self {
        self.node(path, Node::Denied)
    }

    fn node(mut self, path: &str, node: Node) -> Self {
        let path = PathBuf::from(path);
        for parent in path.ancestors().skip(1) {
            self.nodes.entry(parent.to_path_buf()).or_insert(Node::Directory {
                mode: 0o755,
                uid: 0,
                gid: 0,
            });
        }
        self.nodes.insert(path, node);
        self
    }

    fn resolve(&self, path: &Path, links: Links) -> Result<(PathBuf, &Node), LookError> {
        let mut followed = 0;
        let mut pending: Vec<PathBuf> = components(path);
        let mut at = PathBuf::from("/");
        while let Some(name) = pending.pop() {
            if name == Path::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            match self.nodes.get(&next) {
                None => return Err(LookError::new(path, Why::NotFound)),
                Some(Node::Link(to)) if links == Links::Follow || !pending.is_empty() => {
                    followed += 1;
                    if followed > LINKS_MAX {
                        return Err(LookError::new(path, Why::Io("too many links".into())));
                    }
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    pending.extend(components(to));
                }
                Some(_) => at = next,
            }
        }
        let node = self.nodes.get(&at).ok_or_else(|| LookError::new(path, Why::NotFound))?;
        Ok((at, node))
    }
}

/// The components of a path, last first, without the root.
fn components(path: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect();
    parts.reverse();
    parts
}

impl Node {
    fn kind(&self) -> FileKind {
        match self {
            Self::File { .. } | Self::Denied => FileKind::Regular,
            Self::Directory { .. } => FileKind::Directory,
            Self::Link(_) => FileKind::Link,
            Self::Special(kind) => *kind,
        }
    }
}

impl Tree for MemoryTree {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        match self.resolve(path, Links::Follow)?.1 {
            Node::File { bytes, .. } if bytes.len() > limit => {
                Err(LookError::new(path, Why::TooLarge(limit)))
            }
            Node::File { bytes, .. } => Ok(bytes.clone()),
            Node::Denied => Err(LookError::new(path, Why::Denied)),
            other => Err(LookError::new(path, Why::NotRegular(other.kind()))),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        let (at, node) = self.resolve(path, Links::Follow)?;
        if node.kind() != FileKind::Directory {
            return Err(LookError::new(path, Why::NotDirectory));
        }
        Ok(self
            .nodes
            .iter()
            .filter(|(child, _)| child.parent() == Some(&at))
            .map(|(child, node)| Entry {
                path: path.join(child.file_name().unwrap_or_default()),
                kind: node.kind(),
            })
            .collect())
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        let (_, node) = self.resolve(path, links)?;
        let (mode, uid, gid, size) = match node {
            Node::File { bytes, mode, uid, gid } => (*mode, *uid, *gid, bytes.len()),
            Node::Directory { mode, uid, gid } => (*mode, *uid, *gid, 0),
            Node::Link(_) => (0o777, 0, 0, 0),
            Node::Special(_) | Node::Denied => (0o600, 0, 0, 0),
        };
        Ok(Stat {
            kind: node.kind(),
            mode,
            uid,
            gid,
            size_bytes: size as u64,
            modified: 0,
            device: 1,
            inode: 1,
            born: None,
        })
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        match self.resolve(path, Links::Keep)?.1 {
            Node::Link(to) => Ok(to.clone()),
            _ => Err(LookError::new(path, Why::Io("not a link".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_tree_and_loops_end() {
        let tree = MemoryTree::new()
            .file("/usr/etc/a", "x")
            .link("/etc", "usr/etc")
            .link("/loop", "loop")
            .link("/up", "../../../usr/etc/a");
        assert_eq!(tree.read_config("/etc/a").unwrap(), b"x");
        assert_eq!(tree.read_config("/up").unwrap(), b"x");
        assert!(matches!(tree.read_config("/loop").unwrap_err().why, Why::Io(_)));
    }

    #[test]
    fn visiting_gives_what_listing_gives_and_follows_no_link() {
        let tree = MemoryTree::new()
            .file_with("/d/a", "x", 0o4755, 0, 0)
            .link("/d/l", "a")
            .link("/k", "d");
        let mut seen = Vec::new();
        tree.visit(Path::new("/d"), &mut |entry| {
            seen.push((entry.name.to_owned(), entry.kind, (entry.stat)().unwrap().mode));
        })
        .unwrap();
        assert_eq!(
            seen,
            [("a".into(), FileKind::Regular, 0o4755), ("l".into(), FileKind::Link, 0o777)]
        );
        assert_eq!(tree.visit(Path::new("/k"), &mut |_| {}).unwrap_err().why, Why::NotDirectory);
    }

    #[test]
    fn reading_stops_at_the_limit_and_refuses_what_is_no_file() {
        let tree = MemoryTree::new().file("/a", "four").special("/f", FileKind::Fifo).denied("/d");
        assert!(tree.read(Path::new("/a"), 4).is_ok());
        assert_eq!(tree.read(Path::new("/a"), 3).unwrap_err().why, Why::TooLarge(3));
        assert_eq!(tree.read_config("/f").unwrap_err().why, Why::NotRegular(FileKind::Fifo));
        assert_eq!(tree.read_config("/d").unwrap_err().why, Why::Denied);
        assert_eq!(tree.read_config("/").unwrap_err().why, Why::NotRegular(FileKind::Directory));
        assert!(tree.read_config("/none").unwrap_err().not_found());
    }
}
