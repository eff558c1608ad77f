//! systemd units with drop-ins: places lie inside of their files, and nothing takes long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::systemd_unit::{Name, Unit, UnitFiles};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 5] = [
    "/etc/systemd/system/a-b.service",
    "/etc/systemd/system/a-b.service.d/10.conf",
    "/run/systemd/system/a-.service.d/20.conf",
    "/usr/lib/systemd/system/t@.timer",
    "/usr/lib/systemd/system/timer.d/a.conf",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let list = UnitFiles::list(files.tree());
        for name in ["a-b.service", "t@x.timer"] {
            let unit = Unit::load(files.tree(), &list, name);
            files.hold_problems(&unit.settings.problems);
            for setting in unit.settings.by_key.values() {
                setting.values.iter().for_each(|value| files.holds(&value.place));
                setting.overrides.iter().for_each(|old| files.holds(&old.value.place));
            }
            unit.to_json();
        }
        if let Some(name) = std::str::from_utf8(data).ok().and_then(Name::parse) {
            assert!(!name.dropin_names().is_empty());
        }
    });
});
