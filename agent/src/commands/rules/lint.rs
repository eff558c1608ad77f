//! `wardmote rules lint`: what does not hold in rule files, each with its place.
//!
//! Says what makes a rule silent, blind or loud without its author noticing: selections that no
//! condition reads, conditions that can never hold, fields that its logs do not have, patterns that
//! match everything, correlations that contradict themselves. What cannot be read at all is said too,
//! and ends nothing: the other documents are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use parsers::place::Place;
use parsers::rules::sigma::{self, Document};
use scanner::logs::{RuleSet, content};
use serde_json::json;
use serde_yaml::{Mapping, Value};

use super::outline::Outline;
use super::{RuleFile, samples};
use crate::commands::Global;
use crate::exit::Exit;

mod correlation;
mod detection;
mod header;

/// Most findings that are shown.
const FINDINGS_MAX: usize = 10_000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sigma rules: files or directories [default: the built-in rules]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to show what does not hold
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    place: Place,
    message: String,
}

/// One document and what is known of it.
struct Subject<'a> {
    outline: Outline<'a>,
    map: Mapping,
}

impl Subject<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    /// By what correlations may call it.
    fn names(&self) -> impl Iterator<Item = &str> {
        [self.text("name"), self.text("id")].into_iter().flatten()
    }
}

/// The names and ids that correlations may refer to, and the fields that their logs have.
type Known = BTreeMap<String, Option<&'static [&'static str]>>;

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    let files = super::files(&args.paths)?;
    let findings = all(&files, args.paths.is_empty())?;
    let mut out = String::new();
    for finding in findings.iter().take(FINDINGS_MAX) {
        out += &shown(finding, args.format)?;
        out.push('\n');
    }
    if args.format == Format::Text {
        out += &format!("files: {}, findings: {}\n", files.len(), findings.len());
    }
    crate::output::write(global.output.as_deref(), out.as_bytes())?;
    Ok(if findings.is_empty() { Exit::Clean } else { Exit::Found })
}

fn shown(finding: &Finding, format: Format) -> anyhow::Result<String> {
    let message = scanner::redact::printable(&finding.message);
    if format == Format::Text {
        return Ok(format!("{}: {message}", finding.place));
    }
    let place = &finding.place;
    let line = json!({
        "file": *place.file, "line": place.line, "column": place.column, "message": message
    });
    Ok(serde_json::to_string(&line)?)
}

/// Everything that does not hold in these files, by place.
fn all(files: &[RuleFile], built_in: bool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut subjects = Vec::new();
    let mut documents = Vec::new();
    for file in files {
        for outline in Outline::documents(&file.name, &file.text) {
            let mut problem = |place: &Place, message: String| {
                findings.push(Finding { place: outline.moved(place), message });
            };
            match sigma::parse(&file.name, outline.text.as_bytes()) {
                Ok(found) => documents.extend(placed(found, &outline)),
                Err(wrong) => problem(&wrong.place, wrong.message),
            }
            if let Ok(Value::Mapping(map)) = serde_yaml::from_str::<Value>(outline.text) {
                subjects.push(Subject { outline, map });
            }
        }
    }
    let mut known = known(&subjects);
    if !built_in {
        known.extend(built_in_names()?);
    }
    for subject in &subjects {
        let mut say = |place: Place, message: String| findings.push(Finding { place, message });
        header::check(subject, &mut say);
        if subject.map.contains_key("correlation") {
            correlation::check(subject, &known, &mut say);
        } else {
            detection::check(subject, &mut say);
        }
        if let Some(value) = subject.map.get(samples::KEY) {
            let place = subject.outline.at(&[samples::KEY]);
            if let Err(wrong) = samples::of_rule("", &place, value) {
                say(wrong.place, wrong.message);
            }
        }
    }
    findings.extend(apart(&documents, built_in));
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// Documents whose places are those of the file again.
fn placed(mut documents: Vec<Document>, outline: &Outline<'_>) -> Vec<Document> {
    for document in &mut documents {
        if let Document::Rule(rule) = document {
            rule.header.place = outline.whole();
        } else if let Document::Correlation(correlation) = document {
            correlation.header.place = outline.whole();
        }
    }
    documents
}

/// What does not hold between the documents: twins and circles. A reference to nothing is said where
/// it is written.
fn apart(documents: &[Document], built_in: bool) -> Vec<Finding> {
    let mut together = documents.to_vec();
    if !built_in {
        together.extend(content::documents().unwrap_or_default());
    }
    let Err(problems) = RuleSet::new(together) else { return Vec::new() };
    let twins = problems.into_iter().filter(|problem| {
        // A rule whose name is its id is no twin of itself.
        let itself = problem.message.ends_with(&format!(" {}", problem.place));
        !itself && !problem.message.starts_with("refers to")
    });
    twins.map(|problem| Finding { place: problem.place, message: problem.message }).collect()
}

fn known(subjects: &[Subject<'_>]) -> Known {
    let of = |subject: &Subject<'_>| {
        let fields = (!subject.map.contains_key("correlation"))
            .then(|| detection::fields(subject))
            .flatten();
        subject.names().map(|name| (name.to_string(), fields)).collect::<Vec<_>>()
    };
    subjects.iter().flat_map(of).collect()
}

/// The built-in rules, to which rules of the user may refer.
fn built_in_names() -> anyhow::Result<Known> {
    let mut known = Known::new();
    for file in super::files(&[])? {
        for outline in Outline::documents(&file.name, &file.text) {
            if let Ok(Value::Mapping(map)) = serde_yaml::from_str::<Value>(outline.text) {
                known.extend(self::known(&[Subject { outline, map }]));
            }
        }
    }
    Ok(known)
}

/// The texts of a list, or the one text.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Sequence(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Names that stand twice in a list.
fn twice<'a>(list: &[&'a str]) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    list.iter().filter(|text| !seen.insert(text.to_lowercase())).copied().collect()
}

#[cfg(test)]
mod tests;
