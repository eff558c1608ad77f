//! What the tests of every daemon share: which seeds, and what to do without the daemon.

use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The seeds to try: `default` of them, or those of `WARDMOTE_DAEMON_SEEDS` (`FROM..TO`).
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WARDMOTE_DAEMON_SEEDS") else { return 0..default };
    let (from, to) = text.split_once("..").expect("WARDMOTE_DAEMON_SEEDS is FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

/// Whether a program is here; skips loudly without it, and fails where peers are required.
pub fn has(program: &str) -> bool {
    let here = Command::new("sh")
        .args(["-c", "PATH=$PATH:/usr/sbin:/sbin command -v \"$0\"", program])
        .output()
        .is_ok_and(|output| output.status.success());
    if !here {
        missing(&format!("no {program} here"));
    }
    here
}

/// Says that a test is skipped, or fails where peers are required.
pub fn missing(what: &str) {
    let required = std::env::var("WARDMOTE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{what}");
    eprintln!("SKIPPED: {what}");
}

/// What a case came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both accept it and read the same.
    Accepted,
    /// Both refuse it.
    Refused,
}

/// Runs every seed on two threads; how many both accept and both refuse. Fails on any difference.
pub fn agree(
    seeds: std::ops::Range<u64>,
    one: impl Fn(u64) -> Result<Verdict, String> + Sync,
) -> (u64, u64) {
    let total = seeds.end - seeds.start;
    let (next, accepted) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match one(seed) {
                        Ok(Verdict::Accepted) => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                        Ok(Verdict::Refused) => {}
                        Err(difference) => {
                            failures.lock().unwrap().push(format!("seed {seed}: {difference}"));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let shown: Vec<&str> = failures.iter().take(5).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {total} differ\n{}", failures.len(), shown.join("\n"));
    let accepted = accepted.into_inner();
    (accepted, total - accepted)
}

/// Both streams of a program as text, stderr last.
pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
