//! Reading a log of 100 MB in a warm cache: mapped or copied into blocks, on one and two threads, with
//! counting of line ends and with a search for eight literals as the work.
//!
//! Run with `cargo bench -p parsers --bench reading`. `WARDMOTE_BENCH_LOG` names the log; without it one
//! is made up.

#![allow(clippy::unwrap_used)] // a benchmark may panic

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use aho_corasick::AhoCorasick;
use divan::Bencher;
use divan::counter::BytesCount;
use parsers::map::{Mapped, Proof, Shared, Source};

fn main() {
    divan::main();
}

const KIB: u64 = 1 << 10;

/// Block sizes and threads.
const CASES: [(u64, u64); 6] = [(128, 1), (256, 1), (1024, 1), (128, 2), (256, 2), (1024, 2)];

#[derive(Clone, Copy)]
enum Work {
    Lines,
    Literals,
}

fn log() -> (File, u64) {
    let path = std::env::var_os("WARDMOTE_BENCH_LOG").map_or_else(made_up, PathBuf::from);
    let file = File::open(&path).unwrap();
    let end = file.metadata().unwrap().len();
    (file, end)
}

fn made_up() -> PathBuf {
    let path = std::env::temp_dir().join("wardmote-bench-reading.log");
    if path.metadata().is_ok_and(|facts| facts.len() >= 100_000_000) {
        return path;
    }
    let mut out = std::io::BufWriter::new(File::create(&path).unwrap());
    for at in 0..1_100_000_u32 {
        let (day, port) = (1 + at % 28, 1024 + at % 60_000);
        writeln!(out, "Dec {day:2} 06:55:46 web sshd[{at}]: Connection closed by 192.0.2.{} port {port} [preauth]", at % 256)
            .unwrap();
    }
    path
}

/// Goes through all parts with so many threads; the count keeps the work from being left out.
fn pass(source: &Source, part: u64, threads: u64, work: Work, finder: &AhoCorasick) -> u64 {
    let next = AtomicU64::new(0);
    let found = AtomicU64::new(0);
    let run = || {
        let mut buffer = Vec::new();
        loop {
            let at = next.fetch_add(part, Ordering::Relaxed);
            if at >= source.end() {
                return;
            }
            let block = source.lines_in(at..at + part, &mut buffer).unwrap();
            let count = match work {
                Work::Lines => bytecount(block.bytes),
                Work::Literals => finder.find_iter(block.bytes).count() as u64,
            };
            source.holds(&block).unwrap();
            found.fetch_add(count, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    found.into_inner()
}

fn bytecount(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn bench(bencher: Bencher, (kib, threads): (u64, u64), work: Work, open: fn(File, u64) -> Source) {
    let (file, end) = log();
    let words = [
        "Failed password",
        "Invalid user",
        "POSSIBLE BREAK-IN",
        "session opened for",
        "authentication failure",
        "Accepted ",
        "segfault",
        "sudo:",
    ];
    let finder = AhoCorasick::new(words).unwrap();
    bencher.counter(BytesCount::new(end)).bench_local(|| {
        let source = open(file.try_clone().unwrap(), end);
        pass(&source, kib * KIB, threads, work, &finder)
    });
}

fn mapped(file: File, end: u64) -> Source {
    let proof = Proof::new(&file, end).unwrap();
    Source::Mapped(Mapped::new(file, proof.into()).unwrap())
}

fn copied(file: File, end: u64) -> Source {
    Source::Copied(Shared::new(file, end))
}

#[divan::bench(args = CASES, sample_count = 20)]
fn lines_mapped(bencher: Bencher, case: (u64, u64)) {
    bench(bencher, case, Work::Lines, mapped);
}

#[divan::bench(args = CASES, sample_count = 20)]
fn lines_copied(bencher: Bencher, case: (u64, u64)) {
    bench(bencher, case, Work::Lines, copied);
}

#[divan::bench(args = CASES, sample_count = 20)]
fn literals_mapped(bencher: Bencher, case: (u64, u64)) {
    bench(bencher, case, Work::Literals, mapped);
}

#[divan::bench(args = CASES, sample_count = 20)]
fn literals_copied(bencher: Bencher, case: (u64, u64)) {
    bench(bencher, case, Work::Literals, copied);
}
