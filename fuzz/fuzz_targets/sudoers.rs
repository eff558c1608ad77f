//! sudoers with includes: places lie inside of their files, bounds hold, questions end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::sudoers::{Account, AliasKind, ENTRIES_MAX, SUDOERS, Sudoers};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] = [SUDOERS, "/etc/sudoers.d/a", "/etc/sudoers.d/b"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let policy = Sudoers::read(files.tree(), SUDOERS).expect("the main file is there");
        files.hold_problems(&policy.problems);
        policy.rules.iter().for_each(|rule| files.holds(&rule.place));
        policy.defaults.iter().for_each(|setting| files.holds(&setting.place));
        policy.aliases.values().for_each(|alias| files.holds(&alias.place));
        assert!(policy.rules.len() <= ENTRIES_MAX * 2);
        let groups = vec![("wheel".to_string(), 10)];
        let account = Account { name: "bob".into(), uid: 1000, groups };
        policy.decide(&account, "host", "root", "/bin/sh -c id");
        for rule in policy.rules.iter().take(3) {
            policy.members(AliasKind::User, &rule.users, usize::MAX);
            policy.commands(&rule.command);
        }
    });
});
