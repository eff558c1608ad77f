//! `wardmote helper …`: what a unit with a right of its own runs for the service, which has not that right.
//! Not for people, and in no list of commands.

use clap::Subcommand;

use crate::exit::Exit;

mod block;
mod firewall;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    helper: Helper,
}

#[derive(Debug, Subcommand)]
enum Helper {
    /// Write down the firewall's rules (wardmote-firewall.service)
    Firewall(firewall::Args),
    /// Block what the service asks for, on the socket that is stdin (wardmote-block.service)
    Block(block::Args),
}

/// Runs one.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.helper {
        Helper::Firewall(args) => firewall::run(&args),
        Helper::Block(args) => block::run(&args),
    }
}
