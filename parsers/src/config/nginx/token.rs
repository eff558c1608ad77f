//! nginx's tokenizer (`ngx_conf_read_token`): words with quotes and escapes, `;`, `{`, `}`, comments.
//!
//! What nginx would stop at is a fault here, and reading goes on behind it.

use std::sync::Arc;

use crate::place::Place;

/// Longest word in bytes, the size of nginx's buffer; longer ones nginx refuses.
pub(super) const WORD_BYTES_MAX: usize = 4096;

/// Longest Lua block in bytes.
pub(super) const LUA_BYTES_MAX: usize = 1 << 20;

/// A word of a directive.
pub(super) struct Word {
    pub text: String,
    pub place: Place,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// The end of the file.
    End,
}

/// What is wrong, and where.
pub(super) type Fault = (Place, &'static str);

/// A file that is read from left to right.
pub(super) struct Lexer<'a> {
    pub file: Arc<str>,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    pub faults: Vec<Fault>,
}

impl<'a> Lexer<'a> {
    pub fn new(file: &Arc<str>, bytes: &'a [u8]) -> Self {
        let file = Arc::clone(file);
        Self { file, bytes, at: 0, line: 1, line_start: 0, faults: Vec::new() }
    }

    /// The place of the next byte.
    pub fn place(&self) -> Place {
        let column = u32::try_from(self.at - self.line_start + 1).unwrap_or(u32::MAX);
        Place::new(&self.file, self.line, column)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        if self.bytes.get(self.at) == Some(&b'\n') {
            self.line = self.line.saturating_add(1);
            self.line_start = self.at + 1;
        }
        self.at += 1;
    }

    fn fault(&mut self, place: Place, message: &'static str) {
        self.faults.push((place, message));
    }

    /// Reads words into `words` up to a `;`, `{`, `}` or the end. At most `max` words are kept; whether
    /// there were more is the second value.
    pub fn statement(&mut self, words: &mut Vec<Word>, max: usize) -> (Ending, bool) {
        let mut more = false;
        loop {
            self.blanks();
            let ending = match self.peek() {
                None => Ending::End,
                Some(b';') => Ending::Semicolon,
                Some(b'{') => Ending::Open,
                Some(b'}') => Ending::Close,
                Some(_) => {
                    let word = self.word();
                    match words.len() < max {
                        true => words.push(word),
                        false => more = true,
                    }
                    continue;
                }
            };
            let is_misplaced = match ending {
                Ending::Semicolon | Ending::Open => words.is_empty(),
                Ending::Close | Ending::End => !words.is_empty(),
            };
            if is_misplaced {
                let message = match ending {
                    Ending::Semicolon => "unexpected `;`",
                    Ending::Open => "unexpected `{`",
                    Ending::Close => "unexpected `}`: the directive before it lacks its `;`",
                    Ending::End => "unexpected end of file: `;` or `}` is missing",
                };
                let place = self.place();
                self.fault(place, message);
            }
            if ending != Ending::End {
                self.step();
            }
            return (ending, more);
        }
    }

    /// Blanks and comments; a `#` inside of a word is none.
    fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.step(),
                b'#' => {
                    let rest = &self.bytes[self.at..];
                    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    // nginx keeps a comment in the same buffer as a word.
                    if length >= WORD_BYTES_MAX && rest.len() > WORD_BYTES_MAX {
                        let place = self.place();
                        self.fault(
                            place,
                            "the comment is longer than nginx's buffer of 4096 bytes",
                        );
                    }
                    self.at += length;
                }
                _ => return,
            }
        }
    }

    fn word(&mut self) -> Word {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Word {
        let place = self.place();
        let start = self.at;
        let mut is_variable = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => {
                    is_variable = false;
                    self.step();
                    if self.peek().is_some() {
                        self.step();
                    }
                    continue;
                }
                b'$' => is_variable = true,
                // `${name}`: the brace belongs to the word, and so does every further one.
                b'{' if is_variable => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                _ => is_variable = false,
            }
            self.step();
        }
        self.cut(start, self.at, place)
    }

    fn quoted(&mut self, quote: u8) -> Word {
        let place = self.place();
        self.step();
        let start = self.at;
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                self.step();
                if self.peek().is_none() {
                    break;
                }
            } else if byte == quote {
                let end = self.at;
                self.step();
                let next = self.peek();
                if !matches!(next, None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')')) {
                    let here = self.place();
                    self.fault(here, "a blank or `;` is expected after the closing quote");
                }
                return self.cut(start, end, place);
            }
            self.step();
        }
        self.fault(place.clone(), "a quote that does not end");
        self.cut(start, self.at, place)
    }

    /// The word between two offsets, escapes taken off.
    fn cut(&mut self, start: usize, end: usize, place: Place) -> Word {
        if end - start >= WORD_BYTES_MAX && self.bytes.len() > start + WORD_BYTES_MAX {
            self.fault(place.clone(), "the word is longer than nginx's buffer of 4096 bytes");
        }
        let raw = &self.bytes[start..end.min(start + WORD_BYTES_MAX)];
        if raw.contains(&0) {
            self.fault(place.clone(), "a NUL byte");
        }
        Word { text: String::from_utf8_lossy(&unescaped(raw)).into_owned(), place }
    }

    /// A Lua block after its `{`, up to the `}` that ends it: strings, comments and long brackets of
    /// Lua may hold braces. The code is the word.
    pub fn lua(&mut self) -> Word {
        let place = self.place();
        let start = self.at;
        let mut depth = 1_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        let raw = &self.bytes[start..self.at.min(start + LUA_BYTES_MAX)];
                        let text = String::from_utf8_lossy(raw).into_owned();
                        if self.at - start > LUA_BYTES_MAX {
                            self.fault(place.clone(), "the Lua block is longer than is kept");
                        }
                        self.step();
                        return Word { text, place };
                    }
                }
                b'"' | b'\'' => {
                    self.lua_string(byte);
                    continue;
                }
                b'-' if self.bytes.get(self.at + 1) == Some(&b'-') => {
                    self.step();
                    self.step();
                    if !self.lua_long() {
                        while self.peek().is_some_and(|byte| byte != b'\n') {
                            self.step();
                        }
                    }
                    continue;
                }
                b'[' if self.lua_long() => continue,
                _ => {}
            }
            self.step();
        }
        self.fault(place.clone(), "a Lua block that does not end");
        Word { text: String::new(), place }
    }

    fn lua_string(&mut self, quote: u8) {
        self.step();
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'\\' if self.peek().is_some() => self.step(),
                b'\n' => return,
                _ if byte == quote => return,
                _ => {}
            }
        }
    }

    /// `[[ … ]]`, `[==[ … ]==]`: whether one stood here.
    fn lua_long(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        if rest.first() != Some(&b'[') {
            return false;
        }
        let level = rest[1..].iter().take_while(|byte| **byte == b'=').count();
        if rest.get(1 + level) != Some(&b'[') {
            return false;
        }
        let mut closing = vec![b']'];
        closing.resize(1 + level, b'=');
        closing.push(b']');
        let body = level + 2;
        let end = memchr::memmem::find(&rest[body..], &closing);
        let length = end.map_or(rest.len(), |at| body + at + closing.len());
        (0..length).for_each(|_| self.step());
        true
    }
}

/// Takes escapes off as nginx does: quotes, backslashes and `\t \r \n`; others stay as written.
fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let (byte, width) = match (raw[at], raw.get(at + 1)) {
            (b'\\', Some(next @ (b'"' | b'\'' | b'\\'))) => (*next, 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'n')) => (b'\n', 2),
            (byte, _) => (byte, 1),
        };
        out.push(byte);
        at += width;
    }
    out
}
