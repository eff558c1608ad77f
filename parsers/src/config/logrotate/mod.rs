//! logrotate.conf with its includes (logrotate 3.21): global options, blocks, scripts.
//!
//! A block starts from the globals that stand before it, included files counted; globals of an included
//! file stay in force after it. The last of options that exclude each other holds: `daily` and `size`
//! are both the `criterion`, `nocreate` is `create` with the value `no`. A fault inside a block drops
//! the block, outside of one the rest of its file, as the program does it. Files of a directory are left
//! out by their names (`tabooext`) and where others than root may write them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::glob;
use super::lines::numbered;
use super::problems::{Problems, note_unread};
use super::settings::Settings;
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, FileKind, Links, LookError, MemoryTree, Tree, Why};

mod cursor;
mod options;
#[cfg(test)]
mod tests;

use cursor::Cursor;
use options::{Refusal, VALUED, meaning};

/// Deepest nesting of includes, as in the program.
pub const DEPTH_MAX: usize = 16;

/// Most files of one configuration.
pub const FILES_MAX: usize = 2_000;

/// Most bytes of one configuration, included files counted.
pub const BYTES_MAX: usize = 16 << 20;

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Most blocks of one configuration.
pub const BLOCKS_MAX: usize = 10_000;

/// Most bytes of one script.
pub const SCRIPT_BYTES_MAX: usize = 64 << 10;

/// The logs of one block and what holds for them.
#[derive(Clone, Debug)]
pub struct Block {
    /// Paths and patterns, without quotes.
    pub logs: Vec<Placed<String>>,
    /// What holds, globals included; scripts under their names.
    pub settings: Settings,
}

/// One configuration.
#[derive(Clone, Debug, Default)]
pub struct Logrotate {
    /// What holds outside of blocks in the end.
    pub globals: Settings,
    /// In the order of reading.
    pub blocks: Vec<Block>,
    /// Files in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Files of included directories that are left out, by name or by mode.
    pub ignored: Vec<Arc<str>>,
    /// What the program complains of.
    pub problems: Problems,
    /// What could not be read.
    pub unread: Vec<LookError>,
}

impl Logrotate {
    /// Reads a configuration with what it includes.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    ///
    /// ```
    /// use parsers::config::logrotate::Logrotate;
    /// let read = Logrotate::parse("/etc/x", b"weekly\n/var/log/a {\n  size 10k\n  nocreate\n}\n");
    /// assert_eq!(read.blocks[0].settings.value("criterion"), Some("size 10k"));
    /// assert_eq!(read.blocks[0].settings.value("create"), Some("no"));
    /// ```
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let mut reader = Reader::new(tree);
        let bytes = reader.bytes(Path::new(path))?;
        reader.text(Path::new(path), &bytes, 0);
        Ok(reader.finish())
    }

    /// Reads the text of one file alone.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let nothing = MemoryTree::new();
        let mut reader = Reader::new(&nothing);
        reader.text(Path::new(file), bytes, 0);
        reader.finish()
    }

    /// `{"globals":{…},"blocks":[{"logs":[…],"file","line","settings":{…}}],"files":[…],"ignored":[…]}`.
    pub fn to_json(&self) -> Value {
        let block = |block: &Block| {
            let logs: Vec<&str> = block.logs.iter().map(|log| log.value.as_str()).collect();
            let place = block.logs.first().map(|log| &log.place);
            json!({
                "logs": logs,
                "file": place.map(|place| &*place.file),
                "line": place.map(|place| place.line),
                "settings": block.settings.to_json()["settings"],
            })
        };
        json!({
            "globals": self.globals.to_json()["settings"],
            "blocks": self.blocks.iter().map(block).collect::<Vec<_>>(),
            "files": self.files,
            "ignored": self.ignored,
        })
    }
}

/// Names of files that are left out of directories (logrotate(8), `tabooext`).
const TABOO: [&str; 18] = [
    "*,v",
    "*.bak",
    "*.cfsaved",
    "*.disabled",
    "*.dpkg-bak",
    "*.dpkg-del",
    "*.dpkg-dist",
    "*.dpkg-new",
    "*.dpkg-old",
    "*.dpkg-tmp",
    "*.rhn-cfg-tmp-*",
    "*.rpmnew",
    "*.rpmorig",
    "*.rpmsave",
    "*.swp",
    "*.ucf-dist",
    "*.ucf-new",
    "*.ucf-old",
];

/// Most patterns of names that are left out.
const TABOO_MAX: usize = 2_000;

/// Scripts, which end with `endscript`.
const SCRIPTS: [&str; 5] = ["firstaction", "lastaction", "postrotate", "preremove", "prerotate"];

/// What ends a block or the reading of a file.
struct Fault;

struct Reader<'a> {
    tree: &'a dyn Tree,
    all: Logrotate,
    taboo: Vec<String>,
    bytes_left: usize,
}

/// Where the reading of one file stands.
enum State {
    Outside,
    /// Names of logs were read, their `{` was not.
    Names(Block),
    Inside(Block),
    /// In a script of the block or of the globals.
    Script(Option<Block>, &'static str, Placed<String>),
    /// A block with a fault, up to its `}`; `true` inside of a script.
    Skip(bool),
}

impl<'a> Reader<'a> {
    fn new(tree: &'a dyn Tree) -> Self {
        let mut taboo: Vec<String> = TABOO.map(str::to_string).to_vec();
        taboo.push("*~".into());
        Self { tree, all: Logrotate::default(), taboo, bytes_left: BYTES_MAX }
    }

    /// What was read, with the problems of all settings in one list.
    fn finish(mut self) -> Logrotate {
        let blocks = self.all.blocks.iter_mut().map(|block| &mut block.settings);
        for settings in std::iter::once(&mut self.all.globals).chain(blocks) {
            let Problems { kept, more } = std::mem::take(&mut settings.problems);
            kept.into_iter().for_each(|one| self.all.problems.push(one.place, one.message));
            self.all.problems.more += more;
        }
        self.all
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, LookError> {
        if self.all.files.len() == FILES_MAX {
            return Err(LookError::new(path, Why::TooMany(FILES_MAX)));
        }
        let bytes = self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left))?;
        self.bytes_left -= bytes.len();
        Ok(bytes)
    }

    /// Reads a file; whether the program would find it without errors.
    fn text(&mut self, path: &Path, bytes: &[u8], depth: usize) -> bool {
        let file: Arc<str> = path.to_string_lossy().into();
        self.all.files.push(Arc::clone(&file));
        let mut state = State::Outside;
        let (mut last, mut is_fine) = (1, true);
        for line in numbered(bytes) {
            last = line.number;
            let refused = match () {
                () if line.bytes.len() > LINE_BYTES_MAX => Some("the line is too long"),
                () if line.bytes.contains(&0) => Some("the line holds a NUL byte"),
                () => None,
            };
            if let Some(message) = refused {
                self.all.problems.push(line.place(&file, 0), message);
                continue;
            }
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            let mut cursor =
                Cursor { text: &text, at: 0, line: &line, file: &file, from: path, depth, is_fine };
            state = match self.line(state, &mut cursor) {
                Ok(state) => state,
                Err(Fault) => return false,
            };
            is_fine = cursor.is_fine;
        }
        match state {
            State::Outside => {}
            State::Inside(block) => self.keep(block, Place::new(&file, last, 0)),
            State::Script(..) => {
                self.all.problems.at(&file, last, 0, "the file ends inside of a script");
            }
            State::Skip(_) => is_fine = false,
            State::Names(_) => {
                self.all.problems.at(&file, last, 0, "the file ends before a block's `{`");
                return false;
            }
        }
        is_fine
    }

    /// One line, taken in from left to right as far as each state wants.
    fn line(&mut self, mut state: State, cursor: &mut Cursor<'_>) -> Result<State, Fault> {
        if let State::Script(block, name, script) = state {
            return Ok(self.script(block, name, script, cursor.text));
        }
        loop {
            cursor.skip_blanks();
            let Some(first) = cursor.rest().chars().next() else { return Ok(state) };
            state = match state {
                State::Script(..) => return Ok(state),
                State::Skip(_) => return Ok(skip(state, cursor)),
                State::Names(block) => self.names(block, cursor)?,
                _ if first == '#' => return Ok(state),
                State::Inside(block) if first == '}' => {
                    self.keep(block, cursor.place());
                    cursor.at += 1;
                    cursor.skip_blanks();
                    if !cursor.rest().is_empty() {
                        self.all.problems.push(cursor.place(), "text after the `}`");
                    }
                    return Ok(State::Outside);
                }
                State::Outside if first == '}' => {
                    self.all
                        .problems
                        .push(cursor.place(), "a `}` without a block; the file is given up");
                    return Err(Fault);
                }
                State::Outside if matches!(first, '/' | '"' | '\'' | '~') => {
                    let mut settings = Settings::default();
                    for (key, setting) in &self.all.globals.by_key {
                        settings.entry(key).values.clone_from(&setting.values);
                    }
                    self.names(Block { logs: Vec::new(), settings }, cursor)?
                }
                State::Inside(_) if matches!(first, '/' | '"' | '\'' | '~') => {
                    self.fault(cursor, true, "a log's name inside of a block")?
                }
                State::Outside | State::Inside(_) if !first.is_ascii_alphabetic() => {
                    let is_inside = matches!(state, State::Inside(_));
                    self.fault(cursor, is_inside, "neither an option nor a log's name")?
                }
                State::Outside => self.option(None, cursor)?,
                State::Inside(block) => self.option(Some(block), cursor)?,
            };
        }
    }

    /// A fault: inside of a block the block is dropped, else the rest of the file.
    fn fault(
        &mut self,
        cursor: &mut Cursor<'_>,
        is_inside: bool,
        message: &str,
    ) -> Result<State, Fault> {
        cursor.is_fine = false;
        let what = if is_inside { "the block is dropped" } else { "the file is given up" };
        self.all.problems.push(cursor.place(), format!("{message}; {what}"));
        cursor.at += 1;
        if is_inside { Ok(State::Skip(false)) } else { Err(Fault) }
    }

    fn keep(&mut self, block: Block, place: Place) {
        if self.all.blocks.len() == BLOCKS_MAX {
            return self.all.problems.push(place, "more blocks than the limit");
        }
        self.all.blocks.push(block);
    }

    /// Names of logs, up to the `{`.
    fn names(&mut self, mut block: Block, cursor: &mut Cursor<'_>) -> Result<State, Fault> {
        loop {
            cursor.skip_blanks();
            match cursor.rest().chars().next() {
                None => return Ok(State::Names(block)),
                Some('{') if block.logs.is_empty() => {
                    return self.fault(cursor, false, "a block without a log");
                }
                Some('{') => {
                    cursor.at += 1;
                    return Ok(State::Inside(block));
                }
                Some('}') => return self.fault(cursor, false, "a `}` without its `{`"),
                Some('#') => {
                    cursor.at = cursor.text.len();
                    return Ok(State::Names(block));
                }
                Some(_) => {
                    let Some((value, length)) = name(cursor.rest()) else {
                        return self.fault(cursor, false, "a quote is not closed");
                    };
                    let (place, text) = (cursor.place(), cursor.line.shown());
                    block.logs.push(Placed { value, place, text });
                    cursor.at += length;
                }
            }
        }
    }

    fn script(
        &mut self,
        block: Option<Block>,
        name: &'static str,
        mut script: Placed<String>,
        text: &str,
    ) -> State {
        if word(text.trim_start_matches([' ', '\t'])) != "endscript" {
            let length = script.value.len() + text.len();
            if length <= SCRIPT_BYTES_MAX {
                script.value.push_str(text);
                script.value.push('\n');
            } else if !script.text.is_empty() {
                // The line's text serves as the mark that nothing was said yet.
                self.all.problems.push(script.place.clone(), "the script is too long and is cut");
                script.text.clear();
            }
            return State::Script(block, name, script);
        }
        match block {
            Some(mut block) => {
                block.settings.set(name, script);
                State::Inside(block)
            }
            None => {
                self.all.globals.set(name, script);
                State::Outside
            }
        }
    }

    fn option(&mut self, block: Option<Block>, cursor: &mut Cursor<'_>) -> Result<State, Fault> {
        let is_inside = block.is_some();
        let back = |block: Option<Block>| block.map_or(State::Outside, State::Inside);
        let place = cursor.place();
        let name = word(cursor.rest());
        let after = cursor.rest()[name.len()..].chars().next();
        if after.is_some_and(|c| !c.is_ascii_whitespace() && c != '=') {
            return self.fault(cursor, is_inside, "no blank after the option");
        }
        cursor.at += name.len();
        let text = cursor.line.shown();
        let placed = |value: String| Placed { value, place: place.clone(), text };
        if let Some(script) = SCRIPTS.into_iter().find(|script| *script == name) {
            let first = cursor.take_line();
            let first = if first.is_empty() { String::new() } else { first + "\n" };
            return Ok(State::Script(block, script, placed(first)));
        }
        let takes_line = VALUED.contains(&name) || matches!(name, "weekly" | "errors");
        let rest = if takes_line { cursor.take_line() } else { String::new() };
        match name {
            "include" if is_inside => {
                let why = Why::Io("an include inside of a block is not followed".into());
                note_unread(&mut self.all.unread, LookError::new(Path::new(&rest), why));
                return Ok(back(block));
            }
            "include" => {
                cursor.is_fine &= self.include(&rest, &place, cursor.from, cursor.depth);
                return Ok(State::Outside);
            }
            "tabooext" | "taboopat" if is_inside => {
                return self.fault(cursor, true, "not allowed inside of a block");
            }
            "tabooext" | "taboopat" => {
                self.taboo(name, &rest, place);
                return Ok(State::Outside);
            }
            _ => {}
        }
        let (key, value) = match meaning(name, &rest) {
            Ok(meaning) => meaning,
            Err(Refusal::Fatal(message)) => return self.fault(cursor, false, message),
            Err(Refusal::Bad(message)) => return self.fault(cursor, is_inside, message),
            Err(Refusal::Ignored(message)) => {
                self.all.problems.push(place, message);
                cursor.at = cursor.text.len();
                return Ok(back(block));
            }
        };
        match block {
            Some(mut block) => {
                block.settings.set(key, placed(value));
                Ok(State::Inside(block))
            }
            None => {
                self.all.globals.set(key, placed(value));
                Ok(State::Outside)
            }
        }
    }

    fn taboo(&mut self, kind: &str, list: &str, place: Place) {
        let (adds, list) = match list.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, list),
        };
        if !adds {
            self.taboo.clear();
        }
        let words = list.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        let star = if kind == "tabooext" { "*" } else { "" };
        for word in words {
            if self.taboo.len() == TABOO_MAX {
                return self.all.problems.push(place, "more names to leave out than the limit");
            }
            self.taboo.push(format!("{star}{word}"));
        }
    }

    /// Whether everything that is included is without errors.
    fn include(&mut self, name: &str, place: &Place, from: &Path, depth: usize) -> bool {
        let message = match () {
            () if name.is_empty() => Some("an include without a name"),
            () if depth == DEPTH_MAX => Some("includes are nested too deep"),
            () => None,
        };
        if let Some(message) = message {
            self.all.problems.push(place.clone(), message);
            return false;
        }
        let path = from.parent().unwrap_or(Path::new("/")).join(name);
        let entries = match self.tree.stat(&path, Links::Follow) {
            Ok(stat) if stat.kind != FileKind::Directory => return self.file(&path, depth),
            Ok(_) => self.tree.list(&path),
            Err(error) => Err(error),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.all
                    .problems
                    .push(place.clone(), "the included file or directory cannot be read");
                if !error.not_found() {
                    note_unread(&mut self.all.unread, error);
                }
                return false;
            }
        };
        let mut is_fine = true;
        for entry in entries {
            if !self.is_taken(&entry.path) {
                continue;
            }
            if self.all.files.len() == FILES_MAX {
                note_unread(&mut self.all.unread, LookError::new(&path, Why::TooMany(FILES_MAX)));
                return false;
            }
            is_fine &= self.file(&entry.path, depth);
        }
        is_fine
    }

    /// Whether a file of a directory is read, by its name.
    fn is_taken(&mut self, path: &Path) -> bool {
        let name = path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
        let is_taboo = self.taboo.iter().any(|taboo| glob::matches(taboo.as_bytes(), name));
        if is_taboo && self.all.ignored.len() < FILES_MAX {
            self.all.ignored.push(path.to_string_lossy().into());
        }
        !is_taboo
    }

    /// An included file. One with errors leaves the globals as they were.
    fn file(&mut self, path: &Path, depth: usize) -> bool {
        let stat = match self.tree.stat(path, Links::Follow) {
            Ok(stat) if stat.kind == FileKind::Directory => return true,
            Ok(stat) => stat,
            Err(error) => {
                note_unread(&mut self.all.unread, error);
                return false;
            }
        };
        if stat.kind == FileKind::Regular && (stat.mode & 0o022 != 0 || stat.uid != 0) {
            let place = Place::whole(path.to_string_lossy().as_ref());
            let message = "others than root may write this file, so it is ignored";
            self.all.problems.push(place, message);
            self.all.ignored.push(path.to_string_lossy().into());
            return true;
        }
        let bytes = match self.bytes(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                note_unread(&mut self.all.unread, error);
                return false;
            }
        };
        let before = self.all.globals.clone();
        let is_fine = self.text(path, &bytes, depth + 1);
        if !is_fine {
            self.all.globals = before;
        }
        is_fine
    }
}

/// Passes over a block with a fault: up to its `}`, scripts left out.
fn skip(state: State, cursor: &mut Cursor<'_>) -> State {
    if matches!(state, State::Skip(true)) {
        return State::Skip(word(cursor.rest()) != "endscript");
    }
    while let Some(first) = cursor.rest().chars().next() {
        if first == '}' {
            cursor.at = cursor.text.len();
            return State::Outside;
        }
        if first.is_ascii_alphabetic() {
            return State::Skip(SCRIPTS.contains(&word(cursor.rest())));
        }
        cursor.at += first.len_utf8();
    }
    State::Skip(false)
}

/// The letters at the start of a line.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    &text[..end]
}

/// One name of a log as a shell would cut it, and its length as written.
fn name(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\r' | '{' | '}') => return Some((out, index)),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (_, '\\') => out.push(chars.next()?.1),
            (_, c) => out.push(c),
        }
    }
    quote.is_none().then_some((out, text.len()))
}
