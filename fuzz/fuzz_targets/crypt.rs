//! Hashes of crypt(5): whatever is read has a bounded cost, and a cheap one is computed without harm.
#![no_main]

use crypto::password::Hasher;
use crypto::shadow::{Hash, MEMORY_BYTES_MAX};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

/// More would make the fuzzing slow, not wrong.
const CHEAP_BYTES: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(Ok(hash)) = timed(|| Hash::parse(text)) else { return };
    assert!(hash.memory_bytes() <= MEMORY_BYTES_MAX);
    let cost = hash.cost().to_string();
    let cheap = cost == "1000 rounds" || cost == "cost 4";
    if hash.memory_bytes() <= CHEAP_BYTES && cheap {
        let _ = hash.matches(b"hunter2", &mut Hasher::new());
    }
});
