//! YAML and JSON documents: errors lie inside of the file, spans inside of the text, what was read as JSON
//! can be written and read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::yaml::{DOCUMENTS_MAX, NodeRef, Tree, documents, json};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        match documents(data) {
            Ok(all) => assert!(all.len() <= DOCUMENTS_MAX),
            Err(error) => Shape::of_yaml(data).holds(error.line, 0),
        }
        if let Ok(tree) = Tree::read(data) {
            for root in tree.documents() {
                spans_hold(root, tree.text());
                let _ = root.parse::<serde_json::Value>();
            }
            assert!(tree.events().ends_with("-STR\n"));
        }
        match json(data) {
            // Not compared: serde_json reads long fractions to within their last bit.
            Ok(value) => assert!(json(value.to_string().as_bytes()).is_ok()),
            Err(error) => shape.holds(error.line, error.column),
        }
    });
});

/// Children lie inside of their parent, one behind the other. Depth is the parser's limit.
fn spans_hold(node: NodeRef<'_>, text: &str) {
    let span = node.span();
    assert!(text.get(span.clone()).is_some(), "{span:?} is no text");
    let _ = (node.text(), node.tag(), node.anchor());
    let mut before = span.start;
    for child in node.children() {
        let inside = child.span();
        assert!(before <= inside.start && inside.end <= span.end, "{inside:?} in {span:?}");
        before = inside.end;
        spans_hold(child, text);
    }
}
