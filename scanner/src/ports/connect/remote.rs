//! Connect scan of other hosts: a bounded number of connections at a time, at a bounded rate.
//!
//! The number in flight grows with every answer and halves when this host runs out of something. A
//! port that is silent is asked again after all others. A host that never answers at all is given up
//! after [`SILENT_MAX`] ports: the rest counts as not probed, never as closed.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::{Quota, RateLimiter};
use rustix::io::Errno;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::{Limits, State, TIMEOUT, is_local, reason};

/// Connections in flight at the start, and at most.
const WINDOW: (usize, usize) = (64, 512);
/// How often a port is tried again after an error of this host.
const LOCAL_RETRIES_MAX: u8 = 8;
/// Silent ports of a host without any answer after which it is given up. Above the number of common
/// ports, so that those are always asked.
pub const SILENT_MAX: u32 = 128;

/// A port of a host to be asked.
#[derive(Clone, Copy)]
struct Job {
    host: usize,
    port: usize,
    silent: u32,
    failed: u8,
}

#[derive(Clone, Copy, Default)]
struct Host {
    silent: u32,
    answered: bool,
}

impl Host {
    fn given_up(self) -> bool {
        !self.answered && self.silent >= SILENT_MAX
    }
}

/// Scans ports of several hosts; states by host, in the order of the ports.
pub async fn scan(hosts: &[IpAddr], ports: &[u16], limits: &Limits) -> Vec<Vec<State>> {
    let mut scan = Scan {
        hosts: vec![Host::default(); hosts.len()],
        states: vec![vec![State::NotProbed; ports.len()]; hosts.len()],
        later: VecDeque::new(),
        window: WINDOW.0,
        limits,
    };
    let rate = NonZeroU32::new(limits.rate).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(limits.rate / 20).unwrap_or(NonZeroU32::MIN);
    let limiter = RateLimiter::direct(Quota::per_second(rate).allow_burst(burst));
    // Host by host within a port, so that no host is asked for everything at once.
    let mut fresh = (0..ports.len()).flat_map(|port| {
        (0..hosts.len()).map(move |host| Job { host, port, silent: 0, failed: 0 })
    });
    let mut flying: JoinSet<(Job, Answer)> = JoinSet::new();
    loop {
        while flying.len() < scan.window {
            let Some(job) = fresh.next().or_else(|| scan.later.pop_front()) else { break };
            if scan.hosts[job.host].given_up() {
                if job.silent > 0 {
                    scan.states[job.host][job.port] = State::Filtered(TIMEOUT);
                }
                continue;
            }
            limiter.until_ready().await;
            let address = SocketAddr::new(hosts[job.host], ports[job.port]);
            let timeout = limits.timeout * (job.silent + 1);
            flying.spawn(async move { (job, ask(address, timeout).await) });
        }
        match flying.join_next().await {
            Some(Ok((job, answer))) => scan.take(job, answer).await,
            Some(Err(_)) => {}
            None if scan.later.is_empty() => break,
            None => {}
        }
    }
    scan.states
}

struct Scan<'a> {
    hosts: Vec<Host>,
    states: Vec<Vec<State>>,
    later: VecDeque<Job>,
    window: usize,
    limits: &'a Limits,
}

impl Scan<'_> {
    async fn take(&mut self, mut job: Job, answer: Answer) {
        let host = &mut self.hosts[job.host];
        let state = match answer {
            Answer::Is(state) => {
                host.answered |= matches!(state, State::Open(_) | State::Closed);
                if !host.answered {
                    host.silent += 1;
                }
                self.window = (self.window + 1).min(WINDOW.1);
                state
            }
            Answer::Silent => {
                if job.silent == 0 {
                    host.silent += 1;
                }
                if job.silent < self.limits.retries && !host.given_up() {
                    job.silent += 1;
                    return self.later.push_back(job);
                }
                State::Filtered(TIMEOUT)
            }
            Answer::FailedHere(errno) => {
                self.window = (self.window / 2).max(1);
                job.failed += 1;
                if job.failed <= LOCAL_RETRIES_MAX {
                    tokio::time::sleep(Duration::from_millis(1 << job.failed.min(7))).await;
                    return self.later.push_back(job);
                }
                State::LocalError(errno)
            }
        };
        self.states[job.host][job.port] = state;
    }
}

enum Answer {
    Is(State),
    Silent,
    FailedHere(i32),
}

async fn ask(address: SocketAddr, timeout: Duration) -> Answer {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return classify(&error),
    };
    let since = Instant::now();
    match tokio::time::timeout(timeout, socket.connect(address)).await {
        Err(_) => Answer::Silent,
        Ok(Err(error)) => classify(&error),
        Ok(Ok(stream)) => {
            let took = since.elapsed();
            // Reset, so that this host keeps no TIME_WAIT.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            // Both ends the same: nobody answered but ourselves.
            if stream.local_addr().ok() == stream.peer_addr().ok() {
                return Answer::FailedHere(Errno::ADDRINUSE.raw_os_error());
            }
            Answer::Is(State::open(took))
        }
    }
}

fn classify(error: &std::io::Error) -> Answer {
    let number = error.raw_os_error().unwrap_or(0);
    let errno = Errno::from_raw_os_error(number.clamp(1, 4095));
    match errno {
        Errno::CONNREFUSED => Answer::Is(State::Closed),
        Errno::TIMEDOUT => Answer::Silent,
        errno if is_local(errno) => Answer::FailedHere(number),
        errno => Answer::Is(State::Filtered(reason(errno))),
    }
}
