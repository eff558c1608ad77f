//! Names that rotation gives: of which log a file is a part, and how old a part.
//!
//! Knows what logrotate makes with and without `dateext`, `dateformat`, `extension` and any compression,
//! and the dated names that daemons choose themselves: `auth.log.2.gz`, `secure-20240501`,
//! `access.log-20240501.xz`, `app.log-2024050113`, `app.log-1714521600`, `access-20240501.log`,
//! `postgresql-2024-05-01.log`, `auth.1.log`. Anything else is a log of its own.

use std::cmp::Reverse;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Names of compressed files end so.
const PACKED: [&str; 4] = [".gz", ".xz", ".zst", ".bz2"];

/// Largest number of a rotated file.
const NUMBER_MAX: u32 = 9_999;

/// Where a file stands in its family; oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Made then, in seconds since the epoch as if in UTC.
    Dated(i64),
    /// `.3`: the larger the older.
    Numbered(Reverse<u32>),
    /// Being written.
    Live,
}

/// A path without its rotation's suffix, and its age.
pub fn family(path: &Path) -> (String, Age) {
    let whole = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    let text = PACKED.iter().find_map(|end| whole.strip_suffix(end)).unwrap_or(&whole);
    let name = text.rfind('/').map_or(0, |at| at + 1);
    if let Some((stem, age)) = aged(&text[name..]) {
        return (format!("{}{stem}", &text[..name]), age);
    }
    // The date may stand before the ending.
    if let Some((before, ending)) = text[name..].rsplit_once('.')
        && matches!(ending, "log" | "txt" | "json" | "csv")
        && let Some((stem, age)) = aged(before)
    {
        return (format!("{}{stem}.{ending}", &text[..name]), age);
    }
    (text.to_string(), Age::Live)
}

/// Whether a path is that of a log that is being written.
pub fn is_live(path: &str) -> bool {
    let packed = PACKED.iter().any(|end| path.ends_with(end));
    !packed && family(Path::new(path)).1 == Age::Live
}

/// A name without the number or date at its end.
fn aged(name: &str) -> Option<(&str, Age)> {
    if let Some((stem, number)) = name.rsplit_once('.')
        && !stem.is_empty()
        && number.len() <= 4
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = number.parse()
        && number <= NUMBER_MAX
    {
        return Some((stem, Age::Numbered(Reverse(number))));
    }
    let begin = name.len()
        - name.bytes().rev().take_while(|byte| byte.is_ascii_digit() || is_joint(*byte)).count();
    // The stem may itself end with digits: the longest date that its end makes counts.
    let joints = name.bytes().enumerate().skip(begin).filter(|(_, byte)| is_joint(*byte));
    for (at, _) in joints {
        let digits: String = name[at..].chars().filter(char::is_ascii_digit).collect();
        if at > 0
            && let Some(seconds) = moment(&digits)
        {
            return Some((&name[..at], Age::Dated(seconds)));
        }
    }
    None
}

fn is_joint(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'_')
}

/// `YYYYMMDD`, with hours, minutes and seconds or without, or seconds since the epoch.
fn moment(digits: &str) -> Option<i64> {
    let part = |from: usize, length: usize| -> Option<i8> {
        digits.get(from..from + length).map_or(Some(0), |text| text.parse().ok())
    };
    let date = || {
        let year: i16 = digits.get(..4)?.parse().ok()?;
        let day = jiff::civil::Date::new(year, part(4, 2)?, part(6, 2)?).ok()?;
        let time = jiff::civil::Time::new(part(8, 2)?, part(10, 2)?, part(12, 2)?, 0).ok()?;
        let at = day.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        (1980..2100).contains(&year).then(|| at.timestamp().as_second())
    };
    match digits.len() {
        8 | 12 | 14 => date(),
        10 => date().or_else(|| digits.parse().ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> (String, Age) {
        family(Path::new(path))
    }

    #[test]
    fn every_way_to_name_a_rotated_file_is_known() {
        let first_of_may = 1_714_521_600;
        for (path, name, at) in [
            ("/var/log/secure-20240501", "/var/log/secure", 0),
            ("/var/log/secure-20240501.gz", "/var/log/secure", 0),
            ("/var/log/secure.20240501.xz", "/var/log/secure", 0),
            ("/a/access.log-20240501-1330.zst", "/a/access.log", 48_600),
            ("/a/access.log-2024050113", "/a/access.log", 46_800),
            ("/a/access.log-2024-05-01", "/a/access.log", 0),
            ("/a/access.log-1714521600.gz", "/a/access.log", 0),
            ("/a/access-20240501.log", "/a/access.log", 0),
            ("/a/access-20240501.log.gz", "/a/access.log", 0),
            ("/a/postgresql-2024-05-01_000000.log", "/a/postgresql.log", 0),
            ("/a/localhost_access_log.2024-05-01.txt", "/a/localhost_access_log.txt", 0),
            ("/a/web-7-20240501", "/a/web-7", 0),
        ] {
            assert_eq!(of(path), (name.into(), Age::Dated(first_of_may + at)), "{path}");
            assert!(!is_live(path), "{path}");
        }
        for (path, name, number) in [
            ("/var/log/auth.log.2.gz", "/var/log/auth.log", 2),
            ("/var/log/auth.log.10", "/var/log/auth.log", 10),
            ("/var/log/auth.1.log", "/var/log/auth.log", 1),
            ("/var/log/a.9999", "/var/log/a", 9999),
        ] {
            assert_eq!(of(path), (name.into(), Age::Numbered(Reverse(number))), "{path}");
        }
    }

    #[test]
    fn other_names_are_logs_of_their_own() {
        for path in [
            "/var/log/auth.log",
            "/var/log/a.10000",
            "/var/log/app-2024",
            "/var/log/app-20241301",
            "/var/log/20240501",
            "/var/log/x-20240501/app.log",
            "/var/log/.1",
            "/var/log/-",
            "/v/tomcat-8.5.99999",
        ] {
            assert_eq!(of(path), (path.into(), Age::Live), "{path}");
            assert!(is_live(path), "{path}");
        }
        assert!(!is_live("/var/log/app.log.gz"), "nobody appends to an archive");
    }

    #[test]
    fn age_orders_a_family() {
        let ages = ["a-20240408", "a-20240501", "a-1714600000", "a.10", "a.2", "a.1", "a"];
        let ages: Vec<Age> = ages.iter().map(|path| of(path).1).collect();
        assert!(ages.is_sorted());
    }
}
