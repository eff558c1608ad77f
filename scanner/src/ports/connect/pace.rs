//! How one host is asked: how long to wait for it, how many ports at a time, and when to stop.
//!
//! Nothing here looks at a clock or a socket: times are values since the scan began. Three parts:
//! [`Rtt`] (RFC 6298), [`Window`] (additive increase, multiplicative decrease) and [`Breaker`].
//!
//! A silent port is not a lost packet: firewalls are silent on purpose, and a window that shrank at
//! each silence would take hours for a host that drops. A loss is proven when a port that was silent
//! answers when asked again; only that halves the window. For the same reason a host that has answered
//! is never given up because many ports are silent, but only when a port that did answer is silent too.

use std::time::Duration;

/// Wait before anything is known (RFC 6298, 2.1).
const RTO_FIRST: Duration = Duration::from_secs(1);
/// Shortest wait for an answer: what nmap takes too.
const RTO_MIN: Duration = Duration::from_millis(100);
/// The kernel repeats an unanswered SYN after this time; an answer that took longer may be to either.
const SYN_REPEATED: Duration = Duration::from_secs(1);
/// Ports of one host in flight at first, and at most.
pub const WINDOW: (usize, usize) = (64, 512);
/// In flight after a host that seemed dead has answered.
const WINDOW_HALF_OPEN: usize = 8;
/// Most in flight where hardly anything answers, so that losses would not be seen.
const WINDOW_UNSEEN: usize = 128;
/// Silences in a row without any answer, ever, after which a host seems to be dead.
pub const DEAD_AFTER: u32 = 32;
/// Of so many asked in a row …
const BLOCK: u32 = 200;
/// … more silent than this make a port that did answer be asked again.
const BLOCK_SILENT_MAX: u32 = 180;
/// Single probes, each waited for, before a host is given up.
pub const TRIALS: u32 = 2;
/// How much more often a silent port is asked where losses are proven.
const EXTRA_ASKS: u32 = 2;

/// Estimates the time to an answer (RFC 6298, 2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    /// Smoothed time and its variation.
    known: Option<(Duration, Duration)>,
}

impl Rtt {
    /// Learns from an answer. Karn's rule: not from one that may belong to a repeated SYN. A port that
    /// is asked again is asked from another socket, so its answer is to that ask alone.
    pub fn sample(&mut self, took: Duration) {
        if took >= SYN_REPEATED {
            return;
        }
        self.known = Some(match self.known {
            None => (took, took / 2),
            Some((smoothed, variation)) => {
                let off = smoothed.abs_diff(took);
                (smoothed * 7 / 8 + took / 8, variation * 3 / 4 + off / 4)
            }
        });
    }

    /// How long to wait for an answer to the next ask of a port that was silent `silences` times: twice
    /// as long each time, never longer than `cap`.
    pub fn timeout(&self, silences: u32, cap: Duration) -> Duration {
        let base = match self.known {
            None => RTO_FIRST,
            Some((smoothed, variation)) => (smoothed + variation * 4).max(RTO_MIN),
        };
        base.saturating_mul(1 << silences.min(8)).min(cap)
    }
}

/// How many ports of one host are in flight (RFC 5681 in spirit).
#[derive(Clone, Copy, Debug)]
pub struct Window {
    size: usize,
    in_flight: usize,
    /// Below it one more an answer, above it one more a window.
    threshold: usize,
    credit: usize,
    /// Losses until then belong to the last halving.
    recovering_until: Duration,
}

impl Default for Window {
    fn default() -> Self {
        let (size, threshold) = WINDOW;
        Self { size, in_flight: 0, threshold, credit: 0, recovering_until: Duration::ZERO }
    }
}

impl Window {
    /// Whether one more may be sent.
    pub fn has_room(&self) -> bool {
        self.in_flight < self.size
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many may be.
    pub fn size(&self) -> usize {
        self.size
    }

    fn grow(&mut self) {
        self.credit += 1;
        if self.size < self.threshold || self.credit >= self.size {
            self.credit = 0;
            self.size = (self.size + 1).min(WINDOW.1);
        }
    }

    fn lost(&mut self, now: Duration, rto: Duration) {
        if now < self.recovering_until {
            return;
        }
        self.size = (self.size / 2).max(1);
        self.threshold = self.size;
        self.credit = 0;
        self.recovering_until = now + rto;
    }
}

/// Whether a host is worth more probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It is.
    Closed,
    /// Nearly everything is silent: a port that did answer is to be asked again first.
    Checking,
    /// One probe at a time; so many are left.
    Open(u32),
    /// Nothing more is sent.
    GivenUp,
}

/// What the host may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A port.
    Port,
    /// A port that has answered before, to see whether it still does.
    Known,
    /// Nothing before something in flight has come back.
    Wait,
    /// Nothing any more.
    Nothing,
}

/// The three of one host.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rtt: Rtt,
    window: Window,
    breaker: Breaker,
    answered: bool,
    silences: u32,
    /// Asked and silent of the current block.
    block: (u32, u32),
    losses: u32,
    /// What is in flight was sent alone, to see whether the host still answers.
    alone: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rtt: Rtt::default(),
            window: Window::default(),
            breaker: Breaker::Closed,
            answered: false,
            silences: 0,
            block: (0, 0),
            losses: 0,
            alone: false,
        }
    }
}

impl Pace {
    /// What may be asked now.
    pub fn next(&self) -> Next {
        match self.breaker {
            Breaker::GivenUp => Next::Nothing,
            Breaker::Closed if self.window.has_room() => Next::Port,
            Breaker::Checking | Breaker::Open(_) if self.window.in_flight > 0 => Next::Wait,
            Breaker::Closed => Next::Wait,
            Breaker::Checking | Breaker::Open(_) if self.answered => Next::Known,
            Breaker::Checking | Breaker::Open(_) => Next::Port,
        }
    }

    /// Something was sent.
    pub fn sent(&mut self) {
        self.window.in_flight += 1;
        self.alone = self.breaker != Breaker::Closed;
    }

    /// What was sent came to nothing on this host itself: it tells nothing about the other.
    pub fn unsent(&mut self) {
        self.window.in_flight = self.window.in_flight.saturating_sub(1);
    }

    /// The host accepted or refused a port that had been silent `silences` times.
    pub fn answered(&mut self, now: Duration, took: Duration, silences: u32) {
        self.unsent();
        self.rtt.sample(took);
        if silences > 0 {
            self.losses = self.losses.saturating_add(1);
            let rto = self.rtt.timeout(0, Duration::MAX);
            self.window.lost(now, rto);
        } else {
            self.window.grow();
        }
        match self.breaker {
            Breaker::Open(_) => {
                self.window.size = self.window.size.min(WINDOW_HALF_OPEN);
                self.window.threshold = WINDOW.0;
            }
            // It is there, and silent on purpose: answers are too few to let the window grow.
            Breaker::Checking if self.alone && self.window.size < WINDOW_UNSEEN => {
                self.window.size = (self.window.size * 2).min(WINDOW_UNSEEN);
            }
            _ => {}
        }
        if self.breaker != Breaker::GivenUp {
            self.breaker = Breaker::Closed;
        }
        self.answered = true;
        self.alone = false;
        self.silences = 0;
        self.count(false);
    }

    /// A router or a firewall answered in its place, or nobody. `common_asked`: whether the ports that
    /// are always asked have been.
    pub fn silent(&mut self, common_asked: bool) {
        self.unsent();
        let alone = std::mem::take(&mut self.alone);
        self.silences = self.silences.saturating_add(1);
        self.count(true);
        let dead = !self.answered && self.silences >= DEAD_AFTER && common_asked;
        self.breaker = match self.breaker {
            Breaker::Closed if dead => Breaker::Open(TRIALS),
            // One of those that were in flight before.
            Breaker::Checking | Breaker::Open(_) if !alone => self.breaker,
            Breaker::Checking => Breaker::Open(TRIALS),
            Breaker::Open(left) if left > 1 => Breaker::Open(left - 1),
            Breaker::Open(_) => Breaker::GivenUp,
            same => same,
        };
    }

    /// Judges a block when it is full.
    fn count(&mut self, silent: bool) {
        self.block.0 += 1;
        self.block.1 += u32::from(silent);
        if self.block.0 < BLOCK {
            return;
        }
        if self.answered && self.block.1 > BLOCK_SILENT_MAX && self.breaker == Breaker::Closed {
            self.breaker = Breaker::Checking;
        }
        self.block = (0, 0);
    }

    /// How long to wait for the next answer.
    pub fn timeout(&self, silences: u32, cap: Duration) -> Duration {
        self.rtt.timeout(silences, cap)
    }

    /// How often a silent port is asked again when `retries` were wanted: more where losses are proven.
    pub fn retries(&self, retries: u32) -> u32 {
        if retries > 0 && self.losses > 0 { retries + EXTRA_ASKS } else { retries }
    }

    /// Whether it ever accepted or refused.
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Whether its breaker is closed: it is asked as fast as its window allows.
    pub fn is_closed(&self) -> bool {
        self.breaker == Breaker::Closed
    }

    /// Its breaker.
    pub fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// Its window.
    pub fn window(&self) -> &Window {
        &self.window
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
