use std::io::Write;

use super::*;

/// The groups of the first match, or nothing.
fn groups(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
    let pattern = Pattern::new(pattern, Lines::One).unwrap();
    let mut machine = Machine::default();
    pattern.search(text, &mut machine).unwrap().then(|| {
        let count = pattern.0.names.len();
        let text = |(start, end): (usize, usize)| text[start..end].to_string();
        (0..count).map(|group| pattern.group(&machine, group).map(text)).collect()
    })
}

/// Patterns and texts where engines are known to differ.
const CASES: &[(&str, &str)] = &[
    ("a|ab", "ab"),
    ("(a|ab)(c|bcd)(d*)", "abcd"),
    ("^(?:a*)*$", "aaab"),
    ("(a*)*", "b"),
    ("(a*)+", "aa"),
    ("(?:(a)|b)*", "ab"),
    ("(a?)*?$", "aa"),
    (r"(\w+)\s+\1", "the the"),
    (r"(?i)(\w+) \1", "The tHE"),
    (r"(?P<q>['\x22])(.*?)(?P=q)", "say 'it' \"no\""),
    (
        r"^(?P<inv>invalid user )?(?P<user>(?P<plain>\S+)|(?(inv)(?:(?! from ).)*?|[^:]+)) from (\S+)(?(plain):|$)",
        "invalid user a from b from 1.2.3.4",
    ),
    (r"(x)?(?(1)a|b)", "xb"),
    (r"\b(?!publickey)\S+", "publickey password"),
    (r"(?<=\baudit\()\d+", "x audit(123"),
    (r"(?<!a)b", "abcb"),
    (r"(?<=^\[)\d", "[1"),
    (r"(?:[0-9a-f]{1,4}::?|::){1,7}(?:[0-9a-f]{1,4}|(?<=:):)", "2001:db8::1 x"),
    (r"(?:[0-9a-f]{1,4}::?|::){1,7}(?:[0-9a-f]{1,4}|(?<=:):)", "::"),
    (r"foo$", "foo\n"),
    (r"foo\Z", "foo\n"),
    (r"foo\s*$", "foo \n"),
    (r"[^x]+$", "foo\n"),
    (r".+", "é\nz"),
    (r"\w+", "héé-"),
    (r"\bé", "xé é"),
    (r"[]a]+", "]a"),
    (r"[^]a]+", "]ab"),
    (r"[a\-z]+", "a-z"),
    (r"a{,2}b", "aab"),
    (r"a{2", "a{2"),
    (r"\{%x{1}", "{%x"),
    (r"x{3,}", "xxxx"),
    (r"(?:ab){2,3}?", "ababab"),
    (r"(?s).+", "a\nb"),
    (r"(?m)^b$", "a\nb\nc"),
    (r"(?i:É)a", "éa"),
    (r"[^\s]+", "a\u{1f}b"),
    (r"\x41\u0042\101", "ABA"),
    (r"(?=(a+))a*b\1", "baaabac"),
    (r"(?>a+)b", "aab"),
    (r"a++a", "aaa"),
    (r"a?+a", "aa"),
    (r"(?!(a)b)ac", "abac"),
    (r"^.*?(\d+)(?:x|$)", "ab12x34"),
    (r"(?:a|b|)+c", "abc"),
    (r"()+x", "x"),
    (r"(?:(?=a)|b)*c", "bac"),
    (r"(?#note)a", "a"),
    (r"(?x) a b # c", "ab"),
    (r"\d+(?:\.\d{3,6})?", "12.3456789"),
    (r"[[]x", "[x"),
    (r"a|", "b"),
    (r"^((?:(?! from ).)*) from (.*)$", "a from b from c"),
    (r"^((?:(?! from ).)*?)(?: from | x)(\S*)", "a x b from c"),
    (r"^(?:(?!ab)[a-c]){2,4}(.*)", "cacab"),
    (r"(?:(?!b)a)+b", "aab"),
    (r"^(.*?)(\d+)-(\S+) (\w*?)z", "ab 12-c dzz"),
    (r"^([^:]+)é(.+)$", "aéaéb"),
    (r"(?:|a)b", "ab"),
];

#[test]
fn matches_and_groups_are_those_of_python() {
    for (pattern, _) in CASES {
        let lines = Lines::One;
        assert!(
            Pattern::new(pattern, lines).is_ok(),
            "{pattern}: {:?}",
            Pattern::new(pattern, lines)
        );
    }
    let script = "import sys,json,re\nfor l in sys.stdin:\n p,t=json.loads(l)\n m=re.search(p,t)\n \
                  print(json.dumps(None if m is None else [m.group(0)]+list(m.groups())))";
    let child = std::process::Command::new("python3")
        .args(["-W", "ignore", "-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no python3");
        println!("skipped: no python3");
        return;
    };
    let lines: String =
        CASES.iter().map(|case| serde_json::to_string(case).unwrap() + "\n").collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap().stdout;
    let said: Vec<Option<Vec<Option<String>>>> = String::from_utf8(said)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), CASES.len(), "python refused a case");
    for ((pattern, text), python) in CASES.iter().zip(said) {
        assert_eq!(groups(pattern, text), python, "{pattern} on {text:?}");
    }
}

#[test]
fn hostile_patterns_are_refused_with_their_place() {
    let refused = |pattern: &str| Pattern::new(pattern, Lines::One).unwrap_err();
    assert_eq!(refused("ab(c").what, "missing )");
    assert_eq!(refused("ab(c").at, 4);
    assert_eq!(refused("ab)").what, "unbalanced parenthesis");
    assert_eq!(refused("a**").what, "multiple repeat");
    assert_eq!(refused("*a").what, "nothing to repeat");
    assert_eq!(refused("[b-a]").what, "bad range");
    assert_eq!(refused(r"\q").what, "bad escape");
    assert_eq!(refused("(?P<a>x)(?P<a>y)").what, "two groups of one name");
    assert_eq!(refused("(?<=a+)b").what, "look-behind of no fixed width");
    assert_eq!(refused("(?:(?:a{1,999}b){1,999}c){1,999}").what, "repeats make it too big");
    let deep = |depth: usize| "(".repeat(depth) + "a" + &")".repeat(depth);
    assert!(Pattern::new(&deep(DEPTH_MAX - 1), Lines::One).is_ok());
    assert_eq!(refused(&deep(DEPTH_MAX)).what, "nested too deeply");
    assert!(Pattern::new(&"()".repeat(GROUPS_MAX), Lines::One).is_ok());
    assert_eq!(refused(&"()".repeat(GROUPS_MAX + 1)).what, "too many groups");
    assert_eq!(refused(&"a".repeat(PATTERN_BYTES_MAX + 1)).what, "longer than 64 KiB");
}

#[test]
fn catastrophic_patterns_are_answered_or_undecided() {
    let mut machine = Machine::default();
    let text = "a".repeat(1000);
    for pattern in ["^(a+)+$", "^(a|a)*b", "^(?:a|aa)+$", "(x+x+)+y|^(a*)*b"] {
        let pattern = Pattern::new(pattern, Lines::One).unwrap();
        assert_eq!(pattern.search(&(text.clone() + "!"), &mut machine), Ok(false), "{pattern:?}");
    }
    let referring = Pattern::new(r"^(a+)+\1b", Lines::One).unwrap();
    assert_eq!(referring.search(&text, &mut machine), Err(Undecided));
    let open = Pattern::new("^(?:(?:a|b)(?:a|c)(?:a|d))*e", Lines::One).unwrap();
    assert_eq!(open.search(&"a".repeat(64 << 10), &mut machine), Ok(false));
    assert_eq!(open.search(&"a".repeat(4 << 20), &mut machine), Err(Undecided));
    let line = "a".repeat(10 << 20);
    let pattern = Pattern::new("^(a+)+b", Lines::One).unwrap();
    assert_eq!(pattern.search(&line, &mut machine), Err(Undecided));
}

#[test]
fn needles_are_in_every_match_and_survive_a_cut_date() {
    let needles = |pattern: &str| {
        Pattern::new(pattern, Lines::One).unwrap().needles().map(<[String]>::to_vec)
    };
    let of = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(needles(r"^Failed (\S+) for x"), of(&["Failed "]));
    assert_eq!(needles(r"(?:alpha|beta)\d?"), of(&["beta", "alpha"]));
    assert_eq!(needles(r"(?:alpha|\d)x*"), None);
    assert_eq!(needles(r"client \[\] denied"), of(&[" denied"]));
    assert_eq!(needles(r"(abc)?defg"), of(&["defg"]));
    assert_eq!(needles(r"(?i)aB-"), of(&["AB-", "Ab-", "aB-", "ab-"]));
    // The Kelvin sign is a k, too.
    assert_eq!(needles(r"(?i)k"), None);
}
