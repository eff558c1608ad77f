//! `wardmote scan`: asks TCP ports of hosts. The scanning itself is `scanner::ports::connect`; this
//! file reads the command line, resolves names and chooses the format.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::ports::addresses::{self, OwnAddresses};
use scanner::ports::connect::{self, Limits, Report, Request};
use scanner::ports::firewall::Span;
use scanner::ports::targets::{self, Target, WORDS_MAX};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;

mod nmap;
mod text;

/// Most bytes of an `@file`.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Longest wait for a name.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);
/// Most names that are resolved.
const NAMES_MAX: usize = 4096;
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
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let ports = args.ports.as_deref().map(targets::ports).transpose().map_err(usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = words(&args.targets)?;
    let excluded = words(&args.exclude)?;
    let (mut excluded, named, mut incomplete) = runtime.block_on(resolve(&excluded))?;
    if let Some(line) = incomplete.first() {
        // What cannot be excluded for sure must not be probed.
        return Err(hinted(format!("--exclude: {line}"), "write the address instead of the name"));
    }
    excluded.extend(named.iter().filter_map(|(address, _)| Span::between(*address, *address)));
    let (spans, named, unresolved) = runtime.block_on(resolve(&wanted))?;
    incomplete.extend(unresolved);

    let tree = RootedTree::open(Path::new("/"))?;
    let (own, _) = addresses::own(&tree);
    let limits = Limits { timeout: args.timeout, retries: args.retries, rate: args.rate };
    let addresses = pick(&spans, named, &excluded)?;
    if addresses.is_empty() {
        let hint = incomplete.first().cloned();
        let hint = hint.unwrap_or_else(|| "everything named is excluded".to_string());
        return Err(hinted("there is nothing to scan", hint));
    }
    let request = Request { addresses, ports, all: args.all, limits };
    let report = scan(&runtime, &request, &own, &tree, incomplete)?;

    let bytes = match args.format {
        Format::Text => text::render(&report).into_bytes(),
        Format::Json => [serde_json::to_vec_pretty(&report)?, b"\n".to_vec()].concat(),
        Format::Jsonl => jsonl(&report)?,
        Format::NmapXml => nmap::xml(&report, &request).into_bytes(),
        Format::Grepable => nmap::grepable(&report).into_bytes(),
    };
    output::write(global.output.as_deref(), &bytes)?;
    for line in report.incomplete.iter().filter(|_| args.format != Format::Text && !global.quiet) {
        say!("wardmote: incomplete: {line}");
    }
    Ok(if report.incomplete.is_empty() { Exit::Clean } else { Exit::Incomplete })
}

fn scan(
    runtime: &tokio::runtime::Runtime,
    request: &Request,
    own: &OwnAddresses,
    tree: &RootedTree,
    incomplete: Vec<String>,
) -> anyhow::Result<Report> {
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
    report.elapsed_ms = (since.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    report.started = format!("{started:.0}");
    report.incomplete.splice(0..0, incomplete);
    Ok(report)
}

/// The words of the command line with `@FILE` replaced by the words of that file.
fn words(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    for word in given {
        match word.strip_prefix('@') {
            None => words.push(word.clone()),
            Some(path) => words.extend(words_of_file(Path::new(path))?),
        }
        if words.len() > WORDS_MAX {
            return Err(hinted(format!("more than {WORDS_MAX} targets"), "write networks"));
        }
    }
    Ok(words)
}

/// Words of a file; `#` starts a comment.
fn words_of_file(path: &Path) -> anyhow::Result<Vec<String>> {
    let told = |why: String| hinted(format!("{}: {why}", path.display()), "one target a line");
    let file = crate::secrets::open_regular(path)?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|error| told(error.to_string()))? as u64 > FILE_BYTES_MAX {
        return Err(told(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::split_ascii_whitespace)
        .take(WORDS_MAX + 1)
        .map(str::to_string)
        .collect())
}

type Named = Vec<(IpAddr, String)>;

/// Spans, addresses of names, and names that do not resolve.
async fn resolve(words: &[String]) -> anyhow::Result<(Vec<Span>, Named, Vec<String>)> {
    let (mut spans, mut named, mut unresolved) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = 0;
    for word in words {
        let name = match targets::target(word).map_err(usage)? {
            Target::Span(span) => {
                spans.push(span);
                continue;
            }
            Target::Name(name) => name,
        };
        names += 1;
        if names > NAMES_MAX {
            return Err(hinted(format!("more than {NAMES_MAX} names"), "write addresses"));
        }
        let asked = tokio::net::lookup_host((name.as_str(), 0));
        match tokio::time::timeout(RESOLVE_WITHIN, asked).await {
            Ok(Ok(found)) => named.extend(found.map(|found| (found.ip(), name.clone()))),
            Ok(Err(error)) => unresolved.push(format!("{name}: not resolved: {error}")),
            Err(_) => unresolved.push(format!("{name}: not resolved in {RESOLVE_WITHIN:?}")),
        }
    }
    Ok((spans, named, unresolved))
}

/// The addresses to scan, each once: of the names first, with them.
fn pick(
    spans: &[Span],
    named: Named,
    excluded: &[Span],
) -> anyhow::Result<Vec<(IpAddr, Option<String>)>> {
    let mut seen = std::collections::HashSet::new();
    let plain = targets::addresses(spans, excluded).map_err(usage)?;
    let named = named
        .into_iter()
        .filter(|(address, _)| !excluded.iter().any(|span| span.contains(*address)))
        .map(|(address, name)| (address, Some(name)));
    Ok(named
        .chain(plain.into_iter().map(|address| (address, None)))
        .filter(|(address, _)| seen.insert(*address))
        .collect())
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

fn usage(error: targets::TargetError) -> anyhow::Error {
    let hint = match error {
        targets::TargetError::Word(_) => "write 192.0.2.1, 192.0.2.0/24, 192.0.2.1-20 or a name",
        targets::TargetError::TooMany => "scan it in parts",
        targets::TargetError::Port(_) => "write 22,80,8000-8010, or - for all",
    };
    hinted(error.to_string(), hint)
}
