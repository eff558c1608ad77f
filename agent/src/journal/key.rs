//! The key's file: what the writer keeps between two runs, in two slots that take turns.
//!
//! Invariants: at every moment one slot holds a whole state; what a state says was on the disk before
//! the state is; and when [`KeyFile::save`] returns, the state before it, and its secret, has been overwritten
//! with zeros where it stood. The file is written in place and never grows: a full disk does not stop it.
//! On file systems that copy on write, on flash, and in snapshots an old secret may live on; then a thief of the
//! disk could forge what came after it, not what came before.

use crypto::chain::EpochKey;
use crypto::journal::state::{FILE_BYTES, Made, SLOT_BYTES, SLOTS, State, Tail};
use zeroize::Zeroizing;

use super::disk::{Disk, Handle, How};
use super::error::{Error, on};

/// Name of the file.
pub const NAME: &str = "key";
/// Its name while it is made.
const NEW: &str = "key.tmp";

/// The open file, locked: one writer at a time.
pub struct KeyFile {
    file: Box<dyn Handle>,
    slot: usize,
    generation: u64,
    /// The journal's random name.
    pub journal: [u8; 16],
    /// Who made it.
    pub made: Made,
}

impl KeyFile {
    /// Makes the file of a new journal. `state` is what its first segment ends with.
    pub fn create(disk: &dyn Disk, state: &State) -> Result<(), Error> {
        if let Err(error) = disk.remove(NEW)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return on(NEW, "removing", Err(error));
        }
        let file = on(NEW, "making", disk.open(NEW, How::Create))?;
        let mut bytes = Zeroizing::new(vec![0; FILE_BYTES]);
        bytes[..SLOT_BYTES].copy_from_slice(&*state.encode());
        on(NEW, "writing", file.write(0, &bytes))?;
        on(NEW, "syncing", file.sync())?;
        on(NAME, "renaming", disk.rename(NEW, NAME))?;
        on(NAME, "syncing the directory", disk.sync())
    }

    /// Opens the file, takes its lock, and reads the last state.
    pub fn open(disk: &dyn Disk) -> Result<(Self, State), Error> {
        let file = match disk.open(NAME, How::Write) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::None),
            opened => on(NAME, "opening", opened)?,
        };
        if !on(NAME, "locking", file.lock())? {
            return Err(Error::Busy);
        }
        let (state, slot) = newest(&*file)?;
        let State { generation, journal, made, .. } = state;
        Ok((Self { file, slot, generation, journal, made }, state))
    }

    /// Keeps the key and how far the journal is on the disk; returns when the state before is erased.
    pub fn save(&mut self, key: &EpochKey, tail: Tail) -> Result<(), Error> {
        let key = EpochKey::at(key.epoch(), Zeroizing::new(*key.secret()));
        let generation = self.generation + 1;
        let state = State { generation, journal: self.journal, made: self.made, key, tail };
        let slot = 1 - self.slot;
        on(NAME, "writing", self.file.write(SLOTS[slot] as u64, &*state.encode()))?;
        on(NAME, "syncing", self.file.sync())?;
        on(NAME, "erasing", self.file.write(SLOTS[self.slot] as u64, &[0; SLOT_BYTES]))?;
        on(NAME, "syncing", self.file.sync())?;
        (self.slot, self.generation) = (slot, generation);
        Ok(())
    }
}

/// How often a state is looked for while a writer changes slots.
const PEEKS_MAX: usize = 20;

/// The last state of a journal, for whoever only reads it.
pub fn peek(disk: &dyn Disk) -> Result<State, Error> {
    let file = match disk.open(NAME, How::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::None),
        opened => on(NAME, "opening", opened)?,
    };
    let mut found = newest(&*file);
    for _ in 1..PEEKS_MAX {
        match found {
            Err(Error::Key) => found = newest(&*file),
            _ => break,
        }
    }
    Ok(found?.0)
}

fn newest(file: &dyn Handle) -> Result<(State, usize), Error> {
    let bytes = Zeroizing::new(on(NAME, "reading", file.read(0, FILE_BYTES as u64))?);
    State::newest(&bytes).ok_or(Error::Key)
}
