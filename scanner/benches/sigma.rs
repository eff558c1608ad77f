//! What Sigma's rules cost: reading them, and asking all of them about one event of each sort.
//!
//! Over the rules that others wrote (`WARDMOTE_CORPORA`); without them over the built-in ones.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use divan::{Bencher, black_box};
use parsers::rules::sigma::{Document, parse};
use scanner::logs::RuleSet;
use scanner::logs::audit::{Joiner, Note};
use scanner::logs::content::FILES;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;

fn main() {
    divan::main();
}

fn files() -> &'static [(Arc<str>, Vec<u8>)] {
    static FILES_READ: OnceLock<Vec<(Arc<str>, Vec<u8>)>> = OnceLock::new();
    FILES_READ.get_or_init(|| {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
        let root = std::env::var("WARDMOTE_CORPORA").unwrap_or_else(|_| default.into());
        let mut pending = vec![PathBuf::from(root).join("sigma")];
        let mut found = Vec::new();
        while let Some(path) = pending.pop() {
            if let Ok(entries) = std::fs::read_dir(&path) {
                pending.extend(entries.flatten().map(|entry| entry.path()));
            } else if path.extension().is_some_and(|extension| extension == "yml")
                && let Ok(bytes) = std::fs::read(&path)
            {
                found.push((path.to_string_lossy().into(), bytes));
            }
        }
        if found.is_empty() {
            found = FILES.iter().map(|(n, t, ..)| (Arc::from(*n), t.as_bytes().to_vec())).collect();
        }
        found
    })
}

fn documents() -> Vec<Document> {
    files().iter().flat_map(|(name, bytes)| parse(name, bytes).unwrap_or_default()).collect()
}

fn rules() -> &'static RuleSet {
    static RULES: OnceLock<RuleSet> = OnceLock::new();
    RULES.get_or_init(|| RuleSet::new(documents()).unwrap_or_else(|p| panic!("{p:?}")))
}

#[divan::bench]
fn read_every_rule() -> usize {
    documents().len()
}

/// The YAML of the same files, read into values: the floor of the above.
#[divan::bench]
fn read_every_yaml() -> usize {
    let texts = files().iter().filter_map(|(_, bytes)| std::str::from_utf8(bytes).ok());
    texts.filter(|text| serde_yaml::from_str::<serde_yaml::Value>(text).is_ok()).count()
}

/// The same rules from the compact form in which they can be kept.
#[divan::bench]
fn thaw_every_rule(bencher: Bencher<'_, '_>) {
    let kept = postcard::to_stdvec(&documents()).unwrap_or_default();
    bencher.bench(|| {
        let thawed: Result<Vec<Document>, _> = postcard::from_bytes(black_box(&kept));
        thawed.map(|documents| documents.len())
    });
}

#[divan::bench]
fn prepare_every_rule(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(documents).bench_values(|documents| RuleSet::new(documents).is_ok());
}

const LINES: [(&str, &str); 6] = [
    ("syslog", "Jan  1 00:00:00 web sshd[7]: Failed password for root from 192.0.2.1 port 4 ssh2"),
    (
        "execve",
        "type=EXECVE msg=audit(1767225001.100:2): argc=3 a0=\"curl\" a1=\"-A\" a2=6576696C206167656E74",
    ),
    (
        "path",
        "type=PATH msg=audit(1767225001.101:3): item=1 name=\"/etc/new\" inode=1 dev=fe:01 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=CREATE cap_fp=0",
    ),
    (
        "request",
        "192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /a.php?b=c%20d HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
    ),
    (
        "json",
        "{\"time\":\"2026-01-01T00:00:00Z\",\"process\":{\"executable\":\"/usr/bin/curl\",\"command_line\":\"curl x\"}}",
    ),
    (
        "zeek",
        "{\"_path\":\"dns\",\"ts\":1767225000.1,\"uid\":\"C1\",\"id.orig_h\":\"192.0.2.1\",\"id.resp_p\":53,\"query\":\"a.example\"}",
    ),
];

#[divan::bench(args = LINES.map(|(name, _)| name))]
fn ask_every_rule(bencher: Bencher<'_, '_>, name: &str) {
    let line = LINES.iter().find(|(known, _)| *known == name).map_or("", |(_, line)| *line);
    let (rules, mut scratch, mut form) = (rules(), Scratch::default(), Form::default());
    bencher.bench_local(|| {
        let event = Event::read(black_box(line.as_bytes()), &mut form);
        let mut hits = 0;
        rules.each_match(&event, &mut scratch, |_| hits += 1);
        hits
    });
}

const CALL: [&str; 5] = [
    "type=SYSCALL msg=audit(1767225001.100:2): arch=c000003e syscall=59 success=yes exit=0 a0=5 a1=6 a2=7 a3=8 items=2 ppid=700 pid=701 auid=1000 uid=33 gid=33 euid=33 ses=3 comm=\"curl\" exe=\"/usr/bin/curl\" key=\"exec\"",
    "type=EXECVE msg=audit(1767225001.100:2): argc=3 a0=\"curl\" a1=\"-A\" a2=6576696C206167656E74",
    "type=CWD msg=audit(1767225001.100:2): cwd=\"/tmp\"",
    "type=PATH msg=audit(1767225001.100:2): item=0 name=\"/usr/bin/curl\" inode=1 nametype=NORMAL",
    "type=PROCTITLE msg=audit(1767225001.100:2): proctitle=6375726C002D41006576696C206167656E74",
];

#[divan::bench]
fn join_one_call(bencher: Bencher<'_, '_>) {
    let mut joiner = Joiner::default();
    bencher.bench_local(|| {
        let mut count = 0;
        for line in CALL {
            let record = parsers::log::audit::parse(black_box(line.as_bytes()));
            if let Some(note) = record.as_ref().and_then(Note::of) {
                joiner.push(note, (), |_, ()| count += 1);
            }
        }
        count
    });
}

#[divan::bench]
fn ask_about_one_call(bencher: Bencher<'_, '_>) {
    let mut joiner = Joiner::default();
    let mut found = None;
    for line in CALL {
        let record = parsers::log::audit::parse(line.as_bytes());
        if let Some(note) = record.as_ref().and_then(Note::of) {
            joiner.push(note, (), |joined, ()| found = Some(joined));
        }
    }
    let joined = found.unwrap_or_else(|| panic!("the call is complete"));
    let (rules, mut scratch) = (rules(), Scratch::default());
    bencher.bench_local(|| {
        let mut hits = 0;
        rules.each_match(&Event::of_joined(black_box(&joined)), &mut scratch, |_| hits += 1);
        hits
    });
}
