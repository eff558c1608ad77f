//! Asks the real `sshd -T -C …` about generated configurations and compares every directive.
//!
//! Needs root, `sshd` 9.2 (whose lists of algorithms are exact) and `ssh-keygen`; skips loudly
//! without them, and fails where `WARDMOTE_REQUIRE_PEERS=1`. More seeds by hand:
//! `WARDMOTE_SSHD_SEEDS=2000..9000 cargo test -p parsers --test sshd_differential`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod sshd_generator;

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use parsers::config::sshd::{CommandLine, Connection, Sshd, parse_version};
use parsers::tree::MemoryTree;
use sshd_generator::{Case, generate, is_generated};

const SSHD: &str = "/usr/sbin/sshd";
const SEEDS: std::ops::Range<u64> = 0..2_000;
/// What the daemon refuses to start without; made only where it is missing.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

#[test]
fn two_thousand_configurations_agree_with_sshd() {
    all_agree(seeds());
}

#[test]
fn every_directive_that_sshd_prints_is_generated() {
    if let Err(missing) = peer() {
        return skip(&missing);
    }
    let _directory = VolatileDirectory::make();
    let scratch = tempfile::tempdir().unwrap();
    let (key, empty) = prepared(scratch.path());
    let plain = Case { user: "root".into(), ..Case::default() };
    let printed = ask(&empty, &key, &plain).expect("sshd accepts an empty configuration");
    let missing: Vec<&String> = printed.keys().filter(|name| !is_generated(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(printed.len() > 80, "{}", printed.len());
}

fn skip(missing: &str) {
    let required = std::env::var("WARDMOTE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{missing}");
    eprintln!("SKIPPED: {missing}");
}

/// A host key and an empty configuration.
fn prepared(scratch: &Path) -> (PathBuf, PathBuf) {
    let key = scratch.join("host_key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let empty = scratch.join("empty");
    std::fs::write(&empty, "").unwrap();
    (key, empty)
}

fn all_agree(seeds: std::ops::Range<u64>) {
    if let Err(missing) = peer() {
        return skip(&missing);
    }
    let _directory = VolatileDirectory::make();
    let scratch = tempfile::tempdir().unwrap();
    let (key, empty) = prepared(scratch.path());
    let plain = Case { user: "root".into(), ..Case::default() };
    let baseline = ask(&empty, &key, &plain).expect("sshd accepts an empty configuration");

    let total = seeds.end - seeds.start;
    let next = AtomicUsize::new(0);
    let accepted = AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = seeds.start + next.fetch_add(1, Ordering::Relaxed) as u64;
                    if seed >= seeds.end {
                        return;
                    }
                    match agree(scratch.path(), &key, &baseline, seed) {
                        Ok(true) => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) => {}
                        Err(difference) => failures.lock().unwrap().push(difference),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let shown: Vec<&str> = failures.iter().take(5).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {total} differ\n{}", failures.len(), shown.join("\n"));
    let accepted = accepted.into_inner() as u64;
    eprintln!("{total} configurations agree, {accepted} of them accepted");
    assert!(accepted * 2 > total, "most configurations should be accepted, or little is compared");
    assert!(accepted < total, "some configurations should be refused");
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WARDMOTE_SSHD_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").expect("WARDMOTE_SSHD_SEEDS is FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

fn peer() -> Result<(), String> {
    let version = Command::new(SSHD).arg("-V").output().map_err(|_| "no sshd here".to_string())?;
    match parse_version(&String::from_utf8_lossy(&version.stderr)) {
        Some((9, 2)) => {}
        other => return Err(format!("sshd is not 9.2 but {other:?}")),
    }
    let uid = Command::new("id").arg("-u").output().map_err(|error| error.to_string())?;
    if uid.stdout.trim_ascii() != b"0" {
        return Err("`sshd -T` needs root".into());
    }
    Command::new("ssh-keygen").arg("-?").output().map_err(|_| "no ssh-keygen".to_string())?;
    Ok(())
}

/// `/run/sshd`, removed again if this test made it; one test at a time has it.
struct VolatileDirectory(bool, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl VolatileDirectory {
    fn make() -> Self {
        let held = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_made = std::fs::DirBuilder::new().mode(0o755).create(PRIVILEGE_SEPARATION).is_ok();
        Self(is_made, held)
    }
}

impl Drop for VolatileDirectory {
    fn drop(&mut self) {
        if self.0 {
            let _ = std::fs::remove_dir(PRIVILEGE_SEPARATION);
        }
    }
}

/// What `sshd -T` prints, by keyword; or what it complains of.
fn ask(config: &Path, key: &Path, case: &Case) -> Result<BTreeMap<String, Vec<String>>, String> {
    let output = Command::new(SSHD)
        .current_dir("/")
        .args(["-T", "-C", &case.specification()])
        .arg("-h")
        .arg(key)
        .arg("-f")
        .arg(config)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        if name == "hostkey" && Path::new(value) == key {
            continue;
        }
        settings.entry(name.to_string()).or_default().push(value.to_string());
    }
    Ok(settings)
}

/// Whether sshd and the parser agree on a seed; `Ok(true)` if both accept it.
fn agree(
    scratch: &Path,
    key: &Path,
    baseline: &BTreeMap<String, Vec<String>>,
    seed: u64,
) -> Result<bool, String> {
    let root = scratch.join(format!("seed{seed}"));
    let case = generate(seed, root.to_str().unwrap());
    let mut tree = MemoryTree::new();
    for (path, text) in &case.files {
        let path = PathBuf::from(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        tree = tree.file(path.to_str().unwrap(), text);
    }
    let config = root.join("sshd_config");
    let theirs = ask(&config, key, &case);
    let sshd =
        Sshd::read_as(&tree, config.to_str().unwrap(), Some((9, 2)), &CommandLine::default())
            .map_err(|error| error.to_string())?;
    let connection = Connection {
        user: Some(case.user.clone()),
        host: Some(case.host.clone()),
        addr: Some(case.addr.clone()),
        laddr: Some(case.laddr.clone()),
        lport: Some(case.lport),
        groups: groups(&case.user),
        rdomain: None,
    };
    let ours = sshd.effective(&connection);
    let accepts = sshd.problems.is_empty() && ours.problems.is_empty();
    let difference = match (&theirs, accepts) {
        (Err(_), false) => None,
        (Err(theirs), true) => Some(format!("only sshd refuses: {theirs}")),
        (Ok(_), false) => Some(format!("only we refuse: {:?}", sshd.problems)),
        (Ok(theirs), true) => {
            let ours = ours.settings.iter().map(|(name, setting)| {
                let values = setting.values.iter().map(|value| value.value.clone()).collect();
                ((*name).to_string(), values)
            });
            compare(theirs, &ours.collect(), baseline)
        }
    };
    let _ = std::fs::remove_dir_all(&root);
    match difference {
        None => Ok(theirs.is_ok()),
        Some(difference) => Err(format!(
            "seed {seed}, {}: {difference}\n{}",
            case.specification(),
            case.files.iter().map(|(p, t)| format!("--- {p}\n{t}")).collect::<String>()
        )),
    }
}

fn compare(
    theirs: &BTreeMap<String, Vec<String>>,
    ours: &BTreeMap<String, Vec<String>>,
    baseline: &BTreeMap<String, Vec<String>>,
) -> Option<String> {
    for (name, values) in ours {
        let none = [String::from("none")];
        let printed = match name.as_str() {
            "debianbanner" => continue, // never printed
            // Not printed when a global line says none.
            "channeltimeout" => theirs.get(name).map_or(&none[..], Vec::as_slice),
            _ => theirs.get(name).map_or(&[][..], Vec::as_slice),
        };
        if printed != values {
            return Some(format!("{name}: sshd {printed:?}, ours {values:?}"));
        }
    }
    for (name, values) in theirs {
        let derived = name == "listenaddress"
            && (ours.contains_key("port") || ours.contains_key("addressfamily"));
        if !ours.contains_key(name) && !derived && baseline.get(name) != Some(values) {
            return Some(format!("{name}: sshd {values:?}, ours keeps the default"));
        }
    }
    None
}

fn groups(user: &str) -> Vec<String> {
    let output = Command::new("id").args(["-Gn", user]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_string).collect()
}
