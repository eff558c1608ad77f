//! `wardmote match`: every (line, rule) hit with its fields. The rule author's tool.
//!
//! Exits as grep does: 0 a hit, 1 none, 2 an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use parsers::map::{EXPANDED_BYTES_MAX, Lines, MAGIC_BYTES, Packing, Source};
use parsers::time::{Clock, Stamp, first_year};
use scanner::RootedTree;
use scanner::logs::RuleSet;
use scanner::logs::conceal::Concealer;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;
use scanner::logs::patterns::{Asking, PATTERNS_MAX, PatternError, Patterns};
use serde_json::json;

use crate::commands::filters::{Filters, Hit};
use crate::commands::{Global, rule_files, sweep, why};
use crate::exit::{self, Exit};
use crate::pipeline::look::known_users;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["rules", "filter", "patterns"])))]
pub struct Args {
    /// Sigma rules: a file or a directory
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// fail2ban filter: a name of /etc/fail2ban/filter.d or a path, as `sshd[mode=aggressive]`
    #[arg(long, value_name = "NAME|PATH[…]")]
    filter: Vec<String>,
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
    let rules = rule_files::rule_set(rule_files::load(&args.rules)?, Vec::new())?;
    let patterns = load_patterns(&args.patterns)?;
    let tree = RootedTree::open(Path::new("/"))?;
    let now = args.now.unwrap_or_else(|| jiff::Timestamp::now().as_second());
    let filters = Filters::load(&tree, &args.filter, now)?;
    if args.count
        && args.rules.is_empty()
        && filters.is_empty()
        && let Some(matched) = count_in_file(&tree, &args.log, &patterns)?
    {
        crate::output::write(global.output.as_deref(), format!("{matched}\n").as_bytes())?;
        return Ok(if matched > 0 { Exit::Clean } else { Exit::Found });
    }
    let mut asked = Asked {
        conceal: Concealer::new(known_users(&tree)),
        zone: sweep::zone(args.tz.as_deref())?,
        now,
        args: &args,
        rules,
        filters,
        asking: patterns.asking(),
        patterns: &patterns,
        clock: None,
        scratch: Scratch::default(),
        truncated: 0,
        verbose: global.verbose,
    };
    let reader = open(&tree, &args.log)?;
    let matched = match &global.output {
        None => asked.all(reader, &mut BufWriter::new(std::io::stdout().lock()))?,
        Some(_) => {
            let mut out = Vec::new();
            let matched = asked.all(reader, &mut out)?;
            crate::output::write(global.output.as_deref(), &out)?;
            matched
        }
    };
    if asked.truncated > 0 && !global.quiet {
        say!("wardmote: {} over-long lines were judged by their beginning", asked.truncated);
    }
    for (name, count) in asked.filters.undecided() {
        say!("wardmote: filter {name}: {count} lines undecided: its patterns took too many steps");
    }
    if global.verbose > 0 {
        asked.filters.tell();
    }
    Ok(if matched > 0 { Exit::Clean } else { Exit::Found })
}

/// The lines of a plain file that match, on all processors; `None` for what is no plain file.
fn count_in_file(
    tree: &RootedTree,
    log: &Path,
    patterns: &Patterns,
) -> anyhow::Result<Option<u64>> {
    if log == Path::new("-") {
        return Ok(None);
    }
    let Ok(file) = tree.open_file(&std::path::absolute(log)?) else { return Ok(None) };
    let mut head = Vec::new();
    file.try_clone()?.take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
    if Packing::of(&head).is_some() {
        return Ok(None);
    }
    let size = file.metadata()?.len();
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Some(patterns.count(&Source::new(file, size)?, jobs)?))
}

fn open(tree: &RootedTree, log: &Path) -> anyhow::Result<Box<dyn Read>> {
    let mut raw: Box<dyn Read + Send> = if log == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let path = std::path::absolute(log)?;
        let file: File = tree.open_file(&path).map_err(|error| {
            exit::hinted(error.to_string(), "name a log file that this user can read, or `-`")
        })?;
        Box::new(file)
    };
    let mut head = Vec::new();
    raw.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
    let packing = Packing::of(&head);
    let whole = std::io::Cursor::new(head).chain(raw);
    Ok(match packing {
        Some(packing) => packing.unpack(whole, EXPANDED_BYTES_MAX)?,
        None => Box::new(whole),
    })
}

/// Everything that a line is held against.
struct Asked<'a> {
    args: &'a Args,
    rules: RuleSet,
    filters: Filters,
    patterns: &'a Patterns,
    asking: Asking<'a>,
    conceal: Concealer,
    zone: TimeZone,
    now: i64,
    clock: Option<Clock>,
    scratch: Scratch,
    truncated: u64,
    verbose: u8,
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
                if self.verbose > 0 {
                    for why in why::not(rules, &event, self.verbose) {
                        say!("wardmote: {}: {why}", line.number);
                    }
                }
                seen = Some(event);
            }
            if self.args.count
                && hits.is_empty()
                && self.filters.is_empty()
                && self.asking.matches(line.bytes)
            {
                matched += 1;
                continue;
            }
            if !self.args.count || !self.filters.is_empty() {
                let found = self.asking.which(line.bytes);
                hits.extend(found.map(|pattern| self.patterns.source(pattern).to_string()));
            }
            let time = seen.as_ref().and_then(|event| event.stamp).and_then(|s| self.time(s));
            let failures = match self.filters.is_empty() {
                true => Vec::new(),
                false => self.filters.take(line.bytes, self.now, &self.zone, &self.conceal),
            };
            if hits.is_empty() && failures.is_empty() {
                continue;
            }
            matched += 1;
            if self.args.count {
                continue;
            }
            let fields = seen.as_ref().map(|event| self.fields(event)).unwrap_or_default();
            let fields =
                fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
            for rule in hits {
                self.show(out, &line, &rule, time, &fields)?;
            }
            for Hit { rule, time, fields } in failures {
                self.show(out, &line, &rule, time, &fields)?;
            }
        }
        if self.args.count {
            writeln!(out, "{matched}")?;
        }
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
        let parts = [("ip", who.ip), ("user", user.map(Into::into)), ("unit", who.unit)];
        parts.into_iter().filter_map(|(name, value)| Some((name, value?.into_owned()))).collect()
    }

    fn show(
        &self,
        out: &mut dyn Write,
        line: &parsers::map::RawLine<'_>,
        rule: &str,
        time: Option<i64>,
        fields: &BTreeMap<String, String>,
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

/// One expression a line of each file; empty lines are left out.
fn load_patterns(files: &[PathBuf]) -> anyhow::Result<Patterns> {
    use parsers::tree::{CONFIG_BYTES_MAX, Tree};
    let tree = RootedTree::open(Path::new("/"))?;
    let (mut sources, mut places) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = tree.read(&std::path::absolute(file)?, CONFIG_BYTES_MAX)?;
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if !line.is_empty() {
                sources.push(line.to_string());
                places.push(format!("{}:{}", file.display(), index + 1));
            }
        }
    }
    Patterns::new(sources).map_err(|error| match error {
        PatternError::Syntax(index) => exit::hinted(
            format!("{}: not a regular expression", places[index]),
            "the syntax is that of the regex crate, as in ripgrep",
        ),
        PatternError::TooBig => exit::hinted(
            format!("{}: {error}", places.get(PATTERNS_MAX).or(places.last()).map_or("", |p| p)),
            "split the file",
        ),
    })
}
