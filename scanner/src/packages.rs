//! Installed packages, and which of them owns a file.
//!
//! [`Installed`] is the status file of dpkg; [`Packages`] adds an index over the file lists, so that an
//! owner is found by path. Paths are compared after the links of a merged `/usr` (`/bin` to
//! `/usr/bin`) and after dpkg's diversions. The index keeps 12 bytes a file: a keyed hash and the
//! package, never the path, so that a machine with half a million packaged files costs 6 MB; the key
//! is random, so nobody can choose a file name that collides.
//!
//! Only dpkg is read. Where another package manager is found, `unavailable` says so: an owner that is
//! not known is never "owned by nobody".

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::config::dpkg::{self, Diversions, Package};
use parsers::tree::{Links, LookError, Tree};

use crate::facts::{Fact, Facts};

/// dpkg's status file.
pub const STATUS: &str = "/var/lib/dpkg/status";
/// Where dpkg keeps its file lists.
pub const INFO: &str = "/var/lib/dpkg/info";
/// Largest status file that is read (32 MiB: some 15,000 packages).
pub const STATUS_BYTES_MAX: usize = 32 << 20;
/// Largest single file list that is read.
pub const LIST_BYTES_MAX: usize = 16 << 20;
/// Most bytes of file lists that are read in all.
pub const LISTS_BYTES_MAX: usize = 256 << 20;
/// Threads that read file lists.
const READERS: usize = 2;

/// Databases of other package managers, by the path that shows them.
const OTHERS: &[(&str, &str)] = &[
    ("/var/lib/rpm", "rpm"),
    ("/usr/lib/sysimage/rpm", "rpm"),
    ("/lib/apk/db/installed", "apk"),
    ("/var/lib/pacman/local", "pacman"),
];

/// What dpkg says is installed.
#[derive(Debug, Default)]
pub struct Installed {
    /// Packages with files on disk, in the order of the status file.
    pub packages: Vec<Package>,
    /// Why the list is not available or not whole, if so.
    pub unavailable: Option<String>,
}

impl Installed {
    /// Reads the status file of a tree.
    pub fn read(tree: &dyn Tree) -> Self {
        match tree.read(Path::new(STATUS), STATUS_BYTES_MAX) {
            Ok(bytes) => {
                let (mut packages, more) = dpkg::status(&bytes);
                packages.retain(Package::installed);
                let unavailable =
                    more.then(|| format!("{STATUS}: more than {} packages", dpkg::PACKAGES_MAX));
                Self { packages, unavailable }
            }
            Err(error) => Self { packages: Vec::new(), unavailable: Some(why_not(tree, &error)) },
        }
    }
}

fn why_not(tree: &dyn Tree, error: &LookError) -> String {
    if !error.not_found() {
        return error.to_string();
    }
    OTHERS.iter().find(|(path, _)| tree.stat(Path::new(path), Links::Follow).is_ok()).map_or_else(
        || "no package database was found".to_string(),
        |(path, name)| {
            format!("package owners are not available: the {name} database ({path}) is not read")
        },
    )
}

impl Fact for Installed {
    fn look(facts: &Facts<'_>) -> Self {
        Self::read(facts.tree)
    }
}

/// Which package owns a file.
#[derive(Debug)]
pub struct Packages {
    /// What is installed.
    pub installed: Arc<Installed>,
    /// Why owners cannot be told at all, if so. Then every answer is `None`.
    pub unavailable: Option<String>,
    /// File lists that could not be read: their files seem to belong to nobody.
    pub incomplete: Vec<String>,
    aliases: Aliases,
    key: RandomState,
    /// Hash of a path and the package's position, sorted; two arrays, so that nothing is padded.
    hashes: Vec<u64>,
    owners: Vec<u32>,
}

impl Packages {
    /// Reads the lists of a tree into an index.
    pub fn read(tree: &dyn Tree, installed: Arc<Installed>) -> Self {
        let (aliases, key) = (Aliases::read(tree), RandomState::new());
        let mut unavailable =
            installed.unavailable.clone().filter(|_| installed.packages.is_empty());
        let mut incomplete = Vec::new();
        let mut index: Vec<(u64, u32)> = Vec::new();
        if unavailable.is_none() {
            match Lists::open(tree, &installed) {
                Ok(lists) => {
                    index = lists.scan(&mut incomplete, |owner, path, found: &mut Vec<_>| {
                        found.push((aliases.hash(&key, path), owner));
                    });
                    index.sort_unstable();
                }
                Err(error) => unavailable = Some(error.to_string()),
            }
        }
        let hashes = index.iter().map(|(hash, _)| *hash).collect();
        let owners = index.iter().map(|(_, owner)| *owner).collect();
        Self { installed, unavailable, incomplete, aliases, key, hashes, owners }
    }

    /// Name and version of the package that owns a file; `None` when nobody does, or nobody knows
    /// (see `unavailable` and `incomplete`).
    pub fn owner_of(&self, path: &Path) -> Option<(&str, &str)> {
        let hash = self.aliases.hash(&self.key, path.as_os_str().as_bytes());
        let at = self.hashes.partition_point(|known| *known < hash);
        if self.hashes.get(at) != Some(&hash) {
            return None;
        }
        let package = self.installed.packages.get(*self.owners.get(at)? as usize)?;
        Some((&package.name, &package.version))
    }

    /// Number of files that packages own.
    pub fn files(&self) -> usize {
        self.hashes.len()
    }

    /// The owners of some paths, as `name version`, without building an index; paths that nobody owns
    /// are absent. Empty where dpkg's database cannot be read.
    pub fn load(tree: &dyn Tree, wanted: &[PathBuf]) -> BTreeMap<PathBuf, String> {
        if wanted.is_empty() {
            return BTreeMap::new();
        }
        let installed = Installed::read(tree);
        let Ok(lists) = Lists::open(tree, &installed) else { return BTreeMap::new() };
        let aliases = Aliases::read(tree);
        let asked: HashMap<Vec<u8>, &PathBuf> = wanted
            .iter()
            .map(|path| (aliases.canonical(path.as_os_str().as_bytes()), path))
            .collect();
        let mut unread = Vec::new();
        let mut found = lists.scan(&mut unread, |owner, path, found: &mut Vec<_>| {
            let known = match aliases.needed(path) {
                false => asked.get(path),
                true => asked.get(&aliases.canonical(path)),
            };
            if let Some(path) = known {
                found.push(((*path).clone(), owner));
            }
        });
        // The first package of the status file wins, whichever thread found it first.
        found.sort_unstable();
        found.dedup_by(|later, first| later.0 == first.0);
        let named = |owner: u32| {
            let package = &installed.packages[owner as usize];
            format!("{} {}", package.name, package.version)
        };
        let mut named: BTreeMap<PathBuf, String> =
            found.into_iter().map(|(path, owner)| (path, named(owner))).collect();
        // Two spellings of one file share an answer.
        for path in wanted {
            let spelled = asked.get(&aliases.canonical(path.as_os_str().as_bytes()));
            if let Some(answer) = spelled.and_then(|known| named.get(*known)).cloned() {
                named.insert(path.clone(), answer);
            }
        }
        named
    }
}

impl Fact for Packages {
    fn look(facts: &Facts<'_>) -> Self {
        Self::read(facts.tree, facts.get::<Installed>())
    }
}

/// The file lists of the installed packages.
struct Lists<'a> {
    tree: &'a dyn Tree,
    /// Position of the package, its name, and the path of its list.
    lists: Vec<(u32, &'a str, PathBuf)>,
    diversions: Diversions,
}

impl<'a> Lists<'a> {
    fn open(tree: &'a dyn Tree, installed: &'a Installed) -> Result<Self, LookError> {
        let mut known: HashMap<String, u32> = HashMap::new();
        for (at, package) in (0_u32..).zip(&installed.packages) {
            known.entry(package.name.clone()).or_insert(at);
            known.insert(format!("{}:{}", package.name, package.architecture), at);
        }
        let lists = tree
            .list(Path::new(INFO))?
            .into_iter()
            .filter_map(|entry| {
                let name = entry.path.file_name()?.to_str()?.strip_suffix(".list")?;
                let at = *known.get(name)?;
                Some((at, installed.packages[at as usize].name.as_str(), entry.path))
            })
            .collect();
        let diversions = tree
            .read_config("/var/lib/dpkg/diversions")
            .map(|bytes| Diversions::read(&bytes))
            .unwrap_or_default();
        Ok(Self { tree, lists, diversions })
    }

    /// Gives every path of every list to `each`, on [`READERS`] threads.
    fn scan<T: Send>(
        &self,
        incomplete: &mut Vec<String>,
        each: impl Fn(u32, &[u8], &mut Vec<T>) + Sync,
    ) -> Vec<T> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (next, bytes_read) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let worker = || {
            let (mut found, mut unread) = (Vec::new(), Vec::new());
            while let Some((owner, name, path)) =
                self.lists.get(next.fetch_add(1, Ordering::Relaxed))
            {
                if bytes_read.load(Ordering::Relaxed) > LISTS_BYTES_MAX {
                    unread
                        .push(format!("{}: over {LISTS_BYTES_MAX} bytes of lists", path.display()));
                    continue;
                }
                match self.tree.read(path, LIST_BYTES_MAX) {
                    Ok(bytes) => {
                        bytes_read.fetch_add(bytes.len(), Ordering::Relaxed);
                        for line in dpkg::paths(&bytes) {
                            each(*owner, self.diversions.place(line, name), &mut found);
                        }
                    }
                    Err(error) => unread.push(error.to_string()),
                }
            }
            (found, unread)
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (1..READERS).map(|_| scope.spawn(worker)).collect();
            let (mut found, unread) = worker();
            incomplete.extend(unread);
            for worker in workers {
                let (more, unread) = worker.join().expect("reading a list does not panic");
                found.extend(more);
                incomplete.extend(unread);
            }
            incomplete.sort_unstable();
            found
        })
    }
}

/// Top-level directories that are links, as in a merged `/usr`: `/bin` is `/usr/bin`.
#[derive(Debug, Default)]
struct Aliases {
    /// Prefix with its last slash, and what stands for it.
    links: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Aliases {
    fn read(tree: &dyn Tree) -> Self {
        const NAMES: [&str; 7] =
            ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/sbin"];
        let links = NAMES
            .iter()
            .filter_map(|name| {
                let to = tree.read_link(Path::new(name)).ok()?;
                let parent = Path::new(name).parent().unwrap_or(Path::new("/"));
                let to = parent.join(to);
                // Only what dpkg itself knows: one step down, no way back up.
                if to.components().any(|part| part == std::path::Component::ParentDir) {
                    return None;
                }
                let with_slash = |path: &[u8]| [path, b"/"].concat();
                Some((with_slash(name.as_bytes()), with_slash(to.as_os_str().as_bytes())))
            })
            .collect();
        Self { links }
    }

    /// Whether [`Self::canonical`] would change the path.
    fn needed(&self, path: &[u8]) -> bool {
        self.links.iter().any(|(from, _)| path.starts_with(from))
    }

    /// The path with its aliases replaced; twice at most (`/sbin` to `/usr/sbin` to `/usr/bin`).
    fn canonical(&self, path: &[u8]) -> Vec<u8> {
        let mut path = path.to_vec();
        for _ in 0..2 {
            let Some((from, to)) = self.links.iter().find(|(from, _)| path.starts_with(from))
            else {
                break;
            };
            path = [to, &path[from.len()..]].concat();
        }
        path
    }

    fn hash(&self, key: &RandomState, path: &[u8]) -> u64 {
        if self.needed(path) { key.hash_one(self.canonical(path)) } else { key.hash_one(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::{FileKind, MemoryTree};

    const STATUS_TEXT: &str = "Package: base\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\n\n\
        Package: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: amd64\n\n\
        Package: wrapper\nStatus: install ok installed\nVersion: 3\nArchitecture: all\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 9\nArchitecture: all\n";

    fn host() -> MemoryTree {
        MemoryTree::new()
            .file(STATUS, STATUS_TEXT)
            .file(
                "/var/lib/dpkg/info/base.list",
                "/.\n/bin\n/bin/ls\n/usr/bin/x\n/usr/bin/odd \u{fc}\n",
            )
            .file("/var/lib/dpkg/info/libc6:amd64.list", "/lib/ld.so\n")
            .file("/var/lib/dpkg/info/wrapper.list", "/usr/bin/x\n")
            .file("/var/lib/dpkg/info/gone.list", "/etc/gone.conf\n")
            .file("/var/lib/dpkg/diversions", "/usr/bin/x\n/usr/bin/x.real\nwrapper\n")
            .link("/bin", "usr/bin")
            .link("/sbin", "usr/sbin")
            .link("/usr/sbin", "bin")
            .link("/lib", "/usr/lib")
    }

    #[test]
    fn owners_are_found_through_merged_usr_multiarch_and_diversions() {
        let tree = host();
        let packages = Packages::read(&tree, Arc::new(Installed::read(&tree)));
        let owner = |path: &str| packages.owner_of(Path::new(path)).map(|(name, _)| name);
        assert_eq!(packages.owner_of(Path::new("/usr/bin/ls")), Some(("base", "1.0-1")));
        assert_eq!(owner("/bin/ls"), Some("base"));
        assert_eq!(owner("/sbin/ls"), Some("base"));
        assert_eq!(owner("/usr/lib/ld.so"), Some("libc6"));
        assert_eq!(owner("/usr/bin/x"), Some("wrapper"));
        assert_eq!(owner("/usr/bin/x.real"), Some("base"));
        assert_eq!(owner("/usr/bin/none"), None);
        assert_eq!(owner("/etc/gone.conf"), None);
        assert!(packages.unavailable.is_none() && packages.incomplete.is_empty());
    }

    #[test]
    fn loading_some_paths_agrees_with_the_index() {
        let tree = host();
        let packages = Packages::read(&tree, Arc::new(Installed::read(&tree)));
        let asked: Vec<PathBuf> =
            ["/usr/bin/ls", "/bin/ls", "/usr/bin/x", "/usr/bin/x.real", "/none", "/lib/ld.so"]
                .iter()
                .map(PathBuf::from)
                .collect();
        let loaded = Packages::load(&tree, &asked);
        for path in &asked {
            let indexed =
                packages.owner_of(path).map(|(name, version)| format!("{name} {version}"));
            assert_eq!(loaded.get(path), indexed.as_ref(), "{}", path.display());
        }
        assert_eq!(loaded[Path::new("/usr/bin/ls")], "base 1.0-1");
        assert!(Packages::load(&tree, &[]).is_empty());
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let none = MemoryTree::new();
        assert!(Installed::read(&none).unavailable.unwrap().contains("no package database"));
        let rpm = MemoryTree::new().file("/var/lib/rpm/rpmdb.sqlite", "x");
        let packages = Packages::read(&rpm, Arc::new(Installed::read(&rpm)));
        assert!(packages.unavailable.as_ref().unwrap().contains("rpm database"));
        assert_eq!(packages.owner_of(Path::new("/bin/ls")), None);
        let fifo = MemoryTree::new().special(STATUS, FileKind::Fifo);
        assert!(Installed::read(&fifo).unavailable.unwrap().contains("not a regular file"));
        let unreadable = host().denied("/var/lib/dpkg/info/base.list");
        let packages = Packages::read(&unreadable, Arc::new(Installed::read(&unreadable)));
        assert_eq!(packages.incomplete.len(), 1);
    }

    #[test]
    fn this_host_agrees_with_dpkg() {
        let asked =
            std::process::Command::new("dpkg").args(["-S", "/etc/passwd", "*/dpkg"]).output();
        if asked.is_err() {
            assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "dpkg is required");
            eprintln!("skipped: dpkg is not installed");
            return;
        }
        let tree = crate::RootedTree::open(Path::new("/")).unwrap();
        let packages = Packages::read(&tree, Arc::new(Installed::read(&tree)));
        assert_eq!(packages.unavailable, None);
        assert_eq!(
            packages.owner_of(Path::new("/usr/bin/dpkg")).map(|(name, _)| name),
            Some("dpkg")
        );
        assert_eq!(
            packages.owner_of(Path::new("/bin/ls")).map(|(name, _)| name),
            Some("coreutils")
        );
        let loaded = Packages::load(&tree, &["/usr/bin/dpkg".into()]);
        assert!(loaded[Path::new("/usr/bin/dpkg")].starts_with("dpkg 1."));
    }
}
