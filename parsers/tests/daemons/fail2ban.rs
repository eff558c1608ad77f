//! `fail2ban-client -d` tells what a configuration would make the server do (it starts nothing); its jails
//! are compared with ours over Debian's own files and generated local ones. fail2ban 1.0.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use parsers::config::settings::Setting;
use parsers::place::Problem;
use parsers::rules::fail2ban::effective::effective;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict, told};

const HOME: &str = "/etc/fail2ban";
const JAILS: [&str; 5] = ["sshd", "nginx-http-auth", "postfix", "dovecot", "own"];
const LINES: [&str; 14] = [
    "maxretry = 7",
    "maxretry: 4",
    "MaxRetry = 2",
    "findtime = 1h",
    "findtime  = %(bantime)s",
    "bantime = 1d 2h",
    "bantime = 600 ; comment",
    "ignoreip = 127.0.0.1/8 ::1",
    "ignoreip = 192.0.2.1,\n   192.0.2.2\n   # comment\n   192.0.2.3",
    "usedns = no",
    "mine = 90",
    "findtime = %(mine)s",
    "maxretry = %(known/maxretry)s",
    "nothing here",
];

/// A local file: defaults and jails.
fn text(dice: &mut Dice) -> String {
    let mut text = String::new();
    let mut heads: Vec<&str> = vec!["DEFAULT"];
    heads.extend(JAILS.iter().filter(|_| dice.one_in(2)));
    for head in heads {
        text.push_str(&format!("[{head}]\n"));
        if head != "DEFAULT" {
            let enabled = dice.pick(&["true", "yes", "1", "off", "false", "On"]);
            text.push_str(&format!("enabled = {enabled}\nbackend = systemd\n"));
        }
        if head == "own" {
            text.push_str("filter = sshd\n");
        }
        if head == "DEFAULT" {
            text.push_str("action =\n");
        }
        let mut seen = Vec::new();
        for _ in 0..dice.below(4) {
            let line = if dice.one_in(60) { "nothing here" } else { dice.pick(&LINES[..13]) };
            let name = line.split([' ', '=', ':']).next().unwrap().to_lowercase();
            let is_odd = head == "DEFAULT" && line.contains("known/");
            if !is_odd && !seen.contains(&name) {
                text.push_str(&format!("{line}\n"));
                seen.push(name);
            }
        }
    }
    text
}

type Jails = BTreeMap<String, BTreeMap<String, String>>;

/// What the dump sets for each jail, as text.
fn ask(home: &Path) -> Result<Jails, String> {
    let output = Command::new("fail2ban-client").arg("-c").arg(home).arg("-d").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(told(&output));
    }
    let mut jails = Jails::new();
    for line in said.lines() {
        let Some(words) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            continue;
        };
        let words: Vec<&str> = words.split(", ").map(|word| word.trim_matches('\'')).collect();
        match words[..] {
            ["add", jail, _] => drop(jails.entry(jail.to_string()).or_default()),
            ["set", jail, name, ref values @ ..] if jails.contains_key(jail) => {
                let jail = jails.get_mut(jail).unwrap();
                jail.insert(name.to_string(), values.join(" "));
            }
            _ => {}
        }
    }
    Ok(jails)
}

fn ours(tree: &Directory) -> Result<Jails, String> {
    let all = effective(tree, Path::new(HOME)).map_err(|problem| problem.to_string())?;
    let read = ["maxretry", "findtime", "bantime", "ignoreip", "usedns"];
    for jail in all.jails.iter().filter(|jail| jail.enabled) {
        let is_told = |problem: &&Problem| {
            read.iter().any(|name| problem.message.starts_with(&format!("{}: {name}: ", jail.name)))
        };
        if let Some(problem) = all.problems.kept.iter().find(is_told) {
            return Err(problem.to_string());
        }
    }
    let mut jails = Jails::new();
    for jail in all.jails.iter().filter(|jail| jail.enabled) {
        let value =
            |name: &str| jail.settings.get(name).and_then(Setting::value).unwrap_or_default();
        let mut set = BTreeMap::new();
        for name in ["maxretry", "findtime", "bantime"] {
            set.insert(name.to_string(), value(name).to_string());
        }
        let ips: Vec<&str> =
            value("ignoreip").split([' ', ',', '\n']).filter(|ip| !ip.is_empty()).collect();
        if !ips.is_empty() {
            set.insert("addignoreip".into(), ips.join(" "));
        }
        jails.insert(jail.name.clone(), set);
    }
    Ok(jails)
}

#[test]
fn fail2ban_starts_the_same_jails_with_the_same_values() {
    if !peer::has("fail2ban-client") || !Path::new(HOME).join("jail.conf").is_file() {
        return peer::missing("no jail.conf of fail2ban here");
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, _) = peer::agree(peer::seeds(40), |seed| {
        let mut dice = Dice::new(seed);
        let tree = Directory(scratch.path().join(seed.to_string()));
        let copy = tree.0.join(&HOME[1..]);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg("-r").arg(HOME).arg(&copy).status().unwrap();
        assert!(copied.success());
        tree.write(&format!("{HOME}/jail.d/defaults-debian.conf"), text(&mut dice));
        for name in
            ["jail.local", "jail.d/a.conf", "jail.d/b.local", "jail.d/c.txt", "jail.d/.h.conf"]
        {
            if dice.one_in(2) {
                tree.write(&format!("{HOME}/{name}"), text(&mut dice));
            }
        }
        match (ask(&copy), ours(&tree)) {
            (Err(_), Err(_)) => Ok(Verdict::Refused),
            (Ok(theirs), Err(fault)) => Err(format!("only we refuse: {fault}\n{theirs:?}")),
            (Err(fault), Ok(ours)) => Err(format!("only fail2ban refuses: {fault}\n{ours:?}")),
            (Ok(mut theirs), Ok(ours)) => {
                for jail in theirs.values_mut() {
                    let compared = ["maxretry", "findtime", "bantime", "addignoreip"];
                    jail.retain(|name, _| compared.contains(&name.as_str()));
                }
                match theirs == ours {
                    true => Ok(Verdict::Accepted),
                    false => Err(format!("fail2ban {theirs:#?}\nours {ours:#?}")),
                }
            }
        }
    });
    assert!(accepted > 20, "{accepted}");
}
