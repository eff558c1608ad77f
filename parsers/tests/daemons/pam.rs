//! libpam itself is asked about generated stacks in a directory of their own: `pam_start_confdir` and
//! `pam_authenticate`, with pam_debug as every module; what it returns is compared with our evaluation.
//! Linux-PAM 1.5. The prototypes are written out, so that only gcc and the library are needed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use parsers::config::pam::{Kind, RETURNS, Return, Stack};
use parsers::tree::MemoryTree;

use crate::dice::Dice;
use crate::peer::{self, told};

/// Reads service names, prints what `pam_authenticate` returns for each.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct pam_handle;
struct pam_message;
struct pam_response { char *resp; int resp_retcode; };
struct pam_conv { int (*conv)(int, const struct pam_message **, struct pam_response **, void *); void *data; };
int pam_start_confdir(const char *, const char *, const struct pam_conv *, const char *, struct pam_handle **);
int pam_authenticate(struct pam_handle *, int);
int pam_end(struct pam_handle *, int);
static int silent(int count, const struct pam_message **messages, struct pam_response **answers, void *data) {
    *answers = calloc(count, sizeof(struct pam_response));
    return *answers == NULL ? 5 : 0;
}
int main(int argc, char **argv) {
    struct pam_conv conv = { silent, NULL };
    char name[256];
    while (fgets(name, sizeof name, stdin) != NULL) {
        struct pam_handle *pam = NULL;
        name[strcspn(name, "\n")] = 0;
        if (pam_start_confdir(name, "nobody", &conv, argv[1], &pam) != 0) { printf("255\n"); continue; }
        int got = pam_authenticate(pam, 0);
        printf("%d\n", got);
        pam_end(pam, got);
    }
    return 0;
}
"#;

/// Compiles the program; `None` without a compiler or a library that has `pam_start_confdir`.
fn asker(directory: &Path) -> Option<PathBuf> {
    if !peer::has("gcc") {
        return None;
    }
    let (source, program) = (directory.join("ask.c"), directory.join("ask"));
    std::fs::write(&source, PROGRAM).unwrap();
    let output = Command::new("gcc")
        .arg("-o")
        .args([&program, &source])
        .args(["-l:libpam.so.0"])
        .output()
        .unwrap();
    if !output.status.success() {
        peer::missing(&format!("no libpam to link with: {}", told(&output)));
        return None;
    }
    Some(program)
}

/// What follows a line: comments, continuations; one that ends the file refuses the service.
const ENDS: [&str; 16] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    " # c",
    " \\ # c",
    " \\\n x",
    " \\ \n\n# c\n x # c",
    " \\\n",
];

fn control(dice: &mut Dice) -> String {
    let word = dice.pick(&["required", "requisite", "sufficient", "optional", "Required", "["]);
    if word != "[" {
        return word.to_string();
    }
    let mut text = "[".to_string();
    let mut seen = Vec::new();
    for _ in 0..=dice.below(3) {
        let value = dice.pick(&["success", "auth_err", "ignore", "new_authtok_reqd", "maxtries"]);
        if !seen.contains(&value) {
            seen.push(value);
            let action =
                dice.pick(&["ok", "done", "bad", "die", "ignore", "reset", "1", "2", "3", "1"]);
            write!(text, "{value}={action} ").unwrap();
        }
    }
    if !dice.one_in(4) {
        let action = dice.pick(&["bad", "die", "ignore", "ok", "reset", "1"]);
        write!(text, "default={action}").unwrap();
    }
    text.trim_end().to_string() + "]"
}

fn text(dice: &mut Dice, inner: &[&str]) -> String {
    let mut text = String::new();
    for _ in 0..=dice.below(5) {
        if dice.one_in(8) {
            text.push_str(dice.pick(&["# comment\n", "\n", "account required pam_deny.so\n"]));
        }
        if !inner.is_empty() && dice.one_in(3) {
            let name = dice.pick(inner);
            match dice.below(4) {
                0 => writeln!(text, "@include {name}").unwrap(),
                1 => writeln!(text, "auth include {name}").unwrap(),
                _ => writeln!(text, "auth substack {name}").unwrap(),
            }
            continue;
        }
        let answer = match dice.below(8) {
            0..=3 => "success",
            4 => "ignore",
            5 => "auth_err",
            6 => dice.pick(&["new_authtok_reqd", "maxtries"]),
            _ => dice.pick(&RETURNS[..30]),
        };
        let (kind, end) = (dice.pick(&["auth", "-auth", "AUTH"]), dice.pick(&ENDS));
        writeln!(text, "{kind}\t{} pam_debug.so auth={answer}{end}", control(dice)).unwrap();
    }
    text
}

/// pam_debug answers what its argument says.
fn answer(rule: &parsers::config::pam::Rule) -> Return {
    let said = rule.arguments.iter().find_map(|argument| argument.strip_prefix("auth="));
    said.and_then(Return::named).unwrap()
}

#[test]
fn a_thousand_stacks_end_as_libpam_ends_them() {
    use std::io::Write as _;
    let scratch = tempfile::tempdir().unwrap();
    let Some(program) = asker(scratch.path()) else { return };
    let directory = scratch.path().join("pam.d");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("other"), "auth required pam_deny.so\n").unwrap();
    let (mut cases, mut names) = (Vec::new(), String::new());
    for seed in peer::seeds(1_000) {
        let mut dice = Dice::new(seed);
        let names_of = |part: &str| format!("{part}{seed}");
        let (x, a, b) = (names_of("x"), names_of("a"), names_of("b"));
        // Includes by name are looked for in /etc/pam.d whatever the directory.
        let at = |name: &str| directory.join(name).display().to_string();
        let files = [
            (b.clone(), text(&mut dice, &[])),
            (a.clone(), text(&mut dice, &[&at(&b)])),
            (x.clone(), text(&mut dice, &[&at(&a), &at(&b)])),
        ];
        let mut tree = MemoryTree::new();
        for (name, text) in &files {
            std::fs::write(directory.join(name), text).unwrap();
            tree = tree.file(&at(name), text);
        }
        writeln!(names, "{x}").unwrap();
        cases.push((at(&x), tree, files));
    }
    let mut child = Command::new(program)
        .arg(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(names.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let theirs: Vec<u8> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(theirs.len(), cases.len(), "libpam stopped: {:?}", output.status);
    let (mut differences, mut successes, mut declined) = (Vec::new(), 0, 0);
    for ((name, tree, files), theirs) in cases.iter().zip(theirs) {
        let stack = Stack::read(tree, name).unwrap();
        let ours = stack.evaluate(Kind::Auth, answer).map(Return::number);
        successes += usize::from(theirs == 0);
        // A file with a fault refuses the service, or fails where it is included: no answer of ours.
        declined += usize::from(ours.is_none());
        if ours.is_some_and(|ours| ours != theirs) || (ours.is_none() && stack.problems.is_empty())
        {
            let theirs = RETURNS.get(usize::from(theirs)).unwrap_or(&"no start");
            let ours = ours.map(|ours| RETURNS[usize::from(ours)]);
            differences
                .push(format!("libpam {theirs}, ours {ours:?} {:?}\n{files:#?}", stack.problems));
        }
    }
    let shown = differences.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {} differ\n{shown}", differences.len(), cases.len());
    assert!(declined < cases.len() / 2, "{declined} stacks are not evaluated");
    assert!(successes > cases.len() / 10, "{successes} stacks succeed");
}
