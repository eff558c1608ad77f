//! sshd_config with includes: places lie inside of their files, and asking twice gives the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::sshd::{Connection, DEFAULT_PATH, Sshd};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = [
    DEFAULT_PATH,
    "/etc/ssh/sshd_config.d/a.conf",
    "/etc/ssh/sshd_config.d/b.conf",
    "/etc/ssh/more",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let sshd = Sshd::read(files.tree(), DEFAULT_PATH).expect("the main file is there");
        sshd.problems.iter().chain(&sshd.notes).for_each(|problem| files.holds(&problem.place));
        let connection: Connection = "user=root,host=h.example,addr=192.0.2.1,lport=22"
            .parse()
            .expect("a constant specification");
        let effective = sshd.effective(&connection);
        assert_eq!(effective, sshd.effective(&connection));
        for setting in effective.settings.values() {
            assert!(!setting.values.is_empty());
            for value in setting.values.iter().chain(&setting.overrides) {
                files.holds(&value.place);
            }
        }
        for (block, setting) in sshd.possible("permitrootlogin") {
            block.iter().for_each(|block| files.holds(&block.place));
            files.holds(setting.place());
        }
        sshd.to_json();
        effective.to_json();
    });
});
