//! What one value of a rule accepts: wildcard patterns, regular expressions, networks, numbers.
//!
//! Patterns ignore case unless `cased`, as Sigma asks. Texts with letters beyond ASCII become regular
//! expressions, so that their case is ignored too. Matching is linear in the value for everything but
//! patterns with inner wildcards, whose cost is the value's length times the pattern's.

use std::net::IpAddr;

use regex::bytes::{Regex, RegexBuilder};

use super::Compare;

/// Most characters of one pattern.
pub const PATTERN_CHARS_MAX: usize = 4096;

/// Most bytes of a compiled regular expression.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// One value of a rule.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// The field is absent or empty.
    Null,
    /// The field is there (`true`) or not.
    Exists(bool),
    /// A text with wildcards.
    Pattern(Pattern),
    /// A regular expression, found anywhere.
    Regex(Regex),
    /// A network in CIDR notation.
    Network(IpAddr, u8),
    /// A number compared.
    Number(Compare, f64),
    /// Another field: how the two are compared.
    Field(String, Around),
}

/// Where in the value a text has to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// It is the value.
    Whole,
    /// Anywhere.
    Contains,
    /// At the start.
    Start,
    /// At the end.
    End,
}

impl Around {
    /// Whether `text` stands so in `value`, case aside.
    pub fn stands(self, value: &[u8], text: &[u8]) -> bool {
        let pattern = |parts| Pattern { parts, cased: false };
        let literal = Part::Literal(text.to_ascii_lowercase());
        match self {
            Self::Whole => value.eq_ignore_ascii_case(text),
            Self::Contains => pattern(vec![Part::Any, literal, Part::Any]).accepts(value),
            Self::Start => pattern(vec![literal, Part::Any]).accepts(value),
            Self::End => pattern(vec![Part::Any, literal]).accepts(value),
        }
    }
}

/// A text with `*` (any run) and `?` (any one character).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    cased: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Any,
    One,
}

impl Matcher {
    /// Whether a value that is there is accepted. `Null`, `Exists` and `Field` are decided by who
    /// knows the other fields: here they accept only an empty value, any value, and nothing.
    pub fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Null => value.is_empty(),
            Self::Exists(wanted) => *wanted,
            Self::Pattern(pattern) => pattern.accepts(value),
            Self::Regex(regex) => regex.is_match(value),
            Self::Network(network, bits) => in_network(value, *network, *bits),
            Self::Number(compare, bound) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse::<f64>().ok())
                .is_some_and(|number| compare.holds(number, *bound)),
            Self::Field(..) => false,
        }
    }

    /// A text in lower case that every accepted value holds (compared without case): the longest
    /// there is. `None` where nothing can be promised.
    pub fn required(&self) -> Option<Vec<u8>> {
        let Self::Pattern(pattern) = self else { return None };
        pattern
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Literal(text) => Some(text.to_ascii_lowercase()),
                _ => None,
            })
            .max_by_key(Vec::len)
    }

    /// A regular expression as Sigma means it: case matters, found anywhere.
    pub(super) fn regex(source: &str, flags: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(source);
        builder.size_limit(REGEX_BYTES_MAX).nest_limit(64);
        for flag in flags.chars() {
            match flag {
                'i' => builder.case_insensitive(true),
                'm' => builder.multi_line(true),
                's' => builder.dot_matches_new_line(true),
                _ => return Err("unknown flag of `re`: use i, m or s".into()),
            };
        }
        builder.build().map(Self::Regex).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the regular expression is too big".into(),
            _ => "not a regular expression without look-around and back-references".to_string(),
        })
    }

    pub(super) fn text(source: &str, around: Around, cased: bool) -> Result<Self, String> {
        if source.chars().count() > PATTERN_CHARS_MAX {
            return Err(format!("a pattern of more than {PATTERN_CHARS_MAX} characters"));
        }
        let pattern = Pattern::new(source, around, cased);
        if cased || source.is_ascii() {
            return Ok(Self::Pattern(pattern));
        }
        Self::regex(&pattern.as_regex(), "is")
    }

    pub(super) fn network(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self::Network(address, bits))
    }
}

impl Pattern {
    /// Reads a Sigma text: `\*`, `\?` and `\\` are the characters themselves, any other backslash is
    /// a backslash.
    pub fn new(source: &str, around: Around, cased: bool) -> Self {
        let mut parts = Vec::new();
        if matches!(around, Around::Contains | Around::End) {
            parts.push(Part::Any);
        }
        let mut literal = Vec::new();
        let mut characters = source.chars().peekable();
        while let Some(character) = characters.next() {
            let wildcard = match character {
                '\\' => {
                    let escaped = characters.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    push(&mut literal, escaped.unwrap_or('\\'));
                    continue;
                }
                '*' => Part::Any,
                '?' => Part::One,
                other => {
                    push(&mut literal, other);
                    continue;
                }
            };
            flush(&mut parts, &mut literal, cased);
            if wildcard != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(wildcard);
            }
        }
        flush(&mut parts, &mut literal, cased);
        if matches!(around, Around::Contains | Around::Start) && parts.last() != Some(&Part::Any) {
            parts.push(Part::Any);
        }
        Self { parts, cased }
    }

    /// Whether the whole value is of this form.
    pub fn accepts(&self, value: &[u8]) -> bool {
        match self.parts.as_slice() {
            [] => value.is_empty(),
            [Part::Any] => true,
            [Part::Literal(text)] => self.same(value, text),
            [Part::Literal(text), Part::Any] => {
                value.len() >= text.len() && self.same(&value[..text.len()], text)
            }
            [Part::Any, Part::Literal(text)] => {
                value.len() >= text.len() && self.same(&value[value.len() - text.len()..], text)
            }
            [Part::Any, Part::Literal(text), Part::Any] => self.find(value, text).is_some(),
            parts => self.glob(parts, value),
        }
    }

    /// Greedy matching with one point to return to: the last `*`.
    fn glob(&self, parts: &[Part], value: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            let step = match parts.get(part) {
                Some(Part::Any) => {
                    star = Some((part, at));
                    part += 1;
                    continue;
                }
                Some(Part::One) => (at < value.len()).then(|| character_length(&value[at..])),
                Some(Part::Literal(text)) => value
                    .get(at..at + text.len())
                    .filter(|found| self.same(found, text))
                    .map(|found| found.len()),
                None => (at == value.len()).then_some(0),
            };
            match (step, star) {
                (Some(_), _) if part == parts.len() => return true,
                (Some(used), _) => {
                    part += 1;
                    at += used;
                }
                (None, Some((star_part, star_at))) if star_at < value.len() => {
                    star = Some((star_part, star_at + 1));
                    part = star_part + 1;
                    at = star_at + 1;
                }
                (None, _) => return false,
            }
        }
    }

    fn same(&self, value: &[u8], text: &[u8]) -> bool {
        if self.cased { value == text } else { value.eq_ignore_ascii_case(text) }
    }

    fn find(&self, value: &[u8], text: &[u8]) -> Option<usize> {
        if self.cased {
            return memchr::memmem::find(value, text);
        }
        let Some(first) = text.first() else { return Some(0) };
        let last_start = value.len().checked_sub(text.len())?;
        let mut from = 0;
        while from <= last_start {
            let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
            let at = from + memchr::memchr2(lower, upper, &value[from..=last_start])?;
            if value[at..at + text.len()].eq_ignore_ascii_case(text) {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    fn as_regex(&self) -> String {
        let mut out = String::from("^");
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(&regex::escape(&String::from_utf8_lossy(text))),
                Part::Any => out.push_str("(?s-u:.)*"),
                Part::One => out.push('.'),
            }
        }
        out.push('$');
        out
    }
}

fn push(literal: &mut Vec<u8>, character: char) {
    literal.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn flush(parts: &mut Vec<Part>, literal: &mut Vec<u8>, cased: bool) {
    if !literal.is_empty() {
        let text = std::mem::take(literal);
        parts.push(Part::Literal(if cased { text } else { text.to_ascii_lowercase() }));
    }
}

/// Bytes of the first character; 1 for what is no UTF-8.
fn character_length(value: &[u8]) -> usize {
    let length = match value[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let whole = value.get(..length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok());
    if whole { length } else { 1 }
}

fn in_network(value: &[u8], network: IpAddr, bits: u8) -> bool {
    let Some(address) = std::str::from_utf8(value).ok().and_then(|t| t.trim().parse().ok()) else {
        return false;
    };
    let same = |a: u128, b: u128, unused: u32| unused == 128 || (a ^ b) >> unused == 0;
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let unused = 32 - u32::from(bits);
            same(u32::from(a).into(), u32::from(b).into(), if unused == 32 { 128 } else { unused })
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128 - u32::from(bits)),
        // ::ffff:192.0.2.1 is 192.0.2.1
        (IpAddr::V6(a), IpAddr::V4(_)) => match a.to_ipv4_mapped() {
            Some(mapped) => in_network(mapped.to_string().as_bytes(), network, bits),
            None => false,
        },
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}
