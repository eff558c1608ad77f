//! Files of keys and values: login.defs(5), and `key = value` files such as pwquality.conf(5) and
//! faillock.conf(5).
//!
//! The last value of a key wins; what it overrode is kept. A key without a value has the empty value.
//! Lines longer than [`LINE_BYTES_MAX`] and lines with a NUL are problems.

use std::sync::Arc;

use serde::Serialize;

use super::lines::{Line, numbered};
use super::problems::Problems;
use super::settings::Settings;
use crate::place::{Place, Placed};

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Most settings of one file.
pub const ENTRIES_MAX: usize = 100_000;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `KEY value`: comments only at the start of a line, values may be quoted (login.defs).
    LoginDefs,
    /// `key = value` or `key`: a `#` starts a comment anywhere (pwquality.conf, faillock.conf).
    Equals,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its key as written.
    pub key: String,
    /// Its value without quotes and blanks around it.
    pub value: String,
    /// Where the key is.
    pub place: Place,
    /// The whole line; redact before showing.
    #[serde(skip)]
    pub text: String,
}

/// What a program takes as the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number, which may be negative.
    Integer,
    /// A whole number that starts the value, of at most this.
    Unsigned(u32),
    /// The same, or `never`.
    UnsignedOrNever(u32),
    /// A path that starts with `/`.
    AbsolutePath,
    /// Any text.
    Text,
    /// Nothing: the key alone switches it on.
    Flag,
}

impl Form {
    fn accepts(self, value: &str) -> bool {
        let starts_at_most = |most: u32| {
            let digits = value.trim_start_matches('+');
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            digits[..end].parse::<u32>().is_ok_and(|number| number <= most)
        };
        match self {
            Self::Integer => value.parse::<i32>().is_ok(),
            Self::Unsigned(most) => starts_at_most(most),
            Self::UnsignedOrNever(most) => value == "never" || starts_at_most(most),
            Self::AbsolutePath => value.starts_with('/'),
            Self::Text | Self::Flag => true,
        }
    }
}

/// The settings of one file, in file order.
#[derive(Clone, Debug, Serialize)]
pub struct KeyValues {
    /// Its path.
    pub file: Arc<str>,
    /// Every setting, also those that a later line overrides.
    pub entries: Vec<Entry>,
    /// Lines that could not be read.
    pub problems: Problems,
}

impl KeyValues {
    /// Reads a file's bytes.
    ///
    /// ```
    /// use parsers::config::keyvalue::{Dialect, KeyValues};
    /// let read = KeyValues::parse("/etc/login.defs", b"UMASK\t\t022\n", Dialect::LoginDefs);
    /// assert_eq!(read.get("UMASK").unwrap().value, "022");
    /// ```
    pub fn parse(file: &str, bytes: &[u8], dialect: Dialect) -> Self {
        let file: Arc<str> = file.into();
        let mut all = Self { file, entries: Vec::new(), problems: Problems::default() };
        for line in numbered(bytes) {
            if all.entries.len() == ENTRIES_MAX {
                all.problems.push(line.place(&all.file, 0), "more settings than the limit");
                break;
            }
            all.line(&line, dialect);
        }
        all
    }

    /// The setting that holds: the last one of that key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// The settings that a later line of the same key overrode, in file order.
    pub fn overridden(&self, key: &str) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.iter().filter(|entry| entry.key == key).collect();
        all.pop();
        all
    }

    /// Adds these settings to others, after them: the later value of a key wins. `known` gives a key's
    /// name and form; an unknown key and a value that does not fit are problems and set nothing.
    pub(crate) fn settle(
        self,
        settings: &mut Settings,
        known: impl Fn(&str) -> Option<(&'static str, Form)>,
    ) {
        settings.files.push(self.file);
        for problem in self.problems.kept {
            settings.problems.push(problem.place, problem.message);
        }
        settings.problems.more += self.problems.more;
        for entry in self.entries {
            let Entry { key, value, place, text } = entry;
            match known(&key) {
                None => settings.problems.push(place, "unknown setting"),
                Some((_, form)) if !form.accepts(&value) => {
                    settings.problems.push(place, "not a value that this setting takes");
                }
                Some((name, _)) => settings.set(name, Placed { value, place, text }),
            }
        }
    }

    fn line(&mut self, line: &Line<'_>, dialect: Dialect) {
        let bytes = match dialect {
            Dialect::LoginDefs => line.bytes,
            Dialect::Equals => {
                let end = memchr::memchr(b'#', line.bytes).unwrap_or(line.bytes.len());
                &line.bytes[..end]
            }
        };
        let start = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start == bytes.len() || bytes[start] == b'#' {
            return;
        }
        let refused = match () {
            () if line.bytes.len() > LINE_BYTES_MAX => Some("line is too long"),
            () if line.bytes.contains(&0) => Some("the line holds a NUL byte"),
            () => None,
        };
        if let Some(message) = refused {
            self.problems.push(line.place(&self.file, 0), message);
            return;
        }
        let rest = String::from_utf8_lossy(&bytes[start..]);
        let (key, value) = match dialect {
            Dialect::LoginDefs => login_defs(&rest),
            Dialect::Equals => equals(&rest),
        };
        if key.is_empty() {
            self.problems.push(line.place(&self.file, start), "a value without a key");
            return;
        }
        self.entries.push(Entry {
            key: key.to_string(),
            value: value.to_string(),
            place: line.place(&self.file, start),
            text: line.text().into_owned(),
        });
    }
}

fn login_defs(line: &str) -> (&str, &str) {
    let (key, rest) = line.split_once([' ', '\t']).unwrap_or((line.trim_end(), ""));
    let value = rest.trim_start_matches([' ', '\t', '"']);
    (key, value.split('"').next().unwrap_or(value).trim_end())
}

fn equals(line: &str) -> (&str, &str) {
    let line = line.trim_end();
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let rest = line[end..].trim_start();
    (&line[..end], rest.strip_prefix('=').unwrap_or(rest).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_wins_and_the_first_is_remembered() {
        let text = b"# c\nUMASK 022\n  ENCRYPT_METHOD \"MD5\"\nUMASK\t077\n";
        let read = KeyValues::parse("/etc/login.defs", text, Dialect::LoginDefs);
        let umask = read.get("UMASK").unwrap();
        assert_eq!((umask.value.as_str(), umask.place.line), ("077", 4));
        assert_eq!(read.overridden("UMASK")[0].place.line, 2);
        assert_eq!(read.get("ENCRYPT_METHOD").unwrap().value, "MD5");
        assert_eq!(read.get("ENCRYPT_METHOD").unwrap().place.column, 3);
    }

    #[test]
    fn equals_files_have_bare_keys_and_comments_anywhere() {
        let text = b"minlen = 12 # at least\nenforce_for_root\ndeny=3\n= x\n";
        let read = KeyValues::parse("/etc/security/pwquality.conf", text, Dialect::Equals);
        assert_eq!(read.get("minlen").unwrap().value, "12");
        assert_eq!(read.get("enforce_for_root").unwrap().value, "");
        assert_eq!(read.get("deny").unwrap().value, "3");
        assert_eq!(read.problems.kept[0].place.line, 4);
    }

    #[test]
    fn hostile_lines_are_problems() {
        let mut text = vec![b'a'; LINE_BYTES_MAX + 1];
        text.extend(b"\nb\0 c\nUMASK 077\n");
        let read = KeyValues::parse("/x", &text, Dialect::LoginDefs);
        assert_eq!((read.problems.len(), read.entries.len()), (2, 1));
    }
}
