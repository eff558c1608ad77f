use parsers::tree::{FileKind, MemoryTree};

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

fn hardened() -> MemoryTree {
    MemoryTree::new()
        .file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n")
        .file("/etc/debian_version", "12.7\n")
        .file(
            "/etc/crontab",
            "PATH=/usr/sbin:/usr/bin\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n",
        )
        .directory("/etc/cron.hourly", 0o755, 0, 0)
        .file("/etc/cron.d/backup", "@daily root /usr/local/bin/backup\n")
        .file("/etc/cron.d/.placeholder", "")
        .file_with("/usr/local/bin/backup", "#!/bin/sh", 0o755, 0, 0)
        .directory("/var/spool/cron/crontabs", 0o1730, 0, 105)
        .file_with("/var/spool/cron/crontabs/bob", "0 1 * * * /home/bob/x\n", 0o600, 1000, 105)
        .directory("/home/bob", 0o755, 1000, 1000)
        .file_with("/home/bob/x", "", 0o755, 1000, 1000)
        .directory("/tmp", 0o1777, 0, 0)
        .file("/etc/cron.allow", "root\n")
}

#[test]
fn a_hardened_host_passes_every_check() {
    for check in CHECKS {
        let outcome = run(&hardened(), check.id);
        assert_eq!(outcome.result, CheckResult::Passed, "{}: {outcome:?}", check.id);
        assert_eq!(run(&MemoryTree::new(), check.id).result, CheckResult::NotApplicable);
    }
}

#[test]
fn every_fault_is_found_at_its_place_and_no_secret_is_shown() {
    let tree = hardened()
        .directory("/opt", 0o777, 0, 0)
        .file_with("/etc/cron.d/jobs", "# c\n5 * * * * root /home/bob/x\n6 * * * * bob /opt/y\n7 * * * * root mysqldump --password=CANARY42 db\n61 * * * * root x\n", 0o664, 0, 1000)
        .file("/etc/cron.d/old.sh", "")
        .file("/etc/crontab", "PATH=/tmp:/usr/bin\n@reboot root sh /tmp/none\n");
    assert_eq!(places(&run(&tree, "cron-files")), ["/etc/cron.d/jobs:0:0"]);
    assert_eq!(
        places(&run(&tree, "cron-writable-job")),
        ["/etc/crontab:2:14", "/etc/cron.d/jobs:2:16", "/etc/cron.d/jobs:3:15", "/etc/crontab:1:1"]
    );
    let secrets = run(&tree, "cron-secrets");
    assert_eq!(places(&secrets), ["/etc/cron.d/jobs:4:16"]);
    assert!(!format!("{secrets:?}").contains("CANARY42"));
    assert_eq!(
        places(&run(&tree, "cron-syntax")),
        ["/etc/cron.d/jobs:5:1", "/etc/cron.d/old.sh:0:0"]
    );
}

#[test]
fn what_cannot_be_read_is_never_a_pass() {
    let tree = hardened().special("/etc/cron.d/odd", FileKind::Fifo);
    for id in ["cron-writable-job", "cron-secrets", "cron-syntax"] {
        assert_eq!(run(&tree, id).result, CheckResult::NotRun, "{id}");
    }
}
