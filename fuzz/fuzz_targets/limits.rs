//! limits.conf and its directory: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::limits::{ENTRIES_MAX, LIMITS_CONF, Limits, Session};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 2] = [LIMITS_CONF, "/etc/security/limits.d/a.conf"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let all = Limits::read(files.tree());
        files.hold_problems(&all.problems);
        assert!(all.entries.len() <= ENTRIES_MAX);
        all.entries.iter().for_each(|entry| files.holds(&entry.value.place));
        all.of(&Session { user: "bob", uid: 1000, groups: &[("wheel", 10)] });
    });
});
