//! Logs that come with rules: on which a rule fires, and on which it stays silent.
//!
//! A file `tests/NAME.yml` beside `NAME.yml` is a list of `rule`, `fires` and `silent`; a rule may carry
//! `fires` and `silent` itself under `wardmote_samples`, a key that Sigma leaves to tools. A log is a
//! text, or `log` and how many `times` it is repeated. Stamps without a year are those of a leap year.

use std::sync::Arc;

use parsers::place::{Place, Problem};
use serde_yaml::{Mapping, Value};

/// Most bytes of one file of samples.
pub(super) const FILE_BYTES_MAX: usize = 4 << 20;

/// Most repetitions of one log.
pub(super) const TIMES_MAX: u64 = 100_000;

/// The key under which a rule carries its own samples.
pub(super) const KEY: &str = "wardmote_samples";

/// What a rule should do on a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Fires,
    Silent,
}

/// One log and what a rule should do on it.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) rule: String,
    pub(super) wanted: Wanted,
    /// Whole lines.
    pub(super) log: String,
    pub(super) place: Place,
}

/// The samples of a file of samples.
pub(super) fn of_file(file: &Arc<str>, text: &str) -> Result<Vec<Sample>, Problem> {
    let whole = |message: String| Problem { place: Place::whole(Arc::clone(file)), message };
    let value: Value = serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map(|at| (at.line(), at.column())).unwrap_or_default();
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let place = Place::new(file, number(at.0), number(at.1));
        Problem { place, message: "not YAML: the reader stopped here".into() }
    })?;
    let cases = match value {
        Value::Sequence(cases) => cases,
        Value::Null => Vec::new(),
        _ => return Err(whole("a list of `rule`, `fires` and `silent`".into())),
    };
    let mut samples = Vec::new();
    for case in &cases {
        let Some(rule) = case.get("rule").and_then(Value::as_str) else {
            return Err(whole("a case without `rule`".into()));
        };
        let Value::Mapping(map) = case else { continue };
        let places = Places::of(file, text, rule);
        samples.extend(logs(rule, map, &places).map_err(|message| Problem {
            place: places.start.clone(),
            message: format!("{rule}: {message}"),
        })?);
    }
    Ok(samples)
}

/// The samples that a rule carries.
pub(super) fn of_rule(rule: &str, place: &Place, value: &Value) -> Result<Vec<Sample>, Problem> {
    let wrong = |message: String| Problem { place: place.clone(), message };
    let Value::Mapping(map) = value else {
        return Err(wrong(format!("`{KEY}` is a map of `fires` and `silent`")));
    };
    let places = Places { start: place.clone(), fires: Vec::new(), silent: Vec::new() };
    logs(rule, map, &places).map_err(wrong)
}

fn logs(rule: &str, map: &Mapping, places: &Places) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for (key, value) in map {
        let wanted = match key.as_str() {
            Some("fires") => Wanted::Fires,
            Some("silent") => Wanted::Silent,
            Some("rule") => continue,
            _ => return Err("a sample knows `fires` and `silent` only".into()),
        };
        let Value::Sequence(list) = value else {
            return Err("`fires` and `silent` are lists of logs".into());
        };
        for (index, item) in list.iter().enumerate() {
            let log = log(item)?;
            let place = places.at(wanted, index).clone();
            samples.push(Sample { rule: rule.to_string(), wanted, log, place });
        }
    }
    Ok(samples)
}

/// A text, or `log` and `times`.
fn log(item: &Value) -> Result<String, String> {
    let (text, times) = match item {
        Value::String(text) => (text.as_str(), 1),
        Value::Mapping(map) => {
            let known = map.keys().all(|key| matches!(key.as_str(), Some("log" | "times")));
            let text = map.get("log").and_then(Value::as_str).filter(|_| known);
            let times = match map.get("times") {
                None => Some(1),
                Some(value) => value.as_u64().filter(|times| (1..=TIMES_MAX).contains(times)),
            };
            let pair = text.zip(times);
            pair.ok_or_else(|| format!("a log is a text, or `log` and `times` (1 to {TIMES_MAX})"))?
        }
        _ => return Err("a log is a text, or `log` and `times`".into()),
    };
    let line = format!("{}\n", text.trim_end_matches('\n'));
    if line.len() as u64 * times > FILE_BYTES_MAX as u64 {
        return Err(format!("a log of more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(line.repeat(usize::try_from(times).unwrap_or(1)))
}

/// Where the logs of one case stand.
struct Places {
    start: Place,
    fires: Vec<Place>,
    silent: Vec<Place>,
}

impl Places {
    /// Of a case in a file, which is written in block style.
    fn of(file: &Arc<str>, text: &str, rule: &str) -> Self {
        let mut found =
            Self { start: Place::whole(Arc::clone(file)), fires: vec![], silent: vec![] };
        let mut section = None;
        let mut inside = false;
        for (line, number) in text.lines().zip(1..) {
            let word = line.trim();
            if let Some(name) = line.strip_prefix("- rule:") {
                inside = name.trim().trim_matches(['\'', '"']) == rule;
                if inside {
                    found.start = Place::new(file, number, 1);
                }
                section = None;
            } else if inside && matches!(word, "fires:" | "silent:") {
                let indent = line.len() - line.trim_start().len();
                section = Some((word == "fires:", indent));
            } else if let Some((fires, above)) = section
                && word.starts_with("- ")
                && line.len() - line.trim_start().len() >= above
            {
                let column = u32::try_from(line.len() - line.trim_start().len() + 1);
                let place = Place::new(file, number, column.unwrap_or(u32::MAX));
                if fires { found.fires.push(place) } else { found.silent.push(place) }
            }
        }
        found
    }

    fn at(&self, wanted: Wanted, index: usize) -> &Place {
        let places = if wanted == Wanted::Fires { &self.fires } else { &self.silent };
        places.get(index).unwrap_or(&self.start)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Vec<Sample>, Problem> {
        of_file(&Arc::from("t.yml"), text)
    }

    #[test]
    fn samples_are_read_with_their_places() {
        let text = "- rule: a\n  fires:\n      - log: 'x'\n        times: 3\n      - y\n  silent:\n      - log: |\n            1\n            2\n- rule: b\n  silent: [z]\n";
        let samples = read(text).unwrap();
        let seen: Vec<_> = samples.iter().map(|s| (s.rule.as_str(), s.log.as_str())).collect();
        assert_eq!(seen, [("a", "x\nx\nx\n"), ("a", "y\n"), ("a", "1\n2\n"), ("b", "z\n")]);
        let lines: Vec<u32> = samples.iter().map(|s| s.place.line).collect();
        assert_eq!(lines, [3, 5, 7, 10]);
        assert_eq!(samples[2].wanted, Wanted::Silent);
    }

    #[test]
    fn what_is_no_sample_is_an_error() {
        let many = |times| format!("- rule: a\n  fires:\n      - log: x\n        times: {times}\n");
        assert!(read(&many(TIMES_MAX)).is_ok());
        for text in [
            "a: b".to_string(),
            "- fires: [x]".into(),
            "- rule: a\n  fire: [x]".into(),
            "- rule: a\n  fires: x".into(),
            "- rule: a\n  fires: [{log: x, often: 2}]".into(),
            "- rule: a\n  fires: [3]".into(),
            "[".into(),
            many(TIMES_MAX + 1),
            many(0),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
