//! Network namespaces for tests: the test binary runs one of its tests again inside of a new one.
//!
//! Needs root and iproute2; skipped with a line otherwise, and failed where peers are required. Names
//! hold the process id, and namespaces are removed when the test ends, however it ends.

use std::process::{Command, Output};

/// Set inside of the namespace.
const INSIDE: &str = "WARDMOTE_TEST_NAMESPACE";

/// A namespace that is removed at the end.
pub struct Namespace {
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Makes one with loopback up; `None` where that is not allowed here.
    pub fn make(salt: &str) -> Option<Self> {
        let name = format!("wm{}{salt}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.is_ok_and(|made| made.status.success()) {
            skip("a network namespace cannot be made (root and iproute2 are needed)");
            return None;
        }
        let made = Self { name };
        made.ip("link set lo up");
        Some(made)
    }

    /// Runs a program inside.
    #[allow(dead_code)] // not every test binary needs it
    pub fn run(&self, program: &str, words: &[&str]) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &self.name, program])
            .args(words)
            .output()
            .unwrap_or_else(|error| panic!("ip: {error}"))
    }

    /// `ip` inside; it must succeed.
    pub fn ip(&self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let told = Command::new("ip").args(["-n", &self.name]).args(&words).output();
        let told = told.unwrap_or_else(|error| panic!("ip: {error}"));
        assert!(told.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&told.stderr));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// What a test does when it cannot do anything.
pub fn skip(why: &str) {
    assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// Runs the named test once more inside of a namespace of its own; there, and only there, it is `true`.
#[allow(dead_code)] // not every test binary needs it
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // Names of interfaces and namespaces are short.
    let salt: String = test.bytes().map(u32::from).sum::<u32>().to_string();
    if let Some(namespace) = Namespace::make(&salt) {
        let binary = std::env::current_exe().unwrap_or_default();
        let words = ["netns", "exec", &namespace.name];
        let told = Command::new("ip")
            .args(words)
            .arg(binary)
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .output()
            .unwrap_or_else(|error| panic!("ip: {error}"));
        assert!(
            told.status.success() && String::from_utf8_lossy(&told.stdout).contains("1 passed"),
            "{}\n{}",
            String::from_utf8_lossy(&told.stdout),
            String::from_utf8_lossy(&told.stderr)
        );
    }
    false
}
