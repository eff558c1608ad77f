//! The peers of PyPI: a process each, which measures itself and prints milliseconds.

use std::process::{Command, Stdio};

use crypto::phc::Cost;

/// `Argon2id` of `cryptography`, which is OpenSSL's; milliseconds a hash on two threads. With more than one
/// lane in two processes: its own threads hang beside others.
pub fn openssl(cost: Cost, count: usize) -> Option<f64> {
    let (memory, time, lanes) = (cost.memory_kib(), cost.time(), cost.lanes());
    let pool = if lanes > 1 { "ProcessPoolExecutor" } else { "ThreadPoolExecutor" };
    run(&format!(
        "from concurrent.futures import {pool}\n\
         from cryptography.hazmat.primitives.kdf.argon2 import Argon2id\n\
         def one(n):\n\
         \x20   k = Argon2id(salt=b's' * 16, length=32, iterations={time}, lanes={lanes}, memory_cost={memory})\n\
         \x20   return k.derive(b'password %d' % n)\n\
         with {pool}(2) as pool:\n\
         \x20   list(pool.map(one, range(4)))\n\
         \x20   s = perf_counter()\n\
         \x20   list(pool.map(one, range({count})))\n\
         \x20   print((perf_counter() - s) * 1e3 / {count})"
    ))
}

/// `argon2-cffi`, the reference program's code; milliseconds a hash on two threads.
pub fn argon2_cffi(cost: Cost, count: usize) -> Option<f64> {
    let (memory, time, lanes) = (cost.memory_kib(), cost.time(), cost.lanes());
    run(&format!(
        "from concurrent.futures import ThreadPoolExecutor\n\
         from argon2.low_level import Type, hash_secret\n\
         def one(n):\n\
         \x20   return hash_secret(b'password %d' % n, b's' * 16, {time}, {memory}, {lanes}, 32, Type.ID)\n\
         with ThreadPoolExecutor(2) as pool:\n\
         \x20   list(pool.map(one, range(4)))\n\
         \x20   s = perf_counter()\n\
         \x20   list(pool.map(one, range({count})))\n\
         \x20   print((perf_counter() - s) * 1e3 / {count})"
    ))
}

/// `AESGCM` of `cryptography` with one context for 1,000 messages; milliseconds, Python's calls included.
pub fn aes(bytes: usize) -> Option<f64> {
    run(&format!(
        "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n\
         k, m = AESGCM(b'k' * 32), b'm' * {bytes}\n\
         nonces = [n.to_bytes(12, 'little') for n in range(1000)]\n\
         e = k.encrypt\n\
         def once():\n\
         \x20   s = perf_counter()\n\
         \x20   for n in nonces: e(n, m, None)\n\
         \x20   return (perf_counter() - s) * 1e3\n\
         print(sorted(once() for _ in range(9))[4])"
    ))
}

fn run(script: &str) -> Option<f64> {
    let script = format!("from time import perf_counter\n{script}");
    let ran = Command::new("python3").args(["-c", &script]).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(ran.stdout).ok()?.trim().parse().ok()
}
