//! Flow style: `[…]` and `{…}`, with a stack of their own.

use super::parser::{Head, Parser, Step};
use super::scalar::Scalar;
use super::scan::{byte, is_flow, is_white};
use super::tree::{Kind, Props};

/// An open flow collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    node: u32,
    kind: FlowKind,
    state: FlowState,
    /// The last key was quoted or a collection: `:` may stand right before its value.
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowKind {
    Sequence,
    Mapping,
    /// One pair inside of a sequence.
    Pair,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowState {
    /// An entry may come: an item, or a key.
    Entry,
    /// A key after `?` may come.
    Key,
    /// A key is there: `:` may follow.
    Colon,
    /// A value may come.
    Value,
    /// An entry is complete.
    Done,
}

use FlowState::{Colon, Done, Entry, Key, Value};

impl Parser<'_, '_> {
    /// Reads a flow collection that opens here, on lines deeper than `indent`; stands behind it then.
    pub(super) fn flow(&mut self, indent: i32, props: &Props) -> Step {
        let base = self.flows.len();
        self.open_flow(props)?;
        while self.flows.len() > base {
            self.flow_space(indent)?;
            let here = self.byte();
            let last = self.flows.len() - 1;
            let flow = self.flows[last];
            match here {
                b',' => self.comma(flow)?,
                b']' | b'}' => self.close_flow(flow)?,
                b':' if flow.state == Colon && (flow.json || self.colon_separates()) => {
                    self.at += 1;
                    self.last_end = self.at;
                    self.flows[last].state = Value;
                }
                _ if matches!(flow.state, Colon | Done) => {
                    return self.fail(self.at, "`,` or a closing bracket is expected");
                }
                b'?' if flow.state == Entry && is_white(byte(self.text, self.at + 1)) => {
                    self.explicit(flow)?;
                }
                _ => self.flow_entry(indent, flow)?,
            }
        }
        Ok(())
    }

    /// Goes to what comes next, over lines and comments.
    #[inline(always)]
    fn flow_space(&mut self, indent: i32) -> Step {
        loop {
            self.blanks();
            let here = self.byte();
            if here > b'#' {
                return Ok(());
            }
            if !self.at_line_end() {
                return Ok(());
            }
            self.flow_break(indent)?;
        }
    }

    fn flow_break(&mut self, indent: i32) -> Step {
        if self.byte() == b'#' {
            let start = self.at;
            self.at = super::scan::line_end(self.text, self.at);
            if self.options.comments {
                self.arena.comments.push((start as u32, self.at as u32));
            }
        }
        self.next_flow_line(indent)
    }

    /// Goes to the next line with something on it, which must be deeper than `indent`; a closing bracket
    /// may stand as deep as what holds the collection, as everybody writes it.
    pub(super) fn next_flow_line(&mut self, indent: i32) -> Step {
        self.next_line();
        match self.head {
            Head::Content => {}
            Head::Over => return self.fail(self.at, "a bracket is never closed"),
            _ => return self.fail(self.at, "a document marker inside of brackets"),
        }
        let closing = matches!(self.byte(), b']' | b'}') && self.indent == indent && !self.tab;
        if self.indent <= indent && !closing {
            return self.fail(self.at, "a line inside of brackets must be indented deeper");
        }
        Ok(())
    }

    fn open_flow(&mut self, props: &Props) -> Step {
        if self.frames.len() + self.flows.len() > self.options.depth_max {
            return self.fail(self.at, "values are nested too deeply");
        }
        let flags = self.with_props(props);
        let (kind, node) = match self.byte() {
            b'[' => (FlowKind::Sequence, Kind::FlowSequence),
            _ => (FlowKind::Mapping, Kind::FlowMapping),
        };
        let node = self.push(node, self.at, self.at, flags)?;
        self.flows.push(Flow { node, kind, state: Entry, json: false });
        self.at += 1;
        self.last_end = self.at;
        Ok(())
    }

    /// Adds what the innermost collection still lacks before `,` or its end.
    fn complete(&mut self, flow: Flow) -> Step {
        let missing = match flow.state {
            Key => 2,
            Colon | Value => 1,
            Entry | Done => 0,
        };
        for _missing in 0..missing {
            self.push_empty(&Props::NONE)?;
        }
        Ok(())
    }

    /// Ends the pair in a sequence that is innermost.
    fn close_pair(&mut self, flow: Flow) -> Step<Flow> {
        self.complete(flow)?;
        self.seal(flow, self.last_end);
        let last = self.flows.len() - 1;
        self.flows[last].state = Done;
        Ok(self.flows[last])
    }

    fn seal(&mut self, flow: Flow, end: usize) {
        self.flows.pop();
        let next = self.arena.nodes.len() as u32;
        let node = &mut self.arena.nodes[flow.node as usize];
        node.next = next;
        node.end = (end as u32).max(node.start);
    }

    #[inline(always)]
    fn comma(&mut self, mut flow: Flow) -> Step {
        if flow.kind == FlowKind::Pair {
            flow = self.close_pair(flow)?;
        }
        if flow.state == Entry {
            return self.fail(self.at, "a comma without a value before it");
        }
        self.complete(flow)?;
        self.at += 1;
        let last = self.flows.len() - 1;
        self.flows[last].state = Entry;
        Ok(())
    }

    fn close_flow(&mut self, mut flow: Flow) -> Step {
        if flow.kind == FlowKind::Pair {
            flow = self.close_pair(flow)?;
        }
        let fits = match self.byte() {
            b']' => flow.kind == FlowKind::Sequence,
            _ => flow.kind == FlowKind::Mapping,
        };
        if !fits {
            return self.fail(self.at, "this bracket closes nothing");
        }
        self.complete(flow)?;
        self.at += 1;
        self.last_end = self.at;
        self.seal(flow, self.at);
        self.flow_filled(flow.node, true)
    }

    /// A node of the innermost collection is complete.
    #[inline(always)]
    fn flow_filled(&mut self, node: u32, json: bool) -> Step {
        let Some(flow) = self.flows.last_mut() else { return Ok(()) };
        flow.json = json;
        flow.state = match (flow.kind, flow.state) {
            (FlowKind::Sequence, _) => {
                return self.after_item(node, json);
            }
            (FlowKind::Mapping, Entry) | (_, Key) => Colon,
            _ => Done,
        };
        Ok(())
    }

    /// An item of a sequence is complete: is it the key of a pair? Its `:` must stand on its line.
    fn after_item(&mut self, node: u32, json: bool) -> Step {
        let last = self.flows.len() - 1;
        self.flows[last].state = Done;
        let end = self.at;
        self.blanks();
        if self.byte() != b':' || !(json || self.colon_separates()) {
            return Ok(());
        }
        // Only a collection was added before this was known: a spare stands before it.
        let start = self.arena.nodes[node as usize].start as usize;
        let at = std::mem::replace(&mut self.at, end);
        if self.line > start {
            return self.fail(start, "a key must stand on one line");
        }
        self.key_length(start)?;
        self.at = at + 1;
        let mapping = node - 1;
        let spare = &mut self.arena.nodes[mapping as usize];
        debug_assert_eq!(spare.kind, Kind::Spare);
        spare.kind = Kind::FlowMapping;
        self.push_pair(mapping, Value)
    }

    fn push_pair(&mut self, node: u32, state: FlowState) -> Step {
        if self.frames.len() + self.flows.len() > self.options.depth_max {
            return self.fail(self.at, "values are nested too deeply");
        }
        self.flows.push(Flow { node, kind: FlowKind::Pair, state, json: false });
        self.last_end = self.at;
        Ok(())
    }

    /// `:` before what cannot go on with a plain scalar.
    #[inline(always)]
    fn colon_separates(&self) -> bool {
        let after = byte(self.text, self.at + 1);
        is_white(after) || is_flow(after)
    }

    /// `?` before a key.
    fn explicit(&mut self, flow: Flow) -> Step {
        let start = self.at;
        self.at += 1;
        if flow.kind == FlowKind::Sequence {
            let node = self.push(Kind::FlowMapping, start, start, 0)?;
            return self.push_pair(node, Key);
        }
        let last = self.flows.len() - 1;
        self.flows[last].state = Key;
        self.last_end = self.at;
        Ok(())
    }

    /// Reads an item, key or value of the innermost collection.
    #[inline(always)]
    fn flow_entry(&mut self, indent: i32, flow: Flow) -> Step {
        let start = self.at;
        if self.plain_starts(true) {
            let scalar = self.plain_in_flow(indent)?;
            return self.flow_scalar(flow, scalar, start, &Props::NONE);
        }
        match self.byte() {
            b'"' | b'\'' => {
                let scalar = self.quoted(indent)?;
                self.flow_scalar(flow, scalar, start, &Props::NONE)
            }
            b'[' | b'{' => self.nested(flow, &Props::NONE),
            b'*' => self.flow_alias(flow),
            b':' if matches!(flow.state, Entry | Key) && self.colon_separates() => {
                self.flow_empty(flow, &Props::NONE)
            }
            b'&' | b'!' => self.flow_with_props(indent, flow),
            _ => self.fail(self.at, "no value can start with this character here"),
        }
    }

    /// A node with an anchor or a tag, which may be nothing else.
    fn flow_with_props(&mut self, indent: i32, flow: Flow) -> Step {
        let start = self.at;
        let mut props = Props::NONE;
        while matches!(self.byte(), b'&' | b'!') {
            self.props(&mut props, true)?;
            self.last_end = self.at;
            self.flow_space(indent)?;
        }
        match self.byte() {
            b',' | b']' | b'}' => self.flow_empty(flow, &props),
            b':' if self.colon_separates() => self.flow_empty(flow, &props),
            b'"' | b'\'' => {
                let scalar = self.quoted(indent)?;
                self.flow_scalar(flow, scalar, start, &props)
            }
            b'[' | b'{' => self.nested(flow, &props),
            b'*' => self.fail(self.at, "an alias cannot have an anchor or a tag"),
            _ if self.plain_starts(true) => {
                let scalar = self.plain_in_flow(indent)?;
                self.flow_scalar(flow, scalar, start, &props)
            }
            _ => self.fail(self.at, "no value can start with this character here"),
        }
    }

    /// A collection inside of this one; as an item it may turn out to be a key.
    fn nested(&mut self, flow: Flow, props: &Props) -> Step {
        if flow.kind == FlowKind::Sequence {
            self.push(Kind::Spare, self.at, self.at, 0)?;
        }
        self.open_flow(props)
    }

    /// Nothing, as the key before `:`, or with properties.
    fn flow_empty(&mut self, flow: Flow, props: &Props) -> Step {
        let place = if props.is_none() { self.at } else { self.last_end };
        let scalar =
            Scalar { kind: Kind::Empty, start: place, end: place, flags: 0, multiline: false };
        self.flow_scalar(flow, scalar, place, props)
    }

    fn flow_alias(&mut self, flow: Flow) -> Step {
        let start = self.at;
        let (from, to) = self.alias_name()?;
        let name = Scalar {
            kind: Kind::Alias,
            start: from as usize,
            end: to as usize,
            flags: 0,
            multiline: false,
        };
        self.flow_scalar(flow, name, start, &Props::NONE)
    }

    /// Adds a scalar that was read; in a sequence it may be the key of a pair.
    #[inline(always)]
    fn flow_scalar(&mut self, flow: Flow, scalar: Scalar, start: usize, props: &Props) -> Step {
        let last = self.flows.len() - 1;
        if flow.kind != FlowKind::Sequence {
            self.push_scalar(&scalar, props)?;
            self.flows[last].json = matches!(scalar.kind, Kind::Single | Kind::Double);
            self.flows[last].state = match (flow.kind, flow.state) {
                (FlowKind::Mapping, Entry) | (_, Key) => Colon,
                _ => Done,
            };
            return Ok(());
        }
        self.flows[last].state = Done;
        let end = self.at;
        self.blanks();
        let quoted = matches!(scalar.kind, Kind::Single | Kind::Double);
        if self.byte() != b':' || !(quoted || self.colon_separates()) {
            return self.push_scalar(&scalar, props);
        }
        let colon = std::mem::replace(&mut self.at, end);
        if scalar.multiline || self.line > start {
            return self.fail(start, "a key must stand on one line");
        }
        self.key_length(start)?;
        let node = self.push(Kind::FlowMapping, start, start, 0)?;
        self.push_scalar(&scalar, props)?;
        self.at = colon + 1;
        self.push_pair(node, Value)
    }

    #[inline(always)]
    fn push_scalar(&mut self, scalar: &Scalar, props: &Props) -> Step {
        if scalar.kind == Kind::Alias {
            return self.push_alias(scalar.start as u32, scalar.end as u32).map(|_| ());
        }
        let flags = scalar.flags | self.with_props(props);
        self.push(scalar.kind, scalar.start, scalar.end, flags)?;
        if matches!(scalar.kind, Kind::Single | Kind::Double) {
            self.last_end = scalar.end + 1;
        }
        Ok(())
    }
}
