//! Log lines that wardmote's own probes caused: only an exact match of a bare connection is discounted.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use scanner::RootedTree;
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, content, source, sweep};
use scanner::ports::ledger::{Ledger, Probe};

/// 2026-06-01T10:00:00Z.
const AT: i64 = 1_780_308_000;

fn ledger(ports: std::ops::Range<u16>) -> Ledger {
    let one =
        |port| Probe { address: [127, 77, 1, 1].into(), port, target: 22, from_s: AT, to_s: AT };
    Ledger::new(ports.map(one), AT)
}

fn swept(lines: &str, own: Ledger, jobs: usize) -> SweepOutcome {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("auth.log"), lines).unwrap();
    let tree = RootedTree::open(place.path()).unwrap();
    let found = source::named(&tree, &[Path::new("/auth.log").to_path_buf()]);
    let rules = RuleSet::new(content::documents().unwrap()).unwrap();
    let options = SweepOptions { own_probes: Arc::new(own), jobs, ..SweepOptions::new(AT + 60) };
    sweep(&tree, found, None, &rules, &options, None)
}

/// What sshd says of a connection that says nothing, so many times.
fn silent(ports: std::ops::Range<u16>, seconds: i64, address: &str) -> String {
    let when = |at: i64| jiff::Timestamp::from_second(at).unwrap().to_string();
    ports
        .map(|port| {
            format!(
                "{} host sshd[7]: Did not receive identification string from {address} port {port}\n",
                when(AT + seconds)
            )
        })
        .collect()
}

#[test]
fn own_probes_are_counted_and_not_judged() {
    for jobs in [1, 2] {
        let plain = swept(&silent(40_000..40_040, 1, "127.77.1.1"), Ledger::default(), jobs);
        assert!(plain.summary.hits >= 40 && !plain.detections.is_empty());
        assert_eq!(plain.summary.own_probes, 0);
        let own = swept(&silent(40_000..40_040, 1, "127.77.1.1"), ledger(40_000..40_040), jobs);
        assert_eq!((own.summary.own_probes, own.summary.hits), (40, 0));
        assert!(own.detections.is_empty(), "{:?}", own.detections);
    }
}

#[test]
fn another_port_time_or_address_is_judged_as_ever() {
    let mine = || ledger(40_000..40_040);
    for (what, lines) in [
        ("port", silent(41_000..41_040, 0, "127.77.1.1")),
        ("later", silent(40_000..40_040, 3, "127.77.1.1")),
        ("earlier", silent(40_000..40_040, -3, "127.77.1.1")),
        ("address", silent(40_000..40_040, 0, "127.77.1.2")),
        ("guest", silent(40_000..40_040, 0, "203.0.113.9")),
    ] {
        let outcome = swept(&lines, mine(), 1);
        let plain = swept(&lines, Ledger::default(), 1);
        assert_eq!(outcome.summary, plain.summary, "{what}");
        assert_eq!(outcome.summary.own_probes, 0);
        assert!(!outcome.detections.is_empty());
    }
}

#[test]
fn nobody_can_hide_a_login_behind_our_address() {
    let lines: String = (40_000..40_040)
        .map(|port| {
            format!(
                "2026-06-01T10:00:00Z host sshd[7]: Failed password for root from 127.77.1.1 port {port} ssh2\n"
            )
        })
        .collect();
    let outcome = swept(&lines, ledger(40_000..40_040), 1);
    assert_eq!(outcome.summary.own_probes, 0);
    assert!(outcome.summary.hits >= 40 && !outcome.detections.is_empty());
}
