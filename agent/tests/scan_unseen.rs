//! `wardmote scan` where it could not look: that is told as such, and never as something else.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "../../scanner/tests/namespace/mod.rs"]
mod namespace;

const WARDMOTE: &str = env!("CARGO_BIN_EXE_wardmote");

fn scan(words: &[&str]) -> Output {
    Command::new(WARDMOTE).arg("scan").args(words).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn incomplete(report: &Value) -> Vec<&str> {
    report["incomplete"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

fn ip(words: &str) {
    let words: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
    assert!(namespace::run(&words), "{words:?}");
}

#[test]
fn a_declared_port_that_was_not_probed_is_not_told_as_missing() {
    if !namespace::inside("a_declared_port_that_was_not_probed_is_not_told_as_missing") {
        return;
    }
    // Nobody is behind the link: the host is given up before it was asked for everything.
    for words in [
        "link add v0 type veth peer name v1",
        "addr add 10.98.0.1/24 dev v0",
        "link set v0 up",
        "link set v1 up",
        "neigh add 10.98.0.2 lladdr 02:00:00:00:00:02 dev v0",
    ] {
        ip(words);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("expected.yaml");
    let declared: String =
        (2000..2400).map(|port| format!("- {{address: 10.98.0.2, port: {port}}}\n")).collect();
    std::fs::write(&file, format!("listeners:\n{declared}")).unwrap();
    let words = ["10.98.0.2", "-p", "2000-2399", "--timeout", "100ms", "--retries", "0"];
    let expect = ["--expect", file.to_str().unwrap(), "--format", "json"];
    let output = scan(&[&words[..], &expect].concat());
    let report = json(&output);
    let left = report["counts"]["not_probed"].as_u64().unwrap();
    assert!(left > 100, "{:?}", report["counts"]);
    let missing = report["drift"].as_array().unwrap().len() as u64;
    assert_eq!(missing, 400 - left, "silent ports are missing, the others were not looked at");
    let untold = incomplete(&report).iter().filter(|line| line.contains("was not asked")).count();
    assert_eq!(untold as u64, left);
    assert_eq!(output.status.code(), Some(1));
}

/// A service of a test's own, at an address of its own: what it does with each connection.
fn service(last: u8, does: impl Fn(TcpStream) + Send + 'static) -> (String, String) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, 176 + (high & 15), low, last));
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(does));
    (address.to_string(), port.to_string())
}

/// Scans a port with `--identify`, without a cache of other tests: the exit code and the report.
fn identified(address: &str, port: &str) -> (Option<i32>, Value) {
    let state = tempfile::tempdir().unwrap();
    let state = ["--state-dir", state.path().to_str().unwrap()];
    let words = [address, "-p", port, "--identify", "--format", "json"];
    let output = scan(&[&words[..], &state].concat());
    (output.status.code(), json(&output))
}

#[test]
fn a_service_that_breaks_off_is_not_identified_and_that_is_told() {
    let (address, port) = service(3, |stream| {
        std::thread::sleep(Duration::from_millis(100));
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let (code, report) = identified(&address, &port);
    let told = format!("{address}:{port}: not identified: the connection broke: ");
    assert!(incomplete(&report).iter().any(|line| line.starts_with(&told)), "{report}");
    let why = report["hosts"][0]["ports"][0]["unidentified"].as_str().unwrap();
    assert!(why.starts_with("the connection broke: "), "{why}");
    assert_eq!(code, Some(3));
}

#[test]
fn a_service_that_says_nothing_was_looked_at() {
    for (last, waits, told) in [
        (4, 2000, "says nothing first, and nothing is known that could be asked"),
        (5, 100, "closed the connection without a word"),
    ] {
        let (address, port) =
            service(last, move |_| std::thread::sleep(Duration::from_millis(waits)));
        let (code, report) = identified(&address, &port);
        assert_eq!(report["hosts"][0]["ports"][0]["unidentified"], told);
        assert_eq!((code, incomplete(&report).len()), (Some(0), 0), "{report}");
    }
}

#[test]
fn an_interrupt_after_the_asking_ends_the_scan_and_keeps_what_was_found() {
    // As root a test may bind the port on which a greeting is waited for; nobody greets here.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, 176 + (high & 15), low, 6));
    let Ok(listener) = TcpListener::bind((address, 22)) else {
        return namespace::skip("port 22 needs root");
    };
    std::thread::spawn(move || {
        let held: Vec<TcpStream> = listener.incoming().flatten().collect();
        drop(held);
    });
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (file, state, address) = (path("resume"), path("state"), address.to_string());
    let words = [&*address, "-p", "22", "--identify", "--resume", &file, "--state-dir", &state];
    let mut child = Command::new(WARDMOTE).arg("scan").args(words).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !std::path::Path::new(&file).exists() {
        assert!(Instant::now() < until, "the file is there when all has been asked");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let since = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert!(std::path::Path::new(&file).exists());
    let again = scan(&words);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stdout).contains("22    answers"), "{again:?}");
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn words_of_a_file_are_read_whatever_editor_wrote_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("targets");
    std::fs::write(&file, "\u{feff}127.0.0.9 # one\r\n\r\n# none\r\n127.0.0.10 127.0.0.9\r\n")
        .unwrap();
    let word = format!("@{}", file.display());
    let report = json(&scan(&[&word, "-p", "1", "--format", "json"]));
    let hosts: Vec<&str> = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["address"].as_str())
        .collect();
    assert_eq!(hosts, ["127.0.0.9", "127.0.0.10"]);
}

#[test]
fn the_unspecified_address_is_no_target() {
    for word in ["0.0.0.0", "::"] {
        let output = scan(&[word, "-p", "1"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("is no address of a host"), "{said}");
    }
}

#[test]
fn who_asks_for_one_port_is_not_told_of_the_others() {
    if !namespace::inside("who_asks_for_one_port_is_not_told_of_the_others") {
        return;
    }
    // A listener that does not accept is told, where it is asked for.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let target = listener.local_addr().unwrap();
    let within = Duration::from_millis(50);
    let _held: Vec<_> =
        (0..4).filter_map(|_| TcpStream::connect_timeout(&target, within).ok()).collect();
    let asked = |port: &str| {
        let words = ["127.0.0.1", "-p", port, "--timeout", "100ms", "--format", "json"];
        json(&scan(&words)).get("truth").cloned()
    };
    let port = target.port().to_string();
    assert_eq!(asked(&port).unwrap()[0]["cause"], "saturated");
    assert_eq!(asked("1"), None);
}

#[test]
fn a_hidden_listener_is_told_whatever_the_format() {
    if !namespace::inside("a_hidden_listener_is_told_whatever_the_format") {
        return;
    }
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let forged = tempfile::tempdir().unwrap();
    let is_ours = |line: &str| line.contains(&format!(":{port:04X} "));
    for name in ["tcp", "tcp6", "udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap();
        let kept: Vec<&str> = table.lines().filter(|line| !is_ours(line)).collect();
        std::fs::write(forged.path().join(name), kept.join("\n") + "\n").unwrap();
    }
    for format in ["jsonl", "grepable", "nmap-xml"] {
        // A view of the file system of its own, in which the tables are forged ones.
        let mount = "mount --bind \"$0\" /proc/$$/net && exec \"$@\"";
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", mount, forged.path().to_str().unwrap(), WARDMOTE])
            .args(["scan", "127.0.0.1", "-p", "1", "--format", format])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("127.0.0.1:{port}: hidden: ")), "{format}: {output:?}");
        assert_eq!(output.status.code(), Some(1));
    }
}
