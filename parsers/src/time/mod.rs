//! Timestamps of logs: fixed-offset parsers, missing years, zones given by the caller.
//!
//! A line gives a [`Stamp`]: exact, local, or local without a year (RFC 3164). A [`Clock`] makes
//! seconds since the epoch of it. It is given the zone and the year of the file's last line, never
//! asks the system for either, and resolves the repeated hour of a daylight-saving change by the
//! order of the lines. Fractions of a second are read and dropped.

mod clock;

use jiff::civil::Date;

pub use clock::{Clock, STEP_SECONDS, Step, first_year};

/// A time as a line writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Seconds since the epoch: the line names its offset, or is UTC by definition.
    Exact(i64),
    /// Wall clock of the host.
    Local(Wall),
    /// Wall clock of the host without a year: `Wall::year` is 0.
    Yearless(Wall),
}

/// A wall-clock time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall {
    /// Year, 0 where it is not written.
    pub year: i16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// Second of the day.
    pub second: u32,
}

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The month that three letters name, 1 to 12.
pub fn month(text: &[u8]) -> Option<u8> {
    let at = MONTHS.iter().position(|name| text.eq_ignore_ascii_case(*name))?;
    u8::try_from(at + 1).ok()
}

/// `Dec 10 06:55:46` (RFC 3164; also with a year after the day or at the end, as Cisco and rsyslog
/// variants write it). Gives the stamp and its length in bytes.
pub fn rfc3164(text: &[u8]) -> Option<(Stamp, usize)> {
    let month = month(text.get(..3)?)?;
    let mut at = 3 + spaces(&text[3..])?;
    let (day, used) = number(&text[at..], 2)?;
    at += used;
    at += spaces(&text[at..])?;
    let mut year = 0;
    if text.get(at + 4) == Some(&b' ')
        && let (Some(value), 4) = digits(&text[at..], 4)
    {
        year = value;
        at += 5;
    }
    let (second, used) = clock_time(&text[at..])?;
    at += used;
    let wall = Wall {
        year: i16::try_from(year).ok()?,
        month,
        day: u8::try_from(day).ok().filter(|day| (1..=31).contains(day))?,
        second,
    };
    Some((if year == 0 { Stamp::Yearless(wall) } else { Stamp::Local(wall) }, at))
}

/// RFC 3339 and its relatives: `2024-05-01T10:00:00.123456+02:00`, `…Z`, a space instead of `T`,
/// `/` instead of `-` (nginx error logs), no offset (local), a comma before the fraction.
pub fn iso(text: &[u8]) -> Option<(Stamp, usize)> {
    let (year, 4) = number(text, 4)? else { return None };
    let separator = *text.get(4).filter(|b| matches!(b, b'-' | b'/'))?;
    let (month, 2) = number(text.get(5..)?, 2)? else { return None };
    if text.get(7) != Some(&separator) {
        return None;
    }
    let (day, 2) = number(text.get(8..)?, 2)? else { return None };
    if !matches!(text.get(10)?, b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let (second, used) = clock_time(text.get(11..)?)?;
    let wall = Wall {
        year: i16::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        second,
    };
    let at = 11 + used;
    match offset(&text[at..]) {
        Some((seconds, used)) => Some((Stamp::Exact(wall.as_utc()? - seconds), at + used)),
        None => wall.as_utc().map(|_| (Stamp::Local(wall), at)),
    }
}

/// `10/Oct/2000:13:55:36 -0700`, the stamp of access logs.
pub fn access(text: &[u8]) -> Option<(Stamp, usize)> {
    let (day, 2) = number(text, 2)? else { return None };
    let month = month(text.get(3..6)?)?;
    if (text.get(2), text.get(6)) != (Some(&b'/'), Some(&b'/')) {
        return None;
    }
    let (year, 4) = number(text.get(7..)?, 4)? else { return None };
    if text.get(11) != Some(&b':') {
        return None;
    }
    let (second, used) = clock_time(text.get(12..)?)?;
    let wall =
        Wall { year: i16::try_from(year).ok()?, month, day: u8::try_from(day).ok()?, second };
    let at = 12 + used;
    let rest = &text[at..];
    match rest.strip_prefix(b" ").and_then(offset) {
        Some((seconds, used)) => Some((Stamp::Exact(wall.as_utc()? - seconds), at + 1 + used)),
        None => wall.as_utc().map(|_| (Stamp::Local(wall), at)),
    }
}

/// `Sun Dec 04 04:47:44.123456 2005`, the stamp of Apache's error log (asctime(3)).
pub fn asctime(text: &[u8]) -> Option<(Stamp, usize)> {
    if text.get(3) != Some(&b' ') || !text[..3].iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let (stamp, used) = rfc3164(text.get(4..)?)?;
    let at = 4 + used;
    let Stamp::Yearless(mut wall) = stamp else { return Some((stamp, at)) };
    let (year, 4) = number(text.get(at + 1..)?, 4)? else { return None };
    wall.year = i16::try_from(year).ok()?;
    wall.as_utc().map(|_| (Stamp::Local(wall), at + 5))
}

/// Seconds since the epoch with an optional fraction: `1364481363.243`.
pub fn epoch(text: &[u8]) -> Option<(Stamp, usize)> {
    let (seconds, used @ 9..=10) = number(text, 11)? else { return None };
    let fraction = match text.get(used) {
        Some(b'.') => {
            1 + text[used + 1..].iter().take(9).take_while(|b| b.is_ascii_digit()).count()
        }
        _ => 0,
    };
    Some((Stamp::Exact(i64::from(seconds)), used + fraction))
}

impl Wall {
    /// Seconds since the epoch if the wall clock shows UTC; `None` for a day that does not exist.
    pub fn as_utc(self) -> Option<i64> {
        let month = i8::try_from(self.month).ok()?;
        let date = Date::new(self.year, month, i8::try_from(self.day).ok()?).ok()?;
        Some(days(date) * 86_400 + i64::from(self.second))
    }
}

/// Days since the epoch (Howard Hinnant's `days_from_civil`).
fn days(date: Date) -> i64 {
    let (month, day) = (i64::from(date.month()), i64::from(date.day()));
    let year = i64::from(date.year()) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn spaces(text: &[u8]) -> Option<usize> {
    match text.iter().take_while(|byte| **byte == b' ').count() {
        count @ 1..=8 => Some(count),
        _ => None,
    }
}

fn digits(text: &[u8], most: usize) -> (Option<u32>, usize) {
    let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..count]
        .iter()
        .try_fold(0_u32, |value, byte| value.checked_mul(10)?.checked_add(u32::from(byte - b'0')));
    (value, count)
}

fn number(text: &[u8], most: usize) -> Option<(u32, usize)> {
    match digits(text, most) {
        (Some(value), used @ 1..) => Some((value, used)),
        _ => None,
    }
}

/// `06:55:46` with an optional fraction; second 60 (a leap second) counts as 59.
fn clock_time(text: &[u8]) -> Option<(u32, usize)> {
    let field = |at: usize| match digits(text.get(at..)?, 2) {
        (Some(value), 2) => Some(value),
        _ => None,
    };
    let (hour, minute, second) = (field(0)?, field(3)?, field(6)?);
    if hour > 23 || minute > 59 || second > 60 || (text[2], text[5]) != (b':', b':') {
        return None;
    }
    let fraction = match text.get(8) {
        Some(b'.' | b',') => {
            match text[9..].iter().take(9).take_while(|b| b.is_ascii_digit()).count() {
                0 => 0,
                count => count + 1,
            }
        }
        _ => 0,
    };
    Some((hour * 3600 + minute * 60 + second.min(59), 8 + fraction))
}

/// `Z`, `+02:00`, `-0700`: seconds east of UTC and the length.
fn offset(text: &[u8]) -> Option<(i64, usize)> {
    let sign = match text.first()? {
        b'Z' | b'z' => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (Some(hours), 2) = digits(text.get(1..)?, 2) else { return None };
    let colon = usize::from(text.get(3) == Some(&b':'));
    let (Some(minutes), 2) = digits(text.get(3 + colon..)?, 2) else { return None };
    Some((sign * i64::from(hours * 3600 + minutes * 60), 5 + colon))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    #[test]
    fn stamps_of_all_forms_are_read() {
        let exact = |time: &str| Stamp::Exact(utc(time));
        for (text, read, length) in [
            ("2024-05-01T10:00:00.123456+02:00 x", exact("2024-05-01T08:00:00Z"), 32),
            ("2024-05-01T10:00:00Z", exact("2024-05-01T10:00:00Z"), 20),
            ("2024-05-01 10:00:00,123+0000", exact("2024-05-01T10:00:00Z"), 28),
        ] {
            assert_eq!(iso(text.as_bytes()), Some((read, length)), "{text}");
        }
        assert_eq!(
            access(b"10/Oct/2000:13:55:36 -0700]"),
            Some((exact("2000-10-10T20:55:36Z"), 26))
        );
        let wall = |year, month, day, second| Wall { year, month, day, second };
        assert_eq!(
            rfc3164(b"Dec 10 06:55:46 host"),
            Some((Stamp::Yearless(wall(0, 12, 10, 24_946)), 15))
        );
        assert_eq!(rfc3164(b"Mar  1 00:00:01"), Some((Stamp::Yearless(wall(0, 3, 1, 1)), 15)));
        assert_eq!(rfc3164(b"Mar 1 2023 00:00:01"), Some((Stamp::Local(wall(2023, 3, 1, 1)), 19)));
        assert_eq!(
            asctime(b"Sun Dec 04 04:47:44.123456 2005]"),
            Some((Stamp::Local(wall(2005, 12, 4, 17_264)), 31))
        );
        assert_eq!(
            iso(b"2024/05/01 10:00:00 ["),
            Some((Stamp::Local(wall(2024, 5, 1, 36_000)), 19))
        );
        assert_eq!(epoch(b"1364481363.243:24287"), Some((Stamp::Exact(1_364_481_363), 14)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "Dec",
            "Dec 32 00:00:00",
            "Dec 10 24:00:00",
            "2024-13-01T00:00:00Z",
            "2024-02-30T00:00:00Z",
            "hello",
            "2024",
            "\0\0\0",
            "10/Foo/2000:00:00:00 +0000",
        ] {
            let bytes = text.as_bytes();
            assert_eq!(rfc3164(bytes), None, "{text}");
            assert_eq!(iso(bytes), None, "{text}");
            assert_eq!(access(bytes), None, "{text}");
            assert_eq!(asctime(bytes), None, "{text}");
        }
    }
}
