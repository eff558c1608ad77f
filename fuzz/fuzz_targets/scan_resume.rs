//! The file that an interrupted scan leaves: what is accepted is what would be written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::connect::resume;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let ports: Vec<u16> = (1..=1024).collect();
        let of = |_| Some(&ports[..]);
        for wanted in [None, Some(&ports[..])] {
            let Ok(earlier) = resume::parse(data, wanted, of) else { continue };
            let found = earlier.states.iter().map(|(address, states)| {
                assert_eq!(states.len(), ports.len());
                (*address, &ports[..], &states[..])
            });
            let again = resume::render(wanted, found, earlier.written);
            let mut read = resume::parse(again.as_bytes(), wanted, of).expect("our own words");
            // Hosts of which nothing is known are not written.
            read.states.retain(|address, _| earlier.states.contains_key(address));
            for (address, states) in &read.states {
                assert_eq!(Some(states), earlier.states.get(address));
            }
        }
    });
});
