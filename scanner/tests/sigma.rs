//! What Sigma's rules mean: each modifier, each form of value and condition, decided on events.
//!
//! The table says for a detection and an event whether the rule matches, as the specification has it
//! (rules 2.0, modifiers 2.1). Every case is asked with and without the prefilter.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::path::PathBuf;
use std::sync::Arc;

use parsers::rules::sigma::{Document, parse};
use scanner::logs::RuleSet;
use scanner::logs::event::{Class, Event, Form};
use scanner::logs::matcher::Scratch;

fn rules(text: &str) -> RuleSet {
    let documents = parse(&Arc::from("case.yml"), text.as_bytes())
        .unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    RuleSet::new(documents).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

fn matches(rules: &RuleSet, line: &str) -> bool {
    let event = Event::read(line.as_bytes(), &mut Form::default());
    let mut hits = Vec::new();
    rules.each_match(&event, &mut Scratch::default(), |rule| hits.push(rule));
    assert_eq!(hits, rules.each_match_plainly(&event), "{line}");
    !hits.is_empty()
}

/// Whether a rule with this detection matches an object.
fn holds(detection: &str, object: &str) -> bool {
    let text = format!("title: t\nlogsource: {{product: any}}\ndetection: {detection}\n");
    matches(&rules(&text), object)
}

/// (test of one field, object, whether it matches)
const VALUES: &[(&str, &str, bool)] = &[
    // plain values
    ("f: whoami", r#"{"f":"WhoAmI"}"#, true),
    ("f: whoami", r#"{"f":"whoami "}"#, false),
    ("f: whoami", r#"{"g":"whoami"}"#, false),
    ("f: [a, b]", r#"{"f":"B"}"#, true),
    ("f: [a, b]", r#"{"f":"c"}"#, false),
    ("f: 4625", r#"{"f":4625}"#, true),
    ("f: 4625", r#"{"f":"4625"}"#, true),
    ("f: 4625", r#"{"f":46250}"#, false),
    ("f: true", r#"{"f":true}"#, true),
    ("f: true", r#"{"f":"TRUE"}"#, true),
    ("f: true", r#"{"f":false}"#, false),
    ("f: 1.5", r#"{"f":1.5}"#, true),
    ("f: ''", r#"{"f":""}"#, true),
    ("f: ''", r#"{"f":"x"}"#, false),
    ("f: ''", r#"{"g":"x"}"#, false),
    ("f: null", r#"{"g":"x"}"#, true),
    ("f: null", r#"{"f":null}"#, true),
    ("f: null", r#"{"f":"x"}"#, false),
    ("f: [null, x]", r#"{"g":1}"#, true),
    ("f: [null, x]", r#"{"f":"x"}"#, true),
    ("f: [null, x]", r#"{"f":"y"}"#, false),
    // wildcards and escapes
    ("f: 'prog?.exe'", r#"{"f":"progA.exe"}"#, true),
    ("f: 'prog?.exe'", r#"{"f":"prog.exe"}"#, false),
    ("f: 'a*z'", r#"{"f":"a\nz"}"#, true),
    ("f: 'a*z'", r#"{"f":"az"}"#, true),
    ("f: 'a*z'", r#"{"f":"azx"}"#, false),
    ("f: '*'", r#"{"f":""}"#, true),
    ("f: '*'", r#"{"g":""}"#, false),
    ("f: '?*'", r#"{"f":""}"#, false),
    (r"f: 'a\*'", r#"{"f":"a*"}"#, true),
    (r"f: 'a\*'", r#"{"f":"ab"}"#, false),
    (r"f: 'a\?'", r#"{"f":"a?"}"#, true),
    (r"f: 'a\\*'", r#"{"f":"a\\bc"}"#, true),
    (r"f: 'a\\*'", r#"{"f":"a*"}"#, false),
    (r"f: 'a\\\*'", r#"{"f":"a\\*"}"#, true),
    (r"f: 'a\\\*'", r#"{"f":"a\\b"}"#, false),
    (r"f: 'C:\Windows\x'", r#"{"f":"c:\\windows\\X"}"#, true),
    (r"f: 'C:\\Windows'", r#"{"f":"c:\\windows"}"#, true),
    (r"f: '\\\\server'", r#"{"f":"\\\\server"}"#, true),
    ("f: 'ÄRGER*'", r#"{"f":"ärger im amt"}"#, true),
    // where it stands
    ("f|contains: 'et c'", r#"{"f":"net Config"}"#, true),
    ("f|contains: 'a*c'", r#"{"f":"xabbcx"}"#, true),
    ("f|contains: ''", r#"{"f":"x"}"#, true),
    ("f|startswith: /tmp/", r#"{"f":"/TMP/x"}"#, true),
    ("f|startswith: /tmp/", r#"{"f":"/var/tmp/x"}"#, false),
    ("f|startswith: /tmp/", r#"{"f":"/tmp"}"#, false),
    ("f|endswith: [.sh, .csh]", r#"{"f":"/a.CSH"}"#, true),
    ("f|endswith: [.sh, .csh]", r#"{"f":"/a.sh.txt"}"#, false),
    ("f|contains|all: [-a, -b]", r#"{"f":"x -b -a"}"#, true),
    ("f|contains|all: [-a, -b]", r#"{"f":"x -b"}"#, false),
    ("f|all|contains: [-a, -b]", r#"{"f":"x -b -a"}"#, true),
    ("f|cased: Root", r#"{"f":"Root"}"#, true),
    ("f|cased: Root", r#"{"f":"root"}"#, false),
    ("f|contains|cased: OoT", r#"{"f":"rOoT"}"#, true),
    ("f|startswith|cased: ro", r#"{"f":"Root"}"#, false),
    // lists in the event: any element
    ("f: b", r#"{"f":["a","b"]}"#, true),
    ("f|contains|all: [a, b]", r#"{"f":["xa","xb"]}"#, true),
    ("f: c", r#"{"f":["a","b"]}"#, false),
    // neq
    ("f|neq: a", r#"{"f":"b"}"#, true),
    ("f|neq: a", r#"{"f":"A"}"#, false),
    ("f|neq: [a, b]", r#"{"f":"b"}"#, false),
    ("f|neq: 5", r#"{"f":5}"#, false),
    ("f|neq: a", r#"{"g":1}"#, true),
    ("f|neq|contains: a", r#"{"f":"xay"}"#, false),
    // re
    ("f|re: 'a.+c$'", r#"{"f":"xxabbc"}"#, true),
    ("f|re: 'a.+c$'", r#"{"f":"abbcd"}"#, false),
    ("f|re: 'A'", r#"{"f":"a"}"#, false),
    ("f|re|i: 'A'", r#"{"f":"a"}"#, true),
    ("f|re|m: '^b$'", r#"{"f":"a\nb\nc"}"#, true),
    ("f|re: '^b$'", r#"{"f":"a\nb\nc"}"#, false),
    ("f|re|s: 'a.b'", r#"{"f":"a\nb"}"#, true),
    ("f|re: 'a.b'", r#"{"f":"a\nb"}"#, false),
    ("f|re|i|m|s: '^B.c'", r#"{"f":"a\nb\nc"}"#, true),
    (r"f|re: '(^|\/)\.[^.\/]'", r#"{"f":"/home/.ssh"}"#, true),
    ("f|re: [x, y]", r#"{"f":"ay"}"#, true),
    ("f|re|all: [x, y]", r#"{"f":"ay"}"#, false),
    // cidr
    ("f|cidr: 192.0.2.0/24", r#"{"f":"192.0.2.255"}"#, true),
    ("f|cidr: 192.0.2.0/24", r#"{"f":"192.0.3.0"}"#, false),
    ("f|cidr: 192.0.2.7/32", r#"{"f":"192.0.2.7"}"#, true),
    ("f|cidr: 0.0.0.0/0", r#"{"f":"203.0.113.9"}"#, true),
    ("f|cidr: 0.0.0.0/0", r#"{"f":"2001:db8::1"}"#, false),
    ("f|cidr: ['10.0.0.0/8', 'fe80::/10']", r#"{"f":"febf::1"}"#, true),
    ("f|cidr: 'fe80::/10'", r#"{"f":"fec0::1"}"#, false),
    ("f|cidr: 10.0.0.0/8", r#"{"f":"host"}"#, false),
    // numbers
    ("f|gt: 5", r#"{"f":5}"#, false),
    ("f|gt: 5", r#"{"f":5.01}"#, true),
    ("f|gte: 5", r#"{"f":"5"}"#, true),
    ("f|lt: -1", r#"{"f":-2}"#, true),
    ("f|lte: 5", r#"{"f":6}"#, false),
    ("f|lt: 5", r#"{"f":"many"}"#, false),
    ("f|lt: 5", r#"{"g":1}"#, false),
    // exists
    ("f|exists: true", r#"{"f":""}"#, true),
    ("f|exists: true", r#"{"g":1}"#, false),
    ("f|exists: false", r#"{"g":1}"#, true),
    ("f|exists: false", r#"{"f":"x"}"#, false),
    // fieldref
    ("f|fieldref: g", r#"{"f":"Bob","g":"bob"}"#, true),
    ("f|fieldref: g", r#"{"f":"bob","g":"alice"}"#, false),
    ("f|fieldref: g", r#"{"f":"bob"}"#, false),
    ("f|neq|fieldref: g", r#"{"f":"bob","g":"alice"}"#, true),
    ("f|fieldref|contains: g", r#"{"f":"xbobx","g":"bob"}"#, true),
    ("f|fieldref|startswith: g", r#"{"f":"bobx","g":"bob"}"#, true),
    ("f|fieldref|endswith: g", r#"{"f":"bobx","g":"bob"}"#, false),
    ("f|cased|fieldref: g", r#"{"f":"Bob","g":"bob"}"#, false),
    // windash
    ("f|contains|windash: ' -f'", r#"{"f":"rm /f"}"#, true),
    ("f|contains|windash: ' -f'", r#"{"f":"rm –f"}"#, true),
    ("f|contains|windash: ' /f'", r#"{"f":"rm -f"}"#, true),
    ("f|windash|contains: '-a -b'", r#"{"f":"x /a ―b"}"#, true),
    ("f|windash|contains: '-a-b'", r#"{"f":"/a/b"}"#, false),
    // encodings
    ("f|base64: hello", r#"{"f":"aGVsbG8="}"#, true),
    ("f|base64: hello", r#"{"f":"AGVSBG8="}"#, false),
    ("f|base64|contains: hello", r#"{"f":"xaGVsbG8=x"}"#, true),
    ("f|base64offset|contains: 'sh -i'", r#"{"f":"c2ggLWk="}"#, true),
    ("f|base64offset|contains: 'sh -i'", r#"{"f":"eHNoIC1p"}"#, true),
    ("f|base64offset|contains: 'sh -i'", r#"{"f":"eHhzaCAtaQ=="}"#, true),
    ("f|base64offset|contains: 'sh -i'", r#"{"f":"eHh6aCAtaQ=="}"#, false),
    ("f|wide|base64offset|contains: IEX", r#"{"f":"SQBFAFgA"}"#, true),
    ("f|utf16le|base64: hi", r#"{"f":"aABpAA=="}"#, true),
    ("f|utf16be|base64: hi", r#"{"f":"AGgAaQ=="}"#, true),
    ("f|utf16|base64: hi", r#"{"f":"//5oAGkA"}"#, true),
    // parts of a time
    ("f|hour: 3", r#"{"f":"2024-05-06T03:59:00+09:00"}"#, true),
    ("f|hour|gte: 22", r#"{"f":"2024-05-06 21:59:59"}"#, false),
    ("f|minute|lt: 5", r#"{"f":"2024-05-06 21:04:59"}"#, true),
    ("f|day: [1, 31]", r#"{"f":"2024-05-31 21:04:59"}"#, true),
    ("f|week: 1", r#"{"f":"2024-12-30T00:00:00Z"}"#, true),
    ("f|month: 12", r#"{"f":"Dec 10 06:55:46"}"#, true),
    ("f|year|lte: 2023", r#"{"f":"2024-01-01T00:00:00Z"}"#, false),
];

#[test]
fn values_and_modifiers_mean_what_the_specification_says() {
    assert!(VALUES.len() >= 120);
    for (test, object, expected) in VALUES {
        let detection = format!("\n  s:\n    {test}\n  condition: s");
        assert_eq!(holds(&detection, object), *expected, "{test} on {object}");
        let negated = format!("\n  s:\n    {test}\n  condition: not s");
        assert_eq!(holds(&negated, object), !*expected, "not {test} on {object}");
    }
}

/// (detection, whether it matches the event below)
const CONDITIONS: &[(&str, bool)] = &[
    ("{a: {u: root}, condition: a}", true),
    ("{a: {u: bob}, condition: a}", false),
    ("{a: {u: bob}, condition: not a}", true),
    ("{a: {u: bob}, condition: not not a}", false),
    ("{a: {u: root, p: 22}, condition: a}", true),
    ("{a: {u: root, p: 23}, condition: a}", false),
    ("{a: [{u: bob}, {p: 22}], condition: a}", true),
    ("{a: [{u: bob}, {p: 22, m: x}], condition: a}", false),
    ("{a: [{u: bob}, curl], condition: a}", true),
    ("{a: {u: root}, b: {p: 23}, condition: a and b}", false),
    ("{a: {u: root}, b: {p: 23}, condition: a or b}", true),
    ("{a: {u: root}, b: {p: 23}, condition: a AND NOT b}", true),
    // not, then and, then or
    ("{a: {u: root}, b: {p: 23}, c: {p: 23}, condition: a or b and c}", true),
    ("{a: {u: root}, b: {p: 23}, c: {p: 23}, condition: (a or b) and c}", false),
    ("{a: {u: bob}, b: {p: 22}, condition: not a and b}", true),
    ("{a: {u: bob}, b: {p: 23}, condition: not (a and b)}", true),
    ("{a: {u: bob}, b: {p: 23}, condition: not a and b}", false),
    ("{a: {u: root}, b: {p: 22}, c: {p: 23}, condition: not c or not a and b}", true),
    ("{a: {u: root}, b: {p: 22}, condition: ((a)) and ((b))}", true),
    // quantifiers
    ("{x1: {u: bob}, x2: {p: 22}, condition: 1 of x*}", true),
    ("{x1: {u: bob}, x2: {p: 23}, condition: 1 of x*}", false),
    ("{x1: {u: bob}, x2: {p: 22}, condition: all of x*}", false),
    ("{x1: {u: root}, x2: {p: 22}, condition: all of x*}", true),
    ("{x1: {u: bob}, x2: {p: 22}, condition: any of x*}", true),
    ("{x1: {u: root}, x2: {p: 22}, x3: {p: 23}, condition: 2 of x*}", true),
    ("{x1: {u: root}, x2: {p: 23}, x3: {p: 23}, condition: 2 of x*}", false),
    ("{a: {u: root}, _b: {u: bob}, condition: all of them}", true),
    ("{a: {u: bob}, _b: {u: root}, condition: 1 of them}", false),
    ("{a: {u: bob}, _b: {u: root}, condition: 1 of _*}", true),
    ("{a: {u: bob}, _b: {u: root}, condition: 1 of *}", false),
    ("{sel_a_x: {u: root}, sel_b_y: {u: bob}, condition: all of sel_*_x}", true),
    ("{sel: {u: root}, f1: {p: 22}, f2: {p: 1}, condition: sel and not 1 of f*}", false),
    ("{sel: {u: root}, f1: {p: 2}, f2: {p: 1}, condition: sel and not 1 of f*}", true),
    ("{sel: {u: root}, f1: {p: 22}, f2: {p: 1}, condition: sel and not all of f*}", true),
    // a list of conditions: one of them
    ("{a: {u: bob}, b: {p: 22}, condition: [a, b]}", true),
    ("{a: {u: bob}, b: {p: 23}, condition: [a, b]}", false),
    // keywords
    ("{k: curl, condition: k}", true),
    ("{k: [wget, curl], condition: k}", true),
    ("{k: [wget, fetch], condition: k}", false),
    ("{k: {'|all': [curl, example]}, condition: k}", true),
    ("{k: {'|all': [curl, wget]}, condition: k}", false),
    ("{k: ['cu?l *example'], condition: k}", true),
    ("{k: {'|re': 'cu[rl]+ '}, condition: k}", true),
    ("{k: {'|cased': CURL}, condition: k}", false),
    ("{k: [22], condition: k}", true),
    ("{k: curl, f: {u: root}, condition: k and not f}", false),
    // a name that begins like an operator
    ("{notable: {u: root}, orders: {p: 22}, condition: notable and orders}", true),
    ("{all: {u: root}, condition: all}", true),
];

#[test]
fn conditions_mean_what_the_specification_says() {
    let event = r#"{"u":"root","p":22,"m":"curl http://example.org"}"#;
    for (detection, expected) in CONDITIONS {
        assert_eq!(holds(detection, event), *expected, "{detection}");
    }
}

#[test]
fn filters_leave_out_what_they_name() {
    let rule =
        "title: r\nname: r\nlogsource: {product: any}\ndetection: {s: {f: x}, condition: s}\n";
    let filter = "---\ntitle: f\nlogsource: {product: any}\nfilter:\n  rules: [r]\n  admins: {u|startswith: adm_}\n  condition: not admins\n";
    let rules = rules(&format!("{rule}{filter}"));
    assert!(matches(&rules, r#"{"f":"x","u":"bob"}"#));
    assert!(!matches(&rules, r#"{"f":"x","u":"adm_bob"}"#));
    assert!(!matches(&rules, r#"{"f":"y","u":"bob"}"#));
}

/// The rules that others wrote, or `None` where they are not here.
fn corpus() -> Option<Vec<(String, Vec<Document>)>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var("WARDMOTE_CORPORA").unwrap_or_else(|_| default.into());
    let mut pending = vec![PathBuf::from(root).join("sigma")];
    if !pending[0].is_dir() {
        assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no corpora");
        println!("skipped: no corpora at {}", pending[0].display());
        return None;
    }
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            let name: Arc<str> = path.to_string_lossy().into();
            let documents = parse(&name, &std::fs::read(&path).unwrap())
                .unwrap_or_else(|problem| panic!("{problem}"));
            files.push((name.to_string(), documents));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Some(files)
}

#[test]
fn every_rule_of_the_corpus_has_a_source_that_can_feed_it() {
    let Some(files) = corpus() else { return };
    let documents: Vec<Document> = files.into_iter().flat_map(|(_, documents)| documents).collect();
    let rules = RuleSet::new(documents).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(rules.rules.len(), 308);
    let mut counts = std::collections::BTreeMap::new();
    for compiled in &rules.rules {
        println!("{}: {}", compiled.source(), compiled.rule.header.title);
        *counts.entry(compiled.source()).or_insert(0) += 1;
    }
    let expected = [
        ("JSON logs of Zeek", 21),
        ("access logs of proxies", 29),
        ("audit records", 53),
        ("audit records of connections", 5),
        ("audit records of created files", 8),
        ("audit records of started programs", 122),
        ("commands logged by Cisco devices", 13),
        ("logs of web servers", 16),
        ("packets logged by a filter", 1),
        ("query logs of resolvers", 7),
        ("syslog", 17),
        ("syslog of a FortiGate", 7),
        ("syslog of a program", 5),
        ("syslog of network devices", 4),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(rules.dormant(), 0);
    assert_eq!(rules.dormant_rules().count(), 0);
}

#[test]
fn rules_may_be_kept_in_a_compact_form() {
    let Some(files) = corpus() else { return };
    let documents: Vec<Document> = files.into_iter().flat_map(|(_, documents)| documents).collect();
    let kept = postcard::to_stdvec(&documents).unwrap();
    let thawed: Vec<Document> = postcard::from_bytes(&kept).unwrap();
    assert_eq!(serde_json::to_string(&thawed).unwrap(), serde_json::to_string(&documents).unwrap());
    let rules = RuleSet::new(thawed).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(matches(&rules, "type=EXECVE msg=audit(1767225001.100:2): a0=\"chmod\" a1=\"777\""));
}

#[test]
fn the_prefilter_loses_no_match_of_the_corpus() {
    let Some(files) = corpus() else { return };
    let documents: Vec<Document> = files.into_iter().flat_map(|(_, documents)| documents).collect();
    let rules = RuleSet::new(documents).unwrap_or_else(|problems| panic!("{problems:?}"));
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    let record =
        |kind: &str, rest: String| format!("type={kind} msg=audit(1767225001.100:2): {rest}");
    let execve = |arguments: &[&str]| {
        let each = arguments.iter().enumerate().map(|(n, one)| format!("a{n}={}", hex(one)));
        record("EXECVE", each.collect::<Vec<_>>().join(" "))
    };
    // each is told by a rule, with texts that stand in the line in hexadecimal only
    let told = [
        execve(&["chmod", "777", "/x"]),
        execve(&["cat", "/home/x/.bash_history"]),
        execve(&["grep", "-r", "password"]),
        execve(&["xclip", "-selection", "clipboard", "-o"]),
        execve(&["truncate", "-s", "0", "x"]),
        record("PATH", format!("name={} nametype=CREATE", hex("/etc/systemd/system/a b.service"))),
        record("1302", format!("name={}", hex("/etc/ld.so.preload"))),
        record("SYSCALL", "arch=c000003e syscall=133 success=yes uid=1000".to_string()),
    ];
    for line in &told {
        assert!(matches(&rules, line), "{line}");
    }
    for line in [execve(&["true"]), record("CWD", "cwd=\"/\"".into()), "x".into(), String::new()] {
        assert!(!matches(&rules, &line), "{line}");
    }
}

#[test]
fn rules_without_a_source_here_are_named() {
    let rules = rules(
        "title: far\nlogsource: {product: windows, service: sysmon}\ndetection: {s: {f: x}, condition: s}\n",
    );
    let named: Vec<_> =
        rules.dormant_rules().map(|one| (one.rule.header.title.as_str(), one.source())).collect();
    assert_eq!(named, [("far", "JSON lines only")]);
    assert_eq!(rules.dormant(), 1);
}

#[test]
fn rules_that_nothing_on_a_host_feeds_are_named() {
    let rule = |title: &str, logsource: &str| {
        format!(
            "title: {title}\nlogsource: {{{logsource}}}\ndetection: {{s: [x], condition: s}}\n---\n"
        )
    };
    let text = [
        rule("ssh", "product: linux, service: sshd"),
        rule("any", "product: linux"),
        rule("web", "category: webserver"),
        rule("run", "product: linux, category: process_creation"),
        rule("dns", "category: dns"),
        rule("far", "product: windows"),
    ]
    .concat();
    let rules = rules(&text);
    let unfed = |classes: &[Class], programs: &[&str]| -> Vec<String> {
        let (has, writes) = (|c: Class| classes.contains(&c), |p: &str| programs.contains(&p));
        rules.unfed(&has, &writes).map(|one| one.rule.header.title.clone()).collect()
    };
    let all = ["ssh", "any", "web", "run", "dns", "far"];
    assert_eq!(unfed(&[], &[]), all);
    assert_eq!(unfed(&[Class::Syslog], &["cron"]), ["ssh", "web", "run", "dns", "far"]);
    assert_eq!(unfed(&[Class::Syslog], &["sshd", "named"]), ["web", "run", "far"]);
    assert_eq!(unfed(&[Class::Audit], &[]), ["ssh", "web", "dns", "far"]);
    assert_eq!(unfed(&[Class::Web], &["sshd"]), ["ssh", "any", "run", "dns", "far"]);
    assert!(unfed(&[Class::Json], &[]).is_empty());
}
