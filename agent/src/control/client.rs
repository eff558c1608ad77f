//! Asks the running service.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::status::Status;
use super::words::{Ask, Question, Reply, VERSION, Who};
use super::{ANSWER_BYTES_MAX, ASK_TIME, REPLY_BYTES_MAX, SYSTEM_SOCKET, WORK_TIME, path};
use crate::commands::Global;
use crate::exit::hinted;
use crate::settings::state_directory;

/// How the service is; `None` where none runs. One that runs and does not answer is an error.
pub fn status(state: &Path) -> anyhow::Result<Option<Status>> {
    let path = path(state);
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(crate::pending::at(&path, &error)),
    };
    status_from(stream, &path).map(Some)
}

/// How the host's own service is, for somebody to whom its state directory is closed.
pub fn system_status(global: &Global) -> anyhow::Result<Option<Status>> {
    let Some(path) = system_socket(global) else { return Ok(None) };
    match UnixStream::connect(path) {
        Ok(stream) => status_from(stream, path).map(Some),
        Err(_) => Ok(None),
    }
}

fn status_from(stream: UnixStream, path: &Path) -> anyhow::Result<Status> {
    let answer = exchange(stream, b"{\"ask\":\"status\"}\n", ASK_TIME, ANSWER_BYTES_MAX)
        .with_context(|| format!("{}: the service does not answer", path.display()))?;
    match serde_json::from_slice(&answer) {
        Ok(status) => Ok(status),
        Err(error) => match serde_json::from_slice(&answer) {
            Ok(Reply::Refused { error, hint, exit }) => Err(Reply::error(&error, &hint, exit)),
            _ => Err(error).with_context(|| {
                format!("{}: the service's answer makes no sense", path.display())
            }),
        },
    }
}

/// Has the service of this state directory do it; `None` where none runs, or where its socket is closed to us.
pub fn ask(global: &Global, ask: &Ask, who: Option<Who>) -> anyhow::Result<Option<Reply>> {
    one(&path(&state_directory(global.state_dir.as_deref())), ask, who)
}

/// Has the host's own service do it, for operators to whom its state directory is closed.
pub fn ask_system(global: &Global, ask: &Ask) -> anyhow::Result<Option<Reply>> {
    match system_socket(global) {
        Some(path) => one(path, ask, None),
        None => Ok(None),
    }
}

/// Only whoever named no other place, and is not root, means the host's own service beside their own state.
fn system_socket(global: &Global) -> Option<&'static Path> {
    let root = rustix::process::geteuid().is_root();
    (global.state_dir.is_none() && !root).then(|| Path::new(SYSTEM_SOCKET))
}

fn one(path: &Path, ask: &Ask, who: Option<Who>) -> anyhow::Result<Option<Reply>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) || error.kind() == ErrorKind::PermissionDenied => {
            return Ok(None);
        }
        Err(error) => return Err(crate::pending::at(path, &error)),
    };
    let question = Question { v: VERSION, who, ask: ask.clone() };
    let mut line = serde_json::to_vec(&question)?;
    line.push(b'\n');
    let answer = exchange(stream, &line, WORK_TIME + ASK_TIME, REPLY_BYTES_MAX)
        .with_context(|| format!("{}: the service does not answer", path.display()))?;
    match serde_json::from_slice(&answer) {
        Ok(reply) => Ok(Some(reply)),
        Err(_) => Err(hinted(
            format!("{}: the service's answer makes no sense", path.display()),
            "it is of another version, or stopped meanwhile: systemctl restart wardmote",
        )),
    }
}

fn is_nobody(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn exchange(
    mut stream: UnixStream,
    line: &[u8],
    patience: Duration,
    most: u64,
) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(ASK_TIME))?;
    // A service that does not want to hear more has answered already.
    let asked = stream.write_all(line);
    let mut answer = Vec::new();
    match stream.take(most).read_to_end(&mut answer) {
        Ok(0) => asked.and(Ok(answer)),
        read => read.map(|_| answer),
    }
}
