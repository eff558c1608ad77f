//! The service's daily summaries: what they are made of, and that they are told once.

use std::collections::BTreeMap;

use consensus::Severity;
use jiff::tz::TimeZone;

use super::Service;
use crate::control::status::{Line, Tally};
use crate::notify::summary::{Facts, NAMED_MAX};
use crate::store::StoreError;
use crate::store::responses::{Responses as _, State};
use crate::store::sqlite::SqliteStore;

/// Cases, findings and requests that are looked at for a summary, the gravest first where there is an order.
const LOOKED_AT_MAX: usize = 1_000;

impl Service {
    /// Tells the summaries that are due. Nothing is due before the first audit has told how things are.
    pub(super) fn summarize(&mut self) {
        let targets = &self.parts.settings.notify;
        if self.last_audit.is_none() || targets.iter().all(|target| target.summary.is_none()) {
            return;
        }
        let now = (self.parts.clock)();
        let all = self.summaries.due(targets, now, &TimeZone::system());
        for due in &all {
            match self.facts(due.since) {
                Ok(facts) => self.desk.summarize(due, &facts, now),
                Err(error) => {
                    say!("wardmote: error: no summary: the store cannot be read: {error}");
                    continue;
                }
            }
            self.summaries.note(&due.target, due.day, now);
        }
        if !all.is_empty() {
            self.summaries.tally = self.tally;
        }
    }

    fn facts(&self, since: i64) -> Result<Facts, StoreError> {
        let store = &*self.parts.store;
        let mut facts = Facts {
            status: self.parts.shared.status(),
            events: since_then(self.tally, self.summaries.tally),
            responses: self.responses_waiting(),
            ..Facts::default()
        };
        let mut cases = store.cases(since, LOOKED_AT_MAX)?;
        cases.retain(|case| case.first >= since);
        cases.sort_by_key(|case| std::cmp::Reverse(case.severity));
        let line = |id: String, severity, title: &str, last| Line {
            id,
            severity,
            title: title.into(),
            last,
        };
        for case in cases {
            count(&mut facts.new_cases, case.severity);
            if facts.cases.len() < NAMED_MAX {
                facts.cases.push(line(case.id.to_string(), case.severity, &case.title, case.last));
            }
        }
        for alert in store.open_alerts(LOOKED_AT_MAX)? {
            if alert.first_seen < since {
                continue;
            }
            let seen = &alert.seen;
            count(&mut facts.new_alerts, seen.severity);
            if facts.alerts.len() < NAMED_MAX {
                let id = seen.fingerprint.clone();
                facts.alerts.push(line(id, seen.severity, &seen.title, alert.last_seen));
            }
        }
        Ok(facts)
    }

    /// `None` where they cannot be seen; a service without a store on the disk has none.
    fn responses_waiting(&self) -> Option<u64> {
        let path = self.parts.state_directory.join("wardmote.db");
        match SqliteStore::read(&path) {
            Ok(None) => Some(0),
            Ok(Some(store)) => {
                let waiting = store.requests(&[State::Waiting], LOOKED_AT_MAX).ok()?;
                Some(waiting.len() as u64)
            }
            Err(_) => None,
        }
    }
}

fn count(counts: &mut BTreeMap<Severity, u64>, level: Severity) {
    *counts.entry(level).or_default() += 1;
}

fn since_then(now: Tally, then: Tally) -> Tally {
    let less = |now: u64, then: u64| now.saturating_sub(then);
    Tally {
        received: less(now.received, then.received),
        notified: less(now.notified, then.notified),
        merged: less(now.merged, then.merged),
        suppressed: less(now.suppressed, then.suppressed),
    }
}
