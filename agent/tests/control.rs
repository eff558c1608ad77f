//! The running service and those who ask it: root, operators, strangers; and what holds without it.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const OPERATOR: u32 = 61_720;
const STRANGER: u32 = 61_721;

struct Stage {
    dir: tempfile::TempDir,
    service: Option<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        let config = format!(
            "agent:\n  operators: ['{OPERATOR}']\n  metrics_socket: metrics.sock\n\
             responses:\n  enabled: true\n  block: {{enabled: true}}\n"
        );
        std::fs::write(dir.path().join("w.yaml"), config).unwrap();
        Self { dir, service: None }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn run_directory(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Without the right to change any firewall: this host's is not ours to change.
    fn start(&mut self) {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
        command.arg(env!("CARGO_BIN_EXE_wardmote")).args(["agent", "--state-dir"]);
        command.arg(self.state()).arg("--config").arg(self.dir.path().join("w.yaml"));
        command.env("RUNTIME_DIRECTORY", self.run_directory());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.service = Some(command.spawn().unwrap());
        let audited = || {
            let said = self.root(&["status", "--format", "json"]);
            let status: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
            status["last_audit"].is_i64()
        };
        let until = Instant::now() + PATIENCE;
        while !audited() {
            assert!(Instant::now() < until, "no audit within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn stop(&mut self) {
        let mut service = self.service.take().unwrap();
        let pid = rustix::process::Pid::from_child(&service);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(service.wait().unwrap().success());
    }

    fn root(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardmote"));
        command.args(words).arg("--state-dir").arg(self.state());
        command.env("SUDO_UID", "61799").env_remove("SSH_CONNECTION").output().unwrap()
    }

    fn says(&self, words: &[&str]) -> String {
        let out = self.root(words);
        assert!(out.status.success(), "{words:?}: {}", text(&out.stderr));
        text(&out.stdout)
    }

    /// As another user, over the socket for operators.
    fn user(&self, uid: u32, words: &[&str]) -> Output {
        let uid = uid.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_wardmote")).args(words);
        command.arg("--state-dir").arg(self.run_directory()).output().unwrap()
    }

    fn alert(&self) -> String {
        let listed = self.says(&["alerts", "--format", "json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed["alerts"][0]["seen"]["fingerprint"]
            .as_str()
            .or_else(|| listed["alerts"][0]["fingerprint"].as_str())
            .expect("this host has an open alert")
            .to_string()
    }

    /// Puts a request into the store, as the service would.
    fn request(&self, target: &str) -> i64 {
        let factors = json!({
            "reach": "one", "undo": "by_itself", "target": "stranger", "certainty": "firm"
        });
        let decision = json!({
            "time": 1, "id": null, "case": "case", "title": "Passwords guessed", "action": "block",
            "target": target, "factors": factors, "risk": "low", "proof": [], "harm": [],
            "held": ["dry_run is on"], "outcome": {"wait": {"operators": 1}}, "policy": "p"
        });
        let now = jiff::Timestamp::now().as_second();
        let request = json!({
            "id": 0, "state": "waiting", "action": {"block": {"network": target}},
            "aim": {"network": target, "user": null, "unit": null}, "decision": decision,
            "operators": 1, "approved_by": [], "hold_s": 3_600, "confirm_within_s": 600,
            "began": null, "until": null, "denied": null, "changed": now, "note": ""
        });
        let store = rusqlite::Connection::open(self.state().join("wardmote.db")).unwrap();
        store.busy_timeout(Duration::from_secs(5)).unwrap();
        store
            .execute(
                "INSERT INTO response (action, target, class, state, began, request)
                 VALUES ('block', ?1, 'stranger', 'waiting', NULL, ?2)",
                rusqlite::params![target, request.to_string()],
            )
            .unwrap();
        store.last_insert_rowid()
    }
}

#[test]
fn root_and_operators_are_answered_by_the_service_and_root_by_the_store_when_it_is_down() {
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if !rustix::process::geteuid().is_root() || !has_setpriv {
        assert!(!required, "root and setpriv are required");
        println!("SKIPPED: not root, or no setpriv");
        return;
    }
    let mut stage = Stage::new();
    stage.start();
    let id = stage.alert();
    let explained = stage.says(&["explain", &id]);
    assert!(explained.contains("panel") || explained.contains("expert"), "{explained}");
    stage.is_open_to_operators_alone(&id, &explained);
    stage.takes_feedback(&id);
    stage.decides_about_responses();
    stage.gives_metrics();
    let explained = stage.says(&["explain", &id, "--format", "json"]);
    stage.stop();
    assert_eq!(stage.says(&["explain", &id, "--format", "json"]), explained, "without it the same");
    stage.says(&["feedback", &id, "severity=low"]);
    let clicks = std::fs::read_to_string(stage.state().join("feedback.jsonl")).unwrap();
    assert_eq!(clicks.lines().count(), 3, "{clicks}");
    let gone = stage.user(OPERATOR, &["explain", &id]);
    assert_eq!(gone.status.code(), Some(2), "nobody answers, and there is nothing to read");
}

impl Stage {
    fn is_open_to_operators_alone(&self, id: &str, explained: &str) {
        let told = self.user(OPERATOR, &["explain", id]);
        assert_eq!(text(&told.stdout), explained, "{}", text(&told.stderr));
        let status = self.user(OPERATOR, &["status"]);
        assert!(text(&status.stdout).contains("is running"), "{}", text(&status.stderr));
        for words in [&["explain", id][..], &["status"], &["respond", "list"]] {
            let refused = self.user(STRANGER, words);
            assert_eq!(refused.status.code(), Some(2), "{words:?}");
            let why = text(&refused.stderr);
            assert!(why.contains("no operator") && why.contains("agent.operators"), "{why}");
            assert_eq!(text(&refused.stdout), "");
        }
    }

    fn takes_feedback(&self, id: &str) {
        let noted =
            self.says(&["feedback", id, "confirm", "--note", "by root, for the user behind sudo"]);
        assert!(noted.starts_with("noted: "), "{noted}");
        let told = self.user(OPERATOR, &["feedback", id, "dismiss"]);
        assert!(told.status.success(), "{}", text(&told.stderr));
        let clicks = std::fs::read_to_string(self.state().join("feedback.jsonl")).unwrap();
        let operators: Vec<Value> = clicks
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["click"]["operator"].clone())
            .collect();
        assert_eq!(operators, [json!(61_799), json!(OPERATOR)], "{clicks}");
    }

    fn decides_about_responses(&self) {
        let (first, second) = (self.request("198.51.100.7"), self.request("198.51.100.8"));
        let listed = text(&self.user(OPERATOR, &["respond", "list"]).stdout);
        assert!(listed.contains("198.51.100.7") && listed.contains("waiting"), "{listed}");
        let denied = self.user(OPERATOR, &["respond", "deny", &first.to_string()]);
        assert!(text(&denied.stdout).contains("denied"), "{}", text(&denied.stderr));
        let twice = self.user(OPERATOR, &["respond", "deny", &first.to_string()]);
        assert_eq!(twice.status.code(), Some(2));
        assert!(text(&twice.stderr).contains("hint: "), "{}", text(&twice.stderr));
        let not_here = self.user(OPERATOR, &["respond", "approve", &second.to_string()]);
        assert_eq!(not_here.status.code(), Some(2));
        let why = text(&not_here.stderr);
        assert!(why.contains("may not change the firewall") && why.contains("sudo"), "{why}");
        let list = self.says(&["respond", "list", "--all", "--format", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let states: Vec<&str> = list["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, ["waiting", "denied"]);
    }

    fn gives_metrics(&self) {
        let mut stream = UnixStream::connect(self.state().join("metrics.sock")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(body.contains("\nwardmote_alerts_open{severity=\"high\"} "), "{body}");
        check_with_promtool(body);
    }
}

/// Prometheus' own checker, where it is installed.
fn check_with_promtool(text: &str) {
    let checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checker) = checker else {
        println!("SKIPPED: promtool is not installed; the grammar is tested in report/metrics.rs");
        return;
    };
    checker.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = checker.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}
