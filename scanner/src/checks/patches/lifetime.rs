//! Ends of free security support, by distribution and version.

use std::sync::Arc;

use consensus::Severity;
use parsers::config::os_release::OsRelease;

use super::super::{Observation, Outcome};
use crate::Facts;

/// Days before the end from which it is worth a word.
const SOON_DAYS: i64 = 90;

/// `ID`, `VERSION_ID` (a prefix of whole components) and the last day of security support that comes
/// to everybody without a contract, as published by each distribution. Where only a month is
/// announced, its last day stands. For Debian it is the end of LTS.
const ENDS: &[(&str, &str, &str)] = &[
    ("debian", "8", "2020-06-30"),
    ("debian", "9", "2022-06-30"),
    ("debian", "10", "2024-06-30"),
    ("debian", "11", "2026-08-31"),
    ("debian", "12", "2028-06-30"),
    ("debian", "13", "2030-06-30"),
    ("ubuntu", "14.04", "2019-04-30"),
    ("ubuntu", "16.04", "2021-04-30"),
    ("ubuntu", "18.04", "2023-05-31"),
    ("ubuntu", "20.04", "2025-05-31"),
    ("ubuntu", "22.04", "2027-06-30"),
    ("ubuntu", "23.04", "2024-01-31"),
    ("ubuntu", "23.10", "2024-07-31"),
    ("ubuntu", "24.04", "2029-06-30"),
    ("ubuntu", "24.10", "2025-07-31"),
    ("ubuntu", "25.04", "2026-01-31"),
    ("rhel", "6", "2020-11-30"),
    ("rhel", "7", "2024-06-30"),
    ("rhel", "8", "2029-05-31"),
    ("rhel", "9", "2032-05-31"),
    ("rhel", "10", "2035-05-31"),
    ("centos", "6", "2020-11-30"),
    ("centos", "7", "2024-06-30"),
    ("centos", "8", "2024-05-31"),
    ("centos", "9", "2027-05-31"),
    ("rocky", "8", "2029-05-31"),
    ("rocky", "9", "2032-05-31"),
    ("almalinux", "8", "2029-05-31"),
    ("almalinux", "9", "2032-05-31"),
    ("ol", "7", "2024-12-31"),
    ("ol", "8", "2029-07-31"),
    ("ol", "9", "2032-06-30"),
    ("fedora", "38", "2024-05-31"),
    ("fedora", "39", "2024-11-30"),
    ("fedora", "40", "2025-05-31"),
    ("amzn", "2018", "2023-12-31"),
    ("amzn", "2", "2026-06-30"),
    ("opensuse-leap", "15.4", "2023-12-31"),
    ("opensuse-leap", "15.5", "2024-12-31"),
    ("alpine", "3.15", "2023-11-30"),
    ("alpine", "3.16", "2024-05-31"),
    ("alpine", "3.17", "2024-11-30"),
    ("alpine", "3.18", "2025-05-31"),
    ("alpine", "3.19", "2025-11-30"),
    ("alpine", "3.20", "2026-04-30"),
    ("alpine", "3.21", "2026-11-30"),
    ("alpine", "3.22", "2027-05-31"),
];

/// Looks at os-release.
pub(super) fn end_of_life(facts: &Facts<'_>) -> Outcome {
    let (file, release) = match read(facts) {
        Ok(found) => found,
        Err(outcome) => return *outcome,
    };
    let Some(version) = release.values.get("VERSION_ID") else {
        return Outcome::not_applicable(format!("{file}: no VERSION_ID, a rolling release"));
    };
    let name = format!("{} {}", release.id(), version.value);
    let name = crate::redact::printable(&name);
    let Some((end, day)) = end_of(release.id(), &version.value) else {
        return Outcome::unknown(format!("the end of support of {name} is not known here"));
    };
    let left_days = (end - facts.now).div_euclid(86_400);
    if left_days >= SOON_DAYS {
        return Outcome::passed(format!("{name} gets security updates until {day}"));
    }
    let seen = Observation::of(version).key("end-of-life").fact("end", day);
    Outcome::failed(if facts.now >= end {
        seen.title(format!("{name} has had no security updates since {day}")).level(Severity::High)
    } else {
        let title = format!("{name} gets security updates for {left_days} more days ({day})");
        seen.title(title).level(Severity::Info)
    })
}

fn read(facts: &Facts<'_>) -> Result<(&'static str, OsRelease), Box<Outcome>> {
    let mut last = None;
    for file in ["/etc/os-release", "/usr/lib/os-release"] {
        match facts.read(file) {
            Ok(bytes) => return Ok((file, OsRelease::read(&Arc::from(file), &bytes))),
            Err(error) if error.not_found() => last = Some(error),
            Err(error) => return Err(Box::new(Outcome::not_run(error.to_string()))),
        }
    }
    let why = last.map_or_else(String::new, |error| error.to_string());
    Err(Box::new(Outcome::unknown(format!("no os-release file: {why}"))))
}

/// The end of the last day of support in seconds since the epoch, and that day.
fn end_of(id: &str, version: &str) -> Option<(i64, &'static str)> {
    let fits = |known: &str| {
        version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let (_, _, day) =
        ENDS.iter().find(|(distribution, known, _)| *distribution == id && fits(known))?;
    let date: jiff::civil::Date = day.parse().ok()?;
    let end = date.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some((end.timestamp().as_second(), day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckResult;
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::{FileKind, MemoryTree};

    fn at(tree: &MemoryTree, now: i64) -> Outcome {
        let (vantage, spoken) = (Vantage::mounted(), Spoken::default());
        end_of_life(&Facts::new(tree, false, &vantage, None, &spoken, now))
    }

    fn release(text: &str) -> MemoryTree {
        MemoryTree::new().file("/etc/os-release", text)
    }

    #[test]
    fn every_date_is_a_date() {
        for (id, version, day) in ENDS {
            assert_eq!(end_of(id, version).map(|(_, day)| day), Some(*day), "{id} {version}");
        }
    }

    #[test]
    fn support_ends_on_its_day() {
        let tree = release("NAME=x\nID=debian\nVERSION_ID=\"10\"\n");
        // 2024-07-01T00:00:00Z
        let end = 1_719_792_000;
        assert_eq!(at(&tree, end - 1).observations[0].level, Some(Severity::Info));
        let past = at(&tree, end);
        assert_eq!(past.observations[0].level, Some(Severity::High));
        let line = &past.observations[0].lines[0];
        assert_eq!((line.file.as_str(), line.line, line.column), ("/etc/os-release", 3, 12));
        assert_eq!(at(&tree, end - SOON_DAYS * 86_400).result, CheckResult::Passed);
    }

    #[test]
    fn minor_versions_match_and_others_do_not() {
        assert_eq!(end_of("rhel", "8.10").unwrap().1, "2029-05-31");
        assert_eq!(end_of("alpine", "3.18.4").unwrap().1, "2025-05-31");
        assert_eq!(end_of("alpine", "3.1"), None);
        assert_eq!(end_of("debian", "1"), None);
        assert_eq!(end_of("debian", "120"), None);
    }

    #[test]
    fn what_is_not_known_is_not_passed() {
        assert_eq!(at(&release("ID=exotic\nVERSION_ID=1\n"), 0).result, CheckResult::Unknown);
        assert_eq!(at(&release("ID=arch\n"), 0).result, CheckResult::NotApplicable);
        assert_eq!(at(&MemoryTree::new(), 0).result, CheckResult::Unknown);
        let fifo = MemoryTree::new().special("/etc/os-release", FileKind::Fifo);
        assert_eq!(at(&fifo, 0).result, CheckResult::NotRun);
        assert_eq!(at(&release(&"x".repeat(9 << 20)), 0).result, CheckResult::NotRun);
    }
}
