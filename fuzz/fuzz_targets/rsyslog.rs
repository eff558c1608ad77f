//! rsyslog.conf with includes: reading stays within time, and statements have a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::rsyslog::Rsyslog;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = ["/rsyslog.conf", "/a.conf", "/d/1.conf", "/d/2.conf"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let read = Rsyslog::read(files.tree(), PATHS[0]).expect("the file is there");
        read.statements.iter().for_each(|statement| assert!(statement.place.line > 0));
    });
});
