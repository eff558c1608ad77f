//! Stamps to seconds since the epoch, line by line in the order of a file.
//!
//! Years that are not written are walked back from the file's last change. Where an hour comes twice,
//! the order of the lines says which of the two it is; where one is left out, a line in it was written
//! by a clock that had not been moved yet. A clock that goes back is never accepted in silence: each
//! step is given out. Asks no clock and no system zone.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::{Stamp, Wall, days};

/// Seconds by which a line may be earlier than the one before: programs write side by side.
pub const STEP_SECONDS: i64 = 60;

/// Zones change at full and at half hours (Lord Howe's daylight saving is half an hour).
const SLOT_SECONDS: u32 = 1800;

/// A clock that went back between two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The time of the line before, seconds since the epoch.
    pub from: i64,
    /// The time of the line that stands earlier.
    pub to: i64,
}

/// Makes seconds since the epoch of the stamps of one file, line by line in file order.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    year: i16,
    previous: Option<Wall>,
    last: Option<i64>,
    /// The half hour that was resolved last.
    slot: Option<Slot>,
    stepped: Option<Step>,
    /// Times that a stamp went back by more than a minute.
    pub steps_back: u64,
}

/// A half hour of the wall clock, and when it began.
#[derive(Clone, Copy, Debug)]
struct Slot {
    date: (i16, u8, u8),
    of_day: u32,
    began: i64,
    /// When it began the second time, where it comes twice.
    again: Option<i64>,
}

impl Clock {
    /// A clock for a file whose first yearless line belongs to `first_year` (see [`first_year`]).
    pub fn new(zone: TimeZone, first_year: i16) -> Self {
        Self {
            zone,
            year: first_year,
            previous: None,
            last: None,
            slot: None,
            stepped: None,
            steps_back: 0,
        }
    }

    /// Seconds since the epoch; `None` for a day that does not exist.
    pub fn resolve(&mut self, stamp: Stamp) -> Option<i64> {
        let time = match stamp {
            Stamp::Exact(time) => time,
            Stamp::Local(wall) => self.local(wall)?,
            Stamp::Yearless(wall) => {
                self.year = self.year.saturating_add(rollover(self.previous, wall));
                self.previous = Some(wall);
                self.local(Wall { year: leap_year_for(wall, self.year), ..wall })?
            }
        };
        self.stepped = match self.last {
            Some(from) if time < from.saturating_sub(STEP_SECONDS) => Some(Step { from, to: time }),
            _ => None,
        };
        self.steps_back += u64::from(self.stepped.is_some());
        self.last = Some(time);
        Some(time)
    }

    /// The step back that the stamp resolved last made.
    pub fn stepped(&self) -> Option<Step> {
        self.stepped
    }

    /// The time that was resolved last.
    pub fn last(&self) -> Option<i64> {
        self.last
    }

    fn local(&mut self, wall: Wall) -> Option<i64> {
        let date = (wall.year, wall.month, wall.day);
        let of_day = wall.second / SLOT_SECONDS;
        let slot = match self.slot {
            Some(slot) if slot.date == date && slot.of_day == of_day => slot,
            _ => {
                let slot = self.slot(wall, of_day)?;
                self.slot = Some(slot);
                slot
            }
        };
        let within = i64::from(wall.second - of_day * SLOT_SECONDS);
        match (slot.again, self.last) {
            // A time before the last line's means that this is the second of the two.
            (Some(again), Some(last)) if slot.began + within < last - STEP_SECONDS => {
                Some(again + within)
            }
            _ => Some(slot.began + within),
        }
    }

    fn slot(&self, wall: Wall, of_day: u32) -> Option<Slot> {
        let month = i8::try_from(wall.month).ok()?;
        let date = Date::new(wall.year, month, i8::try_from(wall.day).ok()?).ok()?;
        let minutes = i8::try_from(of_day % 2 * 30 + 15).ok()?;
        let middle = date.at(i8::try_from(of_day / 2).ok()?, minutes, 0, 0);
        let (offset, later) = match self.zone.to_ambiguous_timestamp(middle).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, None),
            AmbiguousOffset::Gap { before, .. } => (before, None),
            AmbiguousOffset::Fold { before, after } => (before, Some(after)),
        };
        let utc = days(date) * 86_400 + i64::from(of_day * SLOT_SECONDS);
        Some(Slot {
            date: (wall.year, wall.month, wall.day),
            of_day,
            began: utc - i64::from(offset.seconds()),
            again: later.map(|later| utc - i64::from(later.seconds())),
        })
    }
}

/// The year of a file's first yearless line, walked back from its last change: `stamps` are the
/// file's yearless stamps in order, `modified` is the time of its last change (or now), seconds since
/// the epoch. The last line may be up to a day ahead of `modified` (clock and zone skew). A file with a
/// 29 February is of a time that had one: the latest that fits.
pub fn first_year(stamps: impl Iterator<Item = Wall>, modified: i64, zone: &TimeZone) -> i16 {
    let mut years = 0_i16;
    let mut previous = None;
    let mut leap = None;
    for wall in stamps {
        years = years.saturating_add(rollover(previous, wall));
        previous = Some(wall);
        if (wall.month, wall.day) == (2, 29) {
            leap = leap.or(Some(years));
        }
    }
    let anchor = jiff::Timestamp::from_second(modified.saturating_add(86_400))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned(zone.clone());
    let latest = (anchor.month(), anchor.day());
    let last = previous.map(|wall| (wall.month.cast_signed(), wall.day.cast_signed()));
    let last_year = match last {
        Some(last) if last > latest => anchor.year() - 1,
        _ => anchor.year(),
    };
    let first = last_year.saturating_sub(years);
    let Some(leap) = leap else { return first };
    let year = first.saturating_add(leap);
    let day = Wall { year: 0, month: 2, day: 29, second: 0 };
    first.saturating_sub(year.saturating_sub(leap_year_for(day, year)))
}

/// By how many years the year changes between two lines: forward when the month falls by more than
/// one, back when a late December line comes after an early January one.
fn rollover(previous: Option<Wall>, wall: Wall) -> i16 {
    match previous {
        Some(before) if wall.month + 1 < before.month => 1,
        Some(before) if (before.month, wall.month) == (1, 12) && before.day <= 2 => -1,
        _ => 0,
    }
}

/// 29 February exists only in leap years: the nearest one that is not later (the future has no lines).
fn leap_year_for(wall: Wall, year: i16) -> i16 {
    if (wall.month, wall.day) != (2, 29) {
        return year;
    }
    (0..8)
        .map(|back| year.saturating_sub(back))
        .find(|year| Date::new(*year, 2, 29).is_ok())
        .unwrap_or(year)
}

#[cfg(test)]
mod tests {
    use super::super::{iso, rfc3164};
    use super::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
    const LORD_HOWE: &str = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";

    fn zone(name: &str) -> TimeZone {
        TimeZone::posix(name).unwrap()
    }

    fn utc(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    fn stamp(text: &str) -> Stamp {
        let bytes = text.as_bytes();
        iso(bytes).or_else(|| rfc3164(bytes)).unwrap_or_else(|| panic!("{text}")).0
    }

    fn wall(text: &str) -> Wall {
        match stamp(text) {
            Stamp::Yearless(wall) => wall,
            other => panic!("{other:?}"),
        }
    }

    /// Lines in file order with the times that they mean.
    fn table(zone: &TimeZone, year: i16, lines: &[(&str, &str)]) -> u64 {
        let mut clock = Clock::new(zone.clone(), year);
        for (line, time) in lines {
            assert_eq!(clock.resolve(stamp(line)), Some(utc(time)), "{line} of {lines:?}");
        }
        clock.steps_back
    }

    #[test]
    fn the_repeated_hour_follows_the_order_of_the_lines() {
        let berlin = [
            ("Oct 29 01:59:59", "2023-10-28T23:59:59Z"),
            ("Oct 29 02:00:00", "2023-10-29T00:00:00Z"),
            ("Oct 29 02:59:00", "2023-10-29T00:59:00Z"),
            // written side by side, not an hour later
            ("Oct 29 02:58:30", "2023-10-29T00:58:30Z"),
            ("Oct 29 02:01:00", "2023-10-29T01:01:00Z"),
            ("Oct 29 02:40:00", "2023-10-29T01:40:00Z"),
            ("Oct 29 03:01:00", "2023-10-29T02:01:00Z"),
        ];
        let new_york = [
            ("2024-11-03T00:59:00", "2024-11-03T04:59:00Z"),
            ("2024-11-03T01:10:00", "2024-11-03T05:10:00Z"),
            ("2024-11-03T01:50:00", "2024-11-03T05:50:00Z"),
            ("2024-11-03T01:05:00", "2024-11-03T06:05:00Z"),
            ("2024-11-03T02:00:00", "2024-11-03T07:00:00Z"),
        ];
        let lord_howe = [
            ("2024-04-07T01:29:00", "2024-04-06T14:29:00Z"),
            ("2024-04-07T01:31:00", "2024-04-06T14:31:00Z"),
            ("2024-04-07T01:59:00", "2024-04-06T14:59:00Z"),
            ("2024-04-07T01:32:00", "2024-04-06T15:02:00Z"),
            ("2024-04-07T02:00:00", "2024-04-06T15:30:00Z"),
        ];
        for (name, city, lines) in [
            (BERLIN, "Europe/Berlin", &berlin[..]),
            (NEW_YORK, "America/New_York", &new_york),
            (LORD_HOWE, "Australia/Lord_Howe", &lord_howe),
        ] {
            assert_eq!(table(&zone(name), 2023, lines), 0, "{name}");
            // the system's own table, where there is one
            if let Ok(zone) = TimeZone::get(city) {
                assert_eq!(table(&zone, 2023, lines), 0, "{city}");
            }
        }
    }

    #[test]
    fn an_hour_that_is_left_out_was_written_by_a_clock_that_had_not_moved() {
        for (name, lines) in [
            (
                BERLIN,
                [
                    ("2024-03-31T01:59:59", "2024-03-31T00:59:59Z"),
                    ("2024-03-31T02:30:00", "2024-03-31T01:30:00Z"),
                    ("2024-03-31T03:30:01", "2024-03-31T01:30:01Z"),
                ],
            ),
            (
                NEW_YORK,
                [
                    ("2024-03-10T01:59:59", "2024-03-10T06:59:59Z"),
                    ("2024-03-10T02:30:00", "2024-03-10T07:30:00Z"),
                    ("2024-03-10T03:30:01", "2024-03-10T07:30:01Z"),
                ],
            ),
            (
                LORD_HOWE,
                [
                    ("2024-10-06T01:59:59", "2024-10-05T15:29:59Z"),
                    ("2024-10-06T02:15:00", "2024-10-05T15:45:00Z"),
                    ("2024-10-06T02:45:01", "2024-10-05T15:45:01Z"),
                ],
            ),
        ] {
            assert_eq!(table(&zone(name), 2024, &lines), 0, "{name}");
        }
    }

    #[test]
    fn zones_may_be_mixed_in_one_file() {
        let lines = [
            ("2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z"),
            ("May  1 10:00:01", "2024-05-01T08:00:01Z"),
            ("2024-05-01T08:00:02Z", "2024-05-01T08:00:02Z"),
            ("2024-05-01T13:30:03+05:30", "2024-05-01T08:00:03Z"),
            ("May  1 10:00:04", "2024-05-01T08:00:04Z"),
        ];
        assert_eq!(table(&zone(BERLIN), 2024, &lines), 0);
    }

    #[test]
    fn a_step_back_is_given_out_once_with_its_ends() {
        let mut clock = Clock::new(TimeZone::UTC, 2025);
        let mut at = |text: &str| {
            clock.resolve(stamp(text)).unwrap();
            clock.stepped()
        };
        assert_eq!(at("May  1 12:00:00"), None);
        assert_eq!(at("May  1 11:59:00"), None, "a minute is the programs' own disorder");
        let step = Step { from: utc("2025-05-01T11:59:00Z"), to: utc("2025-05-01T11:57:59Z") };
        assert_eq!(at("May  1 11:57:59"), Some(step));
        assert_eq!(at("May  1 11:58:00"), None);
        assert_eq!(clock.steps_back, 1);
        assert_eq!(clock.last(), Some(utc("2025-05-01T11:58:00Z")));
    }

    #[test]
    fn the_year_is_walked_back_over_new_year() {
        let stamps =
            ["Nov 30 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:01", "Feb  2 00:00:00"].map(wall);
        let year = first_year(stamps.into_iter(), utc("2024-02-02T01:00:00Z"), &TimeZone::UTC);
        assert_eq!(year, 2023);
        let mut clock = Clock::new(TimeZone::UTC, year);
        let times = stamps.map(|wall| clock.resolve(Stamp::Yearless(wall)).unwrap());
        assert_eq!(times[1] + 2, times[2]);
        assert_eq!(times[3], utc("2024-02-02T00:00:00Z"));
        assert_eq!(clock.steps_back, 0);
    }

    #[test]
    fn a_month_that_falls_by_one_is_no_new_year() {
        let lines = [
            ("Mar  1 00:00:01", "2024-03-01T00:00:01Z"),
            ("Feb 29 23:59:59", "2024-02-29T23:59:59Z"),
            ("Dec 31 23:59:59", "2024-12-31T23:59:59Z"),
            ("Jan  1 00:00:00", "2025-01-01T00:00:00Z"),
            ("Dec 31 23:59:58", "2024-12-31T23:59:58Z"),
            ("Jan  1 00:00:01", "2025-01-01T00:00:01Z"),
        ];
        assert_eq!(table(&TimeZone::UTC, 2024, &lines), 0);
    }

    #[test]
    fn a_file_of_last_december_read_in_january_is_last_years() {
        let wall = Wall { year: 0, month: 12, day: 10, second: 0 };
        let at = |now: &str| first_year([wall].into_iter(), utc(now), &TimeZone::UTC);
        assert_eq!(at("2024-01-05T00:00:00Z"), 2023);
        assert_eq!(at("2024-12-09T12:00:00Z"), 2024);
        assert_eq!(at("2024-12-08T12:00:00Z"), 2023);
        // new year's eve of a zone that is ahead of the file system's clock
        let eve = Wall { year: 0, month: 1, day: 1, second: 0 };
        let year = first_year([eve].into_iter(), utc("2023-12-31T11:00:00Z"), &TimeZone::UTC);
        assert_eq!(year, 2024);
    }

    #[test]
    fn a_leap_day_belongs_to_a_leap_year() {
        let mut clock = Clock::new(TimeZone::UTC, 2025);
        let day = clock.resolve(stamp("Feb 29 12:00:00"));
        assert_eq!(day, Some(utc("2024-02-29T12:00:00Z")));
        // a copy that was touched in a year without the day: all its lines are of the leap year
        let stamps = ["Feb 28 10:00:00", "Feb 29 10:00:00", "Mar  1 10:00:00"].map(wall);
        for (now, year) in [
            ("2026-06-01T00:00:00Z", 2024),
            ("2024-06-01T00:00:00Z", 2024),
            ("2024-02-28T12:00:00Z", 2020),
            ("2023-06-01T00:00:00Z", 2020),
        ] {
            assert_eq!(first_year(stamps.into_iter(), utc(now), &TimeZone::UTC), year, "{now}");
        }
    }
}
