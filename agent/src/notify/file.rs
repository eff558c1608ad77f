//! Files: a note a line, as our JSON or as OCSF's Detection Finding; rotated by size.
//!
//! A full file is renamed `NAME.1` (and so on, the oldest removed) before the next line is written, so a
//! line is never in two files; each line is on the disk when `send` returns.

use std::path::{Path, PathBuf};

use super::{Failure, Note, Notifier, ocsf};
use crate::service::tell::append;
use crate::settings::{FileFormat, FileSettings};

/// One file.
pub struct Lines {
    path: PathBuf,
    format: FileFormat,
    bytes_max: u64,
    keep: u32,
}

impl Lines {
    /// A relative path is below the state directory.
    pub fn new(settings: &FileSettings, state_directory: &Path) -> Self {
        Self {
            path: state_directory.join(&settings.path),
            format: settings.format,
            bytes_max: settings.bytes_max,
            keep: settings.keep,
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Makes room for so many bytes more.
    fn rotate(&self, more: u64) -> std::io::Result<()> {
        let size = match std::fs::symlink_metadata(&self.path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if size == 0 || size + more <= self.bytes_max {
            return Ok(());
        }
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))
    }
}

impl Notifier for Lines {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let value = match self.format {
            FileFormat::Jsonl => note.json(),
            FileFormat::Ocsf => ocsf::finding(note),
        };
        let line = format!("{value}\n");
        let done =
            self.rotate(line.len() as u64).and_then(|()| append(&self.path, line.as_bytes()));
        done.map_err(|error| Failure::Later(format!("{}: {error}", self.path.display())))
    }
}
