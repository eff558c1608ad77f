//! login.defs and `key = value` files: places lie inside, the last entry of a key is what `get` gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::keyvalue::{Dialect, KeyValues};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        for dialect in [Dialect::LoginDefs, Dialect::Equals] {
            let all = KeyValues::parse("f", data, dialect);
            shape.hold_problems(&all.problems);
            for entry in &all.entries {
                assert!(!entry.key.is_empty());
                shape.holds(entry.place.line, entry.place.column);
            }
            if let Some(last) = all.entries.last() {
                assert_eq!(all.get(&last.key), Some(last));
            }
        }
    });
});
