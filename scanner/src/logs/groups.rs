//! The groups of a correlation in little memory: 32 bytes for a group of one event.
//!
//! A group is known by the keyed hash of its values, never by the values themselves; times are seconds
//! from the table's own beginning. What a group remembers of its window is a short list of pairs (what,
//! when): one pair fits into the group, longer lists have a place of their own. The table grows in small
//! pieces, so that growing does not need its memory twice. When it has to give way, the groups that are
//! quiet for longest go first, and those that fired last; the caller counts them.

use std::hash::{BuildHasher, Hasher};

/// Pieces of the table that grow on their own.
const SHARDS: usize = 64;
/// Smallest size of a piece that is not empty.
const SHARD_SLOTS_MIN: usize = 8;
/// A pair: what, and when.
pub(super) type Pair = (u32, u32);

/// One group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    key: u64,
    /// First event.
    pub(super) first: u32,
    /// Latest event since the window last began anew.
    pub(super) newest: u32,
    /// Events.
    pub(super) count: u32,
    flags: u32,
    pair: Pair,
}

const FIRED: u32 = 1;
const FRESH: u32 = 2;
const ONE_PAIR: u32 = 4;
const LISTED: u32 = 8;

impl Group {
    /// Whether it fired before.
    pub(super) fn has_fired(&self) -> bool {
        self.flags & FIRED != 0
    }

    /// Notes that it fired.
    pub(super) fn fire(&mut self) {
        self.flags |= FIRED;
    }

    /// Whether some of its events are new.
    pub(super) fn is_fresh(&self) -> bool {
        self.flags & FRESH != 0
    }

    /// Notes that an event is new.
    pub(super) fn freshen(&mut self) {
        self.flags |= FRESH;
    }
}

/// All groups of one correlation.
#[derive(Default)]
pub(super) struct Groups {
    shards: Vec<Shard>,
    lists: Vec<Vec<Pair>>,
    free: Vec<u32>,
    /// Bytes of the lists.
    listed: usize,
    slots: usize,
    held: usize,
}

/// Where a group is, until another one comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    shard: usize,
    slot: usize,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Group>,
    used: usize,
}

impl Groups {
    /// Bytes that it holds, nearly.
    pub(super) fn bytes(&self) -> usize {
        self.slots * size_of::<Group>() + self.lists.len() * size_of::<Vec<Pair>>() + self.listed
    }

    /// Groups that it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held
    }

    /// The group of a key and where it is; `true` when it is new.
    pub(super) fn entry(&mut self, key: u64) -> (Place, bool, &mut Group) {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, Shard::default);
        }
        // 0 marks a free slot.
        let key = key.max(1);
        let number = (key >> 58) as usize;
        let shard = &mut self.shards[number];
        if (shard.used + 1) * 8 > shard.slots.len() * 7 {
            let before = shard.slots.len();
            shard.grow();
            self.slots += shard.slots.len() - before;
        }
        let at = shard.place(key);
        let slot = &mut shard.slots[at];
        let new = slot.key == 0;
        if new {
            *slot = Group { key, ..Group::default() };
            shard.used += 1;
            self.held += 1;
        }
        (Place { shard: number, slot: at }, new, slot)
    }

    /// The pairs of a group, appended to `into`.
    pub(super) fn pairs(&self, group: &Group, into: &mut Vec<Pair>) {
        if group.flags & ONE_PAIR != 0 {
            into.push(group.pair);
        } else if group.flags & LISTED != 0
            && let Some(list) = self.lists.get(group.pair.0 as usize)
        {
            into.extend_from_slice(list);
        }
    }

    /// Replaces the pairs of a group, which is where [`Self::entry`] has just said.
    pub(super) fn keep(&mut self, place: Place, pairs: &[Pair]) {
        let shard = self.shards.get_mut(place.shard);
        let Some(group) = shard.and_then(|shard| shard.slots.get_mut(place.slot)) else { return };
        let listed = (group.flags & LISTED != 0).then_some(group.pair.0);
        group.flags &= !(ONE_PAIR | LISTED);
        match pairs {
            [] | [_] => {
                if let Some(pair) = pairs.first() {
                    group.pair = *pair;
                    group.flags |= ONE_PAIR;
                }
                if let Some(list) = listed {
                    self.listed -= self.lists[list as usize].capacity() * size_of::<Pair>();
                    self.lists[list as usize] = Vec::new();
                    self.free.push(list);
                }
            }
            _ => {
                let place = listed.or_else(|| self.free.pop()).unwrap_or_else(|| {
                    self.lists.push(Vec::new());
                    u32::try_from(self.lists.len() - 1).unwrap_or(u32::MAX)
                });
                let list = &mut self.lists[place as usize];
                let before = list.capacity();
                list.clear();
                if pairs.len() > before {
                    list.reserve_exact(pairs.len());
                }
                list.extend_from_slice(pairs);
                self.listed += (list.capacity() - before) * size_of::<Pair>();
                group.pair = (place, 0);
                group.flags |= LISTED;
            }
        }
    }

    /// Drops about half of the groups: first those that have not fired, then by how long they are
    /// quiet. `drop` is told their keys.
    pub(super) fn make_room(&mut self, mut drop: impl FnMut(u64)) -> u64 {
        let rank = |group: &Group| u64::from(group.has_fired()) << 32 | u64::from(group.newest);
        let all = self.shards.iter().flat_map(|shard| &shard.slots).filter(|slot| slot.key != 0);
        let mut ranks: Vec<u64> = all.map(rank).collect();
        if ranks.is_empty() {
            return 0;
        }
        let middle = ranks.len() / 2;
        let (below, cutoff, _) = ranks.select_nth_unstable(middle);
        let cutoff = *cutoff;
        // Groups of the same second go or stay together, so that the result depends on nothing else.
        let ties = below.iter().filter(|rank| **rank < cutoff).count() < middle / 2;
        let goes = |group: &Group| rank(group) < cutoff || (ties && rank(group) == cutoff);
        let mut dropped = 0;
        for shard in &mut self.shards {
            let old = std::mem::take(&mut shard.slots);
            let stay = old.iter().filter(|group| group.key != 0 && !goes(group)).count();
            // Smaller, or the next look would find as many bytes as this one.
            let size = (stay + stay / 4).max(SHARD_SLOTS_MIN).min(old.len());
            self.slots -= old.len() - size;
            shard.used = 0;
            shard.slots = vec![Group::default(); size];
            for group in old.into_iter().filter(|group| group.key != 0) {
                if goes(&group) {
                    dropped += 1;
                    drop(group.key);
                    if group.flags & LISTED != 0 {
                        let list = &mut self.lists[group.pair.0 as usize];
                        self.listed -= list.capacity() * size_of::<Pair>();
                        *list = Vec::new();
                        self.free.push(group.pair.0);
                    }
                    continue;
                }
                let at = shard.place(group.key);
                shard.slots[at] = group;
                shard.used += 1;
            }
        }
        self.held -= usize::try_from(dropped).unwrap_or(self.held);
        dropped
    }
}

impl Shard {
    /// Where a key is, or would be: there is always a free slot.
    fn place(&self, key: u64) -> usize {
        // The upper bits chose the shard; the next ones choose the slot, without a power of two.
        let spread = u128::from(key << 6) * self.slots.len() as u128;
        let mut at = (spread >> 64) as usize;
        while self.slots[at].key != 0 && self.slots[at].key != key {
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
        at
    }

    fn grow(&mut self) {
        let size = (self.slots.len() + self.slots.len() / 4).max(SHARD_SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![Group::default(); size]);
        for group in old.into_iter().filter(|group| group.key != 0) {
            let at = self.place(group.key);
            self.slots[at] = group;
        }
    }
}

/// For keys that are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hashed;

/// Takes the last number written as the hash.
#[derive(Default)]
pub(super) struct HashedState(u64);

impl BuildHasher for Hashed {
    type Hasher = HashedState;

    fn build_hasher(&self) -> HashedState {
        HashedState::default()
    }
}

impl Hasher for HashedState {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mixed(self.0, value);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
}

/// Two hashes as one.
pub(super) fn mixed(one: u64, other: u64) -> u64 {
    let product = u128::from(one.rotate_left(29) ^ other) * 0x9e37_79b9_7f4a_7c15_u128;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> u64 {
        mixed(7, number)
    }

    #[test]
    fn groups_are_found_again_with_their_pairs() {
        let mut groups = Groups::default();
        for round in 1..=3_u32 {
            for number in 0..5_000 {
                let (place, new, group) = groups.entry(key(number));
                assert_eq!(new, round == 1);
                group.count += 1;
                assert_eq!(group.count, round);
                let group = *group;
                let mut pairs = Vec::new();
                groups.pairs(&group, &mut pairs);
                assert_eq!(pairs.len(), round as usize - 1, "{number}");
                pairs.push((number as u32, round));
                groups.keep(place, &pairs);
            }
        }
        assert_eq!(groups.len(), 5_000);
        for number in 0..5_000 {
            let (place, ..) = groups.entry(key(number));
            groups.keep(place, &[]);
        }
        assert_eq!(groups.listed, 0);
    }

    #[test]
    fn a_million_groups_of_one_event_take_less_than_48_megabytes() {
        let mut groups = Groups::default();
        let mut most = 0;
        for number in 0..1_000_000 {
            let (place, _, group) = groups.entry(key(number));
            group.count = 1;
            groups.keep(place, &[(1, 2)]);
            most = most.max(groups.bytes());
        }
        assert!(most < 48 << 20, "{most}");
    }

    #[test]
    fn the_quietest_give_way_first_and_what_fired_last() {
        let mut groups = Groups::default();
        for number in 0..1000_u32 {
            let (.., group) = groups.entry(key(u64::from(number)));
            group.newest = number / 10;
            if number < 100 {
                group.fire();
            }
        }
        let mut gone = Vec::new();
        let before = groups.bytes();
        let dropped = groups.make_room(|key| gone.push(key));
        assert!(groups.bytes() < before * 3 / 4, "{} of {before}", groups.bytes());
        assert_eq!((dropped as usize, groups.len()), (gone.len(), 1000 - gone.len()));
        assert!((400..=600).contains(&gone.len()), "{}", gone.len());
        for number in 0..1000_u64 {
            let stays = number < 100 || number >= 100 + gone.len() as u64;
            assert_eq!(groups.entry(key(number)).1, !stays, "{number}");
        }
    }
}
