//! The program itself: what its service's child may do, and what `agent.sandbox` means.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A service that ends with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wardmote(state: &Path, sandbox: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardmote"));
    command.arg("--state-dir").arg(state).arg("agent").env("WARDMOTE_AGENT_SANDBOX", sandbox);
    // Nothing of this host's configuration; an audit a day is enough.
    command.arg("--config").arg(state.join("none.yaml"));
    fs::write(state.join("none.yaml"), "{}").unwrap();
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn within<T>(seconds: u64, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process that looks: a child of the service's called `look`.
fn looking(service: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{service}/task")).ok()?;
    let children =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // Before it is filtered it has not closed itself yet.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        words.ends_with(b"\0look\0") && status.contains("Seccomp:\t2")
    })
}

#[test]
fn what_reads_the_logs_has_no_right() {
    let state = tempfile::tempdir().unwrap();
    let service = Service(wardmote(state.path(), "auto").stderr(Stdio::null()).spawn().unwrap());
    let child = within(20, || looking(service.0.id())).expect("a child that looks");
    let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_string()
    };
    for set in ["CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Threads:").is_empty()), ("1", false));
    let limits = fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
    let data = limits.lines().find(|line| line.starts_with("Max data size")).unwrap();
    assert!(data.contains("1073741824 "), "{data}");
    let said = within(20, || {
        let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
            .arg("--state-dir")
            .arg(state.path())
            .args(["status", "--format", "json"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("\"sandbox\"").then_some(text)
    });
    assert!(said.unwrap().contains("seccomp, no capabilities"));
    drop(service);
    let gone = within(10, || (!Path::new(&format!("/proc/{child}")).exists()).then_some(()));
    assert!(gone.is_some(), "the child ends with the service");
}

/// Runs a program in a kernel that has no landlock, as far as it can see: its calls are "not there".
fn without_landlock(mut command: Command) -> Output {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
    std::thread::spawn(move || {
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
        let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, arch).unwrap();
        let program: seccompiler::BpfProgram = filter.try_into().unwrap();
        seccompiler::apply_filter(&program).unwrap();
        command.output().unwrap()
    })
    .join()
    .unwrap()
}

#[test]
fn required_does_not_start_without_landlock() {
    let state = tempfile::tempdir().unwrap();
    let output = without_landlock(wardmote(state.path(), "required"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("agent.sandbox is required, and cannot be reached: landlock ("),
        "{said}"
    );
    assert!(said.contains("hint: `agent.sandbox: auto`"), "{said}");
}

#[test]
fn nobody_runs_the_child_by_hand() {
    let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .arg("look")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let help = Command::new(env!("CARGO_BIN_EXE_wardmote")).arg("--help").output().unwrap();
    assert!(
        !String::from_utf8_lossy(&help.stdout).contains("  look"),
        "it is no command of anybody's"
    );
}
