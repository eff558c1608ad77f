//! Which logs there are: the usual places of a host or the paths that the caller names, with rotated
//! siblings in time order.
//!
//! What stands where a log should be and is no readable regular file is said, never skipped silently.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parsers::tree::{FileKind, Links, Stat, Tree};

use crate::RootedTree;

/// Most files of one sweep.
pub const FILES_MAX: usize = 10_000;

/// Deepest directory below a path that the caller names.
pub const DEPTH_MAX: usize = 4;

/// Directories of the usual places, and what the logs in them are called.
const USUAL: [(&str, &[&str]); 5] = [
    (
        "/var/log",
        &["auth.log", "secure", "syslog", "messages", "kern.log", "cron", "cron.log", "daemon.log"],
    ),
    ("/var/log/audit", &["audit.log"]),
    ("/var/log/nginx", &["access", "error"]),
    ("/var/log/apache2", &["access", "error"]),
    ("/var/log/httpd", &["access", "error"]),
];

/// One log file.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Path inside the tree.
    pub path: PathBuf,
    /// Facts about it.
    pub stat: Stat,
}

/// Files that are one log: the live one and its rotated siblings, oldest first.
#[derive(Clone, Debug)]
pub struct Family {
    /// Path without the rotation's suffix.
    pub name: String,
    /// Oldest first.
    pub files: Vec<LogFile>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Logs, by name.
    pub families: Vec<Family>,
    /// What could not be looked at, one line each.
    pub incomplete: Vec<String>,
}

/// The logs of the usual places.
pub fn discover(tree: &RootedTree) -> Found {
    let mut gather = Gather::default();
    for (directory, names) in USUAL {
        match tree.list(Path::new(directory)) {
            Ok(entries) => {
                for entry in entries {
                    if is_wanted(&entry.path, directory, names) {
                        gather.add(tree, &entry.path);
                    }
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => gather.incomplete.push(error.to_string()),
        }
    }
    gather.done()
}

/// The files that the caller names; directories with everything below them that is called like a log.
pub fn named(tree: &RootedTree, paths: &[PathBuf]) -> Found {
    let mut gather = Gather::default();
    for path in paths {
        match tree.stat(path, Links::Follow) {
            Ok(stat) if stat.kind == FileKind::Directory => gather.walk(tree, path, 0),
            _ => gather.add(tree, path),
        }
    }
    gather.done()
}

#[derive(Default)]
struct Gather {
    families: BTreeMap<String, Vec<(Age, LogFile)>>,
    incomplete: Vec<String>,
    count: usize,
}

impl Gather {
    fn walk(&mut self, tree: &RootedTree, directory: &Path, depth: usize) {
        if depth > DEPTH_MAX {
            let message = format!("{}: deeper than {DEPTH_MAX} directories", directory.display());
            self.incomplete.push(message);
            return;
        }
        match tree.list(directory) {
            Ok(entries) => {
                for entry in entries {
                    match entry.kind {
                        FileKind::Directory => self.walk(tree, &entry.path, depth + 1),
                        FileKind::Regular if is_text(&entry.path) => self.add(tree, &entry.path),
                        _ => {}
                    }
                }
            }
            Err(error) => self.incomplete.push(error.to_string()),
        }
    }

    fn add(&mut self, tree: &RootedTree, path: &Path) {
        if self.count == FILES_MAX {
            if !self.incomplete.iter().any(|line| line.starts_with("more than")) {
                self.incomplete
                    .push(format!("more than {FILES_MAX} log files: the rest is not read"));
            }
            return;
        }
        // Opening tells what `stat` cannot: whether this process may read it.
        match tree.open_file(path).and_then(|_| tree.stat(path, Links::Follow)) {
            Ok(stat) => {
                self.count += 1;
                let (name, age) = family(path);
                let file = LogFile { path: path.to_path_buf(), stat };
                self.families.entry(name).or_default().push((age, file));
            }
            Err(error) => self.incomplete.push(error.to_string()),
        }
    }

    fn done(self) -> Found {
        let families = self.families.into_iter().map(|(name, mut files)| {
            files.sort_by(|a, b| (&a.0, &a.1.path).cmp(&(&b.0, &b.1.path)));
            files.dedup_by(|a, b| a.1.path == b.1.path);
            Family { name, files: files.into_iter().map(|(_, file)| file).collect() }
        });
        Found { families: families.collect(), incomplete: self.incomplete }
    }
}

/// Where a file stands in its family; oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// `-20240501`
    Dated(String),
    /// `.3`: the larger the older.
    Numbered(std::cmp::Reverse<u32>),
    /// Being written.
    Live,
}

/// A path without its rotation's suffix, and its age: `auth.log.2.gz`, `secure-20240501`,
/// `access.log-20240501.gz`, `syslog.1`.
fn family(path: &Path) -> (String, Age) {
    let whole = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    let text = whole.strip_suffix(".gz").unwrap_or(&whole);
    if let Some((stem, number)) = text.rsplit_once('.')
        && let Ok(number) = number.parse::<u32>()
        && number < 10_000
    {
        return (stem.to_string(), Age::Numbered(std::cmp::Reverse(number)));
    }
    if let Some((stem, date)) = text.rsplit_once(['-', '.'])
        && date.len() >= 8
        && date.bytes().all(|byte| byte.is_ascii_digit())
    {
        return (stem.to_string(), Age::Dated(date.to_string()));
    }
    (text.to_string(), Age::Live)
}

fn is_wanted(path: &Path, directory: &str, names: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !is_text(path) {
        return false;
    }
    if directory == "/var/log" || directory == "/var/log/audit" {
        let (stem, _) = family(path);
        return names.iter().any(|known| stem == format!("{directory}/{known}"));
    }
    names.iter().any(|known| name.contains(known))
}

/// Archives other than gzip, databases and the journal are not lines.
fn is_text(path: &Path) -> bool {
    const OTHER: [&str; 10] =
        ["xz", "bz2", "zst", "zip", "tar", "journal", "db", "sqlite", "journal~", "state"];
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !OTHER.contains(&extension.as_ref())
        && !matches!(name.as_ref(), "wtmp" | "btmp" | "lastlog" | "faillog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_siblings_are_one_family_in_time_order() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("var/log");
        std::fs::create_dir_all(log.join("nginx")).unwrap();
        for name in [
            "auth.log",
            "auth.log.1",
            "auth.log.10.gz",
            "auth.log.2.gz",
            "secure-20240501",
            "secure-20240408",
            "secure",
            "wtmp",
            "dpkg.log",
            "auth.log.xz",
            "nginx/site-access.log.1",
            "nginx/site-access.log",
            "nginx/other",
        ] {
            std::fs::write(log.join(name), "x\n").unwrap();
        }
        let found = discover(&RootedTree::open(dir.path()).unwrap());
        let names: Vec<Vec<String>> = found
            .families
            .iter()
            .map(|f| {
                f.files
                    .iter()
                    .map(|f| f.path.file_name().unwrap().to_string_lossy().into())
                    .collect()
            })
            .collect();
        assert_eq!(
            names,
            [
                vec!["auth.log.10.gz", "auth.log.2.gz", "auth.log.1", "auth.log"],
                vec!["site-access.log.1", "site-access.log"],
                vec!["secure-20240408", "secure-20240501", "secure"],
            ]
        );
        assert!(found.incomplete.is_empty());
    }

    #[test]
    fn what_is_no_readable_file_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/log/auth.log")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("var/log/syslog"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let tree = RootedTree::open(dir.path()).unwrap();
        let found = discover(&tree);
        assert!(found.families.is_empty());
        assert_eq!(found.incomplete.len(), 2, "{:?}", found.incomplete);
        let found = named(&tree, &["/none".into()]);
        assert_eq!(found.incomplete, ["/none: no such file or directory"]);
    }
}
