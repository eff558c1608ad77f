//! What this host's wardmote has asked of the host itself, so that a sweep can tell the log lines that
//! its own probes caused from those of a guest.
//!
//! Probes are noted as they are made ([`note`]); the caller takes them ([`take`]), dates them and keeps
//! them as a [`Ledger`]. A line is discounted only when all of this holds: it is word for word one of the
//! forms in [`bare`] (a connection that came and went; no user, no failed login), and the address and the
//! port in it were ours at that time, give or take [`SLACK_S`]. So the ledger is no place to hide: whoever
//! else connects has another port or time, and whoever tries to log in has another line.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::addresses::unmapped;

mod bare;

pub use bare::bare;

/// Most probes that wait to be taken.
pub const NOTED_MAX: usize = 65_536;
/// Most probes of a ledger; the oldest go first.
pub const PROBES_MAX: usize = 65_536;
/// Most bytes of a ledger.
pub const LEDGER_BYTES_MAX: usize = 4 << 20;
/// Seconds after which a probe is forgotten: what is older than an audit looks back at.
pub const AGE_MAX_S: i64 = 8 * 86_400;
/// Longest conversation in seconds; what claims to have been longer is cut.
pub const LENGTH_MAX_S: i64 = 60;
/// Seconds by which a line may be before or after its probe.
pub const SLACK_S: i64 = 2;
/// Version of the form.
const SCHEMA: u32 = 1;

/// A connection that this process made to its own host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Where it came from: the address and port that the service sees.
    pub source: SocketAddr,
    /// What was asked.
    pub target: SocketAddr,
    /// When it began.
    pub began: Instant,
    /// When it was noted.
    pub ended: Instant,
}

static NOTED: Mutex<Vec<Noted>> = Mutex::new(Vec::new());

/// Notes a connection, unless it is to another host: only this host's logs are swept here. What is over
/// the bound is not kept: its log lines are then judged like anybody's.
pub fn note(source: SocketAddr, target: SocketAddr, began: Instant) {
    // What comes from loopback reaches nobody but this host, whichever of its addresses was asked.
    let is_here =
        target.ip().is_loopback() || source.ip().is_loopback() || source.ip() == target.ip();
    if !is_here {
        return;
    }
    let mut noted = NOTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if noted.len() < NOTED_MAX {
        noted.push(Noted { source, target, began, ended: Instant::now() });
    }
}

/// What has been noted since this was last asked.
pub fn take() -> Vec<Noted> {
    std::mem::take(&mut *NOTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// A probe with its time, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The address that it came from.
    pub address: IpAddr,
    /// The port that it came from.
    pub port: u16,
    /// The port that was asked.
    pub target: u16,
    /// When it began.
    pub from_s: i64,
    /// When it was over.
    pub to_s: i64,
}

/// Own probes by where they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    probes: Vec<Probe>,
    by_source: HashMap<(IpAddr, u16), Vec<(i64, i64)>>,
}

impl Ledger {
    /// A ledger of probes, of which those that are too old at `now` or in the future are left out.
    pub fn new(probes: impl IntoIterator<Item = Probe>, now: i64) -> Self {
        let mut probes: Vec<Probe> = probes
            .into_iter()
            .filter(|probe| (now - AGE_MAX_S..=now + SLACK_S).contains(&probe.from_s))
            .map(|probe| Probe {
                address: unmapped(probe.address),
                to_s: probe.to_s.clamp(probe.from_s, probe.from_s + LENGTH_MAX_S),
                ..probe
            })
            .collect();
        probes.sort_by_key(|probe| probe.from_s);
        probes.drain(..probes.len().saturating_sub(PROBES_MAX));
        let mut by_source: HashMap<_, Vec<_>> = HashMap::new();
        for probe in &probes {
            let times = by_source.entry((probe.address, probe.port)).or_default();
            times.push((probe.from_s, probe.to_s));
        }
        Self { probes, by_source }
    }

    /// All probes, oldest first.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Whether nothing was asked: then no line is looked at.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    /// Whether a message (the line after its program) of a time was caused by a probe of ours.
    pub fn caused(&self, message: &[u8], at: i64) -> bool {
        let Some((address, port)) = bare(message).filter(|_| !self.is_empty()) else {
            return false;
        };
        let times = self.by_source.get(&(unmapped(address), port));
        times.is_some_and(|times| {
            times.iter().any(|(from, to)| (from - SLACK_S..=to + SLACK_S).contains(&at))
        })
    }

    /// The ledger as bytes.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let bytes = postcard::to_stdvec(&(SCHEMA, &self.probes)).ok()?;
        (bytes.len() <= LEDGER_BYTES_MAX).then_some(bytes)
    }

    /// A ledger from bytes that have been proved to be ours; `None` where they are damaged.
    pub fn from_bytes(bytes: &[u8], now: i64) -> Option<Self> {
        if bytes.len() > LEDGER_BYTES_MAX {
            return None;
        }
        let (schema, body) = postcard::take_from_bytes::<u32>(bytes).ok()?;
        if schema != SCHEMA {
            return None;
        }
        let (probes, rest) = postcard::take_from_bytes::<Vec<Probe>>(body).ok()?;
        (rest.is_empty() && probes.len() <= PROBES_MAX).then(|| Self::new(probes, now))
    }
}

#[cfg(test)]
pub(super) mod tests;
