//! One progress line on stderr, on a terminal only, when something takes longer than a second.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Shows what is being done until it is dropped.
pub struct Progress {
    say: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Silence before the first line.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two redraws.
const REDRAW: Duration = Duration::from_millis(250);

impl Progress {
    /// Starts; shows nothing when quiet or when stderr is no terminal.
    pub fn start(quiet: bool, doing: &str) -> Self {
        let doing = doing.to_string();
        Self::telling(quiet, move |elapsed| format!("{doing} ({} s)", elapsed.as_secs()))
    }

    /// The same with words that change, from the time since it began.
    pub fn telling(quiet: bool, doing: impl Fn(Duration) -> String + Send + 'static) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { say: None };
        }
        let (sender, receiver) = channel::<()>();
        let started = Instant::now();
        let handle = std::thread::spawn(move || {
            let mut wait = PATIENCE;
            let mut drawn = false;
            loop {
                if receiver.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
                wait = REDRAW;
                drawn = true;
                eprint!("\r\x1b[Kwardmote: {}", doing(started.elapsed()));
                let _ = std::io::stderr().flush();
            }
            if drawn {
                eprint!("\r\x1b[K");
            }
        });
        Self { say: Some((sender, handle)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, handle)) = self.say.take() {
            drop(sender);
            let _ = handle.join();
        }
    }
}
