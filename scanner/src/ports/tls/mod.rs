//! One TLS handshake with an endpoint: protocol, cipher, certificate, and what is wrong with them.
//!
//! Wardmote is an observer here: it takes **any** certificate and any signature ([`handshake`]), because
//! it wants to see what the service presents, and it never sends anything secret over such a connection.
//! Never use these streams to log in anywhere. What rustls (TLS 1.2 and 1.3) cannot agree with is asked
//! once more, with a hello made by hand, for what it answers in the clear ([`legacy`]).
//!
//! [`starttls`] is the talk before TLS, [`facts`] what follows from the certificates.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use parsers::tls::alert_name;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial::{Dialed, dial};
use super::report::TlsReport;

pub mod facts;
mod handshake;
mod legacy;
pub mod starttls;

pub use handshake::Stream;
pub use starttls::{Start, TalkError};

use facts::Shown;
use handshake::Outcome;
use starttls::{Step, Talk};

/// How long a polite goodbye may take.
const GOODBYE_WITHIN: Duration = Duration::from_millis(200);

/// Why there is no TLS to be seen. None of these is "no TLS here" but [`TlsError::NotTls`] and
/// [`TlsError::Talk`] with [`TalkError::NotOffered`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The port could not be connected to.
    #[error("not connected: {0}")]
    Connect(String),
    /// Nothing came in time: the stage.
    #[error("no answer in time ({0})")]
    Late(Stage),
    /// The talk before TLS did not come to TLS.
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// The service ended the handshake with an alert.
    #[error("the service ended the handshake: {}", alert(*.0))]
    Alert(u8),
    /// The service answered in the clear: what that looks like.
    #[error("no TLS: the service answers with {0}")]
    NotTls(&'static str),
    /// The service closed the connection without an answer.
    #[error("the service closed the connection ({0})")]
    Closed(Stage),
    /// The answer breaks the protocol.
    #[error("the service breaks the protocol: {0}")]
    Malformed(String),
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connecting.
    Connect,
    /// Before TLS.
    Talk,
    /// In the handshake.
    Handshake,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Connect => "while connecting",
            Self::Talk => "before TLS",
            Self::Handshake => "in the TLS handshake",
        })
    }
}

fn alert(description: u8) -> String {
    alert_name(description).map_or_else(|| format!("alert {description}"), str::to_string)
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    address: SocketAddr,
    start: Start,
    name: Option<&'a str>,
}

/// One handshake, and a second with an old hello where the first finds no common ground; then goodbye.
/// `name` is the host's name for SNI and for the comparison of names; `within` bounds all of it.
pub async fn look(
    address: SocketAddr,
    start: Start,
    name: Option<&str>,
    within: Duration,
) -> Result<TlsReport, TlsError> {
    let (report, stream) = connect(address, start, name, within).await?;
    if let Some(mut stream) = stream {
        // close_notify: otherwise some services log a broken connection.
        let _ = tokio::time::timeout(GOODBYE_WITHIN, stream.shutdown()).await;
    }
    Ok(report)
}

/// As [`look`], and the stream to speak on inside TLS; there is none where the service wanted a
/// certificate of ours or speaks only what is older than TLS 1.2.
pub async fn connect(
    address: SocketAddr,
    start: Start,
    name: Option<&str>,
    within: Duration,
) -> Result<(TlsReport, Option<Stream>), TlsError> {
    let ask = Ask { address, start, name };
    let mut stage = Stage::Connect;
    let asked = tokio::time::timeout(within, ask.both(within, &mut stage)).await;
    let (shown, stream) = asked.unwrap_or(Err(TlsError::Late(stage)))?;
    Ok((facts::report(&shown, start, name, Timestamp::now()), stream))
}

impl Ask<'_> {
    async fn both(
        &self,
        within: Duration,
        stage: &mut Stage,
    ) -> Result<(Shown, Option<Stream>), TlsError> {
        let stream = self.begin(within, stage).await?;
        *stage = Stage::Handshake;
        match handshake::shake(stream, self.name, self.address.ip()).await {
            Outcome::Done(shown, stream) => Ok((shown, Some(*stream))),
            Outcome::Shown(shown) => Ok((shown, None)),
            Outcome::Failed(error @ TlsError::NotTls(_)) => Err(error),
            Outcome::Failed(first) => {
                let stream = self.begin(within, stage).await?;
                *stage = Stage::Handshake;
                // What the modern hello was told is the better reason when neither is answered.
                let shown = legacy::ask(stream, self.name).await.map_err(|_| first)?;
                Ok((shown, None))
            }
        }
    }

    /// Connects and talks until TLS begins.
    async fn begin(&self, within: Duration, stage: &mut Stage) -> Result<Dialed, TlsError> {
        *stage = Stage::Connect;
        let mut stream = dial(self.address, within).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => TlsError::Late(Stage::Connect),
            _ => TlsError::Connect(error.to_string()),
        })?;
        *stage = Stage::Talk;
        if self.start != Start::Direct {
            let mut talk = Talk::new(self.start);
            if let Err(error) = converse(&mut stream, &mut talk).await {
                let goodbye = stream.write_all(talk.goodbye());
                let _ = tokio::time::timeout(GOODBYE_WITHIN, goodbye).await;
                return Err(error);
            }
        }
        Ok(stream)
    }
}

async fn converse(stream: &mut Dialed, talk: &mut Talk) -> Result<(), TlsError> {
    let closed = |_| TlsError::Closed(Stage::Talk);
    stream.write_all(talk.opening()).await.map_err(closed)?;
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.map_err(closed)?;
        if count == 0 {
            return Err(TlsError::Closed(Stage::Talk));
        }
        match talk.feed(&buffer[..count])? {
            Step::More => {}
            Step::Send(bytes) => stream.write_all(bytes).await.map_err(closed)?,
            Step::Handshake(bytes) => return stream.write_all(bytes).await.map_err(closed),
        }
    }
}

/// What an answer in the clear looks like, by its first bytes; `None` for what may be TLS, or too short.
fn spoken(first: &[u8]) -> Option<&'static str> {
    let is_tls =
        |first: &[u8]| (20..=23).contains(&first[0]) && first.get(1).is_none_or(|m| *m == 3);
    match first {
        [] => None,
        first if is_tls(first) => None,
        first if first.starts_with(b"HTTP/") || first.starts_with(b"<") => Some("HTTP"),
        first if first.starts_with(b"SSH-") => Some("SSH"),
        first if first.starts_with(b"* ") => Some("IMAP"),
        first if first.starts_with(b"+OK") => Some("POP3"),
        [a, b, c, b' ' | b'-', ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
            Some("SMTP or FTP")
        }
        first if first.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            Some("text")
        }
        _ => Some("another binary protocol"),
    }
}

#[cfg(test)]
mod tests {
    use super::spoken;

    #[test]
    fn answers_in_the_clear_are_named() {
        for (first, expected) in [
            (&b"HTTP/1.1 400 Bad Request"[..], Some("HTTP")),
            (b"<html>", Some("HTTP")),
            (b"SSH-2.0-x", Some("SSH")),
            (b"220 mx", Some("SMTP or FTP")),
            (b"hello", Some("text")),
            (&[0, 1, 2], Some("another binary protocol")),
            (&[22, 3, 3], None),
            (&[21, 2], Some("another binary protocol")),
            (&[22], None),
            (&[], None),
        ] {
            assert_eq!(spoken(first), expected, "{first:?}");
        }
    }
}
