//! The way to the running service: a unix socket in the state directory, one question and one answer a
//! connection, each a line of JSON.
//!
//! Only root and the service's own user are answered (SO_PEERCRED); the directory keeps others away before
//! that. Bounded: [`QUESTION_BYTES_MAX`], [`ANSWER_BYTES_MAX`], [`ASK_TIME`] a connection, one at a time, so
//! that nobody holds the service up for longer. Answers are of what the loop last wrote down; no question
//! changes anything.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

pub mod client;
pub mod status;

use self::status::Status;

/// Most bytes of a question.
const QUESTION_BYTES_MAX: u64 = 4 << 10;
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Longest time for one connection.
const ASK_TIME: Duration = Duration::from_secs(2);

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "ask")]
enum Question {
    /// How things are.
    Status,
}

/// What the loop writes down for whoever asks.
pub type Shared = Arc<Mutex<Status>>;

/// Where the socket is.
pub fn path(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Listens in the state directory. What an earlier service left there is removed: its lock is held by this
/// one.
pub fn listen(state: &Path) -> std::io::Result<UnixListener> {
    let path = path(state);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until the runtime ends.
pub async fn serve(listener: UnixListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Whoever does not read its answer loses it.
                let _ = timeout(ASK_TIME, answer(stream, &shared)).await;
            }
            // Out of descriptors or memory: others may give some back.
            Err(_) => tokio::time::sleep(ASK_TIME).await,
        }
    }
}

async fn answer(mut stream: UnixStream, shared: &Shared) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let mut question = Vec::new();
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? == 1 && byte != [b'\n'] {
        question.push(byte[0]);
        if question.len() as u64 > QUESTION_BYTES_MAX {
            return Ok(());
        }
    }
    let mut line = match serde_json::from_slice(&question) {
        Ok(Question::Status) => {
            let status = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            serde_json::to_vec(&status)?
        }
        Err(_) => br#"{"error":"no such question"}"#.to_vec(),
    };
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn served(test: impl FnOnce(&Path) + Send + 'static) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // A service that was killed leaves its socket behind.
            drop(listen(dir.path()).unwrap());
            let listener = listen(dir.path()).unwrap();
            let shared = Shared::default();
            shared.lock().unwrap().pid = 77;
            tokio::spawn(serve(listener, shared));
            let state = dir.path().to_path_buf();
            tokio::task::spawn_blocking(move || test(&state)).await.unwrap();
        });
    }

    #[test]
    fn the_service_says_how_it_is() {
        served(|state| {
            assert_eq!(std::fs::metadata(path(state)).unwrap().permissions().mode() & 0o777, 0o600);
            let status = client::status(state).unwrap().expect("it runs");
            assert_eq!(status.pid, 77);
        });
    }

    #[test]
    fn nobody_there_is_no_error_and_nonsense_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        assert!(client::status(dir.path()).unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(path(dir.path())).unwrap());
        assert!(client::status(dir.path()).unwrap().is_none(), "a socket that was left behind");
        served(|state| {
            let ask = |bytes: &[u8]| {
                let mut stream = std::os::unix::net::UnixStream::connect(path(state)).unwrap();
                let _ = stream.write_all(bytes);
                let mut answer = String::new();
                let _ = stream.read_to_string(&mut answer);
                answer
            };
            assert!(ask(b"{}\n").contains("no such question"));
            assert!(ask(b"\xff\n").contains("no such question"));
            assert_eq!(ask(&vec![b'x'; 10_000]), "", "too long");
            assert!(client::status(state).unwrap().is_some(), "it goes on");
        });
    }
}
