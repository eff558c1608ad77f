//! The documents of a stream as one arena of nodes, in the order of the text.
//!
//! A node takes sixteen bytes and owns nothing: scalars are ranges of the text, decoded when they are
//! asked for. A collection's children follow it and end where its next sibling starts, so that walking is
//! reading forward. Aliases point at their anchors and are never copied. Places (line and column) are
//! computed from offsets when asked for; the first question builds an index of the lines.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use super::decode;
use super::limits::Options;
use super::parser::Parser;
use super::{DocumentError, text};

/// What a node is, and how it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Nothing is written: null.
    Empty,
    /// A scalar without quotes.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// `*name`
    Alias,
    /// Entries after `-`.
    BlockSequence,
    /// `[…]`
    FlowSequence,
    /// `key: value` lines.
    BlockMapping,
    /// `{…}`, or one pair inside of `[…]`.
    FlowMapping,
    /// A place kept for a mapping whose first key is a flow collection; walking skips it.
    Spare,
}

impl Kind {
    /// Whether the node holds other nodes.
    pub fn is_collection(self) -> bool {
        self.is_mapping() || matches!(self, Self::BlockSequence | Self::FlowSequence)
    }

    /// Whether the node holds keys and values.
    pub fn is_mapping(self) -> bool {
        matches!(self, Self::BlockMapping | Self::FlowMapping)
    }
}

/// The node has an anchor or a tag.
pub(super) const HAS_PROPS: u8 = 1;
/// The scalar is not its text as it stands (escapes, line folding).
pub(super) const COOKED: u8 = 2;
/// The block scalar ends in no line break.
pub(super) const STRIP: u8 = 4;
/// The block scalar keeps all its line breaks.
pub(super) const KEEP: u8 = 8;

/// A node of the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// First byte; of quoted scalars and aliases, after the sign.
    pub start: u32,
    /// Behind the last byte; of quoted scalars, before the sign.
    pub end: u32,
    /// Of a collection the node after its last; of an alias its target; of a block scalar its indentation.
    pub next: u32,
    pub kind: Kind,
    pub flags: u8,
}

/// Which name a tag's prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagKind {
    None,
    /// `!` alone.
    NonSpecific,
    /// `!<…>`
    Verbatim,
    /// `!name`
    Local,
    /// `!!name`
    Core,
    /// The prefix stands in a `%TAG` line.
    Declared,
}

/// Anchor and tag of a node, as ranges of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Props {
    pub node: u32,
    /// The name; empty when there is none (a name never is).
    pub anchor: (u32, u32),
    pub kind: TagKind,
    pub prefix: (u32, u32),
    pub suffix: (u32, u32),
}

impl Props {
    pub(super) const NONE: Self =
        Self { node: 0, anchor: (0, 0), kind: TagKind::None, prefix: (0, 0), suffix: (0, 0) };

    pub(super) fn is_none(&self) -> bool {
        self.anchor.1 == 0 && self.kind == TagKind::None
    }
}

/// A document of the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub node: u32,
    pub explicit_start: bool,
    pub explicit_end: bool,
}

/// What the parser makes.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub nodes: Vec<Node>,
    pub props: Vec<Props>,
    pub roots: Vec<Root>,
    pub comments: Vec<(u32, u32)>,
}

/// All documents of a stream.
///
/// ```
/// use parsers::config::yaml::Tree;
///
/// let tree = Tree::read(b"server:\n  port: 22\n  hosts: [a, 'b']\n").unwrap();
/// let port = tree.documents().next().unwrap().get("server").unwrap().get("port").unwrap();
/// assert_eq!(port.text(), "22");
/// assert_eq!(port.place(), (2, 9));
/// ```
#[derive(Debug)]
pub struct Tree<'a> {
    text: Cow<'a, str>,
    arena: Arena,
    lines: OnceLock<Vec<u32>>,
}

/// Memory that one reading leaves to the next, so that many small files cost few allocations.
#[derive(Debug, Default)]
pub struct Memory(Arena);

impl<'a> Tree<'a> {
    /// Reads a stream with the default [`Options`]. Time and memory are linear in its length.
    ///
    /// # Errors
    /// The text is not YAML 1.2, or exceeds a limit; names the place.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DocumentError> {
        Self::read_with(bytes, &Options::default())
    }

    /// Reads a stream under given limits.
    pub fn read_with(bytes: &'a [u8], options: &Options) -> Result<Self, DocumentError> {
        Self::read_into(bytes, options, Memory::default())
    }

    /// Reads a stream into memory that another tree has left.
    pub fn read_into(
        bytes: &'a [u8],
        options: &Options,
        memory: Memory,
    ) -> Result<Self, DocumentError> {
        let text = text::decoded(bytes)?;
        let mut arena = memory.0;
        arena.nodes.clear();
        arena.props.clear();
        arena.roots.clear();
        arena.comments.clear();
        arena.nodes.reserve((text.len() / 16).min(options.nodes_max) + 8);
        let arena = Parser::new(&text, options, arena).stream()?;
        Ok(Self { text, arena, lines: OnceLock::new() })
    }

    /// Gives the tree's memory back for another reading.
    pub fn into_memory(self) -> Memory {
        Memory(self.arena)
    }

    /// The text that ranges refer to: the input itself, or what was decoded from UTF-16 or UTF-32.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The documents' root nodes.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.arena.roots.iter().map(|root| NodeRef { tree: self, index: root.node })
    }

    /// How many nodes there are, aliases not expanded.
    pub fn node_count(&self) -> usize {
        self.arena.nodes.iter().filter(|node| node.kind != Kind::Spare).count()
    }

    /// How many nodes there would be if every alias were replaced by what it names; `usize::MAX` when that
    /// is endless or beyond counting. Takes one walk over the nodes.
    pub fn expanded_nodes(&self) -> usize {
        let nodes = &self.arena.nodes;
        if !nodes.iter().any(|node| node.kind == Kind::Alias) {
            return self.node_count();
        }
        // Sizes of what is complete; 0 for a collection that is still open, which an alias may not name.
        let mut sizes = vec![0_usize; nodes.len()];
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut total = 0_usize;
        for (index, node) in nodes.iter().enumerate() {
            while let Some(&(start, before)) = open.last()
                && nodes[start].next as usize <= index
            {
                sizes[start] = total.saturating_sub(before);
                open.pop();
            }
            let size = match node.kind {
                Kind::Spare => 0,
                Kind::Alias => match sizes[node.next as usize] {
                    0 => return usize::MAX,
                    size => size,
                },
                _ => 1,
            };
            if node.kind.is_collection() {
                open.push((index, total));
            } else {
                sizes[index] = size;
            }
            total = total.saturating_add(size);
            if total == usize::MAX {
                return total;
            }
        }
        total
    }

    /// The ranges of comments from `#` to before the line break, when they were asked for.
    pub fn comments(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.arena.comments.iter().map(|&(start, end)| start as usize..end as usize)
    }

    /// Line and column of an offset, both from 1; columns count bytes.
    pub fn place(&self, offset: usize) -> (u32, u32) {
        let lines = self.lines.get_or_init(|| text::line_starts(self.text.as_bytes()));
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let line = lines.partition_point(|start| *start <= offset);
        (u32::try_from(line).unwrap_or(u32::MAX), offset - lines[line - 1] + 1)
    }

    pub(super) fn roots(&self) -> impl Iterator<Item = (Root, NodeRef<'_>)> {
        self.arena.roots.iter().map(|root| (*root, NodeRef { tree: self, index: root.node }))
    }
}

/// A node of a [`Tree`].
#[derive(Clone, Copy)]
pub struct NodeRef<'t> {
    tree: &'t Tree<'t>,
    index: u32,
}

impl<'t> NodeRef<'t> {
    fn node(&self) -> Node {
        self.tree.arena.nodes[self.index as usize]
    }

    /// What the node is and how it was written.
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// A number that no other node of the tree has.
    pub fn id(&self) -> usize {
        self.index as usize
    }

    /// The node's bytes in [`Tree::text`], with quotes, brackets or the sign of an alias; without its
    /// anchor and tag.
    pub fn span(&self) -> Range<usize> {
        let node = self.node();
        let (start, end) = (node.start as usize, node.end as usize);
        match node.kind {
            Kind::Single | Kind::Double => start - 1..end + 1,
            Kind::Alias => start - 1..end,
            _ => start..end,
        }
    }

    /// Line and column of the first byte, from 1.
    pub fn place(&self) -> (u32, u32) {
        self.tree.place(self.span().start)
    }

    /// A scalar's value, or an alias's name; empty for collections. Borrowed unless the text has escapes
    /// or several lines.
    pub fn text(&self) -> Cow<'t, str> {
        let node = self.node();
        let text: &'t str = &self.tree.text;
        if node.kind.is_collection() {
            return Cow::Borrowed("");
        }
        let raw = &text[node.start as usize..node.end as usize];
        match node.kind {
            Kind::Literal | Kind::Folded => Cow::Owned(decode::block(raw, &node)),
            _ if node.flags & COOKED == 0 => Cow::Borrowed(raw),
            Kind::Double => Cow::Owned(decode::double(raw)),
            Kind::Single => Cow::Owned(decode::single(raw)),
            _ => Cow::Owned(decode::plain(raw)),
        }
    }

    /// The node that an alias names; of other nodes, the node itself.
    pub fn resolved(&self) -> Self {
        let node = self.node();
        match node.kind {
            Kind::Alias => Self { index: node.next, ..*self },
            _ => *self,
        }
    }

    /// The items of a sequence, or the keys and values of a mapping in turn.
    pub fn children(&self) -> Children<'t> {
        let node = self.node();
        let end = if node.kind.is_collection() { node.next } else { self.index + 1 };
        Children { tree: self.tree, next: self.index + 1, end }
    }

    /// The pairs of a mapping, in the order of the text; none for other nodes.
    pub fn pairs(&self) -> impl Iterator<Item = (NodeRef<'t>, NodeRef<'t>)> + use<'t> {
        let mut children = self.children();
        if !self.kind().is_mapping() {
            children.next = children.end;
        }
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The value of the first key with this text.
    pub fn get(&self, key: &str) -> Option<NodeRef<'t>> {
        let found = self.pairs().find(|(name, _)| {
            !name.kind().is_collection() && name.kind() != Kind::Alias && name.text() == key
        });
        found.map(|(_, value)| value)
    }

    /// The anchor's name.
    pub fn anchor(&self) -> Option<&'t str> {
        let (start, end) = self.props()?.anchor;
        (end > 0).then(|| &self.tree.text[start as usize..end as usize])
    }

    /// The tag with its prefix written out, `!` for the non-specific one.
    pub fn tag(&self) -> Option<String> {
        let text: &'t str = &self.tree.text;
        self.props().and_then(|props| decode::tag(text, &props))
    }

    pub(super) fn props(&self) -> Option<Props> {
        if self.node().flags & HAS_PROPS == 0 {
            return None;
        }
        let all = &self.tree.arena.props;
        let at = all.binary_search_by_key(&self.index, |props| props.node).ok()?;
        Some(all[at])
    }

    /// How many nodes the whole tree has, spares included.
    pub(super) fn tree_nodes(&self) -> usize {
        self.tree.arena.nodes.len()
    }

    pub(super) fn has_props(&self) -> bool {
        self.node().flags & HAS_PROPS != 0
    }
}

impl std::fmt::Debug for NodeRef<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("NodeRef").field("kind", &self.kind()).field("span", &self.span()).finish()
    }
}

/// See [`NodeRef::children`].
#[derive(Clone, Debug)]
pub struct Children<'t> {
    tree: &'t Tree<'t>,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Children<'t> {
    type Item = NodeRef<'t>;

    fn next(&mut self) -> Option<NodeRef<'t>> {
        if self.next >= self.end {
            return None;
        }
        let nodes = &self.tree.arena.nodes;
        let mut index = self.next;
        if nodes[index as usize].kind == Kind::Spare {
            index += 1;
        }
        let node = nodes[index as usize];
        self.next = if node.kind.is_collection() { node.next } else { index + 1 };
        Some(NodeRef { tree: self.tree, index })
    }
}
