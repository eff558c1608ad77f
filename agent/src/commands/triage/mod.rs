//! `wardmote triage`: alerts of other tools, fused by host and window, and ranked.
//!
//! Reads alerts in time order, judges each window by what came before it, and says so as soon as the
//! window is over. Lines that cannot be read and alerts that come too late are counted on stderr and
//! make the exit code 3; they are never silently left out. Events that are no alerts are counted too,
//! and are nothing to worry about.

mod feedback;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use consensus::Severity;
use consensus::triage::clicks::Clicks;
use consensus::triage::{Counts, MAX_WINDOW_S, Triage, Window, json, row};
use parsers::map::{Lines, RawLine};
use scanner::RootedTree;

use crate::commands::Global;
use crate::exit::{self, Exit};

/// Most unreadable lines of a kind that are named one by one.
const NAMED_MAX: u64 = 5;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Alerts in time order, one file after the other; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files hold
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Kind,
    /// Length of a window, as `300s`, `5m` or `1h`
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = window)]
    window: i64,
    /// Clicks on windows of these alerts, as lines of `host,start,confirm|dismiss`. Host and start are
    /// copied from a window as it was shown; a click re-ranks the windows that come after the clicked one
    #[arg(long, value_name = "FILE")]
    feedback: Option<PathBuf>,
    /// Exit with 1 from this level on
    #[arg(long, value_name = "LEVEL", default_value = "high")]
    fail_on: Severity,
    /// How to show windows
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Lines of `time,name,ip,host,short,…` with times in epoch seconds; further columns are ignored
    Csv,
    /// `alerts.json` of Wazuh 4; the host is agent.name, else agent.ip, else manager.name
    Wazuh,
    /// `eve.json` of Suricata; the host is the private one of src_ip and dest_ip, else dest_ip
    Suricata,
    /// Findings of OCSF 1.x (classes 2004 and 2001); the host is the device, else the first resource
    Ocsf,
}

impl Kind {
    fn json(self) -> Option<json::Format> {
        match self {
            Self::Csv => None,
            Self::Wazuh => Some(json::Format::Wazuh),
            Self::Suricata => Some(json::Format::Suricata),
            Self::Ocsf => Some(json::Format::Ocsf),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Csv => "--as csv takes lines of time,name,ip,host,short with epoch seconds",
            Self::Wazuh => "--as wazuh takes alerts.json, one JSON object a line",
            Self::Suricata => "--as suricata takes eve.json, one JSON object a line",
            Self::Ocsf => "--as ocsf takes one OCSF event a line, with class_uid and time",
        }
    }
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
    let readers = args.files.iter().map(|file| open(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let (clicks, bad_clicks) = match &args.feedback {
        None => (Clicks::default(), 0),
        Some(file) if file == Path::new("-") => {
            return Err(exit::hinted("clicks are not read from stdin", "name a file of clicks"));
        }
        Some(file) => feedback::read(file, open(file)?.1, global.quiet)?,
    };
    let triage = Triage::new(args.window)
        .ok_or_else(|| exit::hinted("no such window", "use --window 300s"))?
        .with_clicks(clicks);
    let lost = Lost { bad_clicks, ..Lost::default() };
    let mut stream = Stream { args: &args, triage, lost, worst: None };
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
    let opened: File = tree
        .open_file(&std::path::absolute(file)?)
        .map_err(|error| exit::hinted(error.to_string(), "name a file that this user can read"))?;
    Ok((file.display().to_string(), Box::new(opened)))
}

/// Lines that gave no alert.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    unreadable: u64,
    not_alerts: u64,
    bad_clicks: u64,
}

/// One run over all files.
struct Stream<'a> {
    args: &'a Args,
    triage: Triage,
    lost: Lost,
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
                    self.lost.unreadable += 1;
                    if self.lost.unreadable <= NAMED_MAX && !global.quiet {
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
        self.ended(&counts, global)
    }

    fn ended(&self, counts: &Counts, global: &Global) -> anyhow::Result<Exit> {
        let lost = self.lost;
        if counts.received == 0 && lost.unreadable > 0 {
            return Err(exit::hinted("no line could be read", self.args.kind.expected()));
        }
        if !global.quiet {
            tell(counts, &lost);
        }
        let missed = lost.unreadable + lost.bad_clicks + counts.late + counts.beyond;
        Ok(match self.worst {
            Some(worst) if worst >= self.args.fail_on => Exit::Found,
            _ if missed > 0 => Exit::Incomplete,
            _ => Exit::Clean,
        })
    }

    fn line(&mut self, line: &RawLine<'_>, over: &mut Vec<Window>) -> Result<(), &'static str> {
        if line.truncated {
            return Err("an over-long line");
        }
        let text = std::str::from_utf8(line.bytes).map_err(|_| "not UTF-8")?;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        match self.args.kind.json() {
            None if line.number == 1 && row::is_head(text) => {}
            None => self.triage.push(&row::read(text)?.alert(), over),
            Some(format) => match json::read(format, text)? {
                Some(read) => self.triage.push(&read.alert(), over),
                None => self.lost.not_alerts += 1,
            },
        }
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

/// What was lost and what is odd, on stderr; nothing when there is neither.
fn tell(counts: &Counts, lost: &Lost) {
    let missed = lost.unreadable + counts.late + counts.beyond;
    if missed + lost.not_alerts + counts.out_of_order + counts.forgotten > 0 {
        eprintln!(
            "wardmote: {} alerts: {} judged ({} out of order), {} too late for their window, {} \
             beyond the limits of one window; {} lines unreadable, {} not alerts; {} old names, pairs \
             or episodes forgotten",
            counts.received,
            counts.judged,
            counts.out_of_order,
            counts.late,
            counts.beyond,
            lost.unreadable,
            lost.not_alerts,
            counts.forgotten
        );
    }
    if lost.bad_clicks + counts.clicks_left > 0 {
        eprintln!(
            "wardmote: feedback: {} lines unreadable, {} clicks on windows that are not in these alerts",
            lost.bad_clicks, counts.clicks_left
        );
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
