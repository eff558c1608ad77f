//! Alerts in memory: gone with the process.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use consensus::Severity;

use super::{Alert, Change, Sighting, Source, State, Store, StoreError, change, state};

/// Keeps alerts in memory.
pub struct MemoryStore {
    alerts: BTreeMap<String, Alert>,
    most: usize,
    evicted: u64,
}

impl MemoryStore {
    /// An empty store of at most `most` alerts.
    pub fn new(most: usize) -> Self {
        Self { alerts: BTreeMap::new(), most, evicted: 0 }
    }

    fn make_room(&mut self) {
        while self.alerts.len() >= self.most.max(1) {
            let least = self.alerts.values().min_by_key(|alert| {
                (alert.state != State::Fixed, alert.seen.severity, alert.last_seen)
            });
            let Some(name) = least.map(|alert| alert.seen.fingerprint.clone()) else { return };
            self.alerts.remove(&name);
            self.evicted += 1;
        }
    }

    fn open(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|alert| alert.state == State::Open)
    }
}

impl Store for MemoryStore {
    fn upsert(&mut self, seen: &Sighting, now: i64) -> Result<Change, StoreError> {
        let known = self.alerts.get(&seen.fingerprint);
        let change = change(known.map(|alert| (alert.state, alert.worst)).as_ref(), seen);
        let kept = known.filter(|alert| alert.state != State::Fixed && change != Change::New);
        let mut alert = Alert {
            seen: seen.clone(),
            state: state(seen),
            worst: kept.map_or(seen.severity, |alert| alert.worst.max(seen.severity)),
            first_seen: kept.map_or(now, |alert| alert.first_seen),
            last_seen: now,
        };
        let before = kept.map_or(0, |alert| alert.seen.count);
        alert.seen.count = alert.seen.count.saturating_add(before);
        if known.is_none() {
            self.make_room();
        }
        self.alerts.insert(seen.fingerprint.clone(), alert);
        Ok(change)
    }

    fn open_alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let mut alerts: Vec<Alert> = self.open().cloned().collect();
        alerts.sort_by_key(|alert| Reverse((alert.seen.severity, alert.last_seen)));
        alerts.truncate(limit);
        Ok(alerts)
    }

    fn open_count(&self, from: Severity) -> Result<usize, StoreError> {
        Ok(self.open().filter(|alert| alert.seen.severity >= from).count())
    }

    fn mark_fixed(
        &mut self,
        looked: &BTreeSet<String>,
        seen: &BTreeSet<String>,
    ) -> Result<Vec<String>, StoreError> {
        let gone = self.alerts.values_mut().filter(|alert| {
            alert.state != State::Fixed
                && alert.seen.source == Source::Audit
                && looked.contains(&alert.seen.check)
                && !seen.contains(&alert.seen.fingerprint)
        });
        let fixed = gone.map(|alert| {
            alert.state = State::Fixed;
            alert.seen.fingerprint.clone()
        });
        Ok(fixed.collect())
    }

    fn prune(&mut self, older: i64) -> Result<usize, StoreError> {
        let before = self.alerts.len();
        self.alerts.retain(|_, alert| {
            let lasting = alert.state != State::Fixed && alert.seen.source == Source::Audit;
            lasting || alert.last_seen >= older
        });
        Ok(before - self.alerts.len())
    }

    fn evicted(&self) -> u64 {
        self.evicted
    }
}
