//! netplan's files (netplan 0.106, `src/parse.c`; netplan-generate(8)).
//!
//! Files of `/lib/netplan`, `/etc/netplan` and `/run/netplan` are read in the order of their names; a file
//! of the same name in a later directory of this list shadows the earlier one. Mappings merge, later
//! scalars hold, lists grow: `addresses`, `routes` and `interfaces` by what they do not have yet, others by
//! everything; `link-local` is replaced. netplan takes scalars as libyaml gives them and knows booleans by
//! their key, in any case of letters. Only the first document of a file is read. Whether a key or value
//! exists, and who may read the file, is not judged.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::document::dropin::{self, Reader};
use super::document::merge::{self, Choice, Lost, Rules};
use super::document::{Data, Documents, Node, Schema};
use super::problems::Problems;
use super::settings::Settings;
use crate::place::Place;
use crate::tree::Tree;

/// Where netplan looks; a file of a later directory shadows those of the same name.
pub const DIRECTORIES: [&str; 3] = ["/lib/netplan", "/etc/netplan", "/run/netplan"];

/// Keys whose values are switches (`handle_generic_bool` and its callers).
const SWITCHES: &[&str] = &[
    "accept-ra",
    "all-slaves-active",
    "all-members-active",
    "critical",
    "dhcp4",
    "dhcp6",
    "generate-mac",
    "hidden",
    "ignore-carrier",
    "ipv6-privacy",
    "large-receive-offload",
    "generic-receive-offload",
    "generic-segmentation-offload",
    "hairpin",
    "neigh-suppress",
    "on-link",
    "optional",
    "receive-checksum-offload",
    "send-hostname",
    "stp",
    "tcp-segmentation-offload",
    "tcp6-segmentation-offload",
    "transmit-checksum-offload",
    "use-dns",
    "use-hostname",
    "use-mtu",
    "use-ntp",
    "use-routes",
    "wakeonlan",
];

/// Keys whose values are lists.
const LISTS: &[&str] = &[
    "addresses",
    "allowed-ips",
    "arp-ip-targets",
    "interfaces",
    "link-local",
    "optional-addresses",
    "peers",
    "routes",
    "routing-policy",
    "search",
];

/// Keys whose values are secrets.
const SECRETS: &[&str] = &["password", "client-key-password", "key", "private", "shared"];

/// What netplan would read.
#[derive(Clone, Debug, Default)]
pub struct Netplan {
    /// The merged document; `None` when there is nothing.
    pub root: Option<Node>,
    /// What holds by key (`network.ethernets.eth0.dhcp4`), with what it overrode.
    pub settings: Settings,
    /// Scalars that mean something else in YAML 1.2.
    pub notes: Problems,
    /// Files that others of the same name shadow.
    pub shadowed: Vec<Arc<str>>,
}

impl Netplan {
    /// Reads all files of a tree.
    ///
    /// ```
    /// use parsers::config::netplan::Netplan;
    /// use parsers::tree::MemoryTree;
    /// let tree = MemoryTree::new()
    ///     .file("/etc/netplan/1.yaml", "network: {ethernets: {e: {dhcp4: y, mtu: 1}}}")
    ///     .file("/etc/netplan/2.yaml", "network: {ethernets: {e: {dhcp4: off}}}");
    /// let read = Netplan::read(&tree);
    /// assert_eq!(read.settings.value("network.ethernets.e.dhcp4"), Some("false"));
    /// assert_eq!(read.settings.value("network.ethernets.e.mtu"), Some("1"));
    /// ```
    pub fn read(tree: &dyn Tree) -> Self {
        let mut reader = Reader::new(tree);
        let takes = |name: &str| name.ends_with(".yaml") && !name.starts_with('.');
        let (files, shadowed) = dropin::list(tree, &DIRECTORIES, &takes, &mut reader.unread);
        let mut all = Self::default();
        let (mut lost, mut problems, mut names) = (Vec::new(), Problems::default(), Vec::new());
        all.shadowed = shadowed.iter().map(|path| path.to_string_lossy().into()).collect();
        for path in files {
            let Some(bytes) = reader.noted(&path) else { continue };
            let file: Arc<str> = path.to_string_lossy().into();
            let mut read = parse(&file, &bytes);
            for problem in std::mem::take(&mut read.problems).kept {
                problems.push(problem.place, problem.message);
            }
            for note in std::mem::take(&mut read.notes).kept {
                all.notes.push(note.place, note.message);
            }
            names.push(file);
            let Some(node) = read.all.into_iter().next() else { continue };
            all.take(node, &mut lost, &mut problems);
        }
        if let Some(root) = &all.root {
            all.settings = merge::settings(root, lost);
        }
        for problem in problems.kept {
            all.settings.problems.push(problem.place, problem.message);
        }
        all.settings.files = names;
        all.settings.unread = reader.unread;
        all
    }

    fn take(&mut self, node: Node, lost: &mut Vec<Lost>, problems: &mut Problems) {
        match &mut self.root {
            Some(root) => {
                duplicate_networks(root, &node, problems);
                merge::merge(root, node, &Netdefs, lost);
            }
            None => self.root = Some(node),
        }
    }

    /// `{"settings","files","document","shadowed","notes"}`.
    pub fn to_json(&self) -> Value {
        let mut value = self.settings.to_json();
        value["document"] = self.root.as_ref().map_or(Value::Null, Node::to_json);
        value["shadowed"] = json!(self.shadowed);
        value["notes"] = json!(self.notes.kept);
        value
    }
}

/// Reads one file: no document when it is empty.
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> Documents {
    let mut read = Documents::read(file, bytes, Schema::Words);
    if read.all.len() > 1 {
        let place = read.all[1].place.clone();
        read.problems.push(place, "only the first document of a file is read");
        read.all.truncate(1);
    }
    read.all.retain(|node| node.text() != Some("") || node.place.line == 0);
    let Some(root) = read.all.first_mut() else { return read };
    if !matches!(root.data, Data::Map(_)) {
        read.problems.push(root.place.clone(), "a mapping is expected here");
        read.all.clear();
        return read;
    }
    for entry in root.entries() {
        if entry.key != "network" {
            read.problems.push(entry.place.clone(), "only `network` is known here");
        }
    }
    let (problems, notes) = (&mut read.problems, &mut read.notes);
    meanings(root, "", problems, notes);
    read
}

/// Gives switches their meaning and marks secrets.
fn meanings(node: &mut Node, parent: &str, problems: &mut Problems, notes: &mut Problems) {
    for item in node.items_mut() {
        meanings(item, parent, problems, notes);
    }
    // Names of interfaces, networks and the like are keys too, but never of these names' meaning.
    let are_names = matches!(parent, "access-points" | "vlans" | "modems" | "nm-devices")
        || matches!(parent, "ethernets" | "wifis" | "bridges" | "bonds" | "tunnels" | "vrfs")
        || matches!(parent, "dummy-devices" | "virtual-ethernets" | "port-priority" | "path-cost");
    for entry in node.entries_mut() {
        let key = entry.key.as_str();
        let text = entry.value.text().map(str::to_ascii_lowercase);
        if !are_names && SECRETS.contains(&key) {
            entry.value.mark_secret();
        }
        if let Some(message) = misplaced(key, &entry.value).filter(|_| !are_names) {
            problems.push(entry.place.clone(), message);
            continue;
        }
        if let (false, true, Some(text)) = (are_names, SWITCHES.contains(&key), text) {
            let place = entry.value.place.clone();
            let value = match text.as_str() {
                "true" | "on" | "yes" | "y" => true,
                "false" | "off" | "no" | "n" => false,
                _ => {
                    problems.push(place, format!("{key} is a switch (true or false)"));
                    continue;
                }
            };
            if text != value.to_string() {
                notes.push(place, format!("this is {value} here"));
            }
            entry.value.data = Data::Bool(value);
        }
        let name = if are_names { "" } else { key };
        meanings(&mut entry.value, name, problems, notes);
    }
}

/// What is wrong with the shape of a key's value.
fn misplaced(key: &str, value: &Node) -> Option<String> {
    let is_list = matches!(value.data, Data::List(_));
    match () {
        () if key == "<<" => Some("netplan knows no merge keys".to_string()),
        () if LISTS.contains(&key) && !is_list => Some(format!("{key} takes a list")),
        () if SWITCHES.contains(&key) && value.text().is_none() => {
            Some(format!("{key} is a switch (true or false)"))
        }
        () => None,
    }
}

/// netplan refuses a wireless network that two files name.
fn duplicate_networks(old: &Node, new: &Node, problems: &mut Problems) {
    let wifis = |node: &Node| -> Vec<(String, Place)> {
        let all = node.at(&["network", "wifis"]).map(Node::entries).unwrap_or_default();
        let points = |entry: &super::document::Entry| {
            let points = entry.value.get("access-points").map(Node::entries).unwrap_or_default();
            let name = |point: &super::document::Entry| {
                (format!("{}\0{}", entry.key, point.key), point.place.clone())
            };
            points.iter().map(name).collect::<Vec<_>>()
        };
        all.iter().flat_map(points).collect()
    };
    let known: std::collections::HashSet<String> = wifis(old).into_iter().map(|(n, _)| n).collect();
    for (_, place) in wifis(new).into_iter().filter(|(name, _)| known.contains(name)) {
        problems.push(place, "another file has this wireless network already");
    }
}

/// netplan's rules.
struct Netdefs;

impl Rules for Netdefs {
    fn choose(&self, path: &[String], old: &Node, new: &Node) -> Choice {
        match (&old.data, &new.data) {
            (Data::Map(_), Data::Map(_)) => Choice::Deep,
            (Data::List(_), Data::List(_)) => match path.last().map(String::as_str) {
                Some("link-local") => Choice::Replace,
                _ => Choice::AppendNew,
            },
            _ => Choice::Replace,
        }
    }

    fn identity(&self, path: &[String], item: &Node) -> Option<String> {
        let key = path.last().map(String::as_str);
        match key {
            Some("interfaces" | "optional-addresses") => item.shown(),
            // Those of a device, not of its name servers; with options an address is a mapping's key.
            Some("addresses") if path.len() == 4 => {
                item.shown().or_else(|| item.entries().first().map(|entry| entry.key.clone()))
            }
            Some("routes") => {
                let mut fields: Vec<String> = item
                    .entries()
                    .iter()
                    .map(|entry| format!("{}={}", entry.key, entry.value.to_json()))
                    .collect();
                fields.sort();
                Some(fields.join("\n"))
            }
            _ => None,
        }
    }
}

/// Whether a path is one of netplan's.
pub fn is_of_netplan(path: &Path) -> bool {
    let directory = path.parent().and_then(Path::to_str).unwrap_or_default();
    DIRECTORIES.contains(&directory) || directory == "/usr/lib/netplan"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileKind, MemoryTree};

    #[test]
    fn files_shadow_by_name_and_merge_in_the_order_of_names() {
        let tree = MemoryTree::new()
            .file("/lib/netplan/90-x.yaml", "network: {ethernets: {e: {mtu: 1}}}")
            .file("/etc/netplan/90-x.yaml", "network: {ethernets: {e: {mtu: 2}}}")
            .file("/run/netplan/10-x.yaml", "network: {ethernets: {e: {mtu: 3, dhcp6: On}}}")
            .file("/etc/netplan/.x.yaml", "[")
            .file("/etc/netplan/x.yml", "[");
        let read = Netplan::read(&tree);
        let shown = read.to_json();
        assert_eq!(shown["settings"]["network.ethernets.e.mtu"]["value"], "2");
        let overrides = &shown["settings"]["network.ethernets.e.mtu"]["overrides"];
        assert_eq!(overrides[0]["file"], "/run/netplan/10-x.yaml");
        assert_eq!(shown["shadowed"], json!(["/lib/netplan/90-x.yaml"]));
        assert_eq!(shown["document"]["network"]["ethernets"]["e"]["dhcp6"], true);
        assert_eq!(shown["notes"][0]["message"], "this is true here");
        assert!(read.settings.problems.is_empty());
    }

    #[test]
    fn lists_grow_as_netplan_lets_them() {
        let tree = MemoryTree::new()
            .file(
                "/etc/netplan/1.yaml",
                "network:\n  ethernets:\n    e:\n      addresses: [10.0.0.1/24]\n      link-local: [ipv4]\n      nameservers: {addresses: [1.1.1.1]}\n      routes: [{to: a, via: b}]\n",
            )
            .file(
                "/etc/netplan/2.yaml",
                "network:\n  ethernets:\n    e:\n      addresses: [10.0.0.1/24, 10.0.0.2/24]\n      link-local: [ipv6]\n      nameservers: {addresses: [1.1.1.1]}\n      routes: [{via: b, to: a}, {to: c, via: b}]\n",
            );
        let root = Netplan::read(&tree).root.unwrap();
        let device = root.at(&["network", "ethernets", "e"]).unwrap().to_json();
        assert_eq!(device["addresses"], json!(["10.0.0.1/24", "10.0.0.2/24"]));
        assert_eq!(device["nameservers"]["addresses"], json!(["1.1.1.1", "1.1.1.1"]));
        assert_eq!(device["link-local"], json!(["ipv6"]));
        assert_eq!(device["routes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_netplan_refuses_is_a_problem() {
        for text in [
            "a: 1",
            "[]",
            "network: {ethernets: {e: {dhcp4: maybe}}}",
            "network: {}\n---\nnetwork: {}\n",
            "network: [",
        ] {
            assert_eq!(parse(&"/x".into(), text.as_bytes()).problems.len(), 1, "{text}");
        }
        let network = "network: {wifis: {w: {access-points: {\"a b\": {password: CANARY}}}}}";
        let tree = MemoryTree::new()
            .file("/etc/netplan/1.yaml", network)
            .file("/etc/netplan/2.yaml", network)
            .special("/etc/netplan/3.yaml", FileKind::Fifo);
        let read = Netplan::read(&tree);
        assert_eq!((read.settings.problems.len(), read.settings.unread.len()), (1, 1));
        assert!(!format!("{:?}", read.settings.by_key).contains("CANARY"));
    }

    #[test]
    fn a_device_may_have_the_name_of_a_switch() {
        let read = parse(&"/x".into(), b"network: {ethernets: {stp: {dhcp4: n}, key: {mtu: 1}}}");
        assert!(read.problems.is_empty());
        let key = read.all[0].at(&["network", "ethernets", "key"]).unwrap();
        assert!(!key.is_secret && !key.get("mtu").unwrap().is_secret);
    }
}
