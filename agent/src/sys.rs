//! The one place with `unsafe` in this crate: gives pages of the program itself back to the kernel.
#![allow(unsafe_code)]

use rustix::mm::{Advice, madvise};

/// Most bytes of the list of mappings that are read.
const MAPS_BYTES_MAX: usize = 1 << 20;

/// Gives back the program's own code and constants, as far as they are mapped read-only from its file: what is
/// used again comes from the page cache, a few pages at a time. An audit runs through most of the program once a
/// day, and the rest of the day needs little of it. Gives the number of bytes that were given back; none where
/// the memory is locked.
pub fn give_back_program() -> usize {
    // Other mappings may be of files with any name.
    let Ok(maps) = std::fs::read("/proc/self/maps") else { return 0 };
    let maps = String::from_utf8_lossy(&maps);
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return 0 };
    if maps.len() > MAPS_BYTES_MAX {
        return 0;
    }
    let mut given = 0;
    for (start, end) in untouched(&maps, &program.to_string_lossy()) {
        let pages = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the range is a whole private mapping of this program's file that was never writable, by the
        // kernel's own list of a moment ago, and nothing in this program unmaps its own code. Its pages hold
        // what the file holds, and come back from there when they are touched; no value in memory changes.
        if unsafe { madvise(pages, end - start, Advice::LinuxDontNeed) }.is_ok() {
            given += end - start;
        }
    }
    given
}

/// The mappings of the program's file that hold nothing but the file: code, and the constants before it. What
/// comes after the code was written by the loader (relocations), and is left alone.
fn untouched(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let mut before = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let is_program = words.nth(3).is_some_and(|_| line.ends_with(program));
        let ends = range.split_once('-').and_then(|(start, end)| {
            let number = |digits| usize::from_str_radix(digits, 16).ok();
            Some((number(start)?, number(end)?)).filter(|(start, end)| start < end)
        });
        match (is_program, rights, ends) {
            (true, "r--p", Some(ends)) => before.push(ends),
            (true, "r-xp", Some(ends)) => {
                before.push(ends);
                return before;
            }
            // Nothing else may stand between.
            _ => before.clear(),
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_is_given_back() {
        let maps = "\
            1000-2000 r--p 00000000 fe:00 7                          /usr/bin/wardmote\n\
            2000-5000 r-xp 00001000 fe:00 7                          /usr/bin/wardmote\n\
            5000-6000 r--p 00004000 fe:00 7                          /usr/bin/wardmote\n\
            6000-7000 rw-p 00005000 fe:00 7                          /usr/bin/wardmote\n\
            9000-a000 r-xp 00000000 fe:00 8                          /usr/lib/libc.so.6\n";
        let ends = [(0x1000, 0x2000), (0x2000, 0x5000)];
        assert_eq!(untouched(maps, "/usr/bin/wardmote"), ends);
        assert!(untouched(maps, "/usr/bin/other").is_empty());
        let written = maps.replacen("r--p", "rw-p", 1);
        assert_eq!(untouched(&written, "/usr/bin/wardmote"), ends[1..]);
        assert!(
            untouched("nonsense\n-\n7-3 r-xp 0 0 0 /usr/bin/wardmote", "/usr/bin/wardmote")
                .is_empty()
        );
    }

    #[test]
    fn the_program_goes_on_afterwards() {
        // Other tests of this process lock what they hold secret, and then the kernel refuses.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status.lines().any(|line| {
            line.strip_prefix("VmLck:").is_some_and(|rest| !rest.trim().starts_with("0 "))
        });
        assert!(give_back_program() > 0 || locked, "this kernel lists the program's mappings");
        let text: String = (0..1_000).map(|number| number.to_string()).collect();
        assert_eq!(text.len(), 2_890);
        assert!(regex::Regex::new("99[89]").unwrap().is_match(&text));
    }
}
