//! Files that a glob(3) pattern with directories names, read through a [`Tree`].
//!
//! Sorted as the C library sorts in the C locale; `*` and `?` never match a leading dot. Links are
//! followed inside the tree. The number of entries looked at is bounded; what could not be listed is told.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::glob;
use crate::tree::{Links, LookError, Tree, Why};

/// Most directory entries that the patterns of one configuration may look at.
pub const ENTRIES_MAX: usize = 200_000;

/// Expands patterns, with one budget for a whole configuration.
pub(crate) struct Expander<'a> {
    tree: &'a dyn Tree,
    entries_left: usize,
    /// What could not be listed.
    pub(crate) unread: Vec<LookError>,
}

/// Whether a pattern has signs that make it one.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

impl<'a> Expander<'a> {
    pub(crate) fn new(tree: &'a dyn Tree) -> Self {
        Self { tree, entries_left: ENTRIES_MAX, unread: Vec::new() }
    }

    /// The paths that an absolute pattern names, sorted by bytes; none when nothing fits.
    pub(crate) fn expand(&mut self, pattern: &str) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            if is_pattern(part) {
                found = self.part(&found, part);
            } else {
                found.iter_mut().for_each(|path| path.push(part));
            }
        }
        // A dangling link is a name that fits; opening it then fails, as it does for the daemon.
        found.retain(|path| match self.tree.stat(path, Links::Keep) {
            Err(error) => !error.not_found(),
            Ok(_) => true,
        });
        found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        found
    }

    fn part(&mut self, parents: &[PathBuf], part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for parent in parents {
            let entries = match self.tree.list(parent) {
                Ok(entries) => entries,
                Err(error) => {
                    if !error.not_found() && error.why != Why::NotDirectory {
                        self.unread.push(error);
                    }
                    continue;
                }
            };
            if !self.spend(parent, entries.len()) {
                return found;
            }
            for entry in entries {
                let name = entry.path.file_name().unwrap_or_default().as_bytes();
                let is_hidden = name.starts_with(b".") && !part.starts_with('.');
                if !is_hidden && glob::matches(part.as_bytes(), name) {
                    found.push(parent.join(OsStr::from_bytes(name)));
                }
            }
        }
        found
    }

    /// Takes entries off the budget; `false` when it is used up, which is told once.
    fn spend(&mut self, parent: &Path, entries: usize) -> bool {
        if entries <= self.entries_left {
            self.entries_left -= entries;
            return true;
        }
        self.entries_left = 0;
        self.unread.push(LookError::new(parent, Why::TooMany(ENTRIES_MAX)));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn patterns_with_directories_are_expanded_in_order_and_leave_hidden_names_out() {
        let tree = MemoryTree::new()
            .file("/etc/x/b/1.conf", "")
            .file("/etc/x/a/2.conf", "")
            .file("/etc/x/a/.3.conf", "")
            .file("/etc/x/a/4.txt", "")
            .file("/etc/x/f", "")
            .link("/etc/x/a/5.conf", "gone");
        let mut expander = Expander::new(&tree);
        let found = expander.expand("/etc/x/*/*.conf");
        let shown: Vec<_> = found.iter().map(|path| path.to_string_lossy()).collect();
        assert_eq!(shown, ["/etc/x/a/2.conf", "/etc/x/a/5.conf", "/etc/x/b/1.conf"]);
        assert!(expander.expand("/none/*").is_empty() && expander.unread.is_empty());
        assert_eq!(expander.expand("/etc/x/a/.*").len(), 1);
    }

    #[test]
    fn the_budget_of_entries_ends_and_is_told() {
        let tree = MemoryTree::new().file("/d/a", "").file("/d/b", "");
        let mut expander = Expander::new(&tree);
        expander.entries_left = 3;
        assert_eq!(expander.expand("/d/*").len(), 2);
        assert!(expander.expand("/d/*").is_empty());
        assert_eq!(expander.unread[0].why, Why::TooMany(ENTRIES_MAX));
    }
}
