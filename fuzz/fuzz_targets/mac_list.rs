//! Check lists: a line that was read is written and read again; no name forges a line.
#![no_main]

use crypto::mac::{Entry, MAC_BYTES};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        for line in data.split(|byte| *byte == b'\n') {
            if let Ok(entry) = Entry::parse(line) {
                assert_eq!(Entry::parse(&entry.line()).expect("what was written is read"), entry);
            }
        }
        let entry = Entry { mac: [3; MAC_BYTES], name: data.to_vec() };
        let line = entry.line();
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        if !data.is_empty() && !data.contains(&0) {
            assert_eq!(Entry::parse(&line).expect("what was written is read"), entry);
        }
    });
});
