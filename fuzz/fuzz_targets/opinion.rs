//! Opinions of experts from outside, as JSON: what passes is a distribution with one printable line.
#![no_main]

use consensus::Opinion;
use consensus::opinion::MAX_RATIONALE;
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let Ok(opinion) = serde_json::from_slice::<Opinion>(data) else { return };
        let Ok(opinion) = opinion.checked() else { return };
        assert!((opinion.distribution.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(opinion.distribution.iter().all(|p| (0.0..=1.0).contains(p)));
        assert!(opinion.rationale.chars().count() <= MAX_RATIONALE);
        assert!(!opinion.rationale.chars().any(char::is_control));
        opinion.level();
    });
});
