//! Value modifiers: what stands after the field name, applied to each value in the order in which it is
//! written, as Sigma asks.
//!
//! A combination that means nothing (`re` after `base64`, `gt` for a keyword) is an error: ignoring a
//! modifier would make a rule match something else than its author meant.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::Compare;
use super::expression::{Expression, Flags};
use super::moment::Part as TimePart;
use super::pattern::{Around, Matcher, Part, around, parts};
use super::values::Test;

/// Most values of one test, after modifiers have multiplied them.
pub const VALUES_MAX: usize = 4096;

/// Most dashes of one value that `windash` makes all forms of.
pub const DASHES_MAX: usize = 3;

/// The values of placeholders (`%name%`) for the modifier `expand`, by name.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// What the modifiers say besides changing values.
#[derive(Default)]
struct Chain {
    all: bool,
    cased: bool,
    negated: bool,
    /// base64 tells letters apart, whatever the rule says.
    encoded: bool,
    around: Option<Around>,
    kind: Kind,
}

/// What a value is.
#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    Text,
    Regex(Flags),
    Network,
    Exists,
    Number(Compare),
    Field,
    Time(TimePart, Compare),
}

/// A value on its way through the modifiers.
enum Work {
    Null,
    Flag(bool),
    /// Still as it is written.
    Written(String),
    Parts(Vec<Part>),
}

/// Reads one test: `field|modifier|…` and its value or values.
pub(super) fn test(key: &str, value: &Value, placeholders: &Placeholders) -> Result<Test, String> {
    let mut names = key.split('|');
    let field = names.next().unwrap_or_default();
    let names: Vec<&str> = names.collect();
    let listed: &[Value] = match value {
        Value::Sequence(list) => list,
        one => std::slice::from_ref(one),
    };
    let mut works = Vec::with_capacity(listed.len());
    for value in listed {
        works.push(match value {
            Value::Null => Work::Null,
            Value::Bool(flag) => Work::Flag(*flag),
            Value::Number(number) => Work::Written(number.to_string()),
            Value::String(text) => Work::Written(text.clone()),
            _ => return Err("a value is a text, a number, a boolean or null".into()),
        });
    }
    let mut chain = Chain::default();
    for (at, name) in names.iter().enumerate() {
        works = apply(name, &names[..at], &mut chain, works, placeholders)?;
        if works.len() > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
    }
    let keyword = field.is_empty();
    if keyword && !matches!(chain.kind, Kind::Text | Kind::Regex(_)) {
        return Err("a keyword is a text or a regular expression".into());
    }
    let values = works.into_iter().map(|work| finished(work, &chain, keyword));
    let values = values.collect::<Result<Vec<_>, String>>()?;
    if values.len() > VALUES_MAX {
        return Err(format!("more than {VALUES_MAX} values"));
    }
    let field = (!keyword).then(|| field.to_string());
    Ok(Test::new(field, chain.all, chain.negated, values))
}

fn apply(
    name: &str,
    before: &[&str],
    chain: &mut Chain,
    works: Vec<Work>,
    placeholders: &Placeholders,
) -> Result<Vec<Work>, String> {
    match name {
        "all" => chain.all = true,
        "cased" => chain.cased = true,
        "neq" => chain.negated = true,
        "contains" | "startswith" | "endswith" => {
            let side = match name {
                "contains" => Around::Contains,
                "startswith" => Around::Start,
                _ => Around::End,
            };
            surrounded(side, chain)?;
        }
        "i" | "m" | "s" => match &mut chain.kind {
            Kind::Regex(flags) => match name {
                "i" => flags.ignore_case = true,
                "m" => flags.multi_line = true,
                _ => flags.dot_all = true,
            },
            _ => return Err(format!("modifier `{name}` follows `re` only")),
        },
        "expand" => return each_text(works, |text| expanded(text, placeholders)),
        "windash" | "wide" | "utf16le" | "utf16be" | "utf16" | "base64" | "base64offset" => {
            if chain.kind != Kind::Text {
                return Err(format!("modifier `{name}` is for plain texts"));
            }
            chain.encoded |= name.starts_with("base64");
            return each_parts(works, |parts| transformed(name, parts));
        }
        "gt" | "gte" | "lt" | "lte" if matches!(chain.kind, Kind::Time(..)) => {
            let Kind::Time(part, _) = chain.kind else { return Ok(works) };
            chain.kind = Kind::Time(part, comparison(name)?);
        }
        _ => {
            let kind = kind(name)?;
            let plain = |name: &&str| matches!(*name, "all" | "neq" | "cased" | "expand");
            let around = kind == Kind::Field;
            let fits = |name: &&str| {
                plain(name) || around && matches!(*name, "contains" | "startswith" | "endswith")
            };
            if chain.kind != Kind::Text || !before.iter().all(fits) {
                return Err(format!("modifier `{name}` is for values as they are written"));
            }
            chain.kind = kind;
        }
    }
    Ok(works)
}

fn kind(name: &str) -> Result<Kind, String> {
    Ok(match name {
        "re" => Kind::Regex(Flags::default()),
        "cidr" => Kind::Network,
        "exists" => Kind::Exists,
        "fieldref" => Kind::Field,
        "gt" | "gte" | "lt" | "lte" => Kind::Number(comparison(name)?),
        other => match TimePart::named(other) {
            Some(part) => Kind::Time(part, Compare::Equal),
            None => return Err(format!("unknown modifier `{}`", printable(other))),
        },
    })
}

fn comparison(name: &str) -> Result<Compare, String> {
    Ok(match name {
        "gt" => Compare::Above,
        "gte" => Compare::AtLeast,
        "lt" => Compare::Below,
        "lte" => Compare::AtMost,
        other => return Err(format!("unknown comparison `{}`", printable(other))),
    })
}

/// Where the text has to stand; wildcards are put around it at last.
fn surrounded(side: Around, chain: &mut Chain) -> Result<(), String> {
    if chain.around.is_some_and(|known| known != side) {
        return Err("one of `contains`, `startswith` and `endswith` at most".into());
    }
    let fits = match chain.kind {
        Kind::Text | Kind::Field => true,
        // an expression is looked for anywhere as it is
        Kind::Regex(_) => side == Around::Contains,
        _ => false,
    };
    if !fits {
        return Err("`contains`, `startswith` and `endswith` are for texts".into());
    }
    chain.around = Some(side);
    Ok(())
}

/// The value as it is asked.
fn finished(work: Work, chain: &Chain, keyword: bool) -> Result<Matcher, String> {
    let written = match work {
        Work::Null if chain.kind == Kind::Exists => {
            return Err("`exists` takes true or false".into());
        }
        Work::Null => return Ok(Matcher::Null),
        Work::Flag(flag) if chain.kind == Kind::Exists => return Ok(Matcher::Exists(flag)),
        Work::Flag(flag) => flag.to_string(),
        Work::Parts(parts) => return text(parts, chain, keyword),
        Work::Written(text) => text,
    };
    match chain.kind {
        Kind::Text => text(parts(&written)?, chain, keyword),
        Kind::Regex(flags) => Expression::new(&written, flags).map(Matcher::Regex),
        Kind::Network => {
            Matcher::network(&written).ok_or_else(|| "not a network in CIDR notation".into())
        }
        Kind::Exists => Err("`exists` takes true or false".into()),
        Kind::Number(compare) => Ok(Matcher::Number(compare, number(&written)?)),
        Kind::Time(part, compare) => Ok(Matcher::Time(part, compare, number(&written)?)),
        Kind::Field if written.contains(['*', '?']) => {
            Err("the name of a field holds no wildcards".into())
        }
        Kind::Field => {
            Ok(Matcher::Field(written, chain.around.unwrap_or(Around::Whole), chain.cased))
        }
    }
}

fn text(parts: Vec<Part>, chain: &Chain, keyword: bool) -> Result<Matcher, String> {
    // A keyword is looked for anywhere in the event.
    let side = if keyword { Some(Around::Contains) } else { chain.around };
    let parts = match side {
        Some(side) => around(parts, side),
        None => parts,
    };
    Matcher::of_parts(parts, chain.cased || chain.encoded)
}

fn number(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim().parse().map_err(|_| "not a number")?;
    if number.is_finite() { Ok(number) } else { Err("not a number".into()) }
}

/// Replaces each text by others; null and booleans stay.
fn each_text(
    works: Vec<Work>,
    change: impl Fn(&str) -> Result<Vec<String>, String>,
) -> Result<Vec<Work>, String> {
    let mut out = Vec::with_capacity(works.len());
    for work in works {
        match work {
            Work::Written(text) => out.extend(change(&text)?.into_iter().map(Work::Written)),
            Work::Parts(_) => return Err("`expand` comes before what changes a text".into()),
            other => out.push(other),
        }
        if out.len() > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
    }
    Ok(out)
}

/// Replaces the parts of each text by others.
fn each_parts(
    works: Vec<Work>,
    change: impl Fn(Vec<Part>) -> Result<Vec<Vec<Part>>, String>,
) -> Result<Vec<Work>, String> {
    let mut out = Vec::with_capacity(works.len());
    for work in works {
        let found = match work {
            Work::Written(text) => parts(&text)?,
            Work::Parts(parts) => parts,
            Work::Flag(flag) => parts(&flag.to_string())?,
            Work::Null => {
                out.push(Work::Null);
                continue;
            }
        };
        out.extend(change(found)?.into_iter().map(Work::Parts));
        if out.len() > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
    }
    Ok(out)
}

fn transformed(name: &str, parts: Vec<Part>) -> Result<Vec<Vec<Part>>, String> {
    match name {
        "windash" => dashes(parts),
        "wide" | "utf16le" => wide(parts, "", u16::to_le_bytes).map(|parts| vec![parts]),
        "utf16" => wide(parts, "\u{feff}", u16::to_le_bytes).map(|parts| vec![parts]),
        "utf16be" => wide(parts, "", u16::to_be_bytes).map(|parts| vec![parts]),
        _ => {
            let bytes = match parts.as_slice() {
                [] => &[][..],
                [Part::Literal(bytes)] => bytes,
                _ => return Err("base64 of a text with wildcards".into()),
            };
            let offsets = if name == "base64offset" { 1..4 } else { 0..1 };
            let encoded = offsets.map(|offset| match offset {
                0 => encode(bytes),
                offset => encode_at(bytes, offset - 1),
            });
            Ok(encoded.map(|text| vec![Part::Literal(text.into_bytes())]).collect())
        }
    }
}

/// UTF-16 of the letters; wildcards stay.
fn wide(parts: Vec<Part>, mark: &str, bytes: fn(u16) -> [u8; 2]) -> Result<Vec<Part>, String> {
    let mut out = Vec::new();
    if !mark.is_empty() {
        out.push(Part::Literal(mark.encode_utf16().flat_map(bytes).collect()));
    }
    for part in parts {
        let Part::Literal(text) = part else {
            out.push(part);
            continue;
        };
        let text = std::str::from_utf8(&text).map_err(|_| "encoded twice")?;
        let encoded: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        match out.last_mut() {
            Some(Part::Literal(before)) => before.extend(encoded),
            _ => out.push(Part::Literal(encoded)),
        }
    }
    Ok(out)
}

/// The text in every form of the dashes and slashes that begin an option: those that Windows programs
/// take for one another.
fn dashes(parts: Vec<Part>) -> Result<Vec<Vec<Part>>, String> {
    const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
    let mut found = Vec::new();
    let mut before_part = None;
    for (index, part) in parts.iter().enumerate() {
        let Part::Literal(text) = part else {
            before_part = None;
            continue;
        };
        let text = std::str::from_utf8(text).map_err(|_| "`windash` after an encoding")?;
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let mut before: Option<char> = before_part;
        for (at, character) in text.char_indices() {
            let after = text[at + character.len_utf8()..].chars().next();
            if DASHES.contains(&character) && !word(before) && word(after) {
                found.push((index, at, character.len_utf8()));
            }
            before = Some(character);
        }
        before_part = before;
    }
    if found.len() > DASHES_MAX {
        return Err(format!("`windash` for more than {DASHES_MAX} dashes in one value"));
    }
    let mut forms = vec![parts];
    // from the last, so that the places before stay where they are
    for (index, at, length) in found.into_iter().rev() {
        forms = forms
            .into_iter()
            .flat_map(|form| {
                DASHES.map(|dash| {
                    let mut form = form.clone();
                    if let Some(Part::Literal(text)) = form.get_mut(index) {
                        let dash = dash.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
                        text.splice(at..at + length, dash);
                    }
                    form
                })
            })
            .collect();
    }
    Ok(forms)
}

/// Each placeholder replaced by each of its values; `\%` is a percent sign.
fn expanded(text: &str, placeholders: &Placeholders) -> Result<Vec<String>, String> {
    let mut forms = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find(['%', '\\']) {
        let (plain, marked) = rest.split_at(at);
        forms.iter_mut().for_each(|form| form.push_str(plain));
        if let Some(after) = marked.strip_prefix(r"\%") {
            forms.iter_mut().for_each(|form| form.push('%'));
            rest = after;
            continue;
        }
        let inner = marked.strip_prefix('%').and_then(|inner| inner.split_once('%'));
        let Some((name, after)) = inner.filter(|(name, _)| is_name(name)) else {
            forms.iter_mut().for_each(|form| form.push_str(&marked[..1]));
            rest = &marked[1..];
            continue;
        };
        let values = placeholders
            .get(name)
            .ok_or_else(|| format!("no value is given for the placeholder `%{name}%`"))?;
        if forms.len().saturating_mul(values.len()) > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
        forms = forms
            .iter()
            .flat_map(|form| values.iter().map(move |value| format!("{form}{value}")))
            .collect();
        rest = after;
    }
    forms.iter_mut().for_each(|form| form.push_str(rest));
    Ok(forms)
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The middle of the encoding that stays the same whatever stands before and after.
fn encode_at(bytes: &[u8], offset: usize) -> String {
    let padded = [&vec![b' '; offset][..], bytes].concat();
    let encoded = encode(&padded);
    let start = [0, 2, 3][offset];
    let cut = [0, 3, 2][padded.len() % 3];
    encoded[start.min(encoded.len())..(encoded.len() - cut).max(start.min(encoded.len()))]
        .to_string()
}

/// RFC 4648, section 4.
fn encode(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(32).collect()
}
