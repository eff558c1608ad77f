//! Every step of the disk fails once, and the power fails at every step: what was acknowledged stays.

use rustix::io::Errno;

use super::simulated::{Fault, Simulated};
use super::*;

/// Small, so that few entries see rotation, packing and epochs.
fn tiny() -> Options {
    Options { segment_bytes: 700, budget_bytes: 1 << 30, epoch_records: 5, epoch_us: 60_000_000 }
}

/// Appends until something fails; the numbers that were said to be durable with those of their records, and
/// where it stopped.
fn live(disk: &Simulated, options: Options, from: u64, count: u64) -> (Vec<(u64, u64)>, u64) {
    let clocks = Clocks::new();
    let mut durable = Vec::new();
    let opened = Journal::open(Box::new(disk.clone()), options, [1; 16], clocks.clock());
    let Ok((journal, _)) = opened else { return (durable, from) };
    for number in from..from + count {
        let ticket = journal.append(&entry(number));
        match ticket.and_then(|ticket| ticket.wait_durable().map(|()| ticket.record)) {
            Ok(record) => durable.push((number, record)),
            Err(_) => return (durable, number + 1),
        }
        clocks.pass(13);
    }
    let _ = journal.close();
    (durable, from + count)
}

/// After a failure: the next writer opens without damage, goes on, and everything acknowledged is there once,
/// or was removed for want of room and named in a gap.
fn settles(disk: &Simulated, options: Options, acknowledged: &[(u64, u64)], next: u64, what: &str) {
    let clocks = Clocks::new();
    let opened = Journal::open(Box::new(disk.clone()), options, [1; 16], clocks.clock());
    let (journal, opened) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(opened.damage, None, "{what}");
    let last = journal.append(&entry(next)).unwrap();
    last.wait_durable().unwrap();
    let last = (next, last.record);
    journal.close().unwrap();
    let (numbers, report) = verified(disk, seen(disk));
    assert_eq!(report.faults, [], "{what}");
    let mut sorted = numbers.clone();
    sorted.dedup();
    assert!(numbers.is_sorted() && sorted == numbers, "{what}: doubled or disordered");
    let lost: Vec<_> = acknowledged
        .iter()
        .chain([&last])
        .filter(|(number, record)| {
            numbers.binary_search(number).is_err() && !is_removed(&report, *record)
        })
        .collect();
    assert!(lost.is_empty(), "{what}: lost {lost:?}");
}

/// Runs a life with a fault at every step, until a life meets none; how many steps there were.
fn at_every_step(fault: Fault, after: impl Fn(&Simulated, u64)) -> u64 {
    for step in 0.. {
        let disk = Simulated::default();
        make(&disk);
        let (mut acknowledged, next) = live(&disk, tiny(), 0, 8);
        disk.fail_at(step, fault);
        let (more, next) = live(&disk, tiny(), next, 24);
        acknowledged.extend(more);
        if !disk.has_failed() {
            assert_eq!(acknowledged.len(), 32, "without a fault nothing fails");
            return step;
        }
        after(&disk, step);
        settles(&disk, tiny(), &acknowledged, next, &format!("{fault:?} at step {step}"));
    }
    unreachable!("a life has an end")
}

#[test]
fn a_call_that_fails_costs_nothing_that_was_acknowledged() {
    for errno in [Errno::NOSPC, Errno::IO] {
        let steps = at_every_step(Fault::Fails(errno), |disk, _| disk.kill());
        assert!(steps > 150, "{steps} steps");
    }
}

#[test]
fn power_that_fails_costs_nothing_that_was_acknowledged() {
    for seed in [3, 5, 1_000_003] {
        let steps = at_every_step(Fault::PowerFails, |disk, step| {
            disk.restart((seed + step).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        });
        assert!(steps > 150, "{steps} steps");
    }
}

/// The kernel says once that a sync failed, and then that all is well (fsyncgate, 2018). The next writer writes
/// again what it finds, and the power that fails afterwards costs nothing.
#[test]
fn what_a_failed_sync_forgot_is_written_again() {
    for step in 0..200 {
        let disk = Simulated::default();
        make(&disk);
        disk.fail_at(step, Fault::Fails(Errno::IO));
        let (mut acknowledged, next) = live(&disk, tiny(), 0, 24);
        disk.kill();
        let (more, next) = live(&disk, tiny(), next, 3);
        acknowledged.extend(more);
        disk.restart(step + 11);
        settles(&disk, tiny(), &acknowledged, next, &format!("step {step}"));
    }
}

#[test]
fn a_stopped_writer_says_so_and_frees_its_lock() {
    let disk = Simulated::default();
    make(&disk);
    let clocks = Clocks::new();
    let (journal, _) = open(disk.clone(), tiny(), &clocks);
    let first = journal.append(&entry(0)).unwrap();
    let second = journal.append(&entry(1)).unwrap();
    // The write is a step, and then the sync.
    disk.fail_at(1, Fault::Fails(Errno::IO));
    let why = first.wait_durable().unwrap_err().to_string();
    assert!(why.contains("0000000000.journal: syncing"), "{why}");
    assert!(second.wait_durable().is_err() && !second.is_durable());
    assert!(matches!(journal.append(&entry(2)), Err(Error::Stopped(_))));
    assert!(journal.tick().is_err());
    // Not dropped, and yet the next one may write.
    settles(&disk, tiny(), &[], 3, "after a stop");
}
