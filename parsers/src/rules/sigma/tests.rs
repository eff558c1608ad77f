//! What loads, what is refused and where, and what single values accept.

use super::*;

fn load(text: &str) -> Result<Vec<Document>, Problem> {
    parse(&Arc::from("r.yml"), text.as_bytes())
}

fn rule(detection: &str) -> Result<Vec<Document>, Problem> {
    load(&format!("title: t\nlogsource:\n  product: linux\ndetection:\n{detection}"))
}

fn only_test(detection: &str) -> Test {
    let documents = rule(&format!("  s:\n    {detection}\n  condition: s\n")).unwrap();
    let Document::Rule(rule) = &documents[0] else { panic!("not a rule") };
    match &rule.detection.selections[0].1 {
        Selection::All(tests) => tests[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn accepts(detection: &str, value: &str) -> bool {
    let test = only_test(detection);
    let mut values = test.values.iter();
    let holds = |matcher: &Matcher| matcher.accepts(value.as_bytes());
    test.negated != if test.all { values.all(holds) } else { values.any(holds) }
}

#[test]
fn values_accept_what_the_specification_says() {
    for (detection, value, expected) in [
        ("f: abc", "ABC", true),
        ("f: abc", "abcd", false),
        ("f|cased: abc", "ABC", false),
        ("f: a*c", "abbc", true),
        ("f: a*c", "abbcd", false),
        ("f: a?c", "abc", true),
        ("f: a?c", "ac", false),
        ("f: a?c", "aéc", true),
        (r"f: a\*c", "a*c", true),
        (r"f: a\*c", "abc", false),
        (r"f: a\?c", "a?c", true),
        (r"f: a\\*c", r"a\bc", true),
        (r"f: a\bc", r"a\bc", true),
        (r"f: a\\bc", r"a\bc", true),
        ("f: '*'", "", true),
        ("f: ''", "", true),
        ("f: ''", "x", false),
        ("f: '?*'", "", false),
        ("f: a*b*c", "a-b-b-c", true),
        ("f: a*b*c", "a-c-b", false),
        ("f: É*", "éa", true),
        ("f|contains: bc", "aBCd", true),
        ("f|contains: b?d", "aBCDe", true),
        ("f|contains: bc", "ac", false),
        ("f|startswith: ab", "ABc", true),
        ("f|startswith: ab", "cab", false),
        ("f|endswith: bc", "aBC", true),
        ("f|endswith: bc", "bca", false),
        ("f|contains|all: [a, b]", "xbxa", true),
        ("f|contains|all: [a, b]", "xbx", false),
        ("f: [a, b]", "b", true),
        ("f: 22", "22", true),
        ("f: true", "TRUE", true),
        ("f|re: a.c", "xabcx", true),
        ("f|re: ^a", "ba", false),
        ("f|re: A", "a", false),
        ("f|re|i: A", "a", true),
        ("f|re|s: a.b", "a\nb", true),
        ("f|re|m: ^b", "a\nb", true),
        ("f|cidr: 192.0.2.0/24", "192.0.2.255", true),
        ("f|cidr: 192.0.2.0/24", "192.0.3.0", false),
        ("f|cidr: 192.0.2.0/24", "::ffff:192.0.2.1", true),
        ("f|cidr: 0.0.0.0/0", "8.8.8.8", true),
        ("f|cidr: 2001:db8::/32", "2001:db8:1::1", true),
        ("f|cidr: 2001:db8::/32", "2001:db9::1", false),
        ("f|cidr: 192.0.2.1", "192.0.2.1", true),
        ("f|cidr: 192.0.2.0/24", "not an address", false),
        ("f|gt: 5", "6", true),
        ("f|gt: 5", "5", false),
        ("f|gte: 5", "5", true),
        ("f|lt: 5", "4.9", true),
        ("f|lte: 5", "5.1", false),
        ("f|lte: 5", "x", false),
        ("f|contains|windash: ' -x'", "a /x", true),
        ("f|contains|windash: ' -x'", "a \u{2013}x", true),
        ("f|contains|windash: ' -x'", "a +x", false),
        ("f|base64: foobar", "Zm9vYmFy", true),
        ("f|base64: foobar", "zm9vymfy", false),
        ("f|base64offset|contains: /bin/sh", "eC9iaW4vc2g=", true),
        ("f|base64offset|contains: /bin/sh", "L2Jpbi9zaCAtaQ==", true),
        ("f|base64offset|contains: /bin/sh", "eHgvYmluL3NoIC1p", true),
        ("f|base64offset|contains: /bin/sh", "L2Jpbi9scw==", false),
        ("f|wide|base64offset|contains: ab", "YQBiAA==", true),
        ("f|neq: a", "b", true),
        ("f|neq: a", "A", false),
        ("f: null", "", true),
        ("f: null", "x", false),
        ("f: 'a\u{0}b'", "a\u{0}b", false), // YAML single quotes hold no NUL: checked below
    ] {
        if detection.contains('\u{0}') {
            assert!(rule(&format!("  s:\n    {detection}\n  condition: s\n")).is_err());
            continue;
        }
        assert_eq!(accepts(detection, value), expected, "{detection} on {value:?}");
    }
}

#[test]
fn hostile_patterns_cost_no_more_than_their_product() {
    let pattern = Pattern::new(&"a*".repeat(100), Around::Whole, false);
    assert!(!pattern.accepts(b"ab"));
    assert!(pattern.accepts(&vec![b'a'; 60_000]));
    let pattern = Pattern::new("*aab*c", Around::Whole, false);
    assert!(!pattern.accepts(&vec![b'a'; 60_000]));
}

#[test]
fn required_texts_are_promised_only_where_they_hold() {
    let required = |detection| only_test(detection).values[0].required();
    assert_eq!(required("f|contains: AbC"), Some(b"abc".to_vec()));
    assert_eq!(required("f: ab*cde?f"), Some(b"cde".to_vec()));
    assert_eq!(required("f: '*'"), None);
    assert_eq!(required("f|re: abc"), None);
    assert_eq!(required("f: null"), None);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (detection, line, message) in [
        ("  s:\n    f|containz: x\n  condition: s\n", 6, "unknown modifier `containz`"),
        (
            "  s:\n    - a: b\n    - f|expand: '%x%'\n  condition: s\n",
            7,
            "unknown modifier `expand`",
        ),
        (
            "  s:\n    f|re: '(?=x)'\n  condition: s\n",
            6,
            "not a regular expression without look-around and back-references",
        ),
        ("  s:\n    f|cidr: x\n  condition: s\n", 6, "not a network in CIDR notation"),
        ("  s:\n    f|gt: x\n  condition: s\n", 6, "not a number"),
        ("  s:\n    f|i: x\n  condition: s\n", 6, "modifier `i` follows `re` only"),
        (
            "  s:\n    f: x\n  condition: t\n",
            7,
            "the condition names a selection that the rule does not have",
        ),
        (
            "  s:\n    f: x\n  condition: s and\n",
            7,
            "the condition ends where a selection is expected",
        ),
        ("  s:\n    f: x\n  condition: (s\n", 7, "a `(` is not closed"),
        ("  s:\n    f: x\n  condition: s s\n", 7, "the condition goes on where it should end"),
        (
            "  s:\n    f: x\n  condition: 2 of s*\n",
            7,
            "the number before `of` does not fit the selections after it",
        ),
        ("  s:\n    f: x\n  condition: 1 of t*\n", 7, "`of` names no selection of the rule"),
        (
            "  s:\n    f: x\n  condition: s | count() > 5\n",
            7,
            "aggregations (`| count()`) were removed from Sigma: write a correlation",
        ),
        ("  s:\n    f: x\n", 1, "a rule needs a `condition`"),
        (
            "  s:\n    f: {a: b}\n  condition: s\n",
            6,
            "a value is a text, a number, a boolean or null",
        ),
    ] {
        let problem = rule(detection).expect_err(detection);
        assert_eq!((problem.place.line, problem.message.as_str()), (line, message), "{detection}");
    }
    let second = "title: a\nlogsource: {product: linux}\ndetection: {s: {f: x}, condition: s}\n---\ntitle: b\nlogsource: {product: linux}\ndetection:\n  s:\n    f|x: 1\n  condition: s\n";
    assert_eq!(load(second).unwrap_err().place.line, 9);
    assert_eq!(load("a: [\n").unwrap_err().place.file.as_ref(), "r.yml");
    assert_eq!(load("").unwrap_err().message, "no rule in it");
    assert!(parse(&Arc::from("x"), b"\xff").is_err());
    assert!(parse(&Arc::from("x"), &vec![b' '; FILE_BYTES_MAX + 1]).is_err());
    let deep = format!("  s:\n    f: x\n  condition: {}s{}\n", "(".repeat(33), ")".repeat(33));
    assert!(rule(&deep).unwrap_err().message.contains("nested deeper"));
}

#[test]
fn correlations_are_read_and_what_cannot_be_kept_is_refused() {
    let text = |body: &str| format!("title: c\nname: many\nlevel: high\ncorrelation:\n{body}");
    let good = "  type: event_count\n  rules: [a]\n  group-by: [src_ip]\n  timespan: 10m\n  condition:\n    gt: 7\n";
    let documents = load(&text(good)).unwrap();
    let Document::Correlation(correlation) = &documents[0] else { panic!("not a correlation") };
    assert_eq!(correlation.kind, CorrelationKind::EventCount(Threshold { at_least: 8 }));
    assert_eq!((correlation.timespan_s, correlation.generate), (600, false));
    for (from, to) in [
        ("event_count", "sums"),
        ("10m", "10w"),
        ("10m", "91d"),
        ("gt: 7", "lt: 7"),
        ("gt: 7", "gte: 0"),
        ("gt: 7", "gte: 100001"),
        ("rules: [a]", "rules: []"),
        ("event_count", "value_count"),
        ("event_count", "temporal"),
        ("group-by", "group"),
    ] {
        assert!(load(&text(&good.replace(from, to))).is_err(), "{to}");
    }
}

#[test]
fn every_rule_of_the_corpus_loads() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var("WARDMOTE_CORPORA").unwrap_or_else(|_| default.into());
    let mut pending = vec![std::path::PathBuf::from(root).join("sigma")];
    if !pending[0].is_dir() {
        assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no corpora");
        println!("skipped: no corpora at {}", pending[0].display());
        return;
    }
    let (mut loaded, mut failed) = (0, Vec::new());
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            let name: Arc<str> = path.to_string_lossy().into();
            match parse(&name, &std::fs::read(&path).unwrap()) {
                Ok(documents) => loaded += documents.len(),
                Err(problem) => failed.push(problem.to_string()),
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(loaded, 308);
}

#[test]
fn brackets_nested_too_deeply_are_refused_at_once() {
    let deep = format!("title: {}", "[".repeat(crate::config::yaml::BRACKETS_MAX + 1));
    let problem = parse(&"f".into(), deep.as_bytes()).unwrap_err();
    assert_eq!((problem.place.line, &*problem.message), (1, "brackets are nested too deeply"));
}
