//! `wardmote match`: every (line, rule) hit with its fields. The rule author's tool.
//!
//! Exits as grep does: 0 a hit, 1 none, 2 an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use parsers::map::{Block, EXPANDED_BYTES_MAX, Lines, RawLine, Shared, gunzip, is_gzip};
use parsers::time::{Clock, Stamp, first_year};
use scanner::RootedTree;
use scanner::logs::conceal::Concealer;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;
use scanner::logs::patterns::{Ask, Counts, Patterns, Searcher};
use scanner::logs::{RuleSet, abreast};
use serde_json::json;

use crate::commands::{Global, rule_files, sweep};
use crate::exit::{self, Exit};
use crate::pipeline::look::known_users;

/// Most patterns of one file.
const PATTERNS_MAX: usize = 10_000;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["rules", "patterns"])))]
pub struct Args {
    /// Sigma rules: a file or a directory
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Regular expressions, one a line
    #[arg(long, value_name = "FILE")]
    patterns: Vec<PathBuf>,
    /// Log to read, plain or gzip; `-` is stdin
    #[arg(value_name = "LOG", default_value = "-")]
    log: PathBuf,
    /// Print only the number of lines that anything matched
    #[arg(long)]
    count: bool,
    /// The time by which missing years are told, seconds since the epoch [default: now]
    #[arg(long, value_name = "EPOCH")]
    now: Option<i64>,
    /// Time zone of stamps that name none [default: the system's]
    #[arg(long, value_name = "TZ")]
    tz: Option<String>,
    /// How to show hits
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let tree = RootedTree::open(Path::new("/"))?;
    let patterns = load_patterns(&tree, &args.patterns)?;
    if args.rules.is_empty()
        && args.count
        && let Some(shared) = plain(&tree, &args.log)?
    {
        return count(&patterns, &shared, global);
    }
    let rules = rule_files::rule_set(rule_files::load(&args.rules)?)?;
    let mut asked = Asked {
        conceal: Concealer::new(known_users(&tree)),
        zone: sweep::zone(args.tz.as_deref())?,
        now: args.now.unwrap_or_else(|| jiff::Timestamp::now().as_second()),
        args: &args,
        rules,
        patterns,
        searcher: Searcher::default(),
        clock: None,
        scratch: Scratch::default(),
        truncated: 0,
    };
    let shared = if args.rules.is_empty() { plain(&tree, &args.log)? } else { None };
    let mut show = |out: &mut dyn Write| match &shared {
        Some(shared) => asked.parts(shared, out),
        None => asked.all(open(&tree, &args.log)?, out),
    };
    let matched = match &global.output {
        None => show(&mut BufWriter::new(std::io::stdout().lock()))?,
        Some(_) => {
            let mut out = Vec::new();
            let matched = show(&mut out)?;
            crate::output::write(global.output.as_deref(), &out)?;
            matched
        }
    };
    tell_truncated(asked.truncated, global);
    Ok(if matched > 0 { Exit::Clean } else { Exit::Found })
}

fn tell_truncated(lines: u64, global: &Global) {
    if lines > 0 && !global.quiet {
        say!("wardmote: {lines} over-long lines were judged by their beginning");
    }
}

/// A plain file, to be read in parts; `None` for what is read from its start to its end only: stdin,
/// devices, archives.
fn plain(tree: &RootedTree, log: &Path) -> anyhow::Result<Option<Shared>> {
    if log == Path::new("-") {
        return Ok(None);
    }
    let file = open_log(tree, log)?;
    let found = file.metadata()?;
    let mut head = [0; 16];
    let read = file.read_at(&mut head, 0).unwrap_or(0);
    if !found.is_file() || is_gzip(&head[..read]) {
        return Ok(None);
    }
    Ok(Some(Shared::new(file, found.len())))
}

/// Only the number of lines that any pattern matches.
fn count(patterns: &Patterns, shared: &Shared, global: &Global) -> anyhow::Result<Exit> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut matched, mut truncated) = (0, 0);
    abreast::each_part(
        shared,
        jobs,
        Searcher::default,
        |searcher, block| patterns.search(block.bytes, Ask::Any, searcher, |_, _| {}),
        |counts| {
            matched += counts.matched;
            truncated += counts.truncated;
            Ok(())
        },
    )?;
    crate::output::write(global.output.as_deref(), format!("{matched}\n").as_bytes())?;
    tell_truncated(truncated, global);
    Ok(if matched > 0 { Exit::Clean } else { Exit::Found })
}

fn open_log(tree: &RootedTree, log: &Path) -> anyhow::Result<File> {
    let path = std::path::absolute(log)?;
    tree.open_file(&path).map_err(|error| {
        exit::hinted(error.to_string(), "name a log file that this user can read, or `-`")
    })
}

fn open(tree: &RootedTree, log: &Path) -> anyhow::Result<Box<dyn Read>> {
    let mut raw: Box<dyn Read> = if log == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(open_log(tree, log)?)
    };
    let mut head = Vec::new();
    raw.by_ref().take(3).read_to_end(&mut head)?;
    let packed = is_gzip(&head);
    let whole = std::io::Cursor::new(head).chain(raw);
    Ok(if packed { Box::new(gunzip(whole, EXPANDED_BYTES_MAX)) } else { Box::new(whole) })
}

/// Everything that a line is held against.
struct Asked<'a> {
    args: &'a Args,
    rules: RuleSet,
    patterns: Patterns,
    searcher: Searcher,
    conceal: Concealer,
    zone: TimeZone,
    now: i64,
    clock: Option<Clock>,
    scratch: Scratch,
    truncated: u64,
}

impl Asked<'_> {
    /// Reads every line; the number of those that anything matched.
    fn all(&mut self, reader: Box<dyn Read>, out: &mut dyn Write) -> anyhow::Result<u64> {
        let mut lines = Lines::new(reader);
        let mut form = Form::default();
        let mut matched = 0;
        let has_rules = !self.rules.rules.is_empty();
        while let Some(line) = lines.next_line()? {
            self.truncated += u64::from(line.truncated);
            let mut hits: Vec<String> = Vec::new();
            let mut seen = None;
            if has_rules {
                let event = Event::read(line.bytes, &mut form);
                let rules = &self.rules;
                rules.each_match(&event, &mut self.scratch, |rule| {
                    hits.push(rules.rules[rule].rule.header.key().to_string());
                });
                seen = Some(event);
            }
            let ask = if self.args.count { Ask::Any } else { Ask::Each };
            if !self.patterns.is_empty() && !(self.args.count && !hits.is_empty()) {
                let patterns = &self.patterns;
                let found = patterns.line(line.bytes, ask, &mut self.searcher);
                hits.extend(found.iter().map(|one| patterns.source(*one).to_string()));
            }
            let time = seen.as_ref().and_then(|event| event.stamp).and_then(|s| self.time(s));
            if hits.is_empty() {
                continue;
            }
            matched += 1;
            if self.args.count {
                continue;
            }
            let fields = seen.as_ref().map(|event| self.fields(event)).unwrap_or_default();
            for rule in hits {
                self.show(out, &line, &rule, time, &fields)?;
            }
        }
        if self.args.count {
            writeln!(out, "{matched}")?;
        }
        out.flush()?;
        Ok(matched)
    }

    /// Holds patterns against every line of a plain file, part by part.
    fn parts(&mut self, shared: &Shared, out: &mut dyn Write) -> anyhow::Result<u64> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let patterns = std::mem::take(&mut self.patterns);
        let (mut lines, mut matched) = (0, 0);
        let mut failed = None;
        let work = |searcher: &mut Searcher, block: Block<'_>| {
            let mut hits = Vec::new();
            let counts = patterns.search(block.bytes, Ask::Each, searcher, |line, found| {
                hits.push((
                    line.number,
                    block.offset + line.offset,
                    line.bytes.to_vec(),
                    found.to_vec(),
                ));
            });
            (counts, hits)
        };
        let mut take = |(counts, hits): (Counts, Vec<(u64, u64, Vec<u8>, Vec<u32>)>)| {
            matched += counts.matched;
            self.truncated += counts.truncated;
            for (number, offset, bytes, found) in &hits {
                let line = RawLine {
                    number: lines + number + 1,
                    offset: *offset,
                    bytes,
                    truncated: false,
                    terminated: true,
                };
                for one in found {
                    self.show(out, &line, patterns.source(*one), None, &BTreeMap::new())?;
                }
            }
            lines += counts.lines;
            Ok(())
        };
        abreast::each_part(shared, jobs, Searcher::default, work, |result| {
            take(result).map_err(|error: anyhow::Error| {
                let reason = std::io::Error::other(error.to_string());
                failed = Some(error);
                reason
            })
        })
        .or_else(|error| Err(failed.take().unwrap_or_else(|| error.into())))?;
        out.flush()?;
        Ok(matched)
    }

    fn time(&mut self, stamp: Stamp) -> Option<i64> {
        let (zone, now) = (&self.zone, self.now);
        let clock = self.clock.get_or_insert_with(|| {
            let first = match stamp {
                Stamp::Yearless(wall) => Some(wall),
                _ => None,
            };
            Clock::new(zone.clone(), first_year(first.into_iter(), now, zone))
        });
        clock.resolve(stamp)
    }

    /// What the line names; a word that somebody typed as a user name is hidden.
    fn fields(&mut self, event: &Event<'_>) -> BTreeMap<&'static str, String> {
        let who = event.who();
        self.conceal.learn(&who);
        let user = who.user.map(|user| self.conceal.user(&user));
        let parts = [("ip", who.ip), ("user", user), ("unit", who.unit)];
        parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn show(
        &self,
        out: &mut dyn Write,
        line: &RawLine<'_>,
        rule: &str,
        time: Option<i64>,
        fields: &BTreeMap<&'static str, String>,
    ) -> anyhow::Result<()> {
        if self.args.format == Format::Text {
            let text = self.conceal.line(&String::from_utf8_lossy(line.bytes));
            writeln!(out, "{}: {}: {text}", line.number, scanner::redact::printable(rule))?;
            return Ok(());
        }
        let mut hit = json!({ "line": line.number, "offset": line.offset, "rule": rule });
        if let Some(time) = time {
            hit["time"] = json!(sweep::time(time));
        }
        hit["fields"] = json!(fields);
        serde_json::to_writer(&mut *out, &hit)?;
        writeln!(out)?;
        Ok(())
    }
}

/// The patterns of files, one a line.
fn load_patterns(tree: &RootedTree, files: &[PathBuf]) -> anyhow::Result<Patterns> {
    use parsers::tree::{CONFIG_BYTES_MAX, Tree};
    let (mut sources, mut places) = (Vec::new(), Vec::new());
    for file in files {
        let path = std::path::absolute(file)?;
        let bytes = tree.read(&path, CONFIG_BYTES_MAX)?;
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if line.is_empty() {
                continue;
            }
            let place = (file, index + 1);
            if sources.len() == PATTERNS_MAX {
                let (file, line) = (file.display(), index + 1);
                let message = format!("{file}:{line}: more than {PATTERNS_MAX} patterns");
                return Err(exit::hinted(message, "split the file"));
            }
            sources.push(line.to_string());
            places.push(place);
        }
    }
    Patterns::new(sources).map_err(|wrong| {
        let place = places.get(wrong).map(|(file, line)| format!("{}:{line}: ", file.display()));
        let message = format!("{}not a regular expression, or too big", place.unwrap_or_default());
        exit::hinted(message, "the syntax is that of the regex crate, as in ripgrep")
    })
}
