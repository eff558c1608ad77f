//! The stamps of this host that keys of the cache are made of: its boot, its network namespace, and when
//! its processes started with which executables. Asked of the kernel directly, never through a rooted
//! tree: only the running host has listeners.

use std::collections::HashMap;

use rustix::fs::Stat;

use super::{Cache, Epoch, Holder, Key, Owners, Stamp};
use crate::ports::inventory::{Socket, Transport};
use crate::ports::report::ServiceReport;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const NAMESPACE: &str = "/proc/self/ns/net";

/// The epoch that this host is in; `None` where it does not tell: then nothing is kept.
pub fn epoch(fingerprints: [u8; 32]) -> Option<Epoch> {
    let boot = std::fs::read_to_string(BOOT_ID).ok()?.trim().to_string();
    let namespace = rustix::fs::stat(NAMESPACE).ok()?.st_ino;
    Some(Epoch { boot, namespace, fingerprints })
}

/// The stamp of a file.
pub fn stamp(path: &str) -> Option<Stamp> {
    rustix::fs::stat(path).ok().map(|stat| of_stat(&stat))
}

fn of_stat(stat: &Stat) -> Stamp {
    let at = |seconds: i64, nanoseconds: u64| {
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
    };
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified_ns: at(stat.st_mtime, stat.st_mtime_nsec),
        changed_ns: at(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// Processes as they are now, each asked once.
#[derive(Debug, Default)]
pub struct Processes(HashMap<u32, Option<Holder>>);

impl Processes {
    /// A process with its start and executable; `None` where it is gone or cannot be seen.
    pub fn holder(&mut self, pid: u32) -> Option<Holder> {
        *self.0.entry(pid).or_insert_with(|| {
            let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
            let started = started(&stat)?;
            // Through the link: the file that runs, also when another has taken its name.
            let binary = stamp(&format!("/proc/{pid}/exe"))?;
            Some(Holder { pid, started, binary })
        })
    }

    /// Every holder, in the order of process ids; `None` where one of them cannot be seen.
    pub fn holders(&mut self, pids: impl IntoIterator<Item = u32>) -> Option<Vec<Holder>> {
        let mut holders =
            pids.into_iter().map(|pid| self.holder(pid)).collect::<Option<Vec<_>>>()?;
        holders.sort_unstable();
        holders.dedup();
        Some(holders)
    }
}

/// Field 22 of proc_pid_stat(5), counted after the name, which may hold anything, even `)`.
fn started(stat: &[u8]) -> Option<u64> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(stat.get(after..)?).ok()?;
    text.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// What is known of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Known<'c> {
    /// Its owners.
    pub owners: &'c Owners,
    /// What it is, and how many seconds ago that was found.
    pub service: Option<(&'c ServiceReport, u64)>,
}

impl Cache {
    /// What is known of each listening TCP socket of a fresh dump, in its order. The processes are asked
    /// whether they are still the same; a new holder is seen when the owners are looked for again.
    pub fn join<'c>(
        &'c self,
        sockets: &[Socket],
        now: i64,
        age_max_s: i64,
        processes: &mut Processes,
    ) -> Vec<Option<Known<'c>>> {
        let mut known = |socket: &Socket| {
            let cookie = socket.cookie.filter(|_| socket.transport == Transport::Tcp)?;
            let (owners, _) = self.owners((cookie, socket.inode), now, |holder| {
                processes.holder(holder.pid) == Some(*holder)
            })?;
            let place = std::net::SocketAddr::new(socket.address, socket.port);
            let key = Key { place, cookie, holders: &owners.holders };
            Some(Known { owners, service: self.service(&key, now, age_max_s) })
        };
        sockets.iter().map(&mut known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_with_its_start_and_executable() {
        let own = std::process::id();
        let mut processes = Processes::default();
        let holder = processes.holder(own).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(Some(holder.binary), stamp(exe.to_str().unwrap()));
        assert!(holder.started > 0);
        assert_eq!(processes.holders([own, own]), Some(vec![holder]));
        assert_eq!(processes.holders([own, u32::MAX]), None);
        let epoch = epoch([1; 32]).unwrap();
        assert!(epoch.boot.len() == 36 && epoch.namespace > 0);
    }

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_move_the_start() {
        let stat = b"7 (a) S 1 (b) ) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 31337 99 9";
        assert_eq!(started(stat), Some(31_337));
        for broken in [&b""[..], b"7 (x", b"7 (x)", b"7 (x) S 1 2", b"7 (x) \xff"] {
            assert_eq!(started(broken), None);
        }
    }
}
