//! redis.conf with includes: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::redis::read;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = ["/redis.conf", "/a.conf", "/d/1.conf", "/d/2.conf"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let settings = read(files.tree(), PATHS[0]).expect("the file is there");
        // A line that goes on in the next file has its columns in the first.
        settings.problems.kept.iter().for_each(|problem| assert!(problem.place.line > 0));
        for setting in settings.by_key.values() {
            setting.values.iter().for_each(|value| files.holds(&value.place));
            setting.overrides.iter().for_each(|old| files.holds(&old.value.place));
        }
    });
});
