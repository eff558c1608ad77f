//! One way to write a date, as a regular expression with named fields.
//!
//! A pattern is a regular expression with `%` fields. Unless it says otherwise it stands at the
//! boundaries of words; `^` and `{^LN-BEG}` tie it to the start of the line, `**` and `{UNB}` set it free.
//! Of each match the first group (the whole pattern, if it has none) is cut out of the line.

use std::sync::OnceLock;

use super::super::pattern::{Lines, Machine, Pattern, PatternError, Undecided};
use super::moment::{Fields, Moment, offset_minutes};

/// A way to write a date.
#[derive(Debug)]
pub struct Template {
    /// Its pattern, as it was written.
    pub name: String,
    regex: String,
    reading: Reading,
    /// Made when it is first needed: most logs need one of many.
    compiled: OnceLock<Option<Compiled>>,
    /// Whether it is tied to the start or the end of the line.
    pub(super) tied: bool,
    pub(super) tied_to_start: bool,
}

#[derive(Debug)]
struct Compiled {
    pattern: Pattern,
    fields: Vec<(char, usize)>,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Fields,
    /// Seconds since the epoch in this group, and whether milliseconds may be written.
    Epoch {
        group: usize,
        long: bool,
    },
    Tai64n,
}

/// A date found in a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Where the match begins.
    pub(super) distance: usize,
    /// Where the text of the date begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it says, if it is a date at all.
    pub moment: Option<Moment>,
}

/// How a pattern begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    Word,
    Line,
    Free,
}

impl Template {
    /// A template of a pattern; `last_year` is the last year that `%ExY` takes for one.
    pub(super) fn new(text: &str, last_year: i16) -> Result<Self, PatternError> {
        let upper = if text.contains('%') { text.to_string() } else { text.to_uppercase() };
        let plain = upper.strip_prefix("{^LN-BEG}").or_else(|| upper.strip_prefix('^'));
        let at_start = plain.is_some();
        match plain.unwrap_or(&upper) {
            "EPOCH" | "LEPOCH" => return Self::epoch(text, at_start, upper.contains("LEPOCH")),
            "TAI64N" => {
                let begin = if at_start { Begin::Line } else { Begin::Free };
                return Self::bound(text, "(@[0-9a-f]{24})", begin, true, Reading::Tai64n);
            }
            _ => {}
        }
        if let Some((before, after)) = epoch_tag(text) {
            let long = upper.contains("{LEPOCH}");
            let regex = format!("({before}({}){after})", epoch_digits(long));
            return Self::bound(text, &regex, Begin::Word, true, Reading::Epoch { group: 2, long });
        }
        let (body, begin, end) = match text.strip_prefix("{UNB}") {
            Some(body) => (body, Begin::Free, false),
            None => match text.strip_prefix("{^LN-BEG}") {
                Some(body) => (body, Begin::Line, true),
                None => (text, Begin::Word, true),
            },
        };
        let (regex, alphabetic) = fields(body, last_year)?;
        let regex = if alphabetic { format!("(?i){regex}") } else { regex };
        Self::bound(text, &regex, begin, end, Reading::Fields)
    }

    fn epoch(text: &str, at_start: bool, long: bool) -> Result<Self, PatternError> {
        let digits = epoch_digits(long);
        let reading = Reading::Epoch { group: 1, long };
        if at_start {
            let regex = format!(r"((?P<square>(?<=^\[))?{digits})(?(square)(?=\]))");
            return Self::bound(text, &regex, Begin::Line, true, reading);
        }
        let regex = format!(
            r"((?:^|(?P<square>(?<=^\[))|(?P<audit>(?<=\baudit\())){digits})(?:(?(audit)(?=:\d+\)))|(?(square)(?=\])))"
        );
        Self::bound(text, &regex, Begin::Free, true, reading)
    }

    /// Sets the boundaries that are wanted and not written.
    fn bound(
        name: &str,
        regex: &str,
        begin: Begin,
        end: bool,
        reading: Reading,
    ) -> Result<Self, PatternError> {
        let regex = regex.trim();
        let (flags, regex) = match regex.strip_prefix("(?i)") {
            Some(rest) => ("(?i)", rest),
            None => ("", regex),
        };
        let begin = if begins_itself(regex) { Begin::Free } else { begin };
        let end = end && !ends_itself(regex);
        let mut whole = if has_group(regex) { regex.to_string() } else { grouped(regex) };
        let open = whole.trim_start_matches('(');
        let (tied_to_start, tied_to_end) = match begin {
            Begin::Line => (true, false),
            _ => (
                whole.starts_with('^')
                    || ["(^", "(?:^"].iter().any(|start| {
                        whole.strip_prefix(start).is_some_and(|rest| !rest.starts_with('|'))
                    }),
                !end && (whole.ends_with('$') || whole.ends_with("$)")) && !whole.ends_with("|$)"),
            ),
        };
        if open.starts_with("**") {
            let opened = whole.len() - open.len();
            whole.replace_range(opened..opened + 2, "");
        }
        let closed = whole.trim_end_matches(')').len();
        if whole[..closed].ends_with("**") && !whole[..closed].ends_with(r"\**") {
            whole.replace_range(closed - 2..closed, "");
        }
        let before = match begin {
            Begin::Free => "",
            Begin::Word => r"(?:^|\b|(?=\W))",
            Begin::Line => r"^\W{0,2}",
        };
        let after = if end { r"(?:\b|(?=\W)|$)" } else { "" };
        let regex = format!("{flags}{before}{whole}{after}");
        let (compiled, tied) = (OnceLock::new(), tied_to_start || tied_to_end);
        Ok(Self { name: name.to_string(), regex, reading, compiled, tied, tied_to_start })
    }

    /// Compiles it now, to know what is wrong with it.
    pub(super) fn checked(self) -> Result<Self, PatternError> {
        let compiled = Compiled::new(&self.regex)?;
        // Nobody else knows of it yet.
        let _ = self.compiled.set(Some(compiled));
        Ok(self)
    }

    /// Looks for a date in a line.
    pub(super) fn find(
        &self,
        line: &str,
        machine: &mut Machine,
    ) -> Result<Option<Found>, Undecided> {
        let compiled = self.compiled.get_or_init(|| Compiled::new(&self.regex).ok());
        let Some(Compiled { pattern, fields }) = compiled else { return Ok(None) };
        if !pattern.search(line, machine)? {
            return Ok(None);
        }
        let (distance, _) = pattern.group(machine, 0).unwrap_or_default();
        let Some((start, end)) = pattern.group(machine, 1) else { return Ok(None) };
        let text = |group: usize| {
            let (start, end) = pattern.group(machine, group)?;
            line.get(start..end)
        };
        let moment = match &self.reading {
            // A date that may be left out, and is.
            _ if start == end => None,
            Reading::Fields => read_fields(fields, text).map(Moment::Fields),
            Reading::Epoch { group, long } => text(*group).and_then(|t| read_epoch(t, *long)),
            Reading::Tai64n => text(1).and_then(|text| {
                let seconds = i64::from_str_radix(text.get(2..17)?, 16).ok()?;
                #[allow(clippy::cast_precision_loss)]
                // 60 bits of hostile text, seconds of real text
                Some(Moment::Epoch(seconds as f64))
            }),
        };
        Ok(Some(Found { distance, start, end, moment }))
    }
}

impl Compiled {
    fn new(regex: &str) -> Result<Self, PatternError> {
        let pattern = Pattern::new(regex, Lines::One)?;
        let named = pattern.names().filter_map(|(name, number)| {
            let mut letters = name.chars();
            letters.next().filter(|_| letters.next().is_none()).map(|letter| (letter, number))
        });
        let fields = named.collect();
        Ok(Self { pattern, fields })
    }
}

fn epoch_digits(long: bool) -> &'static str {
    if long { r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?" } else { r"\d{10,11}\b(?:\.\d{3,6})?" }
}

/// What stands before and after `{EPOCH}` or `{LEPOCH}`.
fn epoch_tag(text: &str) -> Option<(&str, &str)> {
    let upper = text.to_ascii_uppercase();
    let (at, length) = match upper.find("{EPOCH}") {
        Some(at) => (at, 7),
        None => (upper.find("{LEPOCH}")?, 8),
    };
    Some((text.get(..at)?, text.get(at + length..)?))
}

fn begins_itself(regex: &str) -> bool {
    let rest = regex.trim_start_matches('(');
    if rest.starts_with('^') || rest.starts_with("**") {
        return true;
    }
    rest.len() < regex.len() && rest.strip_prefix("?:").is_some_and(|rest| rest.starts_with('^'))
}

fn ends_itself(regex: &str) -> bool {
    let closed = regex.trim_end_matches(')');
    let endings = [(regex, "$"), (regex, "$)"), (regex, r"\b"), (regex, r"\s"), (closed, "**")];
    endings.iter().any(|(text, ending)| {
        text.strip_suffix(ending).is_some_and(|before| !before.ends_with('\\'))
    })
}

/// Whether a group that has no name captures something.
fn has_group(regex: &str) -> bool {
    let bytes = regex.as_bytes();
    (0..bytes.len()).any(|at| {
        bytes[at] == b'('
            && bytes.get(at + 1) != Some(&b'?')
            && !regex[..at].ends_with('\\')
            && !regex[..at].ends_with("(?")
    })
}

/// The pattern as one group, between its `^` and `$`.
fn grouped(regex: &str) -> String {
    let (start, body) = match regex.strip_prefix('^') {
        Some(body) => ("^", body),
        None => ("", regex),
    };
    match body.strip_suffix('$') {
        Some(body) => format!("{start}({body})$"),
        None => format!("{start}({body})"),
    }
}

/// The regular expression of a pattern with `%` fields, and whether one of them is a word.
fn fields(text: &str, last_year: i16) -> Result<(String, bool), PatternError> {
    let mut out = String::new();
    let mut alphabetic = false;
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let length = if rest.starts_with("Ex") { 3 } else { 1 };
        let field = rest.get(..length).and_then(|name| field(name, last_year));
        let Some(regex) = field else {
            let at = text.len() - rest.len();
            return Err(PatternError {
                at,
                what: "unknown date field, or a `%` that is not doubled",
            });
        };
        alphabetic |= rest.starts_with(['a', 'A', 'b', 'B', 'p', 'c']);
        out.push_str(&regex);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Ok((out, alphabetic))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn field(name: &str, last_year: i16) -> Option<String> {
    let short = |names: &[&str]| names.iter().map(|n| &n[..3]).collect::<Vec<_>>().join("|");
    Some(match name {
        "a" => format!("(?P<a>{})", short(&DAYS)),
        "A" => format!("(?P<A>{})", DAYS.join("|")),
        "b" => format!("(?P<b>{})", short(&MONTHS)),
        "B" => format!("(?P<B>{})", MONTHS.join("|")),
        "d" => "(?P<d>[12][0-9]|[0 ]?[1-9]|3[01])".replace("[0-9]", r"\d"),
        "Exd" => r"(?P<d>[12]\d|0[1-9]|3[01])".into(),
        "m" => "(?P<m>0?[1-9]|1[0-2])".into(),
        "Exm" => "(?P<m>0[1-9]|1[0-2])".into(),
        "Y" => r"(?P<Y>\d{4})".into(),
        "ExY" => format!(r"(?P<Y>20[0-{}]\d)", ((last_year - 2000) / 10).clamp(2, 9)),
        "y" | "Exy" => r"(?P<y>\d{2})".into(),
        "H" => r"(?P<H>[01]?\d|2[0-3])".into(),
        "ExH" => r"(?P<H>[01]\d|2[0-3])".into(),
        "k" => r" ?(?P<H>[0-2]?\d)".into(),
        "Exk" => r" ?(?P<H>[01]?\d|2[0-3])".into(),
        "I" => "(?P<I>1[0-2]|0[1-9]|[1-9])".into(),
        "l" => r" ?(?P<I>1?\d)".into(),
        "Exl" => r" ?(?P<I>1[0-2]|\d)".into(),
        "M" => r"(?P<M>[0-5]?\d)".into(),
        "ExM" => r"(?P<M>[0-5]\d)".into(),
        "S" => r"(?P<S>[0-5]?\d|6[01])".into(),
        "ExS" => r"(?P<S>[0-5]\d|6[01])".into(),
        "f" => "(?P<f>[0-9]{1,6})".into(),
        "j" => r"(?P<j>36[0-6]|3[0-5]\d|[12]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])".into(),
        "p" => "(?P<p>am|pm)".into(),
        "Z" => "(?P<Z>Z|[A-Z]{3,5})".into(),
        "z" => r"(?P<z>Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)".into(),
        "ExZ" => "(?P<Z>[A-Z](?:[A-Z]{2,4})?)".into(),
        "Exz" => {
            r"(?P<z>(?:[A-Z](?:[A-Z]{2,4})?)?[+-][01]\d(?::?\d{2})?|[A-Z](?:[A-Z]{2,4})?)".into()
        }
        "w" => "(?P<w>[0-6])".into(),
        "U" | "W" => format!(r"(?P<{name}>5[0-3]|[0-4]\d|\d)"),
        "%" => "%".into(),
        _ => return None,
    })
}

fn read_fields<'a>(
    groups: &[(char, usize)],
    text: impl Fn(usize) -> Option<&'a str>,
) -> Option<Fields> {
    let mut fields = Fields::default();
    let (mut hour, mut minute, mut second, mut half) = (0_u32, 0_u32, 0_u32, None);
    let mut afternoon = false;
    for (letter, group) in groups {
        let Some(said) = text(*group) else { continue };
        let number = || said.trim().parse::<i16>().ok();
        let small = || number().and_then(|number| i8::try_from(number).ok());
        let count = || number().and_then(|number| u32::try_from(number).ok());
        let named = |names: &[&str]| {
            let lower = said.to_lowercase();
            let at = names.iter().position(|name| name.starts_with(&lower))?;
            i8::try_from(at + 1).ok()
        };
        match letter {
            'y' => fields.year = Some(2000 + number()?),
            'Y' => fields.year = Some(number()?),
            'm' => fields.month = Some(small()?),
            'b' | 'B' => fields.month = Some(named(&MONTHS)?),
            'd' => fields.day = Some(small()?),
            'j' => fields.day_of_year = Some(number()?),
            'H' => hour = count()?,
            'I' => half = Some(count()?),
            'p' => afternoon = said.eq_ignore_ascii_case("pm"),
            'M' => minute = count()?,
            // A leap second counts as the second before it.
            'S' => second = count()?.min(59),
            'z' | 'Z' => fields.offset_minutes = Some(offset_minutes(said)?),
            _ => {}
        }
    }
    if let Some(half) = half {
        hour = half % 12 + if afternoon { 12 } else { 0 };
    }
    if hour > 23 {
        return None;
    }
    fields.second = hour * 3600 + minute * 60 + second;
    // A day that no such month has is no date, where the year is known.
    if let (Some(year), Some(month), Some(day)) = (fields.year, fields.month, fields.day) {
        jiff::civil::Date::new(year, month, day).ok()?;
    }
    Some(fields)
}

fn read_epoch(text: &str, long: bool) -> Option<Moment> {
    let value: f64 = text.parse().ok()?;
    let divisor = match text.len() {
        16.. if long && !text.contains('.') => 1_000_000.0,
        13.. if long => 1000.0,
        _ => 1.0,
    };
    Some(Moment::Epoch(value / divisor))
}
