//! A disk that is full, and calls that fail: no panic, nothing corrupt, visible in `status`, and over when space
//! returns. `WARDMOTE_TEST_FAULTS=all` lets every call fail in turn instead of some (`cargo xtask
//! service-torture`).

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::stage::{Stage, attack, can_unshare, holds};

/// Waits until `status` says so.
fn status_says(stage: &Stage, what: impl Fn(&str) -> bool) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let status = stage.wardmote(&["status"]);
        if what(&status) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{status}\n{}", stage.said()));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_full_disk_is_told_and_what_came_meanwhile_is_kept_when_space_returns() {
    if !can_unshare() {
        return;
    }
    let mut stage = Stage::new(1);
    let state = stage.path("state");
    std::fs::create_dir(&state).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"])
        .arg(&state)
        .status();
    assert!(mounted.unwrap().success());
    let unmount = scopeguard(&state);
    let child = stage.start();
    attack(&stage.path("log/auth.log"), 0);
    stage.wait_for_attacks(1);
    let filler = state.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    for number in 1..4 {
        attack(&stage.path("log/auth.log"), number);
    }
    status_says(&stage, |status| status.contains("TROUBLE") && status.contains("is running"))
        .unwrap();
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    stage.wait_for_attacks(4);
    status_says(&stage, |status| !status.contains("TROUBLE")).unwrap();
    stage.stop(child);
    holds(&stage, 4);
    assert!(!stage.said().contains("panicked"), "{}", stage.said());
    drop(unmount);
}

/// Unmounts when the test ends, however it does.
struct Unmount<'a>(&'a std::path::Path);

fn scopeguard(path: &std::path::Path) -> Unmount<'_> {
    Unmount(path)
}

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// Calls that write.
const CALLS: [&str; 6] = ["write", "pwrite64", "fdatasync", "fsync", "/^rename", "ftruncate"];
/// Which of a thread's calls fails where only some do.
const SOME: [u32; 2] = [3, 9];
/// The same where all do; few threads make more in so short a life.
const ALL_MAX: u32 = 60;
/// So many services run at once where all calls fail in turn: they mostly wait.
const AT_ONCE: usize = 6;

#[test]
fn whatever_call_fails_the_service_goes_on_or_starts_again_and_nothing_is_lost() {
    if !can_unshare() || !has_strace() {
        return;
    }
    let all = std::env::var("WARDMOTE_TEST_FAULTS").is_ok_and(|value| value == "all");
    let calls = if all { &CALLS[..] } else { &CALLS[1..3] };
    let kinds = calls.iter().flat_map(|call| ["ENOSPC", "EIO"].map(|error| (*call, error)));
    let left = Mutex::new(kinds.collect::<Vec<_>>());
    let next = || left.lock().unwrap().pop();
    let failed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..if all { AT_ONCE } else { 1 } {
            scope.spawn(|| {
                while let Some((call, error)) = next() {
                    let count = match all {
                        true => every_fault(call, error),
                        false => {
                            SOME.iter().filter(|place| one_fault(call, error, **place)).count()
                        }
                    };
                    println!("{call}: {count} failed with {error}");
                    failed.fetch_add(count as u32, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(failed.into_inner() > 0);
}

/// Lets the first call of each thread fail, then the second, and so on, until no thread makes so many.
fn every_fault(call: &str, error: &str) -> usize {
    let (mut failed, mut missed) = (0, 0);
    for place in 1..=ALL_MAX {
        match one_fault(call, error, place) {
            true => (failed, missed) = (failed + 1, 0),
            false => missed += 1,
        }
        if missed == 3 {
            break;
        }
    }
    failed
}

fn has_strace() -> bool {
    let has = Command::new("strace").arg("-V").output().is_ok();
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(has || !required, "strace is needed");
    if !has {
        eprintln!("SKIPPED: strace is not installed");
    }
    has
}

/// One life in which a thread's call of this number fails, and one in which nothing does; whether any did. What is
/// no file (a socket, an event) does not fail for want of space: its panics do not count.
fn one_fault(call: &str, error: &str, place: u32) -> bool {
    let mut stage = Stage::new(1);
    let log = stage.path("strace");
    let inject = format!("inject={call}:error={error}:when={place}");
    stage.under = [
        "strace",
        "-f",
        "-y",
        "--quiet=all",
        "-o",
        log.to_str().unwrap(),
        "-e",
        &format!("trace={call}"),
        "-e",
        &inject,
    ]
    .map(str::to_string)
    .to_vec();
    let begun = stage.try_start();
    attack(&stage.path("log/auth.log"), 0);
    if let Some(mut child) = begun {
        std::thread::sleep(Duration::from_millis(4_500));
        let _ = child.kill();
        let _ = child.wait();
    }
    // strace leaves what it traced running when it is killed.
    stage.kill_all();
    let traced = std::fs::read_to_string(&log).unwrap_or_default();
    let mut injected = traced.lines().filter(|line| line.contains("(INJECTED)")).peekable();
    let any = injected.peek().is_some();
    let ours = stage.path("");
    if injected.all(|line| line.contains(ours.to_str().unwrap())) {
        let said = stage.said();
        let panicked = said.contains("panicked") || said.contains("internal error");
        assert!(!panicked, "{inject}: {said}");
    }
    stage.under.clear();
    let child = stage.start();
    stage.wait_for_attacks(1);
    stage.stop(child);
    holds(&stage, 1);
    any
}
