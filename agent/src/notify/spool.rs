//! Notes that wait for one target, on the disk: a file a note, private, whole or not there.
//!
//! Bounded in bytes and number. When it is full the mildest note makes room, of those the oldest, and what
//! was dropped is counted by severity in a file of its own until it has been told ([`Gap`]). A note about
//! a case that already waits takes the earlier one's place. What cannot be read at the start (another
//! program's file, a cut note) is left alone and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use consensus::Severity;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::handover::{self, GAP};
use super::note::{NOTE_BYTES_MAX, Note};

/// Most notes that wait.
pub const NOTES_MAX: usize = 10_000;
/// Longest file that can be a note.
const FILE_BYTES_MAX: u64 = 2 * NOTE_BYTES_MAX as u64;
/// Milder notes that make room at most for one that a full disk has none for.
const FULL_TRIES_MAX: usize = 64;

/// Who may read the notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The service alone.
    Own,
    /// Whoever the directory above lets in: the sender.
    Sender,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Own => 0o600,
            Self::Sender => 0o644,
        }
    }
}

/// How many notes had to make room, by severity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap(pub BTreeMap<Severity, u64>);

impl Gap {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// What became of a note that was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Notes whose place it took.
    pub merged: u64,
    /// Notes that made room, itself perhaps among them.
    pub dropped: u64,
}

struct Waiting {
    severity: Severity,
    key: String,
    id: String,
    bytes: u64,
}

/// The notes of one target.
pub struct Spool {
    folder: PathBuf,
    readers: Readers,
    bytes_max: u64,
    notes: BTreeMap<u64, Waiting>,
    bytes: u64,
    next: u64,
    gap: Gap,
    gap_unwritten: bool,
    dropped: u64,
    unreadable: u64,
}

impl Spool {
    /// Opens a folder, or makes it, and reads what waits there.
    pub fn open(folder: &Path, bytes_max: u64, readers: Readers) -> io::Result<Self> {
        match readers {
            Readers::Own => DirBuilder::new().recursive(true).mode(0o700).create(folder)?,
            Readers::Sender => handover::make_folder(folder)?,
        }
        let mut spool = Self {
            folder: folder.to_path_buf(),
            readers,
            bytes_max,
            notes: BTreeMap::new(),
            bytes: 0,
            next: 1,
            gap: Gap::default(),
            gap_unwritten: false,
            dropped: 0,
            unreadable: 0,
        };
        for entry in std::fs::read_dir(folder)?.take(2 * NOTES_MAX) {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(number_of);
            match number {
                Some(number) => match read(&path) {
                    Ok((note, bytes)) => spool.known(number, &note, bytes),
                    Err(_) => spool.unreadable += 1,
                },
                // Half of a note, of a run that was cut.
                None if path.extension().is_some_and(|end| end == "tmp") => {
                    std::fs::remove_file(&path)?;
                }
                None => {}
            }
        }
        spool.gap = match handover::read(&folder.join(GAP), FILE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(_) => Gap::default(),
        };
        Ok(spool)
    }

    fn known(&mut self, number: u64, note: &Note, bytes: u64) {
        self.next = self.next.max(number + 1);
        self.bytes += bytes;
        let (key, id) = (note.key.clone(), note.id.clone());
        self.notes.insert(number, Waiting { severity: note.severity, key, id, bytes });
    }

    /// Takes over what waits in another place, whole notes only; how many. What cannot be moved stays.
    pub fn adopt(&mut self, from: &Path) -> io::Result<usize> {
        if !from.is_dir() {
            return Ok(0);
        }
        let mut other = Self::open(from, u64::MAX, Readers::Own)?;
        let mut adopted = 0;
        while let Some((number, note)) = other.first() {
            self.put(&note)?;
            other.remove(number)?;
            adopted += 1;
        }
        for (severity, count) in std::mem::take(&mut other.gap.0) {
            *self.gap.0.entry(severity).or_default() += count;
        }
        self.write_gap();
        other.write_gap();
        Ok(adopted)
    }

    /// Puts a note in; it is on the disk when this returns. One that the disk has no room for is part of
    /// the gap, unless milder ones that wait can make room for it.
    pub fn put(&mut self, note: &Note) -> io::Result<Put> {
        let text = serde_json::to_vec(note)?;
        let mut put = Put::default();
        let earlier: Vec<u64> = self
            .notes
            .iter()
            .filter(|(_, waiting)| waiting.key == note.key && waiting.severity <= note.severity)
            .map(|(number, _)| *number)
            .collect();
        let number = self.next;
        let bytes = text.len() as u64;
        let mut written = self.write(&name_of(number), &text);
        for _ in 0..FULL_TRIES_MAX {
            let is_full = written.as_ref().is_err_and(|error| {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            });
            if !is_full || !self.drop_mildest(Some(note.severity)) {
                break;
            }
            put.dropped += 1;
            written = self.write(&name_of(number), &text);
        }
        if let Err(error) = written {
            self.dropped(note.severity);
            self.write_gap();
            return Err(error);
        }
        self.known(number, note, bytes);
        // The note is in. A file below that cannot be removed comes again after a restart, no more.
        for number in earlier {
            put.merged += u64::from(self.remove(number).unwrap_or(true));
        }
        while self.bytes > self.bytes_max || self.notes.len() > NOTES_MAX {
            if !self.drop_mildest(None) {
                break;
            }
            put.dropped += 1;
        }
        if put.dropped > 0 || self.gap_unwritten {
            self.write_gap();
        }
        Ok(put)
    }

    /// Drops the mildest note, of those the oldest; only one that is milder than `than`, if that is said.
    fn drop_mildest(&mut self, than: Option<Severity>) -> bool {
        let mildest = self.notes.iter().min_by_key(|(number, one)| (one.severity, **number));
        let Some((number, severity)) = mildest.map(|(number, one)| (*number, one.severity)) else {
            return false;
        };
        if than.is_some_and(|than| severity >= than) {
            return false;
        }
        self.dropped(severity);
        let _ = self.remove(number);
        true
    }

    fn dropped(&mut self, severity: Severity) {
        *self.gap.0.entry(severity).or_default() += 1;
        self.dropped += 1;
    }

    /// Notes that had no room since it was opened.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped
    }

    /// What could not be written is written with the next note that is.
    fn write_gap(&mut self) {
        let bytes = serde_json::to_vec(&self.gap).unwrap_or_default();
        self.gap_unwritten = self.write(GAP, &bytes).is_err();
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write(&self.folder, name, bytes, self.readers.mode())
    }

    /// The note to send next: the gravest, of those the oldest. One that can no longer be read is taken
    /// out and counted.
    pub fn first(&mut self) -> Option<(u64, Note)> {
        loop {
            let best = self
                .notes
                .iter()
                .max_by_key(|(number, one)| (one.severity, std::cmp::Reverse(**number)));
            let number = *best?.0;
            match read(&self.folder.join(name_of(number))) {
                Ok((note, _)) => return Some((number, note)),
                Err(_) => {
                    self.unreadable += 1;
                    self.forget(number);
                }
            }
        }
    }

    /// Takes a note out; whether it was still there (a later one may have taken its place meanwhile).
    pub fn remove(&mut self, number: u64) -> io::Result<bool> {
        let known = self.forget(number);
        match std::fs::remove_file(self.folder.join(name_of(number))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(known),
        }
    }

    fn forget(&mut self, number: u64) -> bool {
        let waiting = self.notes.remove(&number);
        self.bytes -= waiting.as_ref().map_or(0, |waiting| waiting.bytes);
        waiting.is_some()
    }

    /// What had to make room and was not told yet.
    pub fn gap(&self) -> &Gap {
        &self.gap
    }

    /// This much of the gap was told.
    pub fn told(&mut self, told: &Gap) -> io::Result<()> {
        for (severity, count) in &told.0 {
            if let Some(left) = self.gap.0.get_mut(severity) {
                *left = left.saturating_sub(*count);
            }
        }
        self.gap.0.retain(|_, count| *count > 0);
        self.write(GAP, &serde_json::to_vec(&self.gap)?)
    }

    /// The numbers of the notes that wait, by identifier.
    pub fn numbers(&self) -> BTreeMap<String, u64> {
        self.notes.iter().map(|(number, one)| (one.id.clone(), *number)).collect()
    }

    /// Notes that wait.
    pub fn len(&self) -> usize {
        self.notes.len()
    }

    /// Files that could not be read as notes.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

fn name_of(number: u64) -> String {
    format!("{number:016}.json")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".json").filter(|digits| digits.len() == 16)?.parse().ok()
}

fn read(path: &Path) -> io::Result<(Note, u64)> {
    let bytes = handover::read(path, FILE_BYTES_MAX)?;
    Ok((serde_json::from_slice(&bytes)?, bytes.len() as u64))
}

/// Writes a file whole: under another name, to the disk, and then under its own. The mode is what is said,
/// whatever the umask is.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.tmp"));
    let mut options = File::options();
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if mode != 0o600 {
                file.set_permissions(Permissions::from_mode(mode))?;
            }
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&unfinished, folder.join(name)))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

/// The notes of one target, for whoever may only read them.
#[derive(Default)]
pub struct Reading {
    /// Severity and identifier by number.
    notes: BTreeMap<u64, (Severity, String)>,
}

impl Reading {
    /// Looks what waits now. Only what was not there before is read.
    pub fn look(&mut self, folder: &Path) -> io::Result<()> {
        let mut there = BTreeMap::new();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.notes.clear();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for entry in entries.take(2 * NOTES_MAX) {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(number_of);
            let Some(number) = number else { continue };
            let known = self.notes.remove(&number);
            // One that cannot be read is the service's to count; one that is gone again was merged.
            let read = || read(&path).ok().map(|(note, _)| (note.severity, note.id));
            if let Some(one) = known.or_else(read) {
                there.insert(number, one);
            }
        }
        self.notes = there;
        Ok(())
    }

    /// The identifiers of the notes that wait.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.notes.values().map(|(_, id)| id.as_str()).collect()
    }

    /// The note to send next: the gravest, of those the oldest, that was not settled.
    pub fn first(&mut self, folder: &Path, is_settled: impl Fn(&str) -> bool) -> Option<Note> {
        loop {
            let open = self.notes.iter().filter(|(_, (_, id))| !is_settled(id));
            let best =
                open.max_by_key(|(number, (severity, _))| (*severity, std::cmp::Reverse(**number)));
            let number = *best?.0;
            match read(&folder.join(name_of(number))) {
                // Another note may stand under the number since.
                Ok((note, _)) if !is_settled(&note.id) => return Some(note),
                _ => drop(self.notes.remove(&number)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::note;
    use super::*;

    fn texts(spool: &mut Spool) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some((number, note)) = spool.first() {
            texts.push(note.title);
            assert!(spool.remove(number).unwrap());
        }
        texts
    }

    #[test]
    fn the_gravest_goes_first_and_the_oldest_of_those_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20, Readers::Own).unwrap();
        for (key, severity) in [
            ("a", Severity::Low),
            ("b", Severity::High),
            ("c", Severity::Low),
            ("d", Severity::High),
        ] {
            assert_eq!(spool.put(&note(key, severity)).unwrap(), Put::default());
        }
        std::fs::write(dir.path().join("0000000000000009.json.tmp"), "half").unwrap();
        std::fs::write(dir.path().join("0000000000000007.json"), "no note").unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20, Readers::Own).unwrap();
        assert_eq!((spool.len(), spool.unreadable()), (4, 1));
        assert_eq!(texts(&mut spool), ["b", "d", "a", "c"]);
        assert_eq!(Spool::open(dir.path(), 1 << 20, Readers::Own).unwrap().len(), 0);
    }

    #[test]
    fn a_later_note_on_a_case_takes_the_earlier_ones_place_unless_that_is_graver() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20, Readers::Own).unwrap();
        spool.put(&note("a", Severity::Medium)).unwrap();
        assert_eq!(spool.put(&note("a", Severity::High)).unwrap(), Put { merged: 1, dropped: 0 });
        assert_eq!(spool.put(&note("a", Severity::Low)).unwrap(), Put::default());
        assert_eq!(spool.len(), 2);
    }

    #[test]
    fn when_it_is_full_the_mildest_and_oldest_makes_room_and_the_gap_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let one = serde_json::to_vec(&note("0", Severity::High)).unwrap().len() as u64;
        let mut spool = Spool::open(dir.path(), 3 * one + one / 2, Readers::Own).unwrap();
        for (key, severity) in [
            ("1", Severity::High),
            ("2", Severity::Low),
            ("3", Severity::Low),
            ("4", Severity::High),
        ] {
            spool.put(&note(key, severity)).unwrap();
        }
        assert_eq!(spool.gap(), &Gap([(Severity::Low, 1)].into()));
        assert_eq!(spool.put(&note("5", Severity::Info)).unwrap().dropped, 1, "itself");
        let mut spool = Spool::open(dir.path(), 3 * one + one / 2, Readers::Own).unwrap();
        assert_eq!(spool.gap().total(), 2);
        let gap = spool.gap().clone();
        spool.put(&note("6", Severity::High)).unwrap();
        spool.told(&gap).unwrap();
        assert_eq!(spool.gap(), &Gap([(Severity::Low, 1)].into()), "what came meanwhile stays");
        assert_eq!(texts(&mut spool), ["1", "4", "6"]);
    }
}
