//! One source of lines (a file, the journal): its clock, its rhythm, and what is missing in it.
//!
//! Gaps are told by the source's own rhythm: a pause is a gap when it is many times as long as the
//! longest of the others. A clock that goes back is told with both times. Bounded: [`GAPS_MAX`],
//! [`STEPS_MAX`].

use std::path::Path;

use parsers::time::{Clock, Stamp, Wall};

use crate::logs::rotation;
use crate::logs::templates::census::{Census, PAUSE_CLASSES, REQUESTS, Spot, pause_class};
use crate::logs::templates::known::Seen;

/// Longest pauses that are kept.
pub const GAPS_MAX: usize = 8;
/// Steps of the clock and holes in serial numbers that are kept; further ones are counted.
pub const STEPS_MAX: usize = 8;
/// The shortest pause that is a gap.
pub const GAP_SECONDS: i64 = 3600;
/// How many times as long as the others a gap is.
const GAP_FACTOR: i64 = 8;
/// How many times as long as its longest gap a source has logged besides.
const STEADY_FACTOR: i64 = 2;
/// Serial numbers of events that are written at once are no further apart.
const SERIALS_APART: u64 = 8;
/// Fewest lines that have a rhythm.
const RHYTHM_LINES: u64 = 200;

/// A pause between two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pause {
    /// Seconds.
    pub seconds: i64,
    /// Time of the line before.
    pub from: i64,
    /// The line that ended it.
    pub line: Seen,
}

/// The clock went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// Time of the line before.
    pub from: i64,
    /// Time of the line that stands earlier.
    pub to: i64,
    /// That line.
    pub line: Seen,
}

/// Numbers that are missing in a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// How many.
    pub missing: u64,
    /// The line after them.
    pub line: Seen,
}

/// A source as far as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// File, or `journal`.
    pub name: Box<str>,
    /// The log of which the file is a part: its name without what rotation appends.
    pub family: Box<str>,
    /// Whether requests stand in it: they are stamped when they begin and written when they end.
    requests: bool,
    clock: Clock,
    /// Lines.
    pub lines: u64,
    /// Time of the first and of the last line that has one.
    pub times: Option<(i64, i64)>,
    last: Option<i64>,
    pauses: [u64; PAUSE_CLASSES],
    longest: Vec<Pause>,
    /// Steps back of the clock.
    pub backs: Vec<Back>,
    /// How many there were.
    pub back_count: u64,
    serial: Option<u64>,
    /// Holes in the serial numbers of audit events.
    pub holes: Vec<Hole>,
    /// Events that are missing in all.
    pub missing: u64,
}

/// When the hours of a census began, for the spots in it.
pub(super) struct Times {
    source: u32,
    lines_before: u64,
    began: Vec<Option<i64>>,
}

impl Times {
    /// When an hour began.
    pub(super) fn began(&self, hour: u32) -> Option<i64> {
        self.began.get(hour as usize).copied().flatten()
    }

    /// A spot with its time and its line in the file.
    pub(super) fn seen(&self, spot: Spot) -> Seen {
        let began = self.began(spot.hour);
        Seen {
            source: self.source,
            line: self.lines_before + u64::from(spot.line) + 1,
            offset: spot.offset,
            at: began.map(|began| began + i64::from(spot.second)),
        }
    }
}

impl Source {
    /// Nothing read yet; `lines_before` lines stand before what will be.
    pub fn new(name: &str, clock: Clock, lines_before: u64) -> Self {
        Self {
            name: name.into(),
            family: rotation::family(Path::new(name)).0.into(),
            requests: false,
            clock,
            lines: lines_before,
            times: None,
            last: None,
            pauses: [0; PAUSE_CLASSES],
            longest: Vec::new(),
            backs: Vec::new(),
            back_count: 0,
            serial: None,
            holes: Vec::new(),
            missing: 0,
        }
    }

    /// Takes the next part; gives the times of its spots.
    pub(super) fn take(&mut self, source: u32, census: &Census) -> Times {
        let mut times = Times { source, lines_before: self.lines, began: Vec::new() };
        for hour in &census.hours {
            let first = self.clock.resolve(at(hour.stamp, hour.first));
            times.began.push(first.map(|first| first - i64::from(hour.first)));
            let Some(first) = first else { continue };
            self.step(first, times.seen(hour.from));
            let last = self.clock.resolve(at(hour.stamp, hour.last)).unwrap_or(first);
            self.last = Some(last);
            let (earliest, latest) = self.times.unwrap_or((first, last));
            self.times = Some((earliest.min(first), latest.max(last)));
        }
        for (class, count) in census.pauses.iter().enumerate() {
            self.pauses[class] += count;
        }
        self.serials(census, &times);
        self.requests |= census.programs.iter().any(|program| &**program == REQUESTS);
        self.lines += census.lines;
        times
    }

    /// From the last line of one hour to the first of the next.
    fn step(&mut self, first: i64, line: Seen) {
        let Some(before) = self.last else { return };
        if let Some(step) = self.clock.stepped() {
            self.back_count += 1;
            if self.backs.len() < STEPS_MAX {
                self.backs.push(Back { from: step.from, to: step.to, line });
            }
            return;
        }
        let seconds = first - before;
        self.pauses[pause_class(seconds.max(0).unsigned_abs())] += 1;
        if seconds >= GAP_SECONDS {
            let pause = Pause { seconds, from: before, line };
            // longest first; of equal ones the first in the file
            let at = self.longest.partition_point(|known| {
                (known.seconds, std::cmp::Reverse(known.line)) >= (seconds, std::cmp::Reverse(line))
            });
            self.longest.insert(at, pause);
            self.longest.truncate(GAPS_MAX);
        }
    }

    /// Serial numbers count up. They start anew with the kernel; those of events that are written at
    /// once may stand in any order, so a few that are missing may still come.
    fn serials(&mut self, census: &Census, times: &Times) {
        for (serial, spot) in &census.serials {
            let last = self.serial.unwrap_or(*serial);
            match serial.checked_sub(last) {
                Some(step) if step > SERIALS_APART => {
                    self.missing = self.missing.saturating_add(step - 1);
                    if self.holes.len() < STEPS_MAX {
                        self.holes.push(Hole { missing: step - 1, line: times.seen(*spot) });
                    }
                }
                None if last - serial <= 8 * SERIALS_APART => continue,
                _ => {}
            }
            self.serial = Some(*serial);
        }
    }

    /// Pauses that do not fit the source's rhythm, the longest first: each many times as long as the
    /// longest of those that do.
    pub fn gaps(&self) -> &[Pause] {
        if self.pauses.iter().sum::<u64>() < RHYTHM_LINES {
            return &[];
        }
        let usual = |count: usize| match self.longest.get(count) {
            Some(pause) => pause.seconds,
            // below an hour only classes are known: the top of the highest one that was met
            None => match self.pauses.iter().rposition(|count| *count > 0) {
                Some(class) if class + 1 < PAUSE_CLASSES => 1 << class,
                _ => GAP_SECONDS,
            },
        };
        let found = (1..=self.longest.len().min(GAPS_MAX / 2)).rev().find(|count| {
            let shortest = self.longest.get(count - 1).map_or(0, |pause| pause.seconds);
            shortest >= GAP_FACTOR * usual(*count).max(60)
        });
        let gaps = &self.longest[..found.unwrap_or(0)];
        // Who logs in bursts, as a package manager does, has no rhythm that a pause could break.
        let span = self.times.map_or(0, |(first, last)| last.saturating_sub(first));
        let silent: i64 = gaps.iter().map(|pause| pause.seconds).sum();
        let longest = gaps.first().map_or(0, |pause| pause.seconds);
        if span - silent >= STEADY_FACTOR * longest { gaps } else { &[] }
    }

    /// Seconds of its longest pause.
    pub fn longest_pause(&self) -> i64 {
        self.longest.first().map_or(GAP_SECONDS, |pause| pause.seconds)
    }

    /// Whether a time that goes back says something about the clock.
    pub fn is_in_order(&self) -> bool {
        !self.requests
    }

    /// Whether lines of several clocks stand in it: then it goes back all the time.
    pub fn is_mixed(&self) -> bool {
        self.back_count > STEPS_MAX as u64
    }
}

/// The stamp of a second of an hour.
fn at(hour: Stamp, second: u16) -> Stamp {
    let later = |wall: Wall| Wall { second: wall.second + u32::from(second), ..wall };
    match hour {
        Stamp::Exact(time) => Stamp::Exact(time + i64::from(second)),
        Stamp::Local(wall) => Stamp::Local(later(wall)),
        Stamp::Yearless(wall) => Stamp::Yearless(later(wall)),
    }
}
