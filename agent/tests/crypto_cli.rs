//! The commands `hash`, `verify`, `seal`, `open` and `mac` as an admin uses them.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(dir: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A command that refuses its arguments does not read.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn private(dir: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(dir.join(name), bytes).unwrap();
    std::fs::set_permissions(dir.join(name), Permissions::from_mode(0o600)).unwrap();
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn hashes_come_in_input_order_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let passwords: Vec<String> = (0..40).map(|n| format!("CANARY\t{n} é")).collect();
    let cost = ["hash", "--memory", "64", "--time", "1", "--lanes", "2", "--jobs", "4"];
    let hashed = run(dir.path(), &cost, passwords.join("\n").as_bytes());
    assert_eq!((hashed.code, hashed.err.as_str()), (0, ""));
    let phcs: Vec<&str> = hashed.out.lines().collect();
    assert_eq!(phcs.len(), 40);
    assert!(phcs.iter().all(|phc| phc.starts_with("$argon2id$v=19$m=64,t=1,p=2$")));
    assert_eq!(phcs.iter().collect::<std::collections::BTreeSet<_>>().len(), 40);
    let pairs: Vec<String> =
        phcs.iter().zip(&passwords).map(|(phc, password)| format!("{phc}\t{password}")).collect();
    let verified = run(dir.path(), &["verify"], pairs.join("\n").as_bytes());
    assert_eq!((verified.code, verified.out), (0, "ok\n".repeat(40)));
}

#[test]
fn verify_answers_every_line_and_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let phc = run(dir.path(), &["hash", "--memory", "64", "--time", "1"], b"CANARY").out;
    let phc = phc.trim();
    let input = format!("{phc}\tCANARY\n{phc}\tother\n$1$x\tCANARY\nCANARY\n{phc}\tCANARY");
    let ran = run(dir.path(), &["verify", "--jobs", "2"], input.as_bytes());
    assert_eq!(
        ran.out,
        "ok\nmismatch\nerror: not an Argon2 PHC string: not argon2id, argon2i or argon2d\n\
         error: no tab between PHC string and password\nok\n"
    );
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let bomb = "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA\tx";
    let ran = run(dir.path(), &["verify"], bomb.as_bytes());
    assert_eq!(ran.out, "error: memory in KiB is 4294967295, outside of 8 to 1048576\n");
    let ran = run(dir.path(), &["verify"], b"");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("hint: "));
}

#[test]
fn verify_tells_good_passwords_whose_hash_is_weaker_than_a_new_one_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let made = |cost: &[&str]| {
        let phc = run(dir.path(), &[&["hash", "--memory"], cost].concat(), b"CANARY").out;
        format!("{}\t", phc.trim())
    };
    let (cheap, dear) = (made(&["64", "--time", "1"]), made(&["128", "--time", "2"]));
    let input = format!("{cheap}CANARY\n{dear}CANARY\n{cheap}other\n");
    let verify = |more: &[&str]| run(dir.path(), &[&["verify"], more].concat(), input.as_bytes());
    assert_eq!(verify(&[]).out, "ok\nok\nmismatch\n");
    let told = verify(&["--needs-rehash", "--memory", "128"]);
    assert_eq!((told.code, told.out.as_str()), (1, "ok needs-rehash\nok\nmismatch\n"));
    let told = verify(&["--needs-rehash"]).out;
    assert_eq!(told, "ok needs-rehash\nok needs-rehash\nmismatch\n", "OWASP's cost by default");
    let good = format!("{cheap}CANARY\n");
    let told = run(dir.path(), &["verify", "--needs-rehash"], good.as_bytes());
    assert_eq!(told.code, 0, "a weak hash of a good password holds");
}

#[test]
fn hash_refuses_costs_and_lines_out_of_bounds() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [["--memory", "1048577"], ["--time", "11"], ["--lanes", "17"], ["--memory", "7"]] {
        let ran = run(dir.path(), &["hash", wrong[0], wrong[1]], b"x\n");
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{wrong:?}");
        assert!(ran.err.contains("outside of") && ran.err.contains("hint: "));
    }
    let long = [b"CANARY\n".to_vec(), vec![b'A'; 10 << 20], b"\nx\n".to_vec()].concat();
    let ran = run(dir.path(), &["hash", "--memory", "64", "--time", "1"], &long);
    assert_eq!((ran.code, ran.out.lines().count()), (2, 1));
    assert!(ran.err.contains("line 2 is longer than 4096 bytes"), "{}", ran.err);
    let ran = run(dir.path(), &["hash", "--memory", "64", "--output", "hashes"], b"one\ntwo");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    let text = std::fs::read_to_string(dir.path().join("hashes")).unwrap();
    assert_eq!(text.lines().count(), 2);
    let ran = run(dir.path(), &["hash", "--memory", "64", "--output", "/dev/null"], b"one\n");
    assert_eq!(ran.code, 2, "a device is not replaced by a file");
}

#[test]
fn the_default_cost_is_owasps_and_rfc_9106_goes_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let owasp = run(dir.path(), &["hash"], b"x\n").out;
    assert!(owasp.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{owasp}");
    let rfc =
        run(dir.path(), &["hash", "--profile", "rfc9106", "--variant", "argon2i"], b"x\n").out;
    assert!(rfc.starts_with("$argon2i$v=19$m=65536,t=3,p=4$"), "{rfc}");
}

#[test]
fn a_closed_pipe_ends_with_141_though_the_input_stays_open() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .args(["hash", "--memory", "64", "--time", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141));
    drop(stdin);
}

#[test]
fn a_sealed_file_opens_with_its_key_and_context_only() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plain: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(dir.join("plain"), &plain).unwrap();
    for name in ["key", "other"] {
        assert_eq!(run(dir, &["seal", "--new-key", name], b"").code, 0);
        let meta = std::fs::metadata(dir.join(name)).unwrap();
        assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (32, 0o600));
    }
    let again = run(dir, &["seal", "--new-key", "key"], b"");
    assert_eq!(again.code, 2);
    assert!(again.err.contains("never overwritten"));

    let seal = ["seal", "plain", "-o", "sealed", "--key-file", "key", "--context", "host 7"];
    assert_eq!(run(dir, &seal, b"").code, 0);
    let sealed = std::fs::read(dir.join("sealed")).unwrap();
    assert_eq!(sealed.len(), 56 + plain.len() + 7 * 16);
    let open = |file: &str, key: &str, context: &str| {
        let arguments = ["open", file, "-o", "opened", "--key-file", key, "--context", context];
        run(dir, &arguments, b"")
    };
    let before = entries(dir);
    for (key, context) in [("other", "host 7"), ("key", "host 8"), ("key", "")] {
        let ran = open("sealed", key, context);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("wrong key, passphrase or context"), "{}", ran.err);
    }
    for (name, bytes) in [
        ("cut", sealed[..sealed.len() - 20].to_vec()),
        ("at-chunk", sealed[..56 + 2 * (16_384 + 16)].to_vec()),
        ("longer", [&sealed[..], b"x"].concat()),
        ("empty", Vec::new()),
    ] {
        std::fs::write(dir.join(name), bytes).unwrap();
        let ran = open(name, "key", "host 7");
        assert_eq!(ran.code, 1, "{name}");
        assert!(ran.err.contains(name) && ran.err.contains("hint: nothing was written"));
    }
    assert_eq!(entries(dir), before + 4, "a refused file leaves nothing behind");
    assert_eq!(open("sealed", "key", "host 7").code, 0);
    assert_eq!(std::fs::read(dir.join("opened")).unwrap(), plain);
    let mode = std::fs::metadata(dir.join("opened")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let long = ["open", "sealed", "--output", "o2", "--key-file", "key", "--context", "host 7"];
    assert_eq!(run(dir, &long, b"").code, 0, "--output means the same as -o");
    assert_eq!(std::fs::read(dir.join("o2")).unwrap(), plain);
}

#[test]
fn a_passphrase_seals_and_a_hostile_head_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    private(dir, "phrase", b"CANARY correct horse\n");
    private(dir, "phrase-without-newline", b"CANARY correct horse");
    private(dir, "wrong", b"CANARY incorrect horse\n");
    let seal = ["seal", "-", "-o", "s", "--passphrase-file", "phrase"];
    assert_eq!(run(dir, &seal, b"hello").code, 0);
    let open = |file: &str, phrase: &str| {
        run(dir, &["open", file, "-o", "out", "--passphrase-file", phrase], b"")
    };
    let wrong = open("s", "wrong");
    assert_eq!(wrong.code, 1);
    assert!(!wrong.err.contains("CANARY") && !dir.join("out").exists());
    assert_eq!(open("s", "phrase-without-newline").code, 0);
    assert_eq!(std::fs::read(dir.join("out")).unwrap(), b"hello");
    let mut hostile = std::fs::read(dir.join("s")).unwrap();
    hostile[12..16].fill(0xff);
    std::fs::write(dir.join("hostile"), hostile).unwrap();
    let ran = open("hostile", "phrase");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("memory in KiB is 4294967295"), "{}", ran.err);
    run(dir, &["seal", "--new-key", "key"], b"");
    let ran = run(dir, &["open", "s", "-o", "x", "--key-file", "key"], b"");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("hint: use --passphrase-file"));
}

#[test]
fn wide_short_and_special_key_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    private(dir, "short", b"CANARY");
    private(dir, "long", &[7; 33]);
    private(dir, "wide", &[7; 32]);
    std::fs::set_permissions(dir.join("wide"), Permissions::from_mode(0o640)).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().unwrap().success());
    for (key, says) in [
        ("short", "exactly 32 bytes"),
        ("long", "exactly 32 bytes"),
        ("wide", "mode 0640"),
        ("fifo", "not a regular file"),
        (".", "not a regular file"),
        ("none", "No such file"),
    ] {
        let ran = run(dir, &["seal", "-", "-o", "s", "--key-file", key], b"x");
        assert_eq!(ran.code, 2, "{key}");
        assert!(ran.err.contains(says) && !ran.err.contains("CANARY"), "{}", ran.err);
        assert!(!dir.join("s").exists());
    }
    assert_eq!(run(dir, &["seal", "-", "-o", "s"], b"x").code, 2);
    private(dir, "key", &[7; 32]);
    for input in ["fifo", ".", "none"] {
        let ran = run(dir, &["seal", input, "-o", "s", "--key-file", "key"], b"x");
        assert_eq!((ran.code, dir.join("s").exists()), (2, false), "{input}");
    }
    let ran = run(dir, &["seal", "-", "-o", "/dev/null", "--key-file", "key"], b"x");
    assert_eq!(ran.code, 2, "a device is not replaced by a file");
}

#[test]
fn a_check_list_holds_until_a_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    private(dir, "key", &[7; 32]);
    let odd = OsStr::from_bytes(b"new\nline: OK\xff");
    for name in [OsStr::new("a"), odd] {
        std::fs::write(dir.join(name), "content").unwrap();
    }
    let made = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .args(["mac", "--key-file", "key", "--output", "list", "a"])
        .arg(odd)
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(made.success());
    let check = |quiet: &[&str]| {
        run(dir, &[quiet, &["mac", "--key-file", "key", "--check", "list"]].concat(), b"")
    };
    let ran = check(&[]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.out.lines().count(), 2, "a name cannot forge a line");
    assert_eq!(check(&["--quiet"]).out, "");
    std::fs::write(dir.join("a"), "changed").unwrap();
    let ran = check(&["--quiet"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "a: FAILED\n"));
    std::fs::remove_file(dir.join("a")).unwrap();
    let ran = check(&["--quiet"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "a: FAILED open or read\n"));
    std::fs::write(dir.join("a"), "content").unwrap();
    let mut list = std::fs::read(dir.join("list")).unwrap();
    list.extend_from_slice(b"not a line\n");
    std::fs::write(dir.join("list"), list).unwrap();
    let ran = check(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("list:3: not a check line"), "{}", ran.err);
    std::fs::write(dir.join("list"), vec![b'a'; 10 << 20]).unwrap();
    assert_eq!(check(&[]).code, 1);
    std::fs::write(dir.join("list"), "").unwrap();
    assert_eq!(check(&[]).code, 2, "an empty list is not an intact one");
}

#[test]
fn a_mac_needs_a_key_and_finds_the_one_in_the_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let arguments = ["mac", "-", "--state-dir", "state"];
    let ran = run(dir, &arguments, b"x");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("hint: make a key with `wardmote seal --new-key"), "{}", ran.err);
    std::fs::create_dir(dir.join("state")).unwrap();
    private(dir, "state/mac.key", b"0123456789abcdef");
    let ran = run(dir, &arguments, b"what do ya want for nothing?");
    // As `openssl dgst -sha256 -hmac 0123456789abcdef` prints it.
    let expected = "e9265dc1bf18d4ec36915d9e82226c7ea0fa4e7f8077f611515bd5e29ec9988c  -\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected));
}

/// Made with libxcrypt from `alice2024`, a password that people make of their names.
const ALICE: &str = "$2b$04$abcdefghijklmnopqrstuuivimH5zH0oXfSESUtR3a5Ql8QD6v0aG";

#[test]
fn passwords_judges_without_guessing_and_guesses_without_telling() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let shadow = format!("root::20000:0:99999:7:::\nalice:{ALICE}:20000:0:99999:7:::\nbad line\n");
    private(dir, "shadow", shadow.as_bytes());
    std::fs::write(dir.join("passwd"), "root:x:0:0::/:/bin/sh\nalice:x:1:1::/:/bin/sh\n").unwrap();
    let judged = run(dir, &["passwords", "--shadow", "shadow"], b"");
    assert_eq!(judged.code, 1, "{}", judged.err);
    assert!(judged.out.starts_with("critical root: no password is asked\n"), "{}", judged.out);
    assert!(judged.out.contains("incomplete: shadow:3:"), "{}", judged.out);
    assert!(!judged.out.contains("guess:") && !judged.out.contains("guessed"), "{}", judged.out);

    private(dir, "words", b"one\ntwo\n");
    for format in ["text", "json", "jsonl"] {
        let words = ["passwords", "--shadow", "shadow", "--wordlist", "words", "--format", format];
        let guessed = run(dir, &words, b"");
        assert_eq!(guessed.code, 1, "{}", guessed.err);
        assert!(guessed.out.contains("the password was guessed"), "{}", guessed.out);
        for secret in ["alice2024", &ALICE[8..], "abcdefgh"] {
            let shown = guessed.out.contains(secret) || guessed.err.contains(secret);
            assert!(!shown, "{format}: {}{}", guessed.out, guessed.err);
        }
    }
    let gone = run(dir, &["passwords", "--shadow", "none"], b"");
    assert_eq!((gone.code, gone.out.as_str()), (2, ""));
}

/// Waits for something that a process does soon after its start.
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not seen: {what}");
}

#[test]
fn what_holds_secrets_is_not_swapped_where_the_system_allows() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .arg("hash")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let field = |name: &str| {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
        line.split_whitespace().nth(1).unwrap_or_default().to_string()
    };
    const CAP_IPC_LOCK: u64 = 1 << 14;
    match u64::from_str_radix(&field("CapEff:"), 16).unwrap() & CAP_IPC_LOCK {
        0 => println!("skipped: no CAP_IPC_LOCK"),
        _ => soon("locked memory", || field("VmLck:") != "0"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_holds_secrets_leaves_no_core_file() {
    // proc(5): the files of a process that is not dumpable belong to root, whoever runs it.
    let binary = env!("CARGO_BIN_EXE_wardmote");
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = match is_root {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--clear-groups", binary]);
            command
        }
        false => Command::new(binary),
    };
    let mut child =
        command.arg("hash").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let proc = format!("/proc/{}", child.id());
    let runs = || {
        let text = std::fs::read_to_string(format!("{proc}/status")).unwrap_or_default();
        text.contains("Name:\twardmote") && !text.contains("Uid:\t0")
    };
    soon("the program, not as root", runs);
    soon("files of root", || {
        std::fs::metadata(format!("{proc}/status")).is_ok_and(|meta| meta.uid() == 0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
}
