//! What a log does over time that no single line shows: messages never seen before, bursts, silence,
//! gaps, clocks that go back, success after refusals, fans of accounts and addresses, clockwork, odd
//! parameters.
//!
//! An [`Observer`] takes the censuses of a sweep's sources, each source's in the order of its file, and
//! knows what earlier sweeps saw ([`baseline`]). Everything it holds is bounded and, but for what it
//! follows line by line in order, a sum, a minimum or a top of a fixed order: how a log was cut does
//! not matter. It tells what rules do not ([`tell`]): hints with low levels, for the panel.

pub mod baseline;
pub mod hours;
mod judge;
pub mod people;
pub mod place;
pub mod sketch;
pub mod tell;
pub mod uris;

use std::collections::HashMap;

use parsers::time::Clock;

pub use baseline::Baseline;
use hours::{HOURS_MAX, Hours};
use people::{Act, People};
use place::{Source, Times};
use uris::Uris;

use super::conceal::Concealer;
use super::coverage::Fed;
use super::story::Detection;
use super::templates::{Census, Known, TEMPLATES_MAX};

/// Hours kept of a template.
const TEMPLATE_HOURS_MAX: usize = 40;
/// Most sources that are told apart; further ones are not observed, and counted.
pub const SOURCES_MAX: usize = 1_024;
/// Most observations of one sort that are told.
pub const TOLD_MAX: usize = 8;

/// A sweep's memory of its lines.
#[derive(Debug)]
pub struct Observer {
    known: Known,
    baseline: Baseline,
    sources: Vec<Source>,
    /// Of programs, by position.
    programs: Vec<Hours>,
    templates: HashMap<u32, Hours>,
    people: People,
    uris: Uris,
    unobserved: u64,
}

/// A source that an [`Observer`] takes parts of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceId(Option<u32>);

/// What was observed.
#[derive(Debug, Default)]
pub struct Observed {
    /// Hints for the panel.
    pub detections: Vec<Detection>,
    /// What the next sweep should begin with.
    pub baseline: Baseline,
    /// Counts.
    pub counts: Counts,
}

/// How much was observed and how much was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Templates known.
    pub templates: u64,
    /// Of them, those that this sweep saw first.
    pub new: u64,
    /// Lines of messages for which there was no room.
    pub uncounted: u64,
    /// Templates that were forgotten for want of room, in all sweeps.
    pub forgotten: u64,
    /// Deeds that found no room in a table.
    pub evicted: u64,
    /// Observations beyond [`TOLD_MAX`] of their sort.
    pub not_told: u64,
    /// Sources beyond [`SOURCES_MAX`].
    pub unobserved: u64,
}

impl Default for Observer {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Observer {
    /// Knows what earlier sweeps saw; `None` for a first sweep, in which nothing is new.
    pub fn new(baseline: Option<Baseline>) -> Self {
        let baseline = baseline.unwrap_or_default();
        let (known, programs) = baseline.open();
        Self {
            known,
            baseline,
            sources: Vec::new(),
            programs,
            templates: HashMap::new(),
            people: People::default(),
            uris: Uris::default(),
            unobserved: 0,
        }
    }

    /// Begins a source: its name, its clock, and how many of its lines stand before what will be taken.
    pub fn source(&mut self, name: &str, clock: Clock, lines_before: u64) -> SourceId {
        if self.sources.len() >= SOURCES_MAX {
            self.unobserved += 1;
            return SourceId(None);
        }
        self.sources.push(Source::new(name, clock, lines_before));
        SourceId(u32::try_from(self.sources.len() - 1).ok())
    }

    /// Takes the next part of a source.
    pub fn merge(&mut self, source: SourceId, census: &Census) {
        let Some(at) = source.0 else { return };
        let Some(place) = self.sources.get_mut(at as usize) else { return };
        let times = place.take(at, census);
        let programs: Vec<u32> =
            census.programs.iter().map(|name| self.known.program(name)).collect();
        self.programs.resize_with(self.known.programs().len(), || Hours::keeping(HOURS_MAX));
        let program = |position: u32| programs.get(position as usize).copied().unwrap_or(u32::MAX);
        let mut placed = Vec::with_capacity(census.shapes.len());
        for shape in &census.shapes {
            let place = self.known.place(program(shape.program), shape);
            match place.and_then(|place| self.known.template_mut(place)) {
                Some(template) => {
                    let (first, last) = (times.seen(shape.first), times.seen(shape.last));
                    template.count(shape.count, first, last, &shape.sample);
                }
                None => self.known.uncounted += shape.count,
            }
            placed.push((program(shape.program), place));
        }
        self.count_hours(census, &placed, &times);
        self.follow(at, census, &programs, &times);
        for parameter in &census.parameters {
            self.uris.take(parameter, |spot| times.seen(spot));
        }
    }

    fn count_hours(&mut self, census: &Census, placed: &[(u32, Option<u32>)], times: &Times) {
        for run in &census.runs {
            let Some(began) = times.began(run.hour) else { continue };
            let Some((program, template)) = placed.get(run.shape as usize) else { continue };
            let hour = began.div_euclid(3600);
            if let Some(hours) = self.programs.get_mut(*program as usize) {
                hours.add(hour, run.count);
            }
            if let Some(template) = template {
                let root = self.known.root(*template);
                let new = || Hours::keeping(TEMPLATE_HOURS_MAX);
                self.templates.entry(root).or_insert_with(new).add(hour, run.count);
            }
        }
        if self.templates.len() > TEMPLATES_MAX + TEMPLATES_MAX / 8 {
            self.gather_joined();
        }
    }

    /// Adds the hours of templates that were joined into others to those.
    fn gather_joined(&mut self) {
        for (at, hours) in std::mem::take(&mut self.templates) {
            let root = self.known.root(at);
            let new = || Hours::keeping(TEMPLATE_HOURS_MAX);
            self.templates.entry(root).or_insert_with(new).merge(&hours);
        }
    }

    fn follow(&mut self, at: u32, census: &Census, programs: &[u32], times: &Times) {
        let same_log = |source: &Source| {
            self.sources.get(at as usize).is_some_and(|own| own.family == source.family)
        };
        let log = self.sources.iter().position(same_log);
        let log = log.and_then(|log| u32::try_from(log).ok()).unwrap_or(at);
        for deed in &census.deeds {
            let Some(shape) = census.shapes.get(deed.shape as usize) else { continue };
            let Some(program) = programs.get(shape.program as usize) else { continue };
            let Some(program) = self.known.programs().get(*program as usize) else { continue };
            let user = deed.user.and_then(|user| census.users.get(user as usize));
            self.people.take(&Act {
                program: &program.name,
                shape: shape.hash(),
                ip: deed.ip,
                user: user.map(AsRef::as_ref),
                outcome: deed.outcome,
                seen: times.seen(deed.spot),
                log,
            });
        }
    }

    /// What the lines show of which logs there are.
    pub fn fed(&self) -> Fed {
        let templates = self.known.templates().filter(|(_, template)| template.count > 0);
        let mut fed = Fed::default();
        for (_, template) in templates {
            match self.known.program_name(template) {
                "http" | "web-error" => fed.web = true,
                "audit" => fed.audit = true,
                "json" => fed.json = true,
                "" => {}
                name => drop(fed.programs.insert(name.to_string())),
            }
        }
        fed
    }

    /// The templates.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The sources, in the order in which they began.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What there is to tell besides what rules have `told`, and what the next sweep should know.
    pub fn finish(mut self, told: &[Detection], conceal: &Concealer) -> Observed {
        self.gather_joined();
        let (detections, not_told) = judge::judge(&self, told, conceal);
        let new = self.known.templates().filter(|(_, template)| template.is_new()).count();
        let safe = |text: &str| conceal.line(text);
        let hours = |at: u32| self.templates.get(&at);
        let mut baseline = std::mem::take(&mut self.baseline);
        baseline.keep(&self.known, &hours, &safe);
        baseline.keep_habits(&self.known, &self.programs);
        baseline.keep_sources(&self.sources);
        let counts = Counts {
            templates: self.known.len() as u64,
            new: new as u64,
            uncounted: self.known.uncounted,
            forgotten: baseline.forgotten,
            evicted: self.people.evicted() + self.uris.evicted,
            not_told,
            unobserved: self.unobserved,
        };
        Observed { detections, baseline, counts }
    }
}
