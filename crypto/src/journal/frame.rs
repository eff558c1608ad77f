//! Frames: what a segment's file is made of.
//!
//! `MAGIC ‖ frame ‖ frame …`, each frame a header of [`HEADER_BYTES`], a body, and a head of 32 bytes.
//! Numbers are little-endian. The checksum (CRC-32 of the rest of the header and the body) tells damage
//! from forgery; the head is the proof. A body never exceeds [`BODY_BYTES_MAX`].

use zeroize::Zeroizing;

use crate::chain::{EpochKey, Head};

/// The first bytes of a segment.
pub const MAGIC: &[u8; 16] = b"wardmote journal";
/// Version of the form.
pub const VERSION: u16 = 1;
/// `length 4 ‖ checksum 4 ‖ kind 1 ‖ zero 7 ‖ frame 8 ‖ epoch 8 ‖ record 8 ‖ wall 8 ‖ monotonic 8`.
pub const HEADER_BYTES: usize = 56;
/// Bytes of a head.
pub const HEAD_BYTES: usize = 32;
/// Longest body.
pub const BODY_BYTES_MAX: usize = 8 << 20;
/// Most spans that a gap names. They lie between segments that are still there, so that there are few.
pub const GAP_SPANS_MAX: usize = 65_536;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first of a segment: [`Begin`].
    Begin = 0,
    /// A writer took over: [`Open`].
    Open = 1,
    /// `count 4 ‖ records`.
    Records = 2,
    /// The last of an epoch: the next frame is under the next key.
    EpochEnd = 3,
    /// All segments that were ever removed for want of room: [`Span`]s. The last gap counts: those before it
    /// may be removed themselves.
    Gap = 4,
    /// The last of a segment: another one follows.
    End = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Begin,
            1 => Self::Open,
            2 => Self::Records,
            3 => Self::EpochEnd,
            4 => Self::Gap,
            5 => Self::End,
            _ => return None,
        })
    }
}

/// When a frame was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Wall clock, in microseconds since 1970-01-01. Informative: nothing is ordered by it.
    pub wall_us: i64,
    /// Monotonic clock of the boot, in microseconds.
    pub mono_us: u64,
}

/// A frame that was read; nothing about it is proven yet.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Where it begins in its segment.
    pub offset: usize,
    /// What it is; `None` for a kind that is not known.
    pub kind: Option<Kind>,
    /// Its number in the journal, from 0.
    pub number: u64,
    /// Epoch whose key made its head.
    pub epoch: u64,
    /// Number of its first record, or of the next one where it has none.
    pub record: u64,
    /// When it was made.
    pub stamp: Stamp,
    /// Body.
    pub body: &'a [u8],
    /// Head.
    pub head: Head,
    /// Whether the checksum fits.
    pub intact: bool,
    header: &'a [u8],
}

impl Frame<'_> {
    /// Whether its head follows from the one before it under this key.
    pub fn follows(&self, before: &Head, key: &EpochKey) -> bool {
        crate::mac::equal(&key.link(before, &[self.header, self.body]), &self.head)
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.body.len() + HEAD_BYTES
    }
}

/// Reads the frame at an offset: `None` where the bytes end within it or its length is out of bounds.
pub fn read(segment: &[u8], offset: usize) -> Option<Frame<'_>> {
    let rest = segment.get(offset..)?;
    let header = rest.get(..HEADER_BYTES)?;
    let length = number(header, 0, 4) as usize;
    if length > BODY_BYTES_MAX {
        return None;
    }
    let body = rest.get(HEADER_BYTES..HEADER_BYTES + length)?;
    let head = rest.get(HEADER_BYTES + length..HEADER_BYTES + length + HEAD_BYTES)?;
    Some(Frame {
        offset,
        kind: Kind::of(header[8]).filter(|_| header[9..16] == [0; 7]),
        number: number(header, 16, 8),
        epoch: number(header, 24, 8),
        record: number(header, 32, 8),
        stamp: Stamp { wall_us: number(header, 40, 8) as i64, mono_us: number(header, 48, 8) },
        body,
        head: head.try_into().ok()?,
        intact: number(header, 4, 4) == u64::from(checksum(header, body)),
        header,
    })
}

/// Where the first frame of a segment begins; `None` for what is no segment.
pub fn first(segment: &[u8]) -> Option<usize> {
    segment.starts_with(MAGIC).then_some(MAGIC.len())
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Version of the form.
    pub version: u16,
    /// The journal it belongs to: random, made with its first key.
    pub journal: [u8; 16],
    /// Its number, from 0.
    pub segment: u64,
    /// The head before it.
    pub before: Head,
}

impl Begin {
    /// As a body.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.version.to_le_bytes().to_vec();
        body.extend(self.journal);
        body.extend(self.segment.to_le_bytes());
        body.extend(self.before);
        body
    }

    /// Of a body.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (version, rest) = body.split_first_chunk()?;
        let (journal, rest) = rest.split_first_chunk()?;
        let (segment, rest) = rest.split_first_chunk()?;
        Some(Self {
            version: u16::from_le_bytes(*version),
            journal: *journal,
            segment: u64::from_le_bytes(*segment),
            before: rest.try_into().ok()?,
        })
    }

    /// Of a whole segment, unproven.
    pub fn of(segment: &[u8]) -> Option<Self> {
        let frame = read(segment, first(segment)?)?;
        if frame.kind == Some(Kind::Begin) { Self::decode(frame.body) } else { None }
    }
}

/// A writer that took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The kernel's random boot id.
    pub boot: [u8; 16],
    /// Bytes of an unfinished write that were cut off.
    pub torn_bytes: u64,
}

impl Open {
    /// As a body.
    pub fn encode(&self) -> Vec<u8> {
        [&self.boot[..], &self.torn_bytes.to_le_bytes()].concat()
    }

    /// Of a body.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (boot, torn) = body.split_first_chunk()?;
        Some(Self { boot: *boot, torn_bytes: u64::from_le_bytes(torn.try_into().ok()?) })
    }
}

/// A segment that was removed, with the numbers of its records (`from` included, `to` not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Segment.
    pub segment: u64,
    /// First record.
    pub from: u64,
    /// The record after its last.
    pub to: u64,
}

/// Neighbouring segments that were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First segment.
    pub first: u64,
    /// Last segment.
    pub last: u64,
    /// First record.
    pub from: u64,
    /// The record after the last.
    pub to: u64,
}

impl From<Removed> for Span {
    fn from(Removed { segment, from, to }: Removed) -> Self {
        Self { first: segment, last: segment, from, to }
    }
}

impl Span {
    /// Adds a span to some that are in order and do not touch; they stay so.
    pub fn add(self, spans: &mut Vec<Self>) {
        let before = spans.partition_point(|one| one.last.saturating_add(1) < self.first);
        let touched = spans[before..]
            .iter()
            .take_while(|one| one.first <= self.last.saturating_add(1))
            .count();
        let merged = spans[before..before + touched].iter().fold(self, |all, one| Self {
            first: all.first.min(one.first),
            last: all.last.max(one.last),
            from: all.from.min(one.from),
            to: all.to.max(one.to),
        });
        spans.splice(before..before + touched, [merged]);
    }

    /// Several, as a body.
    pub fn encode(all: &[Self]) -> Vec<u8> {
        let numbers = all.iter().flat_map(|one| [one.first, one.last, one.from, one.to]);
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    /// Of a body: in order, and none touches another.
    pub fn decode(body: &[u8]) -> Option<Vec<Self>> {
        let (rows, rest) = body.as_chunks::<32>();
        if !rest.is_empty() || rows.len() > GAP_SPANS_MAX {
            return None;
        }
        let one = |row: &[u8; 32]| Self {
            first: number(row, 0, 8),
            last: number(row, 8, 8),
            from: number(row, 16, 8),
            to: number(row, 24, 8),
        };
        let spans: Vec<Self> = rows.iter().map(one).collect();
        let apart = spans.windows(2).all(|two| two[0].last.saturating_add(1) < two[1].first);
        (apart && spans.iter().all(|one| one.first <= one.last)).then_some(spans)
    }
}

/// The number of records of a body, and their bytes.
pub fn records(body: &[u8]) -> Option<(u32, &[u8])> {
    let (count, bytes) = body.split_first_chunk()?;
    Some((u32::from_le_bytes(*count), bytes))
}

/// Makes frames: the end of a chain and its key.
pub struct Sealer {
    key: EpochKey,
    head: Head,
    number: u64,
    record: u64,
}

impl Sealer {
    /// The start of a journal, or the end of one that was read.
    pub fn new(key: EpochKey, head: Head, number: u64, record: u64) -> Self {
        Self { key, head, number, record }
    }

    /// The end of the chain as it is, key and all: for a write that may fail and be made again.
    pub fn mark(&self) -> Self {
        let key = EpochKey::at(self.key.epoch(), Zeroizing::new(*self.key.secret()));
        Self { key, head: self.head, number: self.number, record: self.record }
    }

    /// The key of the epoch that is open.
    pub fn key(&self) -> &EpochKey {
        &self.key
    }

    /// The last head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The number of the next frame.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of the next record.
    pub fn record(&self) -> u64 {
        self.record
    }

    /// Adds the first bytes of a segment to `out`.
    pub fn begin(&mut self, journal: [u8; 16], segment: u64, stamp: Stamp, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        let begin = Begin { version: VERSION, journal, segment, before: self.head };
        self.frame(Kind::Begin, &begin.encode(), 0, stamp, out);
    }

    /// Adds what a writer that takes over says.
    pub fn open(&mut self, open: &Open, stamp: Stamp, out: &mut Vec<u8>) {
        self.frame(Kind::Open, &open.encode(), 0, stamp, out);
    }

    /// Adds records that were encoded.
    pub fn records(&mut self, count: u32, records: &[u8], stamp: Stamp, out: &mut Vec<u8>) {
        let body = [&count.to_le_bytes()[..], records].concat();
        self.frame(Kind::Records, &body, count.into(), stamp, out);
    }

    /// Ends the epoch: the next frame is under the next key, and this one's is gone.
    pub fn end_epoch(&mut self, stamp: Stamp, out: &mut Vec<u8>) {
        self.frame(Kind::EpochEnd, &[], 0, stamp, out);
        self.key.advance();
    }

    /// Adds that segments were removed: all that ever were, in order.
    pub fn gap<R: Copy + Into<Span>>(&mut self, removed: &[R], stamp: Stamp, out: &mut Vec<u8>) {
        let mut spans = Vec::new();
        removed.iter().for_each(|one| (*one).into().add(&mut spans));
        self.frame(Kind::Gap, &Span::encode(&spans), 0, stamp, out);
    }

    /// Ends the segment.
    pub fn end(&mut self, stamp: Stamp, out: &mut Vec<u8>) {
        self.frame(Kind::End, &[], 0, stamp, out);
    }

    fn frame(&mut self, kind: Kind, body: &[u8], records: u64, stamp: Stamp, out: &mut Vec<u8>) {
        assert!(body.len() <= BODY_BYTES_MAX, "the writer bounds its groups");
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        header[8] = kind as u8;
        header[16..24].copy_from_slice(&self.number.to_le_bytes());
        header[24..32].copy_from_slice(&self.key.epoch().to_le_bytes());
        header[32..40].copy_from_slice(&self.record.to_le_bytes());
        header[40..48].copy_from_slice(&stamp.wall_us.to_le_bytes());
        header[48..].copy_from_slice(&stamp.mono_us.to_le_bytes());
        let sum = checksum(&header, body);
        header[4..8].copy_from_slice(&sum.to_le_bytes());
        self.head = self.key.link(&self.head, &[&header, body]);
        self.number += 1;
        self.record += records;
        out.extend(header);
        out.extend(body);
        out.extend(self.head);
    }
}

/// Of everything but the checksum's own bytes and the head.
fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&header[..4]);
    sum.update(&header[8..]);
    sum.update(body);
    sum.finalize()
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut word = [0; 8];
    word[..length].copy_from_slice(&bytes[at..at + length]);
    u64::from_le_bytes(word)
}
