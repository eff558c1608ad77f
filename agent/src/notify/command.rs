//! A command of the operator's: the note as JSON on its stdin, no shell, a bare environment, a time limit.
//!
//! Root runs only what root alone could have written (as for experts). When its time is up, or when it has
//! ended, its whole process group is killed.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Failure, Note, Notifier};
use crate::outside::owner;
use crate::settings::NotifyCommandSettings;

/// The only path in its environment.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One command.
pub struct Command {
    words: Vec<String>,
    timeout: Duration,
}

impl Command {
    /// The operator's words.
    pub fn new(settings: &NotifyCommandSettings) -> Self {
        Self { words: settings.run.clone(), timeout: settings.timeout.0 }
    }
}

impl Notifier for Command {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let input = format!("{}\n", note.json());
        run(&self.words, input.as_bytes(), self.timeout).map_err(Failure::Later)
    }
}

/// Runs a command with something on its stdin; an error unless it ends with 0 in time.
pub fn run(words: &[String], input: &[u8], timeout: Duration) -> Result<(), String> {
    let words = owner::checked(words, rustix::process::geteuid().is_root())?;
    let name = words[0].display().to_string();
    let fail = |error: std::io::Error| format!("{name}: {error}");
    let mut command = std::process::Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut running = Running(without_capabilities(command).map_err(fail)?);
    let stdin = running.0.stdin.take();
    let input = input.to_vec();
    // On a thread: one that reads nothing must not hold up the watch.
    let feeder = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let deadline = Instant::now() + timeout;
    let ended = loop {
        match running.0.try_wait().map_err(fail)? {
            Some(status) => break Ok(status),
            None if Instant::now() >= deadline => break Err(()),
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    // The pipe's other end is closed then, so the feeder ends.
    drop(running);
    let _ = feeder.join();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}: {status}")),
        Err(()) => Err(format!("{name}: not done after {} s, killed", timeout.as_secs_f64())),
    }
}

/// Starts a command without this process's capabilities: a thread's are inherited by what it starts, so they
/// are given up on one that does nothing else. (Not more than that: `sendmail` changes its group.)
fn without_capabilities(mut command: std::process::Command) -> std::io::Result<Child> {
    let start = move || {
        rustix::thread::clear_ambient_capability_set()?;
        command.spawn()
    };
    let ended = std::thread::spawn(start).join();
    ended.unwrap_or_else(|_| Err(std::io::Error::other("it could not be started")))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its group is its own as long as anything of it lives.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
