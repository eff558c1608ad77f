//! `wardmote completions`: completion scripts for the shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::commands::{Cli, Global};
use crate::exit::Exit;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell to complete for
    shell: Shell,
}

/// Prints the script.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wardmote", &mut script);
    crate::output::write(global.output.as_deref(), &script)?;
    Ok(Exit::Clean)
}
