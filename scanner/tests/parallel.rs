//! The result of a sweep depends on the logs alone: not on threads, and not on how files are divided.
#![allow(clippy::unwrap_used)] // helpers of tests too

mod corpora;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use scanner::RootedTree;
use scanner::logs::checkpoint::Checkpoint;
use scanner::logs::{SweepOptions, SweepOutcome, content, source, sweep};

use corpora::corpus;

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

/// Threads, and bytes of a part.
const WAYS: [(usize, usize); 9] = [
    (1, 1 << 20),
    (2, 1 << 20),
    (8, 1 << 20),
    (1, 97),
    (8, 97),
    (2, 1000),
    (3, 4096),
    (8, 65_536),
    (2, 300_001),
];

/// A generator whose numbers are the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Lines of all kinds over 14 months, some of them out of order, undated, over-long or broken.
fn mixed_log(seed: u64, lines: usize) -> Vec<u8> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut dice = Dice(seed);
    let mut text = Vec::new();
    for number in 0..lines {
        let minutes = (number as u64 / 24 * 24) * 14 * 28 * 1440 / lines as u64;
        let (month, day) = (minutes / 1440 / 28 % 12, minutes / 1440 % 28 + 1);
        let minute = (minutes % 1440).saturating_sub(dice.below(3));
        let at = format!(
            "{} {day:2} {:02}:{:02}:{:02}",
            MONTHS[month as usize],
            minute / 60,
            minute % 60,
            dice.below(60)
        );
        let ip = format!("192.0.2.{}", number / 24 % 40);
        let user = ["root", "admin", "bob", "x y"][dice.below(4) as usize];
        let line = match dice.below(16) {
            0..5 => {
                format!("{at} web sshd[{number}]: Failed password for {user} from {ip} port 4 ssh2")
            }
            5 => format!(
                "{at} web sshd[7]: message repeated 3 times: [ Failed password for root from {ip} port 4 ssh2]"
            ),
            6 => format!("{at} web sshd[7]: Invalid user {user} from {ip}"),
            7 => format!("{at} web sshd[7]: Accepted password for bob from {ip} port 4 ssh2"),
            8 => format!("{at} web CRON[7]: (root) CMD (true)"),
            9 => format!(
                "{at} web sudo:  bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/cat /etc/shadow\r"
            ),
            10 => format!("no stamp, sshd[7]: Failed password for root from {ip} port 4 ssh2"),
            11 => format!(
                "{ip} - - [10/Oct/2025:13:{:02}:36 +0200] \"GET /.env?{} HTTP/1.1\" 404 5 \"-\" \"-\"",
                dice.below(60),
                dice.below(9)
            ),
            12 => format!(
                "2025-06-{:02}T10:{:02}:00.123456+02:00 web sshd[7]: Failed password for root from {ip} port 4 ssh2",
                dice.below(28) + 1,
                dice.below(60)
            ),
            13 => "{\"time\":\"2025-05-01T10:00:00Z\",\"a\":1}".to_string(),
            14 if dice.below(50) == 0 => "x".repeat(70_000),
            _ => "\u{fffd}\0 garbage".to_string(),
        };
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    // Without a line end: with a checkpoint it is left for next time.
    text.extend_from_slice(
        b"Dec 30 10:00:00 web sshd[7]: Failed password for root from 192.0.2.99 port 4",
    );
    text
}

fn options(way: (usize, usize)) -> SweepOptions {
    SweepOptions { jobs: way.0, part_bytes: way.1, observe: true, ..SweepOptions::new(NOW) }
}

fn told(outcome: &SweepOutcome) -> String {
    format!("{outcome:#?}")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn threads_and_parts_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("var/log");
    std::fs::create_dir_all(log.join("nginx")).unwrap();
    std::fs::write(log.join("auth.log.2.gz"), gzip(&mixed_log(1, 900))).unwrap();
    std::fs::write(log.join("auth.log.1"), mixed_log(2, 2000)).unwrap();
    std::fs::write(log.join("auth.log"), mixed_log(3, 2500)).unwrap();
    // The same events in a second log.
    let again = [&b"first line of another file\n"[..], &mixed_log(3, 2500)].concat();
    std::fs::write(log.join("syslog"), again).unwrap();
    std::fs::write(log.join("nginx/access.log"), mixed_log(4, 800)).unwrap();
    let rules = content::rules();
    let once = |way| {
        let tree = RootedTree::open(dir.path()).unwrap();
        let mut state = Checkpoint::new();
        let options = options(way);
        let plain = sweep(&tree, source::discover(&tree), None, &rules, &options, None);
        let kept = sweep(&tree, source::discover(&tree), None, &rules, &options, Some(&mut state));
        assert_eq!(plain.summary.lines, kept.summary.lines + 4, "{way:?}");
        [told(&plain), told(&kept), String::from_utf8(state.to_json()).unwrap()]
    };
    let first = once(WAYS[0]);
    assert!(first[0].contains("ssh-brute-force"));
    for way in &WAYS[1..] {
        let result = once(*way);
        for (one, other) in result.iter().zip(&first) {
            same(one, other, *way);
        }
    }
}

/// Fails with the first line that differs.
fn same(one: &str, other: &str, way: (usize, usize)) {
    let differing = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(one == other, "{way:?}: {differing:?}");
}

#[test]
fn what_is_appended_is_judged_alike_whoever_reads_it() {
    let rules = content::rules();
    let once = |way| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text = mixed_log(5, 3000);
        let mut state = Checkpoint::new();
        let mut all = String::new();
        for end in [text.len() / 3, text.len() / 2, text.len() / 2 + 10, text.len()] {
            std::fs::write(&path, &text[..end]).unwrap();
            let tree = RootedTree::open(dir.path()).unwrap();
            let found = source::named(&tree, &["/log".into()]);
            let outcome = sweep(&tree, found, None, &rules, &options(way), Some(&mut state));
            state = Checkpoint::from_json(&state.to_json()).unwrap();
            writeln!(all, "{}", told(&outcome)).unwrap();
        }
        all
    };
    let first = once(WAYS[0]);
    for way in &WAYS[1..] {
        same(&once(*way), &first, *way);
    }
}

#[test]
fn recorded_logs_give_one_result_too() {
    let rules = content::rules();
    for name in ["loghub/OpenSSH_2k.log", "loghub/Apache_2k.log", "web/acunetix.txt"] {
        let Some(path) = corpus(name) else { return };
        let once = |way| {
            let tree = RootedTree::open(Path::new("/")).unwrap();
            let found = source::named(&tree, std::slice::from_ref(&path));
            told(&sweep(&tree, found, None, &rules, &options(way), None))
        };
        let first = once(WAYS[0]);
        for way in &WAYS[1..] {
            same(&once(*way), &first, *way);
        }
    }
}
