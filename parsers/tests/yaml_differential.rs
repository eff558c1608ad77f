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
    !at_root && !text.contains('\u{feff}')
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
