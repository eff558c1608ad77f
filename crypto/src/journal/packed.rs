//! A closed segment in compressed form: the whole file as it was, in one zstd frame behind a header.
//!
//! What is verified is the segment itself, as it comes out, byte for byte; the header is only a help for
//! whoever has to make room: it says which records are in it and how grave the gravest one is. Packed
//! bytes are bounded before anything is allocated, and what comes out is never longer than the header says.

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::read;

/// Longest segment.
pub const SEGMENT_BYTES_MAX: usize = 80 << 20;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 48;

const MAGIC: &[u8; 16] = b"wardmote packed\x01";
/// Largest window that a frame may ask for: our own asks for far less.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Bytes of the segment.
    pub bytes: usize,
    /// Highest level of its records: 0 to 4.
    pub level: u8,
    /// Number of its first record.
    pub from: u64,
    /// The number after its last one.
    pub to: u64,
}

/// Why bytes are no packed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// Another file, or a damaged header.
    #[error("not a packed segment")]
    Foreign,
    /// The compressed bytes are damaged, or end early or late.
    #[error("its compressed bytes are damaged")]
    Damaged,
    /// A segment that is longer than any.
    #[error("longer than any segment")]
    TooLong,
}

impl Label {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..16].copy_from_slice(MAGIC);
        header[16..24].copy_from_slice(&(self.bytes as u64).to_le_bytes());
        header[24] = self.level;
        header[28..36].copy_from_slice(&self.from.to_le_bytes());
        header[36..44].copy_from_slice(&self.to.to_le_bytes());
        let sum = crc32fast::hash(&header[..44]);
        header[44..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Of a file's first bytes.
    pub fn decode(file: &[u8]) -> Result<Self, PackedError> {
        let header = file.get(..HEADER_BYTES).ok_or(PackedError::Foreign)?;
        let number = |at: usize| {
            header[at..at + 8].try_into().map(u64::from_le_bytes).map_err(|_| PackedError::Foreign)
        };
        let whole = header[44..] == crc32fast::hash(&header[..44]).to_le_bytes();
        if &header[..16] != MAGIC || !whole || header[24] > 4 || header[25..28] != [0; 3] {
            return Err(PackedError::Foreign);
        }
        let bytes = usize::try_from(number(16)?).map_err(|_| PackedError::TooLong)?;
        if bytes > SEGMENT_BYTES_MAX {
            return Err(PackedError::TooLong);
        }
        Ok(Self { bytes, level: header[24], from: number(28)?, to: number(36)? })
    }
}

/// Packs a whole segment; `None` for what is none, or is not whole: that stays as it is.
pub fn pack(segment: &[u8]) -> Option<Vec<u8>> {
    let contents = read::segment(segment, |_, _| {});
    if !contents.lost.is_empty() || segment.len() > SEGMENT_BYTES_MAX {
        return None;
    }
    let label =
        Label { bytes: segment.len(), level: contents.level, from: contents.from, to: contents.to };
    let mut packed = label.encode().to_vec();
    packed.extend(compress_to_vec(segment, CompressionLevel::Fastest));
    Some(packed)
}

/// Most bytes of a packed file that [`start`] needs.
pub const START_BYTES: usize = 256 << 10;

/// The first bytes of the segment, at most so many, from the first bytes of the file.
pub fn start(file: &[u8], most: usize) -> Vec<u8> {
    let mut segment = Vec::new();
    let (Ok(_), Some(rest)) = (Label::decode(file), file.get(HEADER_BYTES..)) else {
        return segment;
    };
    if let Ok(decoder) = StreamingDecoder::new_with_max_window_size(rest, WINDOW_BYTES_MAX) {
        // What cannot be read is told by whoever reads all of it.
        let _ = decoder.take(most as u64).read_to_end(&mut segment);
    }
    segment
}

/// The segment as it was.
pub fn unpack(file: &[u8]) -> Result<Vec<u8>, PackedError> {
    let label = Label::decode(file)?;
    let mut rest = &file[HEADER_BYTES..];
    let mut segment = Vec::new();
    let decoder = StreamingDecoder::new_with_max_window_size(&mut rest, WINDOW_BYTES_MAX)
        .map_err(|_| PackedError::Damaged)?;
    let most = label.bytes as u64 + 1;
    decoder.take(most).read_to_end(&mut segment).map_err(|_| PackedError::Damaged)?;
    match segment.len() == label.bytes && rest.is_empty() {
        true => Ok(segment),
        false => Err(PackedError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::codec::{Encoder, Record, Value};
    use super::super::frame::{Sealer, Stamp};
    use super::*;
    use crate::chain::{EpochKey, Head};

    fn segment(records: i64) -> Vec<u8> {
        let key = EpochKey::first(Zeroizing::new([1; 32]));
        let mut sealer = Sealer::new(key, Head::default(), 0, 100);
        let (mut out, mut bytes, mut encoder) = (Vec::new(), Vec::new(), Encoder::new());
        sealer.begin([2; 16], 0, Stamp::default(), &mut out);
        for number in 0..records {
            let fields = [("ip", Value::Name("192.0.2.7")), ("port", Value::Number(number * 7))];
            let level = if number == 5 { 3 } else { 1 };
            let record = Record { time_us: number * 31, level, kind: "alert", fields: &fields };
            assert!(encoder.encode(&record, &mut bytes));
        }
        sealer.records(records as u32, &bytes, Stamp::default(), &mut out);
        sealer.end(Stamp::default(), &mut out);
        out
    }

    #[test]
    fn a_segment_comes_back_and_its_label_says_what_is_in_it() {
        for records in [0, 1, 10, 20_000] {
            let segment = segment(records);
            let packed = pack(&segment).unwrap();
            assert_eq!(unpack(&packed).unwrap(), segment);
            let first = start(&packed[..packed.len().min(START_BYTES)], 100);
            assert_eq!(first, segment[..100]);
            let label = Label::decode(&packed).unwrap();
            let level = if records > 5 { 3 } else { u8::from(records > 0) };
            assert_eq!((label.level, label.from, label.to), (level, 100, 100 + records as u64));
        }
        assert!(pack(&segment(20_000)).unwrap().len() < segment(20_000).len() / 2);
    }

    #[test]
    fn what_is_damaged_is_neither_packed_nor_unpacked() {
        let mut segment = segment(10);
        let packed = pack(&segment).unwrap();
        for at in 0..packed.len() {
            let mut other = packed.clone();
            other[at] ^= 0x20;
            // A flip within literals gives another segment, which verification then refuses.
            assert!(unpack(&other).is_err() || at >= HEADER_BYTES, "byte {at}");
            assert!(unpack(&packed[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(unpack(&[&packed[..], b"x"].concat()), Err(PackedError::Damaged));
        segment[30] ^= 1;
        assert!(pack(&segment).is_none() && pack(b"").is_none());
    }

    #[test]
    fn a_header_that_lies_about_the_length_costs_nothing() {
        let packed = pack(&segment(10)).unwrap();
        for (bytes, expected) in [
            (SEGMENT_BYTES_MAX + 1, PackedError::TooLong),
            (SEGMENT_BYTES_MAX, PackedError::Damaged),
            (100, PackedError::Damaged),
        ] {
            let label = Label { bytes, level: 0, from: 0, to: 0 };
            let lying = [&label.encode()[..], &packed[HEADER_BYTES..]].concat();
            assert_eq!(unpack(&lying), Err(expected));
        }
    }
}
