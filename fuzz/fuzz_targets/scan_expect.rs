//! A declared list of listeners: what is accepted means the same when it is written again, mistakes have a
//! place inside of the file, and comparing with it neither panics nor tells of what nobody declared.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::expect::{self, Change, EXPECTED_MAX};
use scanner::ports::report::{Counts, Report};
use wardmote_fuzz::timed;

fn nothing_found() -> Report {
    Report {
        schema: "wardmote.scan/1".to_string(),
        started: String::new(),
        elapsed_ms: 0.0,
        hosts: Vec::new(),
        counts: Counts::default(),
        seed: None,
        incomplete: Vec::new(),
        truth: Vec::new(),
        unseen: Vec::new(),
        drift: None,
    }
}

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let expected = match expect::read(data) {
            Ok(expected) => expected,
            Err(error) => {
                let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
                assert!(error.line as usize <= lines + 1, "{error}");
                let _ = error.excerpt(data);
                return;
            }
        };
        assert!(expected.listeners.len() <= EXPECTED_MAX);
        let again = serde_json::to_string(&expected).expect("plain values");
        assert_eq!(expect::read(again.as_bytes()).as_ref(), Ok(&expected));
        // No host was scanned: nothing can be missing or new.
        let compared = expect::compare(&expected, &nothing_found(), None, |_, _| true);
        assert!(compared.drift.iter().all(|one| one.change == Change::Missing));
        assert!(compared.drift.is_empty());
        assert_eq!(compared.incomplete.is_empty(), expected.listeners.is_empty());
    });
});
