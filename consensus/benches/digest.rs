//! 100 lines of 10 words, of 12 templates and with three cited, cut to 100 words.
//!
//! Run with `cargo bench -p consensus --bench digest`.

use consensus::digest::{Budget, Digest, Line};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench]
fn a_thousand_tokens_to_a_hundred(bencher: Bencher) {
    let texts: Vec<String> = (0..100)
        .map(|n| format!("Nov 21 08:36:{:02} sshd[{n}]: template {} for user{n}", n % 60, n % 12))
        .map(|text| format!("{text} from 192.0.2.{}", text.len()))
        .collect();
    assert_eq!(texts.iter().map(|text| text.split_whitespace().count()).sum::<usize>(), 1000);
    let lines: Vec<Line<'_>> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| Line {
            text,
            at: 1_700_000_000 + n as i64 * 7,
            template: (n * n % 12) as u32,
            relevance: (n * 37 % 1000) as u16,
            cited: n % 40 == 9,
        })
        .collect();
    let budget = Budget { tokens: 100, half_life: 300 };
    assert_eq!(Digest::of(&lines, budget).map(|digest| digest.tokens), Ok(100));
    bencher.bench_local(|| Digest::of(black_box(&lines), budget));
}
