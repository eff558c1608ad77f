//! `wardmote audit`: examines the whole host, or a mounted tree, and says what to do first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use consensus::{Panel, Severity};
use scanner::checks::{AREAS, CheckResult, Ran};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;
use crate::pipeline::accept::{self, Accepted};
use crate::pipeline::judge::{self, Judged};
use crate::pipeline::look::{self, Wanted};
use crate::pipeline::surround;
use crate::progress::Progress;
use crate::report::{CheckLine, Finding, Host, Incomplete, Remediation, Report, json, text};
use crate::settings::{Settings, Span, state_directory};

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
    let wanted =
        Wanted { root, only: args.only, since: now.saturating_sub(since), now, threads: threads() };
    let progress = Progress::start(global.quiet, "looking at the host");
    let report = examine(&wanted, &accepted, &settings)?;
    drop(progress);
    if wanted.root == Path::new("/") {
        keep(&report, &state_directory(global.state_dir.as_deref()), global);
    }
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

/// Looks, judges and reports: everything but where the result goes.
pub fn examine(
    wanted: &Wanted,
    accepted: &[Accepted],
    settings: &Settings,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut seen = look::look(wanted)?;
    let checks: Vec<CheckLine> = seen.ran.iter().map(check_line).collect();
    let mut incomplete = std::mem::take(&mut seen.incomplete);
    incomplete.extend(seen.ran.iter().flat_map(not_seen));
    for entry in &mut incomplete {
        let whole = format!("{}: {}", entry.what, entry.reason);
        entry.expected =
            settings.audit.expected_incomplete.iter().any(|start| whole.starts_with(start));
    }
    let items = judged(seen.ran);
    let evidence: Vec<_> = items.iter().map(|item| &item.evidence).collect();
    let context = surround::context(wanted.now, seen.inventory.as_ref(), None, &evidence);
    let mut findings = judge::findings(&Panel::cold(), &context, items);
    for finding in &mut findings {
        finding.accepted = accepted
            .iter()
            .find(|entry| entry.fingerprint == finding.fingerprint && entry.holds(wanted.now))
            .cloned();
    }
    Ok(Report {
        schema: "wardmote.audit/1".into(),
        tool: concat!("wardmote ", env!("CARGO_PKG_VERSION")).into(),
        started: jiff::Timestamp::from_second(wanted.now)?.to_string(),
        host: host(&wanted.root),
        vantage: seen.vantage,
        counts: counts(&findings),
        accepted: findings.iter().filter(|finding| finding.accepted.is_some()).count(),
        findings,
        checks,
        services: seen.inventory.map(|inventory| inventory.listeners),
        logs: None,
        incomplete,
        elapsed_ms: started.elapsed().as_secs_f64() * 1_000.0,
    })
}

/// Threads for the checks: all cores, at most eight.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(8)
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

fn check_line(ran: &Ran) -> CheckLine {
    CheckLine { id: ran.check.id.into(), result: ran.result, reason: ran.reason.clone() }
}

/// What a check could not see: itself when it could not run, and the parts it names.
fn not_seen(ran: &Ran) -> Vec<Incomplete> {
    let whole = matches!(ran.result, CheckResult::NotRun | CheckResult::Unknown);
    let reasons = whole.then(|| ran.reason.clone()).into_iter();
    let parts = ran.unseen.iter().map(|part| scanner::redact::line(part));
    reasons
        .chain(parts)
        .map(|reason| Incomplete { what: ran.check.id.into(), reason, expected: false })
        .collect()
}

fn judged(ran: Vec<Ran>) -> Vec<Judged> {
    ran.into_iter()
        .flat_map(|ran| {
            let check = ran.check;
            ran.evidence.into_iter().map(move |(evidence, snippet)| Judged {
                evidence,
                why: check.why.into(),
                remediation: Remediation { text: check.remediation.into(), snippet },
                references: check.references.iter().map(ToString::to_string).collect(),
            })
        })
        .collect()
}

fn counts(findings: &[Finding]) -> BTreeMap<Severity, usize> {
    let mut counts: BTreeMap<Severity, usize> = Severity::ALL.map(|level| (level, 0)).into();
    for finding in findings.iter().filter(|finding| finding.accepted.is_none()) {
        *counts.entry(finding.severity).or_default() += 1;
    }
    counts
}

fn host(root: &Path) -> Host {
    use parsers::tree::Tree;
    let live = root == Path::new("/");
    let tree = scanner::RootedTree::open(root);
    let read = |path: &str| tree.as_ref().ok().and_then(|tree| tree.read_config(path).ok());
    let text = |bytes: Vec<u8>| scanner::redact::line(String::from_utf8_lossy(&bytes).trim());
    let system = rustix::system::uname();
    let name = if live {
        Some(scanner::redact::line(&system.nodename().to_string_lossy()))
    } else {
        read("/etc/hostname").map(text)
    };
    let release = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"));
    let os = release.and_then(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(scanner::redact::line(line.trim_matches(['"', '\''])))
    });
    Host {
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed host".into()),
        os: os.unwrap_or_else(|| "unknown distribution".into()),
        kernel: live.then(|| scanner::redact::line(&system.release().to_string_lossy())),
        root: (!live).then(|| scanner::redact::printable(&root.to_string_lossy())),
    }
}

/// Keeps the report where `accept` finds it; a directory that cannot be written is told with `-v`.
fn keep(report: &Report, state: &Path, global: &Global) {
    let write = || -> anyhow::Result<()> {
        create_private(state)?;
        Ok(output::replace(&state.join(LAST_REPORT), &json::document(report)?, 0o600)?)
    };
    if let Err(error) = write()
        && global.verbose > 0
        && !global.quiet
    {
        eprintln!("wardmote: the report is not kept in {}: {error}", state.display());
    }
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
