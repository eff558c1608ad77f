//! The text of a unit file or drop-in: sections, assignments, continuation lines (systemd.syntax(7)).

use std::sync::Arc;

use serde::Serialize;

use crate::config::lines::Joined;
use crate::config::problems::Problems;
use crate::place::{Place, Placed};

/// Most bytes of a line, alone or with what continues it, as in systemd (`LONG_LINE_MAX`).
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Most assignments of one file.
pub const ASSIGNMENTS_MAX: usize = 100_000;

/// Most bytes of a line that a value keeps to be shown.
const SHOWN_BYTES_MAX: usize = 2 << 10;

/// `Key=value` in a section; specifiers and quotes are left as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// The section it stands in.
    pub section: Arc<str>,
    /// Its key.
    pub key: String,
    /// Its value, and where the key is.
    #[serde(flatten)]
    pub value: Placed<String>,
}

/// One file's assignments.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Text {
    /// In file order.
    pub assignments: Vec<Assignment>,
    /// Lines that the syntax does not accept.
    pub problems: Problems,
    /// Whether the file was given up before its end, as systemd does at a broken section header.
    pub cut_short: bool,
}

impl Text {
    /// Reads a file. `known` tells whether a section is read at all; what stands in others is left out.
    pub fn parse(file: &Arc<str>, bytes: &[u8], known: &dyn Fn(&str) -> bool) -> Self {
        let mut reader = Reader {
            file,
            known,
            text: Self::default(),
            section: Section::None,
            pending: None,
            column: None,
            is_bad: false,
            has_mark: false,
        };
        for (number, column, line) in lines(bytes) {
            if reader.text.cut_short {
                break;
            }
            reader.line(number, column, line);
        }
        if let Some(pending) = reader.pending.take() {
            reader.logical(&pending);
        }
        reader.text
    }
}

/// Where the reader is.
enum Section {
    /// Before the first header.
    None,
    /// In a section that is not read.
    Unknown,
    /// In a section.
    In(Arc<str>),
}

struct Reader<'a> {
    file: &'a Arc<str>,
    known: &'a dyn Fn(&str) -> bool,
    text: Text,
    section: Section,
    pending: Option<Joined>,
    /// Where the logical line starts, when not in column 1 (after a lone CR or NUL).
    column: Option<u32>,
    /// Whether the logical line is not UTF-8.
    is_bad: bool,
    /// Whether a byte order mark was passed over: one, at the start of any line.
    has_mark: bool,
}

impl Reader<'_> {
    fn line(&mut self, number: u32, column: u32, line: &[u8]) {
        let start = line.iter().take_while(|byte| is_blank(**byte)).count();
        if matches!(line.get(start), Some(b'#' | b';')) {
            return; // a comment does not end a continuation
        }
        let (line, column) = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !self.has_mark => {
                self.has_mark = true;
                (rest, column + 3)
            }
            _ => (line, column),
        };
        let held = self.pending.as_ref().map_or(0, |pending| pending.text.len());
        if held + line.len() > LINE_BYTES_MAX {
            return self.give_up(Place::new(self.file, number, column), "the line is too long");
        }
        self.is_bad |= std::str::from_utf8(line).is_err();
        let text = String::from_utf8_lossy(line);
        let mut joined =
            self.pending.take().unwrap_or(Joined { text: String::new(), segments: Vec::new() });
        joined.segments.push((joined.text.len(), number, shown(&text)));
        self.column.get_or_insert(column);
        joined.text.push_str(&text);
        if trailing_backslashes(&joined.text) % 2 == 1 {
            joined.text.pop();
            joined.text.push(' ');
            self.pending = Some(joined);
            return;
        }
        self.logical(&joined);
    }

    fn give_up(&mut self, place: Place, message: &str) {
        self.text.problems.push(place, format!("{message}; the rest of the file is not read"));
        self.text.cut_short = true;
        self.pending = None;
    }

    fn logical(&mut self, joined: &Joined) {
        let column = self.column.take().unwrap_or(1);
        let is_bad = std::mem::take(&mut self.is_bad);
        let text = joined.text.trim_matches(is_blank_char);
        if text.is_empty() {
            return;
        }
        let start = joined.text.len() - joined.text.trim_start_matches(is_blank_char).len();
        let (mut place, line) = joined.place(self.file, start);
        if joined.segments.get(1).is_none_or(|(second, ..)| start < *second) {
            place.column = place.column.saturating_add(column.saturating_sub(1));
        }
        if is_bad {
            return self.give_up(place, "the line is not UTF-8");
        }
        if let Some(rest) = text.strip_prefix('[') {
            return self.header(rest, place);
        }
        let section = match &self.section {
            Section::In(section) => Arc::clone(section),
            Section::Unknown => return,
            Section::None => {
                return self.text.problems.push(place, "an assignment outside of a section");
            }
        };
        let Some((key, value)) = text.split_once('=') else {
            return self.text.problems.push(place, "no `=` in the line");
        };
        if self.text.assignments.len() == ASSIGNMENTS_MAX {
            return self.give_up(place, "more assignments than the limit");
        }
        let key = key.trim_matches(is_blank_char).to_string();
        if key.is_empty() {
            return self.text.problems.push(place, "a value without a key");
        }
        let value = value.trim_matches(is_blank_char).to_string();
        let value = Placed { value, place, text: line };
        self.text.assignments.push(Assignment { section, key, value });
    }

    fn header(&mut self, rest: &str, place: Place) {
        let Some(name) = rest.strip_suffix(']') else {
            return self.give_up(place, "a section header without `]`");
        };
        if name.contains(|c: char| c.is_control() || matches!(c, '\\' | '"' | '\'')) {
            return self.give_up(place, "a section header with bad characters");
        }
        if (self.known)(name) {
            self.section = Section::In(name.into());
            return;
        }
        self.section = Section::Unknown;
        if !name.starts_with("X-") {
            self.text.problems.push(place, "a section that this type of unit does not have");
        }
    }
}

/// The lines as systemd splits them: `\n`, `\r`, NUL and pairs of them end a line. Each with the line
/// (counted by `\n`, as editors do) and column where it starts.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u32, u32, &[u8])> {
    let mut at = 0;
    let (mut number, mut line_start) = (1_u32, 0);
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let start = at;
        let length = memchr::memchr3(b'\n', b'\r', 0, &bytes[start..]);
        let end = length.map_or(bytes.len(), |length| start + length);
        let found = (number, u32::try_from(start - line_start + 1).unwrap_or(u32::MAX));
        at = (end + 1).min(bytes.len().max(end));
        // Another end of line of a sort not seen yet belongs to the same one (`\r\n`); after a NUL none does.
        let mut ends = [bytes.get(end).copied(), None];
        while let Some(next @ (b'\n' | b'\r' | 0)) = bytes.get(at).copied() {
            if ends.contains(&Some(next)) || ends.contains(&Some(0)) {
                break;
            }
            ends[1] = Some(next);
            at += 1;
        }
        for (index, byte) in bytes[end..at.min(bytes.len())].iter().enumerate() {
            if *byte == b'\n' {
                number = number.saturating_add(1);
                line_start = end + index + 1;
            }
        }
        Some((found.0, found.1, &bytes[start..end]))
    })
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_blank_char(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// An odd number means that the line goes on.
fn trailing_backslashes(text: &str) -> usize {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count()
}

fn shown(text: &str) -> String {
    let end = (0..=text.len().min(SHOWN_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Text {
        Text::parse(&"/x.service".into(), text, &|section| !matches!(section, "Bad" | "X-Mine"))
    }

    fn pairs(text: &Text) -> Vec<(String, String, String)> {
        let one = |a: &Assignment| {
            let place = format!("{}:{}", a.value.place.line, a.value.place.column);
            (format!("{}.{}", a.section, a.key), a.value.value.clone(), place)
        };
        text.assignments.iter().map(one).collect()
    }

    fn expect(text: &[u8], wanted: &[(&str, &str, &str)]) {
        let read = read(text);
        let have = pairs(&read);
        let have: Vec<_> = have.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
        assert_eq!(have, wanted);
    }

    #[test]
    fn lines_go_on_past_comments_and_keep_their_place() {
        expect(
            b"[Service]\n  ExecStart = /bin/a \\\n# comment\n;c\n  b\\\n\nC=d\\\\\nE=f\\",
            &[
                ("Service.ExecStart", "/bin/a    b", "2:3"),
                ("Service.C", "d\\\\", "7:1"),
                ("Service.E", "f", "8:1"),
            ],
        );
    }

    #[test]
    fn carriage_returns_and_nul_end_a_line() {
        expect(
            b"[S]\r\nA=1\rB=2\0C=3\n\rD=4\n",
            &[("S.A", "1", "2:1"), ("S.B", "2", "2:5"), ("S.C", "3", "2:9"), ("S.D", "4", "3:2")],
        );
    }

    #[test]
    fn a_broken_header_ends_the_file_and_other_faults_do_not() {
        let text =
            read(b"x=1\n[A]\nno\n=v\nk=v\n[Bad]\nk=w\n[X-Mine]\nk=z\n[B]\nk=u\n[oops\nk=t\n");
        assert!(text.cut_short);
        let lines: Vec<_> = text.problems.kept.iter().map(|p| p.place.line).collect();
        assert_eq!(lines, [1, 3, 4, 6, 12]);
        let kept: Vec<_> = pairs(&text).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(kept, ["A.k", "B.k"]);
    }

    #[test]
    fn hostile_text_ends_bounded() {
        let mut long = b"[A]\nk=1\nb=".to_vec();
        long.resize(10 << 20, b'x');
        let text = read(&long);
        assert!(text.cut_short && text.assignments.len() == 1);
        let text = read(&[b"[A]\n".as_slice(), &b"k=\\\n".repeat(LINE_BYTES_MAX / 2)].concat());
        assert!(text.cut_short && text.problems.len() == 1);
        let text = read(b"[A]\nk=\xff\nl=1\n");
        assert_eq!((text.problems.kept[0].place.line, text.assignments.len()), (2, 0));
        let many = [b"[A]\n".as_slice(), &b"k=\n".repeat(ASSIGNMENTS_MAX + 1)].concat();
        let text = read(&many);
        assert!(text.cut_short && text.assignments.len() == ASSIGNMENTS_MAX);
        assert!(!read(&many[..many.len() - 3]).cut_short);
    }
}
