//! A filter, compiled: which lines look like failures, and what they name.
//!
//! Pure: a line is judged for itself and gives the same answer on any thread. What depends on lines
//! before it (connections, several lines at once) is the business of [`super::State`].

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use memchr::memmem::Finder;
use parsers::map::LINE_BYTES_MAX;
use parsers::place::{Placed, Problem};
use parsers::rules::fail2ban::Definition;
use parsers::rules::fail2ban::filter::EXPRESSIONS_MAX;
use serde::{Deserialize, Serialize};

use super::date::{Detector, Moment};
use super::expression::{Expression, Groups};
use super::pattern::{Lines, Machine, Undecided};
use crate::logs::shape::{Masked, Piece};

/// Most lines that a filter may look at together.
pub const LINES_MAX: usize = 100;

/// Most literals of which a line needs one.
pub const NEEDLES_MAX: usize = 1_000;

/// Shortest half of a literal that is still worth a search.
const HALF_BYTES_MIN: usize = 3;

/// A compiled filter. Written down, it is what [`Stored`] reads.
#[derive(Debug, Serialize)]
pub struct Filter {
    name: String,
    pub(super) prefix: Option<Expression>,
    pub(super) failures: Vec<Expression>,
    pub(super) ignored: Vec<Expression>,
    #[serde(skip)]
    dates: Detector,
    maxlines: usize,
    needles: Option<Vec<Vec<u8>>>,
    /// Of a filter that looks at several lines: texts of which one is in a line of every match.
    #[serde(skip)]
    marks: Option<Vec<Finder<'static>>>,
    /// Built when it is first asked: a sweep has a prefilter of its own for all rules.
    #[serde(skip)]
    gate: OnceLock<Option<AhoCorasick>>,
    /// By first byte of the text: which of the first 64 expressions may match. Built when the first line
    /// is judged.
    #[serde(skip)]
    begins: OnceLock<Box<[u64; 256]>>,
    datepattern: String,
    journalmatch: Vec<String>,
}

/// A filter as it is kept between runs, so that the same files need not be read, checked and compiled
/// again: the fields of [`Filter`] that are written down, in their order.
#[derive(Debug, Deserialize)]
pub struct Stored {
    name: String,
    prefix: Option<Expression>,
    failures: Vec<Expression>,
    ignored: Vec<Expression>,
    maxlines: usize,
    needles: Option<Vec<Vec<u8>>>,
    datepattern: String,
    journalmatch: Vec<String>,
}

/// What is needed to look at a line; kept for the next one.
#[derive(Default)]
pub struct Scratch {
    pub(super) machine: Machine,
    text: String,
    content: String,
}

/// What a line came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What its date says; a line without one is judged all the same.
    pub moment: Option<Moment>,
    /// Which date pattern found the date.
    pub template: Option<usize>,
    /// What was found.
    pub sight: Sight,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// A failure, or a line that tells more of a connection: which expression, and its groups.
    Match {
        /// Index among the filter's `failregex`.
        regex: usize,
        /// Groups by name.
        groups: Groups,
    },
    /// An `ignoreregex` matched: which.
    Ignored(usize),
    /// A search ran into its bound; nobody knows.
    Undecided,
    /// A line of a filter that looks at several: without its date, to be judged in order.
    Line(String),
    /// Of such a filter: lines before the next one were left out, none of them part of a match.
    Apart,
}

/// Which expressions are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    UntilOneMatches,
    All,
}

impl Filter {
    /// Compiles a definition; `last_year` is the last year that its dates may sensibly have.
    pub fn compile(definition: &Definition, last_year: i16) -> Result<Self, Problem> {
        let maxlines = maxlines(definition)?;
        let many = if maxlines > 1 { Lines::Many } else { Lines::One };
        let names = definition.usedns.as_deref() != Some("no");
        let all = |texts: &[Placed<String>], lines: Lines| -> Result<Vec<Expression>, Problem> {
            texts.iter().map(|text| Expression::new(text, lines, names)).collect()
        };
        let prefix =
            definition.prefregex.as_ref().map(|text| Expression::new(text, Lines::One, names));
        let prefix = prefix.transpose()?;
        let failures = all(&definition.failregex, many)?;
        let known = prefix.as_ref().is_some_and(Expression::identifies);
        for (expression, text) in failures.iter().zip(&definition.failregex) {
            if !known && !expression.identifies() {
                let message = "a failregex that names no host, no address and no identity".into();
                return Err(Problem { place: text.place.clone(), message });
            }
        }
        let pattern = definition.datepattern.as_ref();
        let dates = Detector::new(pattern.map_or("", |text| text.value.as_str()), last_year)
            .map_err(|error| Problem {
                place: pattern.map_or_else(
                    || parsers::place::Place::whole(definition.name.as_str()),
                    |text| text.place.clone(),
                ),
                message: format!("datepattern: {error}"),
            })?;
        let marks = if maxlines > 1 { marks(&failures) } else { None };
        let needles = if maxlines > 1 { None } else { needles(prefix.as_ref(), &failures) };
        let needles = match dates.cuts_words() {
            true => needles,
            false => needles.and_then(halves),
        };
        Ok(Self {
            name: definition.name.clone(),
            begins: OnceLock::new(),
            datepattern: pattern.map(|text| text.value.clone()).unwrap_or_default(),
            ignored: all(&definition.ignoreregex, Lines::One)?,
            prefix,
            failures,
            dates,
            maxlines,
            needles,
            marks,
            gate: OnceLock::new(),
            journalmatch: definition.journalmatch.clone(),
        })
    }

    /// The filter of what was kept; its expressions are compiled when a line needs them. `None` where
    /// what was kept is more than a filter can be.
    pub fn from_stored(stored: Stored, last_year: i16) -> Option<Self> {
        let Stored {
            name,
            prefix,
            failures,
            ignored,
            datepattern,
            maxlines,
            needles,
            journalmatch,
        } = stored;
        let bounded = (1..=LINES_MAX).contains(&maxlines)
            && failures.len().max(ignored.len()) <= EXPRESSIONS_MAX
            && needles.as_ref().is_none_or(|needles| needles.len() <= NEEDLES_MAX);
        let dates = Detector::checked_before(&datepattern, last_year).ok()?;
        let marks = if maxlines > 1 { marks(&failures) } else { None };
        bounded.then_some(Self {
            name,
            prefix,
            failures,
            ignored,
            dates,
            maxlines,
            needles,
            marks,
            gate: OnceLock::new(),
            begins: OnceLock::new(),
            datepattern,
            journalmatch,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Literals of which a line has to contain one to matter at all; `None`: every line matters.
    pub fn needed(&self) -> Option<Vec<Vec<u8>>> {
        self.needles.clone()
    }

    /// How many lines it looks at together; over 1, every line goes through [`super::State`] in order.
    pub fn maxlines(&self) -> usize {
        self.maxlines
    }

    /// Of a filter that looks at several lines: literals of which one is in a line of every match (as the
    /// line is written, its date included); `None` where there are none, or for other filters.
    pub fn marks(&self) -> Option<Vec<Vec<u8>>> {
        let marks = self.marks.as_ref()?.iter().map(|mark| mark.needle().to_vec()).collect();
        if self.dates.cuts_words() { Some(marks) } else { halves(marks) }
    }

    /// Whether a line without its date may be the one that a match cannot be without.
    pub(super) fn is_marked(&self, line: &str) -> bool {
        let is_in = |mark: &Finder<'_>| mark.find(line.as_bytes()).is_some();
        self.marks.as_ref().is_none_or(|marks| marks.iter().any(is_in))
    }

    /// Matches of journal fields, one alternative each.
    pub fn journalmatch(&self) -> &[String] {
        &self.journalmatch
    }

    /// Its `failregex` as they are written, for reports.
    pub fn expressions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.failures.iter().map(|expression| expression.text.as_str())
    }

    /// Its date patterns, in the order of [`Seen::template`].
    pub fn date_patterns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.dates.templates().iter().map(|template| template.name.as_str())
    }

    /// How many of its expressions no automaton could run.
    pub fn irregular(&self) -> usize {
        let all = self.prefix.iter().chain(&self.failures).chain(&self.ignored);
        all.filter(|expression| !expression.is_regular(true)).count()
    }

    /// Judges a line, without its line end; `None` where it is no business of the filter's.
    pub fn examine(&self, line: &[u8], scratch: &mut Scratch) -> Option<Seen> {
        if let Some(gate) = self.gate()
            && !gate.is_match(line)
        {
            return None;
        }
        self.examine_candidate(line, scratch)
    }

    fn gate(&self) -> Option<&AhoCorasick> {
        let built = self.gate.get_or_init(|| {
            let needles = self.needles.as_ref()?;
            AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(needles).ok()
        });
        built.as_ref()
    }

    /// As [`Filter::examine`], for a line that is known to contain one of [`Filter::needed`].
    pub fn examine_candidate(&self, line: &[u8], scratch: &mut Scratch) -> Option<Seen> {
        let mut seen = None;
        self.each(line, When::InLine, Tries::UntilOneMatches, scratch, |one| seen = Some(one));
        seen
    }

    /// As [`Filter::examine`], for a message whose time is known, as a journal gives it.
    pub fn examine_message(&self, message: &[u8], scratch: &mut Scratch) -> Option<Seen> {
        let mut seen = None;
        self.each(message, When::Known, Tries::UntilOneMatches, scratch, |one| seen = Some(one));
        seen
    }

    /// As [`Filter::examine`] or [`Filter::examine_message`], for every expression that matches: more
    /// than one is a fault of the filter.
    pub fn examine_all(&self, line: &[u8], when: When, scratch: &mut Scratch) -> Vec<Seen> {
        let mut seen = Vec::new();
        self.each(line, when, Tries::All, scratch, |one| seen.push(one));
        seen
    }

    fn each(
        &self,
        line: &[u8],
        when: When,
        tries: Tries,
        scratch: &mut Scratch,
        mut found: impl FnMut(Seen),
    ) {
        let line = readable(line);
        let mut text = std::mem::take(&mut scratch.text);
        text.clear();
        let dated = match when {
            When::Known => Ok(None),
            When::InLine => self.dates.find(&line, &mut scratch.machine),
        };
        let (moment, template) = match &dated {
            Ok(Some((template, date))) => {
                text.push_str(&line[..date.start]);
                text.push_str(&line[date.end..]);
                (date.moment, Some(*template))
            }
            _ => {
                text.push_str(&line);
                (None, None)
            }
        };
        let mut give = |sight| found(Seen { moment, template, sight });
        if dated.is_err() {
            give(Sight::Undecided);
        } else if self.maxlines > 1 {
            give(Sight::Line(std::mem::take(&mut text)));
        } else {
            text.push('\n');
            if self.judge(&text, tries, scratch, &mut give).is_err() && self.may_match(&text) {
                give(Sight::Undecided);
            }
        }
        scratch.text = text;
    }

    /// Whether a line of a shape may be of any business of the filter's. `leading` is the piece with which
    /// the text after the date begins, where all lines of the shape begin with a date that is taken
    /// without a search. Never a wrong no.
    pub(in crate::logs) fn may_see(&self, shape: &Masked, leading: Option<usize>) -> bool {
        let fast = self.dates.takes_leading();
        let Some(from) = leading.filter(|_| fast && self.maxlines == 1) else { return true };
        self.may_match_in(shape, shape.pieces().get(from..).unwrap_or_default())
    }

    /// The same of one line without its date, whose search was given up.
    fn may_match(&self, text: &str) -> bool {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let shape = Masked::of(line.as_bytes());
        shape.is_none_or(|shape| self.may_match_in(&shape, shape.pieces()))
    }

    fn may_match_in(&self, shape: &Masked, text: &[Piece]) -> bool {
        let may_hold = |expression: &Expression| {
            expression.needles().is_none_or(|all| {
                all.iter().any(|one| shape.may_contain(one.to_ascii_lowercase().as_bytes()))
            })
        };
        let may = |one: &Expression| {
            may_hold(one) && one.pattern().is_none_or(|pattern| pattern.may_match(text))
        };
        if self.ignores_first() && self.ignored.iter().any(may) {
            return true;
        }
        match &self.prefix {
            // What is left of the line after it is not known here.
            Some(prefix) => self.failures.iter().any(may_hold) && may(prefix),
            None => self.failures.iter().any(may),
        }
    }

    /// Whether few `ignoreregex` are asked before many `failregex`.
    fn ignores_first(&self) -> bool {
        !self.ignored.is_empty() && self.ignored.len() + 2 < self.failures.len()
    }

    /// Judges a line without its date.
    fn judge(
        &self,
        text: &str,
        tries: Tries,
        scratch: &mut Scratch,
        found: &mut dyn FnMut(Sight),
    ) -> Result<(), Undecided> {
        if self.ignores_first()
            && let Some(index) = self.is_ignored(text, &mut scratch.machine)?
        {
            found(Sight::Ignored(index));
            return Ok(());
        }
        let mut groups = Groups::new();
        let mut own = std::mem::take(&mut scratch.content);
        let content = self.content(text, &mut own, &mut groups, &mut scratch.machine);
        let outcome = content.and_then(|content| match content {
            Some(content) => self.failures_in(content, groups, tries, &mut scratch.machine, found),
            None => Ok(()),
        });
        scratch.content = own;
        outcome
    }

    /// What `prefregex` leaves of a line, if it matches.
    pub(super) fn content<'t>(
        &self,
        text: &'t str,
        own: &'t mut String,
        groups: &mut Groups,
        machine: &mut Machine,
    ) -> Result<Option<&'t str>, Undecided> {
        let Some(prefix) = &self.prefix else { return Ok(Some(text)) };
        if !prefix.search(text, machine)? {
            return Ok(None);
        }
        prefix.groups(text, machine, groups);
        groups.retain(|(name, _)| name.as_ref() != "content");
        let Some((start, end)) = prefix.span("content", machine).filter(|(a, b)| a < b) else {
            return Ok(Some(text));
        };
        if text[end..] == *"\n" {
            return Ok(Some(&text[start..]));
        }
        own.clear();
        own.push_str(&text[start..end]);
        own.push('\n');
        Ok(Some(own))
    }

    fn failures_in(
        &self,
        text: &str,
        before: Groups,
        tries: Tries,
        machine: &mut Machine,
        found: &mut dyn FnMut(Sight),
    ) -> Result<(), Undecided> {
        let first = text.as_bytes().first().copied().unwrap_or(b'\n');
        let begins = self.begins.get_or_init(|| begins(&self.failures));
        let mut may = begins[usize::from(first)];
        for (regex, expression) in self.failures.iter().enumerate() {
            if regex < 64 {
                let skip = may & 1 == 0;
                may >>= 1;
                if skip {
                    continue;
                }
            }
            if !expression.search(text, machine)? {
                continue;
            }
            let mut groups = before.clone();
            expression.groups(text, machine, &mut groups);
            if let Some(index) = self.is_ignored(text, machine)? {
                found(Sight::Ignored(index));
            } else {
                found(Sight::Match { regex, groups });
            }
            if tries == Tries::UntilOneMatches {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn is_ignored(
        &self,
        text: &str,
        machine: &mut Machine,
    ) -> Result<Option<usize>, Undecided> {
        for (index, expression) in self.ignored.iter().enumerate() {
            if expression.search(text, machine)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

/// Where the time of a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The line has a date.
    InLine,
    /// It is known, and the line is only a message.
    Known,
}

/// A line as text: without its end, cut at the limit; what is not UTF-8 is replaced, as in fail2ban.
fn readable(line: &[u8]) -> std::borrow::Cow<'_, str> {
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    String::from_utf8_lossy(&line[..end])
}

fn maxlines(definition: &Definition) -> Result<usize, Problem> {
    let Some(text) = &definition.maxlines else { return Ok(1) };
    let number = text.value.trim().parse().ok().filter(|lines| (1..=LINES_MAX).contains(lines));
    number.ok_or_else(|| Problem {
        place: text.place.clone(),
        message: format!("maxlines: not a number from 1 to {LINES_MAX}"),
    })
}

/// Literals of which every line that matters has one.
fn needles(prefix: Option<&Expression>, failures: &[Expression]) -> Option<Vec<Vec<u8>>> {
    let of = |expression: &Expression| -> Option<Vec<Vec<u8>>> {
        let texts = expression.needles()?;
        Some(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
    };
    let shortest = |needles: &[Vec<u8>]| needles.iter().map(Vec::len).min().unwrap_or(0);
    let each: Option<Vec<Vec<Vec<u8>>>> = failures.iter().map(of).collect();
    let failing: Option<Vec<Vec<u8>>> = each.map(|each| each.into_iter().flatten().collect());
    let before = prefix.and_then(of);
    let mut best = match (failing, before) {
        (Some(failing), Some(before)) if shortest(&before) > shortest(&failing) => before,
        (Some(failing), _) => failing,
        (None, before) => before?,
    };
    best.sort();
    best.dedup();
    (best.len() <= NEEDLES_MAX).then_some(best)
}

/// Literals of which every match over several lines has one, each within a line.
fn marks(failures: &[Expression]) -> Option<Vec<Finder<'static>>> {
    let mut marks: Vec<&str> = Vec::new();
    for expression in failures {
        for text in expression.needles()? {
            let longest = text.split('\n').max_by_key(|part| part.len())?;
            marks.push(Some(longest).filter(|part| part.len() >= HALF_BYTES_MIN)?);
        }
    }
    marks.sort_unstable();
    marks.dedup();
    let few = !marks.is_empty() && marks.len() <= NEEDLES_MAX;
    few.then(|| marks.iter().map(|text| Finder::new(text).into_owned()).collect())
}

/// Where a date may be cut out anywhere, a literal of the text left may lie on both sides of the cut; but
/// one of its halves lies on one side.
fn halves(needles: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let mut halves = Vec::new();
    for needle in needles {
        if needle.len() < 2 * HALF_BYTES_MIN {
            return None;
        }
        let (left, right) = needle.split_at(needle.len() / 2);
        halves.extend([left.to_vec(), right.to_vec()]);
    }
    halves.sort();
    halves.dedup();
    (halves.len() <= NEEDLES_MAX).then_some(halves)
}

/// By first byte of a text: which of the first 64 expressions may match it.
fn begins(failures: &[Expression]) -> Box<[u64; 256]> {
    let mut table = Box::new([0_u64; 256]);
    for (index, expression) in failures.iter().take(64).enumerate() {
        for (byte, bits) in (0..=255_u8).zip(table.iter_mut()) {
            if !expression.anchored() || expression.may_begin(byte) {
                *bits |= 1 << index;
            }
        }
    }
    table
}
