//! The real file system behind [`Tree`]: rooted, link-safe, never blocking.
//!
//! Every path is opened with `openat2(RESOLVE_IN_ROOT)` below a directory descriptor, so that links,
//! absolute ones too, resolve inside the root. Files are opened non-blocking and read only when they
//! are regular, so that a FIFO or a device in place of a file is an error and never a hang. For the
//! root `/` a kernel without `openat2` (before 5.6, or a strict seccomp filter) falls back to plain
//! `openat`; for any other root that is an error, since links could then lead out.
//!
//! A process that may open nothing has the same tree by asking another one ([`RootedTree::asking`]).

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parsers::tree::{Entry, FileKind, Identity, Links, LookError, Stat, Tree, Visited, Why};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use crate::gate::{Asked, born};

/// Most entries of one directory that are listed.
pub const ENTRIES_MAX: usize = 100_000;

/// Bytes of directory entries asked for at a time.
const ENTRY_BUFFER_BYTES: usize = 32 << 10;
/// Bytes of a link that are read: PATH_MAX (limits.h).
const LINK_BYTES_MAX: usize = 4096;

/// A file system below one directory.
#[derive(Debug)]
pub struct RootedTree(Way);

/// How files are reached.
#[derive(Debug)]
enum Way {
    /// This process opens them itself.
    Own(Root),
    /// Another one does.
    Asked(Asked),
}

#[derive(Debug)]
struct Root {
    root: OwnedFd,
    is_host: bool,
}

impl RootedTree {
    /// Opens a root; `/` is the host itself.
    pub fn open(root: &Path) -> Result<Self, LookError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| look(root, e))?;
        Ok(Self(Way::Own(Root { root: fd, is_host: root == Path::new("/") })))
    }

    /// A tree that another process opens files of.
    pub fn asking(asked: Asked) -> Self {
        Self(Way::Asked(asked))
    }

    /// Opens a regular file for reading, for callers that stream or map it.
    pub fn open_file(&self, path: &Path) -> Result<File, LookError> {
        match &self.0 {
            Way::Own(root) => root.open_file(path),
            Way::Asked(asked) => Ok(asked.open_file(path)?.0),
        }
    }

    /// The same with facts about the open file, with its birth time where the file system keeps one.
    pub fn open_known(&self, path: &Path) -> Result<(File, Stat), LookError> {
        match &self.0 {
            Way::Own(root) => {
                let file = root.open_file(path)?;
                let stat = facts_of(path, &file)?;
                Ok((file, stat))
            }
            Way::Asked(asked) => asked.open_file(path),
        }
    }

    /// What tells two states of anything under a name apart; `None` where there is nothing, or it cannot be
    /// looked at, or this process does not look itself.
    pub fn mark(&self, path: &Path) -> Option<Identity> {
        let Way::Own(root) = &self.0 else { return None };
        let fd = root.open_at(path, OFlags::PATH).ok()?;
        Some(state(&rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH).ok()?))
    }

    fn way(&self) -> &dyn Tree {
        match &self.0 {
            Way::Own(root) => root,
            Way::Asked(asked) => asked,
        }
    }
}

impl Root {
    fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, LookError> {
        let flags = flags | OFlags::CLOEXEC;
        let inside = inside(path);
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, inside, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) if self.is_host => {
                rustix::fs::openat(&self.root, inside, flags, Mode::empty())
                    .map_err(|e| look(path, e))
            }
            other => other.map_err(|e| look(path, e)),
        }
    }

    fn open_file(&self, path: &Path) -> Result<File, LookError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        // Look before opening: opening a device may have effects, opening a FIFO may wake its writer.
        let seen = self.stat(path, Links::Follow)?;
        if seen.kind != FileKind::Regular {
            return Err(LookError::new(path, Why::NotRegular(seen.kind)));
        }
        let fd = self.open_at(path, flags)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| look(path, e))?;
        match kind(FileType::from_raw_mode(stat.st_mode)) {
            FileKind::Regular => Ok(File::from(fd)),
            other => Err(LookError::new(path, Why::NotRegular(other))),
        }
    }
}

impl Tree for RootedTree {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        self.way().read(path, limit)
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        self.way().list(path)
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        self.way().stat(path, links)
    }

    fn identity(&self, path: &Path) -> Result<Option<Identity>, LookError> {
        self.way().identity(path)
    }

    fn visit(&self, directory: &Path, each: &mut dyn FnMut(Visited<'_>)) -> Result<(), LookError> {
        self.way().visit(directory, each)
    }

    fn visit_links(
        &self,
        directory: &Path,
        each: &mut dyn FnMut(&OsStr, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LookError> {
        self.way().visit_links(directory, each)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        self.way().read_link(path)
    }
}

impl Tree for Root {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        let file = self.open_file(path)?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| LookError::new(path, io_why(&e)))?;
        if bytes.len() > limit {
            return Err(LookError::new(path, Why::TooLarge(limit)));
        }
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let directory = Dir::new(fd).map_err(|e| look(path, e))?;
        let mut entries = Vec::new();
        for entry in directory {
            let entry = entry.map_err(|e| look(path, e))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if entries.len() == ENTRIES_MAX {
                return Err(LookError::new(path, Why::TooMany(ENTRIES_MAX)));
            }
            let path = path.join(std::ffi::OsStr::from_bytes(name));
            let kind = match entry.file_type() {
                FileType::Unknown => self.stat(&path, Links::Keep)?.kind,
                known => kind(known),
            };
            entries.push(Entry { path, kind });
        }
        entries.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
        Ok(entries)
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        let flags = match links {
            Links::Follow => OFlags::PATH,
            Links::Keep => OFlags::PATH | OFlags::NOFOLLOW,
        };
        let fd = self.open_at(path, flags)?;
        let stat = rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH).map_err(|e| look(path, e))?;
        Ok(facts(&stat))
    }

    fn identity(&self, path: &Path) -> Result<Option<Identity>, LookError> {
        let fd = self.open_at(path, OFlags::PATH)?;
        let stat = rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH).map_err(|e| look(path, e))?;
        let system = rustix::fs::fstatfs(&fd).map_err(|e| look(path, e))?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !regular || VOLATILE_SYSTEMS.contains(&(system.f_type as u64 & 0xffff_ffff)) {
            return Ok(None);
        }
        Ok(Some(state(&stat)))
    }

    fn visit(&self, directory: &Path, each: &mut dyn FnMut(Visited<'_>)) -> Result<(), LookError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let fd = self.open_at(directory, flags)?;
        let mut buffer = Vec::with_capacity(ENTRY_BUFFER_BYTES);
        let mut entries = RawDir::new(&fd, buffer.spare_capacity_mut());
        let mut count = 0;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|e| look(directory, e))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if count == ENTRIES_MAX {
                return Err(LookError::new(directory, Why::TooMany(ENTRIES_MAX)));
            }
            count += 1;
            let spelled = std::ffi::OsStr::from_bytes(name.to_bytes());
            let stat = || {
                let at = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
                rustix::fs::statat(&fd, name, at)
                    .map(|stat| facts(&stat))
                    .map_err(|e| look(&directory.join(spelled), e))
            };
            let kind = match entry.file_type() {
                FileType::Unknown => stat()?.kind,
                known => kind(known),
            };
            each(Visited { name: spelled, kind, stat: &stat });
        }
        Ok(())
    }

    fn visit_links(
        &self,
        directory: &Path,
        each: &mut dyn FnMut(&OsStr, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LookError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let fd = self.open_at(directory, flags)?;
        let mut buffer = [const { MaybeUninit::uninit() }; ENTRY_BUFFER_BYTES];
        let mut to = [const { MaybeUninit::uninit() }; LINK_BYTES_MAX];
        let mut entries = RawDir::new(&fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|e| look(directory, e))?;
            if !matches!(entry.file_type(), FileType::Symlink | FileType::Unknown) {
                continue;
            }
            let name = entry.file_name();
            let to = match rustix::fs::readlinkat_raw(&fd, name, &mut to) {
                Ok((to, _)) => to,
                Err(error @ (Errno::ACCESS | Errno::PERM)) if !may_trace() => {
                    return Err(look(directory, error));
                }
                Err(_) => continue,
            };
            if each(OsStr::from_bytes(name.to_bytes()), to).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        let fd = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let to = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(|e| look(path, e))?;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(to.as_bytes())))
    }
}

/// File systems whose files change without their times: statfs(2).
const VOLATILE_SYSTEMS: [u64; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0x6573_5546, // fuse
    0x0102_1997, // 9p
];

#[allow(clippy::unnecessary_cast)] // the width of these fields differs between architectures
fn state(stat: &rustix::fs::Stat) -> Identity {
    let nanoseconds =
        |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
    Identity {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        changed_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
    }
}

#[allow(clippy::unnecessary_cast)] // the width of these fields differs between architectures
fn facts(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        kind: kind(FileType::from_raw_mode(stat.st_mode)),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified: stat.st_mtime as i64,
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        born: None,
    }
}

/// The path as `openat2` wants it: relative to the root.
fn inside(path: &Path) -> &Path {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() { Path::new(".") } else { relative }
}

fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        _ => FileKind::Device,
    }
}

/// Facts about an open file, with its birth time where the file system keeps one.
pub(crate) fn facts_of(path: &Path, file: &File) -> Result<Stat, LookError> {
    let stat = rustix::fs::fstat(file).map_err(|e| look(path, e))?;
    Ok(Stat { born: born(file), ..facts(&stat) })
}

/// Whether this process may look into all others. Where it may and is refused all the same (the first process of
/// some virtual machines holds more rights than root's shell), nobody else could tell either, and one such
/// process must not make every socket's owner unknown. The cost: what it listens on has no owner.
fn may_trace() -> bool {
    let all = rustix::thread::capabilities(None);
    all.is_ok_and(|all| all.effective.contains(rustix::thread::CapabilitySet::SYS_PTRACE))
}

fn look(path: &Path, errno: Errno) -> LookError {
    let why = match errno {
        Errno::NOENT | Errno::NOTDIR => Why::NotFound,
        Errno::ACCESS | Errno::PERM => Why::Denied,
        other => io_why(&std::io::Error::from(other)),
    };
    LookError::new(path, why)
}

pub(crate) fn io_why(error: &std::io::Error) -> Why {
    match error.kind() {
        std::io::ErrorKind::NotFound => Why::NotFound,
        std::io::ErrorKind::PermissionDenied => Why::Denied,
        _ => Why::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_never_lead_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(dir.path().join("outside"), "secret").unwrap();
        std::fs::write(root.join("etc/real"), "inside").unwrap();
        symlink("/etc/real", root.join("absolute")).unwrap();
        symlink("../../../outside", root.join("etc/up")).unwrap();
        symlink(dir.path().join("outside"), root.join("etc/out")).unwrap();
        let tree = RootedTree::open(&root).unwrap();
        assert_eq!(tree.read_config("/absolute").unwrap(), b"inside");
        assert!(tree.read_config("/etc/up").unwrap_err().not_found());
        assert!(tree.read_config("/etc/out").unwrap_err().not_found());
    }

    #[test]
    fn a_fifo_or_directory_in_place_of_a_file_is_an_error_and_no_hang() {
        let dir = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("fifo"),
            FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        std::fs::write(dir.path().join("file"), "12345").unwrap();
        let tree = RootedTree::open(dir.path()).unwrap();
        let why = |path: &str| tree.read(Path::new(path), 4).unwrap_err().why;
        assert_eq!(why("/fifo"), Why::NotRegular(FileKind::Fifo));
        assert_eq!(why("/dir"), Why::NotRegular(FileKind::Directory));
        assert_eq!(why("/file"), Why::TooLarge(4));
        assert_eq!(tree.list(Path::new("/")).unwrap().len(), 3);
        let mut visited = Vec::new();
        tree.visit(Path::new("/"), &mut |entry| {
            visited.push((entry.name.to_owned(), entry.kind, (entry.stat)().unwrap().size_bytes));
        })
        .unwrap();
        visited.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(visited[1], ("fifo".into(), FileKind::Fifo, 0));
        assert_eq!((visited.len(), visited[2].2), (3, 5));
        symlink("dir", dir.path().join("link")).unwrap();
        assert!(tree.visit(Path::new("/link"), &mut |_| {}).is_err());
    }
}
