//! Alerts in memory: gone with the process.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use consensus::Severity;

use crate::pipeline::case::CaseFile;

use super::case_files::InMemory;
use super::{
    Alert, Brought, Change, Intent, Sighting, Source, State, Store, StoreError, change, intents,
    state, untold,
};

/// Keeps alerts in memory.
pub struct MemoryStore {
    alerts: BTreeMap<String, Alert>,
    cases: InMemory,
    most: usize,
    evicted: u64,
    places: BTreeMap<String, Vec<u8>>,
    intents: BTreeMap<&'static str, Intent>,
}

impl MemoryStore {
    /// An empty store of at most `most` alerts.
    pub fn new(most: usize) -> Self {
        let (alerts, cases, places, intents) = Default::default();
        Self { alerts, cases, most, evicted: 0, places, intents }
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

    fn upsert_one(&mut self, seen: &Sighting, now: i64) -> Change {
        let known = self.alerts.get(&seen.fingerprint);
        let change = change(known.map(|alert| (alert.state, alert.worst)).as_ref(), seen);
        let kept = known.filter(|alert| alert.state != State::Fixed && change != Change::New);
        let mut alert = Alert {
            seen: seen.clone(),
            state: state(seen),
            worst: kept.map_or(seen.severity, |alert| alert.worst.max(seen.severity)),
            first_seen: kept.map_or(now, |alert| alert.first_seen),
            last_seen: now,
            untold: untold(kept.and_then(|alert| alert.untold), change),
        };
        let before = kept.map_or(0, |alert| alert.seen.count);
        alert.seen.count = alert.seen.count.saturating_add(before);
        if known.is_none() {
            self.make_room();
        }
        self.alerts.insert(seen.fingerprint.clone(), alert);
        change
    }
}

impl Store for MemoryStore {
    fn take(&mut self, brought: &Brought<'_>, now: i64) -> Result<Vec<Change>, StoreError> {
        let changes = brought.seen.iter().map(|seen| self.upsert_one(seen, now)).collect();
        for more in brought.more {
            let Some(alert) = self.alerts.get_mut(&more.fingerprint) else { continue };
            alert.seen.count = alert.seen.count.saturating_add(more.count);
            alert.last_seen = alert.last_seen.max(now);
        }
        self.cases.put(brought.cases, brought.merged);
        for place in brought.places {
            self.places.insert(place.name.clone(), place.bytes.clone());
        }
        brought.judged(now).map_or(Ok(()), |intent| self.intend(&intent))?;
        Ok(changes)
    }

    fn place(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.places.get(name).cloned())
    }

    fn intend(&mut self, intent: &Intent) -> Result<(), StoreError> {
        self.intents.insert(intent.sort(), intent.clone());
        Ok(())
    }

    fn intents(&self) -> Result<Vec<Intent>, StoreError> {
        Ok(self.intents.values().cloned().collect())
    }

    fn forget_intent(&mut self, sort: &str) -> Result<(), StoreError> {
        self.intents.remove(sort);
        Ok(())
    }

    fn untold(&self, from: Severity, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let wanted = |alert: &&Alert| alert.untold.is_some() && alert.seen.severity >= from;
        let mut alerts: Vec<Alert> = self.open().filter(wanted).cloned().collect();
        alerts.sort_by_key(|alert| (alert.last_seen, alert.seen.fingerprint.clone()));
        alerts.truncate(limit);
        Ok(alerts)
    }

    fn mark_told(&mut self, fingerprints: &[&str]) -> Result<(), StoreError> {
        for fingerprint in fingerprints {
            if let Some(alert) = self.alerts.get_mut(*fingerprint) {
                alert.untold = None;
            }
        }
        self.forget_intent(intents::ALERTS)
    }

    fn open_alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let mut alerts: Vec<Alert> = self.open().cloned().collect();
        alerts.sort_by_key(|alert| Reverse((alert.seen.severity, alert.last_seen)));
        alerts.truncate(limit);
        Ok(alerts)
    }

    fn alert(&self, fingerprint: &str) -> Result<Option<Alert>, StoreError> {
        Ok(self.alerts.get(fingerprint).cloned())
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
        self.cases.prune(older);
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

    fn cases_told(&mut self, files: &[CaseFile]) -> Result<(), StoreError> {
        self.cases.put(files, &[]);
        self.forget_intent(intents::CASES)
    }

    fn cases(&self, since: i64, limit: usize) -> Result<Vec<CaseFile>, StoreError> {
        Ok(self.cases.latest(since, limit))
    }

    fn untold_cases(&self, from: Severity, limit: usize) -> Result<Vec<CaseFile>, StoreError> {
        Ok(self.cases.untold(from, limit))
    }

    fn case(&self, id: u64) -> Result<Option<CaseFile>, StoreError> {
        Ok(self.cases.one(id))
    }

    fn next_case(&self) -> Result<u64, StoreError> {
        Ok(self.cases.next())
    }
}
