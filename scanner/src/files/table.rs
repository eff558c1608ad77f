//! The mount table of the host, and where a walk may go by it.
//!
//! The table that counts is PID 1's: a sandbox changes the own one. A walk moves in the own mount
//! namespace, though, so that it heeds both: what either table shows as a network, automount or
//! user-space file system is not touched, not even by `stat`, which a dead server would block.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::config::mounts::{self, Mount};
use parsers::place::Problem;
use parsers::tree::{LookError, Tree};

use crate::facts::{Fact, Facts};

/// Largest mount table that is read.
const TABLE_BYTES_MAX: usize = 8 << 20;

/// Trees that belong to containers or are made of images; their files are not this host's.
const NOT_OURS: &[&str] = &[
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/lib/machines",
    "/var/lib/flatpak",
    "/var/lib/snapd",
    "/snap",
];

/// The mounts of the host.
#[derive(Debug, Default)]
pub struct MountTable {
    /// PID 1's mounts, or the own ones where those could not be read; empty for a mounted tree.
    pub mounts: Vec<Mount>,
    /// Lines that could not be read.
    pub problems: Vec<Problem>,
    /// Why there is no table at all.
    pub unavailable: Option<String>,
    /// Whether a walk may enter a mount point.
    points: HashMap<PathBuf, Result<(), String>>,
}

/// What a walk does with a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entering {
    /// It lies on the file system of its parent.
    Inside,
    /// Another local file system is mounted there.
    LocalMount,
    /// It is not entered and not touched, with the reason.
    Never(String),
}

impl MountTable {
    /// Reads the tables of the running host.
    pub fn read(tree: &dyn Tree) -> Self {
        let first = table(tree, "/proc/1/mountinfo");
        let own = table(tree, "/proc/self/mountinfo");
        let mut points = HashMap::new();
        for (mounts, _) in [&own, &first].into_iter().flatten() {
            add_points(&mut points, mounts);
        }
        match (first, own) {
            (Ok((mounts, problems)), _) if !mounts.is_empty() => {
                Self { mounts, problems, unavailable: None, points }
            }
            (_, Ok((mounts, problems))) => Self { mounts, problems, unavailable: None, points },
            (Err(error), _) | (_, Err(error)) => {
                Self { unavailable: Some(error.to_string()), ..Self::default() }
            }
        }
    }

    /// The mount that covers a path.
    pub fn mount_of(&self, path: &Path) -> Option<&Mount> {
        mounts::mount_of(&self.mounts, path)
    }

    /// The mount whose target is exactly this path.
    pub fn mount_at(&self, path: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.target == Path::new(path))
    }

    /// Whether a walk may look at and enter a directory.
    pub fn entering(&self, path: &Path) -> Entering {
        if NOT_OURS.iter().any(|tree| path == Path::new(tree)) {
            return Entering::Never("belongs to containers".to_string());
        }
        match self.points.get(path) {
            None => Entering::Inside,
            Some(Ok(())) => Entering::LocalMount,
            Some(Err(why)) => Entering::Never(why.clone()),
        }
    }

    /// Why the file system that a path lies on may not be walked at all, if so.
    pub fn refuses(&self, path: &Path) -> Option<String> {
        path.ancestors().find_map(|one| match self.entering(one) {
            Entering::Never(why) => Some(Some(why)),
            Entering::LocalMount => Some(None),
            Entering::Inside => None,
        })?
    }
}

impl Fact for MountTable {
    fn look(facts: &Facts<'_>) -> Self {
        if facts.live {
            return Self::read(facts.tree);
        }
        Self { unavailable: Some("a mounted tree has no mount table".into()), ..Self::default() }
    }
}

fn table(tree: &dyn Tree, path: &str) -> Result<(Vec<Mount>, Vec<Problem>), LookError> {
    let bytes = tree.read(Path::new(path), TABLE_BYTES_MAX)?;
    Ok(mounts::mountinfo(&Arc::from(path), &bytes))
}

/// A later mount covers an earlier one at the same target, but a refusal of any table stays.
fn add_points(points: &mut HashMap<PathBuf, Result<(), String>>, mounts: &[Mount]) {
    let mut these = HashMap::new();
    for mount in mounts {
        let container = mount.fs_type == "overlay" && mount.target != Path::new("/");
        let may = if container {
            Err("an overlay of a container".to_string())
        } else if mounts::walkable(&mount.fs_type) {
            Ok(())
        } else {
            Err(format!("a {} file system", mount.fs_type))
        };
        these.insert(mount.target.clone(), may);
    }
    for (target, may) in these {
        points
            .entry(target)
            .and_modify(|known| {
                if known.is_ok() {
                    known.clone_from(&may);
                }
            })
            .or_insert(may);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    const FIRST: &str = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / /srv rw - nfs4 host:/x rw\n\
        3 1 0:8 / /auto rw - autofs x rw\n4 1 8:2 / /boot rw - vfat /dev/sda2 rw\n\
        5 1 0:7 / /usr/merged rw - overlay overlay rw\n6 1 0:6 / /media rw - fuse.sshfs x rw\n";

    #[test]
    fn only_local_file_systems_are_entered() {
        let tree = MemoryTree::new().file("/proc/1/mountinfo", FIRST).file(
            "/proc/self/mountinfo",
            "1 0 8:1 / / ro - ext4 x rw\n9 1 0:5 / /boot rw - fuse x rw\n",
        );
        let table = MountTable::read(&tree);
        let never = |path: &str| matches!(table.entering(Path::new(path)), Entering::Never(_));
        assert!(never("/srv") && never("/auto") && never("/usr/merged") && never("/media"));
        assert!(never("/boot"), "the own table refuses it");
        assert!(never("/var/lib/docker"));
        assert_eq!(table.entering(Path::new("/etc")), Entering::Inside);
        assert_eq!(table.entering(Path::new("/")), Entering::LocalMount);
        assert_eq!(table.refuses(Path::new("/srv/deep/er")).unwrap(), "a nfs4 file system");
        assert_eq!(table.refuses(Path::new("/usr/bin")), None);
        assert!(table.mount_at("/").unwrap().has("rw"));
    }

    #[test]
    fn without_pid_1s_table_the_own_one_serves_and_without_both_it_is_said() {
        let tree =
            MemoryTree::new().denied("/proc/1/mountinfo").file("/proc/self/mountinfo", FIRST);
        assert_eq!(MountTable::read(&tree).mounts.len(), 6);
        assert!(MountTable::read(&MemoryTree::new()).unavailable.is_some());
    }
}
