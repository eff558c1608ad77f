//! Two days in minutes: the steps of a service and its child over a log that grows and is rotated, with a clock
//! that the test sets. What they hold must not grow with time.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use super::storm_tests::resident_bytes;
use super::tests::parts;
use super::*;
use crate::pipeline::case::samples;
use crate::sandbox::Proxy;
use crate::sandbox::tests::program;
use crate::settings::Span;
use crate::store::ALERTS_MAX;
use crate::store::sqlite::SqliteStore;

/// The test's time.
static NOW: AtomicI64 = AtomicI64::new(samples::NOW);
/// Seconds between two looks.
const STEP_S: i64 = 30;
/// So many last steps of an eighth are sampled.
const SAMPLES: i64 = 4;
/// Most bytes that it may hold more after two days than after the first hours.
const GROWTH_BYTES_MAX: u64 = 10 << 20;

fn clock() -> i64 {
    NOW.load(Ordering::SeqCst)
}

/// What a host's log says in half a minute: work, and now and then guesses from somebody new.
fn lines(step: i64, now: i64) -> String {
    let time = jiff::Timestamp::from_second(now).unwrap();
    let mut text = String::new();
    for number in 0..20 {
        let (pid, user) = (step * 20 + number, number % 5);
        text.push_str(&match number % 4 {
            0 => format!("{time} web1 CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)\n"),
            1 => format!("{time} web1 sshd[{pid}]: Accepted publickey for user{user} from 192.168.1.{user} port {pid} ssh2: ED25519 SHA256:abc\n"),
            2 => format!("{time} web1 sudo:   user{user} : TTY=pts/0 ; PWD=/home/user{user} ; USER=root ; COMMAND=/usr/bin/apt update\n"),
            _ => format!("{time} web1 sshd[{pid}]: pam_unix(sshd:session): session closed for user user{user}\n"),
        });
    }
    if step % 10 == 0 {
        // Two days bring 576 strangers, and every fourth comes back.
        let stranger = u32::try_from(if step % 40 == 0 { step / 2 } else { step }).unwrap();
        let address = std::net::Ipv4Addr::from(0x2d00_0000 + stranger);
        for port in 0..15 {
            text.push_str(&format!("{time} web1 sshd[{stranger}]: Failed password for invalid user admin from {address} port {port} ssh2\n"));
        }
    }
    text
}

/// Lets the service look for so many minutes; gives the least that it and its child held at the end of each eighth
/// of them (what comes and goes is not what stays), and how many alerts there are at the end.
fn live(minutes: i64) -> (Vec<u64>, usize) {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = root.path().join("var/log/auth.log");
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    let mut settings = Settings::default();
    settings.agent.metrics = Some("metrics.prom".into());
    settings.agent.keep = Span::days(1);
    let reload = settings.clone();
    let store = SqliteStore::open(&state.path().join("wardmote.db"), ALERTS_MAX).unwrap();
    let look = Proxy::open(root.path().into(), state.path(), clock, program("child")).unwrap();
    let parts = Parts {
        store: Box::new(store),
        settings: settings.clone(),
        reload: Box::new(move || Ok(reload.clone())),
        clock,
        ..parts(state.path(), &Bus::default())
    };
    let mut service = Service::new(Box::new(look), parts);
    let steps = minutes * 60 / STEP_S;
    let mut resident = Vec::new();
    for step in 0..steps {
        let now = NOW.fetch_add(STEP_S, Ordering::SeqCst) + STEP_S;
        append(&log, &lines(step, now));
        if step % (86_400 / STEP_S) == 86_400 / STEP_S - 1 {
            std::fs::rename(&log, log.with_extension("log.1")).unwrap();
        }
        let mut look = service.look.take().unwrap();
        let looked = look.sweep(&settings);
        assert!(looked.is_ok(), "{looked:?}");
        service.settle((look, Step::Sweep, looked));
        assert_eq!(service.trouble, None);
        while let Some(event) = service.parts.bus.take() {
            service.hear(&event);
        }
        if step % (3_600 / STEP_S) == 0 {
            let mut look = service.look.take().unwrap();
            let looked = look.audit(&settings);
            service.settle((look, Step::Audit, looked));
        }
        let to_eighth = steps / 8 - 1 - step % (steps / 8);
        if to_eighth == SAMPLES - 1 {
            resident.push(u64::MAX);
        }
        if let Some(least) = resident.last_mut()
            && to_eighth < SAMPLES
        {
            *least = resident_of_both().min(*least);
        }
    }
    let open = service.parts.store.open_count(Severity::Info).unwrap();
    service.parts.recorder.lock().stopped("the test is over");
    (resident, open)
}

/// Resident bytes of this process and of the child that looks for it.
fn resident_of_both() -> u64 {
    let ours = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let of_children = all.filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name before may hold anything: state and parent are the first fields behind it.
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
        let statm = std::fs::read_to_string(entry.path().join("statm")).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        (parent == ours).then_some(pages * 4096)
    });
    resident_bytes() + of_children.sum::<u64>()
}

fn append(log: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(log).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn minutes_in_seconds_are_seen_and_hold() {
    let (resident, open) = live(20);
    assert!(open > 3, "{open} alerts");
    assert!(resident[7] < resident[1] + GROWTH_BYTES_MAX, "{resident:?}");
}

#[test]
#[ignore = "two days in minutes: cargo test --release -p agent --bins long_tests -- --ignored"]
fn two_days_hold_no_more_than_their_first_hours() {
    let start = std::time::Instant::now();
    let (resident, open) = live(48 * 60);
    let mib: Vec<u64> = resident.iter().map(|bytes| bytes >> 20).collect();
    let took = start.elapsed();
    println!("48 hours in {took:.0?}: {mib:?} MiB every six hours, {open} alerts");
    assert!(resident[7] < resident[1] + GROWTH_BYTES_MAX, "{resident:?}");
}
