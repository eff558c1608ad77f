//! `wardmote passwords`: what the shadow file says about each account; guesses only when asked
//! (`--wordlist` or `--budget`). Never prints a password it found, nor a hash.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use consensus::Severity;
use scanner::passwords::guess::{self, Guessed, Plan};
use scanner::passwords::{self, Account, Passwords};
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::{output, secrets};

mod text;

/// Most bytes of a shadow or passwd file.
const TABLE_BYTES_MAX: u64 = 64 << 20;
/// Guessing ends after this, unless told otherwise.
const BUDGET_DEFAULT: Duration = Duration::from_secs(60);
/// Longest budget: a week.
const BUDGET_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The table that the system uses.
const SHADOW: &str = "/etc/shadow";

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 1 from --fail-on on, 3 when a line or the rest of the guesses could not be \
    looked at. A password that was found is never shown, nor is any hash."
)]
pub struct Args {
    /// Shadow file
    #[arg(long, value_name = "FILE", default_value = SHADOW)]
    shadow: PathBuf,
    /// Guess too: what people make of names first, then the lines of FILE
    #[arg(long, value_name = "FILE")]
    wordlist: Option<PathBuf>,
    /// Guess for so long (30s, 10m, 2h) [default with --wordlist: 1m]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    budget: Option<Duration>,
    /// Exit with 1 from this level on
    #[arg(long, value_name = "LEVEL", default_value = "high")]
    fail_on: Severity,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: accounts with a fault, worst first
    Text,
    /// Every account
    Json,
    /// One account a line
    Jsonl,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
pub struct Report {
    /// `wardmote.passwords/1`.
    schema: &'static str,
    /// The file that was read.
    file: String,
    /// Accounts in the order of the file.
    accounts: Vec<Account>,
    /// What guessing came to, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    guessed: Option<GuessReport>,
    /// What could not be looked at.
    incomplete: Vec<String>,
}

/// What guessing came to.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct GuessReport {
    /// Hashes that were tried.
    hashes: usize,
    /// Guesses made, all hashes together.
    tried: u64,
    /// Words of the list that were tried on every hash.
    words: u64,
    /// Whether time was up first.
    cut: bool,
    /// How long it took, in milliseconds.
    elapsed_ms: u64,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    secrets::shield();
    let shadow = table(&args.shadow).map_err(|why| {
        let hint = match args.shadow == Path::new(SHADOW) && !rustix::process::geteuid().is_root() {
            true => "run it with sudo: only root may read the shadow file",
            false => "name a file in the form of shadow(5)",
        };
        hinted(format!("{}: {why}", args.shadow.display()), hint)
    })?;
    let mut incomplete = Vec::new();
    let beside = args.shadow.with_file_name("passwd");
    let passwd = match table(&beside) {
        Ok(bytes) => Some(bytes),
        Err(why) => {
            incomplete
                .push(format!("{}: {why}: shells and full names are unknown", beside.display()));
            None
        }
    };
    let now = jiff::Zoned::now();
    let today = now.timestamp().as_second().div_euclid(86_400);
    let file = args.shadow.display().to_string();
    let mut read = passwords::read(&file, &shadow, passwd.as_ref().map(|b| b.as_slice()), today);
    drop(shadow);
    incomplete.extend(unread(&read));
    let guessed = match args.wordlist.is_some() || args.budget.is_some() {
        true => Some(guessing(&args, &mut read, now.year())?),
        false => None,
    };
    if guessed.is_some_and(|guessed| guessed.cut) {
        incomplete.push("guessing ended with its time: raise --budget for the rest".to_string());
    }
    let is_costly = |one: &&Account| one.faults.iter().any(|fault| fault.id == "costly-hash");
    for account in read.accounts.iter().filter(|_| guessed.is_some()).filter(is_costly) {
        let name = scanner::redact::printable(&account.name);
        incomplete.push(format!("{name}: not guessed: its hash costs too much"));
    }
    let accounts = read.accounts;
    let report = Report { schema: "wardmote.passwords/1", file, accounts, guessed, incomplete };
    output::write(global.output.as_deref(), &render(&report, args.format)?)?;
    for line in report.incomplete.iter().filter(|_| args.format != Format::Text && !global.quiet) {
        say!("wardmote: incomplete: {line}");
    }
    let worst = report.accounts.iter().map(Account::severity).max();
    Ok(match worst {
        Some(worst) if worst > Severity::Info && worst >= args.fail_on => Exit::Found,
        _ if !report.incomplete.is_empty() => Exit::Incomplete,
        _ => Exit::Clean,
    })
}

fn render(report: &Report, format: Format) -> anyhow::Result<Vec<u8>> {
    Ok(match format {
        Format::Text => text::render(report).into_bytes(),
        Format::Json => [serde_json::to_vec_pretty(report)?, b"\n".to_vec()].concat(),
        Format::Jsonl => {
            let mut out = Vec::new();
            for account in &report.accounts {
                serde_json::to_writer(&mut out, account)?;
                out.push(b'\n');
            }
            out
        }
    })
}

/// A whole table, bounded; it may hold hashes.
fn table(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = secrets::open_regular(path).map_err(|error| plain(path, &error))?;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    if bytes > TABLE_BYTES_MAX {
        return Err(format!("larger than {TABLE_BYTES_MAX} bytes"));
    }
    let mut table = Zeroizing::new(Vec::with_capacity(bytes as usize + 1));
    file.take(TABLE_BYTES_MAX).read_to_end(&mut table).map_err(|error| error.to_string())?;
    Ok(table)
}

/// The reason alone, of an error that begins with the path.
fn plain(path: &Path, error: &anyhow::Error) -> String {
    let text = error.to_string();
    text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_string()
}

/// Lines that are none: a hash may stand in any of their fields, so only the place is told.
fn unread(read: &Passwords) -> Vec<String> {
    let mut lines: Vec<String> = read
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.place, scanner::redact::line(&problem.message)))
        .collect();
    if read.more_problems > 0 {
        lines.push(format!("and {} more lines", read.more_problems));
    }
    lines
}

fn guessing(args: &Args, read: &mut Passwords, year: i16) -> anyhow::Result<GuessReport> {
    let mut list: Option<BufReader<File>> = match &args.wordlist {
        Some(path) => Some(BufReader::with_capacity(1 << 16, secrets::open_regular(path)?)),
        None => None,
    };
    let since = Instant::now();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plan = Plan {
        until: since + args.budget.unwrap_or(BUDGET_DEFAULT),
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        host: host.trim(),
        year,
    };
    let list = list.as_mut().map(|list| list as &mut (dyn BufRead + Send));
    let guessed = guess::run(&mut read.accounts, list, &plan).map_err(|error| {
        let path = args.wordlist.as_deref().unwrap_or(Path::new("-"));
        hinted(format!("{}: {error}", path.display()), "")
    })?;
    let Guessed { hashes, tried, words, cut } = guessed;
    let elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(GuessReport { hashes, tried, words, cut, elapsed_ms })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| "write a duration such as 30s or 10m".to_string())?;
    match Duration::try_from(parsed) {
        Ok(wait) if !wait.is_zero() && wait <= BUDGET_MAX => Ok(wait),
        _ => Err("between 1ms and 7 days".to_string()),
    }
}
