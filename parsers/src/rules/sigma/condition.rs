//! The condition grammar: names, `and`, `or`, `not`, parentheses, `1 of x*`, `all of them`.
//!
//! `not` binds closest, then `and`, then `or`. `them` and patterns leave out selections whose name
//! starts with `_`, unless the pattern does too. `any of` is `1 of`. The aggregations of Sigma 1 (`| count() > 5`) are refused.

use serde::{Deserialize, Serialize};

use super::stored::nested;

/// Deepest nesting of parentheses and `not`.
pub const DEPTH_MAX: usize = 32;

/// Most tokens of one condition.
pub const TOKENS_MAX: usize = 1024;

/// When a rule matches. Numbers are positions in the rule's list of selections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The selection holds.
    Selection(usize),
    /// It does not hold.
    Not(#[serde(deserialize_with = "nested")] Box<Condition>),
    /// All hold.
    And(#[serde(deserialize_with = "nested")] Vec<Condition>),
    /// One holds.
    Or(#[serde(deserialize_with = "nested")] Vec<Condition>),
    /// At least so many of these selections hold.
    AtLeast(usize, Vec<usize>),
}

impl Condition {
    /// The same over selections that stand `by` places later.
    pub(super) fn moved(self, by: usize) -> Self {
        let each = |parts: Vec<Self>| parts.into_iter().map(|part| part.moved(by)).collect();
        match self {
            Self::Selection(index) => Self::Selection(index + by),
            Self::Not(inner) => Self::Not(Box::new(inner.moved(by))),
            Self::And(parts) => Self::And(each(parts)),
            Self::Or(parts) => Self::Or(each(parts)),
            Self::AtLeast(count, of) => {
                Self::AtLeast(count, of.into_iter().map(|index| index + by).collect())
            }
        }
    }

    /// Whether anything in it is negated.
    pub(super) fn negates(&self) -> bool {
        match self {
            Self::Selection(_) | Self::AtLeast(..) => false,
            Self::Not(_) => true,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::negates),
        }
    }
}

pub(super) fn parse(text: &str, names: &[&str]) -> Result<Condition, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, names };
    let condition = parser.or(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some("|") => {
            Err("aggregations (`| count()`) were removed from Sigma: write a correlation".into())
        }
        Some(_) => Err("the condition goes on where it should end".into()),
    }
}

fn tokens(text: &str) -> Result<Vec<&str>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if tokens.len() == TOKENS_MAX {
            return Err(format!("a condition of more than {TOKENS_MAX} words"));
        }
        let is_word = |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '|');
        let end = match rest.find(|c: char| !is_word(c)) {
            Some(0) => rest.chars().next().map_or(1, char::len_utf8),
            Some(end) => end,
            None => rest.len(),
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [&'a str],
    at: usize,
    names: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Condition, String> {
        let mut parts = vec![self.and(depth)?];
        while self.word("or") {
            parts.push(self.and(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self, depth: usize) -> Result<Condition, String> {
        let mut parts = vec![self.not(depth)?];
        while self.word("and") {
            parts.push(self.not(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn not(&mut self, depth: usize) -> Result<Condition, String> {
        if depth == DEPTH_MAX {
            return Err(format!("a condition nested deeper than {DEPTH_MAX}"));
        }
        if self.word("not") {
            return Ok(Condition::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.word("(") {
            let inner = self.or(depth + 1)?;
            return if self.word(")") { Ok(inner) } else { Err("a `(` is not closed".into()) };
        }
        self.atom()
    }

    fn atom(&mut self) -> Result<Condition, String> {
        let Some(token) = self.peek() else {
            return Err("the condition ends where a selection is expected".into());
        };
        let next_is_of =
            self.tokens.get(self.at + 1).is_some_and(|next| next.eq_ignore_ascii_case("of"));
        let counts = |word: &str| ["all", "any"].iter().any(|one| word.eq_ignore_ascii_case(one));
        if next_is_of && (counts(token) || token.parse::<usize>().is_ok()) {
            self.at += 2;
            return self.quantified(token);
        }
        match self.names.iter().position(|name| *name == token) {
            Some(index) => {
                self.at += 1;
                Ok(Condition::Selection(index))
            }
            None => Err("the condition names a selection that the rule does not have".into()),
        }
    }

    fn quantified(&mut self, count: &str) -> Result<Condition, String> {
        let Some(pattern) = self.peek() else {
            return Err("`of` is followed by a name, a pattern such as `x*`, or `them`".into());
        };
        self.at += 1;
        let wanted = |name: &str| {
            let open = !name.starts_with('_') || pattern.starts_with('_');
            open && (pattern.eq_ignore_ascii_case("them") || glob(pattern, name))
        };
        let of: Vec<usize> = (0..self.names.len()).filter(|i| wanted(self.names[*i])).collect();
        if of.is_empty() {
            return Err("`of` names no selection of the rule".into());
        }
        let least = match count {
            count if count.eq_ignore_ascii_case("any") => 1,
            count => count.parse().unwrap_or(of.len()),
        };
        if least == 0 || least > of.len() {
            return Err("the number before `of` does not fit the selections after it".into());
        }
        Ok(Condition::AtLeast(least, of))
    }
}

/// `*` stands for any run of characters.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
