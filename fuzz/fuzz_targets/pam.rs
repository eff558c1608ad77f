//! PAM stacks with includes: places lie inside of their files, depth and length are bounded, and an
//! evaluation asks no module twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::pam::{DEPTH_MAX, Kind, RULES_MAX, Return, Stack};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] = ["/etc/pam.d/sshd", "/etc/pam.d/common-auth", "/etc/pam.d/a"];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let stack = Stack::read(files.tree(), "sshd").expect("the service's file is there");
        files.hold_problems(&stack.problems);
        assert!(stack.rules.len() <= RULES_MAX);
        for rule in &stack.rules {
            files.holds(&rule.place);
            assert!(rule.depth <= DEPTH_MAX);
        }
        for kind in [Kind::Auth, Kind::Account, Kind::Password, Kind::Session] {
            let mut asked = 0;
            let answer = stack.evaluate(kind, |rule| {
                assert_eq!(rule.kind, kind);
                asked += 1;
                Return::SUCCESS
            });
            assert!(asked <= stack.of(kind).count());
            let is_whole = stack.problems.is_empty() && stack.unread.is_empty();
            assert_eq!(answer.is_some(), is_whole);
        }
    });
});
