//! `apt-config dump` shows the tree that apt makes of its files. apt 2.6.

use std::path::Path;
use std::process::Command;

use parsers::config::apt_conf::AptConf;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const LINES: &[&str] = &[
    "X::A \"1\";",
    "X::a \"2\"; // c",
    "X { B \"3\"; C { D \"4\"; \"5\"; }; };",
    "X::L:: \"a\";",
    "X::L { \"b\"; \"c d\"; };",
    "X::L::n \"e\";",
    "X::Q \"// no # comment { } ;\";",
    "# comment",
    "// comment \" {",
    "/* comment\n over lines */",
    "X::M /* inside */ \"1\";",
    "X::T \"tab\there\";\t",
    "X::S \"one\" \"two\"\n   \"three\";",
    "#clear X::L;",
    "#clear X;",
    "#clear X::None;",
    "X::W word;",
    "X::W \"%41 stays\";X::%42 \"1\";",
    "X \"v\" {\n  E \"5\";\n};",
    "X::B[a b] \"1\";",
    "Y { Z",
    "};",
    "\"X::K\" yes;",
    "X::U \"\";",
    "X;",
    "X:: \"top\";",
    "X:::A \"odd\";",
    "X::::A \"odd\";",
    "",
];
const ODD: &[&str] = &[
    "X::A 1 2;",
    "{ };",
    "X::A \"1",
    "#clear",
    "#include \"/nowhere/at/all\";",
    "X { #clear X::A; };",
    "X \"1\"",
];
const SIGNS: &[u8] = b"\"{};:/*# \nXA";

fn text(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(8) {
        text += if dice.one_in(40) { dice.pick(ODD) } else { dice.pick(LINES) };
        text.push('\n');
    }
    if dice.one_in(3) {
        let mut bytes = text.into_bytes();
        dice.mutate(&mut bytes, SIGNS);
        return String::from_utf8(bytes).unwrap();
    }
    text
}

/// The items below `X`, whatever the program adds.
fn theirs(printed: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (name, value) = line.split_once(" \"")?;
        Some((name.to_string(), value.strip_suffix("\";")?.to_string()))
    };
    printed.lines().filter_map(line).filter(|(name, _)| is_ours(name)).collect()
}

fn is_ours(name: &str) -> bool {
    name == "X" || name.starts_with("X:")
}

/// A name as the dump writes it (`QuoteString`).
fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'%' | b'=' | b'"' | 0..=0x20 | 0x7f.. => format!("%{byte:02x}"),
        byte => char::from(byte).to_string(),
    };
    name.bytes().map(escape).collect()
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let base = scratch.join(format!("s{seed}"));
    let root = Directory(base.clone());
    let mut shown = String::new();
    for name in ["10a", "20b.conf", "20c.bak", "3_0:x", "4~", ".5", "apt.conf"] {
        let text = text(&mut dice);
        let path = if name == "apt.conf" { name.to_string() } else { format!("parts/{name}") };
        root.write(&path, &text);
        shown += &format!("--- {path}\n{text}");
    }
    let base = base.to_str().unwrap();
    let (parts, main) = (format!("{base}/parts"), format!("{base}/apt.conf"));
    root.write("first", format!("Dir::Etc::parts \"{parts}\";\nDir::Etc::main \"{main}\";\n"));
    let output = Command::new("apt-config")
        .arg("dump")
        .env("APT_CONFIG", format!("{base}/first"))
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let read = AptConf::read_from(&Directory("/".into()), &parts, &main);
    let settings = read.settings();
    let _ = std::fs::remove_dir_all(base);
    match (output.status.success(), settings.problems.is_empty() && settings.unread.is_empty()) {
        (false, false) => Ok(Verdict::Refused),
        (true, true) => {
            let theirs = theirs(&String::from_utf8_lossy(&output.stdout));
            let mut ours = read.dump();
            ours.retain(|(name, _)| is_ours(name));
            ours.iter_mut().for_each(|(name, _)| *name = escaped(name));
            match theirs == ours {
                true => Ok(Verdict::Accepted),
                false => Err(format!("theirs {theirs:?}\nours   {ours:?}\n{shown}")),
            }
        }
        (accepts, _) => Err(format!(
            "apt accepts: {accepts}, ours {:?}\n{shown}{}",
            settings.problems,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

#[test]
fn generated_files_make_the_tree_that_apt_makes() {
    if !peer::has("apt-config") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(120), |seed| one(scratch.path(), seed));
    eprintln!("{} configurations agree, {accepted} of them accepted", accepted + refused);
    assert!(accepted > 20 && refused > 20, "both sorts are needed");
}
