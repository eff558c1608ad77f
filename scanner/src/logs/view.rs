//! One opened log: its bytes, expanded, from any offset and as often as needed.
//!
//! Opened once and held, so that what is read is the file that was found, whatever its name becomes
//! meanwhile. Never gives bytes past the size that the file had when it was opened; a file that is cut
//! meanwhile is an error ([`parsers::map::Torn`]).

use std::fs::File;
use std::io::{self, Read};

use parsers::map::{MAGIC_BYTES, Packing, Positioned, Source};
use parsers::tree::Stat;

use super::source::LogFile;
use crate::RootedTree;

/// An opened log.
#[derive(Debug)]
pub struct View {
    /// Facts about it, of the moment when it was opened.
    pub stat: Stat,
    handle: File,
    packing: Option<Packing>,
    limit: u64,
}

impl View {
    /// Opens a file that was found; an archive may expand to `limit` bytes.
    pub fn open(tree: &RootedTree, file: &LogFile, limit: u64) -> Result<Self, String> {
        let (handle, stat) = file.open(tree).map_err(|error| error.why.to_string())?;
        let mut head = Vec::new();
        Positioned::new(handle.try_clone().map_err(said)?, 0, stat.size_bytes)
            .take(MAGIC_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(said)?;
        Ok(Self { stat, handle, packing: Packing::of(&head), limit })
    }

    /// Whether it is an archive: then its bytes can only be had one after another.
    pub fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// Its bytes, expanded, from `offset` on.
    pub fn reader_at(&self, offset: u64) -> Result<Box<dyn Read + Send>, String> {
        let handle = self.handle.try_clone().map_err(said)?;
        let size = self.stat.size_bytes;
        let Some(packing) = self.packing else {
            return Ok(Box::new(Positioned::new(handle, offset, size)));
        };
        let whole = Positioned::new(handle, 0, size);
        let mut reader = packing.unpack(whole, self.limit).map_err(said)?;
        io::copy(&mut reader.by_ref().take(offset), &mut io::sink()).map_err(said)?;
        Ok(reader)
    }

    /// A plain file as blocks for threads to share. `live` for a log that may be written to and is read
    /// with a state: it is copied block by block; any other is mapped where that is safe and faster.
    pub fn blocks(&self, live: bool) -> io::Result<Source> {
        let handle = self.handle.try_clone()?;
        match live {
            true => Ok(Source::copied(handle, self.stat.size_bytes)),
            false => Source::mapped(handle, self.stat.size_bytes),
        }
    }
}

fn said(error: io::Error) -> String {
    error.to_string()
}
