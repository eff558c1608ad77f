//! Reading the file and everything it includes into lines that can be evaluated.
//!
//! Every file is read once, however often it is included; loops are cut by the evaluator's depth
//! limit, as sshd cuts them.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keywords::{Form, Keyword, find};
use super::matching::{Criterion, criteria};
use super::values::{Arguments, read};
use super::words::{delimited, glob_matches};
use super::{MatchPlace, Version};
use crate::config::lines::numbered;
use crate::place::{Place, Placed, Problem};
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

/// Most files that are read.
pub const FILES_MAX: usize = 2_000;
/// Most bytes of all files together.
pub const BYTES_MAX: usize = 4 * CONFIG_BYTES_MAX;
/// Most lines that say something, in all files together.
pub const LINES_MAX: usize = 100_000;
/// Most bytes of a line that are kept to be shown.
const TEXT_BYTES_MAX: usize = 4096;
/// Most remarks that are kept.
const NOTES_MAX: usize = 1_000;
/// Most directory entries that all patterns together may look at.
const GLOB_ENTRIES_MAX: usize = 50_000;
/// Where relative includes are looked for.
const SSH_DIRECTORY: &str = "/etc/ssh";

/// One line that says something.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub place: Place,
    pub text: Arc<str>,
    pub item: Item,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    Set {
        keyword: &'static Keyword,
        values: Vec<String>,
    },
    Match {
        criteria: Vec<Criterion>,
        block: Arc<MatchPlace>,
    },
    /// Files by their number, in the order in which they are read.
    Include(Vec<usize>),
}

/// What reading gave.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Paths and lines; number 0 is the main file.
    pub files: Vec<(Arc<str>, Vec<Line>)>,
    /// Settings of the command line.
    pub command_line: Vec<Line>,
    pub problems: Vec<Problem>,
    pub notes: Vec<Problem>,
    pub unread: Vec<LookError>,
}

pub(super) struct Loader<'a> {
    tree: &'a dyn Tree,
    version: Option<Version>,
    loaded: Loaded,
    numbers: HashMap<PathBuf, Option<usize>>,
    selected: HashMap<String, Vec<usize>>,
    waiting: Vec<(usize, Vec<u8>)>,
    bytes_left: usize,
    lines_left: usize,
    entries_left: usize,
}

impl<'a> Loader<'a> {
    pub fn new(tree: &'a dyn Tree, version: Option<Version>) -> Self {
        Self {
            tree,
            version,
            loaded: Loaded::default(),
            numbers: HashMap::new(),
            selected: HashMap::new(),
            waiting: Vec::new(),
            bytes_left: BYTES_MAX,
            lines_left: LINES_MAX,
            entries_left: GLOB_ENTRIES_MAX,
        }
    }

    /// Reads the main file and all it includes. An error only when the main file cannot be read.
    pub fn load(mut self, path: &str, command: &[Placed<String>]) -> Result<Loaded, LookError> {
        for given in command {
            if let Some(line) = self.line(&given.value, given.place.clone(), true) {
                self.loaded.command_line.push(line);
            }
        }
        let bytes = self.tree.read_config(path)?;
        self.enter(Path::new(path), bytes);
        while let Some((number, bytes)) = self.waiting.pop() {
            self.parse(number, &bytes);
        }
        Ok(self.loaded)
    }

    fn enter(&mut self, path: &Path, bytes: Vec<u8>) -> usize {
        let number = self.loaded.files.len();
        self.loaded.files.push((Arc::from(path.to_string_lossy()), Vec::new()));
        self.numbers.insert(path.to_path_buf(), Some(number));
        self.waiting.push((number, bytes));
        number
    }

    fn parse(&mut self, number: usize, bytes: &[u8]) {
        let file = Arc::clone(&self.loaded.files[number].0);
        let mut lines = Vec::new();
        // A NUL ends a line for sshd and joins the next one to it.
        let mut joined = String::new();
        let mut start: Option<Place> = None;
        for line in numbered(bytes) {
            let skipped =
                line.bytes.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
            let place = start.take().unwrap_or_else(|| line.place(&file, skipped));
            let body = &line.bytes[skipped..];
            if let Some(nul) = memchr::memchr(0, body) {
                joined.push_str(&String::from_utf8_lossy(&body[..nul]));
                self.note(&place, "a NUL byte: sshd joins this line with the next");
                start = Some(place);
                continue;
            }
            joined.push_str(&String::from_utf8_lossy(body));
            let text = std::mem::take(&mut joined);
            if !self.push(&mut lines, &text, place) {
                break;
            }
        }
        if let Some(place) = start {
            self.push(&mut lines, &joined, place);
        }
        self.loaded.files[number].1 = lines;
    }

    /// Adds a line; `false` when there are too many.
    fn push(&mut self, lines: &mut Vec<Line>, text: &str, place: Place) -> bool {
        if text.is_empty() || text.starts_with('#') {
            return true;
        }
        if self.lines_left == 0 {
            let why = Why::TooMany(LINES_MAX);
            self.loaded.unread.push(LookError::new(Path::new(&*place.file), why));
            return false;
        }
        self.lines_left -= 1;
        lines.extend(self.line(text, place, false));
        true
    }

    fn note(&mut self, place: &Place, message: &str) {
        let message = match self.loaded.notes.len() {
            count if count + 1 < NOTES_MAX => message.to_string(),
            NOTES_MAX.. => return,
            _ => format!("more than {NOTES_MAX} remarks; the rest is not kept"),
        };
        self.loaded.notes.push(Problem { place: place.clone(), message });
    }

    fn wrong(&mut self, place: &Place, message: impl Into<String>) {
        self.loaded.problems.push(Problem { place: place.clone(), message: message.into() });
    }

    fn line(&mut self, text: &str, place: Place, command_line: bool) -> Option<Line> {
        let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']);
        let mut rest = Some(text);
        let mut name = delimited(&mut rest)?;
        if name.is_empty() {
            name = delimited(&mut rest)?;
        }
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let Some(raw) = rest.filter(|raw| !raw.is_empty()) else {
            self.wrong(&place, "no argument after the keyword");
            return None;
        };
        let arguments = Arguments::split(raw);
        let keyword = find(&name).filter(|k| self.version.is_none_or(|known| k.since <= known));
        let Some(keyword) = keyword else {
            self.wrong(&place, unknown(&name));
            return None;
        };
        let shown: Arc<str> = shortened(text).into();
        if command_line && matches!(keyword.form, Form::Include | Form::Match) {
            self.wrong(&place, "not possible on the command line");
            return None;
        }
        let item = match arguments.and_then(|given| self.item(keyword, given, raw, &place, &shown))
        {
            Ok(item) => item,
            Err(message) => {
                self.wrong(&place, format!("{}: {message}", keyword.name));
                return None;
            }
        };
        Some(Line { place, text: shown, item })
    }

    fn item(
        &mut self,
        keyword: &'static Keyword,
        given: Arguments<'_>,
        raw: &str,
        place: &Place,
        shown: &Arc<str>,
    ) -> Result<Item, &'static str> {
        match keyword.form {
            Form::Include => self.include(given),
            Form::Match => {
                let criteria = criteria(raw)?;
                let block = MatchPlace {
                    place: place.clone(),
                    text: shown.to_string(),
                    everybody: criteria == [Criterion::All],
                };
                Ok(Item::Match { criteria, block: Arc::new(block) })
            }
            _ => {
                let values = read(keyword, given, self.version)?;
                if keyword.form == Form::Ignored && keyword.name != "protocol" {
                    self.note(place, "deprecated or unsupported: sshd ignores it");
                }
                Ok(Item::Set { keyword, values })
            }
        }
    }

    fn include(&mut self, given: Arguments<'_>) -> Result<Item, &'static str> {
        let selectors = given.selectors()?;
        let mut files = Vec::new();
        for selector in selectors {
            let selector = match selector.as_bytes()[0] {
                b'/' | b'~' => selector,
                _ => format!("{SSH_DIRECTORY}/{selector}"),
            };
            if let Some(known) = self.selected.get(&selector) {
                files.extend(known);
                continue;
            }
            let mut found = Vec::new();
            for path in self.glob(&selector) {
                found.extend(self.open(&path));
            }
            files.extend(&found);
            self.selected.insert(selector, found);
        }
        Ok(Item::Include(files))
    }

    /// The number of an included file; `None` where it cannot be read, which is said in `unread`.
    fn open(&mut self, path: &Path) -> Option<usize> {
        if let Some(known) = self.numbers.get(path) {
            return *known;
        }
        let read = if self.loaded.files.len() >= FILES_MAX {
            Err(LookError::new(path, Why::TooMany(FILES_MAX)))
        } else if self.bytes_left == 0 {
            Err(LookError::new(path, Why::TooLarge(BYTES_MAX)))
        } else {
            self.tree.read(path, self.bytes_left.min(CONFIG_BYTES_MAX))
        };
        match read {
            Ok(bytes) => {
                self.bytes_left -= bytes.len().min(self.bytes_left);
                Some(self.enter(path, bytes))
            }
            // sshd opens a directory as if it were an empty file.
            Err(error) if error.why == Why::NotRegular(FileKind::Directory) => {
                let whole = Place::whole(path.to_string_lossy());
                self.note(&whole, "a directory where sshd expects a file: nothing is read from it");
                Some(self.enter(path, Vec::new()))
            }
            Err(error) => {
                self.loaded.unread.push(error);
                self.numbers.insert(path.to_path_buf(), None);
                None
            }
        }
    }

    /// The files that a pattern names, sorted as the C library sorts them in the C locale.
    fn glob(&mut self, pattern: &str) -> Vec<PathBuf> {
        if pattern.starts_with('~') {
            let error = LookError::new(
                Path::new(pattern),
                Why::Io("home directories are not resolved".into()),
            );
            self.loaded.unread.push(error);
            return Vec::new();
        }
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            if part.contains(['*', '?', '[', '\\']) {
                found = self.expand(&found, part);
            } else {
                found.iter_mut().for_each(|path| path.push(part));
            }
        }
        found.retain(|path| match self.tree.stat(path, crate::tree::Links::Follow) {
            Err(error) if error.not_found() => {
                // A dangling link is an error for sshd, a missing name is not.
                self.tree.stat(path, crate::tree::Links::Keep).is_ok()
            }
            _ => true,
        });
        found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        found
    }

    fn expand(&mut self, parents: &[PathBuf], part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let pattern = NamePattern::new(part);
        for parent in parents {
            let entries = match self.tree.list(parent) {
                Ok(entries) => entries,
                Err(error) => {
                    if !error.not_found() && error.why != Why::NotDirectory {
                        self.loaded.unread.push(error);
                    }
                    continue;
                }
            };
            for entry in entries {
                if self.entries_left == 0 {
                    self.loaded.unread.push(LookError::new(parent, Why::TooMany(GLOB_ENTRIES_MAX)));
                    return found;
                }
                self.entries_left -= 1;
                let name = entry.path.file_name().unwrap_or_default().as_bytes();
                let hidden = name.starts_with(b".") && !part.starts_with('.');
                if !hidden && pattern.matches(name) {
                    found.push(parent.join(std::ffi::OsStr::from_bytes(name)));
                }
            }
        }
        found
    }
}

impl Arguments<'_> {
    fn selectors(self) -> Result<Vec<String>, &'static str> {
        let words = self.into_words();
        if words.is_empty() {
            return Err("missing file name");
        }
        if words.iter().any(String::is_empty) { Err("empty argument") } else { Ok(words) }
    }
}

/// One part of a glob(7) pattern.
enum NamePattern<'a> {
    Plain(&'a [u8]),
    /// Brackets and escapes, as a regular expression; `None` matches nothing.
    Expression(Option<regex::bytes::Regex>),
}

impl<'a> NamePattern<'a> {
    fn new(pattern: &'a str) -> Self {
        if !pattern.contains(['[', '\\']) {
            return Self::Plain(pattern.as_bytes());
        }
        Self::Expression(regex::bytes::Regex::new(&expression(pattern)).ok())
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Plain(pattern) => glob_matches(name, pattern),
            Self::Expression(matcher) => matcher.as_ref().is_some_and(|m| m.is_match(name)),
        }
    }
}

fn expression(pattern: &str) -> String {
    let literal = |c: char| regex::escape(c.encode_utf8(&mut [0; 4]));
    let mut expression = String::from("(?s-u)^");
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '\\' => expression.push_str(&literal(characters.next().unwrap_or('\\'))),
            '[' if characters.clone().skip(1).any(|c| c == ']') => {
                expression.push('[');
                if characters.next_if(|c| matches!(c, '!' | '^')).is_some() {
                    expression.push('^');
                }
                let mut first = true;
                for inner in characters.by_ref() {
                    match inner {
                        ']' if !first => break,
                        '-' => expression.push('-'),
                        other => expression.push_str(&literal(other)),
                    }
                    first = false;
                }
                expression.push(']');
            }
            other => expression.push_str(&literal(other)),
        }
    }
    expression + "$"
}

/// Names an unknown keyword only when it looks like one: anything else may be a secret.
fn unknown(name: &str) -> String {
    const NAME_BYTES_MAX: usize = 40;
    if name.len() <= NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_alphabetic()) {
        format!("unknown keyword {name}")
    } else {
        "unknown keyword".into()
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
