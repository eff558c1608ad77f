//! Documents as JSON values: aliases expanded under a budget, scalars resolved, tags of the application
//! as a mapping of the tag's name to the value.

use serde_json::{Map, Number, Value};

use super::resolve::{self, Scalar};
use super::tree::{Kind, NodeRef, Tree};
use super::{DEPTH_MAX, DocumentError, NODES_MAX, TEXT_BYTES_MAX};

/// How many times larger than written the values may be once aliases are expanded, nodes and text.
const EXPANSION_MAX: usize = 100;
const TEXT_EXPANSION_MAX: usize = 16;

/// What a small document may grow to all the same: nodes, and bytes of text.
const SMALL_NODES: usize = 10_000;
const SMALL_TEXT_BYTES: usize = 1 << 20;

const TOO_LARGE: &str = "the document is larger than the limit once aliases are expanded";

/// What becomes of tags that are the application's own (`!name`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// A mapping of the tag to the value: `{"!name": value}`.
    Shown,
    /// Nothing: only the value is given.
    Dropped,
}

/// What may still be built, aliases expanded.
struct Budget {
    tags: Tags,
    nodes: usize,
    text_bytes: usize,
}

impl Tree<'_> {
    /// Every document as a JSON value.
    ///
    /// # Errors
    /// A key that stands twice in a mapping; values that are too deep, or more than a hundred times as many
    /// as are written, once aliases are expanded (an alias inside of what it names is endless).
    pub fn to_json(&self, tags: Tags) -> Result<Vec<Value>, DocumentError> {
        let nodes = EXPANSION_MAX * self.node_count() + SMALL_NODES;
        let text_bytes = TEXT_EXPANSION_MAX.saturating_mul(self.text().len()) + SMALL_TEXT_BYTES;
        let mut budget = Budget {
            tags,
            nodes: nodes.min(NODES_MAX),
            text_bytes: text_bytes.min(TEXT_BYTES_MAX),
        };
        // Counted before anything is built: a bomb costs a walk over its text.
        if self.expanded_nodes() > budget.nodes {
            return Err(DocumentError::whole(TOO_LARGE));
        }
        self.documents().map(|root| budget.value(root, 0)).collect()
    }
}

impl Tree<'_> {
    /// For every document a tree parallel to its JSON value: `{"line", "column"}` in the place of each
    /// scalar, alias and empty collection. Aliases are not followed; keys are the values' keys.
    ///
    /// # Errors
    /// Those of [`Tree::to_json`] for keys.
    pub fn to_places(&self) -> Result<Vec<Value>, DocumentError> {
        let mut budget = Budget { tags: Tags::Shown, nodes: NODES_MAX, text_bytes: TEXT_BYTES_MAX };
        self.documents().map(|root| budget.places(root, 0)).collect()
    }
}

impl Budget {
    /// Recursion ends at [`DEPTH_MAX`].
    fn places(&mut self, node: NodeRef<'_>, depth: usize) -> Result<Value, DocumentError> {
        if depth > DEPTH_MAX {
            return Err(fault(node, "values are nested too deeply"));
        }
        if node.children().next().is_none() {
            let (line, column) = node.place();
            return Ok(serde_json::json!({ "line": line, "column": column }));
        }
        if !node.kind().is_mapping() {
            let items = node.children().map(|item| self.places(item, depth + 1));
            return Ok(Value::Array(items.collect::<Result<_, _>>()?));
        }
        let mut map = Map::new();
        for (key, value) in node.pairs() {
            let name = self.name(key, depth + 1)?;
            map.insert(name, self.places(value, depth + 1)?);
        }
        Ok(Value::Object(map))
    }

    /// A key as JSON's text.
    fn name(&mut self, key: NodeRef<'_>, depth: usize) -> Result<String, DocumentError> {
        Ok(match self.value(key, depth)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Recursion ends at [`DEPTH_MAX`].
    fn value(&mut self, node: NodeRef<'_>, depth: usize) -> Result<Value, DocumentError> {
        let place = node;
        let node = node.resolved();
        let fault = |message: &str| fault(place, message);
        if depth > DEPTH_MAX {
            return Err(fault("values are nested too deeply"));
        }
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| fault(TOO_LARGE))?;
        let tag = if node.has_props() { node.tag() } else { None };
        self.take_text(tag.as_ref().map_or(0, String::len)).ok_or_else(|| fault(TOO_LARGE))?;
        let name = tag.as_deref().and_then(|tag| tag.strip_prefix('!'));
        let name = name.filter(|name| !name.is_empty() && self.tags == Tags::Shown);
        let inside = depth + 1 + usize::from(name.is_some());
        let value = match node.kind() {
            Kind::BlockSequence | Kind::FlowSequence => {
                let items = node.children().map(|item| self.value(item, inside));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Kind::BlockMapping | Kind::FlowMapping => {
                let mut map = Map::new();
                for (key, value) in node.pairs() {
                    let name = self.name(key, inside)?;
                    let value = self.value(value, inside)?;
                    if map.insert(name, value).is_some() {
                        return Err(self::fault(key, "a key stands twice in one mapping"));
                    }
                }
                Value::Object(map)
            }
            _ => self.scalar(node, tag.as_deref(), place)?,
        };
        Ok(match name {
            Some(name) => Value::Object(Map::from_iter([(format!("!{name}"), value)])),
            None => value,
        })
    }

    fn take_text(&mut self, bytes: usize) -> Option<()> {
        self.text_bytes = self.text_bytes.checked_sub(bytes)?;
        Some(())
    }

    fn scalar(
        &mut self,
        node: NodeRef<'_>,
        tag: Option<&str>,
        place: NodeRef<'_>,
    ) -> Result<Value, DocumentError> {
        let text = node.text();
        let plain = matches!(node.kind(), Kind::Plain | Kind::Empty);
        let core = tag.and_then(|tag| tag.strip_prefix("tag:yaml.org,2002:"));
        let resolved = match core {
            Some("str") => None,
            Some("bool" | "int" | "float" | "null") => {
                let resolved = resolve::scalar(&text);
                let fits = match (core, resolved) {
                    (Some("bool"), Scalar::Bool(_)) | (Some("null"), Scalar::Null) => true,
                    (Some("int"), Scalar::Unsigned(_) | Scalar::Signed(_)) => true,
                    (Some("float"), _) => resolve::float(&text).is_some(),
                    _ => false,
                };
                if !fits {
                    return Err(fault(place, "the text does not fit its tag"));
                }
                match core {
                    Some("float") => resolve::float(&text).map(Scalar::Float),
                    _ => Some(resolved),
                }
            }
            // `!` alone and other tags of YAML's own: text.
            Some(_) => None,
            None if tag == Some("!") => None,
            None => plain.then(|| resolve::scalar(&text)),
        };
        let shown = |value: f64| Value::String(value.to_string());
        Ok(match resolved {
            Some(Scalar::Null) => Value::Null,
            Some(Scalar::Bool(value)) => Value::Bool(value),
            Some(Scalar::Unsigned(value)) => value.into(),
            Some(Scalar::Signed(value)) => value.into(),
            // JSON has no infinities: they stay visible as text.
            Some(Scalar::Float(value)) => {
                Number::from_f64(value).map_or_else(|| shown(value), Value::Number)
            }
            Some(Scalar::Wide(_) | Scalar::SignedWide(_) | Scalar::Text) | None => {
                self.take_text(text.len()).ok_or_else(|| fault(place, TOO_LARGE))?;
                Value::String(text.into_owned())
            }
        })
    }
}

fn fault(node: NodeRef<'_>, message: &str) -> DocumentError {
    let (line, column) = node.place();
    DocumentError { line, column, message: message.into() }
}
