//! One pass over logs: files and the journal in, detections out.
//!
//! Each family of files is read once, in time order. In phase one, threads hold parts of files against
//! the rules, each part by itself; in phase two, their hits are taken in the order of files and lines,
//! dated, merged by time and put through the windows. So the result is the same for any number of
//! threads and any size of parts, and memory does not grow with the logs. The same event in two logs
//! (a file and the journal) counts once. What could not be read is in `incomplete`; what was read and
//! could not be understood is counted.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use parsers::map::EXPANDED_BYTES_MAX;
use parsers::tree::{Links, Tree};
use serde::Serialize;

use super::checkpoint::{Checkpoint, VANISHED};
use super::context::rules_hash;
use super::coverage::Coverage;
use super::features::{Baseline, Counts, Observer};
use super::gather::Sweeper;
use super::matcher::RuleSet;
use super::networks::Group;
use super::pool::Pool;
use super::reading::{Hall, Stream};
use super::rotation::family;
use super::source::{self, Found};
use super::story::Detection;
use crate::RootedTree;
use crate::ports::ledger::Ledger;

/// Families read at the same time; more are read after these.
pub const STREAMS_MAX: usize = 32;

/// Bytes of a part of a file, unless the caller says otherwise: fits the second-level cache.
pub const PART_BYTES: usize = 512 << 10;

/// Bytes of parts that are being read at the same time, or wait to be taken.
const PARTS_BYTES_MAX: usize = 4 << 20;

/// Smallest part when many files are read at the same time.
const PART_BYTES_MIN: usize = 64 << 10;

/// Most threads.
pub const JOBS_MAX: usize = 64;

/// What a sweep is told.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Older events are left out; seconds since the epoch.
    pub since: Option<i64>,
    /// The time of the sweep.
    pub now: i64,
    /// The zone of stamps that name none.
    pub zone: TimeZone,
    /// The year of the last line of each file whose stamps name none; else it is walked back from
    /// the file's last change.
    pub year: Option<i16>,
    /// Accounts that exist on the host: their names are shown.
    pub known_users: Vec<String>,
    /// Most bytes that one archive may expand to.
    pub expanded_bytes_max: u64,
    /// Threads that work; 0: as many as the machine runs at once.
    pub jobs: usize,
    /// Bytes of the parts that files are divided into.
    pub part_bytes: usize,
    /// Whether to learn what is usual and tell what is not (see [`features`](super::features)).
    pub observe: bool,
    /// What this host's wardmote asked of the host itself: the lines that only say so are no hits.
    pub own_probes: Arc<Ledger>,
    /// Whether lines of one shape are judged once, where that is proved to be the same. Only tests want
    /// it otherwise.
    #[doc(hidden)]
    pub shapes: bool,
}

impl SweepOptions {
    /// Everything up to `now`, in UTC, with no known accounts.
    pub fn new(now: i64) -> Self {
        Self {
            since: None,
            now,
            zone: TimeZone::UTC,
            year: None,
            known_users: Vec::new(),
            expanded_bytes_max: EXPANDED_BYTES_MAX,
            jobs: 0,
            part_bytes: PART_BYTES,
            observe: false,
            own_probes: Arc::default(),
            shapes: true,
        }
    }
}

/// The counts of a sweep; the names are the contract's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Lines read.
    pub lines: u64,
    /// Bytes read (of archives: expanded).
    pub bytes: u64,
    /// Lines that a rule matched, counted once a rule.
    pub hits: u64,
    /// Detections.
    pub detections: u64,
    /// Lines that no grammar accepted.
    pub unparsed: u64,
    /// Hits without a time of their own.
    pub undated: u64,
    /// Lines longer than the limit: only their beginning was judged.
    pub undecided: u64,
    /// Groups and stories dropped for want of room: counts are then a lower bound.
    pub evicted: u64,
    /// Places where lines may be missing (a file was cut since the last sweep, or while it was read).
    pub gaps: u64,
    /// Hits on lines that are older than lines before them by more than the watermark; judged all the
    /// same.
    pub late: u64,
    /// Lines that a rule matched and that wardmote's own probes caused (see
    /// [`ledger`](crate::ports::ledger)): they are counted here and judged no further.
    #[serde(skip_serializing_if = "is_none")]
    pub own_probes: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How often a rule hit, of whom: also of rules that are not shown by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// The rule.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// Events.
    pub events: u64,
    /// Distinct addresses.
    pub addresses: u64,
    /// Distinct users.
    pub users: u64,
}

/// What a sweep found.
#[derive(Clone, Debug, Default)]
pub struct SweepOutcome {
    /// Worst first.
    pub detections: Vec<Detection>,
    /// What each rule saw, in the order of the rules; rules without hits are left out.
    pub activity: Vec<Activity>,
    /// Counts.
    pub summary: Summary,
    /// What could not be looked at, one line each.
    pub incomplete: Vec<String>,
    /// What was read, by name.
    pub sources: Vec<String>,
    /// Networks from which attacks came.
    pub networks: Vec<Group>,
    /// What became of the lines, file by file.
    pub coverage: Coverage,
    /// How much was observed, if it was wanted.
    pub observed: Counts,
    /// What the next sweep should know, if it was wanted.
    pub baseline: Option<Baseline>,
    /// The journal's cursor after the last entry read.
    pub journal_cursor: Option<String>,
}

/// The audit's sweep: the usual log files of a tree and, where the caller could start it, the output
/// of `journalctl -o export`. A host without any usable source is incomplete, never clean.
pub fn audit_sweep(
    tree: &RootedTree,
    journal: Option<&mut dyn Read>,
    rules: &RuleSet,
    options: &SweepOptions,
) -> SweepOutcome {
    let mut found = source::discover(tree);
    if let Some(since) = options.since {
        for family in &mut found.families {
            // Nothing in a file is younger than its last change.
            family.files.retain(|file| file.stat.modified >= since);
        }
    }
    let mut outcome = sweep(tree, found, journal, rules, options, None);
    if outcome.sources.is_empty() {
        let reason = "no log source: no readable log file and no journal";
        outcome.incomplete.push(reason.to_string());
    }
    outcome
}

/// Sweeps the given files and journal. With a checkpoint, only what is new is judged (with a little of
/// what came before as context), and the checkpoint is moved on.
pub fn sweep(
    tree: &RootedTree,
    found: Found,
    journal: Option<&mut dyn Read>,
    rules: &RuleSet,
    options: &SweepOptions,
    mut checkpoint: Option<&mut Checkpoint>,
) -> SweepOutcome {
    let mut sweeper = Sweeper::new(rules, options);
    sweeper.outcome.incomplete = found.incomplete;
    if options.observe {
        let known = checkpoint.as_ref().and_then(|checkpoint| checkpoint.baseline.as_deref());
        sweeper.observer = Some(Observer::new(known.and_then(Baseline::from_text)));
    }
    let asked: BTreeSet<String> = found.families.iter().map(|family| family.name.clone()).collect();
    if let Some(checkpoint) = checkpoint.as_deref_mut() {
        checkpoint.begin();
        checkpoint.is_for_rules(&rules_hash(rules));
    }
    let mut streams: VecDeque<Stream<'_>> = VecDeque::new();
    if let Some(reader) = journal {
        streams.push_back(Stream::of_journal(reader, &sweeper));
    }
    for family in found.families {
        // Nothing in it is new, nor recent enough to be the context of what is.
        if checkpoint.as_deref_mut().is_some_and(|known| known.has_all_of(&family, options.now)) {
            let paths = family.files.iter().map(|file| file.path.to_string_lossy().into_owned());
            sweeper.outcome.sources.extend(paths);
            continue;
        }
        streams.push_back(Stream::of_family(family));
    }
    sweeper.several = streams.len() > 1;
    let jobs = threads(options.jobs);
    let pool = Pool::new(rules, options, sweeper.hasher.clone());
    std::thread::scope(|scope| {
        // Ends the threads also when this one panics.
        let _closes = Closes(&pool);
        for _ in 1..jobs {
            scope.spawn(|| pool.work());
        }
        let side_by_side = streams.len().clamp(1, STREAMS_MAX);
        let fair = (PARTS_BYTES_MAX / side_by_side / 2).max(PART_BYTES_MIN);
        let mut hall = Hall {
            tree,
            pool: &pool,
            worker: pool.worker(),
            ahead: if jobs == 1 { 1 } else { (2 * jobs).div_ceil(side_by_side).max(2) },
            part_bytes: options.part_bytes.clamp(1, fair),
        };
        let mut number = 0;
        while !streams.is_empty() {
            let batch: Vec<Stream<'_>> = streams.drain(..streams.len().min(STREAMS_MAX)).collect();
            let count = batch.len();
            merge(&mut hall, batch, number, &mut sweeper, checkpoint.as_deref_mut());
            number += count;
        }
    });
    if let Some(checkpoint) = checkpoint.as_deref() {
        say_vanished(tree, checkpoint, &asked, &mut sweeper);
    }
    let outcome = sweeper.finish();
    if let (Some(checkpoint), Some(baseline)) = (checkpoint.as_deref_mut(), &outcome.baseline) {
        checkpoint.baseline = Some(baseline.to_text());
    }
    if let Some(checkpoint) = checkpoint
        && outcome.journal_cursor.is_some()
    {
        checkpoint.journal_cursor.clone_from(&outcome.journal_cursor);
    }
    outcome
}

/// Says which logs of the families that were asked for are gone with what nobody read.
fn say_vanished(
    tree: &RootedTree,
    checkpoint: &Checkpoint,
    asked: &BTreeSet<String>,
    sweeper: &mut Sweeper<'_>,
) {
    let is_asked = |path: &str| asked.contains(&family(Path::new(path)).0);
    let is_there = |path: &str| {
        !tree.stat(Path::new(path), Links::Follow).is_err_and(|error| error.not_found())
    };
    for path in checkpoint.vanished(&is_asked, &is_there) {
        sweeper.outcome.summary.gaps += 1;
        sweeper.incomplete(format!("{path}: {VANISHED}"));
    }
}

/// How many threads work in all.
fn threads(jobs: usize) -> usize {
    match jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(JOBS_MAX),
        jobs => jobs.min(JOBS_MAX),
    }
}

struct Closes<'p, 'a>(&'p Pool<'a>);

impl Drop for Closes<'_, '_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reads streams side by side and takes their hits in the order of time.
fn merge<'a>(
    hall: &mut Hall<'_>,
    mut streams: Vec<Stream<'a>>,
    first_number: usize,
    sweeper: &mut Sweeper<'_>,
    mut checkpoint: Option<&mut Checkpoint>,
) {
    let mut heads = BinaryHeap::new();
    for (index, stream) in streams.iter_mut().enumerate() {
        if let Some(at) = stream.head(hall, sweeper, checkpoint.as_deref_mut()) {
            heads.push(Reverse((at, index)));
        }
    }
    while let Some(Reverse((_, index))) = heads.pop() {
        loop {
            streams[index].give(sweeper, first_number + index);
            let next = streams[index].head(hall, sweeper, checkpoint.as_deref_mut());
            let Some(at) = next else { break };
            // The same stream goes on as long as its hits are the earliest.
            if heads.peek().is_some_and(|Reverse(other)| *other < (at, index)) {
                heads.push(Reverse((at, index)));
                break;
            }
        }
    }
}
