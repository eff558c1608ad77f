//! Files of systemd's programs (`journald.conf`, `logind.conf`, `system.conf` …) with their drop-ins, and
//! the order of its folders of files (`sysctl.d`, `tmpfiles.d`, `sysusers.d`, `modules-load.d` …).
//!
//! The main file is the first that is found; drop-ins come after it in the order of their names whatever
//! their folder, and a name in a folder of higher priority replaces the same name in a lower one, with
//! nothing where it is a link to `/dev/null` (systemd.syntax(7), `systemd-analyze cat-config`). The last
//! value of a key holds; lists add up until an empty value. systemd before 254 looks for the main file in
//! `/etc` alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::problems::note_unread;
use super::settings::Settings;
use super::systemd_unit::{Assignment, Text, resolved};
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

/// Where systemd's programs look for their configuration, highest priority first.
pub const DIRECTORIES: [&str; 4] = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];

/// Where they look for folders such as `sysctl.d`; `/lib` is one more where it is no link to `/usr/lib`.
pub const FOLDER_DIRECTORIES: [&str; 5] = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// Most files of one configuration.
pub const FILES_MAX: usize = 2_000;

/// Most entries of all folders that are looked at.
pub const ENTRIES_MAX: usize = 200_000;

/// Most bytes of all files of one configuration.
pub const BYTES_MAX: usize = 4 * CONFIG_BYTES_MAX;

/// What becomes of names with a leading dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// They are passed over (systemd).
    LeftOut,
    /// They are files like others (procps).
    Read,
}

/// Files of folders that mask each other by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Files to read, in order.
    pub files: Vec<PathBuf>,
    /// Links to `/dev/null`: nothing of that name is read.
    pub nulls: Vec<PathBuf>,
    /// Files that are not read, and the one of the same name that comes first.
    pub masked: Vec<(PathBuf, PathBuf)>,
    /// What could not be listed.
    pub unread: Vec<LookError>,
}

impl Order {
    /// The files of a folder such as `sysctl.d` below each of [`FOLDER_DIRECTORIES`] whose names end in
    /// `.conf`.
    pub fn of(tree: &dyn Tree, folder: &str, hidden: Hidden) -> Self {
        let lib = Path::new("/lib");
        let is_merged =
            tree.read_link(lib).is_ok_and(|to| resolved(lib, &to) == Path::new("/usr/lib"));
        // Merged, it is the same folder as below /usr/lib.
        let count = FOLDER_DIRECTORIES.len() - usize::from(is_merged);
        Self::below(tree, &FOLDER_DIRECTORIES[..count], folder, hidden)
    }

    /// The drop-ins of a program's file, such as `systemd/journald.conf`.
    pub fn dropins(tree: &dyn Tree, name: &str) -> Self {
        Self::below(tree, &DIRECTORIES, &format!("{name}.d"), Hidden::LeftOut)
    }

    fn below(tree: &dyn Tree, directories: &[&str], folder: &str, hidden: Hidden) -> Self {
        let mut order = Self::default();
        let mut chosen: BTreeMap<Vec<u8>, (PathBuf, FileKind)> = BTreeMap::new();
        let mut seen = 0;
        for directory in directories {
            let directory = Path::new(directory).join(folder);
            let entries = match tree.list(&directory) {
                Ok(entries) => entries,
                Err(error) if matches!(error.why, Why::NotFound | Why::NotDirectory) => continue,
                Err(error) => {
                    note_unread(&mut order.unread, error);
                    continue;
                }
            };
            for entry in entries {
                let name = entry.path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
                let is_hidden = hidden == Hidden::LeftOut && name.starts_with(b".");
                let is_read = name.ends_with(b".conf") && !is_hidden;
                if !is_read || entry.kind == FileKind::Directory {
                    continue;
                }
                seen += 1;
                if seen > ENTRIES_MAX {
                    let why = Why::TooMany(ENTRIES_MAX);
                    note_unread(&mut order.unread, LookError::new(&directory, why));
                    break;
                }
                match chosen.get(name) {
                    Some((first, _)) => order.masked.push((entry.path, first.clone())),
                    None => drop(chosen.insert(name.to_vec(), (entry.path, entry.kind))),
                }
            }
        }
        for (path, kind) in chosen.into_values() {
            let is_null = kind == FileKind::Link && is_null(tree, &path);
            if is_null { order.nulls.push(path) } else { order.files.push(path) }
        }
        order
    }
}

/// The configuration of one program.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    /// The main file, where there is one.
    pub main: Option<Arc<str>>,
    /// Drop-ins that are read, in order.
    pub dropins: Vec<Arc<str>>,
    /// Drop-ins that are not read: masked by a name of higher priority, or links to `/dev/null`.
    pub masked: Vec<Arc<str>>,
    /// What holds, by `Section.Key`.
    pub settings: Settings,
}

impl Conf {
    /// Reads a program's configuration by its name below [`DIRECTORIES`].
    ///
    /// ```
    /// use parsers::config::systemd_conf::Conf;
    /// use parsers::tree::MemoryTree;
    /// let tree = MemoryTree::new()
    ///     .file("/etc/systemd/journald.conf", "[Journal]\nStorage=auto\n")
    ///     .file("/run/systemd/journald.conf.d/a.conf", "[Journal]\nStorage=none\n");
    /// let conf = Conf::read(&tree, "systemd/journald.conf");
    /// assert_eq!(conf.settings.value("Journal.Storage"), Some("none"));
    /// ```
    pub fn read(tree: &dyn Tree, name: &str) -> Self {
        let mut conf = Self::default();
        let mut bytes_left = BYTES_MAX;
        for directory in DIRECTORIES {
            let path = Path::new(directory).join(name);
            match tree.read(&path, CONFIG_BYTES_MAX) {
                Err(error) if error.not_found() => continue,
                Err(_) if is_null(tree, &path) => {}
                Err(error) => note_unread(&mut conf.settings.unread, error),
                Ok(bytes) => {
                    bytes_left -= bytes.len();
                    conf.main = Some(conf.take_in(&path, &bytes));
                }
            }
            break;
        }
        let order = Order::dropins(tree, name);
        let name = |path: &PathBuf| Arc::<str>::from(path.to_string_lossy());
        conf.masked = order.masked.iter().map(|(path, _)| name(path)).collect();
        conf.masked.extend(order.nulls.iter().map(name));
        for error in order.unread {
            note_unread(&mut conf.settings.unread, error);
        }
        for path in order.files {
            if conf.dropins.len() == FILES_MAX {
                let error = LookError::new(&path, Why::TooMany(FILES_MAX));
                note_unread(&mut conf.settings.unread, error);
                break;
            }
            match tree.read(&path, CONFIG_BYTES_MAX.min(bytes_left)) {
                Ok(bytes) => {
                    bytes_left -= bytes.len();
                    let file = conf.take_in(&path, &bytes);
                    conf.dropins.push(file);
                }
                Err(error) => note_unread(&mut conf.settings.unread, error),
            }
        }
        conf
    }

    /// Reads the text of one file alone.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut conf = Self::default();
        conf.main = Some(conf.take_in(Path::new(file), bytes));
        conf
    }

    fn take_in(&mut self, path: &Path, bytes: &[u8]) -> Arc<str> {
        let file: Arc<str> = path.to_string_lossy().into();
        self.settings.files.push(Arc::clone(&file));
        let text = Text::parse(&file, bytes, &|_| true);
        for problem in text.problems.kept {
            self.settings.problems.push(problem.place, problem.message);
        }
        self.settings.problems.more += text.problems.more;
        for Assignment { section, key, value } in text.assignments {
            let full = format!("{section}.{key}");
            match (LISTS.contains(&full.as_str()), value.value.is_empty()) {
                (true, true) => {
                    self.settings.entry(&full); // `Key=` alone is an empty list, not the default
                    self.settings.reset(&full);
                }
                (true, false) => self.settings.add(&full, value),
                (false, _) => self.settings.set(&full, value),
            }
        }
        file
    }

    /// `{"main","dropins","masked","settings":{…},"files":[…]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut out = json!({ "main": self.main, "dropins": self.dropins, "masked": self.masked });
        if let (Some(out), serde_json::Value::Object(more)) =
            (out.as_object_mut(), self.settings.to_json())
        {
            out.extend(more);
        }
        out
    }
}

fn is_null(tree: &dyn Tree, path: &Path) -> bool {
    tree.read_link(path).is_ok_and(|to| resolved(path, &to) == Path::new("/dev/null"))
}

/// Keys whose values add up (resolved.conf(5), timesyncd.conf(5), logind.conf(5), systemd-system.conf(5),
/// systemd-sleep.conf(5)); the last value of every other key holds.
const LISTS: [&str; 20] = [
    "Resolve.DNS",
    "Resolve.FallbackDNS",
    "Resolve.Domains",
    "Resolve.DNSStubListenerExtra",
    "Time.NTP",
    "Time.FallbackNTP",
    "Login.KillOnlyUsers",
    "Login.KillExcludeUsers",
    "Manager.DefaultEnvironment",
    "Manager.ManagerEnvironment",
    "Manager.CPUAffinity",
    "Manager.NUMAMask",
    "Sleep.SuspendMode",
    "Sleep.SuspendState",
    "Sleep.HibernateMode",
    "Sleep.HibernateState",
    "Sleep.HybridSleepMode",
    "Sleep.HybridSleepState",
    "Network.RouteTable",
    "Upload.Header",
];

/// The name by which a program's configuration is read, of its main file or of a drop-in:
/// `systemd/journald.conf` of `/etc/systemd/journald.conf.d/x.conf`.
pub fn name_of(path: &str) -> Option<String> {
    let below = DIRECTORIES.iter().find_map(|directory| {
        path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'))
    })?;
    let name = match below.rsplit_once('/') {
        Some((directory, _)) if directory.ends_with(".conf.d") => directory.strip_suffix(".d")?,
        _ => below,
    };
    name.ends_with(".conf").then(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn names_order_and_mask_drop_ins_and_empty_values_empty_lists() {
        let tree = MemoryTree::new()
            .file("/usr/lib/systemd/resolved.conf", "[Resolve]\nDNS=9.9.9.9\n")
            .file("/etc/systemd/resolved.conf", "[Resolve]\nDNS=192.0.2.1\nLLMNR=yes\n")
            .file("/usr/lib/systemd/resolved.conf.d/10.conf", "[Resolve]\nLLMNR=no\n")
            .file("/run/systemd/resolved.conf.d/10.conf", "[Resolve]\nDNS=\nDNS=192.0.2.2\n")
            .file("/etc/systemd/resolved.conf.d/05.conf", "[Resolve]\nDNS=192.0.2.3\nnothing\n")
            .file("/usr/lib/systemd/resolved.conf.d/20.conf", "[Resolve]\nLLMNR=no\n")
            .link("/etc/systemd/resolved.conf.d/20.conf", "/dev/null")
            .file("/etc/systemd/resolved.conf.d/.h.conf", "[Resolve]\nLLMNR=no\n");
        let conf = Conf::read(&tree, "systemd/resolved.conf");
        assert_eq!(conf.main.as_deref(), Some("/etc/systemd/resolved.conf"));
        let dns = conf.settings.get("Resolve.DNS").unwrap();
        assert_eq!((dns.value(), dns.values.len(), dns.overrides.len()), (Some("192.0.2.2"), 1, 2));
        assert_eq!(conf.settings.value("Resolve.LLMNR"), Some("yes"));
        assert_eq!(conf.dropins.len(), 2);
        assert_eq!(conf.masked.len(), 3);
        assert_eq!(conf.settings.problems.kept[0].place.line, 3);
    }

    #[test]
    fn files_past_the_limit_are_told() {
        let mut tree = MemoryTree::new();
        for number in 0..=FILES_MAX {
            tree = tree.file(&format!("/etc/a.conf.d/{number:05}.conf"), "[A]\nb=1\n");
        }
        let conf = Conf::read(&tree, "a.conf");
        assert_eq!((conf.dropins.len(), conf.settings.unread.len()), (FILES_MAX, 1));
    }

    #[test]
    fn a_program_is_known_by_its_file_and_by_its_drop_ins() {
        let name = Some("systemd/journald.conf".to_string());
        assert_eq!(name_of("/etc/systemd/journald.conf"), name);
        assert_eq!(name_of("/usr/lib/systemd/journald.conf.d/a.conf"), name);
        assert_eq!(name_of("/srv/journald.conf"), None);
    }
}
