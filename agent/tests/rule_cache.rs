//! A sweep says the same with kept rules and without, and follows what changes in their files.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::path::Path;
use std::process::Command;
use std::time::Duration;

const RULE: &str = "title: Own\nname: own\nlogsource: {product: linux, service: sshd}\n\
    detection:\n  s:\n    message|re: 'Failed \\w+ for'\n  condition: s\nlevel: high\n";

/// As many failures as fail2ban takes where nobody sets anything, and one more.
fn log() -> String {
    let line = |second| {
        format!(
            "Jan  1 10:00:0{second} h sshd[1]: Failed none for root from 192.0.2.1 port 4 ssh2\n"
        )
    };
    (0..6).map(line).collect()
}

fn sweep(dir: &Path, more: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .current_dir(dir)
        .args(["sweep", "auth.log", "--rules", "rules", "--jails", "fail2ban", "--filter"])
        .args(["fail2ban/filter.d/own.conf", "--format", "jsonl", "--year", "2026", "--tz", "UTC"])
        .args(["--state-dir", "state"])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.code() != Some(2), "{}", String::from_utf8_lossy(&out.stderr));
    // Times and ids of runs differ.
    let lines = text.lines().map(|line| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(summary) = value.get_mut("summary").and_then(|one| one.as_object_mut()) {
            summary.remove("elapsed_ms");
        }
        if let Some(object) = value.as_object_mut() {
            object.remove("id");
            // It names the context, of which the time is a part.
            if let Some(verdict) = object.get_mut("verdict").and_then(|one| one.as_object_mut()) {
                verdict.remove("trace");
            }
        }
        value.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("state/cache")).map_or(0, Iterator::count)
}

#[test]
fn results_are_the_same_with_kept_rules_and_follow_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir_all(dir.path().join("rules")).unwrap();
    std::fs::create_dir_all(dir.path().join("fail2ban/filter.d")).unwrap();
    write("auth.log", &log());
    write("rules/own.yml", RULE);
    write(
        "fail2ban/jail.conf",
        "[own]\nenabled = true\nfilter = own\nlogpath = /nowhere\nmaxretry = 2\n",
    );
    write(
        "fail2ban/filter.d/own.conf",
        "[Definition]\nfailregex = ^\\s*\\S+ sshd\\[\\d+\\]: Failed \\S+ for <F-USER>\\S+</F-USER> from <HOST>\n",
    );
    let plain = sweep(dir.path(), &["--no-state"]);
    assert!(plain.contains("\"own\"") && plain.contains("fail2ban-own"), "{plain}");
    // What was written a moment ago is not kept.
    assert_eq!(sweep(dir.path(), &[]), plain);
    assert_eq!(entries(dir.path()), 0);
    std::thread::sleep(Duration::from_millis(3_100));
    assert_eq!(sweep(dir.path(), &["--no-state"]), plain);
    assert_eq!(entries(dir.path()), 0, "no state, nothing written");
    assert_eq!(sweep(dir.path(), &[]), plain);
    assert_eq!(entries(dir.path()), 3, "rules, jails, filters");
    assert_eq!(sweep(dir.path(), &[]), plain);
    assert_eq!(sweep(dir.path(), &["--no-state"]), plain);
    write("rules/own.yml", &RULE.replace("Failed", "Accepted"));
    write("fail2ban/filter.d/own.local", "[Definition]\nfailregex = ^never <HOST>\n");
    let silent = sweep(dir.path(), &[]);
    assert!(!silent.contains("\"rule\":\"own\"") && !silent.contains("fail2ban-own"), "{silent}");
    assert_eq!(sweep(dir.path(), &["--no-state"]), silent);
}
