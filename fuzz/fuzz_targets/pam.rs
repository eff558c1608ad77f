//! PAM stacks with includes: places lie inside of their files, depth and length are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::pam::{DEPTH_MAX, RULES_MAX, Stack};
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
    });
});
