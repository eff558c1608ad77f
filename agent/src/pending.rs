//! A file that is written as a stream and appears whole under its name, or not at all.
//!
//! It has no name until [`Pending::commit`] (`O_TMPFILE`), so that what an interrupted run leaves behind
//! is nothing: no half-opened secret in a hidden file. Where the file system cannot do that, a hidden
//! file with mode 0600 stands in and is removed when the run ends by itself. An existing regular file or
//! link under the name is replaced by the rename; anything else there (a device, a FIFO, a directory) is
//! refused, or root's `-o /dev/null` would take the device away.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::output::give_to_sudo_user;

/// A file on its way.
pub struct Pending {
    file: File,
    path: PathBuf,
    /// The name that it has already, where it could not be without one.
    named: Option<PathBuf>,
}

impl Pending {
    /// Starts a file that will be called `path`, with mode 0600.
    pub fn create(path: &Path) -> io::Result<Self> {
        replaceable(path)?;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let opened = match rustix::fs::open(folder(path), flags | OFlags::TMPFILE, mode) {
            Ok(file) => (file, None),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
                let name = hidden(path)?;
                let new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                (rustix::fs::open(&name, new, mode)?, Some(name))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file: opened.0.into(), path: path.to_path_buf(), named: opened.1 })
    }

    /// The file itself, for what writes at several places at once.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes everything to the disk and gives the file its name.
    pub fn commit(mut self) -> io::Result<()> {
        give_to_sudo_user(&self.file, folder(&self.path));
        self.file.sync_all()?;
        let name = match &self.named {
            Some(name) => name.clone(),
            None => {
                let name = hidden(&self.path)?;
                let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                rustix::fs::linkat(CWD, unnamed, CWD, &name, AtFlags::SYMLINK_FOLLOW)?;
                self.named = Some(name.clone());
                name
            }
        };
        std::fs::rename(name, &self.path)?;
        self.named = None;
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(name) = &self.named {
            let _ = std::fs::remove_file(name);
        }
    }
}

/// Where a stream of results goes: stdout, or a file that appears when it is whole.
pub enum Stream {
    /// Line by line, so that a reader at the other end of a pipe need not wait.
    Stdout(io::StdoutLock<'static>),
    /// Under its name at the end.
    File(Box<io::BufWriter<Pending>>),
}

impl Stream {
    /// Opens the stream for `--output`.
    pub fn open(output: Option<&Path>) -> anyhow::Result<Self> {
        match output {
            None => Ok(Self::Stdout(io::stdout().lock())),
            Some(path) => {
                let pending = Pending::create(path).map_err(|error| at(path, &error))?;
                Ok(Self::File(Box::new(io::BufWriter::new(pending))))
            }
        }
    }

    /// Everything was written.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File(out) => {
                Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.commit()?)
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out) => out.flush(),
        }
    }
}

/// A reader or writer whose errors name what they are about; a closed pipe stays what it is.
pub struct Named<'a, T>(pub T, pub &'a Path);

impl<T> Named<'_, T> {
    fn tell(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::BrokenPipe => error,
            kind => io::Error::new(kind, format!("{}: {error}", self.1.display())),
        }
    }
}

impl<T: Read> Read for Named<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| self.tell(error))
    }
}

impl<T: Write> Write for Named<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| self.tell(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| self.tell(error))
    }
}

/// An input or output error with its path.
pub fn at(path: &Path, error: &io::Error) -> anyhow::Error {
    crate::exit::hinted(format!("{}: {error}", path.display()), "")
}

/// Refuses to replace what is neither a regular file, nor a link to one, nor nothing.
pub fn replaceable(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(io::Error::other("not a regular file, not replaced")),
        _ => Ok(()),
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn hidden(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name"))?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
    Ok(folder(path).join(hidden))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pending_file_has_no_name_until_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let entries = || std::fs::read_dir(dir.path()).unwrap().count();
        let mut pending = Pending::create(&path).unwrap();
        pending.write_all(b"one").unwrap();
        assert_eq!(entries(), 0);
        drop(pending);
        assert_eq!(entries(), 0);
        for text in ["one", "two"] {
            let mut pending = Pending::create(&path).unwrap();
            pending.write_all(text.as_bytes()).unwrap();
            pending.commit().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), text.as_bytes());
            assert_eq!(entries(), 1);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn devices_and_directories_are_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Pending::create(Path::new("/dev/null")).is_err());
        assert!(Pending::create(dir.path()).is_err());
        assert!(Pending::create(&dir.path().join("none/x")).is_err());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(Pending::create(&link).is_err());
    }
}
