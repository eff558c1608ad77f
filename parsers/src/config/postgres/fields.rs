//! The words of pg_hba.conf and pg_ident.conf (`hba.c`): fields are lists with commas, quotes take the
//! meaning from keywords, `@file` takes in the words of a file, `\` at a line's end goes on.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::{BYTES_MAX, DEPTH_MAX, FILES_MAX, LINE_BYTES_MAX, conf_files};
use crate::config::lines::{Joined, numbered};
use crate::config::problems::{Problems, note_unread};
use crate::place::Place;
use crate::tree::{CONFIG_BYTES_MAX, LookError, MemoryTree, Tree, Why};

/// Most bytes of one word, as in PostgreSQL up to 15.
pub const TOKEN_BYTES_MAX: usize = 10_238;

/// Most words of one configuration.
pub const WORDS_MAX: usize = 500_000;

/// One word of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// Its text without quotes.
    pub text: String,
    /// Whether it started with a quote, which makes a name of a keyword.
    pub quoted: bool,
    /// Where it is.
    pub place: Place,
}

impl Word {
    /// Whether it is a keyword and not a name in quotes.
    pub fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }
}

/// A logical line: its fields, each a list of words.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub fields: Vec<Vec<Word>>,
    /// Where it starts.
    pub place: Place,
    /// The first physical line.
    pub text: String,
}

/// The lines of a configuration, those of included files in their place.
pub(super) struct Lines {
    pub files: Vec<Arc<str>>,
    pub problems: Problems,
    pub unread: Vec<LookError>,
    pub lines: Vec<Fields>,
}

impl Lines {
    /// Reads a file with what it includes; fails when the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let mut reader = Reader::new(tree);
        let bytes = reader.bytes(Path::new(path))?;
        Ok(reader.all(path, &bytes))
    }

    /// Reads the text of one file alone.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        Reader::new(&MemoryTree::new()).all(file, bytes)
    }
}

/// Reads the lines of a file, with those of included ones in their place.
struct Reader<'a> {
    tree: &'a dyn Tree,
    files: Vec<Arc<str>>,
    problems: Problems,
    unread: Vec<LookError>,
    lines: Vec<Fields>,
    bytes_left: usize,
    words: usize,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a dyn Tree) -> Self {
        Self {
            tree,
            files: Vec::new(),
            problems: Problems::default(),
            unread: Vec::new(),
            lines: Vec::new(),
            bytes_left: BYTES_MAX,
            words: 0,
        }
    }

    fn all(mut self, file: &str, bytes: &[u8]) -> Lines {
        self.text(Path::new(file), bytes, 0, None);
        let Self { files, problems, unread, lines, .. } = self;
        Lines { files, problems, unread, lines }
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, LookError> {
        if self.files.len() == FILES_MAX {
            return Err(LookError::new(path, Why::TooMany(FILES_MAX)));
        }
        let bytes = self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left))?;
        self.bytes_left -= bytes.len();
        Ok(bytes)
    }

    /// Takes in a file's lines; those of `@file` go to `words` instead.
    fn text(&mut self, path: &Path, bytes: &[u8], depth: usize, mut words: Option<&mut Vec<Word>>) {
        let file: Arc<str> = path.to_string_lossy().into();
        self.files.push(Arc::clone(&file));
        for joined in logical(bytes) {
            if self.words >= WORDS_MAX {
                let (place, _) = joined.place(&file, 0);
                return self.problems.push(place, "more words than the limit");
            }
            let Some(line) = self.split(&file, path, &joined, depth) else { continue };
            match &mut words {
                Some(words) => words.extend(line.fields.into_iter().flatten()),
                None if self.includes(&line, path, depth) => {}
                None => self.lines.push(line),
            }
        }
    }

    /// The fields of a line; `None` when it is empty or has a fault, which is then told.
    fn split(
        &mut self,
        file: &Arc<str>,
        path: &Path,
        joined: &Joined,
        depth: usize,
    ) -> Option<Fields> {
        let text = joined.text.as_bytes();
        let mut at = 0;
        let mut fields = Vec::new();
        let mut fault = (text.len() > LINE_BYTES_MAX).then_some((0, "the line is too long"));
        fault = fault.or_else(|| Some((memchr::memchr(0, text)?, "the line holds a NUL byte")));
        while at < text.len() && fault.is_none() {
            let mut field = Vec::new();
            loop {
                let cut = match next(&joined.text, &mut at) {
                    Ok(Some(cut)) => cut,
                    Ok(None) => break,
                    Err(index) => {
                        fault = Some((index, "a word is too long"));
                        break;
                    }
                };
                let (place, _) = joined.place(file, cut.start);
                self.words += 1;
                match cut.text.strip_prefix('@') {
                    Some(name) if !cut.quoted && !name.is_empty() => {
                        if !self.words_of(name, path, place, depth, &mut field) {
                            return None;
                        }
                    }
                    _ => field.push(Word { text: cut.text, quoted: cut.quoted, place }),
                }
                if !cut.comma {
                    break;
                }
            }
            if !field.is_empty() {
                fields.push(field);
            }
        }
        if let Some((index, message)) = fault {
            self.problems.push(joined.place(file, index).0, message);
            return None;
        }
        let place = fields.first()?.first()?.place.clone();
        Some(Fields { fields, place, text: joined.segments[0].2.clone() })
    }

    /// Takes in the words of `@name`; whether that went well.
    fn words_of(
        &mut self,
        name: &str,
        from: &Path,
        place: Place,
        depth: usize,
        to: &mut Vec<Word>,
    ) -> bool {
        if depth == DEPTH_MAX {
            self.problems.push(place, "includes are nested too deep");
            return false;
        }
        let path = from.parent().unwrap_or(Path::new("/")).join(name);
        let before = self.problems.len();
        match self.bytes(&path) {
            Ok(bytes) => self.text(&path, &bytes, depth + 1, Some(to)),
            Err(error) => self.missing(error, place, true),
        }
        self.problems.len() == before
    }

    fn missing(&mut self, error: LookError, place: Place, is_strict: bool) {
        match error.not_found() {
            true if is_strict => self.problems.push(place, "the included file is not there"),
            true => {}
            false => {
                self.problems.push(place, "the included file cannot be read");
                note_unread(&mut self.unread, error);
            }
        }
    }

    /// Takes in the lines of an `include` line; whether it was one.
    fn includes(&mut self, line: &Fields, from: &Path, depth: usize) -> bool {
        let [how, to] = &line.fields[..] else { return false };
        let ([how], [to]) = (&how[..], &to[..]) else { return false };
        if !matches!(how.text.as_str(), "include" | "include_if_exists" | "include_dir") {
            return false;
        }
        if depth == DEPTH_MAX {
            self.problems.push(line.place.clone(), "includes are nested too deep");
            return true;
        }
        let path = from.parent().unwrap_or(Path::new("/")).join(&to.text);
        let paths = match how.text.as_str() {
            "include_dir" => match conf_files(self.tree, &path) {
                Ok(paths) => paths,
                Err(error) => {
                    self.missing(error, line.place.clone(), true);
                    return true;
                }
            },
            _ => vec![path],
        };
        for path in paths {
            match self.bytes(&path) {
                Ok(bytes) => self.text(&path, &bytes, depth + 1, None),
                Err(error) => {
                    self.missing(error, line.place.clone(), how.text != "include_if_exists")
                }
            }
        }
        true
    }
}

/// Lines with their continuations: a backslash at the end, unless it stood there before it was joined.
fn logical(bytes: &[u8]) -> impl Iterator<Item = Joined> {
    let mut lines = numbered(bytes);
    std::iter::from_fn(move || {
        let mut joined = Joined { text: String::new(), segments: Vec::new() };
        let mut last = 0;
        for line in lines.by_ref() {
            joined.segments.push((joined.text.len(), line.number, line.shown()));
            joined.text.push_str(&line.text());
            let kept = joined.text.trim_end_matches('\r').len();
            joined.text.truncate(kept.max(last));
            if joined.text.len() <= last || !joined.text.ends_with('\\') {
                return Some(joined);
            }
            joined.text.pop();
            last = joined.text.len();
        }
        (!joined.segments.is_empty()).then_some(joined)
    })
}

/// A word cut out of a line.
struct Cut {
    text: String,
    start: usize,
    quoted: bool,
    comma: bool,
}

/// The next word; an error is where one started that is too long.
fn next(line: &str, at: &mut usize) -> Result<Option<Cut>, usize> {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r');
    let skipped = line[*at..].chars().take_while(|c| is_blank(*c) || *c == ',').count();
    *at += skipped;
    let start = *at;
    let mut cut = Cut { text: String::new(), start, quoted: false, comma: false };
    let (mut in_quote, mut was_quote, mut saw_quote) = (false, false, false);
    for c in line[start..].chars() {
        if is_blank(c) && !in_quote {
            break;
        }
        if c == '#' && !in_quote {
            *at = line.len();
            break;
        }
        if cut.text.len() >= TOKEN_BYTES_MAX {
            return Err(start);
        }
        *at += c.len_utf8();
        if c == ',' && !in_quote {
            cut.comma = true;
            break;
        }
        if c != '"' || was_quote {
            cut.text.push(c);
        }
        was_quote = in_quote && c == '"' && !was_quote;
        if c == '"' {
            in_quote = !in_quote;
            saw_quote = true;
            cut.quoted |= cut.text.is_empty();
        }
    }
    Ok((saw_quote || !cut.text.is_empty()).then_some(cut))
}
