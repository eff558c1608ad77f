//! Records of one serial become one event, whatever stands between them, within bounds.

use super::*;
use parsers::log::audit::parse;

fn note(line: &str) -> Note {
    let record = parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
    Note::of(&record).unwrap_or_else(|| panic!("no note: {line}"))
}

fn line(kind: &str, second: i64, serial: u64, rest: &str) -> String {
    format!("type={kind} msg=audit({}.100:{serial}): {rest}", 1_700_000_000 + second)
}

fn call(second: i64, serial: u64, rest: &str) -> String {
    let rest = format!(
        "arch=c000003e syscall=59 success=yes exit=0 a0=55 ppid=10 pid=11 auid=1000 uid=1000 gid=1000 euid=0 tty=pts0 ses=3 comm=\"x\" {rest}"
    );
    line("SYSCALL", second, serial, &rest)
}

/// The joined events of these lines, with the number of the line to which each belongs.
fn joined(lines: &[String]) -> (Vec<(Joined, usize)>, Joins) {
    let mut joiner = Joiner::default();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        joiner.push(note(line), number, |event, place| found.push((event, place)));
    }
    joiner.finish(|event, place| found.push((event, place)));
    (found, joiner.counts())
}

fn value(event: &Joined, name: &str) -> String {
    let values: Vec<_> = event.values(name).map(String::from_utf8_lossy).collect();
    values.join("|")
}

#[test]
fn a_started_program_is_one_event_with_sigmas_fields() {
    let lines = [
        call(0, 7, "exe=\"/usr/bin/curl\" key=\"exec\""),
        line("EXECVE", 0, 7, "argc=3 a0=\"curl\" a1=\"-A\" a2=6D792061 "),
        line("CWD", 0, 7, "cwd=\"/tmp\""),
        line("PATH", 0, 7, "item=0 name=\"/usr/bin/curl\" nametype=NORMAL"),
        line("PROCTITLE", 0, 7, "proctitle=6375726C002D41"),
    ];
    let (events, counts) = joined(&lines);
    assert_eq!((events.len(), counts.joined, counts.headless), (1, 1, 0));
    let (event, place) = &events[0];
    assert_eq!((*place, event.at, event.serial), (4, 1_700_000_000, 7));
    assert!(event.is(Deed::Process) && !event.is(Deed::File) && !event.is(Deed::Network));
    for (name, expected) in [
        ("Image", "/usr/bin/curl"),
        ("CommandLine", "curl -A my a"),
        ("CurrentDirectory", "/tmp"),
        ("User", "1000"),
        ("LogonId", "1000"),
        ("TerminalSessionId", "3"),
        ("ProcessId", "11"),
        ("ParentProcessId", "10"),
        ("ParentImage", ""),
        ("SYSCALL", "execve"),
        ("key", "exec"),
        ("TargetFilename", ""),
    ] {
        assert_eq!(value(event, name), expected, "{name}");
    }
    assert!(event.text.windows(12).any(|text| text == b"curl -A my a"));
}

#[test]
fn records_of_several_calls_may_stand_between_each_other() {
    let (a, b) = (call(0, 1, "exe=\"/bin/a\""), call(0, 2, "exe=\"/bin/b\""));
    let parts = |serial: u64, name: &str| {
        [
            line("EXECVE", 0, serial, &format!("argc=1 a0=\"{name}\"")),
            line("PROCTITLE", 0, serial, "proctitle=\"t\""),
        ]
    };
    let ([a1, a2], [b1, b2]) = (parts(1, "one"), parts(2, "two"));
    let orders =
        [[&a, &a1, &a2, &b, &b1, &b2], [&a, &b, &a1, &b1, &a2, &b2], [&b, &a, &b1, &a1, &a2, &b2]];
    for order in orders {
        let (mut events, counts) = joined(&order.map(Clone::clone));
        events.sort_by_key(|(event, _)| event.serial);
        assert_eq!(counts, Joins { joined: 2, ..Joins::default() });
        let pairs = events.iter().map(|(e, _)| (value(e, "Image"), value(e, "CommandLine")));
        let expected = [("/bin/a", "one"), ("/bin/b", "two")];
        assert_eq!(pairs.collect::<Vec<_>>(), expected.map(|(i, c)| (i.into(), c.into())));
    }
}

#[test]
fn parents_are_those_that_were_seen_to_start() {
    let start = |serial: u64, pid: u32, ppid: u32, exe: &str| {
        let rest = format!(
            "arch=c000003e syscall=59 success=yes ppid={ppid} pid={pid} uid=0 exe=\"{exe}\""
        );
        [
            line("SYSCALL", 0, serial, &rest),
            line("EXECVE", 0, serial, &format!("argc=2 a0=\"{exe}\" a1=\"-x\"")),
            line("EOE", 0, serial, ""),
        ]
    };
    let lines = [start(1, 50, 1, "/usr/sbin/sshd"), start(2, 51, 50, "/bin/sh")].concat();
    let (events, _) = joined(&lines);
    assert_eq!(value(&events[1].0, "ParentImage"), "/usr/sbin/sshd");
    assert_eq!(value(&events[1].0, "ParentCommandLine"), "/usr/sbin/sshd -x");
    assert_eq!(value(&events[1].0, "User"), "root");
    assert_eq!(value(&events[0].0, "ParentImage"), "");
}

#[test]
fn created_files_are_named_from_the_root() {
    let lines = [
        call(0, 1, "exe=\"/usr/bin/vi\" SYSCALL=openat UID=\"bob\""),
        line("CWD", 0, 1, "cwd=\"/etc/cron.d\""),
        line("PATH", 0, 1, "item=0 name=\"/etc/cron.d/\" nametype=PARENT"),
        line("PATH", 0, 1, "item=1 name=\"./job\" nametype=CREATE"),
        line("PATH", 0, 1, "item=2 name=\"/tmp/other\" nametype=CREATE"),
        line("PROCTITLE", 0, 1, "proctitle=\"vi\""),
    ];
    let (events, _) = joined(&lines);
    let event = &events[0].0;
    assert!(event.is(Deed::File) && !event.is(Deed::Process));
    assert_eq!(value(event, "TargetFilename"), "/etc/cron.d/job|/tmp/other");
    assert_eq!(value(event, "User"), "bob");
}

#[test]
fn connections_have_a_direction() {
    let network = |name: &str| {
        let lines = [
            line(
                "SYSCALL",
                0,
                1,
                &format!("SYSCALL={name} success=no exit=-115 pid=9 exe=\"/bin/bash\""),
            ),
            line("SOCKADDR", 0, 1, "saddr=0200115CC00002010000000000000000"),
            line("EOE", 0, 1, ""),
        ];
        joined(&lines).0.remove(0).0
    };
    let out = network("connect");
    assert!(out.is(Deed::Network));
    assert_eq!(value(&out, "DestinationIp"), "192.0.2.1");
    assert_eq!(
        (value(&out, "DestinationPort"), value(&out, "Initiated")),
        ("4444".into(), "true".into())
    );
    let taken = network("accept4");
    assert_eq!(
        (value(&taken, "SourceIp"), value(&taken, "Initiated")),
        ("192.0.2.1".into(), "false".into())
    );
    assert!(!network("bind").is(Deed::Network));
}

#[test]
fn what_failed_did_not_happen() {
    let lines = [
        line("SYSCALL", 0, 1, "arch=c000003e syscall=59 success=no exit=-2 pid=9 exe=\"/bin/sh\""),
        line("EXECVE", 0, 1, "argc=1 a0=\"nothing\""),
        line("PATH", 0, 1, "name=\"/x\" nametype=CREATE"),
        line("EOE", 0, 1, ""),
    ];
    let (events, _) = joined(&lines);
    assert!(!events[0].0.is(Deed::Process) && !events[0].0.is(Deed::File));
}

#[test]
fn groups_without_an_end_are_closed_by_the_logs_own_time() {
    let lines = [
        call(0, 1, "exe=\"/bin/a\""),
        call(WAIT_S, 2, "exe=\"/bin/b\""),
        call(WAIT_S + 1, 3, "exe=\"/bin/c\""),
        line("CWD", WAIT_S + 1, 9, "cwd=\"/\""),
    ];
    let mut joiner = Joiner::default();
    let mut closed = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        joiner.push(note(line), number, |event, place| closed.push((event.serial, place, number)));
    }
    assert_eq!(closed, [(1, 0, 2)]);
    joiner.finish(|event, place| closed.push((event.serial, place, 99)));
    assert_eq!(closed, [(1, 0, 2), (2, 1, 99), (3, 2, 99)]);
    assert_eq!(joiner.counts(), Joins { joined: 3, headless: 1, ..Joins::default() });
}

#[test]
fn hosts_of_one_log_are_kept_apart() {
    let on = |node: &str, line: String| format!("node={node} {line}");
    let lines = [
        on("a", call(0, 1, "exe=\"/bin/a\"")),
        on("b", call(0, 1, "exe=\"/bin/b\"")),
        on("a", line("EXECVE", 0, 1, "argc=1 a0=\"one\"")),
        on("b", line("EXECVE", 0, 1, "argc=1 a0=\"two\"")),
    ];
    let (events, counts) = joined(&lines);
    assert_eq!(counts.joined, 2);
    assert_eq!(value(&events[0].0, "CommandLine"), "one");
    assert_eq!(value(&events[1].0, "CommandLine"), "two");
}

#[test]
fn open_groups_paths_commands_and_parents_are_bounded() {
    let many: Vec<String> =
        (0..=OPEN_MAX as u64).map(|serial| call(0, serial, "exe=\"/bin/a\"")).collect();
    assert_eq!(joined(&many[..OPEN_MAX]).1.crowded, 0);
    let (events, counts) = joined(&many);
    assert_eq!((events.len(), counts.crowded), (OPEN_MAX + 1, 1));
    let mut lines = vec![call(0, 1, "exe=\"/bin/a\"")];
    lines.extend(
        (0..=PATHS_MAX).map(|n| line("PATH", 0, 1, &format!("name=\"/p{n}\" nametype=CREATE"))),
    );
    let (events, counts) = joined(&lines);
    assert_eq!(events[0].0.values("TargetFilename").count(), PATHS_MAX);
    assert_eq!(counts.cut, 1);
    let long = "x".repeat(COMMAND_BYTES_MAX + 1);
    let lines =
        [call(0, 1, "exe=\"/bin/a\""), line("EXECVE", 0, 1, &format!("argc=1 a0=\"{long}\""))];
    assert_eq!(value(&joined(&lines).0[0].0, "CommandLine").len(), COMMAND_BYTES_MAX);
    let mut joiner: Joiner<()> = Joiner::default();
    for pid in 0..=PROCESSES_MAX {
        let rest = format!("arch=c000003e syscall=59 success=yes ppid=1 pid={pid} exe=\"/bin/a\"");
        joiner.push(note(&line("SYSCALL", 0, pid as u64, &rest)), (), |_, ()| ());
        joiner.push(note(&line("EOE", 0, pid as u64, "")), (), |_, ()| ());
    }
    assert_eq!(joiner.processes.len(), PROCESSES_MAX);
    assert!(!joiner.processes.contains_key(&b"0"[..]));
}

#[test]
fn records_that_stand_alone_are_no_notes() {
    for kind in ["USER_LOGIN", "SERVICE_STOP", "AVC", "CONFIG_CHANGE"] {
        let text = line(kind, 0, 1, "pid=1 uid=0");
        assert_eq!(Note::of(&parse(text.as_bytes()).unwrap()), None, "{kind}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Records of a few calls in any order: each call gives one event with its own arguments, and
    /// nothing stays open.
    #[test]
    fn any_order_of_whole_groups_gives_each_event_once(
        order in proptest::collection::vec((0_u64..8, 0_usize..3), 0..120),
        times in proptest::collection::vec(0_i64..2, 8),
    ) {
        let lines: Vec<String> = order
            .iter()
            .map(|(serial, kind)| {
                let at = times[*serial as usize];
                match kind {
                    0 => call(at, *serial, "exe=\"/bin/a\""),
                    1 => line("EXECVE", at, *serial, &format!("argc=1 a0=\"n{serial}\"")),
                    _ => line("CWD", at, *serial, "cwd=\"/\""),
                }
            })
            .collect();
        let (events, counts) = joined(&lines);
        let called: std::collections::BTreeSet<u64> =
            order.iter().filter(|(_, kind)| *kind == 0).map(|(serial, _)| *serial).collect();
        let mut serials: Vec<u64> = events.iter().map(|(event, _)| event.serial).collect();
        serials.sort_unstable();
        proptest::prop_assert_eq!(serials, called.into_iter().collect::<Vec<_>>());
        proptest::prop_assert_eq!(counts.joined, events.len() as u64);
        for (event, _) in &events {
            let command = value(event, "CommandLine");
            let own = format!("n{}", event.serial);
            proptest::prop_assert!(command.split(' ').all(|word| word.is_empty() || word == own));
        }
    }

    /// Whatever a record holds, it is read, or not, within bounds.
    #[test]
    fn hostile_records_end(lines in proptest::collection::vec("type=(SYSCALL|EXECVE|PATH|SOCKADDR|EOE|1300) msg=audit\\(1[0-9]{9}\\.1:[0-9]{1,3}\\): .{0,80}", 0..40)) {
        let mut joiner = Joiner::default();
        for line in &lines {
            if let Some(record) = parse(line.as_bytes())
                && let Some(note) = Note::of(&record)
            {
                joiner.push(note, (), |_, ()| ());
            }
            proptest::prop_assert!(joiner.open.len() <= OPEN_MAX);
        }
        joiner.finish(|_, ()| ());
        proptest::prop_assert!(joiner.open.is_empty());
    }
}
