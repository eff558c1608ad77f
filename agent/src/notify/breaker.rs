//! A breaker: after some failures in a row nobody tries for a while, then one tries for all.
//!
//! Closed it costs one load and one comparison. Time is the caller's, in milliseconds of any clock that
//! never goes back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Failures in a row that open it.
pub const FAILURES_MAX: u32 = 3;
/// How long it stays open the first time; doubled with every further failure.
pub const OPEN_MS: u64 = 5_000;
/// How long it stays open at most.
pub const OPEN_MS_MAX: u64 = 600_000;
/// Longest pause that a target may ask for.
pub const HOLD_MAX: Duration = Duration::from_secs(3_600);

/// Stands before one target.
#[derive(Debug, Default)]
pub struct Breaker {
    /// When the next one may try; 0 while it is closed.
    until_ms: AtomicU64,
    failures: AtomicU32,
}

impl Breaker {
    /// Whether it may be tried now. Half-open, the first who asks may, and the others wait for what
    /// comes of it as long as they waited before.
    #[inline]
    pub fn allows(&self, now_ms: u64) -> bool {
        let until = self.until_ms.load(Ordering::Relaxed);
        until == 0 || self.half_open(until, now_ms)
    }

    #[cold]
    fn half_open(&self, until: u64, now_ms: u64) -> bool {
        let next = now_ms + self.pause_ms();
        now_ms >= until
            && self
                .until_ms
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// It worked: closed.
    #[inline]
    pub fn worked(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// It failed; whether that opened it, or kept it open.
    pub fn failed(&self, now_ms: u64) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        // Far from the end of the numbers, and as many as double the pause to its most.
        if before > 1_000 {
            self.failures.store(1_000, Ordering::Relaxed);
        }
        if before + 1 < FAILURES_MAX {
            return false;
        }
        self.until_ms.store(now_ms.max(1) + self.pause_ms(), Ordering::Relaxed);
        true
    }

    /// The target itself says how long nobody should try; at most [`HOLD_MAX`].
    pub fn hold(&self, now_ms: u64, pause: Duration) {
        let pause = u64::try_from(pause.min(HOLD_MAX).as_millis()).unwrap_or(u64::MAX);
        self.failed(now_ms);
        self.until_ms.fetch_max(now_ms.max(1) + pause, Ordering::Relaxed);
    }

    /// When somebody may try again; `None` while it is closed.
    pub fn until_ms(&self) -> Option<u64> {
        Some(self.until_ms.load(Ordering::Relaxed)).filter(|until| *until != 0)
    }

    fn pause_ms(&self) -> u64 {
        let more = self.failures.load(Ordering::Relaxed).saturating_sub(FAILURES_MAX).min(20);
        (OPEN_MS << more).min(OPEN_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_some_failures_in_a_row_and_closes_when_one_works() {
        let breaker = Breaker::default();
        assert!(!breaker.failed(0) && !breaker.failed(0) && breaker.allows(0));
        breaker.worked();
        assert!(!breaker.failed(0) && !breaker.failed(0) && breaker.failed(0), "in a row");
        assert_eq!(breaker.until_ms(), Some(OPEN_MS + 1));
        assert!(!breaker.allows(OPEN_MS));
        breaker.worked();
        assert!(breaker.allows(OPEN_MS) && breaker.until_ms().is_none());
    }

    #[test]
    fn half_open_lets_one_through() {
        let breaker = Breaker::default();
        assert_eq!((0..FAILURES_MAX).filter(|_| breaker.failed(1_000)).count(), 1);
        let later = 1_000 + OPEN_MS;
        assert!(!breaker.allows(later - 1));
        assert!(breaker.allows(later) && !breaker.allows(later), "one, and no more");
        assert!(
            breaker.allows(later + OPEN_MS),
            "the one that tried has never said what came of it"
        );
    }

    #[test]
    fn a_target_may_ask_for_a_pause_up_to_a_bound() {
        let breaker = Breaker::default();
        breaker.hold(1_000, Duration::from_secs(7));
        assert!(!breaker.allows(7_999) && breaker.allows(8_000));
        breaker.worked();
        breaker.hold(1_000, HOLD_MAX * 2);
        assert_eq!(breaker.until_ms(), Some(3_601_000));
    }

    #[test]
    fn it_stays_open_longer_each_time_up_to_a_bound() {
        let breaker = Breaker::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            if breaker.failed(now) {
                let until = breaker.until_ms().unwrap();
                pauses.push(until - now.max(1));
                now = until;
            }
        }
        assert!(pauses.starts_with(&[OPEN_MS, 2 * OPEN_MS, 4 * OPEN_MS]));
        assert_eq!(pauses.last(), Some(&OPEN_MS_MAX));
    }
}
