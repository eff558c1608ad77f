//! From where this process looks, and what it therefore cannot see.
//!
//! Everything is read from `/proc` through the tree: rights from `/proc/self/status`, namespaces by
//! comparing the links under `/proc/self/ns` with those of PID 1, a sandbox by comparing the two mount
//! tables (under `ProtectSystem=strict` the own one says that everything is read-only, so settings are
//! judged by PID 1's). What cannot be compared is listed as unknown, never taken as equal.

use std::path::Path;
use std::sync::Arc;

use parsers::config::mounts::{self, Mount};
use parsers::tree::{Links, Tree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest file of `/proc` that is read.
const PROC_BYTES_MAX: usize = 4 << 20;

/// Namespaces that are compared.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// The kernel's own namespaces have fixed inode numbers at the top of this range
/// (`include/uapi/linux/nsfs.h` and `linux/proc_ns.h`); those made later have others.
const INITIAL_NAMESPACES: std::ops::RangeInclusive<u64> = 0xEFFF_FFF0..=0xEFFF_FFFF;

/// Capability names by bit (`linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What the process could and could not see from where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vantage {
    /// Effective user id.
    pub uid: u32,
    /// Effective capabilities by name (`CAP_DAC_READ_SEARCH` …); all of them for an unconfined root.
    pub capabilities: Vec<String>,
    /// Namespaces that differ from PID 1's (`mnt`, `net`, `pid`, `user` …).
    pub other_namespaces: Vec<String>,
    /// Namespaces that could not be compared.
    pub unknown_namespaces: Vec<String>,
    /// What contains us (`docker`, `lxc`, `systemd-nspawn` …), if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Signs of a sandbox (no_new_privs, seccomp, read-only root …).
    pub sandbox: Vec<String>,
    /// What therefore cannot be seen, one line each.
    pub blind: Vec<String>,
    /// `true` when a mounted tree was audited rather than this host.
    pub mounted_tree: bool,
}

/// Looks at the running host. `tree` is the file system that will be audited, with its `/proc`.
pub fn look(tree: &dyn Tree) -> Vantage {
    let mut vantage = Vantage::default();
    let status = text(tree, "/proc/self/status");
    let known = read_rights(&mut vantage, &status);
    compare_namespaces(tree, &mut vantage);
    let table = |path: &str| {
        tree.read(Path::new(path), PROC_BYTES_MAX)
            .map(|bytes| mounts::mountinfo(&Arc::from(path), &bytes).0)
            .unwrap_or_default()
    };
    let (own, first) = (table("/proc/self/mountinfo"), table("/proc/1/mountinfo"));
    compare_mounts(&mut vantage, &own, &first);
    vantage.container = container(tree, &vantage, same_root(&own, &first));
    vantage.blind = blind(&vantage);
    if !known {
        vantage.blind.push("its own rights (/proc/self/status could not be read)".to_string());
    }
    vantage
}

impl Vantage {
    /// The vantage of an audit of a mounted tree: its kernel and processes are not here.
    pub fn mounted() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            mounted_tree: true,
            blind: vec![
                "processes, listening sockets, firewall and live kernel settings (a mounted tree)"
                    .to_string(),
            ],
            ..Self::default()
        }
    }

    /// Whether a capability is in effect.
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|have| have == capability)
    }

    /// Whether files and directories of others may be read whatever their mode.
    pub fn reads_all_files(&self) -> bool {
        self.has("CAP_DAC_READ_SEARCH") || self.has("CAP_DAC_OVERRIDE")
    }
}

/// Uid, capabilities and sandbox signs from `/proc/self/status`; `false` when they are not there.
fn read_rights(vantage: &mut Vantage, status: &str) -> bool {
    let value = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    if value("NoNewPrivs") == Some("1") {
        vantage.sandbox.push("no_new_privs".to_string());
    }
    if value("Seccomp").is_some_and(|mode| mode != "0") {
        vantage.sandbox.push("seccomp filter".to_string());
    }
    let uid = value("Uid").and_then(|uids| uids.split_whitespace().nth(1)?.parse().ok());
    let bits = value("CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    vantage.uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    vantage.capabilities = (0..)
        .zip(CAPABILITIES)
        .filter(|(bit, _)| bits.unwrap_or(0) >> bit & 1 == 1)
        .map(|(_, name)| name.to_string())
        .collect();
    uid.is_some() && bits.is_some()
}

fn compare_namespaces(tree: &dyn Tree, vantage: &mut Vantage) {
    for name in NAMESPACES {
        let inode = |process: &str| namespace(tree, &format!("/proc/{process}/ns/{name}"));
        match (inode("self"), inode("1")) {
            (Some(own), Some(first)) if own == first => {}
            (Some(_), Some(_)) => vantage.other_namespaces.push(name.to_string()),
            // PID 1 keeps its links to itself, but this process lives in a namespace of the kernel's own.
            (Some(own), None) if INITIAL_NAMESPACES.contains(&own) => {}
            _ => vantage.unknown_namespaces.push(name.to_string()),
        }
    }
}

/// Inode of a namespace: the links read `net:[4026531833]`.
fn namespace(tree: &dyn Tree, path: &str) -> Option<u64> {
    let link = tree.read_link(Path::new(path)).ok()?;
    let (_, inode) = link.to_str()?.split_once(":[")?;
    inode.strip_suffix(']')?.parse().ok()
}

/// What differs between the own mount table and PID 1's. Mount ids are unique on a kernel, so that
/// equal ids of `/` also settle the question whether the mount namespace is another one.
fn compare_mounts(vantage: &mut Vantage, own: &[Mount], first: &[Mount]) {
    let on = |table: &'_ [Mount], path: &str| -> Option<Mount> {
        table.iter().rev().find(|mount| mount.target == Path::new(path)).cloned()
    };
    let id = |table: &[Mount]| on(table, "/").map(|mount| mount.id);
    if let (Some(mine), Some(theirs)) = (id(own), id(first)) {
        let unknown = vantage.unknown_namespaces.iter().position(|name| name == "mnt");
        if let Some(at) = unknown {
            vantage.unknown_namespaces.remove(at);
            if mine != theirs {
                vantage.other_namespaces.push("mnt".to_string());
            }
        }
    }
    if let (Some(mine), Some(theirs)) = (on(own, "/"), on(first, "/"))
        && mine.has("ro")
        && !theirs.has("ro")
    {
        vantage.sandbox.push("read-only root (ProtectSystem)".to_string());
    }
    for path in ["/tmp", "/var/tmp", "/home", "/root", "/dev"] {
        let (mine, theirs) = (on(own, path), on(first, path));
        let private = mine.as_ref().is_some_and(|mount| {
            mount.root.to_string_lossy().contains("systemd-private-")
                || theirs
                    .as_ref()
                    .is_none_or(|other| mount.device != other.device || mount.root != other.root)
        });
        if private && !first.is_empty() {
            vantage.sandbox.push(format!("another {path} than the host's"));
        }
    }
    if let Some(proc) = on(own, "/proc") {
        if proc.value("hidepid").is_some_and(|value| !matches!(value, "0" | "off")) {
            vantage.sandbox.push("hidepid".to_string());
        }
        if proc.value("subset") == Some("pid") {
            vantage.sandbox.push("/proc without /proc/sys (ProcSubset)".to_string());
        }
    }
}

/// Whether this process and PID 1 have the same directory as their root: so has a sandboxed service,
/// not a container that shares the host's processes.
fn same_root(own: &[Mount], first: &[Mount]) -> bool {
    let root = |table: &[Mount]| {
        let mount = table.iter().rev().find(|mount| mount.target == Path::new("/"))?;
        Some((mount.device, mount.root.clone()))
    };
    root(own).is_some() && root(own) == root(first)
}

/// What contains us. A file such as `/.dockerenv` proves nothing on a machine made from an image, so
/// that traces count only where the namespaces are not the kernel's own.
fn container(tree: &dyn Tree, vantage: &Vantage, same_root: bool) -> Option<String> {
    let initial = |name: &str| {
        namespace(tree, &format!("/proc/self/ns/{name}"))
            .is_some_and(|inode| INITIAL_NAMESPACES.contains(&inode))
    };
    let other = |name: &str| {
        vantage.other_namespaces.iter().chain(&vantage.unknown_namespaces).any(|one| one == name)
    };
    if initial("pid") && (same_root || !other("mnt")) {
        return None;
    }
    let word = |text: &str| {
        let word: String = text
            .trim()
            .chars()
            .take(32)
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        (!word.is_empty()).then_some(word)
    };
    if let Some(named) = word(&text(tree, "/run/systemd/container")) {
        return Some(named);
    }
    let environment = text(tree, "/proc/1/environ");
    if let Some(named) =
        environment.split('\0').find_map(|one| one.strip_prefix("container=")).and_then(word)
    {
        return Some(named);
    }
    let exists = |path: &str| tree.stat(Path::new(path), Links::Keep).is_ok();
    if exists("/.dockerenv") {
        return Some("docker".to_string());
    }
    if exists("/run/.containerenv") {
        return Some("podman".to_string());
    }
    let groups = text(tree, "/proc/1/cgroup");
    ["kubepods", "docker", "libpod", "lxc", "containerd", "machine.slice"]
        .into_iter()
        .find(|name| groups.contains(name))
        .map(str::to_string)
        .or_else(|| {
            let made = namespace(tree, "/proc/self/ns/pid").is_some() && !initial("pid");
            made.then(|| "unknown".to_string())
        })
}

/// What cannot be seen, one line each.
fn blind(vantage: &Vantage) -> Vec<String> {
    let other = |name: &str| vantage.other_namespaces.iter().any(|one| one == name);
    let sign = |sign: &str| vantage.sandbox.iter().any(|one| one.contains(sign));
    // Capabilities hold in their user namespace: one made for us gives none over the host.
    let strange_user = other("user") || vantage.unknown_namespaces.iter().any(|one| one == "user");
    let can = |capability: &str| vantage.has(capability) && !strange_user;
    let mut blind = Vec::new();
    let mut when = |condition: bool, line: &str| {
        if condition {
            blind.push(line.to_string());
        }
    };
    when(
        !can("CAP_DAC_READ_SEARCH") && !can("CAP_DAC_OVERRIDE"),
        "/etc/shadow and other files and directories that only root may read (no CAP_DAC_READ_SEARCH)",
    );
    when(
        !can("CAP_SYS_PTRACE"),
        "processes of other users and the owners of their sockets (no CAP_SYS_PTRACE)",
    );
    when(!can("CAP_NET_ADMIN"), "firewall rules and port redirections (no CAP_NET_ADMIN)");
    when(sign("hidepid") && vantage.uid != 0, "processes of other users (hidepid)");
    when(sign("ProcSubset"), "live kernel settings (/proc/sys is hidden)");
    when(other("net"), "the host's listening sockets and firewall (other network namespace)");
    when(
        vantage.container.is_some() || other("pid"),
        "processes, sockets and files outside of this container or sandbox",
    );
    when(strange_user, "true owners of files (other user namespace)");
    when(
        sign("another /tmp") || sign("another /var/tmp"),
        "the host's /tmp or /var/tmp (a private one is mounted)",
    );
    when(sign("another /home") || sign("another /root"), "home directories (ProtectHome)");
    when(sign("another /dev"), "the host's devices and /dev/shm (PrivateDevices)");
    blind
}

fn text(tree: &dyn Tree, path: &str) -> String {
    let bytes = tree.read(Path::new(path), PROC_BYTES_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::{FileKind, MemoryTree};

    const ROOT: &str = "27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n";

    fn status(uid: u32, capabilities: &str, more: &str) -> String {
        format!("Name:\tx\nUid:\t0\t{uid}\t0\t0\nCapEff:\t{capabilities}\n{more}")
    }

    fn spaces(mut tree: MemoryTree, process: &str, different: &[&str]) -> MemoryTree {
        for (at, name) in NAMESPACES.iter().enumerate() {
            let base = if different.contains(name) { 4_026_532_500 } else { 4_026_531_832 };
            tree = tree.link(
                &format!("/proc/{process}/ns/{name}"),
                &format!("{name}:[{}]", base + at as u64),
            );
        }
        tree
    }

    fn host() -> MemoryTree {
        MemoryTree::new()
            .file(
                "/proc/self/status",
                status(0, "000001ffffffffff", "NoNewPrivs:\t0\nSeccomp:\t0\n"),
            )
            .file("/proc/self/mountinfo", ROOT)
            .file("/proc/1/mountinfo", ROOT)
    }

    #[test]
    fn an_unconfined_root_sees_everything() {
        let tree = spaces(spaces(host(), "self", &[]), "1", &[]);
        let vantage = look(&tree);
        assert_eq!(vantage.capabilities.len(), CAPABILITIES.len());
        assert_eq!(vantage.uid, 0);
        assert!(vantage.other_namespaces.is_empty() && vantage.unknown_namespaces.is_empty());
        assert_eq!(vantage.blind, Vec::<String>::new());
        assert_eq!((vantage.container, vantage.sandbox.len()), (None, 0));
    }

    #[test]
    fn a_plain_user_is_told_what_is_hidden() {
        let tree = spaces(host(), "self", &["net"]).file(
            "/proc/self/status",
            status(1000, "0000000000000000", "NoNewPrivs:\t1\nSeccomp:\t2\n"),
        );
        let vantage = look(&tree);
        assert_eq!(vantage.uid, 1000);
        assert!(vantage.capabilities.is_empty());
        assert_eq!(vantage.unknown_namespaces, ["net"]);
        assert_eq!(vantage.sandbox, ["no_new_privs", "seccomp filter"]);
        assert_eq!(vantage.blind.len(), 3);
        assert!(vantage.blind[0].contains("/etc/shadow"));
        assert!(vantage.blind[1].contains("CAP_SYS_PTRACE"));
    }

    #[test]
    fn a_sandboxed_service_sees_that_its_mounts_are_not_the_hosts() {
        let own = "90 1 8:1 / / ro,nosuid - ext4 /dev/sda1 rw\n\
            91 90 8:1 /tmp/systemd-private-x/tmp /tmp rw - ext4 /dev/sda1 rw\n\
            92 90 0:50 / /home ro - tmpfs tmpfs rw\n\
            93 90 0:22 / /proc rw - proc proc rw,hidepid=2,subset=pid\n";
        let tree =
            spaces(spaces(host(), "self", &["mnt"]), "1", &[]).file("/proc/self/mountinfo", own);
        let vantage = look(&tree);
        assert_eq!(vantage.other_namespaces, ["mnt"]);
        assert_eq!(vantage.container.as_deref(), None);
        let signs = vantage.sandbox.join("; ");
        for sign in ["ProtectSystem", "another /tmp", "another /home", "hidepid", "ProcSubset"] {
            assert!(signs.contains(sign), "{sign} in {signs}");
        }
        assert!(vantage.blind.iter().any(|line| line.contains("/tmp")));
        assert!(vantage.blind.iter().any(|line| line.contains("ProtectHome")));
    }

    #[test]
    fn containers_are_named_and_an_images_leftovers_are_not() {
        let inside = ["mnt", "pid", "net"];
        let base = || spaces(spaces(host(), "self", &inside), "1", &inside);
        let named = |tree: MemoryTree| look(&tree).container;
        assert_eq!(named(base().file("/.dockerenv", "")).as_deref(), Some("docker"));
        assert_eq!(named(base().file("/run/.containerenv", "")).as_deref(), Some("podman"));
        assert_eq!(
            named(base().file("/run/systemd/container", "systemd-nspawn\n")).as_deref(),
            Some("systemd-nspawn")
        );
        assert_eq!(
            named(base().file("/proc/1/environ", "A=1\0container=lxc\0")).as_deref(),
            Some("lxc")
        );
        assert_eq!(
            named(base().file("/proc/1/cgroup", "0::/kubepods/x\n")).as_deref(),
            Some("kubepods")
        );
        assert_eq!(named(base()).as_deref(), Some("unknown"));
        let machine = spaces(spaces(host(), "self", &[]), "1", &[]).file("/.dockerenv", "");
        assert_eq!(named(machine), None);
        let sandboxed =
            || spaces(spaces(host(), "self", &["mnt"]), "1", &[]).file("/.dockerenv", "");
        assert_eq!(named(sandboxed()), None, "a service of the machine, sandboxed");
        let other_root = ROOT.replace("8:1 / /", "0:77 / /");
        let shares_processes = sandboxed().file("/proc/self/mountinfo", other_root);
        assert_eq!(named(shares_processes).as_deref(), Some("docker"));
    }

    #[test]
    fn root_of_an_own_user_namespace_is_no_root() {
        let tree = spaces(spaces(host(), "self", &["user"]), "1", &[]);
        let vantage = look(&tree);
        assert_eq!((vantage.uid, vantage.capabilities.len()), (0, CAPABILITIES.len()));
        assert_eq!(vantage.blind.len(), 4, "{:?}", vantage.blind);
        assert!(vantage.blind[3].contains("owners of files"));
    }

    #[test]
    fn hostile_proc_files_end_in_unknown() {
        let tree = MemoryTree::new()
            .special("/proc/self/status", FileKind::Fifo)
            .directory("/proc/self/mountinfo", 0o755, 0, 0)
            .file("/proc/1/mountinfo", vec![b'x'; PROC_BYTES_MAX + 1])
            .link("/proc/self/ns/net", "net:[not a number]")
            .file("/run/systemd/container", "\0\x1b[31m");
        let vantage = look(&tree);
        assert_eq!(vantage.unknown_namespaces.len(), NAMESPACES.len());
        assert!(vantage.capabilities.is_empty());
        assert!(vantage.blind.iter().any(|line| line.contains("its own rights")));
    }

    #[test]
    fn this_process_sees_its_own_namespaces() {
        let tree = crate::RootedTree::open(Path::new("/")).unwrap();
        let vantage = look(&tree);
        assert_eq!(vantage.uid, rustix::process::geteuid().as_raw());
        for name in NAMESPACES {
            let link = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            let inode = namespace(&tree, &format!("/proc/self/ns/{name}")).unwrap();
            assert_eq!(link.to_str().unwrap(), format!("{name}:[{inode}]"));
        }
    }
}
