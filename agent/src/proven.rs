//! Files that only this host's wardmote can have written: private, bounded, and proved with HMAC-SHA-256
//! under a key of the host (`host.key` in the state directory, made on first use, mode 0600).
//!
//! A file that is damaged, that somebody else owns or could have written, or whose MAC is wrong is never
//! read: the caller gets the reason for one notice and goes on as if there were none. Writing is atomic and
//! on the disk when it returns. Whoever has the key (root, or the user whose state it is) can forge; against
//! them no file of this host helps.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crypto::mac::{self, Key, MAC_BYTES};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::commands::audit::create_private;
use crate::secrets;

const KEY_FILE: &str = "host.key";
const KEY_BYTES: usize = 32;
/// Longest wait for another run that changes the same file.
const LOCKED_WITHIN: Duration = Duration::from_secs(5);
/// How often that is tried.
const LOCK_TRIED_AFTER: Duration = Duration::from_millis(5);

/// What a file came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// Its proved contents.
    Proved(Vec<u8>),
    /// It is not to be believed: why.
    Ignored(String),
}

/// A kind of file with a key.
pub struct Proven {
    path: PathBuf,
    kind: &'static str,
    bytes_max: usize,
    key: Key,
}

impl Proven {
    /// A file at `path`; the key is that of the state directory, and made if there is none.
    pub fn open(
        state: &Path,
        path: PathBuf,
        kind: &'static str,
        bytes_max: usize,
    ) -> io::Result<Self> {
        let key = match key(state) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_key(state)?;
                key(state)?
            }
            other => other?,
        };
        Ok(Self { path, kind, bytes_max, key })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its contents, if they are to be believed.
    pub fn read(&self) -> Found {
        match private(&self.path, self.bytes_max + self.header().len() + MAC_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => Found::Ignored(format!("{}: {error}", self.path.display())),
            Ok(bytes) => self.proved(&bytes).unwrap_or_else(|| {
                Found::Ignored(format!("{}: damaged, or not of this host", self.path.display()))
            }),
        }
    }

    fn proved(&self, bytes: &[u8]) -> Option<Found> {
        let rest = bytes.strip_prefix(self.header().as_bytes())?;
        let (told, body) = rest.split_first_chunk::<MAC_BYTES>()?;
        mac::equal(told, &self.mac(body)).then(|| Found::Proved(body.to_vec()))
    }

    /// Puts contents there, whole or not at all.
    pub fn write(&self, body: &[u8]) -> io::Result<()> {
        let wrong = || io::Error::other("not a file name");
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(wrong());
        };
        create_private(folder)?;
        let name = name.to_str().ok_or_else(wrong)?;
        let hidden = folder.join(format!(".{name}.{}", std::process::id()));
        // Of a run of this number that was killed.
        let _ = std::fs::remove_file(&hidden);
        let written = self.put(&hidden, body).and_then(|()| std::fs::rename(&hidden, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&hidden);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    /// Keeps other runs from changing the file until what comes back is dropped: for whoever reads it to
    /// add to it. Waits for at most [`LOCKED_WITHIN`].
    pub fn lock(&self) -> io::Result<File> {
        let wrong = || io::Error::other("not a file name");
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(wrong());
        };
        create_private(folder)?;
        let path = folder.join(format!(".{}.lock", name.to_str().ok_or_else(wrong)?));
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        let until = Instant::now() + LOCKED_WITHIN;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                    std::thread::sleep(LOCK_TRIED_AFTER);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn put(&self, hidden: &Path, body: &[u8]) -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(hidden)?;
        file.write_all(self.header().as_bytes())?;
        file.write_all(&self.mac(body))?;
        file.write_all(body)?;
        file.sync_all()
    }

    fn header(&self) -> String {
        format!("wardmote {}\n", self.kind)
    }

    /// Over the kind too, so that one file can never stand for another.
    fn mac(&self, body: &[u8]) -> [u8; MAC_BYTES] {
        self.key.of(&[self.header().as_bytes(), body].concat())
    }
}

fn key(state: &Path) -> io::Result<Key> {
    let bytes = Zeroizing::new(private(&state.join(KEY_FILE), KEY_BYTES)?);
    match bytes.len() {
        KEY_BYTES => Ok(Key::new(&bytes)),
        _ => Err(io::Error::other(format!("{KEY_FILE} is not {KEY_BYTES} bytes"))),
    }
}

/// Makes the key, unless another run was first. It gets its name when it is whole: a run that is killed
/// leaves no half of a key.
fn make_key(state: &Path) -> io::Result<()> {
    create_private(state)?;
    let hidden = state.join(format!(".{KEY_FILE}.{}", std::process::id()));
    let _ = std::fs::remove_file(&hidden);
    let fresh = Zeroizing::new(secrets::random::<KEY_BYTES>()?);
    let make = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&hidden)?;
        file.write_all(&*fresh)?;
        file.sync_all()?;
        match std::fs::hard_link(&hidden, state.join(KEY_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    };
    let made = make();
    let _ = std::fs::remove_file(&hidden);
    made
}

/// A regular file of this user's that nobody else may use, whole.
fn private(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let facts = file.metadata()?;
    let wrong = match () {
        () if !facts.is_file() => "not a regular file",
        () if facts.uid() != rustix::process::geteuid().as_raw() => "it belongs to somebody else",
        () if facts.mode() & 0o077 != 0 => "others may use it",
        () if facts.len() > bytes_max as u64 => "too large",
        () => "",
    };
    if !wrong.is_empty() {
        return Err(io::Error::other(wrong));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or(0));
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() <= bytes_max {
        true => Ok(bytes),
        false => Err(io::Error::other("too large")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn proven(place: &Path, kind: &'static str) -> Proven {
        Proven::open(&place.join("state"), place.join("cache/file"), kind, 100).unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_private() {
        let place = tempfile::tempdir().unwrap();
        let file = proven(place.path(), "scan");
        assert_eq!(file.read(), Found::Nothing);
        for body in [&b"one"[..], b"", &[7; 100]] {
            file.write(body).unwrap();
            assert_eq!(proven(place.path(), "scan").read(), Found::Proved(body.to_vec()));
        }
        for path in ["state/host.key", "cache/file"] {
            let mode = std::fs::metadata(place.path().join(path)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{path}");
        }
        let left: Vec<_> = std::fs::read_dir(place.path().join("state")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_is_damaged_foreign_or_open_to_others_is_ignored_with_a_reason() {
        let place = tempfile::tempdir().unwrap();
        let file = proven(place.path(), "scan");
        file.write(b"body").unwrap();
        let path = file.path().to_path_buf();
        let good = std::fs::read(&path).unwrap();
        let ignored = |file: &Proven| matches!(file.read(), Found::Ignored(_));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(ignored(&file), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(ignored(&file), "cut at {at}");
        }
        std::fs::write(&path, [7; 1000]).unwrap();
        assert_eq!(file.read(), Found::Ignored(format!("{}: too large", path.display())));
        std::fs::write(&path, &good).unwrap();
        assert!(ignored(&proven(place.path(), "ledger")), "a file of another kind");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(file.read(), Found::Ignored(format!("{}: others may use it", path.display())));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
            let told = format!("{}: it belongs to somebody else", path.display());
            assert_eq!(file.read(), Found::Ignored(told));
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }
        assert_eq!(file.read(), Found::Proved(b"body".to_vec()));
        std::fs::rename(&path, place.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(place.path().join("elsewhere"), &path).unwrap();
        assert!(ignored(&file), "a link");
        file.write(b"anew").unwrap();
        assert_eq!(file.read(), Found::Proved(b"anew".to_vec()));
    }

    #[test]
    fn another_key_does_not_prove() {
        let place = tempfile::tempdir().unwrap();
        proven(place.path(), "scan").write(b"body").unwrap();
        std::fs::remove_file(place.path().join("state/host.key")).unwrap();
        let file = proven(place.path(), "scan");
        assert!(matches!(file.read(), Found::Ignored(_)));
        std::fs::write(place.path().join("state/host.key"), b"short").unwrap();
        let open = Proven::open(&place.path().join("state"), place.path().join("x"), "scan", 9);
        assert!(open.is_err());
    }
}
