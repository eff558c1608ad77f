//! Tells what is news: alerts and cases, as lines of JSON at the end of a file. That they are about to be told
//! is kept before ([`Intent`]), and that they were when the lines are on the disk. Whoever starts after a crash
//! in between looks at the end of the file: whole lines were told, and a part of them is taken back and told
//! again. Only a file that was rotated away meanwhile cannot be asked: then it is told twice, and nobody misses
//! anything.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::OFlags;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::pipeline::case::{CaseFile, case_file};
use crate::settings::AgentSettings;
use crate::store::intents::Appended;
use crate::store::{Alert, Intent, News, Store, Told};

/// Most alerts, and most cases, told at once.
pub(super) const TOLD_AT_ONCE_MAX: usize = 1_000;

/// Tells, at one moment.
pub(super) struct Teller<'a> {
    pub settings: &'a AgentSettings,
    /// Relative files are in here.
    pub state_directory: &'a Path,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Teller<'_> {
    /// Appends the alerts that are new or have risen, and gives how many; `record` is called before they are
    /// noted as told.
    pub fn tell_alerts(
        &self,
        store: &mut dyn Store,
        record: impl FnOnce(&[Alert]),
    ) -> anyhow::Result<usize> {
        let news = store.untold(self.settings.alert_from, TOLD_AT_ONCE_MAX)?;
        if news.is_empty() {
            return Ok(0);
        }
        let time = self.time()?;
        let schema = "wardmote.alert/1";
        let lines =
            news.iter().map(|alert| Line { schema, time: &time, news: alert.untold, alert });
        let prints: Vec<&str> = news.iter().map(|alert| alert.seen.fingerprint.as_str()).collect();
        let told = Told::Alerts(prints.iter().map(ToString::to_string).collect());
        self.append(store, &self.settings.alerts, told, lines)?;
        record(&news);
        store.mark_told(&prints)?;
        Ok(news.len())
    }

    /// Appends the cases of which there are news, and has `notify` take them before they count as told;
    /// gives them as they were told.
    pub fn tell_cases(
        &self,
        store: &mut dyn Store,
        notify: impl FnOnce(&[CaseFile]),
    ) -> anyhow::Result<Vec<CaseFile>> {
        let mut news = store.untold_cases(self.settings.alert_from, TOLD_AT_ONCE_MAX)?;
        if news.is_empty() {
            return Ok(news);
        }
        let time = self.time()?;
        let schema = "wardmote.case/1";
        let lines =
            news.iter().map(|case| CaseLine { schema, time: &time, news: case.untold, case });
        // Notes carry the case's number and level: one that a crash lets come twice is known to its taker.
        notify(&news);
        let told = Told::Cases(news.iter().map(|case| case.id).collect());
        self.append(store, &self.settings.cases, told, lines)?;
        note_told(&mut news);
        store.cases_told(&news)?;
        Ok(news)
    }

    /// What an earlier run was about to tell: when its lines are in the file they were told; a part of them is
    /// taken back. `record` is called for alerts that were told.
    pub fn recover(
        &self,
        store: &mut dyn Store,
        mut record: impl FnMut(&Told, i64, &[Alert]),
    ) -> anyhow::Result<()> {
        for intent in store.intents()? {
            let Intent { told, at, file } = &intent;
            let wrote = |name: &Path| -> anyhow::Result<bool> {
                let path = self.state_directory.join(name);
                let Some(file) = file else { return Ok(false) };
                find_end(&path, file).with_context(|| path.display().to_string())
            };
            match told {
                Told::Alerts(prints) => {
                    if wrote(&self.settings.alerts)? {
                        record(told, *at, &kept(store, prints)?);
                        let prints: Vec<&str> = prints.iter().map(String::as_str).collect();
                        store.mark_told(&prints)?;
                    }
                }
                Told::Cases(ids) => {
                    if wrote(&self.settings.cases)? {
                        let files: Result<Vec<_>, _> =
                            ids.iter().map(|id| store.case(*id)).collect();
                        let mut files: Vec<CaseFile> = files?.into_iter().flatten().collect();
                        note_told(&mut files);
                        store.cases_told(&files)?;
                    }
                }
                Told::Judged(prints) => record(told, *at, &kept(store, prints)?),
            }
            store.forget_intent(intent.sort())?;
        }
        Ok(())
    }

    fn time(&self) -> anyhow::Result<String> {
        Ok(jiff::Timestamp::from_second(self.now)?.to_string())
    }

    fn append<T: Serialize>(
        &self,
        store: &mut dyn Store,
        file: &Path,
        told: Told,
        lines: impl Iterator<Item = T>,
    ) -> anyhow::Result<()> {
        let path = self.state_directory.join(file);
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        let named = || path.display().to_string();
        let (file, inode, offset) = opened(&path).with_context(named)?;
        let appended =
            Appended { inode, offset, bytes: bytes.len() as u64, digest: digest(&bytes) };
        store.intend(&Intent { told, at: self.now, file: Some(appended) })?;
        write(file, &bytes).with_context(named)
    }
}

/// Cases as they are once they were told.
fn note_told(files: &mut [CaseFile]) {
    for file in files {
        file.told = Some(file.as_told());
        file.untold = None;
    }
}

/// Of these alerts the ones that are still kept.
fn kept(store: &dyn Store, prints: &[String]) -> anyhow::Result<Vec<Alert>> {
    let alerts: Result<Vec<_>, _> = prints.iter().map(|print| store.alert(print)).collect();
    Ok(alerts?.into_iter().flatten().collect())
}

/// One line of the alerts' file.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    time: &'a str,
    news: Option<News>,
    #[serde(flatten)]
    alert: &'a Alert,
}

/// One line of the cases' file.
#[derive(Serialize)]
struct CaseLine<'a> {
    schema: &'static str,
    time: &'a str,
    news: Option<case_file::News>,
    #[serde(flatten)]
    case: &'a CaseFile,
}

/// Opens the file that lines are appended to: its inode, and where the next line begins. It is opened each
/// time, so that it can be rotated at will; a line that an earlier full disk has cut is ended first.
fn opened(path: &Path) -> std::io::Result<(File, u64, u64)> {
    let careful = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(careful.bits().cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut length = meta.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
        length += 1;
    }
    Ok((file, meta.ino(), length))
}

/// Appends whole lines, and waits for the disk. What a full disk took of them is taken back.
fn write(mut file: File, lines: &[u8]) -> std::io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(lines).and_then(|()| file.sync_data());
    if written.is_err() {
        // Where even that fails, the next line ends the cut one.
        let _ = file.set_len(before);
    }
    written
}

/// Whether the lines are at the end of the file; a part of them there is taken back.
fn find_end(path: &Path, lines: &Appended) -> std::io::Result<bool> {
    let careful = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(careful.bits().cast_signed())
        .open(path);
    let file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let meta = file.metadata()?;
    let end = lines.offset + lines.bytes;
    if !meta.is_file() || meta.ino() != lines.inode || meta.len() < lines.offset || meta.len() > end
    {
        return Ok(false);
    }
    if meta.len() < end {
        file.set_len(lines.offset)?;
        return Ok(false);
    }
    let mut bytes = vec![0; usize::try_from(lines.bytes).map_err(std::io::Error::other)?];
    file.read_exact_at(&mut bytes, lines.offset)?;
    // A power cut can leave a file that is long enough and holds nothing.
    let whole = digest(&bytes) == lines.digest;
    if whole {
        file.sync_data()?;
    } else {
        file.set_len(lines.offset)?;
    }
    Ok(whole)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Appends whole lines to a private file and to the disk.
pub fn append(path: &Path, lines: &[u8]) -> std::io::Result<()> {
    write(opened(path)?.0, lines)
}

#[cfg(test)]
mod tests {
    use consensus::Severity;

    use super::*;
    use crate::service::tests::{seen, settings};
    use crate::store::Parts as _;
    use crate::store::memory::MemoryStore;

    /// A store with an alert that was about to be told, and the file with `cut` bytes less than all of it.
    fn crashed(dir: &Path, cut: usize) -> (MemoryStore, crate::settings::Settings, Vec<u8>) {
        let settings = settings();
        let mut store = MemoryStore::new(9);
        store.upsert(&[seen("a", Severity::High)], 1).unwrap();
        let path = dir.join(&settings.agent.alerts);
        append(&path, b"{\"earlier\":1}\n").unwrap();
        let (file, inode, offset) = opened(&path).unwrap();
        let lines = b"{\"fingerprint\":\"a\"}\n".to_vec();
        let (bytes, digest) = (lines.len() as u64, digest(&lines));
        let file_lines = Appended { inode, offset, bytes, digest };
        let told = Told::Alerts(vec!["a".into()]);
        store.intend(&Intent { told, at: 1, file: Some(file_lines) }).unwrap();
        write(file, &lines[..lines.len() - cut]).unwrap();
        (store, settings, lines)
    }

    fn recovered(dir: &Path, store: &mut MemoryStore, settings: &AgentSettings) -> usize {
        let teller = Teller { settings, state_directory: dir, now: 2 };
        let mut recorded = 0;
        teller.recover(store, |_, _, alerts| recorded += alerts.len()).unwrap();
        assert!(store.intents().unwrap().is_empty());
        recorded
    }

    #[test]
    fn what_was_told_before_a_crash_is_not_told_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, settings, lines) = crashed(dir.path(), 0);
        assert_eq!(recovered(dir.path(), &mut store, &settings.agent), 1);
        assert!(store.untold(Severity::Info, 9).unwrap().is_empty());
        let text = std::fs::read(dir.path().join(&settings.agent.alerts)).unwrap();
        assert_eq!(text, [b"{\"earlier\":1}\n".as_slice(), &lines].concat());
    }

    #[test]
    fn a_part_of_it_is_taken_back_and_told_again() {
        for cut in 1..=20 {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, settings, _) = crashed(dir.path(), cut);
            assert_eq!(recovered(dir.path(), &mut store, &settings.agent), 0);
            assert_eq!(store.untold(Severity::Info, 9).unwrap().len(), 1);
            let text = std::fs::read(dir.path().join(&settings.agent.alerts)).unwrap();
            assert_eq!(text, b"{\"earlier\":1}\n", "{cut}");
        }
    }

    #[test]
    fn a_file_that_was_rotated_away_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, settings, _) = crashed(dir.path(), 5);
        let path = dir.path().join(&settings.agent.alerts);
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "{\"another\":\"hand\"}\n{\"x\":1}\n").unwrap();
        assert_eq!(recovered(dir.path(), &mut store, &settings.agent), 0);
        assert_eq!(store.untold(Severity::Info, 9).unwrap().len(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"another\":\"hand\"}\n{\"x\":1}\n");
        std::fs::remove_file(&path).unwrap();
    }
}
