//! State files of sweeps: whatever a state says, a file is found or not; writing and reading is whole.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use parsers::tree::{FileKind, Stat};
use scanner::logs::checkpoint::{Checkpoint, Ended};
use wardmote_fuzz::timed;

const CONTENT: &[u8] = b"one\ntwo\nthree\n";

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let Ok(mut state) = Checkpoint::from_json(data) else { return };
        let again = Checkpoint::from_json(&state.to_json()).expect("what was written is read");
        assert_eq!(again.journal_cursor, state.journal_cursor);
        let stat = Stat {
            kind: FileKind::Regular,
            mode: 0o640,
            uid: 0,
            gid: 0,
            size_bytes: CONTENT.len() as u64,
            modified: 0,
            device: 1,
            inode: 1,
            born: None,
        };
        let reader = |offset: u64| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(CONTENT.len());
            Ok(Box::new(&CONTENT[from..]) as Box<dyn Read>)
        };
        for (path, packed) in [("/var/log/a", false), ("/var/log/a.1.gz", true)] {
            if let Ok(reached) = state.find(path, &stat, packed, &reader) {
                reached.start.with_context(&reader).expect("memory does not fail");
                state.reached(reached, (CONTENT.len() as u64, 3), Ended::Whole, None, &reader);
            }
        }
        Checkpoint::from_json(&state.to_json()).expect("what was written is read");
    });
});
