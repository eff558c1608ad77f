//! `wardmote explain`: why a finding was judged as it was, from what was kept of the run.

use clap::ValueEnum;
use consensus::learn::Click;

use crate::commands::Global;
use crate::exit::Exit;
use crate::output;
use crate::report::explain;
use crate::report::graph::Causes;
use crate::settings::state_directory;
use crate::store::{cases, feedback};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The finding's id, or the verdict's trace; eight digits of it are enough where they fit only one
    id: String,
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
    /// A graph for Graphviz: sources, opinions, verdict
    Dot,
}

/// Explains.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let state = state_directory(global.state_dir.as_deref());
    let found = cases::find(&state, &args.id)?;
    let (log, _) = feedback::read(&state)?;
    let about = |click: &&Click| {
        click.finding == found.case.fingerprint || click.trace == found.case.verdict.trace
    };
    let clicks: Vec<&Click> = log.clicks.iter().filter(about).collect();
    let bytes = match args.format {
        Format::Text => {
            let color = global.color.on_stdout(global.output.is_some());
            explain::text(&found, &clicks, color)
        }
        Format::Json => serde_json::to_string_pretty(&explain::json(&found, &clicks)?)? + "\n",
        Format::Dot => Causes::of(&found)?.dot(),
    };
    output::write(global.output.as_deref(), bytes.as_bytes())?;
    Ok(Exit::Clean)
}
