//! Blocks: the lines of a part of a file, for readers that share it.
//!
//! A file is divided at any offsets; the lines that *begin* in a part belong to it. So the parts of a
//! file hold each line exactly once, whatever their size, and threads can read them without asking
//! each other.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::LINE_BYTES_MAX;
use super::cache::{Manners, SPARED_BYTES_MIN, is_warm};
use super::mapped::Mapped;
use super::proof::{Proof, asked};

/// Whole lines that follow each other in one file (of an archive: expanded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Where the first line begins.
    pub offset: u64,
    /// The lines with their line ends; only the last line of a file may lack its own.
    pub bytes: &'a [u8],
    /// Whether the last line is longer than [`LINE_BYTES_MAX`] and goes on after `bytes`.
    pub cut: bool,
}

/// A file that is read by position, by any number of threads, never past the size that it had when it
/// was found. Each block is asked about after it was read: what was cut meanwhile is an error
/// ([`super::Torn`]), never torn lines.
#[derive(Debug)]
pub struct Shared {
    file: File,
    end: u64,
    proof: io::Result<Arc<Proof>>,
    manners: Manners,
}

impl Shared {
    /// Reads `file` up to `end`.
    pub fn new(file: File, end: u64) -> Self {
        Self::with(file, end, Manners::new(end))
    }

    /// Reads a file of which is known what it was.
    pub fn proved(file: File, proof: Arc<Proof>) -> Self {
        let end = proof.end();
        Self { file, end, proof: Ok(proof), manners: Manners::new(end) }
    }

    pub(super) fn with(file: File, end: u64, manners: Manners) -> Self {
        let proof = Proof::new(&file, end).map(Arc::new);
        Self { file, end, proof, manners }
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The lines that begin in `part`; none when a longer line covers it. `buffer` holds the bytes and
    /// is reused.
    pub fn lines_in<'b>(&self, part: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<Block<'b>> {
        let to = part.end.min(self.end);
        // The byte before tells whether a line begins at the part's first byte.
        let from = part.start.saturating_sub(1);
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        buffer.clear();
        self.fill(from, length, buffer)?;
        let skipped = match (part.start, memchr::memchr(b'\n', buffer)) {
            (0, _) => 0,
            (_, Some(end)) if end + 1 < length || to == part.start => end + 1,
            _ => return Ok(Block { offset: to, bytes: &[], cut: false }),
        };
        let mut cut = false;
        if buffer.last().is_some_and(|last| *last != b'\n')
            && from + (buffer.len() as u64) < self.end
        {
            cut = self.finish_line(from + buffer.len() as u64, buffer)?;
        }
        asked(&self.proof)?.holds(&self.file, from + skipped as u64)?;
        Ok(Block { offset: from + skipped as u64, bytes: &buffer[skipped..], cut })
    }

    /// The bytes of a part, whatever lines they belong to; fewer when the file ends.
    pub fn bytes_in(&self, part: Range<u64>, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let length = part.end.min(self.end).saturating_sub(part.start);
        self.fill(part.start, usize::try_from(length).unwrap_or(usize::MAX), buffer)?;
        asked(&self.proof)?.holds(&self.file, part.start)
    }

    /// Reads on to the end of the line, at most [`LINE_BYTES_MAX`]; whether it goes on after that.
    fn finish_line(&self, from: u64, buffer: &mut Vec<u8>) -> io::Result<bool> {
        const STEP: usize = 4096;
        let start = buffer.len();
        while buffer.len() - start < LINE_BYTES_MAX {
            let before = buffer.len();
            self.fill(from + (before - start) as u64, STEP, buffer)?;
            if let Some(end) = memchr::memchr(b'\n', &buffer[before..]) {
                buffer.truncate(before + end + 1);
                return Ok(false);
            }
            if buffer.len() - before < STEP {
                return Ok(false);
            }
        }
        Ok(from + ((buffer.len() - start) as u64) < self.end)
    }

    /// Appends up to `length` bytes from `from` on; fewer when the file ends.
    fn fill(&self, from: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let left = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let start = buffer.len();
        buffer.resize(start + length.min(left), 0);
        let mut filled = start;
        while filled < buffer.len() {
            let at = from + (filled - start) as u64;
            match self.manners.read_at(&self.file, &mut buffer[filled..], at) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.manners.restore(&self.file);
    }
}

/// A file as blocks, by whichever way is right for it.
#[derive(Debug)]
pub enum Source {
    /// Mapped: for files that nobody writes any more, and files that are read once.
    Mapped(Mapped),
    /// Copied block by block: for logs that are being written.
    Copied(Shared),
}

impl Source {
    /// The first `end` bytes of a file that is read once: mapped, where that is right.
    pub fn new(file: File, end: u64) -> io::Result<Self> {
        let proof = Proof::new(&file, end)?;
        Self::mapped(file, proof.into())
    }

    /// Maps what `proof` speaks of if it is worth it, if all of it is in memory (a mapping would leave
    /// what it fetches in the page cache) and if nobody may write it but root and who reads it: whoever
    /// writes into a mapping while it is looked at could make text of it that is none. Else reads it by
    /// position.
    pub fn mapped(file: File, proof: Arc<Proof>) -> io::Result<Self> {
        if proof.end() < SPARED_BYTES_MIN || !is_ours(&file)? || !is_warm(&file, proof.end()) {
            return Ok(Self::copied(file, proof));
        }
        let again = file.try_clone()?;
        Ok(match Mapped::new(file, Arc::clone(&proof)) {
            Ok(mapped) => Self::Mapped(mapped),
            Err(_) => Self::copied(again, proof),
        })
    }

    /// Reads what `proof` speaks of by position.
    pub fn copied(file: File, proof: Arc<Proof>) -> Self {
        Self::Copied(Shared::proved(file, proof))
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        match self {
            Self::Mapped(mapped) => mapped.end(),
            Self::Copied(shared) => shared.end(),
        }
    }

    /// The lines that begin in `part`; `buffer` is used where bytes have to be copied.
    pub fn lines_in<'b>(
        &'b self,
        part: Range<u64>,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<Block<'b>> {
        match self {
            Self::Mapped(mapped) => Ok(mapped.lines_in(part)),
            Self::Copied(shared) => shared.lines_in(part, buffer),
        }
    }

    /// The bytes of a part, whatever lines they belong to; fewer when the file ends. `buffer` is used
    /// where they have to be copied. To be asked about ([`Proof::holds`]) before they are believed.
    pub fn bytes_in<'b>(
        &'b self,
        part: Range<u64>,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<&'b [u8]> {
        match self {
            Self::Mapped(mapped) => Ok(mapped.bytes_in(part)),
            Self::Copied(shared) => {
                shared.bytes_in(part, buffer)?;
                Ok(buffer)
            }
        }
    }

    /// Whether a block was whole while it was used: to be asked before what was found in it is
    /// believed. A copied block was asked about when it was read.
    pub fn holds(&self, block: &Block<'_>) -> io::Result<()> {
        match self {
            Self::Mapped(mapped) => mapped.holds(block),
            Self::Copied(_) => Ok(()),
        }
    }
}

/// Whether only root and this process's user may write a file.
fn is_ours(file: &File) -> io::Result<bool> {
    let facts = rustix::fs::fstat(file)?;
    let user = rustix::process::geteuid().as_raw();
    Ok([0, user].contains(&facts.st_uid) && facts.st_mode & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_may_write_is_never_mapped() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&b"line\n".repeat(1 << 18)).unwrap();
        let end = file.metadata().unwrap().len();
        for (mode, mapped) in [(0o600, true), (0o644, true), (0o660, false), (0o602, false)] {
            file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let source = Source::new(file.try_clone().unwrap(), end).unwrap();
            let is_mapped = matches!(source, Source::Mapped(_));
            assert!(is_mapped == mapped || (mapped && !is_warm(&file, end)), "{mode:o}");
        }
        let small = Source::new(file, SPARED_BYTES_MIN - 1).unwrap();
        assert!(matches!(small, Source::Copied(_)), "a mapping costs more than it saves");
    }

    #[test]
    fn parts_of_any_size_hold_each_line_once() {
        let text = b"a\n\nbb\nccc\n\n\nlong line here\nlast";
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let shared = Shared::new(file, text.len() as u64);
        for size in 1..=text.len() as u64 + 1 {
            let mut all = Vec::new();
            let mut at = 0;
            let mut buffer = Vec::new();
            while at < shared.end() {
                let block = shared.lines_in(at..at + size, &mut buffer).unwrap();
                if !block.bytes.is_empty() {
                    assert_eq!(block.offset, all.len() as u64, "{size}");
                    assert!(block.offset >= at && block.offset < at + size, "{size}");
                }
                assert!(!block.cut);
                all.extend_from_slice(block.bytes);
                at += size;
            }
            assert_eq!(all, text, "{size}");
        }
    }

    #[test]
    fn an_endless_line_is_cut_and_belongs_to_one_part() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\nnext\n");
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        let shared = Shared::new(file, text.len() as u64);
        let mut buffer = Vec::new();
        let part = LINE_BYTES_MAX as u64;
        let first = shared.lines_in(0..part, &mut buffer).unwrap();
        assert!(first.cut && first.bytes.len() >= LINE_BYTES_MAX);
        let second = shared.lines_in(part..2 * part, &mut buffer).unwrap();
        assert_eq!(second.bytes, b"");
        let last = shared.lines_in(3 * part..4 * part, &mut buffer).unwrap();
        assert_eq!((last.offset, last.bytes), (3 * part + 1, &b"next\n"[..]));
    }
}
