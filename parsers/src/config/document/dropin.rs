//! Files of drop-in directories, and what is read of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::problems::note_unread;
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

/// Most files of one configuration.
pub const FILES_MAX: usize = 1_000;

/// Most bytes of one configuration, all files counted.
pub const BYTES_MAX: usize = 16 << 20;

/// Files whose names a daemon takes, by name; `directories` in the order in which the later one shadows a
/// file of the same name in an earlier one. Gives the files to read and the shadowed ones.
pub fn list(
    tree: &dyn Tree,
    directories: &[&str],
    takes: &dyn Fn(&str) -> bool,
    unread: &mut Vec<LookError>,
) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut by_name: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut shadowed = Vec::new();
    for directory in directories {
        let entries = match tree.list(Path::new(directory)) {
            Ok(entries) => entries,
            Err(error) if error.not_found() => continue,
            Err(error) => {
                note_unread(unread, error);
                continue;
            }
        };
        for entry in entries {
            let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !takes(name) || entry.kind == FileKind::Directory {
                continue;
            }
            if by_name.len() == FILES_MAX && !by_name.contains_key(name) {
                let error = LookError::new(Path::new(directory), Why::TooMany(FILES_MAX));
                note_unread(unread, error);
                break;
            }
            shadowed.extend(by_name.insert(name.to_string(), entry.path.clone()));
        }
    }
    (by_name.into_values().collect(), shadowed)
}

/// Reads files under the limits of one configuration; what cannot be read is listed.
pub struct Reader<'a> {
    tree: &'a dyn Tree,
    bytes_left: usize,
    /// What could not be read.
    pub unread: Vec<LookError>,
}

impl<'a> Reader<'a> {
    /// A reader of nothing yet.
    pub fn new(tree: &'a dyn Tree) -> Self {
        Self { tree, bytes_left: BYTES_MAX, unread: Vec::new() }
    }

    /// The tree.
    pub fn tree(&self) -> &'a dyn Tree {
        self.tree
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit any more.
    pub fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, LookError> {
        let bytes = self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left))?;
        self.bytes_left -= bytes.len();
        Ok(bytes)
    }

    /// The bytes of a file, or a note that it is unread.
    pub fn noted(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.bytes(path).map_err(|error| note_unread(&mut self.unread, error)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn the_later_directory_shadows_and_names_decide_the_order() {
        let tree = MemoryTree::new()
            .file("/a/2.x", "")
            .file("/b/1.x", "")
            .file("/b/2.x", "")
            .file("/b/3.y", "")
            .directory("/b/4.x", 0o755, 0, 0);
        let mut unread = Vec::new();
        let (files, shadowed) =
            list(&tree, &["/a", "/b", "/none"], &|name| name.ends_with(".x"), &mut unread);
        assert_eq!(files, [PathBuf::from("/b/1.x"), "/b/2.x".into()]);
        assert_eq!(shadowed, [PathBuf::from("/a/2.x")]);
        assert!(unread.is_empty());
    }

    #[test]
    fn a_hundred_thousand_files_are_not_read() {
        let mut tree = MemoryTree::new();
        for number in 0..FILES_MAX + 5 {
            tree = tree.file(&format!("/a/{number:06}.x"), "");
        }
        let mut unread = Vec::new();
        let (files, _) = list(&tree, &["/a"], &|_| true, &mut unread);
        assert_eq!((files.len(), unread.len()), (FILES_MAX, 1));
    }
}
