//! Scalars: where they end. Their text is decoded when somebody asks for it; what could go wrong then is
//! refused here.

use super::decode;
use super::parser::{Head, Parser, Step};
use super::scan::{self, byte, is_blank, is_break, is_flow, is_white};
use super::tree::{COOKED, KEEP, Kind, Props, STRIP};

/// A scalar that was read and is not yet a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    pub flags: u8,
    /// It began on an earlier line than it ended.
    pub multiline: bool,
}

impl Parser<'_, '_> {
    /// Whether a plain scalar may start here.
    #[inline(always)]
    pub(super) fn plain_starts(&self, in_flow: bool) -> bool {
        match self.byte() {
            b'-' | b'?' | b':' => {
                let after = byte(self.text, self.at + 1);
                !(is_white(after) || in_flow && is_flow(after))
            }
            b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
            | b'"' | b'%' | b'@' | b'`' => false,
            _ => true,
        }
    }

    /// The end of a plain scalar's part on this line, without blanks.
    #[inline(always)]
    pub(super) fn trimmed(&self, start: usize, mut end: usize) -> usize {
        while end > start && is_blank(self.text[end - 1]) {
            end -= 1;
        }
        end
    }

    /// Goes on with a plain scalar of a block behind its first line: takes lines as long as they are
    /// deeper than `indent`. Returns its end; the next line's head is then read.
    #[inline(always)]
    pub(super) fn plain_rest(&mut self, end: usize, indent: i32) -> Step<usize> {
        self.next_line();
        if self.head != Head::Content || self.commented || self.indent <= indent {
            return Ok(end);
        }
        self.plain_lines(indent)
    }

    fn plain_lines(&mut self, indent: i32) -> Step<usize> {
        loop {
            let start = self.at;
            self.at = scan::plain_block(self.text, start);
            if self.byte() == b':' {
                return self.fail(start, "a key must stand on one line");
            }
            let end = self.trimmed(start, self.at);
            if !is_break(self.byte()) && self.at < self.text.len() {
                self.finish_line()?;
                return Ok(end);
            }
            self.next_line();
            if self.head != Head::Content || self.commented || self.indent <= indent {
                return Ok(end);
            }
        }
    }

    /// Reads a plain scalar inside of a flow collection; stands behind it then.
    #[inline(always)]
    pub(super) fn plain_in_flow(&mut self, indent: i32) -> Step<Scalar> {
        let start = self.at;
        self.at = scan::plain_flow(self.text, start);
        let end = self.trimmed(start, self.at);
        let scalar = Scalar { kind: Kind::Plain, start, end, flags: 0, multiline: false };
        if is_break(self.byte()) { self.plain_flow_lines(scalar, indent) } else { Ok(scalar) }
    }

    fn plain_flow_lines(&mut self, mut scalar: Scalar, indent: i32) -> Step<Scalar> {
        while is_break(self.byte()) {
            self.next_flow_line(indent)?;
            let (start, here, after) = (self.at, self.byte(), byte(self.text, self.at + 1));
            let ends = is_flow(here) || (here == b':' && (is_white(after) || is_flow(after)));
            if ends || self.commented {
                return Ok(scalar);
            }
            self.at = scan::plain_flow(self.text, start);
            scalar.end = self.trimmed(start, self.at);
            scalar.flags = COOKED;
            scalar.multiline = true;
        }
        Ok(scalar)
    }

    /// Reads a quoted scalar whose further lines must be deeper than `indent`; stands behind it then.
    pub(super) fn quoted(&mut self, indent: i32) -> Step<Scalar> {
        let sign = self.byte();
        let open = self.at;
        self.at += 1;
        let start = self.at;
        let (mut flags, mut multiline) = (0, false);
        loop {
            self.at = match sign {
                b'"' => scan::double(self.text, self.at),
                _ => scan::single(self.text, self.at),
            };
            let here = self.byte();
            if here == sign {
                if sign == b'"' || byte(self.text, self.at + 1) != sign {
                    break;
                }
                flags = COOKED;
                self.at += 2;
            } else if here == b'\\' {
                flags = COOKED;
                self.escape()?;
            } else if is_break(here) {
                (flags, multiline) = (COOKED, true);
                self.quoted_line(open, indent)?;
            } else {
                return self.fail(open, "the quote is never closed");
            }
        }
        let end = self.at;
        self.at += 1;
        let kind = if sign == b'"' { Kind::Double } else { Kind::Single };
        Ok(Scalar { kind, start, end, flags, multiline })
    }

    /// Goes to the next line with something on it inside of quotes.
    fn quoted_line(&mut self, open: usize, indent: i32) -> Step {
        loop {
            match self.byte() {
                b'\n' => self.at += 1,
                b'\r' => self.at += 1 + usize::from(byte(self.text, self.at + 1) == b'\n'),
                _ => return self.fail(open, "the quote is never closed"),
            }
            self.line = self.at;
            self.at = scan::spaces(self.text, self.at);
            self.indent = (self.at - self.line) as i32;
            self.blanks();
            if is_break(self.byte()) {
                continue;
            }
            if self.marker() != Head::Content {
                return self.fail(self.line, "a document marker inside of quotes");
            }
            if self.indent <= indent && self.at < self.text.len() {
                return self.fail(self.at, "a quoted line must be indented deeper");
            }
            return Ok(());
        }
    }

    /// Goes over an escape in double quotes.
    fn escape(&mut self) -> Step {
        let sign = byte(self.text, self.at + 1);
        let digits = match sign {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            b'\n' | b'\r' => {
                self.at += 1;
                return Ok(());
            }
            _ if sign.is_ascii() && decode::simple_escape(char::from(sign)).is_some() => {
                self.at += 2;
                return Ok(());
            }
            _ => return self.fail(self.at, "no escape that YAML knows"),
        };
        let from = self.at + 2;
        let code = self.text.get(from..from + digits).and_then(|hex| {
            hex.iter()
                .try_fold(0_u32, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
        });
        if code.and_then(char::from_u32).is_none() {
            return self.fail(self.at, "the escape names no character");
        }
        self.at = from + digits;
        Ok(())
    }

    /// Adds a literal or folded scalar of a collection at `indent`; the next line's head is then read.
    pub(super) fn block_scalar(&mut self, indent: i32, props: &Props) -> Step {
        let start = self.at;
        let kind = if self.byte() == b'|' { Kind::Literal } else { Kind::Folded };
        self.at += 1;
        let (mut flags, mut digit) = (0, 0);
        loop {
            match self.byte() {
                b'-' if flags == 0 => flags = STRIP,
                b'+' if flags == 0 => flags = KEEP,
                sign @ b'1'..=b'9' if digit == 0 => digit = i32::from(sign - b'0'),
                _ => break,
            }
            self.at += 1;
        }
        if !is_white(self.byte()) {
            return self.fail(self.at, "not a sign that a block scalar may start with");
        }
        self.header_end()?;
        let depth = if digit > 0 { indent.max(0) + digit } else { self.detect(indent)? };
        let end = self.block_lines(depth);
        let next = scan::spaces(self.text, end);
        if byte(self.text, next) == b'\t' {
            return self.fail(next, "a tab where a block scalar ends");
        }
        let flags = flags | self.with_props(props);
        let index = self.push(kind, start, end, flags)?;
        self.arena.nodes[index as usize].next = depth as u32;
        self.at = end;
        // The next line's head: it starts here, or the text is over.
        self.commented = false;
        if !self.start_line() {
            self.next_line();
        }
        Ok(())
    }

    /// From a block scalar's signs to the start of the next line.
    fn header_end(&mut self) -> Step {
        self.blanks();
        if self.byte() == b'#' && is_blank(self.text[self.at - 1]) {
            let start = self.at;
            self.at = scan::line_end(self.text, self.at);
            if self.options.comments {
                self.arena.comments.push((start as u32, self.at as u32));
            }
        }
        self.at = match self.byte() {
            b'\n' => self.at + 1,
            b'\r' => self.at + 1 + usize::from(byte(self.text, self.at + 1) == b'\n'),
            _ if self.at >= self.text.len() => self.at,
            _ => return self.fail(self.at, "something stands behind the block scalar's sign"),
        };
        Ok(())
    }

    /// The indentation of the first line with something on it, if it is deeper than `indent`.
    fn detect(&mut self, indent: i32) -> Step<i32> {
        let (mut at, mut deepest) = (self.at, 0);
        loop {
            let content = scan::spaces(self.text, at);
            let depth = (content - at) as i32;
            match byte(self.text, content) {
                b'\n' => at = content + 1,
                b'\r' => at = content + 1 + usize::from(byte(self.text, content + 1) == b'\n'),
                0 if content >= self.text.len() => return Ok(deepest.max(depth).max(indent + 1)),
                _ if depth <= indent => return Ok(deepest.max(indent + 1)),
                _ if deepest > depth => {
                    return self
                        .fail(at, "an empty line before the text is indented deeper than it");
                }
                _ => return Ok(depth),
            }
            deepest = deepest.max(depth);
        }
    }

    /// The end of the lines at least `depth` deep, with empty lines between and after.
    fn block_lines(&self, depth: i32) -> usize {
        let depth = depth as usize;
        let mut at = self.at;
        while at < self.text.len() {
            let content = scan::spaces(self.text, at);
            let here = byte(self.text, content);
            let empty = is_break(here) || content >= self.text.len();
            if !empty && content - at < depth {
                return at;
            }
            if !empty && depth == 0 && self.is_marker(at) {
                return at;
            }
            at = scan::line_end(self.text, content);
            at += match byte(self.text, at) {
                b'\r' if byte(self.text, at + 1) == b'\n' => 2,
                b'\n' | b'\r' => 1,
                _ => 0,
            };
        }
        at
    }

    fn is_marker(&self, line: usize) -> bool {
        let three = &self.text[line..(line + 3).min(self.text.len())];
        (three == b"---" || three == b"...") && is_white(byte(self.text, line + 3))
    }
}
