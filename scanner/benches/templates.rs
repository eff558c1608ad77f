//! Templates of an auth log as servers write it: counting a part, and taking it into what is known.
//!
//! Run with `cargo bench -p scanner --bench templates`. The text is made here: logins, refusals,
//! sessions, cron, sudo and a firewall, in about the shares that a busy host has.

use std::fmt::Write;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use scanner::logs::templates::census::Counter;
use scanner::logs::templates::{Census, Known};

fn main() {
    divan::main();
}

/// Lines of the text.
const LINES: usize = 20_000;

fn made(lines: usize) -> String {
    let mut text = String::new();
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let users = ["alice", "bob", "root", "deploy", "jenkins", "www-data", "erin", "frank"];
    for line in 0..lines {
        let (second, pid) = (line / 4, random(60_000));
        let (user, port) = (users[random(8) as usize], 1024 + random(60_000));
        let ip = format!("{}.{}.{}.{}", 11 + random(200), random(256), random(256), random(256));
        let _ = write!(
            text,
            "Jun {:2} {:02}:{:02}:{:02} web{:02} ",
            1 + second / 86_400,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            1 + random(4)
        );
        let _ = match random(16) {
            0..3 => {
                writeln!(text, "sshd[{pid}]: Failed password for {user} from {ip} port {port} ssh2")
            }
            3 => writeln!(
                text,
                "sshd[{pid}]: Failed password for invalid user u{pid} from {ip} port {port} ssh2"
            ),
            4 => writeln!(
                text,
                "sshd[{pid}]: Accepted publickey for {user} from {ip} port {port} ssh2: ED25519 SHA256:1L9egjdy9Vpupp2/r8OdUBfESMWebwghKIeyd8DTO3f"
            ),
            5 => writeln!(
                text,
                "sshd[{pid}]: pam_unix(sshd:session): session closed for user {user}"
            ),
            6..9 => writeln!(
                text,
                "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
            ),
            9 => writeln!(
                text,
                "CRON[{pid}]: (root) CMD (/usr/local/bin/backup.sh --incremental >/dev/null 2>&1)"
            ),
            10 => writeln!(
                text,
                "sudo:   {user} : TTY=pts/{} ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/apt-get update",
                random(9)
            ),
            11 => writeln!(text, "systemd[1]: Starting man-db.service - periodic job..."),
            12 => writeln!(text, "systemd-logind[612]: New session {pid} of user {user}."),
            13 => writeln!(
                text,
                "sshd[{pid}]: Received disconnect from {ip} port {port}:11: disconnected by user"
            ),
            _ => writeln!(
                text,
                "kernel: [{pid}.979334] [UFW BLOCK] IN=eth0 OUT= MAC=02:42:ac:11:00:02:02:42:ac:11:00:01:08:00 SRC={ip} DST=10.0.0.25 LEN=52 TOS=0x00 PREC=0x00 TTL=98 ID={pid} PROTO=TCP SPT={port} DPT=5900 WINDOW=1024 RES=0x00 SYN URGP=0"
            ),
        };
    }
    text
}

/// Counting the lines of a part.
#[divan::bench]
fn census(bencher: Bencher) {
    let text = made(LINES);
    bencher
        .counter(ItemsCount::new(LINES))
        .counter(BytesCount::new(text.len()))
        .bench_local(|| Census::of_part(black_box(text.as_bytes()), 0));
}

/// Finding the templates of a part that are known already.
#[divan::bench]
fn known(bencher: Bencher) {
    let text = made(LINES);
    let census = Census::of_part(text.as_bytes(), 0);
    let mut known = Known::default();
    let mut place = |census: &Census| -> usize {
        let found = census.shapes.iter().filter_map(|shape| {
            let program = known.program(&census.programs[shape.program as usize]);
            known.place(program, shape)
        });
        found.count()
    };
    place(&census);
    bencher.bench_local(|| place(black_box(&census)));
}

/// A log whose every line is a message that nobody saw before.
#[divan::bench]
fn only_new_messages(bencher: Bencher) {
    let mut text = String::new();
    for line in 0..LINES {
        let letter = |shift: usize| char::from(b'a' + (line >> shift) as u8 % 16);
        let (a, b, c, d) = (letter(0), letter(4), letter(8), letter(12));
        let _ = writeln!(text, "Jun  1 00:00:00 h prog: w{a}x v{b}y u{c}z t{d}w and more words");
    }
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let mut counter = Counter::default();
        counter.part(black_box(text.as_bytes()), 0);
        let census = counter.finish();
        let mut known = Known::default();
        let program = known.program("prog");
        census.shapes.iter().filter(|shape| known.place(program, shape).is_some()).count()
    });
}

/// Making seconds since the epoch of stamps that follow each other, in a zone with daylight saving.
#[divan::bench]
fn clock(bencher: Bencher) {
    let text = made(LINES);
    let stamps: Vec<_> =
        text.lines().filter_map(|line| parsers::log::syslog::stamp(line.as_bytes())).collect();
    let zone =
        jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(jiff::tz::TimeZone::UTC);
    bencher.counter(ItemsCount::new(stamps.len())).bench_local(|| {
        let mut clock = parsers::time::Clock::new(zone.clone(), 2024);
        stamps
            .iter()
            .filter_map(|(stamp, _)| clock.resolve(black_box(*stamp)))
            .fold(0, i64::wrapping_add)
    });
}
