//! `wardmote alerts`: what the service keeps. Read from its store, whether it runs or not.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Subcommand, ValueEnum};
use consensus::Severity;
use serde_json::json;

use crate::commands::Global;
use crate::commands::status::{ago, unreadable};
use crate::control::client;
use crate::control::words::{Ask, Form};
use crate::exit::{Exit, hinted};
use crate::output;
use crate::pipeline::case::CaseFile;
use crate::report::text::{moment, paint};
use crate::settings::state_directory;
use crate::store::sqlite::SqliteStore;
use crate::store::{Alert, State, Store as _};

/// Most alerts and cases that are listed.
const LISTED_MAX: usize = 10_000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "text", global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Open alerts, the worst first, and the cases of the last days
    List {
        /// Only from this level up: info, low, medium, high, critical
        #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
        from: Severity,
        /// Days of cases
        #[arg(long, value_name = "N", default_value_t = 7)]
        days: u32,
    },
    /// One case with its story, or one alert
    Show {
        /// The case's number, or the alert's id
        id: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// Lists or shows.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let state = state_directory(global.state_dir.as_deref());
    let now = jiff::Timestamp::now().as_second();
    let form = match args.format {
        Format::Text if global.color.on_stdout(global.output.is_some()) => Form::Colored,
        Format::Text => Form::Plain,
        Format::Json => Form::Json,
    };
    let action = args.action.unwrap_or(Action::List { from: Severity::Info, days: 7 });
    let (text, ask) = match action {
        Action::List { from, days } => {
            (listed(&state, from, days, form, now), Ask::Alerts { from, days, form })
        }
        Action::Show { id } => (shown(&state, &id, form), Ask::Show { id, form }),
    };
    let text = match text {
        Ok(text) => text,
        // An operator to whom the state directory is closed.
        Err(error) => match client::ask_system(global, &ask)? {
            Some(reply) => return super::replied(reply, global),
            None => return Err(error),
        },
    };
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(Exit::Clean)
}

/// Open alerts and cases of a state directory.
pub(crate) fn listed(
    state: &Path,
    from: Severity,
    days: u32,
    form: Form,
    now: i64,
) -> anyhow::Result<String> {
    list(&store(state)?, from, days, (now, form.color()), format(form))
}

/// One case or alert of a state directory.
pub(crate) fn shown(state: &Path, id: &str, form: Form) -> anyhow::Result<String> {
    show(&store(state)?, id, form.color(), format(form))
}

fn format(form: Form) -> Format {
    match form {
        Form::Json => Format::Json,
        Form::Plain | Form::Colored | Form::Dot => Format::Text,
    }
}

fn store(state: &Path) -> anyhow::Result<SqliteStore> {
    let path = state.join("wardmote.db");
    let store = SqliteStore::read(&path).map_err(|error| unreadable(&path, &error))?;
    store.ok_or_else(|| {
        hinted(
            format!("{}: no service has kept anything there", path.display()),
            "start it with `systemctl start wardmote`, or name its place with --state-dir",
        )
    })
}

fn list(
    store: &SqliteStore,
    from: Severity,
    days: u32,
    (now, color): (i64, bool),
    format: Format,
) -> anyhow::Result<String> {
    let mut alerts = store.open_alerts(LISTED_MAX)?;
    alerts.retain(|alert| alert.seen.severity >= from);
    let mut cases = store.cases(now.saturating_sub(i64::from(days) * 86_400), LISTED_MAX)?;
    cases.retain(|case| case.severity >= from);
    if format == Format::Json {
        let whole = json!({"schema": "wardmote.alerts/1", "alerts": alerts, "cases": cases});
        return Ok(serde_json::to_string_pretty(&whole)? + "\n");
    }
    let mut out = String::new();
    for case in &cases {
        let (level, steps) = (paint(case.severity, color), case.steps.len());
        let when = ago(now, case.last);
        let steps = if steps == 1 { "1 step".to_string() } else { format!("{steps} steps") };
        writeln!(out, "{level} case #{} {} ({steps}, {when} ago)", case.id, case.title)?;
    }
    for alert in &alerts {
        let level = paint(alert.seen.severity, color);
        let (id, title, when) =
            (&alert.seen.fingerprint, &alert.seen.title, ago(now, alert.last_seen));
        writeln!(out, "{level} {id} {title} ({when} ago)")?;
    }
    if out.is_empty() {
        writeln!(out, "no open alerts, and no case in the last {days} days")?;
    }
    Ok(out)
}

fn show(store: &SqliteStore, id: &str, color: bool, format: Format) -> anyhow::Result<String> {
    if let Ok(number) = id.trim_start_matches('#').parse::<u64>()
        && let Some(case) = store.case(number)?
    {
        return Ok(match format {
            Format::Json => serde_json::to_string_pretty(&case)? + "\n",
            Format::Text => story(&case, color)?,
        });
    }
    let alert = store.alert(id)?.ok_or_else(|| {
        hinted(
            format!("{}: no such case or alert", scanner::redact::printable(id)),
            "`wardmote alerts` lists them; `wardmote explain ID` knows those of audits as well",
        )
    })?;
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(&alert)? + "\n",
        Format::Text => told(&alert, color)?,
    })
}

fn story(case: &CaseFile, color: bool) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "{} case #{} {}", paint(case.severity, color), case.id, case.title)?;
    writeln!(out, "  {} to {}", moment(case.first), moment(case.last))?;
    let tactics: Vec<&str> = case.tactics.iter().map(|tactic| tactic.name()).collect();
    if !tactics.is_empty() {
        writeln!(out, "  tactics: {}", tactics.join(", "))?;
    }
    for step in &case.steps {
        let (when, level) = (moment(step.at), paint(step.severity, color));
        writeln!(out, "  {when} {level} {} [{}]", step.title, step.fingerprint)?;
    }
    if case.left_out > 0 {
        writeln!(out, "  {} milder steps are not listed", case.left_out)?;
    }
    writeln!(out, "  `wardmote explain ID` says why a step was judged so")?;
    Ok(out)
}

fn told(alert: &Alert, color: bool) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let seen = &alert.seen;
    writeln!(
        out,
        "{} {} [{} {}]",
        paint(seen.severity, color),
        seen.title,
        seen.check,
        seen.fingerprint
    )?;
    let (first, last) = (moment(alert.first_seen), moment(alert.last_seen));
    if alert.state != State::Open {
        writeln!(out, "  it is {}", alert.state.name())?;
    }
    writeln!(out, "  first seen {first}, last {last}, {} times", seen.count)?;
    writeln!(out, "  `wardmote explain {}` says why", seen.fingerprint)?;
    Ok(out)
}

fn level(text: &str) -> Result<Severity, String> {
    Severity::ALL
        .into_iter()
        .find(|level| level.name() == text)
        .ok_or_else(|| "info, low, medium, high or critical".to_string())
}
