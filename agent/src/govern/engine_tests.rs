use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use consensus::Severity;

use super::super::harm::LiveSystem;
use super::super::harm::tests::quiet;
use super::super::operators::{Operator, Refused, Service};
use super::super::propose::tests::{case, known, policy};
use super::super::propose::{Known, proposals};
use super::super::risk::Target;
use super::*;
use crate::store::cases::Case;
use crate::store::responses::memory::MemoryResponses;

pub const NOW: i64 = 1_000;
const ARMED: &str = "enabled: true\ndry_run: false\nblock: {enabled: true}\n";

/// A host that does nothing but remember, and may fail or crash.
#[derive(Default)]
pub struct Fake {
    /// What is blocked.
    blocked: Mutex<Vec<Blocked>>,
    /// Commands that ran and were not taken back.
    running: Mutex<Vec<String>>,
    /// What was asked of it, in order.
    asked: Mutex<Vec<String>>,
    failure: Mutex<Option<Failed>>,
    /// Changes of the store and of the host that are still made before the crash.
    left: AtomicUsize,
    crashes: AtomicBool,
}

/// The store, the host and the ledger of one machine, which survive their engine.
#[derive(Clone, Default)]
pub struct Machine {
    pub host: Arc<Fake>,
    store: Arc<Mutex<MemoryResponses>>,
    decisions: Arc<Mutex<Vec<Decision>>>,
    steps: Arc<Mutex<Vec<Step>>>,
    stopped: Arc<AtomicBool>,
}

impl Machine {
    /// Counts a change; at the last one that is left the power goes off.
    fn tick(&self) {
        if self.host.crashes.load(Ordering::SeqCst) {
            let left = self.host.left.fetch_sub(1, Ordering::SeqCst);
            assert!(left > 1, "this crash is the test's own");
        }
    }

    fn engine(&self, yaml: &str) -> Engine {
        let stopped = Arc::clone(&self.stopped);
        let stop =
            move || stopped.load(Ordering::SeqCst).then(|| "the switch is thrown".to_string());
        Engine::new(
            Box::new(self.clone()),
            Box::new(self.clone()),
            Box::new(self.clone()),
            policy(yaml),
            Box::new(stop),
        )
    }

    fn blocked(&self) -> Vec<String> {
        self.host.blocked.lock().unwrap().iter().map(|one| one.network.to_string()).collect()
    }

    fn fails(&self, failed: Option<Failed>) {
        *self.host.failure.lock().unwrap() = failed;
    }

    fn state(&self, id: i64) -> State {
        self.store.lock().unwrap().request(id).unwrap().unwrap().state
    }
}

impl Responses for Machine {
    fn add(&mut self, requests: &[Request]) -> Result<Vec<i64>, StoreError> {
        self.tick();
        let ids = self.store.lock().unwrap().add(requests);
        self.tick();
        ids
    }

    fn change(&mut self, from: State, request: &Request) -> Result<bool, StoreError> {
        self.tick();
        let changed = self.store.lock().unwrap().change(from, request);
        self.tick();
        changed
    }

    fn request(&self, id: i64) -> Result<Option<Request>, StoreError> {
        self.store.lock().unwrap().request(id)
    }

    fn requests(&self, states: &[State], limit: usize) -> Result<Vec<Request>, StoreError> {
        self.store.lock().unwrap().requests(states, limit)
    }

    fn newest(&self, limit: usize) -> Result<Vec<Request>, StoreError> {
        self.store.lock().unwrap().newest(limit)
    }

    fn standing(&self, action: &str, target: &str, since: i64) -> Result<Option<i64>, StoreError> {
        self.store.lock().unwrap().standing(action, target, since)
    }

    fn begun(&self, action: &str, class: Target, since: i64) -> Result<(u32, u32), StoreError> {
        self.store.lock().unwrap().begun(action, class, since)
    }
}

impl Effects for Machine {
    fn block_only(&mut self, blocks: &[Blocked]) -> Result<(), Failed> {
        self.tick();
        self.host.asked.lock().unwrap().push(format!("block {}", blocks.len()));
        if let Some(failed) = self.host.failure.lock().unwrap().clone() {
            return Err(failed);
        }
        *self.host.blocked.lock().unwrap() = blocks.to_vec();
        self.tick();
        Ok(())
    }

    fn blocks_stand(&mut self, blocks: &[Blocked]) -> Result<bool, String> {
        let networks = |all: &[Blocked]| all.iter().map(|one| one.network).collect::<BTreeSet<_>>();
        Ok(networks(&self.host.blocked.lock().unwrap()) == networks(blocks))
    }

    fn command(&mut self, action: &Action, _: &str, way: Way) -> Result<String, Failed> {
        self.tick();
        self.host.asked.lock().unwrap().push(format!("{way:?} {}", action.target()));
        if let Some(failed) = self.host.failure.lock().unwrap().clone() {
            return Err(failed);
        }
        let mut running = self.host.running.lock().unwrap();
        running.retain(|target| *target != action.target());
        if way == Way::Do {
            running.push(action.target());
        }
        drop(running);
        self.tick();
        Ok("said".into())
    }
}

impl Ledger for Machine {
    fn decided(&self, decision: &Decision) {
        self.decisions.lock().unwrap().push(decision.clone());
    }

    fn stepped(&self, step: &Step) {
        self.steps.lock().unwrap().push(step.clone());
    }
}

fn calm() -> Guardians {
    Guardians::start(Box::new(|| quiet(NOW))).unwrap()
}

fn bad(ip: &str) -> Case {
    case(ip, Severity::High)
}

fn propose(engine: &mut Engine, cases: &[Case], now: i64) -> Vec<Decision> {
    propose_known(engine, cases, &known(), now)
}

fn propose_known(engine: &mut Engine, cases: &[Case], known: &Known, now: i64) -> Vec<Decision> {
    let all = |case| {
        let mut all = proposals(case, now, &engine.policy, known);
        all.iter_mut().for_each(|one| one.testimony.happened = Some(now));
        all
    };
    let all = cases.iter().flat_map(all).collect();
    let guardians = Guardians::start(Box::new(move || quiet(now))).unwrap();
    engine.propose(all, &guardians, now).unwrap()
}

fn ann() -> Operator {
    Operator { uid: 1_000, name: "ann".into(), from: None }
}

fn bob() -> Operator {
    Operator { uid: 1_001, name: "bob".into(), from: None }
}

#[test]
fn what_both_agree_to_is_done_and_taken_back_unless_confirmed() {
    let machine = Machine::default();
    let mut engine = machine.engine(ARMED);
    let decided = propose(&mut engine, &[bad("192.0.2.7"), bad("192.0.2.8")], NOW);
    assert!(decided.iter().all(|one| one.outcome == Outcome::Act), "{decided:?}");
    assert_eq!(machine.blocked(), ["192.0.2.7", "192.0.2.8"]);
    let (first, second) = (decided[0].id.unwrap(), decided[1].id.unwrap());
    assert_eq!(machine.host.blocked.lock().unwrap()[0].seconds, 600, "the dead-man's time");
    engine.confirm(first, &ann(), NOW + 100).unwrap();
    assert_eq!(machine.host.blocked.lock().unwrap()[0].seconds, 3_500, "the whole time");
    engine.tick(NOW + 599).unwrap();
    assert_eq!(machine.state(second), State::Done);
    engine.tick(NOW + 600).unwrap();
    assert_eq!((machine.state(first), machine.state(second)), (State::Confirmed, State::Reverted));
    assert_eq!(machine.blocked(), ["192.0.2.7"]);
    engine.tick(NOW + 3_600).unwrap();
    assert_eq!(machine.state(first), State::Reverted);
    assert!(machine.blocked().is_empty());
    assert!(matches!(engine.confirm(first, &ann(), NOW + 3_601), Err(Refused::State { .. })));
    let steps: Vec<String> = machine
        .steps
        .lock()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one.id, one.what))
        .collect();
    let expected = [
        "1 done",
        "2 done",
        "1 confirmed",
        "2 reverting",
        "2 reverted",
        "1 reverting",
        "1 reverted",
    ];
    assert_eq!(steps, expected, "everything is told");
    assert_eq!(*machine.decisions.lock().unwrap(), decided, "and journaled");
}

#[test]
fn a_dry_run_waits_and_an_approved_block_is_done() {
    let machine = Machine::default();
    let mut engine = machine.engine("enabled: true\nblock: {enabled: true}\n");
    let decided = propose(&mut engine, &[bad("192.0.2.7")], NOW);
    assert_eq!(decided[0].outcome, Outcome::Wait { operators: 1 });
    assert_eq!(decided[0].held, ["dry_run is on"]);
    assert!(machine.host.asked.lock().unwrap().is_empty(), "nothing was done");
    let id = decided[0].id.unwrap();
    let done = engine.approve(id, &ann(), &quiet(NOW + 5), Service::Down, NOW + 5).unwrap();
    assert_eq!((done.state, done.ends()), (State::Done, Some(NOW + 605)));
    assert_eq!(machine.blocked(), ["192.0.2.7"]);
    assert!(matches!(
        engine.approve(id, &bob(), &quiet(NOW + 6), Service::Down, NOW + 6),
        Err(Refused::State { .. })
    ));
    assert!(matches!(
        engine.approve(99, &ann(), &quiet(NOW), Service::Down, NOW),
        Err(Refused::Unknown(99))
    ));
    engine.deny(id, &bob(), NOW + 10).unwrap();
    assert!(machine.blocked().is_empty(), "denied, what is in effect is taken back");
    assert_eq!(machine.state(id), State::Reverted);
}

#[test]
fn a_critical_action_takes_two_different_operators() {
    let machine = Machine::default();
    let yaml = format!("{ARMED}critical_operators: 2\n");
    let mut engine = machine.engine(&yaml);
    let mut weak = bad("192.0.2.7");
    weak.verdict.stands_without_sources = 0;
    let ours = Known { logins: Ok(["192.0.2.7".parse().unwrap()].into()), ..known() };
    let decided = propose_known(&mut engine, &[weak], &ours, NOW);
    assert_eq!(decided[0].outcome, Outcome::Wait { operators: 2 });
    let id = decided[0].id.unwrap();
    let half = engine.approve(id, &ann(), &quiet(NOW), Service::Down, NOW).unwrap();
    assert_eq!((half.state, half.approved_by.len()), (State::Waiting, 1));
    assert!(matches!(
        engine.approve(id, &ann(), &quiet(NOW), Service::Down, NOW),
        Err(Refused::Twice(_))
    ));
    assert!(machine.blocked().is_empty());
    assert_eq!(
        engine.approve(id, &bob(), &quiet(NOW), Service::Down, NOW).unwrap().state,
        State::Done
    );
    assert_eq!(machine.blocked(), ["192.0.2.7"]);
}

#[test]
fn an_operator_is_kept_from_hurting_the_host_and_himself() {
    let machine = Machine::default();
    let mut engine = machine.engine("enabled: true\nblock: {enabled: true}\n");
    let id = propose(&mut engine, &[bad("192.0.2.7")], NOW)[0].id.unwrap();
    let session = |who: &str| {
        let from = Some("192.0.2.7".parse().unwrap());
        let session = harm::Session { who: who.into(), from };
        LiveSystem { sessions: Ok(vec![session]), ..quiet(NOW) }
    };
    let refused = |engine: &mut Engine, live: &LiveSystem, by: &Operator| {
        engine.approve(id, by, live, Service::Down, NOW).err().map(|refused| refused.to_string())
    };
    assert!(refused(&mut engine, &session("ann"), &ann()).unwrap().contains("ann is logged in"));
    let here = Operator { from: "::ffff:192.0.2.7".parse().ok(), ..ann() };
    assert!(refused(&mut engine, &quiet(NOW), &here).unwrap().contains("where you come from"));
    let gateway = LiveSystem { gateways: Ok(vec!["192.0.2.7".parse().unwrap()]), ..quiet(NOW) };
    assert!(refused(&mut engine, &gateway, &ann()).unwrap().contains("gateway"));
    let blind = LiveSystem { sessions: Err("denied".into()), ..quiet(NOW) };
    assert!(refused(&mut engine, &blind, &ann()).unwrap().contains("could not be looked at"));
    assert!(refused(&mut engine, &quiet(NOW - 60), &ann()).unwrap().contains("60 s old"));
    assert!(machine.host.asked.lock().unwrap().is_empty());
    assert_eq!(refused(&mut engine, &session("mallory"), &ann()), None, "an intruder's session");
    assert_eq!(machine.blocked(), ["192.0.2.7"]);
}

#[test]
fn the_same_case_is_not_answered_twice() {
    let machine = Machine::default();
    let mut engine = machine.engine(ARMED);
    assert_eq!(propose(&mut engine, &[bad("192.0.2.7"), bad("192.0.2.7")], NOW).len(), 1);
    let mut other = bad("192.0.2.7");
    other.fingerprint = "other".into();
    assert!(propose(&mut engine, &[bad("192.0.2.7"), other], NOW + 61).is_empty(), "it stands");
    engine.tick(NOW + 600).unwrap();
    assert_eq!(propose(&mut engine, &[bad("192.0.2.7")], NOW + 601).len(), 1, "it is over");
    let failed = Request { state: State::Failed, ..engine.store.request(2).unwrap().unwrap() };
    engine.store.change(State::Done, &failed).unwrap();
    assert!(propose(&mut engine, &[bad("192.0.2.7")], NOW + 602).is_empty(), "remembered");
    engine.heard_feedback("case-192.0.2.7");
    assert_eq!(propose(&mut engine, &[bad("192.0.2.7")], NOW + 603).len(), 1, "feedback drops it");
}

#[test]
fn what_an_operator_did_not_want_is_not_done_again_for_a_day() {
    let machine = Machine::default();
    let mut engine = machine.engine(ARMED);
    let id = propose(&mut engine, &[bad("192.0.2.7")], NOW)[0].id.unwrap();
    engine.deny(id, &ann(), NOW + 5).unwrap();
    assert_eq!(machine.state(id), State::Reverted);
    let day = 86_400;
    assert!(propose(&mut engine, &[bad("192.0.2.7")], NOW + 100).is_empty());
    engine.heard_feedback("case-192.0.2.7");
    assert!(propose(&mut engine, &[bad("192.0.2.7")], NOW + 5 + day).is_empty());
    assert_eq!(propose(&mut engine, &[bad("192.0.2.7")], NOW + 6 + day).len(), 1);
}

#[test]
fn without_the_right_to_change_rules_the_kernels_timeout_is_the_end() {
    let machine = Machine::default();
    let mut engine = machine.engine(ARMED);
    let id = propose(&mut engine, &[bad("192.0.2.7")], NOW)[0].id.unwrap();
    machine.fails(Some(Failed::Nothing("Operation not permitted".into())));
    engine.deny(id, &ann(), NOW + 5).unwrap();
    engine.tick(NOW + 20).unwrap();
    assert_eq!(machine.state(id), State::Reverting, "it still stands in the kernel");
    let told = machine.steps.lock().unwrap().len();
    for second in 21..600 {
        engine.tick(NOW + second).unwrap();
    }
    assert_eq!(machine.steps.lock().unwrap().len(), told, "what is not new is not told again");
    engine.tick(NOW + 600 + AGAIN_S).unwrap();
    let request = engine.store.request(id).unwrap().unwrap();
    assert_eq!(request.state, State::Reverted);
    assert!(request.note.contains("timeout ended it"), "{}", request.note);
}

#[test]
fn an_approved_command_is_left_to_the_service_that_takes_it_back() {
    let yaml = "enabled: true\ncommands:\n\
                - {name: x, run: [/x, '{ip}'], undo: [/y, '{ip}'], from: high}\n";
    let machine = Machine::default();
    let mut engine = machine.engine(yaml);
    let id = propose(&mut engine, &[bad("192.0.2.7")], NOW)[0].id.unwrap();
    let live = quiet(NOW);
    let approved = engine.approve(id, &ann(), &live, Service::Runs, NOW).unwrap();
    assert_eq!((approved.state, approved.began), (State::Approved, None));
    assert!(machine.host.asked.lock().unwrap().is_empty());
    let mut service = machine.engine(yaml);
    machine.stopped.store(true, Ordering::SeqCst);
    service.tick(NOW + 1).unwrap();
    assert_eq!(machine.state(id), State::Done, "an operator's word holds against the switch");
    assert_eq!(*machine.host.running.lock().unwrap(), ["192.0.2.7"]);
    service.tick(NOW + 601).unwrap();
    assert!(machine.host.running.lock().unwrap().is_empty());
}

#[test]
fn budgets_hold_also_within_one_batch() {
    let machine = Machine::default();
    let yaml = ARMED.replace("block: {enabled: true}", "block: {enabled: true, per_hour: 3}");
    let mut engine = machine.engine(&yaml);
    let many: Vec<Case> = (1..=5).map(|n| bad(&format!("192.0.2.{n}"))).collect();
    let decided = propose(&mut engine, &many, NOW);
    let acts = decided.iter().filter(|one| one.outcome == Outcome::Act).count();
    assert_eq!((acts, machine.blocked().len()), (3, 3));
    assert!(decided[4].harm[0].contains("at most 3"), "{decided:?}");
    let later = propose(&mut engine, &[bad("192.0.2.9")], NOW + 3_600);
    assert!(later[0].harm[0].contains("at most 3"), "the hour is not over");
    let after = propose(&mut engine, &[bad("192.0.2.10")], NOW + 3_601);
    assert_eq!(after[0].outcome, Outcome::Act);
}

#[test]
fn the_kill_switch_stops_what_is_automatic_and_nothing_else() {
    let machine = Machine::default();
    let mut engine = machine.engine(ARMED);
    let first = propose(&mut engine, &[bad("192.0.2.6")], NOW)[0].id.unwrap();
    machine.stopped.store(true, Ordering::SeqCst);
    let decided = propose(&mut engine, &[bad("192.0.2.7")], NOW);
    assert_eq!(decided[0].held, ["the switch is thrown"]);
    assert_eq!(machine.blocked(), ["192.0.2.6"]);
    engine.approve(decided[0].id.unwrap(), &ann(), &quiet(NOW), Service::Down, NOW).unwrap();
    assert_eq!(machine.blocked().len(), 2, "an operator's word holds");
    engine.tick(NOW + 600).unwrap();
    assert_eq!(machine.state(first), State::Reverted, "taking back goes on");
    // Thrown between deciding and doing.
    machine.stopped.store(false, Ordering::SeqCst);
    let asked = AtomicUsize::new(0);
    engine.stop = Box::new(move || {
        (asked.fetch_add(1, Ordering::SeqCst) > 0).then(|| "the switch is thrown".to_string())
    });
    let decided = propose(&mut engine, &[bad("192.0.2.8")], NOW + 700);
    assert_eq!(decided[0].outcome, Outcome::Act);
    assert_eq!(machine.state(decided[0].id.unwrap()), State::Failed);
    assert!(machine.blocked().is_empty());
}

#[test]
fn what_fails_is_told_and_what_is_halfway_is_taken_back() {
    let yaml = "enabled: true\ndry_run: false\nautomatic_up_to: critical\nper_hour: {own: 9}\ncommands:\n\
                - {name: x, run: [/x, '{ip}'], undo: [/y, '{ip}'], from: high, reach: one, restores: all}\n";
    let machine = Machine::default();
    let mut engine = machine.engine(yaml);
    machine.fails(Some(Failed::Nothing("no such file".into())));
    let id = propose(&mut engine, &[bad("192.0.2.7")], NOW)[0].id.unwrap();
    let failed = engine.store.request(id).unwrap().unwrap();
    assert_eq!((failed.state, failed.note.as_str()), (State::Failed, "no such file"));
    machine.fails(Some(Failed::Halfway("exit 1".into())));
    let id = propose(&mut engine, &[bad("192.0.2.8")], NOW)[0].id.unwrap();
    assert_eq!(machine.state(id), State::Reverting, "its undo failed too");
    engine.tick(NOW + 2).unwrap();
    machine.fails(None);
    engine.tick(NOW + 1 + AGAIN_S).unwrap();
    assert_eq!(machine.state(id), State::Reverting, "not yet");
    engine.tick(NOW + 2 + AGAIN_S).unwrap();
    assert_eq!(machine.state(id), State::Reverted);
    let last = machine.host.asked.lock().unwrap().last().cloned();
    assert_eq!(last.as_deref(), Some("Undo 192.0.2.8"));
}

#[test]
fn flushed_blocks_stand_again_and_a_clock_that_goes_back_ends_them() {
    let machine = Machine::default();
    let mut engine = machine.engine(ARMED);
    propose(&mut engine, &[bad("192.0.2.7")], NOW);
    engine.tick(NOW + 1).unwrap();
    machine.host.blocked.lock().unwrap().clear();
    engine.tick(NOW + 1 + AGAIN_S).unwrap();
    assert_eq!(machine.blocked(), ["192.0.2.7"]);
    assert_eq!(machine.steps.lock().unwrap().last().unwrap().what, "ensured");
    engine.tick(NOW - CLOCK_SLACK_S).unwrap();
    assert_eq!(machine.state(1), State::Done, "a little is nothing");
    engine.tick(NOW - CLOCK_SLACK_S - 1).unwrap();
    assert_eq!(machine.state(1), State::Reverted);
    assert!(machine.blocked().is_empty());
}

#[test]
fn requests_expire_and_the_oldest_make_room() {
    let machine = Machine::default();
    let mut engine = machine.engine("enabled: true\nblock: {enabled: true}\n");
    let addresses: Vec<Case> = (0..WAITING_MAX + 2)
        .map(
            |n| bad(&std::net::Ipv4Addr::from(0xc000_0200 + u32::try_from(n).unwrap()).to_string()),
        )
        .collect();
    propose(&mut engine, &addresses[..WAITING_MAX], NOW);
    assert_eq!(machine.state(1), State::Waiting);
    propose(&mut engine, &addresses[WAITING_MAX..], NOW + 1);
    assert_eq!((machine.state(2), machine.state(3)), (State::Expired, State::Waiting));
    engine.tick(NOW + 86_399).unwrap();
    assert_eq!(machine.state(3), State::Waiting);
    engine.tick(NOW + 86_399 + AGAIN_S).unwrap();
    assert_eq!(machine.state(3), State::Expired);
    assert!(machine.blocked().is_empty());
}

#[test]
fn two_hundred_at_once_are_decided_in_one_go() {
    let machine = Machine::default();
    let yaml = ARMED.replace("enabled: true}", "enabled: true, per_hour: 1000}")
        + "per_hour: {stranger: 1000}\n";
    let mut engine = machine.engine(&yaml);
    let many: Vec<Case> = (0..200).map(|n| bad(&format!("198.51.100.{n}"))).collect();
    let all = many.iter().flat_map(|one| proposals(one, NOW, &engine.policy, &known())).collect();
    let decided = engine.propose(all, &calm(), NOW).unwrap();
    assert_eq!(decided.iter().filter(|one| one.outcome == Outcome::Act).count(), 200);
    assert_eq!(machine.blocked().len(), 200);
    assert_eq!(*machine.host.asked.lock().unwrap(), ["block 200"], "one transaction");
}

#[path = "engine_crash_tests.rs"]
mod crashes;
