//! What operators decide on the command line, on its way into the journal.
//!
//! The journal has one writer, the service. A command that approves, denies or confirms appends what it did
//! to a private file of JSON lines instead; the service journals what it finds there, and empties the file.
//! Both hold the lock of [`super::worker::lock`], so no line is read half written. A crash between journals a
//! line twice and loses none. Where no service runs, the lines wait for the next one.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{Decision, Ledger, Step};

/// The file in the state directory.
const NAME: &str = "responses.outbox";
/// Most bytes that wait; beyond, commands say that they are not journaled.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    Decided(Decision),
    Stepped(Step),
}

/// The ledger of commands.
pub struct Outbox {
    path: PathBuf,
}

impl Outbox {
    /// The outbox in a state directory.
    pub fn new(state: &Path) -> Self {
        Self { path: state.join(NAME) }
    }

    fn put(&self, entry: &Entry) {
        if let Err(error) = self.append(entry) {
            say!("wardmote: {}: not journaled: {error}", self.path.display());
        }
    }

    fn append(&self, entry: &Entry) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = open(&self.path)?;
        if file.metadata()?.len() + line.len() as u64 > BYTES_MAX {
            return Err(std::io::Error::other("too much waits for the service"));
        }
        file.seek(std::io::SeekFrom::End(0))?;
        file.write_all(&line)?;
        file.sync_data()
    }
}

impl Ledger for Outbox {
    fn decided(&self, decision: &Decision) {
        self.put(&Entry::Decided(decision.clone()));
    }

    fn stepped(&self, step: &Step) {
        self.put(&Entry::Stepped(step.clone()));
    }
}

/// Hands over what waits in a state directory, and empties it; how much there was. The caller holds the lock.
pub fn drain(state: &Path, ledger: &dyn Ledger) -> std::io::Result<usize> {
    let path = state.join(NAME);
    if std::fs::symlink_metadata(&path).map_or(true, |facts| facts.len() == 0) {
        return Ok(0);
    }
    let file = open(&path)?;
    let mut text = String::new();
    (&file).take(BYTES_MAX).read_to_string(&mut text)?;
    let mut entries = 0;
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(Entry::Decided(decision)) => ledger.decided(&decision),
            Ok(Entry::Stepped(step)) => ledger.stepped(&step),
            Err(error) => say!("wardmote: {}: a line is lost: {error}", path.display()),
        }
        entries += 1;
    }
    file.set_len(0)?;
    file.sync_data()?;
    Ok(entries)
}

/// A private regular file, made where there is none.
fn open(path: &Path) -> std::io::Result<File> {
    let careful = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(careful.bits().cast_signed())
        .open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    // What root makes here is for the service, which is somebody else.
    let owner = path.parent().map(std::fs::metadata).transpose()?;
    if let Some(owner) = owner.filter(|owner| owner.uid() != facts.uid()) {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[derive(Default)]
    struct Heard(RefCell<Vec<i64>>);

    impl Ledger for Heard {
        fn decided(&self, _: &Decision) {}

        fn stepped(&self, step: &Step) {
            self.0.borrow_mut().push(step.id);
        }
    }

    fn step(id: i64) -> Step {
        Step { time: 1, id, what: "approved".into(), by: Some(1_000), note: String::new() }
    }

    #[test]
    fn what_commands_did_is_handed_over_once() {
        let dir = tempfile::tempdir().unwrap();
        let heard = Heard::default();
        assert_eq!(drain(dir.path(), &heard).unwrap(), 0);
        assert!(!dir.path().join(NAME).exists(), "nothing is made by looking");
        let outbox = Outbox::new(dir.path());
        outbox.stepped(&step(1));
        outbox.stepped(&step(2));
        let mode = dir.path().join(NAME).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(drain(dir.path(), &heard).unwrap(), 2);
        assert_eq!(drain(dir.path(), &heard).unwrap(), 0);
        outbox.stepped(&step(3));
        drain(dir.path(), &heard).unwrap();
        assert_eq!(*heard.0.borrow(), [1, 2, 3]);
    }

    #[test]
    fn a_line_that_was_cut_loses_no_other_and_odd_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(dir.path());
        outbox.stepped(&step(1));
        let path = dir.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"stepped\":{\"ti\n");
        std::fs::write(&path, &bytes).unwrap();
        outbox.stepped(&step(2));
        let heard = Heard::default();
        assert_eq!(drain(dir.path(), &heard).unwrap(), 3);
        assert_eq!(*heard.0.borrow(), [1, 2]);
        std::fs::write(&path, vec![b'x'; usize::try_from(BYTES_MAX).unwrap()]).unwrap();
        assert!(outbox.append(&Entry::Stepped(step(3))).is_err(), "bounded");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(outbox.append(&Entry::Stepped(step(3))).is_err());
        assert!(drain(dir.path(), &heard).is_err());
    }
}
