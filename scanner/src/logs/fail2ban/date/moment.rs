//! A date as a line writes it, and the second that it means.
//!
//! fail2ban's reading: a date without a year is of this year, unless that lies more than a day ahead; a
//! time without a date is of today, unless that lies ahead. The clock and the zone are given.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use parsers::time::{Stamp, Wall};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// Seconds since the epoch.
    Epoch(f64),
    /// Fields of a calendar.
    Fields(Fields),
}

/// Fields as they were written; what was not is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Year.
    pub year: Option<i16>,
    /// Month, 1 to 12.
    pub month: Option<i8>,
    /// Day of the month.
    pub day: Option<i8>,
    /// Day of the year, where month and day are not written.
    pub day_of_year: Option<i16>,
    /// Second of the day.
    pub second: u32,
    /// Minutes east of UTC.
    pub offset_minutes: Option<i32>,
}

impl Moment {
    /// Seconds since the epoch, with their fraction where the epoch was written.
    pub fn resolve(&self, now: i64, zone: &TimeZone) -> Option<f64> {
        match self {
            Self::Epoch(seconds) => Some(*seconds),
            #[allow(clippy::cast_precision_loss)] // seconds of any year that a line can write
            Self::Fields(fields) => Some(fields.resolve(now, zone)? as f64),
        }
    }

    /// The stamp for a clock that walks missing years back; a time without a date has none.
    pub fn stamp(&self) -> Option<Stamp> {
        let fields = match self {
            #[allow(clippy::cast_possible_truncation)] // the fraction is not wanted
            Self::Epoch(seconds) => return Some(Stamp::Exact(*seconds as i64)),
            Self::Fields(fields) => fields,
        };
        let (year, month, day) = (fields.year.unwrap_or(0), fields.month?, fields.day?);
        let month = u8::try_from(month).ok()?;
        let wall = Wall { year, month, day: u8::try_from(day).ok()?, second: fields.second };
        match (fields.year, fields.offset_minutes) {
            (Some(_), Some(offset)) => Some(Stamp::Exact(wall.as_utc()? - i64::from(offset) * 60)),
            (Some(_), None) => wall.as_utc().map(|_| Stamp::Local(wall)),
            (None, _) => Some(Stamp::Yearless(wall)),
        }
    }
}

impl Fields {
    fn resolve(&self, now: i64, zone: &TimeZone) -> Option<i64> {
        let now = jiff::Timestamp::from_second(now).ok()?.to_zoned(zone.clone()).datetime();
        let year = self.year.unwrap_or(now.year());
        let date = match (self.month, self.day, self.day_of_year) {
            (Some(month), Some(day), _) => Date::new(year, month, day).ok()?,
            (None, None, Some(day)) => {
                let first = Date::new(year, 1, 1).ok()?;
                first.checked_add(jiff::Span::new().days(i64::from(day) - 1)).ok()?
            }
            (None, None, None) => Date::new(year, now.month(), now.day()).ok()?,
            _ => return None,
        };
        let mut at = self.at(date)?;
        let day = jiff::Span::new().days(1);
        if self.month.is_none() && self.day_of_year.is_none() && at > now {
            at = at.checked_sub(day).ok()?;
        }
        if self.year.is_none() && at > now.checked_add(day).ok()? {
            at = self.at(Date::new(year - 1, date.month(), date.day()).ok()?)?;
        }
        let zone = if self.offset_minutes.is_some() { TimeZone::UTC } else { zone.clone() };
        Some(zone.to_timestamp(at).ok()?.as_second())
    }

    /// The time of a day, in UTC where the offset is written.
    fn at(&self, date: Date) -> Option<DateTime> {
        let seconds = i64::from(self.second) - i64::from(self.offset_minutes.unwrap_or(0)) * 60;
        date.to_datetime(jiff::civil::Time::midnight())
            .checked_add(jiff::Span::new().seconds(seconds))
            .ok()
    }
}

/// Minutes east of UTC of `Z`, `+0200`, `-07:00`, `CEST`, `CET+0100`.
pub(super) fn offset_minutes(text: &str) -> Option<i32> {
    let at = text.find(['+', '-']).unwrap_or(text.len());
    let (name, offset) = text.split_at(at);
    let base = if name.is_empty() { 0 } else { named(&name.to_ascii_uppercase())? };
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i32>().ok();
    let minutes = match digits.len() {
        0 => return Some(base),
        2 => number(0..2)? * 60,
        4 => number(0..2)? * 60 + number(2..4)?,
        _ => return None,
    };
    Some(base + if offset.starts_with('-') { -minutes } else { minutes })
}

/// Abbreviations that name one zone in practice; those that name several (`IST`, `BST`) are unknown.
fn named(name: &str) -> Option<i32> {
    const ZONES: [(i32, &str); 27] = [
        (0, "UTC GMT WET Z"),
        (60, "CET WEST A"),
        (120, "EET CEST SAST B"),
        (180, "MSK EEST C"),
        (240, "MSD GST D"),
        (300, "PKT YEKT E"),
        (330, "SLT"),
        (345, "NPT"),
        (360, "YEKST F"),
        (420, "ICT WIB G"),
        (480, "AWST HKT SGT PHT H"),
        (540, "JST KST I"),
        (570, "ACST"),
        (600, "AEST K"),
        (630, "ACDT"),
        (660, "AEDT L"),
        (720, "NZST M"),
        (780, "NZDT"),
        (-60, "AZOT N"),
        (-120, "BRST O"),
        (-180, "ART BRT ADT P"),
        (-210, "NST"),
        (-240, "EDT AST CLT Q"),
        (-300, "EST CDT PET COT R"),
        (-360, "CST MDT S"),
        (-420, "MST PDT T"),
        (-480, "PST AKDT U"),
    ];
    const FURTHER: [(i32, &str); 4] =
        [(-540, "AKST HADT V"), (-600, "HST HAST W"), (-660, "SST X"), (-720, "Y")];
    let all = ZONES.iter().chain(&FURTHER);
    all.clone().find(|(_, names)| names.split(' ').any(|n| n == name)).map(|(minutes, _)| *minutes)
}
