//! One opened log: its bytes, expanded, from any offset and as often as needed.
//!
//! Opened once and held, so that what is read is the file that was found, whatever its name becomes
//! meanwhile. Never gives bytes past the size that the file had when it was opened; a file that is cut
//! meanwhile is an error ([`parsers::map::Torn`]) from then on, for every reader: all of them hold it
//! against what it was at that one moment.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use parsers::map::{MAGIC_BYTES, Packing, Positioned, Proof, Source};
use parsers::tree::Stat;

use super::source::LogFile;
use crate::RootedTree;

/// An opened log.
#[derive(Debug)]
pub struct View {
    /// Facts about it, of the moment when it was opened.
    pub stat: Stat,
    handle: File,
    proof: Arc<Proof>,
    packing: Option<Packing>,
    limit: u64,
}

impl View {
    /// Opens a file that was found; an archive may expand to `limit` bytes.
    pub fn open(tree: &RootedTree, file: &LogFile, limit: u64) -> io::Result<Self> {
        let (handle, stat) = file.open(tree).map_err(|e| io::Error::other(e.why.to_string()))?;
        let proof = Arc::new(Proof::new(&handle, stat.size_bytes)?);
        let mut head = Vec::new();
        Positioned::proved(handle.try_clone()?, 0, Arc::clone(&proof))
            .take(MAGIC_BYTES as u64)
            .read_to_end(&mut head)?;
        Ok(Self { stat, handle, proof, packing: Packing::of(&head), limit })
    }

    /// Fails when the file was cut or written anew since it was opened; `from` is what is in doubt.
    pub fn holds(&self, from: u64) -> io::Result<()> {
        self.proof.holds(&self.handle, from)
    }

    /// Whether it is an archive: then its bytes can only be had one after another.
    pub fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// Its bytes, expanded, from `offset` on.
    pub fn reader_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let handle = self.handle.try_clone()?;
        let proof = Arc::clone(&self.proof);
        let Some(packing) = self.packing else {
            return Ok(Box::new(Positioned::proved(handle, offset, proof)));
        };
        let mut reader = packing.unpack(Positioned::proved(handle, 0, proof), self.limit)?;
        io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        Ok(reader)
    }

    /// A plain file as blocks for threads to share, copied: in a sweep a mapping is no faster (the rules
    /// take a hundred times as long as the bytes), and every page of it would count as the process's.
    pub fn blocks(&self) -> io::Result<Source> {
        Ok(Source::copied(self.handle.try_clone()?, Arc::clone(&self.proof)))
    }
}
