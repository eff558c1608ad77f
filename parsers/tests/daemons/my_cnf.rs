//! `my_print_defaults` of MariaDB prints the options of chosen groups in the order of reading.
//!
//! Known differences, kept out of the generator: relative includes (ours names them a problem), and
//! more files than our limit, values without a name (a problem of ours), group names with a comma or other characters that the peer's list of groups gives a meaning to.

use std::path::Path;
use std::process::Command;

use parsers::config::my_cnf::MyCnf;
use parsers::tree::Why;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const MEANINGFUL: &[u8] = b"''\"\"\\\\##;;==[]!-_  \t\r\nabns0";
const GROUPS: [&str; 3] = ["client", "mysqld", "server"];

const LINES: &[&str] = &[
    "[client]",
    "[mysqld]",
    "[ server ]",
    "[server ]",
    "[other]",
    "[CLIENT]",
    "[mysqld]x",
    "port=1",
    " user = \"a b\" # c",
    "Pass-Word=x#y",
    "loose_foo",
    "x = 'a\\nb\\s\\\\'",
    "y = \"a # b\"",
    "z = it's # c",
    "skip-name-resolve",
    "a_b-c =",
    "# comment",
    "; comment",
    "",
    "   ",
    "q = 'open",
    "q = 'a\"",
    "q = \"a\\\"b\"",
    "q='",
    "q=''",
    "w = \\",
    "w = a\\",
    "u=à",
    "v = a = b",
    "e == f",
    "!include ROOT/a.cnf",
    "!include ROOT/none.cnf",
    "!includedir ROOT/d",
    "! include ROOT/a.cnf",
    "!includedirx",
    "!include\tROOT/b.cnf  ",
    "long = LONG",
];
const ODD: &[&str] = &["[open", "!include", "!includedir", "!includedir ROOT/none", "= x"];

fn text(dice: &mut Dice, root: &str) -> Vec<u8> {
    let mut text = Vec::new();
    if !dice.one_in(10) {
        text.extend(b"[client]\n");
    }
    for _ in 0..dice.below(12) {
        let line = if dice.one_in(40) { dice.pick(ODD) } else { dice.pick(LINES) };
        let long = "v".repeat(4080 + dice.below(20));
        text.extend(line.replace("ROOT", root).replace("LONG", &long).bytes());
        text.extend(if dice.one_in(20) { b"\r\n".as_slice() } else { b"\n" });
    }
    if dice.one_in(3) {
        dice.mutate(&mut text, MEANINGFUL);
    }
    if dice.one_in(8) {
        text.pop();
    }
    text
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let base = scratch.join(format!("s{seed}"));
    let root = Directory(base.clone());
    let (outer, base) = (Directory("/".into()), base.to_str().unwrap());
    let mut shown = String::new();
    for name in ["my.cnf", "a.cnf", "b.cnf", "d/1.cnf", "d/2.cnf", "d/.3.cnf", "d/x.conf"] {
        let text = text(&mut dice, base);
        root.write(name, &text);
        shown +=
            &format!("--- {name}\n{}\n", String::from_utf8_lossy(&text).replace("vvvvvvvv", ""));
    }
    let file = format!("{base}/my.cnf");
    let output = Command::new("my_print_defaults")
        .arg(format!("--defaults-file={file}"))
        .args(GROUPS)
        .output()
        .unwrap();
    let ours = MyCnf::read(&outer, &file).unwrap();
    if ours.problems.kept.iter().any(|problem| problem.message.starts_with("a relative")) {
        return Ok(Verdict::Refused); // made by a mutation; see above
    }
    if ours.options.iter().any(|option| option.name.is_empty()) {
        return Ok(Verdict::Refused); // the peer then reads before the start of its line
    }
    if ours.unread.iter().any(|error| matches!(error.why, Why::TooMany(_))) {
        return Ok(Verdict::Refused); // loops: the peer reads every file as often as it is named
    }
    let mut printed: Vec<u8> = Vec::new();
    for option in &ours.options {
        if GROUPS.iter().any(|group| group.eq_ignore_ascii_case(&option.group)) {
            printed.extend(format!("--{}", option.name).bytes());
            if let Some(value) = &option.written {
                printed.extend(format!("={value}").bytes());
            }
            printed.push(b'\n');
        }
    }
    let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
    let mine = String::from_utf8_lossy(&printed).into_owned();
    let _ = std::fs::remove_dir_all(base);
    let told = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), !ours.refused) {
        (true, true) if theirs == mine => Ok(Verdict::Accepted),
        (false, false) => Ok(Verdict::Refused),
        (theirs_ok, _) => {
            Err(format!("{theirs_ok}\ntheirs {theirs:?} {told}\nours {mine:?}\n{shown}"))
        }
    }
}

#[test]
fn generated_option_files_are_read_as_mariadb_reads_them() {
    if !peer::has("my_print_defaults") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(400), |seed| one(scratch.path(), seed));
    eprintln!("{} option files agree, {accepted} of them accepted", accepted + refused);
    assert!(accepted > refused && refused > 0, "both sorts are needed");
}
