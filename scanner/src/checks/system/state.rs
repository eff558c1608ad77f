//! Access control, clock, logs, audit, core dumps, taint.

use std::path::Path;
use std::sync::Arc;

use consensus::Severity;
use parsers::config::lines;
use parsers::place::Place;
use parsers::tree::{FileKind, Links, LookError};

use super::super::{Observation, Outcome};
use super::enabled::Enabled;
use crate::Facts;

/// Most lines of a configuration file that are read.
const LINES_MAX: usize = 10_000;

/// Clients of NTP by unit name.
const CLOCKS: &[&str] = &[
    "chrony",
    "chronyd",
    "systemd-timesyncd",
    "ntp",
    "ntpd",
    "ntpsec",
    "openntpd",
    "ntpd-rs",
    "ptp4l",
    "phc2sys",
    "vmtoolsd",
    "open-vm-tools",
];

/// Daemons that write logs to disk.
const LOGGERS: &[&str] =
    &["rsyslog", "rsyslogd", "syslog-ng", "metalog", "socklog", "syslog", "syslogd"];

pub(super) fn mandatory_access_control(facts: &Facts<'_>) -> Outcome {
    if facts.live && facts.vantage.container.is_some() {
        return Outcome::not_applicable("a container is confined by its host");
    }
    let configured = selinux_config(facts);
    if let Err(error) = &configured
        && !error.not_found()
    {
        return Outcome::unreadable(error);
    }
    let configured = configured.unwrap_or_default();
    if facts.live { live_control(facts, configured) } else { stored_control(facts, configured) }
}

fn live_control(facts: &Facts<'_>, configured: Option<(String, Place, String)>) -> Outcome {
    let text = |path: &str| facts.tree.read(Path::new(path), 1 << 20);
    if let Ok(enforce) = text("/sys/fs/selinux/enforce") {
        if enforce.starts_with(b"1") {
            return Outcome::passed("SELinux enforces");
        }
        let place = Place::whole("/sys/fs/selinux/enforce");
        let mut seen = Observation::at(&place, "0").key("selinux").title("SELinux is permissive");
        if let Some((value, place, line)) = configured
            && value == "enforcing"
        {
            let title = "SELinux is permissive now although its configuration says enforcing";
            seen = seen.line(&place, &line).title(title).level(Severity::Medium);
        }
        return Outcome::failed(seen);
    }
    let modules = text("/sys/kernel/security/lsm");
    let names = String::from_utf8_lossy(modules.as_deref().unwrap_or_default()).trim().to_string();
    let apparmor =
        text("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.starts_with(b"Y"));
    if apparmor || names.split(',').any(|name| name == "apparmor") {
        return apparmor_profiles(facts);
    }
    if names.split(',').any(|name| matches!(name, "smack" | "tomoyo")) {
        return Outcome::passed(format!("the kernel uses {names}"));
    }
    if let Err(error) = modules
        && !error.not_found()
    {
        return Outcome::not_run(error.to_string());
    }
    let shown = if names.is_empty() { "no such module" } else { names.as_str() };
    let place = Place::whole("/sys/kernel/security/lsm");
    Outcome::failed(Observation::at(&place, shown).key("none"))
}

/// AppArmor without an enforced profile confines nothing.
fn apparmor_profiles(facts: &Facts<'_>) -> Outcome {
    const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";
    match facts.tree.read(Path::new(PROFILES), 1 << 20) {
        Ok(bytes) => {
            let enforced = memchr::memmem::find_iter(&bytes, b"(enforce)").count();
            if enforced > 0 {
                return Outcome::passed(format!("AppArmor enforces {enforced} profiles"));
            }
            let seen = Observation::at(&Place::whole(PROFILES), "no profile in enforce mode");
            Outcome::failed(seen.key("apparmor").title("AppArmor is on and enforces no profile"))
        }
        Err(error) => Outcome::passed("AppArmor is on")
            .unseen([format!("profiles of AppArmor: {}", error.why)]),
    }
}

fn stored_control(facts: &Facts<'_>, configured: Option<(String, Place, String)>) -> Outcome {
    let exists = |path: &str| facts.tree.stat(Path::new(path), Links::Follow).is_ok();
    match configured {
        Some((value, place, _)) if value == "enforcing" => {
            return Outcome::passed(format!("SELinux will enforce ({place})"));
        }
        Some((value, place, line)) if !exists("/etc/apparmor.d") => {
            let title = format!("SELinux is configured as {}", crate::redact::printable(&value));
            return Outcome::failed(Observation::at(&place, &line).key("selinux").title(title));
        }
        _ => {}
    }
    if exists("/usr/sbin/apparmor_parser") || exists("/sbin/apparmor_parser") {
        return Outcome::passed("AppArmor is installed");
    }
    if !has_services(facts) {
        return Outcome::unknown("an image without an init system is confined by what runs it");
    }
    Outcome::failed(
        Observation::at(&Place::whole("/etc/apparmor.d"), "neither AppArmor nor SELinux")
            .key("none"),
    )
}

/// The value of `SELINUX=` with its place and line; the last one counts.
fn selinux_config(facts: &Facts<'_>) -> Result<Option<(String, Place, String)>, LookError> {
    const FILE: &str = "/etc/selinux/config";
    let bytes = facts.read(FILE)?;
    Ok(last_value(FILE, &bytes, "SELINUX"))
}

/// The last `NAME=value` of a file of assignments.
fn last_value(file: &str, bytes: &[u8], name: &str) -> Option<(String, Place, String)> {
    let file = Arc::from(file);
    lines::numbered(bytes)
        .take(LINES_MAX)
        .filter_map(|line| {
            let text = line.text();
            let value = text.trim_start().strip_prefix(name)?.trim_start().strip_prefix('=')?;
            let column = value.as_ptr() as usize - text.as_ptr() as usize;
            let value = value.trim().to_ascii_lowercase();
            Some((value, line.place(&file, column), text.to_string()))
        })
        .last()
}

pub(super) fn time(facts: &Facts<'_>) -> Outcome {
    if facts.live && facts.vantage.container.is_some() {
        return Outcome::not_applicable("a container has its host's clock");
    }
    if let Some(what) = facts.get::<Enabled>().any(CLOCKS) {
        return Outcome::passed(what);
    }
    if !has_services(facts) {
        return Outcome::unknown("no services are configured here that could be asked");
    }
    let place = Place::whole("/etc/systemd/system");
    Outcome::failed(Observation::at(&place, "no unit of an NTP client is enabled").key("none"))
}

/// Whether the tree has units or start scripts at all; an image without an init system has no services.
fn has_services(facts: &Facts<'_>) -> bool {
    ["/etc/systemd/system", "/etc/init.d", "/etc/runlevels"]
        .iter()
        .any(|path| facts.tree.stat(Path::new(path), Links::Follow).is_ok())
}

pub(super) fn logging(facts: &Facts<'_>) -> Outcome {
    if facts.live && facts.vantage.container.is_some() {
        return Outcome::not_applicable("a container's logs are its host's");
    }
    if let Some(what) = facts.get::<Enabled>().any(LOGGERS) {
        return Outcome::passed(what);
    }
    let storage = match journal_storage(facts) {
        Ok(storage) => storage,
        Err(error) => return Outcome::not_run(error.to_string()),
    };
    let (value, place, line) = match storage {
        Some((value, place, line)) => (value, place, line),
        None => ("auto".to_string(), Place::whole("/var/log/journal"), String::new()),
    };
    let kept = facts
        .tree
        .stat(Path::new("/var/log/journal"), Links::Follow)
        .is_ok_and(|stat| stat.kind == FileKind::Directory);
    match value.as_str() {
        "persistent" => Outcome::passed(format!("the journal is kept on disk ({place})")),
        "volatile" | "none" => {
            let title = format!("no log survives a reboot: Storage={value} and no syslog daemon");
            Outcome::failed(Observation::at(&place, &line).key("journal").title(title))
        }
        _ if kept => Outcome::passed("the journal is kept in /var/log/journal"),
        _ if !has_services(facts) => Outcome::unknown("no services are configured here"),
        _ => {
            let text = "does not exist, and no syslog daemon is enabled";
            Outcome::failed(Observation::at(&Place::whole("/var/log/journal"), text).key("journal"))
        }
    }
}

/// `Storage=` of journald: the main file, then its drop-ins by name; the last one counts.
fn journal_storage(facts: &Facts<'_>) -> Result<Option<(String, Place, String)>, LookError> {
    let mut files = vec!["/etc/systemd/journald.conf".to_string()];
    let mut drop_ins: Vec<String> = Vec::new();
    for directory in ["/usr/lib/systemd/journald.conf.d", "/etc/systemd/journald.conf.d"] {
        let entries = facts.tree.list(Path::new(directory)).unwrap_or_default();
        drop_ins.extend(
            entries
                .into_iter()
                .map(|entry| entry.path.to_string_lossy().into_owned())
                .filter(|path| path.ends_with(".conf")),
        );
    }
    drop_ins.sort_by_key(|path| path.rsplit('/').next().unwrap_or("").to_string());
    files.extend(drop_ins);
    let mut found = None;
    for file in files {
        match facts.read(&file) {
            Ok(bytes) => found = last_value(&file, &bytes, "Storage").or(found),
            Err(error) if error.not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

pub(super) fn audit(facts: &Facts<'_>) -> Outcome {
    if facts.live && facts.vantage.container.is_some() {
        return Outcome::not_applicable("the kernel's audit log is the host's");
    }
    match facts.get::<Enabled>().any(&["auditd", "laurel", "go-audit"]) {
        Some(what) => Outcome::passed(what),
        None => {
            let place = Place::whole("/etc/systemd/system");
            Outcome::failed(Observation::at(&place, "auditd is not enabled").key("none"))
        }
    }
}

pub(super) fn core_dumps(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return Outcome::not_applicable("the pattern and limits are those of a running kernel");
    }
    const PATTERN: &str = "/proc/sys/kernel/core_pattern";
    const LIMITS: &str = "/proc/1/limits";
    let pattern = match facts.tree.read(Path::new(PATTERN), 4096) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_string(),
        Err(error) => return Outcome::unreadable(&error),
    };
    if pattern.starts_with('|') {
        return Outcome::passed(format!(
            "core dumps go to a program: {}",
            crate::redact::line(&pattern)
        ));
    }
    let limits = match facts.tree.read(Path::new(LIMITS), 1 << 16) {
        Ok(bytes) => bytes,
        Err(error) => return Outcome::not_run(error.to_string()),
    };
    let text = String::from_utf8_lossy(&limits).into_owned();
    let Some((at, line)) =
        text.lines().enumerate().find(|(_, line)| line.starts_with("Max core file size"))
    else {
        return Outcome::unknown(format!("{LIMITS} names no limit of core files"));
    };
    let soft = line["Max core file size".len()..].split_whitespace().next().unwrap_or("");
    if soft == "0" || pattern == "/dev/null" {
        return Outcome::passed("core dumps are limited to 0 bytes from the start");
    }
    let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
    let seen = Observation::at(&Place::whole(PATTERN), &pattern)
        .line(&Place::new(&LIMITS.into(), number, 1), line)
        .key("core");
    Outcome::failed(seen)
}

/// Bits of `/proc/sys/kernel/tainted` that speak of modules.
const TAINTS: &[(u32, &str, Severity)] = &[
    (1, "a module was forced in", Severity::Low),
    (3, "a module was forced out", Severity::Low),
    (13, "an unsigned module was loaded", Severity::Info),
];

pub(super) fn taint(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return Outcome::not_applicable("a mounted tree runs no kernel");
    }
    if facts.vantage.container.is_some() {
        return Outcome::not_applicable("the kernel is the host's");
    }
    const FILE: &str = "/proc/sys/kernel/tainted";
    let bytes = match facts.tree.read(Path::new(FILE), 64) {
        Ok(bytes) => bytes,
        Err(error) => return Outcome::unreadable(&error),
    };
    let text = String::from_utf8_lossy(&bytes).trim().to_string();
    let Ok(bits) = text.parse::<u64>() else {
        return Outcome::unknown(format!("{FILE} holds no number"));
    };
    let seen = TAINTS
        .iter()
        .filter(|(bit, _, _)| bits >> bit & 1 == 1)
        .map(|(bit, what, level)| {
            Observation::at(&Place::new(&FILE.into(), 1, 1), &text)
                .key(format!("bit-{bit}"))
                .title(format!("kernel: {what}"))
                .level(*level)
        })
        .collect();
    Outcome::failed_or(seen, format!("no module was forced or unsigned (tainted {bits})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckResult;
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::MemoryTree;

    fn run(tree: &MemoryTree, live: bool, check: fn(&Facts<'_>) -> Outcome) -> Outcome {
        let (vantage, spoken) = (Vantage::default(), Spoken::default());
        check(&Facts::new(tree, live, &vantage, None, &spoken, 0))
    }

    type Look = fn(&Facts<'_>) -> Outcome;
    const ALL: [Look; 6] = [mandatory_access_control, time, logging, audit, core_dumps, taint];

    fn hardened() -> MemoryTree {
        let wants = "/etc/systemd/system/multi-user.target.wants";
        MemoryTree::new()
            .file("/sys/kernel/security/lsm", "lockdown,capability,yama,apparmor")
            .file("/sys/kernel/security/apparmor/profiles", "a (enforce)\nb (complain)\n")
            .file("/usr/sbin/apparmor_parser", "x")
            .link(&format!("{wants}/chrony.service"), "/lib/systemd/system/chrony.service")
            .link(&format!("{wants}/auditd.service"), "/lib/systemd/system/auditd.service")
            .directory("/var/log/journal", 0o2755, 0, 0)
            .file("/proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n")
            .file("/proc/sys/kernel/tainted", "0\n")
    }

    #[test]
    fn a_hardened_host_passes_live_and_mounted() {
        for check in ALL {
            for live in [true, false] {
                let outcome = run(&hardened(), live, check);
                assert!(outcome.observations.is_empty(), "{outcome:?}");
                assert!(matches!(outcome.result, CheckResult::Passed | CheckResult::NotApplicable));
            }
        }
    }

    #[test]
    fn a_bare_host_is_told_what_it_lacks() {
        let tree = MemoryTree::new()
            .file("/etc/systemd/system/x.conf", "")
            .file("/proc/sys/kernel/core_pattern", "core\n")
            .file(
                "/proc/1/limits",
                "Limit  Soft\nMax core file size        unlimited  unlimited  bytes\n",
            )
            .file("/proc/sys/kernel/tainted", "8194\n");
        for check in ALL {
            let outcome = run(&tree, true, check);
            assert_eq!(outcome.result, CheckResult::Failed, "{outcome:?}");
        }
        let taints = run(&tree, true, taint);
        assert_eq!(taints.observations[0].level, Some(Severity::Low));
        assert_eq!(taints.observations.len(), 2);
        assert_eq!(run(&tree, true, core_dumps).observations[0].lines[1].line, 2);
    }

    #[test]
    fn selinux_is_judged_by_what_it_does_and_by_what_it_will_do() {
        let config = |mode: &str| {
            MemoryTree::new().file(
                "/etc/selinux/config",
                format!("# SELINUX=x\nSELINUXTYPE=targeted\nSELINUX={mode}\n"),
            )
        };
        let enforcing = config("enforcing").file("/sys/fs/selinux/enforce", "1");
        assert_eq!(run(&enforcing, true, mandatory_access_control).result, CheckResult::Passed);
        assert_eq!(run(&enforcing, false, mandatory_access_control).result, CheckResult::Passed);
        let drifted = config("enforcing").file("/sys/fs/selinux/enforce", "0");
        let outcome = run(&drifted, true, mandatory_access_control);
        assert_eq!(outcome.observations[0].level, Some(Severity::Medium));
        assert_eq!(outcome.observations[0].lines[1].line, 3);
        let off = run(&config("disabled"), false, mandatory_access_control);
        let line = &off.observations[0].lines[0];
        assert_eq!((line.file.as_str(), line.line, line.column), ("/etc/selinux/config", 3, 9));
    }

    #[test]
    fn a_volatile_journal_without_syslog_is_found_in_its_drop_in() {
        let tree = hardened()
            .file("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\nStorage=persistent\n")
            .file("/etc/systemd/journald.conf.d/90.conf", "[Journal]\nStorage = volatile\n");
        let outcome = run(&tree, true, logging);
        let line = &outcome.observations[0].lines[0];
        assert_eq!(
            (line.file.as_str(), line.line, line.column),
            ("/etc/systemd/journald.conf.d/90.conf", 2, 10)
        );
    }

    #[test]
    fn masked_units_do_not_count_and_running_processes_do() {
        let tree = hardened()
            .link("/etc/systemd/system/chrony.service", "/dev/null")
            .file("/etc/rc3.d/S01chrony", "x")
            .file("/proc/9/comm", "systemd-timesyn\n");
        assert_eq!(run(&tree, false, time).result, CheckResult::Failed);
        assert!(run(&tree, true, time).reason.contains("systemd-timesyncd runs"));
        let scripts =
            MemoryTree::new().file("/etc/rc3.d/S01ntpsec", "x").file("/etc/init.d/ntpsec", "x");
        assert_eq!(run(&scripts, false, time).result, CheckResult::Passed);
    }

    #[test]
    fn what_cannot_be_read_does_not_pass() {
        let tree = MemoryTree::new()
            .special("/etc/selinux/config", FileKind::Fifo)
            .denied("/etc/systemd/journald.conf")
            .denied("/proc/sys/kernel/core_pattern")
            .file("/proc/sys/kernel/tainted", b"\0\xff");
        assert_eq!(run(&tree, true, mandatory_access_control).result, CheckResult::NotRun);
        assert_eq!(run(&tree, true, logging).result, CheckResult::NotRun);
        assert_eq!(run(&tree, true, core_dumps).result, CheckResult::NotRun);
        assert_eq!(run(&tree, true, taint).result, CheckResult::Unknown);
        assert_eq!(run(&MemoryTree::new(), false, time).result, CheckResult::Unknown);
    }
}
