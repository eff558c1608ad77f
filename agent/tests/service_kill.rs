//! The whole service killed with SIGKILL at random moments while attacks are written into its log: every
//! attack is kept and told, once; the journal holds together; each start is fast.
//!
//! The service sees a log directory of the test's own in a mount namespace, which needs root. The log is
//! appended to all the time. `WARDMOTE_TEST_KILLS` asks for more kills than those that always happen
//! (`cargo xtask service-torture`: 1,000 in a release build).
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Failed logins of one attack.
const TRIES: u32 = 20;
/// How long the service may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// Longest life, in milliseconds.
const LIFE_MS: u64 = 2_500;

struct Stage {
    dir: tempfile::TempDir,
    ready: UnixDatagram,
    slowest: Duration,
    random: u64,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::write(dir.path().join("log/auth.log"), "").unwrap();
        let config = "agent:\n  sweep_every: 1s\n  audit_every: 24h\n  alert_from: info\n";
        fs::write(dir.path().join("wardmote.yaml"), config).unwrap();
        let ready = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        ready.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { dir, ready, slowest: Duration::ZERO, random: seed | 1 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// Starts the service and waits until it says that it is ready.
    fn start(&mut self) -> Child {
        let mut datagram = [0; 4096];
        self.ready.set_nonblocking(true).unwrap();
        while self.ready.recv(&mut datagram).is_ok() {}
        self.ready.set_nonblocking(false).unwrap();
        let words = "mount --bind \"$0\" /var/log && exec \"$@\"";
        let begun = Instant::now();
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", words])
            .arg(self.path("log"))
            .arg(env!("CARGO_BIN_EXE_wardmote"))
            .args(["--config", self.path("wardmote.yaml").to_str().unwrap()])
            .args(["--state-dir", self.path("state").to_str().unwrap()])
            .arg("agent")
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env_remove("WARDMOTE_TEST_KILLS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().append(true).create(true).open(self.path("said")).unwrap())
            .spawn()
            .unwrap();
        loop {
            if let Ok(length) = self.ready.recv(&mut datagram)
                && datagram[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
            {
                break;
            }
            assert!(begun.elapsed() < READY_WITHIN * 4, "not ready: {}", self.said());
        }
        let took = begun.elapsed();
        self.slowest = self.slowest.max(took);
        child
    }

    fn said(&self) -> String {
        let mut said = String::new();
        let _ = File::open(self.path("said")).and_then(|mut file| file.read_to_string(&mut said));
        said.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    fn wardmote(&self, words: &[&str]) -> String {
        let state = self.path("state");
        let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
            .args(["--state-dir", state.to_str().unwrap()])
            .args(words)
            .env_remove("WARDMOTE_TEST_KILLS")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path("state").join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// The address of an attack.
fn address(number: u32) -> String {
    std::net::Ipv4Addr::from(0x2d00_0000 + number).to_string()
}

/// Writes attacks, each in one write, until it is over; gives their number.
fn attack(log: &Path, over: &AtomicBool, written: &AtomicU32) {
    while !over.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed);
        let time = humantime();
        let lines: String = (0..TRIES)
            .map(|port| {
                format!(
                    "{time} host sshd[{number}]: Failed password for root from {} port {port} ssh2\n",
                    address(number)
                )
            })
            .collect();
        let mut file = File::options().append(true).open(log).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        written.store(number + 1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Now, as rsyslog writes it.
fn humantime() -> String {
    let output = Command::new("date").arg("--iso-8601=seconds").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

fn can_unshare() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    let can = tried.is_ok_and(|status| status.success());
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(can || !required, "a mount namespace is needed");
    if !can {
        eprintln!("SKIPPED: no mount namespace can be made (needs root)");
    }
    can
}

#[test]
fn a_killed_service_loses_nothing_and_tells_nothing_twice() {
    if !can_unshare() {
        return;
    }
    let kills = std::env::var("WARDMOTE_TEST_KILLS").ok();
    let kills: u32 = kills.map_or(6, |text| text.parse().unwrap());
    let mut stage = Stage::new(88_172_645_463_325_252);
    let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let writer = {
        let (log, over, written) =
            (stage.path("log/auth.log"), Arc::clone(&over), Arc::clone(&written));
        std::thread::spawn(move || attack(&log, &over, &written))
    };
    for _ in 0..kills {
        let mut child = stage.start();
        std::thread::sleep(Duration::from_millis(stage.below(LIFE_MS)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let attacks = written.load(Ordering::Relaxed);
    let mut child = stage.start();
    let until = Instant::now() + Duration::from_secs(60);
    while (stage.lines("cases.jsonl").len() as u32) < attacks && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(2));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "{}", stage.said());
    holds(&stage, attacks);
    println!("{kills} kills, {attacks} attacks, slowest start {:.0?}", stage.slowest);
    assert!(stage.slowest < READY_WITHIN, "{:?}", stage.slowest);
}

/// Every attack is in the store with all its tries, told once as an alert and once as a case, and once in the
/// journal.
fn holds(stage: &Stage, attacks: u32) {
    let mut kept: BTreeMap<String, u64> = BTreeMap::new();
    for line in stage.wardmote(&["db", "export"]).lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        if one["source"] == "sweep" && one["check"] == "ssh-brute-force" {
            let title = one["title"].as_str().unwrap();
            let named = title.split(' ').find(|word| word.parse::<std::net::Ipv4Addr>().is_ok());
            let named = named.expect(title).to_string();
            *kept.entry(named).or_default() += one["count"].as_u64().unwrap();
        }
    }
    let wanted: BTreeMap<String, u64> =
        (0..attacks).map(|number| (address(number), u64::from(TRIES))).collect();
    assert_eq!(kept, wanted);

    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    for line in stage.lines("alerts.jsonl") {
        if line["source"] == "sweep" && line["news"] == "new" {
            *told.entry(line["fingerprint"].as_str().unwrap().into()).or_default() += 1;
        }
    }
    assert!(told.len() >= attacks as usize);
    assert_eq!(told.values().max(), Some(&1), "told twice");
    let mut cases: BTreeMap<u64, u32> = BTreeMap::new();
    for line in stage.lines("cases.jsonl").iter().filter(|line| line["news"] == "new") {
        *cases.entry(line["id"].as_u64().unwrap()).or_default() += 1;
    }
    assert_eq!(cases.values().max(), Some(&1), "a case was told twice");

    let mut recorded: BTreeMap<String, u32> = BTreeMap::new();
    let mut judged: BTreeMap<String, u32> = BTreeMap::new();
    for line in stage.wardmote(&["journal", "export"]).lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        let fields = &one["fields"];
        let Some(print) = fields["fingerprint"].as_str() else { continue };
        let counts = match one["kind"].as_str() {
            Some("alert") if fields["news"] == "new" => &mut recorded,
            Some("judged") => &mut judged,
            _ => continue,
        };
        *counts.entry(print.to_string()).or_default() += 1;
    }
    for print in told.keys() {
        assert_eq!(recorded.get(print), Some(&1), "an alert in the journal");
        assert!(judged.contains_key(print), "a verdict in the journal");
    }
    stage.wardmote(&["db", "check"]);
}
