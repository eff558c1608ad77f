//! `apt-get update --print-uris` names the indexes of every source without fetching them. apt 2.6.
//!
//! Known differences, kept out of the generator: the same repository with options that contradict each
//! other, options whose values apt judges (architectures, targets), addresses that it does not know.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use parsers::config::apt_sources::Sources;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const LINES: &[&str] = &[
    "deb http://h.example/N stable main non-free",
    "deb [trusted=yes] http://h.example/N s main # c",
    "deb [ trusted=no  signed-by=/k.gpg ] http://h.example/N s main",
    "# comment",
    "",
    "   ",
    "\tdeb-src\thttp://h.example/N\ts\tmain",
    "deb http://h.example/N ./",
    "deb http://h.example/N sub/",
    "deb \"http://h.example/N b\" s main",
    "deb http://h.example/N%20c s main",
    "#deb x",
    "deb-src http://h.example/N ./",
    "deb http://h.example/N s a/b c",
];
const ODD: &[&str] = &[
    "dep http://h.example/N s main",
    "deb",
    "deb [trusted=yes http://h.example/N s main",
    "deb [trusted] http://h.example/N s main",
    "deb [=yes] http://h.example/N s main",
    "deb http://h.example/N",
    "deb http://h.example/N s",
    "deb http://h.example/N ./ main",
    "deb [] http://h.example/N s main",
    "deb \"http://h.example/N s main",
    "deb [trusted=] http://h/N s m",
];
const STANZAS: &[&str] = &[
    "Types: deb\nURIs: http://h.example/N\nSuites: s t\nComponents: main c\n",
    "# c\nTypes: deb deb-src\nURIs: http://h.example/N http://i.example/N\nSuites: s\n# d\nComponents: main\nTrusted: yes\n",
    "Types: deb\nURIs: http://h.example/N\nSuites: ./\n",
    "Enabled: no\nTypes: deb\nURIs: http://h.example/N\nSuites: ./\n",
    "types: deb\nuris:\n http://h.example/N\nsuites: s\n t\ncomponents: main\nSigned-By: /k.gpg\n",
];
const ODD_STANZAS: &[&str] = &[
    "Types: deb\nURIs: http://h.example/N\nSuites: s\n",
    "Types: dep\nURIs: http://h.example/N\nSuites: ./\n",
    "Types: deb\nSuites: ./\n",
    "Types: deb\nURIs: http://h.example/N\n",
    "Types: deb\nURIs: http://h.example/N\nSuites: ./\nComponents: main\n",
];

fn text(dice: &mut Dice, usual: &[&str], odd: &[&str], number: &mut usize) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(6) {
        let line = if dice.one_in(25) { dice.pick(odd) } else { dice.pick(usual) };
        *number += 1;
        text += &(line.replace("/N", &format!("/{number}")) + "\n");
    }
    text
}

/// `(base, suite, component, is source)` of every index that apt would fetch.
type Index = (String, String, String, bool);

fn theirs(printed: &str) -> BTreeSet<Index> {
    let mut all = BTreeSet::new();
    for line in printed.lines() {
        let Some(uri) = line.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) else {
            continue;
        };
        let uri = uri.0.trim_end_matches(".xz");
        let Some((before, name)) = uri.rsplit_once('/') else { continue };
        let is_source = name == "Sources";
        if !is_source && name != "Packages" {
            continue;
        }
        match before.split_once("/dists/") {
            Some((base, rest)) => {
                let (rest, _) = rest.rsplit_once('/').unwrap();
                let (suite, component) = rest.split_once('/').unwrap();
                all.insert((base.to_string(), suite.to_string(), component.to_string(), is_source));
            }
            None => {
                let (base, suite) = before.rsplit_once('/').unwrap();
                all.insert((base.to_string(), format!("{suite}/"), String::new(), is_source));
            }
        }
    }
    all
}

fn ours(sources: &Sources) -> BTreeSet<Index> {
    let mut all = BTreeSet::new();
    for source in &sources.sources {
        let base = source.uri.trim_end_matches('/').to_string();
        let is_source = source.kind == "deb-src";
        for component in &source.components {
            all.insert((base.clone(), source.suite.clone(), component.clone(), is_source));
        }
        if source.components.is_empty() {
            all.insert((base, source.suite.clone(), String::new(), is_source));
        }
    }
    all
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let base = scratch.join(format!("s{seed}"));
    let root = Directory(base.clone());
    let base = base.to_str().unwrap();
    let mut number = 0;
    let mut shown = String::new();
    for name in ["sources.list", "d/a.list", "d/b.sources", "d/c.list.save", "d/d.sources"] {
        let text = match name.ends_with(".sources") {
            true => text(&mut dice, STANZAS, ODD_STANZAS, &mut number),
            false => text(&mut dice, LINES, ODD, &mut number),
        };
        root.write(name, &text);
        shown += &format!("--- {name}\n{text}\n");
    }
    let (file, directory) = (format!("{base}/sources.list"), format!("{base}/d"));
    let output = Command::new("apt-get")
        .args(["update", "--print-uris", "-o", "APT::Architecture=amd64"])
        .args(["-o", "APT::Architectures=amd64", "-o", &format!("Dir::Etc::SourceList={file}")])
        .args(["-o", &format!("Dir::Etc::SourceParts={directory}")])
        .args(["-o", &format!("Dir::State::Lists={base}/lists")])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let read = Sources::read_from(&Directory("/".into()), &file, &directory);
    let _ = std::fs::remove_dir_all(base);
    match (output.status.success(), read.problems.is_empty()) {
        (false, false) => Ok(Verdict::Refused),
        (true, true) => {
            let (theirs, ours) = (theirs(&String::from_utf8_lossy(&output.stdout)), ours(&read));
            match theirs == ours {
                true => Ok(Verdict::Accepted),
                false => Err(format!("theirs {theirs:?}\nours {ours:?}\n{shown}")),
            }
        }
        (accepts, _) => Err(format!(
            "apt accepts: {accepts}, ours {:?}\n{shown}{}",
            read.problems,
            peer::told(&output)
        )),
    }
}

#[test]
fn generated_sources_are_read_as_apt_reads_them() {
    if !peer::has("apt-get") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(150), |seed| one(scratch.path(), seed));
    eprintln!("{} configurations agree, {accepted} of them accepted", accepted + refused);
    assert!(accepted * 2 > refused && refused > 0, "both sorts are needed");
}
