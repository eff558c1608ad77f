//! The parser: one pass over the text, an explicit stack instead of recursion, nodes straight into the
//! arena. This file holds its state and what all its parts share: lines, comments, properties that wait
//! for their node, and closing. `stream` reads documents, `block` and `flow` the two styles, `scalar` and
//! `props` what stands in both.
//!
//! Time is linear: every byte is looked at a bounded number of times. Implicit keys are never searched
//! for: a scalar is read, and what follows it says whether it was one; before a flow collection that
//! could turn out to be a key a spare node is kept for its mapping.

use std::collections::HashMap;

use super::limits::{self, Options};
use super::scan::{self, byte, is_blank, is_break, is_white};
use super::tree::{Arena, HAS_PROPS, Kind, Node, Props};
use super::{DocumentError, at};

/// Parsing has stopped; the parser holds the reason.
#[derive(Debug)]
pub(super) struct Stop;

pub(super) type Step<T = ()> = Result<T, Stop>;

/// What the current line starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Something of a document; `at` stands on it.
    Content,
    /// `---`
    Start,
    /// `...`
    End,
    /// The text is over.
    Over,
}

/// What an open collection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing: the next entry may come.
    Done,
    /// The node of an entry (of the root, of a sequence, the value of a mapping).
    Node,
    /// The key after `?`.
    Key,
    /// `:` and a value after such a key.
    Colon,
}

/// An open block collection, or the place of the document's root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub node: u32,
    /// The column of its entries; -1 for the root.
    pub indent: i32,
    pub kind: Kind,
    pub state: State,
}

pub(super) struct Parser<'t, 'o> {
    pub text: &'t [u8],
    pub options: &'o Options,
    nodes_max: usize,
    /// The byte that is read next.
    pub at: usize,
    /// Where the current line starts.
    pub line: usize,
    /// Spaces before the current line's content.
    pub indent: i32,
    /// A tab stands between those spaces and the content.
    pub tab: bool,
    /// Comment lines were skipped before this line.
    pub commented: bool,
    pub head: Head,
    /// Properties on a line before their node.
    pub pending: Props,
    /// Behind the last byte of the last node.
    pub last_end: usize,
    pub frames: Vec<Frame>,
    pub flows: Vec<super::flow::Flow>,
    pub arena: Arena,
    pub anchors: HashMap<&'t [u8], u32>,
    /// `%TAG` lines of the document: handle and prefix.
    pub handles: Vec<(&'t [u8], (u32, u32))>,
    fault: Option<(usize, &'static str)>,
}

impl<'t, 'o> Parser<'t, 'o> {
    pub(super) fn new(text: &'t str, options: &'o Options, arena: Arena) -> Self {
        Self {
            text: text.as_bytes(),
            options,
            nodes_max: options.nodes_max.min(limits::NODES_MAX),
            at: 0,
            line: 0,
            indent: 0,
            tab: false,
            commented: false,
            head: Head::Content,
            pending: Props::NONE,
            last_end: 0,
            frames: Vec::new(),
            flows: Vec::new(),
            arena,
            anchors: HashMap::new(),
            handles: Vec::new(),
            fault: None,
        }
    }

    /// Reads everything.
    pub(super) fn stream(mut self) -> Result<Arena, DocumentError> {
        match self.documents() {
            Ok(()) => Ok(self.arena),
            Err(Stop) => {
                let (offset, message) = self.fault.unwrap_or((self.at, "not YAML"));
                Err(at(self.text, offset.min(self.text.len()), message.into()))
            }
        }
    }

    #[cold]
    pub(super) fn fail<T>(&mut self, offset: usize, message: &'static str) -> Step<T> {
        self.fault = Some((offset, message));
        Err(Stop)
    }

    #[inline(always)]
    pub(super) fn byte(&self) -> u8 {
        byte(self.text, self.at)
    }

    /// Whether a byte stands here as an indicator: before white space.
    #[inline(always)]
    pub(super) fn indicator(&self, sign: u8) -> bool {
        self.byte() == sign && is_white(byte(self.text, self.at + 1))
    }

    /// Goes over spaces and tabs; true if there was a tab.
    #[inline(always)]
    pub(super) fn blanks(&mut self) -> bool {
        let mut tab = false;
        loop {
            match self.byte() {
                b' ' => {}
                b'\t' => tab = true,
                _ => return tab,
            }
            self.at += 1;
        }
    }

    /// Whether the line holds nothing more, but for a comment.
    #[inline(always)]
    pub(super) fn at_line_end(&self) -> bool {
        let here = self.byte();
        here == b'\n' || here == b'\r' || self.at >= self.text.len() || self.at_comment()
    }

    #[inline(always)]
    fn at_comment(&self) -> bool {
        self.byte() == b'#' && (self.at == self.line || is_blank(self.text[self.at - 1]))
    }

    fn comment(&mut self) {
        let end = scan::line_end(self.text, self.at);
        if self.options.comments {
            self.arena.comments.push((self.at as u32, end as u32));
        }
        self.at = end;
    }

    /// Ends a line after which nothing may stand but a comment, and finds the next.
    #[inline(always)]
    pub(super) fn finish_line(&mut self) -> Step {
        self.blanks();
        if !is_break(self.byte()) && self.at < self.text.len() {
            if !self.at_comment() {
                return self.fail(self.at, "something stands behind the value on its line");
            }
            self.comment();
        }
        self.next_line();
        Ok(())
    }

    /// From the end of a line to the next that is neither empty nor a comment.
    #[inline(always)]
    pub(super) fn next_line(&mut self) {
        self.commented = false;
        loop {
            match self.byte() {
                b'\n' => self.at += 1,
                b'\r' => self.at += 1 + usize::from(byte(self.text, self.at + 1) == b'\n'),
                _ => {
                    self.head = Head::Over;
                    self.indent = -1;
                    return;
                }
            }
            if self.start_line() {
                return;
            }
        }
    }

    /// Reads the head of the line that starts here; false if it holds nothing.
    #[inline(always)]
    pub(super) fn start_line(&mut self) -> bool {
        self.line = self.at;
        self.tab = false;
        self.at = scan::spaces(self.text, self.at);
        self.indent = (self.at - self.line) as i32;
        let first = self.byte();
        if first > b'.' {
            self.head = Head::Content;
            return true;
        }
        match first {
            b'\n' | b'\r' => return false,
            b'#' => {
                self.comment();
                self.commented = true;
                return false;
            }
            b'\t' => return self.tabbed_line(),
            b'-' | b'.' if self.indent == 0 => self.head = self.marker(),
            0 if self.at >= self.text.len() => {
                self.head = Head::Over;
                self.indent = -1;
            }
            _ => self.head = Head::Content,
        }
        true
    }

    fn tabbed_line(&mut self) -> bool {
        self.blanks();
        if is_break(self.byte()) {
            return false;
        }
        if self.byte() == b'#' {
            self.comment();
            self.commented = true;
            return false;
        }
        if self.at >= self.text.len() {
            self.head = Head::Over;
            self.indent = -1;
            return true;
        }
        self.head = Head::Content;
        self.tab = true;
        true
    }

    /// Whether a document marker stands at the start of this line.
    pub(super) fn marker(&self) -> Head {
        let sign = byte(self.text, self.line);
        let three = self.text[self.line..].starts_with(&[sign, sign, sign]);
        match sign {
            b'-' if three && is_white(byte(self.text, self.line + 3)) => Head::Start,
            b'.' if three && is_white(byte(self.text, self.line + 3)) => Head::End,
            _ => Head::Content,
        }
    }

    /// The innermost open block collection. The root's frame is there as long as a document is open.
    #[inline(always)]
    pub(super) fn top(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// Adds a node.
    #[inline(always)]
    pub(super) fn push(&mut self, kind: Kind, start: usize, end: usize, flags: u8) -> Step<u32> {
        let index = self.arena.nodes.len();
        if index >= self.nodes_max {
            return self.fail(start, "more nodes than the limit");
        }
        let next = index as u32 + 1;
        self.arena.nodes.push(Node { start: start as u32, end: end as u32, next, kind, flags });
        self.last_end = end;
        Ok(index as u32)
    }

    /// Gives the node that is pushed next its properties.
    #[inline(always)]
    pub(super) fn with_props(&mut self, props: &Props) -> u8 {
        if props.is_none() {
            return 0;
        }
        self.keep_props(props, self.arena.nodes.len());
        HAS_PROPS
    }

    #[cold]
    fn keep_props(&mut self, props: &Props, node: usize) {
        let node = node as u32;
        self.arena.props.push(Props { node, ..*props });
        self.name(props, node);
    }

    /// Lets aliases find a node.
    pub(super) fn name(&mut self, props: &Props, node: u32) {
        let (start, end) = props.anchor;
        if end > 0 {
            self.anchors.insert(&self.text[start as usize..end as usize], node);
        }
    }

    /// Adds nothing as a node, with what properties wait for it.
    pub(super) fn push_empty(&mut self, props: &Props) -> Step<u32> {
        let flags = self.with_props(props);
        let place = self.last_end;
        self.push(Kind::Empty, place, place, flags)
    }

    /// Opens a block collection and takes the slot of the one around it.
    pub(super) fn open(&mut self, kind: Kind, column: i32, props: &Props, state: State) -> Step {
        if self.frames.len() > self.options.depth_max {
            return self.fail(self.at, "values are nested too deeply");
        }
        self.filled();
        let flags = self.with_props(props);
        let start = self.line + column as usize;
        let node = self.push(kind, start, start, flags)?;
        self.frames.push(Frame { node, indent: column, kind, state });
        Ok(())
    }

    /// The node that the innermost collection waited for is there.
    #[inline(always)]
    pub(super) fn filled(&mut self) {
        let top = self.top();
        top.state = if top.state == State::Key { State::Colon } else { State::Done };
    }

    /// Completes what the innermost collection still waits for.
    pub(super) fn fill(&mut self) -> Step {
        while self.top().state != State::Done {
            let props = std::mem::replace(&mut self.pending, Props::NONE);
            self.push_empty(&props)?;
            self.filled();
        }
        Ok(())
    }

    /// Closes the innermost collection.
    pub(super) fn close(&mut self) -> Step {
        if self.top().state != State::Done {
            self.fill()?;
        }
        if let Some(frame) = self.frames.pop() {
            let next = self.arena.nodes.len() as u32;
            let end = self.last_end as u32;
            let node = &mut self.arena.nodes[frame.node as usize];
            node.next = next;
            node.end = end.max(node.start);
        }
        Ok(())
    }
}
