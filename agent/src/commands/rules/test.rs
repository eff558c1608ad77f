//! `wardmote rules test`: does each rule fire on its samples, and stay silent on the others?
//!
//! A log is swept as a file is, so that a sample shows what a sweep would: it is written into a
//! directory that only this user may enter, and that is removed again.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use parsers::rules::sigma;
use scanner::RootedTree;
use scanner::logs::{RuleSet, SweepOptions, content, source, sweep};
use serde_yaml::Value;

use super::RuleFile;
use super::outline::Outline;
use super::samples::{self, Sample, Wanted};
use crate::commands::{Global, rule_files};
use crate::exit::{self, Exit};

/// Year of stamps that name none: a leap year, so that every day exists.
const YEAR: i16 = 2024;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sigma rules: files or directories [default: the built-in rules]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    let files = super::files(&args.paths)?;
    let rules = rule_set(&files)?;
    let asked = names(&files, &rules);
    let samples = gather(&files)?;
    let bench = Bench::new()?;
    let mut out = String::new();
    let mut wrong = 0;
    for sample in &samples {
        let fired = asked.contains(&sample.rule).then(|| bench.fired(&sample.log, &rules));
        let fired = fired.transpose()?;
        let said = match (fired, sample.wanted) {
            (None, _) => "is no rule of these files",
            (Some(seen), Wanted::Fires) if !seen.contains(&sample.rule) => {
                "is silent where it should fire"
            }
            (Some(seen), Wanted::Silent) if seen.contains(&sample.rule) => {
                "fires where it should be silent"
            }
            _ => continue,
        };
        wrong += 1;
        let last = sample.log.lines().last().unwrap_or_default();
        let rule = scanner::redact::printable(&sample.rule);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}: {rule} {said}", sample.place);
        let _ = writeln!(out, "    {}", scanner::redact::line(last));
    }
    let with: BTreeSet<&str> = samples.iter().map(|sample| sample.rule.as_str()).collect();
    let bare: Vec<&String> = asked.iter().filter(|name| !with.contains(name.as_str())).collect();
    let _ = writeln!(
        out,
        "rules: {}, logs: {}, not as they should be: {wrong}, rules without logs: {}",
        asked.len(),
        samples.len(),
        bare.len()
    );
    if global.verbose > 0 {
        bare.iter().for_each(|name| out += &format!("without logs: {name}\n"));
    }
    crate::output::write(global.output.as_deref(), out.as_bytes())?;
    Ok(if wrong == 0 { Exit::Clean } else { Exit::Found })
}

/// The rules of these files; with the built-in ones, where they refer to them.
pub(super) fn rule_set(files: &[RuleFile]) -> anyhow::Result<RuleSet> {
    let mut documents = Vec::new();
    for file in files {
        let found = sigma::parse(&file.name, file.text.as_bytes()).map_err(|problem| {
            exit::hinted(problem.to_string(), "`wardmote rules lint` says all that is wrong")
        })?;
        documents.extend(found);
    }
    if let Ok(rules) = RuleSet::new(documents.clone()) {
        return Ok(rules);
    }
    let mut together = content::documents()?;
    together.extend(documents.clone());
    match RuleSet::new(together) {
        Ok(rules) => Ok(rules),
        // What is wrong by itself says more than what is wrong with both.
        Err(_) => rule_files::rule_set(documents, Vec::new()),
    }
}

/// The keys of the rules that these files hold.
fn names(files: &[RuleFile], rules: &RuleSet) -> BTreeSet<String> {
    let single = rules.rules.iter().map(|compiled| &compiled.rule.header);
    let correlated = rules.correlations.iter().map(|correlated| &correlated.correlation.header);
    let own = single
        .chain(correlated)
        .filter(|header| files.iter().any(|file| file.name == header.place.file));
    own.map(|header| header.key().to_string()).collect()
}

/// Every sample, in the order of the files.
fn gather(files: &[RuleFile]) -> anyhow::Result<Vec<Sample>> {
    let hinted = |problem: parsers::place::Problem| {
        exit::hinted(problem.to_string(), "a sample file is a list of `rule`, `fires`, `silent`")
    };
    let mut found = Vec::new();
    for file in files {
        if let Some((name, text)) = &file.samples {
            found.extend(samples::of_file(name, text).map_err(hinted)?);
        }
        for document in Outline::documents(&file.name, &file.text) {
            let Ok(value) = serde_yaml::from_str::<Value>(document.text) else { continue };
            let Some(carried) = value.get(samples::KEY) else { continue };
            let text = |key: &str| value.get(key).and_then(Value::as_str);
            let rule = text("name").or(text("id")).or(text("title")).unwrap_or_default();
            let place = document.at(&[samples::KEY]);
            found.extend(samples::of_rule(rule, &place, carried).map_err(hinted)?);
        }
    }
    Ok(found)
}

/// Where logs are laid out to be swept.
struct Bench {
    directory: PathBuf,
    tree: RootedTree,
}

impl Bench {
    /// A new directory; a few names are tried, so that a left one does no harm.
    fn new() -> anyhow::Result<Self> {
        let base = std::env::temp_dir();
        for attempt in 0..16 {
            let directory = base.join(format!("wardmote-rules-{}-{attempt}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => {
                    let tree = RootedTree::open(&directory)?;
                    return Ok(Self { directory, tree });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let message = format!("{}: {error}", directory.display());
                    return Err(exit::hinted(message, "TMPDIR names a directory to write to"));
                }
            }
        }
        let message = format!("{}: no free name for a directory", base.display());
        Err(exit::hinted(message, "remove what earlier runs left"))
    }

    /// The rules that saw something in a log.
    fn fired(&self, log: &str, rules: &RuleSet) -> anyhow::Result<BTreeSet<String>> {
        std::fs::write(self.directory.join("log"), log)?;
        let found = source::named(&self.tree, &["/log".into()]);
        let now = jiff::Timestamp::now().as_second();
        let options = SweepOptions { year: Some(YEAR), ..SweepOptions::new(now) };
        let outcome = sweep(&self.tree, found, None, rules, &options, None);
        let shown = outcome.detections.into_iter().flat_map(|d| d.also.into_iter().chain([d.rule]));
        Ok(shown.chain(outcome.activity.into_iter().map(|seen| seen.rule)).collect())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.directory.join(Path::new("log")));
        // Empty but for the log: anything else in it is not ours.
        let _ = std::fs::remove_dir(&self.directory);
    }
}
