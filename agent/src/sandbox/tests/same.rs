//! The child sees what this process sees.

use super::*;
use crate::service::Looked;
use crate::settings::{ExpertSettings, Settings};

/// A look in this process and one in a child, each with a state of its own.
fn both(root: &Path, now: fn() -> i64) -> [(Box<dyn Look>, tempfile::TempDir); 2] {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let host = Host::new(root.into(), one.path(), now).unwrap();
    let child = proxy_at(root, other.path(), now);
    [(Box::new(host), one), (Box::new(child), other)]
}

/// Without what a run took.
fn told(looked: Looked) -> String {
    let mut value = serde_json::to_value(Looked { stale: None, ..looked }).unwrap();
    value.as_object_mut().unwrap().remove("timings");
    serde_json::to_string_pretty(&value).unwrap()
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_generated_tree_looks_the_same_from_inside() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(root, "etc/passwd", "root:x:0:0::/root:/bin/bash\nopen::1000:1::/home/open:/bin/sh\n");
    write(root, "etc/shadow", "root:$1$a$0000:19000::::::\nopen::19000::::::\n");
    write(
        root,
        "etc/ssh/sshd_config",
        "PermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    );
    write(root, "etc/ssh/sshd_config.d/a.conf", "X11Forwarding yes\n");
    write(root, "etc/sudoers", "ALL ALL=(ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\n");
    write(root, "etc/cron.d/job", "* * * * * root /tmp/run\n");
    write(root, "etc/app/site.key", "-----BEGIN PRIVATE KEY-----\nMII\n");
    std::os::unix::fs::symlink("../../../../../etc/shadow", root.join("etc/cron.d/out")).unwrap();
    append(root, &failures(0, 40, "192.0.2.7"));
    append(root, &"2026-11-20T10:01:00+00:00 host sshd[9]: Accepted password for root from 192.0.2.7 port 4 ssh2\n".repeat(2));
    let settings = Settings::default();
    let [mut own, mut child] = both(root, NOW);
    let mut step = |name: &str, look: fn(&mut dyn Look, &Settings) -> anyhow::Result<Looked>| {
        let [one, other] = [&mut own, &mut child].map(|(look_at, _)| {
            let looked = look(&mut **look_at, &settings).unwrap();
            look_at.told(&looked.cases);
            look_at.keep_place().unwrap();
            looked
        });
        let seen = one.seen.len();
        let (one, other) = (told(one), told(other));
        let differing = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!((differing, one.len()), (None, other.len()), "{name}");
        seen
    };
    assert!(step("audit", |look, settings| look.audit(settings)) > 5);
    assert!(step("sweep", |look, settings| look.sweep(settings)) > 0);
    assert_eq!(step("again", |look, settings| look.sweep(settings)), 0);
    append(root, &failures(130, 20, "192.0.2.9"));
    assert!(step("more", |look, settings| look.sweep(settings)) > 0);
    std::fs::rename(root.join("var/log/auth.log"), root.join("var/log/auth.log.1")).unwrap();
    append(root, &failures(170, 20, "192.0.2.9"));
    assert!(step("rotated", |look, settings| look.sweep(settings)) > 0);
}

#[test]
fn this_host_looks_the_same_from_inside() {
    let now: fn() -> i64 = || jiff::Timestamp::now().as_second();
    let settings = Settings::default();
    // What comes and goes between the two looks is no difference of theirs.
    for attempt in 0.. {
        let [one, other] = both(Path::new("/"), now).map(|(mut look, _state)| {
            let looked = look.audit(&settings).unwrap();
            let line = |seen: &crate::store::Sighting| {
                format!("{} {} {:?} {}", seen.check, seen.title, seen.severity, seen.fingerprint)
            };
            let mut seen: Vec<String> = looked.seen.iter().map(line).collect();
            seen.sort();
            (seen, looked.checks, looked.incomplete)
        });
        if one == other || attempt == 4 {
            assert_eq!(one, other);
            break;
        }
    }
}

#[test]
fn sweeps_go_on_where_the_last_stored_one_ended_and_children_come_and_go() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings::default();
    append(root.path(), &failures(0, 20, "192.0.2.7"));
    let mut look = proxy(root.path(), state.path());
    let first = look.sweep(&settings).unwrap();
    assert!(!first.seen.is_empty(), "twenty failures are a story");
    let kept = crate::store::cases::find(state.path(), &first.seen[0].fingerprint).unwrap();
    assert_eq!(kept.case.evidence.title, first.seen[0].title, "an alert can be explained");
    // Not stored: the same again, by the same child or another.
    assert_eq!(look.sweep(&settings).unwrap().seen, first.seen);
    let mut look = proxy(root.path(), state.path());
    let first = look.sweep(&settings).unwrap();
    assert_eq!((first.cases.len(), first.cases[0].id), (1, 1));
    look.told(&first.cases);
    look.keep_place().unwrap();
    assert!(look.sweep(&settings).unwrap().seen.is_empty(), "nothing is new");
    look.keep_place().unwrap();
    // The next child knows the case, what was told of it, and what was counted.
    look.audit(&settings).unwrap();
    assert_eq!(look.child(), None, "the child of an audit ends");
    append(root.path(), &failures(30, 20, "192.0.2.7"));
    let second = look.sweep(&settings).unwrap();
    assert_eq!((second.cases.len(), second.cases[0].id), (1, 1), "{second:?}");
    assert_eq!(second.cases[0].told, Some(first.cases[0].as_told()));
    assert!(second.tally.received > first.tally.received);
    look.keep_place().unwrap();
    // And so does the next service.
    let mut look = proxy(root.path(), state.path()).with_cases(second.cases, 2);
    assert!(look.sweep(&settings).unwrap().seen.is_empty());
    append(root.path(), &failures(60, 20, "192.0.2.8"));
    let third = look.sweep(&settings).unwrap();
    assert!(third.seen.iter().any(|seen| seen.title.contains("192.0.2.8")), "{third:?}");
    assert!(!third.seen.iter().any(|seen| seen.title.contains("192.0.2.7")), "{third:?}");
}

#[test]
fn while_nothing_changes_nobody_is_woken() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings::default();
    append(root.path(), &failures(0, 3, "192.0.2.7"));
    let mut look = proxy(root.path(), state.path());
    for _ in 0..2 {
        look.sweep(&settings).unwrap();
        look.keep_place().unwrap();
    }
    look.audit(&settings).unwrap();
    for _ in 0..3 {
        assert_eq!(look.sweep(&settings).unwrap().seen, []);
        look.keep_place().unwrap();
        assert_eq!(look.child(), None);
    }
    append(root.path(), &failures(3, 20, "192.0.2.7"));
    assert!(!look.sweep(&settings).unwrap().seen.is_empty());
    assert!(look.child().is_some());
}

#[test]
fn experts_from_outside_are_asked_though_the_child_starts_nothing() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    append(root.path(), &failures(0, 20, "192.0.2.7"));
    let answer =
        r#"while read -r q; do echo '{"severity":"critical","rationale":"from outside"}'; done"#;
    let expert = ExpertSettings {
        name: "tool".into(),
        command: ["/bin/sh", "-c", answer].map(String::from).to_vec(),
        timeout: "10s".parse().unwrap(),
    };
    let settings = Settings { experts: vec![expert], ..Settings::default() };
    let mut look = proxy(root.path(), state.path());
    let seen = look.sweep(&settings).unwrap().seen;
    let kept = crate::store::cases::find(state.path(), &seen[0].fingerprint).unwrap();
    assert_eq!(kept.case.outside[0].rationale, "from outside");
    assert_eq!(kept.case.unanswered, Vec::<String>::new());
}
