//! What lasts. A name that began to be raised on a host as something rare keeps the surprise it began
//! with while it goes on, and a suspicious window is kept from the baseline until its host has been quiet
//! or the episode has lasted beyond a horizon: an attack that lasts for days does not teach the baseline
//! to call it normal. The suspicion of the whole stream lingers a while, because an attack seldom stays
//! on one host.
//!
//! Everything is bounded; what finds no room is not kept, and counted.

use std::collections::HashMap;

use super::model::Pace;

/// Most hosts of which something lasting is kept.
pub const MAX_HOSTS: usize = 65_536;
/// Most names held on all hosts, and most names in windows kept from the baseline.
pub const MAX_HELD: usize = 1 << 18;
/// Most different windows of one host that are kept from the baseline.
pub const MAX_SETS: usize = 64;

/// What a name adds on a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Added {
    /// To the evidence.
    pub evidence: f64,
    /// To the weight: no more than being new said then.
    pub weight: f64,
}

/// A name that goes on.
#[derive(Clone, Copy, Debug)]
struct Run {
    added: Added,
    started: i64,
    last: i64,
}

/// Windows with the same names.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// The names, the rarest first.
    pub names: Box<[u32]>,
    /// How many windows.
    pub times: f64,
    /// The first of them.
    pub since: i64,
}

/// Suspicious windows of one host that the baseline has not learnt.
#[derive(Clone, Debug)]
struct Quarantine {
    started: i64,
    last: i64,
    windows: Vec<Windows>,
}

#[derive(Debug, Default)]
struct Host {
    runs: HashMap<u32, Run>,
    quarantine: Option<Quarantine>,
}

/// What lasts on all hosts.
#[derive(Debug)]
pub struct Episodes {
    pace: Pace,
    hosts: HashMap<Box<str>, Host>,
    runs: usize,
    quarantined: usize,
    swept: i64,
    suspicion: f64,
    suspicion_at: i64,
    /// What found no room.
    pub forgotten: u64,
}

impl Episodes {
    /// Nothing lasts yet.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            hosts: HashMap::new(),
            runs: 0,
            quarantined: 0,
            swept: i64::MIN,
            suspicion: 0.0,
            suspicion_at: 0,
            forgotten: 0,
        }
    }

    /// What a name added when it began on a host, if it still goes on. `since` is when the entry of
    /// the name was made: a run of a name that was forgotten is not the new name's.
    pub fn held(&self, host: &str, id: u32, since: i64, window: i64) -> Option<Added> {
        let run = self.hosts.get(host)?.runs.get(&id)?;
        (self.lasts(run.started, run.last, window) && since <= run.started).then_some(run.added)
    }

    fn lasts(&self, started: i64, last: i64, window: i64) -> bool {
        window.saturating_sub(last) <= self.pace.quiet
            && window.saturating_sub(started) <= self.pace.horizon
    }

    /// A rare name was raised: its run goes on (`going` says so), or begins.
    pub fn hold(&mut self, host: &str, id: u32, added: Added, going: bool, window: i64) {
        let Some(host) = Self::room(&mut self.hosts, &mut self.forgotten, host) else { return };
        match host.runs.get_mut(&id) {
            Some(run) if going => run.last = window,
            Some(run) => *run = Run { added, started: window, last: window },
            None if self.runs < MAX_HELD => {
                self.runs += 1;
                host.runs.insert(id, Run { added, started: window, last: window });
            }
            None => self.forgotten += 1,
        }
    }

    /// Keeps a suspicious window from the baseline.
    pub fn quarantine(&mut self, host: &str, names: &[u32], window: i64) {
        let Some(host) = Self::room(&mut self.hosts, &mut self.forgotten, host) else { return };
        let quarantine = host.quarantine.get_or_insert_with(|| Quarantine {
            started: window,
            last: window,
            windows: Vec::new(),
        });
        quarantine.last = window;
        if let Some(same) = quarantine.windows.iter_mut().find(|same| *same.names == *names) {
            same.times += 1.0;
        } else if quarantine.windows.len() < MAX_SETS && self.quarantined + names.len() <= MAX_HELD
        {
            self.quarantined += names.len();
            let names = names.into();
            quarantine.windows.push(Windows { names, times: 1.0, since: window });
        } else {
            self.forgotten += 1;
        }
    }

    fn room<'a>(
        hosts: &'a mut HashMap<Box<str>, Host>,
        forgotten: &mut u64,
        host: &str,
    ) -> Option<&'a mut Host> {
        if !hosts.contains_key(host) {
            if hosts.len() >= MAX_HOSTS {
                *forgotten += 1;
                return None;
            }
            hosts.insert(host.into(), Host::default());
        }
        hosts.get_mut(host)
    }

    /// Ends what is over before this window; gives back what the baseline may learn now, in order of host.
    pub fn release(&mut self, window: i64) -> Vec<Windows> {
        if self.swept != i64::MIN && window.saturating_sub(self.swept) < self.pace.sweep {
            return Vec::new();
        }
        self.swept = window;
        let mut hosts = std::mem::take(&mut self.hosts);
        let mut over: Vec<(Box<str>, Vec<Windows>)> = Vec::new();
        for (name, host) in &mut hosts {
            let before = host.runs.len();
            host.runs.retain(|_, run| self.lasts(run.started, run.last, window));
            self.runs -= before - host.runs.len();
            let ends = |q: &mut Quarantine| !self.lasts(q.started, q.last, window);
            if let Some(ended) = host.quarantine.take_if(ends) {
                self.quarantined -= ended.windows.iter().map(|w| w.names.len()).sum::<usize>();
                over.push((name.clone(), ended.windows));
            }
        }
        hosts.retain(|_, host| !host.runs.is_empty() || host.quarantine.is_some());
        self.hosts = hosts;
        over.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        over.into_iter().flat_map(|(_, windows)| windows).collect()
    }

    /// What is left of the suspicion of earlier windows, nats beyond what is suspicious.
    pub fn suspicion(&self, window: i64) -> f64 {
        let windows = window.saturating_sub(self.suspicion_at).max(0) as f64;
        self.suspicion * (-windows / self.pace.suspicion_half_life).exp2()
    }

    /// A window's excess joins the suspicion of the stream.
    pub fn suspect(&mut self, excess: f64, window: i64) {
        self.suspicion = self.suspicion(window) + excess;
        self.suspicion_at = window;
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Model;
    use super::*;

    const ADDED: Added = Added { evidence: 8.0, weight: 7.0 };
    const LESS: Added = Added { evidence: 1.0, weight: 1.0 };

    fn episodes() -> Episodes {
        Episodes::new(Pace::new(&Model::default(), 300))
    }

    #[test]
    fn a_run_keeps_its_surprise_until_it_is_quiet_or_beyond_the_horizon() {
        let mut episodes = episodes();
        episodes.hold("a", 7, ADDED, false, 0);
        assert_eq!(episodes.held("a", 7, 0, 12), Some(ADDED));
        assert_eq!(episodes.held("a", 7, 0, 13), None, "quiet for more than an hour");
        assert_eq!(episodes.held("a", 7, 1, 12), None, "the name was forgotten in between");
        assert_eq!(episodes.held("b", 7, 0, 1), None);
        (0..=2_017).for_each(|window| episodes.hold("a", 7, LESS, true, window));
        assert_eq!(episodes.held("a", 7, 0, 2_016), Some(ADDED));
        assert_eq!(episodes.held("a", 7, 0, 2_017), None, "a week and a window");
    }

    #[test]
    fn a_quarantine_is_given_back_once_it_is_quiet() {
        let mut episodes = episodes();
        (0..3).for_each(|window| episodes.quarantine("a", &[1, 2], window));
        assert!(episodes.release(14).is_empty());
        let expected = Windows { names: [1, 2].into(), times: 3.0, since: 0 };
        assert_eq!(episodes.release(15), [expected]);
        assert!(episodes.hosts.is_empty() && episodes.quarantined == 0);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut episodes = episodes();
        (0..MAX_HOSTS).for_each(|n| episodes.hold(&n.to_string(), 0, ADDED, false, 0));
        assert_eq!(episodes.forgotten, 0);
        episodes.hold("one more", 0, ADDED, false, 0);
        assert_eq!(episodes.forgotten, 1);
        (0..(MAX_HELD - MAX_HOSTS) as u32)
            .for_each(|id| episodes.hold("0", id + 1, ADDED, false, 0));
        assert_eq!((episodes.runs, episodes.forgotten), (MAX_HELD, 1));
        episodes.hold("0", u32::MAX, ADDED, false, 0);
        assert_eq!((episodes.runs, episodes.forgotten), (MAX_HELD, 2));
        (0..MAX_SETS as u32).for_each(|id| episodes.quarantine("0", &[id], 0));
        assert_eq!(episodes.forgotten, 2);
        episodes.quarantine("0", &[u32::MAX], 0);
        assert_eq!(episodes.forgotten, 3);
        assert_eq!(episodes.release(100).len(), MAX_SETS);
        assert_eq!((episodes.runs, episodes.quarantined), (0, 0));
    }

    #[test]
    fn suspicion_halves_in_an_hour() {
        let mut episodes = episodes();
        episodes.suspect(8.0, 0);
        assert!((episodes.suspicion(12) - 4.0).abs() < 1e-9);
        episodes.suspect(4.0, 12);
        assert!((episodes.suspicion(24) - 4.0).abs() < 1e-9);
    }
}
