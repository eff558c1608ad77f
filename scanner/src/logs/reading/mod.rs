//! Families of files and the journal as streams of hits in their order: phase two of a sweep.
//!
//! A file is asked for in parts, some of them ahead; they are taken in the order of the file. Line
//! numbers follow from how many lines the parts before hold, times from a clock that sees the stamps
//! which each part names. A file is never read past the size that it had when it was found; with a
//! checkpoint, a line that is still being written is left for next time. What cannot be read is said
//! by the sweep; what cannot be understood is counted.

mod file;
mod journal;

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use parsers::time::Clock;

use super::audit::{Joined, Joiner, Note};
use super::checkpoint::Checkpoint;
use super::context::Place;
use super::event::Event;
use super::fail2ban::{CONNECTION_S, CONNECTIONS_MAX, Sight, State};
use super::gather::{Sweeper, Told};
use super::part::Part;
use super::pool::{Pool, Worker};
use super::source::{Family, LogFile};
use crate::RootedTree;
use file::{FileReading, open};
use journal::JournalReading;

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
        let journal = JournalReading::new(reader, sweeper);
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
        let told = Told { part: &given.part, hit, rules, path, line, time, at };
        let ours = sweeper.is_own_probe(&told);
        if !ours {
            sweeper.take(&told, number);
        }
        for (of, jail, seen) in given.part.sights.iter().skip(given.sight) {
            if *of != given.hit {
                break;
            }
            given.sight += 1;
            if ours {
                continue;
            }
            let new = || State::new(CONNECTIONS_MAX, Some(CONNECTION_S));
            if self.states.len() <= *jail {
                self.states.resize_with(jail + 1, new);
            }
            sweeper.take_sight(&told, *jail, seen, &mut self.states[*jail], number);
        }
        given.rule = hit.rules_end;
        given.hit += 1;
        // Counted where the line stands that found no room any more.
        let gave_way = sweeper.gave_way();
        if let Some(Reading::File(file)) = &mut self.reading {
            file.coverage.evicted += gave_way;
        }
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
