//! The service's loop: look, store, tell; and obey.
//!
//! One step at a time: a sweep of the logs every few seconds, an audit of the host at the start and then
//! on its timer. Looking blocks, so it runs on a thread of its own while the loop listens for signals;
//! storing and telling happen in the loop. The order is the promise: what was seen is stored, then told
//! (appended as JSON lines), and only then is the sweep's place in the logs kept. A crash or a full disk
//! anywhere repeats work, and loses nothing.
//!
//! What was told is also recorded in the journal; one that fails is told and stops nothing.
//!
//! What could not be looked at is said in the status line and never closes an alert.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use consensus::Severity;
use rustix::fs::OFlags;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::exit::{Exit, failed};
use crate::service::record::{Recorder, TICK};
use crate::settings::Settings;
use crate::store::{Alert, News, Sighting, Store, StoreError};
use crate::systemd::Notifier;

pub mod host;
mod journal;
mod past;
mod record;
#[cfg(test)]
mod tests;

/// Alerts told at once; the rest follows with the next step.
const TOLD_AT_ONCE_MAX: usize = 1_000;
/// How soon a failed audit is tried again.
const RETRY_AUDIT: Duration = Duration::from_secs(60);
/// After a sweep comes a rest of this many times what it took: busy logs are looked at less often, and
/// never for more than a twentieth of the time.
const SWEEP_REST: u32 = 19;
/// How long the end waits for a step that is under way.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Looks at the host. The real one audits and sweeps; tests have their own.
pub trait Look: Send {
    /// Examines the whole host.
    fn audit(&mut self, settings: &Settings) -> anyhow::Result<Looked>;
    /// Looks through what the logs have got since the last place that was kept.
    fn sweep(&mut self, settings: &Settings) -> anyhow::Result<Looked>;
    /// What the last sweep gave is stored: the next one goes on behind it.
    fn keep_place(&mut self) -> anyhow::Result<()>;
}

/// What one look gave.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// What was seen, judged.
    pub seen: Vec<Sighting>,
    /// Checks that really and wholly looked: only their alerts can be fixed.
    pub checks: BTreeSet<String>,
    /// How much could not be looked at.
    pub incomplete: usize,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read the configuration again.
    Reload,
    /// End.
    Stop,
}

/// What the service is made of, besides its look.
pub struct Parts {
    /// Keeps alerts.
    pub store: Box<dyn Store>,
    /// The configuration as it is.
    pub settings: Settings,
    /// Reads the configuration again.
    pub reload: Box<dyn FnMut() -> anyhow::Result<Settings>>,
    /// Relative alert files are in here.
    pub state_directory: PathBuf,
    /// The way to systemd.
    pub notifier: Notifier,
    /// Seconds since the epoch.
    pub clock: fn() -> i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Audit,
    Sweep,
}

type Done = (Box<dyn Look>, Step, anyhow::Result<Looked>);

/// The running service.
pub struct Service {
    parts: Parts,
    /// Away while a step is under way.
    look: Option<Box<dyn Look>>,
    /// When the last step began.
    started: Instant,
    next_audit: Instant,
    next_sweep: Instant,
    incomplete: [usize; 2],
    last_audit: Option<i64>,
    trouble: Option<String>,
    recorder: Recorder,
}

impl Service {
    /// A service that has not begun; its first step is an audit.
    pub fn new(look: Box<dyn Look>, parts: Parts) -> Self {
        let now = Instant::now();
        // What is out of bounds was refused when the configuration was read.
        let options = parts.settings.journal.options().unwrap_or_default();
        Self {
            recorder: Recorder::new(&parts.state_directory, options),
            parts,
            look: Some(look),
            started: now,
            next_audit: now,
            next_sweep: now,
            incomplete: [0; 2],
            last_audit: None,
            trouble: None,
        }
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self, mut wishes: Receiver<Wish>) -> anyhow::Result<()> {
        self.parts.notifier.ready();
        self.recorder.started();
        let mut tick = Instant::now() + TICK;
        let mut running: Option<JoinHandle<Done>> = None;
        loop {
            running = running.or_else(|| self.start_what_is_due());
            let wake = self.wake();
            let under_way = running.is_some();
            let end_of_step = async {
                match &mut running {
                    Some(step) => step.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(Wish::Reload) => self.reload(),
                    Some(Wish::Stop) | None => break,
                },
                done = end_of_step => {
                    running = None;
                    self.settle(ended(done)?);
                }
                () = sleep_until(wake), if !under_way => self.alive(),
                // Epochs end while a long look is under way, too.
                () = sleep_until(tick) => {
                    self.recorder.tick();
                    tick = Instant::now() + TICK;
                }
            }
        }
        self.stop(running).await
    }

    fn start_what_is_due(&mut self) -> Option<JoinHandle<Done>> {
        let now = Instant::now();
        let step = match () {
            () if now >= self.next_audit => Step::Audit,
            () if now >= self.next_sweep => Step::Sweep,
            () => return None,
        };
        let mut look = self.look.take()?;
        self.started = now;
        let settings = self.parts.settings.clone();
        Some(tokio::task::spawn_blocking(move || {
            let looked = match step {
                Step::Audit => look.audit(&settings),
                Step::Sweep => look.sweep(&settings),
            };
            (look, step, looked)
        }))
    }

    /// When there is something to do next, if only to feed the watchdog.
    fn wake(&self) -> Instant {
        let due = self.next_audit.min(self.next_sweep);
        match self.parts.notifier.feed_every() {
            Some(often) => due.min(Instant::now() + often),
            None => due,
        }
    }

    /// Takes what a step gave: store, tell, keep the place. Trouble is told, and the step comes again.
    fn settle(&mut self, (mut look, step, looked): Done) {
        let agent = &self.parts.settings.agent;
        let (audit_every, sweep_every) = (agent.audit_every.0, agent.sweep_every.0);
        let now = Instant::now();
        match step {
            Step::Audit => self.next_audit = now + audit_every,
            Step::Sweep => {
                let took = now.duration_since(self.started);
                self.next_sweep = now + sweep_every.max(took * SWEEP_REST);
            }
        }
        let settled = looked.and_then(|looked| {
            self.store(step, &looked)?;
            self.tell()?;
            if step == Step::Sweep {
                look.keep_place().context("the place in the logs is not kept")?;
            }
            Ok(())
        });
        if let (Err(_), Step::Audit) = (&settled, step) {
            // Not a whole day later.
            self.next_audit = now + audit_every.min(RETRY_AUDIT);
        }
        self.look = Some(look);
        self.note(settled.err());
        self.alive();
    }

    fn store(&mut self, step: Step, looked: &Looked) -> anyhow::Result<()> {
        let now = (self.parts.clock)();
        let store = &mut self.parts.store;
        store.upsert(&looked.seen, now).context("the store does not take alerts")?;
        self.recorder.judged(&looked.seen);
        self.incomplete[step as usize] = looked.incomplete;
        if step == Step::Audit {
            let seen = looked.seen.iter().map(|seen| seen.fingerprint.clone()).collect();
            store.mark_fixed(&looked.checks, &seen).context("the store does not close alerts")?;
            store
                .prune(now.saturating_sub(self.parts.settings.agent.keep.seconds()))
                .context("the store does not forget old alerts")?;
            self.last_audit = Some(now);
        }
        Ok(())
    }

    /// Appends what is new or risen to the alerts' file, then takes note that it was told.
    fn tell(&mut self) -> anyhow::Result<()> {
        let settings = &self.parts.settings.agent;
        let news = self.parts.store.untold(settings.alert_from, TOLD_AT_ONCE_MAX)?;
        if news.is_empty() {
            return Ok(());
        }
        let path = self.parts.state_directory.join(&settings.alerts);
        let mut lines = Vec::new();
        for alert in &news {
            serde_json::to_writer(&mut lines, &Line::of(alert, (self.parts.clock)())?)?;
            lines.push(b'\n');
        }
        append(&path, &lines).with_context(|| path.display().to_string())?;
        self.recorder.told(&news);
        let told: Vec<&str> = news.iter().map(|alert| alert.seen.fingerprint.as_str()).collect();
        Ok(self.parts.store.mark_told(&told)?)
    }

    /// New trouble goes to stderr (the journal) once, not with every step.
    fn note(&mut self, trouble: Option<anyhow::Error>) {
        let trouble = trouble.map(|error| scanner::redact::line(&format!("{error:#}")));
        match (&self.trouble, &trouble) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                say!("wardmote: error: {now}");
            }
            (Some(_), None) => say!("wardmote: the trouble is over"),
            _ => {}
        }
        self.trouble = trouble;
    }

    /// Feeds the watchdog and says how things are; asks the store first, so that it proves something.
    fn alive(&mut self) {
        let store = &self.parts.store;
        let mut line = open_alerts(&**store)
            .unwrap_or_else(|error| format!("the store cannot be read: {error}"));
        match self.last_audit.and_then(|at| jiff::Timestamp::from_second(at).ok()) {
            Some(at) => line.push_str(&format!("; last audit {at}")),
            None => line.push_str("; first audit under way"),
        }
        let incomplete: usize = self.incomplete.iter().sum();
        if incomplete > 0 {
            line.push_str(&format!("; {incomplete} things could not be looked at"));
        }
        if store.evicted() > 0 {
            line.push_str(&format!("; {} alerts made room", store.evicted()));
        }
        let own = self.recorder.trouble();
        for trouble in self.trouble.as_deref().into_iter().chain(own) {
            line.push_str(&format!("; TROUBLE: {trouble}"));
        }
        self.parts.notifier.status(&line);
        self.parts.notifier.feed_watchdog();
    }

    /// Takes a new configuration, or keeps the old one and says why.
    fn reload(&mut self) {
        self.parts.notifier.reloading();
        match (self.parts.reload)() {
            Ok(settings) => {
                let now = Instant::now();
                self.next_sweep = self.next_sweep.min(now + settings.agent.sweep_every.0);
                // What the audit looks at may have changed: look again now.
                self.next_audit = now;
                self.parts.settings = settings;
                say!("wardmote: configuration reloaded");
                self.recorder.reloaded(None);
            }
            Err(error) => {
                say!("wardmote: error: {error:#}\nwardmote: the old configuration holds");
                self.recorder.reloaded(Some(&scanner::redact::line(&format!("{error:#}"))));
                self.parts.notifier.status("the new configuration is wrong; the old one holds");
            }
        }
        self.parts.notifier.ready();
    }

    /// Ends: a step that is under way may finish, so that what it saw is stored.
    async fn stop(mut self, running: Option<JoinHandle<Done>>) -> anyhow::Result<()> {
        self.parts.notifier.stopping();
        if let Some(step) = running
            && let Ok(done) = timeout(STOP_WAIT, step).await
        {
            self.settle(ended(done)?);
        }
        self.recorder.stopped("told to stop");
        Ok(())
    }
}

/// How many alerts are open, and the worst of them.
fn open_alerts(store: &dyn Store) -> Result<String, StoreError> {
    let (open, high) = (store.open_count(Severity::Info)?, store.open_count(Severity::High)?);
    let mut line = format!("{open} open alerts, {high} high or critical");
    if let Some(worst) = store.open_alerts(1)?.first() {
        line.push_str(&format!("; worst: {} ({})", worst.seen.title, worst.seen.severity));
    }
    Ok(line)
}

/// A panic while looking is ours: the service ends and is started again.
fn ended(done: Result<Done, tokio::task::JoinError>) -> anyhow::Result<Done> {
    done.map_err(|_| failed("a step ended with an internal error", "", Exit::Internal))
}

/// One line of the alerts' file.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    time: String,
    news: Option<News>,
    #[serde(flatten)]
    alert: &'a Alert,
}

impl<'a> Line<'a> {
    fn of(alert: &'a Alert, now: i64) -> anyhow::Result<Self> {
        let time = jiff::Timestamp::from_second(now)?.to_string();
        Ok(Self { schema: "wardmote.alert/1", time, news: alert.untold, alert })
    }
}

/// Appends whole lines to a private file and to the disk. The file is opened each time, so that it can be
/// rotated at will; a line that an earlier full disk has cut is ended first.
fn append(path: &Path, lines: &[u8]) -> std::io::Result<()> {
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
