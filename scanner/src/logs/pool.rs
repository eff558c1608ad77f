//! Threads that read parts of logs and hold them against the rules, so many parts ahead of who takes
//! them in order.
//!
//! Whoever waits for a part works meanwhile; with one thread nobody else does. A part is read where it
//! stands (plain files) or by whoever comes next (archives, which have one reader and a queue of those
//! who wait for its blocks). Who did it and when changes nothing in what a part holds.

use std::collections::VecDeque;
use std::hash::RandomState;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use parsers::map::{LINE_BYTES_MAX, Shared};

use super::matcher::RuleSet;
use super::part::{Examiner, Manner, Part};

/// Most empty parts whose memory is kept.
const SPARE_MAX: usize = 16;

/// Least bytes of an archive that are expanded at once.
const STEP: usize = 4096;

/// A plain file as parts, or an archive as a sequence of blocks.
pub(super) enum Bytes {
    Plain(Shared),
    Packed(Mutex<Unpacking>),
}

/// A file that is being read.
pub(super) struct Source {
    pub(super) bytes: Bytes,
    pub(super) manner: Manner,
    /// Lines before this offset were read before.
    pub(super) new_from: u64,
    pub(super) part_bytes: usize,
}

/// What to read: a part of a plain file, or the next block of an archive.
struct Task {
    source: Arc<Source>,
    range: Range<u64>,
    /// Where a plain part goes; of an archive, the first in the queue.
    to: Option<SyncSender<Part>>,
}

/// The threads' shared work.
pub(super) struct Pool<'a> {
    tasks: Mutex<Tasks>,
    more: Condvar,
    spare: Mutex<Vec<Part>>,
    rules: &'a RuleSet,
    hasher: RandomState,
}

#[derive(Default)]
struct Tasks {
    waiting: VecDeque<Task>,
    closed: bool,
}

/// What a thread keeps from part to part.
pub(super) struct Worker<'a> {
    pub(super) examiner: Examiner<'a>,
    buffer: Vec<u8>,
}

impl<'a> Pool<'a> {
    pub(super) fn new(rules: &'a RuleSet, hasher: RandomState) -> Self {
        let (tasks, spare) = (Mutex::default(), Mutex::default());
        Self { tasks, more: Condvar::new(), spare, rules, hasher }
    }

    /// A thread's own memory.
    pub(super) fn worker(&'a self) -> Worker<'a> {
        Worker { examiner: Examiner::new(self.rules, &self.hasher), buffer: Vec::new() }
    }

    /// Works until the pool is closed.
    pub(super) fn work(&'a self) {
        let mut worker = self.worker();
        while let Some(task) = self.next_task() {
            self.run(task, &mut worker);
        }
    }

    /// Ends the threads once nothing waits.
    pub(super) fn close(&self) {
        lock(&self.tasks).closed = true;
        self.more.notify_all();
    }

    /// Asks for a part of a plain file, or for the next block of an archive.
    pub(super) fn ask(&self, source: &Arc<Source>, range: Range<u64>) -> Receiver<Part> {
        let (to, from) = sync_channel(1);
        let to = match &source.bytes {
            Bytes::Plain(_) => Some(to),
            Bytes::Packed(unpacking) => {
                lock(unpacking).wanted.push_back(to);
                None
            }
        };
        lock(&self.tasks).waiting.push_back(Task { source: Arc::clone(source), range, to });
        self.more.notify_one();
        from
    }

    /// The part that was asked for; works on what waits until it is there.
    pub(super) fn take(&'a self, from: &Receiver<Part>, worker: &mut Worker<'a>) -> Part {
        loop {
            match from.try_recv() {
                Ok(part) => return part,
                Err(TryRecvError::Disconnected) => return Part::failed("could not be examined"),
                Err(TryRecvError::Empty) => {}
            }
            let task = lock(&self.tasks).waiting.pop_front();
            match task {
                Some(task) => self.run(task, worker),
                None => {
                    let part = from.recv();
                    return part.unwrap_or_else(|_| Part::failed("could not be examined"));
                }
            }
        }
    }

    /// An empty part.
    pub(super) fn spare(&self) -> Part {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// Gives a part back: its memory is used again.
    pub(super) fn give_back(&self, mut part: Part) {
        part.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_MAX {
            spare.push(part);
        }
    }

    fn next_task(&self) -> Option<Task> {
        let mut tasks = lock(&self.tasks);
        loop {
            if let Some(task) = tasks.waiting.pop_front() {
                return Some(task);
            }
            if tasks.closed {
                return None;
            }
            tasks = self.more.wait(tasks).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self, task: Task, worker: &mut Worker<'_>) {
        let mut part = self.spare();
        let Worker { examiner, buffer } = worker;
        let manner = task.source.manner;
        let to = match &task.source.bytes {
            Bytes::Plain(shared) => {
                match shared.lines_in(task.range, buffer) {
                    Ok(block) => {
                        part.offset = block.offset;
                        part.cut = block.cut;
                        examiner.lines(block.bytes, manner, &mut part);
                    }
                    Err(error) => part.error = Some(error.to_string()),
                }
                task.to
            }
            Bytes::Packed(unpacking) => {
                let mut unpacking = lock(unpacking);
                let to = unpacking.wanted.pop_front();
                let end = unpacking.next_block(buffer, task.source.part_bytes);
                (part.offset, part.cut) = (unpacking.offset, unpacking.cut);
                drop(unpacking);
                match end {
                    Ok(more) => part.last = !more,
                    Err(error) => part.error = Some(error.to_string()),
                }
                examiner.lines(buffer, manner, &mut part);
                to
            }
        };
        part.old = part.offset < task.source.new_from;
        if let Some(to) = to {
            // Nobody waits any more when the sweep ended early.
            let _ = to.send(part);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An archive as blocks of whole lines.
pub(super) struct Unpacking {
    reader: Box<dyn Read + Send>,
    /// The beginning of the next line.
    rest: Vec<u8>,
    /// Offset of the block given last.
    offset: u64,
    /// Offset of `rest`.
    next: u64,
    /// The last block ends in the middle of an over-long line, whose rest is left out.
    cut: bool,
    ended: bool,
    /// Blocks before this offset end there.
    border: u64,
    wanted: VecDeque<SyncSender<Part>>,
}

impl Unpacking {
    /// Of a reader that stands at `offset`; a line begins at `border`, and no block spans it.
    pub(super) fn new(reader: Box<dyn Read + Send>, offset: u64, border: u64) -> Self {
        let (rest, wanted) = (Vec::new(), VecDeque::new());
        let (cut, ended) = (false, false);
        Self { reader, rest, offset, next: offset, cut, ended, border, wanted }
    }

    /// Puts the next whole lines into `block`, about so many bytes; `false` when none come after.
    /// After an error the whole lines before it are there.
    fn next_block(&mut self, block: &mut Vec<u8>, size: usize) -> io::Result<bool> {
        block.clear();
        if std::mem::take(&mut self.cut) {
            self.skip_line()?;
        }
        self.offset = self.next;
        std::mem::swap(block, &mut self.rest);
        self.rest.clear();
        let mut searched = 0;
        let mut end = None;
        let mut failed = None;
        loop {
            if block.len() >= size {
                end = memchr::memrchr(b'\n', &block[searched..]).map(|at| searched + at + 1);
                if end.is_some() {
                    break;
                }
                searched = block.len();
                if block.len() > LINE_BYTES_MAX {
                    self.next += block.len() as u64;
                    self.cut = true;
                    return Ok(true);
                }
            }
            let before = block.len();
            let step = size.max(before + STEP) - before;
            match self.reader.by_ref().take(step as u64).read_to_end(block) {
                Ok(0) => self.ended = true,
                Ok(_) => continue,
                Err(error) => failed = Some(error),
            }
            break;
        }
        if let Some(error) = failed {
            let end = memchr::memrchr(b'\n', block).map_or(0, |at| at + 1);
            block.truncate(end);
            return Err(error);
        }
        let end = self.before_border(block, end.unwrap_or(block.len()));
        self.rest.extend_from_slice(&block[end..]);
        block.truncate(end);
        self.next = self.offset + block.len() as u64;
        Ok(!self.ended || !self.rest.is_empty())
    }

    /// Ends a block at the border, if that lies within it.
    fn before_border(&self, block: &[u8], end: usize) -> usize {
        match self.border.checked_sub(self.offset) {
            Some(left @ 1..) => {
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                if left < end && block.get(left - 1) == Some(&b'\n') { left } else { end }
            }
            _ => end,
        }
    }

    /// Drops the rest of an over-long line.
    fn skip_line(&mut self) -> io::Result<()> {
        let mut block = Vec::new();
        loop {
            block.clear();
            let read = self.reader.by_ref().take(LINE_BYTES_MAX as u64).read_to_end(&mut block)?;
            if read == 0 {
                return Ok(());
            }
            if let Some(end) = memchr::memchr(b'\n', &block) {
                self.next += end as u64 + 1;
                self.rest.extend_from_slice(&block[end + 1..]);
                return Ok(());
            }
            self.next += read as u64;
        }
    }
}
