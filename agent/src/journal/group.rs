//! Appending: records are put in order at once, and one thread brings them to the disk for all.
//!
//! [`Journal::append`] says *decided*: the entry has its number and its place, nothing can come before it any
//! more. [`Ticket::wait_durable`] says *durable*. Whoever waits first writes everything that was appended until
//! then; whoever comes meanwhile waits, and is written with the next. At most [`BATCH_BYTES_MAX`] wait to be
//! written: whoever appends more writes first.
//!
//! After an error of the disk nothing is appended any more, and everything that was not durable is refused:
//! a failed fsync is never asked again. Drop the journal and open it anew.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crypto::journal::codec::Encoder;

use super::disk::Disk;
use super::entry::Entry;
use super::error::Error;
use super::start::{self, Opened};
use super::write::{Batch, Writer};
use super::{BATCH_BYTES_MAX, Clock, Options};

/// A journal that is open to be written. Threads share it.
pub struct Journal(Arc<Shared>);

/// An entry that was appended.
pub struct Ticket {
    /// Its number in the journal.
    pub record: u64,
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// A batch is on the disk, or will never be.
    settled: Condvar,
    /// `None` when it has stopped: its lock is free for the next one.
    writer: Mutex<Option<Writer>>,
    clock: Clock,
    segment_bytes: u64,
}

/// What waits to be written.
struct Queue {
    encoder: Encoder,
    bytes: Vec<u8>,
    count: u32,
    /// Number of the next record.
    next: u64,
    /// Records before this one are durable.
    durable: u64,
    /// Bytes of the segment that is open, as far as they are written.
    segment_bytes: u64,
    /// A thread is writing.
    leading: bool,
    stopped: Option<Arc<str>>,
    /// An emptied buffer.
    spare: Vec<u8>,
}

/// What a leader does besides writing what waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Ends the epoch when it is due.
    Write,
    /// Ends the epoch in any case.
    EndEpoch,
}

impl Journal {
    /// Opens a journal to be written, and brings into order what a crash left.
    pub fn open(
        disk: Box<dyn Disk>,
        options: Options,
        boot: [u8; 16],
        clock: Clock,
    ) -> Result<(Self, Opened), Error> {
        let (writer, opened) = start::open(disk, options, boot, clock())?;
        let queue = Queue {
            encoder: Encoder::after_another(),
            bytes: Vec::new(),
            count: 0,
            next: writer.sealer.record(),
            durable: writer.sealer.record(),
            segment_bytes: writer.offset,
            leading: false,
            stopped: None,
            spare: Vec::new(),
        };
        let shared = Shared {
            queue: Mutex::new(queue),
            settled: Condvar::new(),
            writer: Mutex::new(Some(writer)),
            clock,
            segment_bytes: options.segment_bytes,
        };
        Ok((Self(Arc::new(shared)), opened))
    }

    /// Puts an entry in order. It is decided when this returns, and durable when the ticket says so.
    pub fn append(&self, entry: &Entry<'_>) -> Result<Ticket, Error> {
        let wall_us = (self.0.clock)().wall_us;
        let mut queue = self.0.lock();
        while queue.bytes.len() >= BATCH_BYTES_MAX && queue.stopped.is_none() {
            queue = self.0.step(queue, Duty::Write);
        }
        if let Some(why) = &queue.stopped {
            return Err(Error::Stopped(Arc::clone(why)));
        }
        let Queue { encoder, bytes, .. } = &mut *queue;
        let encoded = entry.with_record(wall_us, |record| encoder.encode(record, bytes));
        assert!(encoded, "an entry's fields are bounded when they are made");
        queue.count += 1;
        queue.next += 1;
        Ok(Ticket { record: queue.next - 1, shared: Arc::clone(&self.0) })
    }

    /// Writes what waits, and ends the epoch when its time has come: to be called every few seconds.
    pub fn tick(&self) -> Result<(), Error> {
        self.0.settle(Duty::Write)
    }

    /// Writes what waits and ends the epoch, so that nobody who comes later has its key.
    pub fn close(self) -> Result<(), Error> {
        self.0.settle(Duty::EndEpoch)
    }
}

impl Drop for Journal {
    /// What was decided is brought to the disk if it can be; nobody waits for an answer.
    fn drop(&mut self) {
        let waiting = self.0.lock().count > 0;
        if waiting {
            let _ = self.0.settle(Duty::Write);
        }
    }
}

impl Ticket {
    /// Returns when the entry is on the disk, or never will be.
    pub fn wait_durable(&self) -> Result<(), Error> {
        let mut queue = self.shared.lock();
        loop {
            if queue.durable > self.record {
                return Ok(());
            }
            if let Some(why) = &queue.stopped {
                return Err(Error::Stopped(Arc::clone(why)));
            }
            queue = self.shared.step(queue, Duty::Write);
        }
    }

    /// Whether the entry is on the disk.
    #[cfg(test)]
    pub fn is_durable(&self) -> bool {
        self.shared.lock().durable > self.record
    }
}

/// Lets everybody know that there is no leader any more, however it ended.
struct Leading<'a> {
    shared: &'a Shared,
    done: Option<Result<(), Error>>,
    written: u64,
    /// Bytes of the segment that is open now.
    segment_bytes: u64,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.leading = false;
        match self.done.take() {
            Some(Ok(())) => {
                queue.durable = self.written;
                queue.segment_bytes = self.segment_bytes;
            }
            failed => {
                let why = match failed {
                    Some(Err(error)) => error.to_string(),
                    _ => "an internal error".to_string(),
                };
                queue.stopped.get_or_insert(why.into());
            }
        }
        self.shared.settled.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the queue, but for an allocation that fails.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes everything that was appended before, with this duty.
    fn settle(&self, duty: Duty) -> Result<(), Error> {
        let mut queue = self.lock();
        let wanted = queue.next;
        let mut led = false;
        while queue.stopped.is_none() && (!led || queue.durable < wanted) {
            led |= !queue.leading;
            queue = self.step(queue, duty);
        }
        match &queue.stopped {
            Some(why) => Err(Error::Stopped(Arc::clone(why))),
            None => Ok(()),
        }
    }

    /// Waits for the leader, or leads.
    fn step<'q>(&'q self, mut queue: MutexGuard<'q, Queue>, duty: Duty) -> MutexGuard<'q, Queue> {
        if queue.leading {
            return self.settled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.leading = true;
        let batch = queue.take(self.segment_bytes);
        let written = queue.next;
        drop(queue);
        let mut leading = Leading { shared: self, done: None, written, segment_bytes: 0 };
        let mut place = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = place.as_mut() {
            let done = self.write(writer, &batch, duty);
            leading.segment_bytes = writer.offset;
            if done.is_err() {
                *place = None;
            }
            leading.done = Some(done);
        }
        drop(place);
        drop(leading);
        let mut queue = self.lock();
        queue.spare = batch.bytes;
        queue
    }

    fn write(&self, writer: &mut Writer, batch: &Batch, duty: Duty) -> Result<(), Error> {
        let now = (self.clock)();
        writer.commit(batch, now)?;
        match duty {
            Duty::EndEpoch => writer.end_epoch(now),
            Duty::Write => Ok(()),
        }
    }
}

impl Queue {
    /// Takes what waits. Where it fills the segment, what comes next is encoded for the one that follows.
    fn take(&mut self, most: u64) -> Batch {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        std::mem::swap(&mut bytes, &mut self.bytes);
        let rotate = self.segment_bytes + bytes.len() as u64 >= most;
        if rotate {
            self.encoder = Encoder::new();
        }
        Batch { bytes, count: std::mem::take(&mut self.count), rotate }
    }
}
