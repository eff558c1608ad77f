//! Findings with everything that their verdicts were made from, kept so that `explain`, `feedback`,
//! `replay` and `panel` work after the run that judged them.
//!
//! One run, one file of JSON lines in `kept/` of the state directory: first the run (context, model,
//! what had been learnt), then one case a line, worst first. A file appears whole or not at all (mode
//! 0600) under a name that no other run has, so runs need no lock. Each command keeps its last
//! [`RUNS_MAX`] runs within [`BYTES_MAX`]; cases that would make a run longer than [`RUN_BYTES_MAX`]
//! are left out and counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use consensus::{Context, Evidence, Opinion, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::commands::audit::create_private;
use crate::exit::hinted;
use crate::output;
use crate::report::{Learnt, Remediation};
use crate::settings::bounded;

/// The folder in the state directory.
const FOLDER: &str = "kept";
/// Most runs that are kept of one command.
pub const RUNS_MAX: usize = 60;
/// Most bytes of all runs of one command.
pub const BYTES_MAX: u64 = 32 << 20;
/// Most bytes of one run.
pub const RUN_BYTES_MAX: usize = 8 << 20;
/// Least length of the start of an id.
pub const ID_LEAST: usize = 8;
/// Most findings that an ambiguous start lists.
const LISTED_MAX: usize = 10;
/// Temporary files that are older than this were left behind by a run that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(86_400);

/// Who judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// `wardmote audit`.
    Audit,
    /// `wardmote sweep`.
    Sweep,
    /// The service.
    Agent,
}

impl By {
    /// Its name, as in the file's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Sweep => "sweep",
            Self::Agent => "agent",
        }
    }
}

/// What had been learnt when the run judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taught {
    /// Place in the feedback log.
    pub position: u64,
    /// The time as of which it was learnt.
    pub now: i64,
    /// Digest of what it was learnt from, in hex.
    pub digest: String,
}

/// One run: what all its cases share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `wardmote.kept/1`.
    pub schema: String,
    /// The model's name, [`consensus::trace::MODEL`].
    pub model: String,
    /// Who judged.
    pub by: By,
    /// The host.
    pub host: String,
    /// When, seconds since the epoch.
    pub started: i64,
    /// What the experts knew besides the evidence.
    pub context: Context,
    /// What had been learnt; absent where there was no feedback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taught: Option<Taught>,
    /// Cases that were left out because the run was too long.
    #[serde(default)]
    pub left_out: usize,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The finding's fingerprint.
    pub fingerprint: String,
    /// What was judged.
    pub evidence: Evidence,
    /// What experts from outside said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<Opinion>,
    /// Experts from outside that gave no answer that makes sense, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
    /// The verdict of the cold model.
    pub verdict: Verdict,
    /// What would have been decided with what was learnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Learnt>,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remediation: Remediation,
    /// How likely the report shows it: its share of the feedback is corrected by this.
    pub shown: f64,
}

/// A case that was looked for, with its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The run.
    pub run: Run,
    /// The case.
    pub case: Case,
    /// The verdict as it stands in the file, byte for byte.
    pub verdict: String,
}

/// Writes a run and its cases, then forgets what is too old or too much.
pub fn keep(state: &Path, mut run: Run, mut cases: Vec<Case>) -> anyhow::Result<()> {
    let folder = state.join(FOLDER);
    create_private(&folder)?;
    cases.sort_by_key(|case| std::cmp::Reverse(case.verdict.severity));
    let mut lines = Vec::new();
    let mut length = serde_json::to_vec(&run)?.len() + 32;
    for case in &cases {
        let line = serde_json::to_vec(case)?;
        if length + line.len() + 1 > RUN_BYTES_MAX {
            run.left_out += 1;
            continue;
        }
        length += line.len() + 1;
        lines.push(line);
    }
    let mut bytes = serde_json::to_vec(&run)?;
    for line in lines {
        bytes.push(b'\n');
        bytes.extend_from_slice(&line);
    }
    bytes.push(b'\n');
    let random = u32::from_ne_bytes(crate::secrets::random()?);
    let name = format!("{}-{:012}-{random:08x}.jsonl", run.by.name(), run.started.max(0));
    output::replace(&folder.join(name), &bytes, 0o600)?;
    prune(&folder, run.by);
    Ok(())
}

/// Forgets the oldest runs of a command beyond what is kept. What cannot be removed stays: another run
/// may just have removed it.
fn prune(folder: &Path, by: By) {
    let start = format!("{}-", by.name());
    let mut total = 0;
    for (number, (path, length)) in newest_first(folder, &start).into_iter().enumerate() {
        total += length;
        if number >= RUNS_MAX || (number > 0 && total > BYTES_MAX) {
            let _ = std::fs::remove_file(path);
        }
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let age = entry.metadata().and_then(|meta| meta.modified());
        let old = age.is_ok_and(|at| {
            SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFT_BEHIND)
        });
        if hidden && old {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The files of runs with their lengths, the newest first.
fn newest_first(folder: &Path, start: &str) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<(String, PathBuf, u64)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let known = name.starts_with(start) && name.ends_with(".jsonl");
            let meta = entry.metadata().ok().filter(|meta| known && meta.is_file())?;
            // Names differ by command; what follows sorts by time.
            let (_, when) = name.split_once('-')?;
            Some((when.to_string(), entry.path(), meta.len()))
        })
        .collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    files.into_iter().map(|(_, path, length)| (path, length)).collect()
}

/// All kept runs, the newest first; a file that cannot be read is an error that names it.
pub fn runs(state: &Path) -> anyhow::Result<Vec<(Run, Vec<Case>)>> {
    let mut runs = Vec::new();
    for (path, _) in newest_first(&state.join(FOLDER), "") {
        let Some(text) = read(&path)? else { continue };
        let damaged = |error| damaged(&path, &error);
        let mut lines = text.lines();
        let run = serde_json::from_str(lines.next().unwrap_or_default()).map_err(damaged)?;
        let cases: Result<Vec<Case>, _> = lines.map(serde_json::from_str).collect();
        runs.push((run, cases.map_err(damaged)?));
    }
    Ok(runs)
}

/// The newest case whose fingerprint or trace is, or begins with, `id`.
pub fn find(state: &Path, id: &str) -> anyhow::Result<Found> {
    let id = wanted(id)?;
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (path, _) in newest_first(&state.join(FOLDER), "") {
        let Some(text) = read(&path)? else { continue };
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        for line in lines.filter(|line| line.contains(&id)) {
            let case: Case = serde_json::from_str(line).map_err(|error| damaged(&path, &error))?;
            let exact = case.fingerprint == id || case.verdict.trace == id;
            let starts = case.fingerprint.starts_with(&id) || case.verdict.trace.starts_with(&id);
            if !starts || (found.contains_key(&case.fingerprint) && !exact) {
                continue;
            }
            let run = serde_json::from_str(first).map_err(|error| damaged(&path, &error))?;
            let verdict = as_written(line).map_err(|error| damaged(&path, &error))?;
            let one = Found { run, case, verdict };
            if exact {
                return Ok(one);
            }
            found.insert(one.case.fingerprint.clone(), one);
        }
    }
    only(&id, found, state)
}

fn only(id: &str, found: BTreeMap<String, Found>, state: &Path) -> anyhow::Result<Found> {
    if found.len() > 1 {
        let line = |one: &Found| {
            let Found { case, .. } = one;
            let (print, trace) = (&case.fingerprint, &case.verdict.trace);
            format!("\n  {print} (trace {trace}) {}", case.evidence.title)
        };
        let listed: String = found.values().take(LISTED_MAX).map(line).collect();
        return Err(hinted(format!("{id} fits several findings:{listed}"), "give more of it"));
    }
    found.into_values().next().ok_or_else(|| {
        hinted(
            format!("{id}: no such finding is kept in {}", state.display()),
            "the id stands in the report, after the check's name; --state-dir names another place",
        )
    })
}

/// An id in lower case: a start of at least [`ID_LEAST`] hex digits.
fn wanted(id: &str) -> anyhow::Result<String> {
    let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex || id.len() < ID_LEAST || id.len() > 64 {
        return Err(hinted(
            format!("`{}` is no id", scanner::redact::printable(id)),
            format!(
                "an id is hexadecimal, at least {ID_LEAST} digits of it: copy it from the report"
            ),
        ));
    }
    Ok(id.to_ascii_lowercase())
}

/// The verdict's own text in a line, as it would be written again.
fn as_written(line: &str) -> serde_json::Result<String> {
    let value: serde_json::Value = serde_json::from_str(line)?;
    serde_json::to_string(&value["verdict"])
}

/// A run's text; `None` where another run has just removed it.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    if crate::settings::is_missing(path) {
        return Ok(None);
    }
    let (bytes, _) = bounded(path, RUN_BYTES_MAX as u64 * 2, "use sudo")?;
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| damaged(path, &"not UTF-8"))
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    hinted(
        format!("{}: {error}", path.display()),
        "a newer wardmote wrote it, or it is damaged: move it away",
    )
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How likely a report shows a finding: what is only worth knowing is shown when it is asked for.
pub fn shown(severity: Severity, told: bool) -> f64 {
    if told && severity > Severity::Info { 1.0 } else { 0.1 }
}
