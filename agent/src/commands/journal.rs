//! The systemd journal by way of `journalctl -o export`: started here, read by the scanner.
//!
//! The program gets no input, its messages are dropped, and it is ended when reading ends. It is
//! never started for a mounted tree.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running `journalctl`, or none where there is no such program.
#[derive(Debug, Default)]
pub struct Journal {
    child: Option<Child>,
    output: Option<ChildStdout>,
}

impl Journal {
    /// No journal.
    pub fn none() -> Self {
        Self::default()
    }

    /// Starts it after a cursor, or where there is none from a time on (seconds since the epoch).
    pub fn start(since: i64, after_cursor: Option<&str>) -> Self {
        let mut command = Command::new("journalctl");
        command.args(["--output=export", "--no-pager", "--quiet"]);
        match after_cursor {
            Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
            None => command.arg(format!("--since=@{since}")),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        match command.spawn() {
            Ok(mut child) => {
                let output = child.stdout.take();
                Self { child: Some(child), output }
            }
            Err(_) => Self::none(),
        }
    }

    /// What it says.
    pub fn reader(&mut self) -> Option<&mut dyn Read> {
        self.output.as_mut().map(|output| output as &mut dyn Read)
    }

    /// Ends it; what to say when it failed.
    pub fn end(mut self) -> Option<String> {
        // With nobody to read, a program that still writes ends by itself.
        drop(self.output.take());
        match self.child.take()?.wait() {
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("journal: journalctl ended with {status}")),
            Err(error) => Some(format!("journal: {error}")),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
