//! redis.conf as the server reads it (`config.c`, `sdssplitargs`; Redis 7.0).
//!
//! Names ignore case and old names (`slaveof`) stand under today's; the last value wins, whatever file
//! it is in; `save` adds up and `save ""` empties it; `user`, `rename-command` and
//! `client-output-buffer-limit` are settings of their own for each name. After an include the server
//! lets every `save` replace those before it, so that is done here too. One fault makes the server
//! refuse to start, so `problems` is not empty then. Whether a name or value exists is not judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::glob;
use super::lines::{Line, numbered};
use super::problems::note_unread;
use super::settings::{Rule, Settings};
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, LookError, MemoryTree, Tree, Why};

/// Deepest nesting of includes; the server has no limit but its stack.
pub const DEPTH_MAX: usize = 32;

/// Most files of one configuration.
pub const FILES_MAX: usize = 1_000;

/// Most bytes of one configuration, included files counted.
pub const BYTES_MAX: usize = 16 << 20;

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads a redis.conf with what it includes.
///
/// # Errors
/// When the file itself cannot be read.
///
/// ```
/// use parsers::config::redis::parse;
/// let settings = parse("/etc/redis/redis.conf", b"bind 127.0.0.1 -::1\nREQUIREPASS \"a b\"\n");
/// assert_eq!(settings.value("bind"), Some("127.0.0.1 -::1"));
/// assert_eq!(settings.value("requirepass"), Some("a b"));
/// ```
pub fn read(tree: &dyn Tree, path: &str) -> Result<Settings, LookError> {
    let mut reader = Reader::new(tree);
    let bytes = reader.bytes(Path::new(path))?;
    reader.text(&[(path.into(), bytes)], 0);
    Ok(reader.settings)
}

/// Reads the text of one file alone.
pub fn parse(file: &str, bytes: &[u8]) -> Settings {
    let nothing = MemoryTree::new();
    let mut reader = Reader::new(&nothing);
    reader.text(&[(file.into(), bytes.to_vec())], 0);
    reader.settings
}

struct Reader<'a> {
    tree: &'a dyn Tree,
    settings: Settings,
    bytes_left: usize,
    /// Whether the server still takes itself to be reading its configuration: not after an include.
    is_reading: bool,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a dyn Tree) -> Self {
        Self { tree, settings: Settings::default(), bytes_left: BYTES_MAX, is_reading: true }
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, LookError> {
        if self.settings.files.len() == FILES_MAX {
            return Err(LookError::new(path, Why::TooMany(FILES_MAX)));
        }
        let bytes = self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left))?;
        self.bytes_left -= bytes.len();
        Ok(bytes)
    }

    /// Reads files as one text, as the server does with those of a pattern: where one does not end its
    /// last line, the first line of the next goes on with it.
    fn text(&mut self, files: &[(Arc<str>, Vec<u8>)], depth: usize) {
        self.is_reading = true;
        let mut held: Vec<u8> = Vec::new();
        let mut began: Option<(Arc<str>, u32)> = None;
        for (index, (file, bytes)) in files.iter().enumerate() {
            self.settings.files.push(Arc::clone(file));
            let is_open = index + 1 < files.len() && !bytes.ends_with(b"\n");
            let count = numbered(bytes).count();
            for (at, line) in numbered(bytes).enumerate() {
                let (file, number) = began.take().unwrap_or((Arc::clone(file), line.number));
                if !held.is_empty() || (is_open && at + 1 == count) {
                    held.extend(line.bytes);
                    if is_open && at + 1 == count {
                        began = Some((file, number));
                        break;
                    }
                    let bytes = std::mem::take(&mut held);
                    self.line(&file, &Line { number, bytes: &bytes, ..line }, depth);
                    continue;
                }
                self.line(&file, &line, depth);
            }
        }
        if let Some((file, number)) = began {
            self.line(&file, &Line { number, offset: 0, bytes: &held }, depth);
        }
        self.is_reading = false;
    }

    fn line(&mut self, file: &Arc<str>, line: &Line<'_>, depth: usize) {
        let start =
            line.bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        if matches!(line.bytes.get(start), None | Some(b'#')) {
            return;
        }
        let place = line.place(file, start);
        if line.bytes.len() > LINE_BYTES_MAX {
            return self.settings.problems.push(place, "the line is too long");
        }
        if line.bytes.contains(&0) {
            return self.settings.problems.push(place, "the line holds a NUL byte");
        }
        let mut words = match split(line.bytes) {
            Ok(words) => words,
            Err(index) => {
                let place = line.place(file, index);
                return self
                    .settings
                    .problems
                    .push(place, "a quote is not closed, or text follows it");
            }
        };
        if words.is_empty() {
            return;
        }
        let name = words.remove(0).to_ascii_lowercase();
        self.directive(&name, words, place, line, depth);
    }

    fn directive(
        &mut self,
        name: &str,
        words: Vec<String>,
        place: Place,
        line: &Line<'_>,
        depth: usize,
    ) {
        let key = current(name);
        let value = |words: &[String], place: Place| Placed {
            value: words.join(" "),
            place,
            text: line.shown(),
        };
        let count = words.len();
        let message = match (key.as_str(), count) {
            ("include", 1) => return self.include(&words[0], &place, depth),
            ("include", _) => "include takes one name",
            (_, 0) => "a value is expected",
            ("save", 1) if words[0].is_empty() => {
                self.settings.entry("save").reset(Rule::EmptyResets);
                return;
            }
            ("save", _) if count.is_multiple_of(2) => {
                if !self.is_reading {
                    self.settings.entry("save").reset(Rule::LastWins);
                }
                for pair in words.chunks(2) {
                    self.settings.add("save", value(pair, place.clone()));
                }
                return;
            }
            ("save", _) => "save takes pairs of seconds and changes",
            ("client-output-buffer-limit", _) if count.is_multiple_of(4) => {
                for class in words.chunks(4) {
                    let of_class = match class[0].to_ascii_lowercase().as_str() {
                        "slave" => "replica".to_string(),
                        class => class.to_string(),
                    };
                    let key = format!("{key} {of_class}");
                    self.settings.set(&key, value(&class[1..], place.clone()));
                }
                return;
            }
            ("client-output-buffer-limit", _) => "a class and three limits are expected",
            ("user", _) => {
                let key = format!("user {}", words[0]);
                match self.settings.get(&key) {
                    Some(_) => "this user is written twice",
                    None => return self.settings.set(&key, value(&words[1..], place)),
                }
            }
            ("rename-command", 2) => {
                let key = format!("rename-command {}", words[0].to_ascii_lowercase());
                match self.settings.get(&key) {
                    Some(_) => "this command is renamed twice",
                    None => return self.settings.set(&key, value(&words[1..], place)),
                }
            }
            ("rename-command", _) => "a command and its new name are expected",
            ("loadmodule" | "sentinel", _) => return self.settings.add(&key, value(&words, place)),
            _ if count > 1 && !MANY.contains(&key.as_str()) && !key.contains('.') => {
                "more than one value; quotes are needed around blanks"
            }
            _ => return self.settings.set(&key, value(&words, place)),
        };
        self.settings.problems.push(place, message);
    }

    fn include(&mut self, name: &str, place: &Place, depth: usize) {
        if depth == DEPTH_MAX {
            return self.settings.problems.push(place.clone(), "includes are nested too deep");
        }
        // The server goes to its `dir` as soon as it reads it.
        let at = self.settings.value("dir").filter(|dir| dir.starts_with('/'));
        let path = match (name.starts_with('/'), at) {
            (true, _) => PathBuf::from(name),
            (false, Some(at)) => Path::new(at).join(name),
            (false, None) => {
                let message =
                    "a relative include: where it leads depends on where the server is started";
                self.settings.problems.push(place.clone(), message);
                let why = Why::Io("relative include without `dir`".into());
                return note_unread(
                    &mut self.settings.unread,
                    LookError::new(Path::new(name), why),
                );
            }
        };
        let is_pattern = name.contains(['*', '?', '[']);
        let paths = match is_pattern {
            true => self.matching(&path),
            false => vec![path],
        };
        let mut files: Vec<(Arc<str>, Vec<u8>)> = Vec::new();
        for path in paths {
            match self.bytes(&path) {
                Ok(bytes) => files.push((path.to_string_lossy().into(), bytes)),
                Err(error) if error.not_found() && !is_pattern => {
                    self.settings.problems.push(place.clone(), "the included file is not there");
                }
                Err(error) => note_unread(&mut self.settings.unread, error),
            }
            if self.settings.files.len() + files.len() > FILES_MAX {
                let error = LookError::new(Path::new(name), Why::TooMany(FILES_MAX));
                note_unread(&mut self.settings.unread, error);
                files.pop();
                break;
            }
        }
        self.text(&files, depth + 1);
    }

    /// Files that fit a pattern, by name; the pattern may stand in the last part only.
    fn matching(&mut self, pattern: &Path) -> Vec<PathBuf> {
        let directory = pattern.parent().unwrap_or(Path::new("/"));
        let name = pattern.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
        if directory.to_string_lossy().contains(['*', '?', '[']) {
            let why = Why::Io("a pattern in a directory's name is not followed".into());
            note_unread(&mut self.settings.unread, LookError::new(pattern, why));
            return Vec::new();
        }
        let entries = match self.tree.list(directory) {
            Ok(entries) => entries,
            Err(error) => {
                if !error.not_found() {
                    note_unread(&mut self.settings.unread, error);
                }
                return Vec::new();
            }
        };
        let fits = |path: &Path| {
            let have = path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
            (have.first() != Some(&b'.') || name.first() == Some(&b'.'))
                && glob::matches(name, have)
        };
        entries.into_iter().map(|entry| entry.path).filter(|path| fits(path)).collect()
    }
}

/// Settings that take several values in one line.
const MANY: [&str; 5] = [
    "bind",
    "latency-tracking-info-percentiles",
    "oom-score-adj-values",
    "replicaof",
    "shutdown-on-sigterm",
];

/// Today's name of a setting.
fn current(name: &str) -> String {
    match name {
        "hash-max-ziplist-entries" => "hash-max-listpack-entries".into(),
        "hash-max-ziplist-value" => "hash-max-listpack-value".into(),
        "zset-max-ziplist-entries" => "zset-max-listpack-entries".into(),
        "zset-max-ziplist-value" => "zset-max-listpack-value".into(),
        "list-max-ziplist-size" => "list-max-listpack-size".into(),
        "lua-time-limit" => "busy-reply-threshold".into(),
        _ => name.replace("slave", "replica"),
    }
}

/// The words of a line as `sdssplitargs` cuts them; an error is where a quote was opened.
fn split(line: &[u8]) -> Result<Vec<String>, usize> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        if at >= line.len() {
            return Ok(words);
        }
        words.push(word(line, &mut at)?);
    }
}

/// A closing quote ends a word, an opening one does not start one.
fn word(line: &[u8], at: &mut usize) -> Result<String, usize> {
    let mut out = Vec::new();
    let mut quote: Option<(u8, usize)> = None;
    while let Some(byte) = line.get(*at).copied() {
        let next = line.get(*at + 1).copied();
        *at += 1;
        match (quote, byte) {
            (None, b' ' | b'\n' | b'\r' | b'\t') => break,
            (None, b'"' | b'\'') => quote = Some((byte, *at - 1)),
            (Some((open, from)), _) if byte == open => {
                if next.is_some_and(|next| !is_space(next)) {
                    return Err(from);
                }
                quote = None;
                break;
            }
            (Some((b'"', _)), b'\\') if next.is_some() => {
                out.push(escaped(&line[*at..], at));
            }
            (Some((b'\'', _)), b'\\') if next == Some(b'\'') => {
                out.push(b'\'');
                *at += 1;
            }
            _ => out.push(byte),
        }
    }
    match quote {
        Some((_, from)) => Err(from),
        None => Ok(String::from_utf8_lossy(&out).into_owned()),
    }
}

/// What stands behind a backslash in double quotes; moves past it.
fn escaped(rest: &[u8], at: &mut usize) -> u8 {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let [b'x', high, low, ..] = rest
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        *at += 3;
        return high << 4 | low;
    }
    *at += 1;
    match rest[0] {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_sdssplitargs_does() {
        let words = |text: &str| split(text.as_bytes()).map(|words| words.join("|"));
        assert_eq!(words("a  \"b c\" 'd\\'e'"), Ok("a|b c|d'e".into()));
        assert_eq!(words(r#"a "\x41\n\q\"" ''"#), Ok("a|A\nq\"|".into()));
        assert_eq!(words("a b\"c d\" e"), Ok("a|bc d|e".into()));
        assert_eq!((words("a \"b"), words("a \"b\"c"), words("a 'b\\'")), (Err(2), Err(2), Err(2)));
    }

    #[test]
    fn the_last_value_wins_and_save_adds_up() {
        let text = b"save 900 1\nsave 300 10 60 10000\nsave \"\"\nsave 1 2\nslaveof h 1\nReplicaOf i 2\n\
            user bob on\nrename-command CONFIG \"\"\nclient-output-buffer-limit slave 1 2 3 normal 0 0 0\n\
            loadmodule /x.so a\n";
        let all = parse("/redis.conf", text);
        assert!(all.problems.is_empty(), "{:?}", all.problems);
        assert_eq!(all.value("save"), Some("1 2"));
        assert_eq!(all.get("save").unwrap().overrides.len(), 3);
        assert_eq!(all.value("replicaof"), Some("i 2"));
        assert_eq!(all.get("replicaof").unwrap().overrides[0].value.place.line, 5);
        assert_eq!(all.value("rename-command config"), Some(""));
        assert_eq!(all.value("client-output-buffer-limit replica"), Some("1 2 3"));
        assert_eq!((all.value("user bob"), all.value("loadmodule")), (Some("on"), Some("/x.so a")));
    }

    #[test]
    fn includes_are_read_in_place() {
        let tree = MemoryTree::new()
            .file(
                "/r.conf",
                "timeout 1\ninclude /a.conf\ninclude /d/*.conf\ndir /d\ninclude x\ninclude /n\n",
            )
            .file("/a.conf", "timeout 2\n")
            .file("/d/2.conf", "timeout 4\n")
            .file("/d/1.conf", "timeout 3\n")
            .file("/d/.h.conf", "timeout 9\n")
            .file("/d/x", "port 0\n")
            .special("/d/f.conf", crate::tree::FileKind::Fifo)
            .file("/e/1", "port 1")
            .file("/e/2", "2\ntimeout 8\n")
            .file("/s.conf", "save 1 2\ninclude /e/*\nsave 3 4\nsave 5 6\n");
        let all = read(&tree, "/s.conf").unwrap();
        let port = &all.get("port").unwrap().values[0];
        assert_eq!((port.value.as_str(), port.place.to_string()), ("12", "/e/1:1:1".into()));
        assert_eq!(all.get("timeout").unwrap().values[0].place.to_string(), "/e/2:2:1");
        assert_eq!(all.get("save").unwrap().values.len(), 1);
        let all = read(&tree, "/r.conf").unwrap();
        assert_eq!((all.value("timeout"), all.value("port")), (Some("4"), Some("0")));
        assert_eq!((all.problems.len(), all.unread.len()), (1, 1));
        let tree = MemoryTree::new().file("/r.conf", "include /r.conf\ninclude x\ninclude /*/a\n");
        let all = read(&tree, "/r.conf").unwrap();
        assert!(all.files.len() == DEPTH_MAX + 1 && !all.problems.is_empty());
        let tree = MemoryTree::new().file("/r.conf", "include /r.conf\ninclude /r.conf\n");
        assert_eq!(read(&tree, "/r.conf").unwrap().files.len(), FILES_MAX);
    }

    #[test]
    fn faults_have_a_place_and_the_rest_is_read() {
        let text = b"port\n save 1\nport 1 2\nrequirepass \"x\nuser a\nuser a\nt\0x 1\n  timeout 5 # no\ntimeout 6\n";
        let all = parse("/r", text);
        let places: Vec<_> =
            all.problems.kept.iter().map(|p| (p.place.line, p.place.column)).collect();
        assert_eq!(places, [(1, 1), (2, 2), (3, 1), (4, 13), (6, 1), (7, 1), (8, 3)]);
        assert_eq!(all.value("timeout"), Some("6"));
        let mut long = b"a ".to_vec();
        long.resize(10 << 20, b'x');
        assert_eq!(parse("/r", &long).problems.len(), 1);
    }
}
