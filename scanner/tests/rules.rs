//! Every built-in rule fires on its own samples and stays silent on the others.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use consensus::Severity;
use scanner::RootedTree;
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, content, source, sweep};
use serde_yaml::Value;

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

fn content_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../content/rules")
}

fn run(text: &str, rules: &RuleSet) -> SweepOutcome {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), text).unwrap();
    let tree = RootedTree::open(dir.path()).unwrap();
    let found = source::named(&tree, &["/log".into()]);
    sweep(&tree, found, None, rules, &SweepOptions::new(NOW), None)
}

/// Every rule that saw something, shown or not.
fn fired(text: &str, rules: &RuleSet) -> BTreeSet<String> {
    let outcome = run(text, rules);
    let shown = outcome.detections.into_iter().flat_map(|d| d.also.into_iter().chain([d.rule]));
    shown.chain(outcome.activity.into_iter().map(|a| a.rule)).collect()
}

fn logs(case: &Value, key: &str) -> Vec<String> {
    let list = case[key].as_sequence().unwrap_or_else(|| panic!("{key} in {case:?}"));
    assert!(!list.is_empty());
    list.iter()
        .map(|item| {
            let times = item.get("times").and_then(Value::as_u64).unwrap_or(1);
            let log = item["log"].as_str().unwrap().trim_end();
            format!("{log}\n").repeat(usize::try_from(times).unwrap())
        })
        .collect()
}

#[test]
fn every_rule_fires_on_its_samples_and_is_silent_on_the_others() {
    let rules = content::rules();
    let headers = rules.rules.iter().map(|r| r.rule.header.key());
    let correlations = rules.correlations.iter().map(|c| c.correlation.header.key());
    let mut untested: BTreeSet<&str> = headers.chain(correlations).collect();
    assert!(untested.len() >= 18);
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(content_directory().join("tests")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let cases: Vec<Value> = serde_yaml::from_str(&text).unwrap();
        for case in &cases {
            let rule = case["rule"].as_str().unwrap();
            assert!(untested.remove(rule), "{rule} is no rule, or tested twice");
            for log in logs(case, "fires") {
                if !fired(&log, &rules).contains(rule) {
                    wrong.push(format!("{rule} is silent on {}", log.lines().last().unwrap()));
                }
            }
            for log in logs(case, "silent") {
                if fired(&log, &rules).contains(rule) {
                    wrong.push(format!("{rule} fires on {}", log.lines().last().unwrap()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(untested.is_empty(), "without samples: {untested:?}");
}

#[test]
fn every_file_of_the_content_is_embedded() {
    let mut files: Vec<String> = std::fs::read_dir(content_directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .map(|path| format!("content/rules/{}", path.file_name().unwrap().to_string_lossy()))
        .collect();
    files.sort();
    assert_eq!(files, content::FILES.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for rule in &content::rules().rules {
        let header = &rule.rule.header;
        assert!(!header.description.is_empty() && !header.falsepositives.is_empty());
        assert!(header.id.len() == 36 && header.name.is_some(), "{}", header.title);
    }
}

#[test]
fn an_ordinary_day_gives_nothing_above_info() {
    let day = "\
Dec 10 00:17:01 web CRON[812]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)
Dec 10 00:17:01 web CRON[813]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)
Dec 10 00:17:01 web CRON[812]: pam_unix(cron:session): session closed for user root
Dec 10 06:25:00 web rsyslogd: [origin software=\"rsyslogd\" x-pid=\"7\"] rsyslogd was HUPed
Dec 10 08:00:01 web sshd[900]: Accepted publickey for bob from 192.0.2.10 port 50022 ssh2: ED25519 SHA256:x
Dec 10 08:00:01 web sshd[900]: pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)
Dec 10 08:00:01 web systemd-logind[400]: New session 5 of user bob.
Dec 10 08:01:00 web sudo:      bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/apt update
Dec 10 08:01:00 web sudo: pam_unix(sudo:session): session opened for user root(uid=0) by bob(uid=1000)
Dec 10 08:02:00 web sudo:      bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx
Dec 10 08:03:00 web useradd[950]: new user: name=_chrony, UID=110, GID=115, home=/var/lib/chrony, shell=/usr/sbin/nologin
Dec 10 08:05:00 web sshd[960]: Failed password for bob from 192.0.2.10 port 50023 ssh2
Dec 10 08:05:04 web sshd[960]: Accepted password for bob from 192.0.2.10 port 50023 ssh2
Dec 10 08:06:00 web kernel: [  12.345678] device veth1a2b entered promiscuous mode
Dec 10 08:07:00 web systemd[1]: Started Daily apt upgrade and clean activities.
Dec 10 08:08:00 web sudo:      bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/journalctl -u nginx
192.0.2.20 - - [10/Dec/2025:08:00:00 +0000] \"GET / HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0\"
192.0.2.20 - - [10/Dec/2025:08:00:01 +0000] \"GET /favicon.ico HTTP/1.1\" 404 150 \"-\" \"Mozilla/5.0\"
192.0.2.21 - - [10/Dec/2025:08:00:02 +0000] \"GET /search?q=select+a+hotel+in+union+square HTTP/1.1\" 200 900 \"-\" \"Mozilla/5.0\"
192.0.2.21 - - [10/Dec/2025:08:00:03 +0000] \"GET /p?u=https%3A%2F%2Fexample.org%2Fa%3Fb%3D1%26c%3D2 HTTP/1.1\" 200 900 \"-\" \"Mozilla/5.0\"
";
    let outcome = run(day, &content::rules());
    assert_eq!(outcome.summary.unparsed, 0);
    let loud: Vec<_> = outcome.detections.iter().filter(|d| d.level > Severity::Info).collect();
    assert!(loud.is_empty(), "{loud:#?}");
}
