//! Set-id programs, files that others may write, modes of critical files, private keys.
//!
//! What the walk found is judged in [`walked`], files that are known by name in [`named`]. Many paths
//! of one sort become one finding with several lines, so that a report stays readable. A pass says
//! which trees were walked: a file elsewhere was not looked at.

use std::collections::HashMap;
use std::path::Path;

use consensus::{Kind, Privilege, Severity, Subject};
use parsers::place::Place;
use parsers::tree::{Links, Stat, Tree};

use super::{Check, Observation};
use crate::Facts;
use crate::files::Found;

mod named;
mod programs;
mod walked;

/// Most findings of one sort before they become one.
const SINGLES_MAX: usize = 8;
/// Most lines of a finding about many paths.
const LINES_MAX: usize = 20;
/// Most lines of `/etc/group` that are read.
const GROUPS_MAX: usize = 100_000;

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "files-set-id",
        title: "set-user-id or set-group-id program that no package brought",
        why: "Such a program runs with its owner's rights whoever starts it. One that nobody installed \
              by package is how an intruder keeps root.",
        kind: Kind::Posture,
        level: Severity::Medium,
        privilege: Privilege::Root,
        services: &[],
        techniques: &["attack.t1548"],
        remediation: "Find out who put it there. Remove the bit, or the file; add a needed one to the accept file.",
        snippet: "chmod u-s,g-s FILE",
        references: &[
            "chmod(2)",
            "CIS Debian Linux Benchmark: Ensure SUID and SGID files are reviewed",
        ],
        run: walked::set_id,
    },
    Check {
        id: "files-world-writable",
        title: "file that every user may change",
        why: "Whatever reads or runs the file does what the last writer wanted.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::User,
        services: &[],
        techniques: &[],
        remediation: "Take the right to write from others.",
        snippet: "chmod o-w FILE",
        references: &[
            "chmod(1)",
            "CIS Debian Linux Benchmark: Ensure world writable files and directories are secured",
        ],
        run: walked::writable_files,
    },
    Check {
        id: "files-world-writable-directory",
        title: "directory where every user may replace the files of others",
        why: "Without the sticky bit anybody may rename or remove any file in it and put another in its place.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::User,
        services: &[],
        techniques: &[],
        remediation: "Take the right to write from others, or set the sticky bit where all must write.",
        snippet: "chmod o-w DIRECTORY    # or: chmod +t DIRECTORY",
        references: &[
            "inode(7)",
            "CIS Debian Linux Benchmark: Ensure world writable files and directories are secured",
        ],
        run: walked::writable_directories,
    },
    Check {
        id: "files-private-key",
        title: "private key that every user may read",
        why: "Whoever can read the key can be the server, or the user, that it stands for.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::Service,
        services: &[],
        techniques: &["attack.t1552"],
        remediation: "Give the key to its service alone, and replace it if strangers had accounts here.",
        snippet: "chmod 0600 FILE",
        references: &["openssl-genpkey(1)", "ssh-keygen(1)"],
        run: walked::private_keys,
    },
    Check {
        id: "files-shared-executable",
        title: "hidden or odd program in a directory where everybody may write",
        why: "Programs with hidden names in /tmp, /var/tmp or /dev/shm are what intruders leave behind.",
        kind: Kind::Posture,
        level: Severity::Medium,
        privilege: Privilege::User,
        services: &[],
        techniques: &[],
        remediation: "Keep a copy, see which process uses it (fuser, lsof), then remove it.",
        snippet: "fuser -v FILE",
        references: &["MITRE ATT&CK T1564.001", "hier(7)"],
        run: walked::shared_executables,
    },
    Check {
        id: "files-account-databases",
        title: "account database with wrong owner or mode",
        why: "Who can write these files can become root; who can read the password hashes can guess them.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Set owner and mode as the distribution ships them.",
        snippet: "chown root:root /etc/passwd /etc/group && chmod 0644 /etc/passwd /etc/group\n\
                  chown root:shadow /etc/shadow /etc/gshadow && chmod 0640 /etc/shadow /etc/gshadow",
        references: &[
            "passwd(5)",
            "shadow(5)",
            "CIS Debian Linux Benchmark: System File Permissions",
        ],
        run: named::accounts,
    },
    Check {
        id: "files-critical-modes",
        title: "critical file with wrong owner or mode",
        why: "Who can write the file decides what root runs, or who may log in.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Give the file to root and take the right to write from everybody else.",
        snippet: "chown root: FILE && chmod go-w FILE",
        references: &["chmod(1)", "CIS Debian Linux Benchmark: System File Permissions"],
        run: named::critical,
    },
    Check {
        id: "files-path-directories",
        title: "directory of root's PATH that others may write",
        why: "Root runs what lies there by its mere name.",
        kind: Kind::Posture,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Let only root write there, and keep `.` and relative directories out of root's PATH.",
        snippet: "chown root: DIRECTORY && chmod go-w DIRECTORY",
        references: &["login.defs(5)", "CIS Debian Linux Benchmark: Ensure root path integrity"],
        run: named::path_directories,
    },
    Check {
        id: "files-preload",
        title: "a library is loaded into every program",
        why: "What /etc/ld.so.preload names runs inside every program, root's too: rootkits hide this way.",
        kind: Kind::Posture,
        level: Severity::Medium,
        privilege: Privilege::Root,
        services: &[],
        techniques: &["attack.t1574"],
        remediation: "Find out who wants it. If nobody does, treat the host as broken into.",
        snippet: "cat /etc/ld.so.preload; dpkg -S LIBRARY",
        references: &["ld.so(8)", "MITRE ATT&CK T1574.006"],
        run: named::preload,
    },
];

/// An observation about a file as a whole: its mode and owners are the line.
fn of_file(path: &Path, stat: &Stat) -> Observation {
    let shown = path.to_string_lossy();
    let mut seen = Observation::at(&Place::whole(shown.as_ref()), &mode_text(stat)).key(&*shown);
    seen.subject = about(&shown);
    seen
}

fn mode_text(stat: &Stat) -> String {
    format!("mode {:04o}, owner {}, group {}", stat.mode, stat.uid, stat.gid)
}

fn about(path: &str) -> Subject {
    Subject { path: Some(crate::redact::printable(path)), ..Subject::default() }
}

/// One observation a path, or one for all of them when there are many. `key` names the sort.
fn grouped(
    found: &[&Found],
    key: &str,
    title: &str,
    each: impl Fn(Observation) -> Observation,
) -> Vec<Observation> {
    if found.len() <= SINGLES_MAX {
        return found
            .iter()
            .map(|one| {
                let path = crate::redact::printable(&one.path.to_string_lossy());
                each(of_file(&one.path, &one.stat).title(format!("{title}: {path}")))
            })
            .collect();
    }
    let mut all = Observation::default().key(key).title(format!("{} × {title}", found.len()));
    for one in found.iter().take(LINES_MAX) {
        let path = one.path.to_string_lossy();
        all = all.line(&Place::whole(path.as_ref()), &mode_text(&one.stat));
    }
    all = all.fact("paths", found.len().to_string());
    if found.len() > LINES_MAX {
        all = all.fact("more", format!("and {} more", found.len() - LINES_MAX));
    }
    vec![each(all)]
}

/// Whether other users can get to a path: every directory above it must let them through.
fn reachable_by_others(tree: &dyn Tree, path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .all(|above| tree.stat(above, Links::Follow).is_ok_and(|stat| stat.mode & 0o001 != 0))
}

/// A group of `/etc/group`: its name and whether it lists members.
struct Group {
    name: String,
    has_members: bool,
}

fn groups(facts: &Facts<'_>) -> HashMap<u32, Group> {
    let bytes = facts.read("/etc/group").unwrap_or_default();
    parsers::config::lines::numbered(&bytes)
        .take(GROUPS_MAX)
        .filter_map(|line| {
            let text = line.text();
            let mut fields = text.split(':');
            let name = fields.next()?.to_string();
            let gid = fields.nth(1)?.parse().ok()?;
            let has_members = fields.next().is_some_and(|members| !members.trim().is_empty());
            Some((gid, Group { name, has_members }))
        })
        .collect()
}

/// Whether owners on disk are shown as they are; in another user namespace they are not.
fn owners_are_true(facts: &Facts<'_>) -> bool {
    let vantage = facts.vantage;
    !vantage.other_namespaces.iter().chain(&vantage.unknown_namespaces).any(|name| name == "user")
}

/// Places that a sandbox replaced: what was walked there is not the host's.
fn replaced_places(facts: &Facts<'_>) -> impl Iterator<Item = String> {
    facts
        .vantage
        .sandbox
        .iter()
        .filter(|sign| sign.starts_with("another /"))
        .map(|sign| format!("files: {sign} was walked"))
}
