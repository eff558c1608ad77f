//! `wardmote sweep`: looks through logs with rules, once, or for cron only at what is new.
//!
//! Reads and judges; the only thing it writes is its state file (0600, replaced atomically), under a
//! lock, so that two sweeps never both move it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use consensus::{Context, Operator, Severity, trace};
use jiff::tz::TimeZone;
use scanner::RootedTree;
use scanner::logs::checkpoint::{Checkpoint, STATE_BYTES_MAX};
use scanner::logs::source::{self, Found};
use scanner::logs::sweep::Summary;
use scanner::logs::{Detection, SweepOptions, SweepOutcome, content, sweep};
use serde_json::{Value, json};

use crate::commands::audit::{create_private, tell};
use crate::commands::{Global, rule_files};
use crate::exit::{self, Exit};
use crate::output;
use crate::pending::{Named, at};
use crate::pipeline::judge::{self, Judges};
use crate::pipeline::keep::{self, Of};
use crate::pipeline::look::known_users;
use crate::pipeline::{advise, ask, known, look, surround};
use crate::report::Learnt;
use crate::secrets::open_regular;
use crate::settings::{Settings, Span, state_directory};
use crate::store::cases::{By, Case};

/// How far back a sweep of the host's logs looks when it has no state.
const DAY_SECONDS: i64 = 86_400;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log files or directories [default: the host's logs and its journal]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Sigma rules (a file or directory) beside the built-in ones
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Leave out older events: a duration (36h, 7d) or a time (RFC 3339) [default: the host's logs
    /// without a state: 24h, else everything]
    #[arg(long, value_name = "DUR|T")]
    since: Option<String>,
    /// Year of the last line of each file whose stamps name none [default: from the file's last change]
    #[arg(long, value_name = "Y", value_parser = clap::value_parser!(i16).range(1970..=9999))]
    year: Option<i16>,
    /// Time zone of stamps that name none: Europe/Berlin, UTC, a POSIX TZ [default: the system's]
    #[arg(long, value_name = "TZ")]
    tz: Option<String>,
    /// Remember in this file how far was read, and judge only what is new
    #[arg(long, value_name = "FILE", conflicts_with = "no_state")]
    state: Option<PathBuf>,
    /// Keep no state
    #[arg(long, conflicts_with = "only_new")]
    no_state: bool,
    /// For cron: no output at all when nothing is new (keeps a state in the state directory)
    #[arg(long)]
    only_new: bool,
    /// How to show the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Exit with 1 from this severity on
    #[arg(long, value_name = "LEVEL", default_value = "high")]
    fail_on: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Jsonl,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let now = jiff::Timestamp::now().as_second();
    let settings = Settings::load(global.config.as_deref())?;
    let told = settings.site.operator()?;
    let mut documents = content::documents()?;
    documents.extend(rule_files::load(&args.rules)?);
    let rules = rule_files::rule_set(documents)?;
    let mut state = State::open(&args, global)?;
    let tree = RootedTree::open(Path::new("/"))?;
    let options = SweepOptions {
        since: since(&args, state.as_ref(), now)?,
        zone: zone(args.tz.as_deref())?,
        year: args.year,
        known_users: known_users(&tree),
        ..SweepOptions::new(now)
    };
    let found = if args.paths.is_empty() {
        source::discover(&tree)
    } else {
        let paths: std::io::Result<Vec<PathBuf>> =
            args.paths.iter().map(std::path::absolute).collect();
        source::named(&tree, &paths?)
    };
    refuse_unusable(&args, &found)?;
    let cursor = state.as_ref().and_then(|state| state.checkpoint.journal_cursor.clone());
    let journal = match args.paths.is_empty() {
        true => ask::journal(Some(options.since.unwrap_or(now - DAY_SECONDS)), cursor.as_deref()),
        false => None,
    };
    let checkpoint = state.as_mut().map(|state| &mut state.checkpoint);
    let mut outcome = look::with_journal(journal, |journal| {
        sweep(&tree, found, journal, &rules, &options, checkpoint)
    });
    if outcome.sources.is_empty() && outcome.incomplete.is_empty() && args.paths.is_empty() {
        outcome.incomplete.push("no log source: no readable log file and no journal".into());
    }
    let place = state_directory(global.state_dir.as_deref());
    let mut judges = Judges::new(&settings, &place, now);
    // Logs that were named may be another host's: then nothing is known of it.
    let host = args.paths.is_empty().then_some(&tree);
    let period = (options.since.unwrap_or(now - DAY_SECONDS), now);
    let (context, judged) = judge(&mut judges, &outcome, host, period, told);
    outcome.incomplete.extend(judges.outside.complaints());
    tell(global, judges.unread.clone());
    if !args.no_state {
        let host = scanner::redact::line(&rustix::system::uname().nodename().to_string_lossy());
        let of = Of { by: By::Sweep, host: &host, started: now };
        let cases = judged.iter().map(|(_, case)| case.clone()).collect();
        tell(global, keep::keep(&place, &of, &judges, context, cases).err());
    }
    let news = match &mut state {
        Some(state) => state.news(&outcome.incomplete),
        None => true,
    };
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    let view = View { args: &args, global, outcome: &outcome, judged: &judged, elapsed_ms };
    if !args.only_new || view.has_something() || news {
        output::write(global.output.as_deref(), &view.bytes()?)?;
    }
    // Only what was reported is done: a report that could not be written is tried again.
    if let Some(state) = state {
        state.save()?;
    }
    Ok(ended(&outcome, &judged, args.fail_on))
}

fn ended(outcome: &SweepOutcome, judged: &[(Detection, Case)], fail_on: Severity) -> Exit {
    if judged.iter().any(|(_, case)| case.verdict.severity >= fail_on) {
        Exit::Found
    } else if outcome.incomplete.is_empty() {
        Exit::Clean
    } else {
        Exit::Incomplete
    }
}

/// Paths that the user names and of which none can be read: nothing would be examined.
fn refuse_unusable(args: &Args, found: &Found) -> anyhow::Result<()> {
    if args.paths.is_empty() || !found.families.is_empty() {
        return Ok(());
    }
    let reason = found.incomplete.first().cloned();
    let reason = reason.unwrap_or_else(|| "no log files in the given directories".into());
    Err(exit::hinted(reason, "name log files that this user can read, or use sudo"))
}

/// Every detection with its case, worst first, and the context in which they were judged; `host` where
/// the logs are its own.
fn judge(
    judges: &mut Judges,
    outcome: &SweepOutcome,
    host: Option<&RootedTree>,
    (since, now): (i64, i64),
    told: Operator,
) -> (Context, Vec<(Detection, Case)>) {
    let items: Vec<_> = outcome.detections.iter().map(advise::judged).collect();
    let attacks = outcome.detections.iter().filter_map(Detection::attack).collect();
    let all: Vec<_> = items.iter().map(|item| &item.evidence).collect();
    let known = match host {
        Some(tree) if !all.is_empty() => known::look(tree, true, (since, now), &all, told),
        _ => known::of_no_host(told),
    };
    let context = surround::context(now, None, Some(attacks), &all, known);
    let digest = trace::context(&context);
    let mut taken = BTreeSet::new();
    let cases = items.iter().map(|item| {
        let mut case = judges.judge(item, &context, &digest);
        case.fingerprint = judge::fingerprint(&item.evidence, &mut taken);
        case
    });
    let mut judged: Vec<_> = outcome.detections.iter().cloned().zip(cases).collect();
    judged.sort_by_key(|(_, case)| std::cmp::Reverse(case.verdict.severity));
    (context, judged)
}

struct View<'a> {
    args: &'a Args,
    global: &'a Global,
    outcome: &'a SweepOutcome,
    judged: &'a [(Detection, Case)],
    elapsed_ms: f64,
}

impl View<'_> {
    /// Whether there is a detection that the chosen format shows.
    fn has_something(&self) -> bool {
        self.shown().next().is_some()
    }

    /// Text leaves out what is only worth knowing, unless asked for more.
    fn shown(&self) -> impl Iterator<Item = &(Detection, Case)> {
        let all = self.args.format != Format::Text || self.global.verbose > 0;
        self.judged.iter().filter(move |(_, case)| all || case.verdict.severity > Severity::Info)
    }

    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        match self.args.format {
            Format::Text => out.extend_from_slice(self.text().as_bytes()),
            Format::Jsonl => {
                for (detection, case) in self.shown() {
                    serde_json::to_writer(&mut out, &object(detection, case)?)?;
                    out.push(b'\n');
                }
                serde_json::to_writer(&mut out, &json!({ "summary": self.summary()? }))?;
                out.push(b'\n');
            }
            Format::Json => {
                let detections: anyhow::Result<Vec<Value>> =
                    self.shown().map(|(detection, case)| object(detection, case)).collect();
                let whole = json!({
                    "schema": "wardmote.sweep/1",
                    "detections": detections?,
                    "activity": self.outcome.activity,
                    "sources": self.outcome.sources,
                    "summary": self.summary()?,
                    "incomplete": self.outcome.incomplete,
                });
                serde_json::to_writer_pretty(&mut out, &whole)?;
                out.push(b'\n');
            }
        }
        Ok(out)
    }

    fn summary(&self) -> anyhow::Result<Value> {
        let mut summary = serde_json::to_value(self.outcome.summary)?;
        summary["elapsed_ms"] = json!((self.elapsed_ms * 10.0).round() / 10.0);
        if self.args.format == Format::Jsonl {
            summary["incomplete"] = json!(self.outcome.incomplete);
        }
        Ok(summary)
    }

    fn text(&self) -> String {
        let colour = self.global.color.on_stdout(self.global.output.is_some());
        let mut out = String::new();
        for (detection, case) in self.shown() {
            let severity = case.verdict.severity;
            let level = format!("{severity:<8}");
            let level = if colour { output::painted(&level, severity) } else { level };
            out.push_str(&format!("{level} {}  [{}]\n", detection.headline(), case.fingerprint));
            if let Some(learnt) = &case.learnt {
                let Learnt { severity, clicks, .. } = learnt;
                out.push_str(&format!("         learnt: {severity} ({clicks} clicks)\n"));
            }
            if let (Some(first), Some(last)) = (detection.first, detection.last) {
                out.push_str(&format!(
                    "         {} to {}, rule {}",
                    time(first),
                    time(last),
                    detection.rule
                ));
                if !detection.also.is_empty() {
                    out.push_str(&format!(", also {}", detection.also.join(", ")));
                }
                out.push('\n');
            }
            for sample in &detection.samples {
                let at = format!("{}:{}:{}", sample.path, sample.line, sample.column);
                out.push_str(&format!("         {at}: {}\n", sample.text));
            }
        }
        for line in &self.outcome.incomplete {
            out.push_str(&format!("incomplete: {line}\n"));
        }
        let Summary { lines, files, undecided, gaps, .. } = self.outcome.summary;
        let quiet = self.judged.len() - self.shown().count();
        let words =
            |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        out.push_str(&format!(
            "{} in {} and {} read, {} detections",
            words(lines, "line"),
            words(files, "file"),
            if self.outcome.sources.iter().any(|s| s == "journal") {
                "the journal"
            } else {
                "no journal"
            },
            self.shown().count(),
        ));
        for (count, what) in [
            (quiet as u64, "only worth knowing (-v)"),
            (undecided, "over-long"),
            (gaps, "cut since last time"),
        ] {
            if count > 0 {
                out.push_str(&format!(", {count} {what}"));
            }
        }
        out.push('\n');
        out
    }
}

/// One detection as the contract writes it.
fn object(detection: &Detection, case: &Case) -> anyhow::Result<Value> {
    let verdict = &case.verdict;
    let mut object = json!({
        "id": case.fingerprint,
        "rule": detection.rule,
        "title": detection.title,
        "severity": verdict.severity,
        "subject": detection.subject,
        "count": detection.count,
        "also": detection.also,
        "entered": detection.entered,
        "succeeded": detection.succeeded,
        "tags": detection.tags,
        "samples": detection.samples,
        "verdict": verdict,
    });
    if let Some(requests) = detection.requests {
        object["requests"] = json!(requests);
    }
    if let Some(learnt) = &case.learnt {
        object["learnt"] = json!(learnt);
    }
    if let Some(sample) = detection.samples.first() {
        object["path"] = json!(sample.path);
        object["line"] = json!(sample.line);
        object["offset"] = json!(sample.offset);
        if let Some(at) = sample.time {
            object["time"] = json!(time(at));
        }
    }
    for (key, value) in [("first", detection.first), ("last", detection.last)] {
        if let Some(value) = value {
            object[key] = json!(time(value));
        }
    }
    Ok(object)
}

/// RFC 3339 in UTC.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

/// The zone of stamps that name none.
pub(super) fn zone(name: Option<&str>) -> anyhow::Result<TimeZone> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name)
        .or_else(|_| TimeZone::posix(name))
        .map_err(|_| exit::hinted("unknown time zone", "use a name such as Europe/Berlin, or UTC"))
}

fn since(args: &Args, state: Option<&State>, now: i64) -> anyhow::Result<Option<i64>> {
    match &args.since {
        Some(text) => moment(text, now).map(Some),
        None => {
            let has_state = state.is_some_and(|state| !state.fresh);
            Ok((args.paths.is_empty() && !has_state).then_some(now - DAY_SECONDS))
        }
    }
}

/// `36h`, `7d`, `2026-01-01T00:00:00Z`, `2026-01-01`, seconds since the epoch.
fn moment(text: &str, now: i64) -> anyhow::Result<i64> {
    let wrong = || {
        exit::hinted(
            "--since: neither a duration nor a time",
            "use 90s, 15m, 36h, 7d, 2w or RFC 3339",
        )
    };
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_second());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        let zoned = date.to_zoned(TimeZone::system()).map_err(|_| wrong())?;
        return Ok(zoned.timestamp().as_second());
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds);
    }
    let back: Span = text.parse().map_err(|_| wrong())?;
    Ok(now.saturating_sub(back.seconds()))
}

/// The state file, locked while the sweep runs.
struct State {
    path: PathBuf,
    checkpoint: Checkpoint,
    fresh: bool,
    _lock: File,
}

impl State {
    fn open(args: &Args, global: &Global) -> anyhow::Result<Option<Self>> {
        let path = match (&args.state, args.only_new) {
            (Some(path), _) => path.clone(),
            (None, true) => {
                let directory = state_directory(global.state_dir.as_deref());
                create_private(&directory).map_err(|error| {
                    let hint = "name a file with --state, or a directory with --state-dir";
                    exit::hinted(format!("{}: {error}", directory.display()), hint)
                })?;
                directory.join("sweep.json")
            }
            (None, false) => return Ok(None),
        };
        let lock = lock(&path)?;
        let mut bytes = Vec::new();
        let fresh = match std::fs::metadata(&path) {
            Ok(_) => {
                let file = open_regular(&path)?;
                Named(file.take(STATE_BYTES_MAX as u64 + 1), &path).read_to_end(&mut bytes)?;
                false
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(at(&path, &error)),
        };
        let checkpoint = if fresh {
            Checkpoint::new()
        } else {
            Checkpoint::from_json(&bytes).map_err(|error| {
                let hint = "move it away: the next sweep then begins anew";
                exit::hinted(format!("{}: {error}", path.display()), hint)
            })?
        };
        Ok(Some(Self { path, checkpoint, fresh, _lock: lock }))
    }

    /// Whether what could not be looked at differs from last time.
    fn news(&mut self, incomplete: &[String]) -> bool {
        let news = !incomplete.is_empty() && self.checkpoint.said != incomplete;
        self.checkpoint.said = incomplete.to_vec();
        news
    }

    fn save(&self) -> anyhow::Result<()> {
        output::replace(&self.path, &self.checkpoint.to_json(), 0o600)
            .map_err(|error| anyhow::anyhow!("{}: {error}", self.path.display()))
    }
}

/// Holds the lock of a state file, or ends with 75.
fn lock(path: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // Never led elsewhere by a link, never waiting for the reader of a FIFO.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(&name)
        .map_err(|error| anyhow::anyhow!("{}: {error}", Path::new(&name).display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(error) if error != rustix::io::Errno::WOULDBLOCK => {
            Err(anyhow::anyhow!("{}: {error}", Path::new(&name).display()))
        }
        Err(_) => {
            let message = format!("{}: another sweep is running", path.display());
            Err(exit::failed(message, "wait for it, or use another --state", Exit::Busy))
        }
    }
}
