//! Alerts of other tools, fused by (host, window) and ranked.
//!
//! A [`Triage`] takes alerts in time order and gives each (host, window) with alerts once its window
//! is over. Windows are aligned to the epoch. A window is judged by how rare its names are in this
//! stream's own past, names that explain each other counted once; by whether the same rare names come up
//! on several hosts at once; and by how suspicious the stream was shortly before. What goes on stays as
//! bad as it began. Clicks of operators re-rank what comes after them, within bounds. Only names count,
//! never what they mean, and never anything later than the window's end.
//!
//! It refuses to guess: an alert of a window that is already over is counted as late and not judged.
//! Everything is bounded, and what the bounds cost is in [`Counts`].

mod baseline;
pub mod clicks;
mod episode;
pub mod json;
mod model;
pub mod row;
mod time;
mod weigh;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::severity::Severity;
use baseline::Baseline;
use clicks::{Clicks, Lessons};
use episode::Episodes;
use model::Pace;
use weigh::{Part, Ranked, Weighed};

pub use model::Model;

/// Most hosts of one window.
pub const MAX_HOSTS: usize = 65_536;
/// Most (host, name) pairs of one window.
pub const MAX_PAIRS: usize = 1 << 20;
/// Most bytes of a name or host that are looked at.
pub const MAX_TEXT_BYTES: usize = 256;
/// The longest window, seconds.
pub const MAX_WINDOW_S: i64 = 7 * 86_400;

/// Weights from which on a window is low, medium, high, critical.
const CUTS: [f64; 4] = [6.0, 12.0, 18.0, 24.0];
/// Width of the logistic curves around the cuts.
const SPREAD: f64 = 2.0;
/// The weight whose score is one half.
const HALF_SCORE: f64 = 10.0;
/// From this share of the most that the stream's suspicion can add, it is given as a reason.
const TOLD_SUSPICION: f64 = 0.25;
/// From this logarithm of a factor on, clicks are given as a reason.
const TOLD_CLICKS: f64 = 0.05;

/// One alert of another tool.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Seconds since the epoch.
    pub time: i64,
    /// Whom it concerns.
    pub host: &'a str,
    /// What tells the rule from others.
    pub name: &'a str,
    /// What people call the rule; often its name. The first one seen is shown.
    pub title: &'a str,
}

/// A judged (host, window).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// The host.
    pub host: String,
    /// First second.
    pub start: i64,
    /// The second after the last.
    pub end: i64,
    /// How bad.
    pub severity: Severity,
    /// Ranks windows, 0 to 1; higher is worse.
    pub score: f64,
    /// Probability of each level.
    pub probabilities: BTreeMap<&'static str, f64>,
    /// How many alerts it holds.
    pub alerts: u64,
    /// Why, the heaviest first.
    pub reasons: Vec<String>,
}

/// What became of the alerts: `received` is judged + late + beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alerts that came in.
    pub received: u64,
    /// Alerts in judged windows.
    pub judged: u64,
    /// Out of order, but in time for their window; part of `judged`.
    pub out_of_order: u64,
    /// Too late: their window was over.
    pub late: u64,
    /// Beyond the limits of one window.
    pub beyond: u64,
    /// Names, pairs of names and episodes forgotten to bound memory.
    pub forgotten: u64,
    /// Clicks on windows that have not come, or have come without any alert.
    pub clicks_left: u64,
}

/// One host in the open window.
#[derive(Debug)]
struct Open {
    host: Box<str>,
    /// Alerts by name.
    names: HashMap<u32, u64>,
}

/// A stream being triaged.
#[derive(Debug)]
pub struct Triage {
    window_s: i64,
    model: Model,
    pace: Pace,
    /// Number of the open window.
    open: Option<i64>,
    newest: i64,
    hosts: HashMap<Box<str>, usize>,
    opened: Vec<Open>,
    pairs: usize,
    baseline: Baseline,
    episodes: Episodes,
    clicks: Clicks,
    lessons: Lessons,
    counts: Counts,
}

impl Triage {
    /// A stream in windows of so many seconds; `None` outside of 1 to [`MAX_WINDOW_S`].
    pub fn new(window_s: i64) -> Option<Self> {
        Self::with_model(window_s, Model::default())
    }

    /// The same with other constants, to measure what they do.
    pub fn with_model(window_s: i64, model: Model) -> Option<Self> {
        let pace = (1..=MAX_WINDOW_S).contains(&window_s).then(|| Pace::new(&model, window_s))?;
        Some(Self {
            window_s,
            model,
            pace,
            open: None,
            newest: i64::MIN,
            hosts: HashMap::new(),
            opened: Vec::new(),
            pairs: 0,
            baseline: Baseline::new(model.prior),
            episodes: Episodes::new(pace),
            clicks: Clicks::default(),
            lessons: Lessons::default(),
            counts: Counts::default(),
        })
    }

    /// Clicks on windows of this stream: each teaches once its window is over.
    #[must_use]
    pub fn with_clicks(mut self, clicks: Clicks) -> Self {
        self.clicks = clicks;
        self
    }

    /// Takes one alert; windows that are over by it are added to `out`, hosts in order of name.
    pub fn push(&mut self, alert: &Alert<'_>, out: &mut Vec<Window>) {
        self.counts.received += 1;
        let number = alert.time.div_euclid(self.window_s);
        match self.open {
            Some(open) if number < open => {
                self.counts.late += 1;
                return;
            }
            Some(open) if number > open => self.close(out),
            _ => {}
        }
        self.open = Some(number);
        let disordered = alert.time < self.newest;
        self.newest = self.newest.max(alert.time);
        if self.place(alert, number).is_none() {
            self.counts.beyond += 1;
            return;
        }
        self.counts.judged += 1;
        self.counts.out_of_order += u64::from(disordered);
    }

    /// Ends the stream: the last window is judged as it stands.
    pub fn finish(mut self, out: &mut Vec<Window>) -> Counts {
        self.close(out);
        self.counts()
    }

    /// What became of the alerts so far; those of the open window count as judged.
    pub fn counts(&self) -> Counts {
        let forgotten = self.baseline.forgotten + self.episodes.forgotten;
        let clicks_left = self.counts.clicks_left + self.clicks.left() as u64;
        Counts { forgotten, clicks_left, ..self.counts }
    }

    /// Counts an alert in the open window; `None` at a limit.
    fn place(&mut self, alert: &Alert<'_>, window: i64) -> Option<()> {
        if self.pairs >= MAX_PAIRS {
            return None;
        }
        let (host, name) = (head(alert.host), head(alert.name));
        let known = self.hosts.get(host).copied();
        if known.is_none() && self.hosts.len() >= MAX_HOSTS {
            return None;
        }
        let id = self.baseline.id(name, head(alert.title), window)?;
        let index = known.unwrap_or_else(|| {
            self.opened.push(Open { host: host.into(), names: HashMap::new() });
            self.hosts.insert(host.into(), self.opened.len() - 1);
            self.opened.len() - 1
        });
        let count = self.opened[index].names.entry(id).or_insert(0);
        self.pairs += usize::from(*count == 0);
        *count += 1;
        Some(())
    }

    fn close(&mut self, out: &mut Vec<Window>) {
        let Some(number) = self.open.take() else { return };
        self.learn_released(number);
        self.hosts.clear();
        self.pairs = 0;
        let mut opened = std::mem::take(&mut self.opened);
        opened.sort_unstable_by(|a, b| a.host.cmp(&b.host));
        let ranked: Vec<Vec<Ranked>> = opened
            .iter()
            .map(|open| weigh::rank(&self.baseline, open.names.keys().copied()))
            .collect();
        let spread = weigh::spread(&self.model, &ranked);
        let suspicion = 1.0 - (-self.episodes.suspicion(number) / self.model.suspicious).exp();
        let mut judged = Vec::with_capacity(opened.len());
        for (open, ranked) in opened.iter().zip(&ranked) {
            let at = (&*open.host, number);
            let weighed =
                weigh::weigh(&self.model, &self.baseline, &mut self.episodes, at, ranked, &spread);
            let window = self.window(open, number, suspicion, &weighed);
            judged.push((weighed, window));
        }
        // Only now does the window join the past: its hosts are all judged by the same past.
        let mut answers = self.clicks.take(number.saturating_mul(self.window_s));
        for ((open, ranked), (weighed, window)) in opened.iter().zip(&ranked).zip(&judged) {
            self.learn(&open.host, number, ranked, weighed.evidence);
            if let Some(answer) = answers.remove(&open.host) {
                let attack = window.probabilities[Severity::Medium.name()]
                    + window.probabilities[Severity::High.name()]
                    + window.probabilities[Severity::Critical.name()];
                let shares = shares(&self.baseline, weighed);
                self.lessons.learn(&open.host, &shares, attack, answer);
            }
        }
        self.counts.clicks_left += answers.len() as u64;
        self.baseline.age(self.pace.novelty_half_life);
        out.extend(judged.into_iter().map(|(_, window)| window));
    }

    /// Episodes that are over join the past.
    fn learn_released(&mut self, number: i64) {
        for mut windows in self.episodes.release(number) {
            let names = windows.names.iter().copied();
            // A name that was forgotten meanwhile has given its entry to another.
            windows.names =
                names.filter(|id| self.baseline.at(*id).since <= windows.since).collect();
            self.baseline.learn(&windows.names, windows.times);
        }
    }

    fn learn(&mut self, host: &str, number: i64, ranked: &[Ranked], evidence: f64) {
        let names: Vec<u32> = ranked.iter().map(|(_, id)| *id).collect();
        if evidence < self.model.suspicious {
            self.baseline.learn(&names, 1.0);
            return;
        }
        self.episodes.quarantine(host, &names, number);
        self.episodes.suspect(evidence - self.model.suspicious, number);
    }

    /// A judged window; `suspicion` of the stream is 0 to 1.
    fn window(&self, open: &Open, number: i64, suspicion: f64, weighed: &Weighed) -> Window {
        let mut weight = weighed.weight * (1.0 + self.model.context * suspicion);
        let mut reasons = self.reasons(open, &weighed.parts);
        if suspicion >= TOLD_SUSPICION {
            reasons.push("other windows were suspicious shortly before".into());
        }
        let factor = self.lessons.factor(&open.host, &shares(&self.baseline, weighed));
        weight *= factor.exp();
        if factor.abs() >= TOLD_CLICKS {
            let said = if factor > 0.0 { "confirmed" } else { "dismissed" };
            reasons.push(format!("its like was {said}: counts {:.2}-fold", factor.exp()));
        }
        let start = number.saturating_mul(self.window_s);
        Window {
            host: open.host.to_string(),
            start,
            end: start.saturating_add(self.window_s),
            severity: Severity::from_index(CUTS.iter().filter(|cut| weight >= **cut).count()),
            score: weight / (weight + HALF_SCORE),
            probabilities: probabilities(weight),
            alerts: open.names.values().sum(),
            reasons,
        }
    }

    /// Why, name by name: the new and the rare ones, and the heaviest in any case.
    fn reasons(&self, open: &Open, parts: &[Part]) -> Vec<String> {
        let told = parts.iter().enumerate().filter(|(index, part)| {
            let usual = part.surprise < self.model.rare && self.baseline.at(part.id).ever();
            *index == 0 || part.lasting || !usual
        });
        told.map(|(_, part)| {
            let known = self.baseline.at(part.id);
            let past = match (part.lasting, known.ever(), part.surprise >= self.model.rare) {
                (true, _, _) => "goes on, and was rare when it began",
                (false, false, _) => "never seen before",
                (false, true, true) => "rare here",
                (false, true, false) => "nothing unusual here",
            };
            let at_once = match part.hosts {
                0 | 1 => String::new(),
                hosts => format!(", on {hosts} hosts at once"),
            };
            format!("{} (x{}): {past}{at_once}", known.title, open.names[&part.id])
        })
        .collect()
    }
}

/// The names of a window with their parts of its weight.
fn shares<'a>(baseline: &'a Baseline, weighed: &Weighed) -> Vec<(&'a str, f64)> {
    let all = weighed.weight.max(f64::MIN_POSITIVE);
    weighed.parts.iter().map(|part| (&*baseline.at(part.id).name, part.weight / all)).collect()
}

fn probabilities(weight: f64) -> BTreeMap<&'static str, f64> {
    let above = CUTS.map(|cut| 1.0 / (1.0 + (-(weight - cut) / SPREAD).exp()));
    let least = |index: usize| if index == 0 { 1.0 } else { above[index - 1] };
    let share = |index: usize| least(index) - above.get(index).copied().unwrap_or(0.0);
    Severity::ALL.map(|level| (level.name(), share(level.index()))).into()
}

/// The beginning of a text, at most [`MAX_TEXT_BYTES`].
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests;
