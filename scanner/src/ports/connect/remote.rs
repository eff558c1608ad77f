//! Connect scan of other hosts: each at its own pace, all together within this host's means.
//!
//! How long to wait for a host, how many of its ports are in flight and when it is given up is
//! [`pace`](super::pace)'s to say; the order is [`order`](super::order)'s. This file sends: at a bounded
//! rate, with no more sockets than there are descriptors, fewer when this host runs out of something.
//! A silent port is asked again; what is not asked is not probed, never closed.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::task::JoinSet;

use super::ask::{Answer, ask};
use super::order::Order;
use super::pace::{Breaker, Next, Pace};
use super::watch::Watch;
use super::{Limits, State, TIMEOUT, descriptors};

/// Connections in flight, of all hosts, at the start, and at most.
const WINDOW: (usize, usize) = (256, 4096);
/// How often a port is tried again after an error of this host.
const LOCAL_RETRIES_MAX: u8 = 8;
/// How often the wish to stop is looked at.
const STOP_LOOKED_AT: Duration = Duration::from_millis(100);
/// Bursts last at most this part of a second.
const BURST: u32 = 20;

/// A host to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub address: IpAddr,
    /// The interface of a link-local address (RFC 4007), or 0.
    pub zone: u32,
    /// What is known of its ports already; those that are [`State::NotProbed`] are asked.
    pub states: Vec<State>,
}

/// What came of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In the order of the ports.
    pub states: Vec<State>,
    /// Why some of its ports were not probed.
    pub gave_up: Option<String>,
}

/// Scans ports of several hosts; states by host, in the order of the ports.
pub async fn scan(hosts: &[IpAddr], ports: &[u16], limits: &Limits) -> Vec<Vec<State>> {
    let target = |address: &IpAddr| Target {
        address: *address,
        zone: 0,
        states: vec![State::NotProbed; ports.len()],
    };
    let targets = hosts.iter().map(target).collect();
    let outcomes = run(targets, ports, limits, &Watch::default()).await;
    outcomes.into_iter().map(|outcome| outcome.states).collect()
}

/// Scans what is not known yet, until it is done or stopped.
pub async fn run(
    targets: Vec<Target>,
    ports: &[u16],
    limits: &Limits,
    watch: &Watch,
) -> Vec<Outcome> {
    let mut scan = Scan::new(targets, ports, limits, watch);
    let limiter = limiter(limits.rate);
    let mut flying: JoinSet<(Job, Answer)> = JoinSet::new();
    let mut ticks = tokio::time::interval(STOP_LOOKED_AT);
    while !watch.is_stopped() {
        let may_send = flying.len() < scan.window && !scan.ready.is_empty();
        if flying.is_empty() && !may_send {
            break;
        }
        let paused = scan.paused_until;
        tokio::select! {
            biased;
            Some(done) = flying.join_next(), if !flying.is_empty() => {
                if let Ok((job, answer)) = done {
                    scan.take(job, answer);
                }
            }
            () = turn(&limiter, paused), if may_send => {
                if let Some((job, address, timeout)) = scan.next() {
                    flying.spawn(async move { (job, ask(address, timeout).await) });
                }
            }
            _ = ticks.tick() => {}
        }
    }
    scan.hosts.into_iter().map(|host| host.outcome(limits)).collect()
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

fn limiter(rate: u32) -> Limiter {
    let per_second = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(rate / BURST).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst))
}

/// Until one more may be sent. Dropped before it is ready, it has taken nothing from the bucket.
async fn turn(limiter: &Limiter, paused: Option<Instant>) {
    if let Some(until) = paused {
        tokio::time::sleep_until(until.into()).await;
    }
    limiter.until_ready().await;
}

/// A port of a host to be asked.
#[derive(Clone, Copy, Debug)]
struct Job {
    host: usize,
    port: usize,
    silences: u32,
    failed: u8,
    /// Its state is known: asked only to see whether the host still answers.
    known: bool,
    /// It seemed open, and a socket of our own may have answered.
    doubtful: bool,
}

struct Host {
    address: IpAddr,
    zone: u32,
    index: usize,
    pace: Pace,
    /// How far in the order.
    step: usize,
    later: VecDeque<Job>,
    /// A port that answered.
    known: Option<usize>,
    /// In the queue of those that may be asked something.
    queued: bool,
    began: Option<Instant>,
    late: bool,
    states: Vec<State>,
}

struct Scan<'a> {
    ports: &'a [u16],
    order: Order,
    limits: &'a Limits,
    watch: &'a Watch,
    hosts: Vec<Host>,
    ready: VecDeque<usize>,
    window: usize,
    window_max: usize,
    began: Instant,
    paused_until: Option<Instant>,
}

impl<'a> Scan<'a> {
    fn new(targets: Vec<Target>, ports: &'a [u16], limits: &'a Limits, watch: &'a Watch) -> Self {
        let host = |(index, target): (usize, Target)| Host {
            address: target.address,
            zone: target.zone,
            index,
            pace: Pace::default(),
            step: 0,
            later: VecDeque::new(),
            known: None,
            queued: true,
            began: None,
            late: false,
            states: target.states,
        };
        let hosts: Vec<Host> = targets.into_iter().enumerate().map(host).collect();
        let ready = if ports.is_empty() { VecDeque::new() } else { (0..hosts.len()).collect() };
        let window_max = descriptors::budget().min(WINDOW.1);
        Self {
            ports,
            order: Order::new(ports, limits.seed),
            limits,
            watch,
            hosts,
            ready,
            window: WINDOW.0.min(window_max),
            window_max,
            began: Instant::now(),
            paused_until: None,
        }
    }

    /// The next job of the next host that has one.
    fn next(&mut self) -> Option<(Job, SocketAddr, Duration)> {
        while let Some(index) = self.ready.pop_front() {
            let host = &mut self.hosts[index];
            let Some(job) = host.next(&self.order, self.limits) else {
                host.queued = false;
                continue;
            };
            // To the end, so that no host is asked for everything at once.
            self.ready.push_back(index);
            host.pace.sent();
            host.began.get_or_insert_with(Instant::now);
            let timeout = host.pace.timeout(job.silences, self.limits.timeout);
            let address = match host.address {
                IpAddr::V6(six) => {
                    SocketAddrV6::new(six, self.ports[job.port], 0, host.zone).into()
                }
                four @ IpAddr::V4(_) => SocketAddr::new(four, self.ports[job.port]),
            };
            return Some((job, address, timeout));
        }
        None
    }

    fn take(&mut self, mut job: Job, answer: Answer) {
        let now = self.began.elapsed();
        let host = &mut self.hosts[job.host];
        let common_asked = host.step >= self.order.common();
        match answer {
            Answer::Accepted { took, .. } | Answer::Refused(took) => {
                host.pace.answered(now, took, job.silences);
                host.known.get_or_insert(job.port);
            }
            // Rejected ports are no sign of a host that died, but no sign of life either.
            Answer::Between(_) if host.pace.is_closed() && host.pace.has_answered() => {
                host.pace.unsent();
            }
            Answer::FailedHere(_) if !job.known => host.pace.unsent(),
            _ => host.pace.silent(common_asked),
        }
        let again = match answer {
            Answer::Accepted { doubtful: true, .. } if !job.doubtful => {
                job.doubtful = true;
                true
            }
            Answer::Silent => {
                job.silences += 1;
                job.silences <= host.pace.retries(self.limits.retries)
            }
            Answer::FailedHere(_) => {
                job.failed += 1;
                self.window = (self.window / 2).max(1);
                let pause = Duration::from_millis(1 << job.failed.min(7));
                self.paused_until = Some(Instant::now() + pause);
                job.failed <= LOCAL_RETRIES_MAX
            }
            _ => false,
        };
        if !matches!(answer, Answer::FailedHere(_)) {
            self.window = (self.window + 1).min(self.window_max);
        }
        if again && !job.known {
            host.later.push_back(job);
        } else if !job.known {
            host.states[job.port] = answer.state();
            self.watch.add(1);
        }
        if !host.queued {
            host.queued = true;
            self.ready.push_back(job.host);
        }
    }
}

impl Host {
    fn next(&mut self, order: &Order, limits: &Limits) -> Option<Job> {
        let overdue =
            |began: Instant| limits.host_timeout.is_some_and(|most| began.elapsed() > most);
        if self.late || self.began.is_some_and(overdue) {
            self.late = true;
            return None;
        }
        match self.pace.next() {
            Next::Wait | Next::Nothing => None,
            Next::Known => self.known.map(|port| self.job(port, true)),
            // Again at once where that shows losses, last where nobody may be there at all.
            Next::Port if self.pace.has_answered() => {
                self.later.pop_front().or_else(|| self.fresh(order))
            }
            Next::Port => self.fresh(order).or_else(|| self.later.pop_front()),
        }
    }

    /// The next port in the order that nothing is known of.
    fn fresh(&mut self, order: &Order) -> Option<Job> {
        while self.step < order.len() {
            let port = order.at(self.index, self.step);
            self.step += 1;
            if self.states[port] == State::NotProbed {
                return Some(self.job(port, false));
            }
        }
        None
    }

    fn job(&self, port: usize, known: bool) -> Job {
        Job { host: self.index, port, silences: 0, failed: 0, known, doubtful: false }
    }

    fn outcome(mut self, limits: &Limits) -> Outcome {
        // Asked at least once, and silent, before the host was given up.
        for job in self.later.drain(..).filter(|job| job.silences > 0) {
            self.states[job.port] = State::Filtered(TIMEOUT);
        }
        let left = self.states.iter().filter(|state| **state == State::NotProbed).count();
        let why = match (self.late, self.pace.breaker(), self.pace.has_answered()) {
            (true, ..) => {
                let most = limits.host_timeout.unwrap_or_default();
                Some(format!("{left} ports not probed, the host took longer than {most:?}"))
            }
            (_, Breaker::GivenUp, false) => {
                Some(format!("{left} ports not probed, the host never answered"))
            }
            (_, Breaker::GivenUp, true) => {
                Some(format!("{left} ports not probed, the host no longer answers"))
            }
            _ => None,
        };
        Outcome { states: self.states, gave_up: why.filter(|_| left > 0) }
    }
}
