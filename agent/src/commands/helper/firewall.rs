//! `wardmote helper firewall`: asks for the firewall's rules once, and writes them where the service and
//! audits look for them ([`dumped`]).

use std::path::PathBuf;

use anyhow::Context as _;

use crate::exit::Exit;
use crate::pipeline::{ask, dumped};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = dumped::FOLDER)]
    to: PathBuf,
}

/// Runs it. What could not be asked is not written, is said, and ends with 3.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let spoken = ask::firewall_itself();
    dumped::write(&spoken, &args.to).with_context(|| args.to.display().to_string())?;
    for (program, why) in &spoken.unanswered {
        say!("wardmote: {program}: {why}");
    }
    Ok(if spoken.unanswered.is_empty() { Exit::Clean } else { Exit::Incomplete })
}
