//! Second stage: what is like this, and when was it last so? A memory of past cases, ranked by
//! activation as in ACT-R (Anderson & Lebiere 1998): how often and how lately something happened, and
//! how similar it is.
//!
//! A case is remembered by what it is about (rule, services, tactics, address and its network, account,
//! path, unit), each a hashed feature with a weight. Candidates are the cases that share a feature, found
//! through lists by feature; similarity is the weighted share of what both have (Jaccard). The base level
//! is ln Σ age^-½; ages beyond the last [`TIMES`] are approximated from their number (Petrov 2006), so
//! that a case costs the same however often it happened.
//!
//! Bounded: [`CASES_MAX`] cases, [`LISTED_MAX`] of one feature; the case that was quiet longest makes room.
//! The same cases in the same order give the same answers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use consensus::{Evidence, Severity};
use serde::{Deserialize, Serialize};

/// Most cases that are remembered.
pub const CASES_MAX: usize = 10_000;
/// Most cases listed for one feature, the latest ones.
const LISTED_MAX: usize = 32;
/// Occurrences of a case whose times are kept.
const TIMES: usize = 8;
/// Most features of a case.
const FEATURES_MAX: usize = 16;
/// Most answers.
pub const ANSWERS_MAX: usize = 5;
/// Cases that have less in common are not told.
const LEAST_SIMILARITY: f64 = 0.3;
/// What similarity counts beside the base level: a twin outweighs something seen e⁴ times as often.
const SIMILARITY_WEIGHT: f64 = 4.0;
/// Decay of the base level, d = ½.
const DECAY: f64 = 0.5;

/// A past case that is like the present one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Similar {
    /// Fingerprint of the finding.
    pub fingerprint: String,
    /// Share of what both are about, 0 to 1.
    pub similarity: f64,
    /// Base level and similarity together; only its order means something.
    pub activation: f64,
    /// How often it happened.
    pub count: u64,
    /// When it last did, seconds since the epoch.
    pub last: i64,
    /// How it was judged then.
    pub severity: Severity,
}

/// One remembered case.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Past {
    fingerprint: String,
    /// Sorted features with their weights.
    features: Box<[(u32, u8)]>,
    /// The latest times, the oldest first.
    times: Vec<i64>,
    first: i64,
    count: u64,
    severity: Severity,
}

/// The memory of past cases.
#[derive(Debug, Default)]
pub struct Memory {
    cases: Vec<Past>,
    by_fingerprint: HashMap<String, u32>,
    by_feature: HashMap<u32, Vec<u32>, BuildHasherDefault<Already>>,
}

impl Memory {
    /// Remembers that this happened now, and how it was judged.
    pub fn note(&mut self, fingerprint: &str, evidence: &Evidence, severity: Severity, now: i64) {
        if let Some(&place) = self.by_fingerprint.get(fingerprint) {
            self.cases[place as usize].again(severity, now);
            return;
        }
        let past = Past {
            fingerprint: fingerprint.to_string(),
            features: features(evidence),
            times: vec![now],
            first: now,
            count: 1,
            severity,
        };
        let place = match self.cases.len() < CASES_MAX {
            true => {
                self.cases.push(past);
                self.cases.len() - 1
            }
            false => self.replace_quietest(past),
        };
        self.list(fingerprint, place);
    }

    /// The memory as bytes for a later process.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&self.cases).ok()
    }

    /// A memory from such bytes; `None` where they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let cases: Vec<Past> = postcard::from_bytes(bytes).ok()?;
        let sound = |past: &Past| {
            !past.times.is_empty()
                && past.times.len() <= TIMES
                && past.features.len() <= FEATURES_MAX
        };
        if cases.len() > CASES_MAX || !cases.iter().all(sound) {
            return None;
        }
        let mut memory = Self { cases, ..Self::default() };
        let mut order: Vec<usize> = (0..memory.cases.len()).collect();
        order.sort_by_key(|&place| memory.cases[place].last());
        for place in order {
            let fingerprint = memory.cases[place].fingerprint.clone();
            memory.list(&fingerprint, place);
        }
        Some(memory)
    }

    /// Lists a case under its fingerprint and its features.
    fn list(&mut self, fingerprint: &str, place: usize) {
        let number = u32::try_from(place).expect("fewer than CASES_MAX");
        self.by_fingerprint.insert(fingerprint.to_string(), number);
        for (feature, _) in &self.cases[place].features {
            let listed = self.by_feature.entry(*feature).or_default();
            if listed.len() == LISTED_MAX {
                listed.remove(0);
            }
            listed.push(number);
        }
    }

    /// Puts a case where the one is that was quiet longest; gives the place.
    fn replace_quietest(&mut self, past: Past) -> usize {
        let quietest =
            self.cases.iter().enumerate().min_by_key(|(place, case)| (case.last(), *place));
        let place = quietest.map_or(0, |(place, _)| place);
        let old = std::mem::replace(&mut self.cases[place], past);
        self.by_fingerprint.remove(&old.fingerprint);
        for (feature, _) in &old.features {
            if let Some(listed) = self.by_feature.get_mut(feature) {
                listed.retain(|one| *one as usize != place);
                if listed.is_empty() {
                    self.by_feature.remove(feature);
                }
            }
        }
        place
    }

    /// The past cases most active for this evidence, the most active first; itself among them, if it
    /// happened before.
    pub fn similar(&self, evidence: &Evidence, now: i64) -> Vec<Similar> {
        let wanted = features(evidence);
        let mut candidates: Vec<u32> = wanted
            .iter()
            .filter_map(|(feature, _)| self.by_feature.get(feature))
            .flatten()
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut found: Vec<(f64, f64, u32)> = candidates
            .into_iter()
            .filter_map(|place| {
                let past = &self.cases[place as usize];
                let similarity = in_common(&wanted, &past.features);
                let activation = past.base_level(now) + SIMILARITY_WEIGHT * similarity;
                (similarity >= LEAST_SIMILARITY).then_some((activation, similarity, place))
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        found.truncate(ANSWERS_MAX);
        found
            .into_iter()
            .map(|(activation, similarity, place)| {
                let past = &self.cases[place as usize];
                Similar {
                    fingerprint: past.fingerprint.clone(),
                    similarity,
                    activation,
                    count: past.count,
                    last: past.last(),
                    severity: past.severity,
                }
            })
            .collect()
    }
}

impl Past {
    fn last(&self) -> i64 {
        self.times.last().copied().unwrap_or(self.first)
    }

    fn again(&mut self, severity: Severity, now: i64) {
        if self.times.len() == TIMES {
            self.times.remove(0);
        }
        // A clock that was set back does not make the past younger.
        self.times.push(now.max(self.last()));
        self.count += 1;
        self.severity = severity;
    }

    /// ln Σ age^-d, ages in seconds and at least one.
    fn base_level(&self, now: i64) -> f64 {
        let age = |at: i64| now.saturating_sub(at).max(1) as f64;
        let recent: f64 = self.times.iter().map(|at| age(*at).powf(-DECAY)).sum();
        let older = self.count.saturating_sub(self.times.len() as u64);
        let (near, far) = (age(self.times[0]), age(self.first));
        let rest = match older > 0 && far > near {
            // The older ones lie between the first and the oldest that is kept, evenly.
            true => {
                let mean = (far.powf(1.0 - DECAY) - near.powf(1.0 - DECAY))
                    / ((1.0 - DECAY) * (far - near));
                older as f64 * mean
            }
            false => older as f64 * near.powf(-DECAY),
        };
        (recent + rest).ln()
    }
}

/// What a case is about: sorted hashes, each with its weight.
fn features(evidence: &Evidence) -> Box<[(u32, u8)]> {
    let mut features = Vec::with_capacity(FEATURES_MAX);
    let mut add = |kind: &str, value: &str, weight: u8| {
        if features.len() < FEATURES_MAX {
            features.push((hash(kind, value), weight));
        }
    };
    add("check", &evidence.check, 3);
    let subject = &evidence.subject;
    if let Some(ip) = &subject.ip {
        add("ip", ip, 3);
        if let Some(network) = network(ip) {
            add("net", &network, 2);
        }
    }
    let named = [("user", &subject.user), ("path", &subject.path), ("unit", &subject.unit)];
    for (kind, value) in named {
        if let Some(value) = value {
            add(kind, value, 2);
        }
    }
    evidence.services.iter().for_each(|service| add("service", service, 1));
    evidence.tags.iter().for_each(|tag| add("tag", tag, 1));
    features.sort_unstable();
    features.dedup_by_key(|(feature, _)| *feature);
    features.into_boxed_slice()
}

/// The /24 or /64 that an address is in.
fn network(ip: &str) -> Option<String> {
    let address: std::net::IpAddr = ip.parse().ok()?;
    let bits = if address.to_canonical().is_ipv4() { 24 } else { 64 };
    consensus::networks::Network::new(address.to_canonical(), bits)
        .map(|network| network.to_string())
}

/// Weighted Jaccard similarity of two sorted lists.
fn in_common(one: &[(u32, u8)], other: &[(u32, u8)]) -> f64 {
    let (mut a, mut b) = (one.iter().peekable(), other.iter().peekable());
    let (mut both, mut all) = (0_u32, 0_u32);
    loop {
        match (a.peek(), b.peek()) {
            (Some((x, weight)), Some((y, _))) if x == y => {
                both += u32::from(*weight);
                all += u32::from(*weight);
                a.next();
                b.next();
            }
            (Some((x, weight)), Some((y, _))) if x < y => {
                all += u32::from(*weight);
                a.next();
            }
            (_, Some((_, weight))) => {
                all += u32::from(*weight);
                b.next();
            }
            (Some((_, weight)), None) => {
                all += u32::from(*weight);
                a.next();
            }
            (None, None) => break,
        }
    }
    if all == 0 { 0.0 } else { f64::from(both) / f64::from(all) }
}

/// FNV-1a, 32 bits: the same in every run. Two features that collide make a case a little too similar.
fn hash(kind: &str, value: &str) -> u32 {
    let bytes = kind.bytes().chain([0]).chain(value.bytes());
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Features are hashes already.
#[derive(Default)]
struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u32(&mut self, value: u32) {
        // Spread over the upper bits as well: the table looks at both ends.
        self.0 = u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::evidence;

    const DAY: i64 = 86_400;

    fn seen(check: &str, ip: &str) -> Evidence {
        let mut evidence = evidence(check, Severity::Medium);
        evidence.subject.ip = Some(ip.into());
        evidence
    }

    #[test]
    fn the_same_comes_before_its_network_and_strangers_do_not_come() {
        let mut memory = Memory::default();
        memory.note("same", &seen("ssh", "192.0.2.7"), Severity::High, 0);
        memory.note("near", &seen("ssh", "192.0.2.8"), Severity::Low, 0);
        memory.note("other", &seen("web", "198.51.100.1"), Severity::Low, 0);
        let found = memory.similar(&seen("ssh", "192.0.2.7"), DAY);
        let names: Vec<&str> = found.iter().map(|one| one.fingerprint.as_str()).collect();
        assert_eq!(names, ["same", "near"]);
        assert_eq!((found[0].similarity, found[0].severity), (1.0, Severity::High));
        assert!(memory.similar(&seen("dns", "203.0.113.1"), DAY).is_empty());
    }

    #[test]
    fn what_happens_often_and_lately_is_more_active() {
        let mut memory = Memory::default();
        for day in 0..20 {
            memory.note("often", &seen("ssh", "192.0.2.8"), Severity::Low, day * DAY);
        }
        memory.note("once", &seen("ssh", "192.0.2.9"), Severity::Low, 19 * DAY);
        memory.note("lately", &seen("ssh", "192.0.2.10"), Severity::Low, 20 * DAY - 60);
        let found = memory.similar(&seen("ssh", "192.0.2.7"), 20 * DAY);
        let names: Vec<&str> = found.iter().map(|one| one.fingerprint.as_str()).collect();
        assert_eq!(names, ["lately", "often", "once"]);
        assert_eq!((found[1].count, found[1].last), (20, 19 * DAY));
    }

    #[test]
    fn older_times_are_approximated_closely() {
        let mut memory = Memory::default();
        let times: Vec<i64> = (0..200).map(|hour| hour * 3_600).collect();
        for at in &times {
            memory.note("x", &seen("ssh", "192.0.2.7"), Severity::Low, *at);
        }
        let now = 201 * 3_600;
        let exact: f64 = times.iter().map(|at| ((now - at) as f64).powf(-0.5)).sum::<f64>().ln();
        let near = memory.cases[0].base_level(now);
        assert!((near - exact).abs() < 0.02, "{near} beside {exact}");
    }

    #[test]
    fn a_full_memory_forgets_what_was_quiet_longest() {
        let mut memory = Memory::default();
        let numbered = |number: usize| seen("ssh", &format!("2001:db8::{number:x}"));
        for number in 0..CASES_MAX {
            let at = i64::try_from(number).unwrap();
            memory.note(&format!("c{number}"), &numbered(number), Severity::Low, at);
        }
        memory.note("c0", &numbered(0), Severity::Low, DAY);
        assert_eq!(memory.cases.len(), CASES_MAX);
        memory.note("new", &numbered(CASES_MAX), Severity::Low, DAY);
        assert_eq!(memory.cases.len(), CASES_MAX);
        let is_known = |number| {
            let found = memory.similar(&numbered(number), DAY);
            found.iter().any(|one| one.fingerprint == format!("c{number}"))
        };
        assert!(!memory.by_fingerprint.contains_key("c1"), "the quietest made room");
        assert!(memory.by_fingerprint.contains_key("c0"), "it happened again");
        assert!(!is_known(1));
        assert!(is_known(CASES_MAX - 1));
        let listed: usize = memory.by_feature.values().map(Vec::len).sum();
        assert!(listed <= CASES_MAX * FEATURES_MAX);
        assert!(memory.by_feature.values().all(|one| one.len() <= LISTED_MAX && !one.is_empty()));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_younger() {
        let mut memory = Memory::default();
        memory.note("x", &seen("ssh", "192.0.2.7"), Severity::Low, 1_000);
        memory.note("x", &seen("ssh", "192.0.2.7"), Severity::Low, 500);
        let found = memory.similar(&seen("ssh", "192.0.2.7"), 400);
        assert_eq!(found[0].last, 1_000);
        assert!(found[0].activation.is_finite());
    }
}
