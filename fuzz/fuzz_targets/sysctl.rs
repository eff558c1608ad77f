//! sysctl.d trees as both loaders read them: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::sysctl::{Loader, SYSCTL_CONF, Sysctl, dotted, proc_path};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = [
    SYSCTL_CONF,
    "/etc/sysctl.d/10-a.conf",
    "/run/sysctl.d/10-a.conf",
    "/usr/lib/sysctl.d/50-b.conf",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        for loader in [Loader::Systemd, Loader::Procps] {
            let all = Sysctl::read_as(files.tree(), loader);
            files.hold_problems(&all.problems);
            for setting in all.settings.values().chain(all.patterns.iter().map(|(_, set)| set)) {
                files.holds(&setting.place);
                setting.overrides.iter().for_each(|written| files.holds(&written.place));
            }
            for key in ["kernel.kptr_restrict", "net.ipv4.conf.eth0.rp_filter"] {
                all.effective(key);
            }
            for key in all.settings.keys().take(100) {
                assert!(all.effective(key).is_some());
                dotted(&proc_path(key));
            }
        }
    });
});
