//! The feedback log as JSON lines: one click a line, and at most one line of what was folded.
//!
//! `{"click":{…}}` or, first, `{"folded":{…}}`. A line that cannot be read is counted with its number
//! and skipped: half a line is what a crash leaves. Refused: more than [`LOG_BYTES_MAX`] bytes. Folding
//! takes whole days, so that an operator's daily budget is never counted twice; the folded counts fade
//! as the clicks would have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Click, DAY_SECONDS, Record, Sums, Tally, choose};
use crate::Kind;
use crate::likelihood::Counts;
use crate::opinion::{MAX_NAME, MAX_RATIONALE};

/// Most bytes of a log.
pub const LOG_BYTES_MAX: usize = 64 << 20;
/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Most clicks that are kept one by one; beyond that the older half is folded into counts.
pub const CLICKS_MAX: usize = 10_000;
/// Most opinions of one click.
pub const OPINIONS_MAX: usize = 256;
/// Most numbers of unreadable lines that are kept.
const UNREAD_MAX: usize = 8;

/// Clicks that are no longer kept one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Folded {
    /// The time as of which the counts hold: the last folded day's end.
    pub through: i64,
    /// Clicks that went in.
    pub clicks: u64,
    /// All lines that were folded, also those that did not count.
    pub lines: u64,
    /// Clicks beyond a daily budget.
    pub beyond: u64,
    /// Clicks that were replaced.
    pub replaced: u64,
    /// Counts by expert.
    pub counts: BTreeMap<String, Counts>,
    /// Tallies by kind of evidence.
    pub tallies: BTreeMap<Kind, Tally>,
    /// Records by expert; all of them are `before` by now.
    pub records: BTreeMap<String, Record>,
}

/// All that operators have said, in the order in which it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// What was folded, if anything.
    pub folded: Option<Folded>,
    /// The clicks that are kept one by one.
    pub clicks: Vec<Click>,
}

/// Why a log cannot be read as a whole; whoever wrote the file is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLog {
    /// It is too long.
    #[error("the feedback log is longer than {LOG_BYTES_MAX} bytes")]
    Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Click(Click),
    Folded(Folded),
}

impl Log {
    /// Reads a log; the second part holds the numbers (from 1) of the first lines that could not be read,
    /// and how many there were.
    pub fn read(bytes: &[u8]) -> Result<(Self, Unread), BadLog> {
        if bytes.len() > LOG_BYTES_MAX {
            return Err(BadLog::Bytes);
        }
        let (mut log, mut unread) = (Self::default(), Unread::default());
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            if log.take(line).is_none() {
                unread.count += 1;
                if unread.lines.len() < UNREAD_MAX {
                    unread.lines.push(number + 1);
                }
            }
        }
        Ok((log, unread))
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let line = (line.len() <= LINE_BYTES_MAX).then(|| serde_json::from_slice(line).ok())??;
        match line {
            Line::Click(click) => self.clicks.push(sound(click)?),
            Line::Folded(folded) if self.clicks.is_empty() && self.folded.is_none() => {
                self.folded = Some(whole(folded)?);
            }
            Line::Folded(_) => return None,
        }
        Some(())
    }

    /// One click as a line with its end.
    pub fn line(click: &Click) -> String {
        // Values of this type always have a JSON form.
        serde_json::to_string(&Line::Click(click.clone())).unwrap_or_default() + "\n"
    }

    /// The whole log as lines.
    pub fn text(&self) -> String {
        let folded = self.folded.clone().map(Line::Folded);
        let folded = folded.and_then(|line| serde_json::to_string(&line).ok());
        let mut text = folded.map_or_else(String::new, |line| line + "\n");
        self.clicks.iter().for_each(|click| text.push_str(&Self::line(click)));
        text
    }

    /// Lines ever written: a place to which [`Log::cut`] can go back.
    pub fn position(&self) -> u64 {
        self.folded.as_ref().map_or(0, |folded| folded.lines) + self.clicks.len() as u64
    }

    /// The log as it was at a position; `None` where that was folded, or never was.
    pub fn cut(&self, position: u64) -> Option<Self> {
        let folded = self.folded.as_ref().map_or(0, |folded| folded.lines);
        let kept = usize::try_from(position.checked_sub(folded)?).ok()?;
        let clicks = self.clicks.get(..kept)?.to_vec();
        Some(Self { folded: self.folded.clone(), clicks })
    }

    /// Folds the days of the older half into counts, where more than [`CLICKS_MAX`] are kept; then, of a
    /// day that is longer than that by itself, drops what does not count. How many lines it took: all of
    /// them stay counted in [`Folded::lines`].
    pub fn fold(&mut self, now: i64) -> usize {
        let before = self.clicks.len();
        if before <= CLICKS_MAX {
            return 0;
        }
        let mut times: Vec<i64> = self.clicks.iter().map(|click| click.time.min(now)).collect();
        times.sort_unstable();
        let end = times[times.len() / 2].div_euclid(DAY_SECONDS) * DAY_SECONDS;
        let (old, kept) =
            std::mem::take(&mut self.clicks).into_iter().partition(|click| click.time < end);
        self.clicks = kept;
        self.fold_in(&old, end);
        if self.clicks.len() > CLICKS_MAX {
            self.drop_what_does_not_count(now);
        }
        before - self.clicks.len()
    }

    fn fold_in(&mut self, old: &[Click], end: i64) {
        let chosen = choose(old, end);
        let mut sums = Sums::from_folded(self.folded.as_ref(), end);
        chosen.counted.iter().for_each(|click| sums.add(click, end));
        for record in sums.records.values_mut() {
            record.before.hits += std::mem::take(&mut record.recent.hits);
            record.before.misses += std::mem::take(&mut record.recent.misses);
        }
        let known = self.folded.get_or_insert_default();
        known.through = end;
        known.clicks += chosen.counted.len() as u64;
        known.lines += old.len() as u64;
        known.beyond += chosen.beyond;
        known.replaced += chosen.replaced;
        (known.counts, known.tallies, known.records) = (sums.counts, sums.tallies, sums.records);
    }

    fn drop_what_does_not_count(&mut self, now: i64) {
        let (counted, beyond, replaced) = {
            let chosen = choose(&self.clicks, now);
            let counted: Vec<Click> = chosen.counted.into_iter().cloned().collect();
            (counted, chosen.beyond, chosen.replaced)
        };
        let known = self.folded.get_or_insert_default();
        known.lines += (self.clicks.len() - counted.len()) as u64;
        known.beyond += beyond;
        known.replaced += replaced;
        self.clicks = counted;
    }
}

/// Lines of a log that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// How many.
    pub count: usize,
    /// The numbers of the first ones.
    pub lines: Vec<usize>,
}

/// A click within its bounds.
fn sound(click: Click) -> Option<Click> {
    let numbers = click.opinions.iter().all(|said| {
        said.expert.len() <= MAX_NAME
            && said.confidence.is_finite()
            && said.distribution.iter().all(|p| p.is_finite())
    });
    let texts = click.trace.len() <= MAX_NAME
        && click.finding.len() <= MAX_NAME
        && click.note.len() <= 4 * MAX_RATIONALE;
    let bounded = click.opinions.len() <= OPINIONS_MAX && numbers && texts;
    (bounded && click.shown.is_finite()).then_some(click)
}

/// Folded counts that are counts.
fn whole(folded: Folded) -> Option<Folded> {
    let count = |n: &f64| n.is_finite() && *n >= 0.0;
    let counts = folded.counts.values().flatten().flatten().all(count);
    let tallies = folded.tallies.values().all(|tally| {
        count(&tally.all)
            && tally
                .true_worse
                .iter()
                .chain(&tally.judged_worse)
                .all(|n| count(n) && *n <= tally.all)
    });
    let bounded = folded.counts.len() <= super::EXPERTS_MAX
        && folded.records.len() <= super::EXPERTS_MAX
        && folded.clicks.max(folded.lines).max(folded.beyond).max(folded.replaced) <= 1 << 53;
    (counts && tallies && bounded).then_some(folded)
}
