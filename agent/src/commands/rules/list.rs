//! `wardmote rules list`: what rules there are, and what can feed them here.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use parsers::rules::sigma::{Header, Logsource};
use scanner::RootedTree;
use scanner::logs::matcher::{Reference, RuleSet};
use scanner::logs::story::severity;
use serde_json::json;

use super::feeds::Logs;
use super::test::rule_set;
use crate::commands::{Global, filters};
use crate::exit::{self, Exit};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sigma rules: files or directories [default: the built-in rules]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Whose logs can feed them: a mounted tree instead of this host
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// How to show them
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Only the texts of which a line has to hold one for any rule that needs some, one a line, as
    /// `rg --ignore-case --file` takes them
    #[arg(long, conflicts_with_all = ["root", "format"])]
    literals: bool,
    /// With --literals: a fail2ban filter beside the rules, as `sweep` takes it
    #[arg(long, value_name = "NAME|PATH[…]", requires = "literals")]
    filter: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

/// One line of the list.
struct Entry<'a> {
    header: &'a Header,
    /// The log sources of the rule, or of those below a correlation.
    sources: Vec<String>,
    fed_by: Vec<&'a str>,
    correlation: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    if args.literals {
        let text = literals(args)?;
        crate::output::write(global.output.as_deref(), text.as_bytes())?;
        return Ok(Exit::Clean);
    }
    let rules = rule_set(&super::files(&args.paths)?)?;
    let tree = RootedTree::open(&args.root).map_err(|error| {
        exit::hinted(format!("{}: {error}", args.root.display()), "--root names a directory")
    })?;
    let logs = Logs::of(&tree);
    let mut entries = entries(&rules, &logs, &args.paths);
    entries.sort_by(|a, b| a.header.key().cmp(b.header.key()));
    let text = match args.format {
        Format::Text => as_text(&entries),
        Format::Jsonl => as_lines(&entries)?,
    };
    crate::output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(Exit::Clean)
}

/// The required texts as regular expressions, one a line.
fn literals(args: &Args) -> anyhow::Result<String> {
    let tree = RootedTree::open(Path::new("/"))?;
    let now = jiff::Timestamp::now().as_second();
    let files = super::files(&args.paths)?;
    let mut texts = rule_set(&files)?.required_texts();
    for filter in &args.filter {
        let needed = filters::load(&tree, filter, now)?.needed().unwrap_or_default();
        texts.extend(needed.iter().map(|text| text.to_ascii_lowercase()));
    }
    Ok(texts.iter().map(|text| escaped(text) + "\n").collect())
}

/// A text as a regular expression on one line, whatever its bytes.
fn escaped(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) if !text.contains(char::is_control) => regex::escape(text),
        _ => text.iter().map(|byte| format!(r"(?-u:\x{byte:02x})")).collect(),
    }
}

fn entries<'a>(rules: &'a RuleSet, logs: &'a Logs, paths: &[PathBuf]) -> Vec<Entry<'a>> {
    // Built-in rules may have been loaded because the user's refer to them.
    let asked =
        |header: &Header| paths.is_empty() || !header.place.file.starts_with("content/rules/");
    let single = rules.rules.iter().map(|compiled| Entry {
        header: &compiled.rule.header,
        sources: vec![words(&compiled.rule.logsource)],
        fed_by: logs.feeding(&compiled.rule.logsource),
        correlation: false,
    });
    let correlated = rules.correlations.iter().enumerate().map(|(index, correlated)| {
        let mut below = Vec::new();
        gather(rules, Reference::Correlation(index), &mut below);
        let mut sources: Vec<String> = below.iter().map(|logsource| words(logsource)).collect();
        sources.sort();
        sources.dedup();
        // Each of its rules has to be fed.
        let mut fed_by = Vec::new();
        let each: Vec<Vec<&str>> = below.iter().map(|one| logs.feeding(one)).collect();
        if each.iter().all(|names| !names.is_empty()) {
            fed_by = each.concat();
            fed_by.sort_unstable();
            fed_by.dedup();
        }
        Entry { header: &correlated.correlation.header, sources, fed_by, correlation: true }
    });
    single.chain(correlated).filter(|entry| asked(entry.header)).collect()
}

/// The log sources below a reference; ends because a correlation reads what stands before it.
fn gather<'a>(rules: &'a RuleSet, of: Reference, found: &mut Vec<&'a Logsource>) {
    match of {
        Reference::Rule(index) => found.push(&rules.rules[index].rule.logsource),
        Reference::Correlation(index) => {
            for below in &rules.correlations[index].reads {
                gather(rules, *below, found);
            }
        }
    }
}

/// `linux sshd`, `webserver`.
fn words(logsource: &Logsource) -> String {
    let parts = [&logsource.product, &logsource.category, &logsource.service];
    parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
}

fn as_text(entries: &[Entry<'_>]) -> String {
    let width = |of: &dyn Fn(&Entry<'_>) -> usize| entries.iter().map(of).max().unwrap_or(0);
    let shown = |text: &str| scanner::redact::printable(text);
    let name = width(&|entry| entry.header.key().chars().count()).min(48);
    let source = width(&|entry| entry.sources.join(", ").chars().count()).min(32);
    let mut out = String::new();
    for entry in entries {
        let level = severity(entry.header.level).to_string();
        let fed = match entry.fed_by.as_slice() {
            [] => "-".to_string(),
            [one] => shown(one),
            [one, rest @ ..] => format!("{} +{}", shown(one), rest.len()),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{level:<8}  {:<name$}  {:<source$}  {fed:<26}  {}",
            shown(entry.header.key()),
            shown(&entry.sources.join(", ")),
            shown(&entry.header.title),
        );
    }
    let idle = entries.iter().filter(|entry| entry.fed_by.is_empty()).count();
    let _ = writeln!(out, "rules: {}, fed by no log that is here: {idle}", entries.len());
    out
}

fn as_lines(entries: &[Entry<'_>]) -> anyhow::Result<String> {
    let mut out = String::new();
    for entry in entries {
        let header = entry.header;
        let line = json!({
            "id": header.id,
            "name": header.key(),
            "level": severity(header.level),
            "kind": if entry.correlation { "correlation" } else { "rule" },
            "sources": entry.sources,
            "fed_by": entry.fed_by,
            "title": header.title,
            "file": *header.place.file,
            "line": header.place.line,
        });
        out += &serde_json::to_string(&line)?;
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_and_matches_itself() {
        for text in [&b"a.b*c"[..], b"two\nlines", b"\xff\x00x", "\u{e9}".as_bytes(), b" [x] "] {
            let source = escaped(text);
            assert!(!source.contains('\n'), "{source}");
            let regex = regex::bytes::Regex::new(&source).unwrap();
            let found = regex.find(text).map(|found| found.as_bytes());
            assert_eq!(found, Some(text), "{source}");
        }
    }
}
