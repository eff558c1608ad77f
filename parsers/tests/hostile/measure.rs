//! Time and peak memory of one reading.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The largest input, ten megabytes: above what a configuration file may have.
pub const LARGE_BYTES: usize = 10_000_000;

/// Most time of the processor that one reading may take in a debug build; usual are tenths of it. A busy
/// machine does not count.
pub const CPU_MAX: Duration = Duration::from_secs(8);

/// Most memory of the process during one reading: twenty times the largest input, and what the process
/// has anyway. What earlier readings left with the allocator counts.
pub const MEMORY_BYTES_MAX: usize = 20 * LARGE_BYTES + (64 << 20);

/// What a reading told and kept.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Problems, unread files and refusals, as text.
    pub told: Vec<String>,
    /// Values that were read.
    pub kept: usize,
}

/// Runs one reading; `Err` when it panics, or takes more time or memory than it may.
pub fn measured(read: impl FnOnce() -> Outcome) -> Result<Outcome, String> {
    // 5 makes the peak start anew (proc(5)); where that is not allowed, it is the peak so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = cpu();
    let outcome = catch_unwind(AssertUnwindSafe(read)).map_err(|_| "it panics".to_string())?;
    let (took, peak) = (cpu() - start, peak_bytes());
    eprintln!("{took:?}, {} MB", peak >> 20);
    if took > CPU_MAX {
        return Err(format!("it takes {took:?}"));
    }
    if peak > MEMORY_BYTES_MAX {
        return Err(format!("it takes {} MB of memory", peak >> 20));
    }
    Ok(outcome)
}

/// What this thread spent on a processor.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// The peak of resident memory of this process.
fn peak_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
