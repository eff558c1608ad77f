//! What rule files and filters came to, kept between runs: a sweep by cron reads them once.
//!
//! An entry is believed only while everything that was looked at to make it (each file, directory and
//! each name that was not there) is as it was: device, inode, size and both times to the nanosecond, of
//! which `ctime` cannot be set back. What had changed within the last seconds is not kept at all, so that
//! a change in the same tick of the clock is never missed. The key names the program by its version and
//! its own file, so that another build never reads it. Entries are read and written only in a directory
//! that nobody else can write ([`folder`]); a damaged, foreign or untrusted one is as if it were not
//! there. Without a place to keep anything all works as well, only slower.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use parsers::rules::sigma::Document;
use parsers::tree::Tree;
use scanner::logs::fail2ban::Jails;
use scanner::logs::stored::{self, Entry, Stamp};
use sha2::{Digest, Sha256};

mod folder;
mod watched;

use folder::Folder;
use watched::{Watched, stamp};

/// Seconds for which an input has to have been left alone.
const SETTLED_S: i64 = 2;

/// Whether new entries are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Entries are read and made.
    New,
    /// Only what is there is read: the caller keeps no state.
    Nothing,
}

/// Entries of one state directory.
pub struct RuleCache {
    place: PathBuf,
    keep: Keep,
    /// This program; `None` where it cannot be told from other builds: then nothing is kept.
    program: Option<Vec<u8>>,
    settled_s: i64,
}

impl RuleCache {
    /// The cache below a state directory. Nothing is touched until it is asked.
    pub fn new(state_directory: &Path, keep: Keep) -> Self {
        let place = state_directory.join("cache");
        Self { place, keep, program: program(), settled_s: SETTLED_S }
    }

    /// The documents of rule files: kept ones, or what `read` gives.
    pub fn rules<E>(
        &self,
        tree: &dyn Tree,
        words: &[String],
        read: impl FnOnce(&dyn Tree) -> Result<Vec<Document>, E>,
    ) -> Result<Vec<Document>, E> {
        let bytes = |documents: &Vec<Document>| stored::rules_to_bytes(documents);
        self.kept(tree, "rules", words, stored::rules_from_bytes, bytes, read)
    }

    /// Jails: kept ones, or what `read` gives. `last_year` as for filters.
    pub fn jails<E>(
        &self,
        tree: &dyn Tree,
        (kind, words): (&str, &[String]),
        last_year: i16,
        read: impl FnOnce(&dyn Tree) -> Result<Jails, E>,
    ) -> Result<Jails, E> {
        let mut words = words.to_vec();
        words.push(last_year.to_string());
        let jails = |bytes: &[u8]| stored::jails_from_bytes(bytes, last_year);
        self.kept(tree, kind, &words, jails, stored::jails_to_bytes, read)
    }

    fn kept<T, E>(
        &self,
        tree: &dyn Tree,
        kind: &str,
        words: &[String],
        from_bytes: impl FnOnce(&[u8]) -> Option<T>,
        to_bytes: impl FnOnce(&T) -> Option<Vec<u8>>,
        read: impl FnOnce(&dyn Tree) -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(key) = self.key(kind, words) else { return read(tree) };
        if let Some(value) = self.found(&key, from_bytes) {
            return Ok(value);
        }
        if self.keep == Keep::Nothing {
            return read(tree);
        }
        let watched = Watched::new(tree);
        let value = read(&watched)?;
        // A cache that cannot be written is no cache.
        let _ = self.put(&key, &watched, to_bytes(&value));
        Ok(value)
    }

    /// What is kept, if it is still what the files say.
    fn found<T>(&self, key: &[u8; 32], from_bytes: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let bytes = Folder::open(&self.place)?.read(&name(key))?;
        let entry = Entry::from_bytes(&bytes).filter(|entry| entry.key == *key)?;
        let same = |(path, then): &(&[u8], Stamp)| {
            let path = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path);
            stamp(Path::new(path)) == Some(*then)
        };
        if !entry.inputs.iter().all(same) {
            return None;
        }
        from_bytes(entry.body)
    }

    fn put(&self, key: &[u8; 32], watched: &Watched<'_>, body: Option<Vec<u8>>) -> Option<()> {
        let body = body?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let before = i64::try_from(now).ok()?.checked_sub(self.settled_s)?;
        let inputs = watched.unchanged_since(before)?;
        let inputs = inputs
            .iter()
            .map(|(path, stamp)| (path.as_os_str().as_encoded_bytes(), *stamp))
            .collect();
        let bytes = Entry { key: *key, inputs, body: &body }.to_bytes()?;
        let state = self.place.parent()?;
        crate::commands::audit::create_private(state).ok()?;
        crate::commands::audit::create_private(&self.place).ok()?;
        Folder::open(&self.place)?.write(&name(key), &bytes).ok()
    }

    /// What is asked, by which program.
    fn key(&self, kind: &str, words: &[String]) -> Option<[u8; 32]> {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        add(self.program.as_ref()?);
        add(kind.as_bytes());
        words.iter().for_each(|word| add(word.as_bytes()));
        Some(digest.finalize().into())
    }
}

fn name(key: &[u8; 32]) -> String {
    key.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// This build: its version and the file that runs.
fn program() -> Option<Vec<u8>> {
    let stamp = stamp(Path::new("/proc/self/exe")).filter(|stamp| *stamp != Stamp::Absent)?;
    Some(format!("{} {stamp:?}", env!("CARGO_PKG_VERSION")).into_bytes())
}

#[cfg(test)]
mod tests;
