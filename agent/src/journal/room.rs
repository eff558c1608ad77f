//! Room: closed segments are packed, and when the disk or the budget is full, the least grave go first.
//!
//! What goes is named in a gap before it goes, and in one at the start of every segment after that. Order: segments whose gravest record is below high, then
//! those with high ones, then those with critical ones; the oldest first among equals. The segment that is being
//! written never goes.

use std::cmp::Reverse;
use std::io;

use crypto::journal::frame::{Removed, Span, Stamp};
use crypto::journal::packed::{self, HEADER_BYTES, Label};
use crypto::journal::read;

use super::disk::{Disk, How};
use super::error::{Error, on};
use super::segments::{self, Forms, name, packed_name};
use super::write::{Put, Writer};

/// A segment while it is packed.
const PACKING: &str = "pack.tmp";
/// Most segments that go at once.
const VICTIMS_MAX: usize = 10_000;

/// A segment that is not written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// Bytes on the disk.
    pub bytes: u64,
    /// The highest level of its records; what cannot be read counts as the highest.
    pub level: u8,
    /// Its records.
    pub from: u64,
    /// The number after its last one.
    pub to: u64,
    /// Under which names it is there.
    pub forms: Forms,
    /// It cannot be packed: it is damaged, and stays as it is.
    pub stays: bool,
}

impl Closed {
    /// One that was just written; its level is known when it is packed.
    pub fn raw(bytes: u64) -> Self {
        let forms = Forms { raw: true, packed: false };
        Self { bytes, level: 4, from: 0, to: 0, forms, stays: false }
    }

    /// One that is on the disk.
    pub fn of(disk: &dyn Disk, number: u64, forms: Forms) -> io::Result<Self> {
        let mut closed = Self { forms, ..Self::raw(0) };
        if forms.raw {
            closed.bytes += disk.open(&name(number), How::Read)?.length()?;
        }
        if forms.packed {
            let file = disk.open(&packed_name(number), How::Read)?;
            closed.bytes += file.length()?;
            let label = Label::decode(&file.read(0, HEADER_BYTES as u64)?);
            closed.stays = label.is_err();
            if let Ok(label) = label {
                (closed.level, closed.from, closed.to) = (label.level, label.from, label.to);
            }
        }
        Ok(closed)
    }

    /// Which go first.
    fn class(&self) -> u8 {
        self.level.saturating_sub(2)
    }
}

impl Writer {
    /// Packs what is closed and is not packed yet. What fails stays as it is, and is tried again later.
    pub(super) fn pack_closed(&mut self) {
        let waiting: Vec<u64> = self
            .closed
            .iter()
            .filter(|(_, closed)| closed.forms.raw && !closed.stays)
            .map(|(number, _)| *number)
            .collect();
        for number in waiting {
            let closed = self.closed[&number];
            match pack(&*self.disk, number, closed) {
                Ok(closed) => {
                    self.closed.insert(number, closed);
                }
                Err(_) => {
                    let _ = self.disk.remove(PACKING);
                    self.left_over += 1;
                }
            }
        }
    }

    /// Removes what is over the budget.
    pub(super) fn keep_budget(&mut self, now: Stamp) -> Result<(), Error> {
        let all: u64 = self.closed.values().map(|closed| closed.bytes).sum();
        let over = (all + self.offset).saturating_sub(self.options.budget_bytes);
        if over > 0 {
            self.make_room(over, now)?;
        }
        Ok(())
    }

    /// Removes segments of so many bytes in all; `false` where there is none left to remove.
    pub(super) fn make_room(&mut self, bytes: u64, now: Stamp) -> Result<bool, Error> {
        let mut order: Vec<u64> = self.closed.keys().copied().collect();
        // From the end: those that go first.
        order.sort_by_key(|number| Reverse((self.closed[number].class(), *number)));
        let (mut victims, mut freed) = (Vec::new(), 0);
        while freed < bytes.max(1) && victims.len() < VICTIMS_MAX {
            let Some(number) = order.pop() else { break };
            freed += self.closed[&number].bytes;
            victims.push(number);
        }
        if victims.is_empty() {
            return Ok(false);
        }
        let mut removed = self.removed.clone();
        for number in &victims {
            Span::from(self.removed(*number)).add(&mut removed);
        }
        if let Put::Full(error) = self.put_once(&|sealer, out| sealer.gap(&removed, now, out))? {
            return on(&self.name(), "writing what is removed", Err(error));
        }
        self.removed = removed;
        for number in victims {
            self.remove(number);
        }
        Ok(true)
    }

    fn removed(&self, segment: u64) -> Removed {
        let closed = self.closed[&segment];
        let (from, to) = match closed.forms.packed {
            true => (closed.from, closed.to),
            // Not packed yet: what is in it has to be read.
            false => segments::bytes(&*self.disk, &name(segment)).map_or((0, 0), |bytes| {
                let contents = read::segment(&bytes, |_, _| {});
                (contents.from, contents.to)
            }),
        };
        Removed { segment, from, to }
    }

    /// Takes a segment away that a gap has named. What cannot be removed is no longer ours to count.
    fn remove(&mut self, number: u64) {
        let Some(closed) = self.closed.remove(&number) else { return };
        let raw = closed.forms.raw.then(|| name(number));
        let packed = closed.forms.packed.then(|| packed_name(number));
        for name in raw.into_iter().chain(packed) {
            if self.disk.remove(&name).is_err() {
                self.left_over += 1;
            }
        }
    }
}

/// Packs one segment: the packed one is on the disk before the other goes.
fn pack(disk: &dyn Disk, number: u64, closed: Closed) -> io::Result<Closed> {
    let (raw, packed) = (name(number), packed_name(number));
    let bytes = segments::bytes(disk, &raw)?;
    if closed.forms.packed {
        // A crash came after packing. Only what is there twice may go.
        let twice = packed::unpack(&segments::bytes(disk, &packed)?).is_ok_and(|one| one == bytes);
        if !twice {
            return Ok(Closed { stays: true, ..closed });
        }
    } else {
        let Some(all) = packed::pack(&bytes) else {
            return Ok(Closed { stays: true, ..closed });
        };
        let _ = disk.remove(PACKING);
        let file = disk.open(PACKING, How::Create)?;
        file.write(0, &all)?;
        file.sync()?;
        disk.rename(PACKING, &packed)?;
        disk.sync()?;
    }
    disk.remove(&raw)?;
    Closed::of(disk, number, Forms { raw: false, packed: true })
}
