//! The writer: frames onto the disk, one after the other, and the order in which that is safe.
//!
//! Invariants, each the reason why a crash between any two lines costs nothing that was acknowledged:
//!
//! 1. A write is one frame, and is on the disk (fdatasync) before the next one begins: only the last frame can
//!    be unfinished.
//! 2. The end of an epoch is on the disk before the key moves on: a key is never ahead of its segment, and
//!    one that lags walks after it. A state is kept behind ends of epochs, and behind the start of a segment.
//! 3. A segment's file gets its name when its first frame is on the disk, and its room is reserved before the
//!    segment before it ends: the frame that says what was removed can always be written.
//! 4. What is removed was named in a gap that is on the disk; what is packed is on the disk before what it was
//!    packed from goes. A crash in between leaves too much, never too little.
//! 5. After a failed fsync nothing is believed any more: the writer stops, and the next one writes again
//!    what came after the last state that was kept.
//! 6. A segment begins with a gap that names all that was ever removed: the last one is enough.

use std::collections::BTreeMap;

use crypto::journal::frame::{Sealer, Span, Stamp};
use crypto::journal::state::Tail;

use super::disk::{Disk, Handle, How};
use super::error::{Error, is_full, on};
use super::key::KeyFile;
use super::room::Closed;
use super::segments;
use super::{Options, WRITE_BYTES_MAX};

/// The file that will be the next segment.
pub(super) const NEXT: &str = "next";
/// Most bytes that may follow the last batch of a segment: the ends of epoch and segment, and gaps.
const ROOM_BYTES: u64 = 64 << 10;

/// Records that were encoded for the segment that is open.
pub(super) struct Batch {
    pub bytes: Vec<u8>,
    pub count: u32,
    /// Those that come after them were encoded for the next segment.
    pub rotate: bool,
}

/// The end of a journal, on a disk.
pub(super) struct Writer {
    pub(super) disk: Box<dyn Disk>,
    pub(super) options: Options,
    pub(super) key: KeyFile,
    pub(super) sealer: Sealer,
    pub(super) live: Box<dyn Handle>,
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The first record of the epoch that is open, and when it began.
    pub(super) epoch_record: u64,
    pub(super) epoch_began_us: u64,
    /// Segments that are not written any more.
    pub(super) closed: BTreeMap<u64, Closed>,
    /// Segments that were ever removed.
    pub(super) removed: Vec<Span>,
    /// What could not be packed or removed: nothing is lost by it but room.
    pub(super) left_over: u64,
    pub(super) buffer: Vec<u8>,
}

impl Writer {
    /// Writes a batch; ends epoch and segment where that is due. Returns when all is on the disk.
    pub fn commit(&mut self, batch: &Batch, now: Stamp) -> Result<(), Error> {
        if batch.count > 0 {
            self.put(now, &|sealer, out| sealer.records(batch.count, &batch.bytes, now, out))?;
        }
        if batch.rotate {
            self.rotate(now)
        } else if self.epoch_is_due(now) {
            self.end_epoch(now)
        } else {
            Ok(())
        }
    }

    fn epoch_is_due(&mut self, now: Stamp) -> bool {
        // The clock began anew: so does the epoch's time.
        self.epoch_began_us = self.epoch_began_us.min(now.mono_us);
        let records = self.sealer.record() - self.epoch_record;
        records >= self.options.epoch_records
            || now.mono_us - self.epoch_began_us >= self.options.epoch_us
    }

    /// Ends the epoch, with records or without, and forgets its key.
    pub fn end_epoch(&mut self, now: Stamp) -> Result<(), Error> {
        self.may_go_on()?;
        self.put(now, &|sealer, out| sealer.end_epoch(now, out))?;
        self.save(now)
    }

    /// Ends epoch and segment, and begins the next one.
    fn rotate(&mut self, now: Stamp) -> Result<(), Error> {
        self.reserve_next(now)?;
        self.end_epoch(now)?;
        self.put(now, &|sealer, out| sealer.end(now, out))?;
        // What was reserved behind its end is free again; where that fails, packing frees it.
        let _ = self.live.truncate(self.offset);
        self.closed.insert(self.segment, Closed::raw(self.offset));
        self.begin(self.segment + 1, now)?;
        self.pack_closed();
        self.keep_budget(now)
    }

    fn may_go_on(&self) -> Result<(), Error> {
        match self.sealer.key().epoch() < crypto::chain::EPOCHS_MAX {
            true => Ok(()),
            false => Err(Error::Epochs),
        }
    }

    /// Keeps the key of the epoch that begins, and how far the journal is on the disk.
    pub(super) fn save(&mut self, now: Stamp) -> Result<(), Error> {
        self.epoch_record = self.sealer.record();
        self.epoch_began_us = now.mono_us;
        self.key.save(self.sealer.key(), self.tail())
    }

    fn tail(&self) -> Tail {
        Tail {
            segment: self.segment,
            offset: self.offset,
            number: self.sealer.number(),
            record: self.sealer.record(),
            head: *self.sealer.head(),
        }
    }

    /// The name of the segment that is open.
    pub(super) fn name(&self) -> String {
        segments::name(self.segment)
    }

    /// Seals frames and writes them; on a full disk makes room and tries again.
    pub(super) fn put(
        &mut self,
        now: Stamp,
        seal: &dyn Fn(&mut Sealer, &mut Vec<u8>),
    ) -> Result<(), Error> {
        loop {
            match self.put_once(seal)? {
                Put::Done => return Ok(()),
                // Each round removes a segment, or ends.
                Put::Full(error) => {
                    let needed = self.buffer.len() as u64 + ROOM_BYTES;
                    if !self.make_room(needed, now)? {
                        return on(&self.name(), "writing", Err(error));
                    }
                }
            }
        }
    }

    /// Seals frames and writes them. Where the disk is full, everything is as it was before.
    pub(super) fn put_once(
        &mut self,
        seal: &dyn Fn(&mut Sealer, &mut Vec<u8>),
    ) -> Result<Put, Error> {
        let before = self.sealer.mark();
        self.buffer.clear();
        seal(&mut self.sealer, &mut self.buffer);
        match self.live.write(self.offset, &self.buffer) {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.sealer = before;
                // Not a sync that failed: these bytes were never said to be there.
                on(&self.name(), "cutting", self.live.truncate(self.offset))?;
                self.reserve_rest();
                return Ok(Put::Full(error));
            }
            Err(error) => return on(&self.name(), "writing", Err(error)),
        }
        on(&self.name(), "syncing", self.live.sync())?;
        self.offset += self.buffer.len() as u64;
        Ok(Put::Done)
    }

    /// How much a segment may take in all.
    fn reserved_bytes(&self) -> u64 {
        self.options.segment_bytes + WRITE_BYTES_MAX + ROOM_BYTES
    }

    /// Keeps room for the rest of the segment. Where the file system cannot, or has none, each write sees.
    pub(super) fn reserve_rest(&self) {
        let _ = self.live.reserve(self.reserved_bytes());
    }

    /// Makes the file of the next segment, with its room, while this one can still say what was removed.
    fn reserve_next(&mut self, now: Stamp) -> Result<(), Error> {
        let bytes = self.reserved_bytes();
        loop {
            let made = match self.disk.open(NEXT, How::Create) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    self.disk.open(NEXT, How::Write)
                }
                made => made,
            };
            let full = match made {
                Ok(next) => match next.reserve(bytes) {
                    Err(error) if is_full(&error) => error,
                    // Other errors: it cannot reserve, and each write sees.
                    _ => return Ok(()),
                },
                Err(error) if is_full(&error) => error,
                Err(error) => return on(NEXT, "making", Err(error)),
            };
            // Not all at once: what is missing may be little.
            if !self.make_room(bytes / 8, now)? {
                return on(NEXT, "reserving", Err(full));
            }
        }
    }

    /// Begins a segment: its first frame is on the disk before it has its name.
    pub(super) fn begin(&mut self, number: u64, now: Stamp) -> Result<(), Error> {
        let next = match self.disk.open(NEXT, How::Write) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.disk.open(NEXT, How::Create)
            }
            opened => opened,
        };
        let next = on(NEXT, "opening", next)?;
        if on(NEXT, "opening", next.length())? > 0 {
            // An earlier writer did not come further.
            on(NEXT, "cutting", next.truncate(0))?;
            let _ = next.reserve(self.reserved_bytes());
        }
        self.buffer.clear();
        self.sealer.begin(self.key.journal, number, now, &mut self.buffer);
        on(NEXT, "writing", next.write(0, &self.buffer))?;
        on(NEXT, "syncing", next.sync())?;
        let name = segments::name(number);
        on(&name, "renaming", self.disk.rename(NEXT, &name))?;
        on(&name, "syncing the directory", self.disk.sync())?;
        (self.live, self.segment, self.offset) = (next, number, self.buffer.len() as u64);
        self.reserve_rest();
        self.save(now)?;
        if self.removed.is_empty() {
            return Ok(());
        }
        // The gaps before it may go with their segments.
        let removed = self.removed.clone();
        self.put(now, &|sealer, out| sealer.gap(&removed, now, out))
    }
}

/// What came of a write.
pub(super) enum Put {
    /// It is on the disk.
    Done,
    /// The disk is full, and nothing was written.
    Full(std::io::Error),
}
