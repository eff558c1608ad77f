//! A scan of all 65,535 ports of one loopback address with 1,000 listeners, beside the bare loop of
//! system calls and the programs that administrators have, in one process and one run.
//!
//! `cargo bench -p scanner --bench ports`; `cargo xtask figures ports` builds what it needs first. Each
//! contender runs in turn, several rounds; medians. The bare loop is the bound: one bound socket a
//! thread, two connects a port, a reset and a new socket after an open one. Programs are told the same
//! address; a program that is not installed is said, never guessed. Listeners never accept: their
//! queues hold all rounds.

// A benchmark may panic as a test does.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use scanner::ports::connect::own::{self, Manner};
use scanner::ports::connect::{Limits, State, Watch};

/// The address that is scanned: nobody else uses it.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 90, 1, 1);
const OPEN: usize = 1000;
const ROUNDS: usize = 7;
/// Ports that a thread of the bare loop takes at a time.
const CHUNK: usize = 256;
/// More connections than all rounds make.
const BACKLOG: i32 = 4096;
/// Programs that take seconds run fewer rounds.
const ROUNDS_OF_PROGRAMS: usize = 3;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|word| word == "--test") {
        return;
    }
    scanner::ports::connect::descriptors::raise();
    let held = listeners();
    println!("{} listeners on {ADDRESS}, all 65,535 ports, medians of {ROUNDS} rounds", held.len());
    let bound = measure_loops();
    measure_programs(bound);
    measure_open_services(&held);
    measure_many_hosts();
}

fn listeners() -> Vec<TcpListener> {
    let mut made = Vec::new();
    for nth in 0.. {
        if made.len() == OPEN {
            break;
        }
        let port = 1024 + (nth * 31) % 64_000;
        if let Ok(listener) = TcpListener::bind((ADDRESS, u16::try_from(port).unwrap())) {
            rustix::net::listen(&listener, BACKLOG).unwrap();
            made.push(listener);
        }
    }
    made
}

/// Seconds of the bare loop with one and two threads.
fn measure_loops() -> [f64; 2] {
    let mut medians = [0.0; 2];
    for (index, threads) in [1, 2].into_iter().enumerate() {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(timed(|| assert!(bare_loop(threads) >= OPEN)));
            ours.push(timed(|| assert!(scan(threads) >= OPEN)));
        }
        let (bare, ours) = (median(bare), median(ours));
        println!("bare loop, {threads} thread(s)\t{bare:.3} s");
        println!(
            "own::scan, {threads} thread(s)\t{ours:.3} s\t{:.2}x of the bare loop",
            ours / bare
        );
        medians[index] = ours;
    }
    medians
}

fn timed(run: impl FnOnce()) -> f64 {
    let since = Instant::now();
    run();
    since.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn scan(threads: usize) -> usize {
    let ports: Vec<u16> = (1..=u16::MAX).collect();
    let mut states = vec![State::NotProbed; ports.len()];
    let manner = Manner { threads: Some(threads), way: None };
    own::scan_rest(
        IpAddr::V4(ADDRESS),
        &ports,
        &Limits::default(),
        manner,
        &Watch::default(),
        &mut states,
    );
    states.iter().filter(|state| matches!(state, State::Open(_))).count()
}

/// How many ports a loop finds open that does nothing else.
fn bare_loop(threads: usize) -> usize {
    let (next, open) = (AtomicUsize::new(1), AtomicUsize::new(0));
    let fresh = |nth: u16| {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let family = AddressFamily::INET;
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
                .unwrap();
        // By number: a port that the kernel chose does not stay with the socket after a refusal.
        let from = SocketAddr::from((Ipv4Addr::new(127, 77, 2, 1), 20_000 + nth));
        rustix::net::bind(&socket, &from).unwrap();
        socket
    };
    std::thread::scope(|scope| {
        for nth in 0..threads {
            let (next, open, fresh) = (&next, &open, &fresh);
            scope.spawn(move || {
                let first = u16::try_from(nth).unwrap();
                let mut socket = fresh(first);
                loop {
                    let start = next.fetch_add(CHUNK, Ordering::Relaxed);
                    let end = (start + CHUNK).min(usize::from(u16::MAX) + 1);
                    if start >= end {
                        return;
                    }
                    for port in start..end {
                        let port = u16::try_from(port).unwrap();
                        let target = SocketAddr::from((ADDRESS, port));
                        let mut said = rustix::net::connect(&socket, &target);
                        if said == Err(Errno::INPROGRESS) {
                            said = rustix::net::connect(&socket, &target);
                        }
                        if said != Err(Errno::CONNREFUSED) {
                            open.fetch_add(1, Ordering::Relaxed);
                            rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))
                                .unwrap();
                            drop(socket);
                            socket = fresh(first);
                        }
                    }
                }
            });
        }
    });
    open.into_inner()
}

/// Whole processes, wardmote among them.
fn measure_programs(bound: [f64; 2]) {
    let wardmote = std::env::var("WARDMOTE_PROGRAM").unwrap_or("target/release/wardmote".into());
    let rustscan = std::env::var("WARDMOTE_RUSTSCAN").unwrap_or("rustscan".into());
    let address = ADDRESS.to_string();
    let tuned = "-sT -n -Pn -p- -T5 --min-parallelism 500 --max-retries 0";
    // The batch size that found most in least time on the machines that it was tried on.
    let batch = "-r 1-65535 -b 1000 -t 500 --ulimit 5000 -g --no-banner -a";
    let programs: [(&str, &str, &str, f64); 4] = [
        ("wardmote", &wardmote, "scan -p 1-65535", 1.0),
        ("nmap, tuned", "nmap", tuned, 3.3),
        ("nmap -T5", "nmap", "-sT -p- -T5", 6.5),
        ("rustscan", &rustscan, batch, 9.0),
    ];
    let mut ours = bound[1];
    for (name, program, words, bar) in programs {
        let mut seconds = Vec::new();
        for _ in 0..ROUNDS_OF_PROGRAMS {
            let mut command = Command::new(program);
            command.args(words.split(' ')).arg(&address).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let since = Instant::now();
            match command.status() {
                Ok(status) if status.success() => seconds.push(since.elapsed().as_secs_f64()),
                Ok(status) => println!("{name}\tended with {status}"),
                Err(error) => println!("{name}\tnot measured: {program}: {error}"),
            }
        }
        if seconds.is_empty() {
            continue;
        }
        let took = median(seconds);
        if name == "wardmote" {
            ours = took;
            println!("wardmote scan, whole process\t{took:.3} s");
        } else {
            println!("{name}\t{took:.3} s\t{:.1}x slower (the bar is {bar})", took / ours);
        }
    }
}

/// The open ports alone, as the published reference has them: 18 ms one after the other, 5 ms in
/// parallel.
fn measure_open_services(held: &[TcpListener]) {
    let ports: Vec<u16> = held.iter().map(|one| one.local_addr().unwrap().port()).collect();
    for (threads, reference) in [(1, 18), (2, 5)] {
        let mut seconds = Vec::new();
        for _ in 0..ROUNDS {
            let mut states = vec![State::NotProbed; ports.len()];
            let manner = Manner { threads: Some(threads), way: None };
            seconds.push(timed(|| {
                own::scan_rest(
                    IpAddr::V4(ADDRESS),
                    &ports,
                    &Limits::default(),
                    manner,
                    &Watch::default(),
                    &mut states,
                );
            }));
            assert!(states.iter().all(|state| matches!(state, State::Open(_))));
        }
        println!(
            "{OPEN} open services, {threads} thread(s)\t{:.1} ms\t(published reference: {reference} ms)",
            median(seconds) * 1e3
        );
    }
}

/// 200 hosts with 30 ports each, all on loopback and closed: what a scan costs beside its ports.
fn measure_many_hosts() {
    let wardmote = std::env::var("WARDMOTE_PROGRAM").unwrap_or("target/release/wardmote".into());
    let words = "-sT -n -Pn -T5 -p 1-30 127.91.0.1-200";
    let mut medians = Vec::new();
    for (program, words) in [(&*wardmote, "scan -p 1-30 127.91.0.1-200"), ("nmap", words)] {
        let mut seconds = Vec::new();
        for _ in 0..ROUNDS {
            let mut command = Command::new(program);
            command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::null());
            let since = Instant::now();
            match command.stderr(Stdio::null()).status() {
                Ok(status) if status.success() => seconds.push(since.elapsed().as_secs_f64()),
                Ok(status) => println!("{program} {words}\tended with {status}"),
                Err(error) => println!("{program} {words}\tnot measured: {error}"),
            }
        }
        if !seconds.is_empty() {
            medians.push(median(seconds));
            println!("200 hosts x 30 ports, {program}\t{:.3} s", medians[medians.len() - 1]);
        }
    }
}
