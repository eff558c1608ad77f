//! The service's loop: look, store, tell; and obey.
//!
//! One step at a time: a sweep of the logs every few seconds, an audit of the host at the start and then
//! on its timer. A service that goes on after an earlier one first sweeps what came meanwhile: an audit takes
//! longer, and one that is stopped again and again would never come to the logs.
//!
//! Looking blocks, so it runs on a thread of its own while the loop listens for signals; storing and telling
//! happen in the loop. The order is the promise: what was seen is stored together with the sweep's place in the
//! logs, and then told (appended as JSON lines). What is not stored is seen again, what is stored and not told is
//! told later: a crash or a full disk anywhere loses nothing and doubles nothing.
//!
//! What was told is also recorded in the journal; one that fails is told and stops nothing.
//!
//! What could not be looked at is said in the status line and never closes an alert.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use consensus::Severity;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::control::Shared;
use crate::control::metrics::Doors;
use crate::control::status::{Status, Tally};
use crate::events::{Bus, Event, Lately, Wish};
use crate::exit::{Exit, failed};
use crate::notices::{Notice, tell};
use crate::notify::Desk;
use crate::notify::summary::Summaries;
use crate::output;
use crate::pipeline::case::storm::More;
use crate::pipeline::case::{CaseFile, Stage, Timings};
use crate::report::metrics;
use crate::service::record::{SharedRecorder, TICK};
use crate::service::tell::{TOLD_AT_ONCE_MAX, Teller};
use crate::settings::{Settings, Way};
use crate::store::{Brought, Place, Sighting, Store, StoreError, intents};
use crate::systemd::Notifier;

mod aloud;
pub mod host;
mod journal;
#[cfg(test)]
mod long_tests;
#[cfg(test)]
mod overhead_tests;
mod past;
pub mod record;
#[cfg(test)]
mod storm_tests;
mod summary;
pub mod tell;
#[cfg(test)]
mod tests;
pub mod watch;
mod ways_out;

/// How soon a failed audit is tried again.
const RETRY_AUDIT: Duration = Duration::from_secs(60);
/// Metrics are written no more often than this.
const METRICS_EVERY: Duration = Duration::from_secs(10);
/// Something changed: how soon the audit comes, and how far such audits are apart at least.
const CHANGE_SETTLES: Duration = Duration::from_secs(3);
const CHANGE_SPACING: Duration = Duration::from_secs(60);
/// After a sweep comes a rest of this many times what it took: busy logs are looked at less often, and
/// never for more than a twentieth of the time.
const SWEEP_REST: u32 = 19;
/// How long one step tells news before the watchdog is fed again.
const TELLING_MAX: Duration = Duration::from_secs(2);
/// How long the end waits for a step that is under way.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Looks at the host. The real one audits and sweeps; tests have their own.
pub trait Look: Send {
    /// Examines the whole host.
    fn audit(&mut self, settings: &Settings) -> anyhow::Result<Looked>;
    /// Looks through what the logs have got since the last place that was kept.
    fn sweep(&mut self, settings: &Settings) -> anyhow::Result<Looked>;
    /// Whether the logs were looked through before, by an earlier run.
    fn goes_on(&self) -> bool {
        false
    }
    /// What the last sweep gave is stored: the next one goes on behind it.
    fn keep_place(&mut self) -> anyhow::Result<()>;
    /// Somebody was told of these cases.
    fn told(&mut self, cases: &[CaseFile]);
    /// What the process gave up that reads what is hostile, in a few words.
    fn sandbox(&self) -> Option<String> {
        None
    }
}

/// What one look gave.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Looked {
    /// What was seen, judged.
    pub seen: Vec<Sighting>,
    /// More of what is kept already.
    pub more: Vec<More>,
    /// Where the readers of logs go on: kept with the rest, as one.
    pub places: Vec<Place>,
    /// Cases that changed by it.
    pub cases: Vec<CaseFile>,
    /// Numbers of cases that became part of others.
    pub merged: Vec<u64>,
    /// Checks that really and wholly looked: only their alerts can be fixed.
    pub checks: BTreeSet<String>,
    /// How much could not be looked at.
    pub incomplete: usize,
    /// What became of all that the logs showed since the start.
    pub tally: Tally,
    /// What each stage took since the start.
    pub timings: Timings,
    /// Why another audit is due before its time, in one line.
    pub stale: Option<String>,
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
    /// What whoever asks is told.
    pub shared: Shared,
    /// The way to the journal.
    pub recorder: SharedRecorder,
    /// What the parts tell each other.
    pub bus: Bus,
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
    /// The first step is a sweep.
    goes_on: bool,
    next_audit: Instant,
    ended_audit: Option<Instant>,
    next_sweep: Instant,
    incomplete: [usize; 2],
    last_audit: Option<i64>,
    last_sweep: Option<i64>,
    began: i64,
    tally: Tally,
    timings: Timings,
    /// What recording and telling took: the last two stages are the loop's.
    own_timings: Timings,
    trouble: Option<String>,
    sandbox: Option<String>,
    desk: Desk,
    no_desk: Option<String>,
    doors: Doors,
    no_doors: Option<String>,
    wrote_metrics: Option<Instant>,
    metrics_failed: bool,
    lately: Lately,
    summaries: Summaries,
}

impl Service {
    /// A service that has not begun.
    pub fn new(look: Box<dyn Look>, parts: Parts) -> Self {
        let now = Instant::now();
        let began = (parts.clock)();
        let desk = Desk::empty(parts.clock);
        let summaries = Summaries::open(&parts.state_directory);
        let (sandbox, goes_on) = (look.sandbox(), look.goes_on());
        Self {
            parts,
            sandbox,
            desk,
            no_desk: None,
            doors: Doors::default(),
            no_doors: None,
            look: Some(look),
            started: now,
            goes_on,
            next_audit: now,
            ended_audit: None,
            next_sweep: now,
            incomplete: [0; 2],
            last_audit: None,
            last_sweep: None,
            began,
            tally: Tally::default(),
            timings: Timings::default(),
            own_timings: Timings::default(),
            trouble: None,
            wrote_metrics: None,
            metrics_failed: false,
            lately: Lately::default(),
            summaries,
        }
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let bus = self.parts.bus.clone();
        self.write_down();
        self.parts.shared.write_settings(self.parts.settings.clone());
        self.open_desk();
        let unfinished = self.finish();
        self.note(unfinished.err());
        self.open_doors();
        self.parts.notifier.ready();
        self.parts.recorder.lock().started();
        let version = env!("CARGO_PKG_VERSION");
        let fields = [("WARDMOTE_VERSION", version)];
        tell(Notice::Started, None, &fields, &format!("version {version} watches this host"));
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
                event = bus.next() => match event {
                    Event::Wish(Wish::Stop) => break,
                    event => self.hear(&event),
                },
                done = end_of_step => {
                    running = None;
                    self.settle(ended(done)?);
                }
                () = sleep_until(wake), if !under_way => self.alive(),
                // Epochs end while a long look is under way, too.
                () = sleep_until(tick) => {
                    self.parts.recorder.lock().tick();
                    tick = Instant::now() + TICK;
                }
            }
        }
        self.stop(running).await
    }

    /// Ends what an earlier run was about to tell and to record when it was killed.
    fn finish(&mut self) -> anyhow::Result<()> {
        let Parts { store, settings, state_directory, clock, recorder, .. } = &mut self.parts;
        let teller = Teller { settings: &settings.agent, state_directory, now: clock() };
        teller.recover(&mut **store, |told, at, alerts| recorder.lock().recover(told, at, alerts))
    }

    /// Takes an event from the bus.
    fn hear(&mut self, event: &Event) {
        self.lately.note(event, (self.parts.clock)());
        let dropped = self.parts.bus.take_dropped();
        if dropped > 0 {
            self.parts.recorder.lock().lost("events", "the bus was full", dropped);
        }
        if *event == Event::Wish(Wish::Reload) {
            self.reload();
        }
    }

    fn emit(&self, event: Event) {
        // What finds no room is counted by the bus.
        self.parts.bus.emit(event);
    }

    fn start_what_is_due(&mut self) -> Option<JoinHandle<Done>> {
        let now = Instant::now();
        let step = match () {
            () if std::mem::take(&mut self.goes_on) => Step::Sweep,
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
            Step::Audit => {
                self.next_audit = now + audit_every;
                self.ended_audit = Some(now);
            }
            Step::Sweep => {
                let took = now.duration_since(self.started);
                self.next_sweep = now + sweep_every.max(took * SWEEP_REST);
            }
        }
        let settled = looked.and_then(|looked| {
            self.audit_sooner(looked.stale.as_deref(), now);
            let began = std::time::Instant::now();
            let kept = self.store(step, &looked, &mut *look)?;
            let stored = std::time::Instant::now();
            self.tell(&mut *look)?;
            if !looked.seen.is_empty() {
                self.own_timings.add(Stage::Record, stored - began);
                self.own_timings.add(Stage::Respond, stored.elapsed());
            }
            kept
        });
        if let (Err(_), Step::Audit) = (&settled, step) {
            // Not a whole day later.
            self.next_audit = now + audit_every.min(RETRY_AUDIT);
        }
        self.sandbox = look.sandbox();
        self.look = Some(look);
        self.note(settled.err());
        self.alive();
    }

    /// Tells what is news: all of it, or as much as there is time for; then the next step comes at once.
    fn tell(&mut self, look: &mut dyn Look) -> anyhow::Result<()> {
        let until = Instant::now() + TELLING_MAX;
        while self.tell_some(look)? == TOLD_AT_ONCE_MAX {
            if Instant::now() >= until {
                self.next_sweep = Instant::now();
                break;
            }
        }
        Ok(())
    }

    /// Tells some of what is news; gives how many alerts or how many cases, whichever are more.
    fn tell_some(&mut self, look: &mut dyn Look) -> anyhow::Result<usize> {
        let Parts { store, settings, state_directory, clock, recorder, .. } = &mut self.parts;
        let teller = Teller { settings: &settings.agent, state_directory, now: clock() };
        let alerts = teller.tell_alerts(&mut **store, |news| {
            recorder.lock().told(news);
            aloud::alerts(news);
        })?;
        let by_journald = settings.notify.iter().any(|to| matches!(to.way, Way::Journald(_)));
        let notify = |cases: &[CaseFile]| {
            self.desk.accept_cases(cases);
            if !by_journald {
                aloud::cases(cases);
            }
        };
        let told = teller.tell_cases(&mut **store, notify)?;
        for case in &told {
            let line = format!("#{} {} ({})", case.id, case.title, case.severity);
            self.parts.bus.emit(Event::Case(line.into()));
        }
        look.told(&told);
        Ok(alerts.max(told.len()))
    }

    /// The host is not as it was at the last audit: another one soon, when what changes it is done.
    fn audit_sooner(&mut self, stale: Option<&str>, now: Instant) {
        let Some(why) = stale else { return };
        let spacing = self.ended_audit.map_or(now, |ended| ended + CHANGE_SPACING);
        let soon = (now + CHANGE_SETTLES).max(spacing);
        if soon < self.next_audit {
            say!("wardmote: {why}: auditing again");
            self.emit(Event::Changed(why.into()));
            self.next_audit = soon;
        }
    }

    /// Stores what a look gave. Where that is done, gives whether the look's own place could be written down.
    fn store(
        &mut self,
        step: Step,
        looked: &Looked,
        look: &mut dyn Look,
    ) -> anyhow::Result<anyhow::Result<()>> {
        let now = (self.parts.clock)();
        let store = &mut self.parts.store;
        let Looked { seen, more, cases, merged, places, .. } = looked;
        let brought = Brought { seen, more, cases, merged, places };
        store.take(&brought, now).context("the store does not take what was seen")?;
        // It is stored: whatever fails from here on, the next look goes on behind it.
        let kept = match step {
            Step::Sweep => look.keep_place().context("the place in the logs is not kept"),
            Step::Audit => Ok(()),
        };
        if !seen.is_empty() {
            self.parts.recorder.lock().judged(seen);
            store.forget_intent(intents::JUDGED)?;
        }
        self.incomplete[step as usize] = looked.incomplete;
        if step == Step::Audit {
            let seen = looked.seen.iter().map(|seen| seen.fingerprint.clone()).collect();
            store.mark_fixed(&looked.checks, &seen).context("the store does not close alerts")?;
            store
                .prune(now.saturating_sub(self.parts.settings.agent.keep.seconds()))
                .context("the store does not forget old alerts")?;
            self.last_audit = Some(now);
            let (open, unseen) = (looked.seen.len(), looked.incomplete);
            let line = format!("{open} findings, {unseen} things could not be looked at");
            self.parts.bus.emit(Event::Audited(line.into()));
        } else {
            self.last_sweep = Some(now);
            (self.tally, self.timings) = (looked.tally, looked.timings);
        }
        Ok(kept)
    }

    /// New trouble goes to stderr (the journal) once, not with every step.
    fn note(&mut self, trouble: Option<anyhow::Error>) {
        let trouble = trouble.map(|error| scanner::redact::line(&format!("{error:#}")));
        match (&self.trouble, &trouble) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                tell(Notice::Trouble, None, &[], &format!("error: {now}"));
                self.emit(Event::Trouble(now.as_str().into()));
            }
            (Some(_), None) => {
                tell(Notice::TroubleOver, None, &[], "the trouble is over");
                self.emit(Event::Trouble("it is over".into()));
            }
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
            None => {
                line.push_str("; first audit under way");
                if let Some(sandbox) = &self.sandbox {
                    line.push_str(&format!("; sandbox: {sandbox}"));
                }
            }
        }
        let incomplete: usize = self.incomplete.iter().sum();
        if incomplete > 0 {
            line.push_str(&format!("; {incomplete} things could not be looked at"));
        }
        if store.evicted() > 0 {
            line.push_str(&format!("; {} alerts made room", store.evicted()));
        }
        let own = self.parts.recorder.lock().trouble().map(str::to_string);
        let desk = self.desk.line();
        let troubles =
            self.trouble.iter().chain(&own).chain(&self.no_desk).chain(&self.no_doors).chain(&desk);
        for trouble in troubles {
            line.push_str(&format!("; TROUBLE: {trouble}"));
        }
        self.write_down();
        self.summarize();
        self.parts.notifier.status(&line);
        self.parts.notifier.feed_watchdog();
    }

    /// Writes down for whoever asks how things are.
    fn write_down(&mut self) {
        let now = (self.parts.clock)();
        let store = &*self.parts.store;
        let mut status = Status {
            schema: "wardmote.status/1".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started: self.began,
            last_sweep: self.last_sweep,
            last_audit: self.last_audit,
            incomplete: self.incomplete.iter().sum::<usize>() as u64,
            evicted: store.evicted(),
            tally: self.tally,
            notify: self.desk.deliveries(),
            sandbox: self.sandbox.clone(),
            lately: self.lately.all(),
            trouble: self.trouble.clone().or_else(|| self.no_desk.clone()),
            ..Status::default()
        };
        if let Err(error) = status.fill(store, now) {
            status.trouble = Some(format!("the store cannot be read: {error}"));
        }
        let stages = self.timings.stages().chain(self.own_timings.stages());
        let stages = stages.filter(|(_, took)| took.count > 0);
        status.stages = stages.map(|(stage, took)| (stage.name().to_string(), took)).collect();
        self.write_metrics(&status);
        self.parts.shared.write_status(status);
    }

    /// Metrics are worth neither a stop nor more than one line of complaint.
    fn write_metrics(&mut self, status: &Status) {
        let Some(path) = &self.parts.settings.agent.metrics else { return };
        let due = self.wrote_metrics.is_none_or(|at| at.elapsed() >= METRICS_EVERY);
        if !due {
            return;
        }
        self.wrote_metrics = Some(Instant::now());
        let path = self.parts.state_directory.join(path);
        // Whoever collects them runs as somebody else; there is nothing secret in them.
        let written = output::replace(&path, metrics::text(status).as_bytes(), 0o644);
        if written.is_err() && !self.metrics_failed {
            say!("wardmote: {}: metrics are not written", path.display());
        }
        self.metrics_failed = written.is_err();
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
                let before = std::mem::replace(&mut self.parts.settings, settings);
                if self.wants_other_desk(&before) {
                    self.open_desk();
                }
                self.parts.shared.write_settings(self.parts.settings.clone());
                if self.wants_other_doors(&before.agent) {
                    self.open_doors();
                }
                tell(Notice::Reloaded, None, &[], "configuration reloaded");
                self.parts.recorder.lock().reloaded(None);
            }
            Err(error) => {
                let why = scanner::redact::line(&format!("{error:#}"));
                let line = format!("error: the old configuration holds: {why}");
                tell(Notice::ReloadRefused, None, &[], &line);
                self.parts.recorder.lock().reloaded(Some(&why));
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
        self.parts.recorder.lock().stopped("told to stop");
        tell(Notice::Stopped, None, &[], "told to stop: nobody watches this host now");
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
