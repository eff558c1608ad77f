//! Escapes and sets of Python's `re` syntax: `\d`, `\x41`, `\1`, `[^a-z\s]`.

use super::class::{Class, Item};
use super::syntax::{At, Node, Parser, Read};

impl Parser {
    pub(super) fn escape(&mut self) -> Read<Node> {
        let Some(one) = self.peek() else { return Err(self.error("bad escape at the end")) };
        let at = match one {
            'A' => Some(At::TextStart),
            'Z' => Some(At::TextEnd),
            'b' => Some(At::WordBound),
            'B' => Some(At::NotWordBound),
            _ => None,
        };
        if let Some(at) = at {
            self.at += 1;
            return Ok(Node::At(at));
        }
        let octal = self.chars[self.at..].iter().take(3).take_while(|c| ('0'..'8').contains(*c));
        if octal.count() == 3 && one != '0' {
            let one = self.code(3, 8)?;
            return Ok(self.literal(one));
        }
        if matches!(one, '1'..='9') {
            let digits: String =
                self.chars[self.at..].iter().take(2).take_while(|c| c.is_ascii_digit()).collect();
            self.at += digits.len();
            let group = self.known(digits.parse().unwrap_or(usize::MAX))?;
            return self.reference(group);
        }
        Ok(match self.escaped()? {
            Item::Range(from, _) => self.literal(from),
            item => Node::Class(Class::new(vec![item], false, false)),
        })
    }

    /// An escape that stands in and outside of sets.
    fn escaped(&mut self) -> Read<Item> {
        let Some(one) = self.peek() else { return Err(self.error("bad escape at the end")) };
        self.at += 1;
        let plain = match one {
            'd' | 'D' => return Ok(Item::Digit(one == 'D')),
            'w' | 'W' => return Ok(Item::Word(one == 'W')),
            's' | 'S' => return Ok(Item::Space(one == 'S')),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            'x' => self.code(2, 16)?,
            'u' => self.code(4, 16)?,
            'U' => self.code(8, 16)?,
            '0' => self.octal()?,
            other if other.is_ascii_alphanumeric() => return Err(self.error("bad escape")),
            other => other,
        };
        Ok(Item::Range(plain, plain))
    }

    fn code(&mut self, digits: usize, radix: u32) -> Read<char> {
        let text: String = self.chars[self.at..].iter().take(digits).collect();
        let code = u32::from_str_radix(&text, radix).ok().filter(|_| text.len() == digits);
        self.at += text.chars().count();
        code.and_then(char::from_u32).ok_or_else(|| self.error("bad escape"))
    }

    fn octal(&mut self) -> Read<char> {
        let digits = self.chars[self.at..].iter().take(2).take_while(|c| ('0'..'8').contains(*c));
        match digits.count() {
            0 => Ok('\0'),
            count => self.code(count, 8),
        }
    }

    pub(super) fn class(&mut self) -> Read<Node> {
        let negated = self.take('^');
        let mut items = Vec::new();
        loop {
            let Some(one) = self.peek() else { return Err(self.error("unterminated set")) };
            if one == ']' && !items.is_empty() {
                self.at += 1;
                break;
            }
            let from = self.member()?;
            let ranged = self.peek() == Some('-')
                && self.chars.get(self.at + 1).is_some_and(|after| *after != ']');
            if !ranged {
                items.push(from);
                continue;
            }
            self.at += 1;
            match (from, self.member()?) {
                (Item::Range(from, _), Item::Range(to, _)) if from <= to => {
                    items.push(Item::Range(from, to));
                }
                _ => return Err(self.error("bad range")),
            }
        }
        Ok(Node::Class(Class::new(items, negated, self.flags.fold)))
    }

    fn member(&mut self) -> Read<Item> {
        let Some(one) = self.peek() else { return Err(self.error("unterminated set")) };
        self.at += 1;
        match one {
            '\\' if self.take('b') => Ok(Item::Range('\u{8}', '\u{8}')),
            '\\' => self.escaped(),
            other => Ok(Item::Range(other, other)),
        }
    }
}
