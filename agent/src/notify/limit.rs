//! A limit on how often something may happen: the generic cell rate algorithm (ITU-T I.371), for one thing
//! or by key. Time is the caller's, in nanoseconds of any clock that never goes back.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most keys that are remembered; beyond, those that are free again make room.
pub const KEYS_MAX: usize = 65_536;

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Time between two, in the long run.
    every_ns: u64,
    /// How far ahead of that one may be.
    ahead_ns: u64,
}

impl Rate {
    /// One in `every_ns`, and `burst` of them at once; both at least 1.
    pub fn new(every_ns: u64, burst: u32) -> Self {
        let every_ns = every_ns.max(1);
        Self { every_ns, ahead_ns: every_ns.saturating_mul(u64::from(burst.max(1)) - 1) }
    }

    /// When the next one is due after one at `now`, if that may be; `due` is what the one before gave.
    #[inline]
    fn next(self, due: u64, now_ns: u64) -> Option<u64> {
        let due = due.max(now_ns);
        (due - now_ns <= self.ahead_ns).then(|| due.saturating_add(self.every_ns))
    }
}

/// A limit on one thing, for any number of threads.
#[derive(Debug)]
pub struct Limit {
    rate: Rate,
    due_ns: AtomicU64,
}

impl Limit {
    /// Nothing has happened yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, due_ns: AtomicU64::new(0) }
    }

    /// Whether it may happen now; if so, it counts.
    #[inline]
    pub fn allows(&self, now_ns: u64) -> bool {
        let mut due = self.due_ns.load(Ordering::Relaxed);
        loop {
            let Some(next) = self.rate.next(due, now_ns) else { return false };
            let done =
                self.due_ns.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed);
            match done {
                Ok(_) => return true,
                Err(other) => due = other,
            }
        }
    }
}

/// A limit on each of many things. Keys may be an attacker's: they are kept as hashes under a random key,
/// and their number is bounded.
#[derive(Debug)]
pub struct KeyedLimit {
    rate: Rate,
    hash: RandomState,
    due_ns: HashMap<u64, u64, BuildHasherDefault<Hashed>>,
    /// When room may be looked for again: a storm of new keys must not look at all of them for each.
    next_look_ns: u64,
}

impl KeyedLimit {
    /// Nothing has happened yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, hash: RandomState::new(), due_ns: HashMap::default(), next_look_ns: 0 }
    }

    /// Whether it may happen to this key now; if so, it counts. When all keys that are remembered are
    /// still limited, an unknown one may: too much is told rather than too little.
    #[inline]
    pub fn allows<K: Hash + ?Sized>(&mut self, key: &K, now_ns: u64) -> bool {
        let hash = self.hash.hash_one(key);
        if let Some(due) = self.due_ns.get_mut(&hash) {
            let Some(next) = self.rate.next(*due, now_ns) else { return false };
            *due = next;
            return true;
        }
        self.remember(hash, now_ns);
        true
    }

    #[cold]
    fn remember(&mut self, hash: u64, now_ns: u64) {
        if self.due_ns.len() >= KEYS_MAX && now_ns >= self.next_look_ns {
            self.due_ns.retain(|_, due| *due > now_ns);
            self.next_look_ns = now_ns.saturating_add(self.rate.every_ns);
        }
        if self.due_ns.len() < KEYS_MAX {
            self.due_ns.insert(hash, now_ns.saturating_add(self.rate.every_ns));
        }
    }
}

/// For keys that are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_and_then_the_rate() {
        let limit = Limit::new(Rate::new(SECOND, 3));
        let at = |now| limit.allows(now);
        assert!(at(0) && at(0) && at(0) && !at(0));
        assert!(!at(SECOND - 1) && at(SECOND) && !at(SECOND));
        assert!(at(10 * SECOND) && at(10 * SECOND) && at(10 * SECOND) && !at(10 * SECOND));
    }

    #[test]
    fn over_any_time_no_more_than_the_rate_and_one_burst() {
        let limit = Limit::new(Rate::new(SECOND, 5));
        let passed = (0..100_000_u64).filter(|step| limit.allows(step * SECOND / 100)).count();
        assert_eq!(passed, 1_000 + 4);
    }

    #[test]
    fn keys_are_limited_each_by_itself_and_bounded() {
        let mut limit = KeyedLimit::new(Rate::new(SECOND, 1));
        assert!(limit.allows("a", 0) && !limit.allows("a", 1) && limit.allows("b", 1));
        for key in 0..2 * KEYS_MAX as u64 {
            assert!(limit.allows(&key, 2));
        }
        assert_eq!(limit.due_ns.len(), KEYS_MAX);
        assert!(!limit.allows("a", 3), "what was remembered is not pushed out");
        assert!(limit.allows("new", 5 * SECOND));
        assert_eq!(limit.due_ns.len(), 1, "those that are free again made room");
    }
}
