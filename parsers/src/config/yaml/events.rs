//! The notation of yaml-test-suite for what a parser has seen: one event a line.

use std::fmt::Write;

use super::tree::{Kind, NodeRef, Tree};

impl Tree<'_> {
    /// The stream's events: `+STR`, `+DOC ---`, `=VAL :text` and so on, each on its line.
    ///
    /// ```
    /// let tree = parsers::config::yaml::Tree::read(b"- &a x\n- *a\n").unwrap();
    /// assert_eq!(tree.events(), "+STR\n+DOC\n+SEQ\n=VAL &a :x\n=ALI *a\n-SEQ\n-DOC\n-STR\n");
    /// ```
    pub fn events(&self) -> String {
        let mut out = String::from("+STR\n");
        for (document, root) in self.roots() {
            out.push_str(if document.explicit_start { "+DOC ---\n" } else { "+DOC\n" });
            node_events(&mut out, root);
            out.push_str(if document.explicit_end { "-DOC ...\n" } else { "-DOC\n" });
        }
        out.push_str("-STR\n");
        out
    }
}

/// The events of a node and of what it holds; an own stack, since depth is the caller's choice.
fn node_events(out: &mut String, root: NodeRef<'_>) {
    start(out, root);
    let mut open = vec![(root.kind(), root.children())];
    while let Some((kind, children)) = open.last_mut() {
        if let Some(child) = children.next() {
            start(out, child);
            if child.kind().is_collection() {
                open.push((child.kind(), child.children()));
            }
            continue;
        }
        match kind {
            kind if kind.is_mapping() => out.push_str("-MAP\n"),
            kind if kind.is_collection() => out.push_str("-SEQ\n"),
            _ => {}
        }
        open.pop();
    }
}

fn start(out: &mut String, node: NodeRef<'_>) {
    let kind = node.kind();
    out.push_str(match kind {
        Kind::BlockSequence => "+SEQ",
        Kind::FlowSequence => "+SEQ []",
        Kind::BlockMapping => "+MAP",
        Kind::FlowMapping => "+MAP {}",
        Kind::Alias => "=ALI",
        _ => "=VAL",
    });
    if let Some(anchor) = node.anchor() {
        let _ = write!(out, " &{anchor}");
    }
    if let Some(tag) = node.tag() {
        let _ = write!(out, " <{tag}>");
    }
    let sign = match kind {
        Kind::Alias => " *",
        Kind::Single => " '",
        Kind::Double => " \"",
        Kind::Literal => " |",
        Kind::Folded => " >",
        Kind::Plain | Kind::Empty => " :",
        _ => "",
    };
    out.push_str(sign);
    if !kind.is_collection() {
        escape(out, &node.text());
    }
    out.push('\n');
}

fn escape(out: &mut String, text: &str) {
    for sign in text.chars() {
        match sign {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            _ => out.push(sign),
        }
    }
}
