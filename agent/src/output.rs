//! Where results go: stdout, or a file that is complete or not there at all.

use std::fs::{File, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use clap::ValueEnum;
use consensus::Severity;

use crate::pending::Named;

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether stdout gets colour.
    pub fn on_stdout(self, to_file: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !to_file && !refused && io::stdout().is_terminal()
            }
        }
    }
}

/// Text in the colour of a level: bold red, red, yellow, plain, dim.
pub fn painted(text: &str, level: Severity) -> String {
    let code = match level {
        Severity::Critical => "1;31",
        Severity::High => "31",
        Severity::Medium => "33",
        Severity::Low => "0",
        Severity::Info => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Writes a whole result: to stdout, or atomically (temporary file, fsync, rename) to `file` with
/// mode 0600. A closed pipe is returned as the error it is; `main` turns it into 141.
pub fn write(file: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
    match file {
        None => {
            let mut out = io::stdout().lock();
            Named(&mut out, Path::new("stdout")).write_all(bytes)?;
            Named(&mut out, Path::new("stdout")).flush()?;
            Ok(())
        }
        Some(path) => replace(path, bytes, 0o600)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display())),
    }
}

/// Replaces a file atomically; on any error the old file stays and no temporary one is left.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    crate::pending::replaceable(path)?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::other("not a file name"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let temporary = directory.join(hidden);
    let file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written =
        fill(file, directory, bytes, mode).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    File::open(directory)?.sync_all()
}

fn fill(mut file: File, directory: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    give_to_sudo_user(&file, directory);
    file.sync_all()
}

/// Files made under sudo in a directory of the calling user's belong to that user.
///
/// The open file changes hands, never what stands under its name: whoever owns the directory could put
/// a link to somebody else's file there in between.
pub fn give_to_sudo_user(file: &File, directory: &Path) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let (Some(uid), Some(gid)) = (number("SUDO_UID"), number("SUDO_GID")) else { return };
    give(file, directory, uid, gid);
}

fn give(file: &File, directory: &Path, uid: u32, gid: u32) {
    if std::fs::metadata(directory).is_ok_and(|meta| meta.uid() == uid) {
        let _ = std::os::unix::fs::fchown(file, Some(uid), Some(gid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        replace(&path, b"one", 0o600).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(replace(&dir.path().join("none/x"), b"", 0o600).is_err());
        assert!(replace(dir.path(), b"", 0o600).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_under_sudo_changes_hands_only_in_a_directory_of_the_user() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(12345), None).unwrap();
        let file = tempfile::tempfile().unwrap();
        give(&file, other.path(), 12345, 12345);
        give(&file, &dir.path().join("../.."), 12345, 12345);
        assert_eq!(file.metadata().unwrap().uid(), 0);
        give(&file, dir.path(), 12345, 12345);
        assert_eq!(file.metadata().unwrap().uid(), 12345);
    }
}
