//! Option files of MySQL and MariaDB with includes: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::my_cnf::{MyCnf, OPTIONS_MAX, SERVER_GROUPS};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] = ["/my.cnf", "/a.cnf", "/d/b.cnf"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let all = MyCnf::read(files.tree(), PATHS[0]).expect("the file is there");
        files.hold_problems(&all.problems);
        assert!(all.options.len() <= OPTIONS_MAX);
        all.options.iter().for_each(|option| files.holds(&option.value.place));
        all.settings();
        all.effective(&SERVER_GROUPS);
    });
});
