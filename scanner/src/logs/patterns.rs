//! Plain regular expressions over logs, as grep has them: which lines match any of them.
//!
//! From each expression the texts are taken of which one is in every match; of several such lists the
//! rarest in a sample of the log is used. A block is searched for the texts of all expressions at once,
//! and only lines that hold one are asked. Nothing is missed: an expression without such texts makes
//! every line be asked. Lines are what `\n` ends; no match ever leaves its line, and `^` and `$` are
//! its ends. Linear in the log for every pattern. Refuses look-around and back-references.

use std::io;

use aho_corasick::packed;
use parsers::map::Source;
use regex_automata::meta::{self, Cache};
use regex_automata::{Input, MatchKind, PatternSet};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look,
};

use super::abreast::each_part;

/// Most expressions of one set.
pub const PATTERNS_MAX: usize = 10_000;

/// Most bytes of everything that is compiled.
pub const REGEX_BYTES_MAX: usize = 64 << 20;

/// Deepest nesting of an expression.
const NEST_MAX: u32 = 128;

/// Most texts that stand for one expression.
const TEXTS_MAX: usize = 32;

/// Shorter texts stand in too many lines; a search tells texts apart by so many first bytes.
const TEXT_BYTES_MIN: usize = 4;

/// Bytes of the log in which the texts are counted before the choice.
const SAMPLE_BYTES: u64 = 128 << 10;

/// Expressions, ready to be asked.
pub struct Patterns {
    sources: Vec<String>,
    /// For each: lists of texts of which one is in every match.
    texts: Vec<Vec<Vec<Vec<u8>>>>,
    all: meta::Regex,
}

/// Why an expression is not taken: the user's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression of this syntax.
    #[error("pattern {0} is not a regular expression")]
    Syntax(usize),
    /// There are too many, or they are too big together.
    #[error(
        "more than {PATTERNS_MAX} patterns, or more than {REGEX_BYTES_MAX} bytes of them compiled"
    )]
    TooBig,
}

/// What one thread keeps while it asks.
pub struct Asking<'p> {
    patterns: &'p Patterns,
    cache: Cache,
    set: PatternSet,
}

/// How lines of one log are found that may match.
pub struct Plan {
    /// Texts of all expressions, when each has some and one search finds them all.
    searcher: Option<packed::Searcher>,
}

impl Patterns {
    /// Takes expressions; an error tells the position of the wrong one.
    pub fn new(sources: Vec<String>) -> Result<Self, PatternError> {
        if sources.len() > PATTERNS_MAX {
            return Err(PatternError::TooBig);
        }
        // A parser reads one expression only.
        let parser = || regex_syntax::ParserBuilder::new().nest_limit(NEST_MAX).utf8(false).build();
        let mut hirs = Vec::with_capacity(sources.len());
        for (index, source) in sources.iter().enumerate() {
            let hir = parser().parse(source).map_err(|_| PatternError::Syntax(index))?;
            hirs.push(within_a_line(hir));
        }
        let texts = hirs.iter().map(texts_of).collect();
        let all = meta::Builder::new()
            .configure(
                meta::Config::new()
                    .match_kind(MatchKind::All)
                    .utf8_empty(false)
                    .nfa_size_limit(Some(REGEX_BYTES_MAX))
                    .hybrid_cache_capacity(4 << 20),
            )
            .build_many_from_hir(&hirs)
            .map_err(|_| PatternError::TooBig)?;
        Ok(Self { sources, texts, all })
    }

    /// No expressions at all: nothing matches.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// An expression as it was written.
    pub fn source(&self, index: usize) -> &str {
        &self.sources[index]
    }

    /// Memory for one thread.
    pub fn asking(&self) -> Asking<'_> {
        let cache = self.all.create_cache();
        Asking { patterns: self, cache, set: PatternSet::new(self.sources.len()) }
    }

    /// Chooses texts by how rare they are in a sample of the log.
    pub fn plan(&self, sample: &[u8]) -> Plan {
        let windows = Windows::of(sample);
        let mut chosen: Vec<&[u8]> = Vec::new();
        for lists in &self.texts {
            let cost = |list: &&Vec<Vec<u8>>| {
                (list.iter().map(|text| windows.rarest(text).1).sum::<usize>(), list.len())
            };
            let Some(list) = lists.iter().min_by_key(cost) else {
                return Plan { searcher: None };
            };
            chosen.extend(list.iter().map(|text| windows.rarest(text).0));
        }
        chosen.sort_unstable();
        chosen.dedup();
        // A text that begins with another adds nothing.
        chosen.dedup_by(|longer, shorter| longer.starts_with(shorter));
        let mut builder =
            packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
        Plan { searcher: builder.extend(chosen).build() }
    }

    /// The number of lines of a file that match, on so many threads.
    pub fn count(&self, file: &Source, jobs: usize) -> io::Result<u64> {
        let plan = self.plan_of(file)?;
        let mut total = 0;
        each_part(
            file,
            jobs,
            || self.asking(),
            |asking, block| {
                let mut count = 0;
                asking.each_line(&plan, block.bytes, |_, _| count += 1);
                count
            },
            |count: u64| {
                total += count;
                Ok(())
            },
        )?;
        Ok(total)
    }

    /// The plan for a file, from its beginning.
    pub fn plan_of(&self, file: &Source) -> io::Result<Plan> {
        let mut buffer = Vec::new();
        Ok(self.plan(file.lines_in(0..SAMPLE_BYTES, &mut buffer)?.bytes))
    }
}

impl Asking<'_> {
    /// Calls `hit` with each line that matches, without its end, and where it begins in the block.
    pub fn each_line<'b>(
        &mut self,
        plan: &Plan,
        block: &'b [u8],
        mut hit: impl FnMut(usize, &'b [u8]),
    ) {
        if self.patterns.is_empty() {
            return;
        }
        let mut at = 0;
        while at < block.len() {
            let start = match &plan.searcher {
                None => at,
                Some(searcher) => {
                    let span = aho_corasick::Span { start: at, end: block.len() };
                    let Some(found) = searcher.find_in(block, span) else { return };
                    memchr::memrchr(b'\n', &block[at..found.start()]).map_or(at, |end| at + end + 1)
                }
            };
            let end = memchr::memchr(b'\n', &block[start..]).map_or(block.len(), |end| start + end);
            let line = &block[start..end];
            if self.matches(line) {
                hit(start, line);
            }
            at = end + 1;
        }
    }

    /// Whether any expression matches a line.
    pub fn matches(&mut self, line: &[u8]) -> bool {
        let input = Input::new(without_return(line)).earliest(true);
        self.patterns.all.search_half_with(&mut self.cache, &input).is_some()
    }

    /// Which expressions match a line, by their positions.
    pub fn which(&mut self, line: &[u8]) -> impl Iterator<Item = usize> {
        self.set.clear();
        let input = Input::new(without_return(line));
        self.patterns.all.which_overlapping_matches(&input, &mut self.set);
        let found: Vec<usize> = self.set.iter().map(|pattern| pattern.as_usize()).collect();
        found.into_iter()
    }
}

/// How often each run of four bytes stands in a sample, by its hash: never less than the truth.
struct Windows {
    counts: Vec<u32>,
}

impl Windows {
    const BITS: u32 = 14;

    fn of(sample: &[u8]) -> Self {
        let mut counts = vec![0; 1 << Self::BITS];
        for window in sample.windows(TEXT_BYTES_MIN) {
            counts[Self::place(window)] += 1;
        }
        Self { counts }
    }

    /// The end of a text that begins with its rarest window, and how often that stands in the sample:
    /// a search finds it by its first bytes.
    fn rarest<'t>(&self, text: &'t [u8]) -> (&'t [u8], usize) {
        let windows = text.windows(TEXT_BYTES_MIN).enumerate();
        let best = windows.map(|(at, window)| (self.counts[Self::place(window)], at)).min();
        best.map_or((text, usize::MAX / TEXTS_MAX), |(count, at)| (&text[at..], count as usize))
    }

    fn place(window: &[u8]) -> usize {
        let word = window.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        (word.wrapping_mul(0x9e37_79b1) >> (32 - Self::BITS)) as usize
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The same expression as one that never matches a line end.
fn within_a_line(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(mut class)) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => Hir::fail(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Capture(capture) => within_a_line(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(within_a_line).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(within_a_line).collect())
        }
        HirKind::Repetition(mut repetition) => {
            repetition.sub = Box::new(within_a_line(*repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Look(Look::StartLF | Look::StartCRLF) => Hir::look(Look::Start),
        HirKind::Look(Look::EndLF | Look::EndCRLF) => Hir::look(Look::End),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Empty => Hir::empty(),
    }
}

/// Lists of texts; one text of each list is in every match.
fn texts_of(hir: &Hir) -> Vec<Vec<Vec<u8>>> {
    let mut lists = Vec::new();
    gather(hir, &mut lists);
    lists
}

fn gather(hir: &Hir, lists: &mut Vec<Vec<Vec<u8>>>) {
    match hir.kind() {
        HirKind::Capture(capture) => gather(&capture.sub, lists),
        HirKind::Repetition(repetition) if repetition.min > 0 => gather(&repetition.sub, lists),
        HirKind::Concat(parts) => {
            for start in 0..parts.len() {
                // What follows this part begins with one of these.
                lists.extend(beginnings(&Hir::concat(parts[start..].to_vec())));
                if !matches!(parts[start].kind(), HirKind::Literal(_)) {
                    gather(&parts[start], lists);
                }
            }
        }
        HirKind::Alternation(parts) => {
            lists.extend(beginnings(hir));
            // One list of each branch, the one with the longest texts.
            let best = |part: &Hir| {
                let lists = texts_of(part);
                lists.into_iter().max_by_key(|list| list.iter().map(Vec::len).min())
            };
            let each: Option<Vec<_>> = parts.iter().map(best).collect();
            let all: Vec<Vec<u8>> = each.into_iter().flatten().flatten().collect();
            if !all.is_empty() && all.len() <= TEXTS_MAX {
                lists.push(all);
            }
        }
        HirKind::Literal(_) => lists.extend(beginnings(hir)),
        _ => {}
    }
}

/// Texts with which every match begins.
fn beginnings(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(4 * TEXTS_MAX).limit_class(8);
    let mut found = extractor.extract(hir);
    found.minimize_by_preference();
    let texts: Vec<Vec<u8>> =
        found.literals()?.iter().map(|text| text.as_bytes().to_vec()).collect();
    let long = texts.iter().all(|text| text.len() >= TEXT_BYTES_MIN);
    (long && !texts.is_empty() && texts.len() <= TEXTS_MAX).then_some(texts)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::abreast::PART_BYTES;
    use super::*;

    fn shared(text: &[u8]) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        Source::new(file, text.len() as u64).unwrap()
    }

    fn patterns(sources: &[&str]) -> Patterns {
        Patterns::new(sources.iter().map(ToString::to_string).collect()).unwrap()
    }

    /// The plain way: each line, each expression.
    fn plainly(sources: &[&str], text: &[u8]) -> u64 {
        let regexes: Vec<_> =
            sources.iter().map(|source| regex::bytes::Regex::new(source).unwrap()).collect();
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let count = lines.filter(|line| {
            let line = without_return(line.strip_suffix(b"\n").unwrap_or(line));
            regexes.iter().any(|regex| regex.is_match(line))
        });
        count.count() as u64
    }

    const SOURCES: &[&[&str]] = &[
        &["Failed password for (invalid user )?[^ ]+ from [0-9.]+", "COMMAND=.*(curl|wget) .*http"],
        &["needle"],
        &["^begin", "end$"],
        &["^$"],
        &["x*"],
        &["(a|b)c[^q]+z", "DPT=(22|23|3389) "],
        &["(?i)FAILED"],
        &["a\\nb"],
        &["[^x]y"],
        &["\\bword\\b", "caf\u{e9}"],
        &["(?s)a.b"],
        &[],
    ];

    #[test]
    fn counts_are_those_of_asking_each_line_plainly() {
        let words = [
            "Failed password for invalid user x from 192.0.2.1",
            "COMMAND=/bin/curl -s http://x",
            "COMMAND=curl",
            "a needle here",
            "begin",
            "begin of end",
            "the end",
            "",
            "acxyz",
            "aczz",
            "bc\tz",
            "DPT=22 ",
            "DPT=3389",
            "DPT=3389 x",
            "failed",
            "a",
            "b",
            "yy",
            "xy",
            "y",
            "word",
            "sword",
            "caf\u{e9}",
            "end\r",
            "\r",
        ];
        let mut seed = 3_u64;
        let mut text = Vec::new();
        while text.len() < 3 * PART_BYTES as usize / 2 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(words[(seed >> 33) as usize % words.len()].as_bytes());
            text.push(if seed >> 60 == 0 { 0xff } else { b'\n' });
        }
        let file = shared(&text);
        for sources in SOURCES {
            let expected = plainly(sources, &text);
            for jobs in [1, 3] {
                assert_eq!(patterns(sources).count(&file, jobs).unwrap(), expected, "{sources:?}");
            }
        }
    }

    #[test]
    fn every_expression_that_matches_is_named() {
        let set = patterns(&["ab", "b", "^a", "c"]);
        assert_eq!(set.asking().which(b"xab").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(set.asking().which(b"ab\r").collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(set.source(3), "c");
    }

    #[test]
    fn texts_are_taken_from_anywhere_in_an_expression() {
        let texts = |source: &str| {
            let hir = within_a_line(regex_syntax::parse(source).unwrap());
            let lists = texts_of(&hir).into_iter().map(|list| {
                list.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
            });
            lists.collect::<Vec<Vec<String>>>()
        };
        assert!(texts("x=.*(curl|wget) .*z").contains(&vec!["curl ".into(), "wget ".into()]));
        assert!(texts("(fool|.*)").is_empty());
        assert!(texts("(fool)?bars").contains(&vec!["bars".into()]));
        assert!(texts("[a-z]+").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_by_its_position_and_bounds_hold() {
        let new = |sources: &[&str]| {
            Patterns::new(sources.iter().map(ToString::to_string).collect()).err()
        };
        assert_eq!(new(&["a", "("]), Some(PatternError::Syntax(1)));
        assert_eq!(new(&["(?=a)"]), Some(PatternError::Syntax(0)));
        assert_eq!(new(&[r"\w{2000}{2000}"]), Some(PatternError::TooBig));
        assert!(Patterns::new(vec!["a".into(); PATTERNS_MAX]).is_ok());
        assert_eq!(
            Patterns::new(vec!["a".into(); PATTERNS_MAX + 1]).err(),
            Some(PatternError::TooBig)
        );
    }
}
