//! Phase one: the lines of one part of a log held against the rules, on any thread, without asking
//! what other parts hold.
//!
//! A line that holds no text which a rule needs is never parsed, once a line before it told the hour:
//! that it is a dated syslog line is decided by its stamp, exactly as the grammar would. What comes out
//! is the same however a file is divided: hits with their line's stamp as written, and as many stamps
//! between them as a clock needs to be where it would be had it seen every line. Hits of a part share
//! one buffer; nothing is allocated for one of them.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use parsers::log::journal::Entry;
use parsers::map::{Block, LINE_BYTES_MAX};
use parsers::time::Stamp;

use super::audit::Note;
use super::context::Place;
use super::event::{Class, Event, Form, jail_line};
use super::extract::Ended;
use super::fail2ban::date::leading_end;
use super::fail2ban::{Seen, Sight};
use super::matcher::{RuleSet, Scratch};
use super::pace::{Pace, is_possible};
use super::shape::{Masked, Memo, Met, Plan};
use super::story::TEXT_BYTES_MAX;
use super::sweep::SweepOptions;
use super::templates;
use super::templates::census::Counter;
use super::wanted::{Jailed, Searched};
use super::web::census::Census;

/// How the lines of a file are read, told by its first lines: the same for all its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) form: Form,
    pub(super) class: Class,
}

impl Manner {
    /// Lines that are looked at.
    pub(super) const LINES: usize = 64;

    /// From the first bytes of a file.
    pub(super) fn of(head: &[u8]) -> Self {
        let mut form = Form::default();
        let mut class = Class::Syslog;
        for line in head.split(|byte| *byte == b'\n').take(Self::LINES) {
            let event = Event::read(line, &mut form);
            if event.parsed() {
                class = event.class();
            }
        }
        Self { form, class }
    }
}

/// Bytes in a part's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: u32,
    length: u32,
}

/// A text in a part's buffer, and its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    span: Span,
    pub(super) hash: u64,
}

/// One line that rules matched.
pub(super) struct LineHit {
    /// Number in the part, from 0.
    pub(super) line: u64,
    /// Offset in the part.
    pub(super) offset: u64,
    pub(super) stamp: Option<Stamp>,
    pub(super) weight: u64,
    pub(super) column: u32,
    pub(super) text: Span,
    pub(super) ip: Option<Word>,
    pub(super) user: Option<Word>,
    pub(super) unit: Option<Word>,
    pub(super) typed: bool,
    pub(super) ended: Option<Ended>,
    /// Its rules: up to this position in [`Part::rules`], from where the line before ended.
    pub(super) rules_end: usize,
}

/// One rule of a line; its wanted values follow those of the rule before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleHit {
    pub(super) rule: u32,
    /// Where its values begin in [`Part::values`].
    pub(super) values: u32,
}

/// What a part holds.
#[derive(Default)]
pub(super) struct Part {
    /// Offset of its first line in the file.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) parsed: u64,
    pub(super) unparsed: u64,
    pub(super) undated: u64,
    pub(super) undecided: u64,
    /// Stamps that a clock has to see, by line.
    pub(super) times: Vec<(u64, Stamp)>,
    pub(super) hits: Vec<LineHit>,
    pub(super) rules: Vec<RuleHit>,
    pub(super) values: Vec<Option<Word>>,
    text: Vec<u8>,
    /// Whether it was read before and only gives context.
    pub(super) old: bool,
    /// It ends in the middle of an over-long line.
    pub(super) cut: bool,
    /// Of an archive: no more come after it.
    pub(super) last: bool,
    /// What audit records add to their events, by line, with its offset.
    pub(super) notes: Vec<(u64, u64, Note)>,
    /// What filters of fail2ban saw: in which hit, which jail's, and what.
    pub(super) sights: Vec<(usize, usize, Seen)>,
    /// Requests of each client.
    pub(super) census: Census,
    /// What is observed over time, where that is wanted.
    pub(super) observed: Option<templates::Census>,
    /// Why it could not be read to its end.
    pub(super) error: Option<std::io::Error>,
}

impl Part {
    /// Nothing, and why.
    pub(super) fn failed(reason: &str) -> Self {
        Self { error: Some(std::io::Error::other(reason)), ..Self::default() }
    }

    /// Its lines do not follow each other, but stand at these places of the file.
    pub(super) fn stand_at(&mut self, places: &[Place]) {
        let place = |line: u64| usize::try_from(line).ok().and_then(|line| places.get(line));
        for hit in &mut self.hits {
            let Some(place) = place(hit.line) else { continue };
            (hit.line, hit.offset) = (place.line, place.offset);
        }
        for (line, _) in &mut self.times {
            *line = place(*line).map_or(*line, |place| place.line);
        }
        self.notes.clear();
    }

    /// The bytes of a span.
    pub(super) fn bytes_of(&self, span: Span) -> &[u8] {
        let from = span.from as usize;
        self.text.get(from..from + span.length as usize).unwrap_or_default()
    }

    /// The bytes of a word.
    pub(super) fn word(&self, word: Word) -> &[u8] {
        self.bytes_of(word.span)
    }

    /// Empty again, with its memory.
    pub(super) fn clear(&mut self) {
        let old = std::mem::take(self);
        *self = Self {
            times: emptied(old.times),
            hits: emptied(old.hits),
            rules: emptied(old.rules),
            values: emptied(old.values),
            text: emptied(old.text),
            notes: emptied(old.notes),
            sights: emptied(old.sights),
            ..Self::default()
        };
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let from = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.extend_from_slice(bytes);
        Span { from, length: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
    }
}

fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list
}

/// Holds lines against rules; one a thread.
pub(super) struct Examiner<'a> {
    rules: &'a RuleSet,
    options: &'a SweepOptions,
    joins_audit: bool,
    pub(super) counter: Counter,
    hasher: &'a RandomState,
    scratch: Scratch,
    searched: Searched,
    jailed: Jailed,
    memo: Memo,
}

impl<'a> Examiner<'a> {
    /// Hashes are those of `hasher`: all examiners of a sweep share it.
    pub(super) fn new(
        rules: &'a RuleSet,
        options: &'a SweepOptions,
        hasher: &'a RandomState,
    ) -> Self {
        let (scratch, searched, counter) =
            (Scratch::default(), Searched::default(), Counter::default());
        let joins_audit = rules.joins_audit();
        Self {
            rules,
            options,
            joins_audit,
            counter,
            hasher,
            scratch,
            searched,
            jailed: Jailed::default(),
            memo: Memo::new(hasher),
        }
    }

    /// Looks through whole lines; `part` is empty and receives what they hold.
    /// `jails` says which of the jails it is for.
    pub(super) fn lines(
        &mut self,
        whole: Block<'_>,
        manner: Manner,
        jails: &[bool],
        part: &mut Part,
    ) {
        let block = whole.bytes;
        (part.offset, part.cut) = (whole.offset, whole.cut);
        self.search(block, manner, jails);
        part.bytes = block.len() as u64;
        let mut pace = Pace::default();
        let mut start = 0;
        let mut ends = memchr::memchr_iter(b'\n', block);
        while start < block.len() {
            let end = ends.next().unwrap_or(block.len());
            self.searched.up_to(end);
            self.jailed.up_to(end);
            let (line, cut) = kept_of(&block[start..end]);
            let open = whole.cut && end == block.len();
            part.undecided += u64::from(cut || open);
            let here = Here { line, offset: start as u64, end, block, manner, jails };
            if self.options.observe && !part.old {
                self.counter.line(line, whole.offset + here.offset);
            }
            self.line(&here, &mut pace, part);
            part.lines += 1;
            start = end + 1;
        }
        pace.tell(block, part);
        if self.options.observe && !part.old {
            part.observed = Some(self.counter.finish());
        }
    }

    /// Looks for what rules need in the whole block; unless shapes are to tell what lines may match.
    fn search(&mut self, block: &[u8], manner: Manner, jails: &[bool]) {
        let by_line = manner.class == Class::Syslog && self.options.shapes && self.memo.begin();
        self.searched.begin(by_line);
        self.jailed.begin();
        self.rules.jails.watch(block, jails, &mut self.jailed.watches);
        if by_line {
            return;
        }
        if manner.class != Class::Json {
            self.rules.filter(manner.class).find(block, &mut self.searched.found);
            self.searched.found.sort_unstable();
        }
        if jails.contains(&true) {
            self.rules.jails.find(block, &mut self.jailed.found);
            self.jailed.found.sort_unstable();
        }
    }

    /// Whether a plan tells what may match a line of the known hour; its candidates are then ready. A plan
    /// is made if the shape was met before.
    fn plan(&mut self, here: &Here<'_>, pace: &Pace) -> bool {
        if !self.searched.by_line {
            return false;
        }
        let Some(after) = pace.after_stamp(here.line) else { return false };
        let place = match self.memo.meet(&here.line[after..], pace.form()) {
            Met::Unknown => return false,
            Met::Planned(plan) => {
                self.planned(plan, here);
                return true;
            }
            Met::Again(place) => place,
        };
        let plan = Masked::of(here.line).and_then(|shape| {
            let event = Event::read(here.line, &mut here.manner.form.clone());
            let (rules, rules_if) = self.rules.possible(&event, &shape, &mut self.scratch)?;
            let leading = leading_end(here.line).and_then(|end| shape.piece_at(end));
            let (jails, jails_if) = self.rules.jails.possible(here.line, &shape, leading);
            Some(Plan { rules, jails, rules_if, jails_if })
        });
        self.memo.learn(place, plan);
        false
    }

    /// The candidates of a line by its plan.
    fn planned(&mut self, number: u32, here: &Here<'_>) {
        let Some(plan) = self.memo.plan(number) else { return };
        self.scratch.plan(&plan.rules);
        for (text, rule) in &plan.rules_if {
            if self.rules.stands(*text, here.line) {
                self.scratch.also(*rule);
            }
        }
        let is_for = |jail: &u32| here.jails.get(*jail as usize) == Some(&true);
        let asked = &mut self.jailed.asked;
        asked.clear();
        asked.extend(plan.jails.iter().filter(|jail| is_for(jail)));
        for (text, jail) in plan.jails_if.iter().filter(|(_, jail)| is_for(jail)) {
            if !asked.contains(jail) && self.rules.jails.stands(*text, here.line) {
                asked.push(*jail);
            }
        }
        asked.sort_unstable();
    }

    /// Looks for what rules need in a line of which no plan tells.
    fn search_line(&mut self, here: &Here<'_>) {
        self.searched.found.clear();
        self.rules.filter(here.manner.class).find(here.line, &mut self.searched.found);
        (self.searched.first, self.searched.next) = (0, self.searched.found.len());
        self.jailed.found.clear();
        if here.jails.contains(&true) {
            self.rules.jails.find(here.line, &mut self.jailed.found);
        }
        (self.jailed.first, self.jailed.next) = (0, self.jailed.found.len());
    }

    fn line(&mut self, here: &Here<'_>, pace: &mut Pace, part: &mut Part) {
        let known = pace.step(here.line);
        if known {
            pace.goes_on(here, part);
        }
        let class = here.manner.class;
        part.parsed += u64::from(known);
        let planned = known && self.plan(here, pace);
        if !planned {
            if self.searched.by_line {
                self.search_line(here);
            }
            self.jailed.asked(self.rules, here.jails);
        }
        self.jailed.watched(here);
        let asked = match planned {
            true => !self.scratch.candidates.is_empty(),
            false => {
                !self.searched.of_line().is_empty() || !self.rules.filter(class).always.is_empty()
            }
        };
        if known && !asked && class == Class::Syslog && self.jailed.asked.is_empty() {
            return;
        }
        let event = Event::read(here.line, &mut here.manner.form.clone());
        if !known {
            part.parsed += u64::from(event.parsed());
            part.unparsed += u64::from(!event.parsed() && !here.line.is_empty());
            let dated = event.stamp.is_some_and(is_possible);
            part.undated += u64::from(!dated && !here.line.is_empty());
            if let Some(stamp) = event.stamp {
                pace.begins(here, stamp, event.class() == Class::Syslog, part);
            }
        }
        self.count_client(&event, part);
        if self.joins_audit
            && let Some(note) = event.audit_record().and_then(Note::of)
        {
            part.notes.push((part.lines, here.offset, note));
        }
        let kept = self.ask(&event, here, planned, pace, part);
        self.ask_jails(&event, here, kept, pace, part);
    }

    /// Asks fail2ban's filters about a line; `kept` when rules matched it.
    fn ask_jails(
        &mut self,
        event: &Event<'_>,
        here: &Here<'_>,
        mut kept: bool,
        pace: &mut Pace,
        part: &mut Part,
    ) {
        let asked = std::mem::take(&mut self.jailed.asked);
        for jail_number in &asked {
            let index = *jail_number as usize;
            let Some((jail, _)) = self.rules.jails.get(index) else { continue };
            let seen = jail.filter.examine_candidate(here.line, &mut self.jailed.scratch);
            let Some(seen) = seen else { continue };
            if !std::mem::replace(&mut kept, true) {
                if event.stamp.is_none() {
                    pace.tell(here.block, part);
                }
                self.keep(event, here, part);
            }
            let at = part.hits.len() - 1;
            if self.jailed.apart.contains(jail_number) {
                let apart = Seen { moment: None, template: None, sight: Sight::Apart };
                part.sights.push((at, index, apart));
            }
            part.sights.push((at, index, seen));
        }
        self.jailed.asked = asked;
    }

    /// Counts a request; one whose stamp names no zone is counted whatever its time.
    fn count_client(&self, event: &Event<'_>, part: &mut Part) {
        let Some(client) = event.client() else { return };
        let early = match (event.stamp, self.options.since) {
            (Some(Stamp::Exact(at)), Some(since)) => at < since,
            _ => false,
        };
        if !early && !part.old {
            part.census.take(client, event.weight);
        }
    }

    /// Asks the rules about a line that was read.
    fn ask(
        &mut self,
        event: &Event<'_>,
        here: &Here<'_>,
        planned: bool,
        pace: &mut Pace,
        part: &mut Part,
    ) -> bool {
        let class = event.class();
        let before = part.rules.len();
        let mut scratch = std::mem::take(&mut self.scratch);
        let rules = self.rules;
        let mut hit = |rule: usize| {
            let values = u32::try_from(part.values.len()).unwrap_or(u32::MAX);
            part.rules.push(RuleHit { rule: u32::try_from(rule).unwrap_or(u32::MAX), values });
            for field in &rules.rules[rule].wanted {
                let value = event.field(field).filter(|value| !value.is_empty());
                let word = value.map(|value| Word {
                    hash: self.hasher.hash_one(&*value),
                    span: {
                        let from = u32::try_from(part.text.len()).unwrap_or(u32::MAX);
                        part.text.extend_from_slice(&value);
                        Span { from, length: u32::try_from(value.len()).unwrap_or(u32::MAX) }
                    },
                });
                part.values.push(word);
            }
        };
        if planned && class == Class::Syslog {
            rules.each_of(event, &mut scratch, &mut hit);
        } else if class == here.manner.class && class != Class::Json {
            rules.begin(class, &mut scratch);
            let filter = rules.filter(class);
            for one in self.searched.of_line() {
                filter.rules_of(*one).iter().for_each(|rule| scratch.add(*rule));
            }
            rules.mark_unwritten(event, &mut scratch);
            rules.each_of(event, &mut scratch, &mut hit);
        } else {
            rules.each_match(event, &mut scratch, &mut hit);
        }
        self.scratch = scratch;
        let matched = part.rules.len() > before;
        if matched {
            if event.stamp.is_none() {
                pace.tell(here.block, part);
            }
            self.keep(event, here, part);
        }
        matched
    }

    /// Keeps what stories and windows need of a line.
    fn keep(&self, event: &Event<'_>, here: &Here<'_>, part: &mut Part) {
        let who = event.who();
        let mut word = |text: &Option<Cow<'_, str>>| {
            let text = text.as_ref()?;
            let hash = self.hasher.hash_one(text.as_bytes());
            Some(Word { span: part.keep(text.as_bytes()), hash })
        };
        let (ip, user, unit) = (word(&who.ip), word(&who.user), word(&who.unit));
        let text = part.keep(&event.raw[..event.raw.len().min(TEXT_BYTES_MAX)]);
        part.hits.push(LineHit {
            line: part.lines,
            offset: here.offset,
            stamp: event.stamp,
            weight: event.weight,
            column: event.column(),
            text,
            ip,
            user,
            unit,
            typed: who.typed,
            ended: who.ended,
            rules_end: part.rules.len(),
        });
    }

    /// One event that is no line of a block (an entry of the journal, joined audit records), as a line
    /// of a part.
    pub(super) fn entry(&mut self, event: &Event<'_>, part: &mut Part) {
        let manner = Manner { form: Form::Syslog, class: Class::Json };
        let here = Here { line: event.raw, offset: 0, end: 0, block: &[], manner, jails: &[] };
        self.ask(event, &here, false, &mut Pace::default(), part);
    }
}

impl Examiner<'_> {
    /// The same entry, for those of fail2ban's jails that read the journal.
    pub(super) fn entry_of_jails(&mut self, event: &Event<'_>, entry: &Entry, part: &mut Part) {
        let line = jail_line(entry);
        for index in self.rules.jails.of_entry(entry, &line) {
            let Some((jail, _)) = self.rules.jails.get(index as usize) else { continue };
            let seen = jail.filter.examine_message(&line, &mut self.jailed.scratch);
            let Some(seen) = seen else { continue };
            if part.hits.last().is_none_or(|hit| hit.line != part.lines) {
                let manner = Manner { form: Form::Syslog, class: Class::Json };
                let here =
                    Here { line: event.raw, offset: 0, end: 0, block: &[], manner, jails: &[] };
                self.keep(event, &here, part);
            }
            part.sights.push((part.hits.len() - 1, index as usize, seen));
        }
    }
}

/// A line's bytes without its line end, and whether it was cut.
pub(super) fn kept_of(line: &[u8]) -> (&[u8], bool) {
    let kept = &line[..line.len().min(LINE_BYTES_MAX)];
    (kept.strip_suffix(b"\r").unwrap_or(kept), line.len() > LINE_BYTES_MAX)
}

/// A line in its block.
pub(super) struct Here<'b> {
    pub(super) line: &'b [u8],
    pub(super) offset: u64,
    /// Where it ends in the block, whole.
    pub(super) end: usize,
    pub(super) block: &'b [u8],
    manner: Manner,
    /// Which jails it is for.
    pub(super) jails: &'b [bool],
}
