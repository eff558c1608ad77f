//! The look as the service sees it: everything that reads what is hostile happens in the child.
//!
//! What the service commits (stores, tells, keeps) is committed here, too, and only then: cases, counts and
//! the place of a sweep are what the next child begins with, so that a child that dies repeats at most what
//! nobody has stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use consensus::Severity;

use super::Level;
use super::broker::Broker;
use super::changes::Changes;
use super::clean::clean;
use super::message::{Begin, Done, Gave, Order};
use super::process::Child;
use crate::control::status::Tally;
use crate::exit::hinted;
use crate::govern::worker::Responder;
use crate::pipeline::accept;
use crate::pipeline::case::quiet::GOES_ON_S;
use crate::pipeline::case::{CaseFile, Timings};
use crate::powers::{Direct, Powers as _, StateFile};
use crate::service::host::CARRIED;
use crate::service::watch::Watch;
use crate::service::{Look, Looked};
use crate::settings::{ExpertSettings, ResponseSettings, Settings};
use crate::store::Place;

/// With nothing to do for so long, the child ends.
pub const REST_AFTER: Duration = Duration::from_secs(60);
/// Where nothing changes a look comes this often all the same, in seconds: silence means something, too.
pub const QUIET_MAX: i64 = 600;
/// How long a look may take, unless the service's own watchdog is less patient.
const LOOK_WITHIN: Duration = Duration::from_secs(1_800);
/// How long everything else may.
const ORDER_WITHIN: Duration = Duration::from_secs(60);
/// A child that failed is followed by another at once, then later each time, up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Most cases that a child begins with: those below high that were quiet longest are left out first.
const CASES_MAX: usize = 1_000;

/// How a child is started.
pub type Program = Box<dyn Fn() -> Command + Send>;

/// A look that happens in a child.
pub struct Proxy {
    root: PathBuf,
    clock: fn() -> i64,
    program: Program,
    powers: Direct,
    broker: Broker,
    child: Option<Child>,
    level: Level,
    watch: Watch,
    responses: Option<Responder>,
    failures: u32,
    not_before: Option<Instant>,
    /// How long a look may take.
    within: Duration,
    /// What the next child begins with.
    cases: BTreeMap<u64, CaseFile>,
    next: u64,
    carried: Option<String>,
    /// Places that are stored and not in their files yet, by name.
    unwritten: BTreeMap<String, Vec<u8>>,
    /// What earlier children counted, and what this one has, as far as it is stored.
    before: Counts,
    counted: Counts,
    /// What the last sweep gave, until it is stored.
    given: Option<Box<Gave>>,
    /// What the last sweep looked at.
    looked_at: Changes,
    quiet: Option<Quiet>,
    last_work: Instant,
}

/// What was counted.
type Counts = (Tally, Timings);

/// Nothing was new at the last look, and will not be while nothing changes.
struct Quiet {
    changes: Changes,
    incomplete: usize,
    since: i64,
}

/// The program that is this one, as the child.
pub fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("look");
    command
}

impl Proxy {
    /// A look at the tree under `root` in children started by `program`, with its state in this directory.
    /// The first child is started, to see what of the sandbox can be reached.
    pub fn open(
        root: PathBuf,
        state: &Path,
        clock: fn() -> i64,
        program: Program,
    ) -> anyhow::Result<Self> {
        let broker = Broker::new(&root, state)?;
        let watch = Watch::new(&root);
        let mut proxy = Self {
            root,
            clock,
            program,
            powers: Direct::new(state),
            broker,
            child: None,
            level: Level::default(),
            watch,
            responses: None,
            failures: 0,
            within: LOOK_WITHIN,
            not_before: None,
            cases: BTreeMap::new(),
            next: 1,
            carried: None,
            unwritten: BTreeMap::new(),
            before: Counts::default(),
            counted: Counts::default(),
            given: None,
            looked_at: Changes::default(),
            quiet: None,
            last_work: Instant::now(),
        };
        let (child, level) = Child::start((proxy.program)()).map_err(|why| {
            hinted(
                format!("the process that reads the logs does not start: {why}"),
                "`agent.sandbox: off` reads them without it",
            )
        })?;
        (proxy.child, proxy.level) = (Some(child), level);
        Ok(proxy)
    }

    /// The same with less patience, where that is so: a look that takes too long ends its child, before
    /// the whole service is taken for dead.
    #[must_use]
    pub fn within(self, patience: Option<Duration>) -> Self {
        Self { within: patience.unwrap_or(LOOK_WITHIN).min(LOOK_WITHIN), ..self }
    }

    /// The same, with somebody who answers its cases.
    #[must_use]
    pub fn with_responses(self, responder: Responder) -> Self {
        Self { responses: Some(responder), ..self }
    }

    /// Goes on with the cases that were open when the service ended.
    #[must_use]
    pub fn with_cases(mut self, open: Vec<CaseFile>, next: u64) -> Self {
        self.cases = open.into_iter().map(|case| (case.id, case)).collect();
        self.next = next;
        self
    }

    /// Goes on with what the process before left, as it is stored.
    #[must_use]
    pub fn with_carried(self, carried: Option<Vec<u8>>) -> Self {
        let carried = carried.and_then(|bytes| String::from_utf8(bytes).ok());
        Self { carried, ..self }
    }

    /// What of the sandbox was reached.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// The child's process, if there is one.
    #[cfg(test)]
    pub fn child(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The next child is started at once.
    #[cfg(test)]
    pub fn forget_failures(&mut self) {
        (self.failures, self.not_before) = (0, None);
    }

    /// The next child is another program.
    #[cfg(test)]
    pub fn use_program(&mut self, program: Program) {
        self.program = program;
    }

    /// Has an order done; where the child fails it is ended, and the next one comes later each time.
    fn have_done(
        &mut self,
        order: &Order,
        experts: &[ExpertSettings],
        within: Duration,
    ) -> anyhow::Result<Done> {
        self.ready().context("the process that reads the logs does not start")?;
        let child = self.child.as_mut().ok_or_else(|| anyhow!("there is no child"))?;
        match child.obey(order, &mut self.broker, experts, within) {
            Ok(Done::Failed(why)) => Err(anyhow!(scanner::redact::printable(&why))),
            Ok(done) => {
                self.failures = 0;
                Ok(done)
            }
            Err(why) => {
                self.end();
                self.failures += 1;
                let wait = match self.failures {
                    1 => Duration::ZERO,
                    more => Duration::from_secs(1 << (more - 2).min(6)).min(BACKOFF_MAX),
                };
                self.not_before = Some(Instant::now() + wait);
                Err(anyhow!("the process that reads the logs failed: {why}"))
            }
        }
    }

    /// Sees to it that there is a child that has begun.
    fn ready(&mut self) -> anyhow::Result<()> {
        if self.child.is_none() {
            if let Some(left) =
                self.not_before.and_then(|at| at.checked_duration_since(Instant::now()))
            {
                return Err(anyhow!("it failed {} times; again in {left:.0?}", self.failures));
            }
            // It reads them.
            self.write_places()?;
            let (child, level) = Child::start((self.program)()).map_err(|why| anyhow!(why))?;
            (self.child, self.level) = (Some(child), level);
        }
        let begin = self.begin();
        let Some(child) = self.child.as_mut().filter(|child| !child.has_begun()) else {
            return Ok(());
        };
        match child.obey(
            &Order::Begin(Box::new(begin)),
            &mut self.broker,
            &[],
            self.within.min(ORDER_WITHIN),
        ) {
            Ok(Done::Yes) => Ok(()),
            Ok(Done::Failed(why)) => {
                self.end();
                Err(anyhow!(scanner::redact::printable(&why)))
            }
            Ok(_) => {
                self.end();
                Err(anyhow!("it answers what it was not told"))
            }
            Err(why) => {
                self.end();
                Err(anyhow!(why))
            }
        }
    }

    /// Writes the places of readers that are stored into their files; what a full disk does not take is tried
    /// again before anybody reads it.
    fn write_places(&mut self) -> anyhow::Result<()> {
        while let Some((name, bytes)) = self.unwritten.first_key_value() {
            if let Some(file) = StateFile::of_place(name) {
                self.powers.replace(file, bytes)?;
            }
            self.unwritten.pop_first();
        }
        Ok(())
    }

    fn begin(&self) -> Begin {
        let cases = self.cases.values().cloned().collect();
        let carried = self.carried.clone();
        Begin { root: self.root.clone(), cases, next: self.next, carried }
    }

    /// The child is ended, whatever it does.
    fn end(&mut self) {
        self.child = None;
        self.broker.end();
        let (tally, timings) = std::mem::take(&mut self.counted);
        self.before = (self.before.0.and(tally), self.before.1.and(&timings));
        self.given = None;
    }

    /// The child may go, and leaves what the next one needs.
    fn rest(&mut self) {
        if self.child.is_none() {
            return;
        }
        let order = Order::Rest { now: (self.clock)() };
        if let Ok(Done::Left(carried)) = self.have_done(&order, &[], ORDER_WITHIN) {
            self.carried = Some(carried);
        }
        self.end();
        // From now on this process waits, and little of what it has run so far.
        crate::sys::give_back_program();
    }

    fn gave(&mut self, done: Done) -> anyhow::Result<Box<Gave>> {
        let Done::Gave(mut gave) = done else {
            self.end();
            return Err(anyhow!("the process that reads the logs answers what it was not asked"));
        };
        if let Err(why) = clean(&mut gave, self.next, (self.clock)()) {
            self.end();
            return Err(anyhow!("the process that reads the logs gave {why}"));
        }
        Ok(gave)
    }

    /// What was counted, with what earlier children counted.
    fn total(&self, (tally, timings): Counts) -> Counts {
        (self.before.0.and(tally), self.before.1.and(&timings))
    }

    /// What a look gives that need not look; the child rests when that was so for a while.
    fn nothing_new(&mut self, now: i64) -> Option<Looked> {
        let quiet = self.quiet.as_ref()?;
        let is_old = !(0..QUIET_MAX).contains(&now.saturating_sub(quiet.since));
        if is_old || quiet.changes.any(self.broker.tree()) {
            return None;
        }
        let incomplete = quiet.incomplete;
        if self.last_work.elapsed() >= REST_AFTER {
            self.rest();
        }
        let (tally, timings) = self.total(self.counted);
        let stale = self.watch.look(now);
        Some(Looked { incomplete, tally, timings, stale, ..Looked::default() })
    }

    /// What was seen is stored: the next child goes on behind it.
    fn commit(&mut self, gave: &mut Gave) {
        for id in &gave.looked.merged {
            self.cases.remove(id);
        }
        for case in std::mem::take(&mut gave.looked.cases) {
            self.next = self.next.max(case.id.saturating_add(1));
            self.cases.insert(case.id, case);
        }
        let since = (self.clock)().saturating_sub(GOES_ON_S);
        self.cases.retain(|_, case| case.last >= since);
        if self.cases.len() > CASES_MAX {
            let weight = |case: &CaseFile| (case.severity >= Severity::High, case.last, case.id);
            let mut weights: Vec<_> = self.cases.values().map(weight).collect();
            let place = weights.len() - CASES_MAX;
            let least = *weights.select_nth_unstable(place).1;
            self.cases.retain(|_, case| weight(case) >= least);
        }
        self.counted = (gave.looked.tally, gave.looked.timings);
        if let Some(carried) = gave.carried.take() {
            self.carried = Some(carried);
        }
    }
}

impl Look for Proxy {
    fn audit(&mut self, settings: &Settings) -> anyhow::Result<Looked> {
        let now = (self.clock)();
        let accepted = accept::read(&settings.audit.accept, false)?;
        let order = Order::Audit { now, settings: Box::new(for_child(settings)), accepted };
        let done = self.have_done(&order, &settings.experts, self.within)?;
        let gave = self.gave(done)?;
        if let Some(carried) = gave.carried {
            self.carried = Some(carried);
        }
        // It has read the whole host: what that took is given back.
        self.rest();
        Ok(gave.looked)
    }

    fn sweep(&mut self, settings: &Settings) -> anyhow::Result<Looked> {
        let now = (self.clock)();
        if let Some(responses) = &mut self.responses {
            responses.take(settings);
        }
        if let Some(looked) = self.nothing_new(now) {
            return Ok(looked);
        }
        self.quiet = None;
        self.given = None;
        let order = Order::Sweep { now, settings: Box::new(for_child(settings)) };
        let done = self.have_done(&order, &settings.experts, self.within)?;
        self.looked_at = std::mem::take(&mut self.broker.changes);
        let mut gave = self.gave(done)?;
        gave.looked.places = places(&gave);
        let mut looked = gave.looked.clone();
        (looked.tally, looked.timings) = self.total((looked.tally, looked.timings));
        looked.stale = self.watch.look(now);
        self.given = Some(gave);
        Ok(looked)
    }

    fn goes_on(&self) -> bool {
        matches!(self.powers.read(StateFile::Place), Ok(Some(_)))
    }

    fn keep_place(&mut self) -> anyhow::Result<()> {
        let now = (self.clock)();
        let Some(mut gave) = self.given.take() else { return Ok(()) };
        if let Some(responses) = &mut self.responses {
            responses.offer(&gave.judged, now);
        }
        for place in &gave.looked.places {
            self.unwritten.insert(place.name.clone(), place.bytes.clone());
        }
        let went_on = gave.place.is_some() || gave.journal_place.is_some();
        let idle = !went_on && gave.looked.seen.is_empty();
        let incomplete = gave.looked.incomplete;
        self.commit(&mut gave);
        if idle {
            let changes = std::mem::take(&mut self.looked_at);
            self.quiet = Some(Quiet { changes, incomplete, since: now });
        } else {
            self.last_work = Instant::now();
        }
        // The place is kept: a child that does not take note of it is replaced by one that reads it.
        if self.have_done(&Order::Kept { now }, &[], ORDER_WITHIN).is_err() {
            self.end();
        }
        self.write_places()
    }

    fn told(&mut self, cases: &[CaseFile]) {
        let given = self.given.iter_mut().flat_map(|gave| &mut gave.looked.cases);
        for case in given.chain(self.cases.values_mut()) {
            if let Some(told) = cases.iter().find(|told| told.id == case.id) {
                case.told = Some(told.as_told());
                case.untold = None;
            }
        }
        let begun = self.child.as_ref().is_some_and(Child::has_begun);
        if begun && !cases.is_empty() {
            // Who does not take note of it is ended; the next one is told at its beginning.
            let _ = self.have_done(&Order::Told(cases.to_vec()), &[], ORDER_WITHIN);
        }
    }

    fn sandbox(&self) -> Option<String> {
        Some(self.level.to_string())
    }
}

/// What the store keeps with the rest, so that a crash at any moment goes on where it is stored.
fn places(gave: &Gave) -> Vec<Place> {
    let place = |name: &str, bytes: Vec<u8>| Place { name: name.to_string(), bytes };
    let file = gave.place.as_ref().map(|text| (StateFile::Place.name(), text.clone()));
    let journal = gave.journal_place.map(|at| (StateFile::JournalPlace.name(), format!("{at}\n")));
    let carried = gave.carried.as_ref().map(|text| (CARRIED, text.clone()));
    [file, journal, carried]
        .into_iter()
        .flatten()
        .map(|(name, text)| place(name, text.into_bytes()))
        .collect()
}

/// What of the configuration concerns a look: no target, no secret, no command.
fn for_child(settings: &Settings) -> Settings {
    let nameless =
        |expert: &ExpertSettings| ExpertSettings { command: vec!["/".into()], ..expert.clone() };
    Settings {
        notify: Vec::new(),
        experts: settings.experts.iter().map(nameless).collect(),
        responses: ResponseSettings {
            enabled: settings.responses.enabled,
            ..ResponseSettings::default()
        },
        ..settings.clone()
    }
}
