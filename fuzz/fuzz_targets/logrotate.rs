//! logrotate.conf with includes: places lie inside of their files, scripts are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::logrotate::{BLOCKS_MAX, Logrotate};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = ["/lr.conf", "/d/a", "/d/b", "/d/c.bak"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let all = Logrotate::read(files.tree(), PATHS[0]).expect("the file is there");
        files.hold_problems(&all.problems);
        assert!(all.blocks.len() <= BLOCKS_MAX);
        for block in &all.blocks {
            block.logs.iter().for_each(|log| files.holds(&log.place));
            for setting in block.settings.by_key.values() {
                setting.values.iter().for_each(|value| files.holds(&value.place));
            }
        }
        all.to_json();
    });
});
