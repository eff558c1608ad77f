//! Who is asked, for any experts, needs, costs, budgets and cases.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::collections::BTreeSet;

use consensus::gate::{Budget, Choice, EXPLORED_ONE_IN, Gate, MAX_EXPERTS, Needs};
use consensus::{Context, Evidence, Expert, Model, Opinion, Panel};
use proptest::prelude::*;

/// Names of experts: some that the model knows and trusts differently, and strangers.
const NAMES: [&str; 12] = [
    "declared",
    "exposure",
    "attack",
    "privilege",
    "corroboration",
    "novelty",
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
];

#[derive(Clone, Debug)]
struct Asked {
    name: &'static str,
    needs: Needs,
    /// What it needs of the surroundings: experts with the same are one source.
    source: u8,
    cost: u32,
}

impl Expert for Asked {
    fn name(&self) -> &'static str {
        self.name
    }
    fn needs(&self) -> Needs {
        self.needs
    }
    fn cost(&self) -> u32 {
        self.cost
    }
    fn judge(&self, _: &Evidence, _: &Context) -> Option<Opinion> {
        None
    }
}

/// Needs of one of three kinds, of the surroundings by bits, raised or not.
fn needs(kind: u8, surroundings: u8, raised: bool) -> Needs {
    let mut needs = [Needs::NOTHING, Needs::STATE, Needs::ACTIVITY][kind as usize];
    if raised {
        needs = needs.raised();
    }
    if surroundings & 1 != 0 {
        needs = needs.listeners();
    }
    if surroundings & 2 != 0 {
        needs = needs.logs();
    }
    if surroundings & 4 != 0 { needs.history() } else { needs }
}

fn experts() -> impl Strategy<Value = Vec<Asked>> {
    let one = (0_u8..3, 0_u8..8, any::<bool>(), 0_u32..6);
    proptest::collection::vec(one, NAMES.len()).prop_flat_map(|made| {
        let all: Vec<Asked> = made
            .into_iter()
            .zip(NAMES)
            .map(|((kind, source, raised, cost), name)| Asked {
                name,
                needs: needs(kind, source, raised),
                source,
                cost,
            })
            .collect();
        (0..=NAMES.len()).prop_flat_map(move |some| {
            proptest::sample::subsequence(all.clone(), some).prop_shuffle()
        })
    })
}

fn boxed(experts: &[Asked]) -> Vec<Box<dyn Expert>> {
    experts.iter().map(|one| Box::new(one.clone()) as Box<dyn Expert>).collect()
}

fn gate(experts: &[Asked]) -> Gate {
    Gate::new(&boxed(experts), &Model::cold()).unwrap()
}

fn cost(experts: &[Asked], set: u64) -> u32 {
    let places = (0..experts.len()).filter(|place| set >> place & 1 == 1);
    places.map(|place| experts[place].cost.max(1)).sum()
}

fn names(experts: &[Asked], set: u64) -> BTreeSet<&'static str> {
    (0..experts.len()).filter(|at| set >> at & 1 == 1).map(|at| experts[at].name).collect()
}

fn sources(experts: &[Asked], set: u64) -> usize {
    let places = (0..experts.len()).filter(|place| set >> place & 1 == 1);
    places.map(|place| experts[place].source).collect::<BTreeSet<_>>().len()
}

proptest! {
    #[test]
    fn who_is_asked_could_speak_is_enough_and_costs_no_more_than_there_is(
        experts in experts(), activity in any::<bool>(), there in 0_u8..8, raised in any::<bool>(),
        hash in any::<u64>(), units in 0_u32..30,
    ) {
        let gate = gate(&experts);
        let offered = needs(if activity { 2 } else { 1 }, there, raised);
        // A case is of one kind; STATE as an offer stands for the first of the three.
        let Choice { chosen, explored, left_out } = gate.choose(offered, hash, Budget::Units(units));
        let able = (0..experts.len())
            .filter(|place| experts[*place].needs.met_by(offered))
            .fold(0, |set, place| set | 1 << place);
        prop_assert_eq!(chosen | explored | left_out, able);
        prop_assert_eq!(chosen & explored | chosen & left_out | explored & left_out, 0);
        prop_assert!(chosen.count_ones() >= able.count_ones().min(3));
        prop_assert!(sources(&experts, chosen) >= sources(&experts, able).min(2));
        // Only the least number may cost more than there is, and then nobody else is chosen.
        if cost(&experts, chosen) > units {
            prop_assert_eq!(chosen.count_ones(), able.count_ones().min(3));
        }
        // Nobody who would have fitted is left out.
        let left = units.saturating_sub(cost(&experts, chosen));
        for place in (0..experts.len()).filter(|place| (explored | left_out) >> place & 1 == 1) {
            prop_assert!(experts[place].cost.max(1) > left);
        }
        let all = gate.choose(offered, hash, Budget::All);
        prop_assert_eq!(all, Choice { chosen: able, explored: 0, left_out: 0 });
        for place in 0..70 {
            let asked = place < 64 && (chosen | explored) >> place & 1 == 1;
            let choice = Choice { chosen, explored, left_out };
            prop_assert_eq!(choice.asks(place), asked);
        }
    }

    #[test]
    fn the_order_of_the_experts_does_not_matter(
        experts in experts(), seed in any::<u64>(), hash in any::<u64>(), units in 0_u32..12,
    ) {
        let mut other = experts.clone();
        let length = other.len().max(1);
        other.rotate_left(seed as usize % length);
        other.reverse();
        let offered = needs(1, 7, true);
        let here = gate(&experts).choose(offered, hash, Budget::Units(units));
        let there = gate(&other).choose(offered, hash, Budget::Units(units));
        prop_assert_eq!(names(&experts, here.chosen), names(&other, there.chosen));
        prop_assert_eq!(names(&experts, here.explored), names(&other, there.explored));
        prop_assert_eq!(names(&experts, here.left_out), names(&other, there.left_out));
    }

    #[test]
    fn everybody_left_out_is_explored_in_exactly_one_case_of_64(
        experts in experts(), first in any::<u64>(), units in 0_u32..8, rounds in 1_u64..4,
    ) {
        let gate = gate(&experts);
        let offered = needs(1, 7, true);
        let mut met = vec![0_u64; experts.len()];
        for case in 0..rounds * EXPLORED_ONE_IN {
            let choice = gate.choose(offered, first.wrapping_add(case), Budget::Units(units));
            prop_assert!(choice.explored.count_ones() <= 1, "they take turns");
            for (place, met) in met.iter_mut().enumerate() {
                *met += choice.explored >> place & 1;
            }
        }
        let out = gate.choose(offered, first, Budget::Units(units));
        let out = out.explored | out.left_out;
        for (place, met) in met.into_iter().enumerate() {
            prop_assert_eq!(met, rounds * (out >> place & 1));
        }
    }
}

#[test]
fn a_gate_takes_as_many_experts_as_it_has_bits() {
    let many = |number| -> Vec<Asked> {
        let one = Asked { name: "a", needs: Needs::NOTHING, source: 0, cost: 1 };
        std::iter::repeat_n(one, number).collect()
    };
    let full = gate(&many(MAX_EXPERTS));
    assert_eq!(full.choose(Needs::STATE, 0, Budget::All).chosen, u64::MAX);
    assert_eq!(full.choose(Needs::STATE, 1, Budget::Units(5)).chosen.count_ones(), 5);
    let over = Gate::new(&boxed(&many(MAX_EXPERTS + 1)), &Model::cold());
    assert_eq!(over.unwrap_err().0, MAX_EXPERTS + 1);
    assert_eq!(gate(&[]).choose(Needs::STATE, 0, Budget::Units(5)), Choice::default());
}

#[test]
fn the_better_informed_are_asked_first() {
    let built_in = consensus::experts::all();
    let gate = Gate::new(&built_in, &Model::cold()).unwrap();
    let offered = needs(1, 7, true).service().subject().user().past().changes();
    let asks = |choice: Choice, name| {
        choice.asks(built_in.iter().position(|one| one.name() == name).unwrap())
    };
    // At no cost to the budget: the least number, and the one that tells least is not among them.
    let least = gate.choose(offered, 1, Budget::Units(0));
    assert!(asks(least, "exposure") && !asks(least, "privilege"), "{least:?}");
    assert_eq!(least.chosen.count_ones(), 3);
    let all = gate.choose(offered, 1, Budget::All);
    // Of a state, everybody but those who speak of activities alone.
    let of_activities = ["rarity", "noise", "threat", "hours"];
    for expert in Panel::cold().names() {
        assert_eq!(asks(all, expert), !of_activities.contains(&expert), "{expert}");
    }
}
