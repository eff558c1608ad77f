//! Hostile folders: loops of includes, crowds of files, and what is no file.

use std::sync::atomic::{AtomicUsize, Ordering};

use parsers::tree::{FileKind, MemoryTree, Tree};

use crate::crowd::Crowd;
use crate::grammars::{Folder, Grammar, Missing, Reader, Shared};
use crate::measure::{Outcome, measured};

/// Files in one folder.
const CROWD: usize = 100_000;

/// Most of them that are read.
const READS_MAX: usize = 25_000;

/// Runs every case of a grammar that reads more than one file.
pub fn run(grammar: &Grammar, shared: &Shared, failures: &mut Vec<String>) {
    let Reader::Tree { path, read, .. } = &grammar.reader else { return };
    let mut cases = Cases { name: grammar.name, read: *read, failures };
    let tree = MemoryTree::new().file(path, text(grammar, ""));
    cases.told("nothing hostile", &tree, false);
    if let Some(include) = shared.include {
        includes(&mut cases, grammar, path, include, shared.missing);
    }
    if let Some(at) = &shared.folder {
        folder(&mut cases, grammar, path, at);
    }
}

/// The cases of one grammar.
struct Cases<'a> {
    name: &'a str,
    read: fn(&dyn Tree) -> Outcome,
    failures: &'a mut Vec<String>,
}

impl Cases<'_> {
    fn fail(&mut self, what: &str, fault: &str) {
        self.failures.push(format!("{}: {what}: {fault}", self.name));
    }

    /// Reads a tree; whether something is told has to be as said.
    fn told(&mut self, what: &str, tree: &dyn Tree, has_to_be: bool) -> Option<Outcome> {
        eprint!("{} {what}: ", self.name);
        match measured(|| (self.read)(tree)) {
            Err(fault) => self.fail(what, &fault),
            Ok(outcome) if has_to_be == outcome.told.is_empty() => {
                self.fail(what, &format!("told: {:?}", outcome.told));
            }
            Ok(outcome) => return Some(outcome),
        }
        None
    }
}

/// A file's text: an entry and more lines.
fn text(grammar: &Grammar, lines: &str) -> String {
    [grammar.base, &*String::from_utf8_lossy(grammar.entry), lines].concat()
}

fn includes(cases: &mut Cases<'_>, grammar: &Grammar, path: &str, line: &str, missing: Missing) {
    let to = |target: &str| text(grammar, &line.replace("PATH", target));
    let other = format!("{path}.other");
    let itself = MemoryTree::new().file(path, to(path));
    cases.told("itself", &itself, true);
    let two = MemoryTree::new().file(path, to(&other)).file(&other, to(path));
    cases.told("a loop of two", &two, true);
    let lost = MemoryTree::new().file(path, to("/etc/missing/file"));
    cases.told("a missing include", &lost, missing == Missing::Told);
    for (what, tree) in unreadable(&MemoryTree::new().file(path, to(&other)), &other) {
        cases.told(&format!("an include that is {what}"), &tree, true);
    }
}

fn folder(cases: &mut Cases<'_>, grammar: &Grammar, path: &str, folder: &Folder) {
    let pattern = format!("{}/*{}", folder.path, folder.suffix);
    let line = folder.include.replace("PATH", &pattern).replace("FOLDER", folder.path);
    let tree = MemoryTree::new().file(path, text(grammar, &line));
    let one = format!("{}/50-one{}", folder.path, folder.suffix);
    let holds_one = tree.clone().file(&one, grammar.entry);
    match cases.told("a folder with one file", &holds_one, false) {
        Some(outcome) if outcome.kept < 2 => {
            return cases.fail("a folder with one file", "it is not read");
        }
        Some(_) => {}
        None => return,
    }
    for (what, tree) in unreadable(&holds_one, &one) {
        cases.told(&format!("{what} in the folder"), &tree, true);
    }
    // Some daemons pass a directory over, some refuse it: it ends either way.
    let nested = tree.clone().directory(&one, 0o755, 0, 0);
    if let Err(fault) = measured(|| (cases.read)(&nested)) {
        cases.fail("a directory in the folder", &fault);
    }
    let crowd = Crowd {
        tree: tree.directory(folder.path, 0o755, 0, 0),
        directory: folder.path.into(),
        suffix: folder.suffix.into(),
        text: grammar.entry.to_vec(),
        count: CROWD,
        reads: AtomicUsize::new(0),
    };
    cases.told("a crowd", &crowd, true);
    let reads = crowd.reads.load(Ordering::Relaxed);
    if reads > READS_MAX {
        cases.fail("a crowd", &format!("{reads} files are read"));
    }
}

/// The tree with something at a path that can not be read as a file.
fn unreadable(tree: &MemoryTree, path: &str) -> Vec<(&'static str, MemoryTree)> {
    vec![
        ("a FIFO", tree.clone().special(path, FileKind::Fifo)),
        ("a device", tree.clone().special(path, FileKind::Device)),
        ("a socket", tree.clone().special(path, FileKind::Socket)),
        ("denied", tree.clone().denied(path)),
    ]
}
