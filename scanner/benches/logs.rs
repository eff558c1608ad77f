//! Log sweeps: `cargo bench -p scanner`. Text is generated here; figures beside other programs are
//! taken by `cargo xtask figures logs`.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use parsers::map::Source;
use scanner::RootedTree;
use scanner::logs::literals::Literals;
use scanner::logs::{SweepOptions, abreast, content, source, sweep};

fn main() {
    divan::main();
}

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

/// An auth log as servers write it: logins, cron, sudo, a firewall, systemd, and some attacks.
fn auth_log(bytes: usize) -> String {
    let mut seed = 7_u64;
    let mut below = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let mut text = String::with_capacity(bytes + 300);
    let mut second = 0_u64;
    while text.len() < bytes {
        second += below(4);
        let (day, rest) = (second / 86_400 % 28 + 1, second % 86_400);
        let (pid, port) = (below(60_000), 1024 + below(60_000));
        let ip = format!("{}.{}.{}.7", 5 + below(200), below(8), below(4));
        write!(text, "Jun {day:2} {:02}:{:02}:{:02} web ", rest / 3600, rest / 60 % 60, rest % 60)
            .unwrap();
        match below(100) {
            0..12 => writeln!(text, "sshd[{pid}]: Accepted publickey for bob from 10.0.0.{} port {port} ssh2: ED25519 SHA256:AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/abcde", below(200)),
            12..22 => writeln!(text, "sshd[{pid}]: pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)"),
            22..30 => writeln!(text, "sshd[{pid}]: pam_unix(sshd:session): session closed for user bob"),
            30..42 => writeln!(text, "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            42..52 => writeln!(text, "CRON[{pid}]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)"),
            52..62 => writeln!(text, "CRON[{pid}]: pam_unix(cron:session): session closed for user root"),
            62..72 => writeln!(text, "sudo:   bob : TTY=pts/1 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx"),
            72..84 => writeln!(text, "kernel: [{pid}.000001] [UFW BLOCK] IN=eth0 OUT= MAC=02:42:ac:11:00:02:02:42:ac:11:00:01:08:00 SRC={ip} DST=10.0.0.5 LEN=40 TOS=0x00 PREC=0x00 TTL=99 ID={pid} PROTO=TCP SPT={port} DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0"),
            84..97 => writeln!(text, "systemd[1]: logrotate.service: Deactivated successfully."),
            97 => writeln!(text, "sshd[{pid}]: Invalid user admin from {ip} port {port}"),
            _ => writeln!(text, "sshd[{pid}]: Failed password for root from {ip} port {port} ssh2"),
        }
        .unwrap();
    }
    text
}

fn file(text: &str) -> (tempfile::TempDir, u64) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create(dir.path().join("log")).unwrap().write_all(text.as_bytes()).unwrap();
    (dir, text.len() as u64)
}

fn log(dir: &Path, bytes: u64) -> Source {
    Source::new(std::fs::File::open(dir.join("log")).unwrap(), bytes).unwrap()
}

#[divan::bench(args = [1, 2])]
fn lines_counted(bencher: Bencher, jobs: usize) {
    let (dir, bytes) = file(&auth_log(64 << 20));
    let log = log(dir.path(), bytes);
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| abreast::count_lines(&log, black_box(jobs)).unwrap());
}

#[divan::bench(args = [20, 200, 2000])]
fn texts_found(bencher: Bencher, count: usize) {
    let text = auth_log(4 << 20);
    let words: Vec<String> = (0..count).map(|n| format!("rare {n:05} word")).collect();
    let literals = Literals::new(words.iter().map(String::as_bytes));
    let mut found = Vec::new();
    bencher.counter(BytesCount::new(text.len())).bench_local(|| {
        found.clear();
        literals.find(black_box(text.as_bytes()), &mut found);
    });
}

#[divan::bench(args = [(1, 1), (1, 10), (2, 1), (2, 10), (2, 100)], sample_count = 5)]
fn swept_with_own_rules(bencher: Bencher, (jobs, megabytes): (usize, usize)) {
    let (dir, bytes) = file(&auth_log(megabytes << 20));
    let rules = content::rules();
    let tree = RootedTree::open(dir.path()).unwrap();
    let options = SweepOptions { jobs, ..SweepOptions::new(NOW) };
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let found = source::named(&tree, &["/log".into()]);
        sweep(&tree, found, None, &rules, &options, None)
    });
}

/// A million addresses, each with one failed login.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn windows_of_a_million_addresses(bencher: Bencher) {
    let mut text = String::new();
    for n in 0..1_000_000_u32 {
        let [a, b, c, d] = (0x0b00_0000 + n).to_be_bytes();
        let (minute, second) = (n / 60 % 60, n % 60);
        writeln!(text, "Jun  1 00:{minute:02}:{second:02} web sshd[1]: Failed password for root from {a}.{b}.{c}.{d} port 4 ssh2").unwrap();
    }
    let (dir, _) = file(&text);
    drop(text);
    let rules = content::rules();
    let tree = RootedTree::open(dir.path()).unwrap();
    let options = SweepOptions { jobs: 2, ..SweepOptions::new(NOW) };
    bencher.counter(ItemsCount::new(1_000_000_u32)).bench_local(|| {
        let found = source::named(&tree, &["/log".into()]);
        sweep(&tree, found, None, &rules, &options, None)
    });
}
