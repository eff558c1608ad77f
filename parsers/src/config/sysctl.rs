//! Kernel settings as the boot will make them: sysctl.d(5), sysctl.conf(5).
//!
//! Directories mask each other by file name, files are then read in the order of their names whatever
//! their directory, and the last assignment of a key wins. A pattern (`net.ipv4.conf.*.rp_filter`)
//! never overrides a key that is written out, and `-key` alone takes the key out of patterns.
//! systemd-sysctl does not read `/etc/sysctl.conf` (unless a link in a directory points to it);
//! procps reads it last, and hidden files too. What could not be read is listed in `unread`: the result is then a guess.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::glob;
use super::lines::{Line, numbered};
use super::problems::Problems;
use super::systemd_conf::{Hidden, Order};
use crate::place::Place;
use crate::tree::{CONFIG_BYTES_MAX, LookError, Tree};

/// The file that procps reads last.
pub const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// Most files read.
pub const FILES_MAX: usize = 2_000;

/// Most bytes of all files together.
pub const BYTES_MAX: usize = 4 * CONFIG_BYTES_MAX;

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Most assignments kept.
pub const SETTINGS_MAX: usize = 100_000;

/// Which program sets the kernel's values at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loader {
    /// systemd-sysctl(8).
    Systemd,
    /// `sysctl --system` of procps.
    Procps,
}

impl Loader {
    /// The one that the tree's own boot uses: systemd's where it is installed.
    pub fn of(tree: &dyn Tree) -> Self {
        let is_there = |path: &&str| tree.stat(Path::new(path), crate::tree::Links::Follow).is_ok();
        let programs = ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl"];
        if programs.iter().any(is_there) { Self::Systemd } else { Self::Procps }
    }
}

/// An assignment as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The value.
    pub value: String,
    /// Where the key is.
    pub place: Place,
    /// The whole line.
    #[serde(skip)]
    pub text: String,
}

/// The value that holds for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// Where it was written.
    pub place: Place,
    /// The whole line.
    #[serde(skip)]
    pub text: String,
    /// What it overrode, in the order of reading.
    pub overrides: Vec<Written>,
}

/// What the files say together.
#[derive(Clone, Debug, Serialize)]
pub struct Sysctl {
    /// Who reads them.
    pub loader: Loader,
    /// Keys written out, in dotted form.
    pub settings: BTreeMap<String, Setting>,
    /// Keys with `*`, `?` or `[`, in the order in which they apply (last first of the same key).
    pub patterns: Vec<(String, Setting)>,
    /// Keys taken out of patterns with `-key`.
    pub excluded: BTreeMap<String, Place>,
    /// Files that were read, in order.
    pub files: Vec<Arc<str>>,
    /// Files that the same name in a directory of higher priority masks.
    pub masked: Vec<String>,
    /// Settings of `/etc/sysctl.conf` that the loader does not read.
    pub unused: BTreeMap<String, Written>,
    /// Lines that could not be understood.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
    #[serde(skip)]
    bytes_read: usize,
    #[serde(skip)]
    count: usize,
}

impl Sysctl {
    /// Reads all files as the tree's boot would.
    pub fn read(tree: &dyn Tree) -> Self {
        Self::read_as(tree, Loader::of(tree))
    }

    /// Reads all files as a given loader would.
    pub fn read_as(tree: &dyn Tree, loader: Loader) -> Self {
        let mut all = Self::empty(loader);
        let mut reads_main = false;
        for path in all.order(tree) {
            let to = tree.read_link(&path).ok().map(|to| resolve(&path, &to));
            reads_main |= to.as_deref() == Some(Path::new(SYSCTL_CONF));
            all.file(tree, &path);
        }
        match loader {
            Loader::Procps => all.file(tree, Path::new(SYSCTL_CONF)),
            Loader::Systemd if !reads_main => {
                let mut main = Self::empty(loader);
                main.file(tree, Path::new(SYSCTL_CONF));
                all.unused = main
                    .settings
                    .into_iter()
                    .map(|(key, set)| {
                        (key, Written { value: set.value, place: set.place, text: set.text })
                    })
                    .collect();
            }
            Loader::Systemd => {}
        }
        all
    }

    /// Reads one file by itself.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut all = Self::empty(Loader::Systemd);
        all.text(&file.into(), bytes);
        all
    }

    /// What the files give a key (dotted): written out, or else by the last pattern that matches.
    pub fn effective(&self, key: &str) -> Option<&Setting> {
        if let Some(setting) = self.settings.get(key) {
            return Some(setting);
        }
        if self.excluded.contains_key(key) {
            return None;
        }
        let matching = |(pattern, _): &&(String, Setting)| glob::parts(pattern, key, '.');
        self.patterns.iter().rev().find(matching).map(|(_, setting)| setting)
    }

    fn empty(loader: Loader) -> Self {
        Self {
            loader,
            settings: BTreeMap::new(),
            patterns: Vec::new(),
            excluded: BTreeMap::new(),
            files: Vec::new(),
            masked: Vec::new(),
            unused: BTreeMap::new(),
            problems: Problems::default(),
            unread: Vec::new(),
            bytes_read: 0,
            count: 0,
        }
    }

    /// The files to read: masked by name, then ordered by name.
    fn order(&mut self, tree: &dyn Tree) -> Vec<PathBuf> {
        let hidden = match self.loader {
            Loader::Systemd => Hidden::LeftOut,
            Loader::Procps => Hidden::Read,
        };
        let order = Order::of(tree, "sysctl.d", hidden);
        self.masked = order.masked.iter().map(|(path, _)| path.display().to_string()).collect();
        self.unread.extend(order.unread);
        order.files
    }

    fn file(&mut self, tree: &dyn Tree, path: &Path) {
        if self.files.len() == FILES_MAX {
            let why = crate::tree::Why::TooMany(FILES_MAX);
            self.unread.push(LookError::new(path, why));
            return;
        }
        let left = CONFIG_BYTES_MAX.min(BYTES_MAX - self.bytes_read);
        match tree.read(path, left) {
            Ok(bytes) => {
                self.bytes_read += bytes.len();
                let file: Arc<str> = path.to_string_lossy().into();
                self.files.push(Arc::clone(&file));
                self.text(&file, &bytes);
            }
            Err(error) if error.not_found() => {}
            Err(error) => self.unread.push(error),
        }
    }

    fn text(&mut self, file: &Arc<str>, bytes: &[u8]) {
        for line in numbered(bytes) {
            self.line(file, &line);
        }
    }

    fn line(&mut self, file: &Arc<str>, line: &Line<'_>) {
        let start = line.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start == line.bytes.len() || matches!(line.bytes[start], b'#' | b';') {
            return;
        }
        let place = line.place(file, start);
        if line.bytes.len() > LINE_BYTES_MAX {
            return self.problems.push(place, "line is too long");
        }
        if line.bytes.contains(&0) {
            return self.problems.push(place, "the line holds a NUL byte");
        }
        if self.count == SETTINGS_MAX {
            return self.problems.push(place, "more settings than the limit");
        }
        let text = line.text().into_owned();
        let (name, value) = match text.trim().split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        let (ignores_failure, name) = match name.strip_prefix('-') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, name),
        };
        if name.is_empty() {
            return self.problems.push(place, "a value without a key");
        }
        let key = dotted(name);
        self.count += 1;
        match value {
            Some(value) => {
                let value = value.to_string();
                self.assign(key, Written { value, place, text });
            }
            None if ignores_failure => {
                self.excluded.insert(key, place);
            }
            None => self.problems.push(place, "not an assignment"),
        }
    }

    fn assign(&mut self, key: String, written: Written) {
        let Written { value, place, text } = written;
        let mut setting = Setting { value, place, text, overrides: Vec::new() };
        if key.contains(['*', '?', '[']) {
            if let Some(at) = self.patterns.iter().position(|(known, _)| *known == key) {
                setting.take_over(self.patterns.remove(at).1);
            }
            if self.patterns.len() == PATTERNS_MAX {
                return self.problems.push(setting.place, "more patterns than the limit");
            }
            self.patterns.push((key, setting));
            return;
        }
        if let Some(old) = self.settings.remove(&key) {
            setting.take_over(old);
        }
        self.settings.insert(key, setting);
    }
}

/// Most keys with wildcards, since each is tried for each key that is asked.
pub const PATTERNS_MAX: usize = 1_000;

/// Most overridden assignments of one key that are remembered; the oldest go first.
pub const OVERRIDES_MAX: usize = 64;

impl Setting {
    fn take_over(&mut self, mut old: Self) {
        self.overrides = std::mem::take(&mut old.overrides);
        if self.overrides.len() == OVERRIDES_MAX {
            self.overrides.remove(0);
        }
        self.overrides.push(Written { value: old.value, place: old.place, text: old.text });
    }
}

/// The dotted form of a key: when its first separator is `/`, slashes separate and dots are literal
/// (`net/ipv4/conf/eth0.1/rp_filter`, dotted `net.ipv4.conf.eth0/1.rp_filter`).
pub fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => swapped(name),
        _ => name.to_string(),
    }
}

/// The path below `/proc/sys` of a dotted key.
pub fn proc_path(key: &str) -> String {
    format!("/proc/sys/{}", swapped(key))
}

fn swapped(name: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    name.chars().map(swap).collect()
}

/// A link's target as an absolute path, `..` resolved by name.
fn resolve(link: &Path, to: &Path) -> PathBuf {
    let joined = link.parent().unwrap_or(Path::new("/")).join(to);
    let mut out = PathBuf::from("/");
    for part in joined.components() {
        match part {
            std::path::Component::Normal(name) => out.push(name),
            std::path::Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileKind, MemoryTree};

    fn at(all: &Sysctl, key: &str) -> (String, String) {
        let setting = all.effective(key).unwrap();
        (setting.value.clone(), setting.place.to_string())
    }

    #[test]
    fn names_mask_by_priority_and_order_across_directories() {
        let tree = MemoryTree::new()
            .file("/usr/lib/systemd/systemd-sysctl", "")
            .file("/usr/lib/sysctl.d/50-a.conf", "kernel.sysrq = 1\n")
            .file("/etc/sysctl.d/50-a.conf", "kernel.sysrq=16\n")
            .file("/usr/lib/sysctl.d/90-z.conf", "kernel.sysrq = 438\n")
            .file("/etc/sysctl.d/10-b.conf", "kernel.sysrq = 0\nvm.x = 1\n")
            .file("/usr/lib/sysctl.d/README", "kernel.sysrq = 7\n")
            .link("/usr/lib/sysctl.d/99-null.conf", "../../../dev/null")
            .file("/etc/sysctl.d/99-null.conf", "");
        let all = Sysctl::read(&tree);
        assert_eq!(all.loader, Loader::Systemd);
        let setting = &all.settings["kernel.sysrq"];
        assert_eq!(setting.value, "438");
        let old: Vec<_> = setting.overrides.iter().map(|w| w.value.as_str()).collect();
        assert_eq!(old, ["0", "16"]);
        assert_eq!(all.masked, ["/usr/lib/sysctl.d/50-a.conf", "/usr/lib/sysctl.d/99-null.conf"]);
    }

    #[test]
    fn a_link_to_dev_null_masks() {
        let tree = MemoryTree::new()
            .file("/usr/lib/sysctl.d/50-a.conf", "kernel.sysrq = 1\n")
            .link("/etc/sysctl.d/50-a.conf", "/dev/null");
        assert!(Sysctl::read(&tree).effective("kernel.sysrq").is_none());
    }

    #[test]
    fn sysctl_conf_is_read_last_by_procps_and_not_at_all_by_systemd() {
        let tree = MemoryTree::new()
            .file("/etc/sysctl.conf", "kernel.sysrq = 1\n")
            .file("/etc/sysctl.d/zz.conf", "kernel.sysrq = 0\n");
        assert_eq!(
            at(&Sysctl::read_as(&tree, Loader::Procps), "kernel.sysrq"),
            ("1".into(), "/etc/sysctl.conf:1:1".into())
        );
        let all = Sysctl::read_as(&tree, Loader::Systemd);
        assert_eq!(at(&all, "kernel.sysrq").0, "0");
        assert_eq!(all.unused["kernel.sysrq"].value, "1");
        let linked = tree.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf");
        let all = Sysctl::read_as(&linked, Loader::Systemd);
        assert!(all.unused.is_empty());
        assert_eq!(at(&all, "kernel.sysrq").0, "0");
    }

    #[test]
    fn separators_patterns_and_exclusions_are_systemds() {
        let text = b"net/ipv4/conf/eth0.1/rp_filter = 1\n\
            -net.ipv4.conf.all.rp_filter = 2\n\
            net.ipv4.conf.*.rp_filter = 0\n\
            -net.ipv4.conf.lo.rp_filter\n\
            nonsense\n; c\n# c\n";
        let all = Sysctl::parse("/etc/sysctl.d/a.conf", text);
        assert_eq!(all.settings["net.ipv4.conf.eth0/1.rp_filter"].value, "1");
        assert_eq!(at(&all, "net.ipv4.conf.all.rp_filter").0, "2");
        assert_eq!(at(&all, "net.ipv4.conf.eth7.rp_filter").1, "/etc/sysctl.d/a.conf:3:1");
        assert!(all.effective("net.ipv4.conf.lo.rp_filter").is_none());
        assert!(all.effective("net.ipv4.conf.a.b.rp_filter").is_none());
        assert_eq!(all.problems.kept[0].place.line, 5);
        assert_eq!(
            proc_path("net.ipv4.conf.eth0/1.rp_filter"),
            "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"
        );
    }

    #[test]
    fn what_could_not_be_read_is_told() {
        let tree = MemoryTree::new()
            .denied("/etc/sysctl.d/a.conf")
            .special("/etc/sysctl.d/b.conf", FileKind::Fifo)
            .directory("/etc/sysctl.d/c.conf", 0o755, 0, 0);
        assert_eq!(Sysctl::read(&tree).unread.len(), 2);
        let mut text = vec![b'a'; LINE_BYTES_MAX + 1];
        text.extend(b"\na\0=1\n=1\n");
        assert_eq!(Sysctl::parse("/x", &text).problems.len(), 3);
    }
}
