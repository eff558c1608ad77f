//! Notices between two audits that another one is due: configuration changed, or something began or ceased
//! to listen.
//!
//! Directories of configuration are watched by inotify(7), each by itself, down to [`DEPTH_MAX`] and up to
//! [`DIRECTORIES_MAX`]. Where the kernel gives no watch (they are counted a user), what the directories hold is
//! compared every [`POLL_SECONDS`] instead. TCP listeners are asked of the kernel each time. UDP sockets come
//! and go with every name that is looked up, and are left to the audit.
//!
//! It only says that something changed, never what that means.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use scanner::ports::inventory::{self, Transport};

/// Where configuration is kept.
const DIRECTORIES: [&str; 6] = [
    "etc",
    "usr/lib/systemd/system",
    "usr/lib/sysctl.d",
    "usr/lib/sudoers.d",
    "run/systemd/system",
    "root/.ssh",
];
/// Most directories that are watched.
pub const DIRECTORIES_MAX: usize = 1_024;
/// Deepest directory below one of [`DIRECTORIES`].
const DEPTH_MAX: usize = 4;
/// How often directories are compared where they cannot be watched.
pub const POLL_SECONDS: i64 = 30;
/// Most entries that are compared.
const ENTRIES_MAX: usize = 20_000;
/// Most events taken at once; what is left is taken the next time.
const EVENTS_MAX: usize = 4_096;
/// What a change is.
const CHANGES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);
/// Files that are written while nothing changes.
const IDLE_NAMES: [&str; 7] =
    [".pwd.lock", "adjtime", "ld.so.cache", "mtab", "resolv.conf", "motd", "fake-hwclock.data"];

type Listening = BTreeSet<(IpAddr, u16)>;

/// Watches one host.
pub struct Watch {
    root: PathBuf,
    inotify: Option<OwnedFd>,
    watched: BTreeMap<i32, PathBuf>,
    polled: Option<(u64, i64)>,
    listening: Option<Listening>,
}

impl Watch {
    /// Begins to watch the tree under `root`.
    pub fn new(root: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        let mut watch = Self {
            root: root.to_path_buf(),
            inotify,
            watched: BTreeMap::new(),
            polled: None,
            listening: None,
        };
        if watch.inotify.is_some() && watch.watch_all().is_err() {
            watch.inotify = None;
        }
        watch
    }

    /// What changed since the last call, in one line. The first call has nothing to compare with.
    pub fn look(&mut self, now: i64) -> Option<String> {
        let files = match self.inotify {
            Some(_) => self.events(),
            None => self.poll(now),
        };
        // Both are asked, so that the one does not hide the other until the next time.
        let listeners = self.listeners();
        files.or(listeners)
    }

    fn watch_all(&mut self) -> Result<(), Errno> {
        for directory in directories(&self.root) {
            let Some(inotify) = &self.inotify else { return Ok(()) };
            match inotify::add_watch(inotify, &directory, CHANGES | WatchFlags::ONLYDIR) {
                Ok(number) => drop(self.watched.insert(number, directory)),
                // Out of watches or memory: half a watch would be none that anybody can rely on.
                Err(error @ (Errno::NOSPC | Errno::NOMEM)) => return Err(error),
                // Gone again, or closed to us: then it is closed to the audit as well.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn events(&mut self) -> Option<String> {
        let mut changed = None;
        let mut grown = false;
        {
            let inotify = self.inotify.as_ref()?;
            let mut buffer = [MaybeUninit::uninit(); 16 << 10];
            let mut reader = inotify::Reader::new(inotify, &mut buffer);
            for _ in 0..EVENTS_MAX {
                let Ok(event) = reader.next() else { break };
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    changed = Some("configuration".to_string());
                }
                grown |= event.events().contains(ReadFlags::ISDIR);
                let Some(directory) = self.watched.get(&event.wd()) else { continue };
                let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = name.unwrap_or_default();
                if !is_idle(&name) {
                    let path = shown(&self.root, &directory.join(&name));
                    changed = changed.or(Some(path));
                }
            }
        }
        if grown && self.watch_all().is_err() {
            self.inotify = None;
        }
        changed.map(|path| format!("{path} changed"))
    }

    fn poll(&mut self, now: i64) -> Option<String> {
        if self.polled.is_some_and(|(_, at)| now < at.saturating_add(POLL_SECONDS) && now >= at) {
            return None;
        }
        let digest = digest(&self.root);
        let before = self.polled.replace((digest, now));
        let differs = before.is_some_and(|(before, _)| before != digest);
        differs.then(|| "configuration changed".to_string())
    }

    fn listeners(&mut self) -> Option<String> {
        if self.root != Path::new("/") {
            return None;
        }
        let sockets = inventory::from_netlink().ok()?;
        let tcp = sockets.iter().filter(|socket| socket.transport == Transport::Tcp);
        let listening: Listening = tcp.map(|socket| (socket.address, socket.port)).collect();
        let line = self.listening.as_ref().and_then(|before| difference(before, &listening));
        self.listening = Some(listening);
        line
    }
}

/// Who began to listen, or else who ceased to.
fn difference(before: &Listening, now: &Listening) -> Option<String> {
    let name = |(address, port): &(IpAddr, u16)| std::net::SocketAddr::new(*address, *port);
    let began =
        now.difference(before).next().map(|one| format!("tcp {} began to listen", name(one)));
    began.or_else(|| {
        before.difference(now).next().map(|one| format!("tcp {} listens no longer", name(one)))
    })
}

/// A path as it is inside the root.
fn shown(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    scanner::redact::printable(&format!("/{}", inside.display()))
}

/// Editors' and package managers' own files, and those that are written while nothing changes.
fn is_idle(name: &str) -> bool {
    let temporary = [".swp", ".swx", "~", ".dpkg-new", ".dpkg-tmp", ".tmp", ".lock"];
    IDLE_NAMES.contains(&name)
        || name.starts_with(".#")
        || name == "4913" // vim tries whether it may write
        || temporary.iter().any(|end| name.ends_with(end))
}

/// The directories to watch, the first levels first.
fn directories(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut level: Vec<PathBuf> = DIRECTORIES.iter().map(|name| root.join(name)).collect();
    for _ in 0..=DEPTH_MAX {
        let mut next = Vec::new();
        for directory in level {
            // A link leads to what is watched itself, or to nowhere that is configuration.
            let is_directory =
                std::fs::symlink_metadata(&directory).is_ok_and(|facts| facts.is_dir());
            if !is_directory || found.len() >= DIRECTORIES_MAX {
                continue;
            }
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            next.extend(inner.map(|entry| entry.path()).take(DIRECTORIES_MAX));
            found.push(directory);
        }
        level = next;
    }
    found
}

/// What the directories hold, as one number.
fn digest(root: &Path) -> u64 {
    let mut entries: Vec<_> = directories(root)
        .iter()
        .flat_map(|directory| std::fs::read_dir(directory).into_iter().flatten().flatten())
        .filter(|entry| !is_idle(&entry.file_name().to_string_lossy()))
        .take(ENTRIES_MAX)
        .filter_map(|entry| {
            let facts = entry.metadata().ok().filter(|facts| !facts.is_dir())?;
            let changed = (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
            Some((entry.path(), facts.ino(), facts.len(), changed))
        })
        .collect();
    entries.sort();
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/ssh/sshd_config.d")).unwrap();
        std::fs::write(root.path().join("etc/ssh/sshd_config"), "Port 22\n").unwrap();
        root
    }

    fn notices_changes(mut watch: Watch, root: &Path, mut now: i64) {
        let mut look = |watch: &mut Watch| {
            now += POLL_SECONDS;
            watch.look(now)
        };
        assert_eq!(look(&mut watch), None);
        std::fs::write(root.join("etc/ssh/sshd_config"), "Port 222\n").unwrap();
        assert!(look(&mut watch).is_some_and(|line| line.ends_with("changed")));
        assert_eq!(look(&mut watch), None, "said once");
        for idle in ["etc/mtab", "etc/.sshd_config.swp", "etc/x~"] {
            std::fs::write(root.join(idle), "x").unwrap();
        }
        assert_eq!(look(&mut watch), None);
        // A directory that is new is watched as well.
        std::fs::create_dir(root.join("etc/new")).unwrap();
        look(&mut watch);
        std::fs::write(root.join("etc/new/x.conf"), "x").unwrap();
        assert!(look(&mut watch).is_some());
        std::fs::remove_file(root.join("etc/new/x.conf")).unwrap();
        assert!(look(&mut watch).is_some());
        assert_eq!(look(&mut watch), None);
    }

    #[test]
    fn changes_are_noticed_by_watching() {
        let root = tree();
        let watch = Watch::new(root.path());
        assert!(watch.inotify.is_some());
        notices_changes(watch, root.path(), 0);
        let mut watch = Watch::new(root.path());
        std::fs::write(root.path().join("etc/ssh/sshd_config.d/a.conf"), "").unwrap();
        assert_eq!(watch.look(0).as_deref(), Some("/etc/ssh/sshd_config.d/a.conf changed"));
    }

    #[test]
    fn changes_are_noticed_by_comparing_where_watching_is_refused() {
        let root = tree();
        let watch = Watch { inotify: None, ..Watch::new(root.path()) };
        notices_changes(watch, root.path(), 0);
        let mut watch = Watch { inotify: None, ..Watch::new(root.path()) };
        watch.look(100);
        std::fs::write(root.path().join("etc/x"), "").unwrap();
        assert_eq!(watch.look(101), None, "not so often");
        assert!(watch.look(50).is_some(), "a clock that was set back does not end it");
    }

    #[test]
    fn a_tree_that_is_too_large_is_watched_as_far_as_it_goes() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..DIRECTORIES_MAX + 50 {
            std::fs::create_dir_all(root.path().join(format!("etc/{number}"))).unwrap();
        }
        assert_eq!(directories(root.path()).len(), DIRECTORIES_MAX);
        let deep = root.path().join("run/systemd/system/1/2/3/4/5/6");
        std::fs::create_dir_all(&deep).unwrap();
        assert!(!directories(root.path()).contains(&deep));
    }

    #[test]
    fn who_begins_and_ceases_to_listen_is_named() {
        let one: Listening = [("127.0.0.1".parse().unwrap(), 22)].into();
        let two: Listening = one.iter().copied().chain([("::".parse().unwrap(), 80)]).collect();
        assert_eq!(difference(&one, &two).as_deref(), Some("tcp [::]:80 began to listen"));
        assert_eq!(difference(&two, &one).as_deref(), Some("tcp [::]:80 listens no longer"));
        assert_eq!(difference(&one, &one), None);
    }
}
