//! `wardmote match --filter` beside Debian's `fail2ban-regex`: the same lines, hosts, times and counts.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn wardmote(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wardmote")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn required(what: &str) {
    assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no {what}");
    println!("skipped: no {what}");
}

fn corpus(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var("WARDMOTE_CORPORA").unwrap_or_else(|_| default.into());
    let path = Path::new(&root).join(name);
    if path.exists() {
        return Some(path.canonicalize().unwrap());
    }
    required("corpora");
    None
}

/// fail2ban-regex on a log, in UTC, names left alone.
fn peer(log: &Path, filter: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new("fail2ban-regex");
    let out = command.env("TZ", "UTC").arg("--raw").args(args).arg(log).arg(filter).output();
    let Ok(out) = out else {
        required("fail2ban-regex");
        return None;
    };
    assert!(out.status.success(), "{}", text(&out.stdout));
    Some(text(&out.stdout))
}

/// Host and time of each match, as `-o row` prints them: `['192.0.2.1',\t1765349746.0,\t{…}],`, the time with a fraction or without.
fn rows(printed: &str) -> Vec<(String, i64)> {
    let row = |line: &str| {
        let (host, rest) = line.strip_prefix("['")?.split_once("',\t")?;
        let (time, _) = rest.split_once(',')?;
        Some((host.to_string(), time.strip_suffix(".0").unwrap_or(time).parse().ok()?))
    };
    printed.lines().filter_map(row).collect()
}

fn agrees(log: &Path, filter: &str) -> Option<usize> {
    let theirs = rows(&peer(log, filter, &["-o", "row"])?);
    let matched = ["--print-all-matched", "--print-no-missed", "--print-no-ignored"];
    let report = peer(log, filter, &matched)?;
    let lines: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("|  ")).collect();
    let counts = report.lines().find_map(|line| line.strip_prefix("Lines: ")).unwrap();
    let lines = &lines[lines.len() - theirs.len()..];

    let out = wardmote(&[
        "match",
        "--filter",
        filter,
        "--tz",
        "UTC",
        "-v",
        "--format",
        "jsonl",
        log.to_str().unwrap(),
    ]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let source = std::fs::read(log).unwrap();
    let source: Vec<String> = source.split(|byte| *byte == b'\n').map(text).collect();
    let ours: Vec<Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ours.len(), theirs.len(), "{filter}: {counts}");
    for ((hit, (host, time)), line) in ours.iter().zip(&theirs).zip(lines) {
        let at = usize::try_from(hit["line"].as_u64().unwrap()).unwrap();
        assert_eq!(source[at - 1].trim_end_matches('\r'), *line, "{filter}");
        assert_eq!(hit["fields"]["host"], host.as_str(), "{filter}: {line}");
        let time = jiff::Timestamp::from_second(*time).unwrap().to_string();
        assert_eq!(hit["time"], time, "{filter}: {line}");
    }
    // `2000 lines, 944 ignored, 640 matched, 416 missed`
    let number = |said: &str, what: &str| -> u64 {
        let before = said.split(what).next().unwrap().trim_end();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let told = text(&out.stderr);
    for what in ["lines", "ignored", "matched", "missed"] {
        assert_eq!(number(&told, what), number(counts, what), "{filter}: {what}: {told}{counts}");
    }
    Some(ours.len())
}

#[test]
fn sshd_in_every_mode_is_judged_as_fail2ban_regex_judges_it() {
    let Some(log) = corpus("loghub/OpenSSH_2k.log") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.log");
    let mut bytes = std::fs::read(log).unwrap();
    // fail2ban leaves a last line without its end for later.
    bytes.push(b'\n');
    std::fs::write(&path, bytes).unwrap();
    for mode in ["normal", "ddos", "extra", "aggressive"] {
        let Some(matched) = agrees(&path, &format!("sshd[mode={mode}]")) else { return };
        assert!(matched >= 639, "{mode}: {matched}");
    }
}

#[test]
fn a_repeated_message_is_no_match_where_it_is_none_for_fail2ban() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.log");
    let failed = "Failed password for root from 192.0.2.1 port 4 ssh2";
    let log = format!(
        "Dec 10 06:55:46 h sshd[1]: {failed}\n\
         Dec 10 06:55:48 h sshd[2]: message repeated 5 times: [ {failed}]\n"
    );
    std::fs::write(&path, log).unwrap();
    if let Some(matched) = agrees(&path, "sshd") {
        assert_eq!(matched, 1);
    }
}

#[test]
fn web_filters_are_judged_as_fail2ban_regex_judges_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let lines = [
        r#"192.0.2.1 - - [10/Oct/2025:13:55:36 +0200] "GET /x.php?a=http://192.0.2.9/x? HTTP/1.1" 200 5 "-" "x""#,
        r#"192.0.2.2 - - [10/Oct/2025:13:55:37 +0200] "GET /wp-login.php HTTP/1.1" 404 5 "-" "x""#,
        r#"192.0.2.3 - - [10/Oct/2025:13:55:38 +0200] "GET /phpmyadmin/ HTTP/1.1" 404 5 "-" "é""#,
        "192.0.2.4 - - [10/Oct/2025:13:55:39 +0200] \"\\x16\\x03\" 400 5 \"-\" \"-\"",
    ];
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    for filter in ["nginx-bad-request", "nginx-botsearch"] {
        if agrees(&path, filter).is_none() {
            return;
        }
    }
}

#[test]
fn filters_given_by_path_show_names_that_exist_only() {
    let dir = tempfile::tempdir().unwrap();
    let filter = dir.path().join("mine.conf");
    std::fs::write(
        &filter,
        "[Definition]\nfailregex = ^\\s*no <F-USER>\\S+</F-USER> for <HOST> by <mode>$\nmode = day\n",
    )
    .unwrap();
    let log = dir.path().join("log");
    std::fs::write(&log, "2025-01-02 03:04:05 no root for 192.0.2.1 by night\n2025-01-02 03:04:06 no CANARY for 2001:DB8::1 by night\nx\n").unwrap();
    let call = format!("{}[mode=night]", filter.display());
    let out = wardmote(&[
        "match",
        "--filter",
        &call,
        "--tz",
        "UTC",
        "--format",
        "jsonl",
        log.to_str().unwrap(),
    ]);
    assert_eq!(
        text(&out.stdout),
        "{\"line\":1,\"offset\":0,\"rule\":\"mine\",\"time\":\"2025-01-02T03:04:05Z\",\"fields\":{\"host\":\"192.0.2.1\",\"user\":\"root\"}}\n\
         {\"line\":2,\"offset\":51,\"rule\":\"mine\",\"time\":\"2025-01-02T03:04:06Z\",\"fields\":{\"host\":\"2001:db8::1\",\"user\":\"[redacted]\"}}\n"
    );
    let out = wardmote(&["match", "--filter", &call, "--count", log.to_str().unwrap()]);
    assert_eq!((text(&out.stdout).as_str(), out.status.code()), ("2\n", Some(0)));
    let none = format!("{}[mode=day]", filter.display());
    let out = wardmote(&["match", "--filter", &none, "--count", log.to_str().unwrap()]);
    assert_eq!((text(&out.stdout).as_str(), out.status.code()), ("0\n", Some(1)));
}

#[test]
fn wrong_filters_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let filter = dir.path().join("bad.conf");
    let refused = |text_of_filter: &str| {
        std::fs::write(&filter, text_of_filter).unwrap();
        let out = wardmote(&["match", "--filter", filter.to_str().unwrap(), "/dev/null"]);
        assert_eq!(out.status.code(), Some(2));
        text(&out.stderr)
    };
    let at = filter.display();
    for (file, said) in [
        ("[Definition]\nfailregex = (<HOST>\n", format!("{at}:2:1: `(<HOST>`: missing )")),
        ("[Definition]\nfailregex = a\n", format!("{at}:2:1: a failregex that names no host")),
        (
            "[Definition]\nfailregex = %(a)s\na = %(a)s\n",
            format!("{at}:3:1: `%(…)s` nested too deeply"),
        ),
        (
            "[Definition]\nfailregex = <HOST>\nmaxlines = 1000\n",
            format!("{at}:3:1: maxlines: not a number"),
        ),
    ] {
        let stderr = refused(file);
        assert!(stderr.contains(&said) && stderr.contains("hint: "), "{stderr}");
    }
}
