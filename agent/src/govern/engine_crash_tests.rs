//! Crashes at every point, and what the next start makes of them.

use super::*;
use crate::store::responses::tests::request;
use crate::store::sqlite::SqliteStore;

/// Crashes after every single change of the store and of the host, then starts again.
#[test]
fn a_crash_anywhere_leaves_nothing_done_that_is_not_written_down() {
    let yaml = format!(
        "{ARMED}automatic_up_to: critical\nper_hour: {{own: 9}}\ncommands:\n\
         - {{name: x, run: [/x, '{{ip}}'], undo: [/y, '{{ip}}'], from: high, reach: one, restores: all}}\n"
    );
    let story = |machine: &Machine| {
        let mut engine = machine.engine(&yaml);
        propose(&mut engine, &[bad("192.0.2.7"), bad("192.0.2.8")], NOW);
        let _ = engine.confirm(1, &ann(), NOW + 1);
        let _ = engine.deny(2, &ann(), NOW + 2);
        engine.tick(NOW + 600).unwrap();
    };
    let mut crashes = 0;
    for point in 1..1_000 {
        let machine = Machine::default();
        machine.host.left.store(point, Ordering::SeqCst);
        machine.host.crashes.store(true, Ordering::SeqCst);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&machine)));
        machine.host.crashes.store(false, Ordering::SeqCst);
        if ended.is_ok() {
            break;
        }
        crashes += 1;
        let mut engine = machine.engine(&yaml);
        engine.recover(NOW + 700).unwrap();
        let open = engine.store.requests(&State::OPEN, 99).unwrap();
        assert!(open.iter().all(|one| one.state == State::Confirmed), "{point}: {open:?}");
        let targets: Vec<String> = open.iter().map(|one| one.action.target()).collect();
        let running = machine.host.running.lock().unwrap().clone();
        let mut standing = [machine.blocked(), running].concat();
        standing.sort();
        assert_eq!(standing, targets, "{point}: what stands is what is written down");
        engine.tick(NOW + 3_600).unwrap();
        assert!(machine.blocked().is_empty(), "{point}");
    }
    assert!(crashes > 20, "{crashes}");
}

#[test]
fn every_state_that_a_crash_leaves_is_recovered_on_disk_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wardmote.db");
    let mut store = SqliteStore::open(&path, 9).unwrap();
    let all = [State::Waiting, State::Intended, State::Done, State::Confirmed, State::Reverting];
    let requests: Vec<Request> = all
        .iter()
        .enumerate()
        .map(|(n, state)| {
            let began = (*state != State::Waiting).then_some(NOW);
            Request { changed: NOW, ..request(&format!("192.0.2.{n}"), *state, began) }
        })
        .collect();
    store.add(&requests).unwrap();
    drop(store);
    let machine = Machine::default();
    // The host lost all its rules.
    let store = Box::new(SqliteStore::open(&path, 9).unwrap());
    let mut engine = machine.engine(ARMED);
    engine.store = store;
    engine.recover(NOW + 10).unwrap();
    let states: Vec<State> =
        (1..=5).map(|id| engine.store.request(id).unwrap().unwrap().state).collect();
    use State::{Confirmed, Done, Reverted, Waiting};
    assert_eq!(states, [Waiting, Reverted, Done, Confirmed, Reverted]);
    assert_eq!(machine.blocked(), ["192.0.2.2", "192.0.2.3"], "those that hold stand again");
}
