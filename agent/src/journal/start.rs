//! Making a journal, and going on with one: what a crash at any point left is brought into order.
//!
//! The order of things found: the key's state, which is never ahead of the segments unless somebody cut them;
//! then what was written after it, which the state's key proves; then an unfinished write, which is cut off, and
//! said in the frame that follows. What does not hold otherwise is left as it is, for verification to name, and
//! the journal goes on in a new segment: whoever damages a byte does not stop the record.

use std::collections::BTreeMap;

use crypto::chain::{BYTES, EpochKey, Head};
use crypto::journal::frame::{Open, Sealer, Span, Stamp};
use crypto::journal::read;
use crypto::journal::resume::{Rest, walk};
use crypto::journal::state::{Made, State, Tail};
use zeroize::Zeroizing;

use super::disk::{Disk, Handle, How};
use super::error::{Error, on};
use super::key::{self, KeyFile};
use super::room::Closed;
use super::segments::{self, Bytes, Forms, is_trouble};
use super::write::{NEXT, Writer};
use super::{Options, WRITE_BYTES_MAX};

/// Makes a journal in an empty directory. `first` is its first key, which verifies it: the epoch that it is
/// for ends here, so that this directory never holds it.
pub fn create(
    disk: &dyn Disk,
    first: Zeroizing<[u8; BYTES]>,
    journal: [u8; 16],
    made: Made,
    now: Stamp,
) -> Result<(), Error> {
    let mut sealer = Sealer::new(EpochKey::first(first), Head::default(), 0, 0);
    let mut bytes = Vec::new();
    sealer.begin(journal, 0, now, &mut bytes);
    sealer.end_epoch(now, &mut bytes);
    let name = segments::name(0);
    let names = on(".", "listing", disk.names())?;
    for (number, forms) in segments::among(&names) {
        // What an earlier attempt left holds no record; anything else is not ours to remove.
        let left = number == 0 && !forms.packed && !names.iter().any(|name| name == key::NAME);
        if !left || on(&name, "reading", segments::bytes(disk, &name))?.len() != bytes.len() {
            return Err(Error::Exists);
        }
        on(&name, "removing", disk.remove(&name))?;
    }
    if names.iter().any(|name| name == key::NAME) {
        return Err(Error::Exists);
    }
    if names.iter().any(|name| name == NEXT) {
        on(NEXT, "removing", disk.remove(NEXT))?;
    }
    let file = on(NEXT, "making", disk.open(NEXT, How::Create))?;
    on(NEXT, "writing", file.write(0, &bytes))?;
    on(NEXT, "syncing", file.sync())?;
    on(&name, "renaming", disk.rename(NEXT, &name))?;
    let tail = Tail {
        segment: 0,
        offset: bytes.len() as u64,
        number: sealer.number(),
        record: 0,
        head: *sealer.head(),
    };
    let key = EpochKey::at(sealer.key().epoch(), Zeroizing::new(*sealer.key().secret()));
    KeyFile::create(disk, &State { generation: 1, journal, made, key, tail })
}

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of an unfinished write that were cut off.
    pub torn_bytes: u64,
    /// What does not hold: the journal goes on, and verification will name it.
    pub damage: Option<String>,
    /// Nobody has the key that verifies this journal.
    pub without_verify_key: bool,
}

/// What the walk found.
struct Reached {
    tail: Tail,
    key: EpochKey,
    rest: Rest,
    /// Where in the last segment what the state did not know of begins.
    unsaved_from: u64,
}

/// Opens a journal to be written.
pub(super) fn open(
    disk: Box<dyn Disk>,
    options: Options,
    boot: [u8; 16],
    now: Stamp,
) -> Result<(Writer, Opened), Error> {
    let (key, state) = KeyFile::open(&*disk)?;
    // A name whose directory was not synced is written again here, like bytes below.
    on(".", "syncing the directory", disk.sync())?;
    let names = on(".", "listing", disk.names())?;
    for name in names.iter().filter(|name| name.ends_with(".tmp")) {
        on(name, "removing", disk.remove(name))?;
    }
    let found = segments::among(&names);
    let known = state.tail;
    let mut opened = Opened { without_verify_key: key.made == Made::Alone, ..Opened::default() };
    let reached = reach(&*disk, &found, state)?;
    let closed = closed(&*disk, &found, &reached)?;
    let removed = removed(&*disk, &found, reached.tail.segment);
    let live: Box<dyn Handle> = match reached.rest {
        Rest::Clean | Rest::Torn(_) => mend(&*disk, &reached, &mut opened)?,
        // A new segment follows; until then nothing is written here.
        Rest::Ended | Rest::Damaged => Box::new(Nowhere),
    };
    let Reached { tail, key: epoch_key, rest, .. } = reached;
    let mut writer = Writer {
        disk,
        options,
        key,
        sealer: Sealer::new(epoch_key, tail.head, tail.number, tail.record),
        live,
        segment: tail.segment,
        offset: tail.offset,
        epoch_record: tail.record,
        epoch_began_us: now.mono_us,
        closed,
        removed,
        left_over: 0,
        buffer: Vec::new(),
    };
    match rest {
        Rest::Clean | Rest::Torn(_) => writer.reserve_rest(),
        Rest::Ended => writer.begin(tail.segment + 1, now)?,
        Rest::Damaged => {
            let at = format!("{} at byte {}", segments::name(tail.segment), tail.offset);
            opened.damage = Some(at);
            let free = (tail.segment + 1..).find(|number| !found.contains_key(number));
            writer.begin(free.unwrap_or(u64::MAX), now)?;
        }
    }
    let open = Open { boot, torn_bytes: opened.torn_bytes };
    writer.put(now, &|sealer, out| sealer.open(&open, now, out))?;
    match tail == known {
        // Nothing but this frame: the epoch goes on.
        true => writer.save(now)?,
        false => writer.end_epoch(now)?,
    }
    writer.pack_closed();
    writer.keep_budget(now)?;
    Ok((writer, opened))
}

/// Walks from the state to the end of what holds.
fn reach(disk: &dyn Disk, found: &BTreeMap<u64, Forms>, state: State) -> Result<Reached, Error> {
    let State { mut tail, mut key, journal, .. } = state;
    let mut unsaved_from = tail.offset;
    loop {
        let number = tail.segment;
        let bytes = match found.get(&number).map(|forms| segments::read(disk, number, *forms)) {
            Some(Ok(Bytes::Whole(bytes))) => bytes,
            // The disk's trouble says nothing about the journal: it is opened when that is over.
            Some(Err(error)) if is_trouble(&error) => {
                return on(&segments::name(number), "reading", Err(error));
            }
            // Not there, not readable, or two that differ: nothing to go on from.
            _ => return Ok(Reached { tail, key, rest: Rest::Damaged, unsaved_from }),
        };
        let mut rest = walk(&bytes, journal, &mut tail, &mut key);
        let goes_on = matches!(rest, Rest::Clean | Rest::Torn(_));
        if goes_on && !found.get(&number).is_some_and(|forms| forms.raw) {
            // Only what has ended is packed.
            rest = Rest::Damaged;
        }
        if matches!(rest, Rest::Torn(torn) if torn > WRITE_BYTES_MAX) {
            // No single write is that long.
            rest = Rest::Damaged;
        }
        let next = number + 1;
        if rest != Rest::Ended || !found.contains_key(&next) {
            return Ok(Reached { tail, key, rest, unsaved_from });
        }
        (tail.segment, tail.offset, unsaved_from) = (next, 0, 0);
    }
}

/// What was ever removed, as the last gap says: in the last segment, or, where a crash came right after that
/// began, in the one before it. A gap that is forged does not hold when it is verified.
fn removed(disk: &dyn Disk, found: &BTreeMap<u64, Forms>, last: u64) -> Vec<Span> {
    for number in [Some(last), last.checked_sub(1)].into_iter().flatten() {
        let forms = found.get(&number).copied().unwrap_or_default();
        if let Ok(Bytes::Whole(bytes)) = segments::read(disk, number, forms) {
            let removed = read::removed(&bytes);
            if !removed.is_empty() {
                return removed;
            }
        }
    }
    Vec::new()
}

/// All segments but the one that goes on.
fn closed(
    disk: &dyn Disk,
    found: &BTreeMap<u64, Forms>,
    reached: &Reached,
) -> Result<BTreeMap<u64, Closed>, Error> {
    let goes_on = matches!(reached.rest, Rest::Clean | Rest::Torn(_));
    let others = found.iter().filter(|(number, _)| !goes_on || **number != reached.tail.segment);
    let mut closed = BTreeMap::new();
    for (number, forms) in others {
        match Closed::of(disk, *number, *forms) {
            Ok(one) => drop(closed.insert(*number, one)),
            Err(error) if is_trouble(&error) => {
                return on(&segments::name(*number), "reading", Err(error));
            }
            // Not a file: it is not ours to pack or remove.
            Err(_) => {}
        }
    }
    Ok(closed)
}

/// Cuts off an unfinished write, and writes again what an fsync that failed may have left in memory only.
fn mend(disk: &dyn Disk, reached: &Reached, opened: &mut Opened) -> Result<Box<dyn Handle>, Error> {
    let name = segments::name(reached.tail.segment);
    let live = on(&name, "opening", disk.open(&name, How::Write))?;
    let end = reached.tail.offset;
    if let Rest::Torn(bytes) = reached.rest {
        opened.torn_bytes = bytes;
        on(&name, "cutting", live.truncate(end))?;
    }
    let from = reached.unsaved_from;
    if end > from {
        let bytes = on(&name, "reading", live.read(from, end - from))?;
        on(&name, "writing", live.write(from, &bytes))?;
    }
    on(&name, "syncing", live.sync())?;
    Ok(live)
}

/// No file: where a segment has ended and the next one has not begun.
struct Nowhere;

impl Handle for Nowhere {
    fn length(&self) -> std::io::Result<u64> {
        Ok(0)
    }

    fn read(&self, _: u64, _: u64) -> std::io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn write(&self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::Error::other("no segment is open"))
    }

    fn sync(&self) -> std::io::Result<()> {
        Err(std::io::Error::other("no segment is open"))
    }

    fn truncate(&self, _: u64) -> std::io::Result<()> {
        Err(std::io::Error::other("no segment is open"))
    }

    fn reserve(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> std::io::Result<bool> {
        Ok(false)
    }
}
