//! Before the stages: what came again and again just now is not judged each time.
//!
//! An alert is the same as an earlier one when check and key are, and everything that its verdict may rest
//! on ([`Storm::sign`]): level, rights, tags, subject, who else speaks of it. Of equal ones the 1st, 2nd,
//! 4th, 8th … are judged, and at least one in [`AGAIN_S`]; the others are only added to what is kept
//! ([`More`]). Never held back is what is high or critical, by its rule or by its last verdict. Of what is
//! new, information and low may be left out beyond [`MILD_MAX`] a look: counted, and said.
//!
//! Bounded: [`KEYS_MAX`] keys; beyond, everything is judged.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

use consensus::{Context, Evidence, Severity};
use serde::{Deserialize, Serialize};

use crate::pipeline::judge::Judged;

/// Most keys that are known.
pub const KEYS_MAX: usize = 16_384;
/// What comes again is judged at least so often, in seconds; after so long a pause it is forgotten.
pub const AGAIN_S: i64 = 600;
/// Most alerts up to low that are new and judged in one look.
pub const MILD_MAX: usize = 2_000;

/// More of what is kept already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct More {
    /// The alert's fingerprint.
    pub fingerprint: String,
    /// How many events.
    pub count: u64,
}

/// What became of one look's alerts.
pub struct Sorted {
    /// To be judged.
    pub judge: Vec<Judged>,
    /// Only to be added.
    pub more: Vec<More>,
    /// How many were left out.
    pub left_out: u64,
}

/// One key.
struct Known {
    key: (String, String),
    sign: u64,
    fingerprint: String,
    severity: Severity,
    /// How often it came, and at which of these times it is judged next.
    times: u64,
    next: u64,
    judged: i64,
    last: i64,
}

/// What came lately.
#[derive(Default)]
pub struct Storm {
    known: HashMap<(String, String), Known>,
    /// What the last look judged, until it is stored.
    judged: Vec<Known>,
    hasher: RandomState,
    /// Alerts that were only added to what is kept, since the start.
    pub held: u64,
    /// Alerts that were left out, since the start.
    pub left_out: u64,
}

impl Storm {
    /// Sorts one look's alerts: which are judged, and which are more of the same.
    pub fn sort(&mut self, items: Vec<Judged>, context: &Context, now: i64) -> Sorted {
        self.judged.clear();
        let mut sorted = Sorted { judge: Vec::new(), more: Vec::new(), left_out: 0 };
        let mut mild = 0;
        for item in items {
            let evidence = &item.evidence;
            let sign = self.sign(evidence, context);
            match self.again(evidence, sign, now) {
                Some(Some(fingerprint)) => {
                    sorted.more.push(More { fingerprint, count: evidence.count });
                    continue;
                }
                Some(None) => {}
                None if is_mild(evidence) => {
                    mild += 1;
                    if mild > MILD_MAX {
                        sorted.left_out += 1;
                        continue;
                    }
                }
                None => {}
            }
            sorted.judge.push(item);
        }
        self.held += sorted.more.len() as u64;
        self.left_out += sorted.left_out;
        sorted
    }

    /// Notes that this was judged so, under its fingerprint. It counts only when it is [`Storm::stored`]: what
    /// was not stored comes again, and must not be held back then.
    pub fn judged(
        &mut self,
        evidence: &Evidence,
        context: &Context,
        fingerprint: &str,
        severity: Severity,
    ) {
        self.judged.push(Known {
            key: (evidence.check.clone(), evidence.key.clone()),
            sign: self.sign(evidence, context),
            fingerprint: fingerprint.to_string(),
            severity,
            times: 1,
            next: 2,
            judged: 0,
            last: 0,
        });
    }

    /// What was judged in the last look is stored.
    pub fn stored(&mut self, now: i64) {
        for mut fresh in std::mem::take(&mut self.judged) {
            if self.known.len() >= KEYS_MAX && !self.known.contains_key(&fresh.key) {
                self.known.retain(|_, known| (0..AGAIN_S).contains(&(now - known.last)));
                if self.known.len() >= KEYS_MAX {
                    return;
                }
            }
            if let Some(known) = self.known.get(&fresh.key)
                && (known.sign, &known.fingerprint) == (fresh.sign, &fresh.fingerprint)
            {
                (fresh.times, fresh.next) = (known.times, known.next);
            }
            (fresh.judged, fresh.last) = (now, now);
            self.known.insert(fresh.key.clone(), fresh);
        }
    }

    /// Whether it came before: then the fingerprint under which it is kept, unless it is to be judged again.
    fn again(&mut self, evidence: &Evidence, sign: u64, now: i64) -> Option<Option<String>> {
        // A key of two strings is looked for by two strings.
        let known = self.known.get_mut(&(evidence.check.clone(), evidence.key.clone()))?;
        let pause = now - known.last;
        known.last = now;
        if known.sign != sign || !(0..AGAIN_S).contains(&pause) {
            known.times = 0;
            known.next = 1;
        }
        known.times += 1;
        let grave = known.severity >= Severity::High || level(evidence) >= Severity::High;
        let due = known.times >= known.next || !(0..AGAIN_S).contains(&(now - known.judged));
        if due {
            known.next = known.times.saturating_mul(2);
        }
        Some((!due && !grave).then(|| known.fingerprint.clone()))
    }

    /// Everything that the verdict may rest on, but how often it happened, as one number.
    fn sign(&self, evidence: &Evidence, context: &Context) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (evidence.level, evidence.floor, evidence.privilege).hash(&mut hasher);
        (evidence.kind, evidence.proof, &evidence.tags, &evidence.services).hash(&mut hasher);
        let subject = &evidence.subject;
        (&subject.ip, &subject.user, &subject.path, &subject.unit).hash(&mut hasher);
        for (kind, name) in [("ip", &subject.ip), ("user", &subject.user)] {
            let Some(name) = name else { continue };
            context
                .mentions
                .get(&format!("{kind}:{name}"))
                .map(|rules| rules.len())
                .hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn level(evidence: &Evidence) -> Severity {
    evidence.floor.map_or(evidence.level, |floor| floor.max(evidence.level))
}

fn is_mild(evidence: &Evidence) -> bool {
    level(evidence) <= Severity::Low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::{NOW, evidence};
    use crate::report::Remediation;

    fn item(key: &str, level: Severity) -> Judged {
        let mut evidence = evidence("rule", level);
        evidence.key = key.into();
        let remediation = Remediation { text: String::new(), snippet: String::new() };
        Judged { evidence, why: String::new(), remediation, references: Vec::new() }
    }

    /// Lets the same alert come `times` times, a second apart; gives at which of them it was judged.
    fn judged_at(storm: &mut Storm, level: Severity, verdict: Severity, times: u64) -> Vec<u64> {
        let context = Context::default();
        let mut judged = Vec::new();
        for time in 1..=times {
            let now = NOW + i64::try_from(time).unwrap();
            let sorted = storm.sort(vec![item("key", level)], &context, now);
            assert_eq!(sorted.judge.len() + sorted.more.len(), 1);
            for item in sorted.judge {
                judged.push(time);
                storm.judged(&item.evidence, &context, "print", verdict);
            }
            storm.stored(now);
            for more in sorted.more {
                assert_eq!(more, More { fingerprint: "print".into(), count: 2 });
            }
        }
        judged
    }

    #[test]
    fn what_comes_again_is_judged_ever_more_rarely() {
        let mut storm = Storm::default();
        let judged = judged_at(&mut storm, Severity::Medium, Severity::Medium, 100);
        assert_eq!(judged, [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!((storm.held, storm.left_out), (93, 0));
    }

    #[test]
    fn and_yet_once_in_ten_minutes() {
        let judged = judged_at(&mut Storm::default(), Severity::Low, Severity::Info, 5_000);
        let gaps: Vec<u64> = judged.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap <= AGAIN_S as u64), "{gaps:?}");
        assert!(judged.len() < 24, "{judged:?}");
    }

    #[test]
    fn what_was_not_stored_is_judged_again() {
        let mut storm = Storm::default();
        let context = Context::default();
        for time in 0..20 {
            let sorted = storm.sort(vec![item("key", Severity::Medium)], &context, NOW + time);
            assert_eq!(sorted.judge.len(), 1);
            storm.judged(&sorted.judge[0].evidence, &context, "print", Severity::Medium);
        }
    }

    #[test]
    fn the_grave_is_never_held_back() {
        let all: Vec<u64> = (1..=50).collect();
        assert_eq!(judged_at(&mut Storm::default(), Severity::High, Severity::Low, 50), all);
        assert_eq!(judged_at(&mut Storm::default(), Severity::Low, Severity::Critical, 50), all);
    }

    #[test]
    fn what_differs_in_anything_that_counts_is_judged() {
        let mut storm = Storm::default();
        judged_at(&mut storm, Severity::Low, Severity::Low, 6);
        let mut context = Context::default();
        let judged = |storm: &mut Storm, item: Judged, context: &Context| {
            let evidence = item.evidence.clone();
            let is = storm.sort(vec![item], context, NOW + 10).judge.len() == 1;
            storm.judged(&evidence, context, "print", Severity::Low);
            storm.stored(NOW + 10);
            is
        };
        assert!(!judged(&mut storm, item("key", Severity::Low), &context), "the seventh");
        let mut rights = item("key", Severity::Low);
        rights.evidence.privilege = consensus::Privilege::Root;
        assert!(judged(&mut storm, rights, &context));
        let mut tagged = item("key", Severity::Low);
        tagged.evidence.tags.push("attack.t1078".into());
        assert!(judged(&mut storm, tagged, &context));
        context.mentions.entry("ip:192.0.2.7".into()).or_default().insert("another".into());
        assert!(
            judged(&mut storm, item("key", Severity::Low), &context),
            "another rule speaks of it"
        );
        assert!(judged(&mut storm, item("other", Severity::Low), &context), "another key");
    }

    #[test]
    fn a_flood_of_new_mild_ones_is_sampled_and_no_other() {
        let flood = |level| {
            let items = (0..MILD_MAX + 7).map(|n| item(&n.to_string(), level)).collect();
            let sorted = Storm::default().sort(items, &Context::default(), NOW);
            assert!(sorted.more.is_empty());
            (sorted.judge.len(), sorted.left_out)
        };
        assert_eq!(flood(Severity::Low), (MILD_MAX, 7));
        assert_eq!(flood(Severity::Medium), (MILD_MAX + 7, 0));
    }

    #[test]
    fn more_keys_than_are_known_are_judged_and_old_ones_make_room() {
        let mut storm = Storm::default();
        let context = Context::default();
        let note = |storm: &mut Storm, number: usize, now| {
            let item = item(&number.to_string(), Severity::Medium);
            storm.judged(&item.evidence, &context, "print", Severity::Medium);
            storm.stored(now);
        };
        (0..KEYS_MAX + 9).for_each(|number| note(&mut storm, number, NOW));
        assert_eq!(storm.known.len(), KEYS_MAX);
        note(&mut storm, KEYS_MAX + 10, NOW + AGAIN_S);
        assert_eq!(storm.known.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_back_for_long() {
        let mut storm = Storm::default();
        judged_at(&mut storm, Severity::Medium, Severity::Medium, 100);
        let sorted =
            storm.sort(vec![item("key", Severity::Medium)], &Context::default(), NOW - 90_000);
        assert_eq!(sorted.judge.len(), 1);
    }
}
