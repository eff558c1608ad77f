//! The `detection` map: named selections and the condition over them.

use serde_yaml::{Mapping, Value};

use super::pattern::{Around, Matcher};
use super::{Compare, Condition, Source, condition};
use crate::place::Problem;

/// Most selections of one rule.
pub const SELECTIONS_MAX: usize = 256;

/// Most values of one test, after modifiers have multiplied them.
pub const VALUES_MAX: usize = 4096;

/// Deepest nesting of lists and maps in a selection.
pub const DEPTH_MAX: usize = 8;

/// What a rule looks for.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Named selections in the order in which they are written.
    pub selections: Vec<(String, Selection)>,
    /// When the rule matches; numbers are positions in `selections`.
    pub condition: Condition,
}

/// One selection.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Every test holds (a map).
    All(Vec<Test>),
    /// One of these holds (a list).
    Any(Vec<Selection>),
}

/// One field and its values; without a field: keywords, looked for anywhere in the event.
#[derive(Clone, Debug)]
pub struct Test {
    /// The field, or `None` for keywords.
    pub field: Option<String>,
    /// Whether all values must be accepted rather than one.
    pub all: bool,
    /// Whether the test holds when the values do not (`neq`).
    pub negated: bool,
    /// The values.
    pub values: Vec<Matcher>,
}

pub(super) fn parse(source: &Source<'_>, body: &Mapping) -> Result<Detection, Problem> {
    let mut selections = Vec::new();
    for (key, value) in body {
        let Some(name) = key.as_str() else {
            return Err(source.at("detection", "names of selections are texts"));
        };
        if name == "condition" {
            continue;
        }
        if name == "timeframe" {
            let message =
                "`timeframe` belongs to aggregations, which Sigma 2 removed: write a correlation";
            return Err(source.at(name, message));
        }
        if selections.len() == SELECTIONS_MAX {
            return Err(source.at(name, format!("more than {SELECTIONS_MAX} selections")));
        }
        selections.push((name.to_string(), selection(source, name, value, 0)?));
    }
    let names: Vec<&str> = selections.iter().map(|(name, _)| name.as_str()).collect();
    let condition = match body.get("condition") {
        Some(Value::String(text)) => condition::parse(text, &names),
        Some(Value::Sequence(list)) if !list.is_empty() => list
            .iter()
            .map(|one| match one {
                Value::String(text) => condition::parse(text, &names),
                _ => Err("a condition is a text".into()),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Condition::Or),
        _ => Err("a rule needs a `condition`".into()),
    };
    let condition = condition.map_err(|message| source.at("condition", message))?;
    Ok(Detection { selections, condition })
}

fn selection(
    source: &Source<'_>,
    name: &str,
    value: &Value,
    depth: usize,
) -> Result<Selection, Problem> {
    if depth == DEPTH_MAX {
        return Err(source.at(name, format!("nested deeper than {DEPTH_MAX}")));
    }
    match value {
        Value::Mapping(map) => {
            let tests = map.iter().map(|(key, value)| match key.as_str() {
                Some(key) => test(source, key, value),
                None => Err(source.at(name, "names of fields are texts")),
            });
            Ok(Selection::All(tests.collect::<Result<_, _>>()?))
        }
        Value::Sequence(list) if list.iter().any(|v| v.is_mapping() || v.is_sequence()) => {
            let parts = list.iter().map(|part| selection(source, name, part, depth + 1));
            Ok(Selection::Any(parts.collect::<Result<_, _>>()?))
        }
        keywords => {
            let mut test =
                test(source, "", keywords).map_err(|problem| source.at(name, problem.message))?;
            test.field = None;
            Ok(Selection::All(vec![test]))
        }
    }
}

/// The modifiers of one test.
struct Modifiers<'a> {
    around: Around,
    all: bool,
    cased: bool,
    negated: bool,
    windash: bool,
    /// UTF-16 little endian, before base64.
    wide: bool,
    base64: Option<Base64>,
    kind: ValueKind<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base64 {
    Plain,
    AnyOffset,
}

enum ValueKind<'a> {
    Text,
    Regex(&'a str),
    Network,
    Exists,
    Number(Compare),
    Field,
}

fn modifiers(list: &[&'static str]) -> Result<Modifiers<'static>, String> {
    let mut out = Modifiers {
        around: Around::Whole,
        all: false,
        cased: false,
        negated: false,
        windash: false,
        wide: false,
        base64: None,
        kind: ValueKind::Text,
    };
    for modifier in list {
        match *modifier {
            "contains" => out.around = Around::Contains,
            "startswith" => out.around = Around::Start,
            "endswith" => out.around = Around::End,
            "all" => out.all = true,
            "cased" => out.cased = true,
            "neq" => out.negated = true,
            "windash" => out.windash = true,
            "wide" | "utf16le" => out.wide = true,
            "base64" => out.base64 = Some(Base64::Plain),
            "base64offset" => out.base64 = Some(Base64::AnyOffset),
            "re" => out.kind = ValueKind::Regex(""),
            flag @ ("i" | "m" | "s") => match out.kind {
                ValueKind::Regex("") => out.kind = ValueKind::Regex(flag),
                ValueKind::Regex(_) => return Err("one flag after `re` at most".into()),
                _ => return Err(format!("modifier `{flag}` follows `re` only")),
            },
            "cidr" => out.kind = ValueKind::Network,
            "exists" => out.kind = ValueKind::Exists,
            "fieldref" => out.kind = ValueKind::Field,
            "gt" => out.kind = ValueKind::Number(Compare::Above),
            "gte" => out.kind = ValueKind::Number(Compare::AtLeast),
            "lt" => out.kind = ValueKind::Number(Compare::Below),
            "lte" => out.kind = ValueKind::Number(Compare::AtMost),
            other => return Err(format!("unknown modifier `{other}`")),
        }
    }
    Ok(out)
}

/// Every modifier there is; a fixed list lets the parsed ones borrow from here.
const KNOWN: [&str; 22] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "cased",
    "neq",
    "windash",
    "wide",
    "utf16le",
    "base64",
    "base64offset",
    "re",
    "i",
    "m",
    "s",
    "cidr",
    "exists",
    "fieldref",
    "gt",
    "gte",
    "lt",
    "lte",
];

fn test(source: &Source<'_>, key: &str, value: &Value) -> Result<Test, Problem> {
    let wrong = |message: String| source.at(key, message);
    let mut parts = key.split('|');
    let field = parts.next().unwrap_or_default();
    let list: Vec<&'static str> = parts
        .map(|name| {
            let known = KNOWN.iter().find(|known| **known == name).copied();
            known.ok_or_else(|| wrong(format!("unknown modifier `{}`", printable(name))))
        })
        .collect::<Result<_, _>>()?;
    let modifiers = modifiers(&list).map_err(wrong)?;
    let values: &[Value] = match value {
        Value::Sequence(list) => list,
        one => std::slice::from_ref(one),
    };
    let mut matchers = Vec::new();
    for value in values {
        add(&mut matchers, value, &modifiers, field.is_empty()).map_err(wrong)?;
        if matchers.len() > VALUES_MAX {
            return Err(wrong(format!("more than {VALUES_MAX} values")));
        }
    }
    let field = (!field.is_empty()).then(|| field.to_string());
    Ok(Test { field, all: modifiers.all, negated: modifiers.negated, values: matchers })
}

fn add(
    matchers: &mut Vec<Matcher>,
    value: &Value,
    modifiers: &Modifiers<'_>,
    keyword: bool,
) -> Result<(), String> {
    let text = match value {
        Value::Null => {
            matchers.push(Matcher::Null);
            return Ok(());
        }
        Value::Bool(flag) if matches!(modifiers.kind, ValueKind::Exists) => {
            matchers.push(Matcher::Exists(*flag));
            return Ok(());
        }
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err("a value is a text, a number, a boolean or null".into()),
    };
    let matcher = match modifiers.kind {
        ValueKind::Exists => return Err("`exists` takes true or false".into()),
        ValueKind::Regex(flags) => Matcher::regex(&text, flags)?,
        ValueKind::Network => Matcher::network(&text).ok_or("not a network in CIDR notation")?,
        ValueKind::Number(compare) => {
            Matcher::Number(compare, text.trim().parse().map_err(|_| "not a number")?)
        }
        ValueKind::Field => Matcher::Field(text, modifiers.around),
        // A keyword is looked for anywhere in the event.
        ValueKind::Text => {
            let around = if keyword { Around::Contains } else { modifiers.around };
            return add_texts(matchers, &text, modifiers, around);
        }
    };
    matchers.push(matcher);
    Ok(())
}

fn add_texts(
    matchers: &mut Vec<Matcher>,
    text: &str,
    modifiers: &Modifiers<'_>,
    around: Around,
) -> Result<(), String> {
    let mut texts = vec![text.to_string()];
    if modifiers.windash {
        texts = dashes(text);
    }
    let Some(base64) = modifiers.base64 else {
        if modifiers.wide {
            return Err("`wide` and `utf16le` are followed by `base64` or `base64offset`".into());
        }
        for text in texts {
            matchers.push(Matcher::text(&text, around, modifiers.cased)?);
        }
        return Ok(());
    };
    for text in texts {
        let bytes: Vec<u8> = if modifiers.wide {
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            text.into_bytes()
        };
        let offsets = if base64 == Base64::AnyOffset { 0..3 } else { 0..1 };
        for offset in offsets {
            let encoded = match base64 {
                Base64::Plain => encode(&bytes),
                Base64::AnyOffset => encode_at(&bytes, offset),
            };
            // base64 tells cases apart
            matchers.push(Matcher::text(&encoded, around, true)?);
        }
    }
    Ok(())
}

/// The text with each of the dashes that Windows programs accept for the dash or slash of an option.
fn dashes(text: &str) -> Vec<String> {
    const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
    let starts_option = |at: usize| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || matches!(c, '*' | '"' | '\''))
    };
    let found = text.char_indices().find(|(at, c)| matches!(c, '-' | '/') && starts_option(*at));
    match found {
        None => vec![text.to_string()],
        Some((at, _)) => {
            DASHES.iter().map(|dash| format!("{}{dash}{}", &text[..at], &text[at + 1..])).collect()
        }
    }
}

/// The middle of the encoding that stays the same whatever stands before and after.
fn encode_at(bytes: &[u8], offset: usize) -> String {
    let padded = [&vec![b' '; offset][..], bytes].concat();
    let encoded = encode(&padded);
    let start = [0, 2, 3][offset];
    let cut = [0, 3, 2][padded.len() % 3];
    encoded[start.min(encoded.len())..(encoded.len() - cut).max(start)].to_string()
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
