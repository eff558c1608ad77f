//! Jails: `jail.conf`, `jail.d/*.conf`, `jail.local`, `jail.d/*.local`, and the filters they name.

use std::path::Path;

use super::config::{Config, Variables};
use super::effective::is_true;
use super::filter::{Backend, Definition, FilterFiles, layered};
use super::ini::{Value, problem};
use super::{call, duration};
use crate::place::{Place, Problem};
use crate::tree::Tree;

/// Most jails of a host.
pub const JAILS_MAX: usize = 1_000;

/// Options of a jail that its filter's files may refer to.
const OPTIONS: [&str; 17] = [
    "backend",
    "maxretry",
    "maxmatches",
    "findtime",
    "bantime",
    "ignoreself",
    "ignoreip",
    "filter",
    "logtimezone",
    "logencoding",
    "logpath",
    "usedns",
    "prefregex",
    "ignoreregex",
    "failregex",
    "maxlines",
    "datepattern",
];

/// All jails that are enabled.
#[derive(Clone, Debug, Default)]
pub struct Jails {
    /// In the order of their files.
    pub jails: Vec<Jail>,
    /// Enabled jails that cannot be used, and why.
    pub problems: Vec<(String, Problem)>,
}

/// An enabled jail.
#[derive(Clone, Debug)]
pub struct Jail {
    /// Name.
    pub name: String,
    /// Its filter with the jail's options applied.
    pub filter: Definition,
    /// `auto`, `systemd`, `polling`, …
    pub backend: String,
    /// Globs of its logs.
    pub logpath: Vec<String>,
    /// Failures that it takes.
    pub maxretry: u32,
    /// Seconds within which they have to come.
    pub findtime_s: f64,
    /// Seconds of the ban; negative is for ever.
    pub bantime_s: f64,
    /// Addresses, networks and names that never count.
    pub ignoreip: Vec<String>,
    /// Zone of stamps that name none.
    pub logtimezone: Option<String>,
}

impl Jail {
    /// Whether it reads the journal rather than files.
    pub fn reads_journal(&self) -> bool {
        self.backend.starts_with("systemd")
    }
}

/// Reads the jails below a directory such as `/etc/fail2ban`. What cannot be read at all is an error;
/// what is wrong with one jail is said and spoils no other.
pub fn load(tree: &dyn Tree, base: &Path) -> Result<Jails, Problem> {
    let files = layered(tree, &base.join("jail"))?;
    let mut config = Config::read(tree, &files)?;
    let place = Place::whole(base.join("jail.conf").to_string_lossy().as_ref());
    if config.files.is_empty() {
        return Err(problem(&place, "no jail.conf or jail.local"));
    }
    config.set_default("fail2ban_version", "1.1.0");
    config.set_default("fail2ban_confpath", &base.to_string_lossy());
    let names: Vec<String> =
        config.sections().filter(|name| *name != "INCLUDES").map(str::to_string).collect();
    if names.len() > JAILS_MAX {
        return Err(problem(&place, format!("more than {JAILS_MAX} jails")));
    }
    let mut jails = Jails::default();
    for name in names {
        match jail(tree, base, &mut config, &name) {
            Ok(Some(jail)) => jails.jails.push(jail),
            Ok(None) => {}
            Err(problem) => jails.problems.push((name, problem)),
        }
    }
    Ok(jails)
}

fn jail(
    tree: &dyn Tree,
    base: &Path,
    config: &mut Config,
    name: &str,
) -> Result<Option<Jail>, Problem> {
    let none = Variables::new();
    let text = |config: &Config, option: &str| config.get(name, option, &none);
    let enabled = text(config, "enabled")?.is_some_and(|value| is_true(&value.text));
    if !enabled {
        return Ok(None);
    }
    let backend = text(config, "backend")?.map_or_else(|| "auto".into(), |value| value.text);
    let Some(filter) = text(config, "filter")?.filter(|value| !value.text.is_empty()) else {
        return Err(problem(&jail_place(config, name), "no filter"));
    };
    let called = call::parse(&filter.text).map_err(|message| problem(&filter.place, message))?;
    let files = FilterFiles::read(tree, base, &called.name)?;
    let kind = if backend.starts_with("systemd") { Backend::Journal } else { Backend::File };
    let first =
        Variables::from([("backend".into(), backend.clone()), ("filter".into(), filter.text)]);
    for (option, value) in files.options(&called.options, &first, kind, true)? {
        let known = if option.starts_with("known/") { option } else { format!("known/{option}") };
        config.set(name, known, value);
    }
    let mut said = std::collections::BTreeMap::<String, Value>::new();
    for option in OPTIONS.iter().chain(&["journalmatch"]) {
        if let Some(value) = text(config, option)? {
            said.insert((*option).to_string(), value);
        }
    }
    let variables: Variables =
        said.iter().map(|(option, value)| (option.clone(), value.text.clone())).collect();
    let mut options = files.options(&called.options, &variables, kind, false)?;
    // What the jail itself says of its filter comes last.
    for option in [
        "usedns",
        "prefregex",
        "ignoreregex",
        "failregex",
        "maxlines",
        "datepattern",
        "journalmatch",
    ] {
        if let Some(value) = said.get(option) {
            options.entry(option.to_string()).or_insert_with(|| value.clone());
        }
    }
    let filter = files.definition(&options)?;
    finish(name, filter, backend, &said).map(Some)
}

fn finish(
    name: &str,
    filter: Definition,
    backend: String,
    said: &std::collections::BTreeMap<String, Value>,
) -> Result<Jail, Problem> {
    let text = |option: &str| said.get(option).map(|value| value.text.as_str()).unwrap_or_default();
    let seconds = |option: &str, otherwise: f64| match said.get(option) {
        None => Ok(otherwise),
        Some(value) => duration::seconds(&value.text)
            .ok_or_else(|| problem(&value.place, format!("{option}: not a duration"))),
    };
    let maxretry = match said.get("maxretry") {
        None => 3,
        Some(value) => {
            let number = value.text.trim().parse();
            number.map_err(|_| problem(&value.place, "maxretry: not a number"))?
        }
    };
    let words = |text: &str| -> Vec<String> {
        let words = text.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty());
        words.map(str::to_string).collect()
    };
    // `path tail` asks to begin at the end, which a sweep decides for itself.
    let path = |line: &str| {
        let line = line.trim();
        line.strip_suffix(" tail")
            .or_else(|| line.strip_suffix(" head"))
            .unwrap_or(line)
            .to_string()
    };
    let logpath = match backend.starts_with("systemd") {
        true => Vec::new(),
        false => text("logpath").lines().map(path).filter(|line| !line.is_empty()).collect(),
    };
    Ok(Jail {
        name: name.to_string(),
        filter,
        logpath,
        maxretry,
        findtime_s: seconds("findtime", 600.0)?,
        bantime_s: seconds("bantime", 600.0)?,
        ignoreip: words(text("ignoreip")),
        logtimezone: Some(text("logtimezone").trim().to_string()).filter(|zone| !zone.is_empty()),
        backend,
    })
}

fn jail_place(config: &Config, name: &str) -> Place {
    let first = config.section(name).and_then(|options| options.values().next());
    first.map_or_else(|| Place::whole(name), |value| value.place.clone())
}
