//! YAML documents as their daemon reads them: every value with its place, scalars by the daemon's schema.
//!
//! The loaders differ where YAML 1.1 and 1.2 do (`no`, `0755`, `1:30`) and in merge keys; [`Schema`] says
//! which one is meant, and every plain scalar that means something else in YAML 1.2 leaves a note with its
//! place. Aliases are expanded and merge keys applied, under [`NODES_MAX`]; a value keeps the place where it
//! was written. A key that stands twice is told, and the last one kept. Values may hold secrets: those
//! that a grammar knows are marked ([`Node::is_secret`]), others are the caller's to redact.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Number, Value, json};

use super::problems::Problems;
use super::yaml::{self, Kind, NodeRef};
use crate::place::{Place, Problem};

pub mod dropin;
pub mod merge;
mod scalars;

/// Most values of one file, aliases and merge keys expanded.
pub const NODES_MAX: usize = 200_000;

/// Most bytes of all texts and keys of one file, aliases and merge keys expanded.
pub const TEXT_BYTES_MAX: usize = 32 << 20;

/// Deepest nesting, aliases expanded.
pub const DEPTH_MAX: usize = yaml::DEPTH_MAX;

/// The loader whose meaning of plain scalars holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// PyYAML's SafeLoader (`yaml/resolver.py`): YAML 1.1 with `yes`, `on`, `0755`, `1:30`, without `y`.
    PyYaml,
    /// go-yaml v2 as sigs.k8s.io/yaml carries it (`goyaml.v2/resolve.go`): `y`, `yes`, `on`, `0755`, `0o755`.
    GoYaml2,
    /// go-yaml v3 (`resolve.go`): booleans of YAML 1.2, octal numbers of both versions.
    GoYaml3,
    /// libyaml's events alone, as netplan reads them: every scalar is text, no merge keys.
    Words,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where.
    pub place: Place,
    /// What.
    pub data: Data,
    /// A tag of the application's own, with its sign (`!reset`).
    pub tag: Option<Box<str>>,
    /// Never to be shown.
    pub is_secret: bool,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// A switch.
    Bool(bool),
    /// A number of up to 64 bits.
    Number(Number),
    /// Text, and what the schema has no better type for (times, wider numbers).
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as text.
    pub key: String,
    /// Where the key is.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

/// The documents of one file.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// In order.
    pub all: Vec<Node>,
    /// What the loader would refuse, or read otherwise than it looks.
    pub problems: Problems,
    /// Scalars that mean something else in YAML 1.2.
    pub notes: Problems,
}

impl Documents {
    /// Reads a file. A text that is no YAML gives no documents and a problem.
    ///
    /// ```
    /// use parsers::config::document::{Documents, Schema};
    /// let read = Documents::read(&"/etc/x".into(), b"a: no\n", Schema::PyYaml);
    /// assert_eq!(read.all[0].to_json(), serde_json::json!({"a": false}));
    /// assert_eq!(read.notes.kept[0].place.to_string(), "/etc/x:1:4");
    /// ```
    pub fn read(file: &Arc<str>, bytes: &[u8], schema: Schema) -> Self {
        let mut read = Self::default();
        let tree = match yaml::config_tree(bytes) {
            Ok(tree) => tree,
            Err(error) => {
                read.problems.at(file, error.line, error.column, error.message);
                return read;
            }
        };
        if tree.expanded_nodes() > NODES_MAX {
            let message = format!("more than {NODES_MAX} values once aliases are expanded");
            read.problems.push(Place::whole(Arc::clone(file)), message);
            return read;
        }
        let mut reader = Reader {
            file,
            schema,
            nodes: NODES_MAX,
            text_bytes: TEXT_BYTES_MAX,
            problems: std::mem::take(&mut read.problems),
            notes: std::mem::take(&mut read.notes),
        };
        for root in tree.documents() {
            match reader.node(root, 0) {
                Ok(node) => read.all.push(node),
                Err(problem) => {
                    reader.problems.push(problem.place, problem.message);
                    break;
                }
            }
        }
        (read.problems, read.notes) = (reader.problems, reader.notes);
        read
    }
}

impl Node {
    /// A value of a place without a tag.
    pub fn new(place: Place, data: Data) -> Self {
        Self { place, data, tag: None, is_secret: false }
    }

    /// The entries of a mapping; none of other values.
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The same, to change.
    pub fn entries_mut(&mut self) -> &mut [Entry] {
        match &mut self.data {
            Data::Map(entries) => entries,
            _ => &mut [],
        }
    }

    /// The items of a sequence; none of other values.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The same, to change.
    pub fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.data {
            Data::List(items) => items,
            _ => &mut [],
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries_mut().iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }

    /// The value of a chain of keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// A switch.
    pub fn bool(&self) -> Option<bool> {
        match &self.data {
            Data::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A scalar as text; `None` for lists and mappings.
    pub fn shown(&self) -> Option<String> {
        Some(match &self.data {
            Data::Null => "null".to_string(),
            Data::Bool(value) => value.to_string(),
            Data::Number(number) => number.to_string(),
            Data::Text(text) => text.clone(),
            Data::List(_) | Data::Map(_) => return None,
        })
    }

    /// Marks the value and all below it as secret.
    pub fn mark_secret(&mut self) {
        self.is_secret = true;
        self.items_mut().iter_mut().for_each(Node::mark_secret);
        self.entries_mut().iter_mut().for_each(|entry| entry.value.mark_secret());
    }

    /// The value without places; secrets stay in.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Map(entries) => {
                let fields = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// A tree parallel to [`Node::to_json`]: `{"file","line","column"}` in the place of each scalar and
    /// empty collection.
    pub fn to_places(&self) -> Value {
        match &self.data {
            Data::List(items) if !items.is_empty() => items.iter().map(Self::to_places).collect(),
            Data::Map(entries) if !entries.is_empty() => {
                let fields = entries.iter().map(|e| (e.key.clone(), e.value.to_places()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            _ => json!(self.place),
        }
    }
}

struct Reader<'a> {
    file: &'a Arc<str>,
    schema: Schema,
    nodes: usize,
    text_bytes: usize,
    problems: Problems,
    notes: Problems,
}

impl Reader<'_> {
    fn place(&self, node: NodeRef<'_>) -> Place {
        let (line, column) = node.place();
        Place::new(self.file, line, column)
    }

    fn fault(&self, node: NodeRef<'_>, message: &str) -> Problem {
        Problem { place: self.place(node), message: message.into() }
    }

    /// Recursion ends at [`DEPTH_MAX`].
    fn node(&mut self, written: NodeRef<'_>, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err(self.fault(written, "values are nested too deeply"));
        }
        self.take(written, 0)?;
        let node = written.resolved();
        let place = self.place(node);
        let tag = node.tag();
        let data = match node.kind() {
            Kind::BlockSequence | Kind::FlowSequence => {
                let items = node.children().map(|item| self.node(item, depth + 1));
                Data::List(items.collect::<Result<_, _>>()?)
            }
            Kind::BlockMapping | Kind::FlowMapping => Data::Map(self.mapping(node, depth)?),
            kind => {
                let text = node.text();
                self.take(written, text.len())?;
                let is_plain = matches!(kind, Kind::Plain | Kind::Empty);
                let is_text = matches!(tag.as_deref(), Some("!" | "tag:yaml.org,2002:str"));
                match is_plain && !is_text {
                    true => self.plain(&place, &text),
                    false => Data::Text(text.into_owned()),
                }
            }
        };
        let own = tag.filter(|tag| tag.len() > 1 && tag.starts_with('!'));
        let tag = own.map(String::into_boxed_str);
        Ok(Node { place, data, tag, is_secret: false })
    }

    /// What may still be built.
    fn take(&mut self, node: NodeRef<'_>, text_bytes: usize) -> Result<(), Problem> {
        let nodes = self.nodes.checked_sub(usize::from(text_bytes == 0));
        let bytes = self.text_bytes.checked_sub(text_bytes);
        let (Some(nodes), Some(bytes)) = (nodes, bytes) else {
            let message = "the document is larger than the limit once aliases are expanded";
            return Err(self.fault(node, message));
        };
        (self.nodes, self.text_bytes) = (nodes, bytes);
        Ok(())
    }

    fn plain(&mut self, place: &Place, text: &str) -> Data {
        let (data, meaning) = scalars::plain(self.schema, text);
        if let Some(meaning) = meaning {
            self.notes.push(
                place.clone(),
                format!("without quotes this is {meaning} here, which YAML 1.2 reads otherwise"),
            );
        }
        data
    }

    fn mapping(&mut self, node: NodeRef<'_>, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        for (key, value) in node.pairs() {
            let name = key.resolved();
            let is_merge = self.schema != Schema::Words && name.kind() == Kind::Plain;
            if is_merge && name.text() == "<<" {
                merged.push(value);
                continue;
            }
            let text = self.key(key, depth)?;
            let place = self.place(key);
            let value = self.node(value, depth + 1)?;
            let entry = Entry { key: text, place, value };
            match known.get(&entry.key) {
                Some(index) => {
                    let first = entries[*index].place.line;
                    let message = format!("the key stands twice; the first is in line {first}");
                    self.problems.push(entry.place.clone(), message);
                    entries[*index] = entry;
                }
                None => {
                    known.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                }
            }
        }
        for value in merged {
            self.merge_key(value, depth, &mut entries, &mut known)?;
        }
        Ok(entries)
    }

    /// Takes over what a mapping, or each of a list of mappings, has and the own one has not: keys of the
    /// mapping itself come first, then the mappings in their order (PyYAML's `flatten_mapping`, go-yaml's
    /// `merge`).
    fn merge_key(
        &mut self,
        value: NodeRef<'_>,
        depth: usize,
        entries: &mut Vec<Entry>,
        known: &mut HashMap<String, usize>,
    ) -> Result<(), Problem> {
        let read = self.node(value, depth + 1)?;
        let sources = match read.data {
            Data::List(items) => items,
            _ => vec![read],
        };
        for source in sources {
            let Data::Map(fields) = source.data else {
                let message = "a merge key takes a mapping or a list of mappings";
                self.problems.push(source.place, message);
                continue;
            };
            for field in fields {
                if !known.contains_key(&field.key) {
                    known.insert(field.key.clone(), entries.len());
                    entries.push(field);
                }
            }
        }
        Ok(())
    }

    /// A key as text: what it means, as JSON shows it.
    fn key(&mut self, key: NodeRef<'_>, depth: usize) -> Result<String, Problem> {
        let node = self.node(key, depth + 1)?;
        Ok(match node.shown() {
            Some(text) => text,
            None => {
                self.problems.push(node.place.clone(), "a key that is no text");
                node.to_json().to_string()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, schema: Schema) -> Documents {
        Documents::read(&"/x".into(), text.as_bytes(), schema)
    }

    #[test]
    fn values_know_where_they_stand_and_aliases_where_they_were_written() {
        let read = read("a: &x [1, two]\nb:\n  c: *x\n", Schema::GoYaml3);
        let root = &read.all[0];
        assert_eq!(root.to_json(), json!({"a": [1, "two"], "b": {"c": [1, "two"]}}));
        let item = &root.at(&["b", "c"]).unwrap().items()[1];
        assert_eq!(item.place.to_string(), "/x:1:11");
        assert_eq!(root.to_places()["a"][0]["column"], 8);
        assert!(read.problems.is_empty() && read.notes.is_empty());
    }

    #[test]
    fn merge_keys_give_what_the_mapping_has_not() {
        let text = "a: &a {k: 1, l: 1}\nb: &b {k: 2, m: 2}\nc:\n  l: 0\n  <<: [*a, *b]\n";
        let root = read(text, Schema::PyYaml).all.remove(0);
        assert_eq!(root.get("c").unwrap().to_json(), json!({"l": 0, "k": 1, "m": 2}));
        let words = read("c: {<<: 1, \"<<\": 2}\n", Schema::Words);
        assert_eq!(words.problems.len(), 1, "without merge keys it is a name like others");
        let quoted = read("c: {\"<<\": {a: 1}}\n", Schema::PyYaml).all.remove(0);
        assert_eq!(quoted.to_json(), json!({"c": {"<<": {"a": 1}}}));
        assert_eq!(read("<<: 1\n", Schema::GoYaml2).problems.len(), 1);
    }

    #[test]
    fn hostile_texts_end_bounded() {
        assert_eq!(read("a: [1\n", Schema::PyYaml).problems.len(), 1);
        assert_eq!(read("a: 1\na: 2\n", Schema::PyYaml).all[0].to_json(), json!({"a": 2}));
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 9].join(",");
            laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(read(&laughs, Schema::GoYaml2).all.is_empty());
        let mut merges = String::from("a0: &a0 {k: v}\n");
        for level in 1..40 {
            merges.push_str(&format!("a{level}: &a{level}\n  <<: [*a{0}, *a{0}]\n", level - 1));
        }
        let read = read(&merges, Schema::GoYaml2);
        assert!(read.all.is_empty() && read.problems.len() == 1);
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let list = |count: usize| format!("[{}]", "x,".repeat(count - 1));
        assert!(read(&list(NODES_MAX), Schema::Words).problems.is_empty());
        assert_eq!(read(&list(NODES_MAX + 1), Schema::Words).problems.len(), 1);
    }
}
