//! Blocks for real: two hosts with a wire in between, nftables in one of them, the operator's commands and
//! the service beside each other.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "../../scanner/tests/namespace/mod.rs"]
mod namespace;

use namespace::Namespace;

const PORT: u16 = 8_080;
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn serves_for_other_tests() {
    namespace::serve();
}

struct Stage {
    ours: Namespace,
    theirs: Namespace,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(purpose: &str) -> Option<Self> {
        if !namespace::run(&["nft", "--version"]) {
            namespace::skip("nft is not installed");
            return None;
        }
        let (ours, theirs) = namespace::two_hosts(purpose)?;
        let dir = tempfile::tempdir().unwrap();
        let config =
            "responses:\n  enabled: true\n  critical_operators: 2\n  block: {enabled: true}\n";
        std::fs::write(dir.path().join("w.yaml"), config).unwrap();
        Some(Self { ours, theirs, dir })
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn wardmote(&self, words: &[&str]) -> std::process::Command {
        let mut command = self.ours.command(env!("CARGO_BIN_EXE_wardmote"));
        command.args(words).arg("--state-dir").arg(self.state());
        command.arg("--config").arg(self.dir.path().join("w.yaml"));
        for name in ["SUDO_UID", "SUDO_GID", "SSH_CONNECTION"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.wardmote(words).output().unwrap()
    }

    fn says(&self, words: &[&str]) -> String {
        let out = self.run(words);
        assert!(out.status.success(), "{words:?}: {}", text(&out.stderr));
        text(&out.stdout)
    }

    /// Puts a request into the store, as the service would.
    fn request(&self, target: &str, state: &str, began: Option<i64>) -> i64 {
        // Nobody's request: the store is made.
        assert_eq!(self.run(&["respond", "deny", "999"]).status.code(), Some(2));
        let factors = json!({
            "reach": "one", "undo": "by_itself", "target": "stranger", "certainty": "firm"
        });
        let decision = json!({
            "time": now(), "id": null, "case": "case", "title": "Passwords guessed", "action": "block",
            "target": target, "factors": factors, "risk": "low", "proof": [], "harm": [],
            "held": ["dry_run is on"], "outcome": {"wait": {"operators": 1}}, "policy": "p"
        });
        let request = json!({
            "id": 0, "state": state, "action": {"block": {"network": target}},
            "aim": {"network": target, "user": null, "unit": null}, "decision": decision,
            "operators": 1, "approved_by": [], "hold_s": 3_600, "confirm_within_s": 600,
            "began": began, "until": null, "denied": null, "changed": now(), "note": ""
        });
        let store = rusqlite::Connection::open(self.state().join("wardmote.db")).unwrap();
        store
            .execute(
                "INSERT INTO response (action, target, class, state, began, request)
                 VALUES ('block', ?1, 'stranger', ?2, ?3, ?4)",
                rusqlite::params![target, state, began, request.to_string()],
            )
            .unwrap();
        store.last_insert_rowid()
    }

    /// The state of a request, as `respond list` tells it.
    fn told(&self, id: i64) -> Value {
        let list = self.says(&["respond", "list", "--all", "--format", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list["schema"], "wardmote.respond/1");
        let requests = list["requests"].as_array().unwrap();
        requests.iter().find(|one| one["id"] == id).unwrap().clone()
    }

    /// nft's word on our table; empty where there is none.
    fn table(&self) -> String {
        text(&self.ours.output("nft", &["list", "table", "inet", "wardmote"]).stdout)
    }

    /// Whether the other host gets through to the server.
    fn gets_through(&self) -> bool {
        let script = format!("exec 3<>/dev/tcp/10.99.0.1/{PORT}");
        let words = ["1", "bash", "-c", &script];
        self.theirs.output("timeout", &words).status.success()
    }

    fn wait_for(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "{what}; the table: {}", self.table());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The service, ended with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // `ip netns exec` becomes what it starts.
        let _ = std::process::Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[test]
fn an_approved_block_keeps_the_attacker_out_until_it_is_denied() {
    let Some(stage) = Stage::new("rb") else { return };
    let _server = stage.ours.serve("10.99.0.1", &[PORT]);
    assert!(stage.gets_through());
    let id = stage.request("10.99.0.2", "waiting", None);
    let listed = stage.says(&["respond", "list"]);
    assert!(listed.contains("waiting") && listed.contains("held: dry_run is on"), "{listed}");
    let done = stage.says(&["respond", "approve", &id.to_string()]);
    assert!(done.contains("done") && done.contains("unless confirmed"), "{done}");
    assert!(done.contains("the service is not running"), "{done}");
    let table = stage.table();
    assert!(table.contains("10.99.0.2 timeout 10m"), "{table}");
    assert!(!stage.gets_through(), "{table}");
    stage.says(&["respond", "confirm", &id.to_string()]);
    assert!(
        stage.table().contains("10.99.0.2 timeout 59m") || stage.table().contains("timeout 1h")
    );
    stage.says(&["respond", "deny", &id.to_string()]);
    assert_eq!(stage.told(id)["state"], "reverted");
    assert_eq!(stage.table(), "", "nothing of ours stays behind");
    assert!(stage.gets_through());
}

#[test]
fn an_operator_cannot_block_what_the_host_needs() {
    let Some(stage) = Stage::new("rh") else { return };
    stage.ours.ip("route add default via 10.99.0.2");
    for (target, why) in [
        ("10.99.0.2", "gateway"),
        ("10.99.0.0/24", "gateway"),
        ("10.99.0.1", "this host's own"),
        ("127.0.0.1", "loopback"),
        ("8.0.0.0/8", "wider"),
    ] {
        let id = stage.request(target, "waiting", None);
        let refused = stage.run(&["respond", "approve", &id.to_string()]);
        assert_eq!(refused.status.code(), Some(1), "{target}");
        assert!(text(&refused.stderr).contains(why), "{target}: {}", text(&refused.stderr));
        assert_eq!(stage.told(id)["state"], "waiting");
    }
    assert_eq!(stage.table(), "");
}

#[test]
fn the_service_makes_flushed_blocks_stand_again_and_takes_them_back_at_their_time() {
    let Some(stage) = Stage::new("rs") else { return };
    let _server = stage.ours.serve("10.99.0.1", &[PORT]);
    assert!(stage.gets_through());
    // What a crash left behind: done, intended, half taken back, and over.
    let holds = stage.request("10.99.0.2", "done", Some(now()));
    let ends = stage.request("10.99.0.3", "done", Some(now() - 594));
    let intended = stage.request("10.99.0.4", "intended", Some(now()));
    let half = stage.request("10.99.0.5", "reverting", Some(now()));
    let over = stage.request("10.99.0.6", "confirmed", Some(now() - 3_600));
    let mut service = stage.wardmote(&["agent"]);
    let service = service.stdout(Stdio::null()).stderr(Stdio::null());
    let service = Service(service.spawn().unwrap());
    stage.wait_for("what holds stands after the start", |stage| {
        stage.table().contains("10.99.0.2 timeout")
    });
    for gone in [intended, half, over] {
        stage.wait_for("the rest is taken back", |stage| stage.told(gone)["state"] == "reverted");
    }
    assert!(!stage.gets_through());
    stage.ours.nft("flush ruleset");
    assert_eq!(stage.table(), "");
    stage.wait_for("the table is rebuilt", |stage| stage.table().contains("10.99.0.2 timeout"));
    stage.wait_for("nobody confirmed it", |stage| stage.told(ends)["state"] == "reverted");
    assert!(!stage.table().contains("10.99.0.3"));
    assert_eq!(stage.told(holds)["state"], "done");
    let denied = stage.says(&["respond", "deny", &holds.to_string()]);
    assert!(denied.contains("reverted"), "{denied}");
    assert_eq!(stage.table(), "");
    assert!(stage.gets_through());
    drop(service);
}

#[test]
fn a_service_that_may_not_change_the_firewall_leaves_that_to_root() {
    let Some(stage) = Stage::new("ry") else { return };
    let id = stage.request("10.99.0.2", "waiting", None);
    let mut without = stage.ours.command("setpriv");
    without.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    without.args([env!("CARGO_BIN_EXE_wardmote"), "agent", "--state-dir"]).arg(stage.state());
    without.arg("--config").arg(stage.dir.path().join("w.yaml"));
    let quiet = without.stdout(Stdio::null()).stderr(Stdio::null());
    let service = Service(quiet.spawn().unwrap());
    stage.wait_for("the service answers", |stage| stage.run(&["status"]).status.success());
    let done = stage.says(&["respond", "approve", &id.to_string()]);
    assert!(done.contains("done"), "{done}");
    assert!(stage.table().contains("10.99.0.2 timeout"), "{}", stage.table());
    stage.says(&["respond", "deny", &id.to_string()]);
    assert_eq!(stage.table(), "");
    drop(service);
}

#[test]
fn the_store_and_the_lock_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let Some(stage) = Stage::new("rp") else { return };
    stage.request("10.99.0.2", "waiting", None);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["wardmote.db", "responses.lock"] {
        assert_eq!(mode(&stage.state().join(name)), 0o600, "{name}");
    }
}
