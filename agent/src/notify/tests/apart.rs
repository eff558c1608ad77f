//! The desk of a service that hands over, and the sender on the other side.

use std::os::unix::fs::symlink;

use super::super::handover::{Fate, Handover, Report};
use super::super::sender::Sender;
use super::super::*;
use super::{note, secret_file, server};
use crate::settings::WebhookSettings;

const CLOCK: fn() -> i64 = || 1_700_000_000;

struct Stage {
    dir: tempfile::TempDir,
    handover: Handover,
    target: NotifySettings,
}

impl Stage {
    fn new(port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("spool/out")).unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        let secret_file = secret_file(dir.path()).into();
        let way = Way::Webhook(WebhookSettings { url, secret_file, ca_file: None });
        let target = NotifySettings {
            name: "ops".into(),
            from: Severity::Low,
            spool_bytes: 1 << 20,
            summary: None,
            way,
        };
        Self { handover: Handover::at(&dir.path().join("spool")), dir, target }
    }

    fn desk(&self) -> Desk {
        let targets = std::slice::from_ref(&self.target);
        Desk::open(targets, self.dir.path(), Some(&self.handover), CLOCK).unwrap()
    }

    fn sender(&self) -> Sender {
        let mut sender = Sender::new(self.handover.clone(), CLOCK);
        sender.look().unwrap();
        sender
    }

    fn fates(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.handover.fates("ops"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".taken") || name.ends_with(".refused"))
            .collect();
        names.sort();
        names
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}");
}

fn tally(desk: &Desk) -> Tally {
    let tally = desk.tallies()[0].1;
    let known = tally.notified + tally.merged + tally.suppressed + tally.waiting;
    assert_eq!(tally.received, known, "{tally:?}");
    tally
}

#[test]
fn what_is_handed_over_is_delivered_counted_and_leaves_nothing_behind() {
    let (port, asked) = server(&[204, 410, 204]);
    let stage = Stage::new(port);
    let mut desk = stage.desk();
    desk.accept(&note("a", Severity::High));
    until("nobody delivers, and that is said", || {
        desk.line().is_some_and(|line| line.contains("ops: wardmote-send does not run"))
    });
    assert_eq!(tally(&desk).waiting, 1);
    let lock = stage.handover.serve().unwrap().expect("nobody else serves");
    assert!(stage.handover.serve().unwrap().is_none(), "one sender is enough");
    let sender = stage.sender();
    until("it is delivered", || tally(&desk).notified == 1);
    desk.accept(&note("b", Severity::High));
    until("what is refused is counted", || tally(&desk).suppressed == 1);
    until("and said", || desk.line().is_some_and(|line| line.contains("HTTP status 410")));
    desk.accept(&note("c", Severity::High));
    until("the next one is taken", || tally(&desk).notified == 2);
    until("and all is well", || desk.line().is_none());
    until("the sender forgets what the service took out", || stage.fates().is_empty());
    assert_eq!(asked.iter().take(3).count(), 3);
    assert!(sender.line().starts_with("1 targets, 2 notes delivered"), "{}", sender.line());
    drop(lock);
}

#[test]
fn what_was_delivered_is_not_delivered_again_after_a_restart_of_either() {
    let (port, asked) = server(&[204]);
    let stage = Stage::new(port);
    let mut desk = stage.desk();
    for key in ["a", "b"] {
        desk.accept(&note(key, Severity::High));
    }
    drop(desk);
    std::thread::sleep(Duration::from_millis(20));
    std::fs::create_dir(stage.dir.path().join("spool/done")).unwrap();
    stage.handover.make_fates("ops").unwrap();
    stage.handover.settle("ops", "wm-a", Fate::Taken).unwrap();
    let _lock = stage.handover.serve().unwrap();
    let _sender = stage.sender();
    let (_, body) = asked.recv_timeout(Duration::from_secs(5)).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["id"], "wm-b");
    until("both are settled, while the service is down", || {
        stage.fates() == ["wm-a.taken", "wm-b.taken"]
    });
    let desk = stage.desk();
    until("it counts both when it is back", || tally(&desk).notified == 2);
    until("and nothing is left", || stage.fates().is_empty());
}

#[test]
fn notes_that_waited_for_the_service_itself_are_handed_over_and_gaps_are_told_once() {
    let (port, asked) = server(&[204, 204, 204, 204]);
    let mut stage = Stage::new(port);
    let note =
        |key: &str, severity| Note { body: "x".repeat(30_000).into(), ..note(key, severity) };
    let one = serde_json::to_vec(&note("0", Severity::High)).unwrap().len() as u64;
    let mut own = Spool::open(&stage.dir.path().join("notify/ops"), 1 << 20, Readers::Own);
    own.as_mut().unwrap().put(&note("0", Severity::High)).unwrap();
    stage.target.spool_bytes = 2 * one + one / 2;
    let mut desk = stage.desk();
    for (key, severity) in [("1", Severity::High), ("2", Severity::Low), ("3", Severity::Low)] {
        desk.accept(&note(key, severity));
    }
    assert_eq!((tally(&desk).waiting, tally(&desk).suppressed), (2, 2));
    let _lock = stage.handover.serve().unwrap();
    let _sender = stage.sender();
    until("all is delivered", || tally(&desk).notified == 2);
    desk.accept(&note("4", Severity::High));
    until("and what comes later", || tally(&desk).notified == 3);
    let keys: Vec<String> = asked
        .iter()
        .take(4)
        .map(|(_, body)| {
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()["key"].to_string()
        })
        .collect();
    assert_eq!(keys, [r#""gap""#, r#""0""#, r#""1""#, r#""4""#]);
    assert_eq!(stage.handover.gap("ops").total(), 0);
}

#[test]
fn the_gap_counts_what_came_meanwhile_and_begins_anew_with_the_service() {
    let stage = Stage::new(1);
    stage.handover.make_fates("ops").unwrap_err();
    std::fs::create_dir(stage.dir.path().join("spool/done")).unwrap();
    stage.handover.make_fates("ops").unwrap();
    let out = stage.handover.notes("ops");
    std::fs::create_dir(&out).unwrap();
    let dropped = |count: u64| {
        let text = format!("{{\"low\":{count}}}");
        std::fs::write(out.join("gap.json"), text).unwrap();
    };
    dropped(5);
    let told = stage.handover.gap("ops");
    assert_eq!(told.total(), 5);
    dropped(7);
    stage.handover.gap_told("ops", &told).unwrap();
    assert_eq!(stage.handover.gap("ops").total(), 2);
    stage.handover.gap_told("ops", &stage.handover.gap("ops")).unwrap();
    assert_eq!(stage.handover.gap("ops").total(), 0);
    dropped(1);
    assert_eq!(stage.handover.gap("ops").total(), 1, "another service counts from nothing");
}

#[test]
fn what_a_sender_that_is_not_to_be_trusted_writes_hurts_nobody() {
    let stage = Stage::new(1);
    let done = stage.handover.fates("ops");
    std::fs::create_dir_all(&done).unwrap();
    let odd =
        ["x", ".taken", "a.b", "a.taken.tmp", "wm-1.taken", "wm-2.refused", "..taken", "gap.json"];
    for name in odd {
        std::fs::write(done.join(name), "").unwrap();
    }
    std::fs::write(done.join(format!("{}.taken", "i".repeat(65))), "").unwrap();
    let settled = stage.handover.settled("ops").unwrap();
    let names: Vec<&str> = settled.keys().map(String::as_str).collect();
    assert_eq!(names, ["wm-1", "wm-2"]);
    let report = done.join("report.json");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &report, fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(stage.handover.report("ops"), Report::default(), "nobody waits for a FIFO");
    std::fs::remove_file(&report).unwrap();
    symlink("/proc/version", &report).unwrap();
    assert_eq!(stage.handover.report("ops"), Report::default());
    std::fs::remove_file(&report).unwrap();
    let long = "\\u001b[31mred\\n".repeat(600);
    std::fs::write(&report, format!("{{\"time\":1,\"trouble\":\"{long}\"}}")).unwrap();
    let told = stage.handover.report("ops").trouble.unwrap();
    assert!(told.chars().count() <= 300 && !told.chars().any(char::is_control), "{told:?}");
    std::fs::write(&report, vec![b' '; 20_000]).unwrap();
    assert_eq!(stage.handover.report("ops"), Report::default(), "too long");
}

#[test]
fn a_target_that_changes_is_told_the_new_way_and_one_that_goes_is_left() {
    let (port, asked) = server(&[204]);
    let mut stage = Stage::new(1);
    let mut desk = stage.desk();
    let _lock = stage.handover.serve().unwrap();
    let mut sender = stage.sender();
    desk.accept(&note("a", Severity::High));
    until("nobody answers there", || desk.line().is_some_and(|line| line.contains("refused")));
    drop(desk);
    let Way::Webhook(webhook) = &mut stage.target.way else { unreachable!() };
    webhook.url = format!("http://127.0.0.1:{port}/");
    let desk = stage.desk();
    sender.look().unwrap();
    assert!(asked.recv_timeout(Duration::from_secs(10)).is_ok());
    until("it is counted", || tally(&desk).notified == 1);
    stage.handover.write_targets(&[]).unwrap();
    sender.look().unwrap();
    assert!(sender.line().starts_with("0 targets"), "{}", sender.line());
}
