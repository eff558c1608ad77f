//! A graph for people and programs: a tree as text, JSON, and DOT (the language of Graphviz).
//!
//! Labels come from logs and files, so anybody may have written them. In a tree and in DOT, control
//! characters and those that change the direction of text are shown as escapes, so that a label is one
//! line and ends where it seems to end; in DOT, quotes and backslashes are escaped too, so that no
//! label ends its string.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Graph, Id, Stage};
use crate::likelihood::NAT;

/// Most lines of a tree; what is not shown is counted in a last line.
pub const MAX_TREE_LINES: usize = 10_000;
/// Deepest level of a tree that is shown.
pub const MAX_TREE_DEPTH: usize = 64;

/// One event as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Node<'a> {
    /// Its number.
    pub id: Id,
    /// What sort of event it is.
    pub stage: Stage,
    /// What it says.
    pub label: &'a str,
    /// When, seconds since the epoch.
    pub time: i64,
    /// What it counts for, nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<f64>,
    /// Its causes, as far as they are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Id>,
}

/// A part of a graph as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Document<'a> {
    /// The shape of this document.
    pub schema: &'static str,
    /// The events, causes first.
    pub events: Vec<Node<'a>>,
    /// How many events and labels the graph had no room for.
    pub refused: u64,
}

impl Graph {
    /// Some events ([`Graph::backward`], [`Graph::forward`], sorted) for a program.
    pub fn document(&self, shown: &[Id]) -> Document<'_> {
        let node = |id: &Id| {
            let event = self.event(*id)?;
            Some(Node {
                id: *id,
                stage: event.stage,
                label: self.text(*id),
                time: event.time,
                nats: event.nats.map(|nats| nats as f64 / NAT as f64),
                parents: self.shown_parents(*id, shown).collect(),
            })
        };
        let events = shown.iter().filter_map(node).collect();
        Document { schema: "wardmote.graph/1", events, refused: self.refused() }
    }

    /// Some events for Graphviz.
    pub fn dot(&self, shown: &[Id]) -> String {
        let mut dot = String::from("digraph wardmote {\n  rankdir=LR;\n  node [shape=box];\n");
        for id in shown {
            if self.event(*id).is_some() {
                let line = quoted(&self.line(*id));
                // Writing to a string cannot fail.
                let _ = writeln!(dot, "  n{} [label=\"{line}\"];", id.0);
            }
        }
        for id in shown {
            for parent in self.shown_parents(*id, shown) {
                let _ = writeln!(dot, "  n{} -> n{};", parent.0, id.0);
            }
        }
        dot.push_str("}\n");
        dot
    }

    /// An event with its causes below it, each with its own; what was shown once is only named again.
    pub fn tree(&self, id: Id) -> String {
        let mut tree = String::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut hidden = 0_u64;
        let mut lines = 0;
        // For each level above, whether more of its siblings follow.
        let mut open: Vec<bool> = Vec::new();
        let mut stack: Vec<(Id, usize, bool)> = Vec::new();
        if self.event(id).is_some() {
            stack.push((id, 0, false));
        }
        while let Some((id, depth, more)) = stack.pop() {
            if lines >= MAX_TREE_LINES || depth > MAX_TREE_DEPTH {
                hidden += 1;
                continue;
            }
            lines += 1;
            open.truncate(depth.saturating_sub(1));
            open.iter().for_each(|more| tree.push_str(if *more { "│  " } else { "   " }));
            if depth > 0 {
                tree.push_str(if more { "├─ " } else { "└─ " });
                open.push(more);
            }
            let new = seen.insert(id);
            let _ = write!(tree, "#{} {}", id.0, self.line(id));
            let parents = self.parents(id);
            tree.push_str(if new || parents.is_empty() { "\n" } else { " (as above)\n" });
            if new {
                for (at, parent) in parents.iter().enumerate().rev() {
                    stack.push((*parent, depth + 1, at + 1 < parents.len()));
                }
            }
        }
        if hidden > 0 {
            let _ = writeln!(tree, "… and {hidden} more, with what they came from");
        }
        tree
    }

    fn shown_parents(&self, id: Id, shown: &[Id]) -> impl Iterator<Item = Id> {
        let parents = self.parents(id).iter().copied();
        parents.filter(|parent| shown.binary_search(parent).is_ok())
    }

    /// An event as one line: stage, nats, text.
    fn line(&self, id: Id) -> String {
        let Some(event) = self.event(id) else { return String::new() };
        let mut line = event.stage.name().to_string();
        if let Some(nats) = event.nats {
            let _ = write!(line, " {:+.1}", nats as f64 / NAT as f64);
        }
        line.push(' ');
        line.push_str(&visible(self.text(id)));
        line
    }
}

/// The text on one line, with nothing in it that a terminal obeys.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut visible = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            visible.extend(character.escape_default());
        } else {
            visible.push(character);
        }
    }
    visible.into()
}

/// Control characters, separators of lines, and what changes the direction of text or has no width.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text as the inside of a quoted string of DOT. A backslash begins an escape there (`\N` is the
/// name of the node), so it is doubled.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
