//! `wardmote mac`: HMAC-SHA-256 of files, and check lists in the form of `sha256sum`.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crypto::mac::{self, Entry, KEY_BYTES_MAX, KEY_BYTES_MIN, Key, LIST_LINE_BYTES_MAX};

use crate::commands::Global;
use crate::commands::hash::jobs;
use crate::exit::{Exit, hinted};
use crate::pending::Stream;
use crate::secrets;
use crate::settings::state_directory;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The key is 16 to 4096 bytes, as they are in the file (mode 0600); without \
    --key-file it is mac.key in the state directory. --check prints `NAME: OK` or `NAME: FAILED` a line \
    (only what failed with --quiet) and ends with 1 when something does not hold."
)]
pub struct Args {
    /// Key file, mode 0600 [default: mac.key in the state directory]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Check the files of a list that `wardmote mac` printed; `-` is stdin
    #[arg(long, value_name = "LIST", conflicts_with = "files")]
    check: Option<PathBuf>,
    /// Files; `-` is stdin
    #[arg(value_name = "FILE", required_unless_present = "check")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    secrets::shield();
    let key = key(args.key_file.as_deref(), global)?;
    match args.check {
        Some(list) => check(&key, &list, global),
        None => print(&key, args.files, global),
    }
}

fn key(named: Option<&Path>, global: &Global) -> anyhow::Result<Key> {
    let default = || state_directory(global.state_dir.as_deref()).join("mac.key");
    let path = named.map_or_else(default, Path::to_path_buf);
    if named.is_none() && !path.exists() {
        return Err(hinted(
            format!("no --key-file, and no {}", path.display()),
            format!("make a key with `wardmote seal --new-key {}`", path.display()),
        ));
    }
    let bytes = secrets::read(&path, KEY_BYTES_MAX)?;
    if bytes.len() < KEY_BYTES_MIN {
        return Err(hinted(
            format!("{}: shorter than {KEY_BYTES_MIN} bytes", path.display()),
            "make a key with `wardmote seal --new-key FILE`",
        ));
    }
    Ok(Key::new(&bytes))
}

/// Runs `work` on all cores; `sink` gets the answers in order.
fn on_all_cores<J: Send + 'static, O: Send + 'static>(
    source: impl Iterator<Item = J> + Send + 'static,
    work: impl Fn(J) -> O + Clone + Send + 'static,
    sink: impl FnMut(O) -> Result<(), crypto::Error>,
) -> anyhow::Result<()> {
    let workers = (0..jobs(None)).map(|_| work.clone()).collect();
    crypto::ordered(source, workers, sink).map_err(crate::commands::hash::of_batch)
}

fn print(key: &Key, files: Vec<PathBuf>, global: &Global) -> anyhow::Result<Exit> {
    let mut out = Stream::open(global.output.as_deref())?;
    let mut exit = Exit::Clean;
    let key = key.clone();
    let work = move |path: PathBuf| (of_file(&key, &path), path);
    on_all_cores(files.into_iter(), work, |(mac, path)| {
        match mac {
            Ok(mac) => {
                let name = path.as_os_str().as_bytes().to_vec();
                out.write_all(&Entry { mac, name }.line())?;
                out.write_all(b"\n")?;
            }
            Err(error) => {
                exit = Exit::Usage;
                say!("wardmote: error: {error}");
            }
        }
        Ok(())
    })?;
    out.finish()?;
    Ok(exit)
}

fn check(key: &Key, list: &Path, global: &Global) -> anyhow::Result<Exit> {
    let input: Box<dyn Read + Send> = match list == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(secrets::open_regular(list)?),
    };
    let mut out = Stream::open(global.output.as_deref())?;
    let (mut good, mut bad) = (0_u64, 0_u64);
    let key = key.clone();
    let work =
        move |line: Result<Entry, String>| line.map(|entry| (holds(&key, &entry), entry.name));
    on_all_cores(entries(BufReader::new(input)), work, |checked| {
        match &checked {
            Ok((Holds::Yes, _)) => good += 1,
            _ => bad += 1,
        }
        match checked {
            Ok((Holds::Yes, _)) if global.quiet => {}
            Ok((holds, name)) => {
                let shown = mac::escaped(&name);
                let mark: &[u8] = if shown.len() == name.len() { b"" } else { b"\\" };
                out.write_all(&[mark, &shown, holds.word(), b"\n"].concat())?;
            }
            Err(why) => say!("wardmote: error: {}:{why}", list.display()),
        }
        Ok(())
    })?;
    out.finish()?;
    match (good, bad) {
        (0, 0) => Err(hinted(
            format!("{}: no line to check", list.display()),
            "a list is what `wardmote mac FILE...` prints",
        )),
        (_, 0) => Ok(Exit::Clean),
        _ => Ok(Exit::Found),
    }
}

/// The lines of a list, or what is wrong with one: `LINE: why`. A reading error ends the list.
fn entries(
    mut input: impl BufRead + Send + 'static,
) -> impl Iterator<Item = Result<Entry, String>> + Send + 'static {
    let mut number = 0_u64;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        number += 1;
        let mut line = Vec::new();
        let limit = LIST_LINE_BYTES_MAX as u64 + 1;
        match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
            }
            // No LF within the limit: what follows cannot be told from the rest of this line.
            Ok(count) if count as u64 == limit => {
                ended = true;
                return Some(Err(format!("{number}: longer than {LIST_LINE_BYTES_MAX} bytes")));
            }
            Ok(_) => {}
            Err(error) => {
                ended = true;
                return Some(Err(format!("{number}: {error}")));
            }
        }
        Some(Entry::parse(&line).map_err(|error| format!("{number}: {error}")))
    })
}

enum Holds {
    Yes,
    No,
    NotRead,
}

impl Holds {
    fn word(&self) -> &'static [u8] {
        match self {
            Self::Yes => b": OK",
            Self::No => b": FAILED",
            Self::NotRead => b": FAILED open or read",
        }
    }
}

fn holds(key: &Key, entry: &Entry) -> Holds {
    match of_file(key, Path::new(OsStr::from_bytes(&entry.name))) {
        Ok(mac) if mac::equal(&mac, &entry.mac) => Holds::Yes,
        Ok(_) => Holds::No,
        Err(_) => Holds::NotRead,
    }
}

fn of_file(key: &Key, path: &Path) -> anyhow::Result<[u8; mac::MAC_BYTES]> {
    if path == Path::new("-") {
        return Ok(key.of_stream(io::stdin().lock())?);
    }
    let file = secrets::open_regular(path)?;
    key.of_stream(file).map_err(|error| hinted(format!("{}: {error}", path.display()), ""))
}
