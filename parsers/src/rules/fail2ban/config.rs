//! Files merged in fail2ban's order, and values asked of them.
//!
//! Each file is followed by its `.local`, and preceded and followed by what `[INCLUDES]` names; later
//! ones win, option by option. A value refers to others by `%(name)s`, `%(section/name)s`, and by
//! `%(known/name)s` to what an earlier file said. Includes, depth, look-ups and sizes are bounded.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ini::{self, FILE_BYTES_MAX, Options, Value, problem};
use crate::place::{Place, Problem};
use crate::tree::{FileKind, Links, Tree};

/// Most files of one configuration, with all includes.
pub const FILES_MAX: usize = 500;

/// Deepest include.
pub const INCLUDES_MAX: usize = 20;

/// Deepest `%(…)s` within `%(…)s`, as in Python's `configparser`.
pub const INTERPOLATION_MAX: usize = 10;

/// Most look-ups for one value.
pub const LOOKUPS_MAX: u32 = 20_000;

/// Longest value once everything is filled in.
pub const VALUE_BYTES_MAX: usize = 256 << 10;

/// Values that win over those of files.
pub type Variables = BTreeMap<String, String>;

/// Merged files.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    defaults: Options,
    sections: Vec<(String, Options)>,
    /// What earlier files said, by section.
    known: BTreeMap<String, Options>,
    /// Every value that a later file replaced, by section (`""` is the defaults) and option.
    replaced: BTreeMap<String, BTreeMap<String, Vec<Value>>>,
    /// Files read, in order.
    pub(super) files: Vec<PathBuf>,
}

impl Config {
    /// Reads files and all that belongs to them; those that do not exist are left out.
    pub(super) fn read(tree: &dyn Tree, files: &[PathBuf]) -> Result<Self, Problem> {
        let mut loader = Loader { tree, read: BTreeMap::new() };
        let order = loader.with_locals(files, &[])?;
        let mut config = Self::default();
        for path in order {
            if let Some(Some(file)) = loader.read.get(&path) {
                config.merge(file);
                config.files.push(path);
            }
        }
        Ok(config)
    }

    fn merge(&mut self, file: &ini::File) {
        replace(
            self.replaced.entry(String::new()).or_default(),
            &mut self.defaults,
            &file.defaults,
        );
        for (name, options) in &file.sections {
            match self.sections.iter_mut().find(|(known, _)| known == name) {
                None => self.sections.push((name.clone(), options.clone())),
                Some((_, mine)) => {
                    let before = mine.iter().filter(|(option, _)| options.contains_key(*option));
                    let before = before.map(|(option, value)| (option.clone(), value.clone()));
                    self.known.entry(name.clone()).or_default().extend(before);
                    replace(self.replaced.entry(name.clone()).or_default(), mine, options);
                }
            }
        }
    }

    /// The defaults.
    pub(super) fn defaults(&self) -> &Options {
        &self.defaults
    }

    /// What earlier files said of an option, in order; the section `""` is the defaults.
    pub(super) fn history(&self, section: &str, option: &str) -> &[Value] {
        let of_section = self.replaced.get(section);
        of_section.and_then(|options| options.get(option)).map_or(&[], Vec::as_slice)
    }

    /// Names of sections in order.
    pub(super) fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|(name, _)| name.as_str())
    }

    /// A section's own options.
    pub(super) fn section(&self, name: &str) -> Option<&Options> {
        self.sections.iter().find(|(known, _)| known == name).map(|(_, options)| options)
    }

    /// Sets a default that files may refer to.
    pub(super) fn set_default(&mut self, name: &str, text: &str) {
        let value = Value { text: text.to_string(), place: Place::whole("") };
        self.defaults.entry(name.to_string()).or_insert(value);
    }

    /// Sets options of a section, over what files said.
    pub(super) fn set(&mut self, section: &str, name: String, value: Value) {
        if let Some((_, options)) = self.sections.iter_mut().find(|(known, _)| known == section) {
            options.insert(name, value);
        }
    }

    /// A value of a section or, failing that, of the defaults, everything filled in.
    pub(super) fn get(
        &self,
        section: &str,
        option: &str,
        variables: &Variables,
    ) -> Result<Option<Value>, Problem> {
        match self.section(section) {
            Some(options) => self.filled(section, options, option, variables),
            None => Ok(None),
        }
    }

    fn filled(
        &self,
        section: &str,
        options: &Options,
        option: &str,
        variables: &Variables,
    ) -> Result<Option<Value>, Problem> {
        let asked = Asked { config: self, section, options, variables, lookups: Cell::new(0) };
        let option = option.to_lowercase();
        let Some(value) = asked.raw(&option) else { return Ok(None) };
        let mut text = String::new();
        asked.fill(&value, &mut text, 1)?;
        Ok(Some(Value { text, place: value.place }))
    }

    /// A value by `name` or `section/name`, as `<…>` tags ask for it.
    pub(super) fn tagged(
        &self,
        section: &str,
        name: &str,
        variables: &Variables,
    ) -> Result<Option<String>, Problem> {
        if let Some((of, option)) = name.split_once('/') {
            let own = of.eq_ignore_ascii_case("known");
            let found = match own {
                true => match self.known.get(section).filter(|known| known.contains_key(option)) {
                    Some(known) => self.filled(section, known, option, &Variables::new())?,
                    None => self.get(section, option, variables)?,
                }
                .map(|value| value.text),
                false => self.get(of, option, &Variables::new())?.map(|value| value.text),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(self.get(section, name, variables)?.map(|value| value.text))
    }
}

/// Takes in options, and keeps what they replace.
fn replace(replaced: &mut BTreeMap<String, Vec<Value>>, mine: &mut Options, new: &Options) {
    for (option, value) in new {
        if let Some(old) = mine.insert(option.clone(), value.clone()) {
            replaced.entry(option.clone()).or_default().push(old);
        }
    }
}

/// One value being filled in.
struct Asked<'a> {
    config: &'a Config,
    section: &'a str,
    options: &'a Options,
    variables: &'a Variables,
    lookups: Cell<u32>,
}

impl Asked<'_> {
    fn raw(&self, option: &str) -> Option<Value> {
        if let Some(text) = self.variables.get(option) {
            return Some(Value { text: text.clone(), place: Place::whole("options") });
        }
        if let Some(value) = self.options.get(option) {
            return Some(value.clone());
        }
        self.config.defaults.get(option).cloned()
    }

    /// What `%(name)s` refers to.
    fn referred(&self, name: &str) -> Option<Value> {
        let lower = name.to_lowercase();
        if let Some(value) = self.raw(&lower) {
            return Some(value);
        }
        if lower == "__name__" {
            let text = self.section.to_string();
            return Some(Value { text, place: Place::whole("") });
        }
        let (section, option) = name.split_once('/')?;
        let option = option.to_lowercase();
        let own = match section.to_lowercase().as_str() {
            "default" => None,
            "known" => self.config.known.get(self.section).and_then(|known| known.get(&option)),
            _ => self.config.section(section)?.get(&option),
        };
        own.or_else(|| self.config.defaults.get(&option)).cloned()
    }

    fn fill(&self, value: &Value, out: &mut String, depth: usize) -> Result<(), Problem> {
        if depth > INTERPOLATION_MAX {
            return Err(problem(&value.place, "`%(…)s` nested too deeply, or in a circle"));
        }
        let mut rest = value.text.as_str();
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let name = rest.strip_prefix('(').and_then(|rest| rest.split_once(")s"));
            let Some((name, after)) = name.filter(|(name, _)| !name.contains(')')) else {
                return Err(problem(&value.place, "`%` has to be followed by `%` or `(name)s`"));
            };
            rest = after;
            self.lookups.set(self.lookups.get() + 1);
            if self.lookups.get() > LOOKUPS_MAX {
                return Err(problem(&value.place, format!("more than {LOOKUPS_MAX} references")));
            }
            let Some(inner) = self.referred(name) else {
                return Err(problem(&value.place, format!("`%({name})s` refers to nothing")));
            };
            self.fill(&inner, out, depth + 1)?;
            bounded(out, &value.place)?;
        }
        out.push_str(rest);
        bounded(out, &value.place)
    }
}

/// Refuses values over [`VALUE_BYTES_MAX`].
pub(super) fn bounded(text: &str, place: &Place) -> Result<(), Problem> {
    if text.len() <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(problem(place, format!("a value of more than {VALUE_BYTES_MAX} bytes")))
}

struct Loader<'a> {
    tree: &'a dyn Tree,
    /// Files by path; `None` is not there.
    read: BTreeMap<PathBuf, Option<ini::File>>,
}

impl Loader<'_> {
    /// Each file, what it includes, and its `.local`.
    fn with_locals(
        &mut self,
        files: &[PathBuf],
        seen: &[PathBuf],
    ) -> Result<Vec<PathBuf>, Problem> {
        let mut order = Vec::new();
        for file in files {
            self.with_includes(file, seen, &mut order)?;
            let local = file.with_extension("local");
            if !files.contains(&local) && self.is_file(&local) {
                self.with_includes(&local, seen, &mut order)?;
            }
        }
        Ok(order)
    }

    fn with_includes(
        &mut self,
        path: &Path,
        seen: &[PathBuf],
        order: &mut Vec<PathBuf>,
    ) -> Result<(), Problem> {
        let Some(file) = self.load(path)? else { return Ok(()) };
        let (before, after) = self.includes(path, &file)?;
        let mut seen = seen.to_vec();
        seen.push(path.to_path_buf());
        let place = Place::whole(path.to_string_lossy().as_ref());
        if seen.len() > INCLUDES_MAX {
            return Err(problem(&place, format!("includes nested deeper than {INCLUDES_MAX}")));
        }
        for include in before {
            if !seen.contains(&include) {
                order.extend(self.with_locals(&[include], &seen)?);
            }
        }
        order.push(path.to_path_buf());
        for include in after {
            if !seen.contains(&include) {
                order.extend(self.with_locals(&[include], &seen)?);
            }
        }
        if order.len() > FILES_MAX {
            return Err(problem(&place, format!("more than {FILES_MAX} files")));
        }
        Ok(())
    }

    /// Files that `[INCLUDES]` names, before and after.
    fn includes(
        &self,
        path: &Path,
        file: &ini::File,
    ) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Problem> {
        let mut alone = Config::default();
        alone.merge(file);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let named = |option: &str| -> Result<Vec<PathBuf>, Problem> {
            let value = alone.get("INCLUDES", option, &Variables::new())?;
            let text = value.map(|value| value.text).unwrap_or_default();
            Ok(text
                .lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .map(|l| directory.join(l))
                .collect())
        };
        Ok((named("before")?, named("after")?))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.read.get(path).is_some_and(Option::is_some)
            || self.tree.stat(path, Links::Follow).is_ok_and(|stat| stat.kind == FileKind::Regular)
    }

    fn load(&mut self, path: &Path) -> Result<Option<ini::File>, Problem> {
        if let Some(known) = self.read.get(path) {
            return Ok(known.clone());
        }
        let name: Arc<str> = path.to_string_lossy().into();
        if self.read.len() >= FILES_MAX {
            return Err(problem(&Place::whole(name), format!("more than {FILES_MAX} files")));
        }
        let file = match self.tree.read(path, FILE_BYTES_MAX) {
            Ok(bytes) => Some(ini::parse(&name, &bytes)?),
            Err(error) if error.not_found() => None,
            Err(error) => return Err(problem(&Place::whole(name), error.why.to_string())),
        };
        self.read.insert(path.to_path_buf(), file.clone());
        Ok(file)
    }
}
