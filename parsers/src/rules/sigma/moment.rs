//! The time modifiers: a number taken from a date and time as it is written.
//!
//! Sigma says that zones and formats are not converted: the hour is the one that stands there. Only
//! seconds since the epoch, which have none, are read as UTC.

use serde::{Deserialize, Serialize};

use crate::time::{self, Stamp, Wall};

/// A part of a date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Of the month, 1 to 31.
    Day,
    /// ISO 8601 week, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// The year.
    Year,
}

impl Part {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The part of a text that is a date and time; `None` where it is none, or does not name it.
    pub fn of(self, value: &[u8]) -> Option<f64> {
        let wall = wall(value.trim_ascii())?;
        let named = wall.year != 0;
        Some(match self {
            Self::Minute => f64::from(wall.second / 60 % 60),
            Self::Hour => f64::from(wall.second / 3600),
            Self::Day => f64::from(wall.day),
            Self::Month => f64::from(wall.month),
            Self::Year => f64::from(named.then_some(wall.year)?),
            Self::Week => {
                let month = i8::try_from(wall.month).ok()?;
                let day = i8::try_from(wall.day).ok()?;
                let date = jiff::civil::Date::new(named.then_some(wall.year)?, month, day).ok()?;
                f64::from(date.iso_week_date().week())
            }
        })
    }
}

/// The wall clock as written.
fn wall(text: &[u8]) -> Option<Wall> {
    // An offset would be applied: cut it off, so that the clock is the written one.
    let written = match text.first()? {
        b'0'..=b'9' => {
            let end = text
                .iter()
                .enumerate()
                .position(|(at, byte)| at > 10 && matches!(byte, b'Z' | b'z' | b'+' | b'-'));
            text[..end.unwrap_or(text.len())].trim_ascii_end()
        }
        _ => text,
    };
    let found = time::iso(written)
        .or_else(|| time::access(written))
        .or_else(|| time::rfc3164(written))
        .or_else(|| time::asctime(written))
        .or_else(|| time::epoch(text));
    match found?.0 {
        Stamp::Local(wall) | Stamp::Yearless(wall) => Some(wall),
        Stamp::Exact(seconds) => {
            let moment = jiff::Timestamp::from_second(seconds).ok()?;
            let utc = moment.to_zoned(jiff::tz::TimeZone::UTC);
            Some(Wall {
                year: utc.year(),
                month: u8::try_from(utc.month()).ok()?,
                day: u8::try_from(utc.day()).ok()?,
                second: u32::try_from(seconds.rem_euclid(86_400)).ok()?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_that_are_written() {
        for (text, part, expected) in [
            ("2024-05-06T23:15:59+02:00", Part::Hour, Some(23.0)),
            ("2024-05-06T23:15:59.123Z", Part::Minute, Some(15.0)),
            ("2024-05-06 07:15:59", Part::Day, Some(6.0)),
            ("2024-12-30 07:15:59", Part::Week, Some(1.0)),
            ("10/Oct/2000:13:55:36 -0700", Part::Hour, Some(13.0)),
            ("Dec 10 06:55:46", Part::Month, Some(12.0)),
            ("Dec 10 06:55:46", Part::Year, None),
            ("Dec 10 06:55:46", Part::Week, None),
            ("1700000000", Part::Hour, Some(22.0)),
            ("1700000000.5", Part::Year, Some(2023.0)),
            ("no time", Part::Hour, None),
            ("", Part::Hour, None),
        ] {
            assert_eq!(part.of(text.as_bytes()), expected, "{text} {part:?}");
        }
    }
}
