//! All cases of yaml-test-suite (its data branch): the events of the valid ones, JSON where it is given,
//! and the rejection of every error case. The suite lies in `$WARDMOTE_CORPORA/yaml-test-suite`.

use std::path::{Path, PathBuf};

use parsers::config::yaml::{Tags, Tree};
use serde_json::Value;

/// Folders with an `in.yaml`: `ID/` or `ID/00`.
fn cases() -> Vec<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora");
    let root = std::env::var_os("WARDMOTE_CORPORA").map_or(default.into(), PathBuf::from);
    let suite = root.join("yaml-test-suite");
    let mut cases = Vec::new();
    for id in folders(&suite) {
        if id.join("in.yaml").exists() {
            cases.push(id);
        } else {
            cases.extend(folders(&id).into_iter().filter(|case| case.join("in.yaml").exists()));
        }
    }
    if cases.is_empty() {
        eprintln!("skipped: no yaml-test-suite in {} (set WARDMOTE_CORPORA)", root.display());
    }
    cases
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // `name` and `tags` hold links to the cases.
    all.retain(|path| path.is_dir() && !path.ends_with("name") && !path.ends_with("tags"));
    all.sort();
    all
}

/// One JSON value after another. `.inf` and the like have none there.
fn json(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text).into_iter().map(Result::unwrap).collect()
}

/// Equal as JSON, where 450 and 450.00 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => same_all(a, b),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

fn same_all(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

#[derive(Default)]
struct Score {
    agree: usize,
    all: usize,
    differ: Vec<String>,
}

impl Score {
    fn add(&mut self, case: &Path, agrees: bool, how: impl FnOnce() -> String) {
        self.all += 1;
        if agrees {
            self.agree += 1;
        } else {
            self.differ.push(format!("{}: {}", case.display(), how()));
        }
    }
}

#[test]
fn every_case_of_the_suite_agrees() {
    let cases = cases();
    let (mut events, mut values, mut errors) = <(Score, Score, Score)>::default();
    for case in &cases {
        let text = std::fs::read(case.join("in.yaml")).unwrap();
        let read = Tree::read(&text);
        if case.join("error").exists() {
            let how = || read.as_ref().map_or(String::new(), |tree| tree.events());
            errors.add(case, read.is_err(), || format!("accepted\n{}", how()));
            continue;
        }
        let expected = std::fs::read_to_string(case.join("test.event")).unwrap();
        let seen = read.as_ref().map_or_else(ToString::to_string, Tree::events);
        events.add(case, seen == expected, || format!("\n{seen}--- expected\n{expected}"));
        let (Ok(expected), Ok(tree)) = (std::fs::read_to_string(case.join("in.json")), read) else {
            continue;
        };
        let seen = tree.to_json(Tags::Dropped);
        let agrees = seen.as_ref().is_ok_and(|seen| same_all(seen, &json(&expected)));
        values.add(case, agrees, || format!("{seen:?}\n--- expected\n{expected}"));
    }
    if cases.is_empty() {
        return;
    }
    println!(
        "yaml-test-suite: events {}/{}, JSON {}/{}, rejected {}/{}",
        events.agree, events.all, values.agree, values.all, errors.agree, errors.all
    );
    let differ = [events.differ, values.differ, errors.differ].concat();
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    assert_eq!(events.all + errors.all, 402);
}
