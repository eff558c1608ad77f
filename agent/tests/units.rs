//! The systemd units: clean for `systemd-analyze`, little exposed, and booted for real where that is
//! asked for.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd");
const SERVICES: [&str; 3] = ["wardmote", "wardmote-audit", "wardmote-sweep"];
/// Endings of units.
const KINDS: [&str; 3] = ["service", "timer", "socket"];
/// The promise of the threat model: ssh, rsyslog and auditd of Debian 12 have 8.9 to 9.6.
const EXPOSURE_MAX: f64 = 2.0;
/// Every service, and how exposed it may be; each unit says line by line why it is not less.
const EXPOSURE: [(&str, f64); 6] = [
    ("wardmote", EXPOSURE_MAX),
    ("wardmote-audit", EXPOSURE_MAX),
    ("wardmote-sweep", EXPOSURE_MAX),
    ("wardmote-firewall", 1.5),
    ("wardmote-block", 1.1),
    // It has the network, and nothing to tell there but what it is given.
    ("wardmote-send", 1.2),
];

fn required() -> bool {
    std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1")
}

/// Whether a program is there; one line when it is not.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(found || !required(), "{program} is required and absent");
    if !found {
        eprintln!("SKIPPED: no {program}");
    }
    found
}

/// The units in a directory of their own, with the binary that was built in the place of the installed.
fn installed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(UNITS).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.extension().is_some_and(|end| KINDS.iter().any(|kind| end == *kind)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("/usr/bin/wardmote", env!("CARGO_BIN_EXE_wardmote"));
            std::fs::write(dir.path().join(name), text).unwrap();
        }
    }
    dir
}

fn analyze(arguments: &[&str], files: &[PathBuf]) -> Output {
    Command::new("systemd-analyze").args(arguments).args(files).output().unwrap()
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn exposure(unit: &Path) -> f64 {
    let said = text(&analyze(&["security", "--offline=true", "--no-pager"], &[unit.into()]));
    let line = said.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let number = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    number.parse().unwrap()
}

#[test]
fn systemd_has_no_complaint_about_the_units() {
    if !has("systemd-analyze") {
        return;
    }
    let dir = installed();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let services = files.iter().filter(|file| file.extension().is_some_and(|end| end == "service"));
    assert_eq!(services.count(), EXPOSURE.len(), "a service without a line in EXPOSURE");
    let output = analyze(&["verify", "--man=no"], &files);
    assert!(output.status.success() && text(&output).is_empty(), "{}", text(&output));
}

#[test]
fn the_units_are_little_exposed() {
    if !has("systemd-analyze") {
        return;
    }
    let dir = installed();
    for (name, most) in EXPOSURE {
        let found = exposure(&dir.path().join(format!("{name}.service")));
        assert!(found <= most, "{name}: {found}");
    }
    let unit = dir.path().join("wardmote.service");
    let drop_in = std::fs::read_to_string(format!("{UNITS}/wardmote.service.d/attribution.conf"));
    let whole = std::fs::read_to_string(&unit).unwrap() + &drop_in.unwrap();
    std::fs::write(&unit, whole).unwrap();
    let found = exposure(&unit);
    assert!(found > EXPOSURE_MAX && found <= 2.8, "the drop-in's price is known: {found}");
}

#[test]
fn the_three_services_share_one_sandbox_and_none_blinds_the_audit() {
    let sandbox = |name: &str| {
        let text = std::fs::read_to_string(format!("{UNITS}/{name}.service")).unwrap();
        let start = text.find("User=wardmote").unwrap();
        let end = text.find("\n[Install]").unwrap_or(text.len());
        text[start..end].trim_end().to_string()
    };
    let first = sandbox(SERVICES[0]);
    for name in &SERVICES[1..] {
        assert_eq!(sandbox(name), first, "{name}");
    }
    for blinding in [
        "PrivateTmp=",
        "PrivateDevices=",
        "ProtectHome=yes",
        "ProtectHome=tmpfs",
        "ProtectProc=",
        "ProcSubset=",
        "PrivateUsers=",
        "PrivateNetwork=",
        "ProtectKernelModules=",
        "TemporaryFileSystem=",
        "InaccessiblePaths=",
    ] {
        let set = first.lines().any(|line| line.starts_with(blinding));
        assert!(!set, "{blinding} changes what the audit sees");
    }
}

#[test]
fn every_command_line_of_units_and_cron_is_one_that_we_take() {
    let mut lines: Vec<String> = EXPOSURE
        .iter()
        .map(|(name, _)| {
            let text = std::fs::read_to_string(format!("{UNITS}/{name}.service")).unwrap();
            let line =
                text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/wardmote "));
            line.unwrap().replace("%S", "/var/lib")
        })
        .collect();
    let cron = cron();
    let commented = cron.lines().filter_map(|line| line.split_once(" root  wardmote "));
    lines.extend(commented.map(|(_, line)| line.to_string()));
    assert_eq!(lines.len(), EXPOSURE.len() + 2);
    for line in lines {
        let said = Command::new(env!("CARGO_BIN_EXE_wardmote"))
            .args(line.split(' '))
            .arg("--no-such-option")
            .output()
            .unwrap();
        assert_eq!(said.status.code(), Some(2));
        let said = text(&said);
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains("--no-such-option"), "{line}: {first}");
    }
}

/// The service and the timer's sweep never both tell what the logs hold, and never share a place in them.
#[test]
fn the_sweep_leaves_the_logs_to_the_service_while_it_runs() {
    let unit = |name: &str| std::fs::read_to_string(format!("{UNITS}/{name}.service")).unwrap();
    let value = |text: &str, key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_string)
    };
    let there = value(&unit("wardmote"), "RuntimeDirectory=").unwrap();
    let absent = value(&unit("wardmote-sweep"), "ConditionPathExists=!/run/").unwrap();
    assert_eq!(there, absent);
    assert!(value(&unit("wardmote"), "RuntimeDirectoryPreserve=").is_none(), "gone when it ends");
    let tmpfiles = std::fs::read_to_string(format!("{UNITS}/tmpfiles.d/wardmote.conf")).unwrap();
    assert!(!tmpfiles.contains("/run/wardmote/agent"), "nobody else makes it");
    assert!(value(&unit("wardmote-sweep"), "ExecStart=").unwrap().contains("--only-new"));
}

/// What holds a right of its own holds that one alone, and no unit but the service reads secrets.
#[test]
fn a_right_of_its_own_is_the_only_one() {
    for (name, sockets, user) in [
        ("wardmote-firewall", "AF_NETLINK", "User=root"),
        ("wardmote-block", "AF_NETLINK", "DynamicUser=yes"),
    ] {
        let text = std::fs::read_to_string(format!("{UNITS}/{name}.service")).unwrap();
        let all = |key: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(key));
            lines.map(str::to_string).collect()
        };
        assert_eq!(all("CapabilityBoundingSet="), ["CAP_NET_ADMIN"], "{name}");
        assert_eq!(all("RestrictAddressFamilies="), [sockets], "{name}");
        assert!(text.lines().any(|line| line == user), "{name}");
        assert!(all("LoadCredential=").is_empty() && all("WantedBy=").is_empty(), "{name}");
    }
}

fn cron() -> String {
    std::fs::read_to_string(format!("{UNITS}/cron.d/wardmote")).unwrap()
}

/// The cron example is a comment from end to end: copied as it is, it does nothing.
#[test]
fn the_cron_example_does_nothing_until_it_is_edited() {
    assert!(cron().lines().all(|line| line.starts_with('#')));
}

/// Copied as it is the example does nothing; with the comment signs off it is a configuration that holds.
#[test]
fn the_example_of_outputs_does_nothing_until_it_is_edited_and_holds_then() {
    let example = std::fs::read_to_string(format!("{UNITS}/conf.d/outputs.yaml")).unwrap();
    assert!(example.lines().all(|line| line.starts_with('#')));
    // A blank after the sign is prose; a setting that is indented begins with two.
    let settings = example.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = settings.filter(|line| !line.starts_with(' ') || line.starts_with("  "));
    let settings: Vec<&str> = settings.collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wardmote.yaml");
    std::fs::write(&file, settings.join("\n")).unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .args(["config", "show", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", text(&said));
    let said = text(&said);
    for way in ["webhook", "smtp", "sendmail", "otlp", "syslog", "journald", "file", "command"] {
        assert!(said.contains(&format!("{way}:")), "{way}: {said}");
    }
    assert!(
        said.contains("operators:") && said.contains("metrics_listen: 127.0.0.1:9469"),
        "{said}"
    );
}

/// Runs one of the scripts beside the units, which boot a real systemd in a throw-away overlay. Takes up to
/// a minute and a half and needs root, so only where the peers are required (`.ci/run`).
fn boots(script: &str, arguments: &[&str]) {
    if !required() {
        eprintln!("SKIPPED: the boot runs with WARDMOTE_REQUIRE_PEERS=1");
        return;
    }
    let output = Command::new(format!("{UNITS}/{script}")).args(arguments).output().unwrap();
    match output.status.code() {
        Some(0) => {}
        Some(77) => eprintln!("SKIPPED: no boot here: {}", text(&output)),
        _ => panic!("{}", text(&output)),
    }
}

/// The program that was built as a Debian package, in a directory of its own.
fn package() -> Option<(tempfile::TempDir, String)> {
    if !required() || !has("dpkg-deb") {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("wardmote");
    // A build for tests is mostly what debuggers read.
    let built = env!("CARGO_BIN_EXE_wardmote");
    let strip =
        Command::new("strip").args(["--strip-debug", "-o"]).arg(&program).arg(built).status();
    if !strip.is_ok_and(|status| status.success()) {
        std::fs::copy(built, &program).unwrap();
    }
    let package = dir.path().join("wardmote.deb").display().to_string();
    let made = Command::new(format!("{UNITS}/debian/make.sh"))
        .args([&program.display().to_string(), &package, "none"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    Some((dir, package))
}

#[test]
fn the_units_run_under_a_real_systemd() {
    boots("boot-test.sh", &[env!("CARGO_BIN_EXE_wardmote"), UNITS]);
}

/// Installed from its package and driven: readiness, powers, an attack and its story, a signed webhook, a
/// response that is approved and taken back, reloads, the watchdog, timers, journal.
#[test]
fn the_installed_service_does_its_whole_work_under_a_real_systemd() {
    let Some((_kept, package)) = package() else {
        return eprintln!("SKIPPED: the boot runs with WARDMOTE_REQUIRE_PEERS=1");
    };
    boots("service-test.sh", &[&package]);
}

#[test]
fn the_package_is_installed_upgraded_and_purged_without_a_trace() {
    let Some((_kept, package)) = package() else {
        return eprintln!("SKIPPED: the boot runs with WARDMOTE_REQUIRE_PEERS=1");
    };
    boots("package-test.sh", &[&package]);
}
