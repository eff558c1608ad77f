//! Which services start at boot, and which run now.

use std::collections::BTreeMap;
use std::path::Path;

use parsers::tree::{FileKind, Tree};

use crate::facts::{Fact, Facts};

/// Where links to enabled units lie: the administrator's, then the distribution's own.
const UNIT_TREES: [&str; 3] =
    ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Most processes that are asked for their names.
const PROCESSES_MAX: usize = 20_000;
/// The kernel cuts a process name after this many bytes (`TASK_COMM_LEN` without its NUL).
const COMM_BYTES_MAX: usize = 15;

/// Enabled units and running processes, by name.
#[derive(Debug, Default)]
pub(super) struct Enabled {
    /// Unit without `.service`, and the link that enables it.
    units: BTreeMap<String, String>,
    /// Names of processes (`/proc/PID/comm`).
    running: std::collections::BTreeSet<String>,
}

impl Fact for Enabled {
    fn look(facts: &Facts<'_>) -> Self {
        let mut enabled = Self::default();
        for tree in UNIT_TREES {
            enabled.add_units(facts.tree, tree);
        }
        enabled.add_scripts(facts.tree);
        if facts.live {
            enabled.add_processes(facts.tree);
        }
        enabled
    }
}

impl Enabled {
    /// The first of some services that is enabled or running, and what shows it.
    pub(super) fn any(&self, services: &[&str]) -> Option<String> {
        services.iter().find_map(|name| {
            if let Some(link) = self.units.get(*name) {
                return Some(format!("{name} is enabled ({link})"));
            }
            let cut = &name[..name.len().min(COMM_BYTES_MAX)];
            self.running.contains(cut).then(|| format!("{name} runs"))
        })
    }

    fn add_units(&mut self, tree: &dyn Tree, directory: &str) {
        let Ok(entries) = tree.list(Path::new(directory)) else { return };
        for entry in entries {
            let name = entry.path.to_string_lossy().into_owned();
            if entry.kind == FileKind::Directory
                && (name.ends_with(".wants") || name.ends_with(".requires"))
            {
                for link in tree.list(&entry.path).unwrap_or_default() {
                    self.add_link(tree, &link.path, true);
                }
            } else if entry.kind == FileKind::Link && directory.starts_with("/etc") {
                // An alias such as dbus-org.freedesktop.timesync1.service.
                self.add_link(tree, &entry.path, false);
            }
        }
    }

    /// A link enables the unit of its own name, an alias the one that it points to. Links to
    /// `/dev/null` mask, and a unit that is masked is not enabled by what else wants it.
    fn add_link(&mut self, tree: &dyn Tree, link: &Path, wanted: bool) {
        let to = tree.read_link(link).unwrap_or_default();
        if to == Path::new("/dev/null") {
            return;
        }
        let named = if wanted { link } else { to.as_path() };
        let name = named.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let masked = is_masked(tree, name);
        if let Some(unit) = name.strip_suffix(".service").filter(|_| !masked) {
            self.units.entry(unit.to_string()).or_insert_with(|| link.display().to_string());
        }
    }

    /// System V (`/etc/rc3.d/S01chrony`) and OpenRC (`/etc/runlevels/default/chronyd`).
    fn add_scripts(&mut self, tree: &dyn Tree) {
        for directory in ["/etc/rc3.d", "/etc/runlevels/default", "/etc/runlevels/boot"] {
            for entry in tree.list(Path::new(directory)).unwrap_or_default() {
                let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or("");
                let name = match directory {
                    "/etc/rc3.d" => name
                        .strip_prefix('S')
                        .map(|rest| rest.trim_start_matches(|digit: char| digit.is_ascii_digit())),
                    _ => Some(name),
                };
                // With systemd a script is a unit like others, and can be masked.
                if let Some(name) = name.filter(|name| !is_masked(tree, &format!("{name}.service")))
                {
                    self.units
                        .entry(name.to_string())
                        .or_insert_with(|| entry.path.display().to_string());
                }
            }
        }
    }

    fn add_processes(&mut self, tree: &dyn Tree) {
        let entries = tree.list(Path::new("/proc")).unwrap_or_default();
        let pids = entries.into_iter().filter(|entry| {
            entry
                .path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
        });
        for entry in pids.take(PROCESSES_MAX) {
            if let Ok(bytes) = tree.read(&entry.path.join("comm"), 256) {
                self.running.insert(String::from_utf8_lossy(&bytes).trim().to_string());
            }
        }
    }
}

fn is_masked(tree: &dyn Tree, unit: &str) -> bool {
    tree.read_link(&Path::new("/etc/systemd/system").join(unit))
        .is_ok_and(|to| to == Path::new("/dev/null"))
}
