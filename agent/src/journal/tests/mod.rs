//! The journal on a simulated disk, and on real ones that are killed, full and failing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use consensus::Severity;
use crypto::journal::codec::Value;
use crypto::journal::frame::Stamp;
use crypto::journal::state::Made;
use crypto::journal::verify::{Note, Report, Seen, Verifier};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::disk::Disk;
use super::segments::Bytes;
use super::start::Opened;
use super::*;

mod cycles;
mod faults;
mod simulated;
mod torture;

/// The first key of the tests' journals.
pub const FIRST: [u8; 32] = [7; 32];

/// Clocks that a test sets.
#[derive(Clone, Default)]
pub struct Clocks {
    wall_us: Arc<AtomicI64>,
    mono_us: Arc<AtomicU64>,
}

impl Clocks {
    pub fn new() -> Self {
        let clocks = Self::default();
        clocks.wall_us.store(1_700_000_000_000_000, Ordering::SeqCst);
        clocks
    }

    pub fn clock(&self) -> Clock {
        let clocks = self.clone();
        Box::new(move || clocks.now())
    }

    pub fn now(&self) -> Stamp {
        Stamp {
            wall_us: self.wall_us.load(Ordering::SeqCst),
            mono_us: self.mono_us.load(Ordering::SeqCst),
        }
    }

    pub fn pass(&self, seconds: i64) {
        self.wall_us.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
        self.mono_us.fetch_add(seconds.unsigned_abs() * 1_000_000, Ordering::SeqCst);
    }

    pub fn step_wall(&self, seconds: i64) {
        self.wall_us.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    fn reboot(&self) {
        self.mono_us.store(1_000_000, Ordering::SeqCst);
    }
}

/// A directory in memory, where the system has one: what is killed has been written there as well.
pub fn in_memory() -> TempDir {
    let shared = Path::new("/dev/shm");
    let made = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

fn make(disk: &dyn Disk) {
    let first = Zeroizing::new(FIRST);
    create(disk, first, [3; 16], Made::WithVerifyKey, Clocks::new().now()).unwrap();
}

/// Opens a journal that can be opened.
pub fn open(disk: impl Disk + 'static, options: Options, clocks: &Clocks) -> (Journal, Opened) {
    Journal::open(Box::new(disk), options, [1; 16], clocks.clock()).unwrap()
}

/// An entry that carries a number.
pub fn entry(number: u64) -> Entry<'static> {
    let what = What::Lost { source: "test", why: "numbered", count: number };
    Entry::new(Severity::from_index(number as usize % 3), what)
}

/// The numbers of all entries that hold, and the report.
fn verified(disk: &dyn Disk, seen: Seen) -> (Vec<u64>, Report) {
    let mut verifier = Verifier::new(Zeroizing::new(FIRST), seen);
    let mut numbers = Vec::new();
    read::parts::<std::io::Error>(disk, read::Order::Own, |part| {
        let Ok(Bytes::Whole(bytes)) = part.bytes else { panic!("{}: unreadable", part.name) };
        verifier.segment(&part.name, Some(part.number), &bytes, |_, record| {
            numbers.extend(record.fields().find_map(|field| match field {
                ("count", Value::Number(number)) => Some(number.cast_unsigned()),
                _ => None,
            }));
        });
        Ok(())
    })
    .unwrap();
    (numbers, verifier.finish())
}

/// Whether a gap names a record as removed.
fn is_removed(report: &Report, record: u64) -> bool {
    report.notes.iter().any(|(_, note)| match note {
        Note::Removed(one) => (one.from..one.to).contains(&record),
        Note::RemovedSpan(span) => (span.from..span.to).contains(&record),
        _ => false,
    })
}

/// What the writer's own state says has been written.
fn seen(disk: &dyn Disk) -> Seen {
    let state = key::peek(disk).unwrap();
    Seen { head: Some((state.tail.number - 1, state.tail.head)), epoch: Some(state.key.epoch()) }
}
