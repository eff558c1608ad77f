//! The ledger of own probes on disk: what this run asked of the host is added after a scan, and read by
//! sweeps. Kept under the state directory, proved with the host's key.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use scanner::ports::ledger::{self, LEDGER_BYTES_MAX, Ledger, Noted, Probe};

use crate::proven::{Found, Proven};

const FILE: &str = "probes.v1";

fn file(state: &Path) -> std::io::Result<Proven> {
    Proven::open(state, state.join(FILE), "probes 1", LEDGER_BYTES_MAX)
}

/// Own probes of this host's past days, and why they are not known, if so: then no line is discounted.
pub fn known(state: &Path, now: i64) -> (Ledger, Option<String>) {
    // Nothing is made by reading: without the file there is no key to be made either.
    if std::fs::symlink_metadata(state.join(FILE)).is_err() {
        return (Ledger::default(), None);
    }
    let found = file(state).map(|file| (file.path().display().to_string(), file.read()));
    let ignored =
        |why: String| (Ledger::default(), Some(format!("own probes are not known: {why}")));
    match found {
        Err(error) => ignored(error.to_string()),
        Ok((_, Found::Nothing)) => (Ledger::default(), None),
        Ok((_, Found::Ignored(why))) => ignored(why),
        Ok((path, Found::Proved(bytes))) => match Ledger::from_bytes(&bytes, now) {
            Some(ledger) => (ledger, None),
            None => ignored(format!("{path}: of another version")),
        },
    }
}

/// Adds what this process asked of its own host. Returns what could not be done, for a notice: the lines
/// of these probes are then judged like anybody's.
pub fn keep(state: &Path) -> Option<String> {
    let noted = ledger::take();
    if noted.is_empty() {
        return None;
    }
    let (wall, clock) = (SystemTime::now(), Instant::now());
    let fresh = noted.iter().map(|one| dated(one, wall, clock));
    add(state, fresh, seconds(wall))
}

/// Adds probes to what is kept. Another scan may be doing the same: none loses what the other has added.
fn add(state: &Path, fresh: impl Iterator<Item = Probe>, now: i64) -> Option<String> {
    let failed = |error: std::io::Error| {
        format!("own probes are not kept: {}: {error}", state.join(FILE).display())
    };
    let locked = file(state).and_then(|file| Ok((file.lock()?, file)));
    let (_lock, file) = match locked {
        Ok(locked) => locked,
        Err(error) => return Some(failed(error)),
    };
    let (old, notice) = known(state, now);
    let all = Ledger::new(old.probes().iter().copied().chain(fresh), now);
    let bytes = all.to_bytes()?;
    file.write(&bytes).err().map(failed).or(notice)
}

/// A probe by the wall clock: as long ago as it is by the steady one.
fn dated(noted: &Noted, wall: SystemTime, clock: Instant) -> Probe {
    let at = |when: Instant| seconds(wall.checked_sub(clock.duration_since(when)).unwrap_or(wall));
    Probe {
        address: noted.source.ip(),
        port: noted.source.port(),
        target: noted.target.port(),
        from_s: at(noted.began),
        to_s: at(noted.ended),
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_that_end_at_once_lose_nothing_of_each_other() {
        let place = tempfile::tempdir().unwrap();
        let now = 1_795_000_000;
        let probe = |port| Probe {
            address: [127, 77, 1, 1].into(),
            port,
            target: 22,
            from_s: now,
            to_s: now,
        };
        // The host's key is there: its making is another matter.
        assert_eq!(add(place.path(), std::iter::empty(), now), None);
        std::thread::scope(|scope| {
            for run in 0..4_u16 {
                let state = place.path();
                scope.spawn(move || {
                    for nth in 0..5 {
                        let told = add(state, std::iter::once(probe(run * 100 + nth)), now);
                        assert_eq!(told, None);
                    }
                });
            }
        });
        let (ledger, told) = known(place.path(), now);
        assert_eq!((ledger.probes().len(), told), (20, None));
    }
}
