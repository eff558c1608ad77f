//! `wardmote status`: how the service is, on one screen. Exit code 3 where it is down; then what it kept
//! is shown.

use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum;
use consensus::Severity;

use crate::commands::Global;
use crate::control::client;
use crate::control::status::{Line, Status};
use crate::exit::{Exit, hinted};
use crate::output;
use crate::report::text::{moment, paint};
use crate::settings::state_directory;
use crate::store::sqlite::SqliteStore;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
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
}

/// Shows it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let state = state_directory(global.state_dir.as_deref());
    let now = jiff::Timestamp::now().as_second();
    // Whoever is not root has no state of a service, or cannot see it: the host's own may answer.
    let running = match client::status(&state) {
        Ok(Some(status)) => Some(status),
        nobody => match client::system_status(global)? {
            Some(status) => Some(status),
            None => nobody?,
        },
    };
    let exit = if running.is_some() { Exit::Clean } else { Exit::Incomplete };
    let status = match running {
        Some(status) => status,
        None => kept(&state, now)?,
    };
    let text = match args.format {
        Format::Text => screen(&status, now, global.color.on_stdout(global.output.is_some())),
        Format::Json => serde_json::to_string_pretty(&status)? + "\n",
    };
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(exit)
}

/// What a service that is down has kept.
fn kept(state: &Path, now: i64) -> anyhow::Result<Status> {
    let path = state.join("wardmote.db");
    let mut status = Status { schema: "wardmote.status/1".into(), ..Status::default() };
    let store = SqliteStore::read(&path).map_err(|error| unreadable(&path, &error))?;
    if let Some(store) = store {
        status.fill(&store, now).map_err(|error| unreadable(&path, &error))?;
    }
    Ok(status)
}

pub(super) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    hinted(format!("{}: {error}", path.display()), "use sudo, or name the place with --state-dir")
}

/// Most lines about what happened lately: the screen stays one.
const LATELY_MAX: usize = 5;

fn screen(status: &Status, now: i64, color: bool) -> String {
    let mut out = String::new();
    let _ = write_screen(&mut out, status, now, color);
    out
}

fn write_screen(out: &mut String, status: &Status, now: i64, color: bool) -> std::fmt::Result {
    match status.pid {
        0 => {
            writeln!(out, "wardmote is DOWN: nobody watches this host (systemctl start wardmote)")?
        }
        pid => {
            let up = ago(now, status.started);
            writeln!(out, "wardmote {} is running for {up} (pid {pid})", status.version)?;
        }
    }
    for (name, one) in &status.notify {
        let trouble = one.trouble.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let (notified, waiting) = (one.notified, one.waiting);
        writeln!(out, "  notify    {name}: {notified} taken, {waiting} waiting{trouble}")?;
    }
    if let Some(trouble) = &status.trouble {
        writeln!(out, "  TROUBLE   {trouble}")?;
    }
    let open: u64 = status.alerts.values().sum();
    let grave: u64 = status.alerts.range(Severity::High..).map(|(_, count)| count).sum();
    writeln!(out, "  alerts    {open} open, {grave} high or critical")?;
    if let Some(worst) = &status.worst {
        writeln!(out, "            {}", line(worst, now, color))?;
    }
    for (number, case) in status.cases.iter().enumerate() {
        let head = if number == 0 { "cases" } else { "" };
        writeln!(out, "  {head:<9} #{}", line(case, now, color))?;
    }
    if status.pid != 0 {
        write_work(out, status, now)?;
    }
    Ok(())
}

fn write_work(out: &mut String, status: &Status, now: i64) -> std::fmt::Result {
    let since = |at: Option<i64>| match at {
        Some(at) => format!("{} ago", ago(now, at)),
        None => "not yet".into(),
    };
    writeln!(out, "  logs      looked at {}", since(status.last_sweep))?;
    writeln!(out, "  audit     {}", since(status.last_audit))?;
    if status.incomplete > 0 {
        let things = if status.incomplete == 1 { "thing" } else { "things" };
        writeln!(out, "  unseen    {} {things} (wardmote audit lists them)", status.incomplete)?;
    }
    let tally = &status.tally;
    let counts = format!(
        "{} received = {} notified + {} merged + {} suppressed",
        tally.received, tally.notified, tally.merged, tally.suppressed
    );
    writeln!(out, "  events    {counts}")?;
    if status.evicted > 0 {
        writeln!(out, "            {} alerts made room for others", status.evicted)?;
    }
    if let Some(sandbox) = &status.sandbox {
        writeln!(out, "  sandbox   {sandbox}")?;
    }
    for (number, one) in status.lately.iter().rev().take(LATELY_MAX).enumerate() {
        let head = if number == 0 { "lately" } else { "" };
        let when = ago(now, one.at);
        let what = scanner::redact::line(&format!("{}: {}", one.what, one.line));
        writeln!(out, "  {head:<9} {when} ago {what}")?;
    }
    let slowest = status.stages.iter().max_by_key(|(_, took)| took.total_ns);
    if let Some((stage, took)) = slowest {
        let mean = took.total_ns / took.count.max(1) / 1_000;
        let most = took.most_ns / 1_000;
        writeln!(out, "  slowest   {stage}: {mean} µs a case, {most} µs at most")?;
    }
    Ok(())
}

fn line(line: &Line, now: i64, color: bool) -> String {
    let level = paint(line.severity, color);
    format!("{} {level} {} ({} ago)", line.id, line.title, ago(now, line.last))
}

/// How long ago, in the two largest units.
pub(super) fn ago(now: i64, at: i64) -> String {
    let seconds = now.saturating_sub(at).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) if days < 100 => format!("{days} d {hours} h"),
        _ => moment(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::Tally;
    use crate::events::Happened;
    use crate::pipeline::case::timings::Took;

    #[test]
    fn the_first_line_says_whether_anybody_watches() {
        let down = screen(&Status::default(), 1_000, false);
        assert!(down.starts_with("wardmote is DOWN"), "{down}");
        let status = Status {
            version: "0.1.0".into(),
            pid: 7,
            started: 400,
            alerts: [(Severity::Low, 2), (Severity::High, 1)].into(),
            cases: vec![Line {
                id: "3".into(),
                severity: Severity::High,
                title: "guessing".into(),
                last: 940,
            }],
            last_sweep: Some(998),
            incomplete: 1,
            tally: Tally { received: 9, notified: 1, merged: 3, suppressed: 5 },
            stages: [("collect".into(), Took { count: 2, total_ns: 8_000, most_ns: 7_000 })].into(),
            trouble: Some("disk full".into()),
            lately: (1..8)
                .map(|n| Happened { at: 900 + n, what: "case".into(), line: format!("#{n}") })
                .collect(),
            ..Status::default()
        };
        let up = screen(&status, 1_000, false);
        let wanted = [
            "wardmote 0.1.0 is running for 10 min (pid 7)",
            "  TROUBLE   disk full",
            "  alerts    3 open, 1 high or critical",
            "  cases     #3 HIGH guessing (1 min ago)",
            "  logs      looked at 2 s ago",
            "  audit     not yet",
            "  unseen    1 thing (wardmote audit lists them)",
            "  events    9 received = 1 notified + 3 merged + 5 suppressed",
            "  lately    1 min ago case: #7",
            "            1 min ago case: #6",
            "            1 min ago case: #5",
            "            1 min ago case: #4",
            "            1 min ago case: #3",
            "  slowest   collect: 4 µs a case, 7 µs at most",
        ];
        // Levels are padded to one width.
        let lines: Vec<String> = up.lines().map(|line| line.replace("HIGH    ", "HIGH")).collect();
        assert_eq!(lines, wanted);
    }
}
