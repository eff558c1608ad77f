//! Sigma rules from files and directories that the user names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::rules::sigma::{self, Document, FILE_BYTES_MAX};
use parsers::tree::{Entry, FileKind, Links, Tree};
use scanner::RootedTree;
use scanner::logs::RuleSet;
use scanner::logs::fail2ban::Jail;

use crate::exit;
use crate::rule_cache::RuleCache;

/// Most rule files of one run.
const FILES_MAX: usize = 20_000;

/// Deepest directory below a path that the user names.
const DEPTH_MAX: usize = 8;

/// Every document of the rules in these files and directories (`*.yml`, `*.yaml`); the first thing
/// wrong ends it, because a rule that is left out silently is worse.
pub fn load(paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    documents(&RootedTree::open(Path::new("/"))?, paths)
}

/// The same, or what was kept of it.
pub fn load_kept(
    paths: &[PathBuf],
    tree: &RootedTree,
    cache: &RuleCache,
) -> anyhow::Result<Vec<Document>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    // Only paths that are texts: two that are none might be told apart by nothing.
    let absolute: std::io::Result<Vec<PathBuf>> = paths.iter().map(std::path::absolute).collect();
    let words: Option<Vec<String>> =
        absolute?.iter().map(|path| path.to_str().map(str::to_string)).collect();
    match words {
        Some(words) => cache.rules(tree, &words, |tree| documents(tree, paths)),
        None => documents(tree, paths),
    }
}

fn documents(tree: &dyn Tree, paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (file, bytes) in read_in(tree, paths)? {
        let name: Arc<str> = file.to_string_lossy().into();
        let found = sigma::parse(&name, &bytes).map_err(|problem| {
            exit::hinted(problem.to_string(), "correct the rule, or leave the file out")
        })?;
        documents.extend(found);
    }
    Ok(documents)
}

/// Every rule file in these files and directories, as it is.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    read_in(&RootedTree::open(Path::new("/"))?, paths)
}

fn read_in(tree: &dyn Tree, paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    const HINT: &str = "name a Sigma rule file or a directory of them";
    let mut found = Vec::new();
    for path in paths {
        let mut files = Vec::new();
        gather(tree, &std::path::absolute(path)?, 0, &mut files)?;
        if files.is_empty() {
            let message = format!("{}: no *.yml or *.yaml in it", path.display());
            return Err(exit::hinted(message, HINT));
        }
        for file in files {
            let bytes = tree
                .read(&file, FILE_BYTES_MAX)
                .map_err(|error| exit::hinted(error.to_string(), HINT))?;
            found.push((file, bytes));
        }
    }
    Ok(found)
}

/// The rules ready to be asked.
pub fn rule_set(documents: Vec<Document>, jails: Vec<Jail>) -> anyhow::Result<RuleSet> {
    RuleSet::with_jails(documents, jails).map_err(|problems| {
        let lines: Vec<String> = problems.iter().take(10).map(ToString::to_string).collect();
        exit::hinted(
            lines.join("\n"),
            "each name and id belongs to one rule; load what it refers to",
        )
    })
}

fn gather(
    tree: &dyn Tree,
    path: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let kind = tree.stat(path, Links::Follow).map(|stat| stat.kind);
    if kind != Ok(FileKind::Directory) {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let too_many = depth == DEPTH_MAX || files.len() > FILES_MAX;
    if too_many {
        let message = format!("{}: too many files or directories below it", path.display());
        return Err(exit::hinted(message, "name a directory of rules only"));
    }
    for Entry { path, kind } in tree.list(path)? {
        let is_rule = path.extension().is_some_and(|e| e == "yml" || e == "yaml");
        match kind {
            // A folder of that name beside rules holds their samples.
            FileKind::Directory if path.ends_with("tests") => {}
            FileKind::Directory => gather(tree, &path, depth + 1, files)?,
            FileKind::Regular | FileKind::Link if is_rule => files.push(path),
            _ => {}
        }
    }
    Ok(())
}
