//! Connect scan of this host's own addresses: no network in between, so the answer is there at once.
//!
//! On loopback the kernel answers a SYN before `connect` returns: a second `connect` on the
//! non-blocking socket tells open, closed or still pending. After a refusal the same socket connects
//! again (Linux keeps it bound). Connections are made from an address of 127/8 that is not the target,
//! so that a socket can never connect to itself; where no other address exists (`::1`), a socket never
//! asks for a port that one of ours is bound to, and what it reports is checked. Where the kernel does
//! not behave so ([`kernel`](super::kernel)), each port gets a socket of its own.
//!
//! A port that is silent although nothing lies in between either drops (a local firewall) or listens
//! with a full queue; the kernel is asked which, so that nobody waits for a queue that does not drain.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use parsers::tree::MemoryTree;

use super::kernel::{self, Way};
pub use super::source::SOURCES;
use super::source::{bound, source};
use super::watch::Watch;
use super::{Limits, State, descriptors, is_local, reason};
use crate::ports::addresses::unmapped;
use crate::ports::inventory::{self, Transport};
use crate::ports::ledger;

/// Most threads.
const WORKERS_MAX: usize = 4;
/// Ports a worker takes at a time.
const CHUNK: usize = 256;
/// Most connections of one worker that wait for an answer.
const WINDOW_MAX: usize = 256;
/// How often a port is tried again after an error of this host.
const LOCAL_RETRIES_MAX: u8 = 12;
/// Errors of this host in a row after which nothing more is tried again.
const BARREN_MAX: usize = 100;
/// Silent ports without any answer at all after which the rest is not probed.
const SILENT_MAX: usize = 2_000;
/// How long a port is silent before the kernel is asked whether its queue is full.
const QUEUE_LOOKED_AT: Duration = Duration::from_millis(50);

/// Scans ports of one own address; the states are in the order of the ports.
pub fn scan(address: IpAddr, ports: &[u16], limits: &Limits) -> Vec<State> {
    let mut states = vec![State::NotProbed; ports.len()];
    scan_rest(address, ports, limits, Manner::default(), &Watch::default(), &mut states);
    states
}

/// With how many threads and in which way; by default as many as are of use, in the way that the kernel
/// allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Most threads.
    pub threads: Option<usize>,
    /// How sockets are used.
    pub way: Option<Way>,
}

/// Asks the ports whose states are [`State::NotProbed`], until that is done or stopped.
pub fn scan_rest(
    address: IpAddr,
    ports: &[u16],
    limits: &Limits,
    manner: Manner,
    watch: &Watch,
    states: &mut [State],
) {
    let jobs: Vec<(u32, u16)> = (0_u32..)
        .zip(ports.iter().zip(states.iter()))
        .filter(|(_, (_, state))| **state == State::NotProbed)
        .map(|(index, (port, _))| (index, *port))
        .collect();
    if jobs.is_empty() {
        return;
    }
    let threads = manner.threads.unwrap_or_else(processors);
    let threads = threads.min(jobs.len().div_ceil(CHUNK)).max(1);
    let shared = Shared {
        address,
        source: source(address),
        jobs: &jobs,
        next: AtomicUsize::new(0),
        bound: Mutex::default(),
        answers: AtomicUsize::new(0),
        silent: AtomicUsize::new(0),
        full: Mutex::default(),
        limits,
        way: manner.way.unwrap_or_else(kernel::way),
        window: (descriptors::budget() / threads).clamp(1, WINDOW_MAX),
        watch,
    };
    let done: Vec<Vec<(u32, State)>> = std::thread::scope(|scope| {
        let others: Vec<_> =
            (1..threads).map(|_| scope.spawn(|| Worker::new(&shared).run())).collect();
        let first = Worker::new(&shared).run();
        let others = others.into_iter().map(|worker| worker.join().unwrap_or_default());
        std::iter::once(first).chain(others).collect()
    });
    for (index, state) in done.into_iter().flatten() {
        states[index as usize] = state;
    }
}

/// How many threads are of use. Asked once: the answer takes the reading of several files.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let count = || std::thread::available_parallelism().map_or(1, |count| count.get());
    *PROCESSORS.get_or_init(|| count().min(WORKERS_MAX))
}

struct Shared<'a> {
    address: IpAddr,
    /// An address that is not the target; `None` where there is no other.
    source: Option<IpAddr>,
    /// Which state, and which port.
    jobs: &'a [(u32, u16)],
    next: AtomicUsize,
    /// Ports that sockets of this scan are bound to.
    bound: Mutex<BTreeSet<u16>>,
    answers: AtomicUsize,
    silent: AtomicUsize,
    full: Mutex<Full>,
    limits: &'a Limits,
    way: Way,
    /// Most connections of one worker that wait.
    window: usize,
    watch: &'a Watch,
}

/// Ports of the address whose listeners have a full queue, and when that was.
#[derive(Default)]
struct Full {
    seen: Option<Instant>,
    ports: BTreeSet<u16>,
}

impl Shared<'_> {
    /// Where connections come from. Without another address, an own one reaches itself.
    fn source(&self) -> IpAddr {
        self.source.unwrap_or(self.address)
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        self.bound.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Which ports have a full queue, not longer ago than [`QUEUE_LOOKED_AT`].
    fn full(&self) -> std::sync::MutexGuard<'_, Full> {
        let mut full = self.full.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if full.seen.is_none_or(|seen| seen.elapsed() > QUEUE_LOOKED_AT) {
            full.ports = full_queues(self.address);
            full.seen = Some(Instant::now());
        }
        full
    }
}

/// Ports that listen at an address with as many waiting as may wait. Only the kernel's own answer counts:
/// the tables of `/proc` do not tell how many may.
fn full_queues(address: IpAddr) -> BTreeSet<u16> {
    let (sockets, incomplete) = inventory::sockets(&MemoryTree::new());
    if incomplete.iter().any(|line| line.starts_with("tcp")) {
        return BTreeSet::new();
    }
    let address = unmapped(address);
    sockets
        .into_iter()
        .filter(|one| one.transport == Transport::Tcp && one.queue.0 >= one.queue.1.max(1))
        .filter(|one| {
            let bound = unmapped(one.address);
            let wild =
                bound.is_unspecified() && (bound.is_ipv4() == address.is_ipv4() || one.dual_stack);
            wild || bound == address
        })
        .map(|one| one.port)
        .collect()
}

/// A port to be asked.
#[derive(Clone, Copy)]
struct Job {
    index: u32,
    port: u16,
    silent: u32,
    failed: u8,
}

/// A bound socket that is not connected; its port leaves the list of ours when it is dropped.
struct Bound<'a> {
    socket: OwnedFd,
    port: u16,
    used: bool,
    shared: &'a Shared<'a>,
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        self.shared.bound().remove(&self.port);
    }
}

struct Pending<'a> {
    socket: Bound<'a>,
    job: Job,
    since: Instant,
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    idle: Option<Bound<'a>>,
    queue: VecDeque<Job>,
    pending: Vec<Pending<'a>>,
    window: usize,
    /// Errors of this host in a row.
    barren: usize,
    done: Vec<(u32, State)>,
    /// How many of them the watch knows.
    told: usize,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            idle: None,
            queue: VecDeque::new(),
            pending: Vec::new(),
            window: shared.window,
            barren: 0,
            done: Vec::new(),
            told: 0,
        }
    }

    fn run(mut self) -> Vec<(u32, State)> {
        let mut since_reaped = 0;
        loop {
            if self.shared.watch.is_stopped() {
                return self.done;
            }
            since_reaped += 1;
            if self.pending.len() >= self.window {
                self.reap(true);
            } else if !self.pending.is_empty() && since_reaped >= CHUNK {
                self.reap(false);
                since_reaped = 0;
            }
            match self.take() {
                Some(job) => self.ask(job),
                None if self.pending.is_empty() => return self.done,
                None => self.reap(true),
            }
        }
    }

    fn take(&mut self) -> Option<Job> {
        let hopeless = self.shared.answers.load(Ordering::Relaxed) == 0
            && self.shared.silent.load(Ordering::Relaxed) >= SILENT_MAX;
        if hopeless {
            let asked = self.queue.drain(..).filter(|job| job.silent > 0);
            self.done.extend(asked.map(|job| (job.index, State::Filtered(super::TIMEOUT))));
            return None;
        }
        if self.queue.is_empty() {
            self.shared.watch.add(self.done.len() - self.told);
            self.told = self.done.len();
            let jobs = self.shared.jobs;
            let start = self.shared.next.fetch_add(CHUNK, Ordering::Relaxed).min(jobs.len());
            let chunk = &jobs[start..(start + CHUNK).min(jobs.len())];
            let job = |(index, port): &(u32, u16)| Job {
                index: *index,
                port: *port,
                silent: 0,
                failed: 0,
            };
            self.queue.extend(chunk.iter().map(job));
        }
        self.queue.pop_front()
    }

    fn ask(&mut self, job: Job) {
        let bound = match self.bound_for(job.port) {
            Ok(bound) => bound,
            Err(errno) => return self.failed_here(job, errno),
        };
        let target = SocketAddr::new(self.shared.address, job.port);
        let since = Instant::now();
        let mut said = rustix::net::connect(&bound.socket, &target);
        if said == Err(Errno::INPROGRESS) && self.shared.way == Way::Reused {
            said = rustix::net::connect(&bound.socket, &target);
        }
        match said {
            Err(Errno::ALREADY | Errno::INPROGRESS) => {
                self.pending.push(Pending { socket: bound, job, since });
            }
            // Another kernel may not connect a socket again after a refusal: ask with a new one.
            Err(errno) if bound.used && !is_local(errno) && errno != Errno::CONNREFUSED => {
                drop(bound);
                self.queue.push_front(job);
            }
            said => self.settle(bound, job, since, said),
        }
    }

    /// What the answer means; a refused socket is kept for the next port.
    fn settle(&mut self, mut bound: Bound<'a>, job: Job, since: Instant, said: Result<(), Errno>) {
        match said {
            Ok(()) | Err(Errno::ISCONN) => {
                let real = self.is_someone_else(&bound, job.port);
                let took = since.elapsed();
                let source = SocketAddr::new(self.shared.source(), bound.port);
                self.reset(bound);
                if real {
                    let target = SocketAddr::new(self.shared.address, job.port);
                    ledger::note(source, target, since);
                    self.answered(job, State::open(took));
                } else {
                    self.failed_here(job, Errno::ADDRINUSE);
                }
            }
            Err(Errno::CONNREFUSED) => {
                bound.used = true;
                self.idle = Some(bound).filter(|_| self.shared.way == Way::Reused);
                self.answered(job, State::Closed);
            }
            Err(errno) if is_local(errno) => {
                drop(bound);
                self.failed_here(job, errno);
            }
            Err(errno) => self.answered(job, State::Filtered(reason(errno))),
        }
    }

    /// Ends a connection with a reset, so that neither side keeps a TIME_WAIT. Connecting to nowhere does
    /// that and leaves the socket bound; closing it without lingering does that too.
    fn reset(&mut self, mut bound: Bound<'a>) {
        if self.shared.way == Way::Reused && rustix::net::connect_unspec(&bound.socket).is_ok() {
            bound.used = true;
            self.idle = Some(bound);
            return;
        }
        let _ = rustix::net::sockopt::set_socket_linger(&bound.socket, Some(Duration::ZERO));
    }

    fn answered(&mut self, job: Job, state: State) {
        // Only whether there was any matters: no line of memory that all threads write.
        if self.shared.answers.load(Ordering::Relaxed) == 0 {
            self.shared.answers.store(1, Ordering::Relaxed);
        }
        self.barren = 0;
        self.done.push((job.index, state));
    }

    /// Whether the other end is not a socket of this scan (a self-connect or a crossing of two).
    fn is_someone_else(&self, bound: &Bound<'_>, port: u16) -> bool {
        self.shared.source.is_some() || (bound.port != port && !self.shared.bound().contains(&port))
    }

    /// A socket that may ask for this port.
    fn bound_for(&mut self, port: u16) -> Result<Bound<'a>, Errno> {
        let shared = self.shared;
        let clashes = |bound: &Bound<'_>| shared.source.is_none() && bound.port == port;
        if let Some(idle) = self.idle.take_if(|idle| !clashes(idle)) {
            return Ok(idle);
        }
        // Made before the old one is dropped, so that it gets another port.
        let made = self.make()?;
        self.idle = None;
        if clashes(&made) { self.make() } else { Ok(made) }
    }

    fn make(&self) -> Result<Bound<'a>, Errno> {
        let shared = self.shared;
        let (socket, port) = bound(shared.source())?;
        shared.bound().insert(port);
        Ok(Bound { socket, port, used: false, shared })
    }

    /// This host could not ask: later again, with fewer at a time.
    fn failed_here(&mut self, mut job: Job, errno: Errno) {
        job.failed += 1;
        self.barren += 1;
        if job.failed > LOCAL_RETRIES_MAX || self.barren > BARREN_MAX {
            self.done.push((job.index, State::LocalError(errno.raw_os_error())));
            return;
        }
        self.window = (self.window / 2).max(1);
        self.queue.push_back(job);
        if self.pending.is_empty() {
            std::thread::sleep(Duration::from_millis(1 << job.failed.min(4)));
        } else {
            self.reap(true);
        }
    }

    /// Takes what has been answered or has waited too long; waits for the first of them if asked to.
    fn reap(&mut self, wait: bool) {
        let timeout = self.shared.limits.timeout;
        let Some(first) = self.pending.iter().map(|one| one.since).min() else { return };
        let left = if wait { self.patience(first, timeout) } else { Duration::ZERO };
        let left =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut polled: Vec<PollFd<'_>> = self
            .pending
            .iter()
            .map(|one| PollFd::new(&one.socket.socket, PollFlags::OUT))
            .collect();
        if rustix::event::poll(&mut polled, Some(&left)).is_err() {
            return;
        }
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        drop(polled);
        let waiting = std::mem::take(&mut self.pending);
        for (one, ready) in waiting.into_iter().zip(ready) {
            if ready {
                let said = rustix::net::sockopt::socket_error(&one.socket.socket);
                let said = said.unwrap_or_else(Err);
                self.settle(one.socket, one.job, one.since, said);
            } else if self.is_full(&one) {
                self.answered(one.job, State::Filtered(super::SATURATED));
            } else if one.since.elapsed() >= timeout {
                self.was_silent(one.job);
            } else {
                self.pending.push(one);
            }
        }
    }

    /// How long nothing but an answer is of interest.
    fn patience(&self, first: Instant, timeout: Duration) -> Duration {
        let waited = first.elapsed();
        if waited < QUEUE_LOOKED_AT {
            return (QUEUE_LOOKED_AT - waited).min(timeout.saturating_sub(waited));
        }
        timeout.saturating_sub(waited).min(QUEUE_LOOKED_AT)
    }

    fn is_full(&self, one: &Pending<'_>) -> bool {
        one.since.elapsed() >= QUEUE_LOOKED_AT && self.shared.full().ports.contains(&one.job.port)
    }

    fn was_silent(&mut self, mut job: Job) {
        self.shared.silent.fetch_add(1, Ordering::Relaxed);
        if job.silent < self.shared.limits.retries {
            job.silent += 1;
            self.queue.push_back(job);
        } else {
            self.done.push((job.index, State::Filtered(super::TIMEOUT)));
        }
    }
}
