//! JSON with the place of every value (RFC 8259), strict: no comments, no comma after the last value.
//!
//! The first fault ends the text, as for every JSON reader. A name that stands twice in an object is
//! kept twice and told, because readers differ in which one they take. Depth and size are bounded.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::problems::Problems;
use crate::place::{Place, Problem};

/// Deepest nesting, as in `serde_json`.
pub const DEPTH_MAX: usize = 127;

/// Most values of one text.
pub const NODES_MAX: usize = 1_000_000;

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// The value.
    pub data: Data,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`, a truth value, a number or a text.
    Plain(Value),
    /// `[…]`
    Array(Vec<Node>),
    /// `{…}`: names with their places, in order, those that stand twice too.
    Object(Vec<(Name, Node)>),
}

/// A name in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its text.
    pub text: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

impl Node {
    /// Reads a text. Names that stand twice become problems.
    ///
    /// # Errors
    ///
    /// The first fault, with its place.
    pub fn parse(file: &Arc<str>, bytes: &[u8], problems: &mut Problems) -> Result<Self, Problem> {
        let mut reader = Reader { file, bytes, at: 0, line: 1, line_start: 0, nodes: 0, problems };
        reader.blanks();
        let node = reader.value(0)?;
        reader.blanks();
        match reader.peek() {
            None => Ok(node),
            Some(_) => Err(reader.fault("something stands behind the value")),
        }
    }

    /// The value of a name: the last one that stands there.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.data {
            Data::Object(fields) => {
                fields.iter().rev().find(|(known, _)| known.text == name).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The text of a name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.data {
            Data::Plain(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::Array(items) => items,
            _ => &[],
        }
    }

    /// Where it starts.
    pub fn place(&self, file: &Arc<str>) -> Place {
        Place::new(file, self.line, self.column)
    }

    /// The value without places; of a name that stands twice the last.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Plain(value) => value.clone(),
            Data::Array(items) => items.iter().map(Self::to_json).collect(),
            Data::Object(fields) => {
                let fields = fields.iter().map(|(name, node)| (name.text.clone(), node.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

struct Reader<'a> {
    file: &'a Arc<str>,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    nodes: usize,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn column(&self) -> u32 {
        u32::try_from(self.at - self.line_start + 1).unwrap_or(u32::MAX)
    }

    fn fault(&self, message: &str) -> Problem {
        Problem { place: Place::new(self.file, self.line, self.column()), message: message.into() }
    }

    fn blanks(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line = self.line.saturating_add(1);
                self.line_start = self.at;
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.fault("more values than are read"));
        }
        let (line, column) = (self.line, self.column());
        let data = match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => {
                return Err(self.fault("values are nested too deeply"));
            }
            Some(b'{') => Data::Object(self.object(depth)?),
            Some(b'[') => Data::Array(self.array(depth)?),
            Some(b'"') => Data::Plain(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Data::Plain(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.fault("a value is expected here")),
            None => return Err(self.fault("the text ends where a value is expected")),
        };
        Ok(Node { line, column, data })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Data, Problem> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("a value is expected here"));
        }
        self.at += word.len();
        Ok(Data::Plain(value))
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            self.blanks();
            items.push(self.value(depth + 1)?);
            if !self.goes_on(b']')? {
                return Ok(items);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Vec<(Name, Node)>, Problem> {
        let mut fields: Vec<(Name, Node)> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(fields);
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a name in double quotes is expected here"));
            }
            let (line, column) = (self.line, self.column());
            let text = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.fault("`:` is expected here"));
            }
            self.at += 1;
            self.blanks();
            let node = self.value(depth + 1)?;
            if let Some(first) = seen.insert(text.clone(), line) {
                let message = format!("the name stands twice; the first is in line {first}");
                self.problems.at(self.file, line, column, message);
            }
            fields.push((Name { text, line, column }, node));
            if !self.goes_on(b'}')? {
                return Ok(fields);
            }
        }
    }

    /// Whether a comma follows, and not the end.
    fn goes_on(&mut self, end: u8) -> Result<bool, Problem> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.fault("`,` or the end of the list is expected here")),
        }
    }

    /// Numbers and texts are cut here and read by `serde_json`, whose rules are the standard's.
    fn number(&mut self) -> Result<Value, Problem> {
        let rest = &self.bytes[self.at..];
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(is_part).count();
        let value = serde_json::from_slice(&rest[..length]);
        let value = value.map_err(|_| self.fault("not a number"))?;
        self.at += length;
        Ok(value)
    }

    fn string(&mut self) -> Result<String, Problem> {
        let rest = &self.bytes[self.at..];
        let mut length = 1;
        loop {
            match rest.get(length) {
                None | Some(b'\n') => return Err(self.fault("a text that does not end")),
                Some(b'\\') => length += 2,
                Some(b'"') => break,
                Some(_) => length += 1,
            }
        }
        let text = serde_json::from_slice(&rest[..=length]);
        let text = text.map_err(|_| self.fault("a text with a wrong escape or sign"))?;
        self.at += length + 1;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> (Result<Node, Problem>, Problems) {
        let mut problems = Problems::default();
        (Node::parse(&"/x".into(), text, &mut problems), problems)
    }

    #[test]
    fn values_know_where_they_stand() {
        let (node, problems) = parse(b"{\n \"a\": [1, {\"b\": \"x\\u00e9\"}],\n \"a\": null }\n");
        let node = node.unwrap();
        assert_eq!(problems.kept[0].place.to_string(), "/x:3:2");
        let Data::Object(fields) = &node.data else { panic!() };
        let inner = &fields[0].1.items()[1];
        assert_eq!((inner.line, inner.column, inner.text("b")), (2, 11, Some("xé")));
        assert_eq!(node.to_json(), serde_json::json!({"a": null}));
    }

    #[test]
    fn the_first_fault_is_told_with_its_place() {
        for (text, place) in [
            ("", "/x:1:1"),
            ("{\"a\": 1,}", "/x:1:9"),
            ("[1, 2", "/x:1:6"),
            ("{\n // c\n}", "/x:2:2"),
            ("[01]", "/x:1:2"),
            ("[1] 2", "/x:1:5"),
            ("[\"a\nb\"]", "/x:1:2"),
            ("[tru]", "/x:1:2"),
        ] {
            let problem = parse(text.as_bytes()).0.unwrap_err();
            assert_eq!(problem.place.to_string(), place, "{text}: {problem}");
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(deep(DEPTH_MAX).as_bytes()).0.is_ok());
        assert!(parse(deep(DEPTH_MAX + 1).as_bytes()).0.is_err());
        assert!(parse(&vec![b'['; 10 << 20]).0.is_err());
        assert!(parse(&vec![b'"'; 10 << 20]).0.is_err());
        assert!(parse(b"\"\\").0.is_err());
    }

    proptest! {
        /// The same texts are accepted, with the same values, as `serde_json` does.
        #[test]
        fn it_agrees_with_serde_json(text in r#"[\[\]{},:" \n0-9a-etfrulsn.\\-]{0,24}"#) {
            let (ours, problems) = parse(text.as_bytes());
            let theirs = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
            if let (Ok(ours), Ok(theirs), true) = (ours, theirs, problems.is_empty()) {
                prop_assert_eq!(ours.to_json(), theirs);
            }
        }
    }
}
