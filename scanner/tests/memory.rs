//! How much memory a sweep takes: its own process, so that nothing else is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scanner::RootedTree;
use scanner::logs::{SweepOptions, content, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;
/// Source addresses, each of which fails once.
const ADDRESSES: u32 = 1_000_000;
/// The promise: less than this of memory that is no file's.
const BYTES_MAX: u64 = 64 << 20;

/// Anonymous memory of this process.
fn anonymous() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// A day of failed logins, none from an address that was there before.
fn write_log(path: &Path) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let mut line = String::new();
    for number in 0..ADDRESSES {
        line.clear();
        let second = u64::from(number) * 86_400 / u64::from(ADDRESSES);
        let [a, b, c, d] =
            (0x1400_0000 + number.wrapping_mul(2_654_435_761) % (1 << 28)).to_be_bytes();
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let user = ["root", "invalid user admin", "invalid user oracle"][number as usize % 3];
        writeln!(
            line,
            "Dec 30 {hour:02}:{minute:02}:{second:02} web sshd[{}]: Failed password for {user} from {a}.{b}.{c}.{d} port {} ssh2",
            1000 + number % 30_000,
            1024 + number % 60_000,
        )
        .unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    file.flush().unwrap();
}

#[test]
fn a_million_source_addresses_fit() {
    let dir = tempfile::tempdir().unwrap();
    write_log(&dir.path().join("log"));
    let rules = content::rules();
    let done = AtomicBool::new(false);
    let (outcome, most) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous());
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let tree = RootedTree::open(dir.path()).unwrap();
        let found = source::named(&tree, &["/log".into()]);
        let options = SweepOptions { jobs: 2, observe: true, ..SweepOptions::new(NOW) };
        let outcome = sweep(&tree, found, None, &rules, &options, None);
        done.store(true, Ordering::Relaxed);
        (outcome, watch.join().unwrap())
    });
    let failed = outcome.activity.iter().find(|activity| activity.rule == "ssh-login-failed");
    assert_eq!(failed.map(|activity| activity.events), Some(u64::from(ADDRESSES)));
    // What gave way for want of room is told of the log that filled it.
    let of_log: u64 = outcome.coverage.files.iter().map(|file| file.evicted).sum();
    assert!(of_log > 0 && of_log <= outcome.summary.evicted, "{of_log}");
    println!("{} KiB of anonymous memory, {} evicted", most >> 10, outcome.summary.evicted);
    assert!(most < BYTES_MAX, "{} KiB", most >> 10);
}
