//! `wardmote journal`: makes, verifies and shows the journal. Only `init` writes.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::journal::disk::{Directory, Disk};
use crate::settings::state_directory;

mod init;
mod show;
mod stats;
#[cfg(test)]
mod tests;
mod verify;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a journal, and the key that verifies it: take that off this host
    Init(init::Args),
    /// Prove that nothing was changed, moved or left out; exit code 1 when something does not hold
    Verify(verify::Args),
    /// Show records; proves nothing
    Show(show::Args),
    /// How much there is, and the head: keep that elsewhere, and verify with it
    Stats(stats::Args),
    /// All records as JSON lines
    Export(Where),
}

/// Which journal.
#[derive(Debug, clap::Args)]
pub struct Where {
    /// Directory of the journal [default: journal in the state directory]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    match args.action {
        Action::Init(args) => init::run(&args, global),
        Action::Verify(args) => verify::run(&args, global),
        Action::Show(args) => show::run(&args, global),
        Action::Stats(args) => stats::run(&args, global),
        Action::Export(at) => show::export(&at, global),
    }
}

impl Where {
    fn path(&self, global: &Global) -> PathBuf {
        let default = || state_directory(global.state_dir.as_deref()).join("journal");
        self.directory.clone().unwrap_or_else(default)
    }

    /// Opens the directory to read it.
    fn open(&self, global: &Global) -> anyhow::Result<(PathBuf, Directory)> {
        let path = self.path(global);
        let listed = Directory::open(&path).and_then(|disk| disk.names().map(|_| disk));
        let disk = listed.map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "a journal is its owner's alone: use sudo",
                _ => "name a journal's directory; `wardmote journal init` makes one",
            };
            hinted(format!("{}: {error}", path.display()), hint)
        })?;
        Ok((path, disk))
    }
}

/// Says on stderr what could not be read; the exit code that follows from it.
fn tell(directory: &Path, incomplete: &[String]) -> Exit {
    for entry in incomplete {
        let shown = scanner::redact::printable(entry);
        say!("wardmote: incomplete: {}: {shown}", directory.display());
    }
    if incomplete.is_empty() { Exit::Clean } else { Exit::Incomplete }
}

/// Microseconds since the epoch as a time in UTC.
fn moment(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map_or_else(|_| format!("{us} us"), |at| at.to_string())
}
