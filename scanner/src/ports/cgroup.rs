//! Control groups: which systemd unit and which container a process or socket belongs to.
//!
//! systemd and every container engine give each of theirs a control group with a telling name
//! (cgroups(7), systemd.scope(5)). The kernel tells the group in which a socket was made by the inode
//! of its directory, so that [`units`] names the unit of a socket even where its holders cannot be
//! seen, without a walk over all descriptors. A socket that was handed over (socket activation, a
//! fork into another group) shows the group it was made in: who holds it now, only `/proc` tells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parsers::config::lines;
use parsers::tree::{FileKind, Links, Tree};

/// Most control groups that are looked at.
const GROUPS_MAX: usize = 20_000;
/// Digits of a container's id that are shown, as the engines themselves do.
const ID_DIGITS: usize = 12;
/// Most characters of a container's name.
const NAME_CHARS_MAX: usize = 64;
/// Scopes of container engines: prefix of the scope, and the engine.
const SCOPES: [(&str, &str); 6] = [
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("machine-", "nspawn"),
];
/// Folders that hold one group a container.
const FOLDERS: [(&str, &str); 5] = [
    ("docker", "docker"),
    ("libpod_parent", "podman"),
    ("lxc", "lxc"),
    ("lxc.payload", "lxc"),
    ("garden", "garden"),
];

/// The units and containers of control groups by their kernel ids (their inodes). Empty without a
/// unified hierarchy.
pub fn units(tree: &dyn Tree) -> BTreeMap<u64, String> {
    let mut units = BTreeMap::new();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut seen = 0;
    while let Some(directory) = pending.pop() {
        for entry in tree.list(&directory).unwrap_or_default() {
            if entry.kind != FileKind::Directory || seen == GROUPS_MAX {
                continue;
            }
            seen += 1;
            let name = entry.path.to_str().and_then(|path| container(path).or(innermost(path)));
            if let (Some(name), Ok(stat)) = (name, tree.stat(&entry.path, Links::Keep)) {
                units.insert(stat.inode, name);
            }
            pending.push(entry.path);
        }
    }
    units
}

/// The innermost systemd unit of `/proc/PID/cgroup`: of the unified hierarchy (`0::`) or, on older
/// hosts, of the one that systemd names.
pub fn unit(cgroup: &[u8]) -> Option<String> {
    let mut found = None;
    for (id, controllers, path) in entries(cgroup) {
        if controllers == "name=systemd" || (id == "0" && found.is_none()) {
            found = innermost(&path).or(found);
        }
    }
    found
}

/// The container of `/proc/PID/cgroup`, from whichever hierarchy names one: `docker 0123456789ab`.
pub fn container_of(cgroup: &[u8]) -> Option<String> {
    entries(cgroup).find_map(|(_, _, path)| container(&path))
}

/// Lines of `/proc/PID/cgroup`: hierarchy, controllers, path.
fn entries(cgroup: &[u8]) -> impl Iterator<Item = (String, String, String)> {
    lines::numbered(cgroup).filter_map(|line| {
        let text = line.text();
        let mut parts = text.splitn(3, ':').map(str::to_string);
        Some((parts.next()?, parts.next()?, parts.next()?))
    })
}

/// The innermost unit of a path.
fn innermost(path: &str) -> Option<String> {
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    path.rsplit('/').find(is_unit).map(crate::redact::printable)
}

/// The container that a control group is of, by the names that the engines give: the innermost one.
fn container(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let named = |index: usize, part: &str| {
        let before = index.checked_sub(1).and_then(|before| parts.get(before)).copied();
        scope(part).or_else(|| folder(before?, part)).or_else(|| pod(&parts[..index], part))
    };
    parts.iter().enumerate().rev().find_map(|(index, part)| named(index, part))
}

/// `docker-ID.scope`, `machine-NAME.scope`, `systemd-nspawn@NAME.service`.
fn scope(part: &str) -> Option<String> {
    if let Some(name) = part.strip_prefix("systemd-nspawn@") {
        return Some(shown("nspawn", name.strip_suffix(".service")?));
    }
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(shown("lxc", name));
    }
    let name = part.strip_suffix(".scope")?;
    let (prefix, engine) = SCOPES.iter().find(|(prefix, _)| name.starts_with(prefix))?;
    let id = &name[prefix.len()..];
    // The engine's own monitor of a container is not in it.
    if *engine != "nspawn" && !is_id(id) {
        return None;
    }
    // Virtual machines register as machines too.
    (!id.starts_with("qemu")).then(|| shown(engine, id))
}

/// `/docker/ID`, `/lxc/NAME`.
fn folder(before: &str, part: &str) -> Option<String> {
    let (_, engine) = FOLDERS.iter().find(|(name, _)| *name == before)?;
    (*engine == "lxc" && !part.is_empty() || is_id(part)).then(|| shown(engine, part))
}

/// `/kubepods/burstable/podUID/ID`, as the cgroupfs driver writes it.
fn pod(above: &[&str], part: &str) -> Option<String> {
    let inside = above.iter().any(|part| part.starts_with("kubepods"));
    (inside && is_id(part)).then(|| shown("kubernetes", part))
}

/// The 64 hexadecimal digits of a container's id.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn shown(engine: &str, name: &str) -> String {
    let name = match is_id(name) {
        true => name[..ID_DIGITS].to_string(),
        // systemd escapes a hyphen in a name.
        false => name.replace("\\x2d", "-").chars().take(NAME_CHARS_MAX).collect(),
    };
    format!("{engine} {}", crate::redact::printable(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    const ID: &str = "4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a0123";

    #[test]
    fn containers_of_every_engine_are_named() {
        for (path, expected) in [
            (format!("/system.slice/docker-{ID}.scope"), Some("docker 4f5e6d7c8b9a")),
            (format!("/docker/{ID}"), Some("docker 4f5e6d7c8b9a")),
            (format!("/docker/{ID}/system.slice/nginx.service"), Some("docker 4f5e6d7c8b9a")),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Some("podman 4f5e6d7c8b9a")),
            (format!("/machine.slice/libpod-conmon-{ID}.scope"), None),
            (
                format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
                Some("containerd 4f5e6d7c8b9a"),
            ),
            (format!("/kubepods/burstable/pod1-2-3/{ID}"), Some("kubernetes 4f5e6d7c8b9a")),
            (format!("/kubepods.slice/crio-{ID}.scope"), Some("cri-o 4f5e6d7c8b9a")),
            ("/lxc/web".into(), Some("lxc web")),
            ("/lxc.payload.web/system.slice/x.service".into(), Some("lxc web")),
            ("/machine.slice/machine-old\\x2dweb.scope".into(), Some("nspawn old-web")),
            ("/machine.slice/systemd-nspawn@web.service/payload".into(), Some("nspawn web")),
            ("/machine.slice/machine-qemu\\x2d1.scope".into(), None),
            ("/system.slice/docker.service".into(), None),
            ("/docker/buildkit".into(), None),
            ("/system.slice/docker-short.scope".into(), None),
        ] {
            let line = format!("0::{path}\n");
            assert_eq!(container_of(line.as_bytes()).as_deref(), expected, "{path}");
        }
        let hybrid = format!("4:memory:/docker/{ID}\n0::/\n");
        assert_eq!(container_of(hybrid.as_bytes()).as_deref(), Some("docker 4f5e6d7c8b9a"));
    }

    #[test]
    fn the_group_of_a_socket_names_its_unit_or_container() {
        let tree = MemoryTree::new()
            .file("/sys/fs/cgroup/system.slice/x.service/cgroup.procs", "")
            .file(&format!("/sys/fs/cgroup/system.slice/docker-{ID}.scope/cgroup.procs"), "");
        let mut names: Vec<String> = units(&tree).into_values().collect();
        names.sort();
        // A tree in memory has one inode for all.
        assert!(!names.is_empty());
        let one = MemoryTree::new().file("/sys/fs/cgroup/a.slice/x.service/cgroup.procs", "");
        assert_eq!(units(&one).into_values().collect::<Vec<_>>(), ["x.service"]);
    }

    #[test]
    fn hostile_text_names_nothing() {
        for bytes in [&b""[..], b"\0", b"::::", b"0::", b"\xff\xfe:x:y", &vec![b'/'; 1 << 20]] {
            assert_eq!(unit(bytes), None);
            assert_eq!(container_of(bytes), None);
        }
        let long = format!("0::/lxc/{}\n", "n".repeat(1 << 16));
        assert!(container_of(long.as_bytes()).is_some_and(|name| name.len() < 80));
    }
}
