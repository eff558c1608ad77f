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
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use consensus::Severity;

use crate::control::status::Delivery;
use crate::pipeline::case::CaseFile;
use crate::settings::{NotifySettings, Way};

mod breaker;
mod command;
mod courier;
mod email;
mod file;
pub mod handover;
mod http;
pub mod journald;
mod limit;
mod note;
mod ocsf;
mod otlp;
pub mod sender;
mod smtp;
mod spool;
pub mod summary;
pub mod syslog;
#[cfg(test)]
mod tests;
mod webhook;

use breaker::Breaker;
use courier::{Shared, State};
use handover::Handover;
use limit::{KeyedLimit, Limit, Rate};
pub use note::{Kind, Note};
use spool::{Readers, Spool};
use summary::{Due, Facts};

/// Notes about one case below high: five at once, then one a minute.
const PER_CASE_NS: u64 = 60_000_000_000;
const PER_CASE_BURST: u32 = 5;
/// Notes below high in all, a target: sixty at once, then one a second.
const IN_ALL_NS: u64 = 1_000_000_000;
const IN_ALL_BURST: u32 = 60;

/// Why a note was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target's, and it may pass: the note waits.
    Later(String),
    /// The target says how long it wants to be left alone.
    After(Duration, String),
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

    /// Opens the spools below the state directory and starts a thread a target. Targets over the network
    /// are left to the sender's process, if there is a place to hand them over.
    pub fn open(
        targets: &[NotifySettings],
        state_directory: &Path,
        handover: Option<&Handover>,
        clock: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let mut desk = Self::empty(clock);
        let own = state_directory.join("notify");
        for target in targets {
            match handover.filter(|_| target.way.is_remote()) {
                Some(handover) => {
                    let spool = spool(&handover.notes(&target.name), target, Readers::Sender)?;
                    let spool = adopted(spool, &own.join(&target.name))?;
                    let handover = handover.clone();
                    desk.start(target, spool, move |shared| shared.collect(&handover))?;
                }
                None => {
                    let notifier = notifier(target, state_directory)?;
                    desk.add(target, notifier, state_directory)?;
                }
            }
        }
        if let Some(handover) = handover {
            let remote = targets.iter().filter(|target| target.way.is_remote()).cloned();
            handover.write_targets(&remote.collect::<Vec<_>>())?;
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
        let spool = spool(&folder, target, Readers::Own)?;
        self.start(target, spool, move |shared| shared.run(notifier))
    }

    fn start(
        &mut self,
        target: &NotifySettings,
        spool: Spool,
        work: impl FnOnce(&Shared) + Send + 'static,
    ) -> anyhow::Result<()> {
        let tally = Tally { received: spool.len() as u64, ..Tally::default() };
        let state = State { spool, tally, trouble: None, full: None, stopping: false };
        let shared = Arc::new(Shared {
            name: target.name.clone(),
            host: self.host.clone(),
            state: Mutex::new(state),
            wake: Condvar::new(),
            breaker: Breaker::default(),
            began: self.began,
            clock: self.clock,
        });
        let works = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(format!("notify-{}", target.name).chars().take(15).collect())
            .spawn(move || work(&works))?;
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
            courier.shared.take(note, limited);
        }
    }

    /// Takes a summary for the one target that is to have it now, unless there is nothing to say.
    pub fn summarize(&self, due: &Due, facts: &Facts, now: i64) {
        let Some(note) = facts.note(due, &self.host, now) else { return };
        let one = self.couriers.iter().find(|courier| courier.shared.name == due.target);
        if let Some(courier) = one {
            courier.shared.take(&note, false);
        }
    }

    /// Each target's name, what became of its notes, and what is wrong with it now.
    pub fn tallies(&self) -> Vec<(String, Tally, Option<String>)> {
        let one = |courier: &Courier| {
            let state = courier.shared.lock();
            let waiting = state.spool.len() as u64;
            let tally = Tally { waiting, ..state.tally };
            let trouble = state.full.as_ref().or(state.trouble.as_ref()).cloned();
            (courier.shared.name.clone(), tally, trouble)
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

/// Opens a target's spool.
fn spool(folder: &Path, target: &NotifySettings, readers: Readers) -> anyhow::Result<Spool> {
    let spool = Spool::open(folder, target.spool_bytes, readers).map_err(|error| {
        crate::exit::hinted(format!("{}: {error}", folder.display()), "is it the service's own?")
    })?;
    if spool.unreadable() > 0 {
        say!("wardmote: {}: {} files are no notes", folder.display(), spool.unreadable());
    }
    Ok(spool)
}

/// With what waited where the service itself delivered before.
fn adopted(mut spool: Spool, from: &Path) -> anyhow::Result<Spool> {
    let adopted = spool.adopt(from).map_err(|error| {
        crate::exit::hinted(format!("{}: {error}", from.display()), "is it the service's own?")
    })?;
    if adopted > 0 {
        say!("wardmote: {}: {adopted} notes are handed over to wardmote-send", from.display());
    }
    Ok(spool)
}

fn notifier(target: &NotifySettings, state: &Path) -> anyhow::Result<Box<dyn Notifier>> {
    Ok(match &target.way {
        Way::Webhook(settings) => Box::new(webhook::Webhook::new(settings)?),
        Way::Otlp(settings) => Box::new(otlp::Otlp::new(settings)?),
        Way::Syslog(settings) => Box::new(syslog::Syslog::new(settings)),
        Way::Journald(settings) => Box::new(journald::Journald::new(settings)),
        Way::Email(settings) => match &settings.smtp {
            Some(smtp) => Box::new(smtp::Smtp::new(settings, smtp)?),
            None => Box::new(email::Email::new(settings)),
        },
        Way::Command(settings) => Box::new(command::Command::new(settings)),
        Way::File(settings) => Box::new(file::Lines::new(settings, state)),
    })
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}
