//! The plans of the shapes that a thread has met.
//!
//! A shape is noted when it is first met and planned when it is met again, so that shapes that never
//! repeat cost a hash and a place. Bounded: when the places or the plans are used up, all is forgotten
//! and learnt anew. Where most lines are of new shapes it rests for many blocks.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;

use super::hash::{Hasher, Key};

/// Places for shapes: 2 MiB.
const SLOTS: usize = 1 << 16;

/// Most shapes before all are forgotten.
const SHAPES_MAX: usize = SLOTS / 4 * 3;

/// Most different plans, and most rules and jails in all of them.
const PLANS_MAX: usize = 1 << 14;
const PLANNED_MAX: usize = 1 << 18;

/// Lines of a block that are asked about before it counts.
const ASKED_MIN: u32 = 256;

/// Blocks in a row in which it helped with less than half of the lines, after which it rests.
const POOR_MAX: u32 = 4;

/// Blocks for which it rests.
const REST: u32 = 64;

/// What may match a line of a shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Rules, lowest first.
    pub rules: Vec<u32>,
    /// fail2ban's jails, lowest first.
    pub jails: Vec<u32>,
    /// Rules, each if one of these texts of the prefilter (which hold digits) is in the line.
    pub rules_if: Vec<(u32, u32)>,
    /// Jails, likewise.
    pub jails_if: Vec<(u32, u32)>,
}

impl Plan {
    fn size(&self) -> usize {
        self.rules.len() + self.jails.len() + self.rules_if.len() + self.jails_if.len()
    }
}

/// What is known of a line's shape.
pub enum Met {
    /// Nothing yet, or nothing can be.
    Unknown,
    /// It was met before: a plan may be made and given to [`Memo::learn`].
    Again(Place),
    /// Its plan.
    Planned(u32),
}

/// Where a shape is noted.
#[derive(Clone, Copy, Debug)]
pub struct Place(usize);

#[derive(Clone, Copy, Default)]
struct Slot {
    key: Key,
    /// How often it was met, and then its plan.
    state: u32,
}

const EMPTY: u32 = 0;
/// How often a shape is met before it is planned: a plan costs as much as a few lines.
const SIGHTS: u32 = 3;
/// No plan can be made.
const UNPLANNED: u32 = SIGHTS + 1;
const FIRST_PLAN: u32 = SIGHTS + 2;

/// The plans of shapes.
pub struct Memo {
    hasher: Hasher,
    slots: Vec<Slot>,
    used: usize,
    plans: Vec<Arc<Plan>>,
    known: HashMap<Arc<Plan>, u32>,
    planned: usize,
    asked: u32,
    helped: u32,
    poor: u32,
    rest: u32,
}

impl Memo {
    /// Nothing met yet.
    pub fn new(random: &RandomState) -> Self {
        Self {
            hasher: Hasher::new(random),
            slots: Vec::new(),
            used: 0,
            plans: Vec::new(),
            known: HashMap::new(),
            planned: 0,
            asked: 0,
            helped: 0,
            poor: 0,
            rest: 0,
        }
    }

    /// Begins a block: whether to ask about its lines.
    pub fn begin(&mut self) -> bool {
        let (asked, helped) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.helped));
        if asked >= ASKED_MIN {
            self.poor = if helped < asked / 2 { self.poor + 1 } else { 0 };
        }
        if self.poor >= POOR_MAX {
            (self.poor, self.rest) = (POOR_MAX - 1, REST);
        }
        let rests = self.rest > 0;
        self.rest = self.rest.saturating_sub(1);
        !rests
    }

    /// Looks a line's shape up, and notes it. `seed` stands for what comes before: lines of different
    /// seeds are of different shapes.
    pub fn meet(&mut self, line: &[u8], seed: u64) -> Met {
        if line.len() > super::masked::LINE_BYTES_MAX {
            return Met::Unknown;
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        self.asked += 1;
        let key = self.hasher.key(line, seed);
        let mut at = key.0 as usize % SLOTS;
        loop {
            let slot = &mut self.slots[at];
            if slot.state == EMPTY {
                if self.used >= SHAPES_MAX {
                    self.forget();
                    return Met::Unknown;
                }
                *slot = Slot { key, state: 1 };
                self.used += 1;
                return Met::Unknown;
            }
            if slot.key == key {
                return match slot.state {
                    1..SIGHTS => {
                        slot.state += 1;
                        Met::Unknown
                    }
                    SIGHTS => Met::Again(Place(at)),
                    UNPLANNED => Met::Unknown,
                    plan => {
                        self.helped += 1;
                        Met::Planned(plan - FIRST_PLAN)
                    }
                };
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// A plan.
    pub fn plan(&self, number: u32) -> Option<&Plan> {
        self.plans.get(number as usize).map(|plan| &**plan)
    }

    /// Keeps the plan of a shape; `None`: there can be none.
    pub fn learn(&mut self, place: Place, plan: Option<Plan>) {
        let state = match plan {
            None => UNPLANNED,
            Some(plan) => match self.known.get(&plan) {
                Some(known) => *known,
                None => {
                    self.planned += plan.size();
                    if self.plans.len() >= PLANS_MAX || self.planned > PLANNED_MAX {
                        self.forget();
                        return;
                    }
                    let number = FIRST_PLAN + u32::try_from(self.plans.len()).unwrap_or(0);
                    let plan = Arc::new(plan);
                    self.plans.push(Arc::clone(&plan));
                    self.known.insert(plan, number);
                    number
                }
            },
        };
        self.slots[place.0].state = state;
    }

    fn forget(&mut self) {
        self.slots.fill(Slot::default());
        self.plans.clear();
        self.known.clear();
        (self.used, self.planned) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_planned_when_they_are_met_again() {
        let mut memo = Memo::new(&RandomState::new());
        let plan = Plan { rules: vec![1], jails: vec![2], ..Plan::default() };
        let again = |memo: &mut Memo, line: &[u8]| {
            for _ in 0..SIGHTS {
                assert!(matches!(memo.meet(line, 0), Met::Unknown));
            }
            let Met::Again(place) = memo.meet(line, 0) else { panic!() };
            place
        };
        let place = again(&mut memo, b"a 22");
        memo.learn(place, Some(plan.clone()));
        let Met::Planned(number) = memo.meet(b"a 333", 0) else { panic!() };
        assert_eq!(memo.plan(number), Some(&plan));
        assert!(matches!(memo.meet(b"a 333", 1), Met::Unknown));
        let place = again(&mut memo, b"a 55555");
        memo.learn(place, None);
        assert!(matches!(memo.meet(b"a 4444", 0), Met::Unknown));
    }

    #[test]
    fn what_never_repeats_is_bounded_and_soon_not_asked() {
        let mut memo = Memo::new(&RandomState::new());
        let mut asked = 0;
        let text = |number: usize| number.to_string().bytes().map(|b| b + 49).collect::<Vec<u8>>();
        for block in 0..640_usize {
            if memo.begin() {
                asked += 1;
                for number in 0..1000 {
                    assert!(matches!(memo.meet(&text(block * 1000 + number), 0), Met::Unknown));
                }
            }
            assert!(memo.used <= SHAPES_MAX && memo.slots.len() <= SLOTS);
        }
        assert!(asked < 20, "{asked}");
    }

    #[test]
    fn plans_are_bounded() {
        let mut memo = Memo::new(&RandomState::new());
        for number in 0..40_000_u32 {
            let line: Vec<u8> = number.to_string().bytes().map(|byte| byte + 49).collect();
            for _ in 0..SIGHTS {
                memo.meet(&line, 0);
            }
            if let Met::Again(place) = memo.meet(&line, 0) {
                memo.learn(
                    place,
                    Some(Plan {
                        rules: (0..number % 100).collect(),
                        jails: vec![number],
                        ..Plan::default()
                    }),
                );
            }
            assert!(memo.plans.len() <= PLANS_MAX && memo.planned <= PLANNED_MAX + 200);
        }
        assert!(!memo.plans.is_empty());
    }
}
