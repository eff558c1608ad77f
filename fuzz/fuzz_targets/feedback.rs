//! Feedback logs: whatever can be read teaches a model with finite, bounded, rising ratios, is the same
//! after it was written and read again, and folding keeps every line counted.
#![no_main]

use consensus::learn::{EXPERTS_MAX, Log, learn};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

const NOW: i64 = 1_700_000_000;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let Ok((log, _)) = Log::read(data) else { return };
        let learnt = learn(&log, NOW);
        assert!(learnt.counts.len() <= EXPERTS_MAX);
        for counts in learnt.counts.values().flatten().flatten() {
            assert!(counts.is_finite() && *counts >= 0.0, "{counts}");
        }
        let model = learnt.model();
        for name in learnt.counts.keys() {
            let (table, cap) = model.of(name);
            assert!(table.iter().all(|row| row.is_sorted()));
            let most = (cap * 1e6).ceil() as i64;
            assert!(table.as_flattened().iter().all(|nats| nats.abs() <= most));
        }
        let (again, unread) =
            Log::read(log.text().as_bytes()).expect("not longer than it was by much");
        assert_eq!((unread.count, again.position()), (0, log.position()));
        assert_eq!(learn(&again, NOW).digest, learnt.digest);
        let mut folded = again;
        let position = folded.position();
        folded.fold(NOW);
        assert_eq!(folded.position(), position);
    });
});
