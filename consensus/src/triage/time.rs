//! Times of alerts: whole seconds since the epoch, from a number or from RFC 3339 text.
//!
//! Tools write offsets as `+00:00`, `+0000` or `Z`, and the day and time apart by `T` or a space: all are
//! taken. A time without an offset is refused, because nothing says whose clock it is.

/// Epoch seconds in decimal; a fraction is cut off.
pub fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| whole.parse().ok()).flatten()
}

/// `2024-05-06T07:08:09.123+0000` and its like (RFC 3339, offsets also without a colon).
pub fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|b| allowed.contains(b));
    if !(shape(4, b"-")
        && shape(7, b"-")
        && shape(10, b"Tt ")
        && shape(13, b":")
        && shape(16, b":"))
    {
        return None;
    }
    let (year, month, day) = (digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?);
    let (hour, minute, second) =
        (digits(bytes, 11, 2)?, digits(bytes, 14, 2)?, digits(bytes, 17, 2)?);
    let real = (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
    // A leap second counts as the one after it, as in POSIX time.
    if !real || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = bytes.get(19..)?;
    let rest = match rest.first() {
        Some(b'.') => {
            let length = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            (length > 0).then(|| &rest[1 + length..])?
        }
        _ => rest,
    };
    let days = days_from_civil(year, month, day);
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - offset(rest)?)
}

fn offset(text: &[u8]) -> Option<i64> {
    let sign = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let minutes_at = match text.len() {
        5 => 3,
        6 if text[3] == b':' => 4,
        _ => return None,
    };
    let (hours, minutes) = (digits(text, 1, 2)?, digits(text, minutes_at, 2)?);
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3_600 + minutes * 60))
}

fn digits(bytes: &[u8], start: usize, length: usize) -> Option<i64> {
    let digits = bytes.get(start..start + length)?;
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, by years that begin in March, so that the
/// leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_every_kind_of_offset() {
        for text in [
            "2022-01-15T02:30:00Z",
            "2022-01-15T02:30:00.999999+0000",
            "2022-01-15 02:30:00+00:00",
            "2022-01-15T04:00:00.1+0130",
            "2022-01-14t21:30:00-05:00",
        ] {
            assert_eq!(rfc3339(text), Some(1_642_213_800), "{text}");
        }
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("2000-02-29T23:59:60Z"), Some(951_868_800));
        assert_eq!(rfc3339("1900-03-01T00:00:00Z"), Some(-2_203_891_200));
    }

    #[test]
    fn what_is_no_time_or_has_no_offset_is_refused() {
        for text in [
            "",
            "2022-01-15",
            "2022-01-15T02:30:00",
            "2022-01-15T02:30:00.+0000",
            "2022-02-29T00:00:00Z",
            "2022-13-01T00:00:00Z",
            "2022-01-15T24:00:00Z",
            "2022-01-15T02:30:00+24:00",
            "2022-01-15T02:30:00+00:0",
            "2022-01-15T02:30:00Zé",
            "２０22-01-15T02:30:00Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        assert_eq!(
            (seconds("12.5"), seconds("-3"), seconds("1."), seconds("é")),
            (Some(12), Some(-3), None, None)
        );
    }
}
