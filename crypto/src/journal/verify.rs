//! Verification: segments in, what does not hold out.
//!
//! The verifier has the first key and walks every frame once, in the order of the segments' own numbers.
//! After a fault it goes on from what the file says, so that one fault is told once and not for every frame
//! behind it. Steps of the wall clock are notes: nothing is ordered by it.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::codec::{Decoded, Decoder};
use super::frame::{self, Begin, Frame, Kind, Open, Removed, Span, Stamp, VERSION};
use crate::chain::{BYTES, EpochKey, Head};

mod fault;

pub use fault::{Fault, Note};

/// Most faults that are kept; the rest is counted.
pub const FAULTS_MAX: usize = 1_000;
/// Most notes that are kept.
const NOTES_MAX: usize = 1_000;
/// A difference between wall and monotonic clock that is a step, in microseconds.
const STEP_US: i64 = 2_000_000;

/// What somebody else has seen of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A frame's number and its head.
    pub head: Option<(u64, Head)>,
    /// The epoch that the key on the host is in.
    pub epoch: Option<u64>,
}

/// What verification found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What does not hold, with the segment's name.
    pub faults: Vec<(String, Fault)>,
    /// Where in its segment each of them is, in bytes.
    pub places: Vec<usize>,
    /// How many more.
    pub more_faults: u64,
    /// What is worth knowing, with the segment's name.
    pub notes: Vec<(String, Note)>,
    /// Segments read.
    pub segments: u64,
    /// Frames that hold.
    pub frames: u64,
    /// Records in frames that hold.
    pub records: u64,
    /// Records in frames that hold and cannot be read, because they name what a lost frame before them said.
    pub unread: u64,
    /// The last frame that holds and its head: to be kept elsewhere, and given as [`Seen`] next time.
    pub last: Option<(u64, Head)>,
    /// The last epoch.
    pub epoch: u64,
}

impl Report {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Walks segments in order.
pub struct Verifier {
    key: EpochKey,
    seen: Seen,
    /// Further heads that somebody has seen.
    expected: Vec<(u64, Head)>,
    report: Report,
    journal: Option<[u8; 16]>,
    /// What must come next; `None` before the first segment.
    next: Option<Next>,
    numbers: BTreeSet<u64>,
    /// What gaps name, and where the last of them is.
    removed: Vec<Span>,
    removed_by: String,
    clock: Option<Stamp>,
    /// Whether the last segment that was read has its end.
    ended: bool,
    name: String,
    /// Where in the segment it is.
    offset: usize,
}

#[derive(Clone, Copy)]
struct Next {
    number: u64,
    record: u64,
    epoch: u64,
    head: Head,
}

impl Verifier {
    /// A verifier with the journal's first key.
    pub fn new(first_key: Zeroizing<[u8; BYTES]>, seen: Seen) -> Self {
        Self {
            key: EpochKey::first(first_key),
            seen,
            expected: Vec::new(),
            report: Report::default(),
            journal: None,
            next: None,
            numbers: BTreeSet::new(),
            removed: Vec::new(),
            removed_by: String::new(),
            clock: None,
            ended: true,
            name: String::new(),
            offset: 0,
        }
    }

    /// Somebody has seen this frame with this head, too.
    pub fn expect(&mut self, number: u64, head: Head) {
        self.expected.push((number, head));
    }

    /// A segment that is there and cannot be read: it is not missing, and what follows is read anew.
    pub fn unread(&mut self, number: u64) {
        self.numbers.insert(number);
        self.report.segments += 1;
        self.next = None;
        self.ended = true;
    }

    /// Reads a segment; they come in the order of [`Begin::segment`]. `number` is what its name says.
    /// `each` gets every record of frames that hold, with its number.
    pub fn segment(
        &mut self,
        name: &str,
        number: Option<u64>,
        bytes: &[u8],
        mut each: impl FnMut(u64, Decoded<'_>),
    ) {
        // What was wrong with the end of the segment before is only known now.
        if !self.ended {
            self.fault(Fault::NoEnd);
        }
        self.ended = false;
        self.name = name.to_string();
        self.offset = 0;
        self.report.segments += 1;
        let Some(mut offset) = frame::first(bytes) else {
            self.ended = true;
            return self.fault(if bytes.is_empty() { Fault::Empty } else { Fault::Foreign });
        };
        // Until a frame is lost: the records behind it name what it said.
        let mut decoder = Some(Decoder::new());
        let mut is_first = true;
        while offset < bytes.len() {
            self.offset = offset;
            if self.ended {
                return self.fault(Fault::AfterEnd);
            }
            let Some(frame) = frame::read(bytes, offset) else {
                return self.torn(offset, bytes.len());
            };
            offset += frame.bytes();
            if is_first && !self.begin(&frame, number) {
                self.ended = true;
                return;
            }
            is_first = false;
            match self.holds(&frame) {
                true => self.take(&frame, &mut decoder, &mut each),
                false => decoder = None,
            }
            self.after(&frame);
        }
        if is_first {
            self.torn(offset, bytes.len());
        }
    }

    /// Everything was read.
    pub fn finish(mut self) -> Report {
        self.missing_segments();
        if self.report.segments == 0 {
            self.name = String::new();
            self.fault(Fault::Nothing);
        }
        let found = self.next.map_or(0, |next| next.number.saturating_sub(1));
        let heads = self.seen.head.into_iter().chain(self.expected.clone());
        if let Some(seen) = heads.map(|(seen, _)| seen).max()
            && (seen > found || self.next.is_none())
        {
            self.fault(Fault::Tail { found, seen });
        }
        let epoch = self.next.map_or(0, |next| next.epoch);
        self.report.epoch = epoch;
        if let Some(seen) = self.seen.epoch.filter(|seen| *seen > epoch) {
            self.fault(Fault::TailEpoch { found: epoch, seen });
        }
        self.report
    }

    fn fault(&mut self, fault: Fault) {
        match self.report.faults.len() < FAULTS_MAX {
            true => {
                self.report.faults.push((self.name.clone(), fault));
                self.report.places.push(self.offset);
            }
            false => self.report.more_faults += 1,
        }
    }

    fn note(&mut self, note: Note) {
        if self.report.notes.len() < NOTES_MAX {
            self.report.notes.push((self.name.clone(), note));
        }
    }

    /// Bytes that are no whole frame. At the end of the last segment that is an unfinished write; that it is
    /// the last one shows when no other follows.
    fn torn(&mut self, offset: usize, length: usize) {
        // An attacker who writes a length that is too long gets the same: all behind is unproven, and the
        // watermark or the next segment shows that it is missing.
        self.note(Note::TornTail { bytes: length - offset });
        self.ended = false;
    }

    /// The first frame of a segment; `false` where the rest cannot be read against anything.
    fn begin(&mut self, frame: &Frame<'_>, number: Option<u64>) -> bool {
        let begin = match frame.kind {
            Some(Kind::Begin) => Begin::decode(frame.body),
            _ => None,
        };
        let Some(begin) = begin else {
            self.fault(Fault::Foreign);
            return false;
        };
        if begin.version != VERSION {
            self.fault(Fault::Version(begin.version));
            return false;
        }
        if number.is_some_and(|number| number != begin.segment) {
            self.fault(Fault::Renamed(begin.segment));
        }
        if *self.journal.get_or_insert(begin.journal) != begin.journal {
            self.fault(Fault::OtherJournal);
            return false;
        }
        if !self.numbers.insert(begin.segment) {
            self.fault(Fault::Twice(begin.segment));
            return false;
        }
        let follows = match begin.segment {
            0 => true,
            number => self.numbers.contains(&(number - 1)),
        };
        if !follows || self.next.is_none() {
            // What is missing before it is told at the end, when the gaps are known.
            let first = begin.segment == 0;
            self.next = Some(Next {
                number: if first { 0 } else { frame.number },
                record: if first { 0 } else { frame.record },
                epoch: if first { 0 } else { frame.epoch },
                head: if first { Head::default() } else { begin.before },
            });
            self.clock = None;
        }
        true
    }

    /// Whether a frame is what must come next; what is wrong is told.
    fn holds(&mut self, frame: &Frame<'_>) -> bool {
        let Some(next) = self.next else { return false };
        let (number, offset) = (frame.number, frame.offset);
        if !frame.intact || frame.kind.is_none() {
            self.fault(Fault::Damaged { number: next.number, offset });
            return false;
        }
        if frame.head == Head::default() {
            self.fault(Fault::NotSealed(number));
            return false;
        }
        let before = self.report.faults.len() as u64 + self.report.more_faults;
        if number > next.number {
            self.fault(Fault::Missing { from: next.number, to: number - 1 });
        } else if number < next.number {
            self.fault(Fault::Order { found: number, expected: next.number });
        }
        if frame.epoch != next.epoch {
            self.fault(Fault::Epoch { found: frame.epoch, expected: next.epoch });
        }
        if self.report.faults.len() as u64 + self.report.more_faults > before {
            return false;
        }
        let may_follow = self.key.advance_to(frame.epoch);
        if !may_follow || frame.record != next.record || !frame.follows(&next.head, &self.key) {
            self.fault(Fault::Forged { number, offset });
            return false;
        }
        let mut heads = self.seen.head.iter().chain(&self.expected);
        if heads.any(|(seen, head)| *seen == number && *head != frame.head) {
            self.fault(Fault::Head(number));
        }
        true
    }

    /// What a frame that holds says.
    fn take(
        &mut self,
        frame: &Frame<'_>,
        decoder: &mut Option<Decoder>,
        each: &mut impl FnMut(u64, Decoded<'_>),
    ) {
        self.report.frames += 1;
        self.report.last = Some((frame.number, frame.head));
        self.clock(frame);
        match frame.kind {
            Some(Kind::Records) => self.take_records(frame, decoder, each),
            Some(Kind::Open) => match Open::decode(frame.body) {
                None => self.fault(Fault::Malformed(frame.number)),
                Some(open) if open.torn_bytes > 0 => {
                    self.note(Note::TornBefore { bytes: open.torn_bytes });
                }
                Some(_) => {}
            },
            Some(Kind::Gap) => match Span::decode(frame.body) {
                None => self.fault(Fault::Malformed(frame.number)),
                Some(all) => {
                    all.into_iter().for_each(|span| span.add(&mut self.removed));
                    self.removed_by.clone_from(&self.name);
                }
            },
            _ => {}
        }
    }

    fn take_records(
        &mut self,
        frame: &Frame<'_>,
        decoder: &mut Option<Decoder>,
        each: &mut impl FnMut(u64, Decoded<'_>),
    ) {
        let Some((count, bytes)) = frame::records(frame.body) else {
            return self.fault(Fault::Malformed(frame.number));
        };
        let Some(open) = decoder else {
            self.report.unread += u64::from(count);
            return;
        };
        let mut number = frame.record;
        let read = open.decode(bytes, |record| {
            each(number, record);
            number += 1;
        });
        self.report.records += number - frame.record;
        if read != Ok(count.into()) {
            *decoder = None;
            self.fault(Fault::Records(frame.number));
        }
    }

    /// Steps of the wall clock against the monotonic one. A new boot or writer starts anew.
    fn clock(&mut self, frame: &Frame<'_>) {
        let before = self.clock.replace(frame.stamp).filter(|_| frame.kind != Some(Kind::Open));
        let Some(before) = before else { return };
        let wall = frame.stamp.wall_us.wrapping_sub(before.wall_us);
        let mono = frame.stamp.mono_us.wrapping_sub(before.mono_us) as i64;
        let step = wall.wrapping_sub(mono);
        if step.unsigned_abs() > STEP_US.unsigned_abs() {
            self.note(Note::ClockStep { frame: frame.number, seconds: step / 1_000_000 });
        }
    }

    /// What comes after a frame, whether it held or not.
    fn after(&mut self, frame: &Frame<'_>) {
        let Some(next) = &mut self.next else { return };
        let count = match frame.kind {
            Some(Kind::Records) => frame::records(frame.body).map_or(0, |(count, _)| count.into()),
            _ => 0,
        };
        // Of a damaged frame only its place is believed.
        let (number, epoch, record) = match frame.intact {
            true => (frame.number, frame.epoch, frame.record),
            false => (next.number, next.epoch, next.record),
        };
        *next = Next {
            number: number.saturating_add(1),
            record: record.saturating_add(count),
            epoch: epoch.saturating_add(u64::from(frame.kind == Some(Kind::EpochEnd))),
            head: frame.head,
        };
        self.ended = frame.kind == Some(Kind::End);
    }

    /// Segments that are not there, and that no gap names; those that one names are noted.
    fn missing_segments(&mut self) {
        self.name.clone_from(&self.removed_by);
        for span in self.removed.clone() {
            self.note(match span.first == span.last {
                true => {
                    let Span { first: segment, from, to, .. } = span;
                    Note::Removed(Removed { segment, from, to })
                }
                false => Note::RemovedSpan(span),
            });
        }
        self.name = String::new();
        let mut expected = 0;
        for number in self.numbers.clone() {
            self.missing_between(expected, number);
            expected = number.saturating_add(1);
        }
    }

    /// Segments from `at` on and before `to`, as far as no gap names them.
    fn missing_between(&mut self, mut at: u64, to: u64) {
        // Each step is a span further.
        while at < to {
            let behind = self.removed.partition_point(|span| span.last < at);
            let next = self.removed.get(behind).copied().filter(|span| span.first < to);
            let until = next.map_or(to, |span| span.first);
            if until > at {
                self.fault(Fault::SegmentsMissing { from: at, to: until - 1 });
            }
            at = next.map_or(to, |span| span.last.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests;
