//! Alerts of other tools, fused by (host, window) and ranked.
//!
//! A [`Triage`] takes alerts in time order and gives each (host, window) with alerts once its window
//! is over. Windows are aligned to the epoch. A window is judged by how rare its names are in this
//! stream's own past, whether the same rare names come up on several hosts at once, whether several
//! detectors agree, and what the host did shortly before. Only names count, never what they mean, and
//! never anything later than the window's end.
//!
//! It refuses to guess: an alert of a window that is already over is counted as late and not judged.
//! Everything is bounded, and what the bounds cost is in [`Counts`].

mod baseline;
pub mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::severity::Severity;
use baseline::Baseline;

/// Most hosts of one window, and most hosts whose episodes are remembered.
pub const MAX_HOSTS: usize = 65_536;
/// Most (host, name) pairs of one window.
pub const MAX_PAIRS: usize = 1 << 20;
/// Most bytes of a name or host that are looked at.
pub const MAX_TEXT_BYTES: usize = 256;
/// The longest window, seconds.
pub const MAX_WINDOW_S: i64 = 7 * 86_400;

/// How many of a window's names count, rarest first.
const TOP: usize = 4;
/// From this surprise on (about 1 in 150) a name is rare.
const RARE: f64 = 5.0;
/// What the logarithm of the number of hosts with the same rare name adds to its surprise.
const FAN_OUT: f64 = 0.3;
/// What each further detector with a rare name adds.
const AGREEMENT: f64 = 1.0;
/// The share of an episode's peak that lingers, never more than the window's own sum.
const LINGER: f64 = 0.15;
/// An episode's peak halves in so many windows.
const HALF_LIFE_WINDOWS: f64 = 12.0;
/// A memory below this is forgotten first.
const FADED: f64 = 1.0;
/// Sums from which on a window is low, medium, high, critical.
const CUTS: [f64; 4] = [6.0, 12.0, SUSPICIOUS, 24.0];
/// From this sum on a window teaches the baseline only a little.
const SUSPICIOUS: f64 = 18.0;
/// Width of the logistic curves around the cuts.
const SPREAD: f64 = 2.0;
/// The sum whose score is one half.
const HALF_SCORE: f64 = 10.0;

/// One alert of another tool.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Seconds since the epoch.
    pub time: i64,
    /// Whom it concerns.
    pub host: &'a str,
    /// The rule's name; what stands before its first colon is the detector.
    pub name: &'a str,
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
    /// Names and hosts forgotten to bound memory.
    pub forgotten: u64,
}

/// What a host did shortly before.
#[derive(Clone, Copy, Debug)]
struct Episode {
    peak: f64,
    window: i64,
}

/// A stream being triaged.
#[derive(Debug)]
pub struct Triage {
    window_s: i64,
    /// Number of the open window.
    open: Option<i64>,
    newest: i64,
    hosts: HashMap<Box<str>, HashMap<u32, u64>>,
    pairs: usize,
    baseline: Baseline,
    episodes: HashMap<Box<str>, Episode>,
    counts: Counts,
}

impl Triage {
    /// A stream in windows of so many seconds; `None` outside of 1 to [`MAX_WINDOW_S`].
    pub fn new(window_s: i64) -> Option<Self> {
        (1..=MAX_WINDOW_S).contains(&window_s).then(|| Self {
            window_s,
            open: None,
            newest: i64::MIN,
            hosts: HashMap::new(),
            pairs: 0,
            baseline: Baseline::default(),
            episodes: HashMap::new(),
            counts: Counts::default(),
        })
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
        if self.place(head(alert.host), head(alert.name), number).is_none() {
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
        let forgotten = self.counts.forgotten + self.baseline.forgotten;
        Counts { forgotten, ..self.counts }
    }

    /// Counts an alert in the open window; `None` at a limit.
    fn place(&mut self, host: &str, name: &str, window: i64) -> Option<()> {
        if self.pairs >= MAX_PAIRS {
            return None;
        }
        let id = self.baseline.id(name, window)?;
        if !self.hosts.contains_key(host) {
            if self.hosts.len() >= MAX_HOSTS {
                return None;
            }
            self.hosts.insert(host.into(), HashMap::new());
        }
        let names = self.hosts.get_mut(host)?;
        let count = names.entry(id).or_insert(0);
        self.pairs += usize::from(*count == 0);
        *count += 1;
        Some(())
    }

    fn close(&mut self, out: &mut Vec<Window>) {
        let Some(number) = self.open.take() else { return };
        let mut hosts: Vec<_> = std::mem::take(&mut self.hosts).into_iter().collect();
        self.pairs = 0;
        hosts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let ranked: Vec<Vec<(f64, u32)>> =
            hosts.iter().map(|(_, names)| self.rank(names)).collect();
        let mut spread: HashMap<u32, usize> = HashMap::new();
        for (_, id) in ranked.iter().flatten().filter(|(surprise, _)| *surprise >= RARE) {
            *spread.entry(*id).or_insert(0) += 1;
        }
        let mut sums = Vec::with_capacity(hosts.len());
        for ((host, names), ranked) in hosts.iter().zip(&ranked) {
            let (sum, reasons) = self.weigh(host, number, ranked, names, &spread);
            sums.push(sum);
            out.push(self.window(host, number, sum, names.values().sum(), reasons));
        }
        // Only now does the window join the past: its hosts are all judged by the same past.
        for ((host, names), sum) in hosts.into_iter().zip(sums) {
            self.baseline.learn(names.into_keys(), sum >= SUSPICIOUS);
            let peak = sum.max(self.lingering(&host, number));
            self.episodes.insert(host, Episode { peak, window: number });
        }
        self.forget_episodes(number);
    }

    /// Names with their surprise, the rarest first; ties by name.
    fn rank(&self, names: &HashMap<u32, u64>) -> Vec<(f64, u32)> {
        let mut ranked: Vec<_> = names.keys().map(|&id| (self.baseline.surprise(id), id)).collect();
        let name = |id: u32| &self.baseline.at(id).name;
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| name(a.1).cmp(name(b.1))));
        ranked
    }

    /// What is left of the peak of the host's episode.
    fn lingering(&self, host: &str, number: i64) -> f64 {
        self.episodes.get(host).map_or(0.0, |episode| {
            let windows = number.saturating_sub(episode.window) as f64;
            episode.peak * (-windows / HALF_LIFE_WINDOWS).exp2()
        })
    }

    fn weigh(
        &self,
        host: &str,
        number: i64,
        ranked: &[(f64, u32)],
        names: &HashMap<u32, u64>,
        spread: &HashMap<u32, usize>,
    ) -> (f64, Vec<String>) {
        let mut sum = 0.0;
        let mut reasons = Vec::new();
        for &(surprise, id) in ranked.iter().take(TOP) {
            let hosts = spread.get(&id).copied().unwrap_or(1);
            sum += surprise * (1.0 + FAN_OUT * (hosts as f64).ln());
            if surprise >= RARE || reasons.is_empty() {
                let known = self.baseline.at(id);
                let past = match (known.ever, surprise >= RARE) {
                    (false, _) => "never seen before",
                    (true, true) => "rare here",
                    (true, false) => "nothing unusual here",
                };
                let at_once =
                    if hosts > 1 { format!(", on {hosts} hosts at once") } else { String::new() };
                reasons.push(format!("{} (x{}): {past}{at_once}", known.name, names[&id]));
            }
        }
        let rare = ranked.iter().take_while(|(surprise, _)| *surprise >= RARE);
        let detectors: BTreeSet<&str> =
            rare.filter_map(|(_, id)| self.baseline.at(*id).detector.as_deref()).collect();
        if detectors.len() > 1 {
            sum += AGREEMENT * (detectors.len() - 1) as f64;
            let list = detectors.into_iter().collect::<Vec<_>>().join(", ");
            reasons.push(format!("several detectors agree that this is unusual: {list}"));
        }
        let lingering = self.lingering(host, number).min(sum);
        if lingering >= CUTS[1] {
            reasons.push("the host was suspicious shortly before".into());
        }
        (sum + LINGER * lingering, reasons)
    }

    fn window(
        &self,
        host: &str,
        number: i64,
        sum: f64,
        alerts: u64,
        reasons: Vec<String>,
    ) -> Window {
        let start = number.saturating_mul(self.window_s);
        let above = CUTS.map(|cut| 1.0 / (1.0 + (-(sum - cut) / SPREAD).exp()));
        let least = |index: usize| if index == 0 { 1.0 } else { above[index - 1] };
        let share = |index: usize| least(index) - above.get(index).copied().unwrap_or(0.0);
        Window {
            host: host.to_string(),
            start,
            end: start.saturating_add(self.window_s),
            severity: Severity::from_index(CUTS.iter().filter(|cut| sum >= **cut).count()),
            score: sum / (sum + HALF_SCORE),
            probabilities: Severity::ALL.map(|level| (level.name(), share(level.index()))).into(),
            alerts,
            reasons,
        }
    }

    /// Bounds the memory of episodes: the faded go first, then the oldest half.
    fn forget_episodes(&mut self, number: i64) {
        if self.episodes.len() <= MAX_HOSTS {
            return;
        }
        let before = self.episodes.len();
        let faded: Vec<Box<str>> = self
            .episodes
            .keys()
            .filter(|host| self.lingering(host, number) < FADED)
            .cloned()
            .collect();
        for host in &faded {
            self.episodes.remove(host);
        }
        if self.episodes.len() > MAX_HOSTS / 2 {
            let mut ages: Vec<(i64, Box<str>)> = self
                .episodes
                .iter()
                .map(|(host, episode)| (episode.window, host.clone()))
                .collect();
            ages.sort_unstable();
            ages.truncate(self.episodes.len() - MAX_HOSTS / 2);
            for (_, host) in &ages {
                self.episodes.remove(host);
            }
        }
        self.counts.forgotten += (before - self.episodes.len()) as u64;
    }
}

/// The beginning of a text, at most [`MAX_TEXT_BYTES`].
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests;
