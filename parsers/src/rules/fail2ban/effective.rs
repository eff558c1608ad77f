//! What holds for every jail in the end, with places: `jail.conf`, `jail.d/*.conf`, `jail.local`,
//! `jail.d/*.local`, their `[DEFAULT]`, and `%(…)s` filled in.
//!
//! Jails that are not enabled are listed too. A value that cannot be filled in is shown as written and is
//! a problem. Values together have at most [`BYTES_MAX`] bytes, their number is at most [`VALUES_MAX`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, json};

use super::config::{Config, Variables};
use super::filter::layered;
use super::ini::{Value, problem};
use super::jail::JAILS_MAX;
use crate::config::problems::Problems;
use crate::config::settings::{Overridden, Rule, Setting};
use crate::place::{Place, Placed, Problem};
use crate::tree::Tree;

/// Most values of all jails together.
pub const VALUES_MAX: usize = 100_000;

/// Most bytes of all values together.
pub const BYTES_MAX: usize = 16 << 20;

/// One jail.
#[derive(Clone, Debug)]
pub struct JailSettings {
    /// Its name.
    pub name: String,
    /// Whether it is started.
    pub enabled: bool,
    /// Its own options and those of `[DEFAULT]`, by name.
    pub settings: std::collections::BTreeMap<String, Setting>,
}

/// Every jail of a host.
#[derive(Clone, Debug, Default)]
pub struct EffectiveJails {
    /// In the order of their files.
    pub jails: Vec<JailSettings>,
    /// Files that were read, in order.
    pub files: Vec<Arc<str>>,
    /// Values that cannot be filled in.
    pub problems: Problems,
}

/// Reads the jails below a directory such as `/etc/fail2ban`.
///
/// # Errors
/// When a file cannot be read or is refused as a whole: fail2ban does not start then.
pub fn effective(tree: &dyn Tree, base: &Path) -> Result<EffectiveJails, Problem> {
    let files = layered(tree, &base.join("jail"))?;
    let mut config = Config::read(tree, &files)?;
    let place = Place::whole(base.join("jail.conf").to_string_lossy().as_ref());
    if config.files.is_empty() {
        return Err(problem(&place, "no jail.conf or jail.local"));
    }
    config.set_default("fail2ban_version", "1.1.0");
    config.set_default("fail2ban_confpath", &base.to_string_lossy());
    let names: Vec<&str> = config.sections().filter(|name| *name != "INCLUDES").collect();
    if names.len() > JAILS_MAX {
        return Err(problem(&place, format!("more than {JAILS_MAX} jails")));
    }
    let mut all = EffectiveJails::default();
    all.files.extend(config.files.iter().map(|path| path.to_string_lossy().into()));
    let (mut values, mut bytes) = (0, 0);
    for name in names {
        let mut jail =
            JailSettings { name: name.into(), enabled: false, settings: Default::default() };
        let own = config.section(name).into_iter().flat_map(|options| options.keys());
        let options: BTreeSet<&String> = own.chain(config.defaults().keys()).collect();
        for option in options {
            let setting = setting(&config, name, option, &mut all.problems);
            let texts = setting.overrides.iter().map(|old| &old.value).chain(&setting.values);
            values += setting.overrides.len() + 1;
            bytes += texts.map(|value| value.value.len()).sum::<usize>();
            if values > VALUES_MAX || bytes > BYTES_MAX {
                return Err(problem(&place, "more values than the limit, or larger ones"));
            }
            jail.settings.insert(option.clone(), setting);
        }
        jail.enabled = jail.settings.get("enabled").and_then(Setting::value).is_some_and(is_true);
        all.jails.push(jail);
    }
    Ok(all)
}

/// What fail2ban takes for yes.
pub(super) fn is_true(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "1" | "on" | "true" | "yes")
}

fn setting(config: &Config, jail: &str, option: &str, problems: &mut Problems) -> Setting {
    let placed = |value: &Value| Placed {
        value: value.text.clone(),
        place: value.place.clone(),
        text: String::new(),
    };
    let old = |rule: Rule| move |value: &Value| Overridden { value: placed(value), rule };
    let mut setting = Setting::default();
    let default = config.defaults().get(option);
    let own = config.section(jail).and_then(|options| options.get(option));
    setting.overrides.extend(config.history("", option).iter().map(old(Rule::LastWins)));
    if own.is_some() {
        setting.overrides.extend(default.map(old(Rule::MoreSpecific)));
        setting.overrides.extend(config.history(jail, option).iter().map(old(Rule::LastWins)));
    }
    match config.get(jail, option, &Variables::new()) {
        Ok(Some(value)) => setting.values.push(placed(&value)),
        Ok(None) => {}
        Err(fault) => {
            problems.push(fault.place, format!("{jail}: {option}: {}", fault.message));
            setting.values.extend(own.or(default).map(placed));
        }
    }
    setting
}

impl EffectiveJails {
    /// `{"files":[…],"jails":{NAME:{"enabled":…,"settings":{OPTION:…}}}}`.
    pub fn to_json(&self) -> serde_json::Value {
        let jails: Map<_, _> = self
            .jails
            .iter()
            .map(|jail| {
                let settings: Map<_, _> =
                    jail.settings.iter().map(|(name, set)| (name.clone(), set.to_json())).collect();
                (jail.name.clone(), json!({ "enabled": jail.enabled, "settings": settings }))
            })
            .collect();
        json!({ "files": self.files, "jails": jails })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn local_files_win_and_what_they_overrode_is_kept() {
        let tree = MemoryTree::new()
            .file(
                "/f/jail.conf",
                "[DEFAULT]\nbantime = 10m\nport = %(n)s\nn = 22\n[sshd]\nmaxretry = 5\n",
            )
            .file("/f/jail.d/a.conf", "[sshd]\nenabled = true\nmaxretry = 4\n")
            .file("/f/jail.local", "[DEFAULT]\nbantime = 1h\n[sshd]\nmaxretry = 3\nbantime = 2h\n")
            .file("/f/jail.d/b.local", "[nginx]\nport = %(nothing)s\n");
        let all = effective(&tree, Path::new("/f")).unwrap();
        let sshd = &all.jails[0];
        assert!(sshd.enabled && !all.jails[1].enabled && all.jails[1].name == "nginx");
        let retry = &sshd.settings["maxretry"];
        assert_eq!(retry.value(), Some("3"));
        assert_eq!(retry.values[0].place.to_string(), "/f/jail.local:4:1");
        let old: Vec<_> = retry.overrides.iter().map(|old| old.value.value.as_str()).collect();
        assert_eq!(old, ["5", "4"]);
        let bantime = &sshd.settings["bantime"];
        let old: Vec<_> =
            bantime.overrides.iter().map(|old| (old.value.value.as_str(), old.rule)).collect();
        assert_eq!(old, [("10m", Rule::LastWins), ("1h", Rule::MoreSpecific)]);
        assert_eq!(sshd.settings["port"].value(), Some("22"));
        assert_eq!(all.problems.kept[0].place.file.as_ref(), "/f/jail.d/b.local");
    }

    #[test]
    fn values_are_bounded_together() {
        let defaults: String = (0..2_000).map(|n| format!("o{n} = 1\n")).collect();
        let jails: String = (0..100).map(|n| format!("[j{n}]\nenabled = no\n")).collect();
        let tree = MemoryTree::new().file("/f/jail.conf", format!("[DEFAULT]\n{defaults}{jails}"));
        assert!(effective(&tree, Path::new("/f")).is_err());
    }
}
