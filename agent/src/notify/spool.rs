//! Notes that wait for one target, on the disk: a file a note, private, whole or not there.
//!
//! Bounded in bytes and number. When it is full the mildest note makes room, of those the oldest, and what
//! was dropped is counted by severity in a file of its own until it has been told ([`Gap`]). A note about
//! a case that already waits takes the earlier one's place. What cannot be read at the start (another
//! program's file, a cut note) is left alone and counted.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use consensus::Severity;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{NOTE_BYTES_MAX, Note};

/// Most notes that wait.
pub const NOTES_MAX: usize = 10_000;
const GAP: &str = "gap.json";

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
    bytes: u64,
}

/// The notes of one target.
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    notes: BTreeMap<u64, Waiting>,
    bytes: u64,
    next: u64,
    gap: Gap,
    unreadable: u64,
}

impl Spool {
    /// Opens a folder, or makes it, and reads what waits there.
    pub fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut spool = Self {
            folder: folder.to_path_buf(),
            bytes_max,
            notes: BTreeMap::new(),
            bytes: 0,
            next: 1,
            gap: Gap::default(),
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
        spool.gap = match read_bytes(&folder.join(GAP)) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(_) => Gap::default(),
        };
        Ok(spool)
    }

    fn known(&mut self, number: u64, note: &Note, bytes: u64) {
        self.next = self.next.max(number + 1);
        self.bytes += bytes;
        self.notes
            .insert(number, Waiting { severity: note.severity, key: note.key.clone(), bytes });
    }

    /// Puts a note in; it is on the disk when this returns.
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
        write(&self.folder, &name_of(number), &text)?;
        self.known(number, note, bytes);
        // The note is in. A file below that cannot be removed comes again after a restart, no more.
        for number in earlier {
            let _ = self.remove(number);
            put.merged += 1;
        }
        while self.bytes > self.bytes_max || self.notes.len() > NOTES_MAX {
            let mildest = self.notes.iter().min_by_key(|(number, one)| (one.severity, **number));
            let Some((number, severity)) = mildest.map(|(number, one)| (*number, one.severity))
            else {
                break;
            };
            *self.gap.0.entry(severity).or_default() += 1;
            let _ = self.remove(number);
            put.dropped += 1;
        }
        if put.dropped > 0 {
            let _ = write(&self.folder, GAP, &serde_json::to_vec(&self.gap)?);
        }
        Ok(put)
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
        write(&self.folder, GAP, &serde_json::to_vec(&self.gap)?)
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
    let bytes = read_bytes(path)?;
    Ok((serde_json::from_slice(&bytes)?, bytes.len() as u64))
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let careful = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = File::options().read(true).custom_flags(careful).open(path)?;
    let mut bytes = Vec::new();
    let most = 2 * NOTE_BYTES_MAX as u64;
    if !file.metadata()?.is_file() || file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(io::Error::other("no note of ours"));
    }
    Ok(bytes)
}

/// Writes a file whole: under another name, to the disk, and then under its own.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.tmp"));
    let mut options = File::options();
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&unfinished, folder.join(name)))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
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
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
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
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        assert_eq!((spool.len(), spool.unreadable()), (4, 1));
        assert_eq!(texts(&mut spool), ["b", "d", "a", "c"]);
        assert_eq!(Spool::open(dir.path(), 1 << 20).unwrap().len(), 0);
    }

    #[test]
    fn a_later_note_on_a_case_takes_the_earlier_ones_place_unless_that_is_graver() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.put(&note("a", Severity::Medium)).unwrap();
        assert_eq!(spool.put(&note("a", Severity::High)).unwrap(), Put { merged: 1, dropped: 0 });
        assert_eq!(spool.put(&note("a", Severity::Low)).unwrap(), Put::default());
        assert_eq!(spool.len(), 2);
    }

    #[test]
    fn when_it_is_full_the_mildest_and_oldest_makes_room_and_the_gap_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let one = serde_json::to_vec(&note("0", Severity::High)).unwrap().len() as u64;
        let mut spool = Spool::open(dir.path(), 3 * one + one / 2).unwrap();
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
        let mut spool = Spool::open(dir.path(), 3 * one + one / 2).unwrap();
        assert_eq!(spool.gap().total(), 2);
        let gap = spool.gap().clone();
        spool.put(&note("6", Severity::High)).unwrap();
        spool.told(&gap).unwrap();
        assert_eq!(spool.gap(), &Gap([(Severity::Low, 1)].into()), "what came meanwhile stays");
        assert_eq!(texts(&mut spool), ["1", "4", "6"]);
    }
}
