//! A closed segment in compressed form: bounded, never longer than it says, and read without a key.
#![no_main]

use crypto::journal::packed::{Label, pack, start, unpack};
use crypto::journal::read;
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        assert!(start(data, 100).len() <= 100);
        // As a packed file, and as a segment.
        if let Ok(segment) = unpack(data) {
            assert_eq!(Label::decode(data).map(|label| label.bytes), Ok(segment.len()));
        }
        let contents = read::segment(data, |_, record| assert!(record.level() <= 4));
        assert!(read::removed(data).len() <= data.len());
        if let Some(packed) = pack(data) {
            assert!(contents.lost.is_empty());
            assert_eq!(unpack(&packed).as_deref(), Ok(data));
        }
    });
});
