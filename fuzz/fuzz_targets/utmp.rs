//! Login records of wtmp: one for each whole record at most, with a name that fits its field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::log::utmp::{RECORD_BYTES, logins};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        assert!(logins(data).count() <= data.len() / RECORD_BYTES);
        assert!(logins(data).all(|login| (1..=32).contains(&login.user.len())));
    });
});
