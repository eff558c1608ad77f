//! Waits for logs to change: inotify on their directories, polling where there is none.
//!
//! Watches directories, not files, so that a rotation and a new log are seen too. It only says that it
//! is time to look again; which lines are new is the checkpoint's to say, so an event that is missed or
//! comes twice loses and repeats nothing. Changes of files that nobody asked for wake nobody. Refuses
//! more than [`WATCHES_MAX`] directories: the rest is looked at every [`POLL`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::rotation::family;
use super::source::Found;

/// Most directories that are watched.
pub const WATCHES_MAX: usize = 1_024;

/// How often logs are looked at that cannot be watched.
pub const POLL: Duration = Duration::from_secs(1);

/// Bytes of events read at once.
const EVENT_BYTES: usize = 16 << 10;

/// Most events taken in one go: a busy directory does not keep the follower from looking.
const EVENTS_MAX: usize = 10_000;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A log changed, or may have.
    Changed,
    /// The caller's descriptor has something to read.
    Stopped,
    /// The time is over.
    TimedOut,
}

/// Waits for changes.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<OwnedFd>,
    directories: BTreeMap<i32, PathBuf>,
    /// Names of logs whose changes count.
    families: BTreeSet<String>,
    /// Something cannot be watched.
    blind: bool,
}

impl Watch {
    /// Watches nothing yet. Never fails: without inotify it polls.
    pub fn new() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        Self::with(inotify)
    }

    fn with(inotify: Option<OwnedFd>) -> Self {
        let blind = inotify.is_none();
        Self { inotify, directories: BTreeMap::new(), families: BTreeSet::new(), blind }
    }

    /// Watches the directories of these logs, and `also` others of which every change counts.
    pub fn cover(&mut self, found: &Found, also: &[PathBuf]) {
        let files = found.families.iter().flat_map(|family| &family.files);
        let parents = files.filter_map(|file| file.path.parent().map(Path::to_path_buf));
        let wanted: BTreeSet<PathBuf> = parents.chain(also.iter().cloned()).collect();
        self.families = found.families.iter().map(|family| family.name.clone()).collect();
        self.blind = self.inotify.is_none();
        let known: BTreeSet<PathBuf> = self.directories.values().cloned().collect();
        for directory in wanted.difference(&known) {
            self.add(directory);
        }
    }

    fn add(&mut self, directory: &Path) {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ONLYDIR;
        let Some(inotify) = &self.inotify else { return };
        if self.directories.len() >= WATCHES_MAX {
            self.blind = true;
            return;
        }
        match inotify::add_watch(inotify, directory, flags) {
            Ok(number) => _ = self.directories.insert(number, directory.to_path_buf()),
            Err(_) => self.blind = true,
        }
    }

    /// Waits until a log changes, `stop` can be read, or the time is over.
    pub fn wait(&mut self, stop: BorrowedFd<'_>, most: Duration) -> Woken {
        let end = Instant::now() + most.min(if self.blind { POLL } else { most });
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut waiting = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
            waiting.extend(self.inotify.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
            match poll(&mut waiting, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(_) => return Woken::TimedOut,
                Ok(_) => {}
            }
            let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(waiting);
            match ready.as_slice() {
                [true, ..] => return Woken::Stopped,
                [_, true] if self.drain() => return Woken::Changed,
                _ if left.is_zero() && self.blind => return Woken::Changed,
                _ if left.is_zero() => return Woken::TimedOut,
                _ => {}
            }
        }
    }

    /// Waits for `stop` only, whatever changes meanwhile.
    pub fn rest(stop: BorrowedFd<'_>, most: Duration) -> Woken {
        let end = Instant::now() + most;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::from_borrowed_fd(stop, PollFlags::IN)], timeout.as_ref()) {
                Err(Errno::INTR) => {}
                Ok(1..) => return Woken::Stopped,
                _ => return Woken::TimedOut,
            }
        }
    }

    /// Takes the events that are there; whether one of them counts.
    fn drain(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = Reader::new(inotify, &mut buffer);
        let mut counts = false;
        for _ in 0..EVENTS_MAX {
            let Ok(event) = reader.next() else { break };
            let what = event.events();
            if what.contains(ReadFlags::IGNORED) {
                // The directory is gone; when it comes back it is found anew.
                self.directories.remove(&event.wd());
                counts = true;
                continue;
            }
            let named = event.file_name().zip(self.directories.get(&event.wd()));
            counts |= match named {
                // A new name may be that of a log that nobody knew.
                Some(_) if !what.contains(ReadFlags::MODIFY) => true,
                Some((name, directory)) => {
                    let path = directory.join(OsStr::from_bytes(name.to_bytes()));
                    self.families.contains(&family(&path).0)
                        || path.extension().is_some_and(|end| end == "journal")
                }
                None => true,
            };
        }
        counts
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::super::source;
    use super::*;
    use crate::RootedTree;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    struct Logs(tempfile::TempDir);

    impl Logs {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("auth.log"), "one\n").unwrap();
            Self(dir)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn append(&self, name: &str) {
            let mut file = std::fs::File::options().append(true).open(self.path(name)).unwrap();
            file.write_all(b"two\n").unwrap();
        }

        fn found(&self) -> Found {
            let tree = RootedTree::open(Path::new("/")).unwrap();
            source::named(&tree, &[self.path("auth.log")])
        }
    }

    #[test]
    fn changes_rotations_and_new_files_wake_and_other_files_do_not() {
        let logs = Logs::new();
        std::fs::write(logs.path("other"), "").unwrap();
        let (stop, mut end) = UnixStream::pair().unwrap();
        let mut watch = Watch::new();
        watch.cover(&logs.found(), &[]);
        assert_eq!(watch.wait(stop.as_fd(), SHORT), Woken::TimedOut);
        logs.append("auth.log");
        assert_eq!(watch.wait(stop.as_fd(), LONG), Woken::Changed);
        logs.append("other");
        assert_eq!(watch.wait(stop.as_fd(), SHORT), Woken::TimedOut);
        std::fs::rename(logs.path("auth.log"), logs.path("auth.log.1")).unwrap();
        assert_eq!(watch.wait(stop.as_fd(), LONG), Woken::Changed);
        logs.append("auth.log.1");
        assert_eq!(watch.wait(stop.as_fd(), LONG), Woken::Changed, "its writer has it open still");
        std::fs::write(logs.path("new.log"), "").unwrap();
        assert_eq!(watch.wait(stop.as_fd(), LONG), Woken::Changed);
        end.write_all(b"x").unwrap();
        assert_eq!(watch.wait(stop.as_fd(), LONG), Woken::Stopped);
    }

    #[test]
    fn without_inotify_it_looks_every_second() {
        let logs = Logs::new();
        let (stop, _end) = UnixStream::pair().unwrap();
        let mut watch = Watch::with(None);
        watch.cover(&logs.found(), &[]);
        let start = Instant::now();
        assert_eq!(watch.wait(stop.as_fd(), LONG), Woken::Changed);
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn directories_beyond_the_limit_are_polled() {
        let logs = Logs::new();
        let many: Vec<PathBuf> = (0..=WATCHES_MAX)
            .map(|at| {
                let path = logs.path(&format!("d{at}"));
                std::fs::create_dir(&path).unwrap();
                path
            })
            .collect();
        let none = Found::default();
        let mut watch = Watch::new();
        watch.cover(&none, &many[1..]);
        if watch.blind {
            eprintln!("SKIPPED: this user may not watch so many");
            return;
        }
        assert_eq!(watch.directories.len(), WATCHES_MAX);
        watch.cover(&none, &many);
        assert!(watch.blind && watch.directories.len() == WATCHES_MAX);
    }
}
