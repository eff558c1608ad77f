//! os-release: places lie inside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::os_release::OsRelease;
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        let release = OsRelease::read(&"f".into(), data);
        release.values.values().for_each(|value| shape.holds(value.place.line, value.place.column));
        for problem in &release.problems {
            shape.holds(problem.place.line, problem.place.column);
        }
        release.is_like("debian");
    });
});
