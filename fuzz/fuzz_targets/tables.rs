//! Formats without includes: iptables-save, nft -j, daemon.json, certificates. Places lie inside of the
//! file, and reading ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::certificates::Certificates;
use parsers::config::{docker, iptables, nftables};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        let rules = iptables::Ruleset::parse("/x", data);
        shape.hold_problems(&rules.problems);
        rules.rules.iter().for_each(|rule| shape.holds(rule.place.line, rule.place.column));
        let rules = nftables::Ruleset::parse("/x", data);
        shape.hold_problems(&rules.problems);
        rules.chains.iter().for_each(|chain| shape.holds(chain.place.line, chain.place.column));
        shape.hold_problems(&docker::parse("/x", data).problems);
        let read = Certificates::parse("/x", data);
        shape.hold_problems(&read.problems);
        read.keys.iter().for_each(|key| shape.holds(key.place.line, key.place.column));
    });
});
