//! `wardmote consensus`.

use crate::commands::Global;
use crate::exit::Exit;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _global: &Global) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
