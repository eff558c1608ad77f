//! Variables in values: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`,
//! `${NAME:+other}`; `$$` is a dollar sign (compose-spec `12-interpolation.md`).

use serde::Serialize;

use crate::config::document::{Data, Node};
use crate::place::Place;

/// Most variables that are listed.
pub const VARIABLES_MAX: usize = 10_000;

/// A variable that stands in a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What holds where it is not set.
    pub default: Option<String>,
    /// Whether compose stops where it is not set.
    pub is_required: bool,
    /// Where the value starts.
    pub place: Place,
}

/// Whether a text holds one.
pub(super) fn has_any(text: &str) -> bool {
    next(text).is_some()
}

/// The variables of a document, in its order. Depth is bounded by that of the document.
pub(super) fn collect(node: &Node, out: &mut Vec<Variable>) {
    match &node.data {
        Data::Text(text) => {
            let mut rest = text.as_str();
            while let Some((variable, after)) = next(rest) {
                if out.len() == VARIABLES_MAX {
                    return;
                }
                out.push(Variable { place: node.place.clone(), ..variable });
                rest = after;
            }
        }
        Data::List(items) => items.iter().for_each(|item| collect(item, out)),
        Data::Map(entries) => entries.iter().for_each(|entry| collect(&entry.value, out)),
        _ => {}
    }
}

/// The first variable of a text, and the text behind its name.
fn next(text: &str) -> Option<(Variable, &str)> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find('$')? + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (is_braced, inner) = match rest.strip_prefix('{') {
            Some(inner) => (true, inner),
            None => (false, rest),
        };
        let length = inner
            .bytes()
            .enumerate()
            .take_while(|(at, b)| {
                b.is_ascii_alphabetic() || *b == b'_' || (*at > 0 && b.is_ascii_digit())
            })
            .count();
        if length == 0 {
            continue;
        }
        let (name, after) = inner.split_at(length);
        let (default, is_required) = if is_braced { operator(after) } else { (None, false) };
        let place = Place::whole("");
        return Some((Variable { name: name.to_string(), default, is_required, place }, after));
    }
}

fn operator(after: &str) -> (Option<String>, bool) {
    let end = closing(after);
    let body = &after[..end];
    let body = body.strip_prefix(':').unwrap_or(body);
    match body.as_bytes().first() {
        Some(b'-') => (Some(body[1..].to_string()), false),
        Some(b'?') => (None, true),
        _ => (None, false),
    }
}

/// Where the brace closes; variables may stand in defaults.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_with_their_defaults() {
        let mut out = Vec::new();
        let text = "$A ${B} $$C ${D:-x${E-y}} ${F:?m} ${G:+h} $1 ${ $";
        collect(&Node::new(Place::whole("/x"), Data::Text(text.into())), &mut out);
        let shown: Vec<_> =
            out.iter().map(|v| (v.name.as_str(), v.default.as_deref(), v.is_required)).collect();
        assert_eq!(
            shown,
            [
                ("A", None, false),
                ("B", None, false),
                ("D", Some("x${E-y}"), false),
                ("E", Some("y"), false),
                ("F", None, true),
                ("G", None, false),
            ]
        );
    }

    #[test]
    fn many_variables_are_listed_up_to_the_limit() {
        let mut out = Vec::new();
        let text = "$A".repeat(VARIABLES_MAX + 1);
        collect(&Node::new(Place::whole("/x"), Data::Text(text)), &mut out);
        assert_eq!(out.len(), VARIABLES_MAX);
    }
}
