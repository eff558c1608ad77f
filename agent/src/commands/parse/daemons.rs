//! Formats of daemons and packages whose files make flat settings, rules or units.

use parsers::config::apt_conf::AptConf;
use parsers::config::apt_sources::Sources;
use parsers::config::limits::{LIMITS_CONF, LIMITS_DIRECTORY, Limits};
use parsers::config::logrotate::Logrotate;
use parsers::config::my_cnf::{MyCnf, SERVER_GROUPS};
use parsers::config::postgres::hba::Hba;
use parsers::config::postgres::ident::Ident;
use parsers::config::settings::Settings;
use parsers::config::systemd_unit::{self, Unit, UnitFiles};
use parsers::config::{faillock, postgres, pwquality, redis};
use scanner::redact;
use serde_json::{Value, json};

use super::source::Source;
use super::{Kind, Parsed, plain, unreadable};

/// Whether a kind is read here.
pub(super) fn handles(kind: Kind) -> bool {
    let lists = [Kind::PgHba, Kind::PgIdent, Kind::AptSources];
    has_effective(kind) || lists.contains(&kind)
}

/// Whether a kind that is read here has an effective view.
pub(super) fn has_effective(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SystemdUnit
            | Kind::Postgresql
            | Kind::MyCnf
            | Kind::Redis
            | Kind::Logrotate
            | Kind::AptConf
            | Kind::Limits
            | Kind::Pwquality
            | Kind::Faillock
    )
}

/// Reads a file: its structure, or what holds in the end.
pub(super) fn read(source: &Source, kind: Kind, effective: bool) -> anyhow::Result<Parsed> {
    let (tree, path) = (source.tree(), source.path());
    match kind {
        Kind::SystemdUnit => unit(source, effective),
        Kind::Postgresql => {
            let settings = postgres::read(tree, path).map_err(|e| unreadable(&e))?;
            Ok(flat(settings, effective))
        }
        Kind::AptConf => {
            let read = match effective {
                true => AptConf::read(tree),
                false => AptConf::parse(source.name(), &source.bytes()?),
            };
            Ok(flat(read.settings(), effective))
        }
        Kind::Redis => {
            let settings = redis::read(tree, path).map_err(|e| unreadable(&e))?;
            Ok(flat(settings, effective))
        }
        Kind::MyCnf => {
            let mut read = MyCnf::read(tree, path).map_err(|e| unreadable(&e))?;
            let mut settings =
                if effective { read.effective(&SERVER_GROUPS) } else { read.settings() };
            settings.problems = std::mem::take(&mut read.problems);
            settings.unread = std::mem::take(&mut read.unread);
            Ok(flat(settings, effective))
        }
        Kind::Logrotate => {
            let mut read = Logrotate::read(tree, path).map_err(|e| unreadable(&e))?;
            let problems = std::mem::take(&mut read.problems);
            let unread = std::mem::take(&mut read.unread);
            Ok(Parsed::new(read.to_json(), "blocks", problems).unread(unread))
        }
        Kind::PgHba => {
            let mut read = Hba::read(tree, path).map_err(|e| unreadable(&e))?;
            let problems = std::mem::take(&mut read.problems);
            let unread = std::mem::take(&mut read.unread);
            for rule in &mut read.rules {
                for (name, value) in &mut rule.options {
                    *value = shown(name, value);
                }
            }
            Ok(Parsed::new(plain(&read)?, "rules", problems).unread(unread))
        }
        Kind::PgIdent => {
            let mut read = Ident::read(tree, path).map_err(|e| unreadable(&e))?;
            let problems = std::mem::take(&mut read.problems);
            let unread = std::mem::take(&mut read.unread);
            Ok(Parsed::new(plain(&read)?, "mappings", problems).unread(unread))
        }
        Kind::AptSources => {
            let mut read = Sources::parse(source.name(), &source.bytes()?);
            let problems = std::mem::take(&mut read.problems);
            for one in &mut read.sources {
                one.uri = shown("uri", &one.uri);
            }
            Ok(Parsed::new(plain(&read)?, "sources", problems))
        }
        Kind::Pwquality if effective => {
            Ok(flat(pwquality::read(tree, &pwquality_main(path)), true))
        }
        Kind::Faillock if effective => {
            Ok(flat(faillock::parse(source.name(), &source.bytes()?), true))
        }
        Kind::Pwquality | Kind::Faillock => super::entries(source, Kind::Keyvalue),
        Kind::Limits if effective => limits(source),
        Kind::Limits => {
            let read = Limits::parse(source.name(), &source.bytes()?);
            let entry = |entry: &parsers::config::limits::Entry| {
                json!({
                    "domain": entry.domain,
                    "type": entry.kind,
                    "item": entry.item,
                    "value": entry.value.value,
                    "place": entry.value.place,
                })
            };
            let entries: Vec<Value> = read.entries.iter().map(entry).collect();
            Ok(Parsed::new(json!({ "entries": entries }), "entries", read.problems))
        }
        _ => anyhow::bail!("this kind is not read here"),
    }
}

/// The main file, also where a drop-in of it was named.
fn pwquality_main(path: &str) -> String {
    let directory = std::path::Path::new(path).parent().and_then(std::path::Path::to_str);
    let main = directory.and_then(|directory| directory.strip_suffix(".d"));
    main.filter(|main| main.ends_with(".conf")).unwrap_or(path).to_string()
}

/// Everything that pam_limits reads where the file is one of its own, else the file alone.
fn limits(source: &Source) -> anyhow::Result<Parsed> {
    let path = std::path::Path::new(source.path());
    let is_own = path == std::path::Path::new(LIMITS_CONF)
        || path.parent() == Some(std::path::Path::new(LIMITS_DIRECTORY));
    let mut read = match is_own {
        true => Limits::read(source.tree()),
        false => Limits::parse(source.name(), &source.bytes()?),
    };
    let mut settings = read.by_domain();
    settings.problems = std::mem::take(&mut read.problems);
    settings.unread = std::mem::take(&mut read.unread);
    Ok(flat(settings, true))
}

/// A unit alone, or with every drop-in of the tree.
fn unit(source: &Source, effective: bool) -> anyhow::Result<Parsed> {
    if !effective {
        let bytes = source.bytes()?;
        return Ok(flat(Unit::parse(source.name(), &bytes).settings, false));
    }
    let path = std::path::Path::new(source.path());
    let name = systemd_unit::unit_of(path).ok_or_else(|| {
        let hint = "a unit's name ends in its type, such as .service";
        crate::exit::hinted(format!("{}: not a unit or a drop-in", source.name()), hint)
    })?;
    let files = UnitFiles::list(source.tree());
    let mut unit = Unit::load(source.tree(), &files, &name);
    let problems = std::mem::take(&mut unit.settings.problems);
    let unread = std::mem::take(&mut unit.settings.unread);
    let enabled = files.enabled(&name, &unit);
    let mut value = unit.to_json();
    value["enabled"] = json!(enabled);
    value["enabled_by"] = files.links_to(&name, &unit).map(|link| json!(link)).collect();
    hide(&mut value["settings"]);
    Ok(Parsed::new(value, "settings", problems).unread(unread))
}

/// What holds by key, or every value that was written, in the order of reading.
pub(super) fn flat(mut settings: Settings, effective: bool) -> Parsed {
    let mut problems = std::mem::take(&mut settings.problems);
    let unread = std::mem::take(&mut settings.unread);
    if effective {
        let mut value = settings.to_json();
        hide(&mut value["settings"]);
        return Parsed::new(value, "settings", problems).unread(unread);
    }
    let mut entries = Vec::new();
    for (key, setting) in &settings.by_key {
        let last = setting.values.last().or(setting.overrides.last().map(|old| &old.value));
        if let (Some(last), 1..) = (last, setting.left_out) {
            let message = format!("{} earlier values of this key are not listed", setting.left_out);
            problems.push(last.place.clone(), message);
        }
        let old = setting.overrides.iter().map(|old| &old.value);
        for value in old.chain(&setting.values) {
            let file = settings.files.iter().position(|file| *file == value.place.file);
            let entry =
                json!({ "key": key, "value": shown(key, &value.value), "place": value.place });
            entries.push(((file, value.place.line, value.place.column), entry));
        }
    }
    entries.sort_by_key(|(at, _)| *at);
    let entries: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
    Parsed::new(json!({ "files": settings.files, "entries": entries }), "entries", problems)
        .unread(unread)
}

/// Hides secrets in `{KEY:{"value","overrides":[{"value"}]}}`.
pub(super) fn hide(settings: &mut Value) {
    let Value::Object(settings) = settings else { return };
    for (key, setting) in settings {
        hide_value(key, &mut setting["value"]);
        if let Value::Array(overrides) = &mut setting["overrides"] {
            overrides.iter_mut().for_each(|old| hide_value(key, &mut old["value"]));
        }
    }
}

fn hide_value(key: &str, value: &mut Value) {
    match value {
        Value::String(text) => *text = shown(key, text),
        Value::Array(values) => values.iter_mut().for_each(|value| hide_value(key, value)),
        _ => {}
    }
}

/// A value as it may be shown: hidden where its key announces a secret.
pub(super) fn shown(key: &str, value: &str) -> String {
    // A short word stands for the value: a secret with blanks in it would be hidden in part only.
    let announces = |probe: String| redact::secrets(&probe).contains(redact::HIDDEN);
    let is_secret = announces(format!("{key}=a1b2c3")) || announces(format!("{key} a1b2c3"));
    // Passwords and hashes among the rules of a user of Redis.
    let is_user = key.starts_with("user ");
    let is_switch = matches!(value, "" | "yes" | "no" | "on" | "off" | "0" | "1");
    match () {
        () if is_secret && !is_switch => redact::HIDDEN.to_string(),
        () if is_user => {
            let hidden = |word: &str| match word.chars().next() {
                Some(sign @ ('>' | '<' | '#' | '!')) => format!("{sign}{}", redact::HIDDEN),
                _ => word.to_string(),
            };
            value.split(' ').map(hidden).collect::<Vec<_>>().join(" ")
        }
        () => redact::secrets(value).into_owned(),
    }
}
