//! Where the keys of a YAML document stand: the YAML reader keeps no places.
//!
//! Reads the block style in which rules are written, by indentation. What it does not find (flow style,
//! quoted lines) is given the place of the nearest key above it, never a wrong one.

use std::sync::Arc;

use parsers::place::Place;

/// One document of a rule file.
pub(super) struct Outline<'a> {
    file: Arc<str>,
    /// Lines before it.
    before: u32,
    /// Its text.
    pub(super) text: &'a str,
    nodes: Vec<Node<'a>>,
}

struct Node<'a> {
    indent: usize,
    key: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Outline<'a> {
    /// The documents of a file, in order; one that holds nothing but comments is left out.
    pub(super) fn documents(file: &Arc<str>, text: &'a str) -> Vec<Self> {
        let mut documents = Vec::new();
        let (mut start, mut first, mut at, mut number) = (0, 0, 0, 0_u32);
        for line in text.split_inclusive('\n') {
            let ends = line.trim_end() == "---" || line.starts_with("--- ");
            if ends {
                documents.extend(Self::new(file, first, &text[start..at]));
                (start, first) = (at + line.len(), number + 1);
            }
            at += line.len();
            number += 1;
        }
        documents.extend(Self::new(file, first, &text[start..]));
        documents
    }

    fn new(file: &Arc<str>, before: u32, text: &'a str) -> Option<Self> {
        let holds = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if !text.lines().any(holds) {
            return None;
        }
        let nodes = text.lines().zip(before + 1..).filter_map(|(line, number)| node(line, number));
        let nodes = nodes.collect();
        Some(Self { file: Arc::clone(file), before, text, nodes })
    }

    /// The document as a whole: its first line.
    pub(super) fn whole(&self) -> Place {
        Place::new(&self.file, self.before + 1, 1)
    }

    /// A place that was told as if the document were a file.
    pub(super) fn moved(&self, place: &Place) -> Place {
        let line = if place.line == 0 { 1 } else { place.line };
        Place::new(&self.file, self.before + line, place.column.max(1))
    }

    /// The key at the end of a path of keys; as far as it is found.
    pub(super) fn at(&self, path: &[&str]) -> Place {
        let (mut from, mut to) = (0, self.nodes.len());
        let mut found = self.whole();
        for key in path {
            let Some(least) = self.nodes[from..to].iter().map(|node| node.indent).min() else {
                break;
            };
            // Keys of a list of maps stand deeper than the list's own: any depth will do there.
            let inside = || (from..to).filter(|index| self.nodes[*index].key == *key);
            let shallow = inside().find(|index| self.nodes[*index].indent == least);
            let Some(index) = shallow.or_else(|| inside().next()) else { break };
            let node = &self.nodes[index];
            found = Place::new(&self.file, node.line, node.column);
            let below = |next: &Node<'_>| next.indent > node.indent;
            from = index + 1;
            to = from + self.nodes[from..to].iter().take_while(|next| below(next)).count();
        }
        found
    }
}

/// The key with which a line begins.
fn node(line: &str, number: u32) -> Option<Node<'_>> {
    let mut rest = line.trim_start();
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
    }
    let indent = line.len() - rest.len();
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let key = match quote {
        Some(quote) => {
            let (key, after) = rest[1..].split_once(quote)?;
            after.starts_with(':').then_some(key)?
        }
        None if rest.starts_with('#') => return None,
        None => {
            let end = rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len))?;
            &rest[..end]
        }
    };
    Some(Node { indent, key, line: number, column: u32::try_from(indent + 1).unwrap_or(u32::MAX) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_found_in_their_document() {
        let text = "# none\n---\ntitle: a\ndetection:\n    one:\n        'x|re': y\n    two:\n        - x: 1\n          y: 2\n---\ntitle: b: c\n";
        let file = Arc::from("r.yml");
        let documents = Outline::documents(&file, text);
        assert_eq!(documents.len(), 2);
        let place = |index: usize, path: &[&str]| {
            let place = documents[index].at(path);
            (place.line, place.column)
        };
        assert_eq!(place(0, &["title"]), (3, 1));
        assert_eq!(place(0, &["detection", "one", "x|re"]), (6, 9));
        assert_eq!(place(0, &["detection", "two", "y"]), (9, 11));
        assert_eq!(place(0, &["detection", "none", "y"]), (4, 1));
        assert_eq!(place(1, &["title"]), (11, 1));
        assert_eq!(place(1, &["id"]), (11, 1));
    }
}
