//! The parser beside yaml_serde (libyaml underneath) on generated documents.
//!
//! Written documents: both read the same values. Soups of signs: where both read something, they read
//! the same. What libyaml accepts and YAML 1.2 does not, or the other way round, is not compared; it is
//! listed in `differences_that_are_meant`, each with its reason.

mod yaml_generator;

use parsers::config::yaml::{Kind, Tree};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use yaml_generator::{Writer, soup, value};

fn ours(text: &str) -> Option<Vec<Value>> {
    let tree = Tree::read(text.as_bytes()).ok()?;
    if tree.documents().len() == 0 {
        // The peer gives an empty stream as one null.
        return Some(vec![Value::Null]);
    }
    let values = tree.documents().map(|root| root.parse::<Value>());
    values.collect::<Result<_, _>>().ok()
}

fn peers(text: &str) -> Option<Vec<Value>> {
    serde_yaml::Deserializer::from_str(text).map(|d| Value::deserialize(d).ok()).collect()
}

/// Leaves out what the two are known to read differently, see `differences_that_are_meant`.
fn is_comparable(text: &str) -> bool {
    let at_root = Tree::read(text.as_bytes()).is_ok_and(|tree| {
        tree.documents().any(|root| matches!(root.kind(), Kind::Literal | Kind::Folded))
    });
    let after_mark = |part: &str| !part.is_empty() && !part.starts_with([' ', '\t', '\n', '\r']);
    let odd_mark = text.split('?').skip(1).any(after_mark);
    !at_root && !odd_mark && !text.contains('\u{feff}')
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn written_documents_read_the_same(value in value(), seed: u64) {
        let text = Writer::write(&value, seed);
        prop_assert_eq!(ours(&text), peers(&text), "{}", text);
    }

    #[test]
    fn soups_that_both_read_read_the_same(text in soup()) {
        if is_comparable(&text) && let (Some(a), Some(b)) = (ours(&text), peers(&text)) {
            prop_assert_eq!(a, b, "{:?}", text);
        }
    }
}

/// Where the two differ on purpose: what is written, who accepts it, and why.
const DIFFERENCES: [(&str, Accepts, &str); 15] = [
    ("a: [\nb]\n", Accepts::Peer, "lines in brackets must be deeper than their key (7.4)"),
    ("a: 'b\nc'\n", Accepts::Peer, "quoted lines must be deeper than their key (7.3)"),
    ("- \n|-\n", Accepts::Peer, "a block scalar's sign must be deeper than what holds it (8.2.3)"),
    ("a: |#\n  b\n", Accepts::Peer, "a comment needs a blank before it (6.6)"),
    ("a: ''#\n", Accepts::Peer, "a comment needs a blank before it (6.6)"),
    (">\n  \n#?\n", Accepts::Peer, "at the root a block scalar needs no indentation (8.1.1.1)"),
    ("\ta\n", Accepts::Ours, "a tab may separate where nothing is indented (6.2)"),
    ("...\n", Accepts::Ours, "the end of no document is no document (9.2)"),
    (
        "[?x]",
        Accepts::Both,
        "a word may start with `?`; for the peer it is a key in brackets (7.3.3)",
    ),
    ("? - a\n: - b\n", Accepts::Both, "keys that are collections are read"),
    ("a: |\n\n  b\n", Accepts::Both, "empty lines before a block scalar's text"),
    ("{a: [b\n  ]\n}\n", Accepts::Both, "a closing bracket may stand as deep as its key"),
    ("a: [\n  b\n]\n", Accepts::Both, "a closing bracket may stand as deep as its key"),
    ("a: 1\n--- b\n", Accepts::Both, "a scalar on the line of its marker"),
    ("&a a: *a\n", Accepts::Both, "a key may be an anchor's value"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepts {
    Ours,
    Peer,
    Both,
}

#[test]
fn differences_that_are_meant() {
    for (text, accepts, why) in DIFFERENCES {
        let ours = Tree::read(text.as_bytes()).is_ok();
        let peer = serde_yaml::Deserializer::from_str(text)
            .all(|document| serde::de::IgnoredAny::deserialize(document).is_ok());
        let seen = match (ours, peer) {
            (true, true) => Some(Accepts::Both),
            (true, false) => Some(Accepts::Ours),
            (false, true) => Some(Accepts::Peer),
            (false, false) => None,
        };
        assert_eq!(seen, Some(accepts), "{text:?}: {why}");
    }
}
