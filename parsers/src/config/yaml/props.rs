//! Anchors, tags and aliases.

use super::limits::TAG_BYTES_MAX;
use super::parser::{Parser, Step};
use super::scan::{byte, is_flow, is_white};
use super::tree::{Kind, Props, TagKind};

impl Parser<'_, '_> {
    /// Reads anchors and tags that stand here one after another; what follows the last is read next.
    pub(super) fn props(&mut self, props: &mut Props, in_flow: bool) -> Step {
        match self.byte() {
            b'&' => {
                if props.anchor.1 > 0 {
                    return self.fail(self.at, "a second anchor for one value");
                }
                props.anchor = self.anchor_name()?;
            }
            _ => {
                if props.kind != TagKind::None {
                    return self.fail(self.at, "a second tag for one value");
                }
                let start = self.at;
                self.tag(props)?;
                let length = |(start, end): (u32, u32)| (end - start) as usize;
                if length(props.prefix) + length(props.suffix) > TAG_BYTES_MAX {
                    return self.fail(start, "a tag longer than 1024 bytes");
                }
            }
        }
        let here = self.byte();
        if is_white(here) || (in_flow && matches!(here, b',' | b']' | b'}')) {
            return Ok(());
        }
        self.fail(self.at, "a blank must follow an anchor or a tag")
    }

    /// The name after `&` or `*`, as a range.
    fn anchor_name(&mut self) -> Step<(u32, u32)> {
        self.at += 1;
        let start = self.at;
        while !is_white(self.byte()) && !is_flow(self.byte()) {
            self.at += 1;
        }
        if self.at == start {
            return self.fail(start, "an anchor or alias without a name");
        }
        Ok((start as u32, self.at as u32))
    }

    /// The name of an alias.
    pub(super) fn alias_name(&mut self) -> Step<(u32, u32)> {
        self.anchor_name()
    }

    /// Adds an alias whose name was read.
    pub(super) fn push_alias(&mut self, start: u32, end: u32) -> Step<u32> {
        let name = &self.text[start as usize..end as usize];
        let Some(&target) = self.anchors.get(name) else {
            return self.fail(start as usize - 1, "no anchor of that name stands before the alias");
        };
        let index = self.push(Kind::Alias, start as usize, end as usize, 0)?;
        self.arena.nodes[index as usize].next = target;
        Ok(index)
    }

    fn tag(&mut self, props: &mut Props) -> Step {
        let start = self.at;
        self.at += 1;
        if self.byte() == b'<' {
            return self.verbatim(props);
        }
        self.tag_chars();
        let mut suffix = start + 1;
        if self.byte() != b'!' {
            let handle = self.declared(b"!");
            (props.kind, props.prefix) = match handle {
                _ if self.at == suffix => (TagKind::NonSpecific, (0, 0)),
                Some(prefix) => (TagKind::Declared, prefix),
                None => (TagKind::Local, (0, 0)),
            };
        } else {
            self.at += 1;
            let handle = &self.text[start..self.at];
            let named = handle.len() > 2;
            suffix = self.at;
            (props.kind, props.prefix) = match self.declared(handle) {
                Some(prefix) => (TagKind::Declared, prefix),
                None if named => return self.fail(start, "no %TAG line declares the tag's handle"),
                None => (TagKind::Core, (0, 0)),
            };
            self.tag_chars();
            if self.at == suffix {
                return self.fail(start, "a tag without a name");
            }
        }
        props.suffix = (suffix as u32, self.at as u32);
        Ok(())
    }

    fn verbatim(&mut self, props: &mut Props) -> Step {
        let start = self.at + 1;
        while !is_white(self.byte()) && self.byte() != b'>' {
            self.at += 1;
        }
        if self.byte() != b'>' || self.at == start {
            return self.fail(start, "`>` must end the tag");
        }
        props.kind = TagKind::Verbatim;
        props.suffix = (start as u32, self.at as u32);
        self.at += 1;
        Ok(())
    }

    fn tag_chars(&mut self) {
        loop {
            let here = byte(self.text, self.at);
            if is_white(here) || is_flow(here) || here == b'!' {
                return;
            }
            self.at += 1;
        }
    }

    fn declared(&self, handle: &[u8]) -> Option<(u32, u32)> {
        self.handles.iter().find(|(known, _)| *known == handle).map(|(_, prefix)| *prefix)
    }
}
