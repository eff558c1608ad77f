//! What `wardmote scan` keeps between runs: the cache, which never hides a listener, and the ledger, with
//! which a sweep discounts the lines of its own probes.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn wardmote(state: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardmote"));
    command.arg("--state-dir").arg(state).args(words).env_remove("WARDMOTE_CONFIG");
    command.output().unwrap()
}

/// A listener on a loopback address that only this test process uses.
fn listener(salt: u8) -> TcpListener {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    TcpListener::bind((Ipv4Addr::new(127, 120 + salt, high, low.max(2)), 0)).unwrap()
}

fn scan(state: &Path, at: SocketAddr, more: &[&str]) -> (Value, String) {
    let (address, port) = (at.ip().to_string(), at.port().to_string());
    let words = ["scan", &address, "-p", &port, "--format", "json"];
    let out = wardmote(state, &[&words[..], more].concat());
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code().is_some_and(|code| code == 0 || code == 3), "{told}");
    (serde_json::from_slice(&out.stdout).unwrap(), told)
}

fn open(report: &Value) -> Option<&Value> {
    report["hosts"][0]["ports"].as_array().unwrap().first()
}

#[test]
fn a_cache_that_is_not_to_be_believed_is_ignored_once_and_hides_nothing() {
    let place = tempfile::tempdir().unwrap();
    let listener = listener(0);
    let at = listener.local_addr().unwrap();
    let (report, told) = scan(place.path(), at, &[]);
    assert_eq!(open(&report).unwrap()["state"], "open");
    assert_eq!(told, "");
    let file = place.path().join("cache/scan.v1");
    let good = std::fs::read(&file).unwrap();
    assert!(good.starts_with(b"wardmote scan 1\n"));
    for name in ["cache/scan.v1", "host.key"] {
        let mode = std::fs::metadata(place.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [&flipped[..], b"rubbish", &good[..20], &[]] {
        std::fs::write(&file, bad).unwrap();
        let (report, told) = scan(place.path(), at, &[]);
        assert_eq!(open(&report).unwrap()["state"], "open");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("cache ignored: ") && told.contains("scan.v1"), "{told}");
        // It was written anew.
        assert_eq!(scan(place.path(), at, &[]).1, "");
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let (_, told) = scan(place.path(), at, &[]);
    assert!(told.contains("others may use it"), "{told}");
    drop(listener);
    let (report, _) = scan(place.path(), at, &[]);
    assert_eq!(open(&report), None, "what no longer listens is not remembered");
}

#[test]
fn ages_are_spans_and_exclude_no_cache() {
    let place = tempfile::tempdir().unwrap();
    let listener = listener(1);
    let at = listener.local_addr().unwrap();
    for flags in [&["--max-age", "30m"][..], &["--no-cache"]] {
        assert!(open(&scan(place.path(), at, flags).0).is_some());
    }
    for flags in [&["--max-age", "soon"][..], &["--no-cache", "--max-age", "1h"]] {
        let out = wardmote(place.path(), &[&["scan", "127.0.0.1", "-p", "1"], flags].concat());
        assert_eq!(out.status.code(), Some(2));
    }
}

/// What a sweep says of one line of sshd about a connection.
fn swept(state: &Path, peer: SocketAddr) -> (Value, String) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let stamp = humane(now.as_secs());
    let line = format!(
        "{stamp} host sshd[7]: Did not receive identification string from {} port {}\n",
        peer.ip(),
        peer.port()
    );
    let log = state.join("auth.log");
    std::fs::write(&log, line).unwrap();
    let out = wardmote(state, &["sweep", log.to_str().unwrap(), "--format", "json", "--no-state"]);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    (report["summary"].clone(), String::from_utf8(out.stderr).unwrap())
}

/// RFC 3339, as `date` writes it.
fn humane(seconds: u64) -> String {
    let at = format!("@{seconds}");
    let out = Command::new("date").args(["-u", "-d", &at, "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_string()
}

#[test]
fn a_sweep_discounts_what_a_scan_asked_and_nothing_that_is_forged() {
    let place = tempfile::tempdir().unwrap();
    let listener = listener(2);
    let at = listener.local_addr().unwrap();
    scan(place.path(), at, &[]);
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip().to_string(), "127.77.1.1");
    let (summary, told) = swept(place.path(), peer);
    assert_eq!((&summary["own_probes"], &summary["hits"]), (&1.into(), &0.into()), "{told}");
    let other = SocketAddr::new(peer.ip(), peer.port() ^ 1);
    let (summary, _) = swept(place.path(), other);
    assert_eq!((&summary["own_probes"], &summary["hits"]), (&Value::Null, &1.into()));

    let file = place.path().join("probes.v1");
    let good = std::fs::read(&file).unwrap();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &forged).unwrap();
    let (summary, told) = swept(place.path(), peer);
    assert_eq!((&summary["own_probes"], &summary["hits"]), (&Value::Null, &1.into()));
    assert!(told.contains("own probes are not known: ") && told.contains("probes.v1"), "{told}");
    std::fs::write(&file, &good).unwrap();
    let (summary, _) = swept(place.path(), peer);
    assert_eq!(summary["own_probes"], 1);
}
