//! Where a sweep got to in each file, so that the next one reads each line exactly once.
//!
//! A file is known again by device and inode together with its content: the hash of its first bytes
//! and the hash of the bytes right before the place that was reached. So a renamed file goes on where
//! it was, a copy made by logrotate's `copytruncate` (and its gzip form) is recognised by content, and
//! a file that was cut and grew again, or got a dead file's inode, is read from its start. What was cut
//! away unread is a gap and is said. The state is one versioned JSON document.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;

use parsers::tree::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the document.
pub const VERSION: u32 = 1;

/// Most bytes of a state file.
pub const STATE_BYTES_MAX: usize = 16 << 20;

/// Most files that are remembered.
pub const FILES_MAX: usize = 20_000;

/// Bytes of a file's beginning that identify it.
pub const HEAD_BYTES: usize = 1024;

/// Bytes before the place reached that prove that nothing was rewritten.
pub const TAIL_BYTES: usize = 64;

/// Bytes before the place reached that are read again as context for correlations.
pub const CONTEXT_BYTES: u64 = 1 << 20;

/// Sweeps after which a file that was not seen any more is forgotten.
pub const UNSEEN_MAX: u32 = 100;

/// The state of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    version: u32,
    files: Vec<Mark>,
    /// The journal's cursor after the last entry read.
    #[serde(default)]
    pub journal_cursor: Option<String>,
    /// What was said about unreadable sources last time.
    #[serde(default)]
    pub said: Vec<String>,
    /// What is usual in these logs (`features::Baseline`), as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
}

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    path: String,
    device: u64,
    inode: u64,
    size: u64,
    modified: i64,
    head_bytes: usize,
    head: String,
    offset: u64,
    lines: u64,
    tail_bytes: usize,
    tail: String,
    #[serde(default)]
    unseen: u32,
    /// Set while a sweep runs: this mark was met.
    #[serde(skip)]
    met: bool,
}

/// Where to begin in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Where to read from: somewhat before what is new.
    pub from: u64,
    /// Lines before `from`.
    pub lines: u64,
    /// Where what is new begins.
    pub new_from: u64,
}

/// How far a file is being read.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Where to begin.
    pub start: Start,
    /// Whether lines were lost: the file was cut and what it held is nowhere else.
    pub gap: bool,
    mark: Mark,
}

/// The bytes of a file (expanded) from an offset on, afresh each time.
pub type ReaderAt<'a> = &'a dyn Fn(u64) -> Result<Box<dyn Read>, String>;

/// The caller's state file is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It is no state, or damaged.
    #[error("not a state file of wardmote, or damaged")]
    Damaged,
    /// A newer program wrote it.
    #[error("a state of version {0}, which this program does not know")]
    Version(u32),
}

impl Checkpoint {
    /// No file known.
    pub fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    /// Reads a state.
    pub fn from_json(bytes: &[u8]) -> Result<Self, StateError> {
        let state: Self = serde_json::from_slice(bytes).map_err(|_| StateError::Damaged)?;
        if state.version != VERSION {
            return Err(StateError::Version(state.version));
        }
        if state.files.len() > FILES_MAX || !state.files.iter().all(Mark::is_possible) {
            return Err(StateError::Damaged);
        }
        Ok(state)
    }

    /// Writes it; marks of files that were not met for long are dropped.
    pub fn to_json(&self) -> Vec<u8> {
        let mut state = self.clone();
        state.files.retain_mut(|mark| {
            mark.unseen = if mark.met { 0 } else { mark.unseen.saturating_add(1) };
            mark.unseen <= UNSEEN_MAX
        });
        state.files.sort_by(|a, b| (a.unseen, &a.path, a.inode).cmp(&(b.unseen, &b.path, b.inode)));
        state.files.truncate(FILES_MAX);
        let mut json = serde_json::to_vec_pretty(&state).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Where to begin in a file.
    pub fn find(
        &mut self,
        path: &str,
        stat: &Stat,
        packed: bool,
        reader: ReaderAt<'_>,
    ) -> Result<Reached, String> {
        let same_inode =
            |mark: &Mark| (mark.device, mark.inode) == (stat.device, stat.inode) && !mark.met;
        let own = self.files.iter().position(same_inode);
        // An archive that has not changed was read to its end.
        if let Some(own) = own
            && packed
            && (self.files[own].size, self.files[own].modified) == (stat.size_bytes, stat.modified)
        {
            return Ok(self.resume(own, path, stat));
        }
        let head = Head::new(bytes_at(reader, 0, HEAD_BYTES)?);
        if let Some(own) = own
            && self.files[own].is_beginning_of(&head, stat, packed, reader)?
        {
            return Ok(self.resume(own, path, stat));
        }
        // A copy, or its archive: the same content up to the place that was reached.
        for index in 0..self.files.len() {
            let mark = &self.files[index];
            if Some(index) != own
                && mark.offset > 0
                && mark.is_beginning_of(&head, stat, packed, reader)?
            {
                let mut reached = self.resume(index, path, stat);
                // The original may still be there under its own inode: it keeps its mark.
                self.files[index].met = false;
                reached.mark.met = true;
                return Ok(reached);
            }
        }
        let cut = own.map(|own| self.files[own].clone());
        let gap = cut.is_some_and(|mark| mark.path == path && mark.offset > 0)
            && !self.is_held_elsewhere(own);
        Ok(Reached { start: Start::default(), gap, mark: Mark::new(path, stat) })
    }

    /// Keeps that a file was read up to `offset`, after so many lines, in place of what was known.
    pub fn reached(
        &mut self,
        reached: Reached,
        offset: u64,
        lines: u64,
        reader: ReaderAt<'_>,
    ) -> Result<(), String> {
        let mut mark = reached.mark;
        if offset != mark.offset || mark.head.is_empty() {
            let size = usize::try_from(offset).unwrap_or(usize::MAX);
            let head = bytes_at(reader, 0, HEAD_BYTES.min(size))?;
            let tail =
                bytes_at(reader, offset.saturating_sub(TAIL_BYTES as u64), TAIL_BYTES.min(size))?;
            (mark.head_bytes, mark.head) = (head.len(), hash(&head));
            (mark.tail_bytes, mark.tail) = (tail.len(), hash(&tail));
            (mark.offset, mark.lines) = (offset, lines);
        }
        mark.met = true;
        self.files.retain(|known| (known.device, known.inode) != (mark.device, mark.inode));
        self.files.push(mark);
        Ok(())
    }

    fn resume(&mut self, index: usize, path: &str, stat: &Stat) -> Reached {
        self.files[index].met = true;
        let known = &self.files[index];
        let mut mark = known.clone();
        mark.path = path.to_string();
        (mark.device, mark.inode) = (stat.device, stat.inode);
        (mark.size, mark.modified) = (stat.size_bytes, stat.modified);
        let start = Start { from: known.offset, lines: known.lines, new_from: known.offset };
        Reached { start, gap: false, mark }
    }

    /// Whether a file of this sweep, met already, holds what the cut file held.
    fn is_held_elsewhere(&self, own: Option<usize>) -> bool {
        let Some(own) = own else { return false };
        let cut = &self.files[own];
        self.files.iter().enumerate().any(|(index, mark)| {
            index != own && mark.met && mark.head == cut.head && mark.offset >= cut.offset
        })
    }
}

impl Mark {
    fn new(path: &str, stat: &Stat) -> Self {
        Self {
            path: path.to_string(),
            device: stat.device,
            inode: stat.inode,
            size: stat.size_bytes,
            modified: stat.modified,
            head_bytes: 0,
            head: String::new(),
            offset: 0,
            lines: 0,
            tail_bytes: 0,
            tail: String::new(),
            unseen: 0,
            met: true,
        }
    }

    /// Whether a sweep can have written this: what proves the place lies before it.
    fn is_possible(&self) -> bool {
        let within = |bytes: usize, most: usize| bytes <= most && bytes as u64 <= self.offset;
        within(self.head_bytes, HEAD_BYTES) && within(self.tail_bytes, TAIL_BYTES)
    }

    /// Whether a file begins with what this mark has read: same head, same bytes before the offset.
    fn is_beginning_of(
        &self,
        head: &Head,
        stat: &Stat,
        packed: bool,
        reader: ReaderAt<'_>,
    ) -> Result<bool, String> {
        if self.offset == 0 {
            return Ok(self.device == stat.device && self.inode == stat.inode);
        }
        let fits = packed || stat.size_bytes >= self.offset;
        if !fits || !head.begins_with(self.head_bytes, &self.head) {
            return Ok(false);
        }
        let tail = bytes_at(reader, self.offset - self.tail_bytes as u64, self.tail_bytes)?;
        Ok(tail.len() == self.tail_bytes && hash(&tail) == self.tail)
    }
}

/// The first bytes of a file, with the hashes of its beginnings that were asked for.
struct Head {
    bytes: Vec<u8>,
    hashes: RefCell<BTreeMap<usize, String>>,
}

impl Head {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, hashes: RefCell::default() }
    }

    /// Whether the first `length` bytes have this hash.
    fn begins_with(&self, length: usize, wanted: &str) -> bool {
        let Some(bytes) = self.bytes.get(..length) else { return false };
        let mut hashes = self.hashes.borrow_mut();
        hashes.entry(length).or_insert_with(|| hash(bytes)) == wanted
    }
}

impl Start {
    /// The same place, with up to [`CONTEXT_BYTES`] of whole lines before it.
    pub fn with_context(self, reader: ReaderAt<'_>) -> Result<Self, String> {
        let from = self.new_from.saturating_sub(CONTEXT_BYTES);
        let length = usize::try_from(self.new_from - from).unwrap_or(usize::MAX);
        let bytes = bytes_at(reader, from, length)?;
        let skipped = match memchr::memchr(b'\n', &bytes) {
            _ if from == 0 => 0,
            Some(at) => at + 1,
            None => return Ok(self),
        };
        let lines = memchr::memchr_iter(b'\n', &bytes[skipped..]).count() as u64;
        let lines = self.lines.saturating_sub(lines);
        Ok(Self { from: from + skipped as u64, lines, new_from: self.new_from })
    }
}

fn bytes_at(reader: ReaderAt<'_>, offset: u64, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let reader = reader(offset)?;
    reader.take(length as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
