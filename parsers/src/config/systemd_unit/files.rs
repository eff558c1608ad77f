//! Which file is a unit's: search path, aliases and masks (systemd.unit(5), "Unit File Load Path").

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::names::Name;
use crate::config::problems::note_unread;
use crate::tree::{FileKind, LookError, Tree, Why};

/// Where the system manager looks for units, highest priority first.
pub const DIRECTORIES: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    // Debian 12 looks below /lib first; where that is a link to /usr/lib the order has no meaning.
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// Most entries of the search path that are looked at.
pub const ENTRIES_MAX: usize = 200_000;

/// Most aliases followed for one name, as in systemd.
pub const ALIASES_MAX: usize = 8;

/// What stands for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A file to read; whether it is read through a link is the tree's business.
    File(PathBuf),
    /// A link to `/dev/null`.
    Masked(PathBuf),
    /// Another name of a unit.
    Alias(String),
}

/// The names of every unit of a tree: built once, asked for each unit.
#[derive(Clone, Debug, Default)]
pub struct UnitFiles {
    pub(super) by_name: BTreeMap<String, Target>,
    /// Drop-in directories that there are, by their name (`foo.service.d`), highest priority first.
    pub(super) dropin_directories: BTreeMap<String, Vec<PathBuf>>,
    /// Units that `.wants` and `.requires` folders link to, and the links.
    pub(super) wanted: Vec<(String, PathBuf)>,
    /// Units that links of another name lead to, and the links.
    pub(super) alias_links: Vec<(String, PathBuf)>,
    /// Links to files outside of the search path.
    pub(super) linked: Vec<PathBuf>,
    /// What could not be listed.
    pub unread: Vec<LookError>,
    /// Links that systemd refuses as aliases (another type, an instance of something else).
    pub refused: Vec<PathBuf>,
}

impl UnitFiles {
    /// Lists the search path.
    pub fn list(tree: &dyn Tree) -> Self {
        let mut all = Self::default();
        let mut seen = 0;
        let lib = Path::new("/lib");
        let is_merged =
            tree.read_link(lib).is_ok_and(|to| resolved(lib, &to) == Path::new("/usr/lib"));
        for directory in DIRECTORIES {
            if directory.starts_with("/lib/") && is_merged {
                continue; // the same directory as the one below /usr/lib
            }
            let entries = match tree.list(Path::new(directory)) {
                Ok(entries) => entries,
                Err(error) if error.not_found() => continue,
                Err(error) => {
                    note_unread(&mut all.unread, error);
                    continue;
                }
            };
            for entry in entries {
                seen += 1;
                if is_wanting(&entry.path) && entry.kind != FileKind::Regular {
                    seen += all.wants(tree, &entry.path);
                }
                if seen > ENTRIES_MAX {
                    let why = Why::TooMany(ENTRIES_MAX);
                    note_unread(&mut all.unread, LookError::new(Path::new(directory), why));
                    return all;
                }
                all.entry(tree, &entry.path, entry.kind);
            }
        }
        all
    }

    /// Names of units that have a file of their own, templates included, aliases and masks left out.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let is_file = |target: &Target| matches!(target, Target::File(_));
        self.by_name
            .iter()
            .filter(move |(_, target)| is_file(target))
            .map(|(name, _)| name.as_str())
    }

    /// Lists a `.wants` or `.requires` folder; how many entries it has.
    fn wants(&mut self, tree: &dyn Tree, folder: &Path) -> usize {
        let entries = match tree.list(folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.why, Why::NotFound | Why::NotDirectory) => return 0,
            Err(error) => {
                note_unread(&mut self.unread, error);
                return 0;
            }
        };
        let count = entries.len();
        for entry in entries.into_iter().take(ENTRIES_MAX) {
            let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry.kind == FileKind::Link && Name::parse(name).is_some() {
                self.wanted.push((name.to_string(), entry.path));
            }
        }
        count
    }

    fn entry(&mut self, tree: &dyn Tree, path: &Path, kind: FileKind) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        if name.ends_with(".d") && matches!(kind, FileKind::Directory | FileKind::Link) {
            self.dropin_directories.entry(name.to_string()).or_default().push(path.to_path_buf());
            return;
        }
        if Name::parse(name).is_none() {
            return;
        }
        if kind == FileKind::Link
            && let Ok(to) = tree.read_link(path)
            && let Some(to) = resolved(path, &to).file_name().and_then(|to| to.to_str())
            && to != name
        {
            self.alias_links.push((to.to_string(), path.to_path_buf()));
        }
        if self.by_name.contains_key(name) {
            return;
        }
        let target = match kind {
            FileKind::Link => match self.link(tree, path, name) {
                Some(target) => target,
                None => return,
            },
            FileKind::Directory => return,
            // A FIFO or device is kept, so that reading it tells that it could not be looked at.
            _ => Target::File(path.to_path_buf()),
        };
        self.by_name.insert(name.to_string(), target);
    }

    fn link(&mut self, tree: &dyn Tree, path: &Path, name: &str) -> Option<Target> {
        let to = match tree.read_link(path) {
            Ok(to) => to,
            Err(error) => {
                note_unread(&mut self.unread, error);
                return None;
            }
        };
        let to = resolved(path, &to);
        if to == Path::new("/dev/null") {
            return Some(Target::Masked(path.to_path_buf()));
        }
        let is_within = to.parent().is_some_and(|parent| {
            DIRECTORIES.iter().any(|directory| parent == Path::new(directory))
        });
        if !is_within {
            self.linked.push(path.to_path_buf());
            return Some(Target::File(path.to_path_buf()));
        }
        let alias = to.file_name()?.to_str()?;
        if alias == name {
            return None; // a link to itself in another directory: that one is found later
        }
        if !may_be_alias(name, alias) {
            self.refused.push(path.to_path_buf());
            return None;
        }
        Some(Target::Alias(alias.to_string()))
    }

    /// What a name stands for after its aliases, and the last name.
    pub(super) fn follow(&self, name: &str) -> Option<(&str, &Target)> {
        let (mut name, mut target) = self.by_name.get_key_value(name)?;
        for _ in 0..ALIASES_MAX {
            match target {
                Target::Alias(next) => (name, target) = self.by_name.get_key_value(next)?,
                found => return Some((name, found)),
            }
        }
        None
    }

    /// Every name that leads to a file's name, sorted, without that one.
    pub(super) fn aliases_of(&self, main: &str) -> Vec<String> {
        let leads = |name: &&String| {
            name.as_str() != main && self.follow(name).is_some_and(|(last, _)| last == main)
        };
        self.by_name.keys().filter(leads).cloned().collect()
    }
}

/// Whether a folder says what units want or require.
fn is_wanting(path: &Path) -> bool {
    let name = path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
    name.ends_with(b".wants") || name.ends_with(b".requires")
}

/// Whether systemd takes a link as an alias: of the same type, a template of a template, an instance
/// of the same instance or of a template.
fn may_be_alias(link: &str, to: &str) -> bool {
    let (Some(link), Some(to)) = (Name::parse(link), Name::parse(to)) else { return false };
    link.of_type == to.of_type
        && match (link.instance, to.instance) {
            (None, None) => true,
            (Some(""), Some(to)) => to.is_empty(),
            (Some(link), Some(to)) => to.is_empty() || link == to,
            _ => false,
        }
}

/// A link's target as an absolute path, `..` resolved by name.
pub(crate) fn resolved(link: &Path, to: &Path) -> PathBuf {
    let joined = link.parent().unwrap_or(Path::new("/")).join(to);
    let mut out = PathBuf::from("/");
    for part in joined.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}
