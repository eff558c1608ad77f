//! What this process has asked of its own host, so that a sweep can tell the log lines that wardmote
//! itself caused from those of a guest.
//!
//! Probes are noted as they are made ([`note`]) and taken by the caller, who keeps them.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Instant;

/// Most probes that wait to be taken.
pub const NOTED_MAX: usize = 65_536;

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
    if !target.ip().is_loopback() && source.ip() != target.ip() {
        return;
    }
    let mut noted = NOTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if noted.len() < NOTED_MAX {
        noted.push(Noted { source, target, began, ended: Instant::now() });
    }
}

/// What has been noted so far.
pub fn noted() -> Vec<Noted> {
    NOTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}
