//! Mount options of the places where others may write.
//!
//! The live options are PID 1's (`/proc/1/mountinfo`): a sandbox changes the own ones. A mounted tree
//! is judged by its fstab alone. A place that is no mount of its own is not a finding: stock systems
//! keep `/tmp` on the root file system, where these options cannot be set.

use std::path::Path;
use std::sync::Arc;

use consensus::{Kind, Privilege, Severity, Subject};
use parsers::config::mounts::{FstabEntry, Mount, fstab};
use parsers::place::Problem;
use parsers::tree::LookError;

use super::{Check, Observation, Outcome};
use crate::Facts;
use crate::facts::Fact;
use crate::files::MountTable;

const FSTAB: &str = "/etc/fstab";

/// Places where everybody may write.
const SHARED: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Options that take power from what lies on a file system.
const GUARDS: [&str; 3] = ["nosuid", "nodev", "noexec"];

/// File systems whose contents another host decides.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "afs",
];

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "mounts-shared-options",
        title: "a shared directory is mounted without nosuid or nodev",
        why: "Where everybody may write, set-id programs and device files have no business.",
        kind: Kind::Posture,
        level: Severity::Low,
        privilege: Privilege::User,
        services: &[],
        techniques: &[],
        remediation: "Add the options in /etc/fstab and remount.",
        snippet: "tmpfs /tmp tmpfs rw,nosuid,nodev,noexec 0 0",
        references: &["mount(8)", "CIS Debian Linux Benchmark: Configure Filesystem Partitions"],
        run: shared_options,
    },
    Check {
        id: "mounts-network-options",
        title: "a network file system is mounted without nosuid or nodev",
        why: "Its server decides what lies there: a set-user-id root program of its making gives root here.",
        kind: Kind::Posture,
        level: Severity::Medium,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Mount it with nosuid,nodev unless set-id programs are meant to come from there.",
        snippet: "mount -o remount,nosuid,nodev DIRECTORY",
        references: &["mount(8)", "nfs(5)"],
        run: network_options,
    },
    Check {
        id: "mounts-fstab-drift",
        title: "a mount lacks the options that fstab gives it",
        why: "The protection that was written down is not in force.",
        kind: Kind::Posture,
        level: Severity::Medium,
        privilege: Privilege::User,
        services: &[],
        techniques: &[],
        remediation: "Remount, and find out what mounted it otherwise.",
        snippet: "mount -o remount DIRECTORY",
        references: &["fstab(5)", "findmnt(8)"],
        run: drift,
    },
    Check {
        id: "mounts-fstab-password",
        title: "a password stands in fstab",
        why: "Every user can read fstab, and mount shows its options.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::User,
        services: &[],
        techniques: &["attack.t1552"],
        remediation: "Move it to a file that only root can read, and change the password.",
        snippet: "//server/share /mnt cifs credentials=/etc/cifs.credentials 0 0",
        references: &["mount.cifs(8)"],
        run: password,
    },
    Check {
        id: "mounts-user-options",
        title: "users may mount with set-id programs or devices",
        why: "Whoever brings the medium brings a set-user-id root program with it.",
        kind: Kind::Posture,
        level: Severity::Medium,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Drop suid and dev from entries with user or users.",
        snippet: "",
        references: &["mount(8)"],
        run: user_options,
    },
    Check {
        id: "mounts-hidepid",
        title: "users see the processes of each other",
        why: "Command lines may hold names and secrets. On hosts with many users /proc can hide them.",
        kind: Kind::Posture,
        level: Severity::Info,
        privilege: Privilege::Information,
        services: &[],
        techniques: &[],
        remediation: "Where untrusted users log in, mount /proc with hidepid=invisible and a gid for monitors.",
        snippet: "proc /proc proc rw,nosuid,nodev,noexec,hidepid=invisible,gid=proc 0 0",
        references: &["proc(5)"],
        run: hidepid,
    },
];

/// The entries of fstab, read once.
struct Fstab {
    read: Result<(Vec<FstabEntry>, Vec<Problem>), LookError>,
}

impl Fact for Fstab {
    fn look(facts: &Facts<'_>) -> Self {
        Self { read: facts.read(FSTAB).map(|bytes| fstab(&Arc::from(FSTAB), &bytes)) }
    }
}

impl Fstab {
    /// The entries and the lines that could not be read; none where there is no file.
    fn entries(&self) -> Result<(&[FstabEntry], Vec<String>), Outcome> {
        match &self.read {
            Ok((entries, problems)) => {
                Ok((entries, problems.iter().take(5).map(ToString::to_string).collect()))
            }
            Err(error) if error.not_found() => Ok((&[], Vec::new())),
            Err(error) => Err(Outcome::unreadable(error)),
        }
    }
}

fn of_entry(entry: &FstabEntry) -> Observation {
    Observation { subject: about(&entry.target), ..Observation::at(&entry.place, &entry.text) }
}

fn of_mount(mount: &Mount) -> Observation {
    Observation { subject: about(&mount.target), ..Observation::at(&mount.place, &mount.text) }
}

fn about(path: &Path) -> Subject {
    Subject { path: Some(shown(path)), ..Subject::default() }
}

fn shown(path: &Path) -> String {
    crate::redact::printable(&path.to_string_lossy())
}

fn shared_options(facts: &Facts<'_>) -> Outcome {
    let (fstab, table) = (facts.get::<Fstab>(), facts.get::<MountTable>());
    let (entries, unseen) = match fstab.entries() {
        Ok(found) => found,
        Err(outcome) if !facts.live => return outcome,
        Err(_) => (&[][..], vec![format!("{FSTAB} could not be read")]),
    };
    if let Some(why) = table.unavailable.as_ref().filter(|_| facts.live) {
        return Outcome::not_run(why.clone());
    }
    let (mut seen, mut own) = (Vec::new(), Vec::new());
    for place in SHARED {
        let entry = entries.iter().rev().find(|entry| entry.target == Path::new(place));
        let mount = table.mount_at(place);
        let missing: Vec<&str> = match (mount, entry) {
            (Some(mount), _) => GUARDS.into_iter().filter(|guard| !mount.has(guard)).collect(),
            (None, Some(entry)) if !facts.live => {
                GUARDS.into_iter().filter(|guard| !entry.has(guard)).collect()
            }
            _ => continue,
        };
        own.push(place);
        if missing.is_empty() {
            continue;
        }
        let mut one = match (mount, entry) {
            (Some(mount), Some(entry)) => of_mount(mount).line(&entry.place, &entry.text),
            (Some(mount), None) => of_mount(mount),
            (None, Some(entry)) => of_entry(entry),
            (None, None) => continue,
        };
        // Programs are started from /tmp by installers of every kind: noexec alone is a matter of taste.
        let level = if missing == ["noexec"] { Severity::Info } else { Severity::Low };
        one.snippet = Some(format!("mount -o remount,{} {place}", missing.join(",")));
        let title = format!("{place} is mounted without {}", missing.join(", "));
        seen.push(one.key(place).title(title).level(level));
    }
    let reason = if own.is_empty() {
        "none of /tmp, /var/tmp and /dev/shm is a mount of its own".to_string()
    } else {
        format!("{} with nosuid, nodev and noexec", own.join(", "))
    };
    Outcome::failed_or(seen, reason).unseen(unseen)
}

fn network_options(facts: &Facts<'_>) -> Outcome {
    let (fstab, table) = (facts.get::<Fstab>(), facts.get::<MountTable>());
    let title = |path: &Path, missing: &[&str]| {
        format!("{} comes from the network without {}", shown(path), missing.join(" and "))
    };
    let mut seen = Vec::new();
    if facts.live {
        if let Some(why) = &table.unavailable {
            return Outcome::not_run(why.clone());
        }
        for mount in table.mounts.iter().filter(|mount| NETWORK.contains(&mount.fs_type.as_str())) {
            let missing: Vec<&str> =
                ["nosuid", "nodev"].into_iter().filter(|guard| !mount.has(guard)).collect();
            if !missing.is_empty() {
                let one = of_mount(mount).title(title(&mount.target, &missing));
                seen.push(one.key(shown(&mount.target)).level(level_of(&missing)));
            }
        }
        return Outcome::failed_or(seen, "no network file system without nosuid and nodev");
    }
    let (entries, unseen) = match fstab.entries() {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    for entry in entries.iter().filter(|entry| NETWORK.contains(&entry.fs_type.as_str())) {
        let missing: Vec<&str> =
            ["nosuid", "nodev"].into_iter().filter(|guard| !entry.has(guard)).collect();
        if !missing.is_empty() {
            let one = of_entry(entry).title(title(&entry.target, &missing));
            seen.push(one.key(shown(&entry.target)).level(level_of(&missing)));
        }
    }
    Outcome::failed_or(seen, "no network file system without nosuid and nodev in fstab")
        .unseen(unseen)
}

fn level_of(missing: &[&str]) -> Severity {
    if missing.contains(&"nosuid") { Severity::Medium } else { Severity::Low }
}

fn drift(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return Outcome::not_applicable("a mounted tree has no live mounts to compare with");
    }
    let (fstab, table) = (facts.get::<Fstab>(), facts.get::<MountTable>());
    if let Some(why) = &table.unavailable {
        return Outcome::not_run(why.clone());
    }
    let (entries, unseen) = match fstab.entries() {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    let mut seen = Vec::new();
    for entry in
        entries.iter().filter(|entry| entry.target.is_absolute() && entry.fs_type != "swap")
    {
        let target = shown(&entry.target);
        let Some(mount) = table.mounts.iter().rev().find(|mount| mount.target == entry.target)
        else {
            let optional = ["noauto", "nofail", "x-systemd.automount"];
            if !optional.iter().any(|option| entry.options.iter().any(|have| have == option)) {
                let one = of_entry(entry).key(format!("absent {target}"));
                seen.push(
                    one.title(format!("{target} stands in fstab and is not mounted"))
                        .level(Severity::Info),
                );
            }
            continue;
        };
        let missing: Vec<&str> = GUARDS
            .into_iter()
            .chain(["ro"])
            .filter(|guard| {
                entry.has(guard) || (*guard == "ro" && entry.options.iter().any(|o| o == "ro"))
            })
            .filter(|guard| !mount.has(guard))
            .collect();
        if !missing.is_empty() {
            let title =
                format!("{target} is mounted without {}, which fstab sets", missing.join(", "));
            seen.push(of_entry(entry).line(&mount.place, &mount.text).key(target).title(title));
        }
    }
    Outcome::failed_or(seen, format!("{} entries of fstab are mounted as they say", entries.len()))
        .unseen(unseen)
}

fn password(facts: &Facts<'_>) -> Outcome {
    let fstab = facts.get::<Fstab>();
    let (entries, unseen) = match fstab.entries() {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    let holds = |option: &str| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        matches!(name, "password" | "pass" | "passwd" | "password2") && !value.is_empty()
    };
    let seen = entries
        .iter()
        .filter(|entry| entry.options.iter().any(|option| holds(option)))
        .map(|entry| {
            let target = shown(&entry.target);
            of_entry(entry).title(format!("the password of {target} stands in fstab")).key(target)
        })
        .collect();
    Outcome::failed_or(seen, format!("no password in {} entries of fstab", entries.len()))
        .unseen(unseen)
}

fn user_options(facts: &Facts<'_>) -> Outcome {
    let fstab = facts.get::<Fstab>();
    let (entries, unseen) = match fstab.entries() {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    let by_users = |entry: &&FstabEntry| {
        entry.options.iter().any(|option| option == "user" || option == "users")
    };
    let seen = entries
        .iter()
        .filter(by_users)
        .filter(|entry| !entry.has("nosuid") || !entry.has("nodev"))
        .map(|entry| {
            let target = shown(&entry.target);
            of_entry(entry).title(format!("users may mount {target} with suid or dev")).key(target)
        })
        .collect();
    Outcome::failed_or(seen, "no entry of fstab lets users mount with suid or dev").unseen(unseen)
}

fn hidepid(facts: &Facts<'_>) -> Outcome {
    let (fstab, table) = (facts.get::<Fstab>(), facts.get::<MountTable>());
    let hides = |value: Option<&str>| value.is_some_and(|value| !matches!(value, "0" | "off"));
    if facts.live {
        if facts.vantage.container.is_some() {
            return Outcome::not_applicable("a container shows only its own processes");
        }
        let Some(mount) = table.mount_at("/proc") else {
            return Outcome::not_run("the mount of /proc was not found");
        };
        if hides(mount.value("hidepid")) {
            return Outcome::passed(format!("/proc is mounted with hidepid ({})", mount.place));
        }
        return Outcome::failed(of_mount(mount).key("/proc"));
    }
    match fstab.entries() {
        Ok((entries, unseen)) => {
            let Some(entry) = entries.iter().rev().find(|entry| entry.target == Path::new("/proc"))
            else {
                return Outcome::not_applicable("fstab does not mount /proc").unseen(unseen);
            };
            let value = entry.options.iter().find_map(|option| option.strip_prefix("hidepid="));
            if hides(value) {
                return Outcome::passed(format!("/proc gets hidepid ({})", entry.place));
            }
            Outcome::failed(of_entry(entry).key("/proc"))
        }
        Err(outcome) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckResult;
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::{FileKind, MemoryTree};

    const HARDENED: &str = "UUID=1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs nosuid,nodev,noexec 0 0\n\
        host:/x /mnt nfs nosuid,nodev,credentials=/etc/c 0 0\nproc /proc proc hidepid=2 0 0\n/dev/sr0 /cd iso9660 user,noauto 0 0\n";
    const WEAK: &str = "UUID=1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs rw,nodev 0 0\ntmpfs /var/tmp tmpfs nosuid,nodev 0 0\n\
        //h/s /mnt cifs username=u,password=CANARY42 0 0\nproc /proc proc defaults 0 0\n/dev/sdb /usb vfat users,suid 0 0\n";

    fn live_table(tmp: &str) -> String {
        format!(
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:2 / /tmp {tmp} - tmpfs tmpfs rw\n\
             3 1 0:3 / /mnt rw,nosuid,nodev - nfs h:/x rw\n4 1 0:4 / /proc rw - proc proc rw,hidepid=invisible\n"
        )
    }

    fn run(tree: &MemoryTree, live: bool, id: &str) -> Outcome {
        let (vantage, spoken) = (Vantage::default(), Spoken::default());
        let facts = Facts::new(tree, live, &vantage, None, &spoken, 0);
        (CHECKS.iter().find(|check| check.id == id).unwrap().run)(&facts)
    }

    fn place(outcome: &Outcome, at: usize) -> (&str, u32, u32) {
        let line = &outcome.observations[at].lines[0];
        (line.file.as_str(), line.line, line.column)
    }

    #[test]
    fn hardened_mounts_pass_live_and_from_fstab() {
        let tree = MemoryTree::new()
            .file(FSTAB, HARDENED)
            .file("/proc/1/mountinfo", live_table("rw,nosuid,nodev,noexec"));
        for check in CHECKS {
            for live in [true, false] {
                let outcome = run(&tree, live, check.id);
                assert!(
                    outcome.observations.is_empty(),
                    "{}: {:?}",
                    check.id,
                    outcome.observations
                );
                assert_ne!(outcome.result, CheckResult::NotRun, "{}", check.id);
            }
        }
    }

    #[test]
    fn weak_entries_of_fstab_are_found_where_they_stand() {
        let tree = MemoryTree::new().file(FSTAB, WEAK);
        let shared = run(&tree, false, "mounts-shared-options");
        assert_eq!(place(&shared, 0), (FSTAB, 2, 18));
        assert_eq!(shared.observations[0].level, Some(Severity::Low));
        assert_eq!(shared.observations[1].level, Some(Severity::Info));
        let network = run(&tree, false, "mounts-network-options");
        assert_eq!(place(&network, 0), (FSTAB, 4, 17));
        let users = run(&tree, false, "mounts-user-options");
        assert_eq!(place(&users, 0), (FSTAB, 6, 20));
        let secret = run(&tree, false, "mounts-fstab-password");
        assert_eq!(secret.observations.len(), 1);
        assert!(!format!("{secret:?}{network:?}").contains("CANARY42"));
        assert_eq!(place(&run(&tree, false, "mounts-hidepid"), 0), (FSTAB, 5, 17));
    }

    #[test]
    fn live_options_count_and_their_difference_from_fstab_is_told() {
        let tree = MemoryTree::new()
            .file(FSTAB, HARDENED.replace("user,noauto", "defaults"))
            .file("/proc/1/mountinfo", live_table("rw,nodev"));
        let shared = run(&tree, true, "mounts-shared-options");
        assert_eq!(place(&shared, 0), ("/proc/1/mountinfo", 2, 1));
        assert_eq!(shared.observations[0].lines.len(), 2);
        let drift = run(&tree, true, "mounts-fstab-drift");
        assert_eq!(place(&drift, 0), (FSTAB, 2, 18));
        assert!(drift.observations[0].title.as_ref().unwrap().contains("nosuid, noexec"));
        assert_eq!(drift.observations[1].key, "absent /cd");
        assert_eq!(drift.observations.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_does_not_pass() {
        let none = MemoryTree::new();
        assert_eq!(run(&none, true, "mounts-shared-options").result, CheckResult::NotRun);
        let fifo = MemoryTree::new().special(FSTAB, FileKind::Fifo);
        for id in ["mounts-shared-options", "mounts-fstab-password", "mounts-hidepid"] {
            assert_eq!(run(&fifo, false, id).result, CheckResult::NotRun, "{id}");
        }
        let noise = MemoryTree::new().file(FSTAB, b"\0\xff\nx\n");
        assert_eq!(run(&noise, false, "mounts-fstab-password").unseen.len(), 2);
    }
}
