//! Timestamps: a stamp is no longer than its text, and a file of any stamps can be resolved.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use parsers::time::{Clock, Stamp, access, asctime, epoch, first_year, iso, rfc3164};
use wardmote_fuzz::timed;

const MODIFIED: i64 = 1_700_000_000;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let mut stamps = Vec::new();
        for line in data.split(|byte| *byte == b'\n') {
            for parser in [rfc3164, iso, access, asctime, epoch] {
                if let Some((stamp, used)) = parser(line) {
                    assert!(used <= line.len());
                    stamps.push(stamp);
                }
            }
        }
        let yearless = stamps.iter().filter_map(|stamp| match stamp {
            Stamp::Yearless(wall) => Some(*wall),
            _ => None,
        });
        for zone in [TimeZone::UTC, TimeZone::fixed(jiff::tz::offset(-11))] {
            let year = first_year(yearless.clone(), MODIFIED, &zone);
            let mut clock = Clock::new(zone, year);
            for stamp in &stamps {
                clock.resolve(*stamp);
            }
        }
    });
});
