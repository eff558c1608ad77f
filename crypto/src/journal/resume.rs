//! Where a writer goes on: from the last state that it kept to the end of what is on the disk.
//!
//! The keys of earlier epochs are gone, so a writer can prove only what came after its state; that is at most
//! what one epoch holds. A frame that is not whole, with no whole frame behind it, is an unfinished write:
//! nobody was told that it was durable, because one frame is on the disk before the next one is written. Anything
//! else that does not hold is damage, and is left as it is for verification to name.

use super::frame::{self, Begin, HEAD_BYTES, HEADER_BYTES, Kind, VERSION};
use super::state::Tail;
use crate::chain::{EpochKey, Head};

/// What is behind the last frame that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Clean,
    /// Nothing, and another segment is to follow.
    Ended,
    /// An unfinished write of so many bytes.
    Torn(u64),
    /// Bytes that were not left by an unfinished write; or less than there was.
    Damaged,
}

/// Walks a segment from `tail.offset` on, and moves tail and key behind the last frame that holds.
///
/// An offset of 0 is the start of a segment that follows the one before it.
pub fn walk(segment: &[u8], journal: [u8; 16], tail: &mut Tail, key: &mut EpochKey) -> Rest {
    let Ok(mut offset) = usize::try_from(tail.offset) else { return Rest::Damaged };
    if offset == 0 {
        let first = Begin::of(segment).filter(|begin| {
            (begin.version, begin.journal, begin.segment, begin.before)
                == (VERSION, journal, tail.segment, tail.head)
        });
        offset = match (first, frame::first(segment)) {
            (Some(_), Some(offset)) => offset,
            _ => return Rest::Damaged,
        };
    } else if offset < HEAD_BYTES || segment.get(offset - HEAD_BYTES..offset) != Some(&tail.head) {
        return Rest::Damaged;
    }
    let mut ended = false;
    while offset < segment.len() && !ended {
        let Some(kind) = next(segment, offset, tail, key) else {
            return unfinished(&segment[offset..], tail.number, key.epoch());
        };
        offset = tail.offset as usize;
        ended = kind == Kind::End;
    }
    match (ended, offset < segment.len()) {
        (true, true) => Rest::Damaged,
        (true, false) => Rest::Ended,
        (false, _) => Rest::Clean,
    }
}

/// Moves behind the frame at an offset, if it holds.
fn next(segment: &[u8], offset: usize, tail: &mut Tail, key: &mut EpochKey) -> Option<Kind> {
    let found = frame::read(segment, offset)?;
    let kind = found.kind.filter(|_| found.intact)?;
    let in_place = (found.number, found.record, found.epoch);
    if in_place != (tail.number, tail.record, key.epoch())
        || found.head == Head::default()
        || !found.follows(&tail.head, key)
    {
        return None;
    }
    let count = match kind {
        Kind::Records => u64::from(frame::records(found.body)?.0),
        _ => 0,
    };
    if kind == Kind::EpochEnd {
        key.advance();
    }
    tail.offset = (offset + found.bytes()) as u64;
    tail.number += 1;
    tail.record += count;
    tail.head = found.head;
    Some(kind)
}

/// Most places of an unfinished write that may look like a frame; ours leave none but by chance.
const LOOKALIKES_MAX: usize = 1_000;

/// Whether bytes that are no frame that holds may have been left by one unfinished write.
///
/// A write is one frame: a whole one behind what does not hold was written after it.
fn unfinished(rest: &[u8], number: u64, epoch: u64) -> Rest {
    let most = rest.len() as u64;
    let mut lookalikes = 0;
    for (offset, header) in rest.windows(HEADER_BYTES + HEAD_BYTES).enumerate().skip(1) {
        let word = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let (kind, found, its_epoch) = (word(8), word(16), word(24));
        // Cheap first: a known kind before seven zeros, and a number that may come next.
        if kind > Kind::End as u64
            || !(number + 1..=number.saturating_add(most)).contains(&found)
            || !(epoch..=epoch.saturating_add(most)).contains(&its_epoch)
        {
            continue;
        }
        lookalikes += 1;
        let is_whole = || frame::read(rest, offset).is_some_and(|frame| frame.intact);
        if lookalikes > LOOKALIKES_MAX || is_whole() {
            return Rest::Damaged;
        }
    }
    Rest::Torn(most)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::frame::{Open, Sealer, Stamp};
    use super::*;

    const JOURNAL: [u8; 16] = [3; 16];

    fn key() -> EpochKey {
        EpochKey::first(Zeroizing::new([1; 32]))
    }

    /// A segment, and where its frames begin.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut sealer = Sealer::new(key(), Head::default(), 0, 0);
        let (mut out, mut places) = (Vec::new(), Vec::new());
        let stamp = Stamp::default();
        sealer.begin(JOURNAL, 0, stamp, &mut out);
        places.push(out.len());
        sealer.open(&Open { boot: [0; 16], torn_bytes: 0 }, stamp, &mut out);
        for count in [2, 3] {
            places.push(out.len());
            sealer.records(count, b"not decoded here", stamp, &mut out);
            places.push(out.len());
            sealer.end_epoch(stamp, &mut out);
        }
        places.push(out.len());
        sealer.end(stamp, &mut out);
        (out, places)
    }

    fn walked(segment: &[u8]) -> (Rest, Tail, u64) {
        let (mut tail, mut key) = (Tail::default(), key());
        let rest = walk(segment, JOURNAL, &mut tail, &mut key);
        (rest, tail, key.epoch())
    }

    #[test]
    fn a_whole_segment_is_walked_from_any_state_in_it() {
        let (segment, places) = segment();
        let (rest, end, epoch) = walked(&segment);
        assert_eq!((rest, end.number, end.record, epoch), (Rest::Ended, 7, 5, 2));
        assert_eq!(end.offset, segment.len() as u64);
        for place in &places {
            let (rest, mut tail, epoch) = walked(&segment[..*place]);
            assert_eq!((rest, tail.offset), (Rest::Clean, *place as u64));
            let mut key = key();
            assert!(key.advance_to(epoch));
            assert_eq!(walk(&segment, JOURNAL, &mut tail, &mut key), Rest::Ended);
            assert_eq!((tail, key.epoch()), (end, 2));
        }
    }

    #[test]
    fn an_unfinished_write_is_cut_and_damage_is_not() {
        let (segment, places) = segment();
        for cut in places[0]..segment.len() {
            let before = *places.iter().rfind(|place| **place <= cut).unwrap();
            let (rest, tail, _) = walked(&segment[..cut]);
            let torn = (cut - before) as u64;
            assert_eq!(rest, if torn == 0 { Rest::Clean } else { Rest::Torn(torn) });
            assert_eq!(tail.offset, before as u64);
        }
        // Holes in the last write, whatever the disk did first.
        let last = places[places.len() - 1];
        for at in last..segment.len() {
            let mut holed = segment.clone();
            holed[at] ^= 1;
            assert!(matches!(walked(&holed).0, Rest::Torn(_)), "byte {at}");
        }
        // Anywhere before it, something that was written later is behind it.
        for at in places[0]..last {
            let mut damaged = segment.clone();
            damaged[at] ^= 1;
            assert_eq!(walked(&damaged).0, Rest::Damaged, "byte {at}");
        }
    }

    #[test]
    fn less_than_the_state_says_another_journal_and_bytes_behind_the_end_are_damage() {
        let (mut segment, places) = segment();
        let (_, tail, epoch) = walked(&segment);
        let mut key = key();
        assert!(key.advance_to(epoch));
        let cut = walk(&segment[..places[3]], JOURNAL, &mut tail.clone(), &mut key);
        assert_eq!(cut, Rest::Damaged);
        assert_eq!(walk(&segment, [9; 16], &mut Tail::default(), &mut key), Rest::Damaged);
        assert_eq!(walked(b"").0, Rest::Damaged);
        segment.push(0);
        assert_eq!(walked(&segment).0, Rest::Damaged);
    }
}
