//! A filter's definition: its files merged, its options applied, its regular expressions as texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::config::{Config, FILES_MAX, Variables};
use super::ini::{Value, problem};
use super::tags;
use crate::place::{Place, Placed, Problem};
use crate::tree::{FileKind, Links, Tree, Why};

/// Most regular expressions of a filter.
pub const EXPRESSIONS_MAX: usize = 1_000;

/// Options of `[Definition]` that make a filter.
const OPTIONS: [&str; 7] =
    ["usedns", "prefregex", "ignoreregex", "failregex", "maxlines", "datepattern", "journalmatch"];

/// What a filter says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Name: that of the file without its ending.
    pub name: String,
    /// Files read, in order.
    pub files: Vec<PathBuf>,
    /// What every candidate has to match first.
    pub prefregex: Option<Placed<String>>,
    /// What a failure looks like.
    pub failregex: Vec<Placed<String>>,
    /// What is no failure although it looks like one.
    pub ignoreregex: Vec<Placed<String>>,
    /// Where the date stands: patterns, one a line.
    pub datepattern: Option<Placed<String>>,
    /// Lines that are looked at together.
    pub maxlines: Option<Placed<String>>,
    /// `yes`, `warn`, `no` or `raw`.
    pub usedns: Option<String>,
    /// Matches of journal fields, one a line.
    pub journalmatch: Vec<String>,
    /// `file`, `journal`, `short`, `rfc5424`: what lines look like.
    pub logtype: Option<String>,
}

/// What a log is read from, where a filter does not say it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Nothing is said.
    Unknown,
    /// Files.
    File,
    /// The journal.
    Journal,
}

/// A filter's files before its options are applied.
#[derive(Clone, Debug)]
pub(super) struct FilterFiles {
    name: String,
    place: Place,
    config: Config,
}

/// Loads a filter: `call.name` is a name below `base/filter.d`, or a path.
pub fn load(
    tree: &dyn Tree,
    base: &Path,
    call: &Call,
    backend: Backend,
) -> Result<Definition, Problem> {
    let files = FilterFiles::read(tree, base, &call.name)?;
    let options = files.options(&call.options, &Variables::new(), backend, false)?;
    files.definition(&options)
}

impl FilterFiles {
    pub(super) fn read(tree: &dyn Tree, base: &Path, name: &str) -> Result<Self, Problem> {
        let stem = if name.contains('/') {
            let path = Path::new(name);
            let within = path.parent().is_some_and(|parent| parent.ends_with("filter.d"));
            let conf = matches!(path.extension().and_then(|e| e.to_str()), Some("conf" | "local"));
            if !within {
                return Self::explicit(tree, path);
            }
            if conf { path.with_extension("") } else { path.to_path_buf() }
        } else {
            let plain = name.strip_suffix(".conf").or_else(|| name.strip_suffix(".local"));
            base.join("filter.d").join(plain.unwrap_or(name))
        };
        let files = layered(tree, &stem)?;
        let config = Config::read(tree, &files)?;
        let place = Place::whole(format!("{}.conf", stem.display()));
        let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, place, config }.found()
    }

    /// A file that stands elsewhere, and what it includes.
    fn explicit(tree: &dyn Tree, path: &Path) -> Result<Self, Problem> {
        let mut path = path.to_path_buf();
        if path.extension().is_none() {
            let conf = path.with_extension("conf");
            let there = |path: &Path| tree.stat(path, Links::Follow).is_ok();
            path = if !there(&path) && there(&conf) { conf } else { path };
        }
        let config = Config::read(tree, std::slice::from_ref(&path))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, place: Place::whole(path.to_string_lossy().as_ref()), config }.found()
    }

    fn found(self) -> Result<Self, Problem> {
        if self.config.files.is_empty() {
            return Err(problem(&self.place, "no such filter"));
        }
        if self.config.section("Definition").is_none() {
            return Err(problem(&self.place, "no [Definition] section"));
        }
        Ok(self)
    }

    /// Everything that the filter says, filled in: options of the call win over those of the jail, which
    /// win over those of the files; `whole` adds what only `%(known/…)s` asks for.
    pub(super) fn options(
        &self,
        call: &BTreeMap<String, String>,
        jail: &Variables,
        backend: Backend,
        whole: bool,
    ) -> Result<BTreeMap<String, Value>, Problem> {
        let mut given: BTreeMap<String, String> = call.clone();
        let own = self.config.section("Definition").is_some_and(|d| d.contains_key("logtype"));
        if backend != Backend::Unknown && !own && given.get("logtype").is_none_or(String::is_empty)
        {
            let logtype = if backend == Backend::Journal { "journal" } else { "file" };
            given.insert("logtype".into(), logtype.into());
        }
        let mut variables = jail.clone();
        variables.extend(given.clone());
        let mut values = BTreeMap::new();
        for name in OPTIONS.iter().filter(|name| !variables.contains_key(**name)) {
            if let Some(value) = self.config.get("Definition", name, &variables)? {
                values.insert((*name).to_string(), value);
            }
        }
        if whole && let Some(definition) = self.config.section("Definition") {
            for name in definition.keys().filter(|name| !OPTIONS.contains(&name.as_str())) {
                if let Some(value) = self.config.get("Definition", name, &Variables::new())? {
                    values.insert(name.clone(), value);
                }
            }
        }
        for (name, text) in given {
            values.insert(name, Value { text, place: Place::whole("options") });
        }
        for name in self.config.section("Init").into_iter().flat_map(BTreeMap::keys) {
            if let Some(value) = self.config.get("Init", name, &Variables::new())? {
                if !name.starts_with("known/") {
                    values.insert(format!("known/{name}"), value.clone());
                }
                if !call.contains_key(name) {
                    values.insert(name.clone(), value);
                }
            }
        }
        tags::fill(&self.config, &values, &variables)
    }

    /// The definition that options make.
    pub(super) fn definition(
        &self,
        options: &BTreeMap<String, Value>,
    ) -> Result<Definition, Problem> {
        let one = |name: &str| {
            let value = options.get(name).filter(|value| !value.text.trim().is_empty())?;
            Some(placed(&value.text, &value.place))
        };
        let many = |name: &str| -> Result<Vec<Placed<String>>, Problem> {
            let Some(value) = options.get(name) else { return Ok(Vec::new()) };
            let lines = value.text.split('\n').filter(|line| !line.is_empty());
            let found: Vec<_> = lines.map(|line| placed(line, &value.place)).collect();
            if found.len() > EXPRESSIONS_MAX {
                let message = format!("more than {EXPRESSIONS_MAX} regular expressions");
                return Err(problem(&value.place, message));
            }
            Ok(found)
        };
        let logtype = match options.get("logtype") {
            Some(value) => Some(value.text.clone()),
            None => self.config.get("Definition", "logtype", &Variables::new())?.map(|v| v.text),
        };
        Ok(Definition {
            name: self.name.clone(),
            files: self.config.files.clone(),
            prefregex: one("prefregex"),
            failregex: many("failregex")?,
            ignoreregex: many("ignoreregex")?,
            datepattern: one("datepattern"),
            maxlines: one("maxlines"),
            usedns: one("usedns").map(|value| value.value),
            journalmatch: many("journalmatch")?.into_iter().map(|line| line.value).collect(),
            logtype,
        })
    }
}

fn placed(text: &str, place: &Place) -> Placed<String> {
    Placed { value: text.to_string(), place: place.clone(), text: String::new() }
}

/// `x.conf`, `x.d/*.conf`, `x.local`, `x.d/*.local`, in fail2ban's order.
pub(super) fn layered(tree: &dyn Tree, stem: &Path) -> Result<Vec<PathBuf>, Problem> {
    let with = |ending: &str| {
        let mut name = stem.as_os_str().to_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let entries = match tree.list(&with(".d")) {
        Ok(entries) => entries,
        Err(error) if matches!(error.why, Why::NotFound | Why::NotDirectory) => Vec::new(),
        Err(error) => {
            let place = Place::whole(error.path.to_string_lossy().as_ref());
            return Err(problem(&place, error.why.to_string()));
        }
    };
    let below = |ending: &str| -> Vec<PathBuf> {
        // A FIFO or device is kept, so that reading it tells that it could not be looked at.
        let files = entries.iter().filter(|entry| entry.kind != FileKind::Directory);
        let plain = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(ending) && !name.starts_with('.')
        };
        files.map(|entry| entry.path.clone()).filter(plain).collect()
    };
    let mut files = vec![with(".conf")];
    files.extend(below(".conf"));
    files.push(with(".local"));
    files.extend(below(".local"));
    if files.len() > FILES_MAX {
        let place = Place::whole(with(".d").to_string_lossy().as_ref());
        return Err(problem(&place, format!("more than {FILES_MAX} files")));
    }
    Ok(files)
}
