//! Owners and modes of what cron reads and runs.

use std::path::Path;

use consensus::{Severity, Subject};
use parsers::place::Place;
use parsers::tree::{FileKind, Links, LookError, Stat, Tree};

use crate::Facts;
use crate::checks::{Observation, Outcome};

/// Most files of one directory that are looked at.
pub(super) const FILES_MAX: usize = 5_000;

const DIRECTORIES: [&str; 5] =
    ["/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly"];
const FILES: [&str; 2] = ["/etc/crontab", "/etc/anacrontab"];
const SPOOLS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];

/// Who besides root (and `owner`) may change an entry, if anybody.
fn fault(stat: &Stat, owner: u32) -> Option<String> {
    if stat.uid != 0 && stat.uid != owner {
        return Some(format!("belongs to user id {}", stat.uid));
    }
    if stat.mode & 0o002 != 0 {
        return Some("is world-writable".into());
    }
    if stat.mode & 0o020 != 0 && stat.gid != 0 {
        return Some(format!("is writable by group {}", stat.gid));
    }
    None
}

/// Who besides root and `owner` may replace a file: through the file itself or a directory on the way.
/// A sticky directory protects what others own in it, but not names that do not exist.
pub(in crate::checks) fn changeable(
    tree: &dyn Tree,
    path: &str,
    owner: u32,
) -> Result<Option<String>, LookError> {
    let path = Path::new(path);
    let exists = match tree.stat(path, Links::Follow) {
        Ok(stat) => {
            let is_sticky_directory = stat.kind == FileKind::Directory && stat.mode & 0o1000 != 0;
            if let Some(why) = fault(&stat, owner).filter(|_| !is_sticky_directory) {
                return Ok(Some(format!("it {why}")));
            }
            true
        }
        Err(error) if error.not_found() => false,
        Err(error) => return Err(error),
    };
    for parent in path.ancestors().skip(1) {
        let stat = match tree.stat(parent, Links::Follow) {
            Ok(stat) => stat,
            Err(error) if error.not_found() => continue,
            Err(error) => return Err(error),
        };
        let is_protected =
            stat.mode & 0o1000 != 0 && exists && (stat.uid == 0 || stat.uid == owner);
        if let Some(why) = fault(&stat, owner).filter(|_| !is_protected) {
            return Ok(Some(format!("{} {why}", parent.display())));
        }
    }
    Ok(None)
}

fn observation(path: &str, stat: &Stat, why: &str) -> Observation {
    let shown = format!("mode {:04o}, owner {}, group {}", stat.mode, stat.uid, stat.gid);
    let mut seen = Observation::at(&Place::whole(path), &shown).key(path);
    let path = crate::redact::printable(path);
    seen.subject = Subject { path: Some(path.clone()), ..Subject::default() };
    seen.title(format!("{path} {why}"))
}

/// What was looked at, what is wrong, what could not be seen.
#[derive(Default)]
struct Looked {
    count: usize,
    bad: Vec<Observation>,
    unseen: Vec<String>,
}

impl Looked {
    fn at(&mut self, facts: &Facts<'_>, path: &str) {
        match facts.tree.stat(Path::new(path), Links::Follow) {
            Ok(stat) => {
                self.count += 1;
                if let Some(why) = fault(&stat, 0) {
                    self.bad.push(observation(path, &stat, &why).floor(Severity::High));
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => self.unseen.push(error.to_string()),
        }
    }
}

pub(super) fn files(facts: &Facts<'_>) -> Outcome {
    let mut looked = Looked::default();
    for path in FILES {
        looked.at(facts, path);
    }
    for path in DIRECTORIES {
        looked.at(facts, path);
        match facts.tree.list(Path::new(path)) {
            Ok(entries) => {
                for entry in entries.iter().take(FILES_MAX) {
                    looked.at(facts, &entry.path.to_string_lossy());
                }
                if entries.len() > FILES_MAX {
                    looked.unseen.push(format!("{path}: only {FILES_MAX} files were looked at"));
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => looked.unseen.push(error.to_string()),
        }
    }
    for path in SPOOLS {
        // The spool is writable by crontab's own group; its files belong to their users.
        match facts.tree.stat(Path::new(path), Links::Follow) {
            Ok(stat) => {
                looked.count += 1;
                if stat.uid != 0 || stat.mode & 0o002 != 0 {
                    let seen = observation(path, &stat, "can be changed by others");
                    looked.bad.push(seen.floor(Severity::High));
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => looked.unseen.push(error.to_string()),
        }
    }
    if looked.count == 0 {
        return match looked.unseen.first() {
            Some(why) => Outcome::not_run(why.clone()),
            None => Outcome::not_applicable("cron is not installed"),
        };
    }
    Outcome::failed_or(looked.bad, format!("{} files and directories looked at", looked.count))
        .unseen(looked.unseen)
}

pub(super) fn allow(facts: &Facts<'_>) -> Outcome {
    let is_there = |path: &str| facts.tree.stat(Path::new(path), Links::Follow).is_ok();
    let mut bad = Vec::new();
    let mut is_installed = false;
    let schedulers = [
        ("cron", ["/etc/crontab", "/usr/bin/crontab"], "/etc/cron.allow"),
        ("at", ["/usr/bin/at", "/etc/at.deny"], "/etc/at.allow"),
    ];
    for (name, marks, allow) in schedulers {
        if !marks.iter().any(|path| is_there(path)) {
            continue;
        }
        is_installed = true;
        if !is_there(allow) {
            let title = format!("every user may schedule jobs with {name}");
            let seen = Observation::at(&Place::whole(allow), "(does not exist)");
            bad.push(seen.key(allow).title(title));
        }
    }
    if !is_installed {
        return Outcome::not_applicable("neither cron nor at is installed");
    }
    Outcome::failed_or(bad, "only named users may schedule jobs")
}
