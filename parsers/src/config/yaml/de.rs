//! Typed values from a tree: serde's `Deserializer` over nodes.
//!
//! Scalars, tags and enums mean what serde_yaml makes of them: a string takes any scalar as it is
//! written, an option is `None` for null, an enum is a tag (`!Variant value`) or a variant's name, merge
//! keys (`<<`) are keys like any other. Aliases give their anchor's value again, as often as the budget
//! allows. Text without escapes or line folding is borrowed from the tree.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Display;

use serde::de::{self, Deserialize, DeserializeOwned, Expected, Unexpected, Visitor};

use super::resolve::{self, Scalar};
use super::tree::{Kind, NodeRef, Tree};
use super::{DEPTH_MAX, DocumentError, NODES_MAX};

mod access;

use access::{Items, Named, Pairs, Tagged};

const CORE: &str = "tag:yaml.org,2002:";

/// Reads the one document of a stream as a typed value; an empty stream is null.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Server { port: u16, hosts: Vec<String> }
/// let server: Server = parsers::config::yaml::from_slice(b"port: 22\nhosts: [a, b]\n").unwrap();
/// assert_eq!((server.port, server.hosts.len()), (22, 2));
/// ```
///
/// # Errors
/// The text is not YAML, holds several documents, exceeds a limit, or does not fit the type.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    let tree = Tree::read(bytes)?;
    let mut documents = tree.documents();
    match (documents.next(), documents.len()) {
        (None, _) => T::deserialize(de::value::UnitDeserializer::new()),
        (Some(root), 0) => root.parse(),
        (_, more) => {
            Err(DocumentError::whole(format!("{} documents where one is expected", more + 1)))
        }
    }
}

impl<'t> NodeRef<'t> {
    /// The node as a typed value; text may be borrowed from the tree.
    ///
    /// # Errors
    /// The node does not fit the type; or aliases expand to a hundred times what is written, or to more
    /// than a million nodes.
    pub fn parse<T: Deserialize<'t>>(self) -> Result<T, DocumentError> {
        let nodes = self.tree_nodes();
        let budget = Cell::new(nodes + nodes.saturating_mul(100).min(NODES_MAX));
        T::deserialize(Reader { node: self, budget: &budget, depth: 0, untagged: false })
    }
}

impl de::Error for DocumentError {
    fn custom<T: Display>(message: T) -> Self {
        Self::whole(message.to_string())
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'t, 'b> {
    node: NodeRef<'t>,
    /// Nodes that may still be visited.
    budget: &'b Cell<usize>,
    depth: usize,
    /// The node's tag has been read as an enum's variant.
    untagged: bool,
}

impl<'t, 'b> Reader<'t, 'b> {
    /// The node that is meant, against the budget.
    #[inline]
    fn enter(self) -> Result<Self, DocumentError> {
        if self.depth > DEPTH_MAX {
            return Err(self.place(DocumentError::whole("values are nested too deeply")));
        }
        let Some(left) = self.budget.get().checked_sub(1) else {
            return Err(self.place(DocumentError::whole("aliases expand to more than the limit")));
        };
        self.budget.set(left);
        Ok(Self { node: self.node.resolved(), ..self })
    }

    /// Names the place of an error that has none yet.
    #[cold]
    fn place(self, error: DocumentError) -> DocumentError {
        if error.line > 0 {
            return error;
        }
        let (line, column) = self.node.place();
        DocumentError { line, column, ..error }
    }

    fn at(self, node: NodeRef<'t>) -> Self {
        Self { node, depth: self.depth + 1, untagged: false, ..self }
    }

    fn tag(&self) -> Option<String> {
        if self.untagged || !self.node.has_props() { None } else { self.node.tag() }
    }

    /// The variant that an application's tag names.
    fn variant(&self) -> Option<String> {
        let tag = self.tag()?;
        tag.strip_prefix('!').filter(|name| !name.is_empty()).map(str::to_string)
    }

    /// Whether a number or boolean may be read from the node.
    fn is_resolvable(&self, name: &str) -> bool {
        match self.node.kind() {
            Kind::Plain => true,
            Kind::Literal => self.tag().is_some_and(|tag| tag.strip_prefix(CORE) == Some(name)),
            _ => false,
        }
    }

    fn is_null(&self) -> bool {
        match self.node.kind() {
            Kind::Empty => true,
            Kind::Plain => resolve::is_null(&self.node.text()),
            _ => false,
        }
    }

    fn text<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match self.node.text() {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn scalar<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let plain = matches!(self.node.kind(), Kind::Plain | Kind::Empty);
        let tag = self.tag();
        let core = tag.as_deref().map(|tag| tag.strip_prefix(CORE).unwrap_or(tag));
        let text = self.node.text();
        let resolved = match core {
            None if plain => resolve::scalar(&text),
            Some("bool" | "int" | "float" | "null") => {
                let resolved = match core {
                    Some("float") => resolve::float(&text).map_or(Scalar::Text, Scalar::Float),
                    _ => resolve::scalar(&text),
                };
                let fits = matches!(
                    (core, resolved),
                    (Some("bool"), Scalar::Bool(_))
                        | (Some("null"), Scalar::Null)
                        | (Some("float"), Scalar::Float(_))
                        | (
                            Some("int"),
                            Scalar::Unsigned(_)
                                | Scalar::Signed(_)
                                | Scalar::Wide(_)
                                | Scalar::SignedWide(_)
                        )
                );
                if !fits {
                    return Err(de::Error::custom("the text does not fit its tag"));
                }
                resolved
            }
            _ => Scalar::Text,
        };
        match resolved {
            Scalar::Null => visitor.visit_unit(),
            Scalar::Bool(value) => visitor.visit_bool(value),
            Scalar::Unsigned(value) => visitor.visit_u64(value),
            Scalar::Signed(value) => visitor.visit_i64(value),
            Scalar::Wide(value) => visitor.visit_u128(value),
            Scalar::SignedWide(value) => visitor.visit_i128(value),
            Scalar::Float(value) => visitor.visit_f64(value),
            Scalar::Text => self.text(visitor),
        }
    }

    fn sequence<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let mut items = Items { reader: self, rest: self.node.children(), count: 0 };
        let value = visitor.visit_seq(&mut items)?;
        match items.rest.count() {
            0 => Ok(value),
            more => Err(de::Error::invalid_length(items.count + more, &Length(items.count))),
        }
    }

    fn mapping<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let mut pairs = Pairs { reader: self, rest: self.node.children(), count: 0 };
        let value = visitor.visit_map(&mut pairs)?;
        match pairs.rest.count() / 2 {
            0 => Ok(value),
            more => Err(de::Error::invalid_length(pairs.count + more, &Length(pairs.count))),
        }
    }

    /// What the node is, as serde's errors say it.
    fn mismatch(self, expected: &dyn Expected) -> DocumentError {
        let text = self.node.text();
        let found = match self.node.kind() {
            Kind::BlockSequence | Kind::FlowSequence => Unexpected::Seq,
            Kind::BlockMapping | Kind::FlowMapping => Unexpected::Map,
            Kind::Plain | Kind::Empty => match resolve::scalar(&text) {
                Scalar::Null => Unexpected::Unit,
                Scalar::Bool(value) => Unexpected::Bool(value),
                Scalar::Unsigned(value) => Unexpected::Unsigned(value),
                Scalar::Signed(value) => Unexpected::Signed(value),
                Scalar::Float(value) => Unexpected::Float(value),
                _ => Unexpected::Other("a string"),
            },
            _ => Unexpected::Other("a string"),
        };
        de::Error::invalid_type(found, expected)
    }
}

/// So many elements.
struct Length(usize);

impl Expected for Length {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} elements", self.0)
    }
}

/// Reads a number of one width.
macro_rules! number {
    ($($method:ident: $type:ty, $visit:ident, $read:ident;)*) => {$(
        fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
            let reader = self.enter()?;
            let value = if reader.is_resolvable("int") { $read(&reader.node.text()) } else { None };
            match value.and_then(|value| <$type>::try_from(value).ok()) {
                Some(value) => visitor.$visit(value),
                None => Err(reader.mismatch(&visitor)),
            }
            .map_err(|error| reader.place(error))
        }
    )*};
}

use resolve::unsigned;

fn signed(text: &str) -> Option<i128> {
    resolve::negative(text).or_else(|| i128::try_from(unsigned(text)?).ok())
}

/// Short decimal digits without detour; everything else the long way.
fn small(text: &str) -> Option<u64> {
    match resolve::scalar(text) {
        Scalar::Unsigned(value) => Some(value),
        _ => None,
    }
}

fn small_signed(text: &str) -> Option<i64> {
    match resolve::scalar(text) {
        Scalar::Unsigned(value) => i64::try_from(value).ok(),
        Scalar::Signed(value) => Some(value),
        _ => None,
    }
}

impl<'t> de::Deserializer<'t> for Reader<'t, '_> {
    type Error = DocumentError;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        if let Some(variant) = reader.variant() {
            let content = Self { untagged: true, depth: reader.depth + 1, ..reader };
            return visitor
                .visit_enum(Tagged { variant, content })
                .map_err(|error| reader.place(error));
        }
        match reader.node.kind() {
            Kind::BlockSequence | Kind::FlowSequence => reader.sequence(visitor),
            Kind::BlockMapping | Kind::FlowMapping => reader.mapping(visitor),
            _ => reader.scalar(visitor),
        }
        .map_err(|error| reader.place(error))
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        let text = reader.node.text();
        let value = resolve::boolean(&text).filter(|_| reader.is_resolvable("bool"));
        match value {
            Some(value) => visitor.visit_bool(value),
            None => Err(reader.mismatch(&visitor)),
        }
        .map_err(|error| reader.place(error))
    }

    number! {
        deserialize_i8: i64, visit_i64, small_signed;
        deserialize_i16: i64, visit_i64, small_signed;
        deserialize_i32: i64, visit_i64, small_signed;
        deserialize_i64: i64, visit_i64, small_signed;
        deserialize_i128: i128, visit_i128, signed;
        deserialize_u8: u64, visit_u64, small;
        deserialize_u16: u64, visit_u64, small;
        deserialize_u32: u64, visit_u64, small;
        deserialize_u64: u64, visit_u64, small;
        deserialize_u128: u128, visit_u128, unsigned;
    }

    fn deserialize_f32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        let text = reader.node.text();
        match resolve::float(&text).filter(|_| reader.is_resolvable("float")) {
            Some(value) => visitor.visit_f64(value),
            None => Err(reader.mismatch(&visitor)),
        }
        .map_err(|error| reader.place(error))
    }

    fn deserialize_char<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        let scalar = !reader.node.kind().is_collection();
        if scalar { reader.text(visitor) } else { Err(reader.mismatch(&visitor)) }
            .map_err(|error| reader.place(error))
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'t>>(self, _: V) -> Result<V::Value, DocumentError> {
        Err(self.place(de::Error::custom("bytes are not read from YAML")))
    }

    fn deserialize_byte_buf<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        let tag = reader.tag();
        let null = match tag.as_deref() {
            None => reader.is_null(),
            Some(tag) => tag.strip_prefix(CORE) == Some("null") && reader.is_null(),
        };
        if null {
            return visitor.visit_none().map_err(|error| reader.place(error));
        }
        visitor.visit_some(Self { depth: reader.depth + 1, ..reader })
    }

    fn deserialize_unit<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        if reader.is_null() { visitor.visit_unit() } else { Err(reader.mismatch(&visitor)) }
            .map_err(|error| reader.place(error))
    }

    fn deserialize_unit_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        visitor.visit_newtype_struct(Self { depth: reader.depth + 1, ..reader })
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        match reader.node.kind() {
            Kind::BlockSequence | Kind::FlowSequence | Kind::Empty => reader.sequence(visitor),
            _ => Err(reader.mismatch(&visitor)),
        }
        .map_err(|error| reader.place(error))
    }

    fn deserialize_tuple<V: Visitor<'t>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        match reader.node.kind() {
            Kind::BlockMapping | Kind::FlowMapping | Kind::Empty => reader.mapping(visitor),
            _ => Err(reader.mismatch(&visitor)),
        }
        .map_err(|error| reader.place(error))
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        let reader = self.enter()?;
        let content = Self { untagged: true, depth: reader.depth + 1, ..reader };
        let done = match (reader.variant(), reader.node.kind().is_collection()) {
            (Some(variant), _) => visitor.visit_enum(Tagged { variant, content }),
            (None, false) => visitor.visit_enum(Named(reader)),
            (None, true) => Err(reader.mismatch(&"a YAML tag starting with '!'")),
        };
        done.map_err(|error| reader.place(error))
    }

    fn deserialize_identifier<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(
        self,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        visitor.visit_unit()
    }
}
