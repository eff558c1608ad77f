//! The tables of a host: fstab by `findmnt` (libmount 2.38), passwd and group by `pwck` and `grpck`.
//!
//! Known differences, kept out of the generators: `pwck` also looks at homes and shells, and asks about
//! the same name or id in two lines, which are no faults of the format; NIS lines (`+`) it takes as they
//! are, ours keeps them apart; a line of blanks is a fault for it and nothing for glibc; an empty name it
//! tells in other words; an id of -1 is 4294967295 for glibc and refused by it; a group without its
//! last field is taken by grpck and told by us (the entry is there all the same).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use parsers::config::{accounts, mounts};
use serde_json::Value;

use crate::dice::Dice;
use crate::peer::{self, Verdict};

const FSTAB: &[&str] = &[
    "# comment",
    "",
    "   ",
    "UUID=1 / ext4 defaults 0 1",
    "/dev/sdb\t/srv\\040x  xfs noexec,nosuid,exec",
    "tmpfs /tmp tmpfs users,suid 0 0",
    "/dev/c /d ext4",
    " LABEL=x\\134y /g ext4 a,b 0 0 extra",
    "/dev/j none swap sw 0 0",
    "/dev/m /n ext4 rw 1 2 # c",
    "#/dev/q /q ext4 rw",
    "proc /proc proc nosuid,hidepid=2 0 0",
    "//host/s /i cifs user=a,ro 0 0",
    "server:/x /mnt nfs4 x-systemd.automount 0",
    "/dev/a\\011b /t ext4 rw 0 -1",
];
const ODD_FSTAB: &[&str] = &[
    "half",
    "/dev/a /b",
    "/dev/e /f ext4 rw x y",
    "/dev/k /l ext4 ro # c",
    "//h/s /i cifs \"a b\" 0 0",
    "/dev/n /o ext4 rw 0 x",
    "# /a b",
];

fn table(dice: &mut Dice, usual: &[&str], odd: &[&str]) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(10) {
        text += if dice.one_in(12) { dice.pick(odd) } else { dice.pick(usual) };
        text += "\n";
    }
    text
}

fn one_fstab(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let text = table(&mut Dice::new(seed), FSTAB, ODD_FSTAB);
    let path = scratch.join(format!("fstab{seed}"));
    std::fs::write(&path, &text).unwrap();
    let output = Command::new("findmnt")
        .args(["--fstab", "-J", "--list", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS", "--tab-file"])
        .arg(&path)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let parsed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let rows = parsed["filesystems"].as_array().cloned().unwrap_or_default();
    let field = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_string();
    let theirs: Vec<[String; 4]> = rows
        .iter()
        .map(|row| ["source", "target", "fstype", "options"].map(|name| field(row, name)))
        .collect();
    let marker = "parse error at line ";
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let their_lines: BTreeSet<u32> = told
        .split(marker)
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let (entries, problems) = mounts::fstab(&"/etc/fstab".into(), text.as_bytes());
    let our_lines: BTreeSet<u32> = problems.iter().map(|problem| problem.place.line).collect();
    let ours: Vec<[String; 4]> = entries
        .iter()
        .filter(|entry| !our_lines.contains(&entry.place.line))
        .map(|entry| {
            let target = entry.target.display().to_string();
            [entry.source.clone(), target, entry.fs_type.clone(), entry.options.join(",")]
        })
        .collect();
    let _ = std::fs::remove_file(&path);
    if theirs != ours || their_lines != our_lines {
        return Err(format!(
            "theirs {theirs:?} {their_lines:?}\nours {ours:?} {problems:?}\n{text}"
        ));
    }
    Ok(if our_lines.is_empty() { Verdict::Accepted } else { Verdict::Refused })
}

#[test]
fn generated_fstabs_are_read_as_libmount_reads_them() {
    if !peer::has("findmnt") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(300), |seed| one_fstab(scratch.path(), seed));
    eprintln!("{} fstabs agree, {accepted} of them without faults", accepted + refused);
    assert!(accepted * 2 > refused && refused > 0, "both sorts are needed");
}

const PASSWD: &[&str] =
    &["NAME:x:N:0:c:/:/bin/sh", "NAME:x:N:N::/:", "NAME:*:N:65534:a,b:/:/bin/sh"];
const ODD_PASSWD: &[&str] = &[
    "bad",
    "NAME:x:1",
    "NAME:x:x:0::/:/bin/sh",
    "NAME:x:N:0::/:/bin/sh:more",
    "NAME:x::0::/:/bin/sh",
    "NAME:x:N::c:/:/bin/sh",
    "NAME:x:4294967296:0::/:/x",
];
const GROUP: &[&str] = &["NAME:x:N:", "NAME:*:N:root", "NAME::N:root,daemon"];
const ODD_GROUP: &[&str] =
    &["bad", "NAME:x", "NAME:x:x:", "NAME:x:N:a:b", "NAME:x::", "NAME:x:N:root:"];

/// Lines that the peer does not take as entries, by their text.
fn invalid(program: &str, arguments: &[&Path]) -> BTreeSet<String> {
    let output =
        Command::new(program).arg("-r").args(arguments).env("LC_ALL", "C").output().unwrap();
    let told = peer::told(&output);
    let lines: Vec<&str> = told.lines().collect();
    let is_invalid =
        |pair: &&[&str]| pair[0].starts_with("invalid") && pair[0].ends_with("file entry");
    let text = |pair: &[&str]| {
        let rest = pair[1].strip_prefix("delete line '").unwrap();
        rest[..rest.rfind("'?").unwrap()].to_string()
    };
    lines.windows(2).filter(is_invalid).map(text).collect()
}

fn one_table(scratch: &Path, seed: u64, is_passwd: bool) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let (usual, odd) = if is_passwd { (PASSWD, ODD_PASSWD) } else { (GROUP, ODD_GROUP) };
    let mut text = String::new();
    for number in 1..2 + dice.below(10) {
        let line = if dice.one_in(8) { dice.pick(odd) } else { dice.pick(usual) };
        let line = line.replace("NAME", &format!("user{number}"));
        text += &(line.replace(":N", &format!(":{}", 1000 + number)) + "\n");
    }
    let path = scratch.join(format!("table{seed}{is_passwd}"));
    let other = scratch.join(format!("shadow{seed}{is_passwd}"));
    std::fs::write(&path, &text).unwrap();
    std::fs::write(&other, "").unwrap();
    let program = if is_passwd { "pwck" } else { "grpck" };
    let theirs = invalid(program, &[&path, &other]);
    let problems = match is_passwd {
        true => accounts::passwd("/etc/passwd", text.as_bytes()).problems,
        false => accounts::group("/etc/group", text.as_bytes()).problems,
    };
    let lines: Vec<&str> = text.lines().collect();
    let ours: BTreeSet<String> =
        problems.kept.iter().map(|p| lines[p.place.line as usize - 1].to_string()).collect();
    if theirs != ours {
        return Err(format!("theirs {theirs:?}\nours {ours:?} {problems:?}\n{text}"));
    }
    Ok(if ours.is_empty() { Verdict::Accepted } else { Verdict::Refused })
}

#[test]
fn faults_of_passwd_and_group_are_those_of_pwck_and_grpck() {
    if !peer::has("pwck") || !peer::has("grpck") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    for is_passwd in [true, false] {
        let one = |seed| one_table(scratch.path(), seed, is_passwd);
        let (accepted, refused) = peer::agree(peer::seeds(200), one);
        eprintln!("{} tables agree, {accepted} of them without faults", accepted + refused);
        assert!(accepted * 2 > refused && refused > 0, "both sorts are needed");
    }
}
