//! `wardmote scan --expect` with a real daemon: a restart is no drift, a new port is one.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn wardmote(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wardmote")).arg("scan").args(args).output().unwrap()
}

/// A loopback address that only this test uses.
fn address(last: u8) -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 192 + (high & 15), low, last))
}

/// A redis of this test's own, ended with it.
struct Redis(Child);

impl Redis {
    fn start(address: IpAddr, port: u16) -> Option<Self> {
        let words =
            ["--save", "", "--appendonly", "no", "--daemonize", "no", "--protected-mode", "no"];
        let child = Command::new("redis-server")
            .args(["--bind", &address.to_string(), "--port", &port.to_string()])
            .args(words)
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "no redis-server");
            eprintln!("SKIPPED: redis-server is not installed");
            return None;
        };
        let redis = Self(child);
        let until = Instant::now() + Duration::from_secs(15);
        while TcpStream::connect((address, port)).is_err() {
            assert!(Instant::now() < until, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn restarting_a_daemon_is_no_drift_and_a_new_port_is_one() {
    let here = address(3);
    let port = TcpListener::bind((here, 0)).unwrap().local_addr().unwrap().port();
    let Some(first) = Redis::start(here, port) else { return };
    let other = TcpListener::bind((here, 0)).unwrap().local_addr().unwrap().port();
    let (target, ports) = (here.to_string(), format!("{port},{other},1"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("expected.yaml");
    let file = file.to_str().unwrap();
    let made = wardmote(&[&target, "-p", &ports, "--format", "expect", "--output", file]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let declared = std::fs::read_to_string(file).unwrap();
    assert_eq!(declared.matches("\"port\"").count(), 1, "{declared}");
    assert!(!declared.contains(&first.0.id().to_string()) || first.0.id() == u32::from(port));

    drop(first);
    let second = Redis::start(here, port).unwrap();
    let args = [&*target, "-p", &ports, "--expect", file, "--format", "json"];
    let again = wardmote(&args);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["drift"], serde_json::json!([]));
    assert_eq!(report["hosts"][0]["ports"][0]["owner"]["pid"], second.0.id());

    let more = TcpListener::bind((here, other)).unwrap();
    let drifted = wardmote(&args);
    assert_eq!(drifted.status.code(), Some(1), "{drifted:?}");
    let report: Value = serde_json::from_slice(&drifted.stdout).unwrap();
    let drift = report["drift"].as_array().unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!((&drift[0]["change"], &drift[0]["port"]), (&"unexpected".into(), &other.into()));
    let text = wardmote(&[&target, "-p", &ports, "--expect", file]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&format!("unexpected: tcp {here}:{other}")), "{text}");

    drop((more, second));
    let missing = wardmote(&args);
    assert_eq!(missing.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(report["drift"][0]["change"], "missing");
}

#[test]
fn a_declaration_that_cannot_be_used_ends_before_anything_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let open = file("open", "listeners: []\n");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    for (path, told) in [
        (file("typo", "listeners:\n- {address: 127.0.0.1, prot: 22}\n").as_path(), ":2:"),
        (&open, "everybody may write"),
        (Path::new("/no/such/file"), "No such file"),
    ] {
        let output = wardmote(&["127.0.0.1", "-p", "1", "--expect", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(told) && output.stdout.is_empty(), "{said}");
    }
}

#[test]
fn a_listener_that_does_not_accept_is_told_as_saturated() {
    let here = address(4);
    let listener = TcpListener::bind((here, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let target = listener.local_addr().unwrap();
    let held: Vec<_> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&target, Duration::from_millis(50)).ok())
        .collect();
    assert!(held.len() < 4, "the queue is full");
    let (here, port) = (here.to_string(), target.port().to_string());
    let words = [&*here, "-p", &port, "--all", "--timeout", "100ms", "--format", "json"];
    let report: Value = serde_json::from_slice(&wardmote(&words).stdout).unwrap();
    assert_eq!(report["hosts"][0]["ports"][0]["state"], "filtered");
    assert_eq!(report["hosts"][0]["ports"][0]["reason"], "listening, accept queue full");
    let truth = report["truth"].as_array().unwrap();
    let ours = truth.iter().find(|one| one["port"] == target.port()).unwrap();
    assert_eq!((&ours["cause"], &ours["seen"][0]), (&"saturated".into(), &"netlink".into()));
}
