//! Text of iptables-save: what was read can be asked, with the same answer each time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::firewall::iptables::{self, Program};
use wardmote_fuzz::{ask, timed};

fuzz_target!(|data: &[u8]| {
    timed(|| {
        iptables::tables(data);
        for program in [Program::Four, Program::Six] {
            if let Ok((ruleset, _)) = iptables::read(program, data) {
                ask(&ruleset);
            }
        }
    });
});
