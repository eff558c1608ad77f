//! Templates of recorded and made logs: how well messages are grouped, and that it does not matter how a
//! log is cut.
#![allow(clippy::unwrap_used)] // helpers of tests too

mod corpora;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::tz::TimeZone;
use parsers::time::Clock;
use proptest::prelude::*;
use scanner::logs::conceal::Concealer;
use scanner::logs::features::{Baseline, Observed, Observer};
use scanner::logs::templates::{Census, Known};

use corpora::corpus;

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

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// What a sweep of one file observes that is cut into parts of so many lines.
fn observed(text: &str, lines: usize, baseline: Option<Baseline>) -> Observed {
    let mut observer = Observer::new(baseline);
    let clock = Clock::new(TimeZone::posix(BERLIN).unwrap(), 2023);
    let source = observer.source("/var/log/made.log", clock, 0);
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let mut offset = 0;
    for part in all.chunks(lines) {
        let part = part.concat();
        observer.merge(source, &Census::of_part(part.as_bytes(), offset));
        offset += part.len() as u64;
    }
    observer.finish(&[], &Concealer::default())
}

fn same(a: &Observed, b: &Observed, what: &str) {
    assert_eq!(a.counts, b.counts, "{what}");
    assert_eq!(a.detections, b.detections, "{what}");
    assert_eq!(a.baseline, b.baseline, "{what}");
}

#[test]
fn how_a_recorded_log_is_cut_does_not_matter() {
    for name in ["loghub/OpenSSH_2k.log", "loghub/Apache_2k.log", "web/acunetix.txt"] {
        let Some(path) = corpus(name) else { return };
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let whole = observed(&text, usize::MAX, None);
        assert!(whole.counts.templates > 0);
        for lines in [1, 2, 3, 17, 500] {
            same(&observed(&text, lines, None), &whole, &format!("{name} by {lines} lines"));
        }
    }
}

/// A line of a log in which everything happens: many words, hours, steps back, serials, requests.
fn line() -> impl Strategy<Value = String> {
    let stamp =
        (28_u32..31, 0_u32..4, 0_u32..60, 0_u32..60).prop_map(|(day, hour, minute, second)| {
            format!("Oct {day} {hour:02}:{minute:02}:{second:02}")
        });
    let word = "[a-c][x-z]";
    let message = prop_oneof![
        (word, word, word).prop_map(|(a, b, c)| format!("prog: service {a} told {b} about {c}")),
        (word, word).prop_map(|(a, b)| format!("prog: job {a} of queue {b} ended well")),
        (0_u8..4, word)
            .prop_map(|(a, b)| format!("dovecot: auth failed for user {b} from 192.0.2.{a}")),
        (0_u8..4, word).prop_map(|(a, b)| format!("dovecot: user {b} logged in from 192.0.2.{a}")),
        (word, word).prop_map(|(a, b)| format!("{a}: {b}")),
    ];
    let serial = (0_i64..4, 100_u64..400).prop_map(|(hour, serial)| {
        format!("type=LOGIN msg=audit({}.1:{serial}): res=1", 1_698_450_000 + hour * 3600)
    });
    let request = (0_u32..4, word, "[a'<]{1,3}").prop_map(|(hour, name, value)| {
        format!("192.0.2.7 - - [29/Oct/2023:0{hour}:00:00 +0200] \"GET /p?{name}={value} HTTP/1.1\" 200 5")
    });
    prop_oneof![
        8 => (stamp, message).prop_map(|(stamp, message)| format!("{stamp} h {message}")),
        1 => serial,
        1 => request,
        1 => Just(String::new()),
        1 => Just("no form at all".to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn how_any_log_is_cut_does_not_matter(
        mut lines in proptest::collection::vec(line(), 1..300),
        sorted in any::<bool>(),
        size in 1_usize..40,
    ) {
        if sorted {
            lines.sort();
        }
        let text = lines.join("\n") + "\n";
        let (first, second) = text.split_at(text.len() / 2);
        let cut = first.rfind('\n').map_or(0, |at| at + 1);
        let (first, second) = (&text[..cut], [&first[cut..], second].concat());
        let whole = observed(first, usize::MAX, None);
        same(&observed(first, size, None), &whole, "first sweep");
        let known = Baseline::from_text(&whole.baseline.to_text());
        prop_assert_eq!(known.as_ref(), Some(&whole.baseline));
        let whole = observed(&second, usize::MAX, known.clone());
        same(&observed(&second, size, known), &whole, "second sweep");
    }
}
