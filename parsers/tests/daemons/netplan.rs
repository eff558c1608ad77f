//! `netplan get` merges all files of a tree and prints the result. netplan 0.106.
//!
//! Known differences, kept out of the generator: netplan checks values and references between devices
//! (a file that names what is not there is refused), and prints defaults of some keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parsers::config::document::{Documents, Schema};
use parsers::config::netplan::Netplan;
use serde_json::Value;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const SWITCHES: &[&str] = &["yes", "No", "ON", "off", "y", "n", "true", "False", "\"yes\""];
const ODD: &[&str] = &["dhcp4: maybe", "<<: {mtu: 5}", "addresses: 10.0.0.1/24", "dhcp4: [yes]"];

/// A device's lines.
fn device(dice: &mut Dice, is_odd: bool) -> String {
    let mut lines = Vec::new();
    for key in ["dhcp4", "dhcp6", "optional", "critical", "wakeonlan"] {
        if dice.one_in(3) {
            lines.push(format!("{key}: {}", dice.pick(SWITCHES)));
        }
    }
    if dice.one_in(2) {
        lines.push(format!("mtu: {}", 1400 + dice.below(3)));
    }
    if dice.one_in(2) {
        let one = dice.below(3) + 1;
        lines.push(format!("addresses: [10.0.0.{one}/24, \"10.0.1.{}/16\"]", dice.below(3) + 1));
    }
    if dice.one_in(3) {
        lines.push(format!(
            "nameservers: {{addresses: [1.1.1.{}], search: [a{}.example]}}",
            dice.below(3),
            dice.below(2)
        ));
    }
    if dice.one_in(3) {
        let to = dice.below(3);
        lines.push(format!("routes: [{{to: 10.{to}.0.0/16, via: 10.0.0.254, metric: {to}}}]"));
    }
    if dice.one_in(4) {
        lines.push(format!("dhcp4-overrides: {{route-metric: {}, use-dns: no}}", dice.below(9)));
    }
    if dice.one_in(4) {
        lines.push(format!("macaddress: aa:bb:cc:dd:ee:0{}", dice.below(9)));
    }
    if is_odd {
        lines.push(dice.pick(ODD).to_string());
    }
    format!("{{{}}}", lines.join(", "))
}

fn text(dice: &mut Dice) -> String {
    let mut text = String::from("network:\n  version: 2\n  ethernets:\n");
    for name in ["eth0", "\"e.1\"", "lan"] {
        if name == "eth0" || dice.one_in(2) {
            let is_odd = dice.one_in(30);
            text += &format!("    {name}: {}\n", device(dice, is_odd));
        }
    }
    text
}

/// Every scalar with the path to it; those of lists without their position.
fn leaves(value: &Value, path: &str, out: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(value, &format!("{path}/{key}"), out);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                match item {
                    // One route is told from another by where it leads.
                    Value::Object(fields) => {
                        let to = fields.get("to").map_or(String::new(), Value::to_string);
                        leaves(item, &format!("{path}[{to}]"), out);
                    }
                    // How often, too.
                    _ => leaves(item, &format!("{path}[{}]", seen(items, at)), out),
                }
            }
        }
        Value::Object(_) => drop(out.insert((path.into(), "{}".into()))),
        Value::String(text) => drop(out.insert((path.into(), text.clone()))),
        other => drop(out.insert((path.into(), other.to_string()))),
    }
}

fn seen(items: &[Value], at: usize) -> usize {
    items[..at].iter().filter(|item| **item == items[at]).count()
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let base = scratch.join(format!("s{seed}"));
    let root = Directory(base.clone());
    let mut shown = String::new();
    for directory in ["lib", "etc", "run"] {
        for name in ["10-a.yaml", "50-b.yaml", "90-c.yaml", ".x.yaml", "y.yml"] {
            if directory == "etc" && name == "10-a.yaml" || dice.one_in(3) {
                let text = text(&mut dice);
                let path = format!("/{directory}/netplan/{name}");
                root.write(&path, &text);
                shown += &format!("--- {path}\n{text}");
            }
        }
    }
    let output = Command::new("netplan")
        .args(["get", "--root-dir", base.to_str().unwrap(), "all"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let read = Netplan::read(&root);
    let _ = std::fs::remove_dir_all(base);
    let name: Arc<str> = "netplan".into();
    match (output.status.success(), read.settings.problems.is_empty()) {
        (false, false) => Ok(Verdict::Refused),
        (true, true) => {
            let printed = Documents::read(&name, &output.stdout, Schema::GoYaml3);
            let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
            leaves(&printed.all[0].to_json(), "", &mut theirs);
            leaves(&read.root.unwrap().to_json(), "", &mut ours);
            // Printed only where it is not the default.
            for set in [&mut theirs, &mut ours] {
                set.retain(|(path, value)| {
                    let is_switch = ["dhcp4", "dhcp6", "optional", "critical", "wakeonlan"]
                        .iter()
                        .any(|key| path.ends_with(&format!("/{key}")));
                    !(is_switch && value == "false") && value != "{}"
                });
            }
            match theirs == ours {
                true => Ok(Verdict::Accepted),
                false => Err(format!(
                    "only theirs {:?}\nonly ours {:?}\n{shown}",
                    theirs.difference(&ours).collect::<Vec<_>>(),
                    ours.difference(&theirs).collect::<Vec<_>>()
                )),
            }
        }
        (accepts, _) => Err(format!(
            "netplan accepts: {accepts}, ours {:?}\n{shown}{}",
            read.settings.problems,
            peer::told(&output)
        )),
    }
}

#[test]
fn generated_trees_are_merged_as_netplan_merges_them() {
    if !peer::has("netplan") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(14), |seed| one(scratch.path(), seed));
    eprintln!("{} trees agree, {accepted} of them accepted", accepted + refused);
    assert!(accepted > refused && refused > 0, "both sorts are needed");
}
