//! Package sources of apt in both forms: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::apt_sources::{SOURCES_LIST, SOURCES_MAX, Sources};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] =
    [SOURCES_LIST, "/etc/apt/sources.list.d/a.list", "/etc/apt/sources.list.d/b.sources"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let all = Sources::read(files.tree());
        files.hold_problems(&all.problems);
        assert!(all.sources.len() <= SOURCES_MAX);
        for source in &all.sources {
            files.holds(&source.place);
            source.trusted();
        }
    });
});
