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
    let each = test.values.iter().map(|matcher| matcher.accepts(value.as_bytes()));
    let one = each.clone().any(|holds| holds);
    assert_eq!(one, test.any_accepts(value.as_bytes()), "{detection}");
    test.negated != if test.all { each.clone().all(|holds| holds) } else { one }
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
        ("f|contains|windash: -a-b", "x /a-b", true),
        ("f|contains|windash: -a-b", "x /a/b", false),
        ("f|contains|windash: '-a /b'", "x \u{2014}a \u{2015}b", true),
        ("f|windash|contains: \u{2013}a", "x -a", true),
        ("f|wide: ab", "a\0b\0", true),
        ("f|utf16le|contains: ab", "xa\0b\0", true),
        ("f|utf16be: ab", "\0a\0b", true),
        ("f|utf16be: ab", "a\0b\0", false),
        ("f|utf16|base64: ab", "//5hAGIA", true),
        ("f|hour: 23", "2024-05-06T23:15:59+02:00", true),
        ("f|hour: 23", "2024-05-06T21:15:59Z", false),
        ("f|hour|gte: 20", "2024-05-06T23:15:59", true),
        ("f|hour|lt: 20", "2024-05-06T23:15:59", false),
        ("f|minute: 15", "2024-05-06T23:15:59", true),
        ("f|day: 6", "2024-05-06T23:15:59", true),
        ("f|week: 19", "2024-05-06T23:15:59", true),
        ("f|month: 5", "2024-05-06T23:15:59", true),
        ("f|year: 2024", "2024-05-06T23:15:59", true),
        ("f|year: 2024", "May  6 23:15:59", false),
        ("f|re|i|s: A.B", "a\nb", true),
        ("f|contains: [a1, b2, c3, d4, e5, f6, g7, h8]", "xxH8", true),
        ("f|contains: [a1, b2, c3, d4, e5, f6, g7, h8]", "xxH9", false),
        ("f: [a1, b2, c3, d4, e5, f6, g7, h8]", "H8", true),
        ("f: [a1, b2, c3, d4, e5, f6, g7, h8]", "xH8", false),
        ("f|endswith: [a1, b2, c3, d4, e5, f6, g7, h8]", "xH8", true),
        ("f|startswith: [a1, b2, c3, d4, e5, f6, g7, h8]", "H8x", true),
        ("f|startswith: [a1, b2, c3, d4, e5, f6, g7, h8]", "xH8", false),
        ("f: [a1, b2, c3, d4, e5, f6, g?7, '*h*8']", "xh-8", true),
        ("f|cased: [a1, b2, c3, d4, e5, f6, g7, h8]", "H8", false),
        ("f: [a1, b2, c3, d4, e5, '', null, h8]", "", true),
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
    let read = |text: &str| Pattern::of_parts(pattern::parts(text).unwrap(), false);
    let pattern = read(&"a*".repeat(100));
    assert!(!pattern.accepts(b"ab"));
    assert!(pattern.accepts(&vec![b'a'; 60_000]));
    let pattern = read("*aab*c");
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
            "no value is given for the placeholder `%x%`",
        ),
        (
            "  s:\n    f|re: '(?=x)'\n  condition: s\n",
            6,
            "not a regular expression without look-around and back-references",
        ),
        ("  s:\n    f|cidr: x\n  condition: s\n", 6, "not a network in CIDR notation"),
        ("  s:\n    f|gt: x\n  condition: s\n", 6, "not a number"),
        (
            "  s:\n    f|gt: 1\n  t:\n    - f|gt: 2\n    - f|gt: x\n  condition: s\n",
            9,
            "not a number",
        ),
        ("  s:\n    f|i: x\n  condition: s\n", 6, "modifier `i` follows `re` only"),
        ("  s:\n    f|re|base64: x\n  condition: s\n", 6, "modifier `base64` is for plain texts"),
        (
            "  s:\n    f|startswith|re: x\n  condition: s\n",
            6,
            "modifier `re` is for values as they are written",
        ),
        (
            "  s:\n    f|startswith|endswith: x\n  condition: s\n",
            6,
            "one of `contains`, `startswith` and `endswith` at most",
        ),
        ("  s:\n    f|base64: a*\n  condition: s\n", 6, "base64 of a text with wildcards"),
        (
            "  s:\n    f|windash: -a -b -c -d\n  condition: s\n",
            6,
            "`windash` for more than 3 dashes in one value",
        ),
        ("  s:\n    f|fieldref: a*\n  condition: s\n", 6, "the name of a field holds no wildcards"),
        ("  s:\n    f|exists: yes it does\n  condition: s\n", 6, "`exists` takes true or false"),
        (
            "  s:\n    '|exists': true\n  condition: s\n",
            6,
            "a keyword is a text or a regular expression",
        ),
        ("  s:\n    f|hour: noon\n  condition: s\n", 6, "not a number"),
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
        ("10m", "13w"),
        ("10m", "10y"),
        ("10m", "91d"),
        ("gt: 7", "lt: 7"),
        ("gt: 7", "eq: 7"),
        ("gt: 7", "neq: 7"),
        ("gt: 7", "{gt: 7, lte: 9}"),
        ("gt: 7", "gt: 7\n    field: x"),
        ("10m", "1M"),
        ("event_count", "value_avg"),
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
fn placeholders_get_their_values_or_are_refused() {
    let text = |value: &str| {
        format!(
            "title: t\nlogsource: {{product: linux}}\ndetection:\n  s:\n    f|expand: '{value}'\n  condition: s\n"
        )
    };
    let given = Placeholders::from([
        ("admins".into(), vec!["root".into(), "adm_*".into()]),
        ("sides".into(), vec!["a".into(), "b".into()]),
    ]);
    let holds = |value: &str, found: &str| {
        let documents = parse_with(&Arc::from("r.yml"), text(value).as_bytes(), &given).unwrap();
        let Document::Rule(rule) = &documents[0] else { panic!("not a rule") };
        let Selection::All(tests) = &rule.detection.selections[0].1 else { panic!("a list") };
        tests[0].any_accepts(found.as_bytes())
    };
    for (value, found, expected) in [
        ("%admins%", "ROOT", true),
        ("%admins%", "adm_bob", true),
        ("%admins%", "%admins%", false),
        ("x%sides%%sides%", "xba", true),
        ("x%sides%%sides%", "xbc", false),
        (r"\%admins%", "%admins%", true),
        (r"\%plain%sides%", "%plainb", true),
        ("100%", "100%", true),
        ("5% of 10%", "5% of 10%", true),
    ] {
        assert_eq!(holds(value, found), expected, "{value} on {found}");
    }
    let problem = parse_with(&Arc::from("r.yml"), text("%none%").as_bytes(), &given).unwrap_err();
    assert_eq!(problem.message, "no value is given for the placeholder `%none%`");
    assert_eq!(problem.place.line, 5);
    let many = Placeholders::from([("m".into(), vec![String::from("x"); 100])]);
    let problem = parse_with(&Arc::from("r.yml"), text("%m%%m%").as_bytes(), &many).unwrap_err();
    assert!(problem.message.contains("values"));
}

#[test]
fn filters_take_from_the_rules_that_they_name() {
    let rule = |id: &str| {
        format!(
            "title: r {id}\nname: {id}\nlogsource: {{product: linux, service: sshd}}\ndetection: {{s: {{f: x}}, condition: s}}\n---\n"
        )
    };
    let filter = |logsource: &str, rules: &str, condition: &str| {
        let text = format!(
            "{}{}title: f\nlogsource: {{{logsource}}}\nfilter:\n  rules: {rules}\n  selection: {{user: bob}}\n  condition: {condition}\n",
            rule("a"),
            rule("b"),
        );
        load(&text).and_then(|documents| {
            let collection =
                Collection::of(documents).map_err(|mut problems| problems.remove(0))?;
            Ok(collection.rules.iter().map(|r| r.detection.selections.len()).collect::<Vec<_>>())
        })
    };
    let linux = "product: linux";
    assert_eq!(filter(linux, "[a]", "not selection").unwrap(), [2, 1]);
    assert_eq!(filter(linux, "['r a', b]", "not 1 of sel*").unwrap(), [2, 2]);
    assert_eq!(filter(linux, "any", "not selection").unwrap(), [2, 2]);
    assert_eq!(filter("product: windows", "any", "not selection").unwrap(), [1, 1]);
    for (logsource, rules, condition, message) in [
        (linux, "[c]", "not selection", "the filter names `c`, a rule that is not loaded"),
        (
            "product: windows",
            "[a]",
            "not selection",
            "the filter is about other logs than the rules that it names",
        ),
        (
            linux,
            "[a]",
            "selection",
            "a filter's condition is joined to its rules' with `and`: write `not` before what is to be left out",
        ),
        (linux, "7", "not selection", "a filter names the `rules` that it is for, or says `any`"),
    ] {
        assert_eq!(filter(logsource, rules, condition).unwrap_err().message, message);
    }
    let global = load("action: global\ntitle: t\n").unwrap_err();
    assert!(global.message.starts_with("`action` was removed from Sigma"));
}

#[test]
fn expressions_of_all_rules_together_are_bounded() {
    let rule = |unit: &str, count: usize| {
        let values: String = (0..count).map(|n| format!("      - '{unit}{n}'\n")).collect();
        format!(
            "title: t\nlogsource: {{product: linux}}\ndetection:\n  s:\n    f|re:\n{values}  condition: s\n"
        )
    };
    assert!(Collection::of(load(&rule(r"\d{10}a", 1000)).unwrap()).is_ok());
    let problems = Collection::of(load(&rule(r"\d{30}a", 1400)).unwrap()).unwrap_err();
    assert_eq!(problems[0].message, "the regular expressions of all rules together are too big");
}

#[test]
fn rules_survive_being_written_and_read() {
    let documents = rule("  s:\n    f|contains: [a, b]\n    g|re: 'x+y'\n    h|cidr: 10.0.0.0/8\n    i|gte: 5\n    j|fieldref: f\n    k|hour: 3\n    l: null\n  condition: not s\n").unwrap();
    let text = serde_json::to_string(&documents).unwrap();
    let again: Vec<Document> = serde_json::from_str(&text).unwrap();
    assert_eq!(text, serde_json::to_string(&again).unwrap());
    let Document::Rule(rule) = &again[0] else { panic!("not a rule") };
    let Selection::All(tests) = &rule.detection.selections[0].1 else { panic!("a list") };
    assert!(tests[1].any_accepts(b"xxy") && !tests[1].any_accepts(b"xx"));
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
