//! `wardmote audit`: examines the whole host, or a mounted tree, and says what to do first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use consensus::Severity;
use scanner::checks::AREAS;

use crate::commands::Global;
use crate::commands::scan::ledger;
use crate::exit::{Exit, hinted};
use crate::output;
use crate::pipeline::accept;
use crate::pipeline::examine::{Examined, examine, threads};
use crate::pipeline::judge::Judges;
use crate::pipeline::keep::{self, Of};
use crate::pipeline::look::Wanted;
use crate::powers::Direct;
use crate::progress::Progress;
use crate::report::{Report, json, text};
use crate::settings::{Settings, Span, state_directory};
use crate::store::cases::By;

/// Where the last audit's report is kept in the state directory.
pub const LAST_REPORT: &str = "last-audit.json";

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Examine a mounted tree or image instead of this host: nothing in it is run
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Only these areas (accounts, ssh, services, sudo, pam, kernel, files, mounts, cron, patches,
    /// system, logs)
    #[arg(long, value_name = "AREA", value_delimiter = ',')]
    only: Vec<String>,
    /// How far back logs are read [default: 7d]
    #[arg(long, value_name = "DURATION")]
    since: Option<Span>,
    /// File of accepted findings [default: /etc/wardmote/accepted.yaml]
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
    /// Exit code 1 when a finding has this level or a higher one [default: high]
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Severity>,
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
    /// One finding a line, then a summary
    Jsonl,
}

/// Runs the audit.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let settings = Settings::load(global.config.as_deref())?;
    known_areas(&args.only)?;
    let fail_on = args.fail_on.unwrap_or(settings.audit.fail_on);
    let accept_file = args.accept.as_deref().unwrap_or(&settings.audit.accept);
    let accepted = accept::read(accept_file, args.accept.is_some())?;
    let now = jiff::Timestamp::now().as_second();
    let since = args.since.unwrap_or(settings.audit.since).seconds();
    let root = std::path::absolute(&args.root)?;
    let state = state_directory(global.state_dir.as_deref());
    let (own_probes, notice) = ledger::known(&state, now);
    note(global, notice);
    let wanted = Wanted {
        root,
        only: args.only,
        since: now.saturating_sub(since),
        now,
        threads: threads(),
        files: Default::default(),
        own_probes: own_probes.into(),
        powers: Arc::new(Direct::new(&state)),
    };
    let progress = Progress::start(global.quiet, "looking at the host");
    let mut judges = Judges::new(&settings, &state, now);
    let Examined { report, context, cases } = examine(&wanted, &accepted, &settings, &mut judges)?;
    drop(progress);
    if wanted.root == Path::new("/") {
        keep_report(&report, &state, global);
    }
    let of = Of { by: By::Audit, host: &report.host.name, started: now };
    tell(global, judges.unread.clone());
    tell(global, keep::keep(&state, &of, &judges, context, cases).err());
    let bytes = match args.format {
        Format::Json => json::document(&report)?,
        Format::Jsonl => json::lines(&report)?,
        Format::Text => {
            let color = global.color.on_stdout(global.output.is_some());
            text::text(&report, text::Style { color, detail: global.verbose }).into_bytes()
        }
    };
    output::write(global.output.as_deref(), &bytes)?;
    Ok(exit_code(&report, fail_on))
}

/// One line on stderr with `-v`, where there is something to say.
pub fn tell(global: &Global, line: Option<String>) {
    if let Some(line) = line.filter(|_| global.verbose > 0 && !global.quiet) {
        say!("wardmote: {line}");
    }
}

/// One line on stderr, where there is something to say that nobody should miss.
pub fn note(global: &Global, line: Option<String>) {
    if let Some(line) = line.filter(|_| !global.quiet) {
        say!("wardmote: {line}");
    }
}

fn known_areas(only: &[String]) -> anyhow::Result<()> {
    let known = |name: &String| name == "logs" || AREAS.iter().any(|(area, _)| area == name);
    match only.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = AREAS.iter().map(|(area, _)| *area).chain(["logs"]).collect();
            Err(hinted(format!("no area `{name}`"), format!("areas are {}", names.join(", "))))
        }
    }
}

/// Keeps the report where `accept` finds it; a directory that cannot be written is told with `-v`.
fn keep_report(report: &Report, state: &Path, global: &Global) {
    let write = || -> anyhow::Result<()> {
        create_private(state)?;
        Ok(output::replace(&state.join(LAST_REPORT), &json::document(report)?, 0o600)?)
    };
    let trouble = |error| format!("the report is not kept in {}: {error}", state.display());
    tell(global, write().err().map(trouble));
}

/// Makes a directory that only its owner may enter, where it is not there yet.
pub fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn exit_code(report: &Report, fail_on: Severity) -> Exit {
    if report.open().any(|finding| finding.severity >= fail_on) {
        return Exit::Found;
    }
    match report.incomplete.iter().any(|entry| !entry.expected) {
        true => Exit::Incomplete,
        false => Exit::Clean,
    }
}
