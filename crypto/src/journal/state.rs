//! What a writer keeps between two runs: the key of the open epoch, and where the journal ended.
//!
//! Two slots in one file, each in its own block. A new state goes to the slot that the last one is not in;
//! when it is on the disk, the other slot, and the secret in it, is overwritten with zeros. So there is a
//! whole state at every moment, nothing has to be allocated on a full disk, and the key of an epoch that
//! has ended is gone from where it stood. What a disk keeps elsewhere (copies on write, worn blocks of flash,
//! snapshots) cannot be erased from here.

use zeroize::Zeroizing;

use crate::chain::{EpochKey, Head};

/// Bytes of a slot: one sector.
pub const SLOT_BYTES: usize = 512;
/// Where the two slots are.
pub const SLOTS: [usize; 2] = [0, 4096];
/// Bytes of the file.
pub const FILE_BYTES: usize = 8192;

const MAGIC: &[u8; 16] = b"wardmote key v1\0";
const USED: usize = 160;

/// Who made a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// `journal init`: somebody has the key that verifies it.
    WithVerifyKey,
    /// The service, by itself: nobody can verify it.
    Alone,
}

/// Where a journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Segment.
    pub segment: u64,
    /// Bytes of it.
    pub offset: u64,
    /// Number of the next frame.
    pub number: u64,
    /// Number of the next record.
    pub record: u64,
    /// The last head.
    pub head: Head,
}

/// A writer's state.
pub struct State {
    /// Counts states: the higher one is the later.
    pub generation: u64,
    /// The journal's random name.
    pub journal: [u8; 16],
    /// Who made it.
    pub made: Made,
    /// The key of the epoch that is open behind `tail`.
    pub key: EpochKey,
    /// Everything before it was on the disk when this was written.
    pub tail: Tail,
}

impl State {
    /// As a slot.
    pub fn encode(&self) -> Zeroizing<[u8; SLOT_BYTES]> {
        let mut slot = Zeroizing::new([0; SLOT_BYTES]);
        slot[..16].copy_from_slice(MAGIC);
        slot[16..32].copy_from_slice(&self.journal);
        slot[32..64].copy_from_slice(self.key.secret());
        slot[64..96].copy_from_slice(&self.tail.head);
        let made = u64::from(self.made == Made::Alone);
        let tail = &self.tail;
        let numbers = [self.generation, self.key.epoch(), made, tail.segment, tail.offset];
        let numbers = numbers.into_iter().chain([tail.number, tail.record]);
        for (place, number) in slot[96..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&slot[..USED - 4]);
        slot[USED - 4..USED].copy_from_slice(&sum.to_le_bytes());
        slot
    }

    /// Of a slot: `None` where none is whole.
    pub fn decode(slot: &[u8]) -> Option<Self> {
        let slot = slot.get(..SLOT_BYTES)?;
        let number = |at: usize| slot[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let sum = slot[USED - 4..USED].try_into().map(u32::from_le_bytes).ok()?;
        if &slot[..16] != MAGIC || sum != crc32fast::hash(&slot[..USED - 4]) {
            return None;
        }
        let made = match number(112)? {
            0 => Made::WithVerifyKey,
            1 => Made::Alone,
            _ => return None,
        };
        let epoch = number(104).filter(|epoch| *epoch <= crate::chain::EPOCHS_MAX)?;
        let secret = Zeroizing::new(slot[32..64].try_into().ok()?);
        Some(Self {
            generation: number(96)?,
            journal: slot[16..32].try_into().ok()?,
            made,
            key: EpochKey::at(epoch, secret),
            tail: Tail {
                segment: number(120)?,
                offset: number(128)?,
                number: number(136)?,
                record: number(144)?,
                head: slot[64..96].try_into().ok()?,
            },
        })
    }

    /// The later of the states in a file, and which slot it is in.
    pub fn newest(file: &[u8]) -> Option<(Self, usize)> {
        let slots = SLOTS.iter().enumerate();
        let whole = slots.filter_map(|(at, from)| Some((Self::decode(file.get(*from..)?)?, at)));
        whole.max_by_key(|(state, _)| state.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(generation: u64) -> State {
        let key = EpochKey::at(4, Zeroizing::new([9; 32]));
        let tail = Tail { segment: 3, offset: 70_000, number: 12, record: 400, head: [8; 32] };
        State { generation, journal: [7; 16], made: Made::Alone, key, tail }
    }

    #[test]
    fn a_state_comes_back_and_the_later_one_counts() {
        let mut file = vec![0; FILE_BYTES];
        assert!(State::newest(&file).is_none());
        file[SLOTS[1]..SLOTS[1] + SLOT_BYTES].copy_from_slice(&*state(5).encode());
        let (back, slot) = State::newest(&file).unwrap();
        assert_eq!((back.generation, back.journal, back.made, slot), (5, [7; 16], Made::Alone, 1));
        assert_eq!((back.key.epoch(), *back.key.secret()), (4, [9; 32]));
        assert_eq!(back.tail, state(5).tail);
        file[SLOTS[0]..SLOT_BYTES].copy_from_slice(&*state(6).encode());
        assert_eq!(State::newest(&file).unwrap().1, 0);
        assert_eq!(State::newest(&file[..SLOT_BYTES]).unwrap().1, 0);
    }

    #[test]
    fn no_flipped_byte_and_no_short_slot_is_a_state() {
        let slot = state(1).encode();
        for at in 0..USED {
            let mut other = slot.to_vec();
            other[at] ^= 1;
            assert!(State::decode(&other).is_none(), "byte {at}");
            assert!(State::decode(&slot[..at]).is_none());
        }
    }
}
