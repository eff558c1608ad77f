//! Files and the journal as queues of hits: opened where they have to be read from, read line by line.
//!
//! A file is never read past the size that it had when it was found. What cannot be read is said by
//! the sweep; what cannot be understood is counted.

use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::sync::Arc;

use jiff::tz::TimeZone;
use parsers::log::journal;
use parsers::map::{Lines, Torn};
use parsers::time::{Clock, Stamp, Wall, first_year};

use super::audit::{Joiner, Note};
use super::checkpoint::{CUT, Checkpoint, Reached, Start};
use super::coverage::FileCoverage;
use super::event::{Event, Form, journal_line};
use super::features::Watched;
use super::gather::{At, Sweeper};
use super::source::{Family, LogFile};
use super::story::Hit;
use super::sweep::SweepOptions;
use super::view::View;
use crate::RootedTree;

/// One family of files, or the journal, as a queue of hits.
pub(super) struct Stream<'a> {
    files: VecDeque<LogFile>,
    reading: Option<Reading<'a>>,
    pub(super) pending: VecDeque<Hit>,
    last_at: i64,
    joiner: Joiner<Spot>,
}

/// Where an audit record stands, until its event is complete.
struct Spot {
    path: Arc<str>,
    line: u64,
    offset: u64,
    old: bool,
}

enum Reading<'a> {
    File(Box<FileReading>),
    Journal { reader: BufReader<&'a mut dyn Read>, entries: u64, watched: Box<Watched> },
}

struct FileReading {
    lines: Lines<Box<dyn Read + Send>>,
    path: Arc<str>,
    clock: Clock,
    form: Form,
    reached: Option<Reached>,
    view: View,
    packed: bool,
    /// Lines before this offset were read before.
    new_from: u64,
    /// Offset after the last whole line, and its number.
    done: (u64, u64),
    coverage: FileCoverage,
    watched: Watched,
}

impl<'a> Stream<'a> {
    /// A family of files.
    pub(super) fn of_family(family: Family) -> Self {
        Self {
            files: family.files.into(),
            reading: None,
            pending: VecDeque::new(),
            last_at: 0,
            joiner: Joiner::default(),
        }
    }

    /// The journal's export.
    pub(super) fn of_journal(reader: &'a mut dyn Read) -> Self {
        let reading = Reading::Journal {
            reader: BufReader::with_capacity(64 << 10, reader),
            entries: 0,
            watched: Box::default(),
        };
        Self {
            files: VecDeque::new(),
            reading: Some(reading),
            pending: VecDeque::new(),
            last_at: 0,
            joiner: Joiner::default(),
        }
    }

    /// Time of the next hit; reads on until there is one. `None` at the end.
    pub(super) fn head(
        &mut self,
        tree: &RootedTree,
        sweeper: &mut Sweeper<'_>,
        mut checkpoint: Option<&mut Checkpoint>,
    ) -> Option<i64> {
        while self.pending.is_empty() {
            match &mut self.reading {
                None => {
                    let Some(file) = self.files.pop_front() else {
                        // the audit events that the log leaves open
                        let joiner = std::mem::take(&mut self.joiner);
                        finish(joiner, sweeper, &mut self.pending);
                        break;
                    };
                    let opened = open(tree, &file, sweeper, checkpoint.as_deref_mut());
                    self.reading = opened.map(|reading| Reading::File(Box::new(reading)));
                }
                Some(Reading::File(reading)) => {
                    let to = (&mut self.pending, &mut self.joiner);
                    let more = reading.read(sweeper, to, &mut self.last_at);
                    if !more {
                        reading.ended(sweeper);
                        let done = self.reading.take();
                        if let (Some(checkpoint), Some(Reading::File(done))) =
                            (checkpoint.as_deref_mut(), done)
                        {
                            done.save(sweeper, checkpoint);
                        }
                    }
                }
                Some(Reading::Journal { reader, entries, watched }) => {
                    let more = read_journal(
                        reader,
                        entries,
                        watched,
                        sweeper,
                        (&mut self.pending, &mut self.joiner),
                        &mut self.last_at,
                    );
                    if !more {
                        watched.flush(sweeper);
                        self.reading = None;
                    }
                }
            }
        }
        self.pending.front().map(|hit| hit.at)
    }
}

/// Opens a file where it has to be read from; `None` when there is nothing new, or it cannot be read
/// (which is then said).
fn open(
    tree: &RootedTree,
    file: &LogFile,
    sweeper: &mut Sweeper<'_>,
    checkpoint: Option<&mut Checkpoint>,
) -> Option<FileReading> {
    let path: Arc<str> = file.path.to_string_lossy().into();
    let options = sweeper.options;
    let limit = options.expanded_bytes_max;
    let attempt = || -> Result<_, String> {
        let view = View::open(tree, file, limit)?;
        let packed = view.is_packed();
        let reader = |offset| -> Result<Box<dyn Read>, String> { Ok(view.reader_at(offset)?) };
        let Some(checkpoint) = checkpoint else {
            return Ok((
                view.reader_at(0)?,
                year(&view, 0, options)?,
                Start::default(),
                None,
                view,
            ));
        };
        let reached = checkpoint.find(&path, &view.stat, packed, &reader)?;
        let start = if packed { reached.start } else { reached.start.with_context(&reader)? };
        let year = year(&view, start.from, options)?;
        Ok((view.reader_at(start.from)?, year, start, Some(reached), view))
    };
    match attempt() {
        Ok((reader, year, start, reached, view)) => {
            let gap = reached.as_ref().is_some_and(|reached| reached.gap);
            if gap {
                sweeper.outcome.summary.gaps += 1;
                sweeper.incomplete(format!("{path}: {CUT}"));
            }
            sweeper.outcome.summary.files += 1;
            sweeper.outcome.sources.push(path.to_string());
            Some(FileReading {
                lines: Lines::starting_at(reader, start.from, start.lines),
                packed: view.is_packed(),
                view,
                path: Arc::clone(&path),
                clock: Clock::new(options.zone.clone(), year),
                form: Form::default(),
                reached,
                new_from: start.new_from,
                done: (start.new_from, start.lines),
                coverage: FileCoverage {
                    path: crate::redact::line(&path),
                    gaps: u64::from(gap),
                    ..FileCoverage::default()
                },
                watched: Watched::default(),
            })
        }
        Err(reason) => {
            sweeper.incomplete(format!("{path}: {reason}"));
            None
        }
    }
}

/// The year of the first yearless line from `offset` on; 0 where the stamps name theirs.
fn year(view: &View, offset: u64, options: &SweepOptions) -> Result<i16, String> {
    let mut lines = Lines::new(view.reader_at(offset)?);
    let mut walls: Vec<Wall> = Vec::new();
    let mut looked = 0;
    // Only the month's changes matter: keep the first line, each change, and the last line.
    // A damaged archive says so when it is read for real.
    while let Ok(Some(line)) = lines.next_line() {
        looked += 1;
        let stamp = parsers::log::syslog::stamp(line.bytes);
        let Some((Stamp::Yearless(wall), _)) = stamp else {
            if walls.is_empty() && looked >= 64 {
                return Ok(0);
            }
            continue;
        };
        match walls.as_slice() {
            [.., before, last] if (before.month, last.month) == (wall.month, wall.month) => {
                walls.pop();
                walls.push(wall);
            }
            _ => walls.push(wall),
        }
    }
    let modified = match options.year {
        // noon of 30 December: every day of that year is at most a day ahead
        Some(year) => {
            Wall { year, month: 12, day: 30, second: 43_200 }.as_utc().unwrap_or(options.now)
        }
        None => view.stat.modified.min(options.now),
    };
    Ok(first_year(walls.into_iter(), modified, &options.zone))
}

impl FileReading {
    /// Reads one line; `false` at the end.
    fn read(
        &mut self,
        sweeper: &mut Sweeper<'_>,
        (pending, joiner): (&mut VecDeque<Hit>, &mut Joiner<Spot>),
        last_at: &mut i64,
    ) -> bool {
        let line = match self.lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return false,
            Err(error) => {
                sweeper.outcome.summary.gaps += u64::from(Torn::of(&error).is_some());
                sweeper.incomplete(format!("{}: {error}", self.path));
                return false;
            }
        };
        // With a checkpoint, a line that is still being written is left for the next sweep.
        if !line.terminated && self.reached.is_some() && !self.packed {
            return false;
        }
        let old = line.offset < self.new_from;
        if !old {
            let begin = || (Arc::clone(&self.path), self.clock.clone(), line.number - 1);
            self.watched.line(sweeper, begin, |counter| counter.line(line.bytes, line.offset));
        }
        let event = Event::read(line.bytes, &mut self.form);
        let time = event.stamp.and_then(|stamp| self.clock.resolve(stamp));
        let counts = &mut sweeper.outcome.summary;
        if !old {
            counts.lines += 1;
            counts.undecided += u64::from(line.truncated);
            counts.unparsed += u64::from(!event.parsed() && !line.bytes.is_empty());
            let own = &mut self.coverage;
            own.lines += 1;
            own.undecided += u64::from(line.truncated);
            own.parsed += u64::from(event.parsed());
            own.unparsed += u64::from(!event.parsed() && !line.bytes.is_empty());
            own.undated += u64::from(time.is_none() && !line.bytes.is_empty());
        }
        if let Some(time) = time {
            *last_at = time;
        }
        let place = At { path: &self.path, line: line.number, offset: line.offset, old };
        sweeper.judge(&event, time, *last_at, &place, pending);
        join(&event, &place, sweeper, pending, joiner);
        let before = self.done.0;
        self.done = (self.lines.offset(), self.lines.number());
        if !old {
            sweeper.outcome.summary.bytes += self.done.0.saturating_sub(before);
        }
        true
    }

    /// Gives what was counted to the account of the sweep and to who watches it.
    fn ended(&mut self, sweeper: &mut Sweeper<'_>) {
        sweeper.outcome.coverage.file(std::mem::take(&mut self.coverage));
        self.watched.flush(sweeper);
    }

    /// Keeps how far it was read.
    fn save(self, sweeper: &mut Sweeper<'_>, checkpoint: &mut Checkpoint) {
        let Some(reached) = self.reached else { return };
        let (offset, lines) = self.done;
        let reader = |offset| -> Result<Box<dyn Read>, String> { Ok(self.view.reader_at(offset)?) };
        let kept = checkpoint.reached(reached, offset, lines, &reader);
        if let Err(reason) = kept {
            sweeper.incomplete(format!("{}: {reason}", self.path));
        }
    }
}

/// Reads one entry; `false` at the end.
fn read_journal(
    reader: &mut BufReader<&mut dyn Read>,
    entries: &mut u64,
    watched: &mut Watched,
    sweeper: &mut Sweeper<'_>,
    (pending, joiner): (&mut VecDeque<Hit>, &mut Joiner<Spot>),
    last_at: &mut i64,
) -> bool {
    let entry = match journal::next_entry(reader) {
        Ok(Some(entry)) => entry,
        Ok(None) => return false,
        Err(error) => {
            sweeper.incomplete(format!("journal: {error}"));
            return false;
        }
    };
    if *entries == 0 {
        sweeper.outcome.sources.push("journal".into());
    }
    *entries += 1;
    if let Some(cursor) = entry.field("__CURSOR") {
        sweeper.outcome.journal_cursor = Some(String::from_utf8_lossy(cursor).into_owned());
    }
    let counts = &mut sweeper.outcome.summary;
    counts.lines += 1;
    counts.undecided += u64::from(entry.truncated);
    let line = journal_line(&entry);
    counts.bytes += line.len() as u64;
    let Some(event) = Event::of_journal(&entry, &line) else {
        counts.unparsed += 1;
        return true;
    };
    let time = entry.time();
    *last_at = time.unwrap_or(*last_at);
    let path: Arc<str> = "journal".into();
    let begin = || (Arc::clone(&path), Clock::new(TimeZone::UTC, 1970), *entries - 1);
    let number =
        entry.field("__SEQNUM").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    if let Some(time) = time {
        watched.line(sweeper, begin, |counter| {
            counter.message(entry.program(), entry.message(), time, number);
        });
    }
    let place = At { path: &path, line: *entries, offset: 0, old: false };
    sweeper.judge(&event, time, *last_at, &place, pending);
    join(&event, &place, sweeper, pending, joiner);
    true
}

/// Adds an audit record to its event; an event that is complete is judged where its last record is.
fn join(
    event: &Event<'_>,
    place: &At<'_>,
    sweeper: &mut Sweeper<'_>,
    pending: &mut VecDeque<Hit>,
    joiner: &mut Joiner<Spot>,
) {
    let Some(note) = event.audit_record().and_then(Note::of) else { return };
    let path = Arc::clone(place.path);
    let spot = Spot { path, line: place.line, offset: place.offset, old: place.old };
    joiner.push(note, spot, |joined, spot| {
        let event = Event::of_joined(&joined);
        sweeper.judge(&event, Some(joined.at), joined.at, &spot.place(), pending);
    });
}

fn finish(mut joiner: Joiner<Spot>, sweeper: &mut Sweeper<'_>, pending: &mut VecDeque<Hit>) {
    joiner.finish(|joined, spot| {
        let event = Event::of_joined(&joined);
        sweeper.judge(&event, Some(joined.at), joined.at, &spot.place(), pending);
    });
}

impl Spot {
    fn place(&self) -> At<'_> {
        At { path: &self.path, line: self.line, offset: self.offset, old: self.old }
    }
}
