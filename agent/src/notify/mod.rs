//! Notifications: cases of which there are news, told to whoever the operator names.
//!
//! One file a way out, all behind [`Notifier`]. A note is on the disk ([`spool`]) before the case counts as
//! told, and leaves it when the target has taken it: a target that is down loses nothing but what its
//! bounded spool has no room for, and that is told as a gap when it is back. Each target has a thread of its
//! own, a [`breaker`], and limits a case and in all for what is below high; sending blocks, with a deadline.
//!
//! Of every target's notes `received = notified + merged + suppressed + waiting`, always. A note may come
//! twice (a crash between sending and forgetting), with the same identifier.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use consensus::Severity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::control::status::Delivery;
use crate::pipeline::case::{CaseFile, case_file};
use crate::settings::{NotifySettings, Way};

mod breaker;
mod command;
mod email;
mod file;
mod http;
pub mod journald;
mod limit;
mod ocsf;
mod spool;
pub mod syslog;
#[cfg(test)]
mod tests;
mod webhook;

use breaker::Breaker;
use limit::{KeyedLimit, Limit, Rate};
use spool::{Gap, Spool};

/// Longest note in bytes, as JSON: it fits a pipe.
pub const NOTE_BYTES_MAX: usize = 60 << 10;
/// Notes about one case below high: five at once, then one a minute.
const PER_CASE_NS: u64 = 60_000_000_000;
const PER_CASE_BURST: u32 = 5;
/// Notes below high in all, a target: sixty at once, then one a second.
const IN_ALL_NS: u64 = 1_000_000_000;
const IN_ALL_BURST: u32 = 60;

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A case began.
    New,
    /// It is worse than what was told.
    Risen,
    /// Somebody has come a tactic further.
    Further,
    /// Notes had to make room while the target was down.
    Gap,
}

impl Kind {
    /// As in formats.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Risen => "risen",
            Self::Further => "further",
            Self::Gap => "gap",
        }
    }
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The same in every attempt, so that receivers know what they have: letters, digits, `-`.
    pub id: String,
    /// Why.
    pub kind: Kind,
    /// When it was made, seconds since the epoch.
    pub time: i64,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The host's name.
    pub host: String,
    /// What it is about: a later note with the same key says more than an earlier one.
    pub key: String,
    /// Everything, as JSON.
    pub body: Value,
}

impl Note {
    /// News of a case.
    pub fn of_case(case: &CaseFile, host: &str, now: i64) -> Self {
        let kind = match case.untold {
            Some(case_file::News::Risen) => Kind::Risen,
            Some(case_file::News::Further) => Kind::Further,
            Some(case_file::News::New) | None => Kind::New,
        };
        let key = format!("case-{}", case.id);
        let mut body = serde_json::to_value(case).unwrap_or_default();
        if body.to_string().len() > NOTE_BYTES_MAX / 2 {
            // `wardmote alerts show` has them all.
            body["left_out"] = (case.left_out + case.steps.len() as u64).into();
            body["steps"] = Value::Array(Vec::new());
        }
        let what = format!("{host}\n{key}\n{}\n{}\n{}", kind.word(), case.severity, case.last);
        let (severity, title) = (case.severity, one_line(&case.title));
        Self { id: id_of(&what), kind, time: now, severity, title, host: host.into(), key, body }
    }

    /// That notes were dropped.
    fn of_gap(gap: &Gap, host: &str, now: i64) -> Self {
        let severity = gap.0.keys().max().copied().unwrap_or(Severity::Info);
        let parts: Vec<String> =
            gap.0.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
        let title = format!(
            "{} notifications had no room while this target was down: {}",
            gap.total(),
            parts.join(", ")
        );
        let body = serde_json::json!({ "dropped": gap.0 });
        let (id, key) = (id_of(&format!("{host}\n{now}\n{title}")), "gap".to_string());
        Self { id, kind: Kind::Gap, time: now, severity, title, host: host.into(), key, body }
    }

    /// RFC 3339, in UTC.
    pub fn time_text(&self) -> String {
        jiff::Timestamp::from_second(self.time).unwrap_or_default().to_string()
    }

    /// The whole note with its schema, as webhooks, commands and JSON lines give it.
    pub fn json(&self) -> Value {
        serde_json::json!({
            "schema": "wardmote.note/1", "type": format!("case.{}", self.kind.word()),
            "id": self.id, "timestamp": self.time_text(), "host": self.host,
            "severity": self.severity, "title": self.title, "key": self.key, "data": self.body,
        })
    }
}

fn id_of(what: &str) -> String {
    let digest = Sha256::digest(what.as_bytes());
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("wm-{hex}")
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// Why a note was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target's, and it may pass: the note waits.
    Later(String),
    /// The target will never take this note.
    Never(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string())
    }
}

/// A way out. Blocking, with a deadline of its own.
pub trait Notifier: Send {
    /// Hands over one note; `Ok` when the target has taken it.
    fn send(&mut self, note: &Note) -> Result<(), Failure>;
}

/// What became of a target's notes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Notes for it, those included that waited at the start.
    pub received: u64,
    /// Taken by the target.
    pub notified: u64,
    /// Replaced by a later note on the same case.
    pub merged: u64,
    /// Over a limit, without room, or never to be taken.
    pub suppressed: u64,
    /// Still on the disk.
    pub waiting: u64,
}

struct State {
    spool: Spool,
    tally: Tally,
    trouble: Option<String>,
    stopping: bool,
}

/// What a target's thread and the desk share.
struct Shared {
    name: String,
    host: String,
    state: Mutex<State>,
    wake: Condvar,
    breaker: Breaker,
    began: Instant,
    clock: fn() -> i64,
}

struct Courier {
    from: Severity,
    per_case: KeyedLimit,
    in_all: Limit,
    shared: Arc<Shared>,
}

/// Takes notes for all targets.
pub struct Desk {
    couriers: Vec<Courier>,
    host: String,
    began: Instant,
    clock: fn() -> i64,
}

/// Whether a webhook's address can be spoken to; what is wrong with it.
pub fn url(text: &str) -> Result<(), String> {
    http::Url::parse(text).map(drop)
}

impl Desk {
    /// Tells nobody.
    pub fn empty(clock: fn() -> i64) -> Self {
        Self { couriers: Vec::new(), host: host_name(), began: Instant::now(), clock }
    }

    /// Opens the spools below the state directory and starts a thread a target.
    pub fn open(
        targets: &[NotifySettings],
        state_directory: &Path,
        clock: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let mut desk = Self::empty(clock);
        for target in targets {
            let notifier = notifier(target, state_directory)?;
            desk.add(target, notifier, state_directory)?;
        }
        Ok(desk)
    }

    fn add(
        &mut self,
        target: &NotifySettings,
        notifier: Box<dyn Notifier>,
        state_directory: &Path,
    ) -> anyhow::Result<()> {
        let folder = state_directory.join("notify").join(&target.name);
        let spool = Spool::open(&folder, target.spool_bytes).map_err(|error| {
            crate::exit::hinted(
                format!("{}: {error}", folder.display()),
                "is it the service's own?",
            )
        })?;
        if spool.unreadable() > 0 {
            say!("wardmote: {}: {} files are no notes", folder.display(), spool.unreadable());
        }
        let tally = Tally { received: spool.len() as u64, ..Tally::default() };
        let shared = Arc::new(Shared {
            name: target.name.clone(),
            host: self.host.clone(),
            state: Mutex::new(State { spool, tally, trouble: None, stopping: false }),
            wake: Condvar::new(),
            breaker: Breaker::default(),
            began: self.began,
            clock: self.clock,
        });
        let works = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(format!("notify-{}", target.name).chars().take(15).collect())
            .spawn(move || works.run(notifier))?;
        let per_case = KeyedLimit::new(Rate::new(PER_CASE_NS, PER_CASE_BURST));
        let in_all = Limit::new(Rate::new(IN_ALL_NS, IN_ALL_BURST));
        self.couriers.push(Courier { from: target.from, per_case, in_all, shared });
        Ok(())
    }

    /// Takes news of cases for every target that wants them; on the disk when this returns.
    pub fn accept_cases(&mut self, cases: &[CaseFile]) {
        if self.couriers.is_empty() {
            return;
        }
        let now = (self.clock)();
        cases.iter().for_each(|case| self.accept(&Note::of_case(case, &self.host, now)));
    }

    /// Takes one note for every target that wants it. A spool that cannot be written to is said and the note
    /// counted as suppressed: trying again would tell the other targets again as well.
    pub fn accept(&mut self, note: &Note) {
        let now_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for courier in self.couriers.iter_mut().filter(|courier| note.severity >= courier.from) {
            // High and critical are never limited.
            let limited = note.severity < Severity::High
                && !(courier.per_case.allows(&note.key, now_ns) && courier.in_all.allows(now_ns));
            let mut state = courier.shared.lock();
            state.tally.received += 1;
            if limited {
                state.tally.suppressed += 1;
                continue;
            }
            match state.spool.put(note) {
                Ok(put) => {
                    state.tally.merged += put.merged;
                    state.tally.suppressed += put.dropped;
                }
                Err(error) => {
                    state.tally.suppressed += 1;
                    let trouble = format!("its spool takes no note: {error}");
                    say!("wardmote: error: notify {}: {trouble}", courier.shared.name);
                    state.trouble = Some(trouble);
                }
            }
            drop(state);
            courier.shared.wake.notify_one();
        }
    }

    /// Each target's name, what became of its notes, and what is wrong with it now.
    pub fn tallies(&self) -> Vec<(String, Tally, Option<String>)> {
        let one = |courier: &Courier| {
            let state = courier.shared.lock();
            let waiting = state.spool.len() as u64;
            let tally = Tally { waiting, ..state.tally };
            (courier.shared.name.clone(), tally, state.trouble.clone())
        };
        self.couriers.iter().map(one).collect()
    }

    /// The same for whoever asks how the service is.
    pub fn deliveries(&self) -> BTreeMap<String, Delivery> {
        let one = |(name, tally, trouble): (String, Tally, Option<String>)| {
            let Tally { received, notified, merged, suppressed, waiting } = tally;
            (name, Delivery { received, notified, merged, suppressed, waiting, trouble })
        };
        self.tallies().into_iter().map(one).collect()
    }

    /// Waiting notes, and targets in trouble, for the status line; `None` when all is well.
    pub fn line(&self) -> Option<String> {
        let tallies = self.tallies();
        let waiting: u64 = tallies.iter().map(|(_, tally, _)| tally.waiting).sum();
        let down: Vec<String> = tallies
            .iter()
            .filter_map(|(name, _, trouble)| Some(format!("{name}: {}", trouble.as_ref()?)))
            .collect();
        let is_well = down.is_empty();
        (!is_well).then(|| format!("{waiting} notifications wait; {}", down.join("; ")))
    }
}

impl Drop for Desk {
    /// The threads end by themselves; what waits is on the disk.
    fn drop(&mut self) {
        for courier in &self.couriers {
            courier.shared.lock().stopping = true;
            courier.shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn run(&self, mut notifier: Box<dyn Notifier>) {
        while let Some((number, note, gap)) = self.next() {
            if let Some(gap) = gap {
                let told = notifier.send(&Note::of_gap(&gap, &self.host, (self.clock)()));
                if let Err(failure) = &told {
                    self.settle(None, Err(failure.clone()));
                    continue;
                }
                if let Err(error) = self.lock().spool.told(&gap) {
                    say!("wardmote: error: the spool of `{}`: {error}", self.name);
                }
            }
            let sent = notifier.send(&note);
            self.settle(Some(number), sent);
        }
    }

    /// Waits for a note and for the breaker; `None` at the end.
    fn next(&self) -> Option<(u64, Note, Option<Gap>)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = self.now_ms();
            // The breaker is asked last: half-open it lets one through.
            let patience = match state.spool.len() {
                0 => Duration::from_secs(3600),
                _ if !self.breaker.allows(now) => {
                    let until = self.breaker.until_ms().unwrap_or(now);
                    Duration::from_millis(until.saturating_sub(now).max(1))
                }
                _ => match state.spool.first() {
                    Some((number, note)) => {
                        let gap = Some(state.spool.gap().clone()).filter(|gap| gap.total() > 0);
                        return Some((number, note, gap));
                    }
                    None => continue,
                },
            };
            let waited = self.wake.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn settle(&self, number: Option<u64>, sent: Result<(), Failure>) {
        let mut state = self.lock();
        let gone = |state: &mut State| match number.map(|number| state.spool.remove(number)) {
            Some(Ok(was_there)) => was_there,
            Some(Err(error)) => {
                say!("wardmote: error: the spool of `{}`: {error}", self.name);
                true
            }
            None => false,
        };
        let trouble = match sent {
            Ok(()) => {
                self.breaker.worked();
                state.tally.notified += u64::from(gone(&mut state));
                None
            }
            Err(Failure::Never(why)) => {
                self.breaker.worked();
                state.tally.suppressed += u64::from(gone(&mut state));
                Some(format!("a notification was refused: {why}"))
            }
            Err(Failure::Later(why)) => {
                self.breaker.failed(self.now_ms());
                Some(why)
            }
        };
        let trouble = trouble.map(|why| scanner::redact::line(&why));
        if trouble != state.trouble {
            match &trouble {
                Some(why) => say!("wardmote: notify {}: {why}", self.name),
                None => say!("wardmote: notify {}: works again", self.name),
            }
        }
        state.trouble = trouble;
        drop(state);
        // Failures below the breaker's number are tried again soon, not at once.
        if number.is_some() && self.lock().trouble.is_some() && self.breaker.until_ms().is_none() {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn notifier(target: &NotifySettings, state: &Path) -> anyhow::Result<Box<dyn Notifier>> {
    Ok(match &target.way {
        Way::Webhook(settings) => Box::new(webhook::Webhook::new(settings)?),
        Way::Syslog(settings) => Box::new(syslog::Syslog::new(settings)),
        Way::Journald(settings) => Box::new(journald::Journald::new(settings)),
        Way::Email(settings) => Box::new(email::Email::new(settings)),
        Way::Command(settings) => Box::new(command::Command::new(settings)),
        Way::File(settings) => Box::new(file::Lines::new(settings, state)),
    })
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}
