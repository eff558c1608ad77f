//! What was decided a moment ago: a case that comes again within seconds is not decided again.
//!
//! A remembered decision only ever keeps something from happening twice. It never lets anything happen:
//! whoever finds one does nothing. The riskier the action, the sooner it is looked at again (60, 30, 10
//! and 5 s), and never later than its verdict is fresh. Dropped for a case when an operator says
//! something about it, and as a whole when the policy changes. Bounded: over [`ENTRIES_MAX`] the one
//! that ends first makes room.

use std::collections::HashMap;

use super::risk::Risk;

/// Most decisions that are remembered.
pub const ENTRIES_MAX: usize = 4_096;

/// What a decision is remembered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// `block`, or the command's name.
    pub action: String,
    /// Whom it is about.
    pub target: String,
    /// Fingerprint of the finding.
    pub case: String,
}

/// Decisions of the last seconds.
#[derive(Debug, Default)]
pub struct Cache {
    /// Until when each holds, and the number of its request.
    entries: HashMap<Key, (i64, i64)>,
    policy: String,
}

/// How long a decision is remembered, in seconds.
pub fn seconds(risk: Risk) -> i64 {
    match risk {
        Risk::Low => 60,
        Risk::Medium => 30,
        Risk::High => 10,
        Risk::Critical => 5,
    }
}

impl Cache {
    /// The request that was decided for this a moment ago, under this policy.
    pub fn find(&mut self, key: &Key, policy: &str, now: i64) -> Option<i64> {
        self.under(policy);
        let (until, id) = *self.entries.get(key)?;
        // A clock that was set back must not make it last longer than it would have.
        let holds = now < until && now >= until - seconds(Risk::Low);
        if !holds {
            self.entries.remove(key);
        }
        holds.then_some(id)
    }

    /// Remembers a decision; `fresh_s` is how long its verdict stays fresh.
    pub fn put(&mut self, key: Key, id: i64, risk: Risk, fresh_s: i64, policy: &str, now: i64) {
        self.under(policy);
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.entries.retain(|_, (until, _)| *until > now);
        }
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            let first = self.entries.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                self.entries.remove(&first);
            }
        }
        let until = now.saturating_add(seconds(risk).min(fresh_s));
        self.entries.insert(key, (until, id));
    }

    /// An operator said something about a case: feedback.
    pub fn drop_case(&mut self, case: &str) {
        self.entries.retain(|key, _| key.case != case);
    }

    fn under(&mut self, policy: &str) {
        if self.policy != policy {
            self.entries.clear();
            self.policy = policy.to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(case: &str) -> Key {
        Key { action: "block".into(), target: "192.0.2.7".into(), case: case.into() }
    }

    #[test]
    fn a_decision_is_remembered_for_as_long_as_its_risk_allows() {
        for (risk, holds) in
            [(Risk::Low, 60), (Risk::Medium, 30), (Risk::High, 10), (Risk::Critical, 5)]
        {
            let mut cache = Cache::default();
            cache.put(key("a"), 7, risk, 900, "p", 100);
            assert_eq!(cache.find(&key("a"), "p", 100 + holds - 1), Some(7), "{risk}");
            assert_eq!(cache.find(&key("a"), "p", 100 + holds), None, "{risk}");
            assert_eq!(cache.find(&key("a"), "p", 100), None, "what ended is gone");
        }
    }

    #[test]
    fn it_never_outlives_its_verdict_nor_a_clock_that_went_back() {
        let mut cache = Cache::default();
        cache.put(key("a"), 7, Risk::Low, 3, "p", 100);
        assert_eq!(cache.find(&key("a"), "p", 102), Some(7));
        assert_eq!(cache.find(&key("a"), "p", 103), None);
        cache.put(key("a"), 7, Risk::Low, 900, "p", 100);
        assert_eq!(cache.find(&key("a"), "p", 99), None);
        cache.put(key("a"), 7, Risk::Low, -5, "p", 100);
        assert_eq!(cache.find(&key("a"), "p", 100), None);
    }

    #[test]
    fn feedback_and_a_new_policy_drop_it() {
        let mut cache = Cache::default();
        for case in ["a", "b"] {
            cache.put(key(case), 7, Risk::Low, 900, "p", 100);
        }
        cache.drop_case("a");
        assert_eq!(cache.find(&key("a"), "p", 101), None);
        assert_eq!(cache.find(&key("b"), "p", 101), Some(7));
        assert_eq!(cache.find(&key("b"), "q", 101), None);
        assert_eq!(cache.find(&key("b"), "p", 101), None, "the old policy is another one again");
    }

    #[test]
    fn other_targets_and_actions_are_others_and_the_cache_is_bounded() {
        let mut cache = Cache::default();
        cache.put(key("a"), 1, Risk::Low, 900, "p", 100);
        let other = Key { target: "192.0.2.8".into(), ..key("a") };
        assert_eq!(cache.find(&other, "p", 100), None);
        assert_eq!(cache.find(&Key { action: "x".into(), ..key("a") }, "p", 100), None);
        for number in 0..ENTRIES_MAX {
            cache.put(key(&number.to_string()), 2, Risk::Low, 900, "p", 101);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert_eq!(cache.find(&key("a"), "p", 101), None, "the one that ends first made room");
    }
}
