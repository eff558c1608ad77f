//! A journal's segment: no bytes make verification panic, and none but those that were sealed hold.
#![no_main]

use crypto::journal::codec::Decoder;
use crypto::journal::verify::{Seen, Verifier};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let _ = Decoder::new().decode(data, |record| {
            assert!(record.level() <= 4);
            record.fields().for_each(|(name, _)| assert!(name.len() <= 1024));
        });
        // Nobody who does not have the key can write a frame that holds.
        let mut verifier = Verifier::new([7; 32].into(), Seen::default());
        verifier.segment("1", Some(1), data, |_, _| panic!("a record of a frame that was not sealed"));
        assert_eq!(verifier.finish().frames, 0);
    });
});
