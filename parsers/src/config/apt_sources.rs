//! Package sources of apt: the one-line form and deb822 (sources.list(5), apt 2.6).
//!
//! Every source is one type, one address and one suite; a stanza with several is taken apart. Names of
//! options are those of deb822 in lower case (`arch` is `architectures`). A fault in a file makes apt
//! refuse all sources, so `problems` is not empty then. Whether a suite or key exists is not judged.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::lines::{Line, numbered};
use super::problems::{Problems, note_unread};
use crate::place::Place;
use crate::tree::{FileKind, LookError, Tree, Why};

/// The main file.
pub const SOURCES_LIST: &str = "/etc/apt/sources.list";

/// The directory of further files.
pub const SOURCES_DIRECTORY: &str = "/etc/apt/sources.list.d";

/// Most sources of one configuration.
pub const SOURCES_MAX: usize = 20_000;

/// Most files of one configuration.
pub const FILES_MAX: usize = 2_000;

/// Most bytes of one line or one field.
pub const LINE_BYTES_MAX: usize = 256 << 10;

/// Most bytes of one word of a line, as in apt.
pub const WORD_BYTES_MAX: usize = 1_023;

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `deb` or `deb-src`.
    pub kind: String,
    /// Where the packages are.
    pub uri: String,
    /// Suite or codename; with a `/` at its end a directory without components.
    pub suite: String,
    /// Components.
    pub components: Vec<String>,
    /// Options in the order in which they are written; the last of a name holds.
    pub options: Vec<(String, String)>,
    /// Where it is: the line, or the stanza's first line.
    pub place: Place,
}

impl Source {
    /// The value of an option by its name in lower case.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Whether the signature is not asked for (`Some(true)`) or never believed (`Some(false)`).
    pub fn trusted(&self) -> Option<bool> {
        match self.option("trusted")?.to_ascii_lowercase().as_str() {
            "yes" | "true" | "with" | "on" | "enable" => Some(true),
            "no" | "false" | "without" | "off" | "disable" => Some(false),
            number => number.parse::<i64>().ok().map(|number| number != 0),
        }
    }

    /// The key or keyring that must have signed it.
    pub fn signed_by(&self) -> Option<&str> {
        self.option("signed-by")
    }
}

/// The sources of one configuration.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sources {
    /// In the order of reading.
    pub sources: Vec<Source>,
    /// Files in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Files of the directory that apt leaves out by their names.
    pub ignored: Vec<Arc<str>>,
    /// Lines and stanzas with a fault.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
}

impl Sources {
    /// Reads the main file and the directory.
    pub fn read(tree: &dyn Tree) -> Self {
        Self::read_from(tree, SOURCES_LIST, SOURCES_DIRECTORY)
    }

    /// Reads another file and directory.
    pub fn read_from(tree: &dyn Tree, file: &str, directory: &str) -> Self {
        let mut all = Self::default();
        all.file(tree, file);
        let entries = match tree.list(Path::new(directory)) {
            Ok(entries) => entries,
            Err(error) => {
                if !error.not_found() {
                    note_unread(&mut all.unread, error);
                }
                return all;
            }
        };
        for entry in entries {
            let name = entry.path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
            if entry.kind == FileKind::Directory || name.starts_with(b".") {
                continue;
            }
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte);
            let is_taken = name.iter().all(is_plain)
                && (name.ends_with(b".list") || name.ends_with(b".sources"));
            let path = entry.path.to_string_lossy();
            match is_taken {
                _ if all.files.len() + all.ignored.len() >= FILES_MAX => {
                    let why = Why::TooMany(FILES_MAX);
                    note_unread(&mut all.unread, LookError::new(Path::new(directory), why));
                    break;
                }
                true => all.file(tree, &path),
                false => all.ignored.push(path.into()),
            }
        }
        all
    }

    /// Reads the text of one file: deb822 when its name ends in `.sources`.
    ///
    /// ```
    /// use parsers::config::apt_sources::Sources;
    /// let read = Sources::parse("/etc/apt/sources.list", b"deb [trusted=yes] http://x/ stable main # c\n");
    /// assert_eq!(read.sources[0].trusted(), Some(true));
    /// ```
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut all = Self::default();
        all.text(file, bytes);
        all
    }

    fn file(&mut self, tree: &dyn Tree, path: &str) {
        match tree.read_config(path) {
            Ok(bytes) => self.text(path, &bytes),
            Err(error) if error.not_found() => {}
            Err(error) => note_unread(&mut self.unread, error),
        }
    }

    fn text(&mut self, file: &str, bytes: &[u8]) {
        let file: Arc<str> = file.into();
        self.files.push(Arc::clone(&file));
        if file.ends_with(".sources") {
            return self.stanzas(&file, bytes);
        }
        for line in numbered(bytes) {
            match self.one_line(&file, &line) {
                Ok(Some(source)) => self.keep(source),
                Ok(None) => {}
                Err((index, message)) => self.problems.push(line.place(&file, index), message),
            }
        }
    }

    fn keep(&mut self, source: Source) {
        match self.sources.len() < SOURCES_MAX {
            true => self.sources.push(source),
            false => self.problems.push(source.place, "more sources than the limit"),
        }
    }

    fn one_line(
        &mut self,
        file: &Arc<str>,
        line: &Line<'_>,
    ) -> Result<Option<Source>, (usize, &'static str)> {
        if line.bytes.len() > LINE_BYTES_MAX {
            return Err((0, "the line is too long"));
        }
        if let Some(index) = memchr::memchr(0, line.bytes) {
            return Err((index, "the line holds a NUL byte"));
        }
        let text = line.text().replace('\t', " ");
        let text = text[..comment(&text)].trim_end();
        let mut words = Words { text, at: 0 };
        words.skip();
        let start = words.at;
        if words.rest().is_empty() {
            return Ok(None);
        }
        let kind = words.next().ok_or((start, "a type is expected"))?;
        if !matches!(kind.as_str(), "deb" | "deb-src") {
            return Err((start, "unknown type"));
        }
        let options = options(&mut words)?;
        let missing = |words: &Words<'_>, message| (words.at, message);
        let uri = words.next().ok_or_else(|| missing(&words, "an address is expected"))?;
        if !uri.contains(':') {
            return Err((words.at, "the address has no scheme"));
        }
        let suite = words.next().ok_or_else(|| missing(&words, "a suite is expected"))?;
        let mut components = Vec::new();
        while !words.rest().is_empty() {
            components.push(words.next().ok_or_else(|| missing(&words, "a quote is not closed"))?);
        }
        match (suite.ends_with('/'), components.is_empty()) {
            (true, false) => return Err((start, "a directory has no components")),
            (false, true) => return Err((start, "a component is expected")),
            _ => {}
        }
        let place = line.place(file, start);
        Ok(Some(Source { kind, uri, suite, components, options, place }))
    }

    fn stanzas(&mut self, file: &Arc<str>, bytes: &[u8]) {
        let mut fields: Vec<Field> = Vec::new();
        for line in numbered(bytes) {
            if line.bytes.starts_with(b"#") {
                continue;
            }
            if line.bytes.trim_ascii().is_empty() {
                let stanza = std::mem::take(&mut fields);
                self.stanza(stanza);
                continue;
            }
            if line.bytes.len() > LINE_BYTES_MAX || line.bytes.contains(&0) {
                self.problems.push(line.place(file, 0), "the line is too long or holds a NUL byte");
                continue;
            }
            let text = line.text();
            if text.starts_with([' ', '\t']) {
                match fields.last_mut() {
                    Some(field) if field.value.len() + text.len() <= LINE_BYTES_MAX => {
                        field.value.push('\n');
                        field.value.push_str(text.trim());
                    }
                    Some(_) => self.problems.push(line.place(file, 0), "the field is too long"),
                    None => self
                        .problems
                        .push(line.place(file, 0), "a line that goes on, without a field"),
                }
                continue;
            }
            let Some((name, value)) = text.split_once(':') else {
                self.problems.push(line.place(file, 0), "no `:` in the line");
                continue;
            };
            let (name, value) = (current(name.trim()), value.trim().to_string());
            fields.push(Field { name, value, place: line.place(file, 0) });
        }
        self.stanza(fields);
    }

    fn stanza(&mut self, fields: Vec<Field>) {
        let Some(place) = fields.first().map(|field| field.place.clone()) else { return };
        let value = |name: &str| {
            let field = fields.iter().rev().find(|field| field.name == name);
            field.map(|field| field.value.as_str()).unwrap_or_default()
        };
        let list = |name: &str| -> Vec<String> {
            value(name).split_whitespace().map(str::to_string).collect()
        };
        if matches!(
            value("enabled").to_ascii_lowercase().as_str(),
            "no" | "false" | "without" | "off" | "disable" | "0"
        ) {
            return;
        }
        let (types, uris, suites) = (list("types"), list("uris"), list("suites"));
        let components = list("components");
        let is_directory = |suite: &String| suite.ends_with('/');
        let message = match () {
            () if types.is_empty() => Some("a stanza without types"),
            () if types.iter().any(|kind| !matches!(kind.as_str(), "deb" | "deb-src")) => {
                Some("unknown type")
            }
            () if uris.is_empty() => Some("a stanza without addresses"),
            () if uris.iter().any(|uri| !uri.contains(':')) => Some("an address has no scheme"),
            () if suites.is_empty() => Some("a stanza without suites"),
            () if suites.iter().any(is_directory) && !components.is_empty() => {
                Some("a directory has no components")
            }
            () if !suites.iter().all(is_directory) && components.is_empty() => {
                Some("a stanza without components")
            }
            () => None,
        };
        if let Some(message) = message {
            return self.problems.push(place, message);
        }
        let known = ["types", "uris", "suites", "components", "enabled"];
        let options: Vec<(String, String)> = fields
            .iter()
            .filter(|field| !known.contains(&field.name.as_str()))
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect();
        for kind in &types {
            for uri in &uris {
                for suite in &suites {
                    if self.sources.len() == SOURCES_MAX {
                        return self.problems.push(place, "more sources than the limit");
                    }
                    self.sources.push(Source {
                        kind: kind.clone(),
                        uri: uri.clone(),
                        suite: suite.clone(),
                        components: components.clone(),
                        options: options.clone(),
                        place: place.clone(),
                    });
                }
            }
        }
    }
}

/// A field of a stanza.
struct Field {
    name: String,
    value: String,
    place: Place,
}

/// `[ name=value … ]` before the address.
fn options(words: &mut Words<'_>) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut options = Vec::new();
    if !words.rest().starts_with('[') {
        return Ok(options);
    }
    words.at += 1;
    words.skip();
    while !words.rest().starts_with(']') {
        let start = words.at;
        let mut option = words.next().ok_or((start, "the options are not closed"))?;
        let is_last = option.ends_with(']');
        if is_last {
            option.pop();
        }
        let Some((name, value)) = option.split_once('=') else {
            return Err((start, "an option is not `name=value`"));
        };
        if name.is_empty() || value.is_empty() {
            return Err((start, "an option without a name or a value"));
        }
        options.push((current(name), value.to_string()));
        if is_last {
            words.skip();
            return Ok(options);
        }
    }
    words.at += 1;
    words.skip();
    Ok(options)
}

/// Name of an option as deb822 has it, in lower case; what it does to a list (`+`, `-`) stays.
fn current(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let end = name.len() - usize::from(name.ends_with(['+', '-']));
    let (name, sign) = name.split_at(end);
    let name = match name {
        "arch" => "architectures",
        "lang" => "languages",
        "target" => "targets",
        other => other,
    };
    format!("{name}{sign}")
}

/// Where a comment starts: a `#` outside of brackets.
fn comment(text: &str) -> usize {
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() && bytes[at] != b'#' {
        if bytes[at] == b'[' {
            at = memchr::memchr(b']', &bytes[at..]).map_or(at, |length| at + length);
        }
        at += 1;
    }
    at
}

/// Words as apt's `ParseQuoteWord` cuts them: quotes and brackets may hold blanks, `%20` is a blank.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// The next word; `None` at the end, or when a quote or bracket is not closed.
    fn next(&mut self) -> Option<String> {
        self.skip();
        let bytes = self.rest().as_bytes();
        let mut end = 0;
        while end < bytes.len() && !bytes[end].is_ascii_whitespace() {
            let close = match bytes[end] {
                b'"' => Some(b'"'),
                b'[' => Some(b']'),
                _ => None,
            };
            if let Some(close) = close {
                end += 1 + memchr::memchr(close, &bytes[end + 1..])?;
            }
            end += 1;
        }
        if end == 0 {
            return None;
        }
        let word = unquote(&bytes[..end]);
        self.at += end;
        self.skip();
        Some(word)
    }
}

fn unquote(word: &[u8]) -> String {
    let mut out = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() && out.len() < WORD_BYTES_MAX {
        let hex = word.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte =
            hex.filter(|_| word[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, word[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'"') => {}
            (None, other) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn lines_are_read_with_options_and_comments() {
        let text = b"# c\n\tdeb [ arch=amd64,arm64 signed-by=/k.gpg ] http://d.example/x stable main non-free # c\n\
            deb-src [Trusted=yes] file:/a%20b ./\ndeb cdrom:[Debian 12 # x]/ bookworm main\n";
        let all = Sources::parse("/etc/apt/sources.list", text);
        assert!(all.problems.is_empty(), "{:?}", all.problems);
        let [first, second, third] = &all.sources[..] else { panic!("{:?}", all.sources) };
        assert_eq!(
            (first.option("architectures"), first.signed_by()),
            (Some("amd64,arm64"), Some("/k.gpg"))
        );
        assert_eq!((first.components.len(), first.place.line, first.place.column), (2, 2, 2));
        assert_eq!(
            (second.trusted(), second.uri.as_str(), second.suite.as_str()),
            (Some(true), "file:/a b", "./")
        );
        assert_eq!(third.uri, "cdrom:[Debian 12 # x]/");
    }

    #[test]
    fn stanzas_are_taken_apart() {
        let text = b"# c\nTypes: deb deb-src\nURIs: https://a/ https://b/\nSuites: s\nComponents: main\n\
            Signed-By:\n -----BEGIN\n .\n# c\n x\nTrusted: no\n\nTypes: deb\nEnabled: no\n\nTypes: deb\nURIs: x:/\n";
        let all = Sources::parse("/x.sources", text);
        assert_eq!(all.sources.len(), 4);
        assert_eq!(all.sources[3].signed_by(), Some("\n-----BEGIN\n.\nx"));
        assert_eq!((all.sources[0].trusted(), all.sources[0].place.line), (Some(false), 2));
        assert_eq!(all.problems.kept[0].place.line, 16);
    }

    #[test]
    fn faults_have_a_place() {
        for (line, column) in [
            ("dep http://x s main", 1),
            ("deb", 4),
            ("deb [a=b http://x s main", 10),
            ("deb [ab] http://x s main", 6),
            ("deb [=b] http://x s main", 6),
            ("deb http://x", 13),
            ("deb http://x s", 1),
            ("deb http://x ./ main", 1),
            ("deb here s main", 10),
        ] {
            let all = Sources::parse("/x.list", line.as_bytes());
            let columns: Vec<_> = all.problems.kept.iter().map(|p| p.place.column).collect();
            assert_eq!(columns, [column], "{line}: {:?}", all.problems);
        }
    }

    #[test]
    fn the_directory_is_read_by_its_names() {
        let tree = MemoryTree::new()
            .file(SOURCES_LIST, "deb http://x s main\n")
            .file("/etc/apt/sources.list.d/b.sources", "Types: deb\nURIs: http://y\nSuites: s/\n")
            .file("/etc/apt/sources.list.d/a.list", "deb http://z s main\n")
            .file("/etc/apt/sources.list.d/a.list.save", "odd\n")
            .file("/etc/apt/sources.list.d/a b.list", "odd\n")
            .special("/etc/apt/sources.list.d/f.list", FileKind::Fifo);
        let all = Sources::read(&tree);
        let uris: Vec<_> = all.sources.iter().map(|source| source.uri.as_str()).collect();
        assert_eq!(uris, ["http://x", "http://z", "http://y"]);
        assert_eq!((all.ignored.len(), all.unread.len(), all.problems.len()), (2, 1, 0));
    }

    #[test]
    fn hostile_files_end_bounded() {
        let long = vec![b'['; 8 << 20];
        assert_eq!(Sources::parse("/x.list", &long).problems.len(), 1);
        assert_eq!(Sources::parse("/x.sources", &long).problems.len(), 1);
        let many = "deb http://x s main\n".repeat(SOURCES_MAX + 1);
        let all = Sources::parse("/x.list", many.as_bytes());
        assert_eq!((all.sources.len(), all.problems.len()), (SOURCES_MAX, 1));
        let list = "a:/ ".repeat(1_000);
        let stanza = format!("Types: deb deb-src\nURIs: {list}\nSuites: {list}\nComponents: m\n");
        assert!(Sources::parse("/x.sources", stanza.as_bytes()).sources.len() <= SOURCES_MAX);
        let all = Sources::parse("/x.list", b"deb http://x\0 s main\n\xff\n");
        assert_eq!(all.problems.len(), 2);
    }
}
