//! Families of files and the journal as streams of hits in their order: phase two of a sweep.
//!
//! A file is asked for in parts, some of them ahead; they are taken in the order of the file. Line
//! numbers follow from how many lines the parts before hold, times from a clock that sees the stamps
//! which each part names. A file is never read past the size that it had when it was found; with a
//! checkpoint, a line that is still being written is left for next time. What cannot be read is said
//! by the sweep; what cannot be understood is counted.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use jiff::tz::TimeZone;
use parsers::log::journal;
use parsers::map::{Block, LINE_BYTES_MAX, Source as Blocks, Torn};
use parsers::time::Clock;

use super::audit::{Joined, Joiner, Note};
use super::checkpoint::{CUT, Checkpoint, Ended, Reached, Start};
use super::context::{Gathered, Place, reach_of};
use super::coverage::FileCoverage;
use super::event::{Event, journal_line};
use super::fail2ban::{CONNECTION_S, CONNECTIONS_MAX, Sight, State};
use super::features::SourceId;
use super::gather::{Sweeper, Told};
use super::part::{Manner, Part};
use super::pool::{Bytes, Pool, Source, Unpacking, Worker};
use super::source::{Family, LogFile, is_live};
use super::view::{View, Way};
use super::years;
use crate::RootedTree;

/// Entries of the journal that are one part.
const ENTRIES_OF_PART: u64 = 4096;

/// Bytes of the lines that such entries may have.
const ENTRY_BYTES_OF_PART: u64 = 1 << 20;

/// Bytes of lines that are looked back at, at once: more than the longest line has.
const LOOK_BACK_BYTES: usize = 2 * LINE_BYTES_MAX;

/// Bytes of a file by which its manner is told.
const HEAD_BYTES: u64 = 8192;

/// What all streams of a sweep share.
pub(super) struct Hall<'p> {
    pub(super) tree: &'p RootedTree,
    pub(super) pool: &'p Pool<'p>,
    pub(super) worker: Worker<'p>,
    /// Parts of each stream that are asked for ahead.
    pub(super) ahead: usize,
    pub(super) part_bytes: usize,
}

/// One family of files, or the journal, as a queue of hits.
pub(super) struct Stream<'a> {
    files: VecDeque<LogFile>,
    reading: Option<Reading<'a>>,
    /// The part whose hits are being given.
    part: Option<Given>,
    /// Hits of joined audit events, which come before further hits of the part.
    joined: VecDeque<Aside>,
    joiner: Joiner<Spot>,
    /// What fail2ban's filters know of the lines so far.
    states: Vec<State>,
    /// Time of the last dated line.
    last_at: i64,
    /// Latest time of a hit, for what comes late.
    newest: i64,
}

enum Reading<'a> {
    File(Box<FileReading>),
    Journal(JournalReading<'a>),
}

struct FileReading {
    source: Arc<Source>,
    asked: VecDeque<Receiver<Part>>,
    /// Where the next part to be asked for begins.
    next_from: u64,
    /// Where it ends: its size, or the end of its last whole line.
    end: u64,
    /// No more parts come.
    ended: bool,
    path: Arc<str>,
    clock: Clock,
    reached: Option<Reached>,
    view: View,
    coverage: FileCoverage,
    observed: Option<SourceId>,
    packed: bool,
    /// Offset after the last whole line, and its number.
    done: (u64, u64),
    /// Lines read before that windows look back at, where they are known.
    looked_back: VecDeque<Place>,
    /// The same for the next sweep, where there will be one.
    gathered: Option<Gathered>,
    /// The last part ended within an over-long line.
    open: bool,
    failed: bool,
}

struct JournalReading<'a> {
    reader: BufReader<&'a mut dyn Read>,
    path: Arc<str>,
    clock: Clock,
    entries: u64,
    ended: bool,
    late: u64,
    observed: Option<SourceId>,
}

/// Where an audit record stands, until its event is complete.
struct Spot {
    path: Arc<str>,
    line: u64,
    offset: u64,
    old: bool,
}

/// A joined audit event with hits: a part of its own.
struct Aside {
    part: Part,
    spot: Spot,
    at: i64,
}

/// A part and how far its hits were given.
struct Given {
    notes: VecDeque<(u64, u64, Note)>,
    part: Part,
    /// Lines before it.
    lines: u64,
    hit: usize,
    time: usize,
    rule: usize,
    sight: usize,
    /// Time of the next hit, its own and the one it goes by.
    head: Option<(Option<i64>, i64)>,
}

impl<'a> Stream<'a> {
    /// A family of files.
    pub(super) fn of_family(family: Family) -> Self {
        Self::new(family.files.into(), None)
    }

    /// The journal's export.
    pub(super) fn of_journal(reader: &'a mut dyn Read, sweeper: &Sweeper<'_>) -> Self {
        let journal = JournalReading {
            reader: BufReader::with_capacity(64 << 10, reader),
            path: "journal".into(),
            clock: Clock::new(sweeper.options.zone.clone(), 0),
            entries: 0,
            ended: false,
            late: 0,
            observed: None,
        };
        Self::new(VecDeque::new(), Some(Reading::Journal(journal)))
    }

    fn new(files: VecDeque<LogFile>, reading: Option<Reading<'a>>) -> Self {
        Self {
            files,
            reading,
            part: None,
            joined: VecDeque::new(),
            joiner: Joiner::default(),
            states: Vec::new(),
            last_at: 0,
            newest: i64::MIN,
        }
    }

    /// Time of the next hit; reads on until there is one. `None` at the end.
    pub(super) fn head(
        &mut self,
        hall: &mut Hall<'_>,
        sweeper: &mut Sweeper<'_>,
        mut checkpoint: Option<&mut Checkpoint>,
    ) -> Option<i64> {
        let since = sweeper.options.since;
        loop {
            if let Some(aside) = self.joined.front() {
                return Some(aside.at);
            }
            if let Some(given) = &mut self.part {
                let (clock, path) = match &mut self.reading {
                    Some(Reading::File(file)) => (&mut file.clock, &file.path),
                    Some(Reading::Journal(journal)) => (&mut journal.clock, &journal.path),
                    None => return None,
                };
                let head = given.next_head(clock, &mut self.last_at, since);
                // Records before the line of the next hit may complete events, whose hits come first.
                while let Some((note, spot)) = given.next_note(path) {
                    self.joiner.push(note, spot, |event, spot| {
                        self.joined.extend(judged(hall, since, &event, spot));
                    });
                }
                if !self.joined.is_empty() {
                    continue;
                }
                if head.is_some() {
                    return head;
                }
                if let Some(given) = self.part.take() {
                    hall.pool.give_back(given.part);
                }
            }
            match &mut self.reading {
                None => {
                    let Some(file) = self.files.pop_front() else {
                        // the audit events that the log leaves open
                        self.joiner.finish(|event, spot| {
                            self.joined.extend(judged(hall, since, &event, spot));
                        });
                        return self.joined.front().map(|aside| aside.at);
                    };
                    let opened = open(hall, &file, sweeper, checkpoint.as_deref_mut());
                    self.reading = opened.map(|reading| Reading::File(Box::new(reading)));
                }
                Some(Reading::File(file)) => {
                    self.part = file.next_part(hall, sweeper);
                    if self.part.is_none()
                        && let Some(Reading::File(done)) = self.reading.take()
                    {
                        done.finish(sweeper, checkpoint.as_deref_mut());
                    }
                }
                Some(Reading::Journal(journal)) => {
                    self.part = journal.next_part(hall, sweeper);
                    if self.part.is_none() {
                        self.reading = None;
                    }
                }
            }
        }
    }

    /// Gives the next hit, which [`Self::head`] has just told the time of.
    pub(super) fn give(&mut self, sweeper: &mut Sweeper<'_>, number: usize) {
        if let Some(Aside { part, spot, at }) = self.joined.pop_front() {
            for hit in &part.hits {
                let (rules, path, line) = (&part.rules[..hit.rules_end], &spot.path, spot.line);
                let time = Some(at);
                sweeper.take(&Told { part: &part, hit, rules, path, line, time, at }, number);
            }
            return;
        }
        let (path, late_of_file, gathered) = match &mut self.reading {
            Some(Reading::File(file)) => {
                (&file.path, &mut file.coverage.late, file.gathered.as_mut())
            }
            Some(Reading::Journal(journal)) => (&journal.path, &mut journal.late, None),
            None => return,
        };
        let Some(given) = &mut self.part else { return };
        let Some((time, at)) = given.head.take() else { return };
        let Some(hit) = given.part.hits.get(given.hit) else { return };
        let rules = given.part.rules.get(given.rule..hit.rules_end).unwrap_or_default();
        let told_more = |sight: &Sight| !matches!(sight, Sight::Line(_) | Sight::Apart);
        let own =
            given.part.sights.iter().skip(given.sight).take_while(|(of, ..)| *of == given.hit);
        // A line that is only kept for others to be looked at together with it is no hit.
        let hits = !rules.is_empty() || own.map(|(.., seen)| &seen.sight).any(told_more);
        if time.is_some() && hits {
            let late = at < self.newest.saturating_sub(LATE_SECONDS) && !given.part.old;
            sweeper.outcome.summary.late += u64::from(late);
            *late_of_file += u64::from(late);
            self.newest = self.newest.max(at);
        }
        let line = given.lines + hit.line + 1;
        let is_seen = given.part.sights.get(given.sight).is_some_and(|(of, ..)| *of == given.hit);
        if let Some(gathered) = gathered
            && (is_seen || sweeper.looks_back(rules))
        {
            gathered.push(Place { offset: given.part.offset + hit.offset, line: line - 1 }, at);
        }
        sweeper.take(&Told { part: &given.part, hit, rules, path, line, time, at }, number);
        let told = Told { part: &given.part, hit, rules, path, line, time, at };
        for (of, jail, seen) in given.part.sights.iter().skip(given.sight) {
            if *of != given.hit {
                break;
            }
            given.sight += 1;
            let new = || State::new(CONNECTIONS_MAX, Some(CONNECTION_S));
            if self.states.len() <= *jail {
                self.states.resize_with(jail + 1, new);
            }
            sweeper.take_sight(&told, *jail, seen, &mut self.states[*jail], number);
        }
        given.rule = hit.rules_end;
        given.hit += 1;
    }
}

/// A hit that is older than the newest of its stream by more than this is late: it is judged all the
/// same, and counted.
pub const LATE_SECONDS: i64 = 300;

impl Given {
    fn new(mut part: Part, lines: u64) -> Self {
        let notes = std::mem::take(&mut part.notes).into();
        Self { notes, part, lines, hit: 0, time: 0, rule: 0, sight: 0, head: None }
    }

    /// The next audit record that stands before the next hit, and where.
    fn next_note(&mut self, path: &Arc<str>) -> Option<(Note, Spot)> {
        let until = self.part.hits.get(self.hit).map_or(u64::MAX, |hit| hit.line);
        let (line, ..) = self.notes.front()?;
        if *line >= until {
            return None;
        }
        let (line, offset, note) = self.notes.pop_front()?;
        let spot = Spot {
            path: Arc::clone(path),
            line: self.lines + line + 1,
            offset: self.part.offset + offset,
            old: self.part.old,
        };
        Some((note, spot))
    }

    /// The time that the next hit goes by; those from before `since` are left out.
    fn next_head(
        &mut self,
        clock: &mut Clock,
        last_at: &mut i64,
        since: Option<i64>,
    ) -> Option<i64> {
        if let Some((_, at)) = self.head {
            return Some(at);
        }
        loop {
            let hit = self.part.hits.get(self.hit);
            let until = hit.map_or(u64::MAX, |hit| hit.line);
            while let Some((line, stamp)) = self.part.times.get(self.time)
                && *line <= until
            {
                self.time += 1;
                *last_at = clock.resolve(*stamp).unwrap_or(*last_at);
            }
            let hit = hit?;
            let time = hit.stamp.and_then(|stamp| clock.resolve(stamp));
            *last_at = time.unwrap_or(*last_at);
            if since.is_none_or(|since| time.is_none() || *last_at >= since) {
                self.head = Some((time, *last_at));
                return Some(*last_at);
            }
            self.rule = hit.rules_end;
            while self.part.sights.get(self.sight).is_some_and(|(of, ..)| *of == self.hit) {
                self.sight += 1;
            }
            self.hit += 1;
        }
    }
}

/// The hits of a joined audit event.
fn judged(hall: &mut Hall<'_>, since: Option<i64>, event: &Joined, spot: Spot) -> Option<Aside> {
    if since.is_some_and(|since| event.at < since) {
        return None;
    }
    let mut part = Part::default();
    (part.offset, part.old) = (spot.offset, spot.old);
    hall.worker.examiner.entry(&Event::of_joined(event), &mut part);
    (!part.hits.is_empty()).then_some(Aside { part, spot, at: event.at })
}

/// Opens a file where it has to be read from; `None` when there is nothing new, or it cannot be read
/// (which is then said).
fn open(
    hall: &Hall<'_>,
    file: &LogFile,
    sweeper: &mut Sweeper<'_>,
    checkpoint: Option<&mut Checkpoint>,
) -> Option<FileReading> {
    let path: Arc<str> = file.path.to_string_lossy().into();
    match opened(hall, file, &path, sweeper, checkpoint) {
        Ok(reading) => {
            if reading.reached.as_ref().is_some_and(|reached| reached.gap) {
                sweeper.outcome.summary.gaps += 1;
                sweeper.incomplete(format!("{path}: {CUT}"));
            }
            sweeper.outcome.summary.files += 1;
            sweeper.outcome.sources.push(path.to_string());
            Some(reading)
        }
        Err(Unopened { reason, torn }) => {
            sweeper.outcome.summary.gaps += u64::from(torn);
            sweeper.incomplete(format!("{path}: {reason}"));
            None
        }
    }
}

/// Why a file is not read; `torn` when it was cut meanwhile, so that lines may be missing.
struct Unopened {
    reason: String,
    torn: bool,
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        Self { reason: error.to_string(), torn: Torn::of(&error).is_some() }
    }
}

fn opened(
    hall: &Hall<'_>,
    file: &LogFile,
    path: &Arc<str>,
    sweeper: &Sweeper<'_>,
    checkpoint: Option<&mut Checkpoint>,
) -> Result<FileReading, Unopened> {
    let options = sweeper.options;
    let view = View::open(hall.tree, file, options.expanded_bytes_max)?;
    let packed = view.is_packed();
    let stat = &view.stat;
    let reader = |offset| -> io::Result<Box<dyn Read>> { Ok(view.reader_at(offset)?) };
    let keeps = checkpoint.is_some();
    let (start, reached) = match checkpoint {
        None => (Start::default(), None),
        Some(checkpoint) => {
            let reached = checkpoint.find(path, stat, packed, &reader)?;
            let start = match packed || reached.context().is_some() {
                true => reached.start,
                false => reached.start.with_context(&reader)?,
            };
            (start, Some(reached))
        }
    };
    let places = reached.as_ref().filter(|_| !packed).and_then(Reached::context);
    let looked_back: VecDeque<Place> =
        places.map(|context| context.places.clone().into()).unwrap_or_default();
    let first = looked_back.front().map_or(start.from, |place| place.offset.min(start.from));
    let mut head = Vec::new();
    let from = view.reader_at(if packed { start.from } else { 0 })?;
    // A damaged archive says so when it is read for real.
    let _ = from.take(HEAD_BYTES).read_to_end(&mut head);
    let manner = Manner::of(&head);
    let modified = stat.modified;
    let (bytes, year, end) = if packed {
        let year = years::of_archive(view.reader_at(start.from)?, modified, options);
        let unpacking = Unpacking::new(view.reader_at(start.from)?, start.from);
        (Bytes::Packed(unpacking.into()), year, stat.size_bytes)
    } else {
        let way = if keeps && is_live(path) { Way::Copied } else { Way::Mapped };
        let blocks = view.blocks(way)?;
        let year = years::of_file(&blocks, first, modified, options)?;
        let end = match keeps {
            true => end_of_last_line(&blocks, start.new_from)?,
            false => stat.size_bytes,
        };
        (Bytes::Plain(blocks), year, end)
    };
    // All of the above is of one and the same file, or nothing of it counts.
    view.holds(start.new_from)?;
    let jails = sweeper.rules.jails.of_log(path);
    let source =
        Source { bytes, manner, new_from: start.new_from, part_bytes: hall.part_bytes, jails };
    let gaps = u64::from(reached.as_ref().is_some_and(|reached| reached.gap));
    Ok(FileReading {
        source: Arc::new(source),
        asked: VecDeque::new(),
        next_from: start.from,
        end,
        ended: false,
        path: Arc::clone(path),
        clock: Clock::new(options.zone.clone(), year),
        reached,
        coverage: FileCoverage { path: crate::redact::line(path), gaps, ..FileCoverage::default() },
        observed: None,
        view,
        packed,
        done: (start.from, start.lines),
        looked_back,
        gathered: keeps.then(|| Gathered::new(reach_of(sweeper.rules))),
        open: false,
        failed: false,
    })
}

/// The offset after the last line end, not before `from`.
fn end_of_last_line(blocks: &Blocks, from: u64) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut buffer = Vec::new();
    let mut end = blocks.end();
    while end > from {
        let start = end.saturating_sub(STEP).max(from);
        let bytes = blocks.bytes_in(start..end, &mut buffer)?;
        if let Some(at) = memchr::memrchr(b'\n', bytes) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}

impl FileReading {
    /// The next part that holds something; `None` at the end.
    fn next_part(&mut self, hall: &mut Hall<'_>, sweeper: &mut Sweeper<'_>) -> Option<Given> {
        loop {
            self.ask(hall);
            match self.look_back(hall) {
                Ok(None) => {}
                Ok(given) => return given,
                Err(error) => self.fail(&error, sweeper),
            }
            let asked = self.asked.pop_front()?;
            if self.failed {
                continue;
            }
            let mut part = hall.pool.take(&asked, &mut hall.worker);
            if let Some(error) = part.error.take() {
                self.fail(&error, sweeper);
            }
            self.ended |= part.last || self.failed;
            if part.bytes == 0 {
                hall.pool.give_back(part);
                continue;
            }
            if let (Some(gathered), false) = (&mut self.gathered, part.notes.is_empty()) {
                // Its hits are joined from lines that are none themselves.
                gathered.refuse();
            }
            let lines = self.done.1;
            let before = self.done.0;
            self.done = (part.offset + part.bytes, lines + part.lines);
            self.open = part.cut;
            sweeper.census.merge(std::mem::take(&mut part.census));
            if !part.old {
                let counts = &mut sweeper.outcome.summary;
                counts.lines += part.lines;
                counts.undecided += part.undecided;
                counts.unparsed += part.unparsed;
                counts.bytes += self.done.0.saturating_sub(before);
                let own = &mut self.coverage;
                own.lines += part.lines;
                own.parsed += part.parsed;
                own.unparsed += part.unparsed;
                own.undated += part.undated;
                own.undecided += part.undecided;
            }
            if let (Some(observer), Some(seen)) = (&mut sweeper.observer, part.observed.take()) {
                let source = match self.observed {
                    Some(source) => source,
                    None => observer.source(&self.path, self.clock.clone(), lines),
                };
                self.observed = Some(source);
                observer.merge(source, &seen);
            }
            return Some(Given::new(part, lines));
        }
    }

    /// Nothing further of it is believed.
    fn fail(&mut self, error: &io::Error, sweeper: &mut Sweeper<'_>) {
        let torn = u64::from(Torn::of(error).is_some());
        sweeper.outcome.summary.gaps += torn;
        self.coverage.gaps += torn;
        sweeper.incomplete(format!("{}: {error}", self.path));
        self.failed = true;
        self.looked_back.clear();
    }

    /// Some of the lines that windows look back at, as a part; `None` when there are no more.
    fn look_back(&mut self, hall: &mut Hall<'_>) -> io::Result<Option<Given>> {
        let Bytes::Plain(blocks) = &self.source.bytes else { return Ok(None) };
        if self.looked_back.is_empty() {
            return Ok(None);
        }
        let (mut text, mut places, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(place) = self.looked_back.front().copied()
            && text.len() < LOOK_BACK_BYTES
        {
            let from = place.offset;
            let bytes = blocks.bytes_in(from..from + LOOK_BACK_BYTES as u64, &mut buffer)?;
            while let Some(place) = self.looked_back.front().copied()
                && text.len() < LOOK_BACK_BYTES
            {
                let at = usize::try_from(place.offset - from).unwrap_or(usize::MAX);
                let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
                let end = memchr::memchr(b'\n', rest);
                // It goes on where this stretch ends; from its own start there is room for all of it.
                if end.is_none() && at > 0 && from + (bytes.len() as u64) < blocks.end() {
                    break;
                }
                text.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
                text.push(b'\n');
                places.push(place);
                self.looked_back.pop_front();
            }
            if bytes.is_empty() {
                self.looked_back.pop_front();
            }
        }
        // What is mapped was not asked about while it was copied.
        self.view.holds(self.source.new_from)?;
        let mut part = hall.pool.spare();
        part.old = true;
        let block = Block { offset: 0, bytes: &text, cut: false };
        hall.worker.examiner.lines(block, self.source.manner, &self.source.jails, &mut part);
        part.stand_at(&places);
        Ok(Some(Given::new(part, 0)))
    }

    /// Asks for parts ahead; none spans the border between what was read before and what is new.
    fn ask(&mut self, hall: &Hall<'_>) {
        while self.asked.len() < hall.ahead && !self.ended {
            let from = self.next_from;
            if self.packed {
                self.asked.push_back(hall.pool.ask(&self.source, 0..0));
                continue;
            }
            let border = self.source.new_from;
            let end = from.saturating_add(self.source.part_bytes as u64).min(self.end);
            let end = if from < border { end.min(border) } else { end };
            if from >= end {
                self.ended = true;
                return;
            }
            self.next_from = end;
            self.asked.push_back(hall.pool.ask(&self.source, from..end));
        }
    }

    /// Keeps how far it was read.
    fn finish(mut self, sweeper: &mut Sweeper<'_>, checkpoint: Option<&mut Checkpoint>) {
        if !self.packed && !self.failed && self.done.0 < self.end {
            // The rest of an over-long line was read and left out; otherwise the file was cut.
            if self.open {
                sweeper.outcome.summary.bytes += self.end - self.done.0;
                self.done.0 = self.end;
            } else {
                sweeper.outcome.summary.gaps += 1;
                self.coverage.gaps += 1;
                sweeper.incomplete(format!("{}: {CUT}", self.path));
            }
        }
        sweeper.outcome.coverage.file(self.coverage);
        let (Some(checkpoint), Some(reached)) = (checkpoint, self.reached) else { return };
        // Whatever happened to its context, what was read before stays read.
        let before = (reached.start.new_from, reached.start.lines);
        let (offset, lines) = if self.done.0 < before.0 { before } else { self.done };
        let view = &self.view;
        let reader = |offset| -> io::Result<Box<dyn Read>> { Ok(view.reader_at(offset)?) };
        let ended = if self.failed { Ended::Early } else { Ended::Whole };
        let gathered = self.gathered.filter(|_| !self.packed);
        let context = gathered.and_then(|gathered| gathered.finish(offset));
        checkpoint.reached(reached, (offset, lines), ended, context, &reader);
    }
}

impl JournalReading<'_> {
    /// The next entries; `None` at the end.
    fn next_part(&mut self, hall: &mut Hall<'_>, sweeper: &mut Sweeper<'_>) -> Option<Given> {
        let mut part = hall.pool.spare();
        let before = self.entries;
        let fits = |part: &Part| part.lines < ENTRIES_OF_PART && part.bytes < ENTRY_BYTES_OF_PART;
        while !self.ended && fits(&part) {
            self.read(hall, sweeper, &mut part);
        }
        if part.lines == 0 {
            hall.pool.give_back(part);
            return None;
        }
        if let Some(observer) = &mut sweeper.observer {
            let clock = Clock::new(TimeZone::UTC, 1970);
            let source = match self.observed {
                Some(source) => source,
                None => observer.source(&self.path, clock, before),
            };
            self.observed = Some(source);
            observer.merge(source, &hall.worker.examiner.counter.finish());
        }
        let counts = &mut sweeper.outcome.summary;
        counts.lines += part.lines;
        counts.undecided += part.undecided;
        counts.unparsed += part.unparsed;
        counts.bytes += part.bytes;
        Some(Given::new(part, before))
    }

    /// Reads one entry.
    fn read(&mut self, hall: &mut Hall<'_>, sweeper: &mut Sweeper<'_>, part: &mut Part) {
        let entry = match journal::next_entry(&mut self.reader) {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                self.ended = true;
                return;
            }
            Err(error) => {
                sweeper.incomplete(format!("journal: {error}"));
                self.ended = true;
                return;
            }
        };
        if self.entries == 0 {
            sweeper.outcome.sources.push("journal".into());
        }
        self.entries += 1;
        if let Some(cursor) = entry.field("__CURSOR") {
            sweeper.outcome.journal_cursor = Some(String::from_utf8_lossy(cursor).into_owned());
        }
        part.undecided += u64::from(entry.truncated);
        if let (Some(at), true) = (entry.time(), sweeper.observer.is_some()) {
            let number = entry.field("__SEQNUM");
            let number = number.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            let counter = &mut hall.worker.examiner.counter;
            counter.message(entry.program(), entry.message(), at, number);
        }
        let line = journal_line(&entry);
        part.bytes += line.len() as u64;
        match Event::of_journal(&entry, &line) {
            Some(event) => {
                hall.worker.examiner.entry(&event, part);
                hall.worker.examiner.entry_of_jails(&event, &entry, part);
                let note = event.audit_record().and_then(Note::of);
                part.notes.extend(note.map(|note| (part.lines, 0, note)));
            }
            None => part.unparsed += 1,
        }
        part.lines += 1;
    }
}
