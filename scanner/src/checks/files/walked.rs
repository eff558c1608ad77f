//! What the walk found, judged.

use std::path::Path;

use consensus::Severity;
use parsers::tree::{FileKind, Why};

use super::super::{Observation, Outcome};
use super::programs::{is_known, is_open_door};
use super::{grouped, mode_text, of_file, reachable_by_others, replaced_places};
use crate::Facts;
use crate::files::{Found, Walk};
use crate::packages::Packages;

/// Most bytes of a file that are read to see whether it holds a key: no key is larger.
const KEY_BYTES_MAX: usize = 64 << 10;

/// Directories whose files root runs or reads.
const SYSTEM: &[&str] =
    &["/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/opt", "/root"];

/// Parts of a path that show keys made for tests and examples.
const SAMPLES: &[&str] = &[
    "test",
    "tests",
    "testing",
    "testdata",
    "examples",
    "example",
    "samples",
    "doc",
    "docs",
    "node_modules",
    "site-packages",
    "dist-packages",
    "vendor",
    "gems",
    "snakeoil",
];

pub(super) fn set_id(facts: &Facts<'_>) -> Outcome {
    let (walk, packages) = (facts.get::<Walk>(), facts.get::<Packages>());
    let owned = |found: &&Found| packages.owner_of(&found.path).is_some();
    let (doors, rest): (Vec<&Found>, Vec<&Found>) =
        walk.set_id.iter().partition(|found| is_open_door(found));
    let (of_packages, others): (Vec<&Found>, Vec<&Found>) = rest.into_iter().partition(owned);
    let unknowable = packages.unavailable.is_some();
    let strange: Vec<&Found> =
        others.iter().copied().filter(|found| !(unknowable && is_known(&found.path))).collect();
    let (root, rest): (Vec<&Found>, Vec<&Found>) =
        strange.into_iter().partition(|found| found.stat.uid == 0 && found.stat.mode & 0o4000 != 0);
    // Without a package database only the name is strange, not the origin.
    let level = if unknowable { Severity::Medium } else { Severity::High };
    let origin = if unknowable { "unknown: no package database" } else { "no package owns it" };
    let mut seen = grouped(&doors, "open-doors", "program that makes every user root", |one| {
        one.floor(Severity::Critical)
    });
    seen.extend(grouped(&root, "set-uid-root", "unexpected set-user-id root program", |one| {
        one.level(level).fact("origin", origin)
    }));
    seen.extend(grouped(&rest, "set-id", "unexpected set-id program", |one| {
        one.level(Severity::Medium).fact("origin", origin)
    }));
    let reason = if unknowable {
        format!("{} set-id programs, all of well-known names", walk.set_id.len())
    } else {
        format!("{} set-id programs, all brought by packages", of_packages.len())
    };
    let mut outcome = ended(facts, &walk, seen, &reason);
    outcome.unseen.extend(packages.unavailable.clone());
    outcome.unseen.extend(packages.incomplete.iter().take(3).cloned());
    outcome
}

pub(super) fn writable_files(facts: &Facts<'_>) -> Outcome {
    writable(facts, FileKind::Regular, "world-writable file")
}

pub(super) fn writable_directories(facts: &Facts<'_>) -> Outcome {
    writable(facts, FileKind::Directory, "world-writable directory without sticky bit")
}

fn writable(facts: &Facts<'_>, kind: FileKind, title: &str) -> Outcome {
    let walk = facts.get::<Walk>();
    let (open, shut): (Vec<&Found>, Vec<&Found>) = walk
        .writable
        .iter()
        .filter(|found| found.stat.kind == kind)
        .partition(|found| reachable_by_others(facts.tree, &found.path));
    let under =
        |found: &&Found, trees: &[&str]| trees.iter().any(|tree| found.path.starts_with(tree));
    let (system, rest): (Vec<&Found>, Vec<&Found>) =
        open.into_iter().partition(|found| under(found, SYSTEM));
    let (users, data): (Vec<&Found>, Vec<&Found>) =
        rest.into_iter().partition(|found| under(found, &["/home", "/srv"]));
    let mut seen = grouped(&system, "system", title, |one| {
        // Root reads or runs what lies there: no context makes that harmless.
        let mut one = one.level(Severity::High);
        one.floor = Some(Severity::Medium);
        one.privilege = Some(consensus::Privilege::Root);
        one
    });
    seen.extend(grouped(&data, "data", title, |one| one.level(Severity::Medium)));
    seen.extend(grouped(&users, "users", title, |one| one.level(Severity::Low)));
    let mut reason = format!("no {title}");
    if !shut.is_empty() {
        reason += &format!(" that others can reach ({} behind closed directories)", shut.len());
    }
    ended(facts, &walk, seen, &reason)
}

pub(super) fn private_keys(facts: &Facts<'_>) -> Outcome {
    let (walk, packages) = (facts.get::<Walk>(), facts.get::<Packages>());
    let (mut keys, mut samples) = (Vec::new(), 0_usize);
    let (mut unseen, mut too_large) = (Vec::new(), 0_usize);
    for found in &walk.keys {
        if is_sample(&found.path) || packages.owner_of(&found.path).is_some() {
            samples += 1;
            continue;
        }
        match facts.tree.read(&found.path, KEY_BYTES_MAX) {
            Ok(bytes) if is_private_key(&bytes) && reachable_by_others(facts.tree, &found.path) => {
                keys.push((found, is_encrypted(&bytes)));
            }
            Ok(_) => {}
            Err(error) if error.not_found() => {}
            Err(error) if matches!(error.why, Why::TooLarge(_)) => too_large += 1,
            Err(error) => unseen.push(error.to_string()),
        }
    }
    let of = |encrypted: bool| -> Vec<&Found> {
        keys.iter().filter(|(_, is)| *is == encrypted).map(|(found, _)| *found).collect()
    };
    let mut seen = grouped(&of(false), "keys", "private key readable by everybody", |one| one);
    seen.extend(grouped(
        &of(true),
        "encrypted",
        "encrypted private key readable by everybody",
        |one| one.level(Severity::Low),
    ));
    let reason = format!(
        "no readable private key among {} candidates ({samples} of packages or samples, \
         {too_large} too large to be keys)",
        walk.keys.len()
    );
    ended(facts, &walk, seen, &reason).unseen(unseen.into_iter().take(5))
}

fn is_sample(path: &Path) -> bool {
    let in_usr = path.starts_with("/usr") && !path.starts_with("/usr/local/etc");
    in_usr
        || path
            .components()
            .any(|part| part.as_os_str().to_str().is_some_and(|part| SAMPLES.contains(&part)))
}

/// PEM with a private key in it (RFC 7468 and the formats of OpenSSL and OpenSSH).
fn is_private_key(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"-----BEGIN ").any(|at| {
        let label = &bytes[at..bytes.len().min(at + 64)];
        let end = memchr::memchr(b'\n', label).unwrap_or(label.len());
        memchr::memmem::find(&label[..end], b"PRIVATE KEY-----").is_some()
    })
}

fn is_encrypted(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"BEGIN ENCRYPTED PRIVATE KEY").is_some()
        || memchr::memmem::find(bytes, b"Proc-Type: 4,ENCRYPTED").is_some()
}

pub(super) fn shared_executables(facts: &Facts<'_>) -> Outcome {
    let walk = facts.get::<Walk>();
    let (mut seen, mut plain) = (Vec::new(), 0_usize);
    let mut programs: Vec<&Found> = Vec::new();
    for found in &walk.odd {
        let name = found.path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let hidden = name.starts_with('.') || found.path.starts_with("/dev/shm");
        if found.stat.kind == FileKind::Directory {
            seen.push(hiding_directory(found));
        } else if !hidden {
            plain += 1;
        } else if is_program(facts, &found.path) {
            programs.push(found);
        }
    }
    seen.extend(grouped(&programs, "programs", "hidden program in a shared directory", |one| one));
    let reason = format!("no hidden program ({plain} plain executable files there)");
    ended(facts, &walk, seen, &reason)
}

fn hiding_directory(found: &Found) -> Observation {
    let title = format!("directory with a hiding name: {:?}", found.path.display().to_string());
    of_file(&found.path, &found.stat).title(title).fact("mode", mode_text(&found.stat))
}

/// ELF or a script; a file that cannot be read is taken for one.
fn is_program(facts: &Facts<'_>, path: &Path) -> bool {
    match facts.tree.read(path, KEY_BYTES_MAX) {
        Ok(bytes) => bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!"),
        Err(error) => !error.not_found(),
    }
}

/// Failed, or passed with what was covered; what the walk could not see goes along.
fn ended(facts: &Facts<'_>, walk: &Walk, seen: Vec<Observation>, reason: &str) -> Outcome {
    if walk.covered.is_empty() && seen.is_empty() {
        return Outcome::not_run("none of the system paths could be walked")
            .unseen(walk.unseen.iter().cloned());
    }
    Outcome::failed_or(seen, format!("{reason}; {}", walk.coverage()))
        .unseen(walk.unseen.iter().cloned())
        .unseen(replaced_places(facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{CheckResult, files::CHECKS};
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::MemoryTree;

    const DPKG: &str =
        "Package: base\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nCANARY42\n-----END RSA PRIVATE KEY-----\n";

    fn hardened() -> MemoryTree {
        MemoryTree::new()
            .file("/var/lib/dpkg/status", DPKG)
            .file("/var/lib/dpkg/info/base.list", "/usr/bin/su\n/usr/bin/odd-but-packaged\n")
            .file_with("/usr/bin/su", "x", 0o4755, 0, 0)
            .file_with("/usr/bin/odd-but-packaged", "x", 0o2755, 0, 5)
            .file_with("/etc/ssl/private/a.key", KEY, 0o600, 0, 0)
            .file("/etc/ssl/certs/public.pem", "-----BEGIN CERTIFICATE-----\n")
            .file("/etc/tests/sample.key", KEY)
            .directory("/tmp", 0o1777, 0, 0)
            .file_with("/tmp/build", "\x7fELF", 0o755, 1000, 1000)
    }

    fn run(tree: &MemoryTree, id: &str) -> Outcome {
        let (vantage, spoken) = (Vantage::mounted(), Spoken::default());
        let facts = Facts::new(tree, false, &vantage, None, &spoken, 1_700_000_000);
        (CHECKS.iter().find(|check| check.id == id).unwrap().run)(&facts)
    }

    fn places(outcome: &Outcome) -> Vec<&str> {
        outcome.observations.iter().flat_map(|o| o.lines.iter().map(|l| l.file.as_str())).collect()
    }

    #[test]
    fn a_hardened_tree_passes() {
        for check in CHECKS.iter().take(5) {
            let outcome = run(&hardened(), check.id);
            assert_eq!(outcome.result, CheckResult::Passed, "{}: {:?}", check.id, outcome);
            assert_eq!(outcome.unseen, Vec::<String>::new(), "{}", check.id);
        }
    }

    #[test]
    fn a_set_uid_root_program_of_no_package_is_high() {
        let tree = hardened().file_with("/usr/local/bin/backdoor", "x", 0o4755, 0, 0).file_with(
            "/opt/x/game",
            "x",
            0o2755,
            0,
            60,
        );
        let outcome = run(&tree, "files-set-id");
        assert_eq!(places(&outcome), ["/usr/local/bin/backdoor", "/opt/x/game"]);
        assert_eq!(outcome.observations[0].level, Some(Severity::High));
        assert_eq!(outcome.observations[1].level, Some(Severity::Medium));
        assert_eq!(outcome.observations[0].lines[0].text, "mode 4755, owner 0, group 0");
    }

    #[test]
    fn a_set_uid_shell_is_critical_even_if_a_package_brought_it() {
        let tree = hardened()
            .file(
                "/var/lib/dpkg/info/base.list",
                "/usr/bin/python3.11\n/usr/bin/find\n/usr/bin/su\n",
            )
            .file_with("/usr/bin/odd-but-packaged", "x", 0o755, 0, 0)
            .file_with("/usr/bin/python3.11", "x", 0o4755, 0, 0)
            .file_with("/usr/bin/find", "x", 0o4750, 0, 0);
        let outcome = run(&tree, "files-set-id");
        assert_eq!(places(&outcome), ["/usr/bin/python3.11"]);
        assert_eq!(outcome.observations[0].floor, Some(Severity::Critical));
    }

    #[test]
    fn without_a_package_database_the_well_known_names_pass_and_it_is_said() {
        let tree = MemoryTree::new().file("/var/lib/rpm/rpmdb.sqlite", "x").file_with(
            "/usr/bin/su",
            "x",
            0o4755,
            0,
            0,
        );
        let outcome = run(&tree, "files-set-id");
        assert_eq!(outcome.result, CheckResult::Passed);
        assert!(outcome.unseen[0].contains("rpm database"));
        let odd = tree.file_with("/opt/su", "x", 0o4755, 0, 0);
        assert_eq!(run(&odd, "files-set-id").observations[0].level, Some(Severity::Medium));
    }

    #[test]
    fn world_writable_things_are_found_unless_nobody_gets_there() {
        let tree = hardened()
            .file_with("/etc/app/conf", "x", 0o666, 0, 0)
            .directory("/var/lib/app", 0o777, 0, 0)
            .directory("/etc/closed", 0o700, 0, 0)
            .file_with("/etc/closed/open", "x", 0o666, 0, 0);
        let files = run(&tree, "files-world-writable");
        assert_eq!(places(&files), ["/etc/app/conf"]);
        assert_eq!(files.observations[0].level, Some(Severity::High));
        let directories = run(&tree, "files-world-writable-directory");
        assert_eq!(places(&directories), ["/var/lib/app"]);
        assert_eq!(directories.observations[0].level, Some(Severity::Medium));
    }

    #[test]
    fn many_paths_become_one_finding() {
        let mut tree = hardened();
        for at in 0..LARGE {
            tree = tree.file_with(&format!("/etc/many/{at:03}"), "x", 0o666, 0, 0);
        }
        let outcome = run(&tree, "files-world-writable");
        assert_eq!(outcome.observations.len(), 1);
        assert_eq!(outcome.observations[0].lines.len(), super::super::LINES_MAX);
        assert_eq!(outcome.observations[0].facts["more"], "and 10 more");
    }

    const LARGE: usize = super::super::LINES_MAX + 10;

    #[test]
    fn a_readable_private_key_is_found_and_never_shown() {
        let tree = hardened()
            .file("/etc/nginx/site.key", KEY)
            .file("/etc/app/locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nCANARY42\n")
            .file("/etc/app/large.pem", vec![b'-'; KEY_BYTES_MAX + 1])
            .special("/etc/app/fifo.pem", FileKind::Fifo);
        let outcome = run(&tree, "files-private-key");
        assert_eq!(places(&outcome), ["/etc/nginx/site.key", "/etc/app/locked.pem"]);
        assert_eq!(outcome.observations[1].level, Some(Severity::Low));
        assert!(!format!("{outcome:?}").contains("CANARY42"));
    }

    #[test]
    fn hidden_programs_in_shared_places_are_found() {
        let tree = hardened()
            .file_with("/tmp/.x", "\x7fELF", 0o755, 1000, 1000)
            .file_with("/tmp/.data", "plain", 0o755, 1000, 1000)
            .file_with("/dev/shm/miner", "#!/bin/sh\n", 0o755, 33, 33)
            .directory("/var/tmp/...", 0o755, 33, 33);
        let outcome = run(&tree, "files-shared-executable");
        let mut found = places(&outcome);
        found.sort_unstable();
        assert_eq!(found, ["/dev/shm/miner", "/tmp/.x", "/var/tmp/..."]);
    }

    #[test]
    fn a_private_tmp_is_not_the_hosts() {
        let vantage =
            Vantage { sandbox: vec!["another /tmp than the host's".into()], ..Vantage::default() };
        let (tree, spoken) = (hardened(), Spoken::default());
        let facts = Facts::new(&tree, true, &vantage, None, &spoken, 0);
        assert_eq!(
            shared_executables(&facts).unseen,
            ["files: another /tmp than the host's was walked"]
        );
    }

    #[test]
    fn an_empty_tree_is_not_a_clean_one() {
        assert_eq!(run(&MemoryTree::new(), "files-set-id").result, CheckResult::NotRun);
    }
}
