//! Kept rules and jails: whatever the bytes say, decoding is bounded, and what is let through can be asked
//! and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::logs::RuleSet;
use scanner::logs::event::{Event, Form};
use scanner::logs::fail2ban::Scratch;
use scanner::logs::matcher::Scratch as Candidates;
use scanner::logs::stored::{
    Entry, jails_from_bytes, jails_to_bytes, rules_from_bytes, rules_to_bytes,
};
use wardmote_fuzz::timed;

const LINES: [&str; 3] = [
    "Nov  3 10:00:00 host sshd[7]: Failed password for root from 192.0.2.1 port 4 ssh2",
    "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /?a=1 HTTP/1.1\" 404 1 \"-\" \"-\"",
    "{\"message\":\"root\",\"src_ip\":\"192.0.2.1\"}",
];

fuzz_target!(|data: &[u8]| {
    timed(|| {
        if let Some(entry) = Entry::from_bytes(data) {
            let again = entry.to_bytes().expect("what was read is not too large");
            assert_eq!(Entry::from_bytes(&again), Some(entry));
        }
        if let Some(documents) = rules_from_bytes(data) {
            let again = rules_to_bytes(&documents).expect("what was read is not too large");
            assert!(rules_from_bytes(&again).is_some());
            if let Ok(rules) = RuleSet::new(documents) {
                for line in LINES {
                    let mut form = Form::default();
                    let event = Event::read(line.as_bytes(), &mut form);
                    rules.each_match(&event, &mut Candidates::default(), |_| {});
                    rules.each_match_plainly(&event);
                }
            }
        }
        if let Some(jails) = jails_from_bytes(data, 2029) {
            assert!(jails_to_bytes(&jails).is_some());
            for jail in &jails.jails {
                for line in LINES {
                    jail.filter.examine(line.as_bytes(), &mut Scratch::default());
                }
            }
        }
    });
});
