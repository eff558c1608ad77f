//! The feedback log: what operators said about findings, one JSON line a click, never rewritten but for
//! folding.
//!
//! `feedback.jsonl` in the state directory, mode 0600. A click is on the disk when the command ends; a
//! line that a crash has cut is ended first, and counted as unreadable by whoever reads. A log that
//! others may write is refused: whoever can write it can turn the panel's head. Folding (beyond
//! [`consensus::learn::CLICKS_MAX`] clicks) replaces the file whole, under the same lock.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use consensus::learn::{CLICKS_MAX, Click, LOG_BYTES_MAX, Log, Unread};
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::commands::audit::create_private;
use crate::exit::hinted;
use crate::output;
use crate::pending::at;
use crate::settings::{bounded, is_missing};

const FILE: &str = "feedback.jsonl";
const LOCK: &str = "feedback.lock";

/// Where the log is.
pub fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Reads the log; a missing one is empty.
pub fn read(state: &Path) -> anyhow::Result<(Log, Unread)> {
    let path = path(state);
    let Some(bytes) = bytes(state)? else { return Ok(Default::default()) };
    Log::read(&bytes).map_err(|error| hinted(format!("{}: {error}", path.display()), ""))
}

/// The log as it stands in its file, if there is one that nobody else could have written.
pub fn bytes(state: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let path = path(state);
    if is_missing(&path) {
        return Ok(None);
    }
    let (bytes, meta) = bounded(&path, LOG_BYTES_MAX as u64, "use sudo, or move it away")?;
    if meta.mode() & 0o022 != 0 {
        return Err(hinted(
            format!("{}: others may write it", path.display()),
            format!("chmod 600 {}, and think about who has written it", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// Appends a click and puts it on the disk; how many older ones were folded for it.
pub fn append(state: &Path, click: &Click, now: i64) -> anyhow::Result<usize> {
    create_private(state).map_err(|error| at(state, &error))?;
    let path = path(state);
    let lock = careful(&state.join(LOCK)).map_err(|error| at(&state.join(LOCK), &error))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| at(&path, &error.into()))?;
    write(&path, Log::line(click).as_bytes()).map_err(|error| at(&path, &error))?;
    File::open(state).and_then(|folder| folder.sync_all()).map_err(|error| at(state, &error))?;
    let (mut log, _) = read(state)?;
    if log.clicks.len() <= CLICKS_MAX {
        return Ok(0);
    }
    let folded = log.fold(now);
    output::replace(&path, log.text().as_bytes(), 0o600).map_err(|error| at(&path, &error))?;
    Ok(folded)
}

/// Never led elsewhere by a link, never waiting for a FIFO.
fn careful(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn write(path: &Path, line: &[u8]) -> std::io::Result<()> {
    let mut file = careful(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.mode() & 0o022 != 0 {
        return Err(std::io::Error::other("not a regular file that only its owner may write"));
    }
    if meta.len() + line.len() as u64 + 1 > LOG_BYTES_MAX as u64 {
        return Err(std::io::Error::other("the feedback log is full: move it away"));
    }
    let mut last = [b'\n'];
    if meta.len() > 0 {
        file.read_exact_at(&mut last, meta.len() - 1)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    file.write_all(line)?;
    output::give_to_sudo_user(&file, path.parent().unwrap_or(Path::new(".")));
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use consensus::learn::Word;
    use consensus::{Kind, Severity};

    use super::*;

    fn click(trace: &str) -> Click {
        Click {
            time: 1_700_000_000,
            operator: 1000,
            trace: trace.into(),
            finding: "3fa9c1d25b07".into(),
            word: Word::Dismiss,
            kind: Kind::Posture,
            severity: Severity::High,
            shown: 1.0,
            opinions: Vec::new(),
            note: "lab".into(),
        }
    }

    #[test]
    fn clicks_are_appended_privately_and_a_cut_line_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        append(&state, &click("a"), 0).unwrap();
        let file = path(&state);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let mut cut = File::options().append(true).open(&file).unwrap();
        cut.write_all(b"{\"click\":{\"ti").unwrap();
        append(&state, &click("b"), 0).unwrap();
        let (log, unread) = read(&state).unwrap();
        let traces: Vec<&str> = log.clicks.iter().map(|click| click.trace.as_str()).collect();
        assert_eq!((traces, unread.lines), (vec!["a", "b"], vec![2]));
    }

    #[test]
    fn a_log_that_others_may_write_or_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), &click("a"), 0).unwrap();
        let file = path(dir.path());
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o620)).unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("others may write it"));
        assert!(append(dir.path(), &click("b"), 0).is_err());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert!(append(dir.path(), &click("b"), 0).is_err());
    }

    #[test]
    fn a_full_log_is_folded() {
        let dir = tempfile::tempdir().unwrap();
        let clicks = (0..CLICKS_MAX)
            .map(|n| {
                let time = 1_600_000_000 + 3_600 * i64::try_from(n).unwrap();
                Click { time, ..click(&format!("{n}")) }
            })
            .collect();
        let full = Log { folded: None, clicks };
        output::replace(&path(dir.path()), full.text().as_bytes(), 0o600).unwrap();
        assert!(append(dir.path(), &click("new"), 1_700_000_000).unwrap() > 0);
        let (log, unread) = read(dir.path()).unwrap();
        assert_eq!((log.position(), unread.count), (CLICKS_MAX as u64 + 1, 0));
        assert!(log.clicks.len() < CLICKS_MAX && log.folded.is_some());
    }
}
