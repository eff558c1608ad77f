//! Asks the running service.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Context as _;

use super::status::Status;
use super::{ANSWER_BYTES_MAX, ASK_TIME, path};

/// How the service is; `None` where none runs. One that runs and does not answer is an error.
pub fn status(state: &Path) -> anyhow::Result<Option<Status>> {
    let path = path(state);
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(crate::pending::at(&path, &error)),
    };
    stream.set_read_timeout(Some(ASK_TIME))?;
    stream.set_write_timeout(Some(ASK_TIME))?;
    let asked = stream.write_all(b"{\"ask\":\"status\"}\n");
    let mut answer = Vec::new();
    asked
        .and_then(|()| stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer))
        .with_context(|| format!("{}: the service does not answer", path.display()))?;
    let status = serde_json::from_slice(&answer)
        .with_context(|| format!("{}: the service's answer makes no sense", path.display()))?;
    Ok(Some(status))
}
