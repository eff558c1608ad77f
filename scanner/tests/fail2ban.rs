//! fail2ban's own sample lines, judged by its own filters: every line is annotated with what it is.
#![allow(clippy::unwrap_used)] // helpers of tests too

mod corpora;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::tz::TimeZone;
use parsers::rules::fail2ban::{Backend, Call, filter};
use scanner::RootedTree;
use scanner::logs::fail2ban::{
    CONNECTIONS_MAX, Failure, Filter, Moment, Scratch, Seen, State, Taken, When,
};
use serde_json::Value;

use corpora::corpus;

/// 14 August 2005, 12:00 in the zone below: the clock of the samples.
const NOW: i64 = 1_124_013_600;
const ZONE: &str = "CET-01CEST-02,M3.5.0,M10.5.0";

/// Samples of common prefixes, whose filter is not among the filters.
const GENERIC: &str = "zzz-generic-example";

/// What does not agree, and why: file, line, reason.
const EXCEPTIONS: &[(&str, usize, &str)] = &[];

type Options = BTreeMap<String, String>;

/// A filter under one set of options, and what it knows so far.
struct Subject {
    filter: Filter,
    state: State,
    /// The same, as a host asks: the first expression that matches, after the gate.
    plain: State,
}

#[derive(Default)]
struct Tally {
    executions: usize,
    matches: usize,
    wrong: Vec<(String, usize, String)>,
    disagreeing: BTreeSet<(String, usize)>,
    lines: BTreeSet<(String, usize)>,
}

struct Samples<'a> {
    /// Where `filter.d` is.
    root: &'a Path,
    logs: &'a Path,
    tree: &'a RootedTree,
    name: &'a str,
    subjects: BTreeMap<String, Subject>,
    common: Options,
    /// Keys of the subjects of the present block and their options.
    block: Vec<(String, Options)>,
    tally: &'a mut Tally,
    zone: TimeZone,
}

fn options(json: &Value) -> Options {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    json.as_object().unwrap().iter().map(|(k, v)| (k.clone(), text(v))).collect()
}

impl Samples<'_> {
    fn load(&mut self, given: &Options) -> String {
        let own: Options = given
            .iter()
            .filter(|(k, _)| !k.starts_with("test."))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let key = format!("{own:?}");
        if !self.subjects.contains_key(&key) {
            let call = Call { name: self.name.to_string(), options: own };
            let definition = if self.name == GENERIC {
                generic(self.tree, self.root)
            } else {
                filter::load(self.tree, self.root, &call, Backend::Unknown).unwrap()
            };
            let filter = Filter::compile(&definition, 2029).unwrap();
            let state = || State::new(CONNECTIONS_MAX, None);
            self.subjects.insert(key.clone(), Subject { filter, state: state(), plain: state() });
        }
        key
    }

    /// The few Python expressions that occur: `name == 'x'`, `opts.get('mode') != 'x'`.
    fn holds(&self, expression: &str, options: &Options) -> bool {
        let (left, equal, right) = match expression.split_once("!=") {
            Some((left, right)) => (left, false, right),
            None => {
                let (left, right) = expression.split_once("==").unwrap();
                (left, true, right)
            }
        };
        let said = match left.trim() {
            "name" => Some(self.name),
            "opts.get('mode')" => options.get("mode").map(String::as_str),
            other => panic!("an expression of no known form: {other}"),
        };
        (said == Some(right.trim().trim_matches('\''))) == equal
    }

    fn file(&mut self, file: &str) {
        let path = self.logs.join(file);
        let Ok(bytes) = std::fs::read(&path) else {
            println!("{}: names {file}, which is not among the samples", self.name);
            return;
        };
        let mut more = Vec::new();
        let mut skip = false;
        let mut said: Option<Value> = None;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let text = String::from_utf8_lossy(line);
            if let Some((kind, json)) = annotation(&text) {
                if said.is_some() {
                    println!("{file}:{}: the annotation before it describes no line", index + 1);
                }
                match kind {
                    "failJSON" => said = Some(json),
                    "addFILE" => more.push(json.as_str().unwrap().to_string()),
                    "fileOptions" => self.common = options(&json),
                    _ => skip = self.begin(&json),
                }
                continue;
            }
            if said.is_none() && (text.starts_with('#') || text.trim().is_empty()) {
                continue;
            }
            let expected = said.take().unwrap_or(Value::Null);
            if !skip {
                self.line(file, index + 1, line, &expected);
            }
        }
        for file in more {
            self.file(&file);
        }
    }

    /// Begins a block; whether it is to be left out.
    fn begin(&mut self, json: &Value) -> bool {
        let single = [json.clone()];
        let sets = json.as_array().map_or(&single[..], Vec::as_slice);
        self.block.clear();
        let mut skip = false;
        for set in sets {
            let mut given = self.common.clone();
            given.extend(options(set));
            skip = given.get("test.condition").is_some_and(|c| !self.holds(c, &given));
            if !skip {
                let key = self.load(&given);
                self.block.push((key, given));
            }
        }
        skip
    }

    fn line(&mut self, file: &str, number: usize, line: &[u8], expected: &Value) {
        if self.block.is_empty() {
            let key = self.load(&Options::new());
            self.block.push((key, Options::new()));
        }
        for (key, given) in self.block.clone() {
            if let Some(constraint) = expected["constraint"].as_str()
                && !self.holds(constraint, &given)
            {
                continue;
            }
            let wrong = self.execute(&key, &given, line, expected);
            self.tally.executions += 1;
            self.tally.matches += usize::from(expected["match"] == true);
            self.tally.lines.insert((file.to_string(), number));
            if let Some(wrong) = wrong {
                self.tally.disagreeing.insert((file.to_string(), number));
                self.tally.wrong.push((file.to_string(), number, format!("{given:?} {wrong}")));
            }
        }
    }

    fn execute(
        &mut self,
        key: &str,
        given: &Options,
        line: &[u8],
        expected: &Value,
    ) -> Option<String> {
        let journal = given.get("logtype").is_some_and(|logtype| logtype == "journal");
        let when = if journal { When::Known } else { When::InLine };
        let mut whole = given.get("test.prefix-line").cloned().unwrap_or_default().into_bytes();
        whole.extend_from_slice(line);
        let subject = self.subjects.get_mut(key).unwrap();
        let mut scratch = Scratch::default();
        let resolved =
            |moment: Option<Moment>| moment.and_then(|moment| moment.resolve(NOW, &self.zone));
        let time = |seen: &Seen| match journal {
            #[allow(clippy::cast_precision_loss)]
            true => Some(NOW as f64),
            false => resolved(seen.moment),
        };
        let mut failures = Vec::new();
        for seen in subject.filter.examine_all(&whole, when, &mut scratch) {
            let taken = subject.state.take(&subject.filter, &seen, time(&seen));
            if taken.undecided {
                return Some("undecided".into());
            }
            let time = if journal { time(&seen) } else { resolved(taken.moment) };
            failures.extend(taken.failure.map(|failure| (failure, time)));
        }
        if let Some(wrong) = compare(&failures, expected) {
            return Some(wrong);
        }
        // One expression after the other or only the first: a host gets the same.
        let plain = match journal {
            true => subject.filter.examine_message(&whole, &mut scratch),
            false => subject.filter.examine(&whole, &mut scratch),
        };
        let taken = plain.map_or_else(Taken::default, |seen| {
            subject.plain.take(&subject.filter, &seen, time(&seen))
        });
        let first = failures.first().map(|(failure, _)| &failure.id);
        (taken.failure.as_ref().map(|failure| &failure.id) != first)
            .then(|| format!("asked plainly: {:?}, not {first:?}", taken.failure))
    }
}

/// `# failJSON: {…}` and its like.
fn annotation(line: &str) -> Option<(&str, Value)> {
    let rest = line.strip_prefix('#')?.trim_start_matches('#');
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let (kind, json) = rest.split_once(':')?;
    let known = ["failJSON", "fileOptions", "filterOptions", "addFILE"].contains(&kind);
    known.then(|| (kind, serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))))
}

/// What is not as expected.
fn compare(found: &[(Failure, Option<f64>)], expected: &Value) -> Option<String> {
    let wanted = expected["match"] == true;
    let ((failure, time), rest) = match found.split_first() {
        None => return wanted.then(|| "not matched".to_string()),
        Some((first, rest)) => (first, rest),
    };
    if !wanted {
        return Some(format!("matched by {}", failure.regex));
    }
    if let Some((second, _)) = rest.first() {
        return Some(format!("matched by {} and {}", failure.regex, second.regex));
    }
    for (key, value) in expected.as_object().unwrap() {
        let field = |name: &str| {
            failure.fields.iter().find(|(known, _)| known == name).map(|(_, said)| said.clone())
        };
        let said: Value = match key.as_str() {
            "time" | "match" | "desc" | "constraint" => continue,
            "host" => field("host").unwrap_or_else(|| failure.id.clone()).into(),
            "dns" => failure.ip.map_or_else(|| failure.id.clone().into(), |_| Value::Null),
            "ip4" | "ip6" => failure.ip.map_or(Value::Null, |ip| ip.to_string().into()),
            "attempts" => failure.lines.into(),
            "users" => failure.users.iter().cloned().collect::<Vec<_>>().into(),
            name => field(name).map_or(Value::Null, Value::String),
        };
        // Addresses are the same however they are written.
        let address =
            |value: &Value| value.as_str().and_then(|t| t.parse::<std::net::IpAddr>().ok());
        if address(&said).is_some() && address(&said) == address(value) {
            continue;
        }
        let sorted = |value: &Value| {
            let mut list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            list.sort_by_key(ToString::to_string);
            list
        };
        if sorted(&said) != sorted(value) {
            return Some(format!("{key} is {said}, not {value}"));
        }
    }
    let wanted = expected["time"].as_str()?;
    // As Python reads it: a day may have one digit.
    let format = if wanted.contains('.') { "%Y-%m-%dT%H:%M:%S%.f" } else { "%Y-%m-%dT%H:%M:%S" };
    let local = jiff::civil::DateTime::strptime(format, wanted).unwrap();
    let zone = TimeZone::posix(ZONE).unwrap();
    let wanted = zone.to_timestamp(local).unwrap().as_microsecond();
    #[allow(clippy::cast_possible_truncation)]
    let said = time.map(|time| (time * 1e6).round() as i64);
    (said != Some(wanted)).then(|| format!("time is {time:?}, not {wanted}"))
}

/// The samples of common prefixes belong to a filter that is not among the filters: ours, for them.
fn generic(tree: &RootedTree, root: &Path) -> parsers::rules::fail2ban::Definition {
    let directory = tempfile::tempdir().unwrap();
    let common = root.join("filter.d/common.conf");
    let text = format!(
        "[INCLUDES]\nbefore = {}\n[Definition]\n_daemon = test-demo\n\
         datepattern = {{^LN-BEG}}\n  {{^LN-BEG}}%%Y-%%m-%%d %%H:%%M:%%S\n\
         failregex = ^%(__prefix_line)sF2B: (?:failure|error) from <HOST>$\n\
         ignoreregex = F2B: error from 192\\.0\\.2\\.251$\n  F2B: error from 192\\.0\\.2\\.252$\n",
        common.display()
    );
    let path = directory.path().join("generic.conf");
    std::fs::write(&path, text).unwrap();
    let call = Call { name: path.to_string_lossy().into_owned(), options: Options::new() };
    filter::load(tree, root, &call, Backend::Unknown).unwrap()
}

/// Judges every log of a directory by the filters of another.
fn judge(root: &Path, logs: &Path) -> Tally {
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let mut tally = Tally::default();
    let mut files: Vec<String> = std::fs::read_dir(logs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert!(files.len() >= 51, "{} logs", files.len());
    for name in &files {
        let known = root.join("filter.d").join(format!("{name}.conf")).exists();
        if !known && name != GENERIC {
            println!("{name}: no filter of that name");
            continue;
        }
        let mut samples = Samples {
            root,
            logs,
            tree: &tree,
            name,
            subjects: BTreeMap::new(),
            common: Options::new(),
            block: Vec::new(),
            tally: &mut tally,
            zone: TimeZone::posix(ZONE).unwrap(),
        };
        samples.file(name);
    }
    println!(
        "{} lines, {} executions ({} of them failures): {:.2} % of lines and {:.2} % of executions agree",
        tally.lines.len(),
        tally.executions,
        tally.matches,
        rate(tally.disagreeing.len(), tally.lines.len()),
        rate(tally.wrong.len(), tally.executions),
    );
    for (file, line, wrong) in &tally.wrong {
        let reason = EXCEPTIONS.iter().find(|(f, l, _)| f == file && l == line);
        println!("{file}:{line}: {wrong} ({})", reason.map_or("UNKNOWN", |(_, _, reason)| reason));
    }
    tally
}

#[allow(clippy::cast_precision_loss)]
fn rate(wrong: usize, all: usize) -> f64 {
    100.0 * (all - wrong) as f64 / all as f64
}

#[test]
fn the_samples_of_fail2ban_are_judged_as_it_judges_them() {
    let Some(root) = corpus("fail2ban") else { return };
    let tally = judge(&root, &root.join("logs"));
    assert!(rate(tally.disagreeing.len(), tally.lines.len()) >= 99.0);
    let known =
        |file: &String, line: &usize| EXCEPTIONS.iter().any(|(f, l, _)| f == file && l == line);
    assert!(tally.wrong.iter().all(|(file, line, _)| known(file, line)), "a new difference");
    assert!(tally.executions > 700, "{}", tally.executions);
}

/// Debian's package brings all samples of its version along, and other filters than the corpus.
#[test]
fn the_samples_of_the_installed_fail2ban_are_judged_as_it_judges_them() {
    let logs = Path::new("/usr/lib/python3/dist-packages/fail2ban/tests/files/logs");
    let root = Path::new("/etc/fail2ban");
    if !logs.exists() || !root.join("filter.d").exists() {
        assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no fail2ban");
        println!("skipped: no samples at {}", logs.display());
        return;
    }
    let tally = judge(root, logs);
    assert!(rate(tally.disagreeing.len(), tally.lines.len()) >= 99.0);
    assert!(tally.executions > 1_400, "{}", tally.executions);
}

#[test]
fn every_filter_compiles() {
    let Some(root) = corpus("fail2ban") else { return };
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let (mut filters, mut expressions, mut irregular, mut every_line) = (0, 0, 0, Vec::new());
    for entry in std::fs::read_dir(root.join("filter.d")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|e| e != "conf") || name.ends_with("common") {
            continue;
        }
        let call = Call { name: name.clone(), options: Options::new() };
        let definition = filter::load(&tree, &root, &call, Backend::File).unwrap();
        let filter = Filter::compile(&definition, 2029).unwrap_or_else(|e| panic!("{e}"));
        filters += 1;
        expressions += filter.expressions().len();
        irregular += filter.irregular();
        if filter.needed().is_none() {
            every_line.push(name);
        }
    }
    println!(
        "{filters} filters, {expressions} failregex; {irregular} expressions need more than an automaton; \
         every line matters to {every_line:?}"
    );
    assert_eq!(filters, 97);
    assert!(expressions >= 190, "{expressions}");
    assert!(every_line.len() <= 10, "{every_line:?}");
}
