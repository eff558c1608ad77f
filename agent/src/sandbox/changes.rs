//! What a look at the logs looked at, and whether any of it has changed since: as long as nothing has, the
//! next look would see the same, and nobody has to be woken for it.
//!
//! Taken when the child asks, before it reads: what is written later differs. Time alone may mean something to
//! a rule, so that a look comes from time to time all the same ([`super::proxy::QUIET_MAX`]).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parsers::tree::Identity;
use scanner::RootedTree;
use scanner::gate::Question;

/// Most paths; a look that asks about more is repeated every time.
pub const PATHS_MAX: usize = 10_000;
/// The kernel's own files change without a trace.
const TRACELESS: [&str; 2] = ["/proc", "/sys"];

/// Paths, with what was there.
#[derive(Debug, Default)]
pub struct Changes {
    seen: BTreeMap<PathBuf, Option<Identity>>,
    too_many: bool,
}

impl Changes {
    /// Notes what a question is about.
    pub fn note(&mut self, tree: &RootedTree, question: Question<'_>) {
        let Some(path) = question.path().map(OsStr::from_bytes).map(Path::new) else { return };
        if self.seen.contains_key(path) || TRACELESS.iter().any(|start| path.starts_with(start)) {
            return;
        }
        if self.seen.len() >= PATHS_MAX {
            self.too_many = true;
            return;
        }
        self.seen.insert(path.to_path_buf(), tree.mark(path));
    }

    /// Whether anything is not as it was; also where that is not known.
    pub fn any(&self, tree: &RootedTree) -> bool {
        self.too_many || self.seen.iter().any(|(path, then)| tree.mark(path) != *then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_watched_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("log")).unwrap();
        std::fs::write(at("log/a"), "one\n").unwrap();
        std::fs::write(at("other"), "x").unwrap();
        let tree = RootedTree::open(dir.path()).unwrap();
        let noted = || {
            let mut changes = Changes::default();
            for path in ["/log", "/log/a", "/none"] {
                changes.note(&tree, Question::Open(path.as_bytes()));
            }
            changes.note(&tree, Question::Open(b"/proc/uptime"));
            changes
        };
        let append = |name: &str| {
            use std::io::Write as _;
            let mut file = std::fs::File::options().append(true).open(at(name)).unwrap();
            file.write_all(b"more\n").unwrap();
        };
        let changes = noted();
        append("other");
        assert!(!changes.any(&tree));
        append("log/a");
        assert!(changes.any(&tree), "written to");
        let changes = noted();
        std::fs::write(at("log/b"), "").unwrap();
        assert!(changes.any(&tree), "a new file in the folder");
        let changes = noted();
        std::fs::write(at("none"), "").unwrap();
        assert!(changes.any(&tree), "what was not there is");
        let changes = noted();
        std::fs::rename(at("log/b"), at("log/a")).unwrap();
        assert!(changes.any(&tree), "another file under the name");
    }

    #[test]
    fn too_many_paths_are_always_changed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = RootedTree::open(dir.path()).unwrap();
        let mut changes = Changes::default();
        for number in 0..PATHS_MAX {
            changes.note(&tree, Question::Open(format!("/{number}").as_bytes()));
        }
        assert!(!changes.any(&tree));
        changes.note(&tree, Question::Open(b"/one more"));
        assert!(changes.any(&tree));
    }
}
