//! Where a sweep got to, kept between runs: the state file, its lock, and reports that go with it.
//!
//! Two sweeps never move one state: the second ends with 75. A report is out before the state that
//! speaks of it counts, so nothing is lost when the run is killed at any point. With `--output` nothing
//! is told twice either: the report waits under a hidden name, the next state is written beside the old
//! one with that name in it, and then the report gets its real name. Whether the hidden name is still
//! there tells the next run which of the two states holds. A report on stdout cannot be taken back: a
//! run that is killed after it wrote and before its state was saved is repeated by the next one, word
//! for word, with the same ids, paths and offsets.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use scanner::logs::checkpoint::{Checkpoint, STATE_BYTES_MAX};
use serde::{Deserialize, Serialize};

use crate::exit::{self, Exit};
use crate::output;
use crate::pending::{Named, at, replaceable};
use crate::secrets::open_regular;

/// A state file, locked while the sweep runs.
pub struct Cursor {
    path: PathBuf,
    /// Where the logs were left.
    pub checkpoint: Checkpoint,
    /// There was no state before.
    pub fresh: bool,
    _lock: File,
}

/// A state that holds as soon as the report has its name.
#[derive(Serialize, Deserialize)]
struct Next {
    /// The report's hidden name.
    report: PathBuf,
    state: serde_json::Value,
}

impl Cursor {
    /// Locks and reads a state; what a killed run left half done is finished or undone first.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let lock = lock(&path)?;
        recover(&path)?;
        let state = read(&path)?;
        let checkpoint = match &state {
            None => Checkpoint::new(),
            Some(bytes) => Checkpoint::from_json(bytes).map_err(|error| {
                let hint = "move it away: the next sweep then begins anew";
                exit::hinted(format!("{}: {error}", path.display()), hint)
            })?,
        };
        Ok(Self { path, checkpoint, fresh: state.is_none(), _lock: lock })
    }

    /// Whether what could not be looked at differs from last time.
    pub fn news(&mut self, incomplete: &[String]) -> bool {
        let news = !incomplete.is_empty() && self.checkpoint.said != incomplete;
        self.checkpoint.said = incomplete.to_vec();
        news
    }

    /// Keeps the state; after the report is out.
    pub fn save(&self) -> anyhow::Result<()> {
        replace(&self.path, &self.checkpoint.to_json())
    }

    /// Puts a report under its name and keeps the state with it: both, or neither.
    pub fn publish(&self, output: &Path, report: &[u8]) -> anyhow::Result<()> {
        let state = self.checkpoint.to_json();
        let hidden = hide(output, report)?;
        let next = Next { report: hidden.clone(), state: serde_json::from_slice(&state)? };
        let done = replace(&next_of(&self.path), &serde_json::to_vec(&next)?);
        let done = done.and_then(|()| {
            std::fs::rename(&hidden, output).map_err(|error| at(output, &error))?;
            synced(output)?;
            replace(&self.path, &state)
        });
        if done.is_err() {
            // Undoes what is not out yet; after the rename there is nothing left to undo.
            let _ = std::fs::remove_file(&hidden);
        }
        done?;
        remove(&next_of(&self.path))
    }
}

/// Writes a report to the disk under a hidden name beside its own.
fn hide(output: &Path, report: &[u8]) -> anyhow::Result<PathBuf> {
    replaceable(output).map_err(|error| at(output, &error))?;
    let output = std::path::absolute(output)?;
    let (Some(folder), Some(name)) = (output.parent(), output.file_name()) else {
        return Err(exit::hinted(format!("{}: not a file name", output.display()), ""));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".report");
    let hidden = folder.join(hidden);
    let write = || {
        // Of a run that was killed before its state named this.
        let _ = std::fs::remove_file(&hidden);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&hidden)?;
        file.write_all(report)?;
        output::give_to_sudo_user(&file, folder);
        file.sync_all()
    };
    write().map_err(|error| at(&output, &error))?;
    synced(&hidden)?;
    Ok(hidden)
}

/// Finishes or undoes what a killed run left.
fn recover(path: &Path) -> anyhow::Result<()> {
    let next = next_of(path);
    let Some(bytes) = read(&next)? else { return Ok(()) };
    let Ok(Next { report, state }) = serde_json::from_slice(&bytes) else {
        let hint = "remove it: at worst one report is told twice";
        return Err(exit::hinted(format!("{}: damaged", next.display()), hint));
    };
    let ours = report.extension().is_some_and(|end| end == "report");
    if ours && std::fs::symlink_metadata(&report).is_ok() {
        // The report is not out: the old state holds.
        std::fs::remove_file(&report).map_err(|error| at(&report, &error))?;
        synced(&report)?;
    } else {
        replace(path, &serde_json::to_vec(&state)?)?;
    }
    remove(&next)
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path, &error)),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let file = open_regular(path)?;
    Named(file.take(STATE_BYTES_MAX as u64 + 4096), path).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    output::replace(path, bytes, 0o600)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).map_err(|error| at(path, &error))
}

/// What was done to the name of a file is on the disk.
fn synced(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at(folder, &error))
}

fn next_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

/// Holds the lock of a state file, or ends with 75.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // Never led elsewhere by a link, never waiting for the reader of a FIFO.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(&name)
        .map_err(|error| anyhow::anyhow!("{}: {error}", Path::new(&name).display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(error) if error != rustix::io::Errno::WOULDBLOCK => {
            Err(anyhow::anyhow!("{}: {error}", Path::new(&name).display()))
        }
        Err(_) => {
            let message = format!("{}: another sweep is running", path.display());
            Err(exit::failed(message, "wait for it, or use another --state", Exit::Busy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn open(&self) -> Cursor {
            Cursor::open(self.path("state")).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.0.path()).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_report_and_its_state_come_out_together() {
        let place = Place(tempfile::tempdir().unwrap());
        let mut cursor = place.open();
        assert!(cursor.fresh);
        cursor.checkpoint.journal_cursor = Some("one".into());
        cursor.publish(&place.path("out"), b"report").unwrap();
        drop(cursor);
        assert_eq!(place.names(), ["out", "state", "state.lock"]);
        assert_eq!(std::fs::read(place.path("out")).unwrap(), b"report");
        let cursor = place.open();
        assert_eq!(
            (cursor.fresh, cursor.checkpoint.journal_cursor.as_deref()),
            (false, Some("one"))
        );
    }

    /// The two halves of the protocol, as a kill between them leaves them.
    #[test]
    fn what_a_killed_run_left_is_finished_or_undone() {
        for published in [false, true] {
            let place = Place(tempfile::tempdir().unwrap());
            let mut cursor = place.open();
            cursor.save().unwrap();
            cursor.checkpoint.journal_cursor = Some("next".into());
            let hidden = hide(&place.path("out"), b"report").unwrap();
            let state = serde_json::from_slice(&cursor.checkpoint.to_json()).unwrap();
            let next = Next { report: hidden.clone(), state };
            replace(&place.path("state.next"), &serde_json::to_vec(&next).unwrap()).unwrap();
            if published {
                std::fs::rename(&hidden, place.path("out")).unwrap();
                // Whoever reads reports has taken it away already.
                std::fs::remove_file(place.path("out")).unwrap();
            }
            drop(cursor);
            let cursor = place.open();
            let wanted = published.then_some("next");
            assert_eq!(cursor.checkpoint.journal_cursor.as_deref(), wanted);
            assert_eq!(place.names(), ["state", "state.lock"]);
        }
    }

    #[test]
    fn a_damaged_state_or_next_state_is_said() {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.path("state.next"), "{").unwrap();
        assert!(Cursor::open(place.path("state")).is_err());
        std::fs::remove_file(place.path("state.next")).unwrap();
        std::fs::write(place.path("state"), "{").unwrap();
        assert!(Cursor::open(place.path("state")).is_err());
    }
}
