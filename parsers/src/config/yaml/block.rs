//! Block style: collections by indentation.

use super::limits::KEY_CHARS_MAX;
use super::parser::{Parser, State, Step};
use super::scalar::Scalar;
use super::scan::{self, byte, is_break, is_white};
use super::tree::{HAS_PROPS, Kind, Props, TagKind};

/// Where a node stands, which decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// First on its line: anything.
    Line,
    /// Behind `-`, `?` or `:` on their line: anything.
    Compact,
    /// Behind `key:`, `---`, or a tab: no block collection.
    Inline,
    /// Where a key of an open mapping must be.
    Key,
}

/// Anchors and tags before a node: of the lines before it, and of its own.
#[derive(Clone, Copy)]
struct Around {
    outer: Props,
    inner: Props,
}

const LATE_KEY: &str = "a mapping cannot start on this line; a `: ` in the text wants quotes";

impl Parser<'_, '_> {
    /// Reads what starts on the current line, to the head of the line after it.
    pub(super) fn block_line(&mut self) -> Step {
        let indent = self.indent;
        while indent < self.top().indent {
            self.close()?;
        }
        if indent == self.top().indent && self.top().kind == Kind::BlockSequence {
            if self.indicator(b'-') {
                return self.entry();
            }
            // A sequence may stand as deep as the key whose value it is.
            self.close()?;
        }
        let top = *self.top();
        if indent == top.indent {
            if self.tab {
                return self.fail(self.at, "a tab cannot indent a key");
            }
            return self.pair(top.state);
        }
        if !matches!(top.state, State::Node | State::Key) {
            return self.fail(self.at, "the indentation fits nothing around it");
        }
        self.node(if self.tab { Where::Inline } else { Where::Line })
    }

    /// An entry of the innermost sequence: its `-` stands here.
    fn entry(&mut self) -> Step {
        if self.tab {
            return self.fail(self.at, "a tab cannot indent a sequence");
        }
        if self.top().state != State::Done {
            self.fill()?;
        }
        self.top().state = State::Node;
        self.last_end = self.at + 1;
        self.behind_indicator(Where::Compact)
    }

    /// A pair of the innermost mapping, or a sequence as deep as the key that waits for it.
    fn pair(&mut self, state: State) -> Step {
        if matches!(state, State::Node | State::Key) && self.indicator(b'-') {
            return self.node(Where::Line);
        }
        if state == State::Key {
            let props = std::mem::replace(&mut self.pending, Props::NONE);
            self.push_empty(&props)?;
            self.filled();
        }
        if self.top().state == State::Colon && self.indicator(b':') {
            self.top().state = State::Node;
            self.last_end = self.at + 1;
            return self.behind_indicator(Where::Compact);
        }
        if self.top().state != State::Done {
            self.fill()?;
        }
        self.key()
    }

    /// Goes behind `-`, `?` or `:`, and reads the node if it stands on the same line.
    #[inline(always)]
    fn behind_indicator(&mut self, place: Where) -> Step {
        self.at += 1;
        let tab = self.blanks();
        if self.at_line_end() {
            return self.finish_line();
        }
        self.node(if tab { Where::Inline } else { place })
    }

    /// A key of the innermost mapping.
    #[inline(always)]
    fn key(&mut self) -> Step {
        if self.byte().is_ascii_alphanumeric() {
            let start = self.at;
            let stop = scan::plain_block(self.text, start);
            let end = self.trimmed(start, stop);
            if byte(self.text, stop) == b':' && end - start <= KEY_CHARS_MAX {
                self.push(Kind::Plain, start, end, 0)?;
                self.at = stop;
                return self.value();
            }
        }
        if self.indicator(b'?') {
            self.top().state = State::Key;
            self.last_end = self.at + 1;
            return self.behind_indicator(Where::Compact);
        }
        self.node(Where::Key)
    }

    /// The value of an implicit key: its `:` stands here.
    #[inline(always)]
    fn value(&mut self) -> Step {
        self.top().state = State::Node;
        self.at += 1;
        self.last_end = self.at;
        self.blanks();
        let here = self.byte();
        if here.is_ascii_alphanumeric() || here == b'/' {
            let start = self.at;
            return self.plain_value(start);
        }
        if self.at_line_end() {
            return self.finish_line();
        }
        self.node(Where::Inline)
    }

    /// A plain scalar that no properties belong to and that is no key.
    #[inline(always)]
    fn plain_value(&mut self, start: usize) -> Step {
        let top = *self.top();
        self.at = scan::plain_block(self.text, start);
        if self.byte() == b':' {
            return self.fail(self.at, LATE_KEY);
        }
        self.plain_node(start, top.indent, &Props::NONE)
    }

    /// Adds the plain scalar from `start` whose first line ends here.
    #[inline(always)]
    fn plain_node(&mut self, start: usize, indent: i32, props: &Props) -> Step {
        let end = self.trimmed(start, self.at);
        let flags = self.with_props(props);
        let index = self.push(Kind::Plain, start, end, flags)?;
        self.filled();
        if !is_break(self.byte()) {
            return self.finish_line();
        }
        let last = self.plain_rest(end, indent)?;
        if last != end {
            let node = &mut self.arena.nodes[index as usize];
            node.end = last as u32;
            node.flags |= super::tree::COOKED;
            self.last_end = last;
        }
        Ok(())
    }

    /// Reads a node that starts here.
    pub(super) fn node(&mut self, place: Where) -> Step {
        let column = (self.at - self.line) as i32;
        let outer = std::mem::replace(&mut self.pending, Props::NONE);
        let mut around = Around { outer, inner: Props::NONE };
        while matches!(self.byte(), b'&' | b'!') {
            self.props(&mut around.inner, false)?;
            self.blanks();
            if self.at_line_end() {
                if place == Where::Key {
                    return self.fail(self.at, "a key with its `:` is expected on this line");
                }
                self.pending = self.joined(around)?;
                return self.finish_line();
            }
        }
        match self.byte() {
            b'-' | b'?' | b':' if !self.plain_starts(false) => {
                self.indicated(place, column, &around)
            }
            b'*' => self.alias_node(place, column, around),
            b'|' | b'>' if place != Where::Key => {
                let props = self.joined(around)?;
                let indent = self.top().indent;
                self.block_scalar(indent, &props)?;
                self.filled();
                Ok(())
            }
            b'"' | b'\'' => {
                let indent = self.top().indent;
                let scalar = self.quoted(indent)?;
                self.scalar_node(place, column, around, scalar)
            }
            b'[' | b'{' => self.flow_node(place, column, around),
            _ if self.plain_starts(false) => self.plain(place, column, around),
            _ => self.fail(self.at, "no value can start with this character"),
        }
    }

    /// Outer and inner properties belong to one node.
    fn joined(&mut self, around: Around) -> Step<Props> {
        let Around { outer, inner } = around;
        let mut all = inner;
        if outer.anchor.1 > 0 {
            if inner.anchor.1 > 0 {
                return self.fail(self.at, "a second anchor for one value");
            }
            all.anchor = outer.anchor;
        }
        if outer.kind != TagKind::None {
            if inner.kind != TagKind::None {
                return self.fail(self.at, "a second tag for one value");
            }
            all = Props { anchor: all.anchor, ..outer };
        }
        Ok(all)
    }

    /// `-`, `?` or `:` opens a collection; a `:` may also follow a key that is nothing but properties.
    fn indicated(&mut self, place: Where, column: i32, around: &Around) -> Step {
        let sign = self.byte();
        if place == Where::Key && sign == b':' {
            self.push_empty(&around.inner)?;
            return self.value();
        }
        if !matches!(place, Where::Line | Where::Compact) {
            let message = match (place, sign) {
                (Where::Key, _) => "a key is expected here",
                _ => "a sequence or mapping in block style cannot start on this line",
            };
            return self.fail(self.at, message);
        }
        if sign == b':' {
            self.open(Kind::BlockMapping, column, &around.outer, State::Done)?;
            self.push_empty(&around.inner)?;
            return self.value();
        }
        if !around.inner.is_none() {
            return self.fail(self.at, "a collection must start on a line below its anchor or tag");
        }
        match sign {
            b'-' => self.open(Kind::BlockSequence, column, &around.outer, State::Node)?,
            _ => self.open(Kind::BlockMapping, column, &around.outer, State::Key)?,
        }
        self.last_end = self.at + 1;
        self.behind_indicator(Where::Compact)
    }

    /// Whether `:` makes a key of what stands between `start` and here, on one line.
    fn is_key(&mut self, start: usize, multiline: bool) -> Step<bool> {
        self.blanks();
        if !self.indicator(b':') {
            return Ok(false);
        }
        if multiline {
            return self.fail(start, "a key must stand on one line");
        }
        self.key_length(start)?;
        Ok(true)
    }

    pub(super) fn key_length(&mut self, start: usize) -> Step {
        let key = &self.text[start..self.at];
        let long = key.len() > KEY_CHARS_MAX
            && (key.len() > 4 * KEY_CHARS_MAX
                || key.iter().filter(|byte| **byte & 0xc0 != 0x80).count() > KEY_CHARS_MAX);
        if long {
            return self.fail(start, "a key longer than 1024 characters needs `? ` before it");
        }
        Ok(())
    }

    /// Opens the mapping of a first key, if it needs one.
    fn mapping_for_key(&mut self, place: Where, column: i32, outer: &Props) -> Step {
        match place {
            Where::Key => Ok(()),
            Where::Inline => self.fail(self.at, LATE_KEY),
            _ => self.open(Kind::BlockMapping, column, outer, State::Done),
        }
    }

    fn no_key(&mut self, start: usize) -> Step {
        self.fail(start, "a key with its `:` is expected on this line")
    }

    fn plain(&mut self, place: Where, column: i32, around: Around) -> Step {
        let start = self.at;
        self.at = scan::plain_block(self.text, start);
        if self.byte() == b':' {
            let stop = self.at;
            let end = self.trimmed(start, stop);
            self.at = end;
            self.key_length(start)?;
            self.at = stop;
            self.mapping_for_key(place, column, &around.outer)?;
            let flags = self.with_props(&around.inner);
            self.push(Kind::Plain, start, end, flags)?;
            return self.value();
        }
        if place == Where::Key {
            return self.no_key(start);
        }
        let props = self.joined(around)?;
        let indent = self.top().indent;
        self.plain_node(start, indent, &props)
    }

    /// A quoted scalar that was read, as a key or a value.
    fn scalar_node(&mut self, place: Where, column: i32, around: Around, scalar: Scalar) -> Step {
        let Scalar { kind, start, end, flags, multiline } = scalar;
        if self.is_key(start, multiline)? {
            self.mapping_for_key(place, column, &around.outer)?;
            let flags = flags | self.with_props(&around.inner);
            self.push(kind, start, end, flags)?;
            return self.value();
        }
        if place == Where::Key {
            return self.no_key(start);
        }
        let props = self.joined(around)?;
        let flags = flags | self.with_props(&props);
        self.push(kind, start, end, flags)?;
        self.last_end = end + 1;
        self.filled();
        self.finish_line()
    }

    fn alias_node(&mut self, place: Where, column: i32, around: Around) -> Step {
        let start = self.at;
        if !around.inner.is_none() {
            return self.fail(start, "an alias cannot have an anchor or a tag");
        }
        let (from, to) = self.alias_name()?;
        if !is_white(self.byte()) {
            return self.fail(self.at, "a blank must follow an alias");
        }
        if self.is_key(start, false)? {
            self.mapping_for_key(place, column, &around.outer)?;
            self.push_alias(from, to)?;
            return self.value();
        }
        if place == Where::Key {
            return self.no_key(start);
        }
        if !around.outer.is_none() {
            return self.fail(start, "an alias cannot have an anchor or a tag");
        }
        self.push_alias(from, to)?;
        self.filled();
        self.finish_line()
    }

    fn flow_node(&mut self, place: Where, column: i32, around: Around) -> Step {
        let (start, line) = (self.at, self.line);
        let indent = self.top().indent;
        // If it turns out to be a key, its mapping takes the spare's place.
        let spare = matches!(place, Where::Line | Where::Compact);
        if spare {
            self.push(Kind::Spare, start, start, 0)?;
        }
        let split = !around.outer.is_none() && !around.inner.is_none();
        let first = if around.inner.is_none() { around.outer } else { around.inner };
        let record = self.arena.props.len();
        let node = self.arena.nodes.len() as u32;
        self.flow(indent, &first)?;
        if !self.is_key(start, self.line != line)? {
            if place == Where::Key {
                return self.no_key(start);
            }
            if split {
                let props = self.joined(around)?;
                self.arena.props[record] = Props { node, ..props };
                self.name(&around.outer, node);
            }
            self.filled();
            return self.finish_line();
        }
        if spare {
            self.key_in_spare(node, column, around, record)?;
        } else if place == Where::Inline {
            return self.fail(self.at, LATE_KEY);
        }
        self.value()
    }

    /// Makes the spare before a flow collection the mapping whose key it is.
    fn key_in_spare(&mut self, node: u32, column: i32, around: Around, record: usize) -> Step {
        let nodes = self.arena.nodes.len() as u32;
        let end = self.last_end;
        self.open(Kind::BlockMapping, column, &Props::NONE, State::Done)?;
        // `open` has put the mapping at the end: it belongs into the spare.
        let mapping = node - 1;
        let opened = self.arena.nodes.pop();
        debug_assert_eq!(self.arena.nodes.len() as u32, nodes);
        if let Some(opened) = opened {
            self.arena.nodes[mapping as usize] = opened;
        }
        self.top().node = mapping;
        self.last_end = end;
        if around.outer.is_none() {
            return Ok(());
        }
        self.arena.nodes[mapping as usize].flags |= HAS_PROPS;
        let props = Props { node: mapping, ..around.outer };
        if around.inner.is_none() {
            self.arena.props[record] = props;
            self.arena.nodes[node as usize].flags &= !HAS_PROPS;
            for inside in &mut self.arena.nodes[node as usize..] {
                if inside.kind == Kind::Alias && inside.next == node {
                    inside.next = mapping;
                }
            }
        } else {
            self.arena.props.insert(record, props);
        }
        self.name(&around.outer, mapping);
        Ok(())
    }
}
