//! Formats written in YAML whose daemons merge several files: netplan, cloud-init and their like.

use std::sync::Arc;

use parsers::config::cloud_init::{self, CLOUD_CFG, CloudInit};
use parsers::config::compose::Compose;
use parsers::config::document::{Data, Documents, Node};
use parsers::config::kubernetes::kubelet::{self, CONFIG_DIR, Kubelet};
use parsers::config::kubernetes::manifests::Manifests;
use parsers::config::netplan::{self, Netplan};
use parsers::config::problems::Problems;
use parsers::tree::LookError;
use scanner::redact;
use serde_json::{Value, json};

use super::daemons::{hide, shown};
use super::source::Source;
use super::{Args, Kind, Parsed, unreadable};

/// Whether a kind is read here.
pub(super) fn handles(kind: Kind) -> bool {
    has_effective(kind) || kind == Kind::Kubernetes
}

/// Whether a kind that is read here has an effective view.
pub(super) fn has_effective(kind: Kind) -> bool {
    matches!(kind, Kind::Netplan | Kind::CloudInit | Kind::Compose | Kind::Kubelet)
}

/// Reads a file: its structure, or what holds in the end.
pub(super) fn read(source: &Source, kind: Kind, args: &Args) -> anyhow::Result<Parsed> {
    match (kind, args.effective) {
        (Kind::Netplan, true) => {
            let mut read = Netplan::read(source.tree());
            let (problems, unread) = taken(&mut read.settings);
            hide_secrets(read.root.as_mut());
            Ok(merged(read.to_json(), problems, unread))
        }
        (Kind::CloudInit, true) => {
            let mut read = CloudInit::read(source.tree(), &main_file(source.path()));
            let (problems, unread) = taken(&mut read.settings);
            hide_secrets(read.root.as_mut());
            Ok(merged(read.to_json(), problems, unread))
        }
        (Kind::Kubelet, true) => {
            let read = Kubelet::read(source.tree(), source.path(), CONFIG_DIR);
            let mut read = read.map_err(|e| unreadable(&e))?;
            let (problems, unread) = taken(&mut read.settings);
            hide_secrets(read.root.as_mut());
            Ok(merged(read.to_json(), problems, unread))
        }
        (Kind::Compose, true) => {
            let read = Compose::read(source.tree(), source.path());
            let mut read = read.map_err(|e| unreadable(&e))?;
            let (problems, unread) = taken(&mut read.settings);
            let mut value = compose_value(&mut read);
            let settings = read.settings.to_json();
            value["settings"] = settings["settings"].clone();
            Ok(merged(value, problems, unread))
        }
        (Kind::Compose, false) => {
            let mut read = Compose::parse(source.name(), &source.bytes()?);
            let (problems, _) = taken(&mut read.settings);
            let mut value = compose_value(&mut read);
            if args.spans {
                let places = read.root.as_ref().map_or(Value::Null, Node::to_places);
                value["spans"] = json!({ "document": places });
            }
            Ok(Parsed::new(value, "document", problems))
        }
        (Kind::Kubernetes, _) => {
            let mut read = Manifests::parse(source.name(), &source.bytes()?);
            let problems = std::mem::take(&mut read.problems);
            read.documents.iter_mut().for_each(|node| hide_secrets(Some(node)));
            let mut value = read.to_json();
            if args.spans {
                let places: Vec<Value> = read.documents.iter().map(Node::to_places).collect();
                value["spans"] = json!({ "documents": places });
            }
            Ok(Parsed::new(value, "documents", problems))
        }
        (Kind::Kubelet, false) => one(source, args, kubelet::parse),
        (Kind::Netplan, false) => one(source, args, netplan::parse),
        (Kind::CloudInit, false) => one(source, args, cloud_init::parse),
        _ => anyhow::bail!("this kind is not read here"),
    }
}

/// A project without its secrets.
fn compose_value(read: &mut Compose) -> Value {
    hide_secrets(read.root.as_mut());
    for variable in &mut read.variables {
        if let Some(default) = &mut variable.default {
            *default = shown(&variable.name, default);
        }
    }
    read.to_json()
}

fn taken(settings: &mut parsers::config::settings::Settings) -> (Problems, Vec<LookError>) {
    (std::mem::take(&mut settings.problems), std::mem::take(&mut settings.unread))
}

fn merged(mut value: Value, problems: Problems, unread: Vec<LookError>) -> Parsed {
    hide(&mut value["settings"]);
    Parsed::new(value, "settings", problems).unread(unread)
}

/// The main file that a drop-in belongs to: `/etc/cloud/cloud.cfg.d/x.cfg` to `/etc/cloud/cloud.cfg`.
fn main_file(path: &str) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    match directory.strip_suffix(".d") {
        Some(main) => main.to_string(),
        None if path.starts_with("/etc/cloud/") => CLOUD_CFG.to_string(),
        None => path.to_string(),
    }
}

/// A file of one document: `{"file","document","notes"}`.
fn one(
    source: &Source,
    args: &Args,
    parse: fn(&Arc<str>, &[u8]) -> Documents,
) -> anyhow::Result<Parsed> {
    let mut read = parse(&source.name().into(), &source.bytes()?);
    hide_secrets(read.all.first_mut());
    let root = read.all.first();
    let mut value = json!({
        "file": source.name(),
        "document": root.map_or(Value::Null, Node::to_json),
        "notes": read.notes.kept,
    });
    if args.spans {
        value["spans"] = json!({ "document": root.map_or(Value::Null, Node::to_places) });
    }
    Ok(Parsed::new(value, "document", read.problems))
}

/// Takes secrets out of a document: those that its grammar marked, and what looks like one.
pub(super) fn hide_secrets(root: Option<&mut Node>) {
    if let Some(root) = root {
        hide_node("", root);
    }
}

/// Depth is bounded by that of the document.
fn hide_node(key: &str, node: &mut Node) {
    // `{name: DB_PASSWORD, value: …}`, as containers have their environment.
    let name = node.text_of("name").map(str::to_string);
    match &mut node.data {
        Data::Text(text) if node.is_secret && !text.is_empty() => *text = redact::HIDDEN.into(),
        Data::Text(text) => *text = shown(key, text),
        Data::Number(_) | Data::Bool(_) if node.is_secret => {
            node.data = Data::Text(redact::HIDDEN.into());
        }
        Data::Number(number) => {
            let text = number.to_string();
            if shown(key, &text) == redact::HIDDEN {
                node.data = Data::Text(redact::HIDDEN.into());
            }
        }
        Data::List(items) => items.iter_mut().for_each(|item| hide_node(key, item)),
        Data::Map(entries) => {
            for entry in entries {
                match (&name, entry.key.as_str()) {
                    (Some(name), "value") => hide_node(name, &mut entry.value),
                    (_, key) => hide_node(key, &mut entry.value),
                }
            }
        }
        Data::Null | Data::Bool(_) => {}
    }
}
