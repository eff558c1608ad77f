//! Real files and real processes: killed at any moment, failed at every call, on a disk that is full.
//!
//! The children are this test binary again. `WARDMOTE_TEST_KILLS` asks for more kills than those that always
//! happen, and then every call fails in two ways instead of by turns. Files are in memory where that can be:
//! what a killed process has written, the kernel keeps there as well.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::journal::disk::Directory;

/// Which journal a child writes.
const DIRECTORY: &str = "JOURNAL_TEST_DIRECTORY";
/// The first number that a child appends.
const FROM: &str = "JOURNAL_TEST_FROM";
/// Numbers of one thread, and of one child.
const THREAD: u64 = 1 << 20;
const CHILD: u64 = 4 * THREAD;

fn tiny() -> Options {
    Options { segment_bytes: 2_000, budget_bytes: 1 << 30, epoch_records: 20, epoch_us: 60_000_000 }
}

fn new_journal(path: &Path) -> Directory {
    let disk = Directory::open(path).unwrap();
    make(&disk);
    disk
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn say_on_stdout(line: &str) {
    // Past the test harness, in one write: it is there whole or not.
    rustix::io::write(std::io::stdout(), line.as_bytes()).unwrap();
}

/// What a child is told.
fn told(directory: &Path, from: u64) -> [(String, String); 2] {
    [
        (DIRECTORY.to_string(), directory.to_str().unwrap().to_string()),
        (FROM.to_string(), from.to_string()),
    ]
}

/// This binary, to run one of the children below.
fn words(name: &str) -> [String; 4] {
    let own = std::env::current_exe().unwrap().to_str().unwrap().to_string();
    let test = format!("journal::tests::torture::{name}");
    [own, "--exact".to_string(), test, "--ignored".to_string()]
}

#[test]
#[ignore = "the child of `kills_lose_nothing`"]
fn appends_until_killed() {
    let Some(path) = from_environment(DIRECTORY) else { return };
    let from: u64 = from_environment(FROM).unwrap().parse().unwrap();
    let disk = Directory::open(Path::new(&path)).unwrap();
    say_on_stdout("ready\n");
    let (journal, opened) = Journal::open(Box::new(disk), tiny(), [1; 16], clock()).unwrap();
    assert_eq!(opened.damage, None);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..THREAD {
                    let number = from + thread * THREAD + number;
                    journal.append(&entry(number)).unwrap().wait_durable().unwrap();
                    say_on_stdout(&format!("ack {number}\n"));
                }
            });
        }
    });
}

/// Reads what a child says until it ends; the numbers that it was told are durable.
fn acknowledged(out: impl Read) -> Vec<u64> {
    let lines = BufReader::new(out).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).collect()
}

#[test]
fn kills_lose_nothing() {
    let wanted = from_environment("WARDMOTE_TEST_KILLS").and_then(|text| text.parse().ok());
    let wanted: u64 = wanted.unwrap_or(60);
    let (mut random, mut acks, mut killed) = (7_u64, 0, 0);
    while killed < wanted {
        // A new journal now and then: each is verified as a whole after each kill.
        let dir = in_memory();
        let disk = new_journal(dir.path());
        let (mut durable, mut last) = (BTreeSet::new(), None);
        for round in 0..(wanted - killed).min(20) {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let after = Duration::from_micros((random >> 33) % 20_000);
            durable.extend(killed_child(dir.path(), round * CHILD, after));
            let (mut numbers, report) = verified(&disk, Seen { head: last, ..seen(&disk) });
            assert_eq!(report.faults, [], "kill {killed}");
            last = report.last;
            let count = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "kill {killed}: doubled");
            let numbers: BTreeSet<u64> = numbers.into_iter().collect();
            let lost: Vec<_> = durable.difference(&numbers).collect();
            assert!(lost.is_empty(), "kill {killed}: lost {lost:?}");
            killed += 1;
        }
        acks += durable.len();
        // And the next one goes on.
        let (journal, opened) = open(Directory::open(dir.path()).unwrap(), tiny(), &Clocks::new());
        assert_eq!(opened.damage, None);
        journal.close().unwrap();
    }
    println!("{killed} kills, {acks} acknowledged entries");
    assert!(acks as u64 > wanted, "the children came to nothing: {acks} entries");
}

fn killed_child(directory: &Path, from: u64, after: Duration) -> Vec<u64> {
    let [own, rest @ ..] = words("appends_until_killed");
    let mut child: Child = Command::new(own)
        .args(rest)
        .envs(told(directory, from))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the child did not begin");
    }
    let reader = std::thread::spawn(move || acknowledged(out));
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
#[ignore = "the child of `every_call_may_fail`"]
fn appends_a_little() {
    let Some(path) = from_environment(DIRECTORY) else { return };
    let Ok(disk) = Directory::open(Path::new(&path)) else { return };
    let from: u64 = from_environment(FROM).unwrap().parse().unwrap();
    // Errors are what is wanted; panics are not.
    let Ok((journal, _)) = Journal::open(Box::new(disk), few(), [1; 16], clock()) else { return };
    for number in from..from + 9 {
        let ticket = journal.append(&entry(number));
        if ticket.and_then(|ticket| ticket.wait_durable()).is_err() {
            return;
        }
        say_on_stdout(&format!("ack {number}\n"));
    }
    let _ = journal.close();
}

/// So few that nine entries see ends of epochs and of a segment.
fn few() -> Options {
    Options { segment_bytes: 800, budget_bytes: 1 << 30, epoch_records: 4, epoch_us: 60_000_000 }
}

/// Whether a peer is there; where peers are required, it must be.
fn there(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|all| std::env::split_paths(&all).any(|folder| folder.join(name).is_file()));
    if !found {
        println!("SKIPPED: no {name}");
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "{name} is required");
    }
    found
}

/// Runs a child with the call's `nth` use failed; whether it came to that, and what was acknowledged.
fn traced(directory: &Path, call: &str, error: &str, nth: u64) -> (bool, Vec<u64>) {
    let log = directory.with_extension("strace");
    let out = Command::new("strace")
        .args(["-f", "-qq", "-o", log.to_str().unwrap(), "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error={error}:when={nth}")])
        .args(words("appends_a_little"))
        .envs(told(directory, 100))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!said.contains("panicked") && !said.contains("strace:"), "{call} {nth}: {said}");
    let log = std::fs::read_to_string(log).unwrap();
    (log.contains("(INJECTED)"), acknowledged(&*out.stdout))
}

/// Every call of these, in a run that opens a journal that was in use, appends, rotates and closes.
const CALLS: [&str; 9] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "renameat2",
    "unlinkat",
    "fallocate",
    "pread64",
    "openat",
];

#[test]
fn every_call_may_fail() {
    if !there("strace") {
        return;
    }
    let both = from_environment("WARDMOTE_TEST_KILLS").is_some();
    let dir = in_memory();
    let used = dir.path().join("used");
    std::fs::create_dir(&used).unwrap();
    let (journal, _) = open(new_journal(&used), few(), &Clocks::new());
    for number in 0..6 {
        journal.append(&entry(number)).unwrap().wait_durable().unwrap();
    }
    // Not closed: the next one finds an epoch that is open.
    drop(journal);
    let mut failed = 0;
    for call in CALLS {
        for nth in 1.. {
            let errors = if nth % 2 == 0 { ["EIO", "ENOSPC"] } else { ["ENOSPC", "EIO"] };
            let errors = if both { &errors[..] } else { &errors[..1] };
            let came: Vec<bool> = errors
                .iter()
                .map(|error| fails_well(&used, dir.path(), call, error, nth))
                .collect();
            if came.contains(&false) {
                break;
            }
            failed += came.len();
        }
    }
    println!("{failed} calls failed");
    assert!(failed > 60, "only {failed} calls failed");
}

/// A copy of a journal with one call failed: nothing acknowledged is lost, and the next writer goes on.
fn fails_well(used: &Path, scratch: &Path, call: &str, error: &str, nth: u64) -> bool {
    let copy: PathBuf = scratch.join(format!("{call}-{error}-{nth}"));
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(used).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let (came, mut durable) = traced(&copy, call, error, nth);
    let what = format!("{call} {nth} {error}");
    assert!(came || durable.len() == 9, "{what}: without a fault nothing fails");
    durable.extend(0..6);
    let disk = Directory::open(&copy).unwrap();
    let (before, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, [], "{what}, before the next writer");
    let (journal, opened) = open(Directory::open(&copy).unwrap(), few(), &Clocks::new());
    assert_eq!(opened.damage, None, "{what}");
    journal.append(&entry(1_000)).unwrap().wait_durable().unwrap();
    journal.close().unwrap();
    let (mut numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, [], "{what}");
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "{what}: doubled");
    durable.push(1_000);
    // For want of room old segments may go, as a gap says. The child's first entry was the seventh record.
    let record = |number: u64| if number < 100 { number } else { number - 94 };
    let lost: Vec<_> =
        durable.iter().filter(|number| numbers.binary_search(number).is_err()).collect();
    let gone = lost.iter().all(|number| is_removed(&report, record(**number)));
    assert!(gone, "{what}: lost {lost:?} of {before:?}");
    std::fs::remove_dir_all(&copy).unwrap();
    came
}

#[test]
#[ignore = "the child of `a_real_disk_that_is_full`"]
fn fills_a_disk() {
    let Some(path) = from_environment(DIRECTORY) else { return };
    let path = Path::new(&path);
    let disk = new_journal(path);
    let options = Options { segment_bytes: 50_000, ..tiny() };
    let (journal, _) = open(Directory::open(path).unwrap(), options, &Clocks::new());
    let mut random = 5_u64;
    for number in 0..400 {
        let mut noise = String::new();
        while noise.len() < 8_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            noise.push_str(&format!("{random:016x}"));
        }
        let what = What::Reloaded { holds: true, why: &noise };
        journal.append(&Entry::new(Severity::Low, what)).unwrap();
        journal.append(&entry(number)).unwrap().wait_durable().unwrap();
    }
    let (numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, []);
    assert!(numbers.len() > 10 && numbers.len() < 399 && numbers.contains(&399), "{numbers:?}");
    // Somebody else takes all room, and more than the journal can free.
    drop(journal);
    let ballast = std::fs::File::create(path.join("ballast")).unwrap();
    let mut bytes = 16_u64 << 20;
    let mut taken = 0;
    while bytes >= 4096 {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&ballast, FallocateFlags::empty(), taken, bytes) {
            Ok(()) => taken += bytes,
            Err(_) => bytes /= 2,
        }
    }
    let opened = Journal::open(Box::new(Directory::open(path).unwrap()), options, [1; 16], clock());
    let mut durable = Vec::new();
    let mut stopped = opened.is_err();
    if let Ok((journal, _)) = opened {
        for number in 1_000..3_000 {
            let ticket = journal.append(&entry(number));
            match ticket.and_then(|ticket| ticket.wait_durable()) {
                Ok(()) => durable.push(number),
                Err(_) => {
                    stopped = true;
                    break;
                }
            }
        }
    }
    drop(ballast);
    std::fs::remove_file(path.join("ballast")).unwrap();
    let (journal, opened) = open(Directory::open(path).unwrap(), options, &Clocks::new());
    assert_eq!(opened.damage, None);
    journal.append(&entry(5_000)).unwrap().wait_durable().unwrap();
    let (numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, []);
    durable.push(5_000);
    assert!(durable.iter().all(|number| numbers.contains(number)));
    say_on_stdout(&format!(
        "filled, stopped: {stopped}, {} entries on a full disk\n",
        durable.len()
    ));
}

#[test]
fn a_real_disk_that_is_full() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can mount");
        return;
    }
    if !there("unshare") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=4m,mode=700 journal-test "$1" && shift && exec "$@""#;
    let out = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .args(words("fills_a_disk"))
        .envs(told(dir.path(), 0))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, errors) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("filled, "), "{said}{errors}");
    println!("{said}");
}
