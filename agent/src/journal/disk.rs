//! What the journal asks of a disk, and a directory that answers it.
//!
//! Everything that the journal writes goes through here, so that tests can fail every step, and lose what was
//! not yet on the disk. Only regular files are opened, never through a link, and nothing is waited for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags};

/// Most names that a journal's directory may hold.
pub const NAMES_MAX: usize = 200_000;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
    /// The same; it is made, empty, and is not there yet.
    Create,
}

/// A directory.
pub trait Disk: Send {
    /// The names in it.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a regular file.
    fn open(&self, name: &str, how: How) -> io::Result<Box<dyn Handle>>;
    /// Gives a file a name that nothing has yet.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a name away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns when all names are on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait Handle: Send {
    /// Its bytes.
    fn length(&self) -> io::Result<u64>;
    /// At most so many bytes from a place on.
    fn read(&self, from: u64, most: u64) -> io::Result<Vec<u8>>;
    /// Writes all of these bytes at a place; on an error any part of them may be there.
    fn write(&self, from: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything that was written is on the disk.
    fn sync(&self) -> io::Result<()>;
    /// Sets its length; what was reserved behind it is free again.
    fn truncate(&self, to: u64) -> io::Result<()>;
    /// Keeps room for so many bytes in all.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    /// Takes the lock of one writer; `false` where another one has it.
    fn lock(&self) -> io::Result<bool>;
}

/// A real directory.
pub struct Directory(File);

impl Directory {
    /// Opens a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?.into()))
    }
}

impl Disk for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
            if names.len() > NAMES_MAX {
                return Err(io::Error::other(format!("more than {NAMES_MAX} names")));
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, how: How) -> io::Result<Box<dyn Handle>> {
        let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = match how {
            How::Read => OFlags::RDONLY,
            How::Write => OFlags::RDWR,
            How::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let mode = Mode::RUSR | Mode::WUSR;
        let file: File = rustix::fs::openat(&self.0, name, careful | flags, mode)?.into();
        match file.metadata()?.is_file() {
            true => Ok(Box::new(file)),
            false => Err(io::Error::other("not a regular file")),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            // A file system that cannot refuse by itself.
            Err(Errno::INVAL | Errno::NOSYS) => {
                let there = rustix::fs::statat(&self.0, to, AtFlags::SYMLINK_NOFOLLOW);
                if there.is_ok() {
                    return Err(Errno::EXIST.into());
                }
                Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
            }
            renamed => Ok(renamed?),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Handle for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let left = self.length()?.saturating_sub(from).min(most);
        let mut bytes = vec![0; usize::try_from(left).map_err(io::Error::other)?];
        let mut read = 0;
        while read < bytes.len() {
            match self.read_at(&mut bytes[read..], from + read as u64) {
                // It became shorter meanwhile.
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    fn write(&self, from: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, from)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, to: u64) -> io::Result<()> {
        self.set_len(to)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, FallocateFlags::KEEP_SIZE, 0, bytes)?)
    }

    fn lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(self, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
