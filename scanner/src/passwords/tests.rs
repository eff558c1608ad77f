use std::io::Cursor;
use std::time::{Duration, Instant};

use super::guess::{Guessed, Plan, run};
use super::*;

const TODAY: i64 = 20_000;
/// Made with libxcrypt: `hunter2`, `alice2024`, `Tr0ub4dor`.
const HUNTER2: &str = "$5$rounds=1000$saltsalt$f25dkPYTm952Io0nI9FgssYnbY.87HWdiFw89b8zOR8";
const ALICE: &str = "$2b$04$abcdefghijklmnopqrstuuivimH5zH0oXfSESUtR3a5Ql8QD6v0aG";
const LISTED: &str = "$y$j75$abcdefgh$S93lZIcQzQCtdayrFMGNY9GWZX7412D2NNK6cW4kkT4";

fn look(shadow: &str) -> Passwords {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:Alice Liddell,,,:/home/alice:/bin/bash\n\
        daemon:x:1:1::/:/usr/sbin/nologin\nbob:x:1001:1001::/home/bob:/bin/sh\n";
    read("/etc/shadow", shadow.as_bytes(), Some(passwd.as_bytes()), TODAY)
}

fn faults(account: &Account) -> Vec<(&str, Severity)> {
    account.faults.iter().map(|fault| (fault.id, fault.severity)).collect()
}

fn one(line: &str) -> Vec<(&'static str, Severity)> {
    let read = look(line);
    assert_eq!(read.accounts.len(), 1, "{line}");
    read.accounts[0].faults.iter().map(|fault| (fault.id, fault.severity)).collect()
}

#[test]
fn states_schemes_and_dates_are_judged() {
    use Severity::{Critical, High, Info, Low, Medium};
    let good = "$y$j9T$abcdefgh$UGYCVcUwcoG0k8SZZ.Uz3i0RYQNy1YmYj4I4poBPer2";
    let rows: Vec<(String, Vec<(&str, Severity)>)> = vec![
        (format!("root:{good}:19990:0:99999:7:::"), vec![]),
        ("root:*:19990:0:99999:7:::".into(), vec![]),
        ("root:!:19990:0:99999:7:::".into(), vec![]),
        ("root::19990:0:99999:7:::".into(), vec![("empty", Critical)]),
        ("daemon::19990:0:99999:7:::".into(), vec![("empty", High)]),
        (format!("daemon:{good}:19990:0:99999:7:::"), vec![("password-without-login", Low)]),
        (format!("root:!{good}:19990:0:99999:7:::"), vec![("locked-hash", Info)]),
        ("root:$1$abc$Kb85XxsXB.VXinPhbS4431:19990::::::".into(), vec![("weak-scheme", High)]),
        ("root:abzlUXK5ed5rs:19990::::::".into(), vec![("weak-scheme", High)]),
        (format!("root:{HUNTER2}:19990::::::"), vec![("cheap-hash", Medium)]),
        (format!("root:{ALICE}:19990::::::"), vec![("cheap-hash", Medium)]),
        (format!("root:{LISTED}:19990::::::"), vec![("cheap-hash", Medium)]),
        ("root:$6$cut$abc:19990::::::".into(), vec![("malformed-hash", Medium)]),
        (
            format!("root:$6$rounds=999999999$salt${}:19990::::::", ".".repeat(86)),
            vec![("costly-hash", Info)],
        ),
        ("root:$x$a$b:19990::::::".into(), vec![("unknown-scheme", Low)]),
        (format!("root:{good}:0:0:99999:7:::"), vec![("must-change", Info)]),
        (format!("root:{good}::0:99999:7:::"), vec![("never-changed", Info)]),
        (format!("root:{good}:20001:0:99999:7:::"), vec![("changed-in-future", Low)]),
        (format!("root:{good}:19000:0:90:7:::"), vec![("past-limit", Low)]),
        (format!("root:{good}:15000:0:99999:7:::"), vec![("forgotten", Info)]),
        (format!("root:{good}:19990:0:99999:7::20000:"), vec![("expired-account", Info)]),
        (format!("ghost:{good}:19990:0:99999:7:::"), vec![("no-user", Low)]),
    ];
    for (line, expected) in rows {
        assert_eq!(one(&line), expected, "{line}");
    }
}

#[test]
fn a_copied_hash_names_the_other_account() {
    let read =
        look(&format!("alice:{ALICE}:19990::::::\nbob:{ALICE}:19990::::::\nroot:*:::::::\n"));
    assert_eq!(faults(&read.accounts[0])[1].0, "copied-hash");
    assert!(read.accounts[1].faults.iter().any(|fault| fault.title.contains("as alice:")));
    assert!(read.accounts[2].faults.is_empty());
}

fn plan(workers: usize) -> Plan<'static> {
    let until = Instant::now() + Duration::from_secs(600);
    Plan { until, workers, host: "web1.example.org", year: 2026 }
}

#[test]
fn a_password_made_of_the_name_falls_without_a_list_and_a_listed_one_with_it() {
    let shadow = format!(
        "alice:{ALICE}:19990::::::\nbob:!{ALICE}:19990::::::\nroot:{LISTED}:19990::::::\ndaemon:*:::::::\n"
    );
    for workers in [1, 3] {
        let mut read = look(&shadow);
        let guessed = run(&mut read.accounts, None, &plan(workers)).unwrap();
        assert_eq!((guessed.hashes, guessed.words, guessed.cut), (2, 0, false));
        let level = |read: &Passwords, at: usize| {
            read.accounts[at].faults.iter().find(|f| f.id == "guessed").map(|f| f.severity)
        };
        assert_eq!(level(&read, 0), Some(Severity::Critical));
        assert_eq!(level(&read, 1), Some(Severity::Medium));
        assert_eq!((level(&read, 2), level(&read, 3)), (None, None));

        let long = "x".repeat(10_000_000);
        let list = format!("first\n{long}\n\nTr0ub4dor\r\nTr0ub4dor");
        let mut read = look(&shadow);
        let guessed =
            run(&mut read.accounts, Some(&mut Cursor::new(list)), &plan(workers)).unwrap();
        assert_eq!(guessed.words, 4);
        assert_eq!(level(&read, 2), Some(Severity::Critical));
        let shown = serde_json::to_string(&read.accounts).unwrap();
        assert!(!shown.contains("Tr0ub4dor") && !shown.contains("abcdefgh"), "{shown}");
    }
}

#[test]
fn when_the_time_is_up_it_is_said() {
    let mut read = look(&format!("root:{LISTED}:19990::::::\n"));
    let late = Plan { until: Instant::now(), ..plan(2) };
    let guessed = run(&mut read.accounts, Some(&mut Cursor::new("a\nb\n")), &late).unwrap();
    assert_eq!(guessed, Guessed { hashes: 1, tried: 0, words: 0, cut: true });
}
