//! rsyslog's lexer (`grammar/lexer.l`, 8.2302): what a token is depends on where it stands.

use super::Parameters;
use super::checks;
use super::source::Source;
use super::tokens::{
    include_end, name_length, operator_length, priority_filter, property_filter, quoted, unescape,
    variable_length, word_length,
};
use crate::place::{Place, Placed, Problem};

/// Deepest nesting of blocks and of brackets in an expression.
pub(super) const DEPTH_MAX: usize = 64;

/// Objects that may stand at the top.
pub(super) const OBJECTS: [&str; 12] = [
    "main_queue",
    "timezone",
    "parser",
    "global",
    "template",
    "ruleset",
    "input",
    "module",
    "lookup_table",
    "dyn_stats",
    "include",
    "action",
];

const KEYWORDS: [&str; 11] = [
    "if",
    "foreach",
    "reload_lookup_table",
    "stop",
    "else",
    "call",
    "call_indirect",
    "set",
    "reset",
    "unset",
    "continue",
];

/// What the lexer finds outside of objects and expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Keyword(&'static str),
    /// The name of an object; its bracket is behind the cursor.
    Object(&'static str),
    Sign(char),
    Directive(String),
    PriorityFilter(String),
    PropertyFilter(String),
    Action(String),
    BsdTag(String),
    BsdHost(String),
    End,
}

pub(super) struct Cursor<'a> {
    pub source: &'a Source,
    text: &'a str,
    at: usize,
    /// The end of the line that was last looked at: a line is searched once, however many tokens it has.
    line_end: usize,
    /// Signs that are skipped, as the lexer does with a message.
    pub skipped: Vec<Problem>,
}

/// Most messages about skipped signs of one file.
const SKIPPED_MAX: usize = 1_000;

impl<'a> Cursor<'a> {
    pub fn new(source: &'a Source) -> Self {
        Self { source, text: &source.text, at: 0, line_end: 0, skipped: Vec::new() }
    }

    pub fn place(&self) -> Place {
        self.source.place(self.at.min(self.text.len()))
    }

    pub fn fault(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.place(), message: message.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn line_end(&mut self) -> usize {
        if self.line_end <= self.at {
            let rest = self.rest().as_bytes();
            self.line_end = memchr::memchr(b'\n', rest).map_or(self.text.len(), |at| self.at + at);
        }
        self.line_end
    }

    fn take(&mut self, end: usize) -> &'a str {
        let taken = &self.text[self.at..end];
        self.at = end;
        taken
    }

    fn skip_sign(&mut self, what: &str) {
        if self.skipped.len() < SKIPPED_MAX {
            let problem = self.fault(format!("a sign that means nothing {what}"));
            self.skipped.push(problem);
        }
        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
    }

    /// The end of a `/* … */` comment that starts here.
    fn comment(&mut self) {
        let end = self.rest().find("*/").map_or(self.text.len(), |at| self.at + at + 2);
        self.at = end;
    }

    /// The next token, with its place.
    pub fn token(&mut self) -> (Token, Place) {
        loop {
            if let Some(found) = self.at_line_start() {
                return found;
            }
            let Some(byte) = self.peek() else { return (Token::End, self.place()) };
            match byte {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'#' => self.at = self.line_end(),
                b'/' if self.rest().starts_with("/*") => self.comment(),
                _ => {
                    let place = self.place();
                    if let Some(token) = self.plain(byte) {
                        return (token, place);
                    }
                    self.skip_sign("here");
                }
            }
        }
    }

    /// Filters and hosts are only known at the start of a line.
    fn at_line_start(&mut self) -> Option<(Token, Place)> {
        if self.at > 0 && self.text.as_bytes()[self.at - 1] != b'\n' {
            return None;
        }
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let line = &rest[blanks..];
        let word = word_length(line);
        let place = self.source.place(self.at + blanks);
        let (token, length) = if let Some(length) = priority_filter(line)
            && (length >= word || blanks > 0)
        {
            (Token::PriorityFilter(line[..length].into()), length)
        } else if let Some(length) = property_filter(line) {
            (Token::PropertyFilter(line[..length].into()), length)
        } else {
            let end = memchr::memchr(b'\n', line.as_bytes()).unwrap_or(line.len());
            let host = line[..end].trim_end_matches([' ', '\t']);
            let name = host.strip_prefix('+').or(host.strip_prefix('-').filter(|_| blanks > 0))?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
            if name.is_empty() || !name.chars().all(is_name) {
                return None;
            }
            (Token::BsdHost(host.into()), end)
        };
        self.at += blanks + length;
        Some((token, place))
    }

    fn plain(&mut self, byte: u8) -> Option<Token> {
        let end = self.line_end();
        let line = &self.text[self.at..end];
        let second = line.as_bytes().get(1).copied();
        match byte {
            b'&' | b'{' | b'}' => {
                self.at += 1;
                Some(Token::Sign(char::from(byte)))
            }
            b'$' if second.is_some_and(|b| b.is_ascii_alphabetic()) => {
                let end = include_end(line).map_or(end, |length| self.at + length);
                Some(Token::Directive(self.take(end).into()))
            }
            b'!' => {
                let tag = line.trim_end_matches([' ', '\t']);
                let fits = tag.len() > 1 && !tag.contains([' ', '\t']);
                fits.then(|| Token::BsdTag(self.take(end).trim().into()))
            }
            b'+' if line.trim_end_matches([' ', '\t']) == "+*" => {
                Some(Token::BsdHost(self.take(end).trim().into()))
            }
            b'/' => second.is_some().then(|| Token::Action(self.take(end).into())),
            b'|' | b'.' | b'-' | b'@' | b'^' | b'?' | b'>' if line.len() > 1 => {
                Some(Token::Action(self.take(end).into()))
            }
            b'~' => Some(Token::Action(self.take(end).into())),
            b'*' => {
                let end = self.at + 1;
                Some(Token::Action(self.take(end).into()))
            }
            b':' => {
                let name = line[1..].bytes().take_while(u8::is_ascii_alphanumeric).count();
                let fits = name > 0 && line.as_bytes().get(name + 1) == Some(&b':');
                fits.then(|| Token::Action(self.take(end).into()))
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<Token> {
        let length = word_length(self.rest());
        if length == 0 {
            return None;
        }
        let word = &self.rest()[..length];
        let behind = self.rest()[length..].trim_start_matches([' ', '\t', '\n']);
        let is = |known: &&str| known.eq_ignore_ascii_case(word);
        if behind.starts_with('(')
            && let Some(object) = OBJECTS.iter().find(|known| is(known))
        {
            self.at = self.text.len() - behind.len() + 1;
            return Some(Token::Object(object));
        }
        let keyword = KEYWORDS.iter().find(|known| is(known));
        let word = self.take(self.at + length);
        Some(match keyword {
            Some(keyword) => Token::Keyword(keyword),
            None => Token::Action(word.into()),
        })
    }

    /// The name behind `call`.
    pub fn name(&mut self) -> Option<String> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\n' => self.at += 1,
                byte if byte.is_ascii_alphabetic() => break,
                _ => self.skip_sign("behind call"),
            }
        }
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let length = self.rest().bytes().take_while(is_name).count();
        Some(self.take(self.at + length).to_string())
    }

    /// Blanks and comments inside of an object.
    fn object_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'#' => self.at = self.line_end(),
                b'/' if self.rest().starts_with("/*") => self.comment(),
                b'a'..=b'z' | b'A'..=b'Z' | b',' | b'[' | b']' | b'=' | b'"' | b'`' | b')' => {
                    return;
                }
                _ => self.skip_sign("in an object"),
            }
        }
    }

    /// `name="value" name=["a", "b"] …)`, up to and with the bracket.
    pub fn parameters(&mut self) -> Result<Parameters, Problem> {
        let mut all = Vec::new();
        loop {
            self.object_blanks();
            match self.peek() {
                Some(b')') => {
                    self.at += 1;
                    return Ok(all);
                }
                Some(byte) if byte.is_ascii_alphabetic() => {}
                _ => return Err(self.fault("a parameter's name or `)` is expected")),
            }
            let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
            let length = self.rest().bytes().take_while(is_name).count();
            let name = self.take(self.at + length).to_ascii_lowercase();
            self.object_blanks();
            if self.peek() != Some(b'=') {
                return Err(self.fault("`=` is expected after a parameter's name"));
            }
            self.at += 1;
            self.object_blanks();
            let values =
                if self.peek() == Some(b'[') { self.array()? } else { vec![self.value()?] };
            all.push((name, values));
        }
    }

    fn array(&mut self) -> Result<Vec<Placed<String>>, Problem> {
        let mut values = Vec::new();
        loop {
            self.at += 1;
            self.object_blanks();
            values.push(self.value()?);
            self.object_blanks();
            match self.peek() {
                Some(b',') => {}
                Some(b']') => {
                    self.at += 1;
                    return Ok(values);
                }
                _ => return Err(self.fault("`,` or `]` is expected")),
            }
        }
    }

    fn value(&mut self) -> Result<Placed<String>, Problem> {
        let place = self.place();
        let Some(quote @ (b'"' | b'`')) = self.peek() else {
            return Err(self.fault("a value in double quotes is expected"));
        };
        let length =
            quoted(self.rest().as_bytes(), quote, b"'\"?\\abfnrtv`", false).ok_or_else(|| {
                self.fault("a value whose quotes do not close, or with a wrong escape")
            })?;
        let raw = self.take(self.at + length);
        Ok(Placed { value: unescape(&raw[1..length - 1]), place, text: String::new() })
    }

    /// An expression up to a word (`then`, `do`) or `;`: its text without blanks around it.
    pub fn expression(&mut self, end: &str) -> Result<String, Problem> {
        self.expression_blanks();
        let start = self.at;
        self.operation(0)?;
        let text = self.text[start..self.at].trim_end().to_string();
        self.expect(end)?;
        Ok(text)
    }

    /// A variable's name without its `$`, whatever it is.
    pub fn variable(&mut self) -> Result<String, Problem> {
        self.expression_blanks();
        let length = variable_length(self.rest())
            .ok_or_else(|| self.fault("a variable ($name) is expected"))?;
        Ok(self.take(self.at + length)[1..].to_string())
    }

    /// A variable that is read. The daemon tells it where there is none, and reads on.
    fn value_of(&mut self) -> Result<(), Problem> {
        let place = self.place();
        let name = self.variable()?;
        if !checks::is_property(&name) && self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(Problem { place, message: "no such property".into() });
        }
        Ok(())
    }

    /// A sign or word of an expression.
    pub fn expect(&mut self, what: &str) -> Result<(), Problem> {
        self.expression_blanks();
        let rest = self.rest();
        let is_here = rest.get(..what.len()).is_some_and(|text| text.eq_ignore_ascii_case(what));
        // By bytes: what is here instead may be any character.
        let after = rest.as_bytes().get(what.len());
        let goes_on = what.as_bytes()[0].is_ascii_alphabetic()
            && after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        if !is_here || goes_on {
            return Err(self.fault(format!("`{what}` is expected here")));
        }
        self.at += what.len();
        Ok(())
    }

    fn expression_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'/' if self.rest().starts_with("/*") => self.comment(),
                byte if byte.is_ascii_alphanumeric() => return,
                b'(' | b')' | b';' | b'=' | b',' | b'*' | b'/' | b'%' | b'+' | b'&' | b'-'
                | b'[' | b']' | b'<' | b'>' | b'\'' | b'"' | b'`' | b'$' => return,
                b'!' if self.rest().starts_with("!=") => return,
                _ => self.skip_sign("in an expression"),
            }
        }
    }

    fn operation(&mut self, depth: usize) -> Result<(), Problem> {
        loop {
            self.operand(depth)?;
            self.expression_blanks();
            let Some(length) = operator_length(self.rest()) else { return Ok(()) };
            self.at += length;
        }
    }

    fn operand(&mut self, depth: usize) -> Result<(), Problem> {
        if depth > DEPTH_MAX {
            return Err(self.fault("brackets are nested too deeply"));
        }
        // Signs in front are taken in a loop: a million of them are no depth.
        loop {
            self.expression_blanks();
            if self.peek() == Some(b'-') {
                self.at += 1;
            } else if name_length(self.rest()) == 3 && self.rest()[..3].eq_ignore_ascii_case("not")
            {
                self.at += 3;
            } else {
                break;
            }
        }
        match self.peek() {
            Some(b'(') => {
                self.at += 1;
                self.operation(depth + 1)?;
                self.expect(")")
            }
            Some(b'[') => self.list(),
            Some(b'\'' | b'"' | b'`') => self.text_value(),
            Some(b'$') => self.value_of(),
            Some(byte) if byte.is_ascii_digit() => {
                self.number();
                Ok(())
            }
            Some(byte) if byte.is_ascii_alphabetic() => self.call(depth),
            _ => Err(self.fault("a value is expected here")),
        }
    }

    fn number(&mut self) {
        let rest = self.rest();
        let digits =
            |text: &str, radix: u32| text.chars().take_while(|c| c.is_digit(radix)).count();
        let hex =
            rest.get(..2).filter(|p| p.eq_ignore_ascii_case("0x")).map(|_| digits(&rest[2..], 16));
        self.at += match (hex, rest.as_bytes()[0]) {
            (Some(length @ 1..), _) => length + 2,
            (_, b'0') => 1 + digits(&rest[1..], 8),
            _ => digits(rest, 10),
        };
    }

    fn text_value(&mut self) -> Result<(), Problem> {
        let quote = self.rest().as_bytes()[0];
        let escapes: &[u8] = if quote == b'`' { b"'`\"\\bntr" } else { b"'\"\\$bntr" };
        let length =
            quoted(self.rest().as_bytes(), quote, escapes, quote == b'"').ok_or_else(|| {
                self.fault("a text whose quotes do not close, or with a wrong escape")
            })?;
        self.at += length;
        Ok(())
    }

    fn list(&mut self) -> Result<(), Problem> {
        loop {
            self.at += 1;
            self.expression_blanks();
            match self.peek() {
                Some(b'\'' | b'"' | b'`') => self.text_value()?,
                _ => return Err(self.fault("a text is expected here")),
            }
            self.expression_blanks();
            match self.peek() {
                Some(b',') => {}
                _ => return self.expect("]"),
            }
        }
    }

    fn call(&mut self, depth: usize) -> Result<(), Problem> {
        self.at += name_length(self.rest());
        self.expect("(")?;
        self.expression_blanks();
        if self.peek() == Some(b')') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.operation(depth + 1)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(")"),
            }
        }
    }
}
