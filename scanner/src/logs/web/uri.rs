//! A request target as the program behind the web server may read it.
//!
//! Opened are, in up to [`LAYERS_MAX`] layers, what logs escape (`\xNN`, `\"`), percent escapes, IIS's
//! `%uNNNN`, JavaScript's `\uNNNN` and HTML's entities; then overlong UTF-8, full-width letters and their
//! like become the ASCII that they stand for, null bytes vanish, and comments of SQL and CSS become
//! a space. Parameters are split before they are opened, so that an escaped `&` separates nothing.
//! The cost is linear in the target: each layer only shrinks the text, and what lies beyond
//! [`URI_BYTES_MAX`] is kept as it is. Nothing here says whether a request is good.

/// Layers of escapes that are opened.
pub const LAYERS_MAX: usize = 3;

/// Bytes of a target that are opened; the rest is kept as written.
pub const URI_BYTES_MAX: usize = 16 << 10;

/// Parameters that are told apart; the last takes what is left.
pub const PARAMETERS_MAX: usize = 64;

/// Ways of writing that hide something; which of them a target uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tricks {
    /// Null bytes.
    pub null: bool,
    /// ASCII in overlong UTF-8.
    pub overlong: bool,
    /// Escapes within escapes.
    pub layered: bool,
    /// Full-width letters and marks in place of ASCII.
    pub wide: bool,
    /// A line break.
    pub line_break: bool,
    /// `%uNNNN`.
    pub percent_u: bool,
    /// A comment within the text.
    pub comment: bool,
}

impl Tricks {
    /// Their names, one after another; empty when there are none.
    pub fn names(self) -> String {
        let each = [
            (self.null, "null"),
            (self.overlong, "overlong"),
            (self.layered, "layered"),
            (self.wide, "wide"),
            (self.line_break, "line-break"),
            (self.percent_u, "percent-u"),
            (self.comment, "comment"),
        ];
        let used: Vec<&str> =
            each.iter().filter(|(used, _)| *used).map(|(_, name)| *name).collect();
        used.join(" ")
    }
}

/// A target, opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Path, `?`, parameters with `&` between them.
    pub text: Vec<u8>,
    /// Bytes of the path.
    pub path_bytes: usize,
    /// Where each parameter ends in the text.
    ends: Vec<usize>,
    /// What was used to hide something.
    pub tricks: Tricks,
}

impl Opened {
    /// Opens a target.
    pub fn of(uri: &[u8]) -> Self {
        let (uri, rest) = uri.split_at(uri.len().min(URI_BYTES_MAX));
        let (path, query) = match memchr::memchr(b'?', uri) {
            Some(at) => (&uri[..at], Some(&uri[at + 1..])),
            None => (uri, None),
        };
        let mut opened =
            Self { text: Vec::with_capacity(uri.len() + rest.len()), ..Self::default() };
        opened.push(path);
        opened.path_bytes = opened.text.len();
        if let Some(query) = query {
            opened.text.push(b'?');
            let mut from = 0;
            while from <= query.len() {
                let last = opened.ends.len() + 1 == PARAMETERS_MAX;
                let end = if last { query.len() } else { parameter_end(query, from) };
                if !opened.ends.is_empty() {
                    opened.text.push(b'&');
                }
                opened.push(&query[from..end]);
                opened.ends.push(opened.text.len());
                from = end + 1;
            }
        }
        opened.text.extend_from_slice(rest);
        opened
    }

    /// The path.
    pub fn path(&self) -> &[u8] {
        self.text.get(..self.path_bytes).unwrap_or_default()
    }

    /// The query, where there is one.
    pub fn query(&self) -> Option<&[u8]> {
        if self.ends.is_empty() { None } else { self.text.get(self.path_bytes + 1..) }
    }

    /// The parameters, `name=value` each.
    pub fn parameters(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.path_bytes + 1;
        self.ends.iter().map(move |end| {
            let parameter = self.text.get(from..*end).unwrap_or_default();
            from = end + 1;
            parameter
        })
    }

    fn push(&mut self, raw: &[u8]) {
        if !is_written_oddly(raw) {
            self.text.extend_from_slice(raw);
            return;
        }
        let spaced = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte });
        if raw.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-_.=/~:@,".contains(byte)) {
            self.text.extend(spaced);
            return;
        }
        let mut text: Vec<u8> = spaced.collect();
        for layer in 0..LAYERS_MAX {
            let opened = unescape(&text, layer == 0, &mut self.tricks);
            if opened.len() == text.len() {
                break;
            }
            self.tricks.layered |= layer > 0;
            text = opened;
        }
        fold(&text, &mut self.text, &mut self.tricks);
    }
}

/// Whether anything in a target could be written otherwise than it is read.
pub fn is_written_oddly(uri: &[u8]) -> bool {
    let mut before = 0;
    for byte in uri {
        match byte {
            b'%' | b'+' | b'\\' | 0 | b'\r' | b'\n' | 0x80.. => return true,
            b'*' if before == b'/' => return true,
            b'#' if before == b'&' => return true,
            b';' => return true,
            _ => {}
        }
        before = *byte;
    }
    false
}

/// The path with `\` as `/`, without empty and `.` segments, `..` resolved.
pub fn resolved(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\')).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if last {
            out.push(b'/');
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Whether [`resolved`] would change a path.
pub fn is_indirect(path: &[u8]) -> bool {
    path.first() != Some(&b'/')
        || path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
        || path.contains(&b'\\')
}

/// Where the parameter that begins at `from` ends: at the next `&` that begins no entity.
fn parameter_end(query: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = memchr::memchr(b'&', query.get(at..).unwrap_or_default()) {
        let found = at + found;
        if entity(&query[found..]).is_none() {
            return found;
        }
        at = found + 1;
    }
    query.len()
}

/// One layer of escapes. `logged`: the escapes of the log itself too.
fn unescape(text: &[u8], logged: bool, tricks: &mut Tricks) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        let found = match byte {
            b'%' => percent(rest, tricks),
            b'\\' => match rest.get(1) {
                Some(b'x') => hex(rest, 2, 2).map(|value| (value, 4)),
                Some(b'u') => hex(rest, 2, 4).map(|value| (value, 6)),
                Some(quoted @ (b'"' | b'\\')) if logged => Some((u32::from(*quoted), 2)),
                _ => None,
            },
            b'&' => entity(rest),
            _ => None,
        };
        match found {
            Some((value, used)) => {
                let wide =
                    *byte == b'&' || rest.get(1).is_some_and(|next| matches!(next, b'u' | b'U'));
                push_value(&mut out, value, wide);
                at += used;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

fn percent(rest: &[u8], tricks: &mut Tricks) -> Option<(u32, usize)> {
    if matches!(rest.get(1), Some(b'u' | b'U')) {
        let value = hex(rest, 2, 4)?;
        tricks.percent_u = true;
        return Some((value, 6));
    }
    hex(rest, 1, 2).map(|value| (value, 3))
}

/// A byte as it is; a character of a wide escape in UTF-8.
fn push_value(out: &mut Vec<u8>, value: u32, wide: bool) {
    match u8::try_from(value) {
        Ok(byte) if byte < 0x80 || !wide => out.push(byte),
        _ => {
            let character = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn hex(text: &[u8], from: usize, digits: usize) -> Option<u32> {
    let digits = text.get(from..from + digits)?;
    digits.iter().try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
}

/// An HTML entity at the start of a text, and how long it is.
fn entity(text: &[u8]) -> Option<(u32, usize)> {
    const NAMED: [(&[u8], u8); 12] = [
        (b"lt", b'<'),
        (b"gt", b'>'),
        (b"quot", b'"'),
        (b"apos", b'\''),
        (b"amp", b'&'),
        (b"colon", b':'),
        (b"lpar", b'('),
        (b"rpar", b')'),
        (b"sol", b'/'),
        (b"tab", b'\t'),
        (b"newline", b'\n'),
        (b"nbsp", b' '),
    ];
    let inner = text.get(1..)?;
    if let Some(number) = inner.strip_prefix(b"#") {
        let (digits, radix, head) = match number.first()? {
            b'x' | b'X' => (&number[1..], 16, 3),
            _ => (number, 10, 2),
        };
        let length = digits.iter().take(8).take_while(|b| char::from(**b).is_digit(radix)).count();
        let value = std::str::from_utf8(&digits[..length]).ok()?;
        let value = u32::from_str_radix(value, radix).ok()?;
        let closed = usize::from(digits.get(length) == Some(&b';'));
        return Some((value, head + length + closed));
    }
    let end = inner.iter().take(8).position(|byte| *byte == b';')?;
    let named = NAMED.iter().find(|(name, _)| inner[..end].eq_ignore_ascii_case(name))?;
    Some((u32::from(named.1), end + 2))
}

/// Overlong and full-width letters to ASCII, no null bytes, comments as a space.
fn fold(text: &[u8], out: &mut Vec<u8>, tricks: &mut Tricks) {
    let mut at = 0;
    // where no comment is closed any more, none is looked for: the search stays linear
    let mut closable = true;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        match byte {
            0 => {
                tricks.null = true;
                at += 1;
            }
            b'/' if closable && rest.get(1) == Some(&b'*') => match comment(rest) {
                Some(used) => {
                    tricks.comment = true;
                    out.push(b' ');
                    at += used;
                }
                None => {
                    closable = memchr::memmem::find(rest, b"*/").is_some();
                    out.push(b'/');
                    at += 1;
                }
            },
            b'*' if tricks.comment && rest.get(1) == Some(&b'/') => {
                out.push(b' ');
                at += 2;
            }
            0xc0.. => {
                let (folded, used) = folded(rest, tricks);
                match folded {
                    Some(folded) => out.push(folded),
                    None => out.extend_from_slice(&rest[..used]),
                }
                at += used;
            }
            _ => {
                tricks.line_break |= matches!(byte, b'\r' | b'\n');
                out.push(*byte);
                at += 1;
            }
        }
    }
}

/// Bytes of a comment at the start; of `/*!50000 … */`, which MySQL runs, only of its head.
fn comment(text: &[u8]) -> Option<usize> {
    let inner = text.get(2..)?;
    match inner.strip_prefix(b"!") {
        Some(run) => Some(3 + run.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count()),
        None => memchr::memmem::find(inner, b"*/").map(|end| end + 4),
    }
}

/// The ASCII that a sequence of bytes stands for, if any, and the bytes of the sequence.
fn folded(text: &[u8], tricks: &mut Tricks) -> (Option<u8>, usize) {
    let at = |index: usize| text.get(index).copied();
    let tail = |byte: Option<u8>| byte.filter(|byte| byte & 0xc0 == 0x80).map(|byte| byte & 0x3f);
    let overlong = match (at(0), at(1), at(2), at(3)) {
        (Some(0xc0), Some(next), ..) if next >= 0x80 => Some((next & 0x3f, 2)),
        // what servers took for dots and slashes once; else it is a letter of Latin-1
        (Some(0xc0), Some(next @ (b'.' | b'/' | b'\\')), ..) => Some((next, 2)),
        (Some(0xc1), Some(next), ..) if next >= 0x80 || next == 0x1c => {
            Some((0x40 | next & 0x3f, 2))
        }
        (Some(0xe0), Some(high @ (0x80 | 0x81)), low, _) => {
            tail(low).map(|low| ((high & 1) << 6 | low, 3))
        }
        (Some(0xf0), Some(0x80), Some(high @ (0x80 | 0x81)), low) => {
            tail(low).map(|low| ((high & 1) << 6 | low, 4))
        }
        _ => None,
    };
    if let Some((byte, used)) = overlong {
        tricks.overlong = true;
        return (Some(byte).filter(|byte| *byte != 0), used);
    }
    let length = match at(0) {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        _ => 2,
    };
    let whole = text.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let Some(character) = whole.and_then(|text| text.chars().next()) else { return (None, 1) };
    let ascii = match character {
        '\u{ff01}'..='\u{ff5e}' => u8::try_from(u32::from(character) - 0xfee0).ok(),
        '\u{fe64}' | '\u{2039}' | '\u{3008}' => Some(b'<'),
        '\u{fe65}' | '\u{203a}' | '\u{3009}' => Some(b'>'),
        '\u{2b9}' | '\u{2bc}' => Some(b'\''),
        '\u{2ba}' => Some(b'"'),
        '\u{2044}' | '\u{2215}' | '\u{29f8}' => Some(b'/'),
        '\u{2216}' | '\u{29f5}' => Some(b'\\'),
        // cut to their last byte these are the ends of a line
        '\u{560a}' => Some(b'\n'),
        '\u{560d}' => Some(b'\r'),
        '\u{10d}' if text.get(2..4) == Some("\u{10a}".as_bytes()) => Some(b'\r'),
        '\u{10a}' => Some(b'\n'),
        '\u{a0}' | '\u{3000}' => return (Some(b' '), length),
        _ => None,
    };
    tricks.wide |= ascii.is_some();
    (ascii, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(uri: &str) -> String {
        String::from_utf8_lossy(&Opened::of(uri.as_bytes()).text).into_owned()
    }

    #[test]
    fn what_is_hidden_is_opened() {
        for (uri, expected, tricks) in [
            ("/plain?a=b", "/plain?a=b", ""),
            ("/a?q=%3Cb%3e+c", "/a?q=<b> c", ""),
            ("/%252e%252e/x", "/../x", "layered"),
            ("/%25252e", "/.", "layered"),
            ("/%2525252e", "/%2e", "layered"),
            ("/a?q=%u003cb%u00e9", "/a?q=<bé", "percent-u"),
            ("/a?q=\\x22\\x3C", "/a?q=\"<", ""),
            ("/a?q=\\\"\\\\", "/a?q=\"\\", ""),
            ("/%c0%ae%c0%af%c1%9c%e0%80%ae%f0%80%80%af", "/./\\./", "overlong"),
            ("/%c0%2f%c1%1c", "//\\", "overlong"),
            ("/a?q=%26lt;b%26%23x3e;&#39", "/a?q=<b>'", "layered"),
            ("/a?q=&lt;b&gt;&x=1", "/a?q=<b>&x=1", ""),
            ("/a?q=un%00ion", "/a?q=union", "null"),
            ("/a?q=1/**/or/*x*/2", "/a?q=1 or 2", "comment"),
            ("/a?q=/*!50000union*/x", "/a?q= union x", "comment"),
            ("/a/*/b/*", "/a/*/b/*", ""),
            ("/a?q=\u{ff1c}s\u{ff1e}", "/a?q=<s>", "wide"),
            ("/a?q=%0d%0ax", "/a?q=\r\nx", "line-break"),
            ("/a?q=100%&b=%zz%4", "/a?q=100%&b=%zz%4", ""),
            ("/caf\u{e9}?q=na\u{ef}ve", "/caf\u{e9}?q=na\u{ef}ve", ""),
            ("", "", ""),
        ] {
            assert_eq!(text(uri), expected, "{uri}");
            assert_eq!(Opened::of(uri.as_bytes()).tricks.names(), tricks, "{uri}");
        }
    }

    #[test]
    fn an_escaped_separator_separates_nothing() {
        let opened = Opened::of(b"/p?a=1%26b&c=%3f&&d");
        let parameters: Vec<&[u8]> = opened.parameters().collect();
        assert_eq!(parameters, [&b"a=1&b"[..], b"c=?", b"", b"d"]);
        assert_eq!((opened.path(), opened.query()), (&b"/p"[..], Some(&b"a=1&b&c=?&&d"[..])));
        assert_eq!(Opened::of(b"/p").query(), None);
        assert_eq!(Opened::of(b"/p?").query(), Some(&b""[..]));
        for count in [PARAMETERS_MAX, PARAMETERS_MAX + 1] {
            let uri = format!("/?{}", vec!["a=1"; count].join("&"));
            let opened = Opened::of(uri.as_bytes());
            assert_eq!(opened.parameters().count(), PARAMETERS_MAX);
            assert_eq!(opened.text, uri.as_bytes());
        }
    }

    #[test]
    fn what_is_beyond_the_limit_stays_as_written() {
        let inside = format!("/{}%41", "a".repeat(URI_BYTES_MAX - 4));
        assert!(text(&inside).ends_with("aA"));
        let outside = format!("/{}%41", "a".repeat(URI_BYTES_MAX - 1));
        assert_eq!(text(&outside), outside);
    }

    #[test]
    fn dots_are_resolved_and_nothing_climbs_out() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/../../etc", "/etc"),
            ("/a//b/./c/", "/a/b/c/"),
            ("\\a\\..\\b", "/b"),
            ("", "/"),
            ("a", "/a"),
        ] {
            let found = resolved(path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected);
            assert!(is_indirect(path.as_bytes()) || found == path.as_bytes(), "{path}");
        }
    }
}
