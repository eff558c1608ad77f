//! What deciding costs, with divan. The program has no library to bench from outside, so it is a test
//! that is only run when it is asked for:
//! `cargo test --release -p agent --bins govern::bench -- --ignored --nocapture`

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;

use super::decide::decide;
use super::engine::Engine;
use super::guardians::Guardians;
use super::harm::tests::quiet;
use super::harm::{Session, Spent, harm};
use super::policy::Policy;
use super::proof::proof;
use super::propose::proposals;
use super::propose::tests::{case, known, policy};
use super::risk::{Certainty, Factors, Reach, Target, Undo};
use super::{Answer, NoLedger, Proposal};
use crate::govern::actions::{Blocked, Effects, Failed, Way};
use crate::store::cases::Case;
use crate::store::responses::Responses;
use crate::store::responses::memory::MemoryResponses;
use crate::store::sqlite::SqliteStore;

const NOW: i64 = 1_000;

#[test]
#[ignore = "a benchmark: only worth something in a release build on a quiet machine"]
fn figures() {
    divan::Divan::default().run_benches();
}

/// Armed, with budgets that do not end.
fn armed() -> Policy {
    policy(
        "enabled: true\ndry_run: false\nblock: {enabled: true, per_hour: 1000}\n\
         per_hour: {stranger: 1000}\n",
    )
}

fn cases(count: u32) -> Vec<Case> {
    let address = |n| std::net::Ipv4Addr::from(0x2d2d_0000 + n).to_string();
    (0..count).map(|n| case(&address(n), consensus::Severity::High)).collect()
}

fn wanted(policy: &Policy, count: u32) -> Vec<Proposal> {
    cases(count).iter().flat_map(|case| proposals(case, NOW, policy, &known())).collect()
}

/// A host on which twenty people are logged in.
fn busy() -> super::harm::LiveSystem {
    let from = |n: u8| Session { who: format!("u{n}"), from: Some([198, 51, 100, n].into()) };
    super::harm::LiveSystem { sessions: Ok((0..20).map(from).collect()), ..quiet(NOW) }
}

#[divan::bench]
fn risk_of_every_cell(bencher: Bencher<'_, '_>) {
    let mut cells = Vec::new();
    for reach in Reach::ALL {
        for undo in Undo::ALL {
            for target in Target::ALL {
                let cell = |certainty| Factors { reach, undo, target, certainty };
                cells.extend(Certainty::ALL.map(cell));
            }
        }
    }
    bencher
        .counter(ItemsCount::new(cells.len()))
        .bench(|| divan::black_box(&cells).iter().map(|cell| cell.risk() as usize).sum::<usize>());
}

/// Proposal, risk, both guardians, decision: everything but the look at the system and the disk.
#[divan::bench]
fn one_governed_decision(bencher: Bencher<'_, '_>) {
    let (policy, live, known) = (armed(), busy(), known());
    let case = cases(1).remove(0);
    bencher.bench(|| {
        let proposal = proposals(divan::black_box(&case), NOW, &policy, &known).remove(0);
        let risk = proposal.factors.risk();
        let limits = policy.limits(&proposal.action, proposal.factors.target);
        let proof = proof(&proposal.testimony, &policy.bar(&proposal.action, risk), NOW);
        let harm = harm(&proposal.aim, &live, &limits, &Ok(Spent::default()), NOW);
        assert!(proof.is_yes() && matches!(harm, Answer::Yes));
        decide(&proposal, &proof, &harm, &policy, None, NOW)
    });
}

/// Both guardians on their threads, asked and heard.
#[divan::bench(args = [1, 200])]
fn guardians(bencher: Bencher<'_, '_>, count: u32) {
    let policy = armed();
    let guardians = Guardians::start(Box::new(busy)).unwrap();
    let all = wanted(&policy, count);
    let limits = Arc::new(policy.limits(&all[0].action, Target::Stranger));
    bencher
        .counter(ItemsCount::new(all.len()))
        .with_inputs(|| {
            let ask = |one: &Proposal| {
                let bar = policy.bar(&one.action, one.factors.risk());
                let spent = Ok(Spent::default());
                ((one.testimony.clone(), bar), (one.aim.clone(), Arc::clone(&limits), spent))
            };
            all.iter().map(ask).unzip::<_, _, Vec<_>, Vec<_>>()
        })
        .bench_local_values(|(proofs, harms)| guardians.ask(proofs, harms, NOW));
}

struct Nothing;

impl Effects for Nothing {
    fn block_only(&mut self, _: &[Blocked]) -> Result<(), Failed> {
        Ok(())
    }

    fn blocks_stand(&mut self, _: &[Blocked]) -> Result<bool, String> {
        Ok(true)
    }

    fn command(&mut self, _: &super::Action, _: &str, _: Way) -> Result<String, Failed> {
        Ok(String::new())
    }
}

/// From the proposals to what is written down as decided (all of them wait for an operator).
fn proposed(bencher: Bencher<'_, '_>, count: u32, store: impl Fn() -> Box<dyn Responses + Send>) {
    let waiting = policy("enabled: true\nblock: {enabled: true}\n");
    let all = wanted(&waiting, count);
    let guardians = Guardians::start(Box::new(busy)).unwrap();
    bencher
        .counter(ItemsCount::new(all.len()))
        .with_inputs(|| {
            let stop = Box::new(|| None);
            let policy = waiting.clone();
            let engine = Engine::new(store(), Box::new(Nothing), Box::new(NoLedger), policy, stop);
            (engine, all.clone())
        })
        .bench_local_values(|(mut engine, all)| {
            let decided = engine.propose(all, &guardians, NOW).unwrap();
            assert_eq!(decided.len(), count as usize);
            engine
        });
}

#[divan::bench(args = [1, 200])]
fn decided_in_memory(bencher: Bencher<'_, '_>, count: u32) {
    proposed(bencher, count, || Box::new(MemoryResponses::default()));
}

/// On the disk with synchronous=FULL, one transaction a batch.
#[divan::bench(args = [1, 200], sample_count = 20, sample_size = 1)]
fn decided_and_durable(bencher: Bencher<'_, '_>, count: u32) {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    proposed(bencher, count, || {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Box::new(SqliteStore::open(&dir.path().join(format!("{number}.db")), 9).unwrap())
    });
}
