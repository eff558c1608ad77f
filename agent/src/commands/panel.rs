//! `wardmote panel`: the experts' record, and what the kept findings would be without some of them.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use consensus::learn::{Learnt, learn};
use consensus::outside::PREFIX;
use consensus::{Model, Panel, Severity, trace};
use serde::Serialize;

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;
use crate::settings::state_directory;
use crate::store::cases::{self, Case, Run};
use crate::store::feedback;

/// Most changed findings that are listed.
const CHANGES_MAX: usize = 50;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Judge the kept findings again without an expert and show what changes; may be repeated
    #[arg(long, value_name = "drop=EXPERT", value_parser = dropped)]
    what_if: Vec<String>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

fn dropped(text: &str) -> Result<String, String> {
    match text.strip_prefix("drop=").filter(|name| !name.is_empty()) {
        Some(name) => Ok(name.to_string()),
        None => Err("say drop=EXPERT".into()),
    }
}

/// Shows it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let state = state_directory(global.state_dir.as_deref());
    let runs = cases::runs(&state)?;
    let bytes = if args.what_if.is_empty() {
        let record = Record::of(&state, &runs)?;
        match args.format {
            Format::Text => record.text(),
            Format::Json => serde_json::to_string_pretty(&record)? + "\n",
        }
    } else {
        let changes = Changes::of(&runs, &args.what_if)?;
        match args.format {
            Format::Text => changes.text(),
            Format::Json => serde_json::to_string_pretty(&changes)? + "\n",
        }
    };
    output::write(global.output.as_deref(), bytes.as_bytes())?;
    Ok(Exit::Clean)
}

/// What is known of all experts.
#[derive(Serialize)]
struct Record {
    schema: &'static str,
    /// Kept findings that the opinions are counted over.
    cases: usize,
    /// Clicks that were learnt from.
    clicks: u64,
    /// Clicks beyond a daily budget: they teach nothing.
    beyond: u64,
    /// Clicks that are kept as counts only.
    folded: u64,
    /// Lines of the feedback log that could not be read.
    unread: usize,
    experts: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    expert: String,
    /// Opinions given on the kept findings.
    said: usize,
    hits: u64,
    misses: u64,
    /// Change of the share of hits lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<f64>,
    /// Most nats that it may add, with what was learnt.
    cap: f64,
}

impl Record {
    fn of(state: &std::path::Path, runs: &[(Run, Vec<Case>)]) -> anyhow::Result<Self> {
        let (log, unread) = feedback::read(state)?;
        let learnt = learn(&log, jiff::Timestamp::now().as_second());
        let model = learnt.model();
        let cold = Panel::cold().names();
        let mut said: BTreeMap<&str, usize> = cold.iter().map(|name| (*name, 0)).collect();
        let all = || runs.iter().flat_map(|(_, cases)| cases);
        for opinion in all().flat_map(|case| &case.verdict.opinions) {
            *said.entry(&opinion.expert).or_default() += 1;
        }
        for name in learnt.records.keys() {
            said.entry(name).or_default();
        }
        // The built-in ones in the order in which they are asked, then the others by name.
        let others = said.keys().copied().filter(|name| !cold.contains(name));
        let names: Vec<&str> = cold.iter().copied().chain(others).collect();
        Ok(Self {
            schema: "wardmote.panel/1",
            cases: all().count(),
            clicks: learnt.clicks,
            beyond: learnt.beyond,
            folded: log.folded.as_ref().map_or(0, |folded| folded.clicks),
            unread: unread.count,
            experts: names.iter().map(|name| line(name, said[name], &learnt, &model)).collect(),
        })
    }

    fn text(&self) -> String {
        let widest = self.experts.iter().map(|line| line.expert.len()).max().unwrap_or(0).max(6);
        let mut out = format!(
            "{:<widest$} {:>7} {:>6} {:>7} {:>6} {:>5}\n",
            "expert", "said", "hits", "misses", "trend", "cap"
        );
        for Line { expert, said, hits, misses, trend, cap } in &self.experts {
            let trend = trend.map_or_else(|| "-".into(), |trend| format!("{trend:+.2}"));
            out += &format!(
                "{expert:<widest$} {said:>7} {hits:>6} {misses:>7} {trend:>6} {cap:>5.2}\n"
            );
        }
        out += &format!("kept findings: {}, clicks: {}", self.cases, self.clicks);
        for (count, what) in [
            (self.beyond, "beyond a day's budget"),
            (self.folded, "of them kept as counts only"),
            (self.unread as u64, "lines could not be read"),
        ] {
            if count > 0 {
                out += &format!(", {count} {what}");
            }
        }
        out + "\n"
    }
}

fn line(name: &str, said: usize, learnt: &Learnt, model: &Model) -> Line {
    let record = learnt.records.get(name).copied().unwrap_or_default();
    Line {
        expert: name.to_string(),
        said,
        hits: record.recent.hits + record.before.hits,
        misses: record.recent.misses + record.before.misses,
        trend: record.trend(),
        cap: model.of(name).1,
    }
}

/// What changes without some experts.
#[derive(Serialize)]
struct Changes {
    schema: &'static str,
    without: Vec<String>,
    cases: usize,
    changed: usize,
    /// How many cases went from one level to another.
    moves: Vec<Move>,
    /// The first changed findings, each once.
    findings: Vec<Changed>,
}

#[derive(Serialize)]
struct Move {
    from: Severity,
    to: Severity,
    count: usize,
}

#[derive(Serialize)]
struct Changed {
    id: String,
    title: String,
    from: Severity,
    to: Severity,
}

impl Changes {
    fn of(runs: &[(Run, Vec<Case>)], names: &[String]) -> anyhow::Result<Self> {
        known(runs, names)?;
        let (whole, without) =
            (Panel::cold(), names.iter().fold(Panel::cold(), |p, n| p.without(n)));
        let mut moves: BTreeMap<(Severity, Severity), usize> = BTreeMap::new();
        let mut told = BTreeSet::new();
        let mut changes = Self {
            schema: "wardmote.whatif/1",
            without: names.to_vec(),
            cases: 0,
            changed: 0,
            moves: Vec::new(),
            findings: Vec::new(),
        };
        for (run, cases) in runs {
            let digest = trace::context(&run.context);
            for case in cases {
                let judge = |panel: &Panel, outside| {
                    panel.judge_in(&case.evidence, &run.context, &digest, outside).severity
                };
                let mut heard = case.outside.clone();
                heard.retain(|opinion| !names.contains(&opinion.expert));
                let (from, to) = (judge(&whole, case.outside.clone()), judge(&without, heard));
                changes.cases += 1;
                if from == to {
                    continue;
                }
                changes.changed += 1;
                *moves.entry((from, to)).or_default() += 1;
                if changes.findings.len() < CHANGES_MAX && told.insert(&case.fingerprint) {
                    let (id, title) = (case.fingerprint.clone(), case.evidence.title.clone());
                    changes.findings.push(Changed { id, title, from, to });
                }
            }
        }
        let moved = moves.into_iter().rev();
        changes.moves = moved.map(|((from, to), count)| Move { from, to, count }).collect();
        Ok(changes)
    }

    fn text(&self) -> String {
        let mut out = format!(
            "without {}: {} of {} kept findings change\n",
            self.without.join(", "),
            self.changed,
            self.cases
        );
        for Move { from, to, count } in &self.moves {
            out += &format!("  {from:<8} -> {to:<8} {count}\n");
        }
        for Changed { id, title, from, to } in &self.findings {
            out += &format!("{from:<8} -> {to:<8} {title}  [{id}]\n");
        }
        out
    }
}

/// Refuses names that nobody has: they would change nothing and look like an answer.
fn known(runs: &[(Run, Vec<Case>)], names: &[String]) -> anyhow::Result<()> {
    let built_in = Panel::cold().names();
    let outside: BTreeSet<&str> = runs
        .iter()
        .flat_map(|(_, cases)| cases)
        .flat_map(|case| &case.outside)
        .map(|opinion| opinion.expert.as_str())
        .collect();
    let unknown =
        |name: &&String| !built_in.contains(&name.as_str()) && !outside.contains(name.as_str());
    match names.iter().find(unknown) {
        None => Ok(()),
        Some(name) => {
            let all: Vec<&str> = built_in.into_iter().chain(outside).collect();
            Err(hinted(
                format!("no expert `{name}`"),
                format!("experts are {} (those from outside: {PREFIX}NAME)", all.join(", ")),
            ))
        }
    }
}
