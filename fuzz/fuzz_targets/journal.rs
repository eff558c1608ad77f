//! The journal's export format: bounded values, and it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::log::journal::{VALUE_BYTES_MAX, next_entry};
use scanner::logs::event::{Event, journal_line};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let mut rest = data;
        while !rest.is_empty() {
            let before = rest.len();
            let Ok(Some(entry)) = next_entry(&mut rest) else { break };
            assert!(rest.len() < before, "an entry of no bytes");
            assert!(entry.message().len() <= VALUE_BYTES_MAX);
            (entry.time(), entry.pid());
            let line = journal_line(&entry);
            if let Some(event) = Event::of_journal(&entry, &line) {
                event.who();
            }
        }
    });
});
