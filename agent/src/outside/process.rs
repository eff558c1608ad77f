//! A command that runs beside this one and exchanges lines with it.
//!
//! Three threads (writing, reading, taking what it says on stderr) so that nothing it does or leaves
//! undone blocks the caller: each holds a bounded amount, and all end when the pipes do. At the end the
//! whole process group is killed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consensus::outside::LINE_BYTES_MAX;
use rustix::process::{Pid, Signal, kill_process_group};

use super::owner;

/// Lines that wait to be heard; the command waits meanwhile.
const WAITING_MAX: usize = 4;
/// Questions that wait to be written.
const UNWRITTEN_MAX: usize = 2;
/// Bytes of stderr that are kept: its last line says why it ended.
const STDERR_BYTES_MAX: u64 = 16 << 10;
/// How long its last words on stderr are waited for, once it has ended: so many times this long.
const LAST_WORDS_WAITS: usize = 20;
const LAST_WORDS_WAIT: Duration = Duration::from_millis(5);
/// The only path in its environment.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What came from the command.
pub enum Heard {
    /// A line without its end.
    Line(Vec<u8>),
    /// There is no more, and why.
    End(String),
}

/// A running command with the pipes to it.
pub struct Started<P> {
    /// Ends the command when it is dropped.
    pub hold: Hold,
    /// What it reads.
    pub stdin: P,
    /// What it says.
    pub stdout: P,
    /// What it complains of.
    pub stderr: P,
}

/// The end of a command: dropping this ends it.
pub trait End: Send {}

/// What ends a command.
pub type Hold = Box<dyn End>;

/// A command of this process.
struct Own(Child);

impl End for Own {}

/// A running command.
pub struct Process {
    _hold: Hold,
    questions: SyncSender<String>,
    lines: Receiver<Heard>,
}

impl Started<OwnedFd> {
    /// Starts a command; an error that names it.
    pub fn start(command: &[String]) -> Result<Self, String> {
        let words = owner::checked(command, rustix::process::geteuid().is_root())?;
        let name = words[0].display().to_string();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = without_rights(command).map_err(|error| format!("{name}: {error}"))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(format!("{name}: no pipes"));
        };
        let hold = Box::new(Own(child));
        Ok(Self { hold, stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into() })
    }
}

impl Process {
    /// Starts a command; an error that names it.
    pub fn start(command: &[String]) -> Result<Self, String> {
        Started::start(command).map(Self::talking)
    }

    /// Talks with a command that runs.
    pub fn talking(started: Started<OwnedFd>) -> Self {
        let Started { hold, stdin, stdout, stderr } = started;
        let (stdin, stdout, stderr) = (File::from(stdin), File::from(stdout), File::from(stderr));
        let (questions, unwritten) = sync_channel(UNWRITTEN_MAX);
        let (heard, lines) = sync_channel(WAITING_MAX);
        let complaint = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&complaint);
        let errors = std::thread::spawn(move || listen_to_errors(stderr, &said));
        std::thread::spawn(move || write_all(stdin, &unwritten));
        std::thread::spawn(move || {
            let why = read_all(stdout, &heard);
            // What it said on stderr before it ended may take a moment longer.
            for _ in 0..LAST_WORDS_WAITS {
                if errors.is_finished() {
                    break;
                }
                std::thread::sleep(LAST_WORDS_WAIT);
            }
            let said = complaint.lock().map(|said| said.clone()).unwrap_or_default();
            let why = if said.is_empty() { why } else { format!("{why} ({said})") };
            let _ = heard.send(Heard::End(why));
        });
        Self { _hold: hold, questions, lines }
    }

    /// Hands over a question; `false` where earlier ones still wait to be read.
    pub fn tell(&mut self, question: &str) -> bool {
        match self.questions.try_send(question.to_string()) {
            Ok(()) => true,
            // It has closed its stdin; that it ended is heard.
            Err(TrySendError::Disconnected(_)) => true,
            Err(TrySendError::Full(_)) => false,
        }
    }

    /// The next line, if it comes in time.
    pub fn hear(&mut self, within: Duration) -> Option<Heard> {
        match self.lines.recv_timeout(within) {
            Ok(heard) => Some(heard),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Some(Heard::End(ENDED.into())),
        }
    }

    /// A line that is there already.
    pub fn already_heard(&mut self) -> Option<Heard> {
        self.lines.try_recv().ok()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Until it is reaped the group's number is its own: nobody else's processes can be hit.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        // It may have left its group.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command without what this process may do beyond its user: rights of a thread are inherited
/// by what the thread starts, so they are given up on one that does nothing else.
fn without_rights(mut command: Command) -> std::io::Result<Child> {
    let start = move || {
        rustix::thread::clear_ambient_capability_set()?;
        rustix::thread::set_no_new_privs(true)?;
        command.spawn()
    };
    let ended = std::thread::spawn(start).join();
    ended.unwrap_or_else(|_| Err(std::io::Error::other("it could not be started")))
}

const ENDED: &str = "it ended";

fn write_all(mut stdin: File, questions: &Receiver<String>) {
    for question in questions {
        if stdin.write_all(question.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Reads lines until there are none, or one is too long, or nobody listens; why it stopped.
fn read_all(stdout: File, heard: &SyncSender<Heard>) -> String {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let most = LINE_BYTES_MAX as u64 + 1;
        match stdout.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) => return ENDED.into(),
            Err(error) => return error.to_string(),
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
            }
            Ok(_) if line.len() > LINE_BYTES_MAX => {
                return format!("a line longer than {LINE_BYTES_MAX} bytes");
            }
            Ok(_) => {}
        }
        if heard.send(Heard::Line(line)).is_err() {
            return ENDED.into();
        }
    }
}

/// Keeps the last line of the first bytes; the rest is taken and forgotten.
fn listen_to_errors(mut stderr: File, said: &Mutex<String>) {
    let mut text = Vec::new();
    let mut first = BufReader::new(Read::by_ref(&mut stderr).take(STDERR_BYTES_MAX));
    while first.read_until(b'\n', &mut text).is_ok_and(|read| read > 0) {
        let line = String::from_utf8_lossy(&text).trim().to_string();
        if let (false, Ok(mut said)) = (line.is_empty(), said.lock()) {
            *said = scanner::redact::line(&line).chars().take(200).collect();
        }
        text.clear();
    }
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
}
