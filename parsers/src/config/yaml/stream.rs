//! Documents of a stream: directives, markers, bare documents.

use std::collections::HashMap;

use super::limits::DIRECTIVES_MAX;
use super::parser::{Frame, Head, Parser, State, Step};
use super::scan::{self, byte, is_blank, is_white};
use super::tree::{Kind, Props, Root};

/// Room for anchors that is kept from one document to the next.
const ANCHORS_KEPT_MAX: usize = 256;

const MARK: &[u8] = "\u{feff}".as_bytes();

impl<'t> Parser<'t, '_> {
    pub(super) fn documents(&mut self) -> Step {
        if !self.start_line() {
            self.next_line();
        }
        // After `...` or at the start, directives and bare documents may come.
        let mut fresh = true;
        loop {
            while self.text[self.at..].starts_with(MARK) && self.at == self.line {
                self.at += MARK.len();
                if !self.start_line() {
                    self.next_line();
                }
            }
            match self.head {
                Head::Over => return Ok(()),
                Head::End => {
                    self.at += 3;
                    self.finish_line()?;
                    if let Some(last) = self.arena.roots.last_mut()
                        && !fresh
                    {
                        last.explicit_end = true;
                    }
                    fresh = true;
                    continue;
                }
                Head::Content if !fresh => {
                    return self.fail(self.at, "content after the document's root value");
                }
                _ => {}
            }
            self.document()?;
            fresh = false;
        }
    }

    fn document(&mut self) -> Step {
        if self.arena.roots.len() >= self.options.documents_max {
            return self.fail(self.at, "more documents than the limit");
        }
        // Clearing costs what the largest document has cost: not for every small one after it.
        match self.anchors.capacity() > ANCHORS_KEPT_MAX {
            true => self.anchors = HashMap::new(),
            false => self.anchors.clear(),
        }
        self.handles.clear();
        if self.head == Head::Content && self.byte() == b'%' && self.at == self.line {
            self.directives()?;
        }
        let explicit_start = self.head == Head::Start;
        let node = self.arena.nodes.len() as u32;
        self.arena.roots.push(Root { node, explicit_start, explicit_end: false });
        self.frames.clear();
        self.frames.push(Frame { node, indent: -1, kind: Kind::Empty, state: State::Node });
        self.pending = Props::NONE;
        if explicit_start {
            self.at += 3;
            self.last_end = self.at;
            self.after_marker()?;
        }
        while self.head == Head::Content {
            self.block_line()?;
        }
        while self.frames.len() > 1 {
            self.close()?;
        }
        self.fill()?;
        // A root that turned out to be a mapping with a flow collection as key stands in the spare.
        let spare = self.arena.nodes[node as usize].kind == Kind::Spare;
        if let Some(root) = self.arena.roots.last_mut() {
            root.node = node + u32::from(spare);
        }
        Ok(())
    }

    /// `%YAML` and `%TAG` lines; what else starts with `%` is reserved and skipped.
    fn directives(&mut self) -> Step {
        let mut version = false;
        let mut count = 0;
        while self.head == Head::Content && self.byte() == b'%' && self.at == self.line {
            count += 1;
            if count > DIRECTIVES_MAX {
                return self.fail(self.at, "more directives than the limit");
            }
            self.at += 1;
            match self.word() {
                b"YAML" if std::mem::replace(&mut version, true) => {
                    return self.fail(self.at, "a second %YAML line");
                }
                b"YAML" => self.version()?,
                b"TAG" => self.handle()?,
                _ => {
                    self.at = scan::line_end(self.text, self.at);
                    self.next_line();
                    continue;
                }
            }
            self.finish_line()?;
        }
        if self.head != Head::Start {
            return self.fail(self.at, "`---` must follow the directives");
        }
        Ok(())
    }

    /// The bytes up to white space.
    fn word(&mut self) -> &'t [u8] {
        let start = self.at;
        while !is_white(self.byte()) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn version(&mut self) -> Step {
        self.blanks();
        let place = self.at;
        let Some(minor) = self.word().strip_prefix(b"1.") else {
            return self.fail(place, "not a version of YAML that is known");
        };
        if minor.is_empty() || minor.len() > 4 || !minor.iter().all(u8::is_ascii_digit) {
            return self.fail(place, "not a version of YAML that is known");
        }
        Ok(())
    }

    fn handle(&mut self) -> Step {
        self.blanks();
        let place = self.at;
        let handle = self.word();
        self.blanks();
        let prefix = self.at;
        let word = self.word();
        let is_handle = match handle {
            b"!" | b"!!" => true,
            [b'!', name @ .., b'!'] => {
                name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            }
            _ => false,
        };
        if !is_handle || word.is_empty() || word.iter().any(|byte| matches!(byte, b'{' | b'}')) {
            return self.fail(place, "`%TAG !handle! prefix` is expected");
        }
        if self.handles.iter().any(|(known, _)| *known == handle) {
            return self.fail(place, "a second %TAG line for one handle");
        }
        self.handles.push((handle, (prefix as u32, self.at as u32)));
        Ok(())
    }

    /// What stands on the line of `---`: nothing, or a node that is no block collection.
    fn after_marker(&mut self) -> Step {
        if is_blank(byte(self.text, self.at)) {
            self.blanks();
        }
        if self.at_line_end() {
            return self.finish_line();
        }
        self.node(super::block::Where::Inline)
    }
}
