//! What the differential tests share: dice, seeds from the environment, two threads, and the count of
//! agreements. A peer that is missing is told loudly, and fails under `WARDMOTE_REQUIRE_PEERS=1`.
#![allow(dead_code)] // each test uses a part of it

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod dice;

pub use dice::Dice;

/// How a seed ended.
pub enum Agreement {
    /// Both accept, and what they read is the same.
    Accepted,
    /// Both refuse.
    Refused,
    /// One accepts what the other refuses, for a reason that is known.
    Known(&'static str),
}

/// Whether peers are asked for: then a missing one fails the test.
pub fn skip(missing: &str) {
    let required = std::env::var("WARDMOTE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{missing}");
    eprintln!("SKIPPED: {missing}");
}

/// `FROM..TO` of a variable, or so many from 0.
pub fn seeds(variable: &str, count: u64) -> Range<u64> {
    let Ok(text) = std::env::var(variable) else { return 0..count };
    let (from, to) = text.split_once("..").expect("the variable is FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

/// Runs a program to its end, with nothing on standard input.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).env("LC_ALL", "C").output().expect("the program was there before")
}

/// Asks about every seed on two threads. Any difference fails, known ones past one in a hundred too;
/// so does a test in which hardly anything is accepted, or nothing refused.
pub fn all_agree(
    seeds: Range<u64>,
    scratch: &Path,
    ask: impl Fn(u64, &Path) -> Result<Agreement, String> + Sync,
) {
    let total = seeds.end - seeds.start;
    let next = AtomicU64::new(seeds.start);
    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let known = Mutex::new(BTreeMap::<&str, u64>::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let place = scratch.join(seed.to_string());
                    std::fs::create_dir_all(&place).unwrap();
                    match ask(seed, &place) {
                        Ok(Agreement::Accepted) => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                        Ok(Agreement::Refused) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        Ok(Agreement::Known(why)) => {
                            *known.lock().unwrap().entry(why).or_default() += 1
                        }
                        Err(difference) => {
                            failures.lock().unwrap().push(format!("seed {seed}: {difference}"));
                        }
                    }
                    let _ = std::fs::remove_dir_all(&place);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let most = std::env::var("WARDMOTE_SHOWN").map_or(4, |count| count.parse().unwrap());
    let shown: Vec<&str> = failures.iter().take(most).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {total} differ\n{}", failures.len(), shown.join("\n"));
    let known = known.into_inner().unwrap();
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    eprintln!("{total} agree: {accepted} accepted, {refused} refused by both; known: {known:?}");
    assert!(known.values().sum::<u64>() * 100 <= total, "too many known differences: {known:?}");
    assert!(accepted * 3 > total, "too little is accepted, so too little is compared");
    assert!(refused * 10 > total, "too little is refused");
}
