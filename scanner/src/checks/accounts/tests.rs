use consensus::Severity;
use parsers::tree::{FileKind, MemoryTree};

use super::CHECKS;
use crate::Facts;
use crate::checks::{CheckResult, Outcome};
use crate::facts::Spoken;
use crate::vantage::Vantage;

const DAY: i64 = 86_400;

fn run_with(tree: &MemoryTree, spoken: &Spoken, id: &str) -> Outcome {
    let vantage = Vantage::default();
    let facts = Facts::new(tree, false, &vantage, None, spoken, 20_000 * DAY);
    (CHECKS.iter().find(|check| check.id == id).unwrap().run)(&facts)
}

fn run(tree: &MemoryTree, id: &str) -> Outcome {
    run_with(tree, &Spoken::default(), id)
}

/// `file:line:column` of the first line of each observation.
fn places(outcome: &Outcome) -> Vec<String> {
    let place = |line: &consensus::SourceLine| match line.line {
        0 => line.file.clone(),
        _ => format!("{}:{}:{}", line.file, line.line, line.column),
    };
    outcome.observations.iter().map(|seen| place(&seen.lines[0])).collect()
}

fn hardened() -> MemoryTree {
    MemoryTree::new()
        .file(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
             bob:x:1000:1000:Bob:/home/bob:/bin/bash\n",
        )
        .file_with(
            "/etc/shadow",
            "root:$y$j9T$abc$CANARY42:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n\
             bob:$6$abc$CANARY42:19000:0:99999:7:::\n",
            0o640,
            0,
            42,
        )
        .file("/etc/group", "root:x:0:\ndaemon:x:1:\nbob:x:1000:\n")
        .file_with("/etc/gshadow", "root:*::\ndaemon:*::\nbob:!::\n", 0o640, 0, 42)
        .file("/etc/login.defs", "ENCRYPT_METHOD YESCRYPT\nUMASK 027\nPASS_MAX_DAYS 365\n")
        .file("/etc/nsswitch.conf", "passwd: files systemd\n")
        .directory("/root", 0o700, 0, 0)
        .directory("/home/bob", 0o750, 1000, 1000)
        .directory("/home/bob/.ssh", 0o700, 1000, 1000)
        .file_with("/home/bob/.ssh/authorized_keys", "ssh-ed25519 A", 0o600, 1000, 1000)
}

#[test]
fn a_hardened_host_passes_every_check() {
    for check in CHECKS {
        let outcome = run(&hardened(), check.id);
        assert_eq!(outcome.result, CheckResult::Passed, "{}: {}", check.id, outcome.reason);
    }
}

#[test]
fn every_fault_is_found_at_its_place_and_no_hash_is_shown() {
    let tree = hardened()
        .file(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\n\
             toor:x:0:0::/root:/bin/sh\n\
             open::1001:1001::/home/open:/bin/sh\n\
             old:$1$abcdefgh$CANARY42CANARY42CANA:1002:0::/home/old:/bin/sh\n\
             twin:x:1001:1001::/home/twin:/usr/sbin/nologin\n\
             svc:x:33:33::/var/www:/bin/bash\n\
             short:x:1003\n\
             +::::::\n",
        )
        .file(
            "/etc/shadow",
            "root::19000:0:99999:7:::\n\
             toor:$6$a$CANARY42:19000::::::\n\
             svc:$1$abc$CANARY42:30000:9:5:7:::\n\
             svc:*:19000::::::\n\
             bob::19000::::::\n",
        )
        .file("/etc/group", "root:x:0:bob\nwheel:x:0:\n")
        .file("/etc/gshadow", "wheel:$6$a$CANARY42::\n")
        .file("/etc/login.defs", "# c\nENCRYPT_METHOD MD5\nUMASK 022\nPASS_MAX_DAYS 99999\n");
    for (id, wanted) in [
        ("accounts-empty-password", &["/etc/passwd:3:6", "/etc/shadow:1:6", "/etc/shadow:5:5"][..]),
        ("accounts-hash-in-passwd", &["/etc/passwd:4:5"]),
        ("accounts-weak-hash", &["/etc/shadow:3:5", "/etc/passwd:4:5"]),
        ("accounts-uid-zero", &["/etc/passwd:2:8"]),
        ("accounts-duplicate-uid", &["/etc/passwd:5:8"]),
        ("accounts-duplicate-name", &["/etc/shadow:4:1"]),
        ("accounts-system-login", &["/etc/passwd:6:23"]),
        ("accounts-no-shadow", &["/etc/passwd:5:1"]),
        ("accounts-gid-zero", &["/etc/passwd:4:43", "/etc/group:1:10", "/etc/group:2:9"]),
        ("accounts-group-password", &["/etc/gshadow:1:7"]),
        ("accounts-password-dates", &["/etc/shadow:3:21"]),
        ("accounts-encrypt-method", &["/etc/login.defs:2:1"]),
        ("accounts-umask", &["/etc/login.defs:3:1"]),
        ("accounts-password-age", &["/etc/login.defs:4:1"]),
        ("accounts-malformed", &["/etc/passwd:7:1", "/etc/passwd:8:1"]),
    ] {
        let outcome = run(&tree, id);
        assert_eq!(places(&outcome), wanted, "{id}");
        assert!(!format!("{outcome:?}").contains("CANARY42"), "{id}");
    }
    let empty = run(&tree, "accounts-empty-password");
    let floors: Vec<_> = empty.observations.iter().map(|seen| seen.floor).collect();
    assert_eq!(floors, [Some(Severity::High), Some(Severity::Critical), Some(Severity::High)]);
    let zero = run(&tree, "accounts-uid-zero");
    assert_eq!(zero.observations[0].floor, Some(Severity::Critical));
}

#[test]
fn homes_and_what_stands_in_them_are_looked_at() {
    let tree = hardened()
        .directory("/home/bob", 0o777, 1000, 1000)
        .directory("/home/bob/.ssh", 0o770, 1000, 1000)
        .file_with("/home/bob/.ssh/authorized_keys", "k", 0o600, 1001, 1000)
        .file_with("/home/bob/.rhosts", "+ +", 0o600, 1000, 1000)
        .file_with("/root/.netrc", "password CANARY42", 0o644, 0, 0)
        .file("/etc/hosts.equiv", "+\n");
    assert_eq!(places(&run(&tree, "accounts-home")), ["/home/bob"]);
    assert_eq!(
        places(&run(&tree, "accounts-authorized-keys")),
        ["/home/bob/.ssh", "/home/bob/.ssh/authorized_keys"]
    );
    let trust = run(&tree, "accounts-trust-files");
    assert_eq!(places(&trust), ["/etc/hosts.equiv", "/root/.netrc", "/home/bob/.rhosts"]);
    assert!(!format!("{trust:?}").contains("CANARY42"));
}

#[test]
fn what_cannot_be_read_is_never_a_pass() {
    let tree = hardened().denied("/etc/shadow").denied("/etc/gshadow");
    for id in [
        "accounts-empty-password",
        "accounts-weak-hash",
        "accounts-system-login",
        "accounts-no-shadow",
        "accounts-group-password",
        "accounts-password-dates",
    ] {
        assert_eq!(run(&tree, id).result, CheckResult::NotRun, "{id}");
    }
    let with_open = tree.file("/etc/passwd", "open::1001:1001:::\n");
    let outcome = run(&with_open, "accounts-empty-password");
    assert_eq!((outcome.result, outcome.unseen.len()), (CheckResult::Failed, 1));
    let fifo = MemoryTree::new().special("/etc/passwd", FileKind::Fifo);
    for check in CHECKS {
        assert_ne!(run(&fifo, check.id).result, CheckResult::Passed, "{}", check.id);
        assert_eq!(
            run(&MemoryTree::new(), check.id).result,
            CheckResult::NotApplicable,
            "{}",
            check.id
        );
    }
}

#[test]
fn directory_accounts_count_where_nss_was_asked_and_are_unseen_otherwise() {
    let tree = hardened().file("/etc/nsswitch.conf", "passwd: files sss\n");
    let outcome = run(&tree, "accounts-directory");
    assert_eq!(outcome.unseen, ["accounts from sss could not be listed"]);
    let getent = b"root:x:0:0:root:/root:/bin/bash\nshadowy:*:0:100::/home/s:/bin/sh\n".to_vec();
    let spoken = Spoken { getent_passwd: Some(getent), ..Spoken::default() };
    assert_eq!(run_with(&tree, &spoken, "accounts-directory").result, CheckResult::Passed);
    assert_eq!(places(&run_with(&tree, &spoken, "accounts-uid-zero")), ["getent:passwd:2:11"]);
}
