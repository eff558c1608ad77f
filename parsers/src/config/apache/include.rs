//! `Include` and `IncludeOptional`: files, directories, patterns.

use std::path::{Path, PathBuf};

use super::read::Reader;
use super::{BYTES_MAX, FILES_MAX, INCLUDES_DEPTH_MAX};
use crate::config::directives::Directive;
use crate::config::expand::is_pattern;
use crate::place::Place;
use crate::tree::{CONFIG_BYTES_MAX, FileKind, Links, LookError, Why};

/// Deepest directory below an included one, as in httpd.
const DIRECTORIES_DEPTH_MAX: usize = 20;

impl Reader<'_> {
    /// A path below the server root.
    pub(super) fn absolute(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_string(),
            false => format!("{}/{path}", self.server_root.trim_end_matches('/')),
        }
    }

    pub(super) fn include(
        &mut self,
        given: &str,
        is_optional: bool,
        from: &Place,
        into: &mut Vec<Directive>,
    ) {
        let path = self.absolute(given);
        let mut files = Vec::new();
        if is_pattern(&path) {
            let mut found = self.expander.expand(&path);
            // httpd sorts name by name, not the whole path.
            found.sort();
            if found.is_empty() && !is_optional {
                return self.wrong(from.clone(), format!("no file fits {path}"));
            }
            found.iter().for_each(|path| self.collect(path, 0, &mut files));
        } else {
            match self.tree.stat(Path::new(&path), Links::Follow) {
                Err(error) if error.not_found() && is_optional => return,
                Err(error) if error.not_found() => {
                    return self.wrong(from.clone(), format!("the file {path} does not exist"));
                }
                _ => self.collect(Path::new(&path), 0, &mut files),
            }
        }
        for file in files {
            let is_full = self.bytes_left == 0 || self.read.files.len() >= FILES_MAX;
            self.one(&file, from, into);
            if is_full {
                break;
            }
        }
    }

    /// A file, or every file below a directory, sorted, hidden ones too.
    fn collect(&mut self, path: &Path, depth: usize, files: &mut Vec<PathBuf>) {
        let is_directory = self
            .tree
            .stat(path, Links::Follow)
            .is_ok_and(|facts| facts.kind == FileKind::Directory);
        if !is_directory {
            files.push(path.to_path_buf());
            return;
        }
        if depth >= DIRECTORIES_DEPTH_MAX {
            let why = Why::Io(format!("deeper than {DIRECTORIES_DEPTH_MAX} directories"));
            self.read.unread.push(LookError::new(path, why));
            return;
        }
        match self.tree.list(path) {
            Ok(entries) => {
                for entry in entries.iter().take(self.names_left) {
                    self.names_left -= 1;
                    self.collect(&entry.path, depth + 1, files);
                }
                if self.names_left == 0 {
                    let why = Why::TooMany(crate::config::expand::ENTRIES_MAX);
                    self.read.unread.push(LookError::new(path, why));
                }
            }
            Err(error) => self.read.unread.push(error),
        }
    }

    fn one(&mut self, path: &Path, from: &Place, into: &mut Vec<Directive>) {
        let name = path.to_string_lossy().into_owned();
        if self.open.contains(&name) {
            let chain = self.open.join(" includes ");
            let message = format!("the file includes itself: {chain} includes {name}");
            return self.wrong(from.clone(), message);
        }
        if self.open.len() > INCLUDES_DEPTH_MAX {
            let message = format!("includes are nested deeper than {INCLUDES_DEPTH_MAX}");
            return self.wrong(from.clone(), message);
        }
        let read = if self.read.files.len() >= FILES_MAX {
            Err(LookError::new(path, Why::TooMany(FILES_MAX)))
        } else if self.bytes_left == 0 {
            Err(LookError::new(path, Why::TooLarge(BYTES_MAX)))
        } else {
            self.tree.read(path, self.bytes_left.min(CONFIG_BYTES_MAX))
        };
        match read {
            Ok(bytes) => self.file(&name, &bytes, into),
            Err(error) if error.not_found() => {
                self.wrong(from.clone(), format!("the file {name} cannot be opened"));
            }
            Err(error) => self.read.unread.push(error),
        }
    }
}
