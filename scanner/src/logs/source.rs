//! Which logs there are: the usual places of a host or the paths that the caller names, with rotated
//! siblings in time order.
//!
//! The same content under two names (a copy or an archive that logrotate is making) is read once. What
//! stands where a log should be and is no readable regular file is said, never skipped silently.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::tree::{FileKind, Links, LookError, Stat, Tree, Why};

use super::rotation::{Age, family};
use crate::RootedTree;

/// Most files of one sweep.
pub const FILES_MAX: usize = 10_000;

/// Deepest directory below a path that the caller names.
pub const DEPTH_MAX: usize = 4;

/// Directories of the usual places, and what the logs in them are called: in the first two by their
/// whole name, in the others by a part of it.
const USUAL: [(&str, &[&str]); 20] = [
    (
        "/var/log",
        &[
            "auth.log",
            "secure",
            "syslog",
            "messages",
            "kern.log",
            "cron",
            "cron.log",
            "daemon.log",
            "user.log",
            "mail.log",
            "maillog",
            "ufw.log",
            "iptables.log",
            "firewalld",
            "fail2ban.log",
            "docker.log",
            "dpkg.log",
            "yum.log",
            "dnf.log",
            "dnf.rpm.log",
            "haproxy.log",
            "vsftpd.log",
            "xferlog",
            "mysql.log",
            "mysqld.log",
            "dovecot.log",
            "dovecot-info.log",
        ],
    ),
    ("/var/log/audit", &["audit.log"]),
    ("/var/log/apt", &["history.log"]),
    ("/var/log/nginx", &["access", "error"]),
    ("/var/log/apache2", &["access", "error"]),
    ("/var/log/httpd", &["access", "error"]),
    ("/var/log/lighttpd", &["access", "error"]),
    ("/var/log/caddy", &["access", "error"]),
    ("/var/log/squid", &["access"]),
    ("/var/log/tomcat9", &["access"]),
    ("/var/log/tomcat10", &["access"]),
    ("/var/log/mysql", &["error", "mysql"]),
    ("/var/log/mariadb", &["mariadb", "error"]),
    ("/var/log/postgresql", &["postgresql"]),
    ("/var/log/redis", &["redis"]),
    ("/var/log/fail2ban", &["fail2ban"]),
    ("/var/log/docker", &["docker"]),
    ("/var/log/exim4", &["mainlog", "rejectlog"]),
    ("/var/log/proftpd", &["proftpd", "xferlog"]),
    ("/var/log/samba", &["log."]),
];

/// Bytes of two files' beginnings that are compared to see whether one is a copy of the other.
const COPY_BYTES: usize = 4 << 10;

/// One log file.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Path inside the tree.
    pub path: PathBuf,
    /// Facts about it.
    pub stat: Stat,
    /// What is read in the place of what `path` names, where it is open already.
    pub handle: Option<Arc<File>>,
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
    gather.done(tree)
}

/// Directories in which [`discover`] looks.
pub fn usual_places() -> impl Iterator<Item = &'static str> {
    USUAL.iter().map(|(directory, _)| *directory)
}

/// What came through stdin, as a log of its own.
pub fn opened(file: LogFile) -> Found {
    let name = file.path.display().to_string();
    Found { families: vec![Family { name, files: vec![file] }], incomplete: Vec::new() }
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
    gather.done(tree)
}

impl LogFile {
    /// A log that is open already and has no name in the tree: what came through stdin.
    pub fn opened(name: &str, file: File) -> Result<Self, LookError> {
        let path = PathBuf::from(name);
        let stat = crate::root::facts_of(&path, &file)?;
        Ok(Self { path, stat, handle: Some(Arc::new(file)) })
    }

    /// Opens the file that was found, under whatever name it has now: when it was rotated since, a new
    /// file stands under its own. With facts of this moment.
    pub fn open(&self, tree: &RootedTree) -> Result<(File, Stat), LookError> {
        if let Some(handle) = &self.handle {
            let file = handle.try_clone();
            let file = file.map_err(|e| LookError::new(&self.path, Why::Io(e.to_string())))?;
            return Ok((file, self.stat.clone()));
        }
        let wanted = (self.stat.device, self.stat.inode);
        let open = |path: &Path| tree.open_known(path);
        match open(&self.path) {
            Ok((file, stat)) if (stat.device, stat.inode) == wanted => return Ok((file, stat)),
            Err(error) if !error.not_found() => return Err(error),
            _ => {}
        }
        let (name, _) = family(&self.path);
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        for entry in tree.list(directory)? {
            if entry.kind == FileKind::Regular && family(&entry.path).0 == name {
                match open(&entry.path) {
                    Ok((file, stat)) if (stat.device, stat.inode) == wanted => {
                        return Ok((file, stat));
                    }
                    _ => {}
                }
            }
        }
        Err(LookError::new(&self.path, Why::Io("rotated away before it was read".into())))
    }
}

#[derive(Default)]
struct Gather {
    families: BTreeMap<String, Vec<(Age, LogFile)>>,
    incomplete: Vec<String>,
    /// Device and inode of what was found: a second name of the same file is not read again.
    taken: BTreeSet<(u64, u64)>,
}

impl Gather {
    fn walk(&mut self, tree: &RootedTree, directory: &Path, depth: usize) {
        if depth > DEPTH_MAX {
            let message = format!("{}: deeper than {DEPTH_MAX} directories", directory.display());
            self.incomplete.push(message);
            return;
        }
        let entries = match tree.list(directory) {
            Ok(entries) => entries,
            Err(error) => return self.incomplete.push(error.to_string()),
        };
        for entry in entries {
            match entry.kind {
                FileKind::Directory => self.walk(tree, &entry.path, depth + 1),
                _ if !is_text(&entry.path) => {}
                FileKind::Link => match tree.stat(&entry.path, Links::Follow) {
                    // A link to a directory could lead in a circle; one to nothing holds no lines.
                    Ok(stat) if stat.kind == FileKind::Directory => {}
                    Err(error) if error.not_found() => {}
                    _ => self.add(tree, &entry.path),
                },
                _ => self.add(tree, &entry.path),
            }
        }
    }

    fn add(&mut self, tree: &RootedTree, path: &Path) {
        if self.taken.len() == FILES_MAX {
            if !self.incomplete.iter().any(|line| line.starts_with("more than")) {
                self.incomplete
                    .push(format!("more than {FILES_MAX} log files: the rest is not read"));
            }
            return;
        }
        // Opening tells what `stat` cannot: whether this process may read it.
        match tree.open_known(path).map(|(_, stat)| stat) {
            Ok(stat) => {
                if self.taken.insert((stat.device, stat.inode)) {
                    let (name, age) = family(path);
                    let file = LogFile { path: path.to_path_buf(), stat, handle: None };
                    self.families.entry(name).or_default().push((age, file));
                }
            }
            Err(error) => self.incomplete.push(error.to_string()),
        }
    }

    fn done(self, tree: &RootedTree) -> Found {
        let families = self.families.into_iter().map(|(name, mut files)| {
            files.sort_by(|a, b| (&a.0, &a.1.path).cmp(&(&b.0, &b.1.path)));
            let files = without_copies(tree, files);
            Family { name, files: files.into_iter().map(|(_, file)| file).collect() }
        });
        Found { families: families.collect(), incomplete: self.incomplete }
    }
}

/// Leaves out what logrotate is making at this moment: the archive of a file that is still there, and
/// the copy of a log that will be truncated next.
fn without_copies(tree: &RootedTree, mut files: Vec<(Age, LogFile)>) -> Vec<(Age, LogFile)> {
    let begins_alike = |a: &LogFile, b: &LogFile| {
        let (a, b) = (expanded_head(tree, a), expanded_head(tree, b));
        let shorter = a.len().min(b.len());
        shorter > 0 && a[..shorter] == b[..shorter]
    };
    let mut at = 1;
    while at < files.len() {
        let ((age, one), (next_age, next)) = (&files[at - 1], &files[at]);
        let longer = |a: &Path, b: &Path| b.to_string_lossy().starts_with(&*a.to_string_lossy());
        let archive = age == next_age && longer(&one.path, &next.path) && begins_alike(one, next);
        let copy = *next_age == Age::Live
            && *age != Age::Live
            && one.stat.size_bytes <= next.stat.size_bytes
            && is_younger(one, next)
            && is_beginning_of(tree, one, next);
        if archive {
            // The plain one has all lines; the archive may be half made. Its name is the longer one.
            files.remove(at);
        } else if copy {
            files.remove(at - 1);
        } else {
            at += 1;
        }
    }
    files
}

/// Whether a copy can be one: made after its original. A log that was renamed is older than the one that
/// follows it, though both may begin with the same lines; where births are unknown, a few are no proof.
fn is_younger(copy: &LogFile, original: &LogFile) -> bool {
    match (copy.stat.born, original.stat.born) {
        // Births have the grain of the kernel's clock tick.
        (Some(copy), Some(original)) => copy >= original,
        _ => copy.stat.size_bytes >= COPY_BYTES as u64,
    }
}

/// Whether a plain file holds what another begins with.
fn is_beginning_of(tree: &RootedTree, copy: &LogFile, of: &LogFile) -> bool {
    use std::os::unix::fs::FileExt;

    let (Ok(one), Ok(other)) = (tree.open_file(&copy.path), tree.open_file(&of.path)) else {
        return false;
    };
    let length = usize::try_from(copy.stat.size_bytes).unwrap_or(usize::MAX).min(COPY_BYTES);
    let same = |at: u64| {
        let (mut a, mut b) = (vec![0; length], vec![0; length]);
        one.read_exact_at(&mut a, at).and_then(|()| other.read_exact_at(&mut b, at)).is_ok()
            && a == b
    };
    length > 0 && same(0) && same(copy.stat.size_bytes - length as u64)
}

/// The first bytes of a file, expanded; none where it cannot be read.
fn expanded_head(tree: &RootedTree, file: &LogFile) -> Vec<u8> {
    use std::io::Read;

    use parsers::map::{MAGIC_BYTES, Packing};

    let read = || -> std::io::Result<Vec<u8>> {
        let mut opened = tree.open_file(&file.path).map_err(std::io::Error::other)?;
        let mut head = Vec::new();
        opened.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
        let whole = std::io::Cursor::new(head.clone()).chain(opened);
        let mut out = Vec::new();
        match Packing::of(&head) {
            // Half an archive gives what it has.
            Some(packing) => {
                let _ = packing.unpack(whole, COPY_BYTES as u64)?.read_to_end(&mut out);
            }
            None => _ = whole.take(COPY_BYTES as u64).read_to_end(&mut out)?,
        }
        Ok(out)
    };
    read().unwrap_or_default()
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

/// Databases, the journal and archives of many files are not lines.
fn is_text(path: &Path) -> bool {
    const OTHER: [&str; 7] = ["zip", "tar", "journal", "db", "sqlite", "journal~", "state"];
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !OTHER.contains(&extension.as_ref())
        && !name.contains(".tar.")
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
            "auth-old.txt",
            "wtmp",
            "dpkg.log",
            "auth.log.3.xz",
            "nginx/site-access.log.1",
            "nginx/site-access.log",
            "nginx/other",
        ] {
            std::fs::write(log.join(name), format!("{name}\n")).unwrap();
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
                vec!["auth.log.10.gz", "auth.log.3.xz", "auth.log.2.gz", "auth.log.1", "auth.log"],
                vec!["dpkg.log"],
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

    /// Names of the files of each family, below a directory that is walked.
    fn walked(dir: &Path) -> (Vec<Vec<String>>, Vec<String>) {
        let tree = RootedTree::open(Path::new("/")).unwrap();
        let found = named(&tree, &[dir.to_path_buf()]);
        let name = |file: &LogFile| file.path.file_name().unwrap().to_string_lossy().into_owned();
        let families = found.families.iter().map(|family| family.files.iter().map(name).collect());
        (families.collect(), found.incomplete)
    }

    #[test]
    fn the_same_content_under_two_names_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text = "a line of a log\n".repeat(1000);
        std::fs::write(path("a.log"), &text).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        // A copy before its truncation; an archive that is half made; a link and a second name.
        std::fs::write(path("a.log.1"), &text[..8000]).unwrap();
        std::fs::write(path("b.log.2"), text.replace("line", "LINE")).unwrap();
        let gz = std::fs::File::create(path("b.log.2.gz")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, text.replace("line", "LINE").as_bytes()).unwrap();
        gz.finish().unwrap().set_len(120).unwrap();
        std::os::unix::fs::symlink("a.log", path("c.log")).unwrap();
        std::fs::hard_link(path("b.log.2"), path("d.log")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("e.log")).unwrap();
        let (families, incomplete) = walked(dir.path());
        assert_eq!(families, [vec!["a.log"], vec!["b.log.2"]]);
        assert!(incomplete.is_empty(), "{incomplete:?}");
        // Other content is another file, also under a number.
        std::fs::write(path("a.log.1"), "another line\n").unwrap();
        assert_eq!(walked(dir.path()).0[0], ["a.log.1", "a.log"]);
    }

    #[test]
    fn a_new_log_that_begins_like_the_one_before_it_is_another_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a.log"), "Starting\n").unwrap();
        std::fs::rename(path("a.log"), path("a.log.1")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(path("a.log"), "Starting\nmore\n").unwrap();
        assert_eq!(walked(dir.path()).0, [["a.log.1", "a.log"]]);
    }

    #[test]
    fn what_is_no_file_in_a_walked_directory_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let (families, incomplete) = walked(dir.path());
        assert!(families.is_empty());
        assert_eq!(incomplete.len(), 2);
        assert!(incomplete[0].contains("Fifo") && incomplete[1].contains("Socket"));
    }

    #[test]
    fn a_file_that_was_rotated_since_it_was_found_is_still_the_one_that_is_opened() {
        use std::io::Read;

        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a.log"), "old\n").unwrap();
        let tree = RootedTree::open(Path::new("/")).unwrap();
        let found = named(&tree, &[path("a.log")]);
        let log = &found.families[0].files[0];
        std::fs::rename(path("a.log"), path("a.log.1")).unwrap();
        std::fs::write(path("a.log"), "new\n").unwrap();
        let mut text = String::new();
        log.open(&tree).unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "old\n");
        std::fs::remove_file(path("a.log.1")).unwrap();
        let error = log.open(&tree).unwrap_err().to_string();
        assert!(error.ends_with("rotated away before it was read"), "{error}");
    }
}
