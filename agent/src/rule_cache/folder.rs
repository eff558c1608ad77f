//! A directory that nobody but this user (and root) can write: every component of its path is looked at,
//! from the root down, and files in it are opened by its descriptor and never through a link.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use scanner::logs::stored::BYTES_MAX;

/// Most entries that stay; the oldest go first.
pub(super) const ENTRIES_MAX: usize = 16;

/// Most bytes that stay together.
const ALL_BYTES_MAX: u64 = 32 << 20;

/// Others may write.
const OTHERS_WRITE: u32 = 0o022;
/// In a directory that others may write, they cannot replace what is not theirs.
const STICKY: u32 = 0o1000;

pub(super) struct Folder {
    directory: OwnedFd,
    user: u32,
}

impl Folder {
    /// Opens a directory; `None` where it is not there or somebody else could have put something there.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let user = rustix::process::geteuid().as_raw();
        let path = std::fs::canonicalize(path).ok()?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(CWD, "/", flags | OFlags::PATH, Mode::empty()).ok()?;
        let above = |stat: &Stat| {
            let owned = stat.st_uid == 0 || stat.st_uid == user;
            owned && (stat.st_mode & OTHERS_WRITE == 0 || stat.st_mode & STICKY != 0)
        };
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            if !above(&rustix::fs::fstat(&at).ok()?) {
                return None;
            }
            at = rustix::fs::openat(&at, name, flags | OFlags::PATH, Mode::empty()).ok()?;
        }
        let own = rustix::fs::fstat(&at).ok()?;
        if own.st_uid != user || own.st_mode & OTHERS_WRITE != 0 {
            return None;
        }
        let directory = rustix::fs::openat(&at, ".", flags, Mode::empty()).ok()?;
        Some(Self { directory, user })
    }

    /// A file of this user's that only this user can read or write.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let size = usize::try_from(stat.st_size).ok().filter(|size| *size <= BYTES_MAX)?;
        if !plain || stat.st_uid != self.user || stat.st_mode & 0o077 != 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(size + 1);
        File::from(file).take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= BYTES_MAX).then_some(bytes)
    }

    /// Puts a file under its name, whole or not at all, and makes room.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let hidden = format!(".{name}.{}", std::process::id());
        // Of a run of this number that was killed.
        let _ = self.remove(&hidden);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &hidden, flags, Mode::RUSR | Mode::WUSR)?;
        let written = File::from(file).write_all(bytes).and_then(|()| {
            Ok(rustix::fs::renameat(&self.directory, &hidden, &self.directory, name)?)
        });
        if written.is_err() {
            let _ = self.remove(&hidden);
        }
        self.make_room();
        written
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    /// Removes the oldest files over the bounds; what cannot be removed stays.
    fn make_room(&self) {
        let Ok(directory) = rustix::fs::Dir::read_from(&self.directory) else { return };
        let mut files = Vec::new();
        for entry in directory.flatten() {
            let name = entry.file_name();
            let Ok(stat) = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.push((stat.st_mtime, stat.st_mtime_nsec, stat.st_size, name.to_owned()));
            }
        }
        files.sort_by_key(|(seconds, nanoseconds, ..)| {
            (std::cmp::Reverse(*seconds), std::cmp::Reverse(*nanoseconds))
        });
        let mut bytes = 0_u64;
        for (index, (_, _, size, name)) in files.iter().enumerate() {
            bytes = bytes.saturating_add(u64::try_from(*size).unwrap_or(0));
            if index >= ENTRIES_MAX || bytes > ALL_BYTES_MAX {
                let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
            }
        }
    }
}
