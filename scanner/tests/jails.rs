//! A sweep with fail2ban's jails: its filters decide, its thresholds fire, for the logs it names.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::path::Path;

use parsers::tree::MemoryTree;
use scanner::RootedTree;
use scanner::logs::fail2ban::{Jail, Jails};
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

fn jails() -> Vec<Jail> {
    let tree = MemoryTree::new()
        .file(
            "/f/jail.local",
            "[DEFAULT]\nenabled = true\nmaxretry = 3\nfindtime = 60\nignoreip = 192.0.2.9\n\
             filter = %(__name__)s\n[door]\nlogpath = /log/door*\n[all]\nmaxretry = 2\n",
        )
        .file("/f/filter.d/door.conf", "[Definition]\nfailregex = ^ \\S+ doord: refused <HOST>$\n")
        .file("/f/filter.d/all.conf", "[Definition]\nfailregex = ^ \\S+ gate: <HOST>$\n");
    let found = Jails::load(&tree, Path::new("/f"), 2029).unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    found.jails
}

fn swept(files: &[(&str, &str)], way: (usize, usize)) -> SweepOutcome {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("log")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join("log").join(name), text).unwrap();
    }
    let tree = RootedTree::open(dir.path()).unwrap();
    let found = source::named(&tree, &["/log".into()]);
    let rules = RuleSet::with_jails(Vec::new(), jails()).unwrap_or_else(|p| panic!("{p:?}"));
    let options = SweepOptions { jobs: way.0, part_bytes: way.1, ..SweepOptions::new(NOW) };
    sweep(&tree, found, None, &rules, &options, None)
}

fn line(second: u32, what: &str) -> String {
    format!("Dec 30 06:55:{second:02} host {what}\n")
}

#[test]
fn a_jail_fires_where_it_would_ban_and_only_for_its_logs() {
    let door = line(1, "doord: refused 192.0.2.7")
        + &line(2, "doord: refused 192.0.2.8")
        + &line(3, "other: refused 192.0.2.7")
        + &line(4, "doord: refused 192.0.2.7")
        + &line(5, "doord: refused 192.0.2.9").repeat(5)
        + &line(6, "doord: refused 192.0.2.7");
    let gate = line(1, "gate: 192.0.2.7") + &line(2, "doord: refused 192.0.2.8").repeat(5);
    for way in [(1, 1 << 20), (2, 40), (8, 97)] {
        let outcome = swept(&[("door.log", &door), ("gate.log", &gate)], way);
        let told: Vec<_> = outcome
            .detections
            .iter()
            .map(|d| (d.rule.as_str(), d.subject.ip.as_deref(), d.count, d.samples[0].line))
            .collect();
        assert_eq!(told, [("fail2ban-door-ban", Some("192.0.2.7"), 3, 1)], "{way:?}");
        let seen: Vec<_> =
            outcome.activity.iter().map(|a| (a.rule.as_str(), a.events, a.addresses)).collect();
        assert_eq!(seen, [("fail2ban-door", 4, 2), ("fail2ban-all", 1, 1)], "{way:?}");
    }
}

#[test]
fn failures_further_apart_than_findtime_do_not_fire() {
    let far = |seconds: [&str; 3]| -> String {
        seconds.map(|at| format!("Dec 30 {at} host doord: refused 192.0.2.7\n")).concat()
    };
    let fires = |text: &str| !swept(&[("door.log", text)], (2, 64)).detections.is_empty();
    assert!(fires(&far(["06:00:00", "06:00:30", "06:01:00"])));
    assert!(!fires(&far(["06:00:00", "06:00:30", "06:01:01"])));
}

/// One entry of the journal's export.
fn entry(second: u32, unit: &str, message: &str) -> String {
    let at = 1_767_000_000_000_000_u64 + u64::from(second) * 1_000_000;
    format!(
        "__CURSOR=c{second}\n__REALTIME_TIMESTAMP={at}\n_HOSTNAME=web\nSYSLOG_IDENTIFIER=doord\n\
         _PID=7\n_SYSTEMD_UNIT={unit}\nMESSAGE={message}\n\n"
    )
}

#[test]
fn a_jail_that_reads_the_journal_is_asked_of_its_entries_and_of_no_file() {
    let tree = MemoryTree::new()
        .file(
            "/f/jail.local",
            "[DEFAULT]\nenabled = true\nmaxretry = 3\nfindtime = 60\nbackend = systemd\n\
             filter = door\n[door]\n",
        )
        .file(
            "/f/filter.d/door.conf",
            "[Definition]\nfailregex = ^\\S+ doord\\[7\\]: refused <HOST>$\n\
             journalmatch = _SYSTEMD_UNIT=doord.service + _SYSTEMD_UNIT=gate.service\n",
        );
    let found = Jails::load(&tree, Path::new("/f"), 2029).unwrap();
    assert!(found.problems.is_empty() && found.jails[0].reads_journal, "{:?}", found.problems);
    let rules = RuleSet::with_jails(Vec::new(), found.jails).unwrap_or_else(|p| panic!("{p:?}"));
    let journal = entry(1, "doord.service", "refused 192.0.2.7")
        + &entry(2, "other.service", "refused 192.0.2.8").repeat(3)
        + &entry(3, "gate.service", "refused 192.0.2.7")
        + &entry(4, "doord.service", "opened")
        + &entry(5, "doord.service", "refused 192.0.2.7");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.log"), line(1, "doord[7]: refused 192.0.2.9").repeat(3))
        .unwrap();
    let tree = RootedTree::open(dir.path()).unwrap();
    let found = source::named(&tree, &["/a.log".into()]);
    let mut journal = journal.as_bytes();
    let options = SweepOptions::new(NOW);
    let outcome = sweep(&tree, found, Some(&mut journal), &rules, &options, None);
    let told: Vec<_> = outcome
        .detections
        .iter()
        .map(|d| (d.rule.as_str(), d.subject.ip.as_deref(), d.count))
        .collect();
    assert_eq!(told, [("fail2ban-door-ban", Some("192.0.2.7"), 3)]);
}
