//! PostgreSQL: postgresql.conf with its includes and `postgresql.auto.conf`, and the rules of
//! pg_hba.conf and pg_ident.conf ([`hba`], [`ident`]); PostgreSQL 15, includes of rules as in 16.
//!
//! The last value of a parameter holds, and what ALTER SYSTEM wrote beside the data comes before all
//! else. Names ignore case; values keep their units. One line with a syntax error makes the server
//! refuse the whole configuration, so `problems` is not empty then. Whether a parameter or its value
//! exists is not judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lines::{Line, numbered};
use super::problems::note_unread;
use super::settings::{Rule, Settings};
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

mod address;
mod fields;
pub mod hba;
pub mod ident;
mod lexer;
#[cfg(test)]
mod tests;

pub use address::{Address, numeric};
pub use fields::{TOKEN_BYTES_MAX, Word};

use lexer::Token;

/// Deepest nesting of includes, as in the server.
pub const DEPTH_MAX: usize = 10;

/// Most files of one configuration.
pub const FILES_MAX: usize = 1_000;

/// Most bytes of one configuration, included files counted.
pub const BYTES_MAX: usize = 16 << 20;

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Syntax errors of one file after which the server gives it up.
pub const ERRORS_MAX: usize = 100;

/// What ALTER SYSTEM writes, in the data directory.
pub const AUTO_CONF: &str = "postgresql.auto.conf";

/// Reads a postgresql.conf with its includes, then `postgresql.auto.conf` of its data directory.
///
/// # Errors
/// When the file itself cannot be read.
///
/// ```
/// use parsers::config::postgres::read;
/// use parsers::tree::MemoryTree;
/// let tree = MemoryTree::new()
///     .file("/d/postgresql.conf", "SSL = off\nlisten_addresses = '*' # all\nssl on\n")
///     .file("/d/postgresql.auto.conf", "listen_addresses = 'localhost'\n");
/// let settings = read(&tree, "/d/postgresql.conf").unwrap();
/// assert_eq!(settings.value("ssl"), Some("on"));
/// assert_eq!(settings.value("listen_addresses"), Some("localhost"));
/// ```
pub fn read(tree: &dyn Tree, path: &str) -> Result<Settings, LookError> {
    let path = Path::new(path);
    let bytes = tree.read(path, CONFIG_BYTES_MAX)?;
    let mut reader = Reader { tree, settings: Settings::default(), bytes_left: BYTES_MAX };
    reader.bytes_left -= bytes.len();
    reader.text(path, &bytes, 0, Rule::LastWins);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let data = reader.settings.value("data_directory").map(PathBuf::from);
    let auto = data.map_or(directory.to_path_buf(), |data| directory.join(data)).join(AUTO_CONF);
    if let Some(bytes) = reader.optional(&auto) {
        reader.text(&auto, &bytes, 0, Rule::SourceFirst);
    }
    Ok(reader.settings)
}

/// Reads the text of one file alone; includes are listed as `unread`.
pub fn parse(file: &str, bytes: &[u8]) -> Settings {
    let nothing = crate::tree::MemoryTree::new();
    let mut reader =
        Reader { tree: &nothing, settings: Settings::default(), bytes_left: BYTES_MAX };
    reader.text(Path::new(file), bytes, 0, Rule::LastWins);
    reader.settings
}

struct Reader<'a> {
    tree: &'a dyn Tree,
    settings: Settings,
    bytes_left: usize,
}

impl Reader<'_> {
    /// A file that need not be there.
    fn optional(&mut self, path: &Path) -> Option<Vec<u8>> {
        match self.bytes(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                if !error.not_found() {
                    note_unread(&mut self.settings.unread, error);
                }
                None
            }
        }
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, LookError> {
        if self.settings.files.len() == FILES_MAX {
            return Err(LookError::new(path, Why::TooMany(FILES_MAX)));
        }
        let bytes = self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left))?;
        self.bytes_left -= bytes.len();
        Ok(bytes)
    }

    fn text(&mut self, path: &Path, bytes: &[u8], depth: usize, rule: Rule) {
        let file: Arc<str> = path.to_string_lossy().into();
        self.settings.files.push(Arc::clone(&file));
        let mut errors = 0;
        for line in numbered(bytes) {
            let Err((index, message)) = self.line(&file, path, &line, depth, rule) else {
                continue;
            };
            self.settings.problems.push(line.place(&file, index), message);
            errors += 1;
            if errors == ERRORS_MAX {
                let message = "too many syntax errors; the rest of the file is not read";
                return self.settings.problems.push(line.place(&file, index), message);
            }
        }
    }

    /// One line; an error is a syntax error and where.
    fn line(
        &mut self,
        file: &Arc<str>,
        path: &Path,
        line: &Line<'_>,
        depth: usize,
        rule: Rule,
    ) -> Result<(), (usize, &'static str)> {
        if line.bytes.len() > LINE_BYTES_MAX {
            return Err((0, "the line is too long"));
        }
        let mut at = 0;
        let Some((start, end)) = lexer::next(line.bytes, &mut at) else { return Ok(()) };
        if let Some(index) = memchr::memchr(0, line.bytes) {
            return Err((index, "the line holds a NUL byte"));
        }
        let (Token::Id(name) | Token::QualifiedId(name)) = lexer::token(&line.bytes[start..end])
        else {
            return Err((start, "a parameter's name is expected"));
        };
        let mut value = lexer::next(line.bytes, &mut at);
        if value.is_some_and(|(start, _)| line.bytes[start] == b'=') {
            value = lexer::next(line.bytes, &mut at);
        }
        let missing = (line.bytes.len(), "a value is expected");
        let (from, _) = value.ok_or(missing)?;
        let text = match lexer::token(&line.bytes[from..]) {
            Token::Quoted(text) => lexer::unquote(text),
            Token::Id(text) | Token::Plain(text) => text.to_vec(),
            Token::QualifiedId(_) => return Err((from, "a value with a dot needs quotes")),
            Token::Equals | Token::Bad => return Err((from, "this value needs quotes")),
        };
        if let Some((more, _)) = lexer::next(line.bytes, &mut at) {
            return Err((more, "more than one value"));
        }
        let key = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = String::from_utf8_lossy(&text).into_owned();
        let value = Placed { value, place: line.place(file, start), text: line.shown() };
        match key.as_str() {
            "include" | "include_if_exists" | "include_dir" => {
                self.include(&key, value, path, depth, rule)
            }
            _ => self.assign(&key, value, rule),
        }
        Ok(())
    }

    fn assign(&mut self, key: &str, value: Placed<String>, rule: Rule) {
        if !self.settings.has_room(&value) {
            return;
        }
        // Two lines of auto.conf override each other as any two lines do.
        let from_auto = |old: &Placed<String>| old.place.file == value.place.file;
        let setting = self.settings.entry(key);
        let rule = if setting.values.iter().all(from_auto) { Rule::LastWins } else { rule };
        setting.replace(value, rule);
    }

    fn include(&mut self, how: &str, to: Placed<String>, from: &Path, depth: usize, rule: Rule) {
        let Placed { value, place, .. } = to;
        if value.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
            return self.settings.problems.push(place, "an include without a name");
        }
        if depth == DEPTH_MAX {
            return self.settings.problems.push(place, "includes are nested too deep");
        }
        let target = from.parent().unwrap_or(Path::new("/")).join(&value);
        if how == "include_dir" {
            return match conf_files(self.tree, &target) {
                Ok(files) => {
                    for file in files {
                        if self.settings.files.len() == FILES_MAX {
                            let why = Why::TooMany(FILES_MAX);
                            return note_unread(
                                &mut self.settings.unread,
                                LookError::new(&target, why),
                            );
                        }
                        self.file(&file, &place, depth, rule, true);
                    }
                }
                Err(error) => self.missing(error, place, true),
            };
        }
        if target == from {
            return self.settings.problems.push(place, "the file includes itself");
        }
        self.file(&target, &place, depth, rule, how == "include");
    }

    fn file(&mut self, path: &Path, place: &Place, depth: usize, rule: Rule, is_strict: bool) {
        match self.bytes(path) {
            Ok(bytes) => self.text(path, &bytes, depth + 1, rule),
            Err(error) => self.missing(error, place.clone(), is_strict),
        }
    }

    fn missing(&mut self, error: LookError, place: Place, is_strict: bool) {
        match error.not_found() {
            true if is_strict => {
                self.settings.problems.push(place, "the included file is not there")
            }
            true => {}
            false => note_unread(&mut self.settings.unread, error),
        }
    }
}

/// Files of an `include_dir`: `*.conf` without a dot in front, by name.
fn conf_files(tree: &dyn Tree, directory: &Path) -> Result<Vec<PathBuf>, LookError> {
    let entries = tree.list(directory)?;
    let is_taken = |path: &Path| {
        let name = path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
        name.len() >= 6 && name.ends_with(b".conf") && name[0] != b'.'
    };
    let is_directory = |path: &Path, kind: FileKind| match kind {
        FileKind::Link => {
            let stat = tree.stat(path, crate::tree::Links::Follow);
            stat.is_ok_and(|stat| stat.kind == FileKind::Directory)
        }
        kind => kind == FileKind::Directory,
    };
    Ok(entries
        .into_iter()
        .filter(|entry| is_taken(&entry.path) && !is_directory(&entry.path, entry.kind))
        .map(|entry| entry.path)
        .collect())
}
