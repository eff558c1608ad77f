//! Findings with everything that their verdicts were made from, kept so that `explain`, `feedback`,
//! `replay` and `panel` work after the run that judged them.
//!
//! One run, one file of JSON lines in `kept/` of the state directory: first the run (context, model,
//! what had been learnt), then one case a line, worst first. A file appears whole or not at all (mode
//! 0600) under a name that no other run has, so runs need no lock. Each command keeps its last
//! [`RUNS_MAX`] runs (the service [`WATCH_RUNS_MAX`] looks at the logs) within [`BYTES_MAX`]; cases that would make a run longer than [`RUN_BYTES_MAX`]
//! are left out and counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use consensus::{Context, Evidence, Opinion, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::commands::audit::create_private;
use crate::exit::hinted;
use crate::output;
use crate::pipeline::case::Course;
use crate::report::{Learnt, Remediation};
use crate::settings::bounded;

/// The folder in the state directory.
const FOLDER: &str = "kept";
/// Most runs that are kept of one command.
pub const RUNS_MAX: usize = 60;
/// Most of the service's looks at the logs that are kept.
pub const WATCH_RUNS_MAX: usize = 1_000;
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
    /// The service's audit.
    Agent,
    /// The service's look at the logs, every few seconds.
    Watch,
}

impl By {
    /// What its files' names begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Audit => "audit-",
            Self::Sweep => "sweep-",
            Self::Agent => "agent-",
            Self::Watch => "watch-",
        }
    }

    /// The command.
    pub fn command(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Sweep => "sweep",
            Self::Agent | Self::Watch => "agent",
        }
    }

    /// Most runs that are kept; each look at the logs holds little.
    fn most(self) -> usize {
        match self {
            Self::Watch => WATCH_RUNS_MAX,
            _ => RUNS_MAX,
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
    /// What the service found out besides the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
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

/// Writes a run and its cases, then forgets what is too old or too much; how many cases were left out
/// because the run was too long. A context that is too long by itself is an error.
pub fn keep(state: &Path, run: Run, cases: Vec<Case>) -> anyhow::Result<usize> {
    let by = run.by;
    let (bytes, left_out) = written(run, cases)?;
    keep_written(state, by, &bytes)?;
    Ok(left_out)
}

/// A run and its cases as they are kept, and how many cases were left out because it was too long.
pub fn written(mut run: Run, mut cases: Vec<Case>) -> anyhow::Result<(Vec<u8>, usize)> {
    cases.sort_by_key(|case| std::cmp::Reverse(case.verdict.severity));
    let mut lines = Vec::new();
    let mut length = serde_json::to_vec(&run)?.len() + 32;
    anyhow::ensure!(length <= RUN_BYTES_MAX, "what was known is longer than {RUN_BYTES_MAX} bytes");
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
    Ok((bytes, run.left_out))
}

/// Keeps a run as it was written down, then forgets what is too old or too much.
pub fn keep_written(state: &Path, by: By, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = state.join(FOLDER);
    create_private(&folder)?;
    let random = u32::from_ne_bytes(crate::secrets::random()?);
    // Several runs may fall into one second: the name says which is the newest.
    let now = jiff::Timestamp::now().as_microsecond().max(0);
    let name = format!("{}{now:017}-{random:08x}.jsonl", by.prefix());
    output::replace(&folder.join(name), bytes, 0o600)?;
    prune(&folder, by);
    Ok(())
}

/// Forgets the oldest runs of a command beyond what is kept. What cannot be removed stays: another run
/// may just have removed it.
fn prune(folder: &Path, by: By) {
    let mut total = 0;
    let kept = newest_first(folder, by.prefix()).unwrap_or_default();
    for (number, (path, length)) in kept.into_iter().enumerate() {
        total += length;
        if number >= by.most() || (number > 0 && total > BYTES_MAX) {
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

/// The files of runs with their lengths, the newest first; none where nothing was kept yet.
fn newest_first(folder: &Path, start: &str) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let fail = |error: std::io::Error| hinted(format!("{}: {error}", folder.display()), "use sudo");
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut files: Vec<(String, PathBuf, u64)> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Another run may just have removed it.
        let Ok(meta) = entry.metadata() else { continue };
        if !name.starts_with(start) || !name.ends_with(".jsonl") || !meta.is_file() {
            continue;
        }
        // Names differ by command; what follows sorts by time.
        if let Some((_, when)) = name.split_once('-') {
            files.push((when.to_string(), entry.path(), meta.len()));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files.into_iter().map(|(_, path, length)| (path, length)).collect())
}

/// All kept runs, the newest first; a file that cannot be read is an error that names it.
pub fn runs(state: &Path) -> anyhow::Result<Vec<(Run, Vec<Case>)>> {
    let mut runs = Vec::new();
    for (path, _) in newest_first(&state.join(FOLDER), "")? {
        let Some(text) = read(&path)? else { continue };
        runs.push(run_of(&text).map_err(|error| damaged(&path, &error))?);
    }
    Ok(runs)
}

/// A run from its text.
pub fn run_of(text: &str) -> serde_json::Result<(Run, Vec<Case>)> {
    let mut lines = text.lines();
    let run = serde_json::from_str(lines.next().unwrap_or_default())?;
    Ok((run, lines.map(serde_json::from_str).collect::<Result<_, _>>()?))
}

/// The files of the runs that one command kept, the newest first.
pub fn files(state: &Path, by: By) -> Vec<PathBuf> {
    let kept = newest_first(&state.join(FOLDER), by.prefix()).unwrap_or_default();
    kept.into_iter().map(|(path, _)| path).collect()
}

/// The newest case whose fingerprint or trace is, or begins with, `id`.
pub fn find(state: &Path, id: &str) -> anyhow::Result<Found> {
    let id = wanted(id)?;
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (path, _) in newest_first(&state.join(FOLDER), "")? {
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
pub fn read(path: &Path) -> anyhow::Result<Option<String>> {
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

/// How likely a report shows a finding: what is only worth knowing is shown when it is asked for.
pub fn shown(severity: Severity, told: bool) -> f64 {
    if told && severity > Severity::Info { 1.0 } else { 0.1 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use consensus::{Kind, Panel, Privilege, Proof, Subject, trace};

    use super::*;

    fn evidence(title: &str) -> Evidence {
        Evidence {
            check: "x".into(),
            key: String::new(),
            title: title.into(),
            kind: Kind::Posture,
            proof: Proof::Direct,
            level: Severity::High,
            floor: None,
            privilege: Privilege::Root,
            services: Vec::new(),
            subject: Subject::default(),
            sources: Vec::new(),
            facts: Default::default(),
            tags: Vec::new(),
            count: 1,
            first: None,
            last: None,
        }
    }

    fn case(fingerprint: &str, title: &str) -> Case {
        let evidence = evidence(title);
        Case {
            fingerprint: fingerprint.into(),
            verdict: Panel::cold().judge(&evidence, &Context::default()),
            evidence,
            outside: Vec::new(),
            unanswered: Vec::new(),
            learnt: None,
            why: "because".into(),
            remediation: Remediation::default(),
            shown: 1.0,
            course: None,
        }
    }

    fn run(by: By, started: i64) -> Run {
        Run {
            schema: "wardmote.kept/1".into(),
            model: trace::MODEL.into(),
            by,
            host: "host".into(),
            started,
            context: Context::default(),
            taught: None,
            left_out: 0,
        }
    }

    fn files(state: &Path) -> usize {
        std::fs::read_dir(state.join(FOLDER)).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_private_and_found_by_fingerprint_trace_and_start() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let old = case("aaaaaaaa0001", "before");
        keep(&state, run(By::Audit, 1), vec![old.clone()]).unwrap();
        let new = case("aaaaaaaa0001", "after");
        keep(&state, run(By::Audit, 2), vec![new.clone(), case("bbbbbbbb0001", "b")]).unwrap();
        for entry in std::fs::read_dir(state.join(FOLDER)).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let title = |id: &str| find(&state, id).unwrap().case.evidence.title;
        assert_eq!(title("aaaaaaaa0001"), "after");
        assert_eq!(title("AAAAAAAA"), "after");
        assert_eq!(title(&old.verdict.trace), "before");
        assert_eq!(title(&old.verdict.trace[..8]), "before");
        let found = find(&state, &new.verdict.trace).unwrap();
        assert_eq!(found.case, new, "bit for bit");
        assert_eq!(found.verdict, serde_json::to_string(&new.verdict).unwrap());
        assert_eq!(runs(&state).unwrap().len(), 2);
    }

    #[test]
    fn an_id_is_hexadecimal_long_enough_and_of_one_finding() {
        let dir = tempfile::tempdir().unwrap();
        let cases = vec![case("cccccccc0001", "one"), case("cccccccc0002", "two")];
        keep(dir.path(), run(By::Sweep, 1), cases).unwrap();
        let error = |id: &str| find(dir.path(), id).unwrap_err().to_string();
        let listed = error("cccccccc");
        assert!(listed.contains("\n  cccccccc0001") && listed.contains(" two"), "{listed}");
        assert_eq!(find(dir.path(), "cccccccc0002").unwrap().case.evidence.title, "two");
        assert!(error("ccccccc").contains("is no id"));
        assert!(error("cccccccc000g").contains("is no id"));
        assert!(error(&"c".repeat(65)).contains("is no id"));
        assert!(error("dddddddd").contains("no such finding"));
        assert!(find(&dir.path().join("none"), "dddddddd").is_err());
    }

    #[test]
    fn the_oldest_runs_of_each_command_make_room() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), run(By::Audit, 0), vec![case("aaaaaaaa0001", "a")]).unwrap();
        for time in 0..i64::try_from(RUNS_MAX).unwrap() {
            keep(dir.path(), run(By::Sweep, time), vec![case("bbbbbbbb0001", "b")]).unwrap();
        }
        assert_eq!(files(dir.path()), RUNS_MAX + 1);
        keep(dir.path(), run(By::Sweep, 1_000), vec![case("bbbbbbbb0001", "b")]).unwrap();
        assert_eq!(files(dir.path()), RUNS_MAX + 1, "the audit is not pushed out by sweeps");
        let oldest = runs(dir.path()).unwrap().into_iter().filter(|(run, _)| run.by == By::Sweep);
        assert_eq!(oldest.map(|(run, _)| run.started).min(), Some(1));
    }

    #[test]
    fn a_run_is_bounded_and_says_what_it_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let long = |fingerprint: &str| Case {
            why: "x".repeat(RUN_BYTES_MAX / 3),
            ..case(fingerprint, "long")
        };
        let cases = ["aaaaaaaa0001", "aaaaaaaa0002"].map(long).to_vec();
        keep(dir.path(), run(By::Audit, 1), cases.clone()).unwrap();
        assert_eq!(find(dir.path(), "aaaaaaaa0002").unwrap().run.left_out, 0);
        let more = [cases, vec![long("aaaaaaaa0003")]].concat();
        keep(dir.path(), run(By::Audit, 2), more).unwrap();
        assert!(find(dir.path(), "aaaaaaaa0003").is_err());
        assert_eq!(find(dir.path(), "aaaaaaaa0002").unwrap().run.left_out, 1);
        let known = "x".repeat(RUN_BYTES_MAX);
        let huge = Run { host: known, ..run(By::Audit, 3) };
        assert!(keep(dir.path(), huge, Vec::new()).is_err(), "it could not be read again");
        for time in 3..20 {
            keep(dir.path(), run(By::Audit, time), vec![long("aaaaaaaa0004")]).unwrap();
        }
        let kept = newest_first(&dir.path().join(FOLDER), "").unwrap();
        let total: u64 = kept.iter().map(|(_, length)| length).sum();
        assert!(total <= BYTES_MAX && kept.len() > 3, "{total} in {}", kept.len());
    }

    #[test]
    fn runs_at_the_same_second_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let state = dir.path();
                scope.spawn(move || {
                    let one = case(&format!("eeeeeeee000{n}"), "e");
                    keep(state, run(By::Sweep, 7), vec![one]).unwrap();
                });
            }
        });
        assert_eq!(runs(dir.path()).unwrap().len(), 8);
    }

    #[test]
    fn a_damaged_run_is_an_error_with_a_way_out_and_foreign_files_are_none() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), run(By::Audit, 1), vec![case("aaaaaaaa0001", "a")]).unwrap();
        let folder = dir.path().join(FOLDER);
        std::fs::write(folder.join("notes.txt"), "aaaaaaaa0001").unwrap();
        std::fs::create_dir(folder.join("audit-00000000000000009-x.jsonl")).unwrap();
        assert!(find(dir.path(), "aaaaaaaa0001").is_ok());
        std::fs::write(folder.join("audit-99999999999999999-y.jsonl"), "{\n{\"aaaaaaaa0001\n")
            .unwrap();
        let error = find(dir.path(), "aaaaaaaa0001").unwrap_err().to_string();
        assert!(error.contains("audit-99999999999999999-y.jsonl"), "{error}");
        assert!(runs(dir.path()).is_err());
    }
}
