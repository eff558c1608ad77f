//! What the service remembers of its own sweeps: on which days each rule saw whom, and at which hour.
//!
//! It feeds the panel's rarity, routine and habit. The unit is a day of one name (an address, an
//! account, a file) under one rule, so that a storm counts once. Only the days before today are past:
//! an attack that goes on is as rare in the evening as it was in the morning. A sweep is noted after it
//! was stored, like the place in the logs; a crash forgets at most [`SAVE_SECONDS`]. Names in logs are
//! chosen by attackers: their number is bounded, and those that no longer fit still count as strangers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use consensus::Past;
use consensus::context::{RulePast, Seen};
use scanner::logs::Detection;
use serde::{Deserialize, Serialize};

use crate::powers::{Powers, StateFile};

/// Days that are remembered: a bit each.
const DAYS_MAX: u32 = u64::BITS;
/// Most names of one rule that are told apart, in the past and today.
const NAMES_MAX: usize = 1_000;
/// Most rules.
const RULES_MAX: usize = 1_000;
/// The file is written no more often than this.
const SAVE_SECONDS: i64 = 600;
const DAY_SECONDS: i64 = 86_400;

/// The memory, and its file.
pub struct Memory {
    powers: Arc<dyn Powers>,
    kept: Kept,
    saved: i64,
    /// Something was noted since.
    unsaved: bool,
}

/// What is in the file. Bit `i` of a set of days stands for the day `i + 1` days before `today`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Day since the epoch (UTC) that is under way.
    today: i64,
    /// Days on which the service looked.
    looked: u64,
    /// What each rule saw before today.
    past: BTreeMap<String, Before>,
    /// What each rule saw today: the first hour of each name.
    now: BTreeMap<String, Today>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    days: u64,
    /// Days of names that were told apart, or not.
    count: u64,
    /// Names that were forgotten or not told apart, and seen on one day.
    strangers: u64,
    hours: BTreeMap<u8, u64>,
    names: BTreeMap<String, Name>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    days: u64,
    hours: BTreeMap<u8, u64>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Today {
    names: BTreeMap<String, u8>,
    more: u64,
}

impl Memory {
    /// Reads the memory of before, if any.
    pub fn open(powers: Arc<dyn Powers>) -> anyhow::Result<Self> {
        let kept = match powers.read(StateFile::Past)? {
            None => Kept::default(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                crate::exit::hinted(
                    format!("{}: {error}", StateFile::Past.name()),
                    "move it away: the service then learns anew what is usual here",
                )
            })?,
        };
        Ok(Self { powers, kept, saved: 0, unsaved: false })
    }

    /// The days before the one of `now`: how many the service looked on, and what each rule saw.
    pub fn past(&mut self, now: i64) -> (u32, BTreeMap<String, RulePast>) {
        self.kept.advance(now.div_euclid(DAY_SECONDS));
        let rules = self.kept.past.iter().map(|(rule, before)| (rule.clone(), before.told()));
        (self.kept.looked.count_ones(), rules.collect())
    }

    /// Notes a sweep that was stored; from time to time writes the file.
    pub fn note(&mut self, detections: &[Detection], now: i64) -> anyhow::Result<()> {
        let fresh = self.kept.advance(now.div_euclid(DAY_SECONDS));
        detections.iter().for_each(|detection| self.kept.note(detection, now));
        self.unsaved |= fresh || !detections.is_empty();
        let due = now.abs_diff(self.saved) >= SAVE_SECONDS.unsigned_abs();
        if fresh || (due && !detections.is_empty()) {
            self.save(now)?;
        }
        Ok(())
    }

    /// Writes the file, where there is something new for it.
    pub fn save(&mut self, now: i64) -> anyhow::Result<()> {
        if self.unsaved {
            self.powers.replace(StateFile::Past, &serde_json::to_vec(&self.kept)?)?;
            (self.saved, self.unsaved) = (now, false);
        }
        Ok(())
    }
}

/// The past as the panel takes it; `logins` come from elsewhere.
pub fn joined((days, rules): (u32, BTreeMap<String, RulePast>), logins: Option<Past>) -> Past {
    let logins = logins.and_then(|past| past.logins);
    Past { days, rules: Some(rules), logins, ..Past::default() }
}

impl Kept {
    /// Makes this day today; whether it was not. A clock that goes back changes nothing.
    fn advance(&mut self, day: i64) -> bool {
        if day <= self.today {
            return false;
        }
        let first = self.today == 0;
        let days = u32::try_from(day - self.today).unwrap_or(u32::MAX);
        self.today = day;
        if first {
            return true;
        }
        let older = |bits: u64| bits.checked_shl(days).unwrap_or(0);
        let ended = if days <= DAYS_MAX { 1_u64 << (days - 1) } else { 0 };
        self.looked = older(self.looked) | ended;
        for before in self.past.values_mut() {
            before.days = older(before.days);
            before.names.values_mut().for_each(|name| name.days = older(name.days));
            before.names.retain(|_, name| name.days != 0);
        }
        for (rule, today) in std::mem::take(&mut self.now) {
            self.past.entry(rule).or_default().take(today, ended);
        }
        self.past.retain(|_, before| before.days != 0);
        true
    }

    fn note(&mut self, detection: &Detection, now: i64) {
        if self.now.len() >= RULES_MAX && !self.now.contains_key(&detection.rule) {
            return;
        }
        let at = detection.first.unwrap_or(now);
        let hour = u8::try_from(at.rem_euclid(DAY_SECONDS) / 3_600).unwrap_or(0);
        let today = self.now.entry(detection.rule.clone()).or_default();
        let subject = &detection.subject;
        let named = [("ip", &subject.ip), ("user", &subject.user), ("path", &subject.path)];
        let mut names: Vec<String> = named
            .into_iter()
            .filter_map(|(sort, name)| Some(format!("{sort}:{}", name.as_ref()?)))
            .collect();
        if names.is_empty() {
            // The host itself.
            names.push(String::new());
        }
        for name in names {
            if today.names.len() < NAMES_MAX || today.names.contains_key(&name) {
                today.names.entry(name).or_insert(hour);
            } else {
                today.more = today.more.saturating_add(1);
            }
        }
    }
}

impl Before {
    /// Takes a day that has ended.
    fn take(&mut self, today: Today, ended: u64) {
        self.days |= ended;
        self.count = self.count.saturating_add(today.names.len() as u64).saturating_add(today.more);
        self.strangers = self.strangers.saturating_add(today.more);
        for (name, hour) in today.names {
            let known = self.names.entry(name).or_default();
            known.days |= ended;
            *known.hours.entry(hour).or_default() += 1;
            *self.hours.entry(hour).or_default() += 1;
        }
        if self.names.len() > NAMES_MAX {
            self.forget();
        }
    }

    /// Keeps the names that were seen on the most days, of equals the latest.
    fn forget(&mut self) {
        let rank = |(text, name): (&String, &Name)| {
            (Reverse(name.days.count_ones()), name.days.trailing_zeros(), text.clone())
        };
        let mut order: Vec<_> = self.names.iter().map(rank).collect();
        order.sort_unstable();
        for (_, _, text) in order.drain(NAMES_MAX..) {
            if let Some(name) = self.names.remove(&text)
                && name.days.count_ones() == 1
            {
                self.strangers = self.strangers.saturating_add(1);
            }
        }
    }

    fn told(&self) -> RulePast {
        let subjects = self.names.iter().filter(|(name, _)| !name.is_empty());
        let once = self.names.values().filter(|name| name.days.count_ones() == 1).count() as u64;
        RulePast {
            all: seen(self.count, self.days, &self.hours),
            subjects: subjects
                .map(|(text, name)| {
                    let count = u64::from(name.days.count_ones());
                    (text.clone(), seen(count, name.days, &name.hours))
                })
                .collect(),
            strangers: self.strangers.saturating_add(once),
        }
    }
}

fn seen(count: u64, days: u64, by_hour: &BTreeMap<u8, u64>) -> Seen {
    let mut hours = [0; 24];
    for (hour, count) in by_hour {
        if let Some(place) = hours.get_mut(usize::from(*hour)) {
            *place = *count;
        }
    }
    Seen { count, days: days.count_ones(), hours }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{Severity, Subject};

    use crate::powers::Direct;

    fn seen_from(ip: &str, at: i64) -> Detection {
        Detection {
            rule: "ssh-brute-force".into(),
            title: String::new(),
            description: String::new(),
            level: Severity::Medium,
            tags: Vec::new(),
            falsepositives: Vec::new(),
            service: "ssh".into(),
            subject: Subject { ip: Some(ip.into()), ..Subject::default() },
            count: 31,
            first: Some(at),
            last: Some(at),
            users: 0,
            addresses: 1,
            entered: Vec::new(),
            succeeded: false,
            requests: None,
            rhythm_s: None,
            samples: Vec::new(),
            also: Vec::new(),
        }
    }

    fn at(day: i64, hour: i64) -> i64 {
        (20_000 + day) * DAY_SECONDS + hour * 3_600
    }

    #[test]
    fn a_day_is_past_only_when_it_is_over() {
        let state = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(Arc::new(Direct::new(state.path()))).unwrap();
        for second in 0..50 {
            let now = at(0, 3) + second;
            memory.note(&[seen_from("192.0.2.7", now)], now).unwrap();
        }
        assert_eq!(memory.past(at(0, 23)), (0, BTreeMap::new()));
        let (days, rules) = memory.past(at(1, 0));
        let rule = &rules["ssh-brute-force"];
        assert_eq!((days, rule.all.count, rule.all.days, rule.strangers), (1, 1, 1, 1));
        assert_eq!((rule.all.hours[3], rule.subjects["ip:192.0.2.7"].count), (1, 1));
        let now = at(2, 3);
        memory.note(&[seen_from("192.0.2.7", now), seen_from("192.0.2.8", now)], now).unwrap();
        let (days, rules) = memory.past(at(3, 0));
        let rule = &rules["ssh-brute-force"];
        assert_eq!((days, rule.all.days, rule.all.count, rule.strangers), (3, 2, 3, 1));
        assert_eq!(memory.past(at(1, 0)).0, 3, "a clock that goes back changes nothing");
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(Arc::new(Direct::new(state.path()))).unwrap();
        memory.note(&[seen_from("192.0.2.7", at(0, 3))], at(0, 3)).unwrap();
        let last = i64::from(DAYS_MAX);
        assert_eq!(memory.past(at(last, 0)).1.len(), 1);
        assert_eq!(memory.past(at(last + 1, 0)), (1, BTreeMap::new()));
        memory.note(&[seen_from("192.0.2.7", at(last + 1, 3))], at(last + 1, 3)).unwrap();
        assert_eq!(memory.past(at(last + 999, 0)), (0, BTreeMap::new()));
    }

    #[test]
    fn the_file_is_read_again_and_a_damaged_one_is_an_error() {
        let state = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(Arc::new(Direct::new(state.path()))).unwrap();
        memory.note(&[seen_from("192.0.2.7", at(0, 3))], at(0, 3)).unwrap();
        let mut again = Memory::open(Arc::new(Direct::new(state.path()))).unwrap();
        assert_eq!(again.past(at(1, 0)), memory.past(at(1, 0)));
        std::fs::write(state.path().join("agent-past.json"), "{").unwrap();
        let error = Memory::open(Arc::new(Direct::new(state.path()))).err().unwrap();
        assert!(error.to_string().contains("agent-past.json"), "{error}");
    }

    #[test]
    fn names_are_bounded_and_the_rest_are_strangers() {
        let state = tempfile::tempdir().unwrap();
        let crowd = |n: usize, net: u8, at: i64| -> Vec<Detection> {
            (0..n).map(|i| seen_from(&format!("10.{net}.{}.{}", i >> 8, i & 255), at)).collect()
        };
        let mut memory = Memory::open(Arc::new(Direct::new(state.path()))).unwrap();
        memory.note(&crowd(NAMES_MAX + 1, 0, at(0, 3)), at(0, 3)).unwrap();
        let rule = &memory.past(at(1, 0)).1["ssh-brute-force"];
        assert_eq!((rule.all.count, rule.subjects.len()), (1_001, NAMES_MAX));
        assert_eq!(rule.strangers, 1_001);
        // A regular stays known among ever new names.
        memory.note(&crowd(1, 0, at(1, 3)), at(1, 3)).unwrap();
        memory.note(&crowd(NAMES_MAX, 1, at(2, 3)), at(2, 3)).unwrap();
        let rule = &memory.past(at(3, 0)).1["ssh-brute-force"];
        assert_eq!(rule.subjects.len(), NAMES_MAX);
        assert_eq!(rule.subjects["ip:10.0.0.0"].days, 2);
        assert_eq!((rule.all.count, rule.strangers), (2_002, 2_000));
    }
}
