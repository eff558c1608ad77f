//! `wardmote send` as a process: killed at any moment, and as a user who may only read what it delivers.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How often each note was received.
type Received = Arc<Mutex<BTreeMap<String, usize>>>;

/// A webhook's receiver that takes everything.
fn receiver() -> (u16, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = Received::default();
    let all = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let all = Arc::clone(&all);
            std::thread::spawn(move || {
                let (mut text, mut room) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    text.extend_from_slice(&room[..count]);
                    let so_far = String::from_utf8_lossy(&text);
                    let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
                    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
                    if body.len() < value("Content-Length: ").unwrap().parse().unwrap() {
                        continue;
                    }
                    let id = value("webhook-id: ").unwrap().to_string();
                    *all.lock().unwrap().entry(id).or_default() += 1;
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                    return;
                }
            });
        }
    });
    (port, received)
}

/// A place as the service would have left it: one target, some notes.
struct Place {
    dir: tempfile::TempDir,
    spool: PathBuf,
}

impl Place {
    fn new(port: u16, notes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spool");
        std::fs::create_dir_all(spool.join("out/ops")).unwrap();
        std::fs::create_dir(spool.join("done")).unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        let targets = json!({
            "schema": "wardmote.targets/1",
            "targets": [{"name": "ops", "webhook": {"url": url, "secret_file": secret}}],
        });
        std::fs::write(spool.join("out/targets.json"), targets.to_string()).unwrap();
        for number in 1..=notes {
            let note = json!({
                "id": format!("wm-{number}"), "kind": "new", "time": 1_700_000_000, "severity": "high",
                "title": "t", "host": "h", "key": format!("case-{number}"), "body": {},
            });
            let name = format!("out/ops/{number:016}.json");
            std::fs::write(spool.join(name), note.to_string()).unwrap();
        }
        Self { dir, spool }
    }

    fn command(&self, before: &[String]) -> Command {
        let words = [before, &[env!("CARGO_BIN_EXE_wardmote").to_string()]].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["send", "--spool"]).arg(&self.spool);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn taken(&self) -> usize {
        let fates = std::fs::read_dir(self.spool.join("done/ops")).into_iter().flatten();
        let names = fates.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".taken")).count()
    }
}

/// The sender, ended with the test.
struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_repeats_one_note_at_most_each_time() {
    const NOTES: usize = 500;
    let (port, received) = receiver();
    let place = Place::new(port, NOTES);
    let mut kills = 0;
    let mut pause_ms = 15;
    while place.taken() < NOTES {
        assert!(kills < 400, "{} of {NOTES}", place.taken());
        let mut sender = Sender(place.command(&[]).stderr(Stdio::null()).spawn().unwrap());
        // Some deaths are before the first note, some among them.
        std::thread::sleep(Duration::from_millis(pause_ms));
        pause_ms = 15 + (pause_ms * 7 + 13) % 190;
        sender.0.kill().unwrap();
        sender.0.wait().unwrap();
        kills += 1;
    }
    let received = received.lock().unwrap();
    assert_eq!(received.len(), NOTES, "every note came");
    let repeated: usize = received.values().map(|count| count - 1).sum();
    assert!(repeated <= kills, "{repeated} repetitions by {kills} kills");
    println!("{NOTES} notes, {kills} kills, {repeated} repetitions");
}

#[test]
fn it_needs_no_right_but_to_read_what_it_delivers_and_ends_when_told() {
    const SERVICE: u32 = 61_710;
    const SENDER: u32 = 61_711;
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if !rustix::process::geteuid().is_root() || !has_setpriv {
        assert!(!required, "root and setpriv are required");
        println!("SKIPPED: not root, or no setpriv");
        return;
    }
    let (port, received) = receiver();
    let place = Place::new(port, 3);
    // As the packaging makes it.
    let mode = |path: &Path, mode, user, group| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        chown(path, Some(user), Some(group)).unwrap();
    };
    mode(place.dir.path(), 0o755, 0, 0);
    mode(&place.spool.join("out"), 0o750, SERVICE, SENDER);
    mode(&place.spool.join("done"), 0o750, SENDER, SERVICE);
    chown(place.dir.path().join("secret"), Some(SENDER), None).unwrap();
    let words = format!(
        "setpriv --reuid {SENDER} --regid {SENDER} --clear-groups --bounding-set -all --inh-caps -all \
         --no-new-privs"
    );
    let words: Vec<String> = words.split_whitespace().map(str::to_string).collect();
    let mut sender = Sender(place.command(&words).spawn().unwrap());
    wait_for("all is delivered", || received.lock().unwrap().len() == 3 && place.taken() == 3);
    // What the service takes out is forgotten; what it wrote is as it was.
    assert_eq!(std::fs::read_dir(place.spool.join("out/ops")).unwrap().count(), 3);
    std::fs::remove_file(place.spool.join("out/ops/0000000000000002.json")).unwrap();
    wait_for("one is forgotten", || place.taken() == 2);
    let status = std::fs::read_to_string(format!("/proc/{}/status", sender.0.id())).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let report = place.spool.join("done/ops/report.json");
    let facts = std::fs::metadata(&report).unwrap();
    assert_eq!((facts.uid(), facts.mode() & 0o777), (SENDER, 0o644), "the service can read it");
    let second = place.command(&words).output().unwrap();
    assert_eq!(second.status.code(), Some(75), "one sender is enough");
    let pid = rustix::process::Pid::from_child(&sender.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    wait_for("it ends", || sender.0.try_wait().unwrap().is_some());
    assert_eq!(sender.0.try_wait().unwrap().unwrap().code(), Some(0));
    let mut said = String::new();
    sender.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "all went well");
}
