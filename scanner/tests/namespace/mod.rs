//! Network namespaces of a test's own: made, entered by running the test again inside, removed.

// Every test binary uses its part.
#![allow(dead_code)]

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};

/// Set for a test that runs inside; its value is the namespace's name.
const INSIDE: &str = "WARDMOTE_TEST_INSIDE";
/// What [`serve`] listens on, for a test binary that runs as the other host.
const SERVE: &str = "WARDMOTE_TEST_SERVE";

/// A network namespace, removed when dropped.
pub struct Namespace {
    pub name: String,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

pub fn run(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).status().is_ok_and(|status| status.success())
}

impl Namespace {
    /// `None` where namespaces cannot be made: the test is skipped, or fails if peers are required.
    pub fn new(purpose: &str) -> Option<Self> {
        let name = format!("wm{}{purpose}", std::process::id());
        let made = run(&["ip", "netns", "add", &name]);
        if !made {
            skip("network namespaces need root and iproute2");
            return None;
        }
        let namespace = Self { name };
        assert!(run(&["ip", "-n", &namespace.name, "link", "set", "lo", "up"]));
        Some(namespace)
    }

    /// Runs a program inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs this test binary's test of that name inside, and fails when it does.
    pub fn run_test(&self, test: &str) {
        let exe = std::env::current_exe().unwrap();
        let mut command = self.command(exe.to_str().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(INSIDE, &self.name);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a program inside to its end.
    pub fn output(&self, program: &str, words: &[&str]) -> Output {
        self.command(program).args(words).output().unwrap()
    }

    /// `ip` inside; it must succeed.
    pub fn ip(&self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let told = Command::new("ip").args(["-n", &self.name]).args(&words).output().unwrap();
        assert!(told.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&told.stderr));
    }

    /// Feeds nftables inside.
    pub fn nft(&self, rules: &str) {
        let mut nft = self.command("nft");
        let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(nft.stdin.as_mut().unwrap(), rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{rules}");
    }

    /// Listens inside, from another process, until that is dropped.
    pub fn serve(&self, address: &str, ports: &[u16]) -> Server {
        let exe = std::env::current_exe().unwrap();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut child = self
            .command(exe.to_str().unwrap())
            .args(["--exact", "serves_for_other_tests", "--nocapture"])
            .env(SERVE, format!("{address} {}", ports.join(" ")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let out = child.stdout.as_mut().unwrap();
        while !said.contains("READY") {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).unwrap(), 1, "the server ended: {said}");
            said.push(char::from(byte[0]));
        }
        Server(child)
    }
}

/// A process that listens; it ends with its stdin.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Whether this process is to run a test's inner part.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the named test once more inside of a namespace of its own; there, and only there, it is `true`.
pub fn inside(test: &str) -> bool {
    if is_inside() {
        return true;
    }
    // Names of interfaces and namespaces are short.
    let purpose = test.bytes().map(u32::from).sum::<u32>().to_string();
    if let Some(here) = Namespace::new(&purpose) {
        here.run_test(test);
    }
    false
}

/// What a test does when it cannot do anything.
pub fn skip(why: &str) {
    assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "{why}");
    eprintln!("SKIPPED: {why}");
}

/// The server's side: holds the listeners until its stdin ends. Nothing to do in an ordinary run.
pub fn serve() {
    let Ok(wanted) = std::env::var(SERVE) else { return };
    let mut words = wanted.split(' ');
    let address: std::net::IpAddr = words.next().unwrap().parse().unwrap();
    let held: Vec<std::net::TcpListener> = words
        .map(|port| std::net::TcpListener::bind((address, port.parse::<u16>().unwrap())).unwrap())
        .collect();
    println!("READY");
    let _ = std::io::stdin().read(&mut [0]);
    drop(held);
}

/// Two hosts with a wire in between: 10.99.0.1 and 10.99.0.2.
pub fn two_hosts(purpose: &str) -> Option<(Namespace, Namespace)> {
    let ours = Namespace::new(&format!("{purpose}a"))?;
    let theirs = Namespace::new(&format!("{purpose}b"))?;
    assert!(run(&[
        "ip",
        "link",
        "add",
        "veth0",
        "netns",
        &ours.name,
        "type",
        "veth",
        "peer",
        "name",
        "veth0",
        "netns",
        &theirs.name
    ]));
    for (host, address) in [(&ours, "10.99.0.1/16"), (&theirs, "10.99.0.2/16")] {
        assert!(run(&["ip", "-n", &host.name, "address", "add", address, "dev", "veth0"]));
        assert!(run(&["ip", "-n", &host.name, "link", "set", "veth0", "up"]));
    }
    Some((ours, theirs))
}
