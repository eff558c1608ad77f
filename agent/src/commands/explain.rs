//! `wardmote explain`: why a finding was judged as it was, from what was kept of the run. The service is asked
//! where it runs.

use std::path::Path;

use clap::ValueEnum;
use consensus::learn::Click;

use crate::commands::Global;
use crate::control::client;
use crate::control::words::{Ask, Form};
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
    let form = match args.format {
        Format::Text if global.color.on_stdout(global.output.is_some()) => Form::Colored,
        Format::Text => Form::Plain,
        Format::Json => Form::Json,
        Format::Dot => Form::Dot,
    };
    let ask = Ask::Explain { id: args.id.clone(), form };
    if let Some(reply) = client::ask(global, &ask, None)? {
        return super::replied(reply, global);
    }
    let state = state_directory(global.state_dir.as_deref());
    let text = match explained(&state, &args.id, form) {
        Ok(text) => text,
        Err(error) => match client::ask_system(global, &ask)? {
            Some(reply) => return super::replied(reply, global),
            None => return Err(error),
        },
    };
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(Exit::Clean)
}

/// The explanation of what is kept in a state directory.
pub(crate) fn explained(state: &Path, id: &str, form: Form) -> anyhow::Result<String> {
    let found = cases::find(state, id)?;
    let (log, _) = feedback::read(state)?;
    let about = |click: &&Click| {
        click.finding == found.case.fingerprint || click.trace == found.case.verdict.trace
    };
    let clicks: Vec<&Click> = log.clicks.iter().filter(about).collect();
    Ok(match form {
        Form::Plain | Form::Colored => explain::text(&found, &clicks, form.color()),
        Form::Json => serde_json::to_string_pretty(&explain::json(&found, &clicks)?)? + "\n",
        Form::Dot => Causes::of(&found)?.dot(),
    })
}
