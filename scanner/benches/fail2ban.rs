//! fail2ban filters: what compiling costs, and what a line costs that is a failure or none.
//! Reads the filters of `/etc/fail2ban`; without them there is nothing to measure.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use divan::{Bencher, black_box};
use parsers::rules::fail2ban::{Backend, Call, Definition, filter};
use scanner::RootedTree;
use scanner::logs::fail2ban::{CONNECTIONS_MAX, Filter, Scratch, State};

const LINES: [(&str, &str); 5] = [
    (
        "failed",
        "Dec 10 06:55:46 LabSZ sshd[24200]: Failed password for root from 183.62.140.253 port 36027 ssh2",
    ),
    ("invalid", "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster from 173.234.31.186"),
    ("closed", "Dec 10 06:55:48 LabSZ sshd[24200]: Connection closed by 173.234.31.186 [preauth]"),
    (
        "harmless",
        "Dec 10 06:55:46 LabSZ CRON[24200]: pam_unix(cron:session): session opened for user root by (uid=0)",
    ),
    (
        "iso",
        "2024-05-01T10:00:00.123456+02:00 h sshd[24200]: Failed password for root from 183.62.140.253 port 36027 ssh2",
    ),
];

fn definition(name: &str) -> Option<Definition> {
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let call = Call { name: name.into(), ..Call::default() };
    filter::load(&tree, Path::new("/etc/fail2ban"), &call, Backend::File).ok()
}

fn all() -> Vec<Definition> {
    let files = std::fs::read_dir("/etc/fail2ban/filter.d").into_iter().flatten();
    let names = files.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter_map(|name| definition(name.strip_suffix(".conf")?)).collect()
}

#[divan::bench(args = LINES.map(|(name, _)| name))]
fn line(bencher: Bencher<'_, '_>, name: &str) {
    let Some(filter) = definition("sshd").map(|d| Filter::compile(&d, 2029).unwrap()) else {
        return;
    };
    let line = LINES.iter().find(|(known, _)| *known == name).unwrap().1.as_bytes();
    let mut scratch = Scratch::default();
    bencher.bench_local(|| filter.examine(black_box(line), &mut scratch));
}

#[divan::bench]
fn failed_line_with_its_connection(bencher: Bencher<'_, '_>) {
    let Some(filter) = definition("sshd").map(|d| Filter::compile(&d, 2029).unwrap()) else {
        return;
    };
    let mut scratch = Scratch::default();
    let mut state = State::new(CONNECTIONS_MAX, None);
    bencher.bench_local(|| {
        let seen = filter.examine(black_box(LINES[0].1.as_bytes()), &mut scratch).unwrap();
        state.take(&filter, &seen, None)
    });
}

#[divan::bench]
fn compile_sshd(bencher: Bencher<'_, '_>) {
    let Some(definition) = definition("sshd") else { return };
    bencher.bench_local(|| Filter::compile(black_box(&definition), 2029).unwrap());
}

#[divan::bench]
fn load_sshd(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| definition(black_box("sshd")));
}

#[divan::bench]
fn compile_all(bencher: Bencher<'_, '_>) {
    let all = all();
    bencher.bench_local(|| {
        all.iter().filter_map(|definition| Filter::compile(definition, 2029).ok()).count()
    });
}

#[divan::bench]
fn load_all(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| all().len());
}

fn main() {
    divan::main();
}
