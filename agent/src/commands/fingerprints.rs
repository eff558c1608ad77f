//! `wardmote fingerprints list|verify`: what services are known by, and whether that holds.
//!
//! Without a directory both look at the built-in fingerprints. A directory holds files in the form of
//! the recog project (`*.xml`); `verify` runs every example in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use parsers::rules::recog::{self, Database};
use parsers::tree::{FileKind, Tree};
use scanner::RootedTree;
use scanner::ports::identify::fingerprints::{FILES, Fingerprints};
use scanner::ports::identify::verify::{Outcome, verify};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;

/// Most files of one directory.
const FILES_MAX: usize = 1_000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What services are known by: one fingerprint a line
    List(Place),
    /// Run the examples of every fingerprint; exit code 1 when one does not hold
    Verify(Place),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Directory of fingerprints in the recog form (*.xml) [default: the built-in ones]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let (text, exit) = match args.action {
        Action::List(place) => (list(&databases(&place)?), Exit::Clean),
        Action::Verify(place) => {
            let outcome = outcome(databases(&place)?)?;
            let exit = if outcome.failures.is_empty() { Exit::Clean } else { Exit::Found };
            (told(&outcome), exit)
        }
    };
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(exit)
}

fn databases(place: &Place) -> anyhow::Result<Vec<Database>> {
    match &place.directory {
        Some(directory) => load(directory),
        None => FILES
            .iter()
            .map(|(name, text)| Ok(recog::parse(&Arc::from(*name), text.as_bytes())?))
            .collect(),
    }
}

/// Every `*.xml` of a directory, by name. The first file that cannot be read ends it.
pub fn load(directory: &Path) -> anyhow::Result<Vec<Database>> {
    const HINT: &str = "name a directory of fingerprints in the recog form (*.xml)";
    let tree = RootedTree::open(Path::new("/"))?;
    let wrong = |error: parsers::tree::LookError| hinted(error.to_string(), HINT);
    let mut files: Vec<PathBuf> = tree
        .list(&std::path::absolute(directory)?)
        .map_err(wrong)?
        .into_iter()
        .filter(|entry| entry.kind != FileKind::Directory)
        .map(|entry| entry.path)
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(hinted(format!("{}: no *.xml in it", directory.display()), HINT));
    }
    if files.len() > FILES_MAX {
        return Err(hinted(format!("{}: more than {FILES_MAX} files", directory.display()), HINT));
    }
    files
        .iter()
        .map(|path| {
            let bytes = tree.read(path, recog::FILE_BYTES_MAX).map_err(wrong)?;
            // As the user named the directory.
            let name = path.file_name().map_or_else(|| path.clone(), |name| directory.join(name));
            let name: Arc<str> = name.to_string_lossy().into();
            recog::parse(&name, &bytes).map_err(|problem| hinted(problem.to_string(), HINT))
        })
        .collect()
}

fn outcome(databases: Vec<Database>) -> anyhow::Result<Outcome> {
    let tree = RootedTree::open(Path::new("/"))?;
    let all = Fingerprints::default().with(databases);
    let mut outcome = Outcome::default();
    for ready in all.databases() {
        // `dir/ssh_banners.xml` keeps its long examples in `dir/ssh_banners/`.
        let beside = Path::new(ready.database.file.as_ref()).with_extension("");
        let beside = std::path::absolute(beside)?;
        outcome.add(verify(ready, |name| {
            tree.read(&beside.join(name), recog::EXAMPLE_BYTES_MAX)
                .map_err(|error| error.to_string())
        }));
    }
    outcome.failures.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(outcome)
}

fn told(outcome: &Outcome) -> String {
    let mut out: String = outcome.failures.iter().map(|failure| format!("{failure}\n")).collect();
    if outcome.untested > 0 {
        out.push_str(&format!("{} fingerprints have no example\n", outcome.untested));
    }
    out.push_str(&format!("{} passed, {} failed\n", outcome.passed, outcome.failures.len()));
    out
}

/// One line a fingerprint: kind of text, product, description, place.
fn list(databases: &[Database]) -> String {
    let mut out = String::new();
    let mut count = 0;
    for database in databases {
        for fingerprint in &database.fingerprints {
            count += 1;
            let line = format!(
                "{:<22} {} ({}:{})",
                database.matches, fingerprint.description, database.file, fingerprint.line
            );
            out.push_str(&scanner::redact::printable(&line));
            out.push('\n');
        }
    }
    let files = if databases.len() == 1 { "file" } else { "files" };
    out.push_str(&format!("{count} fingerprints in {} {files}\n", databases.len()));
    out
}
