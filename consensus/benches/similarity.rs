//! How alike 20 texts of 100 words (about 750 characters) are: star (19 pairs) and all pairs (190),
//! over words and characters, with rapidfuzz on the same characters in the same run.
//!
//! Run with `cargo bench -p consensus --bench similarity`. Interning is measured by itself.

use std::collections::HashMap;

use consensus::similarity::{
    Vocabulary, characters, cosine_mean, cosine_pairs, cosine_star, jaccard_pairs, jaccard_star,
    levenshtein_pairs, levenshtein_star,
};
use divan::{Bencher, black_box};
use rapidfuzz::distance::levenshtein;

fn main() {
    divan::main();
}

const TEXTS: u64 = 20;
const WORDS: u64 = 100;

/// Different texts from one vocabulary of 300 words of 4 to 9 letters.
fn texts() -> Vec<String> {
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut letter = || char::from(b'a' + draw(26) as u8);
    let vocabulary: Vec<String> =
        (0..300).map(|word| (0..4 + word % 6).map(|_| letter()).collect()).collect();
    (0..TEXTS)
        .map(|text| {
            let word = |at: u64| {
                vocabulary[((text * 7919 + at * at * 31 + at * text) % 300) as usize].as_str()
            };
            (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn words() -> Vec<Vec<u32>> {
    let mut vocabulary = Vocabulary::default();
    texts().iter().map(|text| vocabulary.words(text).expect("short texts")).collect()
}

fn letters() -> Vec<Vec<u32>> {
    texts().iter().map(|text| characters(text).expect("short texts")).collect()
}

fn slices(texts: &[Vec<u32>]) -> Vec<&[u32]> {
    texts.iter().map(Vec::as_slice).collect()
}

#[divan::bench]
fn interning_words(bencher: Bencher) {
    let texts = texts();
    bencher.bench_local(|| {
        let mut vocabulary = Vocabulary::default();
        texts.iter().map(|text| vocabulary.words(black_box(text))).collect::<Vec<_>>()
    });
}

/// The naive peer of interning: the standard library's splitter and map.
#[divan::bench]
fn std_hash_map_interning_words(bencher: Bencher) {
    let texts = texts();
    bencher.bench_local(|| {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut symbols = Vec::new();
        for text in black_box(&texts) {
            let words = text.split_ascii_whitespace().map(|word| {
                let next = numbers.len() as u32;
                *numbers.entry(word).or_insert(next)
            });
            symbols.push(words.collect::<Vec<_>>());
        }
        symbols
    });
}

macro_rules! measure {
    ($($name:ident: $texts:ident, $run:expr;)*) => {$(
        #[divan::bench]
        fn $name(bencher: Bencher) {
            let texts = $texts();
            let texts = slices(&texts);
            bencher.bench_local(|| $run(black_box(&texts[..])));
        }
    )*};
}

measure! {
    cosine_all_pairs: words, |t: &[&[u32]]| cosine_pairs(t);
    cosine_star_of_19: words, |t: &[&[u32]]| cosine_star(t[0], &t[1..]);
    cosine_mean_of_all_pairs: words, |t: &[&[u32]]| cosine_mean(t);
    jaccard_all_pairs: words, |t: &[&[u32]]| jaccard_pairs(t);
    jaccard_star_of_19: words, |t: &[&[u32]]| jaccard_star(t[0], &t[1..]);
    levenshtein_words_all_pairs: words, |t: &[&[u32]]| levenshtein_pairs(t);
    levenshtein_words_star_of_19: words, |t: &[&[u32]]| levenshtein_star(t[0], &t[1..]);
    levenshtein_characters_all_pairs: letters, |t: &[&[u32]]| levenshtein_pairs(t);
    levenshtein_characters_star_of_19: letters, |t: &[&[u32]]| levenshtein_star(t[0], &t[1..]);
}

/// The peer, with its own cache of the pattern, on the bytes of the same (ASCII) texts.
#[divan::bench]
fn rapidfuzz_characters_all_pairs(bencher: Bencher) {
    let texts = texts();
    bencher.bench_local(|| {
        let mut sum = 0.0;
        for (high, text) in black_box(&texts).iter().enumerate() {
            let one = levenshtein::BatchComparator::new(text.bytes());
            sum +=
                texts[..high].iter().map(|two| one.normalized_similarity(two.bytes())).sum::<f64>();
        }
        sum
    });
}
