//! The service's real look: this host, through the audit's pipeline and the log sweep.
//!
//! The sweep's place in the logs is kept in `agent-logs.json` in the state directory, apart from the one
//! of `wardmote sweep`: each has seen what it has told. It is written only when the service has stored
//! what was seen; until then a sweep begins at the old place. What each rule saw on which day is kept
//! beside it (`agent-past.json`): what is rare here, and what is routine. Experts from outside go on
//! running from one look to the next.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use consensus::{Context, Evidence, Severity, trace};
use scanner::RootedTree;
use scanner::checks::CheckResult;
use scanner::logs::checkpoint::Checkpoint;
use scanner::logs::source::Found;
use scanner::logs::{Detection, RuleSet, SweepOptions, content, source, sweep};
use scanner::ports::{self, Inventory};
use scanner::remembered::Memory as Files;
use serde::{Deserialize, Serialize};

use crate::govern::worker::Responder;
use crate::outside::Experts;
use crate::pipeline::case::retrieve::Memory as Similars;
use crate::pipeline::case::storm::{More, Storm};
use crate::pipeline::case::{CaseFile, Cases, Pipeline};
use crate::pipeline::examine::{Examined, examine, threads};
use crate::pipeline::judge::Judges;
use crate::pipeline::keep::Of;
use crate::pipeline::look::{Wanted, known_users, system_zone};
use crate::pipeline::{advise, judge, keep, known, surround};
use crate::powers::{Direct, Powers, StateFile};
use crate::report::{Finding, Report, json};
use crate::service::journal::{Journal, Known};
use crate::service::past::{self, Memory};
use crate::service::watch::Watch;
use crate::service::{Look, Looked};
use crate::settings::Settings;
use crate::store::cases::{By, Case};
use crate::store::{Document, Place, Sighting, Source};

/// A syslog daemon that wrote within this time is alive.
const SYSLOG_ALIVE_SECONDS: i64 = 3_600;

/// The place under which the store keeps what is [`Carried`].
pub const CARRIED: &str = "carried";

/// What one process that looks leaves to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// What listened at the last audit.
    pub inventory: Option<Inventory>,
    /// The host's name, from the last audit.
    pub host: String,
    /// What is known of the stories of the journal.
    pub stories: Known,
    /// What is remembered of past cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// Looks at one host.
pub struct Host {
    root: PathBuf,
    powers: Arc<dyn Powers>,
    rules: RuleSet,
    clock: fn() -> i64,
    /// The place that is kept; `None` before the first sweep.
    kept: Option<Checkpoint>,
    /// The place after the last sweep.
    reached: Option<Checkpoint>,
    /// The same as it is to be written, where it is not the one that is kept.
    unkept: Option<String>,
    journal: Journal,
    /// What listened at the last audit, or at the first look: whom an attack concerns.
    inventory: Option<Inventory>,
    /// The host's name, from the last audit.
    host: String,
    /// Experts from outside, kept running.
    experts: Experts,
    memory: Memory,
    /// Configuration files as the last audit read them.
    files: Arc<Files>,
    /// What the last sweep gave, until it is stored.
    heard: Vec<Detection>,
    /// The stages that make cases.
    pipeline: Pipeline,
    /// What came lately.
    storm: Storm,
    /// Open cases.
    cases: Cases,
    /// What was judged last, until it is stored: fingerprint, evidence, level.
    judged: Vec<(String, Evidence, Severity)>,
    /// The same for whoever answers cases, where that is wanted.
    offered: Vec<Case>,
    /// Why what was judged last could not be kept.
    unkept_cases: Option<String>,
    /// Whether the pipeline has been told of the past.
    remembers: bool,
    /// What makes an audit stale, where nobody else watches.
    watch: Option<Watch>,
    /// Answers cases, where that is wanted.
    responses: Option<Responder>,
}

/// What a look at the logs gave, judged.
#[derive(Default)]
struct Heard {
    seen: Vec<Sighting>,
    more: Vec<More>,
    complaints: Vec<String>,
}

impl Host {
    /// A look at the tree under `root` (`/`), with the place in the logs that `state` holds, if any.
    pub fn new(root: PathBuf, state: &Path, clock: fn() -> i64) -> anyhow::Result<Self> {
        let watch = Watch::new(&root);
        let host = Self::with_powers(root, Arc::new(Direct::new(state)), clock)?;
        Ok(Self { watch: Some(watch), ..host })
    }

    /// The same by whoever opens files for it and watches for changes.
    pub fn with_powers(
        root: PathBuf,
        powers: Arc<dyn Powers>,
        clock: fn() -> i64,
    ) -> anyhow::Result<Self> {
        let kept = read_place(&*powers)?;
        let rules = content::rules();
        let journal = Journal::new(Arc::clone(&powers));
        let memory = Memory::open(Arc::clone(&powers))?;
        let experts = Experts::started_by(Arc::clone(&powers));
        Ok(Self {
            root,
            powers,
            rules,
            clock,
            kept,
            reached: None,
            unkept: None,
            journal,
            inventory: None,
            host: "this host".to_string(),
            experts,
            memory,
            files: Arc::default(),
            heard: Vec::new(),
            pipeline: Pipeline::default(),
            storm: Storm::default(),
            cases: Cases::new(Vec::new(), 1),
            judged: Vec::new(),
            offered: Vec::new(),
            unkept_cases: None,
            remembers: false,
            watch: None,
            responses: None,
        })
    }

    /// The same, with somebody who answers its cases.
    #[must_use]
    pub fn with_responses(self, responder: Responder) -> Self {
        Self { responses: Some(responder), ..self }
    }

    /// Goes on with the cases that were open when the service ended; the next new one gets the number
    /// `next`.
    #[must_use]
    pub fn with_cases(self, open: Vec<CaseFile>, next: u64) -> Self {
        Self { cases: Cases::new(open, next), ..self }
    }

    /// Tells the pipeline what was judged before the service started. What cannot be read is no reason not
    /// to look.
    fn remember(&mut self) {
        if std::mem::replace(&mut self.remembers, true) {
            return;
        }
        for (run, cases) in self.powers.judged().iter().rev() {
            for case in cases {
                let severity = case.verdict.severity;
                self.pipeline.memory.note(&case.fingerprint, &case.evidence, severity, run.started);
            }
        }
    }

    /// What an earlier process knew, which this one goes on with.
    pub fn resume(&mut self, carried: Carried) {
        let Carried { inventory, host, stories, memory } = carried;
        self.inventory = inventory;
        self.host = host;
        self.journal.knowing(stories);
        if let Some(memory) =
            memory.and_then(|text| Similars::from_bytes(&BASE64.decode(text).ok()?))
        {
            self.pipeline.memory = memory;
            self.remembers = true;
        }
    }

    /// What a later process needs to go on, once what was seen is stored. What is remembered of past cases
    /// goes along at the end only: it can be read again.
    pub fn carried(&self) -> Carried {
        Carried {
            inventory: self.inventory.clone(),
            host: self.host.clone(),
            stories: self.journal.stories().clone(),
            memory: None,
        }
    }

    /// The same at the end; what was noted is written down.
    pub fn rest(&mut self) -> anyhow::Result<Carried> {
        self.memory.save((self.clock)())?;
        let memory = self.remembers.then(|| self.pipeline.memory.to_bytes()).flatten();
        let memory = memory.map(|bytes| BASE64.encode(bytes));
        Ok(Carried { memory, ..self.carried() })
    }

    /// The places that are to be kept when what was seen is stored: in the files, and in the journal.
    pub fn places(&self) -> (Option<&str>, Option<i64>) {
        (self.unkept.as_deref(), self.journal.reached())
    }

    /// The same for the store. What is carried along matters to the journal's reader alone.
    fn stored_places(&self) -> anyhow::Result<Vec<Place>> {
        let (file, journal) = self.places();
        let mut places = Vec::new();
        let mut put = |name: &str, bytes: Vec<u8>| places.push(Place { name: name.into(), bytes });
        if let Some(text) = file {
            put(StateFile::Place.name(), text.into());
        }
        if let Some(at) = journal {
            put(StateFile::JournalPlace.name(), format!("{at}\n").into());
            put(CARRIED, serde_json::to_vec(&self.carried())?);
        }
        Ok(places)
    }

    /// What was judged last, for whoever answers cases.
    pub fn take_offered(&mut self) -> Vec<Case> {
        std::mem::take(&mut self.offered)
    }

    /// The judges, with what operators taught.
    fn judges(&self, experts: Experts, now: i64) -> Judges {
        Judges::taught(experts, self.powers.feedback(), Path::new("feedback.jsonl"), now)
    }

    /// The place after a sweep. Marks that were met are told apart from old ones while it is written: it
    /// is read back.
    fn reach(&mut self, place: &Checkpoint) -> anyhow::Result<()> {
        let bytes = place.to_json();
        let reached = Checkpoint::from_json(&bytes)?;
        self.unkept =
            (self.kept.as_ref() != Some(&reached)).then(|| String::from_utf8(bytes)).transpose()?;
        self.reached = Some(reached);
        Ok(())
    }

    /// Keeps what was judged; what is not kept is no reason to stop watching.
    fn keep(&mut self, by: By, judges: &Judges, context: Context, cases: Vec<Case>) {
        let of = Of { by, host: &self.host, started: (self.clock)() };
        let keep = |run, cases| self.powers.keep(run, cases);
        let kept = keep::keep_with(keep, "the state directory", &of, judges, context, cases);
        let unkept = kept.err().map(|why| why.to_string());
        // Once, not with every look.
        if let Some(why) = unkept.as_ref().filter(|why| self.unkept_cases.as_ref() != Some(*why)) {
            say!("wardmote: {why}");
        }
        self.unkept_cases = unkept;
    }

    fn judge(
        &mut self,
        tree: &RootedTree,
        detections: &[Detection],
        settings: &Settings,
    ) -> anyhow::Result<Heard> {
        if detections.is_empty() {
            return Ok(Default::default());
        }
        let now = (self.clock)();
        let items: Vec<_> = detections.iter().map(advise::judged).collect();
        let attacks = detections.iter().filter_map(Detection::attack).collect();
        let all: Vec<_> = items.iter().map(|item| &item.evidence).collect();
        let since = now.saturating_sub(settings.audit.since.seconds());
        let live = self.root == Path::new("/");
        let told = settings.site.operator()?;
        let mut known = known::look(tree, live, (since, now), &all, told);
        known.past = Some(past::joined(self.memory.past(now), known.past));
        if live && self.inventory.is_none() {
            self.inventory = Some(ports::look_closely(tree, &self.powers.programs()));
        }
        let context = surround::context(now, self.inventory.as_ref(), Some(attacks), &all, known);
        let experts = std::mem::take(&mut self.experts).again(&settings.experts, false);
        let mut judges = self.judges(experts, now);
        self.remember();
        let digest = trace::context(&context);
        let sorted = self.storm.sort(items, &context, now);
        self.cases.close(now);
        let Self { pipeline, storm, cases, judged, offered, .. } = self;
        judged.clear();
        offered.clear();
        let (mut seen, mut kept, mut dropped) = (Vec::new(), Vec::new(), 0);
        let done = judge::in_portions(
            sorted.judge,
            |item| pipeline.judge(&mut judges, item, &context, &digest),
            |findings, of_portion| {
                for case in &of_portion {
                    let (print, severity) = (&case.fingerprint, case.verdict.severity);
                    storm.judged(&case.evidence, &context, print, severity);
                    cases.take(print, &case.evidence, severity, now);
                    judged.push((print.clone(), case.evidence.clone(), severity));
                }
                if settings.responses.enabled {
                    offered.extend_from_slice(&of_portion);
                }
                kept.extend(of_portion);
                dropped += keep::gravest(&mut kept);
                for finding in &findings {
                    seen.push(sighting(finding, Source::Sweep)?);
                }
                Ok(())
            },
        );
        let mut complaints = judges.outside.complaints();
        if sorted.left_out > 0 {
            let many = sorted.left_out;
            complaints.push(format!("a storm: {many} new alerts up to low were only counted"));
        }
        if dropped > 0 {
            complaints.push(format!("a storm: {dropped} findings are not kept to be explained"));
        }
        self.keep(By::Watch, &judges, context, kept);
        self.experts = judges.outside;
        done?;
        Ok(Heard { seen, more: sorted.more, complaints })
    }
}

impl Look for Host {
    fn audit(&mut self, settings: &Settings) -> anyhow::Result<Looked> {
        let now = (self.clock)();
        let wanted = Wanted {
            root: self.root.clone(),
            only: Vec::new(),
            since: now.saturating_sub(settings.audit.since.seconds()),
            now,
            threads: threads(),
            files: Arc::clone(&self.files),
            own_probes: Arc::new(self.powers.own_probes(now)),
            powers: Arc::clone(&self.powers),
        };
        let accepted = self.powers.accepted(&settings.audit.accept)?;
        let experts = std::mem::take(&mut self.experts).again(&settings.experts, true);
        let mut judges = self.judges(experts, now);
        let Examined { report, context, cases } =
            examine(&wanted, &accepted, settings, &mut judges)?;
        self.host.clone_from(&report.host.name);
        self.keep(By::Agent, &judges, context, cases);
        self.experts = judges.outside;
        self.inventory = report
            .services
            .clone()
            .map(|listeners| Inventory { listeners, ..Inventory::default() });
        // Where `wardmote accept` looks.
        self.powers.replace(StateFile::LastReport, &json::document(&report)?)?;
        looked(&report)
    }

    fn sweep(&mut self, settings: &Settings) -> anyhow::Result<Looked> {
        let now = (self.clock)();
        let tree = self.powers.tree(&self.root)?;
        let first = self.kept.is_none();
        let options = SweepOptions {
            since: first.then(|| now.saturating_sub(settings.audit.since.seconds())),
            zone: system_zone(),
            known_users: known_users(&tree),
            own_probes: Arc::new(self.powers.own_probes(now)),
            ..SweepOptions::new(now)
        };
        let mut place = match &self.kept {
            Some(place) => place.clone(),
            None => Checkpoint::new(),
        };
        let found = source::discover(&tree);
        let no_files = found.families.is_empty();
        let ask_journal = self.root == Path::new("/") && !has_syslog(&found, now);
        let mut outcome = sweep(&tree, found, None, &self.rules, &options, Some(&mut place));
        self.reach(&place)?;
        if ask_journal {
            let since = now.saturating_sub(settings.audit.since.seconds());
            match self.journal.look(&tree, &self.rules, &options, since) {
                Some((stories, unseen)) => {
                    outcome.detections.extend(stories);
                    outcome.incomplete.extend(unseen);
                }
                None if no_files => outcome.incomplete.push("no log file and no journal".into()),
                None => {}
            }
        }
        if let Some(responses) = &mut self.responses {
            responses.take(settings);
        }
        let Heard { seen, more, complaints } = self.judge(&tree, &outcome.detections, settings)?;
        outcome.incomplete.extend(complaints);
        self.heard = outcome.detections;
        let (cases, merged) = self.cases.changed();
        let incomplete = outcome.incomplete.len();
        let tally = self.cases.tally().with_storm(self.storm.held, self.storm.left_out);
        let timings = self.pipeline.timings;
        let stale = self.watch.as_mut().and_then(|watch| watch.look(now));
        let checks = BTreeSet::new();
        let places = self.stored_places()?;
        Ok(Looked { seen, more, places, cases, merged, checks, incomplete, tally, timings, stale })
    }

    fn goes_on(&self) -> bool {
        self.kept.is_some()
    }

    fn told(&mut self, cases: &[CaseFile]) {
        self.cases.told(cases);
    }

    fn keep_place(&mut self) -> anyhow::Result<()> {
        let now = (self.clock)();
        self.storm.stored(now);
        let offered = self.take_offered();
        if let Some(responses) = &mut self.responses {
            responses.offer(&offered, now);
        }
        for (fingerprint, evidence, severity) in std::mem::take(&mut self.judged) {
            self.pipeline.memory.note(&fingerprint, &evidence, severity, now);
        }
        // What was seen is stored: this goes on behind it, whatever becomes of the files.
        let noted = self.memory.note(&std::mem::take(&mut self.heard), now);
        let journal_place = self.journal.keep_place();
        let place = match (self.reached.take(), self.unkept.take()) {
            (Some(reached), unkept) => {
                self.kept = Some(reached);
                unkept.map_or(Ok(()), |text| self.powers.replace(StateFile::Place, text.as_bytes()))
            }
            (None, _) => Ok(()),
        };
        noted.and(journal_place).and(place)
    }
}

/// Whether a syslog daemon writes what the journal holds into files, so that the files are enough. One
/// that has written nothing for an hour may be gone: then both are read, and at worst counted twice.
fn has_syslog(found: &Found, now: i64) -> bool {
    let names =
        ["auth.log", "secure", "syslog", "messages"].map(|name| Path::new("/var/log").join(name));
    let mut files = found.families.iter().flat_map(|family| &family.files);
    files.any(|file| names.contains(&file.path) && file.stat.modified >= now - SYSLOG_ALIVE_SECONDS)
}

fn read_place(powers: &dyn Powers) -> anyhow::Result<Option<Checkpoint>> {
    let Some(bytes) = powers.read(StateFile::Place)? else { return Ok(None) };
    Checkpoint::from_json(&bytes).map(Some).map_err(|error| {
        crate::exit::hinted(
            format!("{}: {error}", StateFile::Place.name()),
            "move it away: the service then looks through the logs anew",
        )
    })
}

/// An audit's report as what the service stores.
fn looked(report: &Report) -> anyhow::Result<Looked> {
    let partly: BTreeSet<&str> =
        report.incomplete.iter().map(|entry| entry.what.as_str()).collect();
    let wholly = |result| !matches!(result, CheckResult::NotRun | CheckResult::Unknown);
    let checks = report
        .checks
        .iter()
        .filter(|check| wholly(check.result) && !partly.contains(check.id.as_str()))
        .map(|check| check.id.clone())
        .collect();
    // What the audit reads in logs is its context; the sweep follows them and tells.
    let states = report
        .findings
        .iter()
        .filter(|finding| report.checks.iter().any(|check| check.id == finding.check));
    let seen = states
        .map(|finding| sighting(finding, Source::Audit))
        .collect::<Result<_, serde_json::Error>>()?;
    let incomplete = report.incomplete.iter().filter(|entry| !entry.expected).count();
    Ok(Looked { seen, checks, incomplete, ..Looked::default() })
}

pub(super) fn sighting(finding: &Finding, source: Source) -> Result<Sighting, serde_json::Error> {
    Ok(Sighting {
        source,
        fingerprint: finding.fingerprint.clone(),
        check: finding.check.clone(),
        title: finding.title.clone(),
        severity: finding.severity,
        accepted: finding.accepted.is_some(),
        count: finding.count,
        verdict: Document::of(&finding.verdict)?,
        evidence: Document::of(&finding.evidence)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    fn append(root: &Path, text: &str) {
        let file = root.join("var/log/auth.log");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut file = File::options().append(true).create(true).open(file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn failures(from: u32, count: u32, address: &str) -> String {
        (from..from + count)
            .map(|second| {
                format!(
                    "2026-11-20T10:00:{second:02}+00:00 host sshd[9]: Failed password for root from \
                     {address} port 4 ssh2\n"
                )
            })
            .collect()
    }

    const NOW: fn() -> i64 = || 1_795_169_000;

    #[test]
    fn a_sweep_goes_on_where_the_last_stored_one_ended() {
        let root = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        append(root.path(), &failures(0, 20, "192.0.2.7"));
        let mut host = Host::new(root.path().into(), state.path(), NOW).unwrap();
        let first = host.sweep(&settings).unwrap().seen;
        assert!(!first.is_empty(), "twenty failures are a story");
        assert!(first.iter().all(|seen| seen.source == Source::Sweep));
        let kept = crate::store::cases::find(state.path(), &first[0].fingerprint).unwrap();
        assert_eq!(kept.case.evidence.title, first[0].title, "an alert can be explained");
        // Not stored: the same again, with the same fingerprints.
        assert_eq!(host.sweep(&settings).unwrap().seen, first);
        host.keep_place().unwrap();
        assert!(host.sweep(&settings).unwrap().seen.is_empty(), "nothing is new");
        // A new process goes on at the kept place.
        let mut host = Host::new(root.path().into(), state.path(), NOW).unwrap();
        assert!(host.sweep(&settings).unwrap().seen.is_empty());
        append(root.path(), &failures(30, 20, "192.0.2.8"));
        let second = host.sweep(&settings).unwrap().seen;
        assert!(second.iter().any(|seen| seen.title.contains("192.0.2.8")), "{second:?}");
        assert!(!second.iter().any(|seen| seen.title.contains("192.0.2.7")), "{second:?}");
    }

    #[test]
    fn what_the_logs_show_becomes_cases_that_go_on_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let now: fn() -> i64 = || 1_795_168_860;
        append(root.path(), &failures(0, 20, "192.0.2.7"));
        let mut host = Host::new(root.path().into(), state.path(), now).unwrap();
        let first = host.sweep(&settings).unwrap();
        assert_eq!(first.cases.len(), 1);
        let case = &first.cases[0];
        assert_eq!((case.id, case.untold), (1, Some(crate::pipeline::case::case_file::News::New)));
        assert_eq!(first.tally.received, first.seen.len() as u64);
        let kept = crate::store::cases::find(state.path(), &case.steps[0].fingerprint).unwrap();
        let course = kept.case.course.unwrap();
        assert_eq!(course.questions.from.as_deref(), Some("192.0.2.7: the internet"));
        assert!(course.checked.stands(), "{course:?}");
        host.keep_place().unwrap();
        assert!(host.sweep(&settings).unwrap().cases.is_empty());

        // The next process knows the case, and what was like it.
        append(root.path(), &failures(30, 20, "192.0.2.7"));
        let mut host = Host::new(root.path().into(), state.path(), now)
            .unwrap()
            .with_cases(first.cases.clone(), 2);
        let second = host.sweep(&settings).unwrap();
        assert_eq!((second.cases.len(), second.cases[0].id), (1, 1), "{second:?}");
        let kept = crate::store::cases::find(state.path(), &case.steps[0].fingerprint).unwrap();
        let similar = kept.case.course.unwrap().similar;
        assert_eq!(similar[0].fingerprint, case.steps[0].fingerprint);
    }

    #[test]
    fn what_never_happened_here_is_rare_once_there_is_a_past() {
        let reasons = |past: Option<&str>| {
            let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            append(root.path(), &failures(0, 20, "192.0.2.7"));
            if let Some(past) = past {
                std::fs::write(state.path().join("agent-past.json"), past).unwrap();
            }
            let mut host = Host::new(root.path().into(), state.path(), NOW).unwrap();
            let seen = host.sweep(&Settings::default()).unwrap().seen;
            let wanted = "never fired in 14 days";
            seen.iter().any(|seen| seen.verdict.text().contains(wanted))
        };
        // Fourteen days before the one of `NOW`, on which no rule saw anything.
        assert!(reasons(Some(r#"{"today":20777,"looked":16383,"past":{},"now":{}}"#)));
        assert!(!reasons(None));
    }

    #[test]
    fn a_damaged_place_is_an_error_with_a_way_out() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("agent-logs.json"), "{").unwrap();
        let error = Host::new("/".into(), state.path(), NOW).err().unwrap();
        assert!(error.to_string().contains("agent-logs.json"), "{error}");
    }
}
