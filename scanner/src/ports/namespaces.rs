//! What listens in other network namespaces: containers, `ip netns`, sandboxes.
//!
//! Every namespace that a process of this host lives in, or that `/run/netns` names, is entered by a
//! thread that ends afterwards (setns(2), which needs CAP_SYS_ADMIN); nothing else of this process
//! ever leaves its own. Namespaces that may not be entered are counted and said.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use parsers::tree::{Links, MemoryTree, Tree, Why};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use super::addresses::{self, OwnAddresses};
use super::inventory::{self, Socket};
use super::netlink;

/// Most namespaces that are entered.
pub const NAMESPACES_MAX: usize = 256;
/// Where ip-netns(8) names namespaces.
const NAMED: &str = "/run/netns";

/// A network namespace other than this process's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Inode of the namespace, as in `net:[4026531840]`.
    pub id: u64,
    /// Its name below `/run/netns`, where it has one.
    pub name: Option<String>,
    /// A process that lives in it.
    pub pid: Option<u32>,
    /// What listens in it.
    pub sockets: Vec<Socket>,
    /// Its addresses.
    pub addresses: OwnAddresses,
}

impl Namespace {
    /// `net:[4026532281] (web)`.
    pub fn label(&self) -> String {
        match (&self.name, self.pid) {
            (Some(name), _) => format!("net:[{}] ({name})", self.id),
            (None, Some(pid)) => format!("net:[{}] (of pid {pid})", self.id),
            (None, None) => format!("net:[{}]", self.id),
        }
    }
}

/// A namespace that is known and has not been entered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    id: u64,
    name: Option<String>,
    pid: Option<u32>,
}

impl Known {
    fn path(&self) -> PathBuf {
        match (self.pid, &self.name) {
            (Some(pid), _) => format!("/proc/{pid}/ns/net").into(),
            (None, Some(name)) => Path::new(NAMED).join(name),
            (None, None) => PathBuf::new(),
        }
    }
}

/// Every other network namespace with its listening sockets, and what could not be looked at.
pub fn others(tree: &dyn Tree) -> (Vec<Namespace>, Vec<String>) {
    if let Some(asked) = netlink::asked() {
        return asked.namespaces();
    }
    let (mut known, denied) = known(tree);
    let mut incomplete = Vec::new();
    if denied > 0 {
        let processes = if denied == 1 { "process" } else { "processes" };
        incomplete.push(format!(
            "network namespaces of {denied} {processes}: not seen (needs CAP_SYS_PTRACE)"
        ));
    }
    if known.len() > NAMESPACES_MAX {
        let more = known.len() - NAMESPACES_MAX;
        incomplete.push(format!("{more} network namespaces: more than {NAMESPACES_MAX}"));
        known.truncate(NAMESPACES_MAX);
    }
    if known.is_empty() {
        return (Vec::new(), incomplete);
    }
    let entered = std::thread::scope(|scope| scope.spawn(|| enter_all(known)).join());
    let (found, refused) = entered.unwrap_or_default();
    if let Some((count, errno)) = refused {
        let namespaces = if count == 1 { "namespace was" } else { "namespaces were" };
        incomplete.push(format!(
            "{count} other network {namespaces} not looked into: {errno} (needs CAP_SYS_ADMIN)"
        ));
    }
    (found, incomplete)
}

/// The other namespaces that are known by a process or by name, and how many processes do not show theirs.
fn known(tree: &dyn Tree) -> (Vec<Known>, usize) {
    let Ok(Some(own)) = of(tree, Path::new("/proc/self/ns/net")) else { return (Vec::new(), 0) };
    let mut denied = 0;
    let mut found: BTreeMap<u64, Known> = BTreeMap::new();
    for entry in tree.list(Path::new(NAMED)).unwrap_or_default() {
        let name = entry.path.file_name().and_then(|name| name.to_str()).map(str::to_string);
        if let (Ok(stat), Some(name)) = (tree.stat(&entry.path, Links::Keep), name) {
            let id = stat.inode;
            found.insert(id, Known { id, name: Some(name), pid: None });
        }
    }
    let mut pids: Vec<u32> = Vec::new();
    let _ = tree.visit(Path::new("/proc"), &mut |entry| {
        pids.extend(entry.name.to_str().and_then(|name| name.parse::<u32>().ok()));
    });
    pids.sort_unstable();
    for pid in pids {
        match of(tree, Path::new(&format!("/proc/{pid}/ns/net"))) {
            Ok(Some(id)) => {
                let one = found.entry(id).or_insert(Known { id, name: None, pid: None });
                one.pid.get_or_insert(pid);
            }
            // It has ended, or is none.
            Ok(None) | Err(Why::NotFound) => {}
            Err(_) => denied += 1,
        }
    }
    found.remove(&own);
    (found.into_values().collect(), denied)
}

/// `net:[4026531840]`.
fn of(tree: &dyn Tree, path: &Path) -> Result<Option<u64>, Why> {
    let to = tree.read_link(path).map_err(|error| error.why)?;
    let digits = to.to_str().and_then(|to| to.strip_prefix("net:[")?.strip_suffix(']'));
    Ok(digits.and_then(|digits| digits.parse().ok()))
}

type Entered = (Vec<Namespace>, Option<(usize, Errno)>);

/// Runs in a thread of its own, which is in the last namespace when it ends.
fn enter_all(known: Vec<Known>) -> Entered {
    let mut found = Vec::new();
    let mut refused: Option<(usize, Errno)> = None;
    for one in known {
        match enter(&one) {
            Ok(Some((sockets, addresses))) => {
                let Known { id, name, pid } = one;
                found.push(Namespace { id, name, pid, sockets, addresses });
            }
            // It is gone.
            Ok(None) => {}
            Err(errno) => refused.get_or_insert((0, errno)).0 += 1,
        }
    }
    (found, refused)
}

fn enter(one: &Known) -> Result<Option<(Vec<Socket>, OwnAddresses)>, Errno> {
    let link = match File::open(one.path()) {
        Ok(link) => link,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    };
    // The process may have ended and another taken its number: what is not the one that was seen is left.
    if rustix::fs::fstat(&link)?.st_ino != one.id {
        return Ok(None);
    }
    match move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network)) {
        Ok(()) => {}
        // A name below /run/netns that is no namespace, or no longer.
        Err(Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    // Only netlink speaks for this thread: /proc/net and /sys show the process's own namespace.
    let nothing = MemoryTree::new();
    let sockets = inventory::from_netlink().map_err(|_| Errno::PERM)?;
    Ok(Some((sockets, addresses::own(&nothing).0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(tree: &dyn Tree) -> Vec<Known> {
        super::known(tree).0
    }

    #[test]
    fn a_process_that_does_not_show_its_namespace_is_counted_and_an_ended_one_is_not() {
        let tree = MemoryTree::new()
            .link("/proc/self/ns/net", "net:[1]")
            .link("/proc/7/ns/net", "net:[2]")
            .denied("/proc/8/ns/net")
            .file("/proc/9/status", "");
        assert_eq!(super::known(&tree).1, 1);
        let told = others(&tree).1;
        assert!(told.contains(
            &"network namespaces of 1 process: not seen (needs CAP_SYS_PTRACE)".to_string()
        ));
    }

    #[test]
    fn a_number_that_another_process_has_by_now_is_not_followed() {
        let pid = Some(std::process::id());
        let link = std::fs::read_link("/proc/self/ns/net").unwrap();
        let id: u64 =
            link.to_str().unwrap()["net:[".len()..].trim_end_matches(']').parse().unwrap();
        let gone = enter_all(vec![Known { id: id + 1, name: None, pid }]);
        assert_eq!(gone, (Vec::new(), None));
    }

    #[test]
    fn namespaces_are_known_by_process_and_by_name() {
        let tree = MemoryTree::new()
            .link("/proc/self/ns/net", "net:[1]")
            .link("/proc/7/ns/net", "net:[1]")
            .link("/proc/9/ns/net", "net:[2]")
            .link("/proc/8/ns/net", "net:[2]")
            .link("/proc/10/ns/net", "hostile")
            .link("/proc/11/ns/net", "net:[99999999999999999999]");
        assert_eq!(known(&tree), [Known { id: 2, name: None, pid: Some(8) }]);
        assert_eq!(known(&MemoryTree::new()), []);
        let named = Namespace {
            id: 2,
            name: Some("web".into()),
            pid: Some(8),
            sockets: Vec::new(),
            addresses: OwnAddresses::default(),
        };
        assert_eq!(named.label(), "net:[2] (web)");
    }
}
