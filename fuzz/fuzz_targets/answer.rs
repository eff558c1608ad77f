//! Answers of experts from outside, one JSON line each: what passes is an opinion under the operator's
//! name for the expert, never a built-in one's.
#![no_main]

use consensus::likelihood::is_known;
use consensus::opinion::MAX_RATIONALE;
use consensus::outside::answer;
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        for line in data.split(|byte| *byte == b'\n') {
            let Ok(answer) = answer("tool", line) else { continue };
            let Some(opinion) = answer.opinion else { continue };
            assert_eq!(opinion.expert, "outside:tool");
            assert!(!is_known(&opinion.expert));
            assert!((0.0..=1.0).contains(&opinion.confidence));
            assert!((opinion.distribution.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(opinion.rationale.chars().count() <= MAX_RATIONALE);
            assert!(!opinion.rationale.chars().any(char::is_control));
        }
    });
});
