//! One pass over logs: files and the journal in, detections out.
//!
//! Each family of files is read once, in time order, line by line; hits of all families are merged by
//! time and go through the windows, so memory does not grow with the logs. The same event in two logs
//! (a file and the journal) counts once. What could not be read is in `incomplete`; what was read and
//! could not be understood is counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::io::{BufReader, Read};
use std::sync::Arc;

use consensus::Subject;
use jiff::tz::TimeZone;
use parsers::log::journal;
use parsers::map::{EXPANDED_BYTES_MAX, Lines, Positioned, gunzip, is_gzip};
use parsers::time::{Clock, Stamp, Wall, first_year};
use serde::Serialize;

use super::checkpoint::{Checkpoint, Reached, Start};
use super::conceal::Concealer;
use super::event::{Event, Form, journal_line};
use super::matcher::{Reference, RuleSet, Scratch};
use super::source::{self, Family, Found, LogFile};
use super::story::{About, Detection, Hit, TEXT_BYTES_MAX, Tally, one_story_an_address};
use super::window::{Feed, Window};
use crate::RootedTree;

/// Most stories of single rules that are held.
pub const STORIES_MAX: usize = 20_000;

/// Families read at the same time; more are read after these.
pub const STREAMS_MAX: usize = 32;

/// Most lines said about files that could not be read to their end.
pub const INCOMPLETE_MAX: usize = 1000;

/// Hits kept to recognise the same event in a second log.
const RECENT_MAX: usize = 4096;

/// What a sweep is told.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Older events are left out; seconds since the epoch.
    pub since: Option<i64>,
    /// The time of the sweep.
    pub now: i64,
    /// The zone of stamps that name none.
    pub zone: TimeZone,
    /// The year of the last line of each file whose stamps name none; else it is walked back from
    /// the file's last change.
    pub year: Option<i16>,
    /// Accounts that exist on the host: their names are shown.
    pub known_users: Vec<String>,
    /// Most bytes that one archive may expand to.
    pub expanded_bytes_max: u64,
}

impl SweepOptions {
    /// Everything up to `now`, in UTC, with no known accounts.
    pub fn new(now: i64) -> Self {
        Self {
            since: None,
            now,
            zone: TimeZone::UTC,
            year: None,
            known_users: Vec::new(),
            expanded_bytes_max: EXPANDED_BYTES_MAX,
        }
    }
}

/// The counts of a sweep; the names are the contract's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Lines read.
    pub lines: u64,
    /// Bytes read (of archives: expanded).
    pub bytes: u64,
    /// Lines that a rule matched, counted once a rule.
    pub hits: u64,
    /// Detections.
    pub detections: u64,
    /// Lines that no grammar accepted.
    pub unparsed: u64,
    /// Hits without a time of their own.
    pub undated: u64,
    /// Lines longer than the limit: only their beginning was judged.
    pub undecided: u64,
    /// Groups and stories dropped for want of room: counts are then a lower bound.
    pub evicted: u64,
    /// Places where lines may be missing (a file was cut since the last sweep).
    pub gaps: u64,
}

/// How often a rule hit, of whom: also of rules that are not shown by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// The rule.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// Events.
    pub events: u64,
    /// Distinct addresses.
    pub addresses: u64,
    /// Distinct users.
    pub users: u64,
}

/// What a sweep found.
#[derive(Clone, Debug, Default)]
pub struct SweepOutcome {
    /// Worst first.
    pub detections: Vec<Detection>,
    /// What each rule saw, in the order of the rules; rules without hits are left out.
    pub activity: Vec<Activity>,
    /// Counts.
    pub summary: Summary,
    /// What could not be looked at, one line each.
    pub incomplete: Vec<String>,
    /// What was read, by name.
    pub sources: Vec<String>,
    /// The journal's cursor after the last entry read.
    pub journal_cursor: Option<String>,
}

/// The audit's sweep: the usual log files of a tree and, where the caller could start it, the output
/// of `journalctl -o export`. A host without any usable source is incomplete, never clean.
pub fn audit_sweep(
    tree: &RootedTree,
    journal: Option<&mut dyn Read>,
    rules: &RuleSet,
    options: &SweepOptions,
) -> SweepOutcome {
    let mut found = source::discover(tree);
    if let Some(since) = options.since {
        for family in &mut found.families {
            // Nothing in a file is younger than its last change.
            family.files.retain(|file| file.stat.modified >= since);
        }
    }
    let mut outcome = sweep(tree, found, journal, rules, options, None);
    if outcome.sources.is_empty() {
        let reason = "no log source: no readable log file and no journal";
        outcome.incomplete.push(reason.to_string());
    }
    outcome
}

/// Sweeps the given files and journal. With a checkpoint, only what is new is judged (with a little of
/// what came before as context), and the checkpoint is moved on.
pub fn sweep(
    tree: &RootedTree,
    found: Found,
    journal: Option<&mut dyn Read>,
    rules: &RuleSet,
    options: &SweepOptions,
    mut checkpoint: Option<&mut Checkpoint>,
) -> SweepOutcome {
    let mut sweeper = Sweeper::new(rules, options);
    sweeper.outcome.incomplete = found.incomplete;
    let mut streams: VecDeque<Stream<'_>> = VecDeque::new();
    if let Some(reader) = journal {
        streams.push_back(Stream::of_journal(reader));
    }
    for family in found.families {
        streams.push_back(Stream::of_family(family));
    }
    let mut number = 0;
    while !streams.is_empty() {
        let batch: Vec<Stream<'_>> = streams.drain(..streams.len().min(STREAMS_MAX)).collect();
        let count = batch.len();
        merge(tree, batch, number, &mut sweeper, checkpoint.as_deref_mut());
        number += count;
    }
    let outcome = sweeper.finish();
    if let Some(checkpoint) = checkpoint
        && outcome.journal_cursor.is_some()
    {
        checkpoint.journal_cursor.clone_from(&outcome.journal_cursor);
    }
    outcome
}

/// Reads streams side by side and takes their hits in the order of time.
fn merge<'a>(
    tree: &RootedTree,
    mut streams: Vec<Stream<'a>>,
    first_number: usize,
    sweeper: &mut Sweeper<'_>,
    mut checkpoint: Option<&mut Checkpoint>,
) {
    let mut heads = BinaryHeap::new();
    for index in 0..streams.len() {
        if let Some(at) = streams[index].head(tree, sweeper, checkpoint.as_deref_mut()) {
            heads.push(Reverse((at, index)));
        }
    }
    while let Some(Reverse((_, index))) = heads.pop() {
        if let Some(hit) = streams[index].pending.pop_front() {
            sweeper.take(&hit, first_number + index);
        }
        if let Some(at) = streams[index].head(tree, sweeper, checkpoint.as_deref_mut()) {
            heads.push(Reverse((at, index)));
        }
    }
}

/// One family of files, or the journal, as a queue of hits.
struct Stream<'a> {
    files: VecDeque<LogFile>,
    reading: Option<Reading<'a>>,
    pending: VecDeque<Hit>,
    last_at: i64,
}

enum Reading<'a> {
    File(Box<FileReading>),
    Journal { reader: BufReader<&'a mut dyn Read>, entries: u64 },
}

struct FileReading {
    lines: Lines<Box<dyn Read>>,
    path: Arc<str>,
    clock: Clock,
    form: Form,
    reached: Option<Reached>,
    file: LogFile,
    packed: bool,
    /// Lines before this offset were read before.
    new_from: u64,
    /// Offset after the last whole line, and its number.
    done: (u64, u64),
}

impl<'a> Stream<'a> {
    fn of_family(family: Family) -> Self {
        Self { files: family.files.into(), reading: None, pending: VecDeque::new(), last_at: 0 }
    }

    fn of_journal(reader: &'a mut dyn Read) -> Self {
        let reading =
            Reading::Journal { reader: BufReader::with_capacity(64 << 10, reader), entries: 0 };
        Self {
            files: VecDeque::new(),
            reading: Some(reading),
            pending: VecDeque::new(),
            last_at: 0,
        }
    }

    /// Time of the next hit; reads on until there is one. `None` at the end.
    fn head(
        &mut self,
        tree: &RootedTree,
        sweeper: &mut Sweeper<'_>,
        mut checkpoint: Option<&mut Checkpoint>,
    ) -> Option<i64> {
        while self.pending.is_empty() {
            match &mut self.reading {
                None => {
                    let file = self.files.pop_front()?;
                    let opened = open(tree, &file, sweeper, checkpoint.as_deref_mut());
                    self.reading = opened.map(|reading| Reading::File(Box::new(reading)));
                }
                Some(Reading::File(reading)) => {
                    let more = reading.read(sweeper, &mut self.pending, &mut self.last_at);
                    if !more {
                        let done = self.reading.take();
                        if let (Some(checkpoint), Some(Reading::File(done))) =
                            (checkpoint.as_deref_mut(), done)
                        {
                            done.save(tree, sweeper, checkpoint);
                        }
                    }
                }
                Some(Reading::Journal { reader, entries }) => {
                    let more = read_journal(
                        reader,
                        entries,
                        sweeper,
                        &mut self.pending,
                        &mut self.last_at,
                    );
                    if !more {
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
        let packed = is_gzip(&read_head(tree, file)?);
        let view = Fresh { tree, file, packed, limit };
        let reader = |offset| view.reader_at(offset);
        let Some(checkpoint) = checkpoint else {
            return Ok((
                view.reader_at(0)?,
                view.year(0, options)?,
                Start::default(),
                None,
                packed,
            ));
        };
        let reached = checkpoint.find(&path, &file.stat, packed, &reader)?;
        let start = if packed { reached.start } else { reached.start.with_context(&reader)? };
        let year = view.year(start.from, options)?;
        Ok((view.reader_at(start.from)?, year, start, Some(reached), packed))
    };
    match attempt() {
        Ok((reader, year, start, reached, packed)) => {
            let gap = reached.as_ref().is_some_and(|reached| reached.gap);
            sweeper.outcome.summary.gaps += u64::from(gap);
            sweeper.outcome.summary.files += 1;
            sweeper.outcome.sources.push(path.to_string());
            Some(FileReading {
                lines: Lines::starting_at(reader, start.from, start.lines),
                file: file.clone(),
                packed,
                path,
                clock: Clock::new(options.zone.clone(), year),
                form: Form::default(),
                reached,
                new_from: start.new_from,
                done: (start.new_from, start.lines),
            })
        }
        Err(reason) => {
            sweeper.incomplete(format!("{path}: {reason}"));
            None
        }
    }
}

fn read_head(tree: &RootedTree, file: &LogFile) -> Result<Vec<u8>, String> {
    let opened = tree.open_file(&file.path).map_err(|error| error.why.to_string())?;
    let mut head = Vec::new();
    opened.take(16).read_to_end(&mut head).map_err(|error| error.to_string())?;
    Ok(head)
}

/// A file that can be read from its start as often as needed.
struct Fresh<'a> {
    tree: &'a RootedTree,
    file: &'a LogFile,
    packed: bool,
    limit: u64,
}

impl Fresh<'_> {
    /// Its bytes, expanded, up to the size that it had when it was found.
    fn reader_at(&self, offset: u64) -> Result<Box<dyn Read>, String> {
        let file = self.tree.open_file(&self.file.path).map_err(|error| error.why.to_string())?;
        let size = self.file.stat.size_bytes;
        if !self.packed {
            return Ok(Box::new(Positioned::new(file, offset, size)));
        }
        let mut reader = gunzip(Positioned::new(file, 0, size), self.limit);
        std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink())
            .map_err(|error| error.to_string())?;
        Ok(Box::new(reader))
    }

    /// The year of the first yearless line from `offset` on; 0 where the stamps name theirs.
    fn year(&self, offset: u64, options: &SweepOptions) -> Result<i16, String> {
        let mut lines = Lines::new(self.reader_at(offset)?);
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
            None => self.file.stat.modified.min(options.now),
        };
        Ok(first_year(walls.into_iter(), modified, &options.zone))
    }
}

impl FileReading {
    /// Reads one line; `false` at the end.
    fn read(
        &mut self,
        sweeper: &mut Sweeper<'_>,
        pending: &mut VecDeque<Hit>,
        last_at: &mut i64,
    ) -> bool {
        let line = match self.lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return false,
            Err(error) => {
                sweeper.incomplete(format!("{}: {error}", self.path));
                return false;
            }
        };
        // With a checkpoint, a line that is still being written is left for the next sweep.
        if !line.terminated && self.reached.is_some() && !self.packed {
            return false;
        }
        let old = line.offset < self.new_from;
        let event = Event::read(line.bytes, &mut self.form);
        let time = event.stamp.and_then(|stamp| self.clock.resolve(stamp));
        let counts = &mut sweeper.outcome.summary;
        if !old {
            counts.lines += 1;
            counts.undecided += u64::from(line.truncated);
            counts.unparsed += u64::from(!event.parsed() && !line.bytes.is_empty());
        }
        if let Some(time) = time {
            *last_at = time;
        }
        let place = At { path: &self.path, line: line.number, offset: line.offset, old };
        sweeper.judge(&event, time, *last_at, &place, pending);
        let before = self.done.0;
        self.done = (self.lines.offset(), self.lines.number());
        if !old {
            sweeper.outcome.summary.bytes += self.done.0.saturating_sub(before);
        }
        true
    }

    /// Keeps how far it was read.
    fn save(self, tree: &RootedTree, sweeper: &mut Sweeper<'_>, checkpoint: &mut Checkpoint) {
        let Some(reached) = self.reached else { return };
        let limit = sweeper.options.expanded_bytes_max;
        let view = Fresh { tree, file: &self.file, packed: self.packed, limit };
        let (offset, lines) = self.done;
        let kept = checkpoint.reached(reached, offset, lines, &|offset| view.reader_at(offset));
        if let Err(reason) = kept {
            sweeper.incomplete(format!("{}: {reason}", self.path));
        }
    }
}

/// Reads one entry; `false` at the end.
fn read_journal(
    reader: &mut BufReader<&mut dyn Read>,
    entries: &mut u64,
    sweeper: &mut Sweeper<'_>,
    pending: &mut VecDeque<Hit>,
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
    let place = At { path: &path, line: *entries, offset: 0, old: false };
    sweeper.judge(&event, time, *last_at, &place, pending);
    true
}

struct At<'a> {
    path: &'a Arc<str>,
    line: u64,
    offset: u64,
    old: bool,
}

/// The rules' side of a sweep: hits in, stories out.
struct Sweeper<'a> {
    rules: &'a RuleSet,
    options: &'a SweepOptions,
    scratch: Scratch,
    windows: Vec<Window>,
    /// Correlations that read each rule or correlation.
    readers: HashMap<Reference, Vec<usize>>,
    singles: BTreeMap<(usize, Subject), Tally>,
    totals: BTreeMap<usize, Tally>,
    recent: HashMap<(usize, Arc<str>), (usize, i64)>,
    conceal: Concealer,
    outcome: SweepOutcome,
}

impl<'a> Sweeper<'a> {
    fn new(rules: &'a RuleSet, options: &'a SweepOptions) -> Self {
        let mut readers: HashMap<Reference, Vec<usize>> = HashMap::new();
        for (index, correlated) in rules.correlations.iter().enumerate() {
            for reference in &correlated.reads {
                let known = readers.entry(*reference).or_default();
                if !known.contains(&index) {
                    known.push(index);
                }
            }
        }
        Self {
            rules,
            options,
            scratch: Scratch::default(),
            windows: rules.correlations.iter().map(|_| Window::new()).collect(),
            readers,
            singles: BTreeMap::new(),
            totals: BTreeMap::new(),
            recent: HashMap::new(),
            conceal: Concealer::new(options.known_users.iter().cloned()),
            outcome: SweepOutcome::default(),
        }
    }

    fn incomplete(&mut self, line: String) {
        if self.outcome.incomplete.len() < INCOMPLETE_MAX {
            self.outcome.incomplete.push(crate::redact::line(&line));
        }
    }

    /// Asks the rules about an event and queues its hits.
    fn judge(
        &mut self,
        event: &Event<'_>,
        time: Option<i64>,
        last_at: i64,
        place: &At<'_>,
        pending: &mut VecDeque<Hit>,
    ) {
        let at = time.unwrap_or(last_at);
        if self.options.since.is_some_and(|since| at < since && time.is_some()) {
            return;
        }
        let rules = self.rules;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut text: Option<Arc<str>> = None;
        rules.each_match(event, &mut scratch, |rule| {
            let text = text.get_or_insert_with(|| {
                let kept = &event.raw[..event.raw.len().min(TEXT_BYTES_MAX)];
                String::from_utf8_lossy(kept).into()
            });
            let value = |field: &String| {
                event.field(field).map(|value| String::from_utf8_lossy(&value).into_owned())
            };
            pending.push_back(Hit {
                rule,
                time,
                at,
                weight: event.weight,
                path: Arc::clone(place.path),
                line: place.line,
                column: event.column(),
                offset: place.offset,
                text: Arc::clone(text),
                who: event.who(),
                values: rules.rules[rule].wanted.iter().map(value).collect(),
                old: place.old,
            });
        });
        self.scratch = scratch;
    }

    /// Takes a hit into stories and windows, unless another log told the same event already.
    fn take(&mut self, hit: &Hit, stream: usize) {
        if self.told_already(hit, stream) {
            return;
        }
        if !hit.old {
            self.outcome.summary.hits += 1;
            self.outcome.summary.undated += u64::from(hit.time.is_none());
        }
        self.conceal.learn(&hit.who);
        if !hit.old {
            self.totals.entry(hit.rule).or_default().add(hit, hit.at, hit.weight);
        }
        let compiled = &self.rules.rules[hit.rule];
        if compiled.shown {
            let key = (hit.rule, subject_of(hit));
            if self.singles.len() < STORIES_MAX || self.singles.contains_key(&key) {
                self.singles.entry(key).or_default().add(hit, hit.at, hit.weight);
            } else {
                self.outcome.summary.evicted += 1;
            }
        }
        let wanted = &compiled.wanted;
        let value = |field: &str| {
            let at = wanted.iter().position(|known| known == field)?;
            hit.values[at].clone().filter(|value| !value.is_empty())
        };
        let rule = Reference::Rule(hit.rule);
        let feed = Feed {
            from: rule,
            at: hit.at,
            weight: hit.weight,
            hit,
            opened_by: None,
            value: &value,
        };
        self.correlate(&feed);
    }

    /// Feeds the correlations that read `from`; those that fire feed the ones above them. Ends because
    /// a correlation only reads what stands before it.
    fn correlate(&mut self, feed: &Feed<'_>) {
        let Some(readers) = self.readers.get(&feed.from).cloned() else { return };
        let header = match feed.from {
            Reference::Rule(rule) => &self.rules.rules[rule].rule.header,
            Reference::Correlation(below) => &self.rules.correlations[below].correlation.header,
        };
        for index in readers {
            let correlated = &self.rules.correlations[index];
            if let Some(fired) = self.windows[index].feed(correlated, header, feed) {
                let fields = &correlated.correlation.group_by;
                let value = |field: &str| {
                    let at = fields.iter().position(|known| known == field)?;
                    Some(fired.values[at].clone())
                };
                self.correlate(&Feed {
                    from: Reference::Correlation(index),
                    at: feed.at,
                    weight: fired.weight,
                    hit: feed.hit,
                    opened_by: fired.opened_by.as_ref(),
                    value: &value,
                });
            }
        }
    }

    /// Whether another stream gave the same message within a second.
    fn told_already(&mut self, hit: &Hit, stream: usize) -> bool {
        let start = hit.column.saturating_sub(1) as usize;
        let message: Arc<str> = hit.text.get(start..).unwrap_or(&hit.text).into();
        let key = (hit.rule, message);
        if let Some((other, at)) = self.recent.get(&key)
            && *other != stream
            && hit.time.is_some()
            && (hit.at - at).abs() <= 1
        {
            return true;
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.retain(|_, (_, at)| (hit.at - *at).abs() <= 2);
            if self.recent.len() >= RECENT_MAX {
                self.recent.clear();
            }
        }
        self.recent.insert(key, (stream, hit.at));
        false
    }

    fn finish(mut self) -> SweepOutcome {
        let mut detections = Vec::new();
        for ((rule, subject), tally) in &self.singles {
            if tally.fresh > 0 {
                let compiled = &self.rules.rules[*rule];
                let header = &compiled.rule.header;
                let about = About { header, service: compiled.service, joins_success: false };
                let subject = self.shown(subject.clone());
                detections.push(Detection::new(&about, subject, tally, &self.conceal));
            }
        }
        for (index, window) in std::mem::take(&mut self.windows).into_iter().enumerate() {
            self.outcome.summary.evicted += window.evicted;
            let correlated = &self.rules.correlations[index];
            if !correlated.shown {
                continue;
            }
            let header = &correlated.correlation.header;
            let joins_success = correlated.reads.len() > 1;
            let about = About { header, service: correlated.service, joins_success };
            for (values, group) in window.fired() {
                if group.tally.fresh > 0 {
                    let fields = &correlated.correlation.group_by;
                    let subject = self.shown(subject_by(fields, &values));
                    detections.push(Detection::new(&about, subject, &group.tally, &self.conceal));
                }
            }
        }
        let mut detections = one_story_an_address(detections);
        detections.sort_by(|a, b| {
            (b.level, b.succeeded, b.count, &a.rule, a.key()).cmp(&(
                a.level,
                a.succeeded,
                a.count,
                &b.rule,
                b.key(),
            ))
        });
        self.outcome.summary.detections = detections.len() as u64;
        self.outcome.detections = detections;
        self.outcome.activity = self.activity();
        self.outcome.sources.sort();
        self.outcome
    }

    fn activity(&self) -> Vec<Activity> {
        self.totals
            .iter()
            .map(|(rule, tally)| {
                let header = &self.rules.rules[*rule].rule.header;
                Activity {
                    rule: header.key().to_string(),
                    title: header.title.clone(),
                    events: tally.count,
                    addresses: tally.addresses(),
                    users: tally.users(),
                }
            })
            .collect()
    }

    /// A subject as it may be shown.
    fn shown(&self, subject: Subject) -> Subject {
        let safe = |text: Option<String>| text.map(|text| crate::redact::line(&text));
        Subject {
            ip: safe(subject.ip),
            user: subject.user.map(|user| self.conceal.user(&user)),
            unit: safe(subject.unit),
            path: safe(subject.path),
            port: subject.port,
        }
    }
}

/// Whom a single hit is about: its address, else its user, else its unit.
fn subject_of(hit: &Hit) -> Subject {
    let who = &hit.who;
    let mut subject = Subject::default();
    if who.ip.is_some() {
        subject.ip.clone_from(&who.ip);
    } else if who.user.is_some() {
        subject.user.clone_from(&who.user);
    } else {
        subject.unit.clone_from(&who.unit);
    }
    subject
}

fn subject_by(fields: &[String], values: &[String]) -> Subject {
    let mut subject = Subject::default();
    for (field, value) in fields.iter().zip(values) {
        let part = match field.as_str() {
            "src_ip" | "c-ip" | "ip" | "client_ip" | "source_ip" => &mut subject.ip,
            "user" | "target_user" | "cs-username" => &mut subject.user,
            "unit" => &mut subject.unit,
            _ => &mut subject.path,
        };
        *part = Some(value.clone());
    }
    subject
}
