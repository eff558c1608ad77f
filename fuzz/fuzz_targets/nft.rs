//! JSON of nft: what was read can be asked, with the same answer each time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::firewall::nft;
use wardmote_fuzz::{ask, timed};

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let Ok(ruleset) = nft::read(data, |_, _| false) else { return };
        ask(&ruleset);
    });
});
