//! `logrotate -d` prints each block that it took with its criterion and count, and its complaints.
//!
//! Known differences, kept out of the generator: names of users, paths of `olddir` and doubled logs are
//! checked against the host by the peer and not by us.

use std::path::Path;
use std::process::Command;

use parsers::config::logrotate::{Block, Logrotate};

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const OPTIONS: &[&str] = &[
    "daily",
    "weekly",
    "weekly 1",
    "monthly",
    "yearly",
    "hourly",
    "size 10k",
    "size=1M",
    "size 12",
    "rotate 3",
    "rotate 12",
    "rotate=5",
    "compress",
    "nocompress",
    "missingok",
    "notifempty",
    "create 0640",
    "nocreate",
    "sharedscripts",
    "# comment",
    "",
    "  dateext",
    "maxage 3",
    "postrotate\n  echo } x\n}\n endscript",
    "prerotate\nendscript",
    "minsize 3k",
    "copytruncate",
];
const ODD: &[&str] = &[
    "rotate x",
    "size 10x",
    "size",
    "unknown",
    "+x",
    "weekly 9",
    "rotate -2",
    "maxage x",
    "tabooext + .x",
    "/tmp/other",
    "size k",
];

fn options(dice: &mut Dice, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(count) {
        text += if dice.one_in(25) { dice.pick(ODD) } else { dice.pick(OPTIONS) };
        text += "\n";
    }
    text
}

fn text(dice: &mut Dice, base: &str, name: &str) -> String {
    let mut text = options(dice, 3);
    for block in 0..dice.below(4) {
        let log = format!("{base}/logs/{}{block}", name.replace('/', "_"));
        text += &match dice.below(4) {
            0 => format!("{log} {{\n"),
            1 => format!("\"{log} x\" {log}\n{{\n"),
            2 => format!("  {log}*.log   {{\n"),
            _ => format!("{log}\n{{\n"),
        };
        text += &options(dice, 6);
        text += if dice.one_in(30) { "} x\n" } else { "}\n" };
        text += &options(dice, 2);
    }
    if name == "main" && dice.one_in(2) {
        text = format!("include {base}/d\n{text}");
    }
    if dice.one_in(20) {
        text += "}\n";
    }
    text
}

/// `criterion (N rotations)` of a block, as the peer prints it.
fn shown(block: &Block) -> String {
    let criterion = block.settings.value("criterion").unwrap_or("size 1M");
    let when = match criterion.split_once(' ') {
        Some(("size", size)) => {
            let digits: u64 = size.trim_end_matches(['k', 'K', 'M']).parse().unwrap_or(0);
            let unit = match size.as_bytes().last() {
                Some(b'k' | b'K') => 1 << 10,
                Some(b'M') => 1 << 20,
                _ => 1,
            };
            format!("{} bytes", digits * unit)
        }
        Some((name, _)) => name.to_string(),
        None if criterion == "daily" => "after 1 days".into(),
        None => criterion.to_string(),
    };
    let count = match block.settings.value("rotate") {
        None | Some("0") => "(no old logs will be kept)".to_string(),
        Some("010") => "(8 rotations)".into(),
        Some(count) => format!("({count} rotations)"),
    };
    format!("{when} {count}")
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let base = scratch.join(format!("s{seed}"));
    let root = Directory(base.clone());
    let base = base.to_str().unwrap();
    std::fs::create_dir_all(format!("{base}/logs")).unwrap();
    let mut files = String::new();
    for name in ["main", "d/a", "d/b", "d/c.bak", "d/d.dpkg-old"] {
        let text = text(&mut dice, base, name);
        root.write(name, &text);
        files += &format!("--- {name}\n{text}\n");
    }
    let main = format!("{base}/main");
    let output = Command::new("logrotate")
        .args(["-d", "-s", &format!("{base}/state"), &main])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let told = peer::told(&output);
    let ours = Logrotate::read(&Directory("/".into()), &main).unwrap();
    // The peer tries the newest block first.
    let mut mine: Vec<String> = ours.blocks.iter().map(shown).collect();
    mine.sort();
    // Names may hold a line end, so what follows them is looked for from the right.
    let mut theirs: Vec<String> = Vec::new();
    for part in told.split("rotating pattern: ").skip(1) {
        let end = part.find(" rotations)").map(|at| at + 11);
        let end = end.into_iter().chain(part.find("kept)").map(|at| at + 5)).min().unwrap();
        let after = part[..end].rfind("  ").max(part[..end].rfind("\n ")).map_or(0, |at| at + 2);
        theirs.push(part[after..end].split_whitespace().collect::<Vec<_>>().join(" "));
    }
    theirs.sort();
    // What follows is about the logs on this host.
    let reading = told.split("Reading state from").next().unwrap_or_default();
    let complains = reading.lines().any(|line| line.starts_with("error: "));
    let _ = std::fs::remove_dir_all(base);
    if theirs != mine {
        return Err(format!("theirs {theirs:?}\nours {mine:?} {:?}\n{files}{told}", ours.problems));
    }
    match (complains, ours.problems.is_empty()) {
        (false, true) => Ok(Verdict::Accepted),
        (true, false) => Ok(Verdict::Refused),
        _ => Err(format!("complains: {complains}, ours {:?}\n{files}{told}", ours.problems)),
    }
}

#[test]
fn generated_configurations_are_read_as_logrotate_reads_them() {
    if !peer::has("logrotate") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(300), |seed| one(scratch.path(), seed));
    eprintln!("{} configurations agree, {accepted} of them accepted", accepted + refused);
    assert!(accepted * 3 > refused && refused > 0, "both sorts are needed");
}
