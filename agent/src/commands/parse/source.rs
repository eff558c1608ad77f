//! Where the text comes from: a file of the host or of a mounted tree, or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use parsers::config::lines::numbered;
use parsers::place::Place;
use parsers::tree::{CONFIG_BYTES_MAX, Entry, Links, LookError, Stat, Tree, Why};
use scanner::{RootedTree, redact};

use super::unreadable;

/// The name of standard input, as the places show it.
const STDIN: &str = "/dev/stdin";

/// A tree, and a path in it.
pub(super) struct Source {
    tree: Overlay,
    path: String,
}

impl Source {
    /// Opens a source; standard input is read at once.
    pub fn open(file: &str, root: Option<&Path>) -> anyhow::Result<Self> {
        let tree = RootedTree::open(root.unwrap_or(Path::new("/"))).map_err(|e| unreadable(&e))?;
        if file == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
            let tree = Overlay { under: tree, stdin: Some(bytes) };
            return Ok(Self { tree, path: STDIN.into() });
        }
        let path = match root {
            Some(_) => Path::new("/").join(file),
            None => std::path::absolute(file)?,
        };
        let path = path.to_string_lossy().into_owned();
        Ok(Self { tree: Overlay { under: tree, stdin: None }, path })
    }

    /// The tree, for grammars with includes.
    pub fn tree(&self) -> &dyn Tree {
        &self.tree
    }

    /// The path in the tree.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name shown in places.
    pub fn name(&self) -> &str {
        &self.path
    }

    /// The whole text, bounded.
    pub fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        self.tree.read_config(&self.path).map_err(|e| unreadable(&e))
    }

    /// The line of a place with a caret below its column, made safe to show.
    pub fn excerpt(&self, place: &Place) -> Option<String> {
        if place.line == 0 {
            return None;
        }
        let bytes = self.tree.read_config(&place.file).ok()?;
        let line = numbered(&bytes).find(|line| line.number == place.line)?;
        Some(excerpt(&line.text(), place))
    }
}

/// Most characters of a line that are shown before the caret.
const BEFORE_MAX: usize = 120;

fn excerpt(text: &str, place: &Place) -> String {
    let shown = redact::line(text);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let line = format!("\n {number} | {shown}");
    let column = usize::try_from(place.column).unwrap_or(0);
    let before = text.get(..column.saturating_sub(1)).unwrap_or(text);
    let safe = redact::printable(before);
    // Where hiding or escaping moved the text, a caret would point at the wrong place.
    if column == 0 || !shown.starts_with(&safe) || safe.chars().count() > BEFORE_MAX {
        return line;
    }
    format!("{line}\n {gutter} | {}^", " ".repeat(safe.chars().count()))
}

/// The host's or a mounted tree, with standard input in one place.
struct Overlay {
    under: RootedTree,
    stdin: Option<Vec<u8>>,
}

impl Tree for Overlay {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        match &self.stdin {
            Some(bytes) if path == Path::new(STDIN) => {
                if bytes.len() > limit {
                    return Err(LookError::new(path, Why::TooLarge(limit)));
                }
                Ok(bytes.clone())
            }
            _ => self.under.read(path, limit),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        self.under.list(path)
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        self.under.stat(path, links)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        self.under.read_link(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_points_at_the_column_unless_text_was_hidden_before_it() {
        let place = Place::new(&"/x".into(), 7, 3);
        assert_eq!(excerpt("ab cd", &place), "\n 7 | ab cd\n   |   ^");
        let hidden = excerpt("password=CANARY42 x", &Place::new(&"/x".into(), 7, 19));
        assert_eq!(hidden, "\n 7 | password=[redacted] x");
    }
}
