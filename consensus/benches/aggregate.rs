//! Aggregating 20 experts' texts of 10 to 500 words about one case, in bytes of text a second, with
//! the standard library's splitter and map as the peer; and a batch of cases on one and two threads.
//!
//! Run with `cargo bench -p consensus --bench aggregate`.

use std::collections::HashMap;

use consensus::aggregate::{Aggregate, of_cases};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const EXPERTS: u64 = 20;
const CASES: u64 = 2000;

/// A text an expert, from a vocabulary of 300 words of 4 to 9 letters.
fn texts(case: u64, words: u64) -> Vec<String> {
    let mut state = case + 1;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut letter = || char::from(b'a' + draw(26) as u8);
    let vocabulary: Vec<String> =
        (0..300).map(|word| (0..4 + word % 6).map(|_| letter()).collect()).collect();
    let word = |expert: u64, at: u64| {
        vocabulary[((expert * 7919 + at * at * 31 + at * expert) % 300) as usize].as_str()
    };
    (0..EXPERTS)
        .map(|expert| (0..words).map(|at| word(expert, at)).collect::<Vec<_>>().join(" "))
        .collect()
}

fn bytes(texts: &[String]) -> BytesCount {
    BytesCount::new(texts.iter().map(String::len).sum::<usize>())
}

#[divan::bench(args = [10, 50, 100, 500])]
fn texts_of_words(bencher: Bencher, words: u64) {
    let texts = texts(0, words);
    let slices: Vec<&str> = texts.iter().map(String::as_str).collect();
    bencher.counter(bytes(&texts)).bench_local(|| Aggregate::of(black_box(&slices)));
}

/// The peer: counts and sets of experts (as bits) in the standard map, ASCII capitals folded.
#[divan::bench(args = [10, 50, 100, 500])]
fn std_hash_map_texts_of_words(bencher: Bencher, words: u64) {
    let texts = texts(0, words);
    bencher.counter(bytes(&texts)).bench_local(|| {
        let mut counts: HashMap<String, (u32, u64)> = HashMap::new();
        for (expert, text) in black_box(&texts).iter().enumerate() {
            for word in text.split_ascii_whitespace() {
                let entry = counts.entry(word.to_ascii_lowercase()).or_default();
                entry.0 += 1;
                entry.1 |= 1 << expert;
            }
        }
        counts
    });
}

#[divan::bench(args = [1, 2])]
fn batch_of_2000_cases_on_threads(bencher: Bencher, threads: usize) {
    let cases: Vec<Vec<String>> = (0..CASES).map(|case| texts(case, 100)).collect();
    let slices: Vec<Vec<&str>> =
        cases.iter().map(|case| case.iter().map(String::as_str).collect()).collect();
    let total: usize = cases.iter().flatten().map(String::len).sum();
    bencher
        .counter(BytesCount::new(total))
        .bench_local(|| of_cases(black_box(&slices), threads).len());
}
