//! The configuration of systemd's programs with drop-ins: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::systemd_conf::{Conf, name_of};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = [
    "/etc/systemd/resolved.conf",
    "/etc/systemd/resolved.conf.d/10.conf",
    "/run/systemd/resolved.conf.d/20.conf",
    "/usr/lib/systemd/resolved.conf.d/10.conf",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let conf = Conf::read(files.tree(), "systemd/resolved.conf");
        files.hold_problems(&conf.settings.problems);
        for setting in conf.settings.by_key.values() {
            setting.values.iter().for_each(|value| files.holds(&value.place));
            setting.overrides.iter().for_each(|old| files.holds(&old.value.place));
        }
        conf.to_json();
        if let Some(name) = std::str::from_utf8(data).ok().and_then(name_of) {
            assert!(name.ends_with(".conf"));
        }
    });
});
