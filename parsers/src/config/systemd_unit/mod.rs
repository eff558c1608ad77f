//! systemd units as the manager loads them: fragment, drop-ins, masks, aliases, templates
//! (systemd.unit(5), systemd.syntax(7); systemd 252).
//!
//! The file comes from the first directory of the search path that has it; drop-ins of the unit, its
//! template, its dash prefixes, its aliases and its type are masked by name and read in the order of
//! their names. An empty assignment empties a list, and is ignored where a setting takes no empty value.
//! Values are not judged: specifiers and quotes stay as written, and a value that systemd would reject
//! is shown as it stands. `.wants/` and `.requires/` directories are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::problems::note_unread;
use super::settings::Settings;
use crate::place::Placed;
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

mod enabled;
mod files;
mod kinds;
mod names;
mod syntax;
#[cfg(test)]
mod tests;

pub use enabled::Enabled;
pub use files::{ALIASES_MAX, DIRECTORIES, ENTRIES_MAX, UnitFiles};
pub use kinds::{Group, Kind, current, kind};
pub use names::{NAME_BYTES_MAX, Name, TYPES};
pub use syntax::{ASSIGNMENTS_MAX, Assignment, LINE_BYTES_MAX, Text};

use files::Target;
pub(crate) use files::resolved;

/// Most drop-ins of one unit.
pub const DROPINS_MAX: usize = 10_000;

/// Most bytes of one unit, drop-ins included.
pub const BYTES_MAX: usize = 16 << 20;

/// What the manager would say of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Its file and drop-ins are read.
    Loaded,
    /// A link to `/dev/null`, or an empty file: it cannot be started.
    Masked,
    /// There is no file; drop-ins are then not read.
    NotFound,
    /// Its file has a fault by which systemd refuses the whole unit.
    Refused,
    /// Its file is there and could not be read.
    Unread,
}

/// A unit with what is in effect.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The name of its file; aliases lead to it.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// Whether it can be started at all.
    pub load: Load,
    /// Its file.
    pub fragment: Option<Arc<str>>,
    /// Drop-ins that are read, in order.
    pub dropins: Vec<Arc<str>>,
    /// Drop-ins that are not read, because one of the same name comes first.
    pub masked_dropins: Vec<Arc<str>>,
    /// What holds, by `Section.Key`; settings under old names are found under today's.
    pub settings: Settings,
    /// Keys with values, of the lists that are emptied together.
    filled: BTreeMap<Group, BTreeSet<String>>,
}

impl Unit {
    /// Loads a unit by its name.
    ///
    /// ```
    /// use parsers::config::systemd_unit::{Unit, UnitFiles};
    /// use parsers::tree::MemoryTree;
    /// let tree = MemoryTree::new()
    ///     .file("/usr/lib/systemd/system/a.service", "[Service]\nExecStart=/a\n")
    ///     .file("/etc/systemd/system/a.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/b\n");
    /// let unit = Unit::load(&tree, &UnitFiles::list(&tree), "a.service");
    /// assert_eq!(unit.settings.value("Service.ExecStart"), Some("/b"));
    /// ```
    pub fn load(tree: &dyn Tree, files: &UnitFiles, name: &str) -> Self {
        let mut unit = Self::empty(name);
        unit.settings.unread.extend(files.unread.iter().cloned());
        let Some(parsed) = Name::parse(name) else { return unit };
        let found = files.follow(name).map(|(main, target)| (main.to_string(), target));
        let found = found.or_else(|| {
            let (main, target) = files.follow(&parsed.template()?)?;
            Some((instantiate(main, parsed.instance), target))
        });
        let is_optional = matches!(parsed.of_type, "slice" | "device");
        let mut reader = Reader { tree, bytes_left: BYTES_MAX };
        match found {
            Some((main, Target::File(path))) => {
                unit.find_aliases(files, &main, name);
                unit.name = main;
                reader.fragment(&mut unit, path);
            }
            Some((main, Target::Masked(path))) => {
                unit.name = main;
                unit.fragment = Some(path.to_string_lossy().into());
                unit.load = Load::Masked;
            }
            _ if is_optional => unit.load = Load::Loaded,
            _ => return unit,
        }
        if unit.load == Load::Loaded {
            reader.dropins(&mut unit, files);
        }
        unit
    }

    /// Reads the text of one file alone; its name tells the type of unit where it can.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let path = Path::new(file);
        let name = unit_of(path).unwrap_or_default();
        let mut unit = Self::empty(&name);
        let file: Arc<str> = file.into();
        unit.fragment = Some(Arc::clone(&file));
        unit.load = Load::Loaded;
        if unit.apply(&file, bytes) == Applied::Refused {
            unit.load = Load::Refused;
        }
        unit
    }

    fn empty(name: &str) -> Self {
        Self {
            name: name.to_string(),
            aliases: Vec::new(),
            load: Load::NotFound,
            fragment: None,
            dropins: Vec::new(),
            masked_dropins: Vec::new(),
            settings: Settings::default(),
            filled: BTreeMap::new(),
        }
    }

    fn find_aliases(&mut self, files: &UnitFiles, main: &str, asked: &str) {
        let instance = Name::parse(asked).and_then(|name| name.instance);
        let mut aliases = files.aliases_of(main);
        if let Some(template) = Name::parse(main).and_then(|name| name.template()) {
            let of_template = files.aliases_of(&template);
            aliases.extend(of_template.iter().map(|alias| instantiate(alias, instance)));
        }
        aliases.sort();
        aliases.dedup();
        aliases.retain(|alias| alias != main);
        self.aliases = aliases;
    }

    /// Takes in the assignments of one file.
    fn apply(&mut self, file: &Arc<str>, bytes: &[u8]) -> Applied {
        self.settings.files.push(Arc::clone(file));
        let own = Name::parse(&self.name).map(|name| name.section());
        let known = |section: &str| {
            matches!(section, "Unit" | "Install") || own.is_none_or(|own| own == section)
        };
        let text = Text::parse(file, bytes, &known);
        for problem in text.problems.kept {
            self.settings.problems.push(problem.place, problem.message);
        }
        self.settings.problems.more += text.problems.more;
        for Assignment { section, key, value } in text.assignments {
            if self.assign(&section, &key, value) == Applied::Refused {
                return Applied::Refused;
            }
        }
        if text.cut_short { Applied::Refused } else { Applied::Whole }
    }

    fn assign(&mut self, section: &str, key: &str, value: Placed<String>) -> Applied {
        let (section, key) = current(section, key);
        let full = format!("{section}.{key}");
        let is_empty = value.value.is_empty();
        match kind(section, key) {
            Kind::LastOrFatal if is_empty => {
                let message = "this setting takes no empty value; the unit is refused";
                self.settings.problems.push(value.place, message);
                return Applied::Refused;
            }
            Kind::LastNotEmpty if is_empty => {
                let message = "this setting takes no empty value; the line is ignored";
                self.settings.problems.push(value.place, message);
            }
            Kind::List(group) if is_empty => {
                self.settings.entry(&full); // `Key=` alone is an empty list, not the default
                let filled = match group {
                    Group::Alone => BTreeSet::from([full]),
                    group => self.filled.remove(&group).unwrap_or_default(),
                };
                filled.iter().for_each(|key| self.settings.reset(key));
            }
            Kind::Adds if is_empty => {}
            Kind::List(group) => {
                self.settings.add(&full, value);
                if group != Group::Alone {
                    self.filled.entry(group).or_default().insert(full);
                }
            }
            Kind::Adds => self.settings.add(&full, value),
            Kind::Last | Kind::LastNotEmpty | Kind::LastOrFatal => self.settings.set(&full, value),
        }
        Applied::Whole
    }

    /// `{"name","aliases","load","fragment","dropins","masked_dropins","settings":{…},"files":[…]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut out = serde_json::json!({
            "name": self.name,
            "aliases": self.aliases,
            "load": self.load,
            "fragment": self.fragment,
            "dropins": self.dropins,
            "masked_dropins": self.masked_dropins,
        });
        if let (Some(out), serde_json::Value::Object(more)) =
            (out.as_object_mut(), self.settings.to_json())
        {
            out.extend(more);
        }
        out
    }
}

/// How far a file was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applied {
    Whole,
    /// Up to a fault at which systemd gives the file up.
    Refused,
}

/// Reads the files of one unit, within its bytes.
struct Reader<'a> {
    tree: &'a dyn Tree,
    bytes_left: usize,
}

impl Reader<'_> {
    fn bytes(&mut self, unit: &mut Unit, path: &Path) -> Option<Vec<u8>> {
        match self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left)) {
            Ok(bytes) => {
                self.bytes_left -= bytes.len();
                Some(bytes)
            }
            Err(error) => {
                note_unread(&mut unit.settings.unread, error);
                None
            }
        }
    }

    fn fragment(&mut self, unit: &mut Unit, path: &Path) {
        let file: Arc<str> = path.to_string_lossy().into();
        unit.fragment = Some(Arc::clone(&file));
        unit.load = match self.bytes(unit, path) {
            None => Load::Unread,
            Some(bytes) if bytes.is_empty() => Load::Masked,
            Some(bytes) => match unit.apply(&file, &bytes) {
                Applied::Whole => Load::Loaded,
                Applied::Refused => Load::Refused,
            },
        };
    }

    fn dropins(&mut self, unit: &mut Unit, files: &UnitFiles) {
        let mut chosen: BTreeMap<Vec<u8>, PathBuf> = BTreeMap::new();
        let mut count = 0;
        for directory in dropin_directories(unit, files) {
            let entries = match self.tree.list(directory) {
                Ok(entries) => entries,
                // A dangling link, or a file of that name: systemd passes it over.
                Err(error) if matches!(error.why, Why::NotFound | Why::NotDirectory) => continue,
                Err(error) => {
                    note_unread(&mut unit.settings.unread, error);
                    continue;
                }
            };
            for entry in entries {
                let name = entry.path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
                let is_dropin = name.ends_with(b".conf") && !name.starts_with(b".");
                if !is_dropin || entry.kind == FileKind::Directory {
                    continue;
                }
                count += 1;
                if count > DROPINS_MAX {
                    let why = Why::TooMany(DROPINS_MAX);
                    note_unread(&mut unit.settings.unread, LookError::new(directory, why));
                    break;
                }
                match chosen.get(name) {
                    Some(first) if *first == entry.path => {}
                    Some(_) => unit.masked_dropins.push(entry.path.to_string_lossy().into()),
                    None => drop(chosen.insert(name.to_vec(), entry.path)),
                }
            }
        }
        for path in chosen.into_values() {
            let file: Arc<str> = path.to_string_lossy().into();
            unit.dropins.push(Arc::clone(&file));
            if self.is_null(&path) {
                continue;
            }
            if let Some(bytes) = self.bytes(unit, &path) {
                unit.apply(&file, &bytes); // a fault in a drop-in ends that drop-in alone
            }
        }
    }

    fn is_null(&self, path: &Path) -> bool {
        let to = self.tree.read_link(path);
        to.is_ok_and(|to| files::resolved(path, &to) == Path::new("/dev/null"))
    }
}

/// Drop-in directories of a unit, those whose files mask others first.
fn dropin_directories<'a>(unit: &Unit, files: &'a UnitFiles) -> Vec<&'a Path> {
    let mut found: Vec<&Path> = Vec::new();
    for name in std::iter::once(&unit.name).chain(&unit.aliases) {
        let Some(parsed) = Name::parse(name) else { continue };
        let names = parsed.dropin_names();
        for search in DIRECTORIES {
            for name in &names {
                let known = files.dropin_directories.get(&format!("{name}.d"));
                let within = |path: &&PathBuf| path.parent() == Some(Path::new(search));
                found.extend(known.into_iter().flatten().filter(within).map(PathBuf::as_path));
            }
        }
    }
    if let Some(parsed) = Name::parse(&unit.name) {
        let of_type = files.dropin_directories.get(&format!("{}.d", parsed.of_type));
        found.extend(of_type.into_iter().flatten().map(PathBuf::as_path));
    }
    found
}

/// A template's name with an instance; other names stay.
fn instantiate(name: &str, instance: Option<&str>) -> String {
    match (Name::parse(name), instance) {
        (Some(parsed), Some(instance)) if parsed.is_template() => {
            format!("{}@{instance}.{}", parsed.prefix, parsed.of_type)
        }
        _ => name.to_string(),
    }
}

/// The unit that a file belongs to: its own name, or that of its `NAME.d` directory.
pub fn unit_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    if Name::parse(name).is_some() {
        return Some(name.to_string());
    }
    let directory = path.parent()?.file_name()?.to_str()?.strip_suffix(".d")?;
    Name::parse(directory).map(|_| directory.to_string())
}
