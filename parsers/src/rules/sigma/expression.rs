//! Regular expressions of rules: checked when the rule is read, compiled when a line first needs them.
//!
//! The syntax is that of the `regex` crate: what Sigma allows (a subset of PCRE) without look-around and
//! back-references, in linear time. A `.` or a negated class also stands for a byte that is no UTF-8, so
//! that a stray byte hides nothing. What an expression may cost is counted from its parsed form before
//! anything is compiled; a large one is compiled at once, so that compiling later cannot fail.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind};
use serde::{Deserialize, Serialize};

use super::pattern::find;

/// Most bytes of an expression as it is written.
pub const SOURCE_BYTES_MAX: usize = 8192;

/// Most bytes of a compiled regular expression.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Most that one expression may cost without being compiled when it is read, in [`Expression::cost`].
pub const LAZY_COST_MAX: u64 = 5_000;

/// Most that one expression may cost at all.
pub const COST_MAX: u64 = 200_000;

/// Most texts that are promised of one expression.
const LITERALS_MAX: usize = 64;

/// Most texts that are looked for one by one before an expression is compiled.
const SOUGHT_MAX: usize = 4;

/// Deepest nesting of an expression.
const NEST_MAX: u32 = 64;

/// A regular expression, found anywhere in a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expression {
    source: String,
    flags: Flags,
    cost: u64,
    required: Option<Vec<Vec<u8>>>,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

/// The flags after `re`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// `i`: letters of either case.
    pub ignore_case: bool,
    /// `m`: `^` and `$` at each line.
    pub multi_line: bool,
    /// `s`: `.` is a newline too.
    pub dot_all: bool,
}

impl Expression {
    /// Checks an expression; what is wrong is said in words.
    pub fn new(source: &str, flags: Flags) -> Result<Self, String> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(format!("a regular expression of more than {SOURCE_BYTES_MAX} bytes"));
        }
        let hir = parse(source, flags)?;
        let cost = cost(&hir);
        if cost > COST_MAX {
            return Err("the regular expression is too big".into());
        }
        let expression = Self {
            source: source.to_string(),
            flags,
            cost,
            required: required(&hir),
            compiled: OnceLock::new(),
        };
        if cost > LAZY_COST_MAX && expression.regex().is_none() {
            return Err("the regular expression is too big".into());
        }
        Ok(expression)
    }

    /// Whether it is found in the value.
    pub fn accepts(&self, value: &[u8]) -> bool {
        // Many values hold none of the texts that it needs: a run that meets only such never compiles it.
        let asked = self.compiled.get().is_some() || self.may_accept(value);
        asked && self.regex().is_some_and(|regex| regex.is_match(value))
    }

    /// Whether the value holds a text that every accepted one has; always where there are many.
    fn may_accept(&self, value: &[u8]) -> bool {
        let Some(texts) = self.required.as_ref().filter(|texts| texts.len() <= SOUGHT_MAX) else {
            return true;
        };
        texts.iter().any(|text| find(value, text, 0, false).is_some())
    }

    /// What compiling costs at most: about the number of its automaton's states.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Texts in lower case of which one is in every accepted value (compared without case).
    pub fn required(&self) -> Option<&[Vec<u8>]> {
        self.required.as_deref()
    }

    fn regex(&self) -> Option<&Regex> {
        let compiled = self.compiled.get_or_init(|| {
            let hir = parse(&self.source, self.flags).ok()?;
            // A small one is well below this: about 200 bytes a state.
            RegexBuilder::new(&tolerant(hir).to_string())
                .size_limit(REGEX_BYTES_MAX)
                .nest_limit(2 * NEST_MAX)
                .build()
                .ok()
        });
        compiled.as_ref()
    }
}

fn parse(source: &str, flags: Flags) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new()
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multi_line)
        .dot_matches_new_line(flags.dot_all)
        .nest_limit(NEST_MAX)
        .utf8(false)
        .build()
        .parse(source)
        .map_err(|error| match error {
            regex_syntax::Error::Parse(error)
                if matches!(
                    error.kind(),
                    regex_syntax::ast::ErrorKind::UnsupportedLookAround
                        | regex_syntax::ast::ErrorKind::UnsupportedBackreference
                ) =>
            {
                "not a regular expression without look-around and back-references".to_string()
            }
            _ => "not a regular expression".to_string(),
        })
}

/// An upper bound of states, near enough: what is repeated is counted as often as it is written out.
fn cost(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        // an encoded character is up to four bytes; their ranges share states
        HirKind::Class(Class::Unicode(class)) if !class.is_ascii() => {
            14 + class.ranges().len() as u64 / 2
        }
        HirKind::Class(Class::Unicode(_)) => 1,
        HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Capture(capture) => 2 + cost(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(cost).fold(2, u64::saturating_add)
        }
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min.saturating_add(1)));
            (1 + cost(&repetition.sub)).saturating_mul(times.max(1))
        }
    }
}

/// What stands for any character but a few stands for a byte that is no UTF-8 too.
fn tolerant(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class))
            if class.ranges().last().is_some_and(|range| range.end() == char::MAX) =>
        {
            let stray = ClassBytes::new([ClassBytesRange::new(0x80, 0xff)]);
            Hir::alternation(vec![
                Hir::class(Class::Unicode(class)),
                Hir::class(Class::Bytes(stray)),
            ])
        }
        HirKind::Class(class) => Hir::class(class),
        HirKind::Capture(capture) => tolerant(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(tolerant).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(tolerant).collect()),
        HirKind::Repetition(mut repetition) => {
            repetition.sub = Box::new(tolerant(*repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Empty => Hir::empty(),
    }
}

/// Texts of which one has to be there: of everything that must hold, the best.
fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let whole = literals(hir);
    let inner = match hir.kind() {
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|t| shortest(t)),
        HirKind::Alternation(parts) => {
            let each: Option<Vec<_>> = parts.iter().map(required).collect();
            each.map(|each| each.into_iter().flatten().collect::<Vec<_>>())
                .filter(|all| all.len() <= LITERALS_MAX)
        }
        _ => None,
    };
    whole.into_iter().chain(inner).max_by_key(|texts| shortest(texts))
}

/// What every match begins or ends with.
fn literals(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let of = |kind| {
        let mut extractor = Extractor::new();
        extractor.kind(kind).limit_total(LITERALS_MAX * 4).limit_class(8);
        let found = extractor.extract(hir);
        let mut texts: Vec<Vec<u8>> =
            found.literals()?.iter().map(|one| one.as_bytes().to_ascii_lowercase()).collect();
        texts.sort_unstable();
        texts.dedup();
        (texts.len() <= LITERALS_MAX && shortest(&texts) > 0).then_some(texts)
    };
    let both = [of(ExtractKind::Prefix), of(ExtractKind::Suffix)];
    both.into_iter().flatten().max_by_key(|texts| shortest(texts))
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(source: &str) -> Expression {
        Expression::new(source, Flags::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn stray_bytes_hide_nothing() {
        assert!(new("a.c").accepts(b"a\xffc"));
        assert!(new("a.c").accepts("a\u{e9}c".as_bytes()));
        assert!(new("^a[^/]*c$").accepts(b"a\xc3\xffc"));
        assert!(!new("^a[^/]*c$").accepts(b"a/c"));
        assert!(!new("a.c").accepts(b"a\nc"));
        assert!(new("(?i)\u{c9}t\u{e9}").accepts("\u{e9}T\u{c9}".as_bytes()));
    }

    #[test]
    fn required_texts_are_in_every_match() {
        let text = |source: &str| {
            new(source).required().map(|texts| {
                texts.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect::<Vec<_>>()
            })
        };
        for (source, expected) in [
            (r"abc.*defgh", Some(vec!["defgh"])),
            (r"(?i)ABCD", Some(vec!["abcd"])),
            (r"x+(foobar|bazqux)\d", Some(vec!["foobar", "bazqux"])),
            (r"(foo|.*)", None),
            (r"(?:\s-[^-\s]{0,20}i|\s--inode\s)", None),
            (r"a{3,}", Some(vec!["aaa"])),
            (r"(abcdef)?x", None),
            (r"\w+", None),
        ] {
            let found = text(source);
            match expected {
                None => assert!(
                    found.is_none_or(|texts| texts.iter().map(String::len).min() < Some(3)),
                    "{source}"
                ),
                Some(expected) => assert_eq!(found.unwrap(), expected, "{source}"),
            }
        }
    }

    #[test]
    fn what_is_compiled_later_cannot_fail_then() {
        // the most expensive forms just below the bound
        for unit in [r"\w", ".", "[a-z]", r"\pL", "abc", "(?i)k", r"\W", r"[^\x00-\x7f]", r"\b"] {
            let mut times = 1;
            let mut last = None;
            while let Ok(expression) =
                Expression::new(&format!("(?:{unit}){{{times}}}"), Flags::default())
                && expression.cost() <= LAZY_COST_MAX
                && times < 4000
            {
                last = Some(expression);
                times = times * 5 / 4 + 1;
            }
            let last = last.unwrap_or_else(|| new(unit));
            assert!(last.regex().is_some(), "{unit} x {times}: cost {}", last.cost());
        }
    }

    #[test]
    fn an_expression_is_compiled_when_a_value_may_match_and_answers_the_same() {
        for source in ["wget +http", "(?i)\u{212a}elvin", "a.c|bcd", r"(?:foo|bar)\d"] {
            let lazy = new(source);
            for value in [
                "",
                "curl",
                "a",
                "wge",
                "wget x",
                "wget  http:",
                "kelvin",
                "KELVIN",
                "foo1",
                "BAR2",
            ] {
                let eager = new(source);
                assert!(eager.regex().is_some());
                assert_eq!(
                    lazy.accepts(value.as_bytes()),
                    eager.accepts(value.as_bytes()),
                    "{source} {value}"
                );
            }
        }
        let lazy = new("wget +http");
        assert!(!lazy.accepts(b"curl ftp://x") && lazy.compiled.get().is_none());
        assert!(lazy.accepts(b"wget http://x") && lazy.compiled.get().is_some());
    }

    #[test]
    fn too_large_and_foreign_ones_are_refused() {
        for (source, message) in [
            (r"\w{1000}{1000}", "the regular expression is too big"),
            (r"(?=x)", "not a regular expression without look-around and back-references"),
            (r"(a)\1", "not a regular expression without look-around and back-references"),
            (r"(", "not a regular expression"),
        ] {
            assert_eq!(Expression::new(source, Flags::default()).unwrap_err(), message, "{source}");
        }
        let long = |bytes: usize| Expression::new(&"x".repeat(bytes), Flags::default());
        assert!(long(SOURCE_BYTES_MAX).is_ok());
        assert!(long(SOURCE_BYTES_MAX + 1).unwrap_err().contains("more than 8192 bytes"));
    }
}
