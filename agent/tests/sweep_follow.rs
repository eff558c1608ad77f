//! `wardmote sweep --follow`, `--splay` and `-` from the outside.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const RULE: &str = "title: login\nname: login\nlevel: high\nlogsource:\n  product: linux\n\
                    detection:\n  keywords:\n    - 'Failed password'\n  condition: keywords\n";
const PATIENCE: Duration = Duration::from_secs(60);

fn line(address: &str) -> String {
    format!("Dec 10 06:55:46 web sshd[7]: Failed password for root from {address} port 4 ssh2\n")
}

fn append(dir: &Path, name: &str, text: &str) {
    let file = File::options().append(true).create(true).open(dir.join(name));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn new(dir: &Path, arguments: &[&str]) -> Self {
        fs::write(dir.join("rule.yml"), RULE).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_wardmote"))
            .current_dir(dir)
            .args(["sweep", "logs", "--follow", "--rules", "rule.yml", "--format", "jsonl"])
            .args(["--state-dir", "kept", "--tz", "UTC", "--jobs", "1"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).for_each(|line| _ = sender.send(line));
        });
        Self { child, lines }
    }

    /// The address of the next detection of the test's rule; the built-in ones speak too.
    fn next(&self) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a detection in time");
            let told: Value = serde_json::from_str(&line).unwrap();
            if let Some(ip) = told["subject"]["ip"].as_str() {
                return ip.to_string();
            }
        }
    }

    /// Ends it; its exit code and summary.
    fn end(mut self, signal: Signal) -> (Option<i32>, Value) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let code = self.child.wait().unwrap().code();
        let last = self.lines.iter().last().expect("a summary");
        (code, serde_json::from_str::<Value>(&last).unwrap()["summary"].clone())
    }
}

#[test]
fn detections_come_as_they_arise_through_rotations_and_new_files() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    append(&logs, "auth.log", &line("192.0.2.1"));
    let follower = Follower::new(dir.path(), &["--state", "state"]);
    assert_eq!(follower.next(), "192.0.2.1");
    append(&logs, "auth.log", &line("192.0.2.2"));
    assert_eq!(follower.next(), "192.0.2.2");
    fs::rename(logs.join("auth.log"), logs.join("auth.log.1")).unwrap();
    append(&logs, "auth.log.1", &line("192.0.2.3"));
    append(&logs, "auth.log", "");
    assert_eq!(follower.next(), "192.0.2.3");
    append(&logs, "auth.log", &line("192.0.2.4"));
    assert_eq!(follower.next(), "192.0.2.4");
    append(&logs, "other.log", &line("192.0.2.5"));
    assert_eq!(follower.next(), "192.0.2.5");
    let whole = line("192.0.2.6");
    append(&logs, "other.log", &whole[..40]);
    append(&logs, "other.log", &whole[40..]);
    assert_eq!(follower.next(), "192.0.2.6");
    let (code, summary) = follower.end(Signal::TERM);
    assert_eq!((code, &summary["lines"], &summary["gaps"]), (Some(1), &6.into(), &0.into()));
    // Its place was kept: who goes on is told what is new and nothing else.
    append(&logs, "auth.log", &line("192.0.2.7"));
    let follower = Follower::new(dir.path(), &["--state", "state"]);
    assert_eq!(follower.next(), "192.0.2.7");
    let (code, summary) = follower.end(Signal::INT);
    assert_eq!((code, &summary["lines"]), (Some(1), &1.into()));
}

#[test]
fn a_follower_holds_the_lock_of_its_state() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("logs")).unwrap();
    append(&dir.path().join("logs"), "auth.log", &line("192.0.2.1"));
    let follower = Follower::new(dir.path(), &["--state", "state"]);
    assert_eq!(follower.next(), "192.0.2.1");
    let second = wardmote(dir.path(), &["sweep", "logs", "--state", "state"], "");
    assert_eq!(second.status.code(), Some(75));
    assert_eq!(follower.end(Signal::TERM).0, Some(1));
}

fn wardmote(dir: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .current_dir(dir)
        .args(arguments)
        .args(["--state-dir", "kept"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn stdin_is_a_log() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rule.yml"), RULE).unwrap();
    let text = line("192.0.2.1") + &line("192.0.2.2");
    let arguments = ["sweep", "-", "--rules", "rule.yml", "--format", "json", "--no-state"];
    let out = wardmote(dir.path(), &arguments, &text);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&told["summary"]["lines"], &told["sources"][0]), (&2.into(), &"-".into()));
    for other in ["--follow", "--only-new"] {
        let out = wardmote(dir.path(), &["sweep", "-", other], "");
        assert_eq!(out.status.code(), Some(2), "{other}");
    }
}

#[test]
fn a_splayed_sweep_waits_and_ends_at_once_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("auth.log"), line("192.0.2.1")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .current_dir(dir.path())
        // Some host in ten thousand would not wait a minute.
        .args(["sweep", "auth.log", "--state", "state", "--splay", "52w"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    assert!(!dir.path().join("state.lock").exists(), "the lock is taken after the wait");
    let begun = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().code().is_none());
    assert!(begun.elapsed() < Duration::from_secs(10));
    let out = wardmote(dir.path(), &["sweep", "auth.log", "--splay", "0s", "--no-state"], "");
    assert!(out.status.code().is_some_and(|code| code < 2));
}
