//! Opinions of experts from outside, as JSON: what passes is a distribution with one printable line; any
//! number of them is pooled to a sound verdict.
#![no_main]

use consensus::opinion::MAX_RATIONALE;
use consensus::{Evidence, Kind, Model, Opinion, Privilege, Proof, Severity, pool};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        if let Ok(opinions) = serde_json::from_slice::<Vec<Opinion>>(data) {
            pooled(opinions);
            return;
        }
        let Ok(opinion) = serde_json::from_slice::<Opinion>(data) else { return };
        let Ok(opinion) = opinion.checked() else { return };
        assert!((opinion.distribution.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(opinion.distribution.iter().all(|p| (0.0..=1.0).contains(p)));
        assert!(opinion.rationale.chars().count() <= MAX_RATIONALE);
        assert!(!opinion.rationale.chars().any(char::is_control));
        opinion.level();
    });
});

fn pooled(opinions: Vec<Opinion>) {
    let evidence = Evidence {
        check: "check".into(),
        key: String::new(),
        title: "title".into(),
        kind: Kind::Activity,
        proof: Proof::Inferred,
        level: Severity::Medium,
        floor: Some(Severity::Low),
        privilege: Privilege::User,
        services: Vec::new(),
        subject: Default::default(),
        sources: Vec::new(),
        facts: Default::default(),
        tags: Vec::new(),
        count: 1,
        first: None,
        last: None,
    };
    let mut turned = opinions.clone();
    turned.reverse();
    let verdict = pool::pool(&evidence, &[0; 32], opinions, &Model::cold());
    assert!((verdict.probabilities.values().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(verdict.severity >= Severity::Low);
    assert!(verdict.stands_without_experts <= verdict.opinions.len());
    assert!(verdict.effective_experts <= verdict.opinions.len() as f64 + 1e-3);
    let again = pool::pool(&evidence, &[0; 32], turned, &Model::cold());
    assert_eq!((verdict.severity, verdict.trace), (again.severity, again.trace));
}
