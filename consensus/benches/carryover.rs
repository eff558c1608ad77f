//! Carrying 8 lines and the counts of 12 templates over 3 to 20 chunks: merging the chunks' states,
//! and adding the chunks' lines (10 each).
//!
//! Run with `cargo bench -p consensus --bench carryover`.

use consensus::carryover::{CarryOver, Line, Rules};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const RULES: Rules = Rules { kept: 8, horizon: 3600 };
const LINES: u64 = 10;

fn chunk(number: u64) -> Vec<Line> {
    (number * LINES..(number + 1) * LINES)
        .map(|n| Line {
            offset: n * 80,
            at: 1_700_000_000 + n as i64 * 3,
            template: (n * n % 12) as u32,
            relevance: (n * 379 % 1000) as u16,
        })
        .collect()
}

#[divan::bench(args = [3, 5, 10, 20])]
fn states_of_chunks_merged(bencher: Bencher, chunks: u64) {
    let states: Vec<CarryOver> = (0..chunks)
        .map(|number| {
            let mut state = CarryOver::new(RULES);
            state.add(&chunk(number));
            state
        })
        .collect();
    bencher.bench_local(|| {
        let mut all = CarryOver::new(RULES);
        for state in black_box(&states) {
            let _ = all.merge(state); // all have the same rules
        }
        all
    });
}

#[divan::bench(args = [3, 5, 10, 20])]
fn lines_of_chunks_added(bencher: Bencher, chunks: u64) {
    let chunks: Vec<Vec<Line>> = (0..chunks).map(chunk).collect();
    bencher.bench_local(|| {
        let mut all = CarryOver::new(RULES);
        black_box(&chunks).iter().for_each(|chunk| all.add(chunk));
        all
    });
}
