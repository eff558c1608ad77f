//! Formats of the system itself: mounts, systemd's programs, fail2ban's jails.

use std::path::Path;
use std::sync::Arc;

use parsers::config::mounts;
use parsers::config::problems::Problems;
use parsers::config::systemd_conf::{self, Conf};
use parsers::place::Problem;
use parsers::rules::fail2ban::effective;
use scanner::redact;
use serde_json::{Value, json};

use crate::exit::hinted;

use super::source::Source;
use super::{Kind, Parsed, daemons};

/// Whether a kind is read here.
pub(super) fn handles(kind: Kind) -> bool {
    matches!(kind, Kind::Fstab | Kind::Mountinfo) || has_effective(kind)
}

/// Whether a kind that is read here has an effective view.
pub(super) fn has_effective(kind: Kind) -> bool {
    matches!(kind, Kind::SystemdConf | Kind::Fail2ban)
}

/// Reads a file: its structure, or what holds in the end.
pub(super) fn read(source: &Source, kind: Kind, effective: bool) -> anyhow::Result<Parsed> {
    let file: Arc<str> = source.name().into();
    match kind {
        Kind::Fstab => {
            let (entries, problems) = mounts::fstab(&file, &source.bytes()?);
            let entries: Vec<Value> = entries.iter().map(entry).collect();
            list(json!({ "entries": entries }), "entries", problems)
        }
        Kind::Mountinfo => {
            let (mounts, problems) = mounts::mountinfo(&file, &source.bytes()?);
            let mounts: Vec<Value> = mounts.iter().map(mount).collect();
            list(json!({ "mounts": mounts }), "mounts", problems)
        }
        Kind::SystemdConf => conf(source, effective),
        Kind::Fail2ban => jails(source),
        _ => anyhow::bail!("this kind is not read here"),
    }
}

fn entry(entry: &mounts::FstabEntry) -> Value {
    json!({
        "source": redact::secrets(&entry.source),
        "target": entry.target.to_string_lossy(),
        "fs_type": entry.fs_type,
        "options": options(&entry.options),
        "place": entry.place,
    })
}

fn mount(mount: &mounts::Mount) -> Value {
    json!({
        "id": mount.id,
        "parent": mount.parent,
        "device": format!("{}:{}", mount.device.0, mount.device.1),
        "root": mount.root.to_string_lossy(),
        "target": mount.target.to_string_lossy(),
        "fs_type": mount.fs_type,
        "source": redact::secrets(&mount.source),
        "options": options(&mount.options),
        "place": mount.place,
    })
}

/// Options may hold the password of a network share.
fn options(options: &[String]) -> Vec<String> {
    options.iter().map(|option| redact::secrets(option).into_owned()).collect()
}

fn list(value: Value, entries: &'static str, problems: Vec<Problem>) -> anyhow::Result<Parsed> {
    let mut bounded = Problems::default();
    problems.into_iter().for_each(|one| bounded.push(one.place, one.message));
    Ok(Parsed::new(value, entries, bounded))
}

/// One file alone, or the program's main file with every drop-in of the tree.
fn conf(source: &Source, effective: bool) -> anyhow::Result<Parsed> {
    if !effective {
        return Ok(daemons::flat(Conf::parse(source.name(), &source.bytes()?).settings, false));
    }
    let name = systemd_conf::name_of(source.path()).ok_or_else(|| {
        let hint = "a file such as /etc/systemd/journald.conf, or a drop-in of it";
        hinted(format!("{}: no configuration of a program of systemd", source.name()), hint)
    })?;
    let mut conf = Conf::read(source.tree(), &name);
    let problems = std::mem::take(&mut conf.settings.problems);
    let unread = std::mem::take(&mut conf.settings.unread);
    let mut value = conf.to_json();
    daemons::hide(&mut value["settings"]);
    Ok(Parsed::new(value, "settings", problems).unread(unread))
}

/// All jails of the directory in which the file lies (or in whose `jail.d` it does).
fn jails(source: &Source) -> anyhow::Result<Parsed> {
    let parent = Path::new(source.path()).parent().unwrap_or(Path::new("/"));
    let base = match parent.file_name() {
        Some(name) if name == "jail.d" => parent.parent().unwrap_or(parent),
        _ => parent,
    };
    let mut read = effective::effective(source.tree(), base)
        .map_err(|problem| hinted(problem.to_string(), "fail2ban does not start with this file"))?;
    let problems = std::mem::take(&mut read.problems);
    let mut value = read.to_json();
    if let Some(jails) = value["jails"].as_object_mut() {
        jails.values_mut().for_each(|jail| daemons::hide(&mut jail["settings"]));
    }
    Ok(Parsed::new(value, "jails", problems))
}
