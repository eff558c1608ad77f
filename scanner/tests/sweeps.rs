//! Sweeps over made and recorded logs, from the outside.
#![allow(clippy::unwrap_used)] // helpers of tests too

mod corpora;

use std::io::{Read, Write};
use std::path::Path;

use consensus::{Kind, Privilege, Proof, Severity};
use parsers::rules::sigma::parse;
use scanner::RootedTree;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, audit_sweep, content, source, sweep};

use corpora::corpus;

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

fn run(path: &Path, rules: &RuleSet) -> SweepOutcome {
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let found = source::named(&tree, &[path.to_path_buf()]);
    let options = SweepOptions { year: Some(2015), ..SweepOptions::new(NOW) };
    sweep(&tree, found, None, rules, &options, None)
}

#[test]
fn every_failed_login_of_the_openssh_corpus_is_counted() {
    let Some(path) = corpus("loghub/OpenSSH_2k.log") else { return };
    let outcome = run(&path, &content::rules());
    assert_eq!((outcome.summary.lines, outcome.summary.unparsed), (2000, 0));
    let failed = outcome.activity.iter().find(|a| a.rule == "ssh-login-failed").unwrap();
    assert_eq!((failed.events, failed.addresses), (532, 24));
    let login = outcome.detections.iter().find(|d| d.rule == "ssh-login").unwrap();
    assert_eq!((login.count, login.entered.as_slice()), (1, &["fztu".to_string()][..]));
    assert_eq!(login.subject.ip.as_deref(), Some("119.137.62.142"));
    let worst =
        outcome.detections.iter().find(|d| d.subject.ip.as_deref() == Some("183.62.140.253"));
    assert_eq!(worst.unwrap().count, 286);
    let rules = outcome.detections.iter().flat_map(|d| d.also.iter().chain([&d.rule]));
    let rules: std::collections::BTreeSet<&str> = rules.map(String::as_str).collect();
    for rule in ["ssh-brute-force", "ssh-password-spraying", "ssh-invalid-user-storm"] {
        assert!(rules.contains(rule), "{rules:?}");
    }
}

#[test]
fn a_scanner_is_one_story_and_an_ordinary_error_log_is_none() {
    let Some(path) = corpus("web/acunetix.txt") else { return };
    let outcome = run(&path, &content::rules());
    assert_eq!((outcome.summary.lines, outcome.summary.unparsed), (6539, 0));
    let ips: Vec<_> = outcome.detections.iter().map(|d| d.subject.ip.as_deref()).collect();
    assert_eq!(ips, [Some("192.168.4.25")]);
    let Some(path) = corpus("loghub/Apache_2k.log") else { return };
    let outcome = run(&path, &content::rules());
    assert_eq!((outcome.detections.len(), outcome.summary.unparsed), (0, 0));
}

#[test]
fn the_prefilter_skips_no_rule_that_matches() {
    let (Some(sigma), Some(ssh), Some(web)) =
        (corpus("sigma"), corpus("loghub/OpenSSH_2k.log"), corpus("web/acunetix.txt"))
    else {
        return;
    };
    let mut documents = content::documents().unwrap();
    let mut pending = vec![sigma];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.to_string_lossy().into();
            documents.extend(parse(&name, &std::fs::read(&path).unwrap()).unwrap());
        }
    }
    let rules = RuleSet::new(documents).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut scratch = Scratch::default();
    let mut hits = 0;
    for path in [ssh, web] {
        let mut form = Form::default();
        let text = std::fs::read(path).unwrap();
        for line in text.split(|byte| *byte == b'\n').step_by(3) {
            let event = Event::read(line, &mut form);
            let mut found = Vec::new();
            rules.each_match(&event, &mut scratch, |rule| found.push(rule));
            assert_eq!(
                found,
                rules.each_match_plainly(&event),
                "{}",
                String::from_utf8_lossy(line)
            );
            hits += found.len();
        }
    }
    assert!(hits > 200, "{hits}");
}

fn sweep_in(dir: &Path, options: &SweepOptions, journal: Option<&[u8]>) -> SweepOutcome {
    let tree = RootedTree::open(dir).unwrap();
    let mut bytes = journal.unwrap_or_default();
    let journal = journal.is_some().then_some(&mut bytes as &mut dyn Read);
    audit_sweep(&tree, journal, &content::rules(), options)
}

fn host(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join("var/log").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    dir
}

fn attack(count: usize) -> String {
    "2025-12-30T06:55:46Z web sshd-session[7]: Failed password for root from 192.0.2.7 port 4 ssh2\n"
        .repeat(count)
}

fn export(time: u64, program: &str, message: &str) -> Vec<u8> {
    format!("__REALTIME_TIMESTAMP={time}000000\n_PID=7\nSYSLOG_IDENTIFIER={program}\nMESSAGE={message}\n\n")
        .into_bytes()
}

#[test]
fn a_host_without_any_log_is_incomplete_and_not_clean() {
    let outcome = sweep_in(tempfile::tempdir().unwrap().path(), &SweepOptions::new(NOW), None);
    assert!(outcome.incomplete[0].starts_with("no log source"), "{:?}", outcome.incomplete);
    let quiet = sweep_in(host(&[("auth.log", b"")]).path(), &SweepOptions::new(NOW), None);
    assert!(quiet.incomplete.is_empty());
}

#[test]
fn the_journal_is_a_source_and_tells_nothing_twice() {
    let message = "Failed password for root from 192.0.2.7 port 4 ssh2";
    // 2025-12-30T06:55:46Z, as in `attack`
    let journal = export(1_767_077_746, "sshd-session", message).repeat(8);
    let empty = tempfile::tempdir().unwrap();
    let outcome = sweep_in(empty.path(), &SweepOptions::new(NOW), Some(&journal));
    assert_eq!(outcome.detections[0].rule, "ssh-brute-force");
    assert_eq!((outcome.detections[0].count, outcome.summary.lines), (8, 8));
    assert_eq!(outcome.detections[0].samples[0].path, "journal");
    let text = attack(8);
    let both = host(&[("auth.log", text.as_bytes())]);
    let outcome = sweep_in(both.path(), &SweepOptions::new(NOW), Some(&journal));
    assert_eq!(outcome.detections[0].count, 8);
    assert_eq!(outcome.sources.len(), 2);
}

#[test]
fn hostile_files_end_in_a_bounded_clear_outcome() {
    let attack = attack(8);
    let long = [&vec![b'x'; 10 << 20][..], b"\n", attack.as_bytes()].concat();
    let broken =
        [b"\0\xff\xfe Failed \x1b[31m\n\n{\ntype=\n[\n<34>1\n", attack.as_bytes()].concat();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&attack.repeat(400).into_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let cut = &packed[..packed.len() / 2];
    let dir = host(&[
        ("auth.log", &long),
        ("syslog", &broken),
        ("messages.1.gz", cut),
        ("secure.2.gz", &packed),
    ]);
    std::fs::create_dir(dir.path().join("var/log/kern.log")).unwrap();
    let options = SweepOptions { expanded_bytes_max: 100_000, ..SweepOptions::new(NOW) };
    let outcome =
        sweep_in(dir.path(), &options, Some(b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_eq!(outcome.summary.undecided, 1);
    let said = outcome.incomplete.join("\n");
    for part in
        ["kern.log", "messages.1.gz", "secure.2.gz: expands beyond 100000 bytes", "journal: "]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(outcome.detections.iter().any(|d| d.rule == "ssh-brute-force"));
}

#[test]
fn what_strangers_typed_appears_nowhere() {
    let text = "\
Dec 30 06:55:46 web sshd[7]: Invalid user CANARY1 from 192.0.2.7 port 4
Dec 30 06:55:46 web sshd[7]: Failed password for invalid user CANARY2 from 192.0.2.7 port 4 ssh2
Dec 30 06:55:46 web sshd[7]: Connection closed by invalid user CANARY3 192.0.2.7 port 4 [preauth]
Dec 30 06:55:47 web sudo:  bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow --password=CANARY4
192.0.2.7 - CANARY6 [30/Dec/2025:06:55:46 +0000] \"GET /.env?token=CANARY5 HTTP/1.1\" 401 7 \"https://u:CANARY7@x/\" \"-\"
"
    .repeat(40);
    let dir = host(&[("auth.log", text.as_bytes())]);
    let outcome = sweep_in(dir.path(), &SweepOptions::new(NOW), None);
    assert!(outcome.detections.len() >= 3);
    let evidence: Vec<_> = outcome.detections.iter().map(|d| d.evidence()).collect();
    let all = format!("{outcome:?} {evidence:?}");
    for number in 1..=7 {
        assert!(!all.contains(&format!("CANARY{number}")), "CANARY{number}");
    }
}

#[test]
fn a_story_is_evidence_and_an_attack() {
    let text = attack(9).replace("06:55:46", "06:55:40")
        + "2025-12-30T06:55:50Z web sshd[9]: Accepted password for root from 192.0.2.7 port 4 ssh2\n";
    let dir = host(&[("auth.log", text.as_bytes())]);
    let outcome = sweep_in(dir.path(), &SweepOptions::new(NOW), None);
    let story = &outcome.detections[0];
    assert_eq!(
        (story.rule.as_str(), story.level),
        ("ssh-success-after-brute-force", Severity::Critical)
    );
    assert!(story.also.contains(&"ssh-brute-force".to_string()), "{:?}", story.also);
    let evidence = story.evidence();
    assert_eq!((evidence.kind, evidence.proof), (Kind::Activity, Proof::Inferred));
    assert_eq!((evidence.services, evidence.count), (vec!["ssh".to_string()], 10));
    assert_eq!(evidence.facts["success"], "true");
    assert_eq!(evidence.privilege, Privilege::Root);
    let source = &evidence.sources[0];
    assert_eq!((source.file.as_str(), source.line, source.column), ("/var/log/auth.log", 1, 43));
    let attack = story.attack().unwrap();
    assert_eq!((attack.service.as_str(), attack.succeeded, attack.sources), ("ssh", true, 1));
}

#[test]
fn events_before_since_are_left_out() {
    let text = attack(8);
    let dir = host(&[("auth.log", text.as_bytes())]);
    let options = SweepOptions { since: Some(NOW - 3600), ..SweepOptions::new(NOW) };
    assert!(sweep_in(dir.path(), &options, None).detections.is_empty());
    let options = SweepOptions { since: Some(NOW - 7 * 86_400), ..SweepOptions::new(NOW) };
    assert_eq!(sweep_in(dir.path(), &options, None).detections.len(), 1);
}

#[test]
fn repeated_messages_count_as_often_as_they_say() {
    let text = "Dec 30 07:13:56 web sshd[7]: message repeated 8 times: [ Failed password for root from 192.0.2.7 port 4 ssh2]\n";
    let dir = host(&[("auth.log", text.as_bytes())]);
    let outcome = sweep_in(dir.path(), &SweepOptions::new(NOW), None);
    assert_eq!((outcome.detections[0].count, outcome.summary.lines), (8, 1));
}

#[test]
fn attempts_that_come_like_clockwork_have_a_rhythm() {
    let at = |minute: usize, second: usize| {
        format!(
            "2025-12-30T06:{minute:02}:{second:02}Z web sshd-session[7]: Failed password for backup \
             from 192.0.2.7 port 4 ssh2\n"
        )
    };
    let rhythm = |text: String| {
        let dir = host(&[("auth.log", text.as_bytes())]);
        let outcome = sweep_in(dir.path(), &SweepOptions::new(NOW), None);
        outcome.detections[0].evidence().facts.get("rhythm").cloned()
    };
    let clock: String = (0..12).map(|minute| at(minute, 17)).collect();
    assert_eq!(rhythm(clock).as_deref(), Some("every 60 s"));
    // Somebody at a keyboard, and a program that tries as fast as it is answered.
    let person: String = (0..12).map(|minute| at(minute, minute * 37 % 60)).collect();
    assert_eq!(rhythm(person), None);
    let fast: String = (0..12).map(|turn| at(7, turn * 2)).collect();
    assert_eq!(rhythm(fast), None);
}

#[test]
fn a_line_that_two_rules_match_counts_once_where_both_are_counted() {
    let rule = |name: &str, text: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{product: linux}}\ndetection: {{s: ['{text}'], condition: s}}\n---\n"
        )
    };
    let text = format!(
        "{}{}title: both\nname: both\nlevel: high\ncorrelation: {{type: event_count, rules: [a, b], group-by: [src_ip], timespan: 1h, condition: {{gte: 3}}}}\n",
        rule("a", "Failed password"),
        rule("b", "for root"),
    );
    let rules = RuleSet::new(parse(&"r.yml".into(), text.as_bytes()).unwrap());
    let rules = rules.unwrap_or_else(|problems| panic!("{problems:?}"));
    for (lines, told) in [(2, None), (3, Some(3)), (5, Some(5))] {
        let dir = host(&[("auth.log", attack(lines).as_bytes())]);
        let tree = RootedTree::open(dir.path()).unwrap();
        let outcome = audit_sweep(&tree, None, &rules, &SweepOptions::new(NOW));
        assert_eq!(outcome.detections.first().map(|story| story.count), told, "{lines}");
        assert_eq!(outcome.summary.hits, 2 * lines as u64);
    }
}

/// Whoever cuts a file while it is swept makes a gap, and no line that was not there: zeros would be
/// lines that no grammar accepts.
#[test]
fn a_file_that_is_cut_while_it_is_swept_is_a_gap_and_gives_no_line_that_was_not_there() {
    let rules = content::rules();
    let (all, kept) = (60_000, 20_000);
    let text = attack(all);
    let cut_to = u64::try_from(attack(kept).len()).unwrap();
    let mut gaps = 0;
    for round in 0..6_u64 {
        let dir = host(&[("auth.log", text.as_bytes())]);
        let path = dir.path().join("var/log/auth.log");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(4 + 40 * round));
                file.set_len(cut_to).unwrap();
            });
            run(&path, &rules)
        });
        let (summary, lines) = (&outcome.summary, outcome.summary.lines);
        assert_eq!(summary.unparsed, 0, "round {round}");
        let failed = outcome.activity.iter().find(|a| a.rule == "ssh-login-failed");
        assert_eq!(failed.map_or(0, |a| a.events), lines, "round {round}");
        // Cut before it was opened, or after it was read, it is whole as it is.
        let is_whole = [all, kept].iter().any(|whole| *whole as u64 == lines);
        assert!(is_whole || summary.gaps == 1, "round {round}: {lines} lines");
        assert_eq!(summary.gaps > 0, !outcome.incomplete.is_empty());
        gaps += summary.gaps;
    }
    assert!(gaps > 0, "no sweep met the cut");
}
