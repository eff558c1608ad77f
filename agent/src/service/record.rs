//! The service's own record: what it saw and did goes to the journal, and a journal that fails stops nothing.
//!
//! A journal that is not there is made: then nobody has the key that verifies it, which is said. What could
//! not be recorded is counted, and said in the journal itself when it takes entries again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use consensus::Severity;
use crypto::journal::codec::Value;
use tokio::time::{Duration, Instant};
use zeroize::Zeroizing;

use crate::commands::audit::create_private;
use crate::events::{Bus, Event};
use crate::govern::{Decision, Ledger, Outcome, Step};
use crate::journal::disk::Directory;
use crate::journal::read::records_of_last;
use crate::journal::{Entry, Error, Journal, Made, Options, What, boot_id, clock, create};
use crate::secrets::random;
use crate::store::{Alert, Document, News, Sighting, Told};

/// How soon a journal that failed is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// How often it is looked whether an epoch has ended.
pub const TICK: Duration = Duration::from_secs(5);

/// The last segments of the journal, in which a crash has left its entries.
const SEGMENTS_LOOKED_AT: usize = 2;
/// How far the journal's clock may be behind the loop's, in seconds.
const CLOCKS_APART_S: i64 = 2;

/// One recorder for the loop and for whoever answers cases.
#[derive(Clone)]
pub struct SharedRecorder(Arc<Mutex<Recorder>>, Bus);

impl SharedRecorder {
    /// A recorder for the journal in a state directory; nothing is opened yet.
    pub fn new(state: &Path) -> Self {
        Self(Arc::new(Mutex::new(Recorder::new(state))), Bus::default())
    }

    /// The same, with these bounds for the journal.
    pub fn bounded(self, options: Options) -> Self {
        self.lock().options = options;
        self
    }

    /// The same; what is decided and done is told on this bus, too.
    pub fn telling(self, bus: Bus) -> Self {
        Self(self.0, bus)
    }

    /// The recorder; whoever panicked with it has left a journal that is whole all the same.
    pub fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for SharedRecorder {
    fn decided(&self, decision: &Decision) {
        self.lock().decided(decision);
        let outcome = match decision.outcome {
            Outcome::Wait { .. } => "waits for you (wardmote respond list)",
            Outcome::Act => "is done",
        };
        let line = format!("{} {}: {outcome}", decision.action, decision.target);
        self.1.emit(Event::Response(line.into()));
    }

    fn stepped(&self, step: &Step) {
        self.lock().stepped(step);
        self.1.emit(Event::Response(format!("request {}: {}", step.id, step.what).into()));
    }
}

/// The way to the journal.
pub struct Recorder {
    path: PathBuf,
    options: Options,
    journal: Option<Journal>,
    retry_at: Option<Instant>,
    trouble: Option<String>,
    /// Entries that it did not take.
    missed: u64,
}

impl Recorder {
    /// A recorder for the journal in a state directory; nothing is opened yet.
    pub fn new(state: &Path) -> Self {
        let (path, options) = (state.join("journal"), Options::default());
        Self { path, options, journal: None, retry_at: None, trouble: None, missed: 0 }
    }

    /// What is wrong with the journal.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The service began.
    pub fn started(&mut self) {
        self.record(&[Entry::new(
            Severity::Info,
            What::Started { version: env!("CARGO_PKG_VERSION") },
        )]);
    }

    /// The configuration was read again, or was not for this reason.
    pub fn reloaded(&mut self, why_not: Option<&str>) {
        let what = What::Reloaded { holds: why_not.is_none(), why: why_not.unwrap_or("") };
        let level = if why_not.is_some() { Severity::Low } else { Severity::Info };
        self.record(&[Entry::new(level, what)]);
    }

    /// Findings were judged.
    pub fn judged(&mut self, seen: &[Sighting]) {
        let traces: Vec<String> = seen.iter().map(|seen| trace(&seen.verdict)).collect();
        let entries: Vec<Entry<'_>> = seen
            .iter()
            .zip(&traces)
            .map(|(seen, trace)| {
                let (check, title) = (&*seen.check, &*seen.title);
                let what = What::Judged { check, fingerprint: &seen.fingerprint, title, trace };
                Entry::new(seen.severity, what)
            })
            .collect();
        self.record(&entries);
    }

    /// Records what an earlier run was about to record when it was killed, as far as it is not in the journal.
    pub fn recover(&mut self, told: &Told, at: i64, alerts: &[Alert]) {
        let kind = match told {
            Told::Alerts(_) => "alert",
            Told::Judged(_) => "judged",
            Told::Cases(_) => return,
        };
        let there = self.recorded(kind, at);
        let missing =
            alerts.iter().filter(|alert| !there.contains(alert.seen.fingerprint.as_str())).cloned();
        let missing: Vec<Alert> = missing.collect();
        match told {
            Told::Judged(_) => {
                let seen: Vec<Sighting> = missing.into_iter().map(|alert| alert.seen).collect();
                self.judged(&seen);
            }
            _ => self.told(&missing),
        }
    }

    /// Fingerprints of the entries of a kind since a time, in the last segments: where a crash leaves things.
    fn recorded(&self, kind: &str, since: i64) -> BTreeSet<String> {
        let mut prints = BTreeSet::new();
        let Ok(disk) = Directory::open(&self.path) else { return prints };
        let since_us = since.saturating_sub(CLOCKS_APART_S).saturating_mul(1_000_000);
        // What cannot be read now is told when the journal is opened.
        let _ = records_of_last::<std::io::Error>(&disk, SEGMENTS_LOOKED_AT, |_, record| {
            if record.kind() == kind && record.time_us >= since_us {
                let print = record.fields().find(|(name, _)| *name == "fingerprint");
                if let Some((_, Value::Text(print) | Value::Name(print))) = print {
                    prints.insert(print.to_string());
                }
            }
            Ok(())
        });
        prints
    }

    /// Alerts were told.
    pub fn told(&mut self, alerts: &[Alert]) {
        let entries: Vec<Entry<'_>> = alerts
            .iter()
            .map(|alert| {
                let news = match alert.untold {
                    Some(News::New) => "new",
                    Some(News::Risen) => "risen",
                    None => "known",
                };
                let (check, title) = (&*alert.seen.check, &*alert.seen.title);
                let (fingerprint, count) = (&*alert.seen.fingerprint, alert.seen.count);
                let what = What::Alert { check, news, fingerprint, title, count };
                Entry::new(alert.seen.severity, what)
            })
            .collect();
        self.record(&entries);
    }

    /// A response was decided.
    fn decided(&mut self, decision: &Decision) {
        let request = decision.id.map(|id| id.to_string()).unwrap_or_default();
        let (proof, harm) = (answer(&decision.proof), answer(&decision.harm));
        let outcome = match decision.outcome {
            Outcome::Act => "act",
            Outcome::Wait { .. } => "wait",
        };
        let what = What::Decided {
            action: &decision.action,
            outcome,
            target: &decision.target,
            risk: decision.risk.name(),
            request: &request,
            proof: &proof,
            harm: &harm,
            operator: "",
        };
        self.record(&[Entry::new(Severity::Medium, what)]);
    }

    /// Something was done about a response.
    fn stepped(&mut self, step: &Step) {
        let (request, by) = (step.id.to_string(), step.by.map(|uid| format!("uid {uid}")));
        let what = What::Decided {
            action: "",
            outcome: &step.what,
            target: "",
            risk: "",
            request: &request,
            proof: "",
            harm: "",
            operator: by.as_deref().unwrap_or(""),
        };
        self.record(&[Entry::new(Severity::Medium, what)]);
    }

    /// Something was not seen.
    pub fn lost(&mut self, source: &str, why: &str, count: u64) {
        self.record(&[Entry::new(Severity::Medium, What::Lost { source, why, count })]);
    }

    /// The service ends.
    pub fn stopped(&mut self, why: &str) {
        self.record(&[Entry::new(Severity::Info, What::Stopped { why })]);
        if let Some(journal) = self.journal.take() {
            let closed = journal.close();
            self.note(closed.err());
        }
    }

    /// Ends an epoch that is due; opens a journal that failed when its time has come.
    pub fn tick(&mut self) {
        let ticked = self.opened().map_or(Ok(()), Journal::tick);
        if ticked.is_err() {
            self.journal = None;
        }
        self.note_if_failed(ticked);
    }

    /// Appends entries, and returns when they are on the disk or will never be.
    fn record(&mut self, entries: &[Entry<'_>]) {
        let Some(journal) = self.opened() else {
            self.missed += entries.len() as u64;
            return;
        };
        let append = || {
            let mut last = None;
            for entry in entries {
                last = Some(journal.append(entry)?);
            }
            last.map_or(Ok(()), |ticket| ticket.wait_durable())
        };
        let done = append();
        if done.is_err() {
            self.journal = None;
            self.missed += entries.len() as u64;
        }
        self.note_if_failed(done);
    }

    fn opened(&mut self) -> Option<&Journal> {
        let now = Instant::now();
        if self.journal.is_none() && self.retry_at.is_none_or(|at| now >= at) {
            self.retry_at = Some(now + RETRY);
            match self.open() {
                Ok(journal) => {
                    self.journal = Some(journal);
                    self.note(None);
                }
                Err(error) => self.note(Some(error)),
            }
        }
        self.journal.as_ref()
    }

    fn open(&mut self) -> Result<Journal, Error> {
        let named = |error| Error::of_directory(&self.path, error);
        create_private(&self.path).map_err(named)?;
        let directory = || Directory::open(&self.path).map(Box::new).map_err(named);
        let open = || Journal::open(directory()?, self.options, boot_id(), clock());
        let (journal, opened) = match open() {
            Err(Error::None) => {
                let first = Zeroizing::new(random().map_err(named)?);
                let id = random().map_err(named)?;
                create(&*directory()?, first, id, Made::Alone, clock()())?;
                say!("wardmote: a journal was made in {}", self.path.display());
                open()?
            }
            opened => opened?,
        };
        if opened.without_verify_key {
            say!(
                "wardmote: nobody can verify the journal in {}: stop the service, move that directory away, \
                 and run `wardmote journal init --verify-key FILE`",
                self.path.display()
            );
        }
        let mut losses = Vec::new();
        if let Some(place) = &opened.damage {
            say!("wardmote: error: the journal is damaged or was changed: {place}");
            losses.push(("journal", place.as_str(), 0));
        }
        if self.missed > 0 {
            losses.push(("journal", "it took no entries", self.missed));
        }
        for (source, why, count) in losses {
            let level = if count == 0 { Severity::High } else { Severity::Medium };
            journal
                .append(&Entry::new(level, What::Lost { source, why, count }))?
                .wait_durable()?;
        }
        self.missed = 0;
        Ok(journal)
    }

    fn note_if_failed(&mut self, done: Result<(), Error>) {
        if let Err(error) = done {
            self.note(Some(error));
        }
    }

    /// New trouble goes to stderr once, not with every entry.
    fn note(&mut self, trouble: Option<Error>) {
        let trouble = trouble.map(|error| format!("the journal takes no entries: {error}"));
        match (&self.trouble, &trouble) {
            (before, Some(now)) if before.as_ref() != Some(now) => say!("wardmote: error: {now}"),
            (Some(_), None) => say!("wardmote: the journal takes entries again"),
            _ => {}
        }
        self.trouble = trouble;
    }
}

/// What a guardian said, in one line.
fn answer(reasons: &[String]) -> String {
    if reasons.is_empty() { "yes".into() } else { format!("no: {}", reasons.join("; ")) }
}

/// The trace that a verdict names; none where it names none.
fn trace(verdict: &Document) -> String {
    #[derive(serde::Deserialize)]
    struct Part {
        #[serde(default)]
        trace: String,
    }
    verdict.read::<Part>().map(|part| part.trace).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::journal::read::records;

    fn kinds(state: &Path) -> Vec<String> {
        let disk = Directory::open(&state.join("journal")).unwrap();
        let mut kinds = Vec::new();
        let told = records::<std::io::Error>(&disk, |_, record| {
            kinds.push(record.kind().to_string());
            Ok(())
        });
        assert!(told.unwrap().incomplete.is_empty());
        kinds
    }

    #[test]
    fn a_journal_is_made_and_what_it_missed_is_said_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::new(dir.path());
        recorder.started();
        recorder.reloaded(Some("line 3"));
        recorder.stopped("told to");
        assert_eq!(recorder.trouble(), None);
        let path = dir.path().join("journal");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(path.join("key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(kinds(dir.path()), ["started", "reloaded", "stopped"]);

        let key = path.join("key");
        let (mut recorder, kept) = (Recorder::new(dir.path()), std::fs::read(&key).unwrap());
        std::fs::write(&key, b"damaged").unwrap();
        recorder.started();
        let trouble = recorder.trouble().unwrap();
        assert!(trouble.ends_with("key: no whole state of a writer"), "{trouble}");
        std::fs::write(&key, kept).unwrap();
        // Not tried again at once …
        recorder.tick();
        assert!(recorder.trouble().is_some());
        // … but later.
        recorder.retry_at = None;
        recorder.tick();
        assert_eq!(recorder.trouble(), None);
        recorder.stopped("told to");
        assert_eq!(kinds(dir.path())[3..], ["lost", "stopped"]);
    }

    #[test]
    fn what_is_done_about_a_case_is_recorded_and_told_on_the_bus() {
        let dir = tempfile::tempdir().unwrap();
        let bus = Bus::default();
        let recorder = SharedRecorder::new(dir.path()).telling(bus.clone());
        let step = Step { time: 1, id: 7, what: "reverted".into(), by: None, note: String::new() };
        recorder.stepped(&step);
        recorder.lock().stopped("told to");
        assert_eq!(bus.take(), Some(Event::Response("request 7: reverted".into())));
        assert_eq!(kinds(dir.path()), ["decided", "stopped"]);
    }
}
