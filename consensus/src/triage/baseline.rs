//! What a stream of alerts has shown so far: in how many (host, window) pairs each name was raised.
//!
//! What a suspicious pair shows counts only a tenth, so that a long attack does not teach the baseline
//! to call itself normal. Memory is bounded; names that were not raised for longest go first.

use std::collections::HashMap;

/// Most names held.
pub const MAX_NAMES: usize = 65_536;

/// What a pair of a suspicious host weighs in the baseline, where any other weighs 1.
const SUSPICIOUS_WEIGHT: f64 = 0.1;

/// Half a sighting that every name starts from, so that a new name is rare but not infinitely so.
const SMOOTHING: f64 = 0.5;

/// One name's past.
#[derive(Clone, Debug)]
pub struct Known {
    /// The name itself.
    pub name: Box<str>,
    /// Who raised it: what stands before the first colon.
    pub detector: Option<Box<str>>,
    seen: f64,
    /// Whether any closed window had it.
    pub ever: bool,
    window: i64,
}

/// All names of a stream.
#[derive(Debug, Default)]
pub struct Baseline {
    ids: HashMap<Box<str>, u32>,
    known: Vec<Known>,
    free: Vec<u32>,
    pairs: f64,
    full_at: Option<i64>,
    /// Names forgotten to make room.
    pub forgotten: u64,
}

impl Baseline {
    /// The number of a name, new or known; `None` when this window alone fills the table.
    pub fn id(&mut self, name: &str, window: i64) -> Option<u32> {
        if let Some(&id) = self.ids.get(name) {
            self.known[id as usize].window = window;
            return Some(id);
        }
        if self.ids.len() >= MAX_NAMES && !self.make_room(window) {
            return None;
        }
        let detector = name.split_once(':').map(|(detector, _)| detector.into());
        let known = Known { name: name.into(), detector, seen: 0.0, ever: false, window };
        let id = match self.free.pop() {
            Some(id) => {
                self.known[id as usize] = known;
                id
            }
            None => {
                self.known.push(known);
                (self.known.len() - 1) as u32
            }
        };
        self.ids.insert(name.into(), id);
        Some(id)
    }

    /// Forgets the quarter of the names that was not raised for longest, but none of this window.
    fn make_room(&mut self, window: i64) -> bool {
        if self.full_at == Some(window) {
            return false;
        }
        let mut old: Vec<(i64, u32)> =
            self.ids.values().map(|&id| (self.at(id).window, id)).collect();
        old.retain(|(last, _)| *last != window);
        old.sort_unstable();
        old.truncate(MAX_NAMES / 4);
        for (_, id) in &old {
            self.ids.remove(&self.known[*id as usize].name);
            self.free.push(*id);
        }
        self.forgotten += old.len() as u64;
        if old.is_empty() {
            self.full_at = Some(window);
        }
        !old.is_empty()
    }

    /// A name's past.
    pub fn at(&self, id: u32) -> &Known {
        &self.known[id as usize]
    }

    /// `-ln p` of seeing this name in a pair, from the past alone.
    pub fn surprise(&self, id: u32) -> f64 {
        -((self.at(id).seen + SMOOTHING) / (self.pairs + 2.0 * SMOOTHING)).ln()
    }

    /// One pair joins the past.
    pub fn learn(&mut self, names: impl Iterator<Item = u32>, suspicious: bool) {
        let weight = if suspicious { SUSPICIOUS_WEIGHT } else { 1.0 };
        self.pairs += weight;
        for id in names {
            let known = &mut self.known[id as usize];
            known.seen += weight;
            known.ever = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_push_out_the_oldest_and_are_counted() {
        let mut baseline = Baseline::default();
        for number in 0..MAX_NAMES {
            assert!(baseline.id(&number.to_string(), i64::from(number >= 10)).is_some());
        }
        assert_eq!(baseline.forgotten, 0);
        assert!(baseline.id("one more", 1).is_some());
        assert_eq!(baseline.forgotten, 10);
        for number in 0..9 {
            assert!(baseline.id(&format!("more {number}"), 1).is_some());
        }
        assert!(baseline.id("too many in one window", 1).is_none());
        assert!(baseline.id("too many in one window", 2).is_some());
    }

    #[test]
    fn a_suspicious_pair_teaches_less() {
        let mut calm = Baseline::default();
        let mut wary = Baseline::default();
        for (baseline, suspicious) in [(&mut calm, false), (&mut wary, true)] {
            let usual = baseline.id("usual", 0).unwrap();
            let odd = baseline.id("odd", 0).unwrap();
            (0..100).for_each(|_| baseline.learn([usual].into_iter(), false));
            (0..100).for_each(|_| baseline.learn([odd].into_iter(), suspicious));
        }
        let odd = 1;
        assert!(wary.surprise(odd) > calm.surprise(odd) + 1.0);
    }
}
