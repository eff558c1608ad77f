//! YAML 1.2.2 and JSON documents, from input that nobody vouches for.
//!
//! [`Tree`] is the parser's result: an arena of small nodes whose scalars are ranges of the text, with
//! anchors, tags, styles and places; aliases are references, never copied, so that no input is larger read
//! than written. [`documents`], [`document`] and [`json`] give JSON values, [`from_slice`] typed ones.
//! Reading takes one pass and linear time for every input; depth, nodes, documents, key lengths and what
//! aliases expand to are bounded (see [`limits`]). The whole of yaml-test-suite agrees, with one leniency:
//! a closing bracket may stand as deep as the key that holds the collection, as everybody writes it. Merge
//! keys (`<<`) are left as they are, as serde_yaml does.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

mod block;
mod de;
mod decode;
mod events;
mod flow;
pub mod limits;
mod parser;
mod props;
pub mod resolve;
mod scalar;
mod scan;
mod stream;
mod text;
mod tree;
mod value;

pub use de::from_slice;
pub use limits::Options;
pub use tree::{Children, Kind, Memory, NodeRef, Tree};
pub use value::Tags;

/// Most bytes of a file (8 MiB).
pub const BYTES_MAX: usize = crate::tree::CONFIG_BYTES_MAX;

/// Deepest nesting of values.
pub const DEPTH_MAX: usize = 100;

/// Most brackets open at once, wherever they stand.
pub const BRACKETS_MAX: usize = 4_000;

/// Most work that brackets may cause: the sum, over every flow sign, of the brackets open there.
pub const BRACKET_WORK_MAX: usize = 50_000_000;

/// Most nodes of all documents together, aliases expanded.
pub const NODES_MAX: usize = 1_000_000;

/// Most bytes of all scalars together, aliases expanded.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Most documents of one file.
pub const DOCUMENTS_MAX: usize = 10_000;

/// Why a document could not be read. The file's author is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DocumentError {
    /// Line, from 1; 0 when it concerns the whole file.
    pub line: u32,
    /// Column, from 1; 0 when it concerns the whole file.
    pub column: u32,
    /// What is wrong, lower case, no full stop; names no value.
    pub message: String,
}

impl DocumentError {
    fn whole(message: impl Into<String>) -> Self {
        Self { line: 0, column: 0, message: message.into() }
    }

    /// The line of the error with a caret under the place, as two lines of text; empty when the error
    /// concerns the whole file. Long lines are cut around the place. The line may hold a secret.
    pub fn excerpt(&self, bytes: &[u8]) -> String {
        let Some(index) = self.line.checked_sub(1) else { return String::new() };
        let starts = text::line_starts(bytes);
        let Some(&start) = starts.get(index as usize) else { return String::new() };
        let rest = &bytes[start as usize..];
        let line = &rest[..scan::line_end(rest, 0)];
        let column = (self.column.saturating_sub(1) as usize).min(line.len());
        let from = column.saturating_sub(EXCERPT_BYTES_MAX / 2);
        let to = line.len().min(from + EXCERPT_BYTES_MAX);
        let shown = String::from_utf8_lossy(&line[from..to]);
        let before = String::from_utf8_lossy(&line[from..column]);
        let pad: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        format!("{number} | {shown}\n{margin} | {pad}^\n")
    }
}

/// Most bytes of a line that an error shows.
const EXCERPT_BYTES_MAX: usize = 160;

/// Reads every document of a YAML stream.
///
/// ```
/// let documents = parsers::config::yaml::documents(b"a: 1\n---\n- x\n").unwrap();
/// assert_eq!(documents[0]["a"], 1);
/// assert_eq!(documents.len(), 2);
/// ```
pub fn documents(bytes: &[u8]) -> Result<Vec<Value>, DocumentError> {
    config_tree(bytes)?.to_json(Tags::Shown)
}

/// Reads a configuration file's tree under the limits of this module.
pub fn config_tree(bytes: &[u8]) -> Result<Tree<'_>, DocumentError> {
    if bytes.len() > BYTES_MAX {
        return Err(DocumentError::whole(format!("larger than the limit of {BYTES_MAX} bytes")));
    }
    let options = Options {
        depth_max: DEPTH_MAX,
        nodes_max: NODES_MAX,
        documents_max: DOCUMENTS_MAX,
        comments: false,
    };
    Tree::read_with(bytes, &options)
}

/// Reads the one document of a YAML file; an empty file is `null`.
pub fn document(bytes: &[u8]) -> Result<Value, DocumentError> {
    let mut all = documents(bytes)?;
    match all.len() {
        0 => Ok(Value::Null),
        1 => Ok(all.remove(0)),
        count => Err(DocumentError::whole(format!("{count} documents where one is expected"))),
    }
}

/// Reads a JSON document; a key that stands twice in an object is an error.
pub fn json(bytes: &[u8]) -> Result<Value, DocumentError> {
    let text = json_text(bytes)?;
    let budget = Budget::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Node { budget: &budget, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let whole = error.to_string();
        let message = whole.split(" at line ").next().unwrap_or_default().to_string();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        DocumentError { line: number(error.line()), column: number(error.column()), message }
    })
}

fn json_text(bytes: &[u8]) -> Result<&str, DocumentError> {
    if bytes.len() > BYTES_MAX {
        return Err(DocumentError::whole(format!("larger than the limit of {BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| at(bytes, error.valid_up_to(), "not valid UTF-8".into()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// An error at a byte of the input.
fn at(bytes: &[u8], offset: usize, message: String) -> DocumentError {
    let before = &bytes[..offset];
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    DocumentError { line: number(line), column: number(offset - start + 1), message }
}

/// Refuses nesting that would take the loader long, before it sees it. Counts brackets in scalars and
/// comments too: the limits are far above what text holds, and no quoting trick gets around them.
pub(crate) fn brackets(bytes: &[u8]) -> Result<(), DocumentError> {
    let (mut open, mut work) = (0_usize, 0_usize);
    for (offset, byte) in bytes.iter().enumerate() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b',' | b':' | b'\n' | b' ' | b'?' | b'"' => {}
            _ => continue,
        }
        work += open;
        if open > BRACKETS_MAX || work > BRACKET_WORK_MAX {
            return Err(at(bytes, offset, "brackets are nested too deeply".into()));
        }
    }
    Ok(())
}

/// What may still be built.
struct Budget {
    nodes: Cell<usize>,
    text_bytes: Cell<usize>,
}

impl Budget {
    fn new() -> Self {
        Self { nodes: Cell::new(NODES_MAX), text_bytes: Cell::new(TEXT_BYTES_MAX) }
    }

    fn take<E: serde::de::Error>(&self, text_bytes: usize) -> Result<(), E> {
        let nodes = self.nodes.get().checked_sub(1);
        let bytes = self.text_bytes.get().checked_sub(text_bytes);
        let (Some(nodes), Some(bytes)) = (nodes, bytes) else {
            return Err(E::custom(
                "the document is larger than the limit once aliases are expanded",
            ));
        };
        self.nodes.set(nodes);
        self.text_bytes.set(bytes);
        Ok(())
    }
}

/// Builds one value under a budget.
#[derive(Clone, Copy)]
struct Node<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Node<'_> {
    fn child<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom("values are nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.budget.take(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.budget.take(0).map(|()| value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.budget.take(0).map(|()| value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // JSON has no infinities: they stay visible as text.
        self.budget.take(0)?;
        Ok(Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.budget.take(value.len()).map(|()| Value::String(value.to_string()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.budget.take(0).map(|()| Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self.child()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let mut values = Map::new();
        while let Some(key) = items.next_key_seed(self.child()?)? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let value = items.next_value_seed(self.child()?)?;
            if values.insert(key, value).is_some() {
                return Err(serde::de::Error::custom("a key stands twice in one mapping"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_become_values_in_order() {
        let text =
            b"\xef\xbb\xbfb: [1, 2.5, true, null, x]\na: {k: v}\n1: n\n---\nz\n---\n!t {q: 1}\n";
        let read = documents(text).unwrap();
        assert_eq!(read[0], json!({"b": [1, 2.5, true, null, "x"], "a": {"k": "v"}, "1": "n"}));
        assert_eq!(read[0].as_object().unwrap().keys().next().unwrap(), "b");
        assert_eq!(read[1], "z");
        assert_eq!(read[2], json!({"!t": {"q": 1}}));
        assert_eq!(document(b"").unwrap(), Value::Null);
        assert!(document(b"a\n---\nb\n").is_err());
    }

    #[test]
    fn errors_name_their_place() {
        let error = documents(b"a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.line >= 2 && error.column > 0, "{error:?}");
        let error = documents(b"ok: 1\n\xff\n").unwrap_err();
        assert_eq!((error.line, error.column), (2, 1));
        let error = json(b"{\n  \"a\": 1,\n  oops\n}").unwrap_err();
        assert_eq!((error.line, error.column), (3, 3));
        assert!(!error.message.contains("line"), "{}", error.message);
        assert!(json(br#"{"a":1,"a":2}"#).is_err() && documents(b"a: 1\na: 2\n").is_err());
        assert!(json(b"1 2").is_err());
    }

    #[test]
    fn bombs_are_refused_soon() {
        let deep = "[".repeat(100_000);
        assert!(documents(deep.as_bytes()).is_err() && json(deep.as_bytes()).is_err());
        let shaped = "{\"\":[".repeat(50_000);
        assert!(documents(shaped.as_bytes()).is_err());
        assert!(documents("- ".repeat(200_000).as_bytes()).is_err());
        assert!(documents("? ".repeat(200_000).as_bytes()).is_err());
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 9].join(",");
            laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(documents(laughs.as_bytes()).is_err());
        assert!(documents(b"&a [*a]").is_err());
        assert!(documents(&vec![b'a'; BYTES_MAX + 1]).is_err());
        let inside = format!("{}{}", "[".repeat(DEPTH_MAX - 1), "]".repeat(DEPTH_MAX - 1));
        assert!(documents(inside.as_bytes()).is_ok());
        let outside = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        assert!(documents(outside.as_bytes()).is_err());
    }
}
