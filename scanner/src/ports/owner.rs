//! Who holds a socket: every process, its executable, its systemd unit.
//!
//! Found by inode through `/proc/PID/fd`. Other users' processes can only be seen with
//! CAP_SYS_PTRACE; where some could not be seen, a socket without a holder is "not known", and where
//! all could be seen it belongs to the kernel or to another namespace, which is said as well.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parsers::config::lines;
use parsers::tree::{Tree, Why};

use super::Owner;
use super::cgroup::{self, unit};
use super::inventory::{Socket, Transport};

/// Most open descriptors of all processes that are looked at.
const DESCRIPTORS_MAX: usize = 2_000_000;
/// Threads that walk the processes.
const WALKERS: usize = 2;
/// Fewest processes that are worth a thread.
const PROCESSES_EACH: usize = 64;
/// Most bytes of a small file of `/proc/PID`.
const PROC_BYTES_MAX: usize = 64 << 10;
/// Most `.socket` units that are read.
const UNITS_MAX: usize = 5_000;
/// Most bytes of a unit file.
const UNIT_BYTES_MAX: usize = 256 << 10;
/// Where systemd looks for units, the first of a name wins (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Who holds which socket, and what could not be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Holders by inode, in the order of their process ids.
    pub by_inode: BTreeMap<u32, Vec<Owner>>,
    /// Processes in a process namespace of their own: their executables are not this host's files.
    pub contained: BTreeSet<u32>,
    /// Why a socket without a holder may have one after all.
    pub blind: Option<String>,
}

/// Looks for the holders of the sockets.
pub fn holders(tree: &dyn Tree, sockets: &[Socket]) -> Holders {
    let mut wanted: Vec<u32> = sockets.iter().map(|socket| socket.inode).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut pids: Vec<u32> = Vec::new();
    let listed = tree.visit(Path::new("/proc"), &mut |entry| {
        pids.extend(entry.name.to_str().and_then(|name| name.parse::<u32>().ok()));
    });
    if let Err(error) = listed {
        return Holders { blind: Some(error.to_string()), ..Holders::default() };
    }
    pids.sort_unstable();
    let walk = Walk { tree, wanted: &wanted, left: AtomicUsize::new(DESCRIPTORS_MAX) };
    // The second thread costs more than it brings on a small host.
    let parts: Vec<&[u32]> =
        pids.chunks(pids.len().div_ceil(WALKERS).max(PROCESSES_EACH)).collect();
    let walked: Vec<Part> = std::thread::scope(|scope| {
        let others: Vec<_> =
            parts.iter().skip(1).map(|part| scope.spawn(|| walk.part(part))).collect();
        let first = parts.first().map(|part| walk.part(part));
        let others = others.into_iter().map(|other| other.join().unwrap_or_default());
        first.into_iter().chain(others).collect()
    });
    let mut found = Holders::default();
    let mut denied = 0;
    for part in walked {
        denied += part.denied;
        for (owner, contained, inodes) in part.holders {
            if contained {
                found.contained.insert(owner.pid);
            }
            for inode in inodes {
                found.by_inode.entry(inode).or_default().push(owner.clone());
            }
        }
    }
    found.blind = blindness(&pids, denied, walk.left.into_inner());
    found
}

/// What the processes of one thread hold.
struct Part {
    /// Processes that could not be looked into. A thread that failed saw none of its own.
    denied: usize,
    /// Process, whether it lives in a process namespace of its own, and its wanted sockets.
    holders: Vec<(Owner, bool, BTreeSet<u32>)>,
}

impl Default for Part {
    fn default() -> Self {
        Self { denied: 1, holders: Vec::new() }
    }
}

struct Walk<'a> {
    tree: &'a dyn Tree,
    /// Sorted inodes.
    wanted: &'a [u32],
    /// Descriptors that may still be looked at.
    left: AtomicUsize,
}

impl Walk<'_> {
    fn part(&self, pids: &[u32]) -> Part {
        let mut part = Part { denied: 0, holders: Vec::new() };
        for &pid in pids {
            match self.held(pid) {
                Ok(inodes) if inodes.is_empty() => {}
                Ok(inodes) => {
                    let (owner, contained) = describe(self.tree, pid);
                    part.holders.push((owner, contained, inodes));
                }
                Err(Why::NotFound) => {}
                Err(_) => part.denied += 1,
            }
        }
        part
    }

    /// The wanted sockets that a process holds.
    fn held(&self, pid: u32) -> Result<BTreeSet<u32>, Why> {
        let mut inodes = BTreeSet::new();
        let visited = self.tree.visit_links(&proc_path(pid, "fd"), &mut |_, to| {
            let spent = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if spent.is_err() {
                return ControlFlow::Break(());
            }
            let inode = socket_inode(to);
            inodes.extend(inode.filter(|inode| self.wanted.binary_search(inode).is_ok()));
            ControlFlow::Continue(())
        });
        visited.map_err(|error| error.why)?;
        Ok(inodes)
    }
}

fn blindness(pids: &[u32], denied: usize, left: usize) -> Option<String> {
    if denied > 0 {
        Some(format!("no CAP_SYS_PTRACE: {denied} processes could not be looked into"))
    } else if pids.first() != Some(&1) {
        Some("/proc hides the processes of others (hidepid)".to_string())
    } else if left == 0 {
        Some(format!("more than {DESCRIPTORS_MAX} open descriptors"))
    } else {
        None
    }
}

/// `socket:[4242]`.
fn socket_inode(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A process, and whether it lives in a container.
fn describe(tree: &dyn Tree, pid: u32) -> (Owner, bool) {
    let exe = tree.read_link(&proc_path(pid, "exe")).ok();
    let (exe, deleted) = match exe {
        None => (None, false),
        Some(path) => {
            let text = path.to_string_lossy();
            match text.strip_suffix(" (deleted)") {
                Some(gone) => (Some(gone.to_string()), true),
                None => (Some(text.to_string()), false),
            }
        }
    };
    let status = tree.read(&proc_path(pid, "status"), PROC_BYTES_MAX).unwrap_or_default();
    let cgroup = tree.read(&proc_path(pid, "cgroup"), PROC_BYTES_MAX).unwrap_or_default();
    let owner = Owner {
        pid,
        exe: exe.map(|exe| crate::redact::printable(&exe)),
        deleted,
        unit: unit(&cgroup),
        container: cgroup::container_of(&cgroup),
        package: None,
        uid: effective_uid(&status).unwrap_or(u32::MAX),
    };
    (owner, contained(&status))
}

fn proc_path(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The second number of `Uid:` in `/proc/PID/status`.
fn effective_uid(status: &[u8]) -> Option<u32> {
    lines::numbered(status).find_map(|line| {
        let text = line.text();
        text.strip_prefix("Uid:")?.split_ascii_whitespace().nth(1)?.parse().ok()
    })
}

/// `NSpid:` has one number for each process namespace that the process is in.
fn contained(status: &[u8]) -> bool {
    lines::numbered(status).any(|line| {
        let text = line.text();
        text.strip_prefix("NSpid:").is_some_and(|ids| ids.split_ascii_whitespace().count() > 1)
    })
}

/// The `.socket` unit that has systemd listen on a socket, by its `ListenStream=` or
/// `ListenDatagram=`: an address and port, or a port alone.
pub fn socket_units(tree: &dyn Tree) -> Vec<(Transport, String, String)> {
    let mut seen = BTreeSet::new();
    let mut listens = Vec::new();
    for directory in UNIT_DIRECTORIES {
        for entry in tree.list(Path::new(directory)).unwrap_or_default() {
            let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let unit = name.strip_suffix(".d").unwrap_or(name);
            if !unit.ends_with(".socket") || seen.len() == UNITS_MAX {
                continue;
            }
            if unit != name {
                for drop_in in tree.list(&entry.path).unwrap_or_default() {
                    listens.extend(listen_lines(tree, &drop_in.path, unit));
                }
            } else if seen.insert(name.to_string()) {
                listens.extend(listen_lines(tree, &entry.path, unit));
            }
        }
    }
    listens
}

fn listen_lines(tree: &dyn Tree, path: &Path, unit: &str) -> Vec<(Transport, String, String)> {
    let bytes = tree.read(path, UNIT_BYTES_MAX).unwrap_or_default();
    lines::numbered(&bytes)
        .filter_map(|line| {
            let text = line.text();
            let (name, value) = text.split_once('=')?;
            let transport = match name.trim() {
                "ListenStream" => Transport::Tcp,
                "ListenDatagram" => Transport::Udp,
                _ => return None,
            };
            let value = value.trim();
            (!value.is_empty() && !value.starts_with(['/', '@']))
                .then(|| (transport, value.to_string(), crate::redact::printable(unit)))
        })
        .collect()
}

/// Which of the units listens on a socket.
pub fn socket_unit<'u>(
    units: &'u [(Transport, String, String)],
    socket: &Socket,
) -> Option<&'u str> {
    units
        .iter()
        .find(|(transport, listen, _)| *transport == socket.transport && listens_on(listen, socket))
        .map(|(_, _, unit)| unit.as_str())
}

fn listens_on(listen: &str, socket: &Socket) -> bool {
    if let Ok(port) = listen.parse::<u16>() {
        return port == socket.port;
    }
    match listen.parse::<std::net::SocketAddr>() {
        Ok(address) => address.port() == socket.port && address.ip() == socket.address,
        // `*:22` and specifiers: the port decides.
        Err(_) => listen.rsplit(':').next().and_then(|port| port.parse().ok()) == Some(socket.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    fn socket(port: u16, inode: u32) -> Socket {
        Socket {
            transport: Transport::Tcp,
            port,
            address: [0, 0, 0, 0].into(),
            dual_stack: false,
            uid: 0,
            inode,
            queue: (0, 0),
            cgroup: None,
            cookie: None,
            mark: None,
        }
    }

    fn process(tree: MemoryTree, pid: u32, exe: &str, cgroup: &str, inode: u32) -> MemoryTree {
        tree.link(&format!("/proc/{pid}/exe"), exe)
            .link(&format!("/proc/{pid}/fd/0"), "/dev/null")
            .link(&format!("/proc/{pid}/fd/3"), &format!("socket:[{inode}]"))
            .file(&format!("/proc/{pid}/status"), "Name:\tx\nUid:\t0\t33\t0\t0\nNSpid:\t7\n")
            .file(&format!("/proc/{pid}/cgroup"), cgroup)
    }

    #[test]
    fn every_holder_is_found_with_executable_and_unit() {
        let tree = process(MemoryTree::new(), 1, "/usr/lib/systemd/systemd", "0::/init.scope\n", 9);
        let tree =
            process(tree, 77, "/usr/sbin/nginx (deleted)", "0::/system.slice/nginx.service\n", 7);
        let cgroup = "4:memory:/x.service\n1:name=systemd:/system.slice/nginx.service\n0::/\n";
        let tree = process(tree, 78, "/usr/sbin/nginx", cgroup, 7);
        let found = holders(&tree, &[socket(80, 7), socket(81, 8)]);
        assert_eq!(found.blind, None);
        let owners = &found.by_inode[&7];
        assert_eq!(owners.iter().map(|owner| owner.pid).collect::<Vec<_>>(), [77, 78]);
        assert!(owners[0].deleted && !owners[1].deleted);
        assert_eq!(owners[0].exe.as_deref(), Some("/usr/sbin/nginx"));
        assert!(owners.iter().all(|owner| owner.unit.as_deref() == Some("nginx.service")));
        assert!(owners.iter().all(|owner| owner.uid == 33));
        assert!(!found.by_inode.contains_key(&8) && !found.by_inode.contains_key(&9));
    }

    #[test]
    fn what_could_not_be_seen_is_told() {
        let tree = process(MemoryTree::new(), 1, "/sbin/init", "", 1).denied("/proc/2/fd");
        let blind = holders(&tree, &[]).blind.unwrap();
        assert!(blind.contains("CAP_SYS_PTRACE"), "{blind}");
        let tree = process(MemoryTree::new(), 5, "/bin/x", "", 1);
        assert!(holders(&tree, &[]).blind.unwrap().contains("hidepid"));
        assert!(holders(&MemoryTree::new(), &[]).blind.is_some());
    }

    #[test]
    fn units_and_ids_are_read_from_hostile_text_too() {
        assert_eq!(
            unit(b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n")
                .as_deref(),
            Some("x.service")
        );
        assert_eq!(
            unit(b"0::/system.slice/docker-abc.scope\n").as_deref(),
            Some("docker-abc.scope")
        );
        for bytes in [&b""[..], b"\0", b"::::", b"0::", b"\xff\xfe:x:y", &vec![b'/'; 1 << 20]] {
            assert_eq!(unit(bytes), None);
            assert_eq!(effective_uid(bytes), None);
        }
        assert_eq!(effective_uid(b"Uid:\t1\n"), None);
        assert!(contained(b"NSpid:\t700\t1\n") && !contained(b"NSpid:\t700\n"));
        let tree = MemoryTree::new().file("/sys/fs/cgroup/system.slice/x.service/cgroup.procs", "");
        assert_eq!(cgroup::units(&tree).into_values().collect::<Vec<_>>(), ["x.service"]);
        assert_eq!(socket_inode(b"socket:[99999999999]"), None);
        assert_eq!(socket_inode(b"socket:[5]"), Some(5));
    }

    #[test]
    fn a_socket_unit_is_found_by_what_it_listens_on() {
        let tree = MemoryTree::new()
            .file(
                "/usr/lib/systemd/system/ssh.socket",
                "[Socket]\nListenStream=22\nListenStream=/run/x\n",
            )
            .file(
                "/etc/systemd/system/cups.socket",
                "[Socket]\nListenStream=127.0.0.1:631\nListenDatagram=5\n",
            )
            .file(
                "/etc/systemd/system/ssh.socket.d/port.conf",
                "[Socket]\nListenStream=\nListenStream=0.0.0.0:2222\n",
            )
            .file("/etc/systemd/system/x.service", "ListenStream=1\n");
        let units = socket_units(&tree);
        assert_eq!(units.len(), 4);
        assert_eq!(socket_unit(&units, &socket(22, 1)), Some("ssh.socket"));
        assert_eq!(socket_unit(&units, &socket(2222, 1)), Some("ssh.socket"));
        assert_eq!(socket_unit(&units, &socket(631, 1)), None, "another address");
        assert_eq!(socket_unit(&units, &socket(5, 1)), None, "another transport");
        assert_eq!(socket_unit(&units, &socket(1, 1)), None, "not a socket unit");
    }
}
