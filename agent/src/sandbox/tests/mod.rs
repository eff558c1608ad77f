//! The look through the child against the look in this process, the child's rights, and broken children.
//!
//! The children are this test program, told to run one ignored test that never returns by itself.

use std::path::Path;
use std::process::Command;

use super::proxy::Program;
use super::*;
use crate::service::Look;
use crate::service::host::Host;

mod broken;
mod killed;
mod rights;
mod same;

/// A time of the generated logs.
const NOW: fn() -> i64 = || 1_795_168_860;

/// This test program as a child that runs the ignored test of this name.
fn entry(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    let name = format!("sandbox::tests::{name}");
    command.args([name.as_str(), "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

pub(crate) fn program(name: &'static str) -> Program {
    Box::new(move || entry(name))
}

fn proxy_at(root: &Path, state: &Path, now: fn() -> i64) -> Proxy {
    Proxy::open(root.into(), state, now, program("child")).unwrap()
}

fn proxy(root: &Path, state: &Path) -> Proxy {
    proxy_at(root, state, NOW)
}

/// Whether a broker started this; else somebody runs all ignored tests.
fn is_child() -> bool {
    rustix::net::sockopt::socket_type(std::io::stdin()).is_ok()
}

/// What a child runs in these tests.
#[test]
#[ignore = "runs as the child of other tests"]
fn child() {
    if !is_child() {
        return;
    }
    super::child::run().unwrap();
    std::process::exit(0);
}

/// Failed logins, one a second.
fn failures(from: u32, count: u32, address: &str) -> String {
    let line = |second: u32| {
        let (minute, second) = (second / 60, second % 60);
        format!(
            "2026-11-20T10:{minute:02}:{second:02}+00:00 host sshd[9]: Failed password for root from \
             {address} port 4 ssh2\n"
        )
    };
    (from..from + count).map(line).collect()
}

fn append(root: &Path, text: &str) {
    use std::io::Write as _;
    let file = root.join("var/log/auth.log");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut file = std::fs::File::options().append(true).create(true).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
