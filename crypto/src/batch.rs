//! Work on all cores, answers in the order of the questions, memory bounded.
//!
//! One thread draws from the source, the workers work, and the caller's thread takes the answers in
//! order. Each job carries its own one-shot answer channel, and the queue of those channels is
//! bounded: a slow job holds up at most [`WINDOW_PER_WORKER`] × workers later ones, never the memory.
//!
//! The threads are not scoped, because the source may block for ever on a terminal after the sink
//! has failed (a closed pipe): the caller then returns at once, and the source's thread ends with its
//! next item or with the process.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Error;

/// Jobs in flight per worker: enough that nobody waits, few enough that little is held.
pub const WINDOW_PER_WORKER: usize = 8;

type Job<J, O> = (J, SyncSender<O>);

/// Runs the workers over everything that `source` yields; `sink` gets the answers in source order.
///
/// Stops with the first error of the sink. A worker that panics is [`Error::Worker`] for its job.
pub fn ordered<J, O, W>(
    source: impl Iterator<Item = J> + Send + 'static,
    workers: Vec<W>,
    mut sink: impl FnMut(O) -> Result<(), Error>,
) -> Result<(), Error>
where
    J: Send + 'static,
    O: Send + 'static,
    W: FnMut(J) -> O + Send + 'static,
{
    let window = workers.len().max(1) * WINDOW_PER_WORKER;
    let (jobs, queue) = sync_channel::<Job<J, O>>(window);
    let (order, answers) = sync_channel::<Receiver<O>>(window);
    let queue = Arc::new(Mutex::new(queue));
    let started: Vec<JoinHandle<()>> = workers
        .into_iter()
        .map(|worker| {
            let queue = Arc::clone(&queue);
            spawn("worker", move || serve(&queue, worker))
        })
        .collect::<Result<_, _>>()?;
    drop(queue);
    let reader = spawn("source", move || {
        for job in source {
            let (answer, slot) = sync_channel(1);
            if order.send(slot).is_err() || jobs.send((job, answer)).is_err() {
                return;
            }
        }
    })?;
    for slot in answers {
        sink(slot.recv().map_err(|_| Error::Worker)?)?;
    }
    for thread in started.into_iter().chain([reader]) {
        thread.join().map_err(|_| Error::Worker)?;
    }
    Ok(())
}

fn serve<J, O>(queue: &Mutex<Receiver<Job<J, O>>>, mut work: impl FnMut(J) -> O) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, answer)) = next else { return };
        // Nobody may be left to take the answer: the sink has failed, and we are about to end.
        let _ = answer.send(work(job));
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    Ok(thread::Builder::new().name(name.to_string()).spawn(run)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_keep_the_order_of_the_questions() {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                |n: u64| {
                    thread::sleep(Duration::from_micros(if n.is_multiple_of(7) { 900 } else { 1 }));
                    n * 2
                }
            })
            .collect();
        let mut seen = Vec::new();
        ordered(0..500, workers, |n| {
            seen.push(n);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..500).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_stuck_job_holds_up_a_window_and_no_more() {
        let drawn = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&drawn);
        let source = (0..10_000_usize).inspect(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let gate = Arc::clone(&gate);
                move |n: usize| {
                    if n == 0 {
                        drop(gate.lock().unwrap());
                    }
                }
            })
            .collect();
        let run = thread::spawn(move || ordered(source, workers, |()| Ok(())).unwrap());
        thread::sleep(Duration::from_millis(100));
        // Queued answers, one that the sink waits for, and the one that the source holds in its hand.
        assert!(drawn.load(Ordering::SeqCst) <= 2 * WINDOW_PER_WORKER + 2);
        drop(held);
        run.join().unwrap();
        assert_eq!(drawn.load(Ordering::SeqCst), 10_000);
    }

    #[test]
    fn a_failed_sink_ends_at_once_though_the_source_blocks() {
        let (never, blocked) = std::sync::mpsc::channel::<u8>();
        let source = std::iter::once(1).chain(blocked);
        let failed = ordered(source, vec![|n: u8| n], |_| Err(Error::TooLong));
        assert!(matches!(failed, Err(Error::TooLong)));
        drop(never);
    }

    #[test]
    fn a_panic_in_a_worker_is_an_error_not_a_hang() {
        let workers = vec![|n: u8| assert!(n < 3, "planted")];
        assert!(matches!(ordered(0..9, workers, |()| Ok(())), Err(Error::Worker)));
    }
}
