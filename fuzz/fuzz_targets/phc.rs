//! PHC strings: what was read is written and read again as the same.
#![no_main]

use crypto::phc::Phc;
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    timed(|| {
        if let Ok(phc) = Phc::parse(text) {
            assert_eq!(Phc::parse(&phc.to_string()).expect("what was written is read"), phc);
        }
    });
});
