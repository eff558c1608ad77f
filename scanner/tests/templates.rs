//! Templates of recorded and made logs: how well messages are grouped, and that it does not matter how a
//! log is cut.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scanner::logs::templates::{Census, Known};

fn corpus(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var("WARDMOTE_CORPORA").unwrap_or_else(|_| default.into());
    let path = Path::new(&root).join(name);
    if path.exists() {
        return Some(path);
    }
    assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no corpora");
    println!("skipped: no corpus at {}", path.display());
    None
}

/// The template of every line, by the position that it has in the end.
fn groups(text: &[u8], known: &mut Known) -> Vec<Option<u32>> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut placed = Vec::new();
    for line in &lines {
        let census = Census::of_part(line, 0);
        let shape = &census.shapes[0];
        let program = known.program(&census.programs[shape.program as usize]);
        placed.push(known.place(program, shape));
    }
    placed.into_iter().map(|at| at.map(|at| known.root(at))).collect()
}

/// The groups of the truth, by the column `EventId` of a CSV file.
fn truth(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = text.lines().map(|line| {
        let (mut cells, mut quoted) = (vec![String::new()], false);
        for letter in line.chars() {
            match letter {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                letter => cells.last_mut().unwrap().push(letter),
            }
        }
        cells
    });
    let head = rows.next().unwrap();
    let column = head.iter().position(|name| name == "EventId").unwrap();
    rows.map(|cells| cells[column].clone()).collect()
}

/// The share of lines whose group is exactly the truth's.
fn accuracy(found: &[Option<u32>], truth: &[String]) -> f64 {
    assert_eq!(found.len(), truth.len());
    let mut by_truth: BTreeMap<&String, BTreeSet<usize>> = BTreeMap::new();
    let mut by_found: BTreeMap<Option<u32>, BTreeSet<usize>> = BTreeMap::new();
    for (line, (found, truth)) in found.iter().zip(truth).enumerate() {
        by_truth.entry(truth).or_default().insert(line);
        by_found.entry(*found).or_default().insert(line);
    }
    let right: usize = by_found
        .values()
        .filter(|lines| by_truth.values().any(|true_lines| true_lines == *lines))
        .map(BTreeSet::len)
        .sum();
    right as f64 / found.len() as f64
}

#[test]
fn recorded_logs_are_grouped_as_their_authors_do() {
    for name in ["OpenSSH_2k", "Apache_2k"] {
        let (Some(log), Some(csv)) = (
            corpus(&format!("loghub/{name}.log")),
            corpus(&format!("loghub/{name}.log_structured.csv")),
        ) else {
            return;
        };
        let mut known = Known::default();
        let found = groups(&std::fs::read(log).unwrap(), &mut known);
        let truth = truth(&csv);
        let accuracy = accuracy(&found, &truth);
        println!("{name}: grouping accuracy {accuracy:.4} with {} templates", known.len());
        for (at, template) in known.templates() {
            let ids: BTreeSet<&String> =
                found.iter().zip(&truth).filter(|(f, _)| **f == Some(at)).map(|(_, t)| t).collect();
            println!("  {} {ids:?} {}", known.id(template), template.text);
        }
        assert!(accuracy >= 0.95, "{name}: {accuracy}");
    }
}
