//! `wardmote rules list|lint|test`: the rule author's commands.
//!
//! Without a path they look at the built-in rules. `list` says what a rule is about and which logs of
//! this host can feed it; `lint` what does not hold in a rule file; `test` runs the logs that come with
//! the rules: those of `tests/NAME.yml` beside `NAME.yml`, and those under `wardmote_samples` in a rule.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use parsers::tree::Tree;
use scanner::RootedTree;
use scanner::logs::content;

use crate::commands::{Global, rule_files};
use crate::exit::{self, Exit};

mod feeds;
mod lint;
mod list;
mod outline;
mod samples;
mod test;
mod values;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Rules, what they are about, and which logs of this host can feed them
    List(list::Args),
    /// What does not hold in rule files; exit code 1 when something does not
    Lint(lint::Args),
    /// Run the logs that come with the rules; exit code 1 when one does not end as it should
    Test(test::Args),
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    match args.action {
        Action::List(args) => list::run(&args, global),
        Action::Lint(args) => lint::run(&args, global),
        Action::Test(args) => test::run(&args, global),
    }
}

/// A rule file and, where there is one, the file of its samples.
struct RuleFile {
    name: Arc<str>,
    text: String,
    samples: Option<(Arc<str>, String)>,
}

/// The files that the user names, or the built-in ones.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<RuleFile>> {
    if paths.is_empty() {
        let built_in = content::FILES.iter().map(|(name, text, samples)| {
            let beside: Arc<str> = beside(Path::new(name)).to_string_lossy().into();
            let (text, samples) = (text.to_string(), Some((beside, samples.to_string())));
            RuleFile { name: Arc::from(*name), text, samples }
        });
        return Ok(built_in.collect());
    }
    let tree = RootedTree::open(Path::new("/"))?;
    let here = std::env::current_dir()?;
    let shown = |path: &Path| path.strip_prefix(&here).unwrap_or(path).to_string_lossy().into();
    let mut files = Vec::new();
    for (path, bytes) in rule_files::read(paths)? {
        let samples = match tree.read(&beside(&path), samples::FILE_BYTES_MAX) {
            Ok(bytes) => Some((shown(&beside(&path)), readable(&beside(&path), bytes)?)),
            Err(error) if error.not_found() => None,
            Err(error) => return Err(exit::hinted(error.to_string(), "samples are plain YAML")),
        };
        files.push(RuleFile { name: shown(&path), text: readable(&path, bytes)?, samples });
    }
    Ok(files)
}

/// `DIR/tests/NAME.yml` of `DIR/NAME.yml`.
fn beside(path: &Path) -> PathBuf {
    let directory = path.parent().unwrap_or(Path::new("")).join("tests");
    path.file_name().map_or(directory.clone(), |name| directory.join(name))
}

fn readable(path: &Path, bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| exit::hinted(format!("{}: not UTF-8", path.display()), "rule files are text"))
}
