//! The side that asks. Where nobody listens the answer is `None`, and whoever asked does it itself.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::super::{Blocked, Failed};
use super::{Answer, Entry, LINE_BYTES_MAX, Question};

/// How long an answer may take: `nft` has five seconds.
const ANSWER_TIME: Duration = Duration::from_secs(8);

/// Has exactly these networks blocked.
pub fn only(socket: &Path, blocks: &[Blocked]) -> Option<Result<(), Failed>> {
    let question = Question::Only { blocks: entries(blocks) };
    Some(match ask(socket, &question)? {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::Refused(why) | Answer::Failed(why)) => Err(Failed::Nothing(why)),
        Ok(Answer::Unknown(why)) | Err(why) => Err(Failed::Halfway(why)),
        Ok(other) => Err(Failed::Halfway(unexpected(&other))),
    })
}

/// Asks whether exactly these networks are blocked.
pub fn stand(socket: &Path, blocks: &[Blocked]) -> Option<Result<bool, String>> {
    let question = Question::Stand { blocks: entries(blocks) };
    Some(match ask(socket, &question)? {
        Ok(Answer::Stand(stand)) => Ok(stand),
        Ok(Answer::Refused(why) | Answer::Failed(why) | Answer::Unknown(why)) | Err(why) => {
            Err(why)
        }
        Ok(other) => Err(unexpected(&other)),
    })
}

fn entries(blocks: &[Blocked]) -> Vec<Entry> {
    blocks.iter().copied().map(Entry::from).collect()
}

fn unexpected(answer: &Answer) -> String {
    format!("wardmote-block answered something else: {answer:?}").chars().take(200).collect()
}

/// One question and its answer; `None` where nobody listens.
pub(super) fn ask(socket: &Path, question: &Question) -> Option<Result<Answer, String>> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied
            ) =>
        {
            return None;
        }
        Err(error) => return Some(Err(format!("{}: {error}", socket.display()))),
    };
    let mut talk = || -> std::io::Result<Answer> {
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        stream.set_write_timeout(Some(ANSWER_TIME))?;
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = Vec::new();
        (&stream).take(LINE_BYTES_MAX as u64).read_to_end(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    };
    Some(talk().map_err(|error| format!("wardmote-block: {error}")))
}
