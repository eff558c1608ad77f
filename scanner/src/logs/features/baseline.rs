//! What sweeps know of a host's logs when they begin: its templates, the habits of its programs, and
//! when each source spoke last. Carried in the state file as one bounded, versioned text.
//!
//! Templates are kept as hashes of their words, with a text in which what strangers typed is hidden.
//! When there are too many, those go that were not seen for the longest time, and are counted.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::hours::{HOURS_MAX, Hours};
use super::place::Source;
use crate::logs::coverage::Quiet;
use crate::logs::templates::known::{Before, Known, Template};
use crate::logs::templates::{Outcome, PROGRAMS_MAX, TEXT_BYTES_MAX, tokens};

/// Version of the text.
pub const VERSION: u8 = 1;
/// Most bytes of the baseline, before it becomes text of twice as many letters.
pub const BYTES_MAX: usize = 3 << 20;
/// Most templates that are carried: the others' room is for what is new.
pub const TEMPLATES_KEPT: usize = 8_000;
/// Most rules that are carried.
pub const RULES_KEPT: usize = 2_000;
/// Something is quiet when it was so for this many times its longest silence, and for a week.
const QUIET_FACTOR: i64 = 4;
const QUIET_SECONDS: i64 = 7 * 86_400;
/// Most programs and most sources that are carried.
pub const NAMES_KEPT: usize = 256;

/// What is known when a sweep begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    version: u8,
    /// Sweeps that have been.
    pub sweeps: u32,
    /// Templates that were dropped for want of room.
    pub forgotten: u64,
    pub(super) templates: Vec<Mark>,
    pub(super) programs: Vec<Habit>,
    pub(super) sources: Vec<Spoke>,
    rules: Vec<Spoke>,
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    program: u16,
    tokens: Vec<u64>,
    wild: u64,
    text: String,
    ended: u8,
    names_ip: bool,
    count: u64,
    first: i64,
    last: i64,
    hours: u32,
    hour_max: u32,
}

/// A program's hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Habit {
    pub name: String,
    pub hours: Vec<(i64, u32)>,
}

/// When a source spoke last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spoke {
    pub name: String,
    pub last: i64,
    /// Seconds of its longest silence.
    pub longest: i64,
}

impl Default for Baseline {
    /// Of the first sweep: nothing is known.
    fn default() -> Self {
        Self {
            version: VERSION,
            sweeps: 0,
            forgotten: 0,
            templates: Vec::new(),
            programs: Vec::new(),
            sources: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Baseline {
    /// Reads what [`Baseline::to_text`] wrote; `None` for what another version wrote or what is damaged:
    /// the sweep is then a first one.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() > 2 * BYTES_MAX {
            return None;
        }
        let digit =
            |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect();
        let known: Self = postcard::from_bytes(&bytes?).ok()?;
        known.is_possible().then_some(known)
    }

    /// As text for the state file.
    pub fn to_text(&self) -> String {
        let bytes = self.bytes();
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
    }

    /// Within the limits: what was not seen for the longest time is left out.
    fn bytes(&self) -> Vec<u8> {
        let mut kept = self.clone();
        loop {
            let bytes = postcard::to_stdvec(&kept).unwrap_or_default();
            if bytes.len() <= BYTES_MAX || kept.templates.is_empty() {
                return bytes;
            }
            let less = kept.templates.len() / 8 + 1;
            kept.templates.truncate(kept.templates.len() - less);
            kept.forgotten += less as u64;
        }
    }

    /// Whether a sweep can have written this.
    fn is_possible(&self) -> bool {
        let template = |mark: &Mark| {
            mark.tokens.len() <= tokens::TOKENS_MAX
                && mark.text.len() <= 2 * TEXT_BYTES_MAX
                && usize::from(mark.program) < self.programs.len()
                && mark.wild & 1 == 0
        };
        self.version == VERSION
            && self.templates.len() <= TEMPLATES_KEPT
            && self.programs.len() <= PROGRAMS_MAX
            && self.sources.len() <= NAMES_KEPT
            && self.rules.len() <= RULES_KEPT
            && self.templates.iter().all(template)
            && self.programs.iter().all(|habit| habit.hours.len() <= HOURS_MAX)
    }

    /// The templates and habits, for a sweep to begin with.
    pub(super) fn open(&self) -> (Known, Vec<Hours>) {
        let mut known = Known::default();
        let mut hours = Vec::new();
        for habit in &self.programs {
            known.program(&habit.name);
            let mut of = Hours::keeping(HOURS_MAX);
            habit.hours.iter().for_each(|(hour, lines)| of.add(*hour, *lines));
            hours.push(of);
        }
        known.known_before();
        // oldest first, so that positions tell the same order again
        for mark in self.templates.iter().rev() {
            let ended = match mark.ended {
                1 => Outcome::Success,
                2 => Outcome::Failure,
                _ => Outcome::Open,
            };
            let before = Before {
                count: mark.count,
                first: mark.first,
                last: mark.last,
                hours: mark.hours,
                hour_max: mark.hour_max,
            };
            let looks = (mark.text.as_str(), ended, mark.names_ip);
            known.remember(u32::from(mark.program), &mark.tokens, mark.wild, looks, before);
        }
        (known, hours)
    }

    /// Keeps what is known after a sweep. `hours` gives each template's hours of this sweep, `safe` hides
    /// what strangers typed.
    pub(super) fn keep<'h>(
        &mut self,
        known: &Known,
        hours: &dyn Fn(u32) -> Option<&'h Hours>,
        safe: &dyn Fn(&str) -> String,
    ) {
        let mut numbers = vec![0_u16; known.programs().len()];
        for (number, at) in (0_u16..).zip(order_of(known)) {
            numbers[at] = number;
        }
        let mut marks: Vec<Mark> = known
            .templates()
            .filter_map(|(at, template)| {
                let program = usize::try_from(template.program).ok()?;
                let number = *numbers.get(program).filter(|_| program < PROGRAMS_MAX)?;
                Mark::of(template, number, hours(at), safe)
            })
            .collect();
        marks.sort_by(|a, b| {
            (Reverse(a.last), Reverse(a.count), &a.tokens, a.program).cmp(&(
                Reverse(b.last),
                Reverse(b.count),
                &b.tokens,
                b.program,
            ))
        });
        self.forgotten += marks.len().saturating_sub(TEMPLATES_KEPT) as u64;
        marks.truncate(TEMPLATES_KEPT);
        self.templates = marks;
        self.sweeps = self.sweeps.saturating_add(1);
    }

    /// Keeps the hours of programs; of the ones that were quiet for the longest time only the name.
    pub(super) fn keep_habits(&mut self, known: &Known, hours: &[Hours]) {
        let last = |at: usize| hours.get(at).and_then(|hours| hours.iter().last());
        let order = order_of(known);
        let mut latest = order.clone();
        // stable: of those that spoke last in the same hour, the ones that come first
        latest.sort_by_key(|at| Reverse(last(*at).map(|(hour, _)| hour)));
        latest.truncate(NAMES_KEPT);
        let habit = |at: usize| {
            let program = known.programs().get(at)?;
            let hours = hours.get(at).filter(|_| latest.contains(&at));
            let hours = hours.map(|hours| hours.iter().collect()).unwrap_or_default();
            Some(Habit { name: program.name.to_string(), hours })
        };
        self.programs = order.into_iter().filter_map(habit).collect();
    }

    /// Keeps which rules had hits in a sweep at `now`.
    pub(in crate::logs) fn keep_rules<'r>(&mut self, hit: impl Iterator<Item = &'r str>, now: i64) {
        for name in hit {
            match self.rules.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    known.longest = known.longest.max(now - known.last);
                    known.last = known.last.max(now);
                }
                None => self.rules.push(Spoke { name: name.into(), last: now, longest: 0 }),
            }
        }
        self.rules.sort_by(|a, b| (Reverse(a.last), &a.name).cmp(&(Reverse(b.last), &b.name)));
        self.rules.truncate(RULES_KEPT);
    }

    /// Sources and rules that used to speak and did not for long. A rule that hit once is no habit,
    /// and a first sweep knows of none.
    pub fn quiet(&self, now: i64) -> Vec<Quiet> {
        let is_quiet = |spoke: &&Spoke| {
            spoke.longest > 0 && now - spoke.last > QUIET_SECONDS.max(QUIET_FACTOR * spoke.longest)
        };
        let all = self.sources.iter().chain(&self.rules).filter(|_| self.sweeps > 1);
        all.filter(is_quiet)
            .map(|spoke| Quiet { name: spoke.name.clone(), last: spoke.last })
            .collect()
    }

    /// Keeps when each source spoke last.
    pub(super) fn keep_sources(&mut self, sources: &[Source]) {
        for source in sources {
            let Some((_, last)) = source.times else { continue };
            let (name, longest) = (source.family.to_string(), source.longest_pause());
            match self.sources.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    let pause = source.times.map_or(0, |(first, _)| first - known.last);
                    known.longest = known.longest.max(longest).max(pause);
                    known.last = known.last.max(last);
                }
                None => self.sources.push(Spoke { name, last, longest }),
            }
        }
        self.sources.sort_by(|a, b| (Reverse(a.last), &a.name).cmp(&(Reverse(b.last), &b.name)));
        self.sources.truncate(NAMES_KEPT);
    }
}

/// The programs, by position: first those that earlier sweeps knew, in their order, then new ones by
/// their names. In which order these were met depends on how logs that were read side by side were cut.
fn order_of(known: &Known) -> Vec<usize> {
    let programs = known.programs();
    let mut order: Vec<usize> = (0..programs.len()).collect();
    let new = |at: usize| (!programs[at].known_before).then_some(&programs[at].name);
    order.sort_by(|a, b| new(*a).cmp(&new(*b)));
    order
}

impl Mark {
    /// `None` for one that was never seen at a known time.
    fn of(
        template: &Template,
        program: u16,
        hours: Option<&Hours>,
        safe: &dyn Fn(&str) -> String,
    ) -> Option<Self> {
        let before = template.before.unwrap_or_default();
        let seen =
            |seen: Option<crate::logs::templates::known::Seen>| seen.and_then(|seen| seen.at);
        let (first, last) = (seen(template.first), seen(template.last));
        let (was_first, was_last) = match template.before {
            Some(before) => (Some(before.first), Some(before.last)),
            None => (None, None),
        };
        let (in_hours, hour_max) = hours.map_or((0, 0), |hours| (hours.iter().len(), hours.max()));
        let mut text = safe(&template.text);
        while text.len() > TEXT_BYTES_MAX {
            text.pop();
        }
        Some(Self {
            program,
            tokens: template.tokens().to_vec(),
            wild: template.wild(),
            text,
            ended: match template.outcome {
                Outcome::Open => 0,
                Outcome::Success => 1,
                Outcome::Failure => 2,
            },
            names_ip: template.names_ip,
            count: before.count.saturating_add(template.count),
            first: was_first.or(first)?,
            last: last.max(was_last)?,
            hours: before.hours.saturating_add(u32::try_from(in_hours).unwrap_or(u32::MAX)),
            hour_max: before.hour_max.max(hour_max),
        })
    }
}
