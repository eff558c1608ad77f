//! Every kind of drift by hand, and what is none.

use super::*;
use crate::ports::report::{Counts, PortReport};
use consensus::Exposure;

fn listener(
    bound: &str,
    port: u16,
    pid: u32,
    unit: Option<&str>,
    package: Option<&str>,
) -> Listener {
    let owner = Owner {
        pid,
        exe: Some("/usr/bin/redis-server".into()),
        deleted: false,
        unit: unit.map(str::to_string),
        container: None,
        package: package.map(str::to_string),
        uid: 111,
    };
    Listener {
        protocol: "tcp".into(),
        address: bound.parse().unwrap(),
        port,
        dual_stack: bound == "::",
        uid: 111,
        inode: pid,
        cookie: Some(u64::from(pid)),
        mark: None,
        queue: (0, 511),
        owners: vec![owner],
        owner_unknown: None,
        service: "redis".into(),
        exposure: Exposure::Loopback,
        because: String::new(),
        namespace: None,
    }
}

fn inventory(listeners: Vec<Listener>) -> Inventory {
    Inventory { listeners, ..Inventory::default() }
}

/// A scan of 127.0.0.1 that found these ports open.
fn report(open: &[u16]) -> Report {
    let port = |&port: &u16| PortReport {
        port,
        state: "open".into(),
        reason: None,
        rtt_us: Some(1),
        source: "probe".into(),
        age_s: 0,
        unidentified: None,
        service: None,
        tls: None,
        owner: None,
    };
    let address = [127, 0, 0, 1].into();
    let host = HostReport {
        address,
        name: None,
        own: true,
        ports: open.iter().map(port).collect(),
        counts: Counts::default(),
    };
    Report {
        schema: "wardmote.scan/1".into(),
        seed: None,
        started: String::new(),
        elapsed_ms: 0.0,
        hosts: vec![host],
        counts: Counts::default(),
        incomplete: Vec::new(),
        truth: Vec::new(),
        unseen: Vec::new(),
        drift: None,
    }
}

fn drift(declared: &str, open: &[u16], inventory: &Inventory) -> Compared {
    let expected = read(declared.as_bytes()).unwrap();
    compare(&expected, &report(open), Some(inventory), |_, _| true)
}

fn changes(compared: &Compared) -> Vec<(Change, u16)> {
    compared.drift.iter().map(|one| (one.change, one.port)).collect()
}

const REDIS: &str = "redis-server 5:7.0.15-1";

#[test]
fn what_a_scan_writes_is_what_the_next_expects_whatever_the_pid() {
    let before =
        inventory(vec![listener("127.0.0.1", 6379, 7, Some("redis-server.service"), Some(REDIS))]);
    let declared = write(&report(&[6379]), Some(&before));
    assert!(
        declared.contains("redis-server.service") && !declared.contains("\"pid\""),
        "{declared}"
    );
    assert_eq!(drift(&declared, &[6379], &before), Compared::default());
    let restarted =
        listener("127.0.0.1", 6379, 99, Some("redis-server.service"), Some("redis-server 5:8"));
    assert_eq!(drift(&declared, &[6379], &inventory(vec![restarted])), Compared::default());
    // Without a unit the package counts, without its version; without a package the executable.
    for (package, told) in
        [(Some(REDIS), "\"package\":\"redis-server\""), (None, "\"exe\":\"/usr/bin/")]
    {
        let held =
            inventory(vec![listener("127.0.0.1", 6379, 7, Some("session-3.scope"), package)]);
        let declared = write(&report(&[6379]), Some(&held));
        assert!(declared.contains(told), "{declared}");
        let later = package.map(|_| "redis-server 6:9");
        let held = inventory(vec![listener("127.0.0.1", 6379, 8, Some("session-4.scope"), later)]);
        assert_eq!(drift(&declared, &[6379], &held), Compared::default());
    }
    assert_eq!(drift(&write(&report(&[]), None), &[], &inventory(vec![])), Compared::default());
}

#[test]
fn a_new_port_a_missing_one_and_another_owner_are_one_drift_each() {
    let declared = "listeners:\n- {address: 127.0.0.1, port: 6379, unit: redis-server.service}\n";
    let redis = listener("127.0.0.1", 6379, 7, Some("redis-server.service"), None);
    let other = listener("0.0.0.0", 4444, 8, None, None);
    let found = drift(declared, &[4444, 6379], &inventory(vec![redis, other.clone()]));
    assert_eq!(changes(&found), [(Change::Unexpected, 4444)]);
    assert_eq!(found.drift[0].found.as_deref(), Some("/usr/bin/redis-server"));
    let found = drift(declared, &[], &inventory(vec![]));
    assert_eq!(changes(&found), [(Change::Missing, 6379)]);
    let taken = Listener { port: 6379, ..other };
    let found = drift(declared, &[6379], &inventory(vec![taken]));
    assert_eq!(changes(&found), [(Change::Owner, 6379)]);
    // One of several holders is enough.
    let mut shared = listener("127.0.0.1", 6379, 7, Some("redis-server.service"), None);
    let mut second = shared.owners[0].clone();
    second.unit = Some("other.service".into());
    shared.owners.insert(0, second);
    assert_eq!(drift(declared, &[6379], &inventory(vec![shared])), Compared::default());
}

#[test]
fn listening_wider_than_declared_is_drift() {
    let declared = "listeners:\n- {address: 127.0.0.1, port: 6379, bound: 127.0.0.1}\n";
    let wide = inventory(vec![listener("::", 6379, 7, None, None)]);
    let found = drift(declared, &[6379], &wide);
    assert_eq!(changes(&found), [(Change::Bound, 6379)]);
    assert_eq!(found.drift[0].found.as_deref(), Some("::"));
}

#[test]
fn a_saturated_listener_is_there_although_it_does_not_answer() {
    let declared = "listeners:\n- {address: 127.0.0.1, port: 6379}\n";
    let silent = inventory(vec![listener("127.0.0.1", 6379, 7, None, None)]);
    assert_eq!(drift(declared, &[], &silent), Compared::default());
    assert_eq!(changes(&drift("listeners: []\n", &[], &silent)), [(Change::Unexpected, 6379)]);
}

#[test]
fn what_could_not_be_compared_is_said() {
    let declared = "listeners:\n- {address: 127.0.0.2, port: 22}\n- {address: 127.0.0.1, port: 6379, unit: x.service}\n";
    let mut blind = listener("127.0.0.1", 6379, 7, None, None);
    (blind.owners, blind.owner_unknown) = (Vec::new(), Some("no CAP_SYS_PTRACE".into()));
    let found = drift(declared, &[6379], &inventory(vec![blind.clone()]));
    assert!(found.drift.is_empty());
    assert_eq!(found.incomplete.len(), 2, "{found:?}");
    blind.owner_unknown = Some(super::super::BEYOND.into());
    assert_eq!(
        changes(&drift(declared, &[6379], &inventory(vec![blind]))),
        [(Change::Owner, 6379)]
    );
}

#[test]
fn udp_is_looked_for_only_where_it_is_declared() {
    let mut dns = listener("127.0.0.1", 53, 7, None, None);
    dns.protocol = "udp".into();
    let there = inventory(vec![dns]);
    assert_eq!(drift("listeners: []\n", &[], &there), Compared::default());
    let declared = "listeners:\n- {address: 127.0.0.1, port: 53, protocol: udp}\n";
    assert_eq!(drift(declared, &[], &there), Compared::default());
    assert_eq!(changes(&drift(declared, &[], &inventory(vec![]))), [(Change::Missing, 53)]);
}

#[test]
fn a_declaration_with_a_mistake_is_refused_with_its_place() {
    for (text, line) in [
        ("listeners:\n- {address: 127.0.0.1, port: 22, adress: x}\n", 2),
        ("listeners:\n- {address: localhost, port: 22}\n", 2),
        ("listeners:\n- {address: 127.0.0.1, port: 70000}\n", 2),
        ("ports: []\n", 1),
    ] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error:?}");
    }
    for bytes in [&b"\0"[..], b"\xff\xfe", b"[", b"listeners: 7"] {
        assert!(read(bytes).is_err());
    }
}
