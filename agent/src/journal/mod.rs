//! The journal: an append-only record of what the agent saw, judged and did, that cannot be quietly changed.
//!
//! A directory of segments (`0000000007.journal`, packed ones end in `.zst`), and `key`, what the writer keeps
//! between two runs. Each frame's head proves everything before it under a key that is gone a minute later
//! ([`crypto::journal`]); whoever has the first key, which is kept elsewhere, can verify all of it.
//!
//! In the order in which an entry goes through: [`entry`] makes a record, [`group`] puts it in order and lets
//! one thread write for all, `write` brings frames to the disk, `key` forgets the epoch that has ended, `room`
//! packs and removes; `start` brings into order what a crash left; [`read`] reads without a key. [`disk`]
//! is all that the rest knows of files; the clock comes as a function.

pub mod disk;
pub mod entry;
mod error;
pub mod group;
pub mod key;
pub mod read;
mod room;
pub mod segments;
pub mod start;
#[cfg(test)]
pub mod tests;
mod write;

pub use entry::{Entry, What};
pub use error::Error;
pub use group::Journal;
pub use start::create;

use crypto::journal::frame::Stamp;
pub use crypto::journal::state::Made;

/// How large a journal may become, and how often its key moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment ends when it has reached this.
    pub segment_bytes: u64,
    /// What all segments may take together; the one that is written always stays.
    pub budget_bytes: u64,
    /// An epoch ends after so many records …
    pub epoch_records: u64,
    /// … or so many microseconds of the monotonic clock, with records or without.
    pub epoch_us: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 4 << 20,
            budget_bytes: 256 << 20,
            epoch_records: 1_000,
            epoch_us: 60_000_000,
        }
    }
}

/// Bytes of records that may wait to be written; whoever appends more waits.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Longest write: a batch with one entry more, or a gap.
const WRITE_BYTES_MAX: u64 = (BATCH_BYTES_MAX + 2 * entry::ENTRY_BYTES_MAX) as u64;

/// Tells the time: the wall's, and one that never steps while the host is up, and counts while it sleeps.
pub type Clock = Box<dyn Fn() -> Stamp + Send + Sync>;

/// The host's clocks.
pub fn clock() -> Clock {
    Box::new(|| {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Stamp {
            wall_us: jiff::Timestamp::now().as_microsecond(),
            mono_us: boot.tv_sec.cast_unsigned() * 1_000_000 + boot.tv_nsec.cast_unsigned() / 1_000,
        }
    })
}

/// The kernel's random name of this boot; zeros where it tells none.
pub fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
}
