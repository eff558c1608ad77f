//! `wardmote seal`: encrypts and authenticates a file; `--new-key` makes a key.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crypto::seal::files::{self, Files};
use crypto::seal::{KEY_BYTES, Key, LOCK_BYTES, Lock};
use zeroize::Zeroizing;

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::pending::{Named, Pending, at};
use crate::secrets::{self, random};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A key file gives a bare Cobblestone-256 file (c2sp.org/chunked-encryption), which \
    other programs open too. The context is not secret and not in the file: `open` needs the same."
)]
pub struct Args {
    /// File to seal; `-` is stdin
    #[arg(value_name = "IN", required_unless_present = "new_key")]
    input: Option<PathBuf>,
    #[command(flatten)]
    with: With,
    /// Make a key file of 32 random bytes with mode 0600, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "output", "key_file", "passphrase_file", "context"])]
    new_key: Option<PathBuf>,
}

/// What a file is sealed with: the same for `open`.
#[derive(Debug, clap::Args)]
pub struct With {
    /// Key file: exactly 32 random bytes, mode 0600
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub key_file: Option<PathBuf>,
    /// File with a passphrase, mode 0600 (one LF at its end does not count)
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// What the file is for: it opens with the same context only
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub context: String,
}

/// Where the secret is.
pub enum Secret<'a> {
    /// In a key file.
    Key(&'a Path),
    /// In a passphrase file.
    Passphrase(&'a Path),
}

impl With {
    /// The one that was given.
    pub fn secret(&self) -> anyhow::Result<Secret<'_>> {
        match (&self.key_file, &self.passphrase_file) {
            (Some(path), _) => Ok(Secret::Key(path)),
            (None, Some(path)) => Ok(Secret::Passphrase(path)),
            (None, None) => Err(hinted(
                "neither --key-file nor --passphrase-file is given",
                "make a key with `wardmote seal --new-key FILE`",
            )),
        }
    }
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    secrets::shield();
    if let Some(path) = &args.new_key {
        return new_key(path);
    }
    let input_path = args.input.as_deref().unwrap_or(Path::new("-"));
    let output_path = out(global)?;
    let context = args.with.context.as_bytes();
    let (key, head) = match args.with.secret()? {
        Secret::Key(path) => (key(path)?, None),
        Secret::Passphrase(path) => {
            let phrase = secrets::passphrase(path)?;
            let lock = Lock::new(random()?);
            (lock.key(&phrase)?, Some(lock))
        }
    };
    let input = Input::open(input_path)?;
    let pending = Pending::create(output_path).map_err(|error| at(output_path, &error))?;
    let mut output = Named(BufWriter::new(pending), output_path);
    let offset = match head {
        Some(lock) => {
            output.write_all(&lock.encode())?;
            output.flush()?;
            LOCK_BYTES as u64
        }
        None => 0,
    };
    match &input {
        Input::Sized(file, bytes) => {
            let sealed = output.0.get_ref().file();
            let files = Files { input: file, output: sealed, offset, workers: workers() };
            files::seal(&key, &random()?, context, files, *bytes)
                .map_err(|error| of_files(error, input_path, output_path))?;
        }
        Input::Stream(stream) => {
            let mut stream = Named(stream, input_path);
            crypto::seal::seal(&key, &random()?, context, &mut stream, &mut output)
                .map_err(of_stream)?;
        }
    }
    commit(output)?;
    Ok(Exit::Clean)
}

/// The file to write, which must be named.
pub fn out(global: &Global) -> anyhow::Result<&Path> {
    match global.output.as_deref() {
        Some(path) if path == Path::new("-") => Err(hinted(
            "stdout cannot take it: what is written must be whole before it is seen",
            "name a file with -o OUT",
        )),
        Some(path) => Ok(path),
        None => Err(hinted("no output file", "name one with -o OUT")),
    }
}

/// Reads a key file: exactly 32 bytes.
pub fn key(path: &Path) -> anyhow::Result<Key> {
    Key::from_file_bytes(&secrets::read(path, 4 * KEY_BYTES)?).ok_or_else(|| {
        hinted(
            format!("{}: a key file has exactly {KEY_BYTES} bytes", path.display()),
            "make one with `wardmote seal --new-key FILE`",
        )
    })
}

/// What is read.
pub enum Input {
    /// A regular file of so many bytes, which several threads can read.
    Sized(File, u64),
    /// Whatever can only be read from its start: a pipe, stdin, or a file of the kernel's without a size.
    Stream(File),
}

impl Input {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let stdin = rustix::io::dup(io::stdin()).map_err(|error| at(path, &error.into()))?;
            return Ok(Self::Stream(stdin.into()));
        }
        let file = secrets::open_regular(path)?;
        let meta = file.metadata().map_err(|error| at(path, &error))?;
        match meta.is_file() && meta.len() > 0 {
            true => Ok(Self::Sized(file, meta.len())),
            false => Ok(Self::Stream(file)),
        }
    }
}

/// Threads that seal or open one file.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An error of work between two files, with their names.
pub fn of_files(error: crypto::Error, input: &Path, output: &Path) -> anyhow::Error {
    match error {
        crypto::Error::Io(error) => {
            hinted(format!("{} to {}: {error}", input.display(), output.display()), "")
        }
        error => hinted(format!("{}: {error}", input.display()), ""),
    }
}

/// Gives the finished file its name.
pub fn commit(output: Named<'_, BufWriter<Pending>>) -> anyhow::Result<()> {
    let Named(buffered, path) = output;
    let pending = buffered.into_inner().map_err(|error| at(path, error.error()))?;
    pending.commit().map_err(|error| at(path, &error))
}

/// An error of reading or writing as the user sees it.
pub fn of_stream(error: crypto::Error) -> anyhow::Error {
    match error {
        crypto::Error::Io(error) => hinted(error.to_string(), ""),
        error => error.into(),
    }
}

/// Makes a key file of random bytes that is not there yet.
pub fn new_key(path: &Path) -> anyhow::Result<Exit> {
    let bytes = Zeroizing::new(random::<KEY_BYTES>()?);
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AlreadyExists => "a key is never overwritten: name a new file",
                _ => "",
            };
            hinted(format!("{}: {error}", path.display()), hint)
        })?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let written = file.write_all(&*bytes).and_then(|()| {
        crate::output::give_to_sudo_user(&file, folder.unwrap_or(Path::new(".")));
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = std::fs::remove_file(path);
        return Err(at(path, &error));
    }
    Ok(Exit::Clean)
}
