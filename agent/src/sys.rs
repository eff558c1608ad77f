//! The one place of this crate for calls that the compiler cannot vouch for.

#![allow(unsafe_code)]

use rustix::mm::Advice;

/// Gives back the pages of this program's code that are mapped: what the start, an audit or a child's beginning
/// ran once need not count as resident in a process that waits. What runs on is mapped again at its first use,
/// from the page cache. How many bytes were given back to be asked for anew; 0 where the code is not found.
pub fn give_back_code() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return 0 };
    let Some(program) = program.to_str() else { return 0 };
    maps.lines().filter_map(|line| code(line, program)).map(|(from, to)| give_back(from, to)).sum()
}

/// From where to where a line of `/proc/self/maps` says that a program's code is: `7f00-7f80 r-xp … /program`.
fn code(line: &str, program: &str) -> Option<(usize, usize)> {
    let (range, rest) = line.split_once(' ')?;
    // Never written to, so that the file holds all of it: data and what the loader has relocated is not here.
    if !rest.starts_with("r-xp ") || !rest.ends_with(program) {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    Some((number(from)?, number(to)?)).filter(|(from, to)| from < to)
}

fn give_back(from: usize, to: usize) -> usize {
    let start = std::ptr::with_exposed_provenance_mut(from);
    // SAFETY: the range is a mapping of this process that the kernel named just now, private, of a file, readable
    // and executable and never writable, so that no page in it differs from the file's: after MADV_DONTNEED the
    // next access, an instruction fetch too, finds the same bytes again (madvise(2)). Nothing unmaps a program's
    // code while it runs.
    let given = unsafe { rustix::mm::madvise(start, to - from, Advice::LinuxDontNeed) };
    given.map_or(0, |()| to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_nobody_can_have_written_to_is_given_back() {
        let line = |rights| format!("7f0000-7f8000 {rights} 00001000 08:01 77 /bin/one");
        assert_eq!(code(&line("r-xp"), "/bin/one"), Some((0x7f_0000, 0x7f_8000)));
        for rights in ["rwxp", "rw-p", "r--p", "r-xs"] {
            assert_eq!(code(&line(rights), "/bin/one"), None, "{rights}");
        }
        assert_eq!(code(&line("r-xp"), "/bin/other"), None);
        assert_eq!(code("", "/bin/one"), None);
        assert_eq!(code("8-7 r-xp /bin/one", "/bin/one"), None);
    }

    #[test]
    fn the_program_goes_on_when_its_code_was_given_back() {
        assert!(give_back_code() > 0);
        let sum: u64 = std::thread::spawn(|| (0..1_000).sum()).join().unwrap();
        assert_eq!(sum, 499_500);
    }
}
