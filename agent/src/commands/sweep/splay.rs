//! `--splay`: hosts that are told to begin at the same time do not all begin at the same time.
//!
//! How long one host waits is always the same: its machine id says it. The wait is a plain sleep without
//! any signal handler, before any lock is taken, so SIGTERM ends it at once.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::settings::Span;

/// Sleeps for this host's share of `most`.
pub fn wait(most: Span) {
    let id = std::fs::read("/etc/machine-id").unwrap_or_else(|_| {
        // A container may have none; its name is the next best.
        rustix::system::uname().nodename().to_bytes().to_vec()
    });
    std::thread::sleep(share(id.trim_ascii(), most.0));
}

/// A part of `most` that only the id decides, to the millisecond. The id itself is not to be derived from
/// it (machine-id(5)): it is hashed with words of our own.
fn share(id: &[u8], most: Duration) -> Duration {
    let digest =
        Sha256::new().chain_update(b"wardmote sweep --splay\0").chain_update(id).finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(number % most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_share_and_all_shares_are_used() {
        let most = Duration::from_secs(600);
        let ids: Vec<String> = (0..1000).map(|host| format!("{host:032x}")).collect();
        let mut tenths = [0; 10];
        for id in &ids {
            let wait = share(id.as_bytes(), most);
            assert_eq!(wait, share(id.as_bytes(), most));
            assert!(wait < most);
            tenths[usize::try_from(wait.as_secs() / 60).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|hosts| (60..=140).contains(hosts)), "{tenths:?}");
        assert_eq!(share(b"any", Duration::ZERO), Duration::ZERO);
    }
}
