//! Files that are known by name: who owns them, who may write, who may read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use consensus::Severity;
use parsers::config::lines;
use parsers::place::Place;
use parsers::tree::{FileKind, Links, Stat};

use super::super::{Observation, Outcome};
use super::{Group, about, groups, mode_text, of_file, owners_are_true};
use crate::Facts;
use crate::packages::Packages;

/// Most lines of a file that names directories or libraries.
const LINES_MAX: usize = 1_000;
/// Most libraries or directories that are looked at.
const WORDS_MAX: usize = 200;

/// Who but root may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Everybody.
    All,
    /// Root and its group; the level when everybody can.
    Few(Severity),
}

/// A file, and how bad it is when others may write it.
struct Guarded {
    path: &'static str,
    readers: Readers,
    written: Severity,
}

const fn guarded(path: &'static str, readers: Readers, written: Severity) -> Guarded {
    Guarded { path, readers, written }
}

const HASHES: Readers = Readers::Few(Severity::High);

const ACCOUNTS: &[Guarded] = &[
    guarded("/etc/passwd", Readers::All, Severity::Critical),
    guarded("/etc/group", Readers::All, Severity::Critical),
    guarded("/etc/shadow", HASHES, Severity::Critical),
    guarded("/etc/gshadow", HASHES, Severity::Critical),
    guarded("/etc/passwd-", Readers::All, Severity::High),
    guarded("/etc/group-", Readers::All, Severity::High),
    guarded("/etc/shadow-", HASHES, Severity::High),
    guarded("/etc/gshadow-", HASHES, Severity::High),
    guarded("/etc/subuid", Readers::All, Severity::High),
    guarded("/etc/subgid", Readers::All, Severity::High),
];

const CRITICAL: &[Guarded] = &[
    guarded("/", Readers::All, Severity::Critical),
    guarded("/etc", Readers::All, Severity::Critical),
    guarded("/usr", Readers::All, Severity::Critical),
    guarded("/usr/lib", Readers::All, Severity::Critical),
    guarded("/boot", Readers::All, Severity::Critical),
    guarded("/root", Readers::Few(Severity::Low), Severity::Critical),
    guarded("/home", Readers::All, Severity::High),
    guarded("/var", Readers::All, Severity::High),
    guarded("/etc/sudoers", Readers::Few(Severity::Low), Severity::Critical),
    guarded("/etc/sudoers.d", Readers::All, Severity::Critical),
    guarded("/etc/pam.d", Readers::All, Severity::Critical),
    guarded("/etc/security", Readers::All, Severity::High),
    guarded("/etc/ssh", Readers::All, Severity::High),
    guarded("/etc/ssh/sshd_config", Readers::All, Severity::Critical),
    guarded("/etc/ssh/sshd_config.d", Readers::All, Severity::Critical),
    guarded("/etc/ssl/private", Readers::Few(Severity::Medium), Severity::High),
    guarded("/etc/pki/tls/private", Readers::All, Severity::High),
    guarded("/etc/crontab", Readers::All, Severity::Critical),
    guarded("/etc/cron.d", Readers::All, Severity::Critical),
    guarded("/etc/cron.hourly", Readers::All, Severity::Critical),
    guarded("/etc/cron.daily", Readers::All, Severity::Critical),
    guarded("/etc/cron.weekly", Readers::All, Severity::Critical),
    guarded("/etc/cron.monthly", Readers::All, Severity::Critical),
    guarded("/var/spool/cron", Readers::All, Severity::Critical),
    guarded("/etc/profile", Readers::All, Severity::Critical),
    guarded("/etc/profile.d", Readers::All, Severity::Critical),
    guarded("/etc/bash.bashrc", Readers::All, Severity::Critical),
    guarded("/etc/environment", Readers::All, Severity::Critical),
    guarded("/etc/ld.so.conf", Readers::All, Severity::Critical),
    guarded("/etc/ld.so.conf.d", Readers::All, Severity::Critical),
    guarded("/etc/ld.so.cache", Readers::All, Severity::Critical),
    guarded("/etc/ld.so.preload", Readers::All, Severity::Critical),
    guarded("/etc/nsswitch.conf", Readers::All, Severity::High),
    guarded("/etc/hosts", Readers::All, Severity::High),
    guarded("/etc/fstab", Readers::All, Severity::Critical),
    guarded("/etc/exports", Readers::All, Severity::High),
    guarded("/etc/login.defs", Readers::All, Severity::High),
    guarded("/etc/systemd/system", Readers::All, Severity::Critical),
    guarded("/etc/init.d", Readers::All, Severity::Critical),
    guarded("/etc/rc.local", Readers::All, Severity::Critical),
    guarded("/etc/apt/sources.list", Readers::All, Severity::High),
    guarded("/etc/apt/trusted.gpg.d", Readers::All, Severity::High),
    guarded("/boot/grub/grub.cfg", Readers::All, Severity::Critical),
    guarded("/boot/grub2/grub.cfg", Readers::All, Severity::Critical),
    guarded("/var/lib/dpkg/status", Readers::All, Severity::High),
];

pub(super) fn accounts(facts: &Facts<'_>) -> Outcome {
    let (seen, looked, unseen) = judge_all(facts, ACCOUNTS);
    if looked == 0 {
        return Outcome::not_run("none of the account databases could be looked at").unseen(unseen);
    }
    Outcome::failed_or(seen, format!("{looked} files have the owners and modes they should"))
        .unseen(unseen)
}

pub(super) fn critical(facts: &Facts<'_>) -> Outcome {
    let (mut seen, mut looked, mut unseen) = judge_all(facts, CRITICAL);
    let keys = facts.tree.list(Path::new("/etc/ssh")).unwrap_or_default();
    let groups = groups(facts);
    for entry in keys {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if !(name.starts_with("ssh_host_") && name.ends_with("_key")) {
            continue;
        }
        match facts.tree.stat(&entry.path, Links::Follow) {
            Ok(stat) => {
                looked += 1;
                // World-readable host keys are the private key check's.
                let rule = Guarded { path: "", readers: Readers::All, written: Severity::Critical };
                seen.extend(judge(facts, &entry.path, &stat, &rule, &groups));
            }
            Err(error) if error.not_found() => {}
            Err(error) => unseen.push(error.to_string()),
        }
    }
    if looked == 0 {
        return Outcome::not_run("none of the files could be looked at").unseen(unseen);
    }
    Outcome::failed_or(
        seen,
        format!("{looked} files and directories have the owners and modes they should"),
    )
    .unseen(unseen)
}

fn judge_all(facts: &Facts<'_>, rules: &[Guarded]) -> (Vec<Observation>, usize, Vec<String>) {
    let groups = groups(facts);
    let (mut seen, mut looked, mut unseen) = (Vec::new(), 0, Vec::new());
    for rule in rules {
        match facts.tree.stat(Path::new(rule.path), Links::Follow) {
            Ok(stat) => {
                looked += 1;
                seen.extend(judge(facts, Path::new(rule.path), &stat, rule, &groups));
            }
            Err(error) if error.not_found() => {}
            Err(error) => unseen.push(error.to_string()),
        }
    }
    (seen, looked, unseen)
}

/// What is wrong with one file, the worst thing first.
fn judge(
    facts: &Facts<'_>,
    path: &Path,
    stat: &Stat,
    rule: &Guarded,
    groups: &HashMap<u32, Group>,
) -> Option<Observation> {
    let shown = path.display();
    let seen = |title: String| of_file(path, stat).title(title);
    // A sticky directory keeps strangers from replacing what others made, not from adding to it.
    if stat.mode & 0o002 != 0 && !matches!(stat.kind, FileKind::Link) {
        let snippet = format!("chmod o-w {shown}");
        let mut one = seen(format!("everybody may write {shown}")).floor(rule.written);
        one.snippet = Some(snippet);
        return Some(one);
    }
    if let Readers::Few(level) = rule.readers
        && stat.mode & 0o004 != 0
    {
        let mut one = seen(format!("everybody may read {shown}")).level(level);
        one.snippet = Some(format!("chmod o-rwx {shown}"));
        if level >= Severity::High {
            one = one.floor(level);
        }
        return Some(one);
    }
    if stat.uid != 0 && owners_are_true(facts) {
        let mut one = seen(format!("{shown} belongs to user {} instead of root", stat.uid));
        one.snippet = Some(format!("chown root {shown}"));
        return Some(one.level(rule.written.min(Severity::High)));
    }
    let shadow_group = |gid: u32| groups.get(&gid).is_some_and(|group| group.name == "shadow");
    if stat.mode & 0o040 != 0
        && rule.readers == HASHES
        && stat.gid != 0
        && !shadow_group(stat.gid)
        && owners_are_true(facts)
    {
        let group = group_name(groups, stat.gid);
        let one = seen(format!("group {group} may read {shown}"));
        return Some(one.level(Severity::High));
    }
    group_writes(stat, groups).map(|group| {
        let mut one = seen(format!("group {group} may write {shown}"));
        one.snippet = Some(format!("chmod g-w {shown}"));
        one.level(rule.written.min(Severity::High))
    })
}

/// The group that may write, if it is neither root's nor known to be empty. cron's spool is written by
/// its set-group-id program only, with the sticky bit.
fn group_writes(stat: &Stat, groups: &HashMap<u32, Group>) -> Option<String> {
    let writes = stat.mode & 0o020 != 0 && stat.gid != 0 && stat.mode & 0o1000 == 0;
    let known_empty = groups.get(&stat.gid).is_some_and(|group| !group.has_members);
    (writes && !known_empty).then(|| group_name(groups, stat.gid))
}

fn group_name(groups: &HashMap<u32, Group>, gid: u32) -> String {
    groups.get(&gid).map_or_else(|| gid.to_string(), |group| crate::redact::printable(&group.name))
}

pub(super) fn path_directories(facts: &Facts<'_>) -> Outcome {
    let groups = groups(facts);
    let (mut seen, mut looked, mut unseen) = (Vec::new(), 0, Vec::new());
    let (named, problems) = root_path(facts);
    unseen.extend(problems);
    let mut judged = std::collections::BTreeSet::new();
    for (word, place, text) in named.iter().take(WORDS_MAX) {
        if !word.starts_with('/') {
            let shown = if word.is_empty() { "an empty entry" } else { word.as_str() };
            let title =
                format!("root's PATH holds {}, not a whole path", crate::redact::printable(shown));
            let one = Observation::at(place, text).key(format!("relative {word}")).title(title);
            seen.push(one.level(Severity::High));
            continue;
        }
        let mut directories: Vec<PathBuf> =
            Path::new(word).ancestors().map(Path::to_path_buf).collect();
        directories.retain(|directory| judged.insert(directory.clone()));
        for directory in directories {
            match facts.tree.stat(&directory, Links::Follow) {
                Ok(stat) if stat.kind == FileKind::Directory => {
                    looked += 1;
                    let title = writer(facts, &stat, &groups);
                    seen.extend(title.map(|(who, level)| {
                        let shown = directory.display();
                        let one = of_file(&directory, &stat)
                            .title(format!("{who} may write {shown}, which is in root's PATH"));
                        if level == Severity::Critical {
                            one.floor(Severity::High)
                        } else {
                            one.level(level)
                        }
                    }));
                }
                Ok(_) => {}
                Err(error) if error.not_found() => {}
                Err(error) => unseen.push(error.to_string()),
            }
        }
    }
    if looked == 0 && seen.is_empty() {
        return Outcome::not_run("no directory of root's PATH could be looked at").unseen(unseen);
    }
    Outcome::failed_or(
        seen,
        format!("{looked} directories belong to root and only root may write them"),
    )
    .unseen(unseen)
}

fn writer(
    facts: &Facts<'_>,
    stat: &Stat,
    groups: &HashMap<u32, Group>,
) -> Option<(String, Severity)> {
    if stat.mode & 0o002 != 0 {
        return Some(("everybody".to_string(), Severity::Critical));
    }
    if stat.uid != 0 && owners_are_true(facts) {
        return Some((format!("user {}", stat.uid), Severity::High));
    }
    group_writes(stat, groups).map(|group| (format!("group {group}"), Severity::Medium))
}

type Word = (String, Place, String);

/// The directories of root's PATH: the usual ones, and what login.defs, environment and crontab set.
fn root_path(facts: &Facts<'_>) -> (Vec<Word>, Vec<String>) {
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let mut words: Vec<Word> = usual
        .iter()
        .map(|word| ((*word).to_string(), Place::whole(*word), String::new()))
        .collect();
    let mut unseen = Vec::new();
    for file in ["/etc/login.defs", "/etc/environment", "/etc/crontab"] {
        let bytes = match facts.read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.not_found() => continue,
            Err(error) => {
                unseen.push(error.to_string());
                continue;
            }
        };
        let file = std::sync::Arc::from(file);
        for line in lines::numbered(&bytes).take(LINES_MAX) {
            let text = line.text();
            let Some(value) = path_value(&text) else { continue };
            let column = value.as_ptr() as usize - text.as_ptr() as usize;
            let place = line.place(&file, column);
            let value = value.trim().trim_matches(['"', '\'']);
            for word in value.split(':').filter(|word| !word.contains('$')) {
                words.push((word.to_string(), place.clone(), text.to_string()));
            }
        }
    }
    (words, unseen)
}

/// `PATH=…`, `export PATH=…` or login.defs' `ENV_SUPATH PATH=…`; not the PATH of plain users.
fn path_value(line: &str) -> Option<&str> {
    let rest = line.trim_start();
    let rest = match rest.strip_prefix("ENV_SUPATH") {
        Some(rest) => rest.trim_start(),
        None => rest.strip_prefix("export ").map_or(rest, str::trim_start),
    };
    rest.strip_prefix("PATH=").filter(|value| !value.trim().is_empty())
}

pub(super) fn preload(facts: &Facts<'_>) -> Outcome {
    const FILE: &str = "/etc/ld.so.preload";
    let bytes = match facts.read(FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.not_found() => {
            return Outcome::passed(format!("{FILE} does not exist"));
        }
        Err(error) => return Outcome::unreadable(&error),
    };
    let (groups, packages) = (groups(facts), facts.get::<Packages>());
    let file = std::sync::Arc::from(FILE);
    let mut seen = Vec::new();
    for line in lines::numbered(&bytes).take(LINES_MAX) {
        let text = line.text();
        let code = text.split('#').next().unwrap_or("");
        for word in code.split([' ', '\t', ':']).filter(|word| !word.trim().is_empty()) {
            if seen.len() == WORDS_MAX {
                return Outcome::failed_or(seen, "")
                    .unseen([format!("{FILE}: more than {WORDS_MAX} libraries")]);
            }
            let word = word.trim();
            let column = word.as_ptr() as usize - text.as_ptr() as usize;
            let (level, why) = library(facts, Path::new(word), &groups, &packages);
            let shown = crate::redact::printable(word);
            let mut one = Observation::at(&line.place(&file, column), &text)
                .key(word)
                .title(format!("{shown} is loaded into every program: {why}"))
                .level(level);
            one.subject = about(word);
            seen.push(one);
        }
    }
    Outcome::failed_or(seen, format!("{FILE} names no library"))
}

fn library(
    facts: &Facts<'_>,
    path: &Path,
    groups: &HashMap<u32, Group>,
    packages: &Packages,
) -> (Severity, String) {
    if let Some((name, version)) = packages.owner_of(path) {
        return (Severity::Medium, format!("it belongs to package {name} {version}"));
    }
    match facts.tree.stat(path, Links::Follow) {
        Ok(stat) => match writer(facts, &stat, groups) {
            Some((who, _)) => {
                (Severity::Critical, format!("{who} may change it ({})", mode_text(&stat)))
            }
            None => (Severity::High, "no package is known to own it".to_string()),
        },
        Err(error) if error.not_found() => {
            (Severity::High, "it is not there, or does not show itself".to_string())
        }
        Err(error) => (Severity::High, error.why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{CheckResult, files::CHECKS};
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::MemoryTree;

    const GROUP: &str = "root:x:0:\nshadow:x:42:\nstaff:x:50:\nops:x:60:bob\n";

    fn hardened() -> MemoryTree {
        MemoryTree::new()
            .file("/etc/passwd", "x")
            .file("/etc/group", GROUP)
            .file_with("/etc/shadow", "x", 0o640, 0, 42)
            .file_with("/etc/gshadow", "x", 0o640, 0, 42)
            .file_with("/etc/sudoers", "x", 0o440, 0, 0)
            .file_with("/etc/ssh/ssh_host_rsa_key", "x", 0o600, 0, 0)
            .directory("/root", 0o700, 0, 0)
            .directory("/usr/bin", 0o755, 0, 0)
            .directory("/usr/local/bin", 0o2775, 0, 50)
            .directory("/var/spool/cron/crontabs", 0o1730, 0, 60)
    }

    fn run(tree: &MemoryTree, id: &str) -> Outcome {
        let (vantage, spoken) = (Vantage::mounted(), Spoken::default());
        let facts = Facts::new(tree, false, &vantage, None, &spoken, 1_700_000_000);
        (CHECKS.iter().find(|check| check.id == id).unwrap().run)(&facts)
    }

    const NAMED: [&str; 4] = [
        "files-account-databases",
        "files-critical-modes",
        "files-path-directories",
        "files-preload",
    ];

    #[test]
    fn a_hardened_tree_passes() {
        for id in NAMED {
            let outcome = run(&hardened(), id);
            assert_eq!(outcome.result, CheckResult::Passed, "{id}: {:?}", outcome.observations);
        }
    }

    #[test]
    fn writable_account_databases_are_critical_and_readable_hashes_high() {
        let tree = hardened()
            .file_with("/etc/passwd", "x", 0o666, 0, 0)
            .file_with("/etc/shadow", "x", 0o644, 0, 42)
            .file_with("/etc/gshadow", "x", 0o640, 0, 60)
            .file_with("/etc/group-", "x", 0o644, 1000, 0);
        let outcome = run(&tree, "files-account-databases");
        let by = |path: &str| outcome.observations.iter().find(|one| one.key == path).unwrap();
        assert_eq!(by("/etc/passwd").floor, Some(Severity::Critical));
        assert_eq!(by("/etc/shadow").floor, Some(Severity::High));
        assert_eq!(by("/etc/shadow").lines[0].text, "mode 0644, owner 0, group 42");
        assert!(by("/etc/gshadow").title.as_ref().unwrap().contains("group ops may read"));
        assert!(by("/etc/group-").title.as_ref().unwrap().contains("belongs to user 1000"));
        assert_eq!(outcome.observations.len(), 4);
    }

    #[test]
    fn critical_files_with_wrong_modes_are_found() {
        let tree = hardened()
            .directory("/etc/cron.d", 0o777, 0, 0)
            .directory("/root", 0o755, 0, 0)
            .file_with("/etc/sudoers", "x", 0o460, 0, 60)
            .file_with("/etc/ssh/ssh_host_rsa_key", "x", 0o600, 1000, 0);
        let outcome = run(&tree, "files-critical-modes");
        let keys: Vec<_> = outcome.observations.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["/root", "/etc/sudoers", "/etc/cron.d", "/etc/ssh/ssh_host_rsa_key"]);
        assert_eq!(outcome.observations[0].level, Some(Severity::Low));
        assert_eq!(outcome.observations[2].floor, Some(Severity::Critical));
    }

    #[test]
    fn roots_path_is_judged_with_what_the_files_add() {
        let tree = hardened()
            .directory("/opt/tools", 0o777, 0, 0)
            .directory("/usr/local/sbin", 0o775, 0, 60)
            .file("/etc/login.defs", "ENV_PATH PATH=/open\nENV_SUPATH\tPATH=/usr/sbin:/opt/tools\n")
            .file("/etc/environment", "PATH=\"/usr/bin:.\"\n");
        let outcome = run(&tree, "files-path-directories");
        let keys: Vec<_> = outcome.observations.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["/usr/local/sbin", "/opt/tools", "relative ."]);
        let line = &outcome.observations[2].lines[0];
        assert_eq!((line.file.as_str(), line.line, line.column), ("/etc/environment", 1, 6));
        assert_eq!(outcome.observations[1].floor, Some(Severity::High));
    }

    #[test]
    fn preloaded_libraries_are_judged_by_where_they_come_from() {
        let status =
            "Package: jemalloc\nStatus: install ok installed\nVersion: 5\nArchitecture: all\n";
        let tree = hardened()
            .file("/var/lib/dpkg/status", status)
            .file("/var/lib/dpkg/info/jemalloc.list", "/usr/lib/jemalloc.so\n")
            .file_with("/tmp/open.so", "x", 0o666, 0, 0)
            .file(
                "/etc/ld.so.preload",
                "# c\n/usr/lib/jemalloc.so /lib/hook.so\n/tmp/open.so # x\n",
            );
        let outcome = run(&tree, "files-preload");
        let levels: Vec<_> = outcome.observations.iter().map(|one| one.level.unwrap()).collect();
        assert_eq!(levels, [Severity::Medium, Severity::High, Severity::Critical]);
        let line = &outcome.observations[1].lines[0];
        assert_eq!((line.line, line.column), (2, 22));
        let empty = hardened().file("/etc/ld.so.preload", "# nothing\n\n");
        assert_eq!(run(&empty, "files-preload").result, CheckResult::Passed);
    }

    #[test]
    fn what_stands_in_place_of_a_file_does_not_pass() {
        let fifo = hardened().special("/etc/ld.so.preload", FileKind::Fifo);
        assert_eq!(run(&fifo, "files-preload").result, CheckResult::NotRun);
        let long = hardened().file("/etc/ld.so.preload", "x".repeat(9 << 20));
        assert_eq!(run(&long, "files-preload").result, CheckResult::NotRun);
        let noise = hardened().file("/etc/ld.so.preload", b"\0\xff\n\xfe");
        assert_eq!(run(&noise, "files-preload").observations.len(), 2);
        assert_eq!(
            run(&MemoryTree::new().denied("/x"), "files-account-databases").result,
            CheckResult::NotRun
        );
    }
}
