//! Regular expressions of the user's own, many at once, over whole blocks of lines.
//!
//! Of each expression the rarest texts are taken of which one must be in a line that it matches; the
//! search for all of them over a block names the lines that are worth a closer look, and the
//! expressions to hold against them. An expression without such texts is held against every line. What
//! is found is what each expression finds in each line by itself (a test compares). Expressions are
//! compiled when they are first needed.

use std::sync::OnceLock;

use regex_automata::meta::{Cache, Config, Regex};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::literals::{Found, Literals, commonness};

/// Most bytes of a compiled expression.
pub const REGEX_BYTES_MAX: usize = 64 << 20;

/// Most texts that one expression is known by.
const TEXTS_MAX: usize = 64;

/// Shorter texts are in too many lines.
const TEXT_BYTES_MIN: usize = 3;

/// Expressions, ready to be looked for.
#[derive(Default)]
pub struct Patterns {
    each: Vec<Pattern>,
    literals: Literals,
    /// Expressions of each text.
    patterns_of: Vec<Vec<u32>>,
    /// Expressions that are held against every line.
    always: Vec<u32>,
}

struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

/// One line with hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// Number in the block, from 0.
    pub number: u64,
    /// Offset in the block.
    pub offset: u64,
    /// Its bytes, cut as [`parsers::map::Lines`] does.
    pub bytes: &'b [u8],
}

/// What a thread keeps from block to block.
#[derive(Default)]
pub struct Searcher {
    caches: Vec<Option<Cache>>,
    found: Vec<Found>,
    wanted: Vec<u32>,
    hits: Vec<u32>,
}

/// What was read of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Lines with hits.
    pub matched: u64,
    /// Over-long lines, judged by their beginning.
    pub truncated: u64,
}

/// How much is asked of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whether anything matches.
    Any,
    /// Which expressions match.
    Each,
}

impl Patterns {
    /// Expressions in the syntax of the `regex` crate; the position of the first that is none, or that
    /// is too big, is the error.
    pub fn new(sources: Vec<String>) -> Result<Self, usize> {
        let mut texts: std::collections::BTreeMap<Vec<u8>, Vec<u32>> = Default::default();
        let mut always = Vec::new();
        let mut each = Vec::with_capacity(sources.len());
        for (index, source) in sources.into_iter().enumerate() {
            let hir = parser().parse(&source).map_err(|_| index)?;
            let compiled = OnceLock::new();
            // What a counted repetition makes large is tried at once.
            if source.contains('{') && compiled.get_or_init(|| compile(&source)).is_none() {
                return Err(index);
            }
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            match required(&hir) {
                Some(needed) => {
                    for text in needed {
                        let of_text = texts.entry(text).or_default();
                        if of_text.last() != Some(&number) {
                            of_text.push(number);
                        }
                    }
                }
                None => always.push(number),
            }
            each.push(Pattern { source, compiled });
        }
        let literals = Literals::new(texts.keys().map(Vec::as_slice));
        Ok(Self { each, literals, patterns_of: texts.into_values().collect(), always })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// An expression as it was written.
    pub fn source(&self, pattern: u32) -> &str {
        self.each.get(pattern as usize).map_or("", |pattern| &pattern.source)
    }

    /// Looks through whole lines; `hit` is given each line that something matches and what does (one
    /// expression when asked for [`Ask::Any`]), in their order.
    pub fn search<'b>(
        &self,
        block: &'b [u8],
        ask: Ask,
        searcher: &mut Searcher,
        mut hit: impl FnMut(Line<'b>, &[u32]),
    ) -> Counts {
        let mut found = std::mem::take(&mut searcher.found);
        found.clear();
        self.literals.find(block, &mut found);
        found.sort_unstable();
        let counts = if self.always.is_empty() && ask == Ask::Any {
            self.by_places(block, &found, searcher, &mut hit)
        } else {
            self.by_lines(block, &found, ask, searcher, &mut hit)
        };
        searcher.found = found;
        counts
    }

    /// Which expressions match one line, without its line end: all of them, or one.
    pub fn line<'s>(&self, line: &[u8], ask: Ask, searcher: &'s mut Searcher) -> &'s [u32] {
        let mut found = std::mem::take(&mut searcher.found);
        found.clear();
        self.literals.find(line, &mut found);
        self.matches(line, &found, ask, searcher);
        searcher.found = found;
        &searcher.hits
    }

    /// Goes from place to place: lines between are not even looked for.
    fn by_places<'b>(
        &self,
        block: &'b [u8],
        found: &[Found],
        searcher: &mut Searcher,
        hit: &mut impl FnMut(Line<'b>, &[u32]),
    ) -> Counts {
        let mut counts = Counts::default();
        let (mut next, mut counted) = (0, 0);
        while let Some(one) = found.get(next) {
            let at = one.at as usize;
            let start = memchr::memrchr(b'\n', &block[..at]).map_or(0, |end| end + 1);
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |more| at + more);
            let first = next;
            while found.get(next).is_some_and(|one| (one.at as usize) < end) {
                next += 1;
            }
            counts.lines += memchr::memchr_iter(b'\n', &block[counted..start]).count() as u64;
            counted = start;
            let (bytes, _) = super::part::kept_of(&block[start..end]);
            if self.matches(bytes, &found[first..next], Ask::Any, searcher) {
                counts.matched += 1;
                let line = Line { number: counts.lines, offset: start as u64, bytes };
                hit(line, &searcher.hits);
            }
        }
        counts.lines += memchr::memchr_iter(b'\n', &block[counted..]).count() as u64;
        counts.lines += u64::from(block.last().is_some_and(|last| *last != b'\n'));
        counts.truncated = long_lines(block);
        counts
    }

    fn by_lines<'b>(
        &self,
        block: &'b [u8],
        found: &[Found],
        ask: Ask,
        searcher: &mut Searcher,
        hit: &mut impl FnMut(Line<'b>, &[u32]),
    ) -> Counts {
        let mut counts = Counts::default();
        let (mut start, mut next) = (0, 0);
        let mut ends = memchr::memchr_iter(b'\n', block);
        while start < block.len() {
            let end = ends.next().unwrap_or(block.len());
            let first = next;
            while found.get(next).is_some_and(|one| (one.at as usize) < end) {
                next += 1;
            }
            let (bytes, cut) = super::part::kept_of(&block[start..end]);
            counts.truncated += u64::from(cut);
            let worth = first < next || !self.always.is_empty();
            if worth && self.matches(bytes, &found[first..next], ask, searcher) {
                counts.matched += 1;
                let line = Line { number: counts.lines, offset: start as u64, bytes };
                hit(line, &searcher.hits);
            }
            counts.lines += 1;
            start = end + 1;
        }
        counts
    }

    /// Which expressions match a line: those that always may, and those of which a text was found.
    fn matches(&self, line: &[u8], found: &[Found], ask: Ask, searcher: &mut Searcher) -> bool {
        let Searcher { caches, wanted, hits, .. } = searcher;
        wanted.clear();
        wanted.extend_from_slice(&self.always);
        for one in found {
            for pattern in &self.patterns_of[one.text as usize] {
                if !wanted.contains(pattern) {
                    wanted.push(*pattern);
                }
            }
        }
        wanted.sort_unstable();
        hits.clear();
        caches.resize_with(self.each.len(), || None);
        for pattern in wanted.iter() {
            let compiled = &self.each[*pattern as usize];
            let regex = compiled.compiled.get_or_init(|| compile(&compiled.source));
            let Some(regex) = regex else { continue };
            let cache = &mut caches[*pattern as usize];
            let cache = cache.get_or_insert_with(|| regex.create_cache());
            let input = Input::new(line).anchored(Anchored::No).earliest(true);
            if regex.search_half_with(cache, &input).is_some() {
                hits.push(*pattern);
                if ask == Ask::Any {
                    break;
                }
            }
        }
        !hits.is_empty()
    }
}

/// Lines that are cut.
fn long_lines(block: &[u8]) -> u64 {
    // A line end in every such stretch shows that no line is that long.
    let most = parsers::map::LINE_BYTES_MAX;
    let mut at = 0;
    let mut long = 0;
    while block.len() - at > most {
        match memchr::memrchr(b'\n', &block[at..=at + most]) {
            Some(end) => at += end + 1,
            None => {
                long += 1;
                let rest = &block[at + most..];
                at = memchr::memchr(b'\n', rest).map_or(block.len(), |end| at + most + end + 1);
            }
        }
    }
    long
}

fn syntax() -> syntax::Config {
    syntax::Config::new().utf8(false)
}

fn parser() -> regex_syntax::Parser {
    regex_syntax::ParserBuilder::new().utf8(false).build()
}

fn compile(source: &str) -> Option<Regex> {
    let config = Config::new().utf8_empty(false).nfa_size_limit(Some(REGEX_BYTES_MAX));
    Regex::builder().syntax(syntax()).configure(config).build(source).ok()
}

/// Texts in lower case of which one must stand in whatever the expression matches, case aside; the
/// rarest there are. `None` when there are none.
fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let mut best = Best::default();
    let whole = exact(hir, &mut best);
    best.offer(whole);
    best.texts
}

/// The rarest set of texts seen so far.
#[derive(Default)]
struct Best {
    texts: Option<Vec<Vec<u8>>>,
    lines: u32,
}

impl Best {
    fn offer(&mut self, texts: Option<Vec<Vec<u8>>>) {
        let Some(texts) = texts else { return };
        if texts.is_empty() || texts.iter().any(|text| text.len() < TEXT_BYTES_MIN) {
            return;
        }
        let lines = texts.iter().map(|text| commonness(text)).sum();
        if self.texts.is_none() || lines < self.lines {
            self.texts = Some(texts);
            self.lines = lines;
        }
    }
}

/// The texts that an expression is, each of them in full, when they are few; what must be within it
/// otherwise is offered to `best`.
fn exact(hir: &Hir, best: &mut Best) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => letters(class),
        HirKind::Capture(capture) => exact(&capture.sub, best),
        HirKind::Repetition(repetition) => {
            if repetition.min == 0 {
                // What may be left out requires nothing; `(x)?` is x or nothing.
                let inner = exact(&repetition.sub, &mut Best::default());
                return match (repetition.max, inner) {
                    (Some(1), Some(mut texts)) if texts.len() < TEXTS_MAX => {
                        texts.push(Vec::new());
                        Some(texts)
                    }
                    _ => None,
                };
            }
            let inner = exact(&repetition.sub, best);
            if (repetition.min, repetition.max) == (1, Some(1)) {
                return inner;
            }
            best.offer(inner);
            None
        }
        HirKind::Concat(parts) => concatenation(parts, best),
        HirKind::Alternation(parts) => {
            let mut all = Some(Vec::new());
            let mut needed = Some(Vec::new());
            for part in parts {
                let mut of_part = Best::default();
                let texts = exact(part, &mut of_part);
                of_part.offer(texts.clone());
                all = joined(all, texts);
                needed = joined(needed, of_part.texts);
            }
            best.offer(needed);
            all
        }
    }
}

fn joined(all: Option<Vec<Vec<u8>>>, more: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let (mut all, more) = (all?, more?);
    all.extend(more);
    (all.len() <= TEXTS_MAX).then_some(all)
}

/// Runs of parts that are texts in full are texts themselves.
fn concatenation(parts: &[Hir], best: &mut Best) -> Option<Vec<Vec<u8>>> {
    let mut run = vec![Vec::new()];
    let mut whole = true;
    for part in parts {
        let texts = exact(part, best);
        match texts {
            Some(texts) if texts.len() * run.len() <= TEXTS_MAX => {
                // A run in front of a choice may be rarer than all that it leads to.
                if texts.len() > 1 {
                    best.offer(Some(run.clone()));
                    best.offer(Some(texts.clone()));
                }
                let with = |before: &Vec<u8>| {
                    let before = before.clone();
                    texts.iter().map(move |text| [&before[..], text].concat()).collect::<Vec<_>>()
                };
                run = run.iter().flat_map(with).collect();
            }
            texts => {
                best.offer(Some(std::mem::replace(&mut run, vec![Vec::new()])));
                best.offer(texts);
                whole = false;
            }
        }
    }
    if whole {
        return Some(run);
    }
    best.offer(Some(run));
    None
}

/// The bytes of a small class, case aside.
fn letters(class: &Class) -> Option<Vec<Vec<u8>>> {
    const MOST: usize = 4;
    let mut texts: Vec<Vec<u8>> = match class {
        Class::Unicode(class) => {
            let letters = class.iter().flat_map(|range| range.start()..=range.end());
            letters.take(MOST + 1).map(|c| c.to_string().into_bytes()).collect()
        }
        Class::Bytes(class) => {
            let bytes = class.iter().flat_map(|range| range.start()..=range.end());
            bytes.take(MOST + 1).map(|byte| vec![byte]).collect()
        }
    };
    if texts.len() > MOST {
        return None;
    }
    texts.iter_mut().for_each(|text| text.make_ascii_lowercase());
    texts.sort();
    texts.dedup();
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: [&str; 18] = [
        "Failed password for (invalid user )?[^ ]+ from [0-9.]+ port",
        "(?i)failed PASSWORD",
        "Connection (closed|reset) by (authenticating|invalid) user",
        "x?y?z?",
        "^Jun",
        "ssh2$",
        "[0-9]{3} ",
        "a|b+c",
        "COMMAND=.*(nc|ncat|netcat) .*-e /bin/(ba)?sh",
        "(foo|ba[rz])+quux",
        "\\bsshd\\b",
        "(?-u)\\xff",
        "caf\u{e9}",
        "(?i)stra\u{df}e",
        "K(?i)elvin",
        "nothing of this kind",
        "(Accepted|Failed) (password|publickey)",
        ".",
    ];

    fn lines() -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = [
            "Jun  1 00:00:00 web sshd[1]: Failed password for root from 192.0.2.7 port 4 ssh2",
            "Jun  1 00:00:00 web sshd[1]: FAILED PASSWORD for invalid user x from 192.0.2.7 port 4 ssh2\r",
            "Connection reset by invalid user x",
            "COMMAND=/bin/ncat x -e /bin/sh",
            "",
            "foobarbazquux",
            "caf\u{e9} stra\u{df}e STRASSE \u{212a}elvin KELVIN kelvin",
            "123 ",
            "Accepted publickey for bob",
            "\r",
        ]
        .map(|line| line.as_bytes().to_vec())
        .to_vec();
        lines.push(b"\xff\xfe".to_vec());
        lines.push([&vec![b'x'; parsers::map::LINE_BYTES_MAX][..], b"ssh2"].concat());
        lines
    }

    /// What each expression finds by itself, in lines as they are kept.
    fn plainly(block: &[u8]) -> Vec<(u64, u64, Vec<u32>)> {
        let each: Vec<_> = SOURCES.iter().map(|s| regex::bytes::Regex::new(s).unwrap()).collect();
        let mut lines = parsers::map::Lines::new(block);
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let hits: Vec<u32> = (0..SOURCES.len())
                .filter(|index| each[*index].is_match(line.bytes))
                .map(|index| index as u32)
                .collect();
            if !hits.is_empty() {
                out.push((line.number - 1, line.offset, hits));
            }
        }
        out
    }

    fn found(patterns: &Patterns, block: &[u8], ask: Ask) -> (Counts, Vec<(u64, u64, Vec<u32>)>) {
        let mut out = Vec::new();
        let counts = patterns.search(block, ask, &mut Searcher::default(), |line, hits| {
            out.push((line.number, line.offset, hits.to_vec()));
        });
        (counts, out)
    }

    #[test]
    fn what_is_found_is_what_each_expression_finds_by_itself() {
        let sources = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
            let kept = SOURCES.iter().enumerate().filter(|(index, _)| keep(*index));
            kept.map(|(_, source)| source.to_string()).collect()
        };
        let all = Patterns::new(sources(&|_| true)).unwrap_or_else(|at| panic!("{}", SOURCES[at]));
        for end in [&b""[..], b"\n"] {
            let block = [lines().join(&b'\n'), end.to_vec()].concat();
            let (counts, hits) = found(&all, &block, Ask::Each);
            let plain = plainly(&block);
            assert_eq!(hits, plain);
            assert_eq!((counts.lines, counts.truncated), (12, 1));
            assert_eq!(counts.matched, plain.len() as u64);
            // Each by itself, and whether there is any.
            for index in 0..SOURCES.len() {
                let one = Patterns::new(sources(&|at| at == index)).unwrap();
                let number = index as u32;
                let expected: Vec<_> = plain
                    .iter()
                    .filter(|(.., hits)| hits.contains(&number))
                    .map(|(line, offset, _)| (*line, *offset, vec![0]))
                    .collect();
                for ask in [Ask::Each, Ask::Any] {
                    let (counts, hits) = found(&one, &block, ask);
                    assert_eq!(hits, expected, "{}", SOURCES[index]);
                    assert_eq!((counts.lines, counts.truncated), (12, 1), "{}", SOURCES[index]);
                }
            }
        }
    }

    #[test]
    fn rare_texts_are_chosen_and_choices_are_written_out() {
        let texts = |source: &str| {
            let texts = required(&parser().parse(source).unwrap())?;
            Some(texts.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect::<Vec<_>>())
        };
        let list = |list: &[&str]| Some(list.iter().map(|t| t.to_string()).collect::<Vec<_>>());
        assert_eq!(texts("sshd.*[0-9]+ ABCdef.*for"), list(&[" abcdef"]));
        assert_eq!(texts("x(abcd|efgh)y"), list(&["xabcdy", "xefghy"]));
        assert_eq!(texts("(?i)QUUX[^a]"), list(&["quux"]));
        assert_eq!(texts("(abcdef|.*)"), None);
        assert_eq!(texts("[a-z]+|abcdef"), None);
        assert_eq!(texts("(abcdef)*"), None);
        assert_eq!(texts("(abcdef){2,}"), list(&["abcdef"]));
    }

    #[test]
    fn what_is_no_expression_or_too_big_is_named() {
        let of = |list: &[&str]| Patterns::new(list.iter().map(|s| s.to_string()).collect()).err();
        assert_eq!(of(&["a", "(b"]), Some(1));
        assert_eq!(of(&["a", "b", "((a{1000}){1000}){1000}"]), Some(2));
        assert_eq!(of(&["a{10}", "\\p{Greek}"]), None);
    }
}
