//! `wardmote scan`: asks TCP ports of hosts. The scanning itself is `scanner::ports::connect`; this
//! file reads the command line and goes through the steps: [`targets`], [`connect::ask`] (with
//! [`resume`] and [`bar`]), [`services`] (what is behind the ports), [`truth`] (what the kernel says of
//! it), [`expect`] (what was declared), and the format.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::ports::addresses::{self, OwnAddresses};
use scanner::ports::connect::{self, Asked, Beside, Limits, Request, State};
use scanner::ports::expect as declared;
use scanner::ports::firewall::Span;
use scanner::ports::report::Report;
use scanner::ports::targets as words;
use scanner::ports::{self, Dump, Inventory};

use crate::commands::Global;
use crate::commands::audit::{note, tell};
use crate::exit::{Exit, hinted};
use crate::output;
use crate::progress::Progress;
use crate::settings::state_directory;

mod bar;
mod cache;
mod expect;
mod identify;
pub(crate) mod ledger;
mod nmap;
mod resume;
mod services;
mod targets;
mod text;
mod truth;

/// Longest wait for one answer that may be asked for.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Longest time for one host that may be asked for.
const HOST_TIMEOUT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What the exit code says, and where a report has the reason.
const EXIT_CODES: &str = "\
Exit codes: 1 something is hidden on this host (`truth`) or --expect is not met (`drift`), 2 bad usage, 3 a \
part could not be asked (`incomplete`). `wardmote schema scan` describes every key of the JSON report.";

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Addresses, networks (192.0.2.0/24), ranges (192.0.2.1-20), names, or @FILE with some of them
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// Ports: 22,80,8000-8010, or - for all [default: all of this host, common ones of others]
    #[arg(short, long, value_name = "PORTS", allow_hyphen_values = true)]
    ports: Option<String>,
    /// Leave these out (written like TARGET)
    #[arg(long, value_name = "TARGET")]
    exclude: Vec<String>,
    #[command(flatten)]
    identify: identify::Options,
    /// List every port that was asked, not only the open ones
    #[arg(long)]
    all: bool,
    /// Connections a second to other hosts
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Wait for one answer (500ms, 2s)
    #[arg(long, value_name = "DUR", default_value = "1500ms", value_parser = duration)]
    timeout: Duration,
    /// Longest time for one other host (30s, 10m); what is left of it then is not probed
    #[arg(long, value_name = "DUR", value_parser = long_duration)]
    host_timeout: Option<Duration>,
    /// How often a silent port is asked again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10))]
    retries: u32,
    #[command(flatten)]
    cache: cache::Flags,
    /// Compare with a declared list of listeners (YAML; `--format expect` prints one): 1 if they differ
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Go on from FILE, if it is there; an interrupted scan (Ctrl-C) writes it
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Ask other hosts' ports in the order of an earlier scan (`seed` of its JSON report)
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Jsonl,
    NmapXml,
    Grepable,
    Expect,
}

/// What is scanned, from where.
struct Job {
    runtime: tokio::runtime::Runtime,
    tree: RootedTree,
    own: OwnAddresses,
    request: Request,
    beside: Beside,
    /// Names that do not resolve.
    incomplete: Vec<String>,
}

/// What came of it.
struct Seen {
    report: Report,
    /// Every port's state, in the order of the request's addresses.
    asked: Vec<Asked>,
    inventory: Option<Inventory>,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let expected = args.expect.as_deref().map(expect::read).transpose()?;
    let fingerprints = identify::known(&args.identify)?;
    let mut job = prepare(&args)?;
    let Seen { mut report, asked, inventory } = look(&mut job, args.resume.as_deref(), global)?;
    let Job { runtime, tree, request, .. } = &job;
    if !job.beside.watch.is_stopped() {
        let since = Instant::now();
        let (inventory, host_timeout) = (inventory.as_ref(), args.host_timeout);
        let known = services::Known { fingerprints, inventory, host_timeout };
        let kept = services::add(runtime, &mut report, known, &args.cache, global);
        report.elapsed_ms += millis(since);
        // The disk takes its time, and nobody has to wait for it.
        let saved = std::thread::scope(|scope| {
            let saved = scope.spawn(|| kept.and_then(services::Kept::save));
            truth::compare(&mut report, request, tree);
            saved.join()
        });
        tell(global, saved.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    }
    // Also of a scan that was interrupted: sweeps are to know the lines that it caused.
    tell(global, ledger::keep(&state_directory(global.state_dir.as_deref())));
    if let Some(expected) = &expected {
        let was_asked = expect::asked(request, &asked);
        let compared = declared::compare(expected, &report, inventory.as_ref(), was_asked);
        report.drift = Some(compared.drift);
        report.incomplete.extend(compared.incomplete);
    }
    let bytes = render(&report, request, inventory.as_ref(), args.format)?;
    output::write(global.output.as_deref(), &bytes)?;
    if let Some(path) = args.resume.filter(|_| !job.beside.watch.is_stopped()) {
        let failed = std::fs::remove_file(&path).err();
        let failed = failed.filter(|error| error.kind() != std::io::ErrorKind::NotFound);
        note(global, failed.map(|error| format!("{}: not removed: {error}", path.display())));
    }
    Ok(told(&report, args.format, global))
}

/// Words of the command line become addresses.
fn prepare(args: &Args) -> anyhow::Result<Job> {
    let ports = args.ports.as_deref().map(words::ports).transpose().map_err(targets::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = targets::words(&args.targets)?;
    let excluded = targets::words(&args.exclude)?;
    let unwanted = runtime.block_on(targets::resolve(&excluded))?;
    if let Some(line) = unwanted.unresolved.first() {
        // What cannot be excluded for sure must not be probed.
        return Err(hinted(format!("--exclude: {line}"), "write the address instead of the name"));
    }
    let mut excluded = unwanted.spans;
    let named = unwanted.named.iter();
    excluded.extend(named.filter_map(|(address, _)| Span::between(*address, *address)));
    let targets::Resolved { spans, named, zones, unresolved: incomplete } =
        runtime.block_on(targets::resolve(&wanted))?;

    let tree = RootedTree::open(Path::new("/"))?;
    let (own, _) = addresses::own(&tree);
    connect::descriptors::raise();
    // Any number will do for the order; it is told in the report.
    let seed = || jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
    let limits = Limits {
        timeout: args.timeout,
        retries: args.retries,
        rate: args.rate,
        host_timeout: args.host_timeout,
        seed: args.seed.unwrap_or_else(seed),
    };
    let addresses = targets::pick(&spans, named, &excluded)?;
    if addresses.is_empty() {
        let hint = incomplete.first().cloned();
        let hint = hint.unwrap_or_else(|| "everything named is excluded".to_string());
        return Err(hinted("there is nothing to scan", hint));
    }
    targets::check_zones(&addresses, &zones)?;
    let request = Request { addresses, ports, all: args.all, limits };
    let probes = connect::probes(&request, &own);
    if probes > connect::PROBES_MAX {
        let most = connect::PROBES_MAX;
        let hint = "name fewer targets, or fewer ports with -p";
        return Err(hinted(format!("{probes} ports in all are more than {most}"), hint));
    }
    let beside = Beside { zones, ..Beside::default() };
    Ok(Job { runtime, tree, own, request, beside, incomplete })
}

/// Asks the ports, and says who holds those of this host: its sockets are dumped before, described
/// meanwhile. The firewall does not matter for a probe from within.
fn look(job: &mut Job, resumed: Option<&Path>, global: &Global) -> anyhow::Result<Seen> {
    let earlier = match resumed {
        Some(path) => resume::read(path, &job.request, &job.own)?,
        None => Default::default(),
    };
    job.beside.earlier = earlier.states.clone();
    let is_asked = resumed.map(|_| resume::stop_on_signals(&job.beside.watch)).transpose()?;
    let Job { runtime, tree, own, request, beside, incomplete } = &*job;
    let (started, since) = (jiff::Timestamp::now(), Instant::now());
    let here = request.addresses.iter().any(|(address, _)| own.contains(*address));
    let dump = here.then(|| Dump::take(tree));
    let (asked, inventory): (Vec<Asked>, _) = std::thread::scope(|scope| {
        let describe = |dump| ports::look_at(tree, &Spoken::default(), dump);
        let inventory = dump.map(|dump| scope.spawn(move || describe(dump)));
        let _progress = progress(request, own, beside, global.quiet);
        let asked = runtime.block_on(connect::ask(request, own, beside));
        (asked, inventory.map(std::thread::ScopedJoinHandle::join))
    });
    let inventory = inventory.transpose().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let mut report = connect::report(request, &asked, inventory.as_ref());
    report.elapsed_ms = millis(since);
    report.started = format!("{started:.0}");
    report.incomplete.splice(0..0, incomplete.clone());
    if let Some(path) = resumed {
        resume::date(&mut report, request, &earlier);
        let written = resume::write(path, request, &asked);
        let (path, is_stopped) = (path.display(), beside.watch.is_stopped());
        match written {
            Ok(()) if is_stopped => report
                .incomplete
                .push(format!("interrupted; the same with --resume {path} goes on")),
            Ok(()) => {}
            // What was found is told all the same.
            Err(error) if is_stopped => report.incomplete.push(format!("interrupted; {error:#}")),
            Err(error) => note(global, Some(format!("--resume: {error:#}"))),
        }
    }
    if let Some(is_asked) = is_asked {
        is_asked.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(Seen { report, asked, inventory })
}

/// A line on a terminal while a scan takes longer than a moment.
fn progress(request: &Request, own: &OwnAddresses, beside: &Beside, quiet: bool) -> Progress {
    let known =
        |states: &Vec<State>| states.iter().filter(|state| **state != State::NotProbed).count();
    let known: usize = beside.earlier.values().map(known).sum();
    let total = connect::probes(request, own).saturating_sub(known) as u64;
    let watch = Arc::clone(&beside.watch);
    Progress::telling(quiet, move |elapsed| bar::line(watch.settled(), total, elapsed))
}

fn render(
    report: &Report,
    request: &Request,
    inventory: Option<&Inventory>,
    format: Format,
) -> anyhow::Result<Vec<u8>> {
    Ok(match format {
        Format::Text => text::render(report).into_bytes(),
        Format::Json => [serde_json::to_vec_pretty(report)?, b"\n".to_vec()].concat(),
        Format::Jsonl => jsonl(report)?,
        Format::NmapXml => nmap::xml(report, request).into_bytes(),
        Format::Grepable => nmap::grepable(report).into_bytes(),
        Format::Expect => declared::write(report, inventory).into_bytes(),
    })
}

/// Tells on stderr what a format for machines does not show; the exit code.
fn told(report: &Report, format: Format, global: &Global) -> Exit {
    let drift = report.drift.as_deref().unwrap_or_default();
    if format != Format::Text && !global.quiet {
        for line in &report.incomplete {
            say!("wardmote: incomplete: {line}");
        }
        for one in drift {
            say!("wardmote: {}", expect::line(one));
        }
        // It decides the exit code.
        for one in truth::hidden(report) {
            say!("wardmote: {}", text::disagreement(one));
        }
    }
    match (drift.is_empty() && truth::hidden(report).next().is_none(), report.incomplete.is_empty())
    {
        (false, _) => Exit::Found,
        (true, false) => Exit::Incomplete,
        (true, true) => Exit::Clean,
    }
}

/// Milliseconds, to the microsecond.
fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// One port a line, with its address first.
fn jsonl(report: &Report) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    for host in &report.hosts {
        for port in &host.ports {
            let mut line = serde_json::Map::new();
            line.insert("address".to_string(), host.address.to_string().into());
            if let serde_json::Value::Object(port) = serde_json::to_value(port)? {
                line.extend(port);
            }
            serde_json::to_writer(&mut out, &line)?;
            out.push(b'\n');
        }
    }
    Ok(out)
}

fn duration(text: &str) -> Result<Duration, String> {
    bounded(text, TIMEOUT_MAX).ok_or_else(|| "between 1ms and 60s, such as 500ms or 2s".to_string())
}

fn long_duration(text: &str) -> Result<Duration, String> {
    bounded(text, HOST_TIMEOUT_MAX).ok_or_else(|| "up to 168h, such as 30s or 10m".to_string())
}

fn bounded(text: &str, most: Duration) -> Option<Duration> {
    let wait = Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok()?;
    (!wait.is_zero() && wait <= most).then_some(wait)
}
