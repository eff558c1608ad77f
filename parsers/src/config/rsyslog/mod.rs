//! rsyslog.conf and its includes (rsyslog 8.2302: `grammar/lexer.l`, `grammar/grammar.y`).
//!
//! Three syntaxes in one file: selectors (`auth.*  /var/log/auth.log`), directives (`$ModLoad imtcp`) and
//! RainerScript (`module(…)`, `if … then …`). A fault of the grammar ends a file, as it does for the daemon.
//! What the daemon tells and goes on with (unknown facilities, properties and templates, blocks in BSD's
//! manner) is a problem too: `rsyslogd -N1` ends with 1 for any message. Whether modules, directives,
//! parameters, users and files exist is not judged. Included files are read where they are named.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::document::dropin::FILES_MAX;
use super::glob;
use super::problems::{Problems, note_unread};
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

mod checks;
mod cursor;
mod grammar;
mod source;
mod tokens;

/// Most statements of one file.
pub const STATEMENTS_MAX: usize = 100_000;

/// Deepest nesting of includes.
pub const INCLUDES_MAX: usize = 16;

/// Most bytes of one configuration, all files counted.
pub const BYTES_MAX: usize = 16 << 20;

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `$Name value`
    Directive,
    /// `name(parameter="value" …)`, such as module, input, action, template, ruleset, include
    Object,
    /// `facility.priority`, before what it is for
    PriorityFilter,
    /// `:property, operation, "value"`, before what it is for
    PropertyFilter,
    /// A file, `@host`, `:omusrmsg:…` and the like
    Action,
    /// `if … then … else …`
    If,
    /// `foreach (… in …) do …`
    Foreach,
    /// `set $.x = …;`
    Set,
    /// `reset $.x = …;`
    Reset,
    /// `unset $.x;`
    Unset,
    /// `call ruleset`
    Call,
    /// `call_indirect …;`
    CallIndirect,
    /// `reload_lookup_table(…)`
    ReloadLookupTable,
    /// `stop`
    Stop,
    /// `continue`
    Continue,
    /// `!program`
    BsdTag,
    /// `+host`, `-host`
    BsdHost,
}

/// Names with their values.
pub type Parameters = Vec<(String, Vec<Placed<String>>)>;

/// A statement with what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// What it is.
    pub kind: Kind,
    /// An object's name, a filter, a condition, an action or a directive, as written.
    pub text: String,
    /// Where it starts.
    pub place: Place,
    /// An object's parameters, their names in small letters; arrays have several values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Parameters,
    /// What it is for: the block or statement behind it, or what an include read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Vec<Statement>>,
    /// What stands behind `else`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Vec<Statement>>,
}

impl Statement {
    pub(super) fn new(kind: Kind, text: String, place: Place) -> Self {
        Self { kind, text, place, parameters: Vec::new(), block: None, otherwise: None }
    }

    /// The only or first value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name)?;
        found.1.first().map(|value| value.value.as_str())
    }

    /// A directive's name without its `$`, in small letters, and its value.
    pub fn directive(&self) -> Option<(String, &str)> {
        let text = self.text.strip_prefix('$').filter(|_| self.kind == Kind::Directive)?;
        let (name, value) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        Some((name.to_ascii_lowercase(), value.trim()))
    }
}

/// What a configuration says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rsyslog {
    /// Its statements, those of included files inside of the statement that includes them.
    pub statements: Vec<Statement>,
    /// Files that were read, in the order of reading.
    pub files: Vec<Arc<str>>,
    /// What the daemon refuses or complains about.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
    #[serde(skip)]
    bytes_read: usize,
}

impl Rsyslog {
    /// Reads a configuration with its includes.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let mut all = Self::default();
        all.statements = all.file(tree, Path::new(path), 0)?;
        let statements = std::mem::take(&mut all.statements);
        checks::statements(&statements, &mut all.problems);
        checks::references(&statements, &mut all.problems);
        all.statements = statements;
        Ok(all)
    }

    /// Reads one file alone; names of templates and rulesets are not looked up.
    ///
    /// ```
    /// use parsers::config::rsyslog::{Kind, Rsyslog};
    /// let read = Rsyslog::parse("/etc/rsyslog.conf", b"mail.* -/var/log/mail.log\n& stop\n");
    /// let filter = &read.statements[0];
    /// assert_eq!((filter.kind, filter.text.as_str()), (Kind::PriorityFilter, "mail.*"));
    /// assert_eq!(filter.block.as_ref().unwrap()[0].text, "-/var/log/mail.log");
    /// ```
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut all = Self::default();
        all.statements = all.text(&file.into(), bytes);
        checks::statements(&all.statements, &mut all.problems);
        all
    }

    fn text(&mut self, file: &Arc<str>, bytes: &[u8]) -> Vec<Statement> {
        self.files.push(Arc::clone(file));
        if bytes.len() > CONFIG_BYTES_MAX || bytes.contains(&0) {
            let message = "the file is too large or holds a NUL byte";
            self.problems.push(Place::whole(Arc::clone(file)), message);
            return Vec::new();
        }
        grammar::read(&source::Source::new(file, bytes), &mut self.problems)
    }

    fn file(
        &mut self,
        tree: &dyn Tree,
        path: &Path,
        depth: usize,
    ) -> Result<Vec<Statement>, LookError> {
        if self.files.len() == FILES_MAX {
            return Err(LookError::new(path, Why::TooMany(FILES_MAX)));
        }
        let bytes = tree.read(path, CONFIG_BYTES_MAX.min(BYTES_MAX - self.bytes_read))?;
        self.bytes_read += bytes.len();
        let mut statements = self.text(&path.to_string_lossy().into(), &bytes);
        self.includes(tree, &mut statements, depth);
        Ok(statements)
    }

    /// Reads what statements include. Depth is bounded by that of blocks and of includes.
    fn includes(&mut self, tree: &dyn Tree, statements: &mut [Statement], depth: usize) {
        for statement in statements {
            for inner in [&mut statement.block, &mut statement.otherwise] {
                self.includes(tree, inner.as_deref_mut().unwrap_or_default(), depth);
            }
            let is_object = statement.kind == Kind::Object && statement.text == "include";
            let (pattern, is_optional) = match statement.directive() {
                Some((name, value)) if name == "includeconfig" => (value.to_string(), false),
                _ if is_object => {
                    let mode = statement.parameter("mode");
                    let Some(file) = statement.parameter("file") else {
                        self.inline(statement);
                        continue;
                    };
                    (file.to_string(), mode == Some("optional"))
                }
                _ => continue,
            };
            if depth == INCLUDES_MAX {
                let message = "includes are nested too deeply";
                self.problems.push(statement.place.clone(), message);
                continue;
            }
            let mut block = Vec::new();
            for path in self.named(tree, &pattern) {
                match self.file(tree, &path, depth + 1) {
                    Ok(more) => block.extend(more),
                    Err(error) if error.not_found() && is_optional => {}
                    Err(error) if error.not_found() => {
                        let message = "the file that is included is not there";
                        self.problems.push(statement.place.clone(), message);
                    }
                    Err(error) => note_unread(&mut self.unread, error),
                }
            }
            statement.block = Some(block);
        }
    }

    /// `include(text="…")`
    fn inline(&mut self, statement: &mut Statement) {
        let message = match statement.parameter("text") {
            Some(_) => "include(text=…) is not read here",
            None => "include takes file or text",
        };
        self.problems.push(statement.place.clone(), message);
    }

    /// The files of a pattern; of a directory all files that are not hidden. The daemon's own directory
    /// is `/`.
    fn named(&mut self, tree: &dyn Tree, pattern: &str) -> Vec<PathBuf> {
        let path = Path::new("/").join(pattern);
        let stat = tree.stat(&path, crate::tree::Links::Follow);
        let is_directory = stat.is_ok_and(|stat| stat.kind == FileKind::Directory);
        if !is_directory && !pattern.contains(['*', '?', '[']) {
            return vec![path];
        }
        let (directory, name) = match is_directory {
            true => (path.as_path(), "*"),
            false => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("*");
                (path.parent().unwrap_or(Path::new("/")), name)
            }
        };
        if directory.to_string_lossy().contains(['*', '?', '[']) {
            let why = Why::Io("a pattern in the name of a directory is not followed".into());
            note_unread(&mut self.unread, LookError::new(&path, why));
            return Vec::new();
        }
        let entries = match tree.list(directory) {
            Ok(entries) => entries,
            Err(error) if error.not_found() => return Vec::new(),
            Err(error) => {
                note_unread(&mut self.unread, error);
                return Vec::new();
            }
        };
        let fits = |entry: &crate::tree::Entry| {
            let own = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_hidden = own.starts_with('.') && !name.starts_with('.');
            !is_hidden
                && entry.kind != FileKind::Directory
                && glob::matches(name.as_bytes(), own.as_bytes())
        };
        entries.into_iter().filter(fits).map(|entry| entry.path).collect()
    }

    /// Names of the templates that statements define, with the daemon's own left out.
    pub fn templates(&self) -> HashSet<String> {
        checks::templates(&self.statements)
    }
}

#[cfg(test)]
mod tests;
