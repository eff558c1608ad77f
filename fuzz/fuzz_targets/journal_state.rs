//! The writer's kept state, and where a writer goes on: no bytes make them panic, and a state that is read is
//! written as it was.
#![no_main]

use crypto::chain::EpochKey;
use crypto::journal::resume::{Rest, walk};
use crypto::journal::state::{SLOT_BYTES, SLOTS, State, Tail};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        if let Some((state, slot)) = State::newest(data) {
            let whole = &data[SLOTS[slot]..SLOTS[slot] + SLOT_BYTES];
            // What is behind the checksum is not looked at.
            assert_eq!(state.encode()[..160], whole[..160]);
        }
        // Nobody who does not have the key writes a frame that the writer goes on behind.
        for offset in [0, 48] {
            let mut key = EpochKey::first([7; 32].into());
            let mut tail = Tail { offset, ..Tail::default() };
            let rest = walk(data, [3; 16], &mut tail, &mut key);
            assert!(tail.number == 0 && key.epoch() == 0 && rest != Rest::Ended);
        }
    });
});
