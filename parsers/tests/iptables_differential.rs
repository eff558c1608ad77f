//! Asks the real `iptables-restore --test` about generated rulesets: what is accepted. Nothing is loaded.
//!
//! More by hand: `WARDMOTE_IPTABLES_SEEDS=0..5000 cargo test -p parsers --test iptables_differential`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod differential;

use std::path::Path;
use std::process::Command;

use differential::{Agreement, Dice, all_agree, run, seeds, skip};
use parsers::config::iptables::Ruleset;

const RESTORE: &str = "iptables-restore";

#[test]
fn generated_rulesets_agree_with_iptables_restore() {
    let scratch = tempfile::tempdir().unwrap();
    if let Err(missing) = peer(scratch.path()) {
        return skip(&missing);
    }
    all_agree(seeds("WARDMOTE_IPTABLES_SEEDS", 300), scratch.path(), |seed, place| {
        let (text, rules) = ruleset(&mut Dice::new(seed));
        let theirs = ask(place, &text);
        let ours = Ruleset::parse("/x", text.as_bytes());
        let shown = || format!("{:?}\n{text}", ours.problems.kept);
        match (theirs, ours.problems.is_empty()) {
            (Ok(()), true) if ours.rules.len() == rules => Ok(Agreement::Accepted),
            (Ok(()), true) => Err(format!("not {rules} rules: {}", shown())),
            (Err(_), false) => Ok(Agreement::Refused),
            (Ok(()), false) if shown().contains("no chain of this name") => Ok(Agreement::Known(
                "chains are looked up when the rules are loaded, not by --test",
            )),
            (Ok(()), false) => Err(format!("only we refuse: {}", shown())),
            (Err(why), true) => match KNOWN.iter().find(|(sign, _)| why.contains(sign)) {
                Some((_, reason)) => Ok(Agreement::Known(reason)),
                None => Err(format!("only iptables-restore refuses: {why}{}", shown())),
            },
        }
    });
}

fn peer(scratch: &Path) -> Result<(), String> {
    Command::new(RESTORE).arg("-V").output().map_err(|_| "no iptables-restore here".to_string())?;
    ask(scratch, "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
        .map_err(|why| format!("iptables-restore cannot test here: {why}"))
}

fn ask(place: &Path, text: &str) -> Result<(), String> {
    let path = place.join("rules");
    std::fs::write(&path, text).unwrap();
    let output = run(Command::new(RESTORE).arg("--test").arg(&path));
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// What iptables-restore refuses and we do not, by its words, and why.
const KNOWN: &[(&str, &str)] = &[
    ("Bad argument", "options of matches are not checked"),
    ("unknown option", "options of matches are not checked"),
    ("invalid port", "options of matches are not checked"),
];

/// A ruleset and how many rules it has.
fn ruleset(dice: &mut Dice) -> (String, usize) {
    let mut text = String::from("# made\n");
    let mut rules = 0;
    let tables: &[(&str, &[&str])] = &[
        ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
        ("nat", &["PREROUTING", "POSTROUTING", "OUTPUT"]),
        ("mangle", &["PREROUTING", "INPUT", "POSTROUTING"]),
    ];
    for (table, built_in) in tables.iter().take(1 + dice.below(3)) {
        text.push_str(&format!("*{table}\n"));
        for chain in *built_in {
            let policy = dice.pick(&["ACCEPT", "ACCEPT", "ACCEPT [12:345]", "ACCEPT [0:0]"]);
            text.push_str(&format!(":{chain} {policy}\n"));
        }
        text.push_str(":OWN - [0:0]\n");
        for _ in 0..dice.below(6) {
            let chain = match dice.below(2_000) {
                0 => "GONE",
                1..=500 => "OWN",
                _ => built_in[dice.below(built_in.len())],
            };
            let counters = dice.pick(&["", "", "", "[3:4] "]);
            let tests = dice.pick(&[
                "-p tcp -m tcp --dport 22",
                "-s 192.0.2.0/24",
                "-d 198.51.100.1/32 -p udp",
                "-m comment --comment \"say \\\"hi\\\" -j DROP\"",
                "-m comment --comment one",
                "",
                "! -s 203.0.113.0/24",
            ]);
            let target = dice.pick(&["ACCEPT", "RETURN", "ACCEPT"]);
            let gap = if tests.is_empty() { "" } else { " " };
            text.push_str(&format!("{counters}-A {chain} {tests}{gap}-j {target}\n"));
            rules += 1;
        }
        if dice.one_in(8) {
            text.push_str(dice.pick(&["rubbish\n", "-A\n", "[1] -A INPUT -j ACCEPT\n", "*raw\n"]));
        }
        if !dice.one_in(12) {
            text.push_str("COMMIT\n");
        }
    }
    if dice.one_in(8) {
        text.push_str("-A INPUT -j ACCEPT\n");
    }
    (text, rules)
}
