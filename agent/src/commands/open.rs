//! `wardmote open`: opens a sealed file; nothing appears under the output's name unless all of it is
//! authentic.

use std::io::{BufReader, BufWriter, Read};
use std::path::PathBuf;

use crypto::Error;
use crypto::seal::files::{self, Files};
use crypto::seal::{LOCK_BYTES, Lock};

use crate::commands::Global;
use crate::commands::seal::{Input, Secret, With, commit, key, of_files, of_stream, out, workers};
use crate::exit::{Exit, failed, hinted};
use crate::pending::{Named, Pending, at};
use crate::secrets;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 1 when the file does not hold: wrong key, passphrase or context, or \
    changed, cut or extended."
)]
pub struct Args {
    /// Sealed file; `-` is stdin
    #[arg(value_name = "IN")]
    input: PathBuf,
    #[command(flatten)]
    with: With,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    secrets::shield();
    let output_path = out(global)?;
    let secret = args.with.secret()?;
    let input = Input::open(&args.input)?;
    let (file, bytes) = match &input {
        Input::Sized(file, bytes) => (file, Some(*bytes)),
        Input::Stream(file) => (file, None),
    };
    let name = args.input.display();
    let mut sealed = BufReader::new(Named(file, args.input.as_path()));
    let locked = begins_with_lock(&mut sealed).map_err(|error| hinted(error.to_string(), ""))?;
    let key = match (secret, locked) {
        (Secret::Key(path), false) => key(path)?,
        (Secret::Passphrase(path), true) => {
            let mut head = [0; LOCK_BYTES];
            sealed
                .read_exact(&mut head)
                .map_err(|_| does_not_hold(&args, "cut within its head"))?;
            let lock = Lock::decode(&head).map_err(|error| does_not_hold(&args, error))?;
            lock.key(&secrets::passphrase(path)?)?
        }
        (Secret::Key(_), true) => {
            return Err(hinted(
                format!("{name}: it was sealed with a passphrase"),
                "use --passphrase-file",
            ));
        }
        (Secret::Passphrase(_), false) => {
            return Err(failed(
                format!("{name}: it was not sealed with a passphrase, or its head is damaged"),
                "use --key-file for a file sealed with a key",
                Exit::Found,
            ));
        }
    };
    let pending = Pending::create(output_path).map_err(|error| at(output_path, &error))?;
    let mut output = Named(BufWriter::new(pending), output_path);
    let context = args.with.context.as_bytes();
    let offset = if locked { LOCK_BYTES as u64 } else { 0 };
    let opened = match bytes {
        Some(bytes) => {
            let plain = output.0.get_ref().file();
            let files = Files { input: file, output: plain, offset, workers: workers() };
            files::open(&key, context, files, bytes.saturating_sub(offset))
        }
        None => crypto::seal::open(&key, context, sealed, &mut output),
    };
    opened.map_err(|error| match error {
        error @ Error::Io(_) if bytes.is_some() => of_files(error, &args.input, output_path),
        error @ Error::Io(_) => of_stream(error),
        error => does_not_hold(&args, error),
    })?;
    commit(output)?;
    Ok(Exit::Clean)
}

fn does_not_hold(args: &Args, why: impl std::fmt::Display) -> anyhow::Error {
    let message = format!("{}: {why}", args.input.display());
    failed(message, "nothing was written", Exit::Found)
}

/// Looks at the first bytes without taking them.
fn begins_with_lock(sealed: &mut BufReader<impl Read>) -> std::io::Result<bool> {
    use std::io::BufRead;
    Ok(Lock::begins(sealed.fill_buf()?))
}
