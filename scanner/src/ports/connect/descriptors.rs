//! File descriptors: the most that this process may open, and what a scan leaves to others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are never used for probes: files, netlink, the report.
const RESERVE: u64 = 64;
/// More are of no use.
const LIMIT_MAX: u64 = 65_536;

/// Raises this process's soft limit to its hard one (at most [`LIMIT_MAX`]); what it is then. A refusal
/// changes nothing: the scan goes on with fewer at a time.
pub fn raise() -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let soft = limits.current.unwrap_or(LIMIT_MAX);
    let wanted = limits.maximum.unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    if wanted <= soft {
        return soft;
    }
    let raised = Rlimit { current: Some(wanted), maximum: limits.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// How many sockets a scan may hold at once, at least one.
pub fn budget() -> usize {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    usize::try_from(left(soft)).unwrap_or(1)
}

/// A small limit is halved instead: the reserve would leave nothing.
fn left(soft: u64) -> u64 {
    soft.saturating_sub(RESERVE).max(soft / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_always_left_for_probes_and_for_others() {
        assert_eq!((left(0), left(1), left(64), left(1024)), (1, 1, 32, 960));
        assert!(budget() >= 1);
    }
}
