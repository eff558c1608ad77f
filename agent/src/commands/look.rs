//! The process in which the service reads what is hostile; see [`crate::sandbox`]. Nobody else calls it.

use crate::exit::Exit;
use crate::sandbox::child;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the child of a service.
pub fn run(_args: Args) -> anyhow::Result<Exit> {
    child::run()
}
