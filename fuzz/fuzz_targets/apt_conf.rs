//! apt.conf with includes: reading stays within time, and values lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::apt_conf::{AptConf, MAIN};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] = [MAIN, "/etc/apt/apt.conf.d/1", "/etc/apt/apt.conf.d/2.conf"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let read = AptConf::read(files.tree());
        let settings = read.settings();
        for value in settings.by_key.values().flat_map(|setting| &setting.values) {
            assert!(value.place.line > 0);
        }
        let _ = read.dump();
    });
});
