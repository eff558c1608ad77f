use parsers::tree::MemoryTree;

use super::CHECKS;
use crate::Facts;
use crate::checks::{CheckResult, Outcome};
use crate::facts::Spoken;
use crate::vantage::Vantage;

fn run(tree: &MemoryTree, id: &str) -> Outcome {
    let (vantage, spoken) = (Vantage::default(), Spoken::default());
    let facts = Facts::new(tree, false, &vantage, None, &spoken, 0);
    (CHECKS.iter().find(|check| check.id == id).unwrap().run)(&facts)
}

fn places(outcome: &Outcome) -> Vec<String> {
    let first = outcome.observations.iter().map(|seen| &seen.lines[0]);
    first.map(|line| format!("{}:{}:{}", line.file, line.line, line.column)).collect()
}

const HARDENED: &str = "Defaults env_reset, use_pty\n\
    Defaults secure_path=\"/usr/sbin:/usr/bin\"\n\
    Defaults env_keep += \"LANG LC_*\"\n\
    root ALL=(ALL:ALL) ALL\n\
    %sudo ALL=(ALL:ALL) ALL\n\
    www ALL=(backup) NOPASSWD: ALL\n\
    bob ALL=NOPASSWD: /usr/bin/systemctl restart nginx\n";

#[test]
fn a_hardened_policy_passes_every_check() {
    let tree = MemoryTree::new().file_with("/etc/sudoers", HARDENED, 0o440, 0, 0);
    for check in CHECKS {
        let outcome = run(&tree, check.id);
        assert_eq!(outcome.result, CheckResult::Passed, "{}: {outcome:?}", check.id);
        assert_eq!(run(&MemoryTree::new(), check.id).result, CheckResult::NotApplicable);
        let denied = MemoryTree::new().denied("/etc/sudoers");
        assert_eq!(run(&denied, check.id).result, CheckResult::NotRun);
        let part = tree
            .clone()
            .file("/etc/sudoers", format!("{HARDENED}@include /etc/more\n"))
            .denied("/etc/more");
        assert_eq!(run(&part, check.id).result, CheckResult::NotRun, "{}", check.id);
    }
}

#[test]
fn every_fault_is_found_at_its_place() {
    let tree = MemoryTree::new()
        .file(
            "/etc/sudoers",
            "Defaults !use_pty, timestamp_timeout=-1\n\
             Defaults:bob !authenticate\n\
             Defaults env_keep += \"LANG LD_PRELOAD\"\n\
             User_Alias OPS = bob, ann\n\
             OPS ALL=(ALL) NOPASSWD: ALL, !/bin/sh\n\
             ALL ALL=(root) ALL\n\
             eve ALL=/usr/bin/vim /etc/motd, /opt/run.sh -x\n\
             eve ALL=/bin/cat /var/log/*\n\
             bob ALL\n@includedir /etc/sudoers.d\n",
        )
        .file_with("/etc/sudoers.d/x", "", 0o666, 0, 0)
        .file_with("/opt/run.sh", "#!/bin/sh", 0o755, 1000, 0);
    for (id, wanted) in [
        ("sudo-use-pty", "/etc/sudoers:1:10"),
        ("sudo-timestamp", "/etc/sudoers:1:20"),
        ("sudo-no-authenticate", "/etc/sudoers:2:14"),
        ("sudo-environment", "/etc/sudoers:3:10"),
        ("sudo-nopasswd-all", "/etc/sudoers:5:25"),
        ("sudo-negated-commands", "/etc/sudoers:5:30"),
        ("sudo-everybody", "/etc/sudoers:6:16"),
        ("sudo-shell-escape", "/etc/sudoers:7:9"),
        ("sudo-writable-command", "/etc/sudoers:7:33"),
        ("sudo-wildcards", "/etc/sudoers:8:9"),
        ("sudo-syntax", "/etc/sudoers:9:8"),
        ("sudo-files", "/etc/sudoers.d/x:0:0"),
    ] {
        assert_eq!(places(&run(&tree, id)), [wanted], "{id}");
    }
}
