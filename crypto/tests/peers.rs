//! The peers: PyPI's `cryptography` (50 or newer) seals, opens and hashes the same things, and PyPI's
//! `argon2-cffi` (the reference program's code) hashes and verifies.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::io::Write;
use std::process::{Command, Stdio};

use crypto::password::Hasher;
use crypto::phc::{Cost, Variant};
use crypto::seal::{CHUNK_BYTES, Key, Lock, open, seal};

const CONTEXT: &[u8] = b"host 7, report";
const KEY: [u8; 32] = *b"an example key of 32 bytes, yes!";

/// Runs a Python script with bytes on stdin; `None` (and one line) where the peer is not installed.
fn python(script: &str, input: &[u8]) -> Option<Vec<u8>> {
    python_with("cryptography.cobblestone", "cryptography >= 50", script, input)
}

/// The same with a module of a package of PyPI.
fn python_with(module: &str, package: &str, script: &str, input: &[u8]) -> Option<Vec<u8>> {
    let has = Command::new("python3")
        .args(["-c", &format!("import {module}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has {
        let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
        assert!(!required, "python3 with {package} is required and absent");
        eprintln!("SKIPPED: no python3 with {package} (pip install '{package}')");
        return None;
    }
    let mut child = Command::new("python3")
        .args([
            "-c",
            &format!("import sys\nI = sys.stdin.buffer.read()\nO = sys.stdout.buffer\n{script}"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

fn key() -> Key {
    Key::from_file_bytes(&KEY).unwrap()
}

fn lengths() -> [usize; 8] {
    let chunk = CHUNK_BYTES;
    [0, 1, 1000, chunk - 1, chunk, chunk + 1, 5 * chunk, 300 * chunk + 17]
}

fn plain(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn what_we_seal_the_peer_opens() {
    for length in lengths() {
        let mut sealed = Vec::new();
        seal(&key(), &[length as u8; 24], CONTEXT, &*plain(length), &mut sealed).unwrap();
        let script = "from cryptography.cobblestone import Cobblestone256Decryptor as D\n\
             d = D(b'an example key of 32 bytes, yes!', b'host 7, report')\n\
             O.write(d.update(I) + d.finalize())";
        let Some(opened) = python(script, &sealed) else { return };
        assert!(opened == plain(length), "{length} bytes");
    }
}

#[test]
fn what_the_peer_seals_we_open() {
    for length in lengths() {
        let script = "from cryptography.cobblestone import Cobblestone256Encryptor as E\n\
             e = E(b'an example key of 32 bytes, yes!', b'host 7, report')\n\
             O.write(e.update(I) + e.finalize())";
        let Some(sealed) = python(script, &plain(length)) else { return };
        let mut opened = Vec::new();
        open(&key(), CONTEXT, &*sealed, &mut opened).unwrap();
        assert!(opened == plain(length), "{length} bytes");
        assert!(open(&key(), b"other", &*sealed, std::io::sink()).is_err());
    }
}

#[test]
fn a_passphrase_file_can_be_opened_with_the_peer_alone() {
    let lock = Lock::new([7; 16]);
    let mut file = lock.encode().to_vec();
    seal(&lock.key(b"correct horse").unwrap(), &[1; 24], b"", &b"hello"[..], &mut file).unwrap();
    let script = "from cryptography.cobblestone import Cobblestone256Decryptor as D\n\
         from cryptography.hazmat.primitives.kdf.argon2 import Argon2id\n\
         import struct\n\
         magic, version, p, t, m, salt = struct.unpack('>8sBBHI16s', I[:32])\n\
         assert (magic, version, p, t, m) == (b'WARDSEAL', 1, 4, 3, 65536)\n\
         k = Argon2id(salt=salt, length=32, iterations=t, lanes=p, memory_cost=m).derive(b'correct horse')\n\
         d = D(k, b'')\n\
         O.write(d.update(I[32:]) + d.finalize())";
    let Some(opened) = python(script, &file) else { return };
    assert_eq!(opened, b"hello");
}

#[test]
fn hashes_agree_with_the_peer() {
    let mut hasher = Hasher::new();
    for (memory, time, lanes) in [(64, 1, 1), (256, 3, 4), (19_456, 2, 1)] {
        let cost = Cost::new(memory, time, lanes).unwrap();
        let phc =
            hasher.hash(Variant::Id, cost, b"p\xc3\xa4ss\0word", &[9; 16]).unwrap().to_string();
        let script = "from cryptography.hazmat.primitives.kdf.argon2 import Argon2id\n\
             Argon2id.verify_phc_encoded(b'p\\xc3\\xa4ss\\x00word', I.decode())\n\
             O.write(b'ok')";
        let Some(answer) = python(script, phc.as_bytes()) else { return };
        assert_eq!(answer, b"ok");
    }
}

#[test]
fn argon2_cffi_verifies_what_we_hash_and_we_verify_what_it_hashes() {
    let package = "argon2-cffi";
    let mut hasher = Hasher::new();
    let costs = [(8, 1, 1), (64, 1, 1), (100, 2, 3), (256, 3, 4), (4096, 1, 1), (19_456, 2, 1)];
    for (variant, name) in [(Variant::Id, "ID"), (Variant::I, "I"), (Variant::D, "D")] {
        let mut ours = String::new();
        for (memory, time, lanes) in costs {
            let cost = Cost::new(memory, time, lanes).unwrap();
            let phc = hasher.hash(variant, cost, b"p\xc3\xa4ss\0word", &[9; 16]).unwrap();
            ours += &format!("{phc}\n");
        }
        let script = format!(
            "from argon2.low_level import Type, hash_secret, verify_secret\n\
             W = b'p\\xc3\\xa4ss\\x00word'\n\
             for phc in I.split():\n\
             \x20   assert verify_secret(phc, W, Type.{name})\n\
             for (m, t, p) in {costs:?}:\n\
             \x20   for v in (0x13, 0x10):\n\
             \x20       h = hash_secret(W, b'another salt here', t, m, p, 32, Type.{name}, version=v)\n\
             \x20       O.write(h + b'\\n')"
        );
        let answer = python_with("argon2.low_level", package, &script, ours.as_bytes());
        let Some(theirs) = answer else { return };
        let theirs = String::from_utf8(theirs).unwrap();
        assert_eq!(theirs.lines().count(), 2 * costs.len());
        for phc in theirs.lines() {
            assert!(hasher.verify(phc, b"p\xc3\xa4ss\0word").unwrap(), "{phc}");
            assert!(!hasher.verify(phc, b"p\xc3\xa4ss\0worD").unwrap(), "{phc}");
        }
    }
}
