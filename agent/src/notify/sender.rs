//! The process that has the network and nothing else: it delivers what the service hands over
//! ([`super::handover`]), each target by a thread of its own.
//!
//! A note counts as delivered when that is on the disk; only then comes the next one, so a crash repeats one
//! note at most. Nothing is decided here about what is told: limits and merging are the service's.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::breaker::Breaker;
use super::courier::{AGAIN, heard};
use super::handover::{Fate, Handover, Report};
use super::spool::Reading;
use super::{Failure, Note, Notifier, host_name, notifier};
use crate::settings::NotifySettings;

/// How often a spool is looked at without being asked to, where inotify works and where it does not.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const POLL_EVERY: Duration = Duration::from_millis(500);
/// What happens to a spool.
const CHANGES: WatchFlags = WatchFlags::MOVED_TO.union(WatchFlags::DELETE);

/// The sender of one place.
pub struct Sender {
    handover: Handover,
    threads: BTreeMap<String, Running>,
    mark: Option<(u64, i64, i64)>,
    trouble: Option<String>,
    clock: fn() -> i64,
}

struct Running {
    target: NotifySettings,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failing: AtomicBool,
}

impl Sender {
    /// Has not looked yet.
    pub fn new(handover: Handover, clock: fn() -> i64) -> Self {
        Self { handover, threads: BTreeMap::new(), mark: None, trouble: None, clock }
    }

    /// Takes up what the service says about targets; an error when a thread has ended that should not.
    pub fn look(&mut self) -> Result<(), String> {
        for (name, running) in &self.threads {
            let ended = running.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if ended && !running.stop.load(Ordering::Relaxed) {
                return Err(format!("the thread of `{name}` has ended"));
            }
        }
        let mark = self.handover.targets_mark();
        if mark == self.mark && self.trouble.is_none() {
            return Ok(());
        }
        match self.handover.targets() {
            Ok(targets) => {
                self.mark = mark;
                self.trouble = None;
                self.take(targets.unwrap_or_default());
            }
            Err(error) => {
                let trouble = Some(format!("whom to tell: {error}"));
                if self.trouble != trouble {
                    say!("wardmote: error: {}", trouble.as_deref().unwrap_or_default());
                }
                self.trouble = trouble;
            }
        }
        Ok(())
    }

    /// One line for `systemctl status`.
    pub fn line(&self) -> String {
        let (targets, failing) = (self.threads.len(), |one: &&Running| one.counts.failing());
        let failing: Vec<&str> =
            self.threads.values().filter(failing).map(|one| one.target.name.as_str()).collect();
        let sent: u64 =
            self.threads.values().map(|one| one.counts.sent.load(Ordering::Relaxed)).sum();
        let mut line = format!("{targets} targets, {sent} notes delivered");
        if !failing.is_empty() {
            line.push_str(&format!("; TROUBLE with {}", failing.join(", ")));
        }
        if let Some(trouble) = &self.trouble {
            line.push_str(&format!("; TROUBLE: {trouble}"));
        }
        line
    }

    fn take(&mut self, targets: Vec<NotifySettings>) {
        // Only what was handed over, whatever the file says.
        let targets = targets.into_iter().filter(|target| target.way.is_remote());
        let mut wanted: BTreeMap<String, NotifySettings> =
            targets.map(|target| (target.name.clone(), target)).collect();
        let mut before: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
        self.threads.retain(|name, running| {
            if wanted.get(name) == Some(&running.target) {
                wanted.remove(name);
                return true;
            }
            running.stop.store(true, Ordering::Relaxed);
            before.extend(running.thread.take().map(|thread| (name.clone(), thread)));
            false
        });
        for (name, target) in wanted {
            match self.start(target, before.remove(&name)) {
                Ok(running) => drop(self.threads.insert(name, running)),
                Err(error) => self.trouble = Some(format!("{name}: {error}")),
            }
        }
    }

    fn start(&self, target: NotifySettings, before: Option<JoinHandle<()>>) -> io::Result<Running> {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let mut courier = Courier {
            target: target.clone(),
            handover: self.handover.clone(),
            stop: Arc::clone(&stop),
            counts: Arc::clone(&counts),
            clock: self.clock,
            began: Instant::now(),
            breaker: Breaker::default(),
            settled: BTreeMap::new(),
            unwritten: None,
            told: None,
        };
        let name = format!("send-{}", target.name).chars().take(15).collect();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // Two at once would tell everything twice.
            let _ = before.map(JoinHandle::join);
            courier.run();
        })?;
        Ok(Running { target, stop, counts, thread: Some(thread) })
    }
}

impl Counts {
    fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

/// Delivers to one target.
struct Courier {
    target: NotifySettings,
    handover: Handover,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clock: fn() -> i64,
    began: Instant,
    breaker: Breaker,
    /// What became of notes that the service has not taken out yet.
    settled: BTreeMap<String, Fate>,
    /// The one of these that is not on the disk.
    unwritten: Option<(String, Fate)>,
    /// What the last report said.
    told: Option<Option<String>>,
}

impl Courier {
    fn run(&mut self) {
        let name = self.target.name.clone();
        let folder = self.handover.notes(&name);
        let mut reading = Reading::default();
        let mut watch = None;
        let mut way: Option<Box<dyn Notifier>> = None;
        while !self.stop.load(Ordering::Relaxed) {
            // Before the first look, so that nothing falls between.
            watch = watch.or_else(|| watch_on(&folder));
            if let Err(error) = self.begin(&mut reading, &folder) {
                self.report(Some(format!("the spool: {error}")));
                wait(watch.as_ref(), Duration::from_secs(1));
                continue;
            }
            let now = self.now_ms();
            let open = reading.first(&folder, |id| self.settled.contains_key(id));
            let patience = match open {
                None => {
                    self.report_idle();
                    if watch.is_some() { LOOK_EVERY } else { POLL_EVERY }
                }
                Some(_) if !self.breaker.allows(now) => {
                    let until = self.breaker.until_ms().unwrap_or(now);
                    Duration::from_millis(until.saturating_sub(now).clamp(1, 5_000))
                }
                Some(note) => match self.ready(&mut way) {
                    Ok(()) => {
                        self.deliver(way.as_mut().expect("it was made ready"), &note);
                        if self.counts.failing() && self.breaker.until_ms().is_none() {
                            std::thread::sleep(AGAIN);
                        }
                        continue;
                    }
                    // A secret that is missing may be put in its place; most are not.
                    Err(error) => {
                        self.report(Some(error));
                        LOOK_EVERY
                    }
                },
            };
            wait(watch.as_ref(), patience);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Looks what waits, and brings what was settled into order with it.
    fn begin(&mut self, reading: &mut Reading, folder: &Path) -> io::Result<()> {
        let name = &self.target.name;
        if self.told.is_none() {
            self.handover.make_fates(name)?;
            self.settled = self.handover.settled(name)?;
        }
        if let Some((id, fate)) = &self.unwritten {
            self.handover.settle(name, id, *fate)?;
            self.unwritten = None;
        }
        reading.look(folder)?;
        let waiting = reading.ids();
        let over: Vec<String> =
            self.settled.keys().filter(|id| !waiting.contains(id.as_str())).cloned().collect();
        for id in over {
            if let Some(fate) = self.settled.remove(&id) {
                self.handover.forget(name, &id, fate)?;
            }
        }
        Ok(())
    }

    /// The way out, made when it is needed first: secrets and certificates are read then.
    fn ready(&self, way: &mut Option<Box<dyn Notifier>>) -> Result<(), String> {
        if way.is_none() {
            let made = notifier(&self.target, &PathBuf::from("/nonexistent"));
            *way = Some(made.map_err(|error| format!("{error:#}"))?);
        }
        Ok(())
    }

    fn deliver(&mut self, way: &mut Box<dyn Notifier>, note: &Note) {
        let gap = self.handover.gap(&self.target.name);
        if gap.total() > 0 {
            let told = way.send(&Note::of_gap(&gap, &host_name(), (self.clock)()));
            match told {
                Ok(()) | Err(Failure::Never(_)) => {
                    if let Err(error) = self.handover.gap_told(&self.target.name, &gap) {
                        return self.report(Some(format!("the spool: {error}")));
                    }
                }
                Err(failure) => {
                    let trouble = heard(&self.breaker, self.now_ms(), Err(failure));
                    return self.report(trouble);
                }
            }
        }
        let sent = way.send(note);
        let fate = match &sent {
            Ok(()) => Some(Fate::Taken),
            Err(Failure::Never(_)) => Some(Fate::Refused),
            Err(Failure::Later(_) | Failure::After(..)) => None,
        };
        let trouble = heard(&self.breaker, self.now_ms(), sent);
        if let Some(fate) = fate {
            self.counts.sent.fetch_add(u64::from(fate == Fate::Taken), Ordering::Relaxed);
            self.settled.insert(note.id.clone(), fate);
            self.unwritten = Some((note.id.clone(), fate));
        }
        self.report(trouble);
    }

    /// With nothing to do, only trouble that a refusal left stays said.
    fn report_idle(&mut self) {
        if self.told.is_none() || self.breaker.until_ms().is_some() {
            self.report(None);
        }
    }

    /// Says what is wrong, when that is something else than before.
    fn report(&mut self, trouble: Option<String>) {
        let trouble = trouble.map(|why| scanner::redact::line(&why));
        self.counts.failing.store(trouble.is_some(), Ordering::Relaxed);
        if self.told.as_ref() == Some(&trouble) {
            return;
        }
        match &trouble {
            Some(why) => say!("wardmote: send {}: {why}", self.target.name),
            None if self.told.is_some() => say!("wardmote: send {}: works again", self.target.name),
            None => {}
        }
        let report = Report { time: (self.clock)(), trouble: trouble.clone() };
        match self.handover.write_report(&self.target.name, &report) {
            Ok(()) => self.told = Some(trouble),
            // Said on stderr, and tried again with the next word.
            Err(error) => say!("wardmote: send {}: no report: {error}", self.target.name),
        }
    }
}

fn watch_on(folder: &Path) -> Option<OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    inotify::add_watch(&watch, folder, CHANGES | WatchFlags::ONLYDIR).ok()?;
    Some(watch)
}

/// Waits until something happens to the spool, and no longer than that.
fn wait(watch: Option<&OwnedFd>, patience: Duration) {
    let Some(watch) = watch else { return std::thread::sleep(patience) };
    let until = Timespec::try_from(patience).ok();
    let mut asked = [PollFd::new(watch, PollFlags::IN)];
    if poll(&mut asked, until.as_ref()).is_err() {
        std::thread::sleep(POLL_EVERY);
    }
    // What happened is looked at as a whole: the words for it are thrown away.
    let mut room = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut room);
    for _ in 0..4096 {
        if events.next().is_err() {
            break;
        }
    }
}
