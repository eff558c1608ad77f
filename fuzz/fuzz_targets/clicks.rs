//! Click files: what is read is a click on some window, and however many there are, no window is more
//! than doubled or halved.
#![no_main]

use consensus::triage::clicks::{self, Clicks, Lessons, MAX_CLICKS, MOST};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    timed(|| {
        let mut all = Clicks::default();
        let mut lessons = Lessons::default();
        let mut read = Vec::new();
        for line in text.lines() {
            let Ok(Some(click)) = clicks::read(line) else { continue };
            assert!(!click.host.is_empty());
            let shares = [("a", 0.75), ("b", 0.25)];
            lessons.learn(&click.host, &shares, 0.5, click.answer);
            assert!(lessons.factor(&click.host, &shares).abs() <= MOST);
            read.push(click.clone());
            assert!(all.add(click) || all.left() == MAX_CLICKS);
        }
        for click in read {
            assert!(all.take(click.start).len() <= MAX_CLICKS);
        }
        assert_eq!(all.left(), 0);
    });
});
