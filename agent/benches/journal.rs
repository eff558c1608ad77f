//! `cargo bench -p agent --bench journal`: appends to the journal, beside inserts into SQLite (WAL,
//! `synchronous=FULL`) on the same disk in the same run.
//!
//! Durable means: each appender waits until its entry is on the disk. Files are in the system's temporary
//! directory; `TMPDIR` chooses another disk.

#![allow(clippy::unwrap_used)] // a benchmark may panic as a test does

use std::sync::Mutex;

use consensus::Severity;
use crypto::journal::state::Made;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rusqlite::Connection;
use tempfile::TempDir;
use zeroize::Zeroizing;

// The agent is a program and no library: what is measured is its own source.
#[allow(dead_code, unused_imports)]
#[path = "../src/journal/mod.rs"]
mod journal;

use journal::disk::Directory;
use journal::{Entry, Journal, Options, What, boot_id, clock, create};

fn main() {
    divan::main();
}

const IPS: [&str; 4] = ["192.0.2.7", "192.0.2.8", "198.51.100.9", "203.0.113.77"];

fn alert(number: u64) -> Entry<'static> {
    let what = What::Alert {
        check: "sshd.brute-force",
        news: "new",
        fingerprint: IPS[number as usize % 4],
        title: "many failed logins from one address",
        count: number,
    };
    Entry::new(Severity::Medium, what)
}

fn open() -> (TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Directory::open(dir.path()).unwrap();
    create(&disk, Zeroizing::new([1; 32]), [2; 16], Made::WithVerifyKey, clock()()).unwrap();
    let journal = Journal::open(Box::new(disk), Options::default(), boot_id(), clock());
    (dir, journal.unwrap().0)
}

fn sqlite() -> (TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let base = Connection::open(dir.path().join("peer.db")).unwrap();
    base.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE alert (time, level, rule, news, fingerprint, title, count);",
    )
    .unwrap();
    (dir, base)
}

fn insert(base: &Connection, number: u64) {
    let mut insert = base.prepare_cached("INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?, ?)").unwrap();
    let number = number.cast_signed();
    let row = (number, 2, "sshd.brute-force", "new", IPS[number as usize % 4]);
    let rest = ("many failed logins from one address", number);
    insert.execute((row.0, row.1, row.2, row.3, row.4, rest.0, rest.1)).unwrap();
}

/// Each appender waits for each of its entries.
#[divan::bench(args = [1, 64], sample_count = 5, sample_size = 1)]
fn durable_appends(bencher: Bencher, appenders: u64) {
    let each = 1_280 / appenders.min(10);
    let (_dir, journal) = open();
    bencher.counter(ItemsCount::new(appenders * each)).bench_local(|| {
        std::thread::scope(|scope| {
            for _ in 0..appenders {
                scope.spawn(|| {
                    for number in 0..each {
                        journal.append(&alert(number)).unwrap().wait_durable().unwrap();
                    }
                });
            }
        });
    });
}

/// One row a transaction, by one writer or by 64 who share a connection.
#[divan::bench(args = [1, 64], sample_count = 5, sample_size = 1)]
fn durable_inserts_of_sqlite(bencher: Bencher, writers: u64) {
    let each = 1_280 / writers;
    let (_dir, base) = sqlite();
    let base = Mutex::new(base);
    bencher.counter(ItemsCount::new(writers * each)).bench_local(|| {
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    for number in 0..each {
                        insert(&base.lock().unwrap(), number);
                    }
                });
            }
        });
    });
}

/// 64 rows a transaction: what a program would do that gathers by itself.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn inserts_of_sqlite_64_at_once(bencher: Bencher) {
    let (_dir, mut base) = sqlite();
    bencher.counter(ItemsCount::new(64 * 100_u64)).bench_local(|| {
        for _ in 0..100 {
            let batch = base.transaction().unwrap();
            (0..64).for_each(|number| insert(&batch, number));
            batch.commit().unwrap();
        }
    });
}

/// What it costs to put an entry in order; the disk's part is that of one write a MiB.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn decided_appends(bencher: Bencher) {
    let (_dir, journal) = open();
    bencher.counter(ItemsCount::new(10_000_u64)).bench_local(|| {
        for number in 0..10_000 {
            black_box(journal.append(&alert(number)).unwrap());
        }
    });
    journal.tick().unwrap();
}
