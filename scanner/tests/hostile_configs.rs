//! Odd things in place of configuration files: every check ends, none panics, and what could not be
//! looked at is never a pass.

use parsers::tree::{FileKind, MemoryTree};
use scanner::Facts;
use scanner::checks::{CheckResult, run_all};
use scanner::facts::Spoken;
use scanner::vantage::Vantage;

/// A file and a check that cannot do without it.
const INPUTS: &[(&str, &str)] = &[
    ("/etc/passwd", "accounts-uid-zero"),
    ("/etc/shadow", "accounts-empty-password"),
    ("/etc/group", "accounts-gid-zero"),
    ("/etc/gshadow", "accounts-group-password"),
    ("/etc/login.defs", "accounts-umask"),
    ("/etc/nsswitch.conf", "accounts-directory"),
    ("/etc/sudoers", "sudo-everybody"),
    ("/etc/pam.d/common-auth", "pam-permit"),
    ("/etc/sysctl.d/50-x.conf", "kernel-sysctl-files"),
    ("/etc/crontab", "cron-secrets"),
    ("/etc/cron.d/job", "cron-secrets"),
];

fn plain() -> MemoryTree {
    MemoryTree::new()
        .file("/etc/debian_version", "12\n")
        .file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .file("/etc/shadow", "root:*:1::::::\n")
        .file("/etc/group", "root:x:0:\n")
        .file("/etc/gshadow", "root:*::\n")
        .file("/etc/login.defs", "UMASK 027\n")
        .file("/etc/nsswitch.conf", "passwd: files\n")
        .file("/etc/sudoers", "root ALL=(ALL) ALL\n")
        .file("/etc/pam.d/common-auth", "auth required pam_unix.so\n")
        .file("/etc/sysctl.d/50-x.conf", "kernel.sysrq = 0\n")
        .file("/etc/crontab", "@daily root /bin/true\n")
        .file("/etc/cron.d/job", "@daily root /bin/true\n")
}

/// The result of one check, with what it could not see; no check may have ended in a panic.
fn look(tree: &MemoryTree, id: &str) -> (CheckResult, usize) {
    let (vantage, spoken) = (Vantage::default(), Spoken::default());
    let facts = Facts::new(tree, false, &vantage, None, &spoken, 0);
    let area = id.split('-').next().unwrap_or_default().to_string();
    let all = run_all(&facts, &[area], 1);
    for ran in &all {
        assert!(!ran.reason.contains("internal error"), "{}", ran.check.id);
    }
    let ran = all.iter().find(|ran| ran.check.id == id).expect("the check is in its table");
    (ran.result, ran.unseen.len())
}

#[test]
fn a_plain_tree_passes_so_that_the_other_tests_mean_something() {
    for (_, id) in INPUTS {
        assert_eq!(look(&plain(), id).0, CheckResult::Passed, "{id}");
    }
}

#[test]
fn what_cannot_be_read_is_not_run_or_unseen() {
    for (path, id) in INPUTS {
        for tree in [
            plain().denied(path),
            plain().special(path, FileKind::Fifo),
            plain().special(path, FileKind::Device),
            plain().file(path, vec![b'a'; 10 << 20]),
        ] {
            let (result, unseen) = look(&tree, id);
            assert!(result == CheckResult::NotRun || unseen > 0, "{path}: {id} {result:?}");
        }
    }
}

#[test]
fn odd_bytes_end_without_a_panic() {
    let long: Vec<u8> = vec![b'a'; 2 << 20];
    let colons = vec![b':'; 1 << 20];
    let lines = b"a\n".repeat(1 << 17);
    let continued = b"a \\\n".repeat(1 << 16);
    let odd: [&[u8]; 8] = [
        b"",
        b"\0\0\0\n\0:\0:0:0\n",
        b"\xff\xfe\xfd:x:\xff\n",
        b"root:x:0",
        &long,
        &colons,
        &lines,
        &continued,
    ];
    for (path, id) in INPUTS {
        for bytes in odd {
            look(&plain().file(path, bytes), id);
        }
    }
}
