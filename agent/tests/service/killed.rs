//! Killed with SIGKILL at random moments while attacks are written: every attack is kept and told, once; the
//! journal holds together; each start is fast. `WARDMOTE_TEST_KILLS` asks for more kills than those that always
//! happen (`cargo xtask service-torture`: 1,000 in a release build).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::stage::{Stage, attack, can_unshare, holds};

/// How long the service may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// Longest life, in milliseconds.
const LIFE_MS: u64 = 2_500;

#[test]
fn a_killed_service_loses_nothing_and_tells_nothing_twice() {
    if !can_unshare() {
        return;
    }
    let kills = std::env::var("WARDMOTE_TEST_KILLS").ok();
    let kills: u32 = kills.map_or(6, |text| text.parse().unwrap());
    let mut stage = Stage::new(88_172_645_463_325_252);
    let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let writer = {
        let (log, over, written) =
            (stage.path("log/auth.log"), Arc::clone(&over), Arc::clone(&written));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                attack(&log, written.fetch_add(1, Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(100));
            }
        })
    };
    for _ in 0..kills {
        let mut child = stage.start();
        std::thread::sleep(Duration::from_millis(stage.below(LIFE_MS)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let attacks = written.load(Ordering::Relaxed);
    let child = stage.start();
    stage.wait_for_attacks(attacks);
    stage.stop(child);
    holds(&stage, attacks);
    println!("{kills} kills, {attacks} attacks, slowest start {:.0?}", stage.slowest);
    assert!(stage.slowest < READY_WITHIN, "{:?}", stage.slowest);
}
