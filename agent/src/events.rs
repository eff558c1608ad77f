//! The bus between the parts of the service: whoever notices something emits it, and the loop takes it, the
//! urgent first.
//!
//! Bounded: [`HELD_MAX`] events of a priority. Beyond, the newest of that priority is dropped and counted,
//! and the loop writes the count into the journal; what an operator wants ([`Priority::Urgent`]) has a queue
//! of its own, so that no flood keeps a stop waiting. Emitting never waits: one lock that is held for some
//! nanoseconds, and a wake only where the loop sleeps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Most events of one priority that wait.
pub const HELD_MAX: usize = 1_024;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read the configuration again.
    Reload,
    /// End.
    Stop,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An operator wants something.
    Wish(Wish),
    /// A case was told.
    Case(Arc<str>),
    /// A response was decided, done or undone.
    Response(Arc<str>),
    /// Something does not work, or works again.
    Trouble(Arc<str>),
    /// The configuration, or what listens, is another.
    Changed(Arc<str>),
    /// An audit ended.
    Audited(Arc<str>),
}

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Operators.
    Urgent,
    /// What somebody should know.
    High,
    /// Everything else.
    Normal,
}

impl Event {
    fn priority(&self) -> Priority {
        match self {
            Self::Wish(_) => Priority::Urgent,
            Self::Case(_) | Self::Response(_) | Self::Trouble(_) => Priority::High,
            Self::Changed(_) | Self::Audited(_) => Priority::Normal,
        }
    }

    /// What it is, in one word, and in one line; wishes are not told.
    fn told(&self) -> Option<(&'static str, &Arc<str>)> {
        Some(match self {
            Self::Wish(_) => return None,
            Self::Case(line) => ("case", line),
            Self::Response(line) => ("response", line),
            Self::Trouble(line) => ("trouble", line),
            Self::Changed(line) => ("changed", line),
            Self::Audited(line) => ("audit", line),
        })
    }
}

#[derive(Debug, Default)]
struct Inner {
    queues: Mutex<[VecDeque<Event>; 3]>,
    /// Whether the loop waits for a wake.
    sleeps: AtomicBool,
    wake: Notify,
    dropped: AtomicU64,
}

/// The bus; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Bus(Arc<Inner>);

impl Bus {
    /// Puts an event on the bus; whether there was room.
    pub fn emit(&self, event: Event) -> bool {
        let place = event.priority() as usize;
        {
            let mut queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = &mut queues[place];
            if queue.len() >= HELD_MAX {
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            queue.push_back(event);
        }
        if self.0.sleeps.load(Ordering::SeqCst) && self.0.sleeps.swap(false, Ordering::SeqCst) {
            self.0.wake.notify_one();
        }
        true
    }

    /// The next event, the most urgent first, of equal ones the oldest; waits where there is none.
    pub async fn next(&self) -> Event {
        loop {
            // Said before looking: whoever emits after the look sees it, and wakes.
            self.0.sleeps.store(true, Ordering::SeqCst);
            if let Some(event) = self.take() {
                self.0.sleeps.store(false, Ordering::SeqCst);
                return event;
            }
            self.0.wake.notified().await;
        }
    }

    /// The next event, if there is one.
    pub fn take(&self) -> Option<Event> {
        let mut queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter_mut().find_map(VecDeque::pop_front)
    }

    /// How many events found no room since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.0.dropped.swap(0, Ordering::Relaxed)
    }
}

/// Most events that the status shows.
const SHOWN_MAX: usize = 10;

/// What the service did or met lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Happened {
    /// When, seconds since the epoch.
    pub at: i64,
    /// `case`, `response`, `trouble`, `changed` or `audit`.
    pub what: String,
    /// In one line.
    pub line: String,
}

/// What happened lately, the latest last.
#[derive(Debug, Default)]
pub struct Lately(VecDeque<Happened>);

impl Lately {
    /// Notes an event.
    pub fn note(&mut self, event: &Event, at: i64) {
        let Some((what, line)) = event.told() else { return };
        if self.0.len() == SHOWN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Happened { at, what: what.into(), line: line.to_string() });
    }

    /// All of it.
    pub fn all(&self) -> Vec<Happened> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(number: usize) -> Event {
        Event::Changed(number.to_string().into())
    }

    fn waiting(bus: &Bus) -> Vec<Event> {
        std::iter::from_fn(|| bus.take()).collect()
    }

    #[test]
    fn the_urgent_goes_first_and_equals_keep_their_order() {
        let bus = Bus::default();
        let trouble = Event::Trouble("disk".into());
        for event in [changed(1), trouble.clone(), changed(2), Event::Wish(Wish::Stop)] {
            assert!(bus.emit(event));
        }
        assert_eq!(waiting(&bus), [Event::Wish(Wish::Stop), trouble, changed(1), changed(2)]);
        assert_eq!(bus.take(), None);
    }

    #[test]
    fn a_flood_is_bounded_and_counted_and_keeps_nobody_else_out() {
        let bus = Bus::default();
        let taken = (0..HELD_MAX + 5).filter(|number| bus.emit(changed(*number))).count();
        assert_eq!(taken, HELD_MAX);
        assert!(bus.emit(Event::Wish(Wish::Reload)));
        assert!(bus.emit(Event::Case("x".into())));
        assert_eq!((bus.take_dropped(), bus.take_dropped()), (5, 0));
        assert_eq!(waiting(&bus).len(), HELD_MAX + 2);
    }

    #[test]
    fn nothing_that_was_emitted_is_slept_over() {
        const EACH: usize = 20_000;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bus = Bus::default();
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let bus = bus.clone();
                std::thread::spawn(move || {
                    for number in 0..EACH {
                        while !bus.emit(changed(number)) {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut taken = 0;
        runtime.block_on(async {
            while taken < 2 * EACH {
                bus.next().await;
                taken += 1;
            }
        });
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!((taken, bus.take()), (2 * EACH, None));
    }

    #[test]
    fn what_happened_lately_is_bounded() {
        let mut lately = Lately::default();
        lately.note(&Event::Wish(Wish::Stop), 1);
        for number in 0..SHOWN_MAX + 2 {
            lately.note(&changed(number), 7);
        }
        let all = lately.all();
        assert_eq!(
            (all.len(), all[0].line.as_str(), all[0].what.as_str()),
            (SHOWN_MAX, "2", "changed")
        );
    }
}
