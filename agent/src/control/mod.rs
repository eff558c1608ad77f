//! The way to the running service: a unix socket in the state directory, one question and one answer a
//! connection, each a line of JSON ([`words`]).
//!
//! Root and the service's own user may ask everything. Where the configuration names operators there is a
//! second socket in the run directory, for them; who is at the other end the kernel says (SO_PEERCRED).
//! Bounded: [`QUESTION_BYTES_MAX`], [`REPLY_BYTES_MAX`], [`ASK_TIME`] to ask, [`WORK_TIME`] to answer,
//! [`ASKING_MAX`] at once on each socket, so that strangers cannot keep root out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub mod answer;
pub mod client;
pub mod metrics;
pub mod status;
#[cfg(test)]
mod tests;
pub mod words;

use self::answer::{Answers, Peer};
use self::status::Status;
use crate::settings::Settings;

/// Most bytes of a question.
const QUESTION_BYTES_MAX: u64 = 4 << 10;
/// Most bytes of the answer to `status`.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of any other answer.
const REPLY_BYTES_MAX: u64 = 8 << 20;
/// Longest time for asking, and for taking the answer.
const ASK_TIME: Duration = Duration::from_secs(2);
/// Longest time for what was asked: the lock of responses is waited for up to ten seconds.
const WORK_TIME: Duration = Duration::from_secs(30);
/// Connections at once on one socket.
const ASKING_MAX: usize = 8;
/// Where operators find the host's own service.
pub const SYSTEM_SOCKET: &str = "/run/wardmote/agent/control.sock";

/// What the loop writes down for whoever asks.
#[derive(Debug, Default)]
pub struct Board {
    status: Mutex<Status>,
    settings: Mutex<Settings>,
}

/// The board that the loop and the sockets share.
pub type Shared = Arc<Board>;

impl Board {
    /// How things were last.
    pub fn status(&self) -> Status {
        locked(&self.status).clone()
    }

    /// The settings that hold.
    pub fn settings(&self) -> Settings {
        locked(&self.settings).clone()
    }

    /// Things are so now.
    pub fn write_status(&self, status: Status) {
        *locked(&self.status) = status;
    }

    /// These settings hold from now on.
    pub fn write_settings(&self, settings: Settings) {
        *locked(&self.settings) = settings;
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the socket is.
pub fn path(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Listens in the state directory.
pub fn listen(state: &Path) -> std::io::Result<UnixListener> {
    bind(&path(state), 0o600)
}

/// Listens for operators, in the directory that systemd made for this service (`RuntimeDirectory=`); `None`
/// where nobody is one or there is no such directory.
pub fn listen_for_operators(settings: &Settings) -> std::io::Result<Option<UnixListener>> {
    let folder = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    match folder.filter(|folder| folder.is_absolute() && !settings.agent.operators.is_empty()) {
        Some(folder) => bind(&path(&folder), 0o666).map(Some),
        None => Ok(None),
    }
}

/// Listens at a path. What an earlier service left there is removed: its lock is held by this one.
fn bind(path: &Path, mode: u32) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(std::io::Error::other("something else than a socket is there")),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    Ok(listener)
}

/// Answers until the runtime ends.
pub async fn serve(listener: UnixListener, answers: Answers) {
    let room = Arc::new(Semaphore::new(ASKING_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    // Whoever does not read its answer loses it.
                    let _ = answer(stream, answers).await;
                    drop(place);
                });
            }
            // Out of descriptors or memory: others may give some back.
            Err(_) => tokio::time::sleep(ASK_TIME).await,
        }
    }
}

async fn answer(mut stream: UnixStream, answers: Answers) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let Some(question) = timeout(ASK_TIME, question(&mut stream)).await?? else { return Ok(()) };
    let work = tokio::task::spawn_blocking(move || {
        let peer = answers.peer(uid);
        (answers.line(&question, peer), peer)
    });
    let (mut line, peer) = timeout(WORK_TIME, work).await??;
    if line.len() as u64 >= REPLY_BYTES_MAX {
        let why =
            crate::exit::hinted("the answer is too long", "use sudo: it reads the store itself");
        line = serde_json::to_vec(&words::Reply::of_error(&why))?;
    }
    line.push(b'\n');
    let patience = if matches!(peer, Peer::Stranger(_)) { ASK_TIME } else { WORK_TIME };
    timeout(patience, stream.write_all(&line)).await??;
    stream.shutdown().await
}

/// One line; `None` where it is too long or no line comes.
async fn question(stream: &mut UnixStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut question = Vec::new();
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? == 1 {
        if byte == [b'\n'] {
            return Ok(Some(question));
        }
        question.push(byte[0]);
        if question.len() as u64 > QUESTION_BYTES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(question))
}
