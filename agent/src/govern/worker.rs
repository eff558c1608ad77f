//! The thread of the service that answers cases, and what every engine on a host shares: the lock, the
//! kill switch, what has to be known besides a case.
//!
//! Cases come down a bounded channel, so that nothing that is looked at or done here holds up the
//! watching; what finds no room is counted and said. Between cases it does what time asks for. Before
//! the first case it takes back what an earlier run left halfway.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use consensus::learn::Click;
use parsers::tree::Tree;
use rustix::fs::{FlockOperation, OFlags, flock};
use scanner::RootedTree;

use super::actions::Host;
use super::announce::{self, Announced};
use super::engine::Engine;
use super::guardians::Guardians;
use super::harm::{LiveSystem, Seen};
use super::policy::Policy;
use super::propose::{Known, dismissed, proposals};
use super::{Ledger, live, outbox};
use crate::exit::{Exit, failed, hinted};
use crate::notices::{Notice, tell};
use crate::settings::Settings;
use crate::store::cases::Case;
use crate::store::sqlite::SqliteStore;
use crate::store::{ALERTS_MAX, feedback};

/// Batches of cases that wait.
const WAITING_MAX: usize = 16;
/// How often it is looked whether something is over.
const TICK: Duration = Duration::from_secs(1);
/// How long the lock is waited for.
const LOCK_WITHIN: Duration = Duration::from_secs(10);
const LOCK_AGAIN: Duration = Duration::from_millis(20);
/// The kill switch: a file of this name in the run or the state directory.
const SWITCH: &str = "stop-responses";
const RUN_DIRECTORY: &str = "/run/wardmote";

enum News {
    Settings(Box<Settings>),
    Cases(Vec<Case>, i64),
}

/// The service's way to the thread.
pub struct Responder {
    to: Option<SyncSender<News>>,
    thread: Option<JoinHandle<()>>,
    settings: Option<Settings>,
    lost: u64,
}

impl Responder {
    /// Starts the thread on the store in this state directory.
    pub fn start(
        state: &Path,
        settings: &Settings,
        ledger: Box<dyn Ledger + Send>,
        clock: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let mut worker = Worker::new(state, settings, ledger, clock)?;
        worker.locked(|engine, now| Ok(engine.recover(now)?))?;
        let (to, news) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("responses".into());
        let thread = thread.spawn(move || worker.run(&news))?;
        let settings = Some(settings.clone());
        Ok(Self { to: Some(to), thread: Some(thread), settings, lost: 0 })
    }

    /// These settings hold from now on.
    pub fn take(&mut self, settings: &Settings) {
        let known = self.settings.as_ref() == Some(settings);
        if !known && self.send(News::Settings(settings.clone().into())) {
            self.settings = Some(settings.clone());
        }
    }

    /// Hands over cases that were judged just now.
    pub fn offer(&mut self, cases: &[Case], now: i64) {
        let enabled = self.settings.as_ref().is_some_and(|settings| settings.responses.enabled);
        if enabled && !cases.is_empty() && !self.send(News::Cases(cases.to_vec(), now)) {
            self.lost += 1;
            let lost = self.lost;
            say!("wardmote: responses are behind: {lost} batches of cases went past them");
        }
    }

    fn send(&self, news: News) -> bool {
        let sent = self.to.as_ref().map(|to| to.try_send(news));
        !matches!(sent, None | Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        drop(self.to.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    state: PathBuf,
    engine: Engine,
    guardians: Guardians,
    clock: fn() -> i64,
    clicks: usize,
    trouble: Option<String>,
}

impl Worker {
    fn new(
        state: &Path,
        settings: &Settings,
        ledger: Box<dyn Ledger + Send>,
        clock: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let engine = engine(state, settings, Box::new(Announced::new(ledger)))?;
        let guardians = Guardians::start(Box::new(move || live_now(clock())))?;
        let state = state.to_path_buf();
        Ok(Self { state, engine, guardians, clock, clicks: 0, trouble: None })
    }

    fn run(&mut self, news: &Receiver<News>) {
        loop {
            let done = match news.recv_timeout(TICK) {
                Ok(News::Settings(settings)) => self.take(&settings),
                Ok(News::Cases(cases, judged)) => self.answer(&cases, judged),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let state = self.state.clone();
            let ticked = self.locked(|engine, now| {
                outbox::drain(&state, &*engine.ledger)
                    .context("what operators did is not journaled")?;
                Ok(engine.tick(now)?)
            });
            self.note(done.and(ticked).err());
        }
    }

    fn take(&mut self, settings: &Settings) -> anyhow::Result<()> {
        self.engine.policy = Policy::new(settings.responses.clone(), &settings.site.operator()?);
        Ok(())
    }

    fn answer(&mut self, cases: &[Case], judged: i64) -> anyhow::Result<()> {
        let read = feedback::read(&self.state).ok();
        let whole = read.filter(|(_, unread)| unread.count == 0).map(|(log, _)| log.clicks);
        let clicks = whole.as_deref().unwrap_or_default();
        // After folding all of them count as new: what is decided once more costs little.
        for click in clicks.get(self.clicks..).unwrap_or(clicks) {
            self.engine.heard_feedback(&click.finding);
        }
        self.clicks = clicks.len();
        let known = known(&host()?, whole.as_deref());
        let policy = &self.engine.policy;
        let all = cases.iter().flat_map(|case| proposals(case, judged, policy, &known)).collect();
        let (state, guardians) = (&self.state, &self.guardians);
        let _lock = lock(state)?;
        let decisions = self.engine.propose(all, guardians, (self.clock)())?;
        for decision in decisions {
            announce::decided(&decision);
        }
        Ok(())
    }

    fn locked<T>(
        &mut self,
        work: impl FnOnce(&mut Engine, i64) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let _lock = lock(&self.state)?;
        work(&mut self.engine, (self.clock)())
    }

    /// New trouble is said once, not with every tick.
    fn note(&mut self, trouble: Option<anyhow::Error>) {
        let trouble = trouble.map(|error| scanner::redact::line(&format!("{error:#}")));
        if let Some(now) = trouble.as_ref().filter(|now| self.trouble.as_ref() != Some(now)) {
            tell(Notice::Trouble, None, &[], &format!("error: responses: {now}"));
        }
        self.trouble = trouble;
    }
}

/// An engine on the store of this state directory and on this host.
pub fn engine(
    state: &Path,
    settings: &Settings,
    ledger: Box<dyn Ledger + Send>,
) -> anyhow::Result<Engine> {
    let policy = Policy::new(settings.responses.clone(), &settings.site.operator()?);
    let path = state.join("wardmote.db");
    let store = SqliteStore::open(&path, ALERTS_MAX).map_err(|error| {
        hinted(format!("{}: {error}", path.display()), "use sudo, or --state-dir")
    })?;
    let switches = [Path::new(RUN_DIRECTORY), state].map(|folder| folder.join(SWITCH));
    let stop = Box::new(move || stopped(&switches));
    Ok(Engine::new(Box::new(store), Box::new(Host), ledger, policy, stop))
}

/// Why nothing may be done by itself. A switch that cannot be looked at is thrown.
fn stopped(switches: &[PathBuf]) -> Option<String> {
    switches.iter().find_map(|switch| match std::fs::symlink_metadata(switch) {
        Ok(_) => Some(format!("{} is there", switch.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("{}: {error}", switch.display())),
    })
}

/// Keeps other engines away from this state directory until it is dropped.
pub fn lock(state: &Path) -> anyhow::Result<File> {
    let path = state.join("responses.lock");
    let file = openable(&path).with_context(|| path.display().to_string())?;
    let until = Instant::now() + LOCK_WITHIN;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(LOCK_AGAIN);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let message = format!("{}: somebody else is at it", path.display());
                return Err(failed(message, "try again in a moment", Exit::Busy));
            }
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
}

/// The lock's file, made where it is missing. Opened for reading, which is enough for a lock: an operator
/// as root may have made it, and the service is somebody else.
fn openable(path: &Path) -> std::io::Result<File> {
    let careful = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let open = || File::options().read(true).custom_flags(careful).open(path);
    match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut new = File::options();
            match new.write(true).create_new(true).mode(0o600).open(path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
                _ => open(),
            }
        }
        opened => opened,
    }
}

/// This host's files.
pub fn host() -> anyhow::Result<RootedTree> {
    Ok(RootedTree::open(Path::new("/"))?)
}

/// This host as it is now.
pub fn live_now(now: i64) -> LiveSystem {
    match RootedTree::open(Path::new("/")) {
        Ok(tree) => live::look(&tree, now),
        Err(error) => {
            let why = error.to_string();
            LiveSystem {
                taken: now,
                sessions: Err(why.clone()),
                gateways: Err(why.clone()),
                resolvers: Err(why.clone()),
                addresses: Err(why.clone()),
                links: Err(why.clone()),
                administrators: Err(why),
            }
        }
    }
}

/// What has to be known besides cases: earlier logins of a host, and what operators said, where that
/// could be read.
pub fn known(tree: &dyn Tree, clicks: Option<&[Click]>) -> Known {
    let logins = live::past_logins(tree).map(|logins| {
        let from = logins.into_iter().filter_map(|login| login.address);
        from.map(|address| address.to_canonical()).collect::<BTreeSet<_>>()
    });
    let unread = || "the feedback log could not be read".to_string();
    let dismissed: Seen<BTreeSet<String>> = clicks.map(dismissed).ok_or_else(unread);
    Known { logins, dismissed }
}

#[cfg(test)]
mod tests {
    use consensus::Severity;

    use super::super::NoLedger;
    use super::super::propose::tests::case;
    use super::*;
    use crate::store::responses::{Request, Responses, State};

    const CLOCK: fn() -> i64 = || 1_000;

    /// What the store holds after cases were offered and the service has ended.
    fn offered(settings: &Settings, offers: usize) -> Vec<Request> {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Box::new(NoLedger);
        let mut responder = Responder::start(dir.path(), settings, ledger, CLOCK).unwrap();
        let attack = case("198.51.100.7", Severity::High);
        for _ in 0..offers {
            responder.take(settings);
            responder.offer(std::slice::from_ref(&attack), CLOCK());
        }
        // What was handed over is answered before the thread ends.
        drop(responder);
        let store = SqliteStore::open(&dir.path().join("wardmote.db"), ALERTS_MAX).unwrap();
        store.newest(9).unwrap()
    }

    #[test]
    fn a_case_that_is_offered_waits_for_an_operator_once() {
        let mut settings = Settings::default();
        assert_eq!(offered(&settings, 1), [], "nothing was asked for");
        settings.responses.enabled = true;
        settings.responses.block.enabled = true;
        let all = offered(&settings, 3);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((all[0].state, all[0].operators), (State::Waiting, 1));
        assert_eq!(all[0].decision.target, "198.51.100.7");
        assert!(all[0].decision.held.contains(&"dry_run is on".to_string()), "{all:?}");
    }

    #[test]
    fn the_kill_switch_is_a_file_and_one_that_cannot_be_seen_is_thrown() {
        let dir = tempfile::tempdir().unwrap();
        let switch = dir.path().join(SWITCH);
        let here = [dir.path().join("none/x"), switch.clone()];
        assert_eq!(stopped(&here), None);
        std::fs::write(&switch, "").unwrap();
        assert!(stopped(&here).unwrap().contains("is there"));
        std::fs::remove_file(&switch).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &switch).unwrap();
        assert!(stopped(&here).is_some(), "a link to nothing is a file too");
        let below_a_file = dir.path().join("file");
        std::fs::write(&below_a_file, "").unwrap();
        assert!(stopped(&[below_a_file.join(SWITCH)]).is_some());
    }

    #[test]
    fn only_one_engine_works_on_a_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let path = dir.path().to_path_buf();
        let other = std::thread::spawn(move || lock(&path).map(drop));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!other.is_finished());
        drop(held);
        other.join().unwrap().unwrap();
    }
}
