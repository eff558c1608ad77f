//! Who was known here before the period examined: earlier logins, as wtmp keeps them for months, and at
//! which hours they were.
//!
//! A log shows what happened; whether it is new on this host only a longer memory can tell. Without a
//! single earlier record there is no history, and nothing is called new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use consensus::context::Seen;
use consensus::{Evidence, Kind, Past};
use parsers::log::utmp;
use parsers::tree::Tree;

/// Where logins are kept, the current file and its rotated sibling.
const FILES: [&str; 2] = ["/var/log/wtmp", "/var/log/wtmp.1"];
/// Most bytes of one file: some 170,000 logins.
const FILE_BYTES_MAX: usize = 64 << 20;
/// Most users and addresses whose logins are counted; further ones are not.
pub const SUBJECTS_MAX: usize = 10_000;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Names (`ip:…`, `user:…`) that logged in before `since`; `None` when nothing older is known.
pub fn before(tree: &dyn Tree, since: i64) -> Option<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for file in FILES {
        let Ok(bytes) = tree.read(Path::new(file), FILE_BYTES_MAX) else { continue };
        for login in utmp::logins(&bytes).filter(|login| login.at < since) {
            known.insert(format!("user:{}", login.user));
            known.extend(login.address.map(|address| format!("ip:{address}")));
        }
    }
    (!known.is_empty()).then_some(known)
}

/// The logins before `since`, by user and address; `None` when nothing older is known. Other events are
/// not counted: [`Past::rules`] stays unknown.
pub fn past(tree: &dyn Tree, since: i64) -> Option<Past> {
    let mut logins: BTreeMap<String, (Seen, BTreeSet<i64>)> = BTreeMap::new();
    let mut oldest = since;
    for file in FILES {
        let Ok(bytes) = tree.read(Path::new(file), FILE_BYTES_MAX) else { continue };
        for login in utmp::logins(&bytes).filter(|login| login.at < since) {
            oldest = oldest.min(login.at);
            let address = login.address.map(|address| format!("ip:{address}"));
            for name in address.into_iter().chain([format!("user:{}", login.user)]) {
                if logins.len() >= SUBJECTS_MAX && !logins.contains_key(&name) {
                    continue;
                }
                let (seen, days) = logins.entry(name).or_default();
                seen.count += 1;
                seen.hours[usize::try_from(login.at.rem_euclid(DAY) / 3_600).unwrap_or(0)] += 1;
                days.insert(login.at.div_euclid(DAY));
            }
        }
    }
    let days = |seconds: i64| u32::try_from(seconds / DAY).unwrap_or(u32::MAX);
    let seen = |(name, (seen, on)): (String, (Seen, BTreeSet<i64>))| {
        (name, Seen { days: u32::try_from(on.len()).unwrap_or(u32::MAX), ..seen })
    };
    (!logins.is_empty()).then(|| Past {
        days: days(since.saturating_sub(oldest)),
        logins: Some(logins.into_iter().map(seen).collect()),
        ..Past::default()
    })
}

/// Subjects of what happened that are not among the known.
pub fn new_subjects(known: &BTreeSet<String>, evidence: &[&Evidence]) -> BTreeSet<String> {
    let happened = evidence.iter().filter(|item| item.kind == Kind::Activity);
    let names = happened.flat_map(|item| {
        let ip = item.subject.ip.as_ref().map(|ip| format!("ip:{ip}"));
        let user = item.subject.user.as_ref().map(|user| format!("user:{user}"));
        ip.into_iter().chain(user)
    });
    names.filter(|name| !known.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    fn login(user: &str, address: [u8; 4], at: i32) -> Vec<u8> {
        let mut record = vec![0; utmp::RECORD_BYTES];
        record[0] = 7;
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[340..344].copy_from_slice(&at.to_le_bytes());
        record[348..352].copy_from_slice(&address);
        record
    }

    #[test]
    fn only_what_is_older_than_the_period_is_known() {
        let old = login("alice", [192, 0, 2, 1], 1_000);
        let young = login("mallory", [198, 51, 100, 7], 9_000);
        let tree = MemoryTree::new().file("/var/log/wtmp", young).file("/var/log/wtmp.1", old);
        let known = before(&tree, 5_000).unwrap();
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["ip:192.0.2.1", "user:alice"]);
        assert_eq!(before(&tree, 500), None);
        assert_eq!(before(&MemoryTree::new(), 500), None);
    }

    #[test]
    fn logins_are_counted_by_day_and_hour() {
        let at = |day: i32, hour: i32| login("alice", [192, 0, 2, 1], day * 86_400 + hour * 3_600);
        let bytes = [at(1, 9), at(1, 9), at(2, 10), at(9, 3)].concat();
        let tree = MemoryTree::new().file("/var/log/wtmp", bytes);
        let past = past(&tree, 8 * DAY).unwrap();
        assert_eq!((past.days, past.rules), (6, None));
        let logins = past.logins.unwrap();
        let alice = &logins["user:alice"];
        assert_eq!((alice.count, alice.days, alice.hours[9], alice.hours[3]), (3, 2, 2, 0));
        assert_eq!(logins["ip:192.0.2.1"], *alice);
        assert_eq!(super::past(&tree, 0), None);
    }

    #[test]
    fn only_so_many_subjects_are_counted() {
        let users = |n: usize| -> Vec<u8> {
            (0..n).flat_map(|i| login(&format!("u{i}"), [0; 4], 1_000)).collect()
        };
        let counted = |n| {
            let tree = MemoryTree::new().file("/var/log/wtmp", users(n));
            past(&tree, 5_000).unwrap().logins.unwrap().len()
        };
        assert_eq!(counted(SUBJECTS_MAX), SUBJECTS_MAX);
        assert_eq!(counted(SUBJECTS_MAX + 1), SUBJECTS_MAX);
    }
}
