//! `wardmote sweep` killed with SIGKILL at random moments: nothing is lost, and with `--output` nothing
//! is told twice; on stdout what is told again can be recognised as told.
//!
//! `WARDMOTE_TEST_KILLS` asks for more kills than those that always happen.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const RULE: &str = "title: login\nname: login\nlevel: high\nlogsource:\n  product: linux\n\
                    detection:\n  keywords:\n    - 'Failed password'\n  condition: keywords\n";

struct Host {
    dir: tempfile::TempDir,
    serial: u64,
    random: u64,
    killed: u64,
    /// How often each line was told, by (path, line, offset, address).
    told: BTreeMap<(String, u64, u64, String), u64>,
}

impl Host {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rule.yml"), RULE).unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        fs::write(dir.path().join("logs/auth.log"), "").unwrap();
        Self { dir, serial: 0, random: seed | 1, killed: 0, told: BTreeMap::new() }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&mut self, count: u64) {
        let mut file =
            File::options().append(true).create(true).open(self.path("logs/auth.log")).unwrap();
        for _ in 0..count {
            self.serial += 1;
            let [_, _, b, c] = u32::try_from(self.serial).unwrap().to_be_bytes();
            writeln!(file, "Dec 10 06:55:46 web sshd[7]: Failed password for root from 10.0.{b}.{c} port 4 ssh2")
                .unwrap();
        }
    }

    fn rotate(&self) {
        let _ = fs::rename(self.path("logs/auth.log.1"), self.path("logs/auth.log.2"));
        fs::rename(self.path("logs/auth.log"), self.path("logs/auth.log.1")).unwrap();
        File::create(self.path("logs/auth.log")).unwrap();
    }

    /// Runs a sweep and kills it after a while, if it takes that long; whether it was killed.
    fn sweep(&mut self, to: To, kill_after: Option<Duration>) -> bool {
        let out = File::create(self.path("stdout")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardmote"));
        command
            .current_dir(self.dir.path())
            .args(["sweep", "logs", "--rules", "rule.yml", "--state", "state", "--only-new"])
            .args(["--format", "jsonl", "--state-dir", "kept", "--tz", "UTC", "--quiet"])
            .stdout(out)
            .stderr(Stdio::null());
        if to == To::File {
            command.args(["--output", "out"]);
        }
        let mut child = command.spawn().unwrap();
        let killed = kill_after.is_some_and(|after| {
            std::thread::sleep(after);
            child.kill().unwrap();
            child.wait().unwrap().code().is_none()
        });
        if kill_after.is_none() {
            assert!(child.wait().unwrap().code().is_some());
        }
        self.killed += u64::from(killed);
        let report = self.path(if to == To::File { "out" } else { "stdout" });
        self.read(&report);
        // Whoever reads reports takes them away.
        let _ = fs::remove_file(report);
        killed
    }

    fn read(&mut self, report: &Path) {
        let Ok(text) = fs::read_to_string(report) else { return };
        for line in text.lines() {
            // A report on stdout may be cut by the kill.
            let Ok(told) = serde_json::from_str::<Value>(line) else { continue };
            // The built-in rules that tell of accounts speak too.
            if let Some(ip) = told["subject"]["ip"].as_str() {
                let key = (
                    told["path"].as_str().unwrap().to_string(),
                    told["line"].as_u64().unwrap(),
                    told["offset"].as_u64().unwrap(),
                    ip.to_string(),
                );
                *self.told.entry(key).or_default() += told["count"].as_u64().unwrap();
            }
        }
    }

    fn addresses(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for ((_, _, _, ip), count) in &self.told {
            *all.entry(ip.clone()).or_default() += count;
        }
        all
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    File,
    Stdout,
}

/// So many kills, at moments that cover the whole run, between appended lines and rotations.
fn kill_often(to: To, seed: u64) -> Host {
    let wanted = std::env::var("WARDMOTE_TEST_KILLS").ok().and_then(|n| n.parse().ok());
    let wanted: u64 = wanted.unwrap_or(25);
    let mut host = Host::new(seed);
    host.append(5);
    let begun = Instant::now();
    host.sweep(to, None);
    // A little longer than a run: some kills come too late, the others at any step.
    let most = u64::try_from(begun.elapsed().as_micros()).unwrap() * 5 / 4;
    for attempt in 0..20 * wanted {
        if host.killed >= wanted {
            break;
        }
        let lines = 1 + host.below(20);
        host.append(lines);
        if attempt % 4 == 3 {
            host.rotate();
            let lines = host.below(4);
            host.append(lines);
        }
        // Reports and states are written at the end: most kills aim there.
        let from = if host.below(3) == 0 { 0 } else { most / 2 };
        let after = from + host.below(most - from);
        host.sweep(to, Some(Duration::from_micros(after)));
        if attempt % 6 == 5 {
            host.sweep(to, None);
        }
    }
    host.sweep(to, None);
    assert!(host.killed >= wanted, "{} of {wanted} runs were killed in time", host.killed);
    host
}

#[test]
fn with_an_output_file_each_line_is_told_once() {
    let host = kill_often(To::File, 7);
    let told = host.addresses();
    assert_eq!(told.len() as u64, host.serial, "lines were lost");
    let twice: Vec<_> = told.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "told more than once: {twice:?}");
    let names: Vec<String> = fs::read_dir(host.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.') || name.ends_with(".next"))
        .filter(|name| !name.starts_with(".state"))
        .collect();
    assert!(names.is_empty(), "left behind: {names:?}");
}

/// What was told before a kill may be told again, but then with the same words: who keeps (path, line,
/// offset) counts each line once. A line of a file that was rotated meanwhile has another path.
#[test]
fn on_stdout_nothing_is_lost_and_what_is_told_again_is_known() {
    let host = kill_often(To::Stdout, 11);
    let told = host.addresses();
    assert_eq!(told.len() as u64, host.serial, "lines were lost");
    let mut places: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for (_, line, offset, ip) in host.told.keys() {
        places.entry(ip).or_default().push((*line, *offset));
    }
    for (ip, mut at) in places {
        at.dedup();
        assert_eq!(at.len(), 1, "{ip} was told with other words");
    }
}
