//! Clicks of operators on windows, and what is learnt from them.
//!
//! A click says that a window was rightly raised (`confirm`) or not (`dismiss`). It teaches how much the
//! window's names count from then on: each name a little, and the name on that host a little. What is
//! learnt is the difference to what the score said already, shared out over the names by their part in
//! the weight. Clicks, one or all, change a window's weight by at most [`MOST`]: they can re-rank but never
//! silence, because a weight is at most halved or doubled.
//!
//! A click is learnt after its window was judged, and never changes that window.

use std::collections::HashMap;

use crate::labels::csv;

use super::time;

/// Most clicks of a stream.
pub const MAX_CLICKS: usize = 65_536;
/// Longest line of a click file that is read.
pub const MAX_LINE_BYTES: usize = 4_096;
/// Most (logarithm of the factor) that clicks change a window, one click or all: the logarithm of 2.
pub const MOST: f64 = std::f64::consts::LN_2;

/// What an operator said of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was rightly raised.
    Confirm,
    /// It was nothing.
    Dismiss,
}

/// A click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// The window's host.
    pub host: Box<str>,
    /// The window's first second.
    pub start: i64,
    /// What was said.
    pub answer: Answer,
}

/// Reads a line `host,start,confirm|dismiss`; `start` is in epoch seconds or RFC 3339, as windows are
/// shown. `None` is a heading, an empty line or a comment; the error quotes nothing of the line.
pub fn read(line: &str) -> Result<Option<Click>, &'static str> {
    if line.len() > MAX_LINE_BYTES {
        return Err("an over-long line");
    }
    let line = line.trim_start_matches('\u{feff}').trim_end_matches('\r');
    if line.trim().is_empty() || line.starts_with('#') || line.starts_with("host,start") {
        return Ok(None);
    }
    let fields = csv::fields(line).map_err(|_| "broken quotes, or too many columns")?;
    let [host, start, answer, ..] = &fields[..] else { return Err("fewer than three columns") };
    let answer = match answer.text.as_str() {
        "confirm" => Answer::Confirm,
        "dismiss" => Answer::Dismiss,
        _ => return Err("the third column is neither confirm nor dismiss"),
    };
    let start = time::seconds(&start.text)
        .or_else(|| time::rfc3339(&start.text))
        .ok_or("the start is no time")?;
    if host.text.is_empty() {
        return Err("no host");
    }
    Ok(Some(Click { host: host.text.as_str().into(), start, answer }))
}

/// All clicks of a stream; of several on one window the last counts.
#[derive(Clone, Debug, Default)]
pub struct Clicks {
    windows: HashMap<i64, HashMap<Box<str>, Answer>>,
    count: usize,
}

impl Clicks {
    /// Adds one; `false` when there are [`MAX_CLICKS`].
    pub fn add(&mut self, click: Click) -> bool {
        let hosts = self.windows.entry(click.start).or_default();
        if !hosts.contains_key(&click.host) {
            if self.count == MAX_CLICKS {
                return false;
            }
            self.count += 1;
        }
        hosts.insert(click.host, click.answer);
        true
    }

    /// Clicked windows that were not taken yet.
    pub fn left(&self) -> usize {
        self.count
    }

    /// Takes the clicks on windows that start here.
    pub fn take(&mut self, start: i64) -> HashMap<Box<str>, Answer> {
        let taken = self.windows.remove(&start).unwrap_or_default();
        self.count -= taken.len();
        taken
    }
}

/// What was learnt, by name and by host and name: logarithms of factors.
#[derive(Clone, Debug, Default)]
pub struct Lessons {
    anywhere: HashMap<Box<str>, f64>,
    on_host: HashMap<Box<str>, HashMap<Box<str>, f64>>,
}

impl Lessons {
    /// The logarithm of the factor for a window with these names and their shares.
    pub fn factor(&self, host: &str, shares: &[(&str, f64)]) -> f64 {
        if self.anywhere.is_empty() {
            return 0.0;
        }
        let here = self.on_host.get(host);
        let learnt = |name: &str| {
            let here = here.and_then(|names| names.get(name)).copied().unwrap_or(0.0);
            self.anywhere.get(name).copied().unwrap_or(0.0) + here
        };
        let sum: f64 = shares.iter().map(|(name, share)| share * learnt(name)).sum();
        sum.clamp(-MOST, MOST)
    }

    /// Learns a click on a window to which the score gave this probability of being an attack.
    pub fn learn(&mut self, host: &str, shares: &[(&str, f64)], probability: f64, answer: Answer) {
        let target = if answer == Answer::Confirm { 1.0 } else { 0.0 };
        let step = MOST * (target - probability);
        for (name, share) in shares {
            let here = self.on_host.entry(host.into()).or_default();
            for learnt in [&mut self.anywhere, here] {
                let value = learnt.entry((*name).into()).or_insert(0.0);
                *value = (*value + step * share).clamp(-MOST, MOST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_clicks_and_bad_ones_say_why() {
        let expected =
            Click { host: "web, 1".into(), start: 1_642_213_800, answer: Answer::Dismiss };
        for line in ["\"web, 1\",1642213800,dismiss", "\"web, 1\",2022-01-15T02:30:00Z,dismiss,x\r"]
        {
            assert_eq!(read(line), Ok(Some(expected.clone())), "{line}");
        }
        for line in ["", "host,start,answer", "# why", "\u{feff}host,start,verdict"] {
            assert_eq!(read(line), Ok(None));
        }
        for line in
            ["web", "web,1", "web,x,confirm", "web,1,maybe", ",1,confirm", "\"web,1,confirm"]
        {
            assert!(read(line).is_err(), "{line}");
        }
        let long = |length: usize| format!("{},1,confirm", "w".repeat(length - 10));
        assert!(read(&long(MAX_LINE_BYTES)).is_ok() && read(&long(MAX_LINE_BYTES + 1)).is_err());
    }

    #[test]
    fn clicks_are_bounded_and_the_last_on_a_window_counts() {
        let mut clicks = Clicks::default();
        let click = |start, answer| Click { host: "web".into(), start, answer };
        for start in 0..MAX_CLICKS as i64 {
            assert!(clicks.add(click(start, Answer::Confirm)));
        }
        assert!(clicks.add(click(7, Answer::Dismiss)));
        assert!(!clicks.add(click(-1, Answer::Confirm)));
        assert_eq!(clicks.take(7).get("web"), Some(&Answer::Dismiss));
        assert_eq!(clicks.left(), MAX_CLICKS - 1);
    }

    #[test]
    fn no_number_of_clicks_does_more_than_double_or_halve() {
        let shares = [("a", 0.7), ("b", 0.3)];
        for (answer, probability, most) in
            [(Answer::Confirm, 0.0, MOST), (Answer::Dismiss, 1.0, -MOST)]
        {
            let mut lessons = Lessons::default();
            lessons.learn("web", &shares, probability, answer);
            let once = lessons.factor("web", &shares);
            assert!(once.abs() > 0.0 && once.abs() <= MOST, "{once}");
            assert!(lessons.factor("db", &shares).abs() < once.abs());
            (0..1_000).for_each(|_| lessons.learn("web", &shares, probability, answer));
            assert_eq!(lessons.factor("web", &shares), most);
            assert_eq!(lessons.factor("web", &[("c", 1.0)]), 0.0);
        }
    }
}
