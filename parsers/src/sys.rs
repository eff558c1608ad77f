//! What safe Rust cannot say: mappings that survive a truncation, and which pages of a file are in memory.
//!
//! A file that somebody truncates under a mapping raises SIGBUS at the next touch of a lost page
//! (`MAP_PRIVATE` too). The handler here puts zero pages in the place of what was lost, notes where in
//! that mapping, and lets the reader go on: whoever uses a [`Guarded`] mapping asks
//! [`Guarded::lost_from`] before it believes what it has read. A SIGBUS that is not of one of our
//! mappings goes to the handler that was there before, so it still ends the process.
//!
//! The handler only loads and stores atomics and makes system calls. At most [`MAPPINGS_MAX`]
//! mappings are guarded at a time; a further one is refused, and its file is read without a mapping.
#![allow(unsafe_code)]

pub(crate) mod vector;

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions};

/// Most mappings at a time.
pub(crate) const MAPPINGS_MAX: usize = 64;

/// Nothing is lost.
const WHOLE: usize = usize::MAX;

/// One mapping, as the handler sees it. `version` is odd while the other fields change, so that the
/// handler never joins the start of one mapping with the length of another.
struct Slot {
    taken: AtomicUsize,
    version: AtomicUsize,
    start: AtomicUsize,
    length: AtomicUsize,
    lost_from: AtomicUsize,
}

impl Slot {
    const fn free() -> Self {
        Self {
            taken: AtomicUsize::new(0),
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            lost_from: AtomicUsize::new(WHOLE),
        }
    }

    fn set(&self, start: usize, length: usize) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.start.store(start, Ordering::SeqCst);
        self.length.store(length, Ordering::SeqCst);
        self.lost_from.store(WHOLE, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// Start and length, if `address` lies inside. The slot of a mapping that is being read does not
    /// change meanwhile: it is freed after its last reader.
    fn holding(&self, address: usize) -> Option<(usize, usize)> {
        let version = self.version.load(Ordering::SeqCst);
        let (start, length) =
            (self.start.load(Ordering::SeqCst), self.length.load(Ordering::SeqCst));
        let stable = version.is_multiple_of(2) && self.version.load(Ordering::SeqCst) == version;
        let inside = address >= start && address - start < length;
        (stable && inside).then_some((start, length))
    }
}

static SLOTS: [Slot; MAPPINGS_MAX] = [const { Slot::free() }; MAPPINGS_MAX];
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
static INSTALLED: OnceLock<bool> = OnceLock::new();
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// A mapping of the first bytes of a file, for reading.
#[derive(Debug)]
pub(crate) struct Guarded {
    map: Mmap,
    slot: usize,
}

impl Guarded {
    /// Maps the first `length` bytes. Fails where the handler cannot be set or too many are mapped.
    pub(crate) fn new(file: &File, length: usize) -> io::Result<Self> {
        if !*INSTALLED.get_or_init(install) {
            return Err(io::Error::other("the handler of SIGBUS cannot be set"));
        }
        let take = |slot: &Slot| {
            slot.taken.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        let Some(slot) = SLOTS.iter().position(take) else {
            return Err(io::Error::other(format!("more than {MAPPINGS_MAX} mappings")));
        };
        // SAFETY: the mapping is read-only and private to this object. Another process may change or
        // cut the file: a cut is caught by the handler, and no reader believes the bytes before it has
        // asked whether the file is still what it was (`map::mapped`). Bytes are only read as `u8`,
        // for which every value is valid.
        match unsafe { MmapOptions::new().len(length).map(file) } {
            Ok(map) => {
                SLOTS[slot].set(map.as_ptr() as usize, map.len());
                Ok(Self { map, slot })
            }
            Err(error) => {
                SLOTS[slot].taken.store(0, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// The bytes; those from [`Self::lost_from`] on are zeros and were never in the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// From where on bytes were lost, by whole pages, if any touched byte was.
    pub(crate) fn lost_from(&self) -> Option<usize> {
        let from = SLOTS[self.slot].lost_from.load(Ordering::SeqCst);
        (from != WHOLE).then_some(from)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Before the address range can belong to somebody else; the map itself is dropped after.
        SLOTS[self.slot].set(0, 0);
        SLOTS[self.slot].taken.store(0, Ordering::SeqCst);
    }
}

/// Sets the handler; whether that worked.
fn install() -> bool {
    // SAFETY: `sysconf` has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Some(page) = usize::try_from(page).ok().filter(|page| page.is_power_of_two()) else {
        return false;
    };
    PAGE.store(page, Ordering::SeqCst);
    // SAFETY: all zero is a valid `sigaction` (default action, empty mask).
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks for the present action only; `old` is writable and of the right type.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut old) } != 0 {
        return false;
    }
    // Known before the handler can run.
    let _ = PREVIOUS.set(old);
    // SAFETY: as above.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
    new.sa_sigaction = handler as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `new` is a valid action whose handler lives as long as the process and does only what
    // may be done in a handler.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const new, ptr::null_mut()) == 0 }
}

extern "C" fn on_sigbus(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid `siginfo_t` to a handler set with SA_SIGINFO; for SIGBUS it
    // holds the address of the fault (for one that was sent by `kill`, bytes that match no mapping
    // of ours but by accident, which `si_code` rules out).
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code == libc::BUS_ADRERR && cover(address) {
        return;
    }
    chain(signal, info, context);
}

/// Puts zero pages from the fault to the end of the mapping that holds it; `false` if none does.
fn cover(address: usize) -> bool {
    let page = PAGE.load(Ordering::SeqCst);
    for slot in &SLOTS {
        let Some((start, length)) = slot.holding(address) else { continue };
        let from = address & !(page - 1);
        // SAFETY: `__errno_location` gives this thread's errno, valid while the thread lives. The
        // fixed mapping replaces pages of our own mapping only: from a page inside it to its end.
        // `mmap` is a plain system call here.
        let covered = unsafe {
            let errno = libc::__errno_location();
            let kept = *errno;
            let at = libc::mmap(
                from as *mut libc::c_void,
                start + length - from,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
                -1,
                0,
            );
            *errno = kept;
            at != libc::MAP_FAILED
        };
        if covered {
            slot.lost_from.fetch_min(from - start, Ordering::SeqCst);
        }
        return covered;
    }
    false
}

/// Gives the signal to whoever had it before.
fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous = PREVIOUS.get().map(|old| (old.sa_sigaction, old.sa_flags));
    match previous {
        Some((handler, flags)) if handler != libc::SIG_DFL && handler != libc::SIG_IGN => {
            if flags & libc::SA_SIGINFO != 0 {
                // SAFETY: the action said that its handler takes three arguments.
                let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    unsafe { std::mem::transmute(handler) };
                handler(signal, info, context);
            } else {
                // SAFETY: without SA_SIGINFO a handler takes the signal's number only.
                let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
                handler(signal);
            }
        }
        _ => {
            // SAFETY: the default action is always valid. After the return the instruction faults
            // again and ends the process as if we had never been here; a signal that was sent with
            // `kill` is sent again for that.
            unsafe {
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, ptr::null_mut());
                libc::raise(signal);
            }
        }
    }
}

/// Which pages of the first `length` bytes of a file are in memory, and how large a page is; `None`
/// where the kernel does not say. A reader who neither owns the file nor may write it is told that all
/// of them are.
pub(crate) fn resident(file: &File, length: usize) -> Option<(Vec<bool>, usize)> {
    // SAFETY: `sysconf` has no preconditions.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    if length == 0 {
        return Some((Vec::new(), page));
    }
    // SAFETY: the mapping is never dereferenced, only asked about.
    let map = unsafe { MmapOptions::new().len(length).map(file) }.ok()?;
    let mut pages = vec![0_u8; length.div_ceil(page)];
    // SAFETY: `pages` has a byte for each page of the mapping, whose start is aligned to a page.
    let asked =
        unsafe { libc::mincore(map.as_ptr() as *mut libc::c_void, length, pages.as_mut_ptr()) };
    (asked == 0).then(|| (pages.iter().map(|page| page & 1 == 1).collect(), page))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;

    fn filled(bytes: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; bytes]).unwrap();
        file
    }

    #[test]
    fn what_was_cut_away_reads_as_zeros_and_is_noted() {
        let file = filled(100_000);
        let map = Guarded::new(&file, 100_000).unwrap();
        assert_eq!((map.bytes()[99_999], map.lost_from()), (b'x', None));
        file.set_len(50_000).unwrap();
        assert_eq!((map.bytes()[99_999], map.bytes()[1]), (0, b'x'));
        assert!(map.lost_from().is_some_and(|from| from > 50_000 && from <= 99_999));
        assert_eq!(map.bytes()[60_000], 0);
        assert!(map.lost_from().is_some_and(|from| from <= 60_000));
    }

    #[test]
    fn mappings_are_counted_and_given_back() {
        let file = filled(10);
        let mut maps = Vec::new();
        let refused = loop {
            match Guarded::new(&file, 10) {
                Ok(map) => maps.push(map),
                Err(error) => break error,
            }
        };
        // Other tests map at the same time.
        assert!(!maps.is_empty() && maps.len() <= MAPPINGS_MAX);
        assert_eq!(refused.to_string(), format!("more than {MAPPINGS_MAX} mappings"));
        maps.clear();
        assert!(Guarded::new(&file, 10).is_ok());
    }

    #[test]
    fn pages_in_memory_are_known() {
        let file = filled(3 * 4096 + 1);
        let (pages, page) = resident(&file, 3 * 4096 + 1).unwrap();
        assert_eq!(pages.len(), (3 * 4096 + 1_usize).div_ceil(page));
        assert!(pages.iter().all(|page| *page), "just written");
        assert_eq!(resident(&file, 0).unwrap().0, Vec::<bool>::new());
    }

    /// A mapping that is not ours: the process ends by the signal, handler or not. Runs itself again.
    #[test]
    fn a_sigbus_that_is_not_ours_still_kills() {
        use std::os::unix::process::ExitStatusExt;

        const ASKED: &str = "WARDMOTE_TEST_SIGBUS";
        let name = "sys::tests::a_sigbus_that_is_not_ours_still_kills";
        if std::env::var_os(ASKED).is_some() {
            let ours = filled(8192);
            let guarded = Guarded::new(&ours, 8192).unwrap();
            ours.set_len(0).unwrap();
            assert_eq!(std::hint::black_box(guarded.bytes())[5000], 0);
            let file = filled(8192);
            // SAFETY: read as bytes only; the fault is what the test is about.
            let other = unsafe { MmapOptions::new().len(8192).map(&file) }.unwrap();
            file.set_len(0).unwrap();
            println!("about to die");
            std::hint::black_box(std::hint::black_box(&other)[5000]);
            println!("survived");
            return;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ASKED, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{said}");
        assert!(said.contains("about to die") && !said.contains("survived"), "{said}");
    }
}
