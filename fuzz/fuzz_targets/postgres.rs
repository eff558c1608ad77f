//! postgresql.conf, pg_hba.conf and pg_ident.conf with their includes: places lie inside of their files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::postgres::hba::Hba;
use parsers::config::postgres::ident::Ident;
use parsers::config::postgres::read;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] =
    ["/d/postgresql.conf", "/d/a.conf", "/d/conf/b.conf", "/d/postgresql.auto.conf"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let settings = read(files.tree(), PATHS[0]).expect("the file is there");
        files.hold_problems(&settings.problems);
        for setting in settings.by_key.values() {
            setting.values.iter().for_each(|value| files.holds(&value.place));
            setting.overrides.iter().for_each(|old| files.holds(&old.value.place));
        }
        let hba = Hba::read(files.tree(), PATHS[0]).expect("the file is there");
        files.hold_problems(&hba.problems);
        for rule in &hba.rules {
            files.holds(&rule.place);
            rule.databases.iter().chain(&rule.users).for_each(|word| files.holds(&word.place));
        }
        let ident = Ident::read(files.tree(), PATHS[0]).expect("the file is there");
        files.hold_problems(&ident.problems);
        ident.mappings.iter().for_each(|mapping| files.holds(&mapping.place));
    });
});
