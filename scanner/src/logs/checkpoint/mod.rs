//! Where a sweep got to in each file, so that the next one reads each line exactly once.
//!
//! A file is known again by device, inode and birth time together with its content: the hash of its
//! first bytes and the hash of the bytes right before the place that was reached. All that a sweep reads
//! of a file it reads of what the file was at one moment ([`super::view`]); once that changes, what is
//! read is an error, so no mark ever joins the beginning of one content with the end of another.
//!
//! What can have become of a log and its siblings since the last look, and how each ends as *seen once*
//! or as a *gap that is said*:
//!
//! | state | known by | next |
//! |---|---|---|
//! | grown, or renamed | inode; head and place are proved | goes on at the place |
//! | copied, then emptied (`copytruncate`); packed | another file begins with all that was read | goes on there; the log from its start |
//! | copied, not yet emptied; packed, not yet removed | `source` finds both | read once, in the one that is older |
//! | copy or archive half made | nothing was read of it | asked again whether it is a copy, once it is made |
//! | cut in the middle, perhaps grown again, renamed or copied | head proved, place not | gap; what stood before the old place counts as read |
//! | emptied, or written anew | head not proved | gap, unless a copy has it; from its start |
//! | gone, or a dead file's inode | no file has what it held | gap; the new file from its start |
//! | any of these while it is opened or read | the view does not hold | gap; what was seen before counts, the rest is the next look's |
//!
//! The mark of what was cut stays, for a copy that turns up later. What proves a copy is the whole of
//! what was read up to 1 KiB, and from there on the first 1 KiB and the bytes before the place; half a
//! line proves nothing, for many lines begin with it. What nobody can see is what a writer adds between
//! a copy and the truncation that follows it: `copytruncate` itself loses that. What is left of a log
//! that was cut to less than 1 KiB is read again, and the gap is said. The state is one versioned JSON
//! document.

mod mark;

use std::io::{self, Read};
use std::path::Path;

use parsers::map::LINE_BYTES_MAX;
use parsers::tree::Stat;
use serde::{Deserialize, Serialize};

use super::context::{ALL_LINES_MAX, Context};
use super::rotation::{family, is_live};
use super::source::{Family, LogFile};
use mark::{Content, Head, Mark, bytes_at, hash, tail_before};

/// Version of the document. Version 1, which had no birth times and carried nothing, is read too.
pub const VERSION: u32 = 2;

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

/// Most bytes of what is carried from one sweep to the next.
pub const CARRIED_BYTES_MAX: usize = 8 << 20;

/// What is carried: the hash of the rules.
const CARRIED_VERSION: u32 = 1;

/// A log that did not change for so long and was read is not opened again.
pub const QUIET_SECONDS: i64 = 3_600;

/// Sweeps after which a file that was not seen any more is forgotten.
pub const UNSEEN_MAX: u32 = 100;

/// What is said of a file that was cut and of which no copy is there.
pub const CUT: &str = "cut since the last sweep: lines may be missing";

/// What is said of a file that was being written at the last sweep and is nowhere now.
pub const VANISHED: &str = "gone since the last sweep, under any name: lines may be missing";

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
    /// For which rules the marks keep lines for windows and connections to look back at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// A sweep has begun with this: marks that it does not meet grow older.
    #[serde(skip)]
    begun: bool,
}

/// What one sweep leaves to the next, in a form that only whoever wrote it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The writer's version of the form.
    pub version: u32,
    body: serde_json::Value,
}

impl Carried {
    /// Takes a value; `None` when it has more than [`CARRIED_BYTES_MAX`] bytes as JSON, or no form there.
    pub fn new(version: u32, value: &impl Serialize) -> Option<Self> {
        let body = serde_json::to_value(value).ok()?;
        let carried = Self { version, body };
        carried.fits().then_some(carried)
    }

    /// The value, if it is of this version and holds.
    pub fn read<T: serde::de::DeserializeOwned>(&self, version: u32) -> Option<T> {
        (self.version == version).then(|| T::deserialize(&self.body).ok())?
    }

    fn fits(&self) -> bool {
        serde_json::to_vec(&self.body).is_ok_and(|bytes| bytes.len() <= CARRIED_BYTES_MAX)
    }
}

#[derive(Deserialize)]
struct Numbered {
    version: u32,
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
    /// The file's first bytes when it was found.
    head: Vec<u8>,
    packed: bool,
    mark: Mark,
}

/// How the reading of a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With all that it held.
    Whole,
    /// Before: it could not be read further, or was cut.
    Early,
}

/// The bytes of a file (expanded) from an offset on, afresh each time; an error once the file is not
/// what it was when it was found.
pub type ReaderAt<'a> = &'a dyn Fn(u64) -> io::Result<Box<dyn Read>>;

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
        let damaged = |_| StateError::Damaged;
        let Numbered { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if !(1..=VERSION).contains(&version) {
            return Err(StateError::Version(version));
        }
        let mut state: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        let carried = state.carried.as_ref().is_none_or(Carried::fits);
        let few = state.files.len() <= FILES_MAX;
        if !few || !carried || !state.files.iter().all(Mark::is_possible) {
            return Err(StateError::Damaged);
        }
        state.version = VERSION;
        Ok(state)
    }

    /// Writes it; marks of files that were not met for long are dropped.
    pub fn to_json(&self) -> Vec<u8> {
        let mut state = self.clone();
        state.begin();
        if state.carried.as_ref().is_some_and(|carried| !carried.fits()) {
            state.carried = None;
        }
        state.files.sort_by(|a, b| (a.unseen, &a.path, a.inode).cmp(&(b.unseen, &b.path, b.inode)));
        state.files.truncate(FILES_MAX);
        let mut left = ALL_LINES_MAX;
        for mark in &mut state.files {
            let lines = mark.context.as_ref().map_or(0, |context| context.places.len());
            match left.checked_sub(lines) {
                Some(fewer) => left = fewer,
                None => mark.context = None,
            }
        }
        let mut json = serde_json::to_vec_pretty(&state).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Whether what marks keep of lines was kept for these rules; what was kept for others is forgotten.
    pub fn is_for_rules(&mut self, rules: &str) {
        let known =
            self.carried.as_ref().and_then(|carried| carried.read::<String>(CARRIED_VERSION));
        if known.as_deref() != Some(rules) {
            self.files.iter_mut().for_each(|mark| mark.context = None);
            self.carried = Carried::new(CARRIED_VERSION, &rules);
        }
    }

    /// A sweep begins, or has ended: marks that the one before did not meet grow older and are
    /// forgotten in the end.
    pub fn begin(&mut self) {
        let begun = std::mem::replace(&mut self.begun, true);
        self.files.retain_mut(|mark| {
            let met = std::mem::take(&mut mark.met);
            mark.copied = false;
            if begun {
                mark.unseen = if met { 0 } else { mark.unseen.saturating_add(1) };
            }
            mark.unseen <= UNSEEN_MAX
        });
    }

    /// Whether all of a family was read, none of it changed within [`QUIET_SECONDS`] and nothing of it
    /// is recent enough to be looked back at: then it need not be opened, and counts as met.
    pub fn has_all_of(&mut self, family: &Family, now: i64) -> bool {
        let mark_of = |file: &LogFile| {
            let stat = &file.stat;
            let path = file.path.to_string_lossy();
            self.files.iter().position(|mark| {
                let same = (mark.size, mark.modified) == (stat.size_bytes, stat.modified);
                let rests = mark.context.as_ref().is_none_or(|context| context.until < now);
                let known = mark.is_of(stat) && *mark.path == *path;
                known && same && rests && !mark.met && !mark.unread
            })
        };
        let old = |file: &LogFile| file.stat.modified < now.saturating_sub(QUIET_SECONDS);
        let quiet = family.files.iter().all(old);
        let marks: Option<Vec<usize>> = match quiet {
            true => family.files.iter().map(mark_of).collect(),
            false => None,
        };
        let Some(marks) = marks else { return false };
        self.begun = true;
        marks.into_iter().for_each(|mark| self.files[mark].met = true);
        true
    }

    /// Where to begin in a file.
    pub fn find(
        &mut self,
        path: &str,
        stat: &Stat,
        packed: bool,
        reader: ReaderAt<'_>,
    ) -> io::Result<Reached> {
        self.begun = true;
        let found = self.place_in(path, stat, packed, reader);
        if found.is_err() {
            // It is there, though it could not be read: nothing of it is lost yet.
            for mark in self.files.iter_mut().filter(|mark| mark.is_of(stat)) {
                mark.met = true;
            }
        }
        found
    }

    fn place_in(
        &mut self,
        path: &str,
        stat: &Stat,
        packed: bool,
        reader: ReaderAt<'_>,
    ) -> io::Result<Reached> {
        let own = self.files.iter().position(|mark| mark.is_of(stat) && !mark.met);
        let file =
            Content { head: Head::new(bytes_at(reader, 0, HEAD_BYTES)?), stat, packed, reader };
        if let Some(own) = own {
            let known = &self.files[own];
            // An archive that has not changed was read to its end.
            let same = packed && (known.size, known.modified) == (stat.size_bytes, stat.modified);
            // Nothing of it was read: a log that was empty, or a copy that was not yet made.
            let untouched = known.offset == 0 && is_live(path);
            if same || untouched || known.is_proved_by(&file)? {
                return Ok(self.resume(own, path, file, false));
            }
        }
        // A copy, or its archive: the same content up to the place that was reached.
        let mut copy: Option<usize> = None;
        for (index, mark) in self.files.iter().enumerate() {
            let further = copy.is_none_or(|best| self.files[best].offset < mark.offset);
            // A new log may begin with the same few lines as the one before it.
            let proof = mark.offset >= HEAD_BYTES as u64 || !is_live(path);
            if Some(index) != own && further && proof && mark.is_beginning_of(&file)? {
                copy = Some(index);
            }
        }
        let gap = own.is_some_and(|own| self.is_cut_away(own, path, stat));
        if let Some(index) = copy {
            self.cut(own);
            // The original may still be there under its own inode: it keeps its mark.
            let met = self.files[index].met;
            let mut reached = self.resume(index, path, file, gap);
            self.files[index].met = met;
            self.files[index].copied = true;
            (reached.mark.met, reached.mark.cut) = (true, false);
            return Ok(reached);
        }
        // The beginning of something that was read, and not all of it: cut in the middle, or half a copy.
        let log = family(Path::new(path)).0;
        let begun = self.files.iter().enumerate().filter_map(|(index, mark)| {
            let is_own = Some(index) == own;
            let of_log = is_own || family(Path::new(&mark.path)).0 == log;
            (mark.is_begun_by(&file) && of_log).then_some((is_own, mark.offset))
        });
        let offset = begun.max().map(|(_, offset)| offset);
        let left = offset.map(|offset| file.left_of(offset)).transpose()?;
        self.cut(own);
        let (from, lines) = left.unwrap_or_default();
        let (gap, start) = (gap || left.is_some(), Start { from, lines, new_from: from });
        let mark = Mark::new(path, stat);
        Ok(Reached { start, gap, head: file.head.bytes, packed, mark })
    }

    /// The file that this mark spoke of holds something else now; the mark stays, for a copy.
    fn cut(&mut self, own: Option<usize>) {
        if let Some(own) = own {
            self.files[own].cut = self.files[own].offset > 0;
        }
    }

    /// Keeps that a file was read up to an offset, and after how many lines, in place of what was known.
    pub fn reached(
        &mut self,
        reached: Reached,
        (offset, lines): (u64, u64),
        ended: Ended,
        context: Option<Context>,
        reader: ReaderAt<'_>,
    ) {
        let Reached { mut mark, head, packed, .. } = reached;
        if offset != mark.offset || mark.head.is_empty() {
            let size = usize::try_from(offset).unwrap_or(usize::MAX);
            // What the file began with when it was found: if it was cut since, it begins otherwise now.
            let head = &head[..HEAD_BYTES.min(size).min(head.len())];
            (mark.head_bytes, mark.head) = (head.len(), hash(head));
            // An archive does not change; reading its end again would expand all of it again.
            let tail = if packed { Vec::new() } else { tail_before(offset, reader) };
            (mark.tail_bytes, mark.tail) = (tail.len(), hash(&tail));
            (mark.offset, mark.lines) = (offset, lines);
        }
        (mark.met, mark.unread, mark.context) = (true, ended == Ended::Early, context);
        self.files.retain(|known| known.cut || !known.is_same_as(&mark));
        self.files.push(mark);
    }

    /// The files whose end nobody has seen: they were being written at the last sweep and are gone now,
    /// and no file of this sweep holds what they held. To be asked once, when all files were found;
    /// `is_asked` tells whether this sweep looked at a path, `is_there` whether something stands there.
    pub fn vanished(
        &self,
        is_asked: &dyn Fn(&str) -> bool,
        is_there: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        let lost = |mark: &&Mark| {
            // A rotated file that ends in half a line was read as far as it goes.
            let left = mark.size.saturating_sub(mark.offset);
            let unfinished = is_live(&mark.path) || left > LINE_BYTES_MAX as u64;
            let gone = !mark.met && !mark.copied && !mark.cut && mark.unseen == 0;
            let held = || {
                self.files.iter().any(|other| {
                    other.met && other.head == mark.head && other.offset >= mark.offset
                })
            };
            unfinished
                && gone
                && mark.offset > 0
                && (is_asked(&mark.path) || !is_there(&mark.path))
                && !held()
        };
        self.files.iter().filter(lost).map(|mark| mark.path.clone()).collect()
    }

    fn resume(&mut self, index: usize, path: &str, file: Content<'_>, gap: bool) -> Reached {
        let Content { head, stat, packed, .. } = file;
        self.files[index].met = true;
        let known = &self.files[index];
        let mut mark = known.clone();
        mark.path = path.to_string();
        (mark.device, mark.inode, mark.born) = (stat.device, stat.inode, stat.born);
        (mark.size, mark.modified, mark.copied) = (stat.size_bytes, stat.modified, false);
        let start = Start { from: known.offset, lines: known.lines, new_from: known.offset };
        Reached { start, gap, head: head.bytes, packed, mark }
    }

    /// Whether lines were lost with what this file held: it was cut in place, and no file of this sweep
    /// holds what it held.
    fn is_cut_away(&self, own: usize, path: &str, stat: &Stat) -> bool {
        let cut = &self.files[own];
        // Without birth times, under another name, it is rather another file with a dead file's inode.
        let same = cut.path == path || cut.born.is_some() && cut.born == stat.born;
        let held = |(index, mark): (usize, &Mark)| {
            index != own && mark.met && mark.head == cut.head && mark.offset >= cut.offset
        };
        same && cut.offset > 0 && !cut.copied && !self.files.iter().enumerate().any(held)
    }
}

impl Reached {
    /// The lines that windows look back at; `None` where a stretch of the file is to be read again.
    pub fn context(&self) -> Option<&Context> {
        self.mark.context.as_ref()
    }
}

impl Start {
    /// The same place, with up to [`CONTEXT_BYTES`] of whole lines before it.
    pub fn with_context(self, reader: ReaderAt<'_>) -> io::Result<Self> {
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
