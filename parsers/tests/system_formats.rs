//! Invariants of the formats that describe a system: packages, mounts, os-release.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::cmp::Ordering;
use std::sync::Arc;

use parsers::config::dpkg::{self, ListScan, compare_versions};
use parsers::config::mounts;
use parsers::config::os_release::OsRelease;
use proptest::prelude::*;

/// Versions made of the characters that decide their order.
fn version() -> impl Strategy<Value = String> {
    "([0-9]{1,2}:)?[0-9a-z.+~]{0,8}(-[0-9a-z.+~]{1,6})?"
}

/// Writes a field as the kernel and fstab do.
fn escape(field: &[u8]) -> Vec<u8> {
    field
        .iter()
        .flat_map(|byte| match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
            other => vec![*other],
        })
        .collect()
}

proptest! {
    #[test]
    fn the_order_of_versions_is_an_order(a in version(), b in version(), c in version()) {
        prop_assert_eq!(compare_versions(&a, &a), Ordering::Equal);
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
        if compare_versions(&a, &b).is_le() && compare_versions(&b, &c).is_le() {
            prop_assert!(compare_versions(&a, &c).is_le());
        }
        // A tilde at the end makes any version older, a plus newer.
        let (older, newer) = (format!("{a}~"), format!("{a}+1"));
        prop_assert!(compare_versions(&older, &a).is_lt());
        prop_assert!(compare_versions(&newer, &a).is_gt());
    }

    #[test]
    fn an_escaped_field_is_read_back(field in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(mounts::unescape(&escape(&field)), field);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let file: Arc<str> = "/x".into();
        dpkg::status(&bytes);
        dpkg::paths(&bytes).for_each(drop);
        dpkg::Diversions::read(&bytes);
        let mut scan = ListScan::default();
        bytes.split(|byte| *byte == b'\n').for_each(|line| drop(scan.line(line)));
        let (found, problems) = mounts::fstab(&file, &bytes);
        let lines = bytes.split(|byte| *byte == b'\n').count();
        // A line may give an entry and be a problem: mount(8) ignores what systemd mounts.
        prop_assert!(found.len() <= lines && problems.len() <= lines);
        mounts::mountinfo(&file, &bytes);
        OsRelease::read(&file, &bytes);
    }

    #[test]
    fn what_is_quoted_is_read_back(value in "[ -~]{0,40}") {
        let quoted: String = value
            .chars()
            .flat_map(|c| match c {
                '"' | '\\' | '$' | '`' => vec!['\\', c],
                other => vec![other],
            })
            .collect();
        let release = OsRelease::read(&"/x".into(), format!("NAME=\"{quoted}\"\n").as_bytes());
        prop_assert_eq!(release.value("NAME"), Some(value.as_str()));
    }
}
