//! Who was known here before the period examined: earlier logins, as wtmp keeps them for months.
//!
//! A log shows what happened; whether it is new on this host only a longer memory can tell. Without a
//! single earlier record there is no history, and nothing is called new.

use std::collections::BTreeSet;
use std::path::Path;

use consensus::{Evidence, Kind};
use parsers::log::utmp;
use parsers::tree::Tree;

/// Where logins are kept, the current file and its rotated sibling.
const FILES: [&str; 2] = ["/var/log/wtmp", "/var/log/wtmp.1"];
/// Most bytes of one file: some 170,000 logins.
const FILE_BYTES_MAX: usize = 64 << 20;

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
}
