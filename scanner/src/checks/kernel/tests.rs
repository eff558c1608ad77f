use parsers::tree::MemoryTree;

use super::CHECKS;
use crate::Facts;
use crate::checks::{CheckResult, Outcome};
use crate::facts::Spoken;
use crate::vantage::Vantage;

fn run(tree: &MemoryTree, live: bool, id: &str) -> Outcome {
    let (vantage, spoken) = (Vantage::default(), Spoken::default());
    let facts = Facts::new(tree, live, &vantage, None, &spoken, 0);
    (CHECKS.iter().find(|check| check.id == id).unwrap().run)(&facts)
}

fn first_line(outcome: &Outcome) -> (String, u32, u32) {
    let line = &outcome.observations[0].lines[0];
    (line.file.clone(), line.line, line.column)
}

fn title(outcome: &Outcome) -> &str {
    outcome.observations[0].title.as_deref().unwrap()
}

#[test]
fn what_is_now_and_what_will_be_are_told_apart() {
    let id = "kernel-kptr-restrict";
    let both = MemoryTree::new()
        .file("/proc/sys/kernel/kptr_restrict", "0\n")
        .file("/etc/sysctl.d/x.conf", "# c\n kernel.kptr_restrict = 0\n");
    let outcome = run(&both, true, id);
    assert_eq!(outcome.result, CheckResult::Failed);
    assert_eq!(first_line(&outcome), ("/etc/sysctl.d/x.conf".into(), 2, 2));
    assert_eq!(outcome.observations[0].lines[1].file, "/proc/sys/kernel/kptr_restrict");

    let until = both.clone().file("/etc/sysctl.d/x.conf", "kernel.kptr_restrict = 2\n");
    assert!(title(&run(&until, true, id)).contains("until reboot"));
    let after = both.clone().file("/proc/sys/kernel/kptr_restrict", "1\n");
    assert!(title(&run(&after, true, id)).contains("after reboot"));
    let fine = until.file("/proc/sys/kernel/kptr_restrict", "2\n");
    assert_eq!(run(&fine, true, id).result, CheckResult::Passed);
}

#[test]
fn a_key_that_the_kernel_lacks_is_not_applicable_and_an_unreadable_one_not_run() {
    let tree = MemoryTree::new();
    let id = "kernel-ptrace-scope";
    assert_eq!(run(&tree, true, id).result, CheckResult::NotApplicable);
    let denied = MemoryTree::new().denied("/proc/sys/kernel/yama/ptrace_scope");
    assert_eq!(run(&denied, true, id).result, CheckResult::NotRun);
}

#[test]
fn in_a_mounted_tree_only_files_and_known_defaults_count() {
    let tree = MemoryTree::new().file("/proc/sys/kernel/randomize_va_space", "0\n");
    assert!(run(&tree, false, "kernel-aslr").reason.contains("(kernel default)"));
    assert_eq!(run(&tree, false, "kernel-dmesg-restrict").result, CheckResult::Unknown);
    let weak = MemoryTree::new().file("/usr/lib/sysctl.d/a.conf", "kernel/randomize_va_space=1\n");
    let outcome = run(&weak, false, "kernel-aslr");
    assert_eq!(first_line(&outcome), ("/usr/lib/sysctl.d/a.conf".into(), 1, 1));
    let unread = MemoryTree::new().denied("/etc/sysctl.d/a.conf");
    assert_eq!(run(&unread, false, "kernel-dmesg-restrict").result, CheckResult::NotRun);
}

#[test]
fn interfaces_join_with_all_as_the_kernel_joins_them() {
    let conf = |all: &str, eth: &str, name: &str| {
        MemoryTree::new()
            .file(&format!("/proc/sys/net/ipv4/conf/all/{name}"), all)
            .file(&format!("/proc/sys/net/ipv4/conf/default/{name}"), "1")
            .file(&format!("/proc/sys/net/ipv4/conf/eth0.1/{name}"), eth)
    };
    let outcome = run(&conf("0", "0", "rp_filter"), true, "kernel-rp-filter");
    assert_eq!(outcome.result, CheckResult::Failed);
    assert!(title(&outcome).contains("weak on eth0.1 "), "{}", title(&outcome));
    assert_eq!(
        run(&conf("2", "0", "rp_filter"), true, "kernel-rp-filter").result,
        CheckResult::Passed
    );
    let routed = run(&conf("0", "1", "accept_source_route"), true, "kernel-source-route");
    assert_eq!(routed.result, CheckResult::Passed, "{}", routed.reason);
    let routed = run(&conf("1", "1", "accept_source_route"), true, "kernel-source-route");
    assert_eq!(routed.result, CheckResult::Failed);
}

#[test]
fn every_key_set_right_passes_everywhere_and_set_wrong_fails_everywhere() {
    let hardened = "kernel.kptr_restrict=1\nkernel.dmesg_restrict=1\nkernel.randomize_va_space=2\n\
        kernel.yama.ptrace_scope=1\nfs.suid_dumpable=0\nfs.protected_hardlinks=1\n\
        fs.protected_symlinks=1\nfs.protected_fifos=1\nfs.protected_regular=2\n\
        kernel.unprivileged_bpf_disabled=2\nkernel.perf_event_paranoid=3\nkernel.sysrq=0\n\
        kernel.kexec_load_disabled=1\nnet.ipv4.tcp_syncookies=1\n\
        net.ipv4.icmp_echo_ignore_broadcasts=1\nnet.ipv4.icmp_ignore_bogus_error_responses=1\n\
        net.ipv4.ip_forward=0\nnet.ipv4.conf.*.rp_filter=1\nnet.ipv4.conf.*.accept_redirects=0\n\
        net.ipv6.conf.*.accept_redirects=0\nnet.ipv4.conf.*.send_redirects=0\n\
        net.ipv4.conf.*.accept_source_route=0\nnet.ipv6.conf.*.accept_source_route=0\n\
        net.ipv4.conf.*.log_martians=1\n";
    let tree = MemoryTree::new().file("/etc/sysctl.d/90-hard.conf", hardened);
    for check in CHECKS {
        assert_eq!(run(&tree, false, check.id).result, CheckResult::Passed, "{}", check.id);
    }
    let flip = |line: &str| {
        let (key, value) = line.split_once('=').unwrap();
        let weak = match (key, value) {
            ("fs.suid_dumpable" | "kernel.sysrq", _) | (_, "0") => 1,
            _ => 0,
        };
        format!("{key}={weak}\n")
    };
    let weak: String = hardened.lines().map(flip).collect();
    let tree = MemoryTree::new().file("/etc/sysctl.d/90-weak.conf", weak);
    for check in CHECKS.iter().filter(|check| check.id != "kernel-sysctl-files") {
        let outcome = run(&tree, false, check.id);
        assert_eq!(outcome.result, CheckResult::Failed, "{}: {}", check.id, outcome.reason);
        assert_eq!(first_line(&outcome).0, "/etc/sysctl.d/90-weak.conf", "{}", check.id);
    }
}

#[test]
fn files_that_do_nothing_are_told() {
    let tree = MemoryTree::new()
        .file("/usr/lib/systemd/systemd-sysctl", "")
        .file("/etc/sysctl.conf", "kernel.sysrq = 0\n")
        .file("/etc/sysctl.d/a.conf", "kernel.dmesg_restrict 1\n")
        .denied("/etc/sysctl.d/b.conf");
    let outcome = run(&tree, false, "kernel-sysctl-files");
    assert_eq!(first_line(&outcome), ("/etc/sysctl.d/a.conf".into(), 1, 1));
    assert_eq!(outcome.observations.len(), 2);
    assert_eq!(outcome.unseen.len(), 1);
}
