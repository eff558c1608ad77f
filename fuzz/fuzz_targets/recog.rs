//! recog files: what is read keeps its bounds, and its examples can be run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::rules::recog;
use scanner::ports::identify::fingerprints::Fingerprints;
use scanner::ports::identify::verify::verify;
use wardmote_fuzz::timed;

/// Compiled expressions cost far more than the file that holds them: a few are enough.
const VERIFIED_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    let read = timed(|| recog::parse(&"fuzz.xml".into(), data));
    let mut database = match read {
        Ok(database) => database,
        Err(problem) => {
            assert!(problem.place.line as usize <= lines + 1, "{problem}");
            return;
        }
    };
    assert!((0.0..=1.0).contains(&database.preference));
    for fingerprint in &database.fingerprints {
        assert!((1..=lines).contains(&(fingerprint.line as usize)));
        assert!(fingerprint.params.len() <= recog::PARAMS_MAX);
        assert!(fingerprint.pattern.len() <= recog::PATTERN_BYTES_MAX);
    }
    database.fingerprints.truncate(VERIFIED_MAX);
    if database.fingerprints.iter().all(|one| one.pattern.len() < 64) {
        let examples: usize = database.fingerprints.iter().map(|one| one.examples.len()).sum();
        let all = Fingerprints::default().with(vec![database]);
        for ready in all.databases() {
            let outcome = verify(ready, |_| Err("none".to_string()));
            assert!(outcome.passed <= examples);
        }
    }
});
