//! One bounded, parallel walk of the system paths that serves every check of files.
//!
//! It never follows a link, never enters a network, automount, FUSE, kernel or container file system
//! (see [`table`]), and stops at [`ENTRIES_MAX`] entries, [`DEPTH_MAX`] levels or [`TIME_MAX`]. What
//! it therefore did not see is in [`Walk::unseen`]; what it is not meant to see is in
//! [`Walk::passed_by`]. It keeps only what checks may want: a walk of a million files costs no memory.

mod pass;
pub mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use parsers::tree::{FileKind, LookError, Stat, Tree};

use crate::facts::{Fact, Facts};
use pass::Pass;
pub use table::{Entering, MountTable};

/// Most entries that one pass of the walk visits.
pub const ENTRIES_MAX: u64 = 1_000_000;
/// Deepest level below a starting path.
pub const DEPTH_MAX: u32 = 24;
/// Longest time of one pass; a guard against a dying disk, not a budget.
pub const TIME_MAX: Duration = Duration::from_secs(20);
/// Most files of one sort that are kept.
pub const FOUND_MAX: usize = 2_000;
/// Most threads that walk.
const THREADS_MAX: usize = 4;
/// Most paths that are named where something could not be looked at.
const NAMED_MAX: usize = 5;

/// Where the walk starts and how many levels it lists, in the order of their worth.
const SYSTEM: &[(&str, u32)] = &[
    ("/etc", DEPTH_MAX),
    ("/bin", DEPTH_MAX),
    ("/sbin", DEPTH_MAX),
    ("/lib", DEPTH_MAX),
    ("/lib32", DEPTH_MAX),
    ("/lib64", DEPTH_MAX),
    ("/usr", DEPTH_MAX),
    ("/boot", DEPTH_MAX),
    ("/opt", DEPTH_MAX),
    ("/var/spool", 4),
    ("/var/lib", 3),
    ("/var/log", 3),
    ("/var/www", 3),
    ("/tmp", 2),
    ("/var/tmp", 2),
    ("/dev/shm", 2),
];

/// Places of users, in a second pass with its own limits, so that a million files in a home directory
/// do not end the walk of `/usr`.
const USERS: &[(&str, u32)] = &[("/root", 3), ("/home", 4), ("/srv", 3)];

/// Trees of data where only directories are judged: nearly half of all files of a host lie there, to
/// ask for the facts of each would double the time, and nothing runs from there. Coverage says so.
const DIRECTORIES_ONLY: &[&str] =
    &["/usr/share", "/usr/include", "/usr/src", "/usr/lib/modules", "/usr/lib/firmware"];

/// Places where everybody may write.
pub const SHARED: &[&str] = &["/tmp", "/var/tmp", "/dev/shm"];

/// A file that a check may want, with its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Path inside the tree.
    pub path: PathBuf,
    /// Its facts.
    pub stat: Stat,
}

/// What the walk found.
#[derive(Debug, Default)]
pub struct Walk {
    /// Executable files with a set-user-id or set-group-id bit.
    pub set_id: Vec<Found>,
    /// Files that everybody may write, and directories that everybody may write without a sticky bit.
    pub writable: Vec<Found>,
    /// Files that by their name hold a private key and that everybody may read.
    pub keys: Vec<Found>,
    /// Executable files, and directories with hiding names, in the places where everybody may write.
    pub odd: Vec<Found>,
    /// Entries visited.
    pub entries: u64,
    /// Starting paths that were walked.
    pub covered: Vec<String>,
    /// What is left out on purpose: other file systems, containers.
    pub passed_by: Vec<String>,
    /// What could not be seen.
    pub unseen: Vec<String>,
}

impl Walk {
    /// Walks the system paths of a tree.
    pub fn read(tree: &dyn Tree, table: &MountTable) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut gathered = Gathered::default();
        for scopes in [SYSTEM, USERS] {
            let pass = Pass::new(tree, table, ENTRIES_MAX);
            gathered.add(pass.run(scopes, threads.min(THREADS_MAX)));
        }
        gathered.finish()
    }

    /// One line that says what was covered, for reasons of checks.
    pub fn coverage(&self) -> String {
        let mut line = format!(
            "{} entries under {} (only directories of {})",
            self.entries,
            self.covered.join(" "),
            DIRECTORIES_ONLY.join(" ")
        );
        if !self.passed_by.is_empty() {
            line += &format!("; not entered: {}", self.passed_by.join(", "));
        }
        line
    }

    fn add(&mut self, other: Self) {
        self.set_id.extend(other.set_id);
        self.writable.extend(other.writable);
        self.keys.extend(other.keys);
        self.odd.extend(other.odd);
        self.entries += other.entries;
        self.covered.extend(other.covered);
        self.passed_by.extend(other.passed_by);
        self.unseen.extend(other.unseen);
    }

    fn lists(&mut self) -> [(&mut Vec<Found>, &'static str); 4] {
        [
            (&mut self.set_id, "set-id files"),
            (&mut self.writable, "world-writable entries"),
            (&mut self.keys, "key files"),
            (&mut self.odd, "executables in shared places"),
        ]
    }
}

impl Fact for Walk {
    fn look(facts: &Facts<'_>) -> Self {
        Self::read(facts.tree, &facts.get::<MountTable>())
    }
}

/// What one worker gathers.
#[derive(Default)]
struct Gathered {
    walk: Walk,
    denied: Vec<PathBuf>,
    foreign: Vec<PathBuf>,
    too_deep: Vec<PathBuf>,
    failed: Vec<LookError>,
}

fn named(paths: &mut [PathBuf], what: &str) -> Option<String> {
    paths.sort();
    let shown: Vec<_> = paths
        .iter()
        .take(NAMED_MAX)
        .map(|path| crate::redact::printable(&path.to_string_lossy()))
        .collect();
    let more = if paths.len() > NAMED_MAX { " …" } else { "" };
    (!paths.is_empty()).then(|| format!("files: {} {what}: {}{more}", paths.len(), shown.join(" ")))
}

/// Whether a regular file is worth a path: decided for every file of the host, so by numbers first.
fn of_interest(stat: &Stat, shared: bool, name: &[u8]) -> bool {
    stat.mode & 0o6002 != 0
        || (shared && stat.mode & 0o111 != 0)
        || (stat.mode & 0o004 != 0 && is_key_name(name))
}

/// Names under which private keys are kept.
fn is_key_name(name: &[u8]) -> bool {
    name.ends_with(b".key")
        || name.ends_with(b".pem")
        || (name.starts_with(b"id_") && !name.ends_with(b".pub"))
        || (name.starts_with(b"ssh_host_") && name.ends_with(b"_key"))
}

impl Gathered {
    fn consider(&mut self, path: &Path, stat: &Stat, shared: bool) {
        let found = || Found { path: path.to_path_buf(), stat: stat.clone() };
        // One more than the limit, so that `finish` knows that something was dropped.
        let push = |list: &mut Vec<Found>| {
            if list.len() <= FOUND_MAX {
                list.push(found());
            }
        };
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if stat.kind == FileKind::Directory {
            if stat.mode & 0o1002 == 0o002 {
                push(&mut self.walk.writable);
            }
            if shared && is_hiding_name(name) {
                push(&mut self.walk.odd);
            }
            return;
        }
        if stat.mode & 0o6000 != 0 && stat.mode & 0o111 != 0 {
            push(&mut self.walk.set_id);
        }
        if stat.mode & 0o002 != 0 && !shared {
            push(&mut self.walk.writable);
        }
        if shared && stat.mode & 0o111 != 0 {
            push(&mut self.walk.odd);
        }
        if stat.mode & 0o004 != 0 && !shared && is_key_name(name) && !path.starts_with("/usr/share")
        {
            push(&mut self.walk.keys);
        }
    }

    /// Sorts, bounds and names.
    fn finish(self) -> Walk {
        let Self { mut walk, mut denied, mut foreign, mut too_deep, mut failed } = self;
        walk.unseen
            .extend(named(&mut denied, "directories could not be listed (permission denied)"));
        walk.unseen
            .extend(named(&mut foreign, "directories on other file systems were not entered"));
        walk.unseen.extend(named(&mut too_deep, "directories lie too deep"));
        failed.sort_by(|a, b| a.path.cmp(&b.path));
        walk.unseen.extend(failed.iter().take(NAMED_MAX).map(|error| format!("files: {error}")));
        if failed.len() > NAMED_MAX {
            walk.unseen.push(format!("files: {} more errors", failed.len() - NAMED_MAX));
        }
        let mut dropped = Vec::new();
        for (list, what) in walk.lists() {
            list.sort_by(|a, b| a.path.cmp(&b.path));
            if list.len() > FOUND_MAX {
                dropped
                    .push(format!("files: more than {FOUND_MAX} {what}; the rest is not judged"));
                list.truncate(FOUND_MAX);
            }
        }
        walk.unseen.extend(dropped);
        walk.passed_by.sort();
        walk
    }

    fn add(&mut self, other: Self) {
        self.walk.add(other.walk);
        self.denied.extend(other.denied);
        self.foreign.extend(other.foreign);
        self.too_deep.extend(other.too_deep);
        self.failed.extend(other.failed);
    }
}

/// Names that look like nothing: only dots and blanks (`...`, `.. `).
fn is_hiding_name(name: &[u8]) -> bool {
    name.len() > 1 && name.iter().all(|byte| matches!(byte, b'.' | b' ' | 0xa0 | 0xc2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    fn paths(list: &[Found]) -> Vec<&str> {
        list.iter().map(|found| found.path.to_str().unwrap()).collect()
    }

    #[test]
    fn the_walk_keeps_what_checks_want() {
        let tree = MemoryTree::new()
            .file_with("/usr/bin/su", "x", 0o4755, 0, 0)
            .file_with("/usr/bin/inert", "x", 0o4644, 0, 0)
            .file_with("/etc/open", "x", 0o666, 0, 0)
            .file_with("/etc/ssl/a.key", "x", 0o644, 0, 0)
            .file_with("/etc/ssl/b.key", "x", 0o600, 0, 0)
            .file_with("/tmp/run", "x", 0o755, 1000, 0)
            .file_with("/tmp/everybodys", "x", 0o666, 1000, 0)
            .directory("/tmp/...", 0o700, 1000, 0)
            .directory("/opt/open", 0o777, 0, 0)
            .directory("/usr/share/open", 0o777, 0, 0)
            .file_with("/usr/share/data", "x", 0o666, 0, 0)
            .directory("/tmp", 0o1777, 0, 0)
            .link("/bin", "usr/bin")
            .link("/etc/loop", "/etc");
        let walk = Walk::read(&tree, &MountTable::default());
        assert_eq!(paths(&walk.set_id), ["/usr/bin/su"]);
        assert_eq!(paths(&walk.writable), ["/etc/open", "/opt/open", "/usr/share/open"]);
        assert_eq!(paths(&walk.keys), ["/etc/ssl/a.key"]);
        assert_eq!(paths(&walk.odd), ["/tmp/...", "/tmp/run"]);
        assert_eq!(walk.unseen, Vec::<String>::new());
        assert!(walk.coverage().contains("/usr"), "{}", walk.coverage());
    }

    #[test]
    fn network_and_container_file_systems_are_not_entered() {
        let tree = MemoryTree::new()
            .file("/proc/1/mountinfo", "1 0 8:1 / / rw - ext4 x rw\n2 1 0:9 / /srv rw - nfs x rw\n3 1 0:8 / /usr/net rw - fuse.x x rw\n")
            .file_with("/srv/evil", "x", 0o4755, 0, 0)
            .file_with("/usr/net/evil", "x", 0o4755, 0, 0)
            .file_with("/var/lib/docker/evil", "x", 0o4755, 0, 0);
        let walk = Walk::read(&tree, &MountTable::read(&tree));
        assert!(walk.set_id.is_empty());
        assert_eq!(
            walk.passed_by,
            [
                "/srv (a nfs file system)",
                "/usr/net (a fuse.x file system)",
                "/var/lib/docker (belongs to containers)"
            ]
        );
    }

    #[test]
    fn reaching_a_limit_is_said() {
        let mut tree = MemoryTree::new();
        for at in 0..20 {
            tree = tree.file(&format!("/etc/d{at}/f"), "x");
        }
        let table = MountTable::default();
        // 20 directories and a file in each.
        let whole = Pass::new(&tree, &table, 40).run(&[("/etc", DEPTH_MAX)], 2).finish();
        assert_eq!((whole.entries, whole.unseen.len()), (40, 0));
        let cut = Pass::new(&tree, &table, 39).run(&[("/etc", DEPTH_MAX)], 1).finish();
        assert!(cut.unseen[0].contains("stopped after"), "{:?}", cut.unseen);
        let deep = format!("/etc{}/f", "/d".repeat(DEPTH_MAX as usize + 1));
        let deep = MemoryTree::new().file(&deep, "x");
        let walk = Pass::new(&deep, &table, 100).run(&[("/etc", DEPTH_MAX)], 2).finish();
        assert!(walk.unseen[0].contains("too deep"), "{:?}", walk.unseen);
    }

    #[test]
    fn a_real_tree_with_loops_fifos_and_strange_names_ends() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir_all(etc.join("sub")).unwrap();
        symlink("..", etc.join("sub/up")).unwrap();
        symlink("/", etc.join("root")).unwrap();
        symlink(dir.path(), etc.join("out")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let all = rustix::fs::Mode::from_bits_truncate(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, etc.join("a.key"), fifo, all, 0).unwrap();
        let odd = etc.join(std::ffi::OsStr::from_bytes(b"\xff\n\x1b[31m"));
        std::fs::write(&odd, "x").unwrap();
        std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o666)).unwrap();
        let tree = crate::RootedTree::open(dir.path()).unwrap();
        let walk = Walk::read(&tree, &MountTable::default());
        assert_eq!((walk.entries, walk.writable.len(), walk.keys.len()), (6, 1, 0));
        assert_eq!(walk.unseen, Vec::<String>::new());
    }

    #[test]
    fn this_host_is_walked_like_find_walks_it() {
        let asked = std::process::Command::new("find")
            .args(["/usr/bin", "-xdev", "-type", "f", "-perm", "/6000", "-perm", "/111"])
            .output();
        let Ok(asked) = asked else {
            assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "find is required");
            eprintln!("skipped: find is not installed");
            return;
        };
        let text = String::from_utf8(asked.stdout).unwrap();
        let mut known: Vec<_> = text.lines().collect();
        known.sort_unstable();
        let tree = crate::RootedTree::open(Path::new("/")).unwrap();
        let table = MountTable::read(&tree);
        let walk =
            Pass::new(&tree, &table, ENTRIES_MAX).run(&[("/usr/bin", DEPTH_MAX)], 2).finish();
        assert_eq!(paths(&walk.set_id), known);
    }
}
