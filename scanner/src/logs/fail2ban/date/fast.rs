//! The two commonest dates at the start of a line, without a search: syslog's and RFC 3339's.
//!
//! What is answered here is what the default patterns answer; every doubt is left to them.

use super::moment::{Fields, Moment};
use super::template::Found;

/// Places of the two among the defaults that are tied to the start.
const ISO: usize = 0;
const SYSLOG: usize = 1;

/// The date at the very start of a line, if it is beyond doubt.
pub(super) fn leading(line: &[u8]) -> Option<(usize, Found)> {
    match line.first()? {
        b'2' => Some((ISO, iso(line)?)),
        byte if byte.is_ascii_alphabetic() => Some((SYSLOG, syslog(line)?)),
        _ => None,
    }
}

fn two(line: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (*line.get(at)?, *line.get(at + 1)?);
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// `06:55:46`, all digits written.
fn clock(line: &[u8], at: usize) -> Option<u32> {
    let (hour, minute, second) = (two(line, at)?, two(line, at + 3)?, two(line, at + 6)?);
    let colons = (line.get(at + 2)?, line.get(at + 5)?) == (&b':', &b':');
    (colons && hour < 24 && minute < 60 && second < 60)
        .then_some(hour * 3600 + minute * 60 + second)
}

/// `Dec 10 06:55:46 ` and then no digit, which may be a year.
fn syslog(line: &[u8]) -> Option<Found> {
    let month = i8::try_from(parsers::time::month(line.get(..3)?)?).ok()?;
    let digit = |byte: u8| if byte == b' ' { b'0' } else { byte };
    let (tens, ones) = (digit(*line.get(4)?), *line.get(5)?);
    let day = two(&[tens, ones], 0).filter(|day| (1..=31).contains(day))?;
    let spaces = (line.get(3)?, line.get(6)?, line.get(15)?) == (&b' ', &b' ', &b' ');
    if !spaces || line.get(16).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let day = i8::try_from(day).ok();
    let fields = Fields { month: Some(month), day, second: clock(line, 7)?, ..Fields::default() };
    Some(found(15, fields))
}

/// `2024-05-01T10:00:00.123456+02:00` with everything after the seconds left out or not.
fn iso(line: &[u8]) -> Option<Found> {
    let year = two(line, 0)? * 100 + two(line, 2)?;
    if !(2000..2030).contains(&year) || (line.get(4)?, line.get(7)?) != (&b'-', &b'-') {
        return None;
    }
    let (month, day) = (two(line, 5)?, two(line, 8)?);
    if !matches!(line.get(10)?, b'T' | b' ') {
        return None;
    }
    let mut fields = Fields {
        year: i16::try_from(year).ok(),
        month: i8::try_from(month).ok(),
        day: i8::try_from(day).ok(),
        second: clock(line, 11)?,
        ..Fields::default()
    };
    jiff::civil::Date::new(fields.year?, fields.month?, fields.day?).ok()?;
    let mut at = 19;
    if matches!(line.get(at), Some(b'.' | b',')) {
        let digits = line[at + 1..].iter().take(7).take_while(|b| b.is_ascii_digit()).count();
        if !(1..=6).contains(&digits) {
            return None;
        }
        at += 1 + digits;
    }
    let word = |at: usize| {
        line.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b > 127)
    };
    match line.get(at)? {
        b'Z' if !word(at + 1) => {
            fields.offset_minutes = Some(0);
            at += 1;
        }
        sign @ (b'+' | b'-') => {
            let hours = two(line, at + 1).filter(|hours| *hours < 20)?;
            let colon = usize::from(line.get(at + 3) == Some(&b':'));
            let minutes = two(line, at + 3 + colon)?;
            at += 5 + colon;
            if word(at) {
                return None;
            }
            let offset = i32::try_from(hours * 60 + minutes).ok()?;
            fields.offset_minutes = Some(if *sign == b'-' { -offset } else { offset });
        }
        b' ' => {
            // A zone may follow after white space.
            let next = line.get(at + 1)?;
            if matches!(next, b'Z' | b'U' | b'G' | b'+' | b'-') || !next.is_ascii_graphic() {
                return None;
            }
        }
        _ => return None,
    }
    Some(found(at, fields))
}

fn found(end: usize, fields: Fields) -> Found {
    Found { distance: 0, start: 0, end, moment: Some(Moment::Fields(fields)) }
}
