//! mountinfo and fstab: places lie inside.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use parsers::config::mounts::{fstab, mountinfo};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    let file: Arc<str> = "f".into();
    timed(|| {
        let (mounts, problems) = mountinfo(&file, data);
        mounts.iter().for_each(|mount| shape.holds(mount.place.line, mount.place.column));
        problems.iter().for_each(|problem| shape.holds(problem.place.line, problem.place.column));
        let (entries, problems) = fstab(&file, data);
        for entry in &entries {
            shape.holds(entry.place.line, entry.place.column);
            ["noexec", "nosuid", "ro"].iter().for_each(|option| _ = entry.has(option));
        }
        problems.iter().for_each(|problem| shape.holds(problem.place.line, problem.place.column));
    });
});
