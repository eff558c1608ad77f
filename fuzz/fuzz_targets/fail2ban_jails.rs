//! fail2ban's jails with local files: what holds has its place inside of a file, and what is started is
//! enabled.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use parsers::rules::fail2ban::{effective::effective, jail};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = [
    "/etc/fail2ban/jail.conf",
    "/etc/fail2ban/jail.d/a.conf",
    "/etc/fail2ban/jail.local",
    "/etc/fail2ban/jail.d/b.local",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let base = Path::new("/etc/fail2ban");
        let Ok(all) = effective(files.tree(), base) else { return };
        for jail in &all.jails {
            for setting in jail.settings.values() {
                setting.values.iter().for_each(|value| files.holds(&value.place));
                setting.overrides.iter().for_each(|old| files.holds(&old.value.place));
            }
        }
        all.to_json();
        let Ok(started) = jail::load(files.tree(), base) else { return };
        for one in &started.jails {
            assert!(all.jails.iter().any(|jail| jail.name == one.name && jail.enabled));
        }
    });
});
