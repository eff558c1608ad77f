//! `wardmote scan`: asks TCP ports of hosts. The scanning itself is `scanner::ports::connect`; this
//! file reads the command line and chooses the format.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::ports::Inventory;
use scanner::ports::addresses::{self, OwnAddresses};
use scanner::ports::connect::{self, Limits, Request};
use scanner::ports::expect as declared;
use scanner::ports::firewall::Span;
use scanner::ports::report::Report;
use scanner::ports::targets as words;

use crate::commands::Global;
use crate::commands::audit::{note, tell};
use crate::exit::{Exit, hinted};
use crate::output;
use crate::settings::state_directory;

mod cache;
mod expect;
pub(crate) mod ledger;
mod nmap;
mod targets;
mod text;
mod truth;

/// Longest wait for one answer that may be asked for.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Arguments.
#[derive(Debug, clap::Args)]
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
    /// List every port that was asked, not only the open ones
    #[arg(long)]
    all: bool,
    /// Connections a second to other hosts
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Wait for one answer (500ms, 2s)
    #[arg(long, value_name = "DUR", default_value = "1500ms", value_parser = duration)]
    timeout: Duration,
    /// How often a silent port is asked again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10))]
    retries: u32,
    /// Compare with a declared list of listeners (YAML; `--format expect` prints one): 1 if they differ
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    #[command(flatten)]
    cache: cache::Flags,
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

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let ports = args.ports.as_deref().map(words::ports).transpose().map_err(targets::usage)?;
    let expected = args.expect.as_deref().map(expect::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = targets::words(&args.targets)?;
    let excluded = targets::words(&args.exclude)?;
    let (mut excluded, named, mut incomplete) = runtime.block_on(targets::resolve(&excluded))?;
    if let Some(line) = incomplete.first() {
        // What cannot be excluded for sure must not be probed.
        return Err(hinted(format!("--exclude: {line}"), "write the address instead of the name"));
    }
    excluded.extend(named.iter().filter_map(|(address, _)| Span::between(*address, *address)));
    let (spans, named, unresolved) = runtime.block_on(targets::resolve(&wanted))?;
    incomplete.extend(unresolved);

    let tree = RootedTree::open(Path::new("/"))?;
    let (own, _) = addresses::own(&tree);
    let limits = Limits {
        timeout: args.timeout,
        retries: args.retries,
        rate: args.rate,
        ..Limits::default()
    };
    let addresses = targets::pick(&spans, named, &excluded)?;
    if addresses.is_empty() {
        let hint = incomplete.first().cloned();
        let hint = hint.unwrap_or_else(|| "everything named is excluded".to_string());
        return Err(hinted("there is nothing to scan", hint));
    }
    let request = Request { addresses, ports, all: args.all, limits };
    let (mut report, inventory) =
        scan(&runtime, &request, &own, &tree, (&args.cache, global), incomplete)?;
    truth::compare(&mut report, &request, &tree);
    if let Some(expected) = &expected {
        expect::compare(expected, &mut report, inventory.as_ref(), &request);
    }

    let bytes = match args.format {
        Format::Text => text::render(&report).into_bytes(),
        Format::Json => [serde_json::to_vec_pretty(&report)?, b"\n".to_vec()].concat(),
        Format::Jsonl => jsonl(&report)?,
        Format::NmapXml => nmap::xml(&report, &request).into_bytes(),
        Format::Grepable => nmap::grepable(&report).into_bytes(),
        Format::Expect => declared::write(&report, inventory.as_ref()).into_bytes(),
    };
    output::write(global.output.as_deref(), &bytes)?;
    for line in report.incomplete.iter().filter(|_| args.format != Format::Text && !global.quiet) {
        say!("wardmote: incomplete: {line}");
    }
    let drift = report.drift.as_deref().unwrap_or_default();
    for one in drift.iter().filter(|_| args.format != Format::Text && !global.quiet) {
        say!("wardmote: {}", expect::line(one));
    }
    if !drift.is_empty() || truth::is_hidden(&report) {
        return Ok(Exit::Found);
    }
    Ok(if report.incomplete.is_empty() { Exit::Clean } else { Exit::Incomplete })
}

fn scan(
    runtime: &tokio::runtime::Runtime,
    request: &Request,
    own: &OwnAddresses,
    tree: &RootedTree,
    (flags, global): (&cache::Flags, &Global),
    incomplete: Vec<String>,
) -> anyhow::Result<(Report, Option<Inventory>)> {
    let probes = connect::probes(request, own);
    if probes > connect::PROBES_MAX {
        let most = connect::PROBES_MAX;
        let hint = "name fewer targets, or fewer ports with -p";
        return Err(hinted(format!("{probes} ports in all are more than {most}"), hint));
    }
    let here = request.addresses.iter().any(|(address, _)| own.contains(*address));
    // Only who holds a port is joined: the firewall does not matter for a probe from within.
    let inventory = here.then(|| scanner::ports::look(tree, &Spoken::default()));
    let (started, since) = (jiff::Timestamp::now(), Instant::now());
    let mut report = runtime.block_on(connect::scan(request, own, inventory.as_ref()));
    if let Some(inventory) = &inventory {
        recall(&mut report, inventory, flags, global);
    }
    report.elapsed_ms = (since.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    report.started = format!("{started:.0}");
    report.incomplete.splice(0..0, incomplete);
    Ok((report, inventory))
}

/// Joins what earlier scans found, and keeps what this one did: services in the cache, probes in the ledger.
fn recall(report: &mut Report, inventory: &Inventory, flags: &cache::Flags, global: &Global) {
    let state = state_directory(global.state_dir.as_deref());
    match cache::Kept::open(flags, global.state_dir.as_deref(), &state, &[]) {
        Err(why) => tell(global, Some(why)),
        Ok((mut kept, notice)) => {
            note(global, notice);
            kept.fill(report, inventory);
            kept.learn(report, inventory);
            tell(global, kept.save(inventory));
        }
    }
    tell(global, ledger::keep(&state));
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
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| "write a duration such as 500ms or 2s".to_string())?;
    match Duration::try_from(parsed) {
        Ok(wait) if !wait.is_zero() && wait <= TIMEOUT_MAX => Ok(wait),
        _ => Err("between 1ms and 60s".to_string()),
    }
}
