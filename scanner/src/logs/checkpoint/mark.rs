//! How far one file was read, and what proves that a file is that one, or a copy of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use parsers::map::Lines;
use parsers::tree::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::context::Context;
use super::{HEAD_BYTES, ReaderAt, TAIL_BYTES};

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub(super) path: String,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Nanoseconds since the epoch, where the file system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) born: Option<i64>,
    pub(super) size: u64,
    pub(super) modified: i64,
    pub(super) head_bytes: usize,
    pub(super) head: String,
    pub(super) offset: u64,
    pub(super) lines: u64,
    pub(super) tail_bytes: usize,
    pub(super) tail: String,
    #[serde(default)]
    pub(super) unseen: u32,
    /// The file holds other content now, or its inode is another file's: only copies have what this
    /// mark speaks of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) cut: bool,
    /// It could not be read to its end: it is opened again, though it rests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unread: bool,
    /// Lines of it that windows look back at; `None` where they are found by reading it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<Context>,
    /// Set while a sweep runs: this mark was met.
    #[serde(skip)]
    pub(super) met: bool,
    /// Set while a sweep runs: a copy goes on where this mark is.
    #[serde(skip)]
    pub(super) copied: bool,
}

impl Mark {
    pub(super) fn new(path: &str, stat: &Stat) -> Self {
        Self {
            path: path.to_string(),
            device: stat.device,
            inode: stat.inode,
            born: stat.born,
            size: stat.size_bytes,
            modified: stat.modified,
            head_bytes: 0,
            head: String::new(),
            offset: 0,
            lines: 0,
            tail_bytes: 0,
            tail: String::new(),
            unseen: 0,
            cut: false,
            unread: false,
            context: None,
            met: true,
            copied: false,
        }
    }

    /// Whether this speaks of the file with these facts: another birth is another file.
    pub(super) fn is_of(&self, stat: &Stat) -> bool {
        !self.cut
            && (self.device, self.inode) == (stat.device, stat.inode)
            && (self.born == stat.born || self.born.is_none() || stat.born.is_none())
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (self.device, self.inode, self.born) == (other.device, other.inode, other.born)
            || (self.device, self.inode) == (other.device, other.inode) && self.born.is_none()
    }

    /// Whether a sweep can have written this: what proves the place lies before it.
    pub(super) fn is_possible(&self) -> bool {
        let within = |bytes: usize, most: usize| bytes <= most && bytes as u64 <= self.offset;
        let last = self.context.as_ref().and_then(|context| context.places.last());
        last.is_none_or(|last| last.offset < self.offset)
            && within(self.head_bytes, HEAD_BYTES)
            && within(self.tail_bytes, TAIL_BYTES)
    }

    /// Whether the file of this mark still holds what was read of it. Without bytes before the place it
    /// was changing when it was left: nothing but its beginning is known.
    pub(super) fn is_proved_by(&self, file: &Content<'_>) -> io::Result<bool> {
        let known = file.packed || self.tail_bytes > 0 || self.offset <= self.head_bytes as u64;
        Ok(known && self.is_beginning_of(file)?)
    }

    /// Whether a file begins with what this mark has read: same head, same bytes before the offset.
    pub(super) fn is_beginning_of(&self, file: &Content<'_>) -> io::Result<bool> {
        let fits = file.packed || file.stat.size_bytes >= self.offset;
        if self.offset == 0 || !fits || !file.head.begins_with(self.head_bytes, &self.head) {
            return Ok(false);
        }
        if self.tail_bytes == 0 {
            // No bytes before the place are known. A line ends there, or, where an archive ended in half
            // a line, the file does: other lines may begin with the same half.
            let place = bytes_at(file.reader, self.offset - 1, 2)?;
            return Ok(place.first() == Some(&b'\n') || place.len() == 1);
        }
        let tail = bytes_at(file.reader, self.offset - self.tail_bytes as u64, self.tail_bytes)?;
        Ok(tail.len() == self.tail_bytes && hash(&tail) == self.tail)
    }

    /// Whether a file has the whole head of what this mark has read.
    pub(super) fn is_begun_by(&self, file: &Content<'_>) -> bool {
        self.head_bytes == HEAD_BYTES && file.head.begins_with(HEAD_BYTES, &self.head)
    }
}

/// A file that is asked whether a mark speaks of it.
pub(super) struct Content<'a> {
    pub(super) head: Head,
    pub(super) stat: &'a Stat,
    pub(super) packed: bool,
    pub(super) reader: ReaderAt<'a>,
}

impl Content<'_> {
    /// Of a file that begins like one that was read up to `offset`: where the last line ends that can
    /// have been read before, and how many lines that makes.
    pub(super) fn left_of(&self, offset: u64) -> io::Result<(u64, u64)> {
        let before = if self.packed { offset } else { offset.min(self.stat.size_bytes) };
        let mut lines = Lines::new((self.reader)(0)?.take(before));
        let (mut end, mut count) = (0, 0);
        while lines.next_line()?.is_some_and(|line| line.terminated) {
            (end, count) = (lines.offset(), lines.number());
        }
        Ok((end, count))
    }
}

/// The first bytes of a file, with the hashes of its beginnings that were asked for.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    pub(super) hashes: RefCell<BTreeMap<usize, String>>,
}

impl Head {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, hashes: RefCell::default() }
    }

    /// Whether the first `length` bytes have this hash.
    pub(super) fn begins_with(&self, length: usize, wanted: &str) -> bool {
        let Some(bytes) = self.bytes.get(..length) else { return false };
        let mut hashes = self.hashes.borrow_mut();
        hashes.entry(length).or_insert_with(|| hash(bytes)) == wanted
    }
}

/// The bytes before `offset`, if the file is still what it was; else none.
pub(super) fn tail_before(offset: u64, reader: ReaderAt<'_>) -> Vec<u8> {
    let length = usize::try_from(offset).unwrap_or(usize::MAX).min(TAIL_BYTES);
    let tail = bytes_at(reader, offset - length as u64, length);
    tail.ok().filter(|tail| tail.len() == length).unwrap_or_default()
}

pub(super) fn bytes_at(reader: ReaderAt<'_>, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader(offset)?.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
