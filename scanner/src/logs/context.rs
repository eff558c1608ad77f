//! Lines that were read and that the next sweep looks at again, so that windows and connections know
//! what came before what is new.
//!
//! A window is made of hits alone, so the places of the lines that gave them are all that has to be
//! carried: no text of a log stands in the state, and however windows are made, they are made again from
//! the same lines. What is kept of a log are the hits within the longest time that any rule or jail of
//! the sweep looks back ([`reach_of`]), and of these the last [`LINES_MAX`]. Under other rules
//! ([`rules_hash`]) the places mean nothing; then, as for archives and audit records, which are read
//! otherwise, a stretch of the file before what is new is read again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::matcher::RuleSet;
use super::reading::LATE_SECONDS;

/// Most lines that are kept of one log.
pub const LINES_MAX: usize = 16_384;

/// Most lines that one state keeps of all logs: less than a megabyte.
pub const ALL_LINES_MAX: usize = 65_536;

/// Where a line stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first byte.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
}

/// The places of lines, in the order of the file, and until when they matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Context {
    /// Seconds since the epoch, by the log's own clock.
    pub until: i64,
    /// At most [`LINES_MAX`].
    pub places: Vec<Place>,
}

/// `until`, then for each line how much further it stands than the one before, in bytes and lines.
impl From<Context> for String {
    fn from(context: Context) -> Self {
        use std::fmt::Write;

        let mut text = context.until.to_string();
        let mut before = Place { offset: 0, line: 0 };
        for place in context.places {
            let (bytes, lines) = (place.offset - before.offset, place.line - before.line);
            // A string takes what is written to it.
            let _ = write!(text, " {bytes}:{lines}");
            before = place;
        }
        text
    }
}

impl TryFrom<String> for Context {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const DAMAGED: &str = "no list of places";
        let mut words = text.split(' ');
        let until = words.next().and_then(|word| word.parse().ok()).ok_or(DAMAGED)?;
        let (mut places, mut offset, mut line) = (Vec::new(), 0_u64, 0_u64);
        for word in words {
            let (bytes, lines) = word.split_once(':').ok_or(DAMAGED)?;
            let (bytes, lines) = (bytes.parse::<u64>(), lines.parse::<u64>());
            let (Ok(bytes), Ok(lines)) = (bytes, lines) else { return Err(DAMAGED) };
            if (!places.is_empty() && (bytes == 0 || lines == 0)) || places.len() == LINES_MAX {
                return Err(DAMAGED);
            }
            offset = offset.checked_add(bytes).ok_or(DAMAGED)?;
            line = line.checked_add(lines).ok_or(DAMAGED)?;
            places.push(Place { offset, line });
        }
        Ok(Self { until, places })
    }
}

/// The context of one log, while it is read.
#[derive(Debug)]
pub(super) struct Gathered {
    reach: i64,
    now: i64,
    newest: i64,
    lines: VecDeque<(Place, i64)>,
    /// More than its lines is needed.
    refused: bool,
}

impl Gathered {
    /// Nothing yet, of lines that are looked back at for so many seconds. A line from after `now` makes
    /// no other old: a forged time blinds nobody.
    pub(super) fn new(reach: i64, now: i64) -> Self {
        Self { reach, now, newest: i64::MIN, lines: VecDeque::new(), refused: false }
    }

    /// Takes a line, and the time that its hits go by.
    pub(super) fn push(&mut self, place: Place, at: i64) {
        self.newest = self.newest.max(at.min(self.now));
        let oldest = self.newest.saturating_sub(self.reach);
        let old = |(_, at): &(Place, i64)| *at < oldest;
        while self.lines.len() >= LINES_MAX || self.lines.front().is_some_and(old) {
            self.lines.pop_front();
        }
        self.lines.push_back((place, at));
    }

    /// What this log tells is not in its hits alone.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// What to keep, of what stands before `end`.
    pub(super) fn finish(self, end: u64) -> Option<Context> {
        if self.refused {
            return None;
        }
        let oldest = self.newest.saturating_sub(self.reach);
        let kept = self.lines.iter().filter(|(place, at)| *at >= oldest && place.offset < end);
        let places = kept.map(|(place, _)| *place).collect();
        Some(Context { until: self.newest.saturating_add(self.reach), places })
    }
}

/// Seconds before a hit within which other hits may matter to it: the longest timespan of all rules and
/// jails, and what may come late.
pub(super) fn reach_of(rules: &RuleSet) -> i64 {
    let spans = rules.correlations.iter().map(|one| one.correlation.timespan_s);
    spans.max().unwrap_or(0).saturating_add(LATE_SECONDS)
}

/// Tells rules and jails from others.
pub(super) fn rules_hash(rules: &RuleSet) -> String {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    for rule in &rules.rules {
        hash.update(serde_json::to_vec(&rule.rule).unwrap_or_default());
    }
    for one in &rules.correlations {
        hash.update(serde_json::to_vec(&one.correlation).unwrap_or_default());
    }
    for jail in 0..rules.jails.len() {
        let Some((jail, _)) = rules.jails.get(jail) else { continue };
        let expressions: Vec<&str> = jail.filter.expressions().collect();
        let names = (&jail.name, &jail.logpath, &jail.ignored, &jail.ignored_names);
        hash.update(format!("{names:?} {expressions:?}"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Place {
        Place { offset: number * 90, line: number }
    }

    #[test]
    fn places_are_written_and_read_and_damage_is_refused() {
        let context = Context { until: -5, places: vec![place(0), place(1), place(70)] };
        let text = String::from(context.clone());
        assert_eq!(text, "-5 0:0 90:1 6210:69");
        assert_eq!(Context::try_from(text), Ok(context));
        assert_eq!(Context::try_from("7".to_string()).unwrap().places, []);
        let most = format!("0{}", " 1:1".repeat(LINES_MAX));
        assert_eq!(Context::try_from(most.clone()).unwrap().places.len(), LINES_MAX);
        let far = format!("0 {}:1 {}:1", u64::MAX, u64::MAX);
        for text in ["", "x", "1 2", "1 2:x", "1 1:1 0:1", "1 1:1 1:0", &far, &(most + " 1:1")] {
            assert!(Context::try_from(text.to_string()).is_err(), "{text:.30}");
        }
    }

    #[test]
    fn what_is_out_of_reach_or_too_much_is_left_out() {
        let mut gathered = Gathered::new(100, 151);
        gathered.push(place(0), i64::MAX);
        for (number, at) in [(0, 0), (1, 50), (2, 140), (3, 149), (4, 151)] {
            gathered.push(place(number), at);
        }
        let kept = gathered.finish(place(4).offset).unwrap();
        assert_eq!((kept.until, kept.places), (251, vec![place(0), place(2), place(3)]));
        let mut gathered = Gathered::new(100, 0);
        (0..=LINES_MAX as u64).for_each(|number| gathered.push(place(number), 0));
        let kept = gathered.finish(u64::MAX).unwrap().places;
        assert_eq!((kept.len(), kept[0]), (LINES_MAX, place(1)));
        let mut gathered = Gathered::new(100, 0);
        gathered.refuse();
        assert_eq!(gathered.finish(u64::MAX), None);
    }
}
