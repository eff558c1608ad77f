//! What runs now and is not what is installed: the kernel, libraries and programs replaced on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use consensus::Severity;
use parsers::config::dpkg::compare_versions;
use parsers::place::Place;
use parsers::tree::{FileKind, Links, Why};

use super::super::{Observation, Outcome};
use crate::Facts;
use crate::packages::{Installed, STATUS};

/// Largest map of a process that is read.
const MAPS_BYTES_MAX: usize = 8 << 20;
/// Most processes that are looked at.
const PROCESSES_MAX: usize = 20_000;
/// Most lines of a finding.
const LINES_MAX: usize = 20;

pub(super) fn reboot(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return Outcome::not_applicable("a mounted tree does not run");
    }
    if let Some(container) = &facts.vantage.container {
        return Outcome::not_applicable(format!("the kernel is the host's ({container})"));
    }
    let mut seen = Vec::new();
    for file in ["/run/reboot-required", "/run/needs-reboot"] {
        if facts.tree.stat(Path::new(file), Links::Follow).is_ok() {
            let packages = facts.read("/run/reboot-required.pkgs").unwrap_or_default();
            let text =
                String::from_utf8_lossy(&packages).split_whitespace().collect::<Vec<_>>().join(" ");
            let mut one = Observation::at(&Place::whole(file), &text).key("asked");
            if !text.is_empty() {
                one = one.fact("packages", crate::redact::line(&text));
            }
            seen.push(one.title("updated packages ask for a reboot"));
        }
    }
    let release = match live_line(facts, "/proc/sys/kernel/osrelease") {
        Ok(release) => release,
        Err(outcome) if seen.is_empty() => return *outcome,
        Err(_) => return Outcome::failed_or(seen, ""),
    };
    let installed = kernels(facts);
    if let Some(newest) = newer_kernel(&release, &installed) {
        let (place, text) = &installed[newest];
        let title = format!("kernel {release} runs, {newest} is installed");
        seen.push(
            Observation::at(place, text).key("kernel").title(crate::redact::printable(&title)),
        );
    } else if let Some((built, package, line)) = rebuilt_kernel(facts, &release) {
        let title = format!("kernel {release} runs as built for {built}, {package} is installed");
        let place = Place { file: STATUS.into(), line, column: 1 };
        let text = format!("linux-image-{release} {package}");
        seen.push(
            Observation::at(&place, &text).key("kernel").title(crate::redact::printable(&title)),
        );
    }
    let known = if installed.contains_key(&release) {
        "is the newest installed"
    } else {
        "was not installed by a package"
    };
    Outcome::failed_or(seen, format!("the running kernel {release} {known}"))
}

fn live_line(facts: &Facts<'_>, path: &str) -> Result<String, Box<Outcome>> {
    match facts.tree.read(Path::new(path), 4096) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_string()),
        Err(error) => Err(Box::new(Outcome::not_run(error.to_string()))),
    }
}

/// Installed kernels by release, with what shows them: dpkg's packages and the images in `/boot`.
fn kernels(facts: &Facts<'_>) -> BTreeMap<String, (Place, String)> {
    let mut kernels = BTreeMap::new();
    for entry in facts.tree.list(Path::new("/boot")).unwrap_or_default() {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if let Some(release) = name.strip_prefix("vmlinuz-")
            && entry.kind == FileKind::Regular
        {
            let shown = entry.path.to_string_lossy();
            kernels.insert(release.to_string(), (Place::whole(&*shown), String::new()));
        }
    }
    for package in &facts.get::<Installed>().packages {
        let release = package
            .name
            .strip_prefix("linux-image-")
            .map(|rest| rest.strip_prefix("unsigned-").unwrap_or(rest));
        if let Some(release) =
            release.filter(|release| release.starts_with(|c: char| c.is_ascii_digit()))
            && !release.ends_with("-dbg")
        {
            let place = Place { file: STATUS.into(), line: package.line, column: 1 };
            let text = format!("{} {}", package.name, package.version);
            kernels.insert(release.to_string(), (place, text));
        }
    }
    kernels
}

/// The newest installed kernel of the running one's flavour, if it is newer. A kernel that is not
/// installed at all (given from outside to a virtual machine) has nothing to compare with.
fn newer_kernel<'a>(
    running: &str,
    installed: &'a BTreeMap<String, (Place, String)>,
) -> Option<&'a String> {
    let mine = flavour(running);
    let newest = installed
        .keys()
        .filter(|release| flavour(release) == mine)
        .max_by(|left, right| compare_versions(left, right))?;
    let comparable = installed.contains_key(running);
    (comparable && compare_versions(newest, running).is_gt()).then_some(newest)
}

/// `amd64`, `generic`, `x86_64`: the last word of a release, if it is one.
fn flavour(release: &str) -> &str {
    let last = release.rsplit(['-', '.']).next().unwrap_or("");
    if last.starts_with(|c: char| c.is_ascii_alphabetic()) { last } else { "" }
}

/// A kernel of the same release that was built anew: Debian writes the package's version into
/// `/proc/sys/kernel/version`.
fn rebuilt_kernel(facts: &Facts<'_>, release: &str) -> Option<(String, String, u32)> {
    let version = live_line(facts, "/proc/sys/kernel/version").ok()?;
    let built = version.split_once("Debian ")?.1.split_whitespace().next()?.to_string();
    let installed = facts.get::<Installed>();
    let package = installed
        .packages
        .iter()
        .find(|one| one.name.strip_prefix("linux-image-") == Some(release))?;
    compare_versions(&package.version, &built)
        .is_gt()
        .then(|| (built, package.version.clone(), package.line))
}

/// A process that runs code which is not on disk any more.
struct Old {
    pid: u32,
    name: String,
    path: String,
    place: Place,
}

pub(super) fn old_code(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return Outcome::not_applicable("nothing runs in a mounted tree");
    }
    let entries = match facts.tree.list(Path::new("/proc")) {
        Ok(entries) => entries,
        Err(error) => return Outcome::not_run(error.to_string()),
    };
    let pids: Vec<u32> =
        entries.iter().filter_map(|entry| entry.path.file_name()?.to_str()?.parse().ok()).collect();
    let (mut old, mut looked, mut denied) = (Vec::new(), 0_usize, 0_usize);
    for pid in pids.iter().take(PROCESSES_MAX) {
        match replaced(facts, *pid) {
            Ok(Looked::Current) => looked += 1,
            Ok(Looked::Old(found)) => {
                looked += 1;
                old.push(found);
            }
            Ok(Looked::NotOurs) => {}
            Err(Why::Denied) => denied += 1,
            Err(_) => {}
        }
    }
    let mut unseen = Vec::new();
    if denied > 0 {
        let why = match facts.vantage.has("CAP_SYS_PTRACE") {
            true => "permission denied",
            false => "no CAP_SYS_PTRACE",
        };
        unseen.push(format!("code of {denied} processes ({why})"));
    }
    if pids.len() > PROCESSES_MAX {
        unseen.push(format!("code of {} processes (limit)", pids.len() - PROCESSES_MAX));
    }
    // A user who sees his own processes alone has not looked at the host.
    if old.is_empty() && denied >= looked {
        return Outcome::not_run(unseen.join("; "));
    }
    let reason = format!("{looked} processes run the code that is on disk");
    Outcome::failed_or(describe(facts, &old), reason).unseen(unseen)
}

/// What a look at a process gave.
enum Looked {
    /// A kernel thread, or a container's process: its files are not this host's.
    NotOurs,
    /// It runs what is on disk.
    Current,
    /// It runs code that was replaced.
    Old(Old),
}

fn replaced(facts: &Facts<'_>, pid: u32) -> Result<Looked, Why> {
    let file = format!("/proc/{pid}/maps");
    let maps = facts.tree.read(Path::new(&file), MAPS_BYTES_MAX).map_err(|error| error.why)?;
    if maps.is_empty() {
        return Ok(Looked::NotOurs);
    }
    let Some((at, path)) = replaced_path(&maps) else { return Ok(Looked::Current) };
    let text = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        let bytes = facts.tree.read(Path::new(&path), 1 << 16).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_string()
    };
    let groups = text("cgroup");
    if ["docker", "kubepods", "libpod", "lxc", "machine.slice"]
        .iter()
        .any(|name| groups.contains(name))
    {
        return Ok(Looked::NotOurs);
    }
    let line = memchr::memchr_iter(b'\n', &maps[..at]).count() + 1;
    let place = Place::new(&file.into(), u32::try_from(line).unwrap_or(u32::MAX), 1);
    let name = crate::redact::printable(&text("comm"));
    Ok(Looked::Old(Old { pid, name, path, place }))
}

/// The first executable mapping of a removed program or library: its offset in the map and its path.
fn replaced_path(maps: &[u8]) -> Option<(usize, String)> {
    memchr::memmem::find_iter(maps, b" (deleted)\n").find_map(|end| {
        let start = memchr::memrchr(b'\n', &maps[..end]).map_or(0, |at| at + 1);
        let line = &maps[start..end];
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let executable = fields.nth(1)?.get(2) == Some(&b'x');
        let path = &line[memchr::memchr(b'/', line)?..];
        let code = [&b"/usr/"[..], b"/lib", b"/bin/", b"/sbin/", b"/opt/"];
        (executable && code.iter().any(|tree| path.starts_with(tree)))
            .then(|| (start, String::from_utf8_lossy(path).into_owned()))
    })
}

fn describe(facts: &Facts<'_>, old: &[Old]) -> Vec<Observation> {
    if old.is_empty() {
        return Vec::new();
    }
    let names: BTreeSet<&str> = old.iter().map(|one| one.name.as_str()).collect();
    let shown: Vec<&str> = names.iter().take(5).copied().collect();
    let mut seen = Observation::default()
        .key("old-code")
        .title(format!("{} processes still run replaced code: {}", old.len(), shown.join(", ")))
        .fact("processes", old.len().to_string());
    for one in old.iter().take(LINES_MAX) {
        let text = format!("{} ({}): {} (deleted)", one.name, one.pid, one.path);
        seen = seen.line(&one.place, &text);
    }
    if old.len() > LINES_MAX {
        seen = seen.fact("more", format!("and {} more", old.len() - LINES_MAX));
    }
    let pids: BTreeSet<u32> = old.iter().map(|one| one.pid).collect();
    let listeners =
        facts.inventory.map(|inventory| inventory.listeners.as_slice()).unwrap_or_default();
    let services: BTreeSet<String> = listeners
        .iter()
        .filter(|listener| listener.owners.iter().any(|owner| pids.contains(&owner.pid)))
        .map(|listener| listener.service.clone())
        .collect();
    if services.is_empty() {
        return vec![seen.level(Severity::Low)];
    }
    seen.services = Some(services.into_iter().collect());
    vec![seen]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckResult;
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::MemoryTree;

    const KERNELS: &str = "Package: linux-image-6.1.0-9-amd64\nStatus: install ok installed\nVersion: 6.1.27-1\nArchitecture: amd64\n\n\
        Package: linux-image-6.1.0-13-amd64\nStatus: install ok installed\nVersion: 6.1.55-1\nArchitecture: amd64\n\n\
        Package: linux-image-amd64\nStatus: install ok installed\nVersion: 6.1.55-1\nArchitecture: amd64\n";

    fn host(release: &str, version: &str) -> MemoryTree {
        MemoryTree::new()
            .file(STATUS, KERNELS)
            .file("/proc/sys/kernel/osrelease", format!("{release}\n"))
            .file("/proc/sys/kernel/version", version)
            .file("/proc/7/comm", "sshd\n")
            .file(
                "/proc/7/maps",
                "55-56 r-xp 0 08:01 1   /usr/sbin/sshd\n7f-80 rw-p 0 00:00 0 /dev/zero (deleted)\n",
            )
    }

    fn run(tree: &MemoryTree, check: fn(&Facts<'_>) -> Outcome) -> Outcome {
        let (vantage, spoken) = (Vantage::default(), Spoken::default());
        check(&Facts::new(tree, true, &vantage, None, &spoken, 0))
    }

    const NEWEST: &str = "#1 SMP Debian 6.1.55-1 (2023-09-29)";

    #[test]
    fn the_newest_kernel_and_fresh_code_pass() {
        let tree = host("6.1.0-13-amd64", NEWEST);
        for check in [reboot, old_code] {
            let outcome = run(&tree, check);
            assert_eq!(outcome.result, CheckResult::Passed, "{outcome:?}");
        }
        // A kernel from outside, as virtual machines have it.
        assert_eq!(run(&host("6.18.44-fc", "x"), reboot).result, CheckResult::Passed);
    }

    #[test]
    fn an_older_running_kernel_asks_for_a_reboot() {
        let outcome = run(&host("6.1.0-9-amd64", "#1 SMP Debian 6.1.27-1 (x)"), reboot);
        let seen = &outcome.observations[0];
        assert_eq!(
            seen.title.as_deref(),
            Some("kernel 6.1.0-9-amd64 runs, 6.1.0-13-amd64 is installed")
        );
        assert_eq!((seen.lines[0].file.as_str(), seen.lines[0].line), (STATUS, 6));
        let rebuilt = run(&host("6.1.0-13-amd64", "#1 SMP Debian 6.1.52-1 (x)"), reboot);
        assert!(rebuilt.observations[0].title.as_ref().unwrap().contains("6.1.52-1"));
        let asked = host("6.1.0-13-amd64", NEWEST)
            .file("/run/reboot-required", "")
            .file("/run/reboot-required.pkgs", "libc6\n");
        assert_eq!(run(&asked, reboot).observations[0].lines[0].text, "libc6");
        let boot = host("5.14.0-70.el9.x86_64", "x")
            .file("/boot/vmlinuz-5.14.0-70.el9.x86_64", "")
            .file("/boot/vmlinuz-5.14.0-427.el9.x86_64", "");
        assert_eq!(run(&boot, reboot).observations.len(), 1);
    }

    #[test]
    fn replaced_libraries_are_found_in_the_processes_that_map_them() {
        let tree = host("6.1.0-13-amd64", NEWEST).file(
            "/proc/8/maps",
            "1-2 r--p 0 08:01 1 /usr/lib/x.so (deleted)\n1-2 r-xp 0 08:01 1    /usr/lib/libssl.so.3 (deleted)\n",
        )
        .file("/proc/8/comm", "nginx\n")
        .file("/proc/9/maps", "1-2 r-xp 0 08:01 1 /usr/lib/y.so (deleted)\n")
        .file("/proc/9/cgroup", "0::/docker/x\n")
        .file("/proc/10/maps", "1-2 r-xp 0 0:1 1 /memfd:jit (deleted)\n1-2 r-xp 0 0:1 1 /tmp/a b (deleted)\n");
        let outcome = run(&tree, old_code);
        let seen = &outcome.observations[0];
        assert_eq!(outcome.observations.len(), 1);
        assert_eq!(seen.lines.len(), 1);
        assert_eq!(seen.lines[0].text, "nginx (8): /usr/lib/libssl.so.3 (deleted)");
        assert_eq!((seen.lines[0].file.as_str(), seen.lines[0].line), ("/proc/8/maps", 2));
    }

    #[test]
    fn what_may_not_be_looked_into_is_said() {
        let tree = MemoryTree::new()
            .denied("/proc/1/maps")
            .file("/proc/2/maps", b"\0\xff (deleted)\n")
            .file("/proc/3/maps", "1-2 r-xp 0 08:01 1 /usr/bin/x\n")
            .file("/proc/4/maps", "");
        let outcome = run(&tree, old_code);
        assert_eq!(outcome.unseen, ["code of 1 processes (no CAP_SYS_PTRACE)"]);
        assert_eq!(outcome.result, CheckResult::Passed);
        assert_eq!(
            run(&MemoryTree::new().denied("/proc/1/maps"), old_code).result,
            CheckResult::NotRun
        );
        assert_eq!(run(&MemoryTree::new(), reboot).result, CheckResult::NotRun);
    }
}
