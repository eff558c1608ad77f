//! `cargo bench -p crypto --bench peers`: ours and the peers in turn, medians, and the ratio.
//!
//! The peers: OpenSSL and the Argon2 reference code through PyPI's `cryptography` and `argon2-cffi`, ring and
//! RustCrypto's aes-gcm in this process, and `age` and `rage` (`WARDMOTE_RAGE` names another place of the latter). One that is not
//! installed is said, never guessed. `WARDMOTE_ROUNDS` says how often each runs (5).

#![allow(clippy::unwrap_used)] // a benchmark may panic as a test does

mod files;
mod python;

use std::hint::black_box;
use std::io;
use std::time::Instant;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce};
use crypto::mac::Key as MacKey;
use crypto::password::{Plan, hash_lines};
use crypto::phc::{Cost, Variant};

fn main() {
    println!("{:<44} {:>9}  {:<26} {:>9} {:>7}", "figure", "ours ms", "peer", "ms", "ratio");
    argon2(Cost::new(4096, 1, 1).unwrap(), "argon2id 4 MiB t=1 p=1", 100);
    argon2(Cost::OWASP, "argon2id 19 MiB t=2 p=1 (OWASP)", 100);
    argon2(Cost::RFC9106, "argon2id 64 MiB t=3 p=4 (RFC 9106)", 20);
    aes(64);
    aes(1024);
    hmac(256);
    files::seal_and_open();
}

fn rounds() -> usize {
    std::env::var("WARDMOTE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Milliseconds that something takes.
fn time(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// One way of doing a thing: what it is called, and how long it takes; `None` when it is not there.
type Way<'a> = (&'a str, Box<dyn FnMut() -> Option<f64> + 'a>);

/// Runs ours and the peers in turn and prints a row a peer.
fn beside(figure: &str, mut ours: impl FnMut() -> f64, mut peers: Vec<Way<'_>>) {
    let mut mine = Vec::new();
    let mut theirs = vec![Vec::new(); peers.len()];
    for _ in 0..rounds() {
        mine.push(ours());
        for ((_, peer), times) in peers.iter_mut().zip(&mut theirs) {
            times.extend(peer());
        }
    }
    let mine = median(mine);
    if peers.is_empty() {
        println!("{figure:<44} {mine:>9.3}");
    }
    for ((name, _), times) in peers.iter().zip(theirs) {
        match times.is_empty() {
            true => println!("{figure:<44} {mine:>9.3}  {name:<26} not installed"),
            false => {
                let peer = median(times);
                println!("{figure:<44} {mine:>9.3}  {name:<26} {peer:>9.3} {:>6.2}x", peer / mine);
            }
        }
    }
}

/// A batch on two threads, by the hash, and how much faster two threads are than one.
fn argon2(cost: Cost, name: &str, count: usize) {
    let input: Vec<u8> = (0..count).flat_map(|n| format!("password {n}\n").into_bytes()).collect();
    let batch = |workers: usize| {
        let plan = Plan { variant: Variant::Id, cost, workers };
        let input = io::Cursor::new(input.clone());
        let salts = || Ok([7; 16]);
        let sink = |phc: &str| {
            black_box(phc);
            Ok(())
        };
        let work = || assert_eq!(hash_lines(plan, input, salts, sink).unwrap(), count as u64);
        time(work) / count as f64
    };
    batch(2);
    let peers: Vec<Way<'_>> = vec![
        ("one thread of ours", Box::new(|| Some(batch(1)))),
        ("OpenSSL (cryptography)", Box::new(move || python::openssl(cost, count))),
        ("argon2-cffi", Box::new(move || python::argon2_cffi(cost, count))),
    ];
    beside(&format!("{name}, a hash of {count}"), || batch(2), peers);
}

/// 1,000 messages under one key, as the chunks of a sealed file are encrypted.
fn aes(bytes: usize) {
    let ours = ring::aead::UnboundKey::new(&ring::aead::AES_256_GCM, &[1; 32]).unwrap();
    let ours = ring::aead::LessSafeKey::new(ours);
    let other = Aes256Gcm::new(&[1; 32].into());
    let nonce = |number: u64| {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        nonce
    };
    let mut message = vec![7; bytes];
    let mut others = message.clone();
    let mut mine = || {
        time(|| {
            for number in 0..1000 {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce(number));
                let none = ring::aead::Aad::empty();
                let tag = ours.seal_in_place_separate_tag(nonce, none, &mut message);
                black_box(tag.unwrap().as_ref());
            }
        })
    };
    let theirs = || {
        Some(time(|| {
            for number in 0..1000 {
                let room = InOutBuf::from(&mut others[..]);
                let nonce = Nonce::from(nonce(number));
                black_box(other.encrypt_inout_detached(&nonce, b"", room).unwrap());
            }
        }))
    };
    let peers: Vec<Way<'_>> = vec![
        ("OpenSSL, context reused", Box::new(move || python::aes(bytes))),
        ("aes-gcm (RustCrypto)", Box::new(theirs)),
    ];
    mine();
    beside(&format!("AES-256-GCM, 1,000 of {bytes} bytes"), mine, peers);
}

/// 1,000 messages under one key.
fn hmac(bytes: usize) {
    let message = vec![7; bytes];
    let ours = MacKey::new(&[1; 32]);
    let ring = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[1; 32]);
    let mine = || {
        time(|| {
            for _ in 0..1000 {
                black_box(ours.of(black_box(&message)));
            }
        })
    };
    let theirs = || {
        Some(time(|| {
            for _ in 0..1000 {
                black_box(ring::hmac::sign(&ring, black_box(&message)).as_ref());
            }
        }))
    };
    mine();
    let figure = format!("HMAC-SHA-256, 1,000 of {bytes} bytes");
    beside(&figure, mine, vec![("ring", Box::new(theirs))]);
}
