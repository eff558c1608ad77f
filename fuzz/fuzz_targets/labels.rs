//! Tables of labels, JSON lines or CSV: columns lie inside of the line; probabilities are a distribution.
#![no_main]

use consensus::labels::{Reader, Scale, Truth, pool};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let mut reader = Reader::new(None).expect("any label is accepted");
        let mut truth = Truth::default();
        for line in data.split(|byte| *byte == b'\n') {
            let _ = truth.line(line);
            if let Err(bad) = reader.line(line) {
                assert!(bad.column <= line.len() + 1, "column {} of {}", bad.column, line.len());
            }
        }
        let Ok(ballots) = reader.finish() else { return };
        let (votes, labels) = (ballots.votes.len(), ballots.labels.len());
        // Pooling costs votes times labels, thousands of times on a scale: its bound is another test's.
        if votes * labels > 1_000 || ballots.experts.len() * labels * labels > 1_000 {
            return;
        }
        for scale in [Scale::Nominal, Scale::Ordinal] {
            let decisions = pool(&ballots, scale).decisions;
            assert_eq!(decisions.len(), ballots.items.len());
            for decision in &decisions {
                let sum: f64 = decision.probabilities.iter().sum();
                assert!((sum - 1.0).abs() < 1e-6, "{sum}");
                assert!(decision.label < labels);
            }
            truth.score(&ballots, &decisions);
        }
    });
});
