//! Connect scan of this host's own addresses: no network in between, so the answer is there at once.
//!
//! On loopback the kernel answers a SYN before `connect` returns: a second `connect` on the
//! non-blocking socket tells open, closed or still pending. After a refusal the same socket connects
//! again (Linux keeps it bound). Connections are made from an address of 127/8 that is not the target,
//! so that a socket can never connect to itself; where no other address exists (`::1`), a socket never
//! asks for a port that one of ours is bound to, and what it reports is checked.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use super::{Limits, State, is_local, reason};

/// Most threads.
const WORKERS_MAX: usize = 4;
/// Ports a worker takes at a time.
const CHUNK: usize = 256;
/// Most connections of one worker that wait for an answer.
const WINDOW_MAX: usize = 256;
/// How often a port is tried again after an error of this host.
const LOCAL_RETRIES_MAX: u8 = 12;
/// How often another process may take the port that the kernel just chose.
const BINDS_MAX: usize = 16;
/// Errors of this host in a row after which nothing more is tried again.
const BARREN_MAX: usize = 100;
/// Silent ports without any answer at all after which the rest is not probed.
const SILENT_MAX: usize = 2_000;
/// The loopback addresses that connections come from, unless they are the target.
pub(in crate::ports) const SOURCES: [Ipv4Addr; 2] =
    [Ipv4Addr::new(127, 77, 1, 1), Ipv4Addr::new(127, 77, 1, 2)];

/// Scans ports of one own address; the states are in the order of the ports.
pub fn scan(address: IpAddr, ports: &[u16], limits: &Limits) -> Vec<State> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let threads = threads.min(WORKERS_MAX).min(ports.len().div_ceil(CHUNK)).max(1);
    let shared = Shared {
        address,
        source: source(address),
        ports,
        next: AtomicUsize::new(0),
        bound: Mutex::default(),
        answers: AtomicUsize::new(0),
        silent: AtomicUsize::new(0),
        limits,
    };
    let mut states = vec![State::NotProbed; ports.len()];
    let done: Vec<(usize, State)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| Worker::new(&shared).run())).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    for (index, state) in done {
        states[index] = state;
    }
    states
}

/// An address to come from that is not the target, if this host has one.
fn source(target: IpAddr) -> Option<IpAddr> {
    let candidates = SOURCES.into_iter().map(IpAddr::V4);
    match target {
        IpAddr::V4(_) => candidates.filter(|one| *one != target).find(|one| can_bind(*one)),
        IpAddr::V6(_) => None,
    }
}

fn can_bind(address: IpAddr) -> bool {
    fresh(address).is_ok()
}

/// A socket bound to an address and a port, with that port. The kernel chooses the port and it is then
/// bound by its number: only a port that was asked for stays with the socket after a refusal
/// (SOCK_BINDPORT_LOCK); otherwise each connect would take another, perhaps the one it asks.
fn fresh(address: IpAddr) -> Result<(OwnedFd, u16), Errno> {
    for _ in 0..BINDS_MAX {
        let chosen = socket(address)?;
        rustix::net::bind(&chosen, &SocketAddr::new(address, 0))?;
        let port = local_port(&chosen)?;
        drop(chosen);
        let bound = socket(address)?;
        match rustix::net::bind(&bound, &SocketAddr::new(address, port)) {
            Err(Errno::ADDRINUSE) => {}
            other => return other.map(|()| (bound, port)),
        }
    }
    Err(Errno::ADDRINUSE)
}

fn local_port(socket: &OwnedFd) -> Result<u16, Errno> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?.port())
}

fn socket(of: IpAddr) -> Result<OwnedFd, Errno> {
    let family = if of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
}

struct Shared<'a> {
    address: IpAddr,
    /// An address that is not the target; `None` where there is no other.
    source: Option<IpAddr>,
    ports: &'a [u16],
    next: AtomicUsize,
    /// Ports that sockets of this scan are bound to.
    bound: Mutex<BTreeSet<u16>>,
    answers: AtomicUsize,
    silent: AtomicUsize,
    limits: &'a Limits,
}

impl Shared<'_> {
    fn bound(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        self.bound.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A port to be asked.
#[derive(Clone, Copy)]
struct Job {
    index: usize,
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
    done: Vec<(usize, State)>,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            idle: None,
            queue: VecDeque::new(),
            pending: Vec::new(),
            window: WINDOW_MAX,
            barren: 0,
            done: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<(usize, State)> {
        let mut since_reaped = 0;
        loop {
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
            let ports = self.shared.ports;
            let start = self.shared.next.fetch_add(CHUNK, Ordering::Relaxed);
            let chunk = start..(start + CHUNK).min(ports.len());
            self.queue.extend(chunk.map(|index| Job {
                index,
                port: ports[index],
                silent: 0,
                failed: 0,
            }));
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
        if said == Err(Errno::INPROGRESS) {
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
                // Reset, so that neither side keeps a TIME_WAIT.
                let _ =
                    rustix::net::sockopt::set_socket_linger(&bound.socket, Some(Duration::ZERO));
                drop(bound);
                if real {
                    self.answered(job, State::open(since.elapsed()));
                } else {
                    self.failed_here(job, Errno::ADDRINUSE);
                }
            }
            Err(Errno::CONNREFUSED) => {
                bound.used = true;
                self.idle = Some(bound);
                self.answered(job, State::Closed);
            }
            Err(errno) if is_local(errno) => {
                drop(bound);
                self.failed_here(job, errno);
            }
            Err(errno) => self.answered(job, State::Filtered(reason(errno))),
        }
    }

    fn answered(&mut self, job: Job, state: State) {
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
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
        // Without another address, an own one reaches itself.
        let from = shared.source.unwrap_or(shared.address);
        let (socket, port) = fresh(from)?;
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
        let left = if wait { timeout.saturating_sub(first.elapsed()) } else { Duration::ZERO };
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
            } else if one.since.elapsed() >= timeout {
                self.was_silent(one.job);
            } else {
                self.pending.push(one);
            }
        }
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
