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

fn debian() -> MemoryTree {
    MemoryTree::new()
        .file(
            "/etc/pam.d/common-auth",
            "auth required pam_faillock.so preauth\n\
             auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n\
             auth required pam_permit.so\n",
        )
        .file(
            "/etc/pam.d/common-password",
            "password requisite pam_pwquality.so retry=3\n\
             password [success=1 default=ignore] pam_unix.so obscure yescrypt\n",
        )
        .file(
            "/etc/pam.d/su",
            "auth sufficient pam_rootok.so\nauth required pam_wheel.so\n@include common-auth\n",
        )
        .file("/etc/pam.d/sshd", "@include common-auth\n@include common-password\n")
}

fn redhat() -> MemoryTree {
    let system = "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\n\
        auth required pam_deny.so\npassword requisite pam_pwquality.so\n\
        password sufficient pam_unix.so sha512 shadow\n";
    MemoryTree::new()
        .file("/etc/pam.d/system-auth", system)
        .file("/etc/pam.d/password-auth", system)
        .file("/etc/pam.d/su", "auth required pam_wheel.so use_uid\nauth substack system-auth\n")
        .file("/etc/pam.d/sshd", "auth substack password-auth\npassword include password-auth\n")
}

#[test]
fn hardened_stacks_of_both_families_pass() {
    for tree in [debian(), redhat()] {
        for check in CHECKS {
            let outcome = run(&tree, check.id);
            assert_eq!(outcome.result, CheckResult::Passed, "{}: {outcome:?}", check.id);
        }
    }
}

#[test]
fn every_fault_is_found_once_at_its_place() {
    let tree = debian()
        .file(
            "/etc/pam.d/common-auth",
            "auth sufficient pam_permit.so\nauth [success=1 default=ignore] pam_unix.so nullok\n",
        )
        .file("/etc/pam.d/common-password", "password required pam_unix.so md5\nwhat x y\n")
        .file("/etc/pam.d/su", "auth sufficient pam_rootok.so\n@include common-auth\n");
    for (id, wanted) in [
        ("pam-permit", "/etc/pam.d/common-auth:1:17"),
        ("pam-nullok", "/etc/pam.d/common-auth:2:33"),
        ("pam-lockout", "/etc/pam.d/common-auth:2:33"),
        ("pam-hash", "/etc/pam.d/common-password:1:19"),
        ("pam-quality", "/etc/pam.d/common-password:1:19"),
        ("pam-su-wheel", "/etc/pam.d/su:1:17"),
        ("pam-syntax", "/etc/pam.d/common-password:2:1"),
    ] {
        assert_eq!(places(&run(&tree, id)), [wanted], "{id}");
    }
    let weak = redhat().file("/etc/pam.d/system-auth", "auth sufficient pam_unix.so nullok\n");
    assert_eq!(places(&run(&weak, "pam-nullok")), ["/etc/pam.d/system-auth:1:17"]);
    assert_eq!(places(&run(&weak, "pam-lockout")), ["/etc/pam.d/system-auth:1:17"]);
}

#[test]
fn what_cannot_be_read_is_never_a_pass() {
    for check in CHECKS {
        let odd = debian().special("/etc/pam.d/login", FileKind::Fifo);
        assert_eq!(run(&odd, check.id).result, CheckResult::NotRun, "{}", check.id);
        assert_eq!(run(&MemoryTree::new(), check.id).result, CheckResult::NotApplicable);
    }
}
