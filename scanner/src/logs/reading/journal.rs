//! The journal's export, as parts of so many entries.

use std::io::{BufReader, Read};
use std::sync::Arc;

use jiff::tz::TimeZone;
use parsers::log::journal;
use parsers::time::Clock;

use super::super::audit::Note;
use super::super::event::{Event, journal_line};
use super::super::features::SourceId;
use super::super::gather::Sweeper;
use super::super::part::Part;
use super::{Given, Hall};

/// Entries of the journal that are one part.
const ENTRIES_OF_PART: u64 = 4096;

/// Bytes of the lines that such entries may have.
const ENTRY_BYTES_OF_PART: u64 = 1 << 20;

/// The journal, while it is read.
pub(super) struct JournalReading<'a> {
    pub(super) reader: BufReader<&'a mut dyn Read>,
    pub(super) path: Arc<str>,
    pub(super) clock: Clock,
    pub(super) entries: u64,
    pub(super) ended: bool,
    pub(super) late: u64,
    pub(super) observed: Option<SourceId>,
}

impl<'a> JournalReading<'a> {
    /// Before its first entry.
    pub(super) fn new(reader: &'a mut dyn Read, sweeper: &Sweeper<'_>) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, reader),
            path: "journal".into(),
            clock: Clock::new(sweeper.options.zone.clone(), 0),
            entries: 0,
            ended: false,
            late: 0,
            observed: None,
        }
    }

    /// The next entries; `None` at the end.
    pub(super) fn next_part(
        &mut self,
        hall: &mut Hall<'_>,
        sweeper: &mut Sweeper<'_>,
    ) -> Option<Given> {
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
