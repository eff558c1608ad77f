//! Our YAML parser beside yaml_serde: what both read, they read the same; so they do with other line ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::yaml::{Kind, Tree};
use serde::Deserialize;
use serde_json::Value;
use wardmote_fuzz::timed;

/// Longer inputs cost the peer quadratic time.
const BYTES_MAX: usize = 4 << 10;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Zeros make UTF-16 or UTF-32 of it.
    if text.len() > BYTES_MAX || text.contains('\0') {
        return;
    }
    let Ok(tree) = timed(|| Tree::read(data)) else { return };
    if !text.contains('\r') {
        let crlf = text.replace('\n', "\r\n");
        let other = Tree::read(crlf.as_bytes()).map(|tree| tree.events());
        assert_eq!(other.ok(), Some(tree.events()));
    }
    if is_comparable(text, &tree)
        && let (Some(ours), Some(peers)) = (ours(&tree), peers(text))
    {
        assert_eq!(ours, peers);
    }
});

/// Leaves out what the two are known to read differently: block scalars at the root without indentation,
/// byte order marks inside, line breaks that YAML 1.2 no longer knows, tags, characters that only one of
/// them lets through, `?` before a word (an indicator for the peer in brackets), a last line without
/// its end (the suite counts one of blanks as a line, the peer does not), anchors that are no words (the
/// peer ends them early), anchors that are set twice (the peer counts names and not places, so a later
/// anchor takes an earlier one's number), and a stream without a document.
fn is_comparable(text: &str, tree: &Tree<'_>) -> bool {
    let odd = |sign: char| {
        matches!(sign, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '!' | '%')
    };
    let at_root = |kind| matches!(kind, Kind::Literal | Kind::Folded);
    let after_mark = |part: &str| !part.is_empty() && !part.starts_with([' ', '\t', '\n', '\r']);
    let name = |part: &str| {
        let end = part.find([' ', '\t', '\n', '\r', ',', '[', ']', '{', '}']).unwrap_or(part.len());
        part[..end].bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let mut anchors = std::collections::BTreeSet::new();
    let word = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        part[..end.unwrap_or(part.len())].to_string()
    };
    tree.documents().len() > 0
        && text.split('&').skip(1).all(|part| anchors.insert(word(part)))
        && text.split(['&', '*']).skip(1).all(name)
        && text.ends_with('\n')
        && !text.split('?').skip(1).any(after_mark)
        && !text.contains(odd)
        && !tree.documents().any(|root| at_root(root.kind()))
}

fn ours(tree: &Tree<'_>) -> Option<Vec<Value>> {
    tree.documents().map(|root| root.parse().ok()).collect()
}

fn peers(text: &str) -> Option<Vec<Value>> {
    serde_yaml::Deserializer::from_str(text).map(|d| Value::deserialize(d).ok()).collect()
}
