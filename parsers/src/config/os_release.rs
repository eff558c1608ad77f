//! os-release(5): assignments in a subset of shell syntax.
//!
//! Quotes and backslashes are undone as the manual says; nothing is expanded. A line that is no
//! assignment is a [`Problem`]. A variable that stands twice keeps its last value, as in a shell.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::place::{Placed, Problem};

/// Most lines that are read.
pub const LINES_MAX: usize = 1000;
/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 4096;

/// The variables of an os-release file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// Value of each variable, with its place.
    pub values: BTreeMap<String, Placed<String>>,
    /// Lines that are no assignments.
    pub problems: Vec<Problem>,
}

impl OsRelease {
    /// Reads a file.
    pub fn read(file: &Arc<str>, bytes: &[u8]) -> Self {
        let mut release = Self::default();
        for (index, line) in super::lines::numbered(bytes).enumerate() {
            if index == LINES_MAX {
                let message = format!("more than {LINES_MAX} lines; the rest is not read");
                release.problems.push(Problem { place: line.place(file, 0), message });
                break;
            }
            let text = line.text();
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                continue;
            }
            let assignment = (line.bytes.len() <= LINE_BYTES_MAX && !line.bytes.contains(&0))
                .then(|| text.split_once('='))
                .flatten()
                .filter(|(name, _)| is_name(name))
                .and_then(|(name, value)| Some((name, unquote(value.trim_end())?)));
            match assignment {
                Some((name, value)) => {
                    let place = line.place(file, name.len() + 1);
                    let text = text.to_string();
                    release.values.insert(name.to_string(), Placed { value, place, text });
                }
                None => release.problems.push(Problem {
                    place: line.place(file, 0),
                    message: "not an assignment".to_string(),
                }),
            }
        }
        release
    }

    /// A variable's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|placed| placed.value.as_str())
    }

    /// `ID`, and `linux` where there is none, as the manual says.
    pub fn id(&self) -> &str {
        self.value("ID").unwrap_or("linux")
    }

    /// Whether the distribution is, or is derived from, the named one.
    pub fn is_like(&self, id: &str) -> bool {
        self.id() == id
            || self
                .value("ID_LIKE")
                .is_some_and(|like| like.split_whitespace().any(|one| one == id))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Undoes shell quoting; `None` when a quote is not closed or something follows it.
fn unquote(value: &str) -> Option<String> {
    let Some(quote @ ('"' | '\'')) = value.chars().next() else {
        return Some(value.to_string());
    };
    let mut out = String::new();
    let mut rest = value[1..].chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' if quote == '"' => match rest.next()? {
                kept @ ('"' | '\\' | '$' | '`') => out.push(kept),
                other => {
                    out.push('\\');
                    out.push(other);
                }
            },
            end if end == quote => return rest.as_str().is_empty().then_some(out),
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> OsRelease {
        OsRelease::read(&"/etc/os-release".into(), bytes)
    }

    #[test]
    fn quotes_are_undone_and_places_kept() {
        let release = read(
            b"# c\nID=ubuntu\nID_LIKE='rhel fedora'\nNAME=\"A \\\"B\\\" \\$x\"\nVERSION_ID=\"24.04\"\n",
        );
        assert_eq!(release.id(), "ubuntu");
        assert_eq!(release.value("NAME"), Some("A \"B\" $x"));
        assert_eq!(release.values["VERSION_ID"].place.line, 5);
        assert_eq!(release.values["VERSION_ID"].place.column, 12);
        assert!(release.is_like("fedora") && release.is_like("ubuntu") && !release.is_like("fed"));
        assert!(release.problems.is_empty());
    }

    #[test]
    fn hostile_files_end_in_problems() {
        assert_eq!(read(b"").id(), "linux");
        assert_eq!(read(b"no\nA=\"open\n1A=x\n\0=\xff\nB=\"x\" y\n").problems.len(), 5);
        assert_eq!(read(&[b"ID=".as_slice(), &[b'x'; 10 << 20]].concat()).problems.len(), 1);
        assert_eq!(
            read("A=1\n".repeat(LINES_MAX + 5).as_bytes()).values["A"].place.line as usize,
            LINES_MAX
        );
    }

    #[test]
    fn lines_past_the_limit_and_nul_bytes_are_told() {
        let text = "A=1\n".repeat(LINES_MAX);
        assert!(OsRelease::read(&"/f".into(), text.as_bytes()).problems.is_empty());
        let read = OsRelease::read(&"/f".into(), (text + "B=2\nC=\0\n").as_bytes());
        assert_eq!((read.value("B"), read.problems.len()), (None, 1));
        assert_eq!(OsRelease::read(&"/f".into(), b"C=\0\n").problems.len(), 1);
    }
}
