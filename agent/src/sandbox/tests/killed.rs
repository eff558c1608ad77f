//! Children that die at any moment: nothing is lost, nothing counts twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::settings::Settings;

/// Sums of events by alert, as a store has them: what is judged again after a child has died is only added
/// where no child has, and comes to the same.
fn count(sums: &mut BTreeMap<String, u64>, looked: &crate::service::Looked) {
    let seen = looked.seen.iter().map(|seen| (&seen.fingerprint, seen.count));
    let more = looked.more.iter().map(|more| (&more.fingerprint, more.count));
    for (fingerprint, events) in seen.chain(more) {
        *sums.entry(fingerprint.clone()).or_default() += events;
    }
}

/// Sweeps bursts of failed logins, with children killed meanwhile where that is wanted.
fn swept(kill: bool) -> (BTreeMap<String, u64>, u64, u32) {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings::default();
    let mut look = proxy(root.path(), state.path());
    let (target, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let killer = kill.then(|| {
        let (target, over) = (Arc::clone(&target), Arc::clone(&over));
        std::thread::spawn(move || {
            let (mut killed, mut pause) = (0, 1_u64);
            while !over.load(Ordering::Relaxed) {
                pause = pause * 48_271 % 2_147_483_647;
                std::thread::sleep(Duration::from_micros(pause % 40_000));
                if let Some(pid) =
                    rustix::process::Pid::from_raw(target.load(Ordering::Relaxed).cast_signed())
                {
                    let signal = rustix::process::Signal::KILL;
                    killed += u32::from(rustix::process::kill_process(pid, signal).is_ok());
                    target.store(0, Ordering::Relaxed);
                }
            }
            killed
        })
    });
    let mut sums = BTreeMap::new();
    let mut received = 0;
    for round in 0..12 {
        append(root.path(), &failures(round * 40, 20, &format!("192.0.2.{}", round % 3)));
        for _ in 0..60 {
            // Only a child that is ours and not reaped yet is aimed at: the proxy reaps it in this thread.
            target.store(look.child().unwrap_or(0), Ordering::Relaxed);
            let looked = look.sweep(&settings);
            target.store(0, Ordering::Relaxed);
            look.forget_failures();
            let Ok(looked) = looked else { continue };
            look.keep_place().unwrap();
            look.told(&looked.cases);
            count(&mut sums, &looked);
            received = looked.tally.received;
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    let killed = killer.map_or(0, |killer| killer.join().unwrap());
    (sums, received, killed)
}

#[test]
fn children_that_die_lose_nothing_and_double_nothing() {
    let (calm, received, _) = swept(false);
    assert!(!calm.is_empty() && received > 0);
    let (stormy, in_all, killed) = swept(true);
    assert!(killed > 2, "only {killed} children were killed");
    assert_eq!((stormy, in_all), (calm, received));
}
