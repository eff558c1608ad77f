//! Words that name what is to be scanned: addresses, networks, ranges, names, zones, ports.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::targets::{self, HOSTS_MAX, Target};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let mut spans = Vec::new();
        for word in text.split_ascii_whitespace().take(64) {
            if let Some(Ok((address, zone))) = targets::zoned(word) {
                assert!(address.is_unicast_link_local() && !zone.is_empty());
            }
            match targets::target(word) {
                Ok(Target::Span(span)) => spans.push(span),
                Ok(Target::Name(name)) => assert!(name.len() <= 253 && word.contains(&name)),
                Err(_) => {}
            }
            if let Ok(ports) = targets::ports(word) {
                assert!(!ports.is_empty() && ports.is_sorted_by(|a, b| a < b));
                assert!(ports[0] > 0);
            }
        }
        let (excluded, wanted) = spans.split_at(spans.len() / 2);
        if let Ok(addresses) = targets::addresses(wanted, excluded) {
            assert!(addresses.len() <= HOSTS_MAX);
            for address in addresses.iter().take(1000) {
                assert!(excluded.iter().all(|span| !span.contains(*address)));
                assert!(wanted.iter().any(|span| span.contains(*address)));
            }
        }
    });
});
