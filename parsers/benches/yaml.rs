//! YAML to a tree and to typed values, beside serde_yaml in the same run, over files of the operator's
//! choice and generated ones of 1 KB to 10 MB.
//!
//! Run with `cargo bench -p parsers --bench yaml [-- FILE… | -- hostile]`. Each line: bytes, then for every reader the
//! best time of a run and MB/s. Times are those of the processor, and readers take turns, so that a busy
//! machine favours none. Hostile inputs follow, each under 50 ms and 64 MB or the bench fails.

#![allow(clippy::unwrap_used)] // a benchmark may panic

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use parsers::config::yaml::{self, Memory, Options, Tree};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

/// Longest time of a hostile input.
const HOSTILE_MAX: Duration = Duration::from_millis(50);

/// Most memory of a hostile input.
const HOSTILE_KIB_MAX: u64 = 64 << 10;

fn main() {
    let files: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if files.is_empty() {
        for size in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
            let text = services(size);
            measure(&format!("services {size}"), text.as_bytes(), Some(&text));
        }
        hostile();
    }
    for file in files {
        if file == "hostile" {
            hostile();
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        let name = file.rsplit('/').next().unwrap_or(&file);
        measure(
            name,
            &bytes,
            std::str::from_utf8(&bytes).ok().filter(|t| t.contains("x-defaults")),
        );
    }
}

/// What this thread has spent on a processor.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Shortest stretch that is timed: the clock of a virtual processor errs by microseconds.
const STRETCH: Duration = Duration::from_micros(300);

/// The best time of several readers that take turns for a while.
fn best<const N: usize>(readers: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    let mut readers = readers;
    let turns = readers.each_mut().map(|reader| {
        let (mut turns, start) = (0_u32, cpu());
        while turns == 0 || cpu() - start < STRETCH {
            reader();
            turns += 1;
        }
        turns
    });
    let started = cpu();
    let mut rounds = 0;
    while rounds < 5 || cpu() - started < Duration::from_millis(1_500) {
        for ((reader, best), turns) in readers.iter_mut().zip(&mut best).zip(turns) {
            let start = cpu();
            (0..turns).for_each(|_| reader());
            *best = best.min((cpu() - start).as_secs_f64() / f64::from(turns));
        }
        rounds += 1;
    }
    best
}

fn measure(name: &str, bytes: &[u8], typed: Option<&str>) {
    let options = Options::default();
    let mut memory = Some(Memory::default());
    let mut fresh = || {
        black_box(Tree::read(bytes).unwrap());
    };
    let mut reused = || {
        let tree = Tree::read_into(bytes, &options, memory.take().unwrap()).unwrap();
        memory = Some(black_box(tree).into_memory());
    };
    let mut peer = || {
        for document in serde_yaml::Deserializer::from_slice(bytes) {
            black_box(serde_yaml::Value::deserialize(document).unwrap());
        }
    };
    let [fresh, reused, peer] = best([&mut fresh, &mut reused, &mut peer]);
    report(name, bytes.len(), "tree", fresh);
    report(name, bytes.len(), "tree, memory reused", reused);
    report(name, bytes.len(), "serde_yaml::Value", peer);
    let Some(text) = typed else { return };
    let mut ours = || {
        black_box(yaml::from_slice::<File>(text.as_bytes()).unwrap());
    };
    let mut peer = || {
        black_box(serde_yaml::from_str::<File>(text).unwrap());
    };
    let [ours, peer] = best([&mut ours, &mut peer]);
    report(name, bytes.len(), "typed", ours);
    report(name, bytes.len(), "serde_yaml typed", peer);
}

fn report(name: &str, bytes: usize, reader: &str, seconds: f64) {
    let rate = bytes as f64 / seconds / 1e6;
    println!("{name}\t{bytes}\t{reader}\t{:.4} ms\t{rate:.1} MB/s", seconds * 1e3);
}

/// What the generated files hold.
#[derive(Deserialize)]
#[allow(dead_code)] // read by nobody: building it is what is measured
struct File {
    version: String,
    host: String,
    timezone: String,
    services: Vec<Service>,
}

#[derive(Deserialize)]
#[allow(dead_code)] // as above
struct Service {
    name: String,
    image: String,
    replicas: u32,
    enabled: bool,
    ratio: f64,
    ports: Vec<Port>,
    env: BTreeMap<String, String>,
    #[serde(default)]
    resources: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    script: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)] // as above
struct Port {
    name: String,
    container_port: u16,
    protocol: String,
}

/// A server's configuration of about so many bytes: comments, anchors, flow and block, all styles.
fn services(bytes: usize) -> String {
    let mut out = String::from(
        "# server configuration\n---\nversion: \"3.8\"\nhost: bastion-01.example.com\n\
         timezone: Europe/Berlin\nx-defaults: &defaults\n  restart: unless-stopped\nservices:\n",
    );
    let words = ["web", "api", "auth", "billing", "cache", "queue", "search", "mail"];
    let mut state = 7_u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut index = 0;
    while out.len() < bytes.max(900) {
        let word = words[random(8) as usize];
        let (port, other, team) = (1024 + random(60_000), random(256), words[random(8) as usize]);
        let _ = write!(
            out,
            "  # service {index}: owned by team {team}\n  - name: {word}-{index}\n    \
             image: \"registry.example.com/{word}:{}.{}\"\n    replicas: {}\n    enabled: {}\n    \
             ratio: 0.{:04}\n    <<: *defaults\n    ports:\n      \
             - {{name: http, containerPort: {port}, protocol: TCP}}\n    env:\n      \
             LOG_LEVEL: info\n      DATABASE_URL: 'postgres://{word}@db{}.internal:5432/{word}'\n      \
             FEATURE_FLAGS: \"a=1,note=\\\"quoted\\\"\\tTab\"   # trailing comment\n      EMPTY: \"\"\n    \
             resources:\n      limits: {{cpu: \"{}00m\", memory: {}Mi}}\n    allow:\n      \
             - 10.{other}.0.0/16\n      - 2001:db8:{other:x}::/48\n    \
             command: [ \"/usr/bin/{word}\", \"--listen\", \"0.0.0.0:{port}\" ]\n    script: |\n      \
             #!/bin/sh\n      exec /usr/bin/{word} --id {index} \"$@\"\n    description: >-\n      \
             The {word} service number {index} handles requests for {team} and\n      \
             forwards the rest; see the runbook for details.\n",
            random(9),
            random(30),
            1 + random(12),
            if random(2) == 0 { "true" } else { "false" },
            random(10_000),
            random(9),
            1 + random(8),
            64 + random(2_048),
        );
        index += 1;
    }
    out
}

/// Inputs made to cost much: each ends soon and small, read or refused.
fn hostile() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..40 {
        let items = vec![format!("*a{}", level - 1); 9].join(",");
        let _ = writeln!(laughs, "a{level}: &a{level} [{items}]");
    }
    let inputs = [
        ("laughs", laughs),
        ("[ x 100,000", "[".repeat(100_000)),
        ("- x 1,000,000", "- ".repeat(1_000_000)),
        ("1 MB of ?", "? ".repeat(500_000)),
        ("merge cycle", "a: &a\n  <<: *a\n".repeat(60_000)),
        ("64 KB keys", format!("{}: 1\n", "k".repeat(64 << 10)).repeat(16)),
        ("self alias", "- &a [*a]\n".repeat(100_000)),
        ("{ nested", "{\"\":[".repeat(200_000)),
        ("colons", ":".repeat(1_000_000)),
        ("keys that are no keys", "a: [[]: b]\n".repeat(100_000)),
        ("open quote", format!("\"{}", "\n ".repeat(500_000))),
        ("blank lines", format!("a: b\n{}", " \n".repeat(500_000))),
        ("anchors", "- &aaaaaaaaaaaaaaaaaaaaaaaa\n".repeat(37_000)),
        ("indents", (0..1_400).map(|depth| format!("{}- a\n", " ".repeat(depth))).collect()),
    ];
    for (name, text) in inputs {
        let before = resident_kib();
        let start = cpu();
        let read = Tree::read(text.as_bytes());
        let expanded = read.as_ref().is_ok_and(|tree| tree.to_json(yaml::Tags::Shown).is_ok());
        let elapsed = cpu() - start;
        let grown = resident_kib().saturating_sub(before);
        let end = match &read {
            Ok(_) if expanded => "read and expanded".to_string(),
            Ok(_) => "read, not expanded".to_string(),
            Err(error) => format!("{}:{}: {error}", error.line, error.column),
        };
        println!(
            "hostile: {name}\t{}\t{:.1} ms\t{grown} KiB\t{end}",
            text.len(),
            elapsed.as_secs_f64() * 1e3
        );
        assert!(elapsed <= HOSTILE_MAX, "{name} took {elapsed:?}");
        assert!(grown <= HOSTILE_KIB_MAX, "{name} took {grown} KiB");
    }
}

/// Memory of this process, from the kernel.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}
