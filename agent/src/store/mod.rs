//! Where the service keeps its alerts: in SQLite, or in memory for tests. Beside them, for all runs:
//! [`cases`] (findings with what they were judged from), [`feedback`] (what operators said) and
//! [`responses`] (what was to be done about them, and was).
//!
//! An alert is one fingerprint and its life: open until fixed, accepted or expired. Both stores follow
//! the same rules and run the same tests:
//!
//! - A sighting is `New` when its fingerprint was not there, was fixed, or was accepted and is no more;
//!   `Risen` when it is worse than it ever was while open; `Known` otherwise. Only the first two are
//!   worth telling somebody, and stay [`Alert::untold`] until the caller says that they were told: a
//!   crash or a full disk between storing and telling loses nothing.
//! - Only an audit that really ran a check can mark that check's alerts fixed: what could not be looked
//!   at stays open.
//! - At most [`ALERTS_MAX`] are kept, because names in logs are chosen by attackers: over that the
//!   mildest and oldest makes room, and is counted.

use std::collections::BTreeSet;

use consensus::Severity;
use serde::{Deserialize, Serialize};

use crate::pipeline::case::CaseFile;
use crate::pipeline::case::storm::More;

#[cfg(test)]
mod bench;
mod case_files;
pub mod cases;
mod document;
pub mod feedback;
pub mod intents;
#[cfg(test)]
pub mod memory;
mod packed;
pub mod responses;
pub mod sqlite;
pub mod upkeep;

pub use self::document::Document;
pub use self::intents::{Intent, Told};

/// Most alerts that a store keeps.
pub const ALERTS_MAX: usize = 100_000;
/// Most cases that a store keeps; the ones that were quiet longest make room.
pub const CASES_MAX: usize = 10_000;

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Somebody should do something.
    Open,
    /// The operator lives with it, for now.
    Accepted,
    /// It was not seen when it was last looked for.
    Fixed,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A state of the host, found by the audit; it can be fixed.
    Audit,
    /// Something that happened, found in a log; it can only grow old.
    Sweep,
}

/// Something that was seen and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Who found it.
    pub source: Source,
    /// What makes it the same thing next time.
    pub fingerprint: String,
    /// Check or rule.
    pub check: String,
    /// One line.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// The operator has accepted it.
    pub accepted: bool,
    /// Events it stands for; 1 for a state.
    pub count: u64,
    /// The verdict, as in reports.
    pub verdict: Document,
    /// The evidence, as in reports (redacted).
    pub evidence: Document,
}

impl State {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Fixed => "fixed",
        }
    }
}

impl Source {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Sweep => "sweep",
        }
    }
}

impl News {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Risen => "risen",
        }
    }
}

/// An alert as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What was last seen of it; `count` is the sum over all sightings.
    #[serde(flatten)]
    pub seen: Sighting,
    /// Where it is in its life.
    pub state: State,
    /// The worst level since it was opened.
    pub worst: Severity,
    /// First sighting since it was opened, seconds since the epoch.
    pub first_seen: i64,
    /// Last sighting.
    pub last_seen: i64,
    /// News that nobody was told yet.
    #[serde(skip)]
    pub untold: Option<News>,
}

/// What is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// It was opened.
    New,
    /// It is worse than it was when it was told.
    Risen,
}

/// What a sighting changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Not there before, or back again.
    New,
    /// Worse than ever since it was opened.
    Risen,
    /// Nothing to tell.
    Known,
}

/// What went wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file's: it belongs to another program.
    #[error("it is a database of another program")]
    Foreign,
    /// The operator's: a newer wardmote wrote it.
    #[error("a newer wardmote wrote it (schema {found}, this one knows {known})")]
    Newer {
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The operator's: an older wardmote wrote it, and only the service brings it up to date.
    #[error(
        "an older wardmote wrote it (schema {found}, this one knows {known}); start the service once"
    )]
    Older {
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The system's: the file could not be made or opened.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file's: a document that is not as we wrote it.
    #[error("a document in it is damaged")]
    Damaged,
    /// Ours: more is kept than was ever meant to be.
    #[error("it is full, and nothing in it is over")]
    Full,
    /// The database's word.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The file's: a value that we did not write.
    #[error("a value that cannot be read: {0}")]
    Value(#[from] serde_json::Error),
}

/// Where a reader of logs goes on, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Whose it is.
    pub name: String,
    /// What it wants back; only it knows what that means.
    pub bytes: Vec<u8>,
}

/// What one look brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought<'a> {
    /// What was seen and judged.
    pub seen: &'a [Sighting],
    /// More of what is kept; what is not kept any more is no error.
    pub more: &'a [More],
    /// Cases as they are now.
    pub cases: &'a [CaseFile],
    /// Numbers of cases that became part of others, and are forgotten.
    pub merged: &'a [u64],
    /// Where the look's readers go on.
    pub places: &'a [Place],
}

impl Brought<'_> {
    /// What is to be recorded of it.
    fn judged(&self, now: i64) -> Option<Intent> {
        let prints = self.seen.iter().map(|seen| seen.fingerprint.clone()).collect();
        (!self.seen.is_empty()).then_some(Intent {
            told: Told::Judged(prints),
            at: now,
            file: None,
        })
    }
}

/// Keeps alerts.
pub trait Store {
    /// Takes what a look brings, with the places where the next one goes on: all or none, so that a crash
    /// neither loses nor doubles anything. That the sightings are to be recorded is kept with them
    /// ([`Told::Judged`]). Says of each sighting whether it is news.
    fn take(&mut self, brought: &Brought<'_>, now: i64) -> Result<Vec<Change>, StoreError>;

    /// The place of this name.
    fn place(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps that something is about to be told; one of each sort at a time.
    fn intend(&mut self, intent: &Intent) -> Result<(), StoreError>;

    /// What was about to be told.
    fn intents(&self) -> Result<Vec<Intent>, StoreError>;

    /// It was, or will be told another time. Not worth a wait for the disk.
    fn forget_intent(&mut self, sort: &str) -> Result<(), StoreError>;

    /// At most `limit` open alerts at this level or above whose news was not told, oldest first.
    fn untold(&self, from: Severity, limit: usize) -> Result<Vec<Alert>, StoreError>;

    /// These were told; so is what was intended of alerts.
    fn mark_told(&mut self, fingerprints: &[&str]) -> Result<(), StoreError>;

    /// At most `limit` open alerts: worst first, then the one seen last.
    fn open_alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError>;

    /// One alert, whatever its state.
    fn alert(&self, fingerprint: &str) -> Result<Option<Alert>, StoreError>;

    /// How many alerts are open at this level or above.
    fn open_count(&self, from: Severity) -> Result<usize, StoreError>;

    /// Marks as fixed the open and accepted alerts of an audit's checks that were `looked` at and whose
    /// fingerprints were not `seen`; gives their fingerprints.
    fn mark_fixed(
        &mut self,
        looked: &BTreeSet<String>,
        seen: &BTreeSet<String>,
    ) -> Result<Vec<String>, StoreError>;

    /// Forgets what was last seen before `older` and is fixed, or comes from logs, and such cases. Gives
    /// the number of alerts.
    fn prune(&mut self, older: i64) -> Result<usize, StoreError>;

    /// How many alerts had to make room since the store was opened.
    fn evicted(&self) -> u64;

    /// These were told, and are kept as they were told; so is what was intended of cases.
    fn cases_told(&mut self, files: &[CaseFile]) -> Result<(), StoreError>;

    /// At most `limit` cases whose last event is not before `since`, the latest first.
    fn cases(&self, since: i64, limit: usize) -> Result<Vec<CaseFile>, StoreError>;

    /// At most `limit` cases at this level or above of which somebody is to be told, the oldest first.
    fn untold_cases(&self, from: Severity, limit: usize) -> Result<Vec<CaseFile>, StoreError>;

    /// One case, by its number or by that of one that became part of it.
    fn case(&self, id: u64) -> Result<Option<CaseFile>, StoreError>;

    /// The number that no case has had yet.
    fn next_case(&self) -> Result<u64, StoreError>;
}

/// Parts of what a look brings, for tests.
#[cfg(test)]
pub trait Parts: Store {
    /// Takes sightings.
    fn upsert(&mut self, seen: &[Sighting], now: i64) -> Result<Vec<Change>, StoreError> {
        let changes = self.take(&Brought { seen, ..Brought::default() }, now)?;
        self.forget_intent(intents::JUDGED)?;
        Ok(changes)
    }

    /// Takes more of what is kept.
    fn add(&mut self, more: &[More], now: i64) -> Result<(), StoreError> {
        self.take(&Brought { more, ..Brought::default() }, now).map(drop)
    }

    /// Takes cases.
    fn put_cases(&mut self, cases: &[CaseFile], merged: &[u64]) -> Result<(), StoreError> {
        self.take(&Brought { cases, merged, ..Brought::default() }, 0).map(drop)
    }
}

#[cfg(test)]
impl<T: Store + ?Sized> Parts for T {}

/// How a sighting changes what was known: the one rule that both stores follow.
fn change(known: Option<&(State, Severity)>, seen: &Sighting) -> Change {
    match known {
        _ if seen.accepted => Change::Known,
        None | Some((State::Fixed | State::Accepted, _)) => Change::New,
        Some((State::Open, worst)) if seen.severity > *worst => Change::Risen,
        Some((State::Open, _)) => Change::Known,
    }
}

/// What is still to be told after a change.
fn untold(before: Option<News>, change: Change) -> Option<News> {
    match change {
        Change::New => Some(News::New),
        Change::Risen => before.or(Some(News::Risen)),
        Change::Known => before,
    }
}

/// The state that a sighting leaves behind.
fn state(seen: &Sighting) -> State {
    if seen.accepted { State::Accepted } else { State::Open }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::memory::MemoryStore;
    use super::sqlite::SqliteStore;
    use super::*;

    fn seen(fingerprint: &str, check: &str, severity: Severity) -> Sighting {
        Sighting {
            source: Source::Audit,
            fingerprint: fingerprint.into(),
            check: check.into(),
            title: format!("{check} is wrong"),
            severity,
            accepted: false,
            count: 1,
            verdict: Document::of(&json!({"severity": severity, "agreement": 0.5})).unwrap(),
            evidence: Document::of(&json!([{"file": "/etc/x", "line": 3}])).unwrap(),
        }
    }

    fn one(store: &mut dyn Store, sighting: &Sighting, now: i64) -> Change {
        store.upsert(std::slice::from_ref(sighting), now).unwrap().remove(0)
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    /// Runs a test on both stores.
    fn on_both(test: impl Fn(&mut dyn Store)) {
        test(&mut MemoryStore::new(ALERTS_MAX));
        let dir = tempfile::tempdir().unwrap();
        test(&mut SqliteStore::open(&dir.path().join("wardmote.db"), ALERTS_MAX).unwrap());
    }

    #[test]
    fn a_sighting_is_new_then_known_then_risen_and_new_again_after_a_fix() {
        on_both(|store| {
            let mut sighting = seen("f1", "ssh-root", Severity::Medium);
            assert_eq!(one(store, &sighting, 10), Change::New);
            assert_eq!(one(store, &sighting, 20), Change::Known);
            sighting.severity = Severity::Critical;
            assert_eq!(one(store, &sighting, 30), Change::Risen);
            sighting.severity = Severity::Low;
            assert_eq!(one(store, &sighting, 40), Change::Known);
            sighting.severity = Severity::Critical;
            assert_eq!(one(store, &sighting, 50), Change::Known, "no flapping");
            let alert = store.open_alerts(10).unwrap().remove(0);
            assert_eq!((alert.first_seen, alert.last_seen, alert.seen.count), (10, 50, 5));
            assert_eq!(alert.worst, Severity::Critical);
            assert_eq!(alert.seen.verdict, sighting.verdict);
            assert_eq!(store.alert("f1").unwrap(), Some(alert));
            assert_eq!(store.alert("f2").unwrap(), None);
            assert_eq!(store.mark_fixed(&set(&["ssh-root"]), &set(&[])).unwrap(), ["f1"]);
            assert_eq!(store.alert("f1").unwrap().unwrap().state, State::Fixed);
            assert!(store.open_alerts(10).unwrap().is_empty());
            assert_eq!(one(store, &sighting, 60), Change::New);
            let alert = store.open_alerts(10).unwrap().remove(0);
            assert_eq!((alert.first_seen, alert.seen.count), (60, 1));
        });
    }

    #[test]
    fn what_was_not_looked_at_or_came_from_a_log_is_not_fixed() {
        on_both(|store| {
            one(store, &seen("f1", "ssh-root", Severity::High), 1);
            one(store, &seen("f2", "ssh-empty", Severity::High), 1);
            one(store, &seen("f3", "ssh-root", Severity::High), 1);
            let log = Sighting { source: Source::Sweep, ..seen("f4", "ssh-root", Severity::High) };
            one(store, &log, 1);
            let fixed = store.mark_fixed(&set(&["ssh-root"]), &set(&["f3"])).unwrap();
            assert_eq!(fixed, ["f1"]);
            assert_eq!(store.open_count(Severity::Info).unwrap(), 3);
            assert!(store.mark_fixed(&set(&["ssh-root"]), &set(&["f3"])).unwrap().is_empty());
        });
    }

    #[test]
    fn accepted_ones_are_silent_and_come_back_as_new() {
        on_both(|store| {
            let mut sighting = Sighting { accepted: true, ..seen("f1", "c", Severity::High) };
            assert_eq!(one(store, &sighting, 1), Change::Known);
            assert_eq!(store.open_count(Severity::Info).unwrap(), 0);
            sighting.accepted = false;
            assert_eq!(one(store, &sighting, 2), Change::New);
            sighting.accepted = true;
            one(store, &sighting, 3);
            assert_eq!(store.open_count(Severity::Info).unwrap(), 0);
        });
    }

    #[test]
    fn open_alerts_come_worst_first_and_bounded() {
        on_both(|store| {
            for (name, severity, now) in [
                ("a", Severity::Low, 1),
                ("b", Severity::Critical, 2),
                ("c", Severity::Low, 3),
                ("d", Severity::High, 1),
            ] {
                one(store, &seen(name, "x", severity), now);
            }
            let names = |limit| -> Vec<String> {
                let alerts = store.open_alerts(limit).unwrap();
                alerts.into_iter().map(|alert| alert.seen.fingerprint).collect()
            };
            assert_eq!(names(9), ["b", "d", "c", "a"]);
            assert_eq!(names(2), ["b", "d"]);
            assert_eq!(store.open_count(Severity::High).unwrap(), 2);
        });
    }

    #[test]
    fn pruning_forgets_the_fixed_and_the_old_of_logs_but_no_open_fault() {
        on_both(|store| {
            one(store, &seen("open", "a", Severity::High), 1);
            one(store, &seen("fixed", "b", Severity::High), 1);
            let log = Sighting { source: Source::Sweep, ..seen("log", "r", Severity::High) };
            one(store, &log, 1);
            one(store, &Sighting { fingerprint: "late".into(), ..log }, 9);
            store.mark_fixed(&set(&["b"]), &set(&[])).unwrap();
            assert_eq!(store.prune(1).unwrap(), 0);
            assert_eq!(store.prune(9).unwrap(), 2);
            assert_eq!(store.open_count(Severity::Info).unwrap(), 2);
        });
    }

    #[test]
    fn a_full_store_makes_room_with_the_mildest_and_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let stores: [Box<dyn Store>; 2] = [
            Box::new(MemoryStore::new(2)),
            Box::new(SqliteStore::open(&dir.path().join("x.db"), 2).unwrap()),
        ];
        for mut store in stores {
            one(&mut *store, &seen("bad", "x", Severity::High), 1);
            one(&mut *store, &seen("mild", "x", Severity::Low), 2);
            assert_eq!(store.evicted(), 0);
            one(&mut *store, &seen("more", "x", Severity::Medium), 3);
            assert_eq!(store.evicted(), 1);
            let alerts = store.open_alerts(9).unwrap();
            let names: Vec<&str> = alerts.iter().map(|a| a.seen.fingerprint.as_str()).collect();
            assert_eq!(names, ["bad", "more"]);
        }
    }

    #[test]
    fn news_stay_untold_until_they_were_told() {
        on_both(|store| {
            let mut sighting = seen("a", "x", Severity::Low);
            one(store, &sighting, 1);
            one(store, &seen("b", "x", Severity::High), 2);
            one(store, &Sighting { accepted: true, ..seen("c", "x", Severity::High) }, 2);
            let untold = |store: &dyn Store, from| -> Vec<(String, Option<News>)> {
                let alerts = store.untold(from, 9).unwrap();
                alerts.into_iter().map(|alert| (alert.seen.fingerprint, alert.untold)).collect()
            };
            let new = |name: &str| (name.to_string(), Some(News::New));
            assert_eq!(untold(store, Severity::Info), [new("a"), new("b")]);
            assert_eq!(untold(store, Severity::High), [new("b")]);
            store.mark_told(&["b"]).unwrap();
            sighting.severity = Severity::High;
            one(store, &sighting, 3);
            assert_eq!(untold(store, Severity::High), [new("a")], "never told, so still new");
            store.mark_told(&["a", "nobody"]).unwrap();
            one(store, &sighting, 4);
            assert!(untold(store, Severity::Info).is_empty());
            sighting.severity = Severity::Critical;
            one(store, &sighting, 5);
            assert_eq!(untold(store, Severity::Info), [("a".to_string(), Some(News::Risen))]);
            store.mark_fixed(&set(&["x"]), &set(&[])).unwrap();
            assert!(untold(store, Severity::Info).is_empty(), "what is fixed is no news");
        });
    }

    #[test]
    fn names_are_those_of_json() {
        let states = [State::Open, State::Accepted, State::Fixed];
        assert_eq!(json!(states), json!(states.map(State::name)));
        let sources = [Source::Audit, Source::Sweep];
        assert_eq!(json!(sources), json!(sources.map(Source::name)));
        let news = [News::New, News::Risen];
        assert_eq!(json!(news), json!(news.map(News::name)));
    }

    #[test]
    fn what_a_look_brings_is_kept_with_the_places_where_the_next_one_goes_on() {
        on_both(|store| {
            assert_eq!(store.place("logs").unwrap(), None);
            let place = |bytes: &[u8]| [Place { name: "logs".into(), bytes: bytes.to_vec() }];
            let (seen, places) = ([seen("a", "x", Severity::High)], place(b"1"));
            let more = [More { fingerprint: "a".into(), count: 4 }];
            let brought =
                Brought { seen: &seen, more: &more, places: &places, ..Brought::default() };
            store.take(&brought, 5).unwrap();
            assert_eq!(store.alert("a").unwrap().unwrap().seen.count, 5);
            assert_eq!(store.place("logs").unwrap().as_deref(), Some(&b"1"[..]));
            let judged = Intent { told: Told::Judged(vec!["a".into()]), at: 5, file: None };
            assert_eq!(store.intents().unwrap(), std::slice::from_ref(&judged));
            // A look that brings nothing changes nothing but the places.
            let places = place(b"2");
            store.take(&Brought { places: &places, ..Brought::default() }, 6).unwrap();
            assert_eq!(store.place("logs").unwrap().as_deref(), Some(&b"2"[..]));
            assert_eq!(store.intents().unwrap(), [judged]);
            store.forget_intent("judged").unwrap();
            assert!(store.intents().unwrap().is_empty());
        });
    }

    #[test]
    fn what_is_about_to_be_told_is_known_until_it_was() {
        on_both(|store| {
            store.upsert(&[seen("a", "x", Severity::High)], 5).unwrap();
            let file = intents::Appended { inode: 7, offset: 9, bytes: 3, digest: "d".into() };
            let told = Told::Alerts(vec!["a".into()]);
            let alerts = Intent { told, at: 5, file: Some(file.clone()) };
            let cases = Intent { told: Told::Cases(vec![1]), at: 5, file: Some(file) };
            store.intend(&alerts).unwrap();
            store.intend(&Intent { at: 6, ..alerts.clone() }).unwrap();
            store.intend(&cases).unwrap();
            let later = Intent { at: 6, ..alerts };
            assert_eq!(store.intents().unwrap(), [later, cases.clone()]);
            store.mark_told(&["a"]).unwrap();
            assert_eq!(store.intents().unwrap(), [cases]);
            store.cases_told(&[]).unwrap();
            assert!(store.intents().unwrap().is_empty());
        });
    }

    #[test]
    fn more_of_the_same_is_added() {
        on_both(|store| {
            one(store, &seen("a", "x", Severity::Low), 5);
            let more = |name: &str, count| More { fingerprint: name.into(), count };
            store.add(&[more("a", 3), more("nobody", 1), more("a", 2)], 9).unwrap();
            let alert = store.alert("a").unwrap().unwrap();
            assert_eq!((alert.seen.count, alert.last_seen, alert.first_seen), (6, 9, 5));
            store.add(&[more("a", u64::MAX)], 7).unwrap();
            let alert = store.alert("a").unwrap().unwrap();
            assert!(alert.seen.count >= i64::MAX as u64, "{}", alert.seen.count);
            assert_eq!(alert.last_seen, 9, "a clock that was set back");
            store.add(&[], 9).unwrap();
        });
    }

    #[test]
    fn a_batch_is_stored_as_a_whole() {
        on_both(|store| {
            let both = [seen("a", "x", Severity::Low), seen("b", "x", Severity::Low)];
            assert_eq!(store.upsert(&both, 1).unwrap(), [Change::New, Change::New]);
            let twice = [both[0].clone(), both[0].clone()];
            assert_eq!(store.upsert(&twice, 1).unwrap(), [Change::Known, Change::Known]);
            assert!(store.upsert(&[], 1).unwrap().is_empty());
        });
    }
}
