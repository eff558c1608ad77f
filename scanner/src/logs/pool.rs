//! Threads that read parts of logs and hold them against the rules, so many parts ahead of who takes
//! them in order.
//!
//! Whoever waits for a part works meanwhile; with one thread nobody else does. A part is read where it
//! stands (plain files) or by whoever comes next (archives, which have one reader and a queue of those
//! who wait for its blocks). Who did it and when changes nothing in what a part holds.

use std::collections::VecDeque;
use std::hash::RandomState;
use std::io::Read;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use parsers::map::{self, Flow};

use super::matcher::RuleSet;
use super::part::{Examiner, Manner, Part};
use super::sweep::SweepOptions;

/// Most empty parts whose memory is kept.
const SPARE_MAX: usize = 16;

/// A plain file as parts, or an archive as a sequence of blocks.
pub(super) enum Bytes {
    Plain(map::Source),
    Packed(Mutex<Unpacking>),
}

/// A file that is being read.
pub(super) struct Source {
    pub(super) bytes: Bytes,
    pub(super) manner: Manner,
    /// Lines before this offset were read before.
    pub(super) new_from: u64,
    pub(super) part_bytes: usize,
    /// Which of fail2ban's jails it is for.
    pub(super) jails: Vec<bool>,
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
    options: &'a SweepOptions,
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
    /// For these rules and hashes.
    pub(super) fn new(rules: &'a RuleSet, options: &'a SweepOptions, hasher: RandomState) -> Self {
        let (tasks, spare) = (Mutex::default(), Mutex::default());
        Self { tasks, more: Condvar::new(), spare, rules, options, hasher }
    }

    /// A thread's own memory.
    pub(super) fn worker(&'a self) -> Worker<'a> {
        Worker {
            examiner: Examiner::new(self.rules, self.options, &self.hasher),
            buffer: Vec::new(),
        }
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
        let (to, block) = match &task.source.bytes {
            Bytes::Plain(plain) => (task.to, plain.lines_in(task.range, buffer).map(Some)),
            Bytes::Packed(unpacking) => {
                let mut unpacking = lock(unpacking);
                let to = unpacking.wanted.pop_front();
                (to, unpacking.flow.next_block(task.source.part_bytes, buffer))
            }
        };
        match block {
            Ok(Some(block)) => {
                part.old = block.offset < task.source.new_from;
                examiner.lines(block, manner, &task.source.jails, &mut part);
                if let Bytes::Plain(plain) = &task.source.bytes
                    && let Err(error) = plain.holds(&block)
                {
                    // Cut under the mapping: what was found there may never have been written.
                    part.clear();
                    part.error = Some(error);
                }
            }
            Ok(None) => part.last = true,
            Err(error) => part.error = Some(error),
        }
        if let Some(to) = to {
            // Nobody waits any more when the sweep ended early.
            let _ = to.send(part);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An archive as blocks of whole lines, and who waits for them.
pub(super) struct Unpacking {
    flow: Flow<Box<dyn Read + Send>>,
    wanted: VecDeque<SyncSender<Part>>,
}

impl Unpacking {
    /// Of a reader that stands at `offset`.
    pub(super) fn new(reader: Box<dyn Read + Send>, offset: u64) -> Self {
        Self { flow: Flow::new(reader, offset), wanted: VecDeque::new() }
    }
}
