//! cloud-init's own mergers, from its Debian package (22.4), asked about generated trees of files.
//!
//! The package is unpacked, never installed: installed it would configure the host at the next boot.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use parsers::config::cloud_init::{CLOUD_CFG, CloudInit};
use serde_json::Value;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer;

/// Where `.ci/run` unpacks it.
const UNPACKED: &str = "/opt/wardmote-peers/cloud-init/usr/lib/python3/dist-packages";

/// `util.read_conf_with_confd` without its logging, whose imports want half of Python; a tree a line.
const ASK: &str = r#"
import importlib.util, json, os, sys, yaml
from cloudinit import mergers
def merge(cfgs):
    merged = {}
    for cfg in cfgs:
        if cfg:
            how = mergers.dict_extract_mergers(cfg) or mergers.default_mergers()
            merged = mergers.construct(how).merge(merged, cfg)
    return merged
def load(path):
    try:
        with open(path) as f:
            loaded = yaml.safe_load(f)
    except yaml.YAMLError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
for base in sys.stdin.read().split():
    main = base + '/etc/cloud/cloud.cfg'
    names = sorted((n for n in os.listdir(main + '.d') if n.endswith('.cfg')), reverse=True)
    parts = merge([load(main + '.d/' + n) for n in names])
    print(json.dumps(merge([parts, load(main)])))
"#;

const SCALARS: &[&str] = &[
    "yes",
    "Off",
    "n",
    "null",
    "~",
    "0755",
    "0o755",
    "1:30",
    "1_000",
    "1.5",
    "1e3",
    "0x1F",
    "text",
    "'no'",
    "12",
    "-3",
    "true",
    "\"\"",
    "08",
    "1.",
    "+1",
    ".5",
    "0b11",
    "190:20:30",
    "6.0e+1",
];

fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth < 3 { 4 } else { 2 }) {
        0 | 1 => dice.pick(SCALARS).to_string(),
        2 => {
            let items: Vec<String> = (0..dice.below(3)).map(|_| value(dice, depth + 1)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => mapping(dice, depth + 1),
    }
}

fn mapping(dice: &mut Dice, depth: usize) -> String {
    let mut fields = Vec::new();
    for key in ["a", "b", "c", "d"] {
        if dice.one_in(2) {
            fields.push(format!("{key}: {}", value(dice, depth)));
        }
    }
    format!("{{{}}}", fields.join(", "))
}

fn text(dice: &mut Dice) -> String {
    match dice.below(20) {
        0 => "- a list\n".into(),
        1 => "# nothing\n".into(),
        2 => "a: &x {k: yes}\nb: {<<: *x, l: 1}\nc: *x\n".into(),
        _ => format!("#cloud-config\n{}\n", mapping(dice, 0)),
    }
}

fn write(base: &Path, seed: u64) -> (Directory, String) {
    let mut dice = Dice::new(seed);
    let root = Directory(base.join(format!("s{seed}")));
    let mut shown = String::new();
    root.write("/etc/cloud/cloud.cfg.d/README", "x: [");
    for name in ["", ".d/05.cfg", ".d/10.cfg", ".d/9.cfg", ".d/90.cfg", ".d/95.txt"] {
        if name.is_empty() || dice.one_in(2) {
            let text = text(&mut dice);
            root.write(&format!("{CLOUD_CFG}{name}"), &text);
            shown += &format!("--- {name}\n{text}");
        }
    }
    (root, shown)
}

#[test]
fn generated_trees_are_merged_as_cloud_init_merges_them() {
    if !Path::new(UNPACKED).is_dir() {
        return peer::missing("no cloud-init unpacked here (see .ci/run)");
    }
    let scratch = tempfile::tempdir().unwrap();
    let trees: Vec<_> = peer::seeds(400).map(|seed| write(scratch.path(), seed)).collect();
    let names: String = trees.iter().map(|(root, _)| format!("{}\n", root.0.display())).collect();
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", ASK])
        .env("PYTHONPATH", UNPACKED)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(names.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let theirs = String::from_utf8(output.stdout).unwrap();
    let mut merged = 0;
    assert_eq!(theirs.lines().count(), trees.len());
    for (line, (root, shown)) in theirs.lines().zip(&trees) {
        let theirs: Value = serde_json::from_str(line).unwrap();
        let ours = CloudInit::read(root, CLOUD_CFG).root.map_or(Value::Null, |root| root.to_json());
        let is_empty = ours.is_null() && theirs == Value::Object(serde_json::Map::new());
        assert!(is_empty || ours == theirs, "theirs {theirs}\nours {ours}\n{shown}");
        merged += usize::from(!is_empty);
    }
    eprintln!("{} trees agree, {merged} of them not empty", trees.len());
    assert!(merged * 4 > trees.len() * 3);
}
