//! Alerts of other tools: the first byte says whose lines these are. Every alert is accounted for, windows
//! are in order and finite, and the order of lines within one window does not matter.
#![no_main]

use consensus::triage::json::Format;
use consensus::triage::{Counts, MAX_TEXT_BYTES, Triage, Window, json, row};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fn run<'a>(kind: Option<Format>, lines: impl Iterator<Item = &'a str>) -> (Vec<Window>, Counts) {
    let mut triage = Triage::new(300).expect("a constant window");
    let mut out = Vec::new();
    for line in lines {
        match kind {
            None => {
                if let Ok(row) = row::read(line) {
                    triage.push(&row.alert(), &mut out);
                }
            }
            Some(format) => {
                if let Ok(Some(read)) = json::read(format, line) {
                    triage.push(&read.alert(), &mut out);
                }
            }
        }
    }
    let counts = triage.finish(&mut out);
    (out, counts)
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let kind = match kind % 4 {
        0 => None,
        1 => Some(Format::Wazuh),
        2 => Some(Format::Suricata),
        _ => Some(Format::Ocsf),
    };
    timed(|| {
        let (out, counts) = run(kind, text.lines());
        assert_eq!(counts.received, counts.judged + counts.late + counts.beyond);
        assert_eq!(out.iter().map(|window| window.alerts).sum::<u64>(), counts.judged);
        for window in &out {
            assert!((0.0..=1.0).contains(&window.score), "{}", window.score);
            assert!(window.host.len() <= MAX_TEXT_BYTES && !window.reasons.is_empty());
            let sum: f64 = window.probabilities.values().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
        let keys: Vec<_> = out.iter().map(|window| (window.start, &window.host)).collect();
        // The first and the last window of time itself share their edge, cut off at what an i64 holds.
        assert!(keys.is_sorted(), "windows out of order");
    });
});
