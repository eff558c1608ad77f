//! `--follow`: passes over what is new, each time the logs change, until SIGINT or SIGTERM.
//!
//! Each pass is a sweep with a checkpoint, so rotations, truncations and new files are what they are to
//! any sweep. Detections are shown as they arise, before the state is kept; the summary comes at the
//! end. After a pass comes a rest of [`REST`] times what it took, so that a busy log never keeps more
//! than a fifth of a processor.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scanner::logs::checkpoint::Checkpoint;
use scanner::logs::follow::{Watch, Woken};
use scanner::logs::{Detection, SweepOutcome};
use tokio::signal::unix::{SignalKind, signal};

use super::{Round, Task, View, ended, refuse_unusable};
use crate::commands::audit::tell;
use crate::cursor::Cursor;
use crate::exit::Exit;
use crate::output;
use crate::store::cases::Case;

/// Shortest and longest rest between two passes.
const REST_MIN: Duration = Duration::from_millis(200);
const REST_MAX: Duration = Duration::from_secs(30);
/// The rest after a pass is so many times what the pass took.
const REST: u32 = 4;
/// How often logs are looked at of which no change was heard.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Most directories of the journal that are watched.
const JOURNALS_MAX: usize = 64;

/// Follows the logs.
pub(super) fn run(task: &Task<'_>, mut cursor: Option<Cursor>) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let stop = stops()?;
    let mut memory = Checkpoint::new();
    let mut watch = Watch::new();
    let mut total = Total::default();
    let mut fresh = cursor.as_ref().is_none_or(|cursor| cursor.fresh);
    refuse_unusable(task.args, &task.found()?)?;
    loop {
        let begun = Instant::now();
        let found = task.found()?;
        // Watched before it is read: what is written meanwhile wakes the next pass.
        watch.cover(&found, &also(task));
        let checkpoint = cursor.as_mut().map_or(&mut memory, |cursor| &mut cursor.checkpoint);
        let mut round = task.round(found, Some(checkpoint), fresh)?;
        fresh = false;
        show(task, &round)?;
        if round.outcome.incomplete != total.outcome.incomplete {
            for line in &round.outcome.incomplete {
                tell(task.global, Some(format!("incomplete: {line}")));
            }
        }
        if let Some(cursor) = &mut cursor {
            cursor.news(&round.outcome.incomplete);
            cursor.save()?;
        }
        total.add(&mut round);
        let rest = (begun.elapsed() * REST).clamp(REST_MIN, REST_MAX);
        let stopped = Watch::rest(stop.as_fd(), rest) == Woken::Stopped
            || watch.wait(stop.as_fd(), LOOK_EVERY) == Woken::Stopped;
        if stopped {
            break;
        }
    }
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    // The stories were told; the counts are of all of them.
    let view = View {
        args: task.args,
        global: task.global,
        outcome: &total.outcome,
        judged: &[],
        elapsed_ms,
    };
    output::write(None, &view.bytes()?)?;
    Ok(ended(&total.outcome, &total.judged, task.args.fail_on))
}

/// Shows what is new, at once, also through a pipe.
fn show(task: &Task<'_>, round: &Round) -> anyhow::Result<()> {
    let view = View {
        args: task.args,
        global: task.global,
        outcome: &round.outcome,
        judged: &round.judged,
        elapsed_ms: 0.0,
    };
    output::write(None, &view.news()?)
}

/// All passes together.
#[derive(Default)]
struct Total {
    outcome: SweepOutcome,
    /// The worst of what was shown: it decides the exit code.
    judged: Vec<(Detection, Case)>,
}

impl Total {
    fn add(&mut self, round: &mut Round) {
        let (sum, one) = (&mut self.outcome.summary, &round.outcome.summary);
        // The files are the same ones each time; everything else is counted once.
        sum.files = sum.files.max(one.files);
        sum.lines += one.lines;
        sum.bytes += one.bytes;
        sum.hits += one.hits;
        sum.detections += one.detections;
        sum.unparsed += one.unparsed;
        sum.undated += one.undated;
        sum.undecided += one.undecided;
        sum.evicted += one.evicted;
        sum.gaps += one.gaps;
        self.outcome.incomplete = std::mem::take(&mut round.outcome.incomplete);
        self.outcome.sources = std::mem::take(&mut round.outcome.sources);
        self.judged.append(&mut round.judged);
        self.judged.sort_by_key(|(_, case)| std::cmp::Reverse(case.verdict.severity));
        self.judged.truncate(1);
    }
}

/// Directories in which a new log may appear, beside those of the logs that are there.
fn also(task: &Task<'_>) -> Vec<PathBuf> {
    if !task.args.paths.is_empty() {
        let named = task.args.paths.iter().filter_map(|path| std::path::absolute(path).ok());
        return named.filter(|path| path.is_dir()).collect();
    }
    let journals = ["/var/log/journal", "/run/log/journal"].map(Path::new);
    let machines = journals.iter().flat_map(std::fs::read_dir).flatten().flatten();
    let machines = machines.map(|entry| entry.path()).filter(|path| path.is_dir());
    let usual = scanner::logs::source::usual_places().map(PathBuf::from);
    usual.filter(|path| path.is_dir()).chain(machines.take(JOURNALS_MAX)).collect()
}

/// A stream that can be read as soon as SIGINT or SIGTERM comes.
fn stops() -> anyhow::Result<UnixStream> {
    let (told, mut tell) = UnixStream::pair()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        let _ = tell.write_all(b"x");
        // Held until the other end has seen it.
        let _ = tell.read(&mut [0]);
    });
    Ok(told)
}
