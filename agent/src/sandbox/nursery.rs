//! A thread that starts children and never ends.
//!
//! A child asks to be killed when its parent dies (`PR_SET_PDEATHSIG`), and its parent is the thread that
//! started it: one of a pool, which ends when it is idle, would take the child along.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

type Wanted = (Command, Sender<io::Result<Child>>);

static NURSERY: OnceLock<Mutex<Sender<Wanted>>> = OnceLock::new();

/// Starts a program from the thread that never ends.
pub fn start(command: Command) -> io::Result<Child> {
    let nursery = NURSERY.get_or_init(|| {
        let (wants, wanted) = channel::<Wanted>();
        // Where no thread can be made, nobody listens, and starting fails.
        let _ = std::thread::Builder::new().name("nursery".into()).spawn(move || {
            // What this thread starts inherits its rights: a child of a user that is not root then has none
            // from its first instruction, also where a unit's filter lets nobody set them.
            let _ = rustix::thread::clear_ambient_capability_set();
            for (mut command, answer) in wanted {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(wants)
    });
    let nobody = || io::Error::other("no thread can be made");
    let (answer, child) = channel();
    let sent = nursery.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer));
    sent.map_err(|_| nobody())?;
    child.recv().map_err(|_| nobody())?
}
