//! A service with a log directory of its own in a mount namespace, and attacks that are written into it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

/// Failed logins of one attack.
pub const TRIES: u32 = 20;

pub struct Stage {
    dir: tempfile::TempDir,
    ready: UnixDatagram,
    /// A program that runs the service.
    pub under: Vec<String>,
    /// The slowest start.
    pub slowest: Duration,
    random: u64,
}

impl Drop for Stage {
    /// What a failed test leaves is kept for whoever looks into it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("kept: {}", self.dir.path().display());
        }
    }
}

impl Stage {
    pub fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::write(dir.path().join("log/auth.log"), "").unwrap();
        let config = "agent:\n  sweep_every: 1s\n  audit_every: 24h\n  alert_from: info\n";
        fs::write(dir.path().join("wardmote.yaml"), config).unwrap();
        let ready = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        ready.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { dir, ready, under: Vec::new(), slowest: Duration::ZERO, random: seed | 1 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// Starts the service and waits until it says that it is ready.
    pub fn start(&mut self) -> Child {
        self.try_start().unwrap_or_else(|| panic!("not ready: {}", self.said()))
    }

    /// The same; none where it ends before or never says so.
    pub fn try_start(&mut self) -> Option<Child> {
        let mut datagram = [0; 4096];
        self.ready.set_nonblocking(true).unwrap();
        while self.ready.recv(&mut datagram).is_ok() {}
        self.ready.set_nonblocking(false).unwrap();
        let words = "mount --bind \"$0\" /var/log && exec \"$@\"";
        let begun = Instant::now();
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", words])
            .arg(self.path("log"))
            .args(&self.under)
            .arg(env!("CARGO_BIN_EXE_wardmote"))
            .args(["--config", self.path("wardmote.yaml").to_str().unwrap()])
            .args(["--state-dir", self.path("state").to_str().unwrap()])
            .arg("agent")
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env_remove("WARDMOTE_TEST_KILLS")
            .env_remove("WARDMOTE_TEST_FAULTS")
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
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if begun.elapsed() > Duration::from_secs(20) {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
        let took = begun.elapsed();
        self.slowest = self.slowest.max(took);
        Some(child)
    }

    /// Waits until so many attacks were told, and what may come too much.
    pub fn wait_for_attacks(&self, count: u32) {
        let until = Instant::now() + Duration::from_secs(60);
        let told = || {
            let lines = self.lines("alerts.jsonl");
            lines.iter().filter(|line| line["source"] == "sweep" && line["news"] == "new").count()
        };
        while told() < count as usize && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(200));
        }
        std::thread::sleep(Duration::from_secs(2));
    }

    /// Has the service end by itself.
    pub fn stop(&self, mut child: Child) {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.said());
    }

    /// Kills whatever still runs in this state directory, and waits until it is gone.
    pub fn kill_all(&self) {
        let state = self.path("state");
        let state = state.to_str().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let running = || {
            let all = fs::read_dir("/proc").unwrap().flatten();
            let ours = all.filter(|entry| {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&words).split('\0').any(|word| word == state)
            });
            let pids = ours.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
            pids.filter_map(rustix::process::Pid::from_raw).collect::<Vec<_>>()
        };
        // A thread that waits for the disk holds the lock after all others are gone.
        let free = || match File::open(self.path("state").join("agent.lock")) {
            Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok(),
            Err(_) => true,
        };
        loop {
            let pids = running();
            if pids.is_empty() && free() {
                return;
            }
            assert!(Instant::now() < until, "{pids:?} cannot be killed");
            for pid in pids {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the service said last on stderr.
    pub fn said(&self) -> String {
        let mut said = String::new();
        let _ = File::open(self.path("said")).and_then(|mut file| file.read_to_string(&mut said));
        said.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    pub fn wardmote(&self, words: &[&str]) -> String {
        let state = self.path("state");
        let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
            .args(["--state-dir", state.to_str().unwrap()])
            .args(words)
            .env_remove("WARDMOTE_TEST_KILLS")
            .env_remove("WARDMOTE_TEST_FAULTS")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path("state").join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// The address of an attack.
fn address(number: u32) -> String {
    std::net::Ipv4Addr::from(0x2d00_0000 + number).to_string()
}

/// Writes one attack in one write.
pub fn attack(log: &Path, number: u32) {
    let time = now();
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
}

/// Now, as rsyslog writes it.
fn now() -> String {
    let output = Command::new("date").arg("--iso-8601=seconds").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

pub fn can_unshare() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    let can = tried.is_ok_and(|status| status.success());
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(can || !required, "a mount namespace is needed");
    if !can {
        eprintln!("SKIPPED: no mount namespace can be made (needs root)");
    }
    can
}

/// Every attack is in the store with all its tries, told once as an alert and once as a case, and once in the
/// journal.
pub fn holds(stage: &Stage, attacks: u32) {
    let mut kept: BTreeMap<String, u64> = BTreeMap::new();
    let mut prints: BTreeMap<String, Value> = BTreeMap::new();
    for line in stage.wardmote(&["db", "export"]).lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        if one["source"] == "sweep" && one["check"] == "ssh-brute-force" {
            let title = one["title"].as_str().unwrap();
            let named = title.split(' ').find(|word| word.parse::<std::net::Ipv4Addr>().is_ok());
            let named = named.expect(title).to_string();
            *kept.entry(named).or_default() += one["count"].as_u64().unwrap();
            prints.insert(one["fingerprint"].as_str().unwrap().into(), one);
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
    let missing = prints.iter().filter(|(print, _)| !told.contains_key(*print));
    let missing: Vec<&Value> = missing.map(|(_, alert)| alert).collect();
    assert!(missing.is_empty(), "{} of {attacks} attacks not told: {missing:#?}", missing.len());
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
