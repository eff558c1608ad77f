//! What a stream of alerts has shown so far: in how many (host, window) pairs each name was raised, which
//! names come together, and how much was new lately.
//!
//! A name's surprise is `-ln p` of seeing it in a pair, from the past alone. A name that comes with
//! another one that explains it adds only what is left: the names of one event count once. When much is
//! new (a stream that has just begun, a first working day) being new says little: no name then counts
//! more than a new name's surprise by the share of new names lately (Good and Turing's idea).
//!
//! Memory is bounded; names that were not raised for longest go first, and of the pairs the rare ones.

use std::collections::{HashMap, HashSet};

/// Most names held.
pub const MAX_NAMES: usize = 65_536;
/// Most pairs of names held.
pub const MAX_TOGETHER: usize = 1 << 20;
/// Most names of one window whose pairs are learnt, the rarest.
const MAX_TOGETHER_NAMES: usize = 32;

/// One name's past.
#[derive(Clone, Debug)]
pub struct Known {
    /// What tells it from others.
    pub name: Box<str>,
    /// What people call it.
    pub title: Box<str>,
    /// The window in which this entry was made; entries are used again.
    pub since: i64,
    seen: f64,
    window: i64,
}

impl Known {
    /// Whether it was ever learnt.
    pub fn ever(&self) -> bool {
        self.seen > 0.0
    }
}

/// All names of a stream.
#[derive(Debug, Default)]
pub struct Baseline {
    prior: f64,
    ids: HashMap<Box<str>, u32>,
    known: Vec<Known>,
    free: Vec<u32>,
    together: HashMap<(u32, u32), f64>,
    pairs: f64,
    /// Pairs of lately, and the new names in them.
    recent: (f64, f64),
    full_at: Option<i64>,
    /// Names and pairs forgotten to make room.
    pub forgotten: u64,
}

impl Baseline {
    /// An empty past; `prior` is in sightings.
    pub fn new(prior: f64) -> Self {
        Self { prior, ..Self::default() }
    }

    /// The number of a name, new or known; `None` when this window alone fills the table.
    pub fn id(&mut self, name: &str, title: &str, window: i64) -> Option<u32> {
        if let Some(&id) = self.ids.get(name) {
            self.known[id as usize].window = window;
            return Some(id);
        }
        if self.ids.len() >= MAX_NAMES && !self.make_room(window) {
            return None;
        }
        let known =
            Known { name: name.into(), title: title.into(), since: window, seen: 0.0, window };
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
        let gone: HashSet<u32> = old.iter().map(|(_, id)| *id).collect();
        self.together.retain(|(one, other), _| !gone.contains(one) && !gone.contains(other));
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

    /// `-ln p` of seeing this name in a pair.
    pub fn surprise(&self, id: u32) -> f64 {
        -((self.at(id).seen + self.prior) / (self.pairs + 1.0)).ln()
    }

    /// `-ln p` of seeing a name of this surprise in a pair that has the other name.
    pub fn surprise_given(&self, id: u32, surprise: f64, other: u32) -> f64 {
        let both = self.together.get(&ordered(id, other)).copied().unwrap_or(0.0);
        let p = (both + self.prior * (-surprise).exp()) / (self.at(other).seen + self.prior);
        -p.ln()
    }

    /// `-ln p` of seeing a new name in a pair, by the share of new names lately.
    pub fn novelty(&self) -> f64 {
        let (pairs, new) = self.recent;
        -((new + self.prior) / (pairs + 1.0)).min(1.0).ln()
    }

    /// A window is over: what was lately is a little longer ago.
    pub fn age(&mut self, half_life_windows: f64) {
        let left = (-1.0 / half_life_windows).exp2();
        self.recent = (self.recent.0 * left, self.recent.1 * left);
    }

    /// Pairs with these names, the rarest first, join the past.
    pub fn learn(&mut self, names: &[u32], times: f64) {
        self.pairs += times;
        self.recent.0 += times;
        for &id in names {
            let known = &mut self.known[id as usize];
            self.recent.1 += if known.seen > 0.0 { 0.0 } else { 1.0 };
            known.seen += times;
        }
        let names = &names[..names.len().min(MAX_TOGETHER_NAMES)];
        for (index, &one) in names.iter().enumerate() {
            for &other in &names[index + 1..] {
                *self.together.entry(ordered(one, other)).or_insert(0.0) += times;
            }
        }
        self.thin();
    }

    /// Bounds the pairs of names: the least seen go, until half of the room is free.
    fn thin(&mut self) {
        let before = self.together.len();
        let mut least = 1.0;
        while before > MAX_TOGETHER && self.together.len() > MAX_TOGETHER / 2 {
            self.together.retain(|_, seen| *seen > least);
            least *= 2.0;
        }
        self.forgotten += (before - self.together.len()) as u64;
    }
}

fn ordered(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_push_out_the_oldest_and_are_counted() {
        let mut baseline = Baseline::new(0.1);
        for number in 0..MAX_NAMES {
            let name = number.to_string();
            assert!(baseline.id(&name, &name, i64::from(number >= 10)).is_some());
        }
        assert_eq!(baseline.forgotten, 0);
        assert!(baseline.id("one more", "", 1).is_some());
        assert_eq!(baseline.forgotten, 10);
        for number in 0..9 {
            assert!(baseline.id(&format!("more {number}"), "", 1).is_some());
        }
        assert!(baseline.id("too many in one window", "", 1).is_none());
        assert!(baseline.id("too many in one window", "", 2).is_some());
    }

    #[test]
    fn a_forgotten_name_leaves_no_pairs_behind() {
        let mut baseline = Baseline::new(0.1);
        let pair = ["a", "b"].map(|name| baseline.id(name, name, 0).unwrap());
        baseline.learn(&pair, 1.0);
        for number in 0..MAX_NAMES {
            baseline.id(&number.to_string(), "", 1);
        }
        assert!(baseline.together.is_empty() && baseline.forgotten >= 2);
    }

    #[test]
    fn pairs_beyond_the_limit_push_out_the_least_seen() {
        let mut baseline = Baseline::new(0.1);
        let ids: Vec<u32> =
            (0..1_500).map(|n| baseline.id(&n.to_string(), "", 0).unwrap()).collect();
        baseline.learn(&ids[..2], 2.0);
        let mut all = (0..ids.len()).flat_map(|a| (a + 1..ids.len()).map(move |b| (a, b)));
        while baseline.together.len() < MAX_TOGETHER {
            let (one, other) = all.next().unwrap();
            baseline.learn(&[ids[one], ids[other]], 1.0);
        }
        assert_eq!(baseline.forgotten, 0);
        let (one, other) = all.next().unwrap();
        baseline.learn(&[ids[one], ids[other]], 1.0);
        assert_eq!(baseline.together.len(), 1, "only what was seen more than once stays");
        assert_eq!(baseline.forgotten, MAX_TOGETHER as u64);
    }

    #[test]
    fn a_name_that_always_comes_with_another_adds_little() {
        let mut baseline = Baseline::new(0.1);
        let [usual, one, other] = ["usual", "one", "other"].map(|n| baseline.id(n, n, 0).unwrap());
        baseline.learn(&[usual], 1_000.0);
        let apart = baseline.surprise_given(other, baseline.surprise(other), one);
        assert!((apart - baseline.surprise(other)).abs() < 1e-9, "nothing known of them");
        baseline.learn(&[one, other], 4.0);
        assert!(baseline.surprise(other) > 5.0);
        assert!(baseline.surprise_given(other, baseline.surprise(other), one) < 0.1);
    }

    #[test]
    fn being_new_says_little_while_much_is_new() {
        let mut baseline = Baseline::new(0.1);
        for number in 0..50 {
            let id = baseline.id(&number.to_string(), "", 0).unwrap();
            baseline.learn(&[id], 1.0);
        }
        let busy = baseline.novelty();
        let usual = baseline.id("0", "", 0).unwrap();
        for _ in 0..1_000 {
            baseline.learn(&[usual], 1.0);
            baseline.age(100.0);
        }
        assert!(busy < 0.1 && baseline.novelty() > 5.0);
    }
}
