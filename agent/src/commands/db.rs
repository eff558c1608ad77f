//! `wardmote db`: the service's database in an operator's hands. `check` and `export` only read, also while
//! the service writes; `prune` forgets what the service would forget later, and makes the file small.

use std::io::Write;
use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use crate::commands::Global;
use crate::commands::status::unreadable;
use crate::exit::{Exit, hinted};
use crate::output;
use crate::pending::Stream;
use crate::pipeline::case::CaseFile;
use crate::settings::{Settings, Span, state_directory};
use crate::store::sqlite::SqliteStore;
use crate::store::upkeep::Kept;
use crate::store::{ALERTS_MAX, Alert, Store as _};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read everything and say what is damaged (exit code 1)
    Check,
    /// Every alert and case as JSON lines
    Export,
    /// Forget fixed alerts, alerts from logs and told cases that were quiet for so long
    Prune {
        /// How long [default: agent.keep of the configuration]
        #[arg(long, value_name = "SPAN")]
        older: Option<Span>,
    },
}

/// Checks, exports or prunes.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let state = state_directory(global.state_dir.as_deref());
    let path = state.join("wardmote.db");
    match args.action {
        Action::Check => check(&path, global),
        Action::Export => export(&path, global),
        Action::Prune { older } => prune(&path, older, global),
    }
}

fn check(path: &Path, global: &Global) -> anyhow::Result<Exit> {
    let checked = read(path)?.check().map_err(|error| damaged(path, &error))?;
    let mut text = String::new();
    for complaint in &checked.complaints {
        text.push_str(&format!("DAMAGED {}\n", scanner::redact::line(complaint)));
    }
    let verdict = if checked.complaints.is_empty() { "whole" } else { "damaged" };
    let (alerts, cases) = (checked.alerts, checked.cases);
    text.push_str(&format!("{} is {verdict}: {alerts} alerts, {cases} cases\n", path.display()));
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(if checked.complaints.is_empty() { Exit::Clean } else { Exit::Found })
}

/// One line of an export.
#[derive(Serialize)]
#[serde(tag = "schema")]
enum Line<'a> {
    #[serde(rename = "wardmote.db.alert/1")]
    Alert {
        #[serde(flatten)]
        alert: &'a Alert,
    },
    #[serde(rename = "wardmote.db.case/1")]
    Case {
        #[serde(flatten)]
        case: &'a CaseFile,
    },
}

fn export(path: &Path, global: &Global) -> anyhow::Result<Exit> {
    let store = read(path)?;
    let mut output = Stream::open(global.output.as_deref())?;
    let mut damaged = 0_u64;
    store.each(&mut |kept| {
        let line = match &kept {
            Kept::Alert(_, Ok(alert)) => Line::Alert { alert },
            Kept::Case(_, Ok(case)) => Line::Case { case },
            Kept::Alert(name, Err(error)) => {
                damaged += 1;
                say!("wardmote: alert {}: {error}", scanner::redact::printable(name));
                return Ok(());
            }
            Kept::Case(id, Err(error)) => {
                damaged += 1;
                say!("wardmote: case #{id}: {error}");
                return Ok(());
            }
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        Ok(output.write_all(&bytes)?)
    })?;
    output.finish()?;
    Ok(if damaged == 0 { Exit::Clean } else { Exit::Incomplete })
}

fn prune(path: &Path, older: Option<Span>, global: &Global) -> anyhow::Result<Exit> {
    // Nothing is made where nothing is.
    drop(read(path)?);
    let keep = match older {
        Some(span) => span,
        None => Settings::load(global.config.as_deref())?.agent.keep,
    };
    let now = jiff::Timestamp::now().as_second();
    let mut store =
        SqliteStore::open(path, ALERTS_MAX).map_err(|error| unreadable(path, &error))?;
    let gone = store.prune(now.saturating_sub(keep.seconds()))?;
    let mut text = format!("{gone} alerts that were quiet for {keep} are forgotten\n");
    if let Err(error) = store.compact() {
        text.push_str(&format!("the file is as large as before: {error}\n"));
    }
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(Exit::Clean)
}

fn read(path: &Path) -> anyhow::Result<SqliteStore> {
    let store = SqliteStore::read(path).map_err(|error| unreadable(path, &error))?;
    store.ok_or_else(|| {
        hinted(
            format!("{}: no service has kept anything there", path.display()),
            "start it with `systemctl start wardmote`, or name its place with --state-dir",
        )
    })
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    crate::exit::failed(
        format!("{}: {error}", path.display()),
        "stop the service and move the file away: what it kept is lost, the journal still has it",
        Exit::Found,
    )
}
