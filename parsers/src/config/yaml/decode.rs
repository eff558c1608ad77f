//! Scalars and tags as they are meant: escapes, line folding, chomping, percent escapes.
//!
//! The parser has already refused what could fail here; what is read again would only be taken as it
//! stands, never panic.

use super::tree::{KEEP, Kind, Node, Props, STRIP, TagKind};

/// A plain scalar of several lines.
pub(super) fn plain(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut lines = Lines(Some(raw));
    while let Some((line, last)) = lines.next_line() {
        out.push_str(trim_blanks(line));
        if !last {
            fold(&mut out, &mut lines);
        }
    }
    out
}

/// A single-quoted scalar.
pub(super) fn single(raw: &str) -> String {
    quoted(raw, trim_end_blanks, |out, line| {
        let mut parts = line.split("''");
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            out.push('\'');
            out.push_str(part);
        }
        false
    })
}

/// A double-quoted scalar.
pub(super) fn double(raw: &str) -> String {
    quoted(raw, trim_end_unescaped, unescape)
}

/// Folds the lines of a quoted scalar; `trim` cuts a line's end, `push` adds a line and says whether its
/// line break is escaped.
fn quoted(raw: &str, trim: fn(&str) -> &str, push: impl Fn(&mut String, &str) -> bool) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut lines = Lines(Some(raw));
    let mut first = true;
    while let Some((line, last)) = lines.next_line() {
        let line = if first { line } else { line.trim_start_matches([' ', '\t']) };
        first = false;
        if last {
            push(&mut out, line);
        } else if push(&mut out, trim(line)) {
            lines.skip_empty_into(&mut out);
        } else {
            fold(&mut out, &mut lines);
        }
    }
    out
}

fn trim_end_blanks(line: &str) -> &str {
    line.trim_end_matches([' ', '\t'])
}

/// Cuts blanks off the end, but not one that a backslash escapes.
fn trim_end_unescaped(line: &str) -> &str {
    let cut = trim_end_blanks(line);
    let slashes = cut.bytes().rev().take_while(|b| *b == b'\\').count();
    if slashes % 2 == 1 && cut.len() < line.len() { &line[..=cut.len()] } else { cut }
}

/// A line break: a space, or the empty lines that follow it.
fn fold(out: &mut String, lines: &mut Lines<'_>) {
    if lines.skip_empty_into(out) == 0 {
        out.push(' ');
    }
}

/// Adds a line of a double-quoted scalar; true when it ends in a backslash that escapes its end.
fn unescape(out: &mut String, line: &str) -> bool {
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let mut tail = rest[at + 1..].chars();
        let Some(sign) = tail.next() else { return true };
        rest = tail.as_str();
        let digits = match sign {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => {
                out.push(simple_escape(sign).unwrap_or(sign));
                continue;
            }
        };
        let code = rest.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        if let Some(sign) = code.and_then(char::from_u32) {
            out.push(sign);
            rest = &rest[digits..];
        }
    }
    out.push_str(rest);
    false
}

/// The character that a letter after a backslash stands for.
pub(super) fn simple_escape(sign: char) -> Option<char> {
    Some(match sign {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\u{b}',
        'f' => '\u{c}',
        'r' => '\r',
        'e' => '\u{1b}',
        ' ' | '"' | '/' | '\\' => sign,
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        _ => return None,
    })
}

/// A literal or folded scalar, from its sign on.
pub(super) fn block(raw: &str, node: &Node) -> String {
    let mut lines = Lines(Some(raw));
    let header = lines.next_line();
    let mut out = String::with_capacity(raw.len());
    if header.is_none_or(|(_, last)| last) {
        return out;
    }
    let breaks = match node.kind {
        Kind::Folded => folded_lines(&mut out, &mut lines, node.next as usize),
        _ => literal_lines(&mut out, &mut lines, node.next as usize),
    };
    let kept = match (node.flags & STRIP != 0, node.flags & KEEP != 0) {
        (true, _) => 0,
        (_, true) => breaks,
        _ if out.is_empty() => 0,
        _ => breaks.min(1),
    };
    push_breaks(&mut out, kept);
    out
}

/// Adds the lines; returns the line breaks at the end, which chomping decides on.
fn literal_lines(out: &mut String, lines: &mut Lines<'_>, indent: usize) -> usize {
    let mut breaks = 0;
    while let Some((raw, last)) = lines.next_line() {
        let line = content(raw, indent);
        if !line.is_empty() {
            push_breaks(out, breaks);
            breaks = 0;
            out.push_str(line);
        }
        breaks += usize::from(!last || is_spaces(raw));
    }
    breaks
}

fn folded_lines(out: &mut String, lines: &mut Lines<'_>, indent: usize) -> usize {
    let (mut breaks, mut deeper, mut first) = (0, true, true);
    while let Some((raw, last)) = lines.next_line() {
        let line = content(raw, indent);
        if !line.is_empty() {
            let was_deeper = std::mem::replace(&mut deeper, line.starts_with([' ', '\t']));
            match breaks {
                _ if first || deeper || was_deeper => push_breaks(out, breaks),
                1 => out.push(' '),
                _ => push_breaks(out, breaks - 1),
            }
            first = false;
            breaks = 0;
            out.push_str(line);
        }
        breaks += usize::from(!last || is_spaces(raw));
    }
    breaks
}

/// A last line of spaces counts as ended by the text's end; one with text on it does not.
fn is_spaces(raw: &str) -> bool {
    !raw.is_empty() && raw.bytes().all(|byte| byte == b' ')
}

fn push_breaks(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n('\n', count));
}

/// A line without its indentation.
fn content(line: &str, indent: usize) -> &str {
    let spaces = line.bytes().take(indent).take_while(|b| *b == b' ').count();
    &line[spaces..]
}

fn trim_blanks(line: &str) -> &str {
    line.trim_matches([' ', '\t'])
}

/// Lines that end in LF, CR or CR LF.
struct Lines<'t>(Option<&'t str>);

impl<'t> Lines<'t> {
    /// A line, and whether no line break ends it.
    fn next_line(&mut self) -> Option<(&'t str, bool)> {
        let text = self.0?;
        let Some(at) = memchr::memchr2(b'\n', b'\r', text.as_bytes()) else {
            self.0 = None;
            return Some((text, true));
        };
        let two = text[at..].starts_with("\r\n");
        self.0 = Some(&text[at + 1 + usize::from(two)..]);
        Some((&text[..at], false))
    }

    /// Skips lines of blanks, adding a line break for each.
    fn skip_empty_into(&mut self, out: &mut String) -> usize {
        let mut count = 0;
        loop {
            let before = self.0;
            match self.next_line() {
                Some((line, false)) if trim_blanks(line).is_empty() => {
                    out.push('\n');
                    count += 1;
                }
                _ => {
                    self.0 = before;
                    return count;
                }
            }
        }
    }
}

/// A tag with its prefix written out and its percent escapes decoded.
pub(super) fn tag(text: &str, props: &Props) -> Option<String> {
    let part = |(start, end): (u32, u32)| &text[start as usize..end as usize];
    let prefix = match props.kind {
        TagKind::None => return None,
        TagKind::NonSpecific | TagKind::Local => "!",
        TagKind::Verbatim => "",
        TagKind::Core => "tag:yaml.org,2002:",
        TagKind::Declared => part(props.prefix),
    };
    let whole = format!("{prefix}{}", part(props.suffix));
    if props.kind == TagKind::Verbatim || !whole.contains('%') {
        return Some(whole);
    }
    let mut bytes = Vec::with_capacity(whole.len());
    let mut rest = whole.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(code) if first == b'%' => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    Some(String::from_utf8(bytes).unwrap_or(whole))
}
