//! One file of a family: opened where it has to be read from, asked for in parts, kept in the checkpoint.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parsers::map::{Block, LINE_BYTES_MAX, Source as Blocks, Torn};
use parsers::time::Clock;

use super::super::checkpoint::{CUT, Checkpoint, Ended, Reached, Start};
use super::super::context::{Gathered, Place, reach_of};
use super::super::coverage::FileCoverage;
use super::super::features::SourceId;
use super::super::gather::Sweeper;
use super::super::part::{Manner, Part};
use super::super::pool::{Bytes, Source, Unpacking};
use super::super::source::LogFile;
use super::super::view::View;
use super::super::years;
use super::{Given, Hall};

/// Bytes of lines that are looked back at, at once: more than the longest line has.
const LOOK_BACK_BYTES: usize = 2 * LINE_BYTES_MAX;

/// Bytes of a file by which its manner is told.
const HEAD_BYTES: u64 = 8192;

/// A file that is being read.
pub(super) struct FileReading {
    pub(super) source: Arc<Source>,
    pub(super) asked: VecDeque<Receiver<Part>>,
    /// Where the next part to be asked for begins.
    pub(super) next_from: u64,
    /// Where it ends: its size, or the end of its last whole line.
    pub(super) end: u64,
    /// No more parts come.
    pub(super) ended: bool,
    pub(super) path: Arc<str>,
    pub(super) clock: Clock,
    pub(super) reached: Option<Reached>,
    pub(super) view: View,
    pub(super) coverage: FileCoverage,
    pub(super) observed: Option<SourceId>,
    pub(super) packed: bool,
    /// Offset after the last whole line, and its number.
    pub(super) done: (u64, u64),
    /// Lines read before that windows look back at, where they are known.
    pub(super) looked_back: VecDeque<Place>,
    /// The same for the next sweep, where there will be one.
    pub(super) gathered: Option<Gathered>,
    /// The last part ended within an over-long line.
    pub(super) open: bool,
    pub(super) failed: bool,
}

/// Opens a file where it has to be read from; `None` when there is nothing new, or it cannot be read
/// (which is then said).
pub(super) fn open(
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
    let (bytes, year) = if packed {
        let year = years::of_archive(view.reader_at(start.from)?, stat.modified, options);
        (Bytes::Packed(Unpacking::new(view.reader_at(start.from)?, start.from).into()), year)
    } else {
        let blocks = view.blocks()?;
        let year = years::of_file(&blocks, first, stat.modified, options)?;
        (Bytes::Plain(blocks), year)
    };
    let end = match &bytes {
        Bytes::Plain(blocks) if keeps => end_of_last_line(blocks, start.new_from)?,
        _ => stat.size_bytes,
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
        gathered: keeps.then(|| Gathered::new(reach_of(sweeper.rules), options.now)),
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
    pub(super) fn next_part(
        &mut self,
        hall: &mut Hall<'_>,
        sweeper: &mut Sweeper<'_>,
    ) -> Option<Given> {
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
        (self.failed, self.ended) = (true, true);
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
        // Lines of a file that was cut meanwhile are not believed.
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
    pub(super) fn finish(mut self, sweeper: &mut Sweeper<'_>, checkpoint: Option<&mut Checkpoint>) {
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
