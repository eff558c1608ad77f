//! `wardmote scan` when it is interrupted, may open few files, or is watched for its memory. In network
//! namespaces of the tests' own, so that what is open is exactly known.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "../../scanner/tests/namespace/mod.rs"]
mod namespace;

use namespace::{Namespace, two_hosts};

const WARDMOTE: &str = env!("CARGO_BIN_EXE_wardmote");
/// The bar of a full scan; of that, what it allocates. A debug build maps a program of four times
/// the size (of which it touches some 32 MiB), relocates more of it, and its futures are larger.
const PEAK_KIB_MAX: u64 = if cfg!(debug_assertions) { 64 << 10 } else { 32 << 10 };
const ANONYMOUS_KIB_MAX: u64 = if cfg!(debug_assertions) { 20 << 10 } else { 16 << 10 };

#[test]
fn serves_for_other_tests() {
    namespace::serve();
}

fn states(report: &Value) -> BTreeMap<u64, String> {
    let ports = report["hosts"][0]["ports"].as_array().unwrap();
    let state = |port: &Value| {
        (port["port"].as_u64().unwrap(), port["state"].as_str().unwrap().to_string())
    };
    ports.iter().map(state).collect()
}

#[test]
fn an_interrupted_scan_goes_on_from_its_file_and_comes_to_the_same() {
    let Some((ours, theirs)) = two_hosts("i") else { return };
    theirs.nft(
        "table ip t { chain in { type filter hook input priority 0; tcp dport 1500-1519 drop; }; }",
    );
    let _server = theirs.serve("10.99.0.2", &[22, 1003, 1777, 2999]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.resume");
    let scan = |words: &[&str]| {
        let mut command = ours.command(WARDMOTE);
        command.args(["scan", "10.99.0.2", "-p", "1-3000", "--all", "--format", "json"]);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let whole = scan(&["--rate", "20000"]).output().unwrap();
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    let whole: Value = serde_json::from_slice(&whole.stdout).unwrap();

    let resume = ["--resume", file.to_str().unwrap()];
    let slow = [&resume[..], &["--rate", "300"]].concat();
    let child = scan(&slow).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(2000));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let part = child.wait_with_output().unwrap();
    assert_eq!(part.status.code(), Some(3), "{part:?}");
    let part: Value = serde_json::from_slice(&part.stdout).unwrap();
    let left = part["counts"]["not_probed"].as_u64().unwrap();
    assert!(left > 0 && left < 2_990, "{left}");
    let told = part["incomplete"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(told.starts_with("interrupted; the same with --resume "), "{told}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // Of other ports it is refused, before anything is asked.
    let mut other = ours.command(WARDMOTE);
    let other = other.args(["scan", "10.99.0.2", "-p", "1-2999"]).args(resume).output().unwrap();
    assert_eq!(other.status.code(), Some(2), "{other:?}");

    let fast = [&resume[..], &["--rate", "20000"]].concat();
    let rest = scan(&fast).output().unwrap();
    assert_eq!(rest.status.code(), Some(0), "{rest:?}");
    let rest: Value = serde_json::from_slice(&rest.stdout).unwrap();
    assert_eq!(rest["counts"], whole["counts"]);
    assert_eq!(states(&rest), states(&whole));
    assert_eq!(whole["counts"]["open"], 4);
    assert!(!file.exists(), "done: nothing to go on from");
}

#[test]
fn sixty_four_descriptors_are_enough_for_an_exact_scan() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("u") else { return };
        return here.run_test("sixty_four_descriptors_are_enough_for_an_exact_scan");
    }
    for address in ["127.0.0.1", "::1"] {
        let ip: IpAddr = address.parse().unwrap();
        let port = |nth: u32| u16::try_from(if nth < 60 { 33_000 + nth * 401 } else { nth * 157 });
        let made: Vec<TcpListener> =
            (0..200).filter_map(|nth| TcpListener::bind((ip, port(nth).unwrap())).ok()).collect();
        assert!(made.len() > 190);
        let wanted: BTreeSet<u64> =
            made.iter().map(|one| u64::from(one.local_addr().unwrap().port())).collect();
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" scan \"$1\" -p 1-65535 --format json"])
            .args([WARDMOTE, address])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(states(&report).into_keys().collect::<BTreeSet<u64>>(), wanted, "{address}");
        assert_eq!(report["counts"]["closed"], 65_535 - wanted.len());
    }
}

#[test]
fn a_full_scan_with_a_thousand_open_ports_stays_below_32_mib() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("m") else { return };
        return here.run_test("a_full_scan_with_a_thousand_open_ports_stays_below_32_mib");
    }
    scanner::ports::connect::descriptors::raise();
    let made: Vec<TcpListener> =
        (1..=1000).map(|nth| TcpListener::bind(("127.0.0.1", nth * 61)).unwrap()).collect();
    let mut child = Command::new(WARDMOTE)
        .args(["scan", "127.0.0.1", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut peak = (0, 0);
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        // It ends with the process, whose file is empty of this then.
        while let Some(seen) = std::fs::read_to_string(&status)
            .ok()
            .and_then(|text| Some((field(&text, "VmHWM:")?, field(&text, "RssAnon:")?)))
        {
            peak = (seen.0.max(peak.0), seen.1.max(peak.1));
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let mut out = Vec::new();
    std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let peak = watcher.join().unwrap();
    let report: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["counts"]["open"], made.len());
    assert!((1024..PEAK_KIB_MAX).contains(&peak.0), "{peak:?} KiB");
    assert!((256..ANONYMOUS_KIB_MAX).contains(&peak.1), "{peak:?} KiB");
}
