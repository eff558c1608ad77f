//! What a target's thread and the desk share: the notes that wait, what became of the others, and what is
//! wrong with the target now.
//!
//! The thread either delivers itself, or collects what the sender's process has delivered
//! ([`super::handover`]). It never holds the lock while it sends.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::handover::{Fate, Handover};
use super::spool::{Gap, Spool};
use super::{Failure, Note, Notifier, Tally};

/// How soon a failure below the breaker's number is tried again.
pub const AGAIN: Duration = Duration::from_millis(200);
/// How often it is looked what the sender has delivered: while notes wait, and while none does.
const COLLECT_BUSY: Duration = Duration::from_millis(500);
const COLLECT_IDLE: Duration = Duration::from_secs(10);

pub(super) struct State {
    pub spool: Spool,
    pub tally: Tally,
    /// What is wrong with the target.
    pub trouble: Option<String>,
    /// What is wrong with the spool; over when it takes a note again.
    pub full: Option<String>,
    pub stopping: bool,
}

/// What a target's thread and the desk share.
pub(super) struct Shared {
    pub name: String,
    pub host: String,
    pub state: Mutex<State>,
    pub wake: Condvar,
    pub breaker: Breaker,
    pub began: Instant,
    pub clock: fn() -> i64,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes a note, or counts that it is over a limit.
    pub fn take(&self, note: &Note, limited: bool) {
        let mut state = self.lock();
        state.tally.received += 1;
        if limited {
            state.tally.suppressed += 1;
            return;
        }
        let dropped = state.spool.dropped_in_all();
        let put = state.spool.put(note);
        state.tally.suppressed += state.spool.dropped_in_all() - dropped;
        match put {
            Ok(put) => {
                state.tally.merged += put.merged;
                state.full = None;
            }
            Err(error) => {
                let trouble = format!("its spool takes no note: {error}");
                say!("wardmote: error: notify {}: {trouble}", self.name);
                state.full = Some(trouble);
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Delivers until the desk is gone.
    pub fn run(&self, mut notifier: Box<dyn Notifier>) {
        while let Some((number, note, gap)) = self.next() {
            if let Some(gap) = gap {
                let told = notifier.send(&Note::of_gap(&gap, &self.host, (self.clock)()));
                match told {
                    // What will never be taken is not tried for ever, and has been said.
                    Ok(()) | Err(Failure::Never(_)) => {
                        if let Err(error) = self.lock().spool.told(&gap) {
                            say!("wardmote: error: the spool of `{}`: {error}", self.name);
                        }
                    }
                    Err(failure) => {
                        self.settle(None, Err(failure));
                        continue;
                    }
                }
            }
            let sent = notifier.send(&note);
            self.settle(Some(number), sent);
        }
    }

    /// Waits for a note and for the breaker; `None` at the end.
    fn next(&self) -> Option<(u64, Note, Option<Gap>)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = self.now_ms();
            // The breaker is asked last: half-open it lets one through.
            let patience = match state.spool.len() {
                0 => Duration::from_secs(3600),
                _ if !self.breaker.allows(now) => {
                    let until = self.breaker.until_ms().unwrap_or(now);
                    Duration::from_millis(until.saturating_sub(now).max(1))
                }
                _ => match state.spool.first() {
                    Some((number, note)) => {
                        let gap = Some(state.spool.gap().clone()).filter(|gap| gap.total() > 0);
                        return Some((number, note, gap));
                    }
                    None => continue,
                },
            };
            let waited = self.wake.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn settle(&self, number: Option<u64>, sent: Result<(), Failure>) {
        let mut state = self.lock();
        let fate = match &sent {
            Ok(()) => Some(Fate::Taken),
            Err(Failure::Never(_)) => Some(Fate::Refused),
            Err(Failure::Later(_) | Failure::After(..)) => None,
        };
        if let (Some(number), Some(fate)) = (number, fate) {
            self.gone(&mut state, number, fate);
        }
        let trouble = heard(&self.breaker, self.now_ms(), sent);
        self.say(&mut state, trouble);
        let again = state.trouble.is_some() && self.breaker.until_ms().is_none();
        drop(state);
        // Failures below the breaker's number are tried again soon, not at once.
        if again {
            std::thread::sleep(AGAIN);
        }
    }

    /// A note has left; one that a later note replaced meanwhile is counted as merged already.
    fn gone(&self, state: &mut State, number: u64, fate: Fate) {
        let was_there = state.spool.remove(number).unwrap_or_else(|error| {
            say!("wardmote: error: the spool of `{}`: {error}", self.name);
            true
        });
        match fate {
            Fate::Taken => state.tally.notified += u64::from(was_there),
            Fate::Refused => state.tally.suppressed += u64::from(was_there),
        }
    }

    /// Trouble is said when it changes, not with every attempt.
    fn say(&self, state: &mut State, trouble: Option<String>) {
        let trouble = trouble.map(|why| scanner::redact::line(&why));
        if trouble != state.trouble {
            match &trouble {
                Some(why) => say!("wardmote: notify {}: {why}", self.name),
                None => say!("wardmote: notify {}: works again", self.name),
            }
        }
        state.trouble = trouble;
    }

    /// Takes out what the sender's process has delivered, until the desk is gone.
    pub fn collect(&self, handover: &Handover) {
        let mut state = self.lock();
        while !state.stopping {
            drop(state);
            let settled = handover.settled(&self.name);
            let report = handover.report(&self.name);
            state = self.lock();
            let trouble = match settled {
                Ok(settled) => {
                    let numbers = state.spool.numbers();
                    for (id, fate) in settled {
                        if let Some(number) = numbers.get(&id) {
                            self.gone(&mut state, *number, fate);
                        }
                    }
                    report.trouble
                }
                Err(error) => Some(format!("what wardmote-send delivered: {error}")),
            };
            let waits = state.spool.len() > 0;
            // Nobody has to deliver where nothing waits.
            let nobody = (waits && !handover.is_served()).then(|| {
                "wardmote-send does not run: systemctl enable --now wardmote-send".to_string()
            });
            self.say(&mut state, nobody.or(trouble));
            let patience = if waits { COLLECT_BUSY } else { COLLECT_IDLE };
            let waited = self.wake.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Tells the breaker what came of an attempt; what is wrong now, if anything.
pub(super) fn heard(breaker: &Breaker, now_ms: u64, sent: Result<(), Failure>) -> Option<String> {
    match sent {
        Ok(()) => {
            breaker.worked();
            None
        }
        Err(Failure::Never(why)) => {
            breaker.worked();
            Some(format!("a notification was refused: {why}"))
        }
        Err(Failure::Later(why)) => {
            breaker.failed(now_ms);
            Some(why)
        }
        Err(Failure::After(pause, why)) => {
            breaker.hold(now_ms, pause);
            Some(why)
        }
    }
}
