//! Tells what is news: alerts and cases, as lines of JSON at the end of a file. What was told is noted only
//! when the lines are on the disk: a crash between tells it twice, and nobody misses anything.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::OFlags;
use serde::Serialize;

use crate::pipeline::case::{CaseFile, case_file};
use crate::settings::AgentSettings;
use crate::store::{Alert, News, Store};

/// Alerts or cases told at once; the rest follows with the next step.
const TOLD_AT_ONCE_MAX: usize = 1_000;

/// Tells, at one moment.
pub(super) struct Teller<'a> {
    pub settings: &'a AgentSettings,
    /// Relative files are in here.
    pub state_directory: &'a Path,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Teller<'_> {
    /// Appends the alerts that are new or have risen; `record` is called before they are noted as told.
    pub fn tell_alerts(
        &self,
        store: &mut dyn Store,
        record: impl FnOnce(&[Alert]),
    ) -> anyhow::Result<()> {
        let news = store.untold(self.settings.alert_from, TOLD_AT_ONCE_MAX)?;
        if news.is_empty() {
            return Ok(());
        }
        let time = self.time()?;
        let schema = "wardmote.alert/1";
        let lines =
            news.iter().map(|alert| Line { schema, time: &time, news: alert.untold, alert });
        self.append(&self.settings.alerts, lines)?;
        record(&news);
        let told: Vec<&str> = news.iter().map(|alert| alert.seen.fingerprint.as_str()).collect();
        Ok(store.mark_told(&told)?)
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
        self.append(&self.settings.cases, lines)?;
        notify(&news);
        for file in &mut news {
            file.told = Some(file.as_told());
            file.untold = None;
        }
        store.put_cases(&news, &[])?;
        Ok(news)
    }

    fn time(&self) -> anyhow::Result<String> {
        Ok(jiff::Timestamp::from_second(self.now)?.to_string())
    }

    fn append<T: Serialize>(
        &self,
        file: &Path,
        lines: impl Iterator<Item = T>,
    ) -> anyhow::Result<()> {
        let path = self.state_directory.join(file);
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line)?;
            bytes.push(b'\n');
        }
        append(&path, &bytes).with_context(|| path.display().to_string())
    }
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

/// Appends whole lines to a private file and to the disk. The file is opened each time, so that it can be
/// rotated at will; a line that an earlier full disk has cut is ended first.
pub fn append(path: &Path, lines: &[u8]) -> std::io::Result<()> {
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
    let mut last = [b'\n'];
    if meta.len() > 0 {
        file.read_exact_at(&mut last, meta.len() - 1)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    file.sync_data()
}
