//! Each check fails on the made inventory that it is for, and passes on the hardened one.

use super::*;
use crate::checks::{CheckResult, Ran, run_all};
use crate::facts::Spoken;
use crate::ports::truth::Cause;
use crate::vantage::Vantage;
use parsers::tree::{MemoryTree, Tree};

fn listener(service: &str, port: u16, exposure: Exposure, exe: &str) -> Listener {
    let owner = Owner {
        pid: 412,
        exe: Some(exe.to_string()),
        deleted: false,
        unit: Some(format!("{service}.service")),
        container: None,
        package: None,
        uid: 111,
    };
    Listener {
        protocol: "tcp".into(),
        address: [0, 0, 0, 0].into(),
        port,
        dual_stack: false,
        uid: 111,
        inode: 1,
        cookie: None,
        mark: None,
        queue: (0, 128),
        owners: vec![owner],
        owner_unknown: None,
        service: service.into(),
        exposure,
        because: "bound to 0.0.0.0".into(),
        namespace: None,
    }
}

fn ran(tree: &dyn Tree, live: bool, inventory: Option<&Inventory>) -> Vec<Ran> {
    let (vantage, spoken) = (Vantage::default(), Spoken::default());
    let facts = Facts::new(tree, live, &vantage, inventory, &spoken, 0);
    run_all(&facts, &["services".to_string()], 2)
}

fn result<'r>(all: &'r [Ran], id: &str) -> &'r Ran {
    all.iter().find(|one| one.check.id == id).unwrap()
}

fn inventory(listeners: Vec<Listener>) -> Inventory {
    Inventory { listeners, ..Inventory::default() }
}

#[test]
fn each_planted_fault_is_found_with_its_level() {
    let tree = MemoryTree::new()
        .file_with("/usr/bin/x", "", 0o755, 0, 0)
        .file_with("/opt/acme/acmed", "", 0o775, 0, 50)
        .file_with("/srv/app/app", "", 0o755, 0, 0)
        .directory("/srv/app", 0o777, 0, 0);
    let (world, private) = (Exposure::World, Exposure::Private);
    let mut old = listener("http", 80, world, "/usr/sbin/nginx");
    old.owners[0].deleted = true;
    let mut full = listener("smtp", 25, world, "/usr/bin/x");
    full.queue = (129, 128);
    let mut hidden = listener("port-7", 7, world, "/usr/bin/x");
    (hidden.owners, hidden.owner_unknown) = (Vec::new(), Some(BEYOND.to_string()));
    let mut root = listener("redis", 6379, world, "/usr/bin/redis-server");
    root.owners[0].uid = 0;
    let found = inventory(vec![
        root,
        listener("docker", 2375, private, "/usr/bin/dockerd"),
        listener("telnet", 23, world, "/usr/sbin/in.telnetd"),
        listener("smb", 445, world, "/usr/sbin/smbd"),
        listener("vnc", 5900, private, "/usr/bin/Xvnc"),
        listener("acmed", 4000, world, "/opt/acme/acmed"),
        listener("app", 4001, world, "/srv/app/app"),
        listener("kit", 4002, world, "/memfd:kit"),
        listener("tmp", 4003, world, "/tmp/.x/y"),
        old,
        full,
        hidden,
    ]);
    let all = ran(&tree, true, Some(&found));
    for (id, level, floor, count) in [
        ("services-database-exposed", Severity::High, None, 1),
        ("services-container-api", Severity::Critical, Some(Severity::Critical), 1),
        ("services-clear-text", Severity::High, None, 1),
        ("services-file-sharing-exposed", Severity::High, None, 1),
        ("services-remote-desktop-exposed", Severity::Medium, None, 1),
        ("services-old-executable", Severity::Medium, None, 1),
        ("services-writable-executable", Severity::High, Some(Severity::High), 2),
        ("services-transient-executable", Severity::Critical, Some(Severity::Critical), 2),
        ("services-no-owner", Severity::Medium, None, 1),
        ("services-queue-full", Severity::Low, None, 1),
        ("services-needless-root", Severity::Info, None, 1),
        ("services-world-reachable", Severity::Info, None, 1),
    ] {
        let one = result(&all, id);
        assert_eq!(one.result, CheckResult::Failed, "{id}: {}", one.reason);
        assert_eq!(one.evidence.len(), count, "{id}");
        assert_eq!(one.evidence[0].0.level, level, "{id}");
        assert_eq!(one.evidence[0].0.floor, floor, "{id}");
        assert_eq!(one.evidence[0].0.sources[0].file, "kernel:sock_diag");
    }
    let redis = &result(&all, "services-database-exposed").evidence[0].0;
    assert_eq!(redis.services, ["redis"]);
    assert_eq!(redis.subject.port, Some(6379));
    assert_eq!(
        redis.sources[0].text,
        "tcp 0.0.0.0:6379 redis-server (pid 412, uid 0, redis.service)"
    );
}

#[test]
fn a_hardened_host_passes_everything() {
    let tree = MemoryTree::new().file("/usr/sbin/sshd", "").file("/usr/bin/redis-server", "");
    let found = inventory(vec![
        listener("redis", 6379, Exposure::Loopback, "/usr/bin/redis-server"),
        listener("ssh", 22, Exposure::Private, "/usr/sbin/sshd"),
    ]);
    for one in ran(&tree, true, Some(&found)) {
        let fine = matches!(one.result, CheckResult::Passed | CheckResult::NotApplicable);
        assert!(fine, "{}: {:?} {}", one.check.id, one.result, one.reason);
    }
}

#[test]
fn what_could_not_be_seen_is_never_a_pass() {
    let tree = MemoryTree::new();
    assert!(ran(&tree, true, None).iter().all(|one| one.result == CheckResult::NotRun));
    assert!(ran(&tree, false, None).iter().all(|one| one.result == CheckResult::NotApplicable));
    let mut blind = listener("ssh", 22, Exposure::World, "");
    (blind.owners, blind.owner_unknown) = (Vec::new(), Some("no CAP_SYS_PTRACE".into()));
    let found = inventory(vec![blind]);
    let all = ran(&tree, true, Some(&found));
    for id in [
        "services-old-executable",
        "services-writable-executable",
        "services-transient-executable",
        "services-no-owner",
    ] {
        assert_eq!(result(&all, id).result, CheckResult::NotRun, "{id}");
    }
    // Nobody knows what listens, so nobody knows whether a package owns it.
    let status = "Package: base\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n";
    let tree = tree.file("/var/lib/dpkg/status", status);
    assert_eq!(result_of("services-unpackaged", &tree, &found).0, CheckResult::NotRun);
}

/// The result of one check on this inventory.
fn result_of(id: &str, tree: &dyn Tree, inventory: &Inventory) -> (CheckResult, Vec<String>) {
    let all = ran(tree, true, Some(inventory));
    let one = result(&all, id);
    (one.result, one.evidence.iter().map(|(evidence, _)| evidence.title.clone()).collect())
}

#[test]
fn a_backlog_of_zero_is_full_with_one_and_only_the_kernels_dump_tells_it() {
    let tree = MemoryTree::new();
    for (queue, cookie, expected) in [
        ((1, 0), Some(1), CheckResult::Failed),
        ((1, 0), None, CheckResult::Passed),
        ((0, 0), Some(1), CheckResult::Passed),
        ((5, 5), Some(1), CheckResult::Failed),
        ((4, 5), Some(1), CheckResult::Passed),
    ] {
        let mut one = listener("http", 80, Exposure::World, "/usr/bin/x");
        (one.queue, one.cookie) = (queue, cookie);
        let found = result_of("services-queue-full", &tree, &inventory(vec![one]));
        assert_eq!(found.0, expected, "{queue:?} {cookie:?}");
    }
}

#[test]
fn short_backlogs_matter_where_others_can_reach_them() {
    let tree = MemoryTree::new();
    for (most, exposure, expected) in [
        (7, Exposure::World, CheckResult::Failed),
        (8, Exposure::World, CheckResult::Passed),
        (1, Exposure::Private, CheckResult::Failed),
        (1, Exposure::Loopback, CheckResult::NotApplicable),
    ] {
        let mut one = listener("http", 80, exposure, "/usr/bin/x");
        (one.queue, one.cookie) = ((0, most), Some(1));
        let found = result_of("services-backlog-small", &tree, &inventory(vec![one.clone()]));
        assert_eq!(found.0, expected, "{most} {exposure:?}");
        // Where the limit is not known there is nothing to judge.
        one.cookie = None;
        let found = result_of("services-backlog-small", &tree, &inventory(vec![one]));
        assert_eq!(found.0, CheckResult::NotApplicable);
    }
}

#[test]
fn hidden_listeners_are_high_and_unread_tables_are_no_pass() {
    use crate::ports::truth::{Disagreement, View};
    let tree = MemoryTree::new();
    let mut found = inventory(Vec::new());
    assert_eq!(result_of("services-hidden-listener", &tree, &found).0, CheckResult::Passed);
    found.incomplete.push("/proc/net view: denied".into());
    assert_eq!(result_of("services-hidden-listener", &tree, &found).0, CheckResult::NotRun);
    found.disagreements.push(Disagreement {
        cause: Cause::Hidden,
        protocol: "tcp".into(),
        port: 31337,
        address: [0, 0, 0, 0].into(),
        seen: vec![View::Netlink],
        missing: vec![View::Tables],
        because: "listens, and is missing in /proc/net".into(),
    });
    let all = ran(&tree, true, Some(&found));
    let one = result(&all, "services-hidden-listener");
    assert_eq!(one.evidence[0].0.floor, Some(Severity::High));
    assert!(one.evidence[0].0.title.contains("0.0.0.0:31337"), "{}", one.evidence[0].0.title);
}

#[test]
fn a_writable_directory_anywhere_above_counts_and_a_containers_files_do_not() {
    let tree = MemoryTree::new()
        .file("/srv/app/bin/app", "")
        .directory("/srv", 0o775, 0, 50)
        .file("/var/lib/docker/x", "")
        .file_with("/app/server", "", 0o777, 1000, 1000);
    let found = inventory(vec![listener("app", 1, Exposure::World, "/srv/app/bin/app")]);
    let (result, titles) = result_of("services-writable-executable", &tree, &found);
    assert_eq!(result, CheckResult::Failed);
    assert!(titles[0].contains("/srv above it is writable by group 50"), "{titles:?}");
    let mut contained = listener("app", 1, Exposure::World, "/app/server");
    contained.owners[0].container = Some("docker 0123456789ab".into());
    let found = inventory(vec![contained]);
    assert_eq!(result_of("services-writable-executable", &tree, &found).0, CheckResult::Passed);
}

#[test]
fn what_no_package_owns_is_information_and_an_unread_database_is_no_pass() {
    let own = listener("acme", 1, Exposure::World, "/opt/acme/acmed");
    let found = inventory(vec![own]);
    let bare = MemoryTree::new().file("/opt/acme/acmed", "");
    let result = result_of("services-unpackaged", &bare, &found).0;
    assert_eq!(result, CheckResult::NotApplicable);
    let denied = bare.clone().denied("/var/lib/dpkg/status");
    assert_eq!(result_of("services-unpackaged", &denied, &found).0, CheckResult::NotRun);
    let status = "Package: base\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n";
    let tree = bare.file("/var/lib/dpkg/status", status);
    let (result, titles) = result_of("services-unpackaged", &tree, &found);
    assert_eq!(result, CheckResult::Failed);
    assert_eq!(titles, ["1 listening executable belongs to no package"]);
}

#[test]
fn listeners_of_other_namespaces_are_told_and_searched_for_transient_executables() {
    let tree = MemoryTree::new();
    let mut inside = listener("kit", 4002, Exposure::Private, "/memfd:kit");
    inside.namespace = Some("net:[7] (web)".into());
    let found = Inventory { elsewhere: vec![inside], ..Inventory::default() };
    let (result, titles) = result_of("services-namespaces", &tree, &found);
    assert_eq!((result, titles.len()), (CheckResult::Failed, 1));
    let (result, _) = result_of("services-transient-executable", &tree, &found);
    assert_eq!(result, CheckResult::Failed);
}
