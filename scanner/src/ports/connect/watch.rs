//! What others may see of a scan while it runs, and how they end it early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by a scan and whoever shows its progress or stops it.
#[derive(Debug, Default)]
pub struct Watch {
    settled: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    /// How many ports have an outcome so far; a little behind.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, ports: usize) {
        self.settled.fetch_add(ports as u64, Ordering::Relaxed);
    }

    /// Ends the scan soon: what has no outcome yet is not probed.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether somebody stopped it.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
