//! Every configuration grammar against every hostile input: each ends within a bound of time and memory,
//! none panics, and whatever was not read whole is told (a problem with a place, an unread file, or a
//! refusal). A grammar that is not in the table makes the test fail.
//!
//! Each grammar has a process of its own, because the peak of memory is a process's. In debug builds the
//! inputs whose cost is a step for each byte or entry are smaller; `cargo test --release` has them whole.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod crowd;
mod documents;
mod grammars;
mod inputs;
mod measure;
mod services;
mod shared;
mod wants;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;

use grammars::{Grammar, NOT_GRAMMARS, all};

#[test]
fn every_grammar_is_in_the_table() {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/mod.rs");
    let text = std::fs::read_to_string(list).unwrap();
    let modules: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("pub(crate) mod ")))
        .filter_map(|rest| rest.strip_suffix(';'))
        .collect();
    let tested: BTreeSet<&str> = all().iter().map(|grammar| grammar.module).collect();
    let known: BTreeSet<&str> = tested.iter().chain(NOT_GRAMMARS).copied().collect();
    assert!(modules.len() > 20, "{list} is read wrongly: {modules:?}");
    let missing: Vec<_> = modules.difference(&known).collect();
    assert!(missing.is_empty(), "without hostile inputs: {missing:?}; add them to grammars.rs");
    let outside = |name: &&&str| !modules.contains(**name) && !grammars::ELSEWHERE.contains(*name);
    let gone: Vec<_> = known.iter().filter(outside).collect();
    assert!(gone.is_empty(), "in the table, but not in {list}: {gone:?}");
}

/// Names the grammar that a child process is to try.
const CHILD: &str = "WARDMOTE_HOSTILE_GRAMMAR";

#[test]
fn hostile_inputs_end_in_a_bounded_and_clear_outcome() {
    if let Ok(name) = std::env::var(CHILD) {
        return child(&name);
    }
    let failures = Mutex::new(Vec::new());
    let waiting = Mutex::new(all());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(grammar) = waiting.lock().unwrap().pop() else { return };
                    if let Err(failure) = in_a_child(&grammar) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Tries one grammar in a process of its own: a stack that overflows or memory that grows is then its.
fn in_a_child(grammar: &Grammar) -> Result<(), String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile_inputs_end_in_a_bounded_and_clear_outcome", "--nocapture"])
        .env(CHILD, grammar.name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    eprint!("{said}");
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}\n{said}", grammar.name, output.status)),
    }
}

fn child(name: &str) {
    let grammar = all().into_iter().find(|grammar| grammar.name == name).unwrap();
    let mut failures = Vec::new();
    if let Some(shared) = &grammar.shared {
        shared::run(&grammar, shared, &mut failures);
    }
    inputs::files(&grammar, &mut failures);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
