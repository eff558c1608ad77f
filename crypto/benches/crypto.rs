//! `cargo bench -p crypto`: batches of password hashes, small seals, MACs, and one large stream.

#![allow(clippy::unwrap_used)] // a benchmark may panic as a test does

use std::io;

use crypto::mac::Key as MacKey;
use crypto::password::{Plan, hash_lines};
use crypto::phc::{Cost, Variant};
use crypto::seal::{Key, seal};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// 100 passwords at OWASP's cost (19 MiB, 2 passes, 1 lane).
#[divan::bench(args = [1, 2], sample_count = 5)]
fn argon2id_batch_of_100(bencher: Bencher, workers: usize) {
    let input: Vec<u8> = (0..100).flat_map(|n| format!("password {n}\n").into_bytes()).collect();
    let plan = Plan { variant: Variant::Id, cost: Cost::OWASP, workers };
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| {
        let input = io::Cursor::new(input.clone());
        hash_lines(
            plan,
            input,
            || Ok([7; 16]),
            |phc| {
                black_box(phc);
                Ok(())
            },
        )
        .unwrap()
    });
}

/// 1000 small messages, each sealed as a file of its own (key derivation included).
#[divan::bench(args = [64, 1024])]
fn seal_1000_messages(bencher: Bencher, bytes: usize) {
    let key = Key::from_file_bytes(&[1; 32]).unwrap();
    let message = vec![7; bytes];
    let mut out = Vec::with_capacity(2 * bytes + 200);
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        for number in 0..1000_u64 {
            let mut salt = [0; 24];
            salt[..8].copy_from_slice(&number.to_le_bytes());
            out.clear();
            seal(&key, &salt, b"", black_box(&*message), &mut out).unwrap();
        }
    });
}

/// One stream of 16 MiB.
#[divan::bench]
fn seal_a_stream(bencher: Bencher) {
    let key = Key::from_file_bytes(&[1; 32]).unwrap();
    let plain = vec![7; 16 << 20];
    bencher
        .counter(BytesCount::new(plain.len()))
        .bench_local(|| seal(&key, &[3; 24], b"", black_box(&*plain), io::sink()).unwrap());
}

/// 1000 messages of 256 bytes.
#[divan::bench]
fn hmac_1000_items(bencher: Bencher) {
    let key = MacKey::new(&[1; 32]);
    let message = [7; 256];
    bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
        for _ in 0..1000 {
            black_box(key.of(black_box(&message)));
        }
    });
}
