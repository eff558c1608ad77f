//! What choosing the experts for three pieces of evidence costs, with the built-in experts and with as
//! many as a gate takes; and what ranking them costs, once.
//!
//! Run with `cargo bench -p consensus --bench gate`.

use consensus::gate::{Budget, Gate, MAX_EXPERTS, Needs};
use consensus::{Context, Evidence, Expert, Model, Opinion, experts};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

struct One(u32);

impl Expert for One {
    fn name(&self) -> &'static str {
        ["declared", "exposure", "attack", "privilege", "novelty"][self.0 as usize % 5]
    }
    fn needs(&self) -> Needs {
        [Needs::NOTHING, Needs::NOTHING.logs(), Needs::STATE.listeners()][self.0 as usize % 3]
    }
    fn cost(&self) -> u32 {
        1 + self.0 % 7
    }
    fn judge(&self, _: &Evidence, _: &Context) -> Option<Opinion> {
        None
    }
}

fn full() -> Vec<Box<dyn Expert>> {
    (0..MAX_EXPERTS as u32).map(|one| Box::new(One(one)) as Box<dyn Expert>).collect()
}

/// What three pieces of evidence have to offer.
fn three() -> [(Needs, u64); 3] {
    [
        (Needs::STATE.raised().service().listeners().logs(), 17),
        (Needs::ACTIVITY.raised().subject().logs().history(), 64),
        (Needs::STATE, u64::MAX),
    ]
}

fn choosing(bencher: Bencher, experts: &[Box<dyn Expert>], budget: Budget) {
    let (gate, three) = (Gate::new(experts, &Model::cold()).expect("not too many"), three());
    bencher.bench(|| {
        black_box(&three).map(|(offered, hash)| gate.choose(offered, hash, black_box(budget)))
    });
}

#[divan::bench]
fn three_items_with_the_built_in_experts(bencher: Bencher) {
    choosing(bencher, &experts::all(), Budget::Units(4));
}

#[divan::bench]
fn three_items_with_64_experts(bencher: Bencher) {
    choosing(bencher, &full(), Budget::Units(40));
}

#[divan::bench]
fn three_items_with_64_experts_all_asked(bencher: Bencher) {
    choosing(bencher, &full(), Budget::All);
}

#[divan::bench]
fn ranking_64_experts_once(bencher: Bencher) {
    let (experts, model) = (full(), Model::cold());
    bencher.bench(|| Gate::new(black_box(&experts), &model));
}
