//! Sigma documents, patterns and conditions: problems lie inside of the file; rules that were read can
//! be asked, and the prefilter loses no match.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::rules::sigma;
use scanner::logs::RuleSet;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;
use wardmote_fuzz::{Shape, timed};

/// A rule around the input, so that conditions and patterns are met without the mutator writing YAML.
const AROUND: [(&str, &str); 6] = [
    (
        "title: t\nlogsource: {product: linux}\ndetection:\n  a: {message: x}\n  b1: [y]\n  b2: [z]\n  condition: ",
        "\n",
    ),
    (
        "title: t\nlogsource: {product: linux}\ndetection:\n  condition: a\n  a:\n    message|contains: ",
        "\n",
    ),
    (
        "title: t\nlogsource: {product: linux}\ndetection:\n  condition: a\n  a:\n    message|re: ",
        "\n",
    ),
    (
        "title: t\nlogsource: {product: linux}\ndetection:\n  condition: a\n  a:\n    message|windash|contains: ",
        "\n",
    ),
    (
        "title: t\nlogsource: {product: linux}\ndetection:\n  condition: a\n  a:\n    message|wide|base64offset|contains: ",
        "\n",
    ),
    (
        "title: t\nlogsource: {service: auditd}\ndetection:\n  condition: a\n  a:\n    a0|endswith: ",
        "\n",
    ),
];

const LINE: &[u8] =
    b"Nov  3 10:00:00 host sshd[7]: Failed password for root from 192.0.2.1 port 4 ssh2";

const AUDIT: &[u8] = b"type=EXECVE msg=audit(1767225001.100:2): argc=2 a0=6C73 a1=\"-l\"";

const OBJECT: &[u8] = b"{\"message\":[\"a\\tb\",1.5e3],\"a0\":{\"b\":true}}";

fuzz_target!(|data: &[u8]| {
    timed(|| one(data));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    for (before, after) in AROUND {
        timed(|| one(format!("{before}{quoted}{after}").as_bytes()));
    }
});

fn one(bytes: &[u8]) {
    let documents = match sigma::parse(&"f".into(), bytes) {
        Ok(documents) => documents,
        Err(problem) => {
            Shape::of_yaml(bytes).holds(problem.place.line, 0);
            return;
        }
    };
    let Ok(rules) = RuleSet::new(documents) else { return };
    for line in [LINE, AUDIT, OBJECT, bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()]
    {
        let event = Event::read(line, &mut Form::default());
        let mut hits = Vec::new();
        rules.each_match(&event, &mut Scratch::default(), |rule| hits.push(rule));
        assert_eq!(hits, rules.each_match_plainly(&event));
    }
}
