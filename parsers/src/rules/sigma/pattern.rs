//! What one value of a rule accepts: wildcard patterns, regular expressions, networks, numbers.
//!
//! Patterns ignore case unless `cased`, as Sigma asks. Texts with letters beyond ASCII become regular
//! expressions, so that their case is ignored too. Matching is linear in the value for everything but
//! patterns with inner wildcards, whose cost is the value's length times the pattern's.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Compare;
use super::expression::{Expression, Flags, SOURCE_BYTES_MAX};
use super::moment::Part as TimePart;

/// Most characters of one pattern.
pub const PATTERN_CHARS_MAX: usize = 4096;

/// One value of a rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Matcher {
    /// The field is absent or empty.
    Null,
    /// The field is there (`true`) or not.
    Exists(bool),
    /// A text with wildcards.
    Pattern(Pattern),
    /// A regular expression, found anywhere.
    Regex(Expression),
    /// A network in CIDR notation.
    Network(IpAddr, u8),
    /// A number compared.
    Number(Compare, f64),
    /// Another field: how the two are compared, and whether case matters.
    Field(String, Around, bool),
    /// A part of a date and time, compared.
    Time(TimePart, Compare, f64),
}

/// Where in the value a text has to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether `text` stands so in `value`.
    pub fn stands(self, value: &[u8], text: &[u8], cased: bool) -> bool {
        let length = text.len();
        match self {
            Self::Whole => same(value, text, cased),
            Self::Contains => find(value, text, 0, cased).is_some(),
            Self::Start => value.get(..length).is_some_and(|start| same(start, text, cased)),
            Self::End => value
                .len()
                .checked_sub(length)
                .is_some_and(|from| same(&value[from..], text, cased)),
        }
    }
}

/// A text with `*` (any run) and `?` (any one character).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    parts: Vec<Part>,
    cased: bool,
    /// In a text looked for anywhere: the byte that is looked for first, a rare one.
    anchor: usize,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Literal(Vec<u8>),
    Any,
    One,
}

/// The forms of texts that are asked without looking at every wildcard.
pub(super) enum Shape<'a> {
    Whole(&'a [u8]),
    Anywhere(&'a [u8]),
    Start(&'a [u8]),
    End(&'a [u8]),
    Other,
}

impl Matcher {
    /// Whether a value that is there is accepted. `Null`, `Exists` and `Field` are decided by who
    /// knows the other fields: here they accept only an empty value, any value, and nothing.
    pub fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Null => value.is_empty(),
            Self::Exists(wanted) => *wanted,
            Self::Pattern(pattern) => pattern.accepts(value),
            Self::Regex(regex) => regex.accepts(value),
            Self::Network(network, bits) => in_network(value, *network, *bits),
            Self::Number(compare, bound) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse::<f64>().ok())
                .is_some_and(|number| compare.holds(number, *bound)),
            Self::Field(..) => false,
            Self::Time(part, compare, bound) => {
                part.of(value).is_some_and(|number| compare.holds(number, *bound))
            }
        }
    }

    /// Whether it asks for more than the field's value: other fields, or that it is absent.
    pub fn relates(&self) -> bool {
        matches!(self, Self::Null | Self::Exists(_) | Self::Field(..))
    }

    /// Whether it is within the bounds of what is read from a rule file.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Network(network, bits) => *bits <= if network.is_ipv4() { 32 } else { 128 },
            Self::Regex(expression) => expression.source().len() <= SOURCE_BYTES_MAX,
            _ => true,
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

    /// Texts in lower case of which every accepted value holds one (compared without case).
    pub fn required_any(&self) -> Option<Vec<Vec<u8>>> {
        match self {
            Self::Regex(expression) => expression.required().map(<[_]>::to_vec),
            other => other.required().map(|text| vec![text]),
        }
    }

    pub(super) fn of_parts(parts: Vec<Part>, cased: bool) -> Result<Self, String> {
        let bytes: usize = parts.iter().map(Part::len).sum();
        if bytes > 4 * PATTERN_CHARS_MAX {
            return Err(format!("a pattern of more than {PATTERN_CHARS_MAX} characters"));
        }
        let text = |part: &Part| match part {
            Part::Literal(text) => std::str::from_utf8(text).is_ok_and(|text| !text.is_ascii()),
            _ => false,
        };
        // The case of letters beyond ASCII is ignored too: by a regular expression.
        if !cased && parts.iter().any(text) {
            let flags = Flags { ignore_case: true, dot_all: true, ..Flags::default() };
            return Expression::new(&as_regex(&parts), flags).map(Self::Regex);
        }
        Ok(Self::Pattern(Pattern::of_parts(parts, cased)))
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

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Any | Self::One => 1,
        }
    }
}

/// Reads a Sigma text: `\*`, `\?` and `\\` are the characters themselves, any other backslash is a
/// backslash.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, String> {
    if source.chars().count() > PATTERN_CHARS_MAX {
        return Err(format!("a pattern of more than {PATTERN_CHARS_MAX} characters"));
    }
    let mut parts = Vec::new();
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
        flush(&mut parts, &mut literal);
        if wildcard != Part::Any || parts.last() != Some(&Part::Any) {
            parts.push(wildcard);
        }
    }
    flush(&mut parts, &mut literal);
    Ok(parts)
}

/// The parts with wildcards around them.
pub(super) fn around(mut parts: Vec<Part>, around: Around) -> Vec<Part> {
    let before = matches!(around, Around::Contains | Around::End);
    if before && parts.first() != Some(&Part::Any) {
        parts.insert(0, Part::Any);
    }
    let after = matches!(around, Around::Contains | Around::Start);
    if after && parts.last() != Some(&Part::Any) {
        parts.push(Part::Any);
    }
    parts
}

impl Pattern {
    pub(super) fn of_parts(mut parts: Vec<Part>, cased: bool) -> Self {
        if !cased {
            for part in &mut parts {
                if let Part::Literal(text) = part {
                    text.make_ascii_lowercase();
                }
            }
        }
        let anchor = match parts.as_slice() {
            [Part::Any, Part::Literal(text), Part::Any] => rarest(text),
            _ => 0,
        };
        Self { parts, cased, anchor }
    }

    pub(super) fn cased(&self) -> bool {
        self.cased
    }

    pub(super) fn shape(&self) -> Shape<'_> {
        match self.parts.as_slice() {
            [] => Shape::Whole(&[]),
            [Part::Literal(text)] => Shape::Whole(text),
            [Part::Literal(text), Part::Any] => Shape::Start(text),
            [Part::Any, Part::Literal(text)] => Shape::End(text),
            [Part::Any, Part::Literal(text), Part::Any] => Shape::Anywhere(text),
            _ => Shape::Other,
        }
    }

    /// Whether the whole value is of this form.
    pub fn accepts(&self, value: &[u8]) -> bool {
        match self.shape() {
            Shape::Whole(text) => same(value, text, self.cased),
            Shape::Start(text) => Around::Start.stands(value, text, self.cased),
            Shape::End(text) => Around::End.stands(value, text, self.cased),
            Shape::Anywhere(text) => find(value, text, self.anchor, self.cased).is_some(),
            Shape::Other => self.parts == [Part::Any] || self.glob(&self.parts, value),
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
                    .filter(|found| same(found, text, self.cased))
                    .map(<[u8]>::len),
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
}

fn same(value: &[u8], text: &[u8], cased: bool) -> bool {
    if cased { value == text } else { value.eq_ignore_ascii_case(text) }
}

/// Where the text first stands; `anchor` is the position of the byte in it that is looked for.
pub(super) fn find(value: &[u8], text: &[u8], anchor: usize, cased: bool) -> Option<usize> {
    if cased {
        return memchr::memmem::find(value, text);
    }
    let Some(byte) = text.get(anchor) else { return Some(0) };
    let last_start = value.len().checked_sub(text.len())?;
    let (lower, upper) = (byte.to_ascii_lowercase(), byte.to_ascii_uppercase());
    let mut from = 0;
    while from <= last_start {
        let at = from + memchr::memchr2(lower, upper, &value[from + anchor..=last_start + anchor])?;
        if value[at..at + text.len()].eq_ignore_ascii_case(text) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The position of the byte that is seldom in logs.
fn rarest(text: &[u8]) -> usize {
    const COMMON_FIRST: &[u8] = b" etaoinsrhldcumpfgbwyvk0123456789.-/:=_,\"'()[]xjqz";
    let rank = |byte: &u8| {
        let place = COMMON_FIRST.iter().position(|known| *known == byte.to_ascii_lowercase());
        place.unwrap_or(COMMON_FIRST.len())
    };
    (0..text.len()).max_by_key(|at| rank(&text[*at])).unwrap_or(0)
}

fn as_regex(parts: &[Part]) -> String {
    let mut out = String::from(r"\A");
    for part in parts {
        match part {
            Part::Literal(text) => out.push_str(&regex::escape(&String::from_utf8_lossy(text))),
            Part::Any => out.push_str(".*"),
            Part::One => out.push('.'),
        }
    }
    out.push_str(r"\z");
    out
}

fn push(literal: &mut Vec<u8>, character: char) {
    literal.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn flush(parts: &mut Vec<Part>, literal: &mut Vec<u8>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
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
