//! `redis-server` on a unix socket alone, started with each configuration and asked by `CONFIG GET`.
//! Redis 7.0.
//!
//! Known differences, kept out of the generator: NUL bytes, names and values that do not exist (not
//! judged), relative includes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parsers::config::redis::read;
use parsers::config::settings::Settings;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const LINES: &[&str] = &[
    "timeout 10",
    "TIMEOUT 20",
    "timeout \"30\"",
    "timeout 3\"1\"",
    "bind 127.0.0.1 -::1",
    "bind *",
    "requirepass \"a b\"",
    "requirepass '\\x41'",
    "requirepass \"\\x41\\t\\q\"",
    "requirepass ''",
    "save 900 1",
    "save 300 10 60 10000",
    "save \"\"",
    "  appendonly yes",
    "appendonly no",
    "# comment",
    "",
    "\t",
    "maxmemory 100mb",
    "maxmemory 1gb",
    "slave-priority 7",
    "replica-priority 9",
    "include ROOT/a.conf",
    "include ROOT/d/*.conf",
    "include ROOT/d/x*",
    "Include 'ROOT/b.conf'",
    "client-output-buffer-limit slave 1 2 3 normal 4 5 6",
    "client-output-buffer-limit normal 7 8 9",
    "rename-command FLUSHALL x",
    "user bob on +ping",
    "hash-max-ziplist-entries 5",
    "hash-max-listpack-entries 6",
    "masterauth a#b",
    "tcp-keepalive 1\r",
];
const ODD: &[&str] = &[
    "timeout",
    "timeout 1 2",
    "requirepass \"x",
    "requirepass \"x\"y",
    "save 1",
    "save 1 2 3",
    "include ROOT/none",
    "include",
    "user bob on",
    "user bob off",
    "masterauth a b",
    "' '",
    "rename-command FLUSHALL y",
    "client-output-buffer-limit normal 1 2",
    "requirepass 'it\\'s' # c",
];

fn text(dice: &mut Dice, root: &str, lines: usize, is_main: bool) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(lines) {
        let line = if dice.one_in(30) { dice.pick(ODD) } else { dice.pick(LINES) };
        if is_main || !line.to_ascii_lowercase().starts_with("include") {
            text += &(line.replace("ROOT", root) + "\n");
        }
    }
    if dice.one_in(8) {
        text.pop();
    }
    text
}

const NAMES: [&str; 11] = [
    "timeout",
    "bind",
    "requirepass",
    "save",
    "appendonly",
    "maxmemory",
    "replica-priority",
    "client-output-buffer-limit",
    "hash-max-listpack-entries",
    "masterauth",
    "tcp-keepalive",
];

/// A server that is alive answers within this time.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What `CONFIG GET` says of the names; `None` when the server does not start.
fn ask(config: &str, directory: &str) -> Option<BTreeMap<String, String>> {
    let socket = format!("{directory}/s");
    let mut server = Command::new("redis-server")
        .arg(config)
        .args([
            "--port",
            "0",
            "--daemonize",
            "no",
            "--dbfilename",
            "none.rdb",
            "--unixsocket",
            &socket,
        ])
        .args(["--dir", directory, "--loglevel", "warning"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut answer = None;
    let deadline = Instant::now() + ANSWER_MAX;
    while server.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = server.kill();
            panic!("redis-server neither ends nor answers");
        }
        std::thread::sleep(Duration::from_millis(15));
        if !Path::new(&socket).exists() {
            continue;
        }
        let Some(password) = PASSWORDS.iter().find(|password| works(&socket, password)) else {
            continue;
        };
        let mut command = cli(&socket, password);
        let output = command.args(["--json", "CONFIG", "GET"]).args(NAMES).output().unwrap();
        answer = serde_json::from_slice(&output.stdout).ok();
        // Asked again unless it spoke: only a server that has ended refuses a configuration.
        if answer.is_some() {
            let _ = server.kill();
            break;
        }
    }
    let _ = server.wait();
    answer
}

/// The passwords that the lines set.
const PASSWORDS: [&str; 6] = ["", "a b", "\\x41", "A\tq", "it's", "x"];

fn cli(socket: &str, password: &str) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-s", socket]).stderr(Stdio::null());
    if !password.is_empty() {
        command.args(["--no-auth-warning", "-a", password]);
    }
    command
}

fn works(socket: &str, password: &str) -> bool {
    let output = cli(socket, password).arg("PING").output().unwrap();
    output.stdout.starts_with(b"PONG")
}

/// The same of ours, for the names that are set.
fn ours(settings: &Settings) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in NAMES {
        let Some(setting) = settings.get(name) else { continue };
        let value = match name {
            "save" => setting.values.iter().map(|v| v.value.clone()).collect::<Vec<_>>().join(" "),
            "maxmemory" => match setting.value() {
                Some("100mb") => "104857600".into(),
                _ => "1073741824".into(),
            },
            _ => setting.value().unwrap_or_default().to_string(),
        };
        all.insert(name.to_string(), value);
    }
    let class = |name: &str, default: &str| {
        let value = settings.value(&format!("client-output-buffer-limit {name}"));
        value.unwrap_or(default).to_string()
    };
    let limits = format!(
        "normal {} slave {} pubsub {}",
        class("normal", "0 0 0"),
        class("replica", "268435456 67108864 60"),
        class("pubsub", "33554432 8388608 60"),
    );
    all.insert("client-output-buffer-limit".into(), limits);
    all
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let base = scratch.join(format!("s{seed}"));
    let root = Directory(base.clone());
    let base = base.to_str().unwrap();
    let mut shown = String::new();
    for name in ["main", "a.conf", "b.conf", "d/1.conf", "d/2.conf", "d/x"] {
        let text = text(&mut dice, base, if name == "main" { 14 } else { 4 }, name == "main");
        root.write(name, &text);
        shown += &format!("--- {name}\n{text}\n");
    }
    let main = format!("{base}/main");
    let settings = read(&Directory("/".into()), &main).unwrap();
    // On a machine without memory to spare a server may fail to start: a refusal that surprises is
    // asked for twice.
    let theirs = match ask(&main, base) {
        None if settings.problems.is_empty() => ask(&main, base),
        once => once,
    };
    let _ = std::fs::remove_dir_all(base);
    match (&theirs, settings.problems.kept.first()) {
        (None, Some(_)) => Ok(Verdict::Refused),
        (Some(theirs), None) => {
            for (name, value) in ours(&settings) {
                if theirs[&name] != value {
                    return Err(format!(
                        "{name}: theirs {:?}, ours {value:?}\n{shown}",
                        theirs[&name]
                    ));
                }
            }
            Ok(Verdict::Accepted)
        }
        (theirs, ours) => Err(format!("theirs {theirs:?}, ours {ours:?}\n{shown}")),
    }
}

#[test]
fn generated_configurations_are_read_as_redis_reads_them() {
    if !peer::has("redis-server") || !peer::has("redis-cli") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(100), |seed| one(scratch.path(), seed));
    eprintln!("{} configurations agree, {accepted} of them accepted", accepted + refused);
    assert!(accepted > refused && refused > 0, "both sorts are needed");
}
