//! Features of sequences with 10 to 200 different names: each name once, and each ten times.
//!
//! Run with `cargo bench -p consensus --bench patterns`.

use consensus::patterns::{Event, Patterns};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn bench(bencher: Bencher, names: usize, times: usize) {
    let texts: Vec<String> = (0..names).map(|n| format!("sshd: template {n}")).collect();
    let events: Vec<Event<'_>> = (0..names * times)
        .map(|n| Event {
            at: (n * 1000 + n * n % 977) as i64,
            name: &texts[if n < names { n } else { (n * 7919 + n * n * 31) % names }],
        })
        .collect();
    bencher.bench_local(|| Patterns::of(black_box(&events)));
}

#[divan::bench(args = [10, 50, 100, 200])]
fn names_once(bencher: Bencher, names: usize) {
    bench(bencher, names, 1);
}

#[divan::bench(args = [10, 50, 100, 200])]
fn names_ten_times(bencher: Bencher, names: usize) {
    bench(bencher, names, 10);
}
