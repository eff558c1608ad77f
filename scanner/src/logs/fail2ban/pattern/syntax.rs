//! Python's `re` syntax, read into a tree.
//!
//! All that fail2ban filters use and a little more: named and numbered groups, look-around, back
//! references, conditionals, flags, lazy and possessive repeats, atomic groups. Refused, with the place
//! in the pattern: what Python refuses, flags `L` and `a`, and patterns beyond the limits below.

use super::class::{Class, Item};

/// Longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 64 << 10;

/// Deepest nesting of groups.
pub const DEPTH_MAX: usize = 100;

/// Most capturing groups.
pub const GROUPS_MAX: usize = 200;

/// Repeats without an end.
pub(super) const ENDLESS: u32 = u32::MAX;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at character {at})")]
pub struct PatternError {
    /// Character of the pattern, from 0.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// A place between characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    TextStart,
    LineStart,
    /// The end, or before a line feed at the end.
    LastLineEnd,
    LineEnd,
    TextEnd,
    WordBound,
    NotWordBound,
}

/// What a look-around asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) behind: bool,
    pub(super) negated: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Empty,
    /// One character as it is.
    Literal(char),
    Class(Class),
    Concat(Vec<Node>),
    Alternate(Vec<Node>),
    Repeat {
        node: Box<Node>,
        least: u32,
        most: u32,
        lazy: bool,
    },
    Group(usize, Box<Node>),
    At(At),
    Look(Look, Box<Node>),
    Atomic(Box<Node>),
    Back {
        group: usize,
        fold: bool,
    },
    Conditional {
        group: usize,
        yes: Box<Node>,
        no: Box<Node>,
    },
}

/// A pattern read: its tree, and the names of its groups (`names[0]` is the whole match).
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) names: Vec<Option<String>>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold: bool,
    lines: bool,
    dot_all: bool,
    verbose: bool,
}

/// Reads a pattern; `lines` is Python's MULTILINE.
pub(super) fn parse(pattern: &str, lines: bool) -> Result<Parsed, PatternError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(PatternError { at: 0, what: "longer than 64 KiB" });
    }
    let chars: Vec<char> = pattern.chars().collect();
    let flags = Flags { lines, ..Flags::default() };
    let mut parser = Parser { chars, at: 0, depth: 0, flags, names: vec![None], open: Vec::new() };
    parser.global_flags()?;
    let node = parser.alternation()?;
    match parser.peek() {
        None => Ok(Parsed { node, names: parser.names }),
        Some(_) => Err(parser.error("unbalanced parenthesis")),
    }
}

pub(super) struct Parser {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    depth: usize,
    pub(super) flags: Flags,
    names: Vec<Option<String>>,
    open: Vec<usize>,
}

pub(super) type Read<T> = Result<T, PatternError>;

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn take(&mut self, one: char) -> bool {
        let is = self.peek() == Some(one);
        self.at += usize::from(is);
        is
    }

    fn take_all(&mut self, text: &str) -> bool {
        let is = text.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c));
        self.at += if is { text.chars().count() } else { 0 };
        is
    }

    pub(super) fn error(&self, what: &'static str) -> PatternError {
        PatternError { at: self.at, what }
    }

    /// Flags of the whole pattern, wherever they stand, as Python up to 3.10 takes them.
    fn global_flags(&mut self) -> Read<()> {
        let mut at = 0;
        while at + 1 < self.chars.len() {
            match (self.chars[at], self.chars[at + 1]) {
                ('\\', _) => at += 1,
                ('(', '?') => {
                    let letters: Vec<char> = self.chars[at + 2..]
                        .iter()
                        .copied()
                        .take_while(char::is_ascii_lowercase)
                        .collect();
                    let end = at + 2 + letters.len();
                    if !letters.is_empty() && self.chars.get(end) == Some(&')') {
                        self.at = at;
                        for letter in letters {
                            self.flag(letter, true)?;
                        }
                        self.chars.drain(at..=end);
                        continue;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        self.at = 0;
        Ok(())
    }

    fn flag(&mut self, letter: char, on: bool) -> Read<()> {
        match letter {
            'i' => self.flags.fold = on,
            'm' => self.flags.lines = on,
            's' => self.flags.dot_all = on,
            'x' => self.flags.verbose = on,
            'u' => {}
            _ => return Err(self.error("unknown flag")),
        }
        Ok(())
    }

    fn alternation(&mut self) -> Read<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        let mut branches = vec![self.sequence()?];
        while self.take('|') {
            branches.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(match branches.pop() {
            Some(only) if branches.is_empty() => only,
            last => {
                branches.extend(last);
                Node::Alternate(branches)
            }
        })
    }

    fn sequence(&mut self) -> Read<Node> {
        let mut nodes = Vec::new();
        loop {
            if self.flags.verbose && self.skipped() {
                continue;
            }
            match self.peek() {
                None | Some('|' | ')') => break,
                Some('*' | '+' | '?') => return Err(self.error("nothing to repeat")),
                Some('{') if self.bounds().is_some() => {
                    return Err(self.error("nothing to repeat"));
                }
                Some(_) => {}
            }
            let node = self.atom()?;
            nodes.push(self.repeated(node)?);
        }
        Ok(match nodes.pop() {
            None => Node::Empty,
            Some(only) if nodes.is_empty() => only,
            Some(last) => {
                nodes.push(last);
                Node::Concat(nodes)
            }
        })
    }

    /// White space and comments of verbose patterns.
    fn skipped(&mut self) -> bool {
        match self.peek() {
            Some(c) if c.is_ascii_whitespace() => self.at += 1,
            Some('#') => {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            }
            _ => return false,
        }
        true
    }

    fn repeated(&mut self, node: Node) -> Read<Node> {
        let start = self.at;
        let (least, most, after) = match self.peek() {
            Some('*') => (0, ENDLESS, self.at + 1),
            Some('+') => (1, ENDLESS, self.at + 1),
            Some('?') => (0, 1, self.at + 1),
            Some('{') => match self.bounds() {
                Some(bounds) => bounds,
                None => return Ok(node),
            },
            _ => return Ok(node),
        };
        self.at = after;
        if least > most {
            return Err(PatternError { at: start, what: "least repeat over the most" });
        }
        let lazy = self.take('?');
        let possessive = !lazy && self.take('+');
        let again = matches!(self.peek(), Some('*' | '+' | '?'))
            || self.peek() == Some('{') && self.bounds().is_some();
        if again {
            return Err(self.error("multiple repeat"));
        }
        let repeat = Node::Repeat { node: Box::new(node), least, most, lazy };
        Ok(if possessive { Node::Atomic(Box::new(repeat)) } else { repeat })
    }

    /// `{2}`, `{2,}`, `{,3}`, `{2,3}` from here and where it ends; anything else is a plain brace.
    fn bounds(&self) -> Option<(u32, u32, usize)> {
        let digits = |from: usize| {
            let count =
                self.chars[from..].iter().take(9).take_while(|c| c.is_ascii_digit()).count();
            let text: String = self.chars[from..from + count].iter().collect();
            (text.parse::<u32>().ok(), from + count)
        };
        let (least, at) = digits(self.at + 1);
        let (most, at) = match self.chars.get(at)? {
            ',' => {
                let (most, at) = digits(at + 1);
                (Some(most.unwrap_or(ENDLESS)), at)
            }
            _ => (Some(least?), at),
        };
        (self.chars.get(at) == Some(&'}'))
            .then_some((least.unwrap_or(0), most?, at + 1))
            .filter(|_| self.chars.get(self.at + 1) != Some(&'}'))
    }

    fn atom(&mut self) -> Read<Node> {
        let Some(one) = self.peek() else { return Ok(Node::Empty) };
        self.at += 1;
        Ok(match one {
            '(' => return self.group(),
            '[' => return self.class(),
            '\\' => return self.escape(),
            '.' => Node::Class(match self.flags.dot_all {
                true => Class::new(Vec::new(), true, false),
                false => Class::new(vec![Item::Range('\n', '\n')], true, false),
            }),
            '^' => Node::At(if self.flags.lines { At::LineStart } else { At::TextStart }),
            '$' => Node::At(if self.flags.lines { At::LineEnd } else { At::LastLineEnd }),
            other => self.literal(other),
        })
    }

    pub(super) fn literal(&self, one: char) -> Node {
        let cased =
            || one.to_lowercase().next() != Some(one) || one.to_uppercase().next() != Some(one);
        if self.flags.fold && cased() {
            return Node::Class(Class::new(vec![Item::Range(one, one)], false, true));
        }
        Node::Literal(one)
    }

    fn group(&mut self) -> Read<Node> {
        let flags = self.flags;
        let node = if !self.take('?') {
            self.capture(None)
        } else if self.take_all("P<") {
            let name = self.until('>')?;
            self.capture(Some(name))
        } else if self.take_all("P=") {
            let name = self.until(')')?;
            let group = self.named(&name)?;
            return self.reference(group);
        } else if self.take(':') {
            self.closed()
        } else if self.take('#') {
            self.until(')')?;
            return Ok(Node::Empty);
        } else if self.take('>') {
            Ok(Node::Atomic(Box::new(self.closed()?)))
        } else if self.take('(') {
            self.conditional()
        } else {
            let look =
                [("=", false, false), ("!", false, true), ("<=", true, false), ("<!", true, true)]
                    .into_iter()
                    .find(|(sign, ..)| self.take_all(sign));
            match look {
                Some((_, behind, negated)) => {
                    Ok(Node::Look(Look { behind, negated }, Box::new(self.closed()?)))
                }
                None => self.flagged(),
            }
        };
        self.flags = flags;
        node
    }

    fn closed(&mut self) -> Read<Node> {
        let node = self.alternation()?;
        if self.take(')') { Ok(node) } else { Err(self.error("missing )")) }
    }

    fn capture(&mut self, name: Option<String>) -> Read<Node> {
        if let Some(name) = &name {
            let word = |c: char| c == '_' || c.is_alphanumeric();
            if name.starts_with(|c: char| c.is_ascii_digit())
                || !name.chars().all(word)
                || name.is_empty()
            {
                return Err(self.error("bad group name"));
            }
            if self.names.iter().flatten().any(|known| known == name) {
                return Err(self.error("two groups of one name"));
            }
        }
        if self.names.len() > GROUPS_MAX {
            return Err(self.error("too many groups"));
        }
        let group = self.names.len();
        self.names.push(name);
        self.open.push(group);
        let node = self.closed()?;
        self.open.pop();
        Ok(Node::Group(group, Box::new(node)))
    }

    /// `(?i:…)`, `(?i-s:…)`.
    fn flagged(&mut self) -> Read<Node> {
        let mut on = true;
        loop {
            match self.peek() {
                Some('-') if on => on = false,
                Some(':') => {
                    self.at += 1;
                    return self.closed();
                }
                Some(letter) if letter.is_ascii_lowercase() => self.flag(letter, on)?,
                _ => return Err(self.error("unknown extension")),
            }
            self.at += 1;
        }
    }

    fn conditional(&mut self) -> Read<Node> {
        let name = self.until(')')?;
        let group = match name.parse::<usize>() {
            Ok(number) => self.known(number)?,
            Err(_) => self.named(&name)?,
        };
        let yes = Box::new(self.sequence()?);
        let no = Box::new(if self.take('|') { self.sequence()? } else { Node::Empty });
        match self.take(')') {
            true => Ok(Node::Conditional { group, yes, no }),
            false => Err(self.error("conditional with more than two branches")),
        }
    }

    fn until(&mut self, end: char) -> Read<String> {
        let start = self.at;
        while let Some(one) = self.peek() {
            self.at += 1;
            if one == end {
                return Ok(self.chars[start..self.at - 1].iter().collect());
            }
        }
        Err(self.error("unterminated name"))
    }

    fn named(&self, name: &str) -> Read<usize> {
        let group = self.names.iter().position(|known| known.as_deref() == Some(name));
        group.ok_or_else(|| self.error("unknown group name"))
    }

    pub(super) fn known(&self, group: usize) -> Read<usize> {
        let known = (1..self.names.len()).contains(&group);
        if known { Ok(group) } else { Err(self.error("unknown group")) }
    }

    pub(super) fn reference(&self, group: usize) -> Read<Node> {
        if self.open.contains(&group) {
            return Err(self.error("reference to an open group"));
        }
        Ok(Node::Back { group, fold: self.flags.fold })
    }
}
