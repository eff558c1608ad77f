//! `wardmote sweep` and `wardmote match` from the outside: output, state, exit codes.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn wardmote(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardmote"));
    // What is kept stays in the test's own directory.
    command.current_dir(dir).args(args).args(["--state-dir", "kept-here"]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attempts(count: usize) -> String {
    "Dec 10 06:55:46 web sshd[7]: Failed password for invalid user CANARY from 192.0.2.7 port 4 ssh2\n"
        .repeat(count)
}

fn log(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("auth.log"), text).unwrap();
    dir
}

#[test]
fn json_lines_have_the_keys_of_the_contract() {
    let dir = log(&attempts(8));
    let args = ["sweep", "auth.log", "--format", "jsonl", "--tz", "UTC", "--year", "2024"];
    let out = wardmote(dir.path(), &[&args[..], &["--fail-on", "critical"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let lines: Vec<Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for key in [
        "rule", "title", "severity", "time", "path", "line", "offset", "subject", "count", "first",
        "last", "verdict",
    ] {
        assert!(!lines[0][key].is_null(), "{key}");
    }
    assert_eq!((&lines[0]["count"], &lines[0]["subject"]["ip"]), (&8.into(), &"192.0.2.7".into()));
    assert_eq!(lines[0]["first"], "2024-12-10T06:55:46Z");
    for key in [
        "files",
        "lines",
        "bytes",
        "hits",
        "detections",
        "unparsed",
        "undated",
        "undecided",
        "evicted",
        "gaps",
        "elapsed_ms",
    ] {
        assert!(lines[1]["summary"][key].is_number(), "{key}");
    }
    assert!(!text(&out.stdout).contains("CANARY"));
    let out = wardmote(dir.path(), &[&args[..], &["--fail-on", "info"]].concat());
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn only_new_is_silent_when_nothing_is_new() {
    let dir = log(&attempts(9));
    let args = ["sweep", "auth.log", "--only-new", "--state", "state.json", "--fail-on", "info"];
    let first = wardmote(dir.path(), &args);
    assert_eq!(first.status.code(), Some(1), "{}", text(&first.stderr));
    assert!(text(&first.stdout).contains("192.0.2.7"));
    let state = dir.path().join("state.json");
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&state).unwrap().contains("CANARY"));
    let second = wardmote(dir.path(), &args);
    assert_eq!((second.status.code(), second.stdout, second.stderr), (Some(0), vec![], vec![]));
    std::fs::write(dir.path().join("auth.log"), attempts(10)).unwrap();
    let third = wardmote(dir.path(), &args);
    assert_eq!(third.status.code(), Some(1));
    assert!(text(&third.stdout).contains("1 line in 1 file"), "{}", text(&third.stdout));
}

#[test]
fn a_second_sweep_with_the_same_state_ends_with_75() {
    let dir = log(&attempts(1));
    let lock = std::fs::File::create(dir.path().join("state.json.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let out = wardmote(dir.path(), &["sweep", "auth.log", "--state", "state.json"]);
    assert_eq!(out.status.code(), Some(75));
    assert!(out.stdout.is_empty());
    assert!(text(&out.stderr).contains("another sweep is running"));
}

#[test]
fn what_cannot_be_examined_is_an_error_or_incomplete() {
    let dir = log(&attempts(1));
    let none = wardmote(dir.path(), &["sweep", "none.log"]);
    assert_eq!(none.status.code(), Some(2));
    let part = wardmote(dir.path(), &["sweep", "auth.log", "none.log"]);
    assert_eq!(part.status.code(), Some(3));
    assert!(text(&part.stdout).contains("incomplete: "));
    std::fs::write(
        dir.path().join("bad.yml"),
        "title: x\nlogsource: {product: linux}\ndetection:\n  s:\n    f|odd: 1\n  condition: s\n",
    )
    .unwrap();
    let bad = wardmote(dir.path(), &["sweep", "auth.log", "--rules", "bad.yml"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        text(&bad.stderr).contains("bad.yml:5:5: unknown modifier `odd`"),
        "{}",
        text(&bad.stderr)
    );
    std::fs::write(dir.path().join("state.json"), "{").unwrap();
    let damaged = wardmote(dir.path(), &["sweep", "auth.log", "--state", "state.json"]);
    assert_eq!(damaged.status.code(), Some(2));
}

#[test]
fn match_shows_every_hit_and_exits_like_grep() {
    let dir = log(&format!("{}nothing\n", attempts(2)));
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../content/rules");
    let args =
        ["match", "--rules", rules, "--tz", "UTC", "--now", "1767225600", "--format", "jsonl"];
    let out = wardmote(dir.path(), &[&args[..], &["auth.log"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let hits: Vec<Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(hits.len(), 2);
    assert_eq!((&hits[1]["line"], &hits[1]["rule"]), (&2.into(), &"ssh-login-failed".into()));
    assert_eq!(hits[1]["time"], "2025-12-10T06:55:46Z");
    assert_eq!(hits[1]["fields"]["ip"], "192.0.2.7");
    assert_eq!(hits[1]["offset"].as_u64(), Some(attempts(1).len() as u64));
    assert!(!text(&out.stdout).contains("CANARY"));

    std::fs::write(dir.path().join("patterns"), "Failed \\w+\nport 4\nnothing at all\n").unwrap();
    let count = wardmote(dir.path(), &["match", "--patterns", "patterns", "--count", "auth.log"]);
    assert_eq!((count.status.code(), text(&count.stdout)), (Some(0), "2\n".into()));
    let each = wardmote(dir.path(), &["match", "--patterns", "patterns", "auth.log"]);
    assert_eq!(text(&each.stdout).lines().count(), 4);
    std::fs::write(dir.path().join("patterns"), "absent\n").unwrap();
    let none = wardmote(dir.path(), &["match", "--patterns", "patterns", "auth.log"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(1), 0));
    std::fs::write(dir.path().join("patterns"), "(\n").unwrap();
    let wrong = wardmote(dir.path(), &["match", "--patterns", "patterns", "auth.log"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("patterns:1"));
    assert_eq!(wardmote(dir.path(), &["match", "auth.log"]).status.code(), Some(2));
}

/// The detections of a sweep of `auth.log`, with a configuration.
fn detections(dir: &Path, configuration: &str) -> Vec<Value> {
    std::fs::write(dir.join("w.yaml"), configuration).unwrap();
    let args = ["sweep", "auth.log", "--format", "jsonl", "--tz", "UTC", "--year", "2024"];
    let out = wardmote(dir, &[&args[..], &["--config", "w.yaml"]].concat());
    let lines = text(&out.stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|l: &Value| l["rule"].is_string())
        .collect()
}

#[test]
fn what_the_site_tells_is_heard_and_cited() {
    let dir = log(&attempts(8));
    let plain = detections(dir.path(), "");
    let told = detections(dir.path(), "site: {monitoring: [192.0.2.0/28]}\n");
    assert_eq!((&plain[0]["severity"], &told[0]["severity"]), (&"medium".into(), &"low".into()));
    let reasons = told[0]["verdict"]["reasons"].to_string();
    assert!(
        reasons.contains("192.0.2.7 probes on the operator's behalf (192.0.2.0/28)"),
        "{reasons}"
    );
    std::fs::write(dir.path().join("w.yaml"), "site: {tor: none.txt}\n").unwrap();
    let out = wardmote(dir.path(), &["sweep", "auth.log", "--config", "w.yaml"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("none.txt"), "{}", text(&out.stderr));
}

/// Three experts from two sources at least: fewer would cap what was only concluded at medium.
#[test]
fn a_lone_grave_detection_is_heard_by_three_experts_from_two_sources() {
    let entry =
        "Dec 10 06:56:00 web sshd[7]: Accepted password for root from 192.0.2.7 port 4 ssh2\n";
    let failures = attempts(12).replace("invalid user CANARY", "root");
    let dir = log(&format!("{failures}{entry}"));
    let grave: Vec<Value> = detections(dir.path(), "")
        .into_iter()
        .filter(|one| one["severity"] == "critical" || one["severity"] == "high")
        .collect();
    assert!(!grave.is_empty());
    for one in grave {
        let opinions = one["verdict"]["opinions"].as_array().unwrap();
        let sources: std::collections::BTreeSet<String> = opinions
            .iter()
            .flat_map(|opinion| opinion["sources"].as_array().unwrap())
            .map(ToString::to_string)
            .collect();
        assert!(opinions.len() >= 3 && sources.len() >= 2, "{opinions:?}");
    }
}

#[test]
fn filters_and_jails_of_fail2ban_say_who_would_be_banned() {
    let line = "Dec 10 06:55:46 web doord[7]: refused 192.0.2.7\n";
    let dir = log(&line.repeat(5));
    let filters = dir.path().join("f/filter.d");
    std::fs::create_dir_all(&filters).unwrap();
    std::fs::write(
        filters.join("door.conf"),
        "[Definition]\nfailregex = doord\\[\\d+\\]: refused <HOST>$\n",
    )
    .unwrap();
    let told = |more: &[&str]| -> Vec<(String, u64)> {
        let args = ["sweep", "auth.log", "--format", "jsonl", "--year", "2024"];
        let out = wardmote(dir.path(), &[&args[..], more].concat());
        assert!(matches!(out.status.code(), Some(0 | 3)), "{}", text(&out.stderr));
        let lines = text(&out.stdout);
        let each = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        each.filter(|line| line["subject"]["ip"] == "192.0.2.7")
            .map(|line| {
                (line["rule"].as_str().unwrap().to_string(), line["count"].as_u64().unwrap())
            })
            .collect()
    };
    assert_eq!(told(&[]), []);
    let banned = |name: &str| vec![(format!("fail2ban-{name}-ban"), 5)];
    assert_eq!(told(&["--filter", "f/filter.d/door.conf"]), banned("door"));
    let jail = |maxretry: u32| {
        let text = format!(
            "[entry]\nenabled = true\nfilter = door\nlogpath = %(here)s\nmaxretry = {maxretry}\n"
        );
        let text = text.replace("%(here)s", dir.path().join("auth.log").to_str().unwrap());
        std::fs::write(dir.path().join("f/jail.local"), text).unwrap();
    };
    jail(5);
    assert_eq!(told(&["--jails", "f"]), banned("entry"));
    jail(6);
    assert_eq!(told(&["--jails", "f"]), []);
    let out = wardmote(dir.path(), &["sweep", "auth.log", "--filter", "none-such"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("none-such"), "{}", text(&out.stderr));
}
