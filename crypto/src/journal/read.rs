//! Reading a segment without any key: what it says, not whether it is true.
//!
//! Only whole frames with a fitting checksum are read. Behind a damaged one the records of the segment
//! cannot be told any more, because they name what it said; they are counted.

use super::codec::{Decoded, Decoder};
use super::frame::{self, Begin, Kind, Span, Stamp};
use crate::chain::Head;

/// What a segment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its first frame.
    pub begin: Option<Begin>,
    /// Whole frames.
    pub frames: u64,
    /// Number of its first record.
    pub from: u64,
    /// The number after its last one.
    pub to: u64,
    /// Records that were read.
    pub records: u64,
    /// Records that were not, behind damage.
    pub unread: u64,
    /// Epochs that end in it.
    pub epochs: u64,
    /// Highest level of its records.
    pub level: u8,
    /// What was ever removed, as its last gap says.
    pub removed: Vec<Span>,
    /// When its first and its last frame were made.
    pub made: Option<(Stamp, Stamp)>,
    /// The last whole frame's number and head.
    pub last: Option<(u64, Head)>,
    /// Whether it says that another segment follows.
    pub ended: bool,
    /// What could not be read.
    pub lost: Vec<Lost>,
}

/// What could not be read of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Not a segment.
    #[error("not a segment of a journal")]
    Foreign,
    /// A frame whose checksum does not fit.
    #[error("a damaged frame at byte {0}")]
    Damaged(usize),
    /// Records that are malformed.
    #[error("records that cannot be read at byte {0}")]
    Records(usize),
    /// Bytes at the end that are no frame: an unfinished write, where it is the last segment.
    #[error("{bytes} bytes at byte {offset} that are no whole frame")]
    Torn {
        /// Where.
        offset: usize,
        /// How many.
        bytes: usize,
    },
}

/// Most losses that are named; a segment with more is told as it is by verification.
const LOST_MAX: usize = 100;

/// Reads a segment; `each` gets every record with its number.
pub fn segment(bytes: &[u8], mut each: impl FnMut(u64, Decoded<'_>)) -> Contents {
    let mut contents = Contents { begin: Begin::of(bytes), ..Contents::default() };
    let (Some(mut offset), Some(_)) = (frame::first(bytes), contents.begin) else {
        contents.lost.push(Lost::Foreign);
        return contents;
    };
    let mut decoder = Some(Decoder::new());
    while offset < bytes.len() {
        let Some(found) = frame::read(bytes, offset) else {
            contents.lose(Lost::Torn { offset, bytes: bytes.len() - offset });
            break;
        };
        if found.intact && found.kind.is_some() {
            contents.take(&found, &mut decoder, &mut each);
        } else {
            contents.lose(Lost::Damaged(offset));
            decoder = None;
        }
        offset += found.bytes();
    }
    contents
}

/// What was ever removed, as a segment's last gap says; nothing of it is proven.
pub fn removed(bytes: &[u8]) -> Vec<Span> {
    let mut removed = Vec::new();
    let mut offset = frame::first(bytes).unwrap_or(bytes.len());
    while let Some(found) = frame::read(bytes, offset) {
        if found.intact && found.kind == Some(Kind::Gap) {
            removed = Span::decode(found.body).unwrap_or(removed);
        }
        offset += found.bytes();
    }
    removed
}

impl Contents {
    fn lose(&mut self, lost: Lost) {
        if self.lost.len() < LOST_MAX {
            self.lost.push(lost);
        }
    }

    fn take(
        &mut self,
        found: &frame::Frame<'_>,
        decoder: &mut Option<Decoder>,
        each: &mut impl FnMut(u64, Decoded<'_>),
    ) {
        if self.frames == 0 {
            (self.from, self.to) = (found.record, found.record);
        }
        self.frames += 1;
        self.last = Some((found.number, found.head));
        let first = self.made.map_or(found.stamp, |(first, _)| first);
        self.made = Some((first, found.stamp));
        match found.kind {
            Some(Kind::Records) => self.take_records(found, decoder, each),
            Some(Kind::EpochEnd) => self.epochs += 1,
            Some(Kind::Gap) => {
                self.removed = Span::decode(found.body).unwrap_or_default();
            }
            Some(Kind::End) => self.ended = true,
            _ => {}
        }
    }

    fn take_records(
        &mut self,
        found: &frame::Frame<'_>,
        decoder: &mut Option<Decoder>,
        each: &mut impl FnMut(u64, Decoded<'_>),
    ) {
        let Some((count, bytes)) = frame::records(found.body) else {
            return self.lose(Lost::Records(found.offset));
        };
        self.to = found.record.saturating_add(count.into());
        let Some(open) = decoder else {
            self.unread += u64::from(count);
            return;
        };
        let mut number = found.record;
        let mut level = self.level;
        let read = open.decode(bytes, |record| {
            level = level.max(record.level());
            each(number, record);
            number = number.wrapping_add(1);
        });
        self.level = level;
        let told = number.wrapping_sub(found.record);
        self.records += told;
        if read != Ok(count.into()) {
            self.unread += u64::from(count).saturating_sub(told);
            self.lose(Lost::Records(found.offset));
            *decoder = None;
        }
    }
}
