//! What is found does not depend on whether lines of one shape are judged once.
#![allow(clippy::unwrap_used)] // helpers of tests too

mod corpora;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::rules::fail2ban::{Backend, Call, filter};
use parsers::rules::sigma::{Document, parse};
use parsers::tree::MemoryTree;
use scanner::RootedTree;
use scanner::logs::fail2ban::{Filter, Jail};
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, content, source, sweep};

use corpora::corpus;

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

/// A generator whose numbers are the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

/// What follows the stamp in the samples of the built-in rules and in fail2ban's, where it is present.
fn samples() -> Vec<String> {
    let mut texts: Vec<String> = content::FILES.iter().map(|(.., text)| text.to_string()).collect();
    if let Some(logs) = corpus("fail2ban/logs") {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |path: &PathBuf| {
            String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned().into()
        };
        texts.extend(files.iter().filter_map(read));
    }
    let mut found = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let line = line.trim().trim_start_matches("- log: '").replace("''", "'");
        let after = stamped(&line).unwrap_or(&line);
        found.push(after.trim_end_matches('\'').to_string());
    }
    found.sort();
    found.dedup();
    found
}

/// What follows `Dec 10 06:55:01 `.
fn stamped(line: &str) -> Option<&str> {
    let clock = line.get(7..15)?;
    let digits = |at: usize| clock.as_bytes()[at].is_ascii_digit();
    let is = clock.is_ascii() && clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
    (is && digits(0) && digits(7)).then(|| line.get(16..)).flatten()
}

/// The same with other digits; mostly as many as before, now and then some more or fewer.
fn varied(text: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    for one in text.chars() {
        if !one.is_ascii_digit() || dice.below(4) == 0 {
            out.push(one);
            continue;
        }
        let digits = match dice.below(40) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        (0..digits).for_each(|_| out.push(char::from(b'0' + dice.below(10) as u8)));
    }
    out
}

/// Every sample several times, with other digits, in an order that mixes them, all in a few hours.
fn log(texts: &[String], seed: u64, iso: bool) -> String {
    let mut dice = Dice(seed);
    let mut lines = String::new();
    let times = texts.len() * 4;
    for number in 0..times {
        let text = &texts[dice.below(texts.len())];
        let second = number * 10_000 / times;
        let (hour, minute, second) = (6 + second / 3600, second / 60 % 60, second % 60);
        let leap = if dice.below(200) == 0 { 60 } else { second };
        let clock = format!("{hour:02}:{minute:02}:{leap:02}");
        let text = varied(text, &mut dice);
        match (iso, dice.below(60)) {
            (_, 0) => writeln!(lines, "{text}"),
            (true, _) => writeln!(lines, "2025-12-10T{clock}.123456+02:00 {text}"),
            (false, _) => writeln!(lines, "Dec 10 {clock} {text}"),
        }
        .unwrap();
    }
    lines
}

fn jail(name: &str, filter: Filter) -> Jail {
    Jail {
        name: name.into(),
        filter,
        logpath: Vec::new(),
        reads_journal: false,
        maxretry: 2,
        findtime_s: 600.0,
        bantime_s: 600.0,
        ignored: Vec::new(),
        ignored_names: Vec::new(),
        zone: None,
    }
}

/// A filter of each sort that is of interest, and those of the host and the corpus.
fn jails() -> Vec<Jail> {
    const OWN: [(&str, &str); 7] = [
        (
            "plain",
            "failregex = ^ \\S+ sshd\\[\\d+\\]: Failed \\S+ for .* from <HOST> port \\d{2,5}",
        ),
        ("digits", "failregex = port 2\\d*[05] .*\\b1 <HOST>?\n  uid=0 .*rhost=<HOST>"),
        (
            "repeats",
            "failregex = ^ \\S+ useradd\\S+ (?:\\w*=?\\w+)+,<HOST>:\\d{6,}$\n  (?P<q>\\d)(?P=q){3} .* <HOST>$",
        ),
        ("dated", "failregex = session \\w+ for user <F-ID>\\S+</F-ID>\ndatepattern = uid=%%d\n"),
        (
            "ignores",
            "failregex = from <HOST> port\n for <F-ID>\\w+</F-ID>\n a<HOST>\n b<HOST>\nignoreregex = 0$",
        ),
        ("looks", "failregex = ^(?!.*\\b7\\d\\b).*(?<=from )<HOST>(?=\\D|$)"),
        (
            "several",
            "failregex = ^ \\S+ su.*<F-ID>\\w+</F-ID><SKIPLINES>.*session closed.*\nmaxlines = 4",
        ),
    ];
    let compiled = |tree: &dyn parsers::tree::Tree, base: &Path, name: &str| {
        let call = Call { name: name.into(), ..Call::default() };
        let definition = filter::load(tree, base, &call, Backend::File).ok()?;
        Some(jail(&name.replace('/', "_"), Filter::compile(&definition, 2029).ok()?))
    };
    let mut jails = Vec::new();
    for (name, text) in OWN {
        let file = format!("/f/filter.d/{name}.conf");
        let tree = MemoryTree::new().file(&file, format!("[Definition]\n{text}\n"));
        jails.push(compiled(&tree, Path::new("/f"), name).unwrap_or_else(|| panic!("{name}")));
    }
    let host = RootedTree::open(Path::new("/")).unwrap();
    let installed = Path::new("/etc/fail2ban");
    let corpus = corpus("fail2ban");
    let Some(base) = corpus.as_deref().or_else(|| installed.exists().then_some(installed)) else {
        return jails;
    };
    let Ok(files) = std::fs::read_dir(base.join("filter.d")) else { return jails };
    let mut names: Vec<String> = files
        .filter_map(|file| {
            Some(file.ok()?.file_name().to_str()?.strip_suffix(".conf")?.to_string())
        })
        .collect();
    names.sort();
    jails.extend(names.iter().filter_map(|name| compiled(&host, base, name)));
    jails
}

fn documents() -> Vec<Document> {
    let mut documents = content::documents().unwrap();
    let Some(sigma) = corpus("sigma") else { return documents };
    let mut left = vec![sigma];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|one| one == "yml")
            && let Ok(more) = parse(&Arc::from("sigma"), &std::fs::read(path).unwrap())
        {
            documents.extend(more);
        }
    }
    documents
}

fn swept(text: &str, rules: &RuleSet, (jobs, part_bytes, shapes): (usize, usize, bool)) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("auth.log"), text).unwrap();
    let tree = RootedTree::open(dir.path()).unwrap();
    let found = source::named(&tree, &["/auth.log".into()]);
    let options = SweepOptions { jobs, part_bytes, shapes, ..SweepOptions::new(NOW) };
    told(&sweep(&tree, found, None, rules, &options, None))
}

/// Everything that was found, as text.
fn told(outcome: &SweepOutcome) -> String {
    format!("{outcome:#?}").lines().filter(|line| !line.contains("elapsed")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

fn difference(one: &str, other: &str) -> Option<String> {
    let (mut ones, mut others) = (one.lines(), other.lines());
    let mut before = Vec::new();
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return None,
            (one, other) if one != other => {
                let near = before.iter().rev().take(30).rev().copied().collect::<Vec<_>>();
                return Some(format!("{}\n- {one:?}\n+ {other:?}", near.join("\n")));
            }
            (one, _) => before.extend(one),
        }
    }
}

#[test]
fn every_rule_finds_the_same_in_lines_of_known_shapes() {
    let mut jails = jails();
    let rules = match RuleSet::with_jails(documents(), std::mem::take(&mut jails)) {
        Ok(rules) => rules,
        Err(problems) => panic!("{:?}", problems.first()),
    };
    let texts = samples();
    assert!(texts.len() > 500 && rules.jails.len() >= 7);
    for (seed, iso) in [(1, false), (2, true)] {
        let text = log(&texts, seed, iso);
        let plain = swept(&text, &rules, (1, 1 << 20, false));
        assert!(plain.contains("Detection"));
        for way in [(1, 1 << 20, true), (2, 70_001, true), (3, 5_000, true), (2, 5_000, false)] {
            let shaped = swept(&text, &rules, way);
            if let Some(difference) = difference(&plain, &shaped) {
                panic!("{seed} {way:?}: {difference}");
            }
        }
    }
}
