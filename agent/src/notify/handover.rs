//! The place where the service hands notes over to the process that has the network (`wardmote send`), and
//! hears what became of them. Every file has one writer:
//!
//! ```text
//! /var/spool/wardmote/            the service's, its group the sender's: nobody else comes in
//!   out/targets.json              the service: who is told, and how
//!   out/NAME/NUMBER.json          the service: a note that waits ([`super::spool`]); gap.json: what had no room
//!   done/lock                     the sender holds it while it runs
//!   done/NAME/ID.taken, .refused  the sender: what became of a note, until the service has taken that out
//!   done/NAME/report.json         the sender: what is wrong with the target
//!   done/NAME/gap.json            the sender: what was told of the gaps
//! ```
//!
//! So the sender can change, and with nothing but the right to enter read, no note; the worst that it can do
//! to the service is to lie about delivery. What it writes is read as a stranger's: bounded, never through
//! links, never waiting for a FIFO.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::spool::{Gap, NOTES_MAX};
use crate::settings::{AgentSettings, Deliver, NotifySettings};

/// Most bytes of the targets.
const TARGETS_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of a report or of a gap.
const REPORT_BYTES_MAX: u64 = 16 << 10;
/// Longest trouble that is believed, in characters.
const TROUBLE_CHARS_MAX: usize = 300;
/// Longest identifier of a note.
const ID_MAX: usize = 64;
const TARGETS: &str = "targets.json";
const REPORT: &str = "report.json";
pub(super) const GAP: &str = "gap.json";
const LOCK: &str = "lock";

/// What became of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The target has it.
    Taken,
    /// The target will never take it.
    Refused,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
        }
    }
}

/// What the sender says of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When this was written, seconds since the epoch.
    pub time: i64,
    /// What is wrong with the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Targets {
    schema: String,
    targets: Vec<NotifySettings>,
}

/// One such place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    place: PathBuf,
}

impl Handover {
    /// The place under a directory.
    pub fn at(place: &Path) -> Self {
        Self { place: place.to_path_buf() }
    }

    /// The place that the service is to use, if there is one. Found without being asked for only where
    /// the packaging has made it for this very user.
    pub fn find(settings: &AgentSettings) -> io::Result<Option<Self>> {
        let found = Self::at(&settings.spool);
        let asked = match settings.deliver {
            Deliver::Here => return Ok(None),
            Deliver::Apart => true,
            Deliver::Auto => false,
        };
        let meta = match std::fs::symlink_metadata(found.out()) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !asked => return Ok(None),
            Err(error) => return Err(found.named(&error)),
        };
        let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw();
        match ours {
            true => Ok(Some(found)),
            false if asked => {
                Err(found.named(&io::Error::other("not a directory of the service's")))
            }
            false => Ok(None),
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.out().display()))
    }

    fn out(&self) -> PathBuf {
        self.place.join("out")
    }

    fn done(&self) -> PathBuf {
        self.place.join("done")
    }

    /// Where a target's notes wait.
    pub fn notes(&self, target: &str) -> PathBuf {
        self.out().join(target)
    }

    /// Where it is said what became of them.
    pub fn fates(&self, target: &str) -> PathBuf {
        self.done().join(target)
    }

    // ---- the service's side

    /// Says who is told. Written only when it changed.
    pub fn write_targets(&self, targets: &[NotifySettings]) -> io::Result<()> {
        let schema = "wardmote.targets/1".to_string();
        let bytes = serde_json::to_vec(&Targets { schema, targets: targets.to_vec() })?;
        if read(&self.out().join(TARGETS), TARGETS_BYTES_MAX).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        write(&self.out(), TARGETS, &bytes)
    }

    /// Notes of which the sender says what became of them.
    pub fn settled(&self, target: &str) -> io::Result<BTreeMap<String, Fate>> {
        let entries = match std::fs::read_dir(self.fates(target)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let mut settled = BTreeMap::new();
        for entry in entries.take(2 * NOTES_MAX) {
            let name = entry?.file_name();
            settled.extend(name.to_str().and_then(fate_of));
        }
        Ok(settled)
    }

    /// What the sender says of a target; nothing where it says nothing that makes sense.
    pub fn report(&self, target: &str) -> Report {
        let report: io::Result<Report> =
            read_json(&self.fates(target).join(REPORT), REPORT_BYTES_MAX);
        let report = report.unwrap_or_default();
        let trouble = report.trouble.map(|why| {
            let why = scanner::redact::printable(&scanner::redact::line(&why));
            why.chars().take(TROUBLE_CHARS_MAX).collect()
        });
        Report { trouble, ..report }
    }

    /// Whether a sender runs.
    pub fn is_served(&self) -> bool {
        let file = open(&self.done().join(LOCK));
        file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
    }

    // ---- the sender's side

    /// Makes this process the sender; `None` where another one is.
    pub fn serve(&self) -> io::Result<Option<File>> {
        let done = self.done();
        if !done.is_dir() {
            make_folder(&done)?;
        }
        let careful = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let mut options = File::options();
        let file = options
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(careful)
            .open(done.join(LOCK))?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Who is to be told; `None` where the service has not said yet.
    pub fn targets(&self) -> io::Result<Option<Vec<NotifySettings>>> {
        match read_json::<Targets>(&self.out().join(TARGETS), TARGETS_BYTES_MAX) {
            Ok(targets) => Ok(Some(targets.targets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the targets' file is, to see whether it changed: another one has another inode or time.
    pub fn targets_mark(&self) -> Option<(u64, i64, i64)> {
        let meta = std::fs::metadata(self.out().join(TARGETS)).ok()?;
        Some((meta.ino(), meta.mtime(), meta.mtime_nsec()))
    }

    /// Makes the place for what becomes of a target's notes.
    pub fn make_fates(&self, target: &str) -> io::Result<()> {
        make_folder(&self.fates(target))
    }

    /// Writes down what became of a note; on the disk when this returns.
    pub fn settle(&self, target: &str, id: &str, fate: Fate) -> io::Result<()> {
        if !is_id(id) {
            return Err(io::Error::other("a note without an identifier"));
        }
        write(&self.fates(target), &format!("{id}.{}", fate.word()), b"")
    }

    /// The service has taken the note out.
    pub fn forget(&self, target: &str, id: &str, fate: Fate) -> io::Result<()> {
        let name = format!("{id}.{}", fate.word());
        match std::fs::remove_file(self.fates(target).join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Says what is wrong with a target, or that nothing is.
    pub fn write_report(&self, target: &str, report: &Report) -> io::Result<()> {
        write(&self.fates(target), REPORT, &serde_json::to_vec(report)?)
    }

    /// What had no room and was not told yet: the service counts up, the sender up to what it told.
    pub fn gap(&self, target: &str) -> Gap {
        let count = |folder: PathBuf| -> Gap {
            read_json(&folder.join(GAP), REPORT_BYTES_MAX).unwrap_or_default()
        };
        let (all, told) = (count(self.notes(target)), count(self.fates(target)));
        let left = |(severity, count): (_, u64)| {
            // Fewer than were told: the service has begun anew.
            let before = told.0.get(&severity).copied().filter(|told| *told <= count);
            (severity, count - before.unwrap_or(0))
        };
        Gap(all.0.into_iter().map(left).filter(|(_, count)| *count > 0).collect())
    }

    /// All that had no room until now was told.
    pub fn gap_told(&self, target: &str, told: &Gap) -> io::Result<()> {
        let mut all: Gap =
            read_json(&self.notes(target).join(GAP), REPORT_BYTES_MAX).unwrap_or_default();
        let left = self.gap(target);
        for (severity, count) in &mut all.0 {
            // What was dropped since stays to be told.
            let since = left.0.get(severity).copied().unwrap_or(0);
            let since = since.saturating_sub(told.0.get(severity).copied().unwrap_or(0));
            *count = count.saturating_sub(since);
        }
        write(&self.fates(target), GAP, &serde_json::to_vec(&all)?)
    }
}

fn is_id(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(plain)
}

fn fate_of(name: &str) -> Option<(String, Fate)> {
    let (id, word) = name.split_once('.')?;
    let fate = [Fate::Taken, Fate::Refused].into_iter().find(|fate| fate.word() == word)?;
    is_id(id).then(|| (id.to_string(), fate))
}

/// Opens what may be anything, without waiting and without following a link.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let careful = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    File::options().read(true).custom_flags(careful).open(path)
}

/// Reads a regular file of at most so many bytes.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = open(path)?;
    let mut bytes = Vec::new();
    if !file.metadata()?.is_file() || file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(io::Error::other("no file of ours"));
    }
    Ok(bytes)
}

fn read_json<T: DeserializeOwned>(path: &Path, most: u64) -> io::Result<T> {
    Ok(serde_json::from_slice(&read(path, most)?)?)
}

/// A directory below one that keeps strangers out: the umask of a service would keep the other side out too.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    super::spool::write(folder, name, bytes, 0o644)
}
