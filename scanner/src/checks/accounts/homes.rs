//! Homes: who may write there, and what stands in them.
//!
//! Homes on network, automount and FUSE file systems are not touched (looking could hang or mount);
//! they are named as unseen.

use std::collections::HashMap;
use std::path::Path;

use consensus::{Severity, Subject};
use parsers::config::accounts::User;
use parsers::place::Place;
use parsers::tree::{FileKind, Links, Stat};

use super::known::{Known, about, is_login_shell, no_passwd};
use crate::checks::{Observation, Outcome};
use crate::{Fact, Facts, redact};

/// Most homes that are looked at.
pub(super) const HOMES_MAX: usize = 5_000;

/// Mount points that are not touched.
struct Remote(Vec<String>);

impl Fact for Remote {
    fn look(facts: &Facts<'_>) -> Self {
        let bytes = facts.read_live("/proc/1/mountinfo").and_then(Result::ok).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let points = text.lines().filter_map(|line| {
            let (mount, rest) = line.split_once(" - ")?;
            let kind = rest.split_whitespace().next()?;
            let is_far = kind.starts_with("nfs")
                || kind.starts_with("fuse")
                || matches!(
                    kind,
                    "autofs"
                        | "cifs"
                        | "smb3"
                        | "smbfs"
                        | "9p"
                        | "ceph"
                        | "afs"
                        | "lustre"
                        | "glusterfs"
                        | "ncpfs"
                );
            let point = mount.split_whitespace().nth(4)?;
            is_far.then(|| point.replace("\\040", " "))
        });
        Self(points.collect())
    }
}

/// Calls `look` for every home that may be touched; what may not is returned.
fn each(facts: &Facts<'_>, known: &Known, mut look: impl FnMut(&User)) -> Vec<String> {
    let remote = facts.get::<Remote>();
    let mut unseen = Vec::new();
    let mut done = std::collections::HashSet::new();
    for user in known.users() {
        let is_person = user.uid == 0 || user.uid >= 1000 && user.uid != 65_534;
        if !is_person || !is_login_shell(&user.shell) || !user.home.starts_with('/') {
            continue;
        }
        if !done.insert((&user.home, user.uid)) {
            continue;
        }
        if done.len() > HOMES_MAX {
            unseen.push(format!("only {HOMES_MAX} homes were looked at"));
            break;
        }
        let is_far = |point: &String| Path::new(&user.home).starts_with(point);
        if remote.0.iter().any(is_far) {
            let home = redact::printable(&user.home);
            unseen.push(format!("{home}: on a network, automount or FUSE file system"));
            continue;
        }
        look(user);
    }
    unseen
}

/// An entry, unless it is not there; what else went wrong is noted.
fn stat(facts: &Facts<'_>, path: &str, unseen: &mut Vec<String>) -> Option<Stat> {
    match facts.tree.stat(Path::new(path), Links::Follow) {
        Ok(stat) => Some(stat),
        Err(error) => {
            if !error.not_found() {
                unseen.push(error.to_string());
            }
            None
        }
    }
}

fn shown(stat: &Stat) -> String {
    format!("mode {:04o}, owner {}, group {}", stat.mode, stat.uid, stat.gid)
}

/// An observation about a path as a whole.
fn on(path: &str, user: &User, stat: &Stat, title: String) -> Observation {
    let mut seen = Observation::at(&Place::whole(path), &shown(stat)).key(path).title(title);
    seen.subject = Subject {
        user: Some(redact::printable(&user.name)),
        path: Some(redact::printable(path)),
        ..Subject::default()
    };
    seen
}

/// One observation a path: accounts that share a home share its faults. The gravest speaks, the other
/// accounts' lines and names stand beside it.
fn one_a_path(found: Vec<Observation>) -> Vec<Observation> {
    let mut merged: Vec<Observation> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for mut seen in found {
        let Some(&place) = places.get(&seen.key).filter(|_| !seen.key.is_empty()) else {
            places.insert(seen.key.clone(), merged.len());
            merged.push(seen);
            continue;
        };
        let kept = &mut merged[place];
        if seen.level > kept.level {
            std::mem::swap(kept, &mut seen);
        }
        let lines = std::mem::take(&mut seen.lines);
        kept.lines.extend(lines.into_iter().filter(|line| line.line != 0));
        let also = kept.facts.entry("also_account".into()).or_default();
        for name in seen.subject.user.into_iter().chain(seen.facts.remove("also_account")) {
            let gap = if also.is_empty() { "" } else { ", " };
            also.push_str(&format!("{gap}{name}"));
        }
    }
    merged
}

pub(super) fn directories(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let (mut bad, mut denied) = (Vec::new(), Vec::new());
    let unseen = each(facts, &known, |user| {
        let found = facts.tree.stat(Path::new(&user.home), Links::Follow);
        let stat = match found {
            Ok(stat) => stat,
            Err(error) if error.not_found() => {
                let title = format!("the home of {} does not exist", user.name);
                bad.push(about(&user.name, &user.row, 5).title(title).level(Severity::Info));
                return;
            }
            Err(error) => return denied.push(error.to_string()),
        };
        if user.home == "/" {
            return;
        }
        if let Some((title, level)) = fault(user, &stat) {
            let seen = on(&user.home, user, &stat, title).level(level);
            bad.push(seen.line(&user.row.at(5), &redact::crypt_field(&user.row.text)));
        }
    });
    Outcome::failed_or(one_a_path(bad), "homes belong to their owners")
        .unseen(unseen)
        .unseen(denied)
}

fn fault(user: &User, stat: &Stat) -> Option<(String, Severity)> {
    let (name, home) = (&user.name, &user.home);
    if stat.kind != FileKind::Directory {
        return Some((format!("the home of {name} is not a directory"), Severity::Medium));
    }
    if stat.mode & 0o002 != 0 {
        return Some((format!("{home}, the home of {name}, is world-writable"), Severity::High));
    }
    if stat.uid != user.uid && stat.uid != 0 {
        return Some((
            format!("{home}, the home of {name}, belongs to {}", stat.uid),
            Severity::Medium,
        ));
    }
    if stat.mode & 0o020 != 0 && stat.gid != user.gid && stat.gid != 0 {
        let title = format!("{home}, the home of {name}, is writable by group {}", stat.gid);
        return Some((title, Severity::Medium));
    }
    // A user's own group is usually private to him: sshd still refuses keys below such a home.
    if stat.mode & 0o020 != 0 {
        return Some((format!("{home}, the home of {name}, is group-writable"), Severity::Low));
    }
    None
}

pub(super) fn keys(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let (mut bad, mut denied, mut count) = (Vec::new(), Vec::new(), 0);
    let unseen = each(facts, &known, |user| {
        for name in [".ssh", ".ssh/authorized_keys", ".ssh/authorized_keys2"] {
            let path = format!("{}/{name}", user.home.trim_end_matches('/'));
            let Some(stat) = stat(facts, &path, &mut denied) else { continue };
            count += 1;
            let title = if stat.mode & 0o022 != 0 {
                format!("{path} can be written by others than {}", user.name)
            } else if stat.uid != user.uid && stat.uid != 0 {
                format!("{path} belongs to user id {}, not to {}", stat.uid, user.name)
            } else {
                continue;
            };
            let mut seen = on(&path, user, &stat, title);
            if user.uid == 0 {
                seen.privilege = Some(consensus::Privilege::Root);
                seen = seen.level(Severity::Critical);
            }
            bad.push(seen);
        }
    });
    if bad.is_empty() && count == 0 && !denied.is_empty() {
        return Outcome::not_run(denied.join("; "));
    }
    Outcome::failed_or(one_a_path(bad), format!("{count} files and directories looked at"))
        .unseen(unseen)
        .unseen(denied)
}

pub(super) fn trust(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let (mut bad, mut denied) = (Vec::new(), Vec::new());
    for path in ["/etc/hosts.equiv", "/etc/ssh/shosts.equiv"] {
        let Some(found) = stat(facts, path, &mut denied) else { continue };
        if found.size_bytes > 0 && found.kind == FileKind::Regular {
            let title = format!("{path} trusts other hosts");
            let seen = Observation::at(&Place::whole(path), &shown(&found)).key(path);
            bad.push(seen.title(title).level(Severity::High));
        }
    }
    let unseen = each(facts, &known, |user| {
        for name in [".rhosts", ".shosts", ".netrc"] {
            let path = format!("{}/{name}", user.home.trim_end_matches('/'));
            let Some(stat) = stat(facts, &path, &mut denied) else { continue };
            let (title, level) = match name {
                ".netrc" if stat.mode & 0o077 != 0 => {
                    (format!("{path} stores passwords and others can read it"), Severity::High)
                }
                ".netrc" => (format!("{path} stores passwords in the clear"), Severity::Info),
                _ => (format!("{path} lets others log in as {}", user.name), Severity::High),
            };
            bad.push(on(&path, user, &stat, title).level(level));
        }
    });
    if bad.is_empty() && !denied.is_empty() {
        return Outcome::not_run(denied.join("; "));
    }
    Outcome::failed_or(one_a_path(bad), "none found").unseen(unseen).unseen(denied)
}
