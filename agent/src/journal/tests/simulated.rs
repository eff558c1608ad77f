//! A disk in memory that counts its steps, fails the one it is told to, and loses what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use crate::journal::disk::{Disk, Handle, How};

const SECTOR: usize = 512;

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call fails; of a write a part is done.
    Fails(Errno),
    /// The power fails: this and everything after does not happen.
    PowerFails,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// As programs see it.
    seen: Vec<u8>,
    /// As it is on the disk.
    kept: Vec<u8>,
    /// Bytes that it takes at least.
    reserved: usize,
    /// Sectors written since the last sync, with what each held then; one that a failed sync has forgotten stays
    /// out of the next one.
    forgotten: Vec<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct Inside {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    kept_names: BTreeMap<String, usize>,
    steps: u64,
    fault: Option<(u64, Fault)>,
    is_down: bool,
    locked: Arc<()>,
    random: u64,
    /// Room for so many bytes in all; `None` for any.
    room: Option<usize>,
}

/// The disk; copies share it.
#[derive(Clone, Default)]
pub(super) struct Simulated(Arc<Mutex<Inside>>);

pub(super) struct Open {
    disk: Simulated,
    file: usize,
    lock: Mutex<Option<Arc<()>>>,
}

impl Simulated {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// From now on: fails at the step of this number, counted from here.
    pub(super) fn fail_at(&self, step: u64, fault: Fault) {
        let mut inside = self.inside();
        inside.steps = 0;
        inside.fault = Some((step, fault));
    }

    /// Whether the fault has come.
    pub(super) fn has_failed(&self) -> bool {
        let inside = self.inside();
        inside.fault.is_some_and(|(step, _)| inside.steps > step)
    }

    /// Bytes that fit in all.
    pub(super) fn set_room(&self, bytes: Option<usize>) {
        self.inside().room = bytes;
    }

    /// The power comes back: of what was not synced, each sector and name is there or not.
    pub(super) fn restart(&self, seed: u64) {
        let mut inside = self.inside();
        inside.fault = None;
        inside.is_down = false;
        inside.locked = Arc::default();
        inside.random = seed | 1;
        for at in 0..inside.files.len() {
            let mut file = std::mem::take(&mut inside.files[at]);
            let longest = file.seen.len().max(file.kept.len());
            // The length is there or not, too; a length without its bytes reads as zeros.
            let length = match inside.below(3) {
                0 => file.kept.len(),
                1 => file.seen.len(),
                _ => inside.below(longest as u64 + 1) as usize,
            };
            let length = if file.seen == file.kept { file.kept.len() } else { length };
            let mut after = file.kept.clone();
            after.resize(longest, 0);
            for from in (0..file.seen.len()).step_by(SECTOR) {
                let to = (from + SECTOR).min(file.seen.len());
                if after[from..to] != file.seen[from..to] && inside.below(2) == 0 {
                    after[from..to].copy_from_slice(&file.seen[from..to]);
                }
            }
            after.truncate(length.max(file.kept.len().min(file.seen.len())));
            (file.seen, file.kept) = (after.clone(), after);
            file.forgotten.clear();
            file.reserved = 0;
            inside.files[at] = file;
        }
        let now = inside.names.clone();
        let mut kept = inside.kept_names.clone();
        let all: Vec<String> = now.keys().chain(kept.keys()).cloned().collect();
        for name in all {
            if now.get(&name) != kept.get(&name) && inside.below(2) == 0 {
                match now.get(&name) {
                    Some(file) => drop(kept.insert(name, *file)),
                    None => drop(kept.remove(&name)),
                }
            }
        }
        inside.names.clone_from(&kept);
        inside.kept_names = kept;
    }

    /// The process was killed: what it has written is there, and its locks are free.
    pub(super) fn kill(&self) {
        let mut inside = self.inside();
        inside.fault = None;
        inside.is_down = false;
        inside.locked = Arc::default();
    }

    /// Whether these bytes are in any file, as it is on the disk.
    pub(super) fn holds(&self, bytes: &[u8]) -> bool {
        let inside = self.inside();
        inside.files.iter().any(|file| file.kept.windows(bytes.len()).any(|part| part == bytes))
    }

    fn step(&self) -> (MutexGuard<'_, Inside>, Option<io::Error>) {
        let mut inside = self.inside();
        let fault = inside.fault.filter(|(step, _)| *step == inside.steps).map(|(_, fault)| fault);
        inside.steps += 1;
        inside.is_down |= fault == Some(Fault::PowerFails);
        let error = match fault {
            _ if inside.is_down => Some(io::Error::other("the power has failed")),
            Some(Fault::Fails(errno)) => Some(errno.into()),
            _ => None,
        };
        (inside, error)
    }
}

impl Inside {
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn used(&self) -> usize {
        let files = self.names.values().map(|file| &self.files[*file]);
        files.map(|file| file.seen.len().max(file.reserved)).sum()
    }
}

fn missing() -> io::Error {
    Errno::NOENT.into()
}

impl Disk for Simulated {
    fn names(&self) -> io::Result<Vec<String>> {
        let (inside, error) = self.step();
        error.map_or_else(|| Ok(inside.names.keys().cloned().collect()), Err)
    }

    fn open(&self, name: &str, how: How) -> io::Result<Box<dyn Handle>> {
        let (mut inside, error) = self.step();
        if let Some(error) = error {
            return Err(error);
        }
        let file = match (how, inside.names.get(name).copied()) {
            (How::Create, Some(_)) => return Err(Errno::EXIST.into()),
            (How::Create, None) if inside.room == Some(0) => return Err(Errno::NOSPC.into()),
            (How::Create, None) => {
                inside.files.push(File::default());
                let file = inside.files.len() - 1;
                inside.names.insert(name.to_string(), file);
                file
            }
            (_, Some(file)) => file,
            (_, None) => return Err(missing()),
        };
        Ok(Box::new(Open { disk: self.clone(), file, lock: Mutex::default() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut inside, error) = self.step();
        if let Some(error) = error {
            return Err(error);
        }
        if inside.names.contains_key(to) {
            return Err(Errno::EXIST.into());
        }
        let file = inside.names.remove(from).ok_or_else(missing)?;
        inside.names.insert(to.to_string(), file);
        // A rename is one step of a file system's journal: both names, or none.
        if inside.kept_names.get(from) == Some(&file) && inside.below(2) == 0 {
            inside.kept_names.remove(from);
            inside.kept_names.insert(to.to_string(), file);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut inside, error) = self.step();
        match error {
            Some(error) => Err(error),
            None => inside.names.remove(name).map(drop).ok_or_else(missing),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let (mut inside, error) = self.step();
        match error {
            Some(error) => Err(error),
            None => {
                inside.kept_names = inside.names.clone();
                Ok(())
            }
        }
    }
}

impl Handle for Open {
    fn length(&self) -> io::Result<u64> {
        let (inside, error) = self.disk.step();
        error.map_or_else(|| Ok(inside.files[self.file].seen.len() as u64), Err)
    }

    fn read(&self, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let (inside, error) = self.disk.step();
        if let Some(error) = error {
            return Err(error);
        }
        let all = &inside.files[self.file].seen;
        let from = (from as usize).min(all.len());
        let to = (from + most as usize).min(all.len());
        Ok(all[from..to].to_vec())
    }

    fn write(&self, from: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut inside, mut error) = self.disk.step();
        let from = from as usize;
        let mut done = bytes.len();
        let now = inside.files[self.file].seen.len().max(inside.files[self.file].reserved);
        let grows = (from + done).saturating_sub(now);
        if inside.room.is_some_and(|room| inside.used() + grows > room) {
            error.get_or_insert(Errno::NOSPC.into());
        }
        if error.is_some() {
            inside.random |= 1;
            done = inside.below(bytes.len() as u64 + 1) as usize;
        }
        let file = &mut inside.files[self.file];
        file.seen.resize(file.seen.len().max(from + done), 0);
        file.seen[from..from + done].copy_from_slice(&bytes[..done]);
        // What is written again is dirty again.
        file.forgotten.retain(|(sector, _)| {
            !(from / SECTOR..=(from + done.max(1) - 1) / SECTOR).contains(sector)
        });
        error.map_or(Ok(()), Err)
    }

    fn sync(&self) -> io::Result<()> {
        let (mut inside, error) = self.disk.step();
        let is_down = inside.is_down;
        let file = &mut inside.files[self.file];
        match error {
            Some(error) if is_down => Err(error),
            Some(error) => {
                // What could not be written is marked clean: later syncs say that all is well.
                let longest = file.seen.len().max(file.kept.len());
                let old = |file: &File, from: usize, to: usize| {
                    (from..to).map(|at| file.kept.get(at).copied().unwrap_or(0)).collect::<Vec<_>>()
                };
                for from in (0..longest).step_by(SECTOR) {
                    let to = (from + SECTOR).min(longest);
                    if file.seen.get(from..to.min(file.seen.len())) != file.kept.get(from..to) {
                        file.forgotten.push((from / SECTOR, old(file, from, to)));
                    }
                }
                Err(error)
            }
            None => {
                file.kept.clone_from(&file.seen);
                for (sector, bytes) in file.forgotten.clone() {
                    let from = sector * SECTOR;
                    let to = (from + bytes.len()).min(file.kept.len());
                    if from < to {
                        file.kept[from..to].copy_from_slice(&bytes[..to - from]);
                    }
                }
                Ok(())
            }
        }
    }

    fn truncate(&self, to: u64) -> io::Result<()> {
        let (mut inside, error) = self.disk.step();
        match error {
            Some(error) => Err(error),
            None => {
                inside.files[self.file].seen.resize(to as usize, 0);
                inside.files[self.file].reserved = 0;
                Ok(())
            }
        }
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let (mut inside, error) = self.disk.step();
        let file = &inside.files[self.file];
        let grows = (bytes as usize).saturating_sub(file.seen.len().max(file.reserved));
        if let Some(error) = error {
            return Err(error);
        }
        if inside.room.is_some_and(|room| inside.used() + grows > room) {
            return Err(Errno::NOSPC.into());
        }
        inside.files[self.file].reserved = bytes as usize;
        Ok(())
    }

    fn lock(&self) -> io::Result<bool> {
        let (inside, error) = self.disk.step();
        if let Some(error) = error {
            return Err(error);
        }
        // The disk holds one, and who has locked it another.
        if Arc::strong_count(&inside.locked) > 1 {
            return Ok(false);
        }
        *self.lock.lock().unwrap() = Some(Arc::clone(&inside.locked));
        Ok(true)
    }
}
