//! dpkg's status, apt's lists, diversions and file lists; versions are totally ordered.
#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use parsers::config::dpkg::{
    Diversions, ListScan, PATH_BYTES_MAX, VALUE_BYTES_MAX, compare_versions, paths, status,
};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        let (packages, _) = status(data);
        for package in &packages {
            shape.holds(package.line, 0);
            package.installed();
        }
        let mut scan = ListScan::default();
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            if let Some(offered) = scan.line(line) {
                assert!(offered.version.len() <= VALUE_BYTES_MAX);
            }
        }
        scan.end();
        Diversions::read(data).place(b"/bin/sh", "dash");
        assert!(paths(data).all(|path| path.len() <= PATH_BYTES_MAX));
        versions(&String::from_utf8_lossy(data));
    });
});

/// Three versions: the order is antisymmetric and transitive, and equal to itself.
fn versions(text: &str) {
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let mut three = [next(), next(), next()];
    for one in three {
        assert_eq!(compare_versions(one, one), Ordering::Equal);
        for other in three {
            assert_eq!(compare_versions(one, other), compare_versions(other, one).reverse());
        }
    }
    three.sort_by(|one, other| compare_versions(one, other));
    assert!(compare_versions(three[0], three[2]).is_le());
}
