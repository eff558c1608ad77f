//! What scans keep: the cache and the ledger. Whatever the bytes say, decoding is bounded, what is read is
//! written again the same, and no message but a bare connection of ours is discounted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::cache::Cache;
use scanner::ports::ledger::{Ledger, PROBES_MAX, Probe, SLACK_S, bare};
use wardmote_fuzz::timed;

const NOW: i64 = 1_795_000_000;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        if let Ok(cache) = Cache::from_bytes(data) {
            let again = cache.to_bytes().expect("what was read is not too large");
            assert_eq!(Cache::from_bytes(&again).as_ref(), Ok(&cache));
        }
        if let Some(ledger) = Ledger::from_bytes(data, NOW) {
            assert!(ledger.probes().len() <= PROBES_MAX);
            let again = ledger.to_bytes().expect("what was read is not too large");
            assert_eq!(Ledger::from_bytes(&again, NOW), Some(ledger));
        }
        if let Some((address, port)) = bare(data) {
            let words = ["user ", "Failed password", "Invalid user"];
            let text = std::str::from_utf8(data).expect("only text is a bare connection");
            assert!(words.iter().all(|word| !text.contains(word)), "{text}");
            let probe = Probe { address, port, target: 22, from_s: NOW, to_s: NOW };
            let ledger = Ledger::new([probe], NOW);
            assert!(ledger.caused(data, NOW) && !ledger.caused(data, NOW + SLACK_S + 1));
        }
    });
});
