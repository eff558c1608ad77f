//! `wardmote triage`: alerts of other tools, fused by host and window, and ranked.
//!
//! Reads alerts in time order, judges each window by what came before it, and says so as soon as the
//! window is over. Rows that cannot be read and alerts that come too late are counted on stderr and
//! make the exit code 3; they are never silently left out.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use consensus::Severity;
use consensus::triage::{MAX_WINDOW_S, Triage, Window, row};
use parsers::map::{Lines, RawLine};
use scanner::RootedTree;

use crate::commands::Global;
use crate::exit::{self, Exit};

/// Most unreadable rows that are named one by one.
const ROWS_NAMED_MAX: u64 = 5;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Alerts in time order, one file after the other; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files hold; csv is `time,name,ip,host,short,…` with times in epoch seconds
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Kind,
    /// Length of a window, as `300s`, `5m` or `1h`
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = window)]
    window: i64,
    /// Exit with 1 from this level on
    #[arg(long, value_name = "LEVEL", default_value = "high")]
    fail_on: Severity,
    /// How to show windows
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

fn window(text: &str) -> Result<i64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("use a number of s, m or h".into()),
    };
    let seconds = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=MAX_WINDOW_S).contains(seconds))
        .ok_or_else(|| format!("a window has 1 to {MAX_WINDOW_S} seconds"))
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let Kind::Csv = args.kind;
    let readers = args.files.iter().map(|file| open(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let triage = Triage::new(args.window)
        .ok_or_else(|| exit::hinted("no such window", "use --window 300s"))?;
    let mut stream = Stream { args: &args, triage, unreadable: 0, worst: None };
    match &global.output {
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            stream.all(readers, &mut out, global)
        }
        Some(file) => {
            let mut out = Vec::new();
            let ended = stream.all(readers, &mut out, global)?;
            crate::output::write(Some(file), &out)?;
            Ok(ended)
        }
    }
}

fn open(file: &Path) -> anyhow::Result<(String, Box<dyn Read>)> {
    if file == Path::new("-") {
        return Ok(("stdin".into(), Box::new(std::io::stdin())));
    }
    let tree = RootedTree::open(Path::new("/"))?;
    let opened: File = tree.open_file(&std::path::absolute(file)?).map_err(|error| {
        exit::hinted(error.to_string(), "name a file of alerts that this user can read, or `-`")
    })?;
    Ok((file.display().to_string(), Box::new(opened)))
}

/// One run over all files.
struct Stream<'a> {
    args: &'a Args,
    triage: Triage,
    unreadable: u64,
    worst: Option<Severity>,
}

impl Stream<'_> {
    fn all(
        &mut self,
        readers: Vec<(String, Box<dyn Read>)>,
        out: &mut dyn Write,
        global: &Global,
    ) -> anyhow::Result<Exit> {
        let mut over = Vec::new();
        for (name, reader) in readers {
            let mut lines = Lines::new(reader);
            while let Some(line) = lines.next_line()? {
                if let Err(problem) = self.line(&line, &mut over) {
                    self.unreadable += 1;
                    if self.unreadable <= ROWS_NAMED_MAX && !global.quiet {
                        eprintln!("wardmote: {name}:{}: {problem}", line.number);
                    }
                }
                if !over.is_empty() {
                    self.show(&over, out)?;
                    over.clear();
                }
            }
        }
        let empty = Triage::new(self.args.window);
        let counts = match empty {
            Some(empty) => std::mem::replace(&mut self.triage, empty).finish(&mut over),
            None => self.triage.counts(),
        };
        self.show(&over, out)?;
        out.flush()?;
        let lost = self.unreadable + counts.late + counts.beyond;
        if counts.received == 0 && self.unreadable > 0 {
            return Err(exit::hinted(
                "no row could be read",
                "--as csv takes lines of time,name,ip,host,short with epoch seconds",
            ));
        }
        if !global.quiet && (lost > 0 || counts.out_of_order > 0 || counts.forgotten > 0) {
            eprintln!(
                "wardmote: {} alerts: {} judged ({} out of order), {} too late for their window, {} \
                 beyond the limits of one window; {} rows unreadable; {} old names or hosts forgotten",
                counts.received,
                counts.judged,
                counts.out_of_order,
                counts.late,
                counts.beyond,
                self.unreadable,
                counts.forgotten
            );
        }
        Ok(match self.worst {
            Some(worst) if worst >= self.args.fail_on => Exit::Found,
            _ if lost > 0 => Exit::Incomplete,
            _ => Exit::Clean,
        })
    }

    fn line(&mut self, line: &RawLine<'_>, over: &mut Vec<Window>) -> Result<(), &'static str> {
        if line.truncated {
            return Err("an over-long line");
        }
        let text = std::str::from_utf8(line.bytes).map_err(|_| "not UTF-8")?;
        if text.is_empty() || (line.number == 1 && row::is_head(text)) {
            return Ok(());
        }
        self.triage.push(&row::read(text)?.alert(), over);
        Ok(())
    }

    fn show(&mut self, windows: &[Window], out: &mut dyn Write) -> anyhow::Result<()> {
        for window in windows {
            self.worst = self.worst.max(Some(window.severity));
            let mut shown = window.clone();
            shown.host = scanner::redact::line(&shown.host);
            shown.reasons.iter_mut().for_each(|reason| *reason = scanner::redact::line(reason));
            if self.args.format == Format::Jsonl {
                serde_json::to_writer(&mut *out, &shown)?;
                writeln!(out)?;
                continue;
            }
            let start = jiff::Timestamp::from_second(shown.start)
                .map_or_else(|_| shown.start.to_string(), |time| time.to_string());
            let (severity, host, reasons) = (shown.severity, shown.host, shown.reasons.join("; "));
            let (score, alerts) = (shown.score, shown.alerts);
            writeln!(out, "{start} {severity:<8} {score:.3} {host} ({alerts} alerts): {reasons}")?;
        }
        if !windows.is_empty() {
            out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_units_and_limits() {
        assert_eq!((window("300s"), window("5m"), window("90")), (Ok(300), Ok(300), Ok(90)));
        for wrong in ["", "0", "-1s", "1d", "9223372036854775807h", "8000h", "é"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
