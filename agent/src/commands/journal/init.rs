//! `wardmote journal init`: a new journal, and its verification key in a file of its own.

use std::path::PathBuf;

use crypto::chain::BYTES;
use crypto::journal::state::Made;
use zeroize::Zeroizing;

use super::Where;
use crate::commands::Global;
use crate::commands::audit::create_private;
use crate::commands::seal::new_key;
use crate::exit::{Exit, hinted};
use crate::journal::disk::Directory;
use crate::journal::{clock, create};
use crate::secrets;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Whoever has FILE can verify the journal, and forge all of it: copy it to another \
    host, and remove it here. The service goes on with the journal that it finds; one that it had to make by \
    itself can be shown and not verified, since nobody has its key."
)]
pub struct Args {
    #[command(flatten)]
    at: Where,
    /// New file for the verification key, mode 0600
    #[arg(long, value_name = "FILE")]
    verify_key: PathBuf,
}

/// Makes it.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    secrets::shield();
    let path = args.at.path(global);
    let fail = |error: &dyn std::fmt::Display, hint: &str| {
        hinted(format!("{}: {error}", path.display()), hint)
    };
    create_private(&path).map_err(|error| fail(&error, "name another directory, or use sudo"))?;
    let disk = Directory::open(&path).map_err(|error| fail(&error, "name a directory"))?;
    new_key(&args.verify_key)?;
    let made = secrets::read(&args.verify_key, BYTES).and_then(|bytes| {
        let mut first = Zeroizing::new([0; BYTES]);
        first.copy_from_slice(&bytes);
        let id = secrets::random()?;
        create(&disk, first, id, Made::WithVerifyKey, clock()())
            .map_err(|error| fail(&error, "move that journal away, or name another directory"))
    });
    if let Err(error) = made {
        // It is the key of nothing.
        let _ = std::fs::remove_file(&args.verify_key);
        return Err(error);
    }
    if !global.quiet {
        let key = args.verify_key.display();
        say!("wardmote: a journal in {}; {key} verifies it", path.display());
        say!(
            "hint: copy {key} to another host and remove it here: whoever has it can forge the journal"
        );
    }
    Ok(Exit::Clean)
}
