//! Reading that leaves the page cache as it was found.
//!
//! A sweep of old logs must not push out what the server's own work keeps in memory. Large files are
//! read with `RWF_DONTCACHE` (Linux 6.14): pages that had to be fetched are dropped after the read, and
//! pages that were there stay. Where the kernel or the file system does not know it, the pages that
//! were not in memory before the first read are given back at the end (`mincore(2)`,
//! `posix_fadvise(2)`); a reader who neither owns the file nor may write it is not told which those
//! are, and then leaves everything.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use crate::sys;

/// Smaller files are read as they are: they push out nothing.
pub const SPARED_BYTES_MIN: u64 = 1 << 20;

/// `RWF_DONTCACHE` of linux/fs.h.
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// How one file is read.
#[derive(Debug, Default)]
pub(super) struct Manners {
    /// The kernel drops by itself what it had to fetch.
    uncached: AtomicBool,
    /// Where it does not: what was not in memory before.
    cold: OnceLock<Vec<Range<u64>>>,
    end: u64,
}

impl Manners {
    /// For a file that is read up to `end`.
    pub(super) fn new(end: u64) -> Self {
        Self { uncached: AtomicBool::new(end >= SPARED_BYTES_MIN), cold: OnceLock::new(), end }
    }

    /// For a kernel that does not know `RWF_DONTCACHE`.
    #[cfg(test)]
    pub(super) fn of_old_kernels(end: u64) -> Self {
        Self { end, ..Self::default() }
    }

    /// As [`FileExt::read_at`].
    pub(super) fn read_at(&self, file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
        if self.end < SPARED_BYTES_MIN {
            return file.read_at(into, at);
        }
        if self.uncached.load(Ordering::Relaxed) {
            match rustix::io::preadv2(file, &mut [IoSliceMut::new(into)], at, DONTCACHE) {
                // Unknown to the file system, to the kernel, to its filter.
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                    self.uncached.store(false, Ordering::Relaxed);
                }
                other => return Ok(other?),
            }
        }
        self.cold.get_or_init(|| cold(file, self.end));
        file.read_at(into, at)
    }

    /// Gives back what was not in memory before.
    pub(super) fn restore(&self, file: &File) {
        for range in self.cold.get().into_iter().flatten() {
            let length = std::num::NonZeroU64::new(range.end - range.start);
            // Advice: what comes of it changes no result.
            let _ = rustix::fs::fadvise(file, range.start, length, Advice::DontNeed);
        }
    }
}

/// Whether all of the first `end` bytes are in memory, as far as the kernel tells this process.
pub(super) fn is_warm(file: &File, end: u64) -> bool {
    if end < SPARED_BYTES_MIN {
        return true;
    }
    let user = rustix::process::geteuid().as_raw();
    let told = user == 0 || rustix::fs::fstat(file).is_ok_and(|facts| facts.st_uid == user);
    let length = usize::try_from(end).unwrap_or(usize::MAX);
    told && sys::resident(file, length).is_some_and(|(pages, _)| pages.iter().all(|page| *page))
}

/// The ranges that are not in memory.
fn cold(file: &File, end: u64) -> Vec<Range<u64>> {
    let length = usize::try_from(end).unwrap_or(usize::MAX);
    let Some((pages, page)) = sys::resident(file, length) else { return Vec::new() };
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for at in pages.iter().enumerate().filter(|(_, there)| !**there).map(|(at, _)| at) {
        let (start, end) = ((at * page) as u64, ((at + 1) * page) as u64);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{Shared, Source};
    use super::*;

    const BYTES: usize = 4 << 20;

    /// A file on a disk whose second half is in memory; `None` where a file system keeps everything
    /// there.
    fn half_cold() -> Option<(tempfile::NamedTempFile, Vec<bool>)> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
        let directory = if std::path::Path::new(directory).is_dir() { directory } else { "/tmp" };
        let mut file = tempfile::NamedTempFile::new_in(directory).unwrap();
        file.write_all(&b"a line of a log\n".repeat(BYTES / 16)).unwrap();
        file.as_file().sync_all().unwrap();
        rustix::fs::fadvise(file.as_file(), 0, None, Advice::DontNeed).unwrap();
        // No readahead: it would fetch more than what is read here.
        rustix::fs::fadvise(file.as_file(), 0, None, Advice::Random).unwrap();
        file.as_file().read_exact_at(&mut vec![0; BYTES / 2], BYTES as u64 / 2).unwrap();
        let pages = sys::resident(file.as_file(), BYTES).unwrap().0;
        let warm = pages.iter().filter(|page| **page).count();
        if warm == 0 || warm == pages.len() {
            eprintln!("SKIPPED: this file system keeps all or no pages");
            return None;
        }
        Some((file, pages))
    }

    fn read_all(source: &Source) {
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < source.end() {
            let block = source.lines_in(at..at + (256 << 10), &mut buffer).unwrap();
            assert!(!block.bytes.is_empty());
            source.holds(&block).unwrap();
            at += 256 << 10;
        }
    }

    #[test]
    fn what_was_not_in_memory_before_is_not_after() {
        let end = BYTES as u64;
        for old_kernel in [false, true] {
            let Some((file, before)) = half_cold() else { return };
            let again = file.reopen().unwrap();
            let source = match old_kernel {
                true => Source::Copied(Shared::with(again, end, Manners::of_old_kernels(end))),
                false => Source::new(again, end).unwrap(),
            };
            assert!(matches!(source, Source::Copied(_)), "a cold file is not mapped");
            read_all(&source);
            drop(source);
            let after = sys::resident(file.as_file(), BYTES).unwrap().0;
            let differ = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            // The kernel may keep a page that somebody else touches, or drop one under pressure.
            assert!(differ * 50 <= before.len(), "{differ} of {} pages differ", before.len());
        }
    }

    #[test]
    fn a_warm_file_is_mapped_and_stays_warm() {
        let Some((file, _)) = half_cold() else { return };
        file.as_file().read_exact_at(&mut vec![0; BYTES], 0).unwrap();
        let source = Source::new(file.reopen().unwrap(), BYTES as u64).unwrap();
        if !matches!(source, Source::Mapped(_)) {
            eprintln!("SKIPPED: the file did not stay in memory");
            return;
        }
        read_all(&source);
        drop(source);
        assert!(is_warm(file.as_file(), BYTES as u64));
    }
}
