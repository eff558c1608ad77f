//! Whether a unit is enabled: what its `[Install]` asks for, and the links that there are
//! (systemctl(1), `is-enabled`). Presets are not looked at.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files::{Target, UnitFiles};
use super::{DIRECTORIES, Load, Unit};

/// The words of `systemctl is-enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enabled {
    /// Links in `/etc` make it start.
    Enabled,
    /// Links in `/run` make it start until the next boot.
    EnabledRuntime,
    /// Its file is a link to elsewhere.
    Linked,
    /// The same, until the next boot.
    LinkedRuntime,
    /// The name is a link to another unit.
    Alias,
    /// It cannot be started.
    Masked,
    /// It cannot be started until the next boot.
    MaskedRuntime,
    /// It can be enabled and is not.
    Disabled,
    /// Enabling it enables others only, or it is known by a name that it does not ask for.
    Indirect,
    /// It can not be enabled; others start it.
    Static,
    /// A generator made it.
    Generated,
    /// Made while the system runs.
    Transient,
    /// There is no such unit, or it could not be read.
    NotFound,
}

/// Where links that an administrator makes stand.
const PERSISTENT: &str = "/etc/systemd/system";

impl UnitFiles {
    /// Whether the unit of a name is enabled; `unit` is what [`Unit::load`] gave for it. Instances of
    /// templates are asked by their own name.
    pub fn enabled(&self, name: &str, unit: &Unit) -> Enabled {
        let path = match self.by_name.get(name) {
            Some(Target::Masked(path)) if is_runtime(path) => return Enabled::MaskedRuntime,
            Some(Target::Masked(_)) => return Enabled::Masked,
            Some(Target::Alias(_)) => return Enabled::Alias,
            Some(Target::File(path)) => path.clone(),
            None => match &unit.fragment {
                Some(fragment) => PathBuf::from(&**fragment),
                None => return Enabled::NotFound,
            },
        };
        let below = |directory: &str| path.starts_with(directory);
        match () {
            () if unit.load == Load::Masked && is_runtime(&path) => return Enabled::MaskedRuntime,
            () if unit.load == Load::Masked => return Enabled::Masked,
            () if unit.load != Load::Loaded => return Enabled::NotFound,
            () if below("/run/systemd/transient") => return Enabled::Transient,
            () if DIRECTORIES.iter().any(|d| d.contains("/generator") && below(d)) => {
                return Enabled::Generated;
            }
            () => {}
        }
        let directories: Vec<&Path> =
            self.links_to(name, unit).filter_map(|link| directory_of(link)).collect();
        let is_in = |directory: &str| directories.contains(&Path::new(directory));
        match () {
            () if is_in(PERSISTENT) => Enabled::Enabled,
            () if directories.iter().any(|directory| is_runtime(directory)) => {
                Enabled::EnabledRuntime
            }
            () if self.linked.contains(&path) && below(PERSISTENT) => Enabled::Linked,
            () if self.linked.contains(&path) && is_runtime(&path) => Enabled::LinkedRuntime,
            () if self.is_known_otherwise(name) => Enabled::Indirect,
            () if asks(unit, &["WantedBy", "RequiredBy", "Alias"]) => Enabled::Disabled,
            () if asks(unit, &["Also"]) => Enabled::Indirect,
            () => Enabled::Static,
        }
    }

    /// Whether a link that no `Alias=` asks for gives the unit another name: it may be in use.
    fn is_known_otherwise(&self, name: &str) -> bool {
        let links = self.alias_links.iter().filter(|(to, _)| to == name);
        let mut directories = links.filter_map(|(_, link)| directory_of(link));
        directories.any(|directory| directory == Path::new(PERSISTENT) || is_runtime(directory))
    }

    /// Links that make a unit start: in `.wants` and `.requires`, and aliases that its `[Install]` names.
    pub fn links_to<'a>(
        &'a self,
        name: &'a str,
        unit: &'a Unit,
    ) -> impl Iterator<Item = &'a Path> + 'a {
        let wanted = self.wanted.iter().filter(move |(of, _)| of == name);
        let known = unit.settings.get("Install.Alias");
        let is_known = move |alias: &str| {
            known.is_some_and(|set| {
                set.values.iter().any(|value| value.value.split_whitespace().any(|w| w == alias))
            })
        };
        let aliases = self.alias_links.iter().filter(move |(to, link)| {
            let alias = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            to == name && is_known(alias)
        });
        wanted.chain(aliases).map(|(_, path)| path.as_path())
    }
}

fn asks(unit: &Unit, keys: &[&str]) -> bool {
    keys.iter().any(|key| {
        let set = unit.settings.get(&format!("Install.{key}"));
        set.is_some_and(|set| set.values.iter().any(|value| !value.value.trim().is_empty()))
    })
}

fn is_runtime(path: &Path) -> bool {
    path.starts_with("/run")
}

/// The directory of the search path below which a link stands.
fn directory_of(link: &Path) -> Option<&Path> {
    link.ancestors().find(|path| DIRECTORIES.iter().any(|known| Path::new(known) == *path))
}
