//! `wardmote sweep`: looks through logs with rules, once, for cron only at what is new, or on and on.
//!
//! Reads and judges; the only things it writes are its state ([`crate::cursor`]), under a lock, so that two
//! sweeps never both move it, and below the state directory what it found and what rule files came to
//! ([`crate::rule_cache`]): neither with `--no-state`. `follow` goes on while the logs grow, `splay` spreads the starts of many
//! hosts, `stdin` makes a log of what comes through a pipe, `view` shows what was found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use consensus::{Context, Operator, Severity, trace};
use jiff::tz::TimeZone;
use scanner::RootedTree;
use scanner::logs::checkpoint::Checkpoint;
use scanner::logs::source::{self, Found};
use scanner::logs::{Detection, RuleSet, SweepOptions, SweepOutcome, content, sweep};

use crate::commands::audit::{create_private, note, tell};
use crate::commands::scan::ledger;
use crate::commands::{Global, rule_files};
use crate::cursor::Cursor;
use crate::exit::{self, Exit};
use crate::output;
use crate::pipeline::judge::{self, Judges};
use crate::pipeline::keep::{self, Of};
use crate::pipeline::look::known_users;
use crate::pipeline::{advise, ask, known, look, surround};
use crate::rule_cache::{Keep, RuleCache};
use crate::settings::{Settings, Span, state_directory};
use crate::store::cases::{By, Case};

mod follow;
mod jails;
mod splay;
mod stdin;
mod view;

use view::View;

/// How far back a sweep of the host's logs looks when it has no state.
const DAY_SECONDS: i64 = 86_400;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log files or directories, - for stdin [default: the host's logs and its journal]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Sigma rules (a file or directory) beside the built-in ones
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// A fail2ban filter with fail2ban's usual thresholds: a name of /etc/fail2ban/filter.d or a path, as
    /// `sshd[mode=aggressive]`
    #[arg(long, value_name = "NAME|PATH[…]")]
    filter: Vec<String>,
    /// The enabled jails below this directory, such as /etc/fail2ban: who would be banned
    #[arg(long, value_name = "DIR")]
    jails: Option<PathBuf>,
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
    /// Wait up to so long before the start, by the machine's id: many hosts do not all begin at once
    #[arg(long, value_name = "DUR")]
    splay: Option<Span>,
    /// Go on looking while the logs grow, until it is interrupted
    #[arg(long)]
    follow: bool,
    /// Threads that work [default: as many as the machine runs at once]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
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
    check(&args, global)?;
    if let Some(most) = args.splay {
        splay::wait(most);
    }
    let task = Task::new(&args, global)?;
    let cursor = match state_path(&args, global)? {
        Some(path) => Some(Cursor::open(path)?),
        None => None,
    };
    match args.follow {
        true => follow::run(&task, cursor),
        false => once(&task, cursor),
    }
}

/// Refuses what cannot go together.
fn check(args: &Args, global: &Global) -> anyhow::Result<()> {
    let from_stdin = args.paths.iter().any(|path| path == Path::new("-"));
    if from_stdin && (args.follow || args.state.is_some() || args.only_new) {
        return Err(exit::hinted(
            "-: what comes through stdin has no place to go on from",
            "name a file, or leave out --follow, --state and --only-new",
        ));
    }
    if args.follow && (args.format == Format::Json || global.output.is_some()) {
        return Err(exit::hinted(
            "--follow shows detections as they arise",
            "use --format text or jsonl, on stdout",
        ));
    }
    Ok(())
}

fn once(task: &Task<'_>, mut cursor: Option<Cursor>) -> anyhow::Result<Exit> {
    let Task { args, global, .. } = task;
    let started = Instant::now();
    let found = task.found()?;
    refuse_unusable(args, &found)?;
    let fresh = cursor.as_ref().is_none_or(|cursor| cursor.fresh);
    let checkpoint = cursor.as_mut().map(|cursor| &mut cursor.checkpoint);
    let Round { outcome, judged } = task.round(found, checkpoint, fresh)?;
    let news = match &mut cursor {
        Some(cursor) => cursor.news(&outcome.incomplete),
        None => true,
    };
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    let view = View { args, global, outcome: &outcome, judged: &judged, elapsed_ms };
    let speaks = !args.only_new || view.has_something() || news;
    // Only what was reported is done: a report that could not be written is tried again.
    match (&cursor, &global.output) {
        (Some(cursor), Some(output)) if speaks => cursor.publish(output, &view.bytes()?)?,
        (cursor, output) => {
            if speaks {
                output::write(output.as_deref(), &view.bytes()?)?;
            }
            cursor.as_ref().map_or(Ok(()), Cursor::save)?;
        }
    }
    Ok(ended(&outcome, &judged, args.fail_on))
}

/// What one pass over the logs gave.
struct Round {
    outcome: SweepOutcome,
    judged: Vec<(Detection, Case)>,
}

/// What stays the same from pass to pass.
struct Task<'a> {
    args: &'a Args,
    global: &'a Global,
    settings: Settings,
    rules: RuleSet,
    tree: RootedTree,
    zone: TimeZone,
    /// What fail2ban's jails bring along.
    beside: jails::Beside,
}

impl<'a> Task<'a> {
    fn new(args: &'a Args, global: &'a Global) -> anyhow::Result<Self> {
        let settings = Settings::load(global.config.as_deref())?;
        settings.site.operator()?;
        let tree = RootedTree::open(Path::new("/"))?;
        let now = jiff::Timestamp::now().as_second();
        let keep = if args.no_state { Keep::Nothing } else { Keep::New };
        let cache = RuleCache::new(&state_directory(global.state_dir.as_deref()), keep);
        let mut documents = content::documents()?;
        documents.extend(rule_files::load_kept(&args.rules, &tree, &cache)?);
        let (jails, beside) = jails::load(&tree, &args.filter, args.jails.as_deref(), now, &cache)?;
        let rules = rule_files::rule_set(documents, jails)?;
        let zone = zone(args.tz.as_deref())?;
        Ok(Self { args, global, settings, rules, tree, zone, beside })
    }

    /// The logs that there are now.
    fn found(&self) -> anyhow::Result<Found> {
        if self.args.paths.is_empty() {
            let mut found = source::discover(&self.tree);
            self.beside.logs_into(&self.tree, &mut found);
            return Ok(found);
        }
        let stdin = Path::new("-");
        let named = self.args.paths.iter().filter(|path| *path != stdin);
        let paths: std::io::Result<Vec<PathBuf>> = named.map(std::path::absolute).collect();
        let mut found = source::named(&self.tree, &paths?);
        if self.args.paths.iter().any(|path| path == stdin) {
            let through = stdin::found()?;
            found.families.extend(through.families);
            found.incomplete.extend(through.incomplete);
        }
        Ok(found)
    }

    /// One pass: what is new is judged and kept.
    fn round(
        &self,
        found: Found,
        checkpoint: Option<&mut Checkpoint>,
        fresh: bool,
    ) -> anyhow::Result<Round> {
        let args = self.args;
        let now = jiff::Timestamp::now().as_second();
        let place = state_directory(self.global.state_dir.as_deref());
        let (own_probes, notice) = ledger::known(&place, now);
        note(self.global, notice);
        let options = SweepOptions {
            own_probes: own_probes.into(),
            since: since(args, fresh, now)?,
            zone: self.zone.clone(),
            year: args.year,
            known_users: known_users(&self.tree),
            jobs: args.jobs,
            observe: true,
            ..SweepOptions::new(now)
        };
        let after = checkpoint.as_ref().and_then(|checkpoint| checkpoint.journal_cursor.clone());
        let begin = options.since.unwrap_or(now - DAY_SECONDS);
        let journal = match args.paths.is_empty() {
            true => ask::journal(Some(begin), after.as_deref()),
            false => None,
        };
        let mut outcome = look::with_journal(journal, |journal| {
            sweep(&self.tree, found, journal, &self.rules, &options, checkpoint)
        });
        if outcome.sources.is_empty() && outcome.incomplete.is_empty() && args.paths.is_empty() {
            outcome.incomplete.push("no log source: no readable log file and no journal".into());
        }
        match args.paths.is_empty() {
            true => outcome.coverage.unfed.extend(self.beside.unfed.iter().cloned()),
            // One file says nothing about what the host logs.
            false => outcome.coverage.unfed.clear(),
        }
        outcome.incomplete.extend(self.beside.problems.iter().cloned());
        let judged = match args.follow && outcome.detections.is_empty() {
            true => Vec::new(),
            false => self.judged(&mut outcome, (begin, now))?,
        };
        Ok(Round { outcome, judged })
    }

    fn judged(
        &self,
        outcome: &mut SweepOutcome,
        period: (i64, i64),
    ) -> anyhow::Result<Vec<(Detection, Case)>> {
        let place = state_directory(self.global.state_dir.as_deref());
        let mut judges = Judges::new(&self.settings, &place, period.1);
        // Logs that were named may be another host's: then nothing is known of it.
        let host = self.args.paths.is_empty().then_some(&self.tree);
        let told = self.settings.site.operator()?;
        let (context, judged) = judge(&mut judges, outcome, host, period, told);
        outcome.incomplete.extend(judges.outside.complaints());
        tell(self.global, judges.unread.clone());
        if !self.args.no_state {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let host = scanner::redact::line(&host);
            let of = Of { by: By::Sweep, host: &host, started: period.1 };
            let cases = judged.iter().map(|(_, case)| case.clone()).collect();
            tell(self.global, keep::keep(&place, &of, &judges, context, cases).err());
        }
        Ok(judged)
    }
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

fn since(args: &Args, fresh: bool, now: i64) -> anyhow::Result<Option<i64>> {
    match &args.since {
        Some(text) => moment(text, now).map(Some),
        None => Ok((args.paths.is_empty() && fresh).then_some(now - DAY_SECONDS)),
    }
}

/// The state file that the options name or mean.
fn state_path(args: &Args, global: &Global) -> anyhow::Result<Option<PathBuf>> {
    match (&args.state, args.only_new) {
        (Some(path), _) => Ok(Some(path.clone())),
        (None, true) => {
            let directory = state_directory(global.state_dir.as_deref());
            create_private(&directory).map_err(|error| {
                let hint = "name a file with --state, or a directory with --state-dir";
                exit::hinted(format!("{}: {error}", directory.display()), hint)
            })?;
            Ok(Some(directory.join("sweep.json")))
        }
        (None, false) => Ok(None),
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
