//! One probe of another host, on tokio: a connection, its outcome, and a reset.
//!
//! A connection that is given up is closed, and the kernel forgets one that is not established at once:
//! no stray lives on for the two minutes that its own SYN retries would take.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::TcpSocket;

use super::{State, is_local, reason};

/// What came of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The host accepted, after so long. `doubtful`: both ends have the same address, so that the other
    /// end may be a socket of our own.
    Accepted { took: Duration, doubtful: bool },
    /// It refused, after so long.
    Refused(Duration),
    /// Something in between answered.
    Between(&'static str),
    /// Nothing.
    Silent,
    /// This host could not ask.
    FailedHere(i32),
}

/// Asks once and waits for at most `timeout`.
pub(super) async fn ask(address: SocketAddr, timeout: Duration) -> Answer {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return classify(&error, Duration::ZERO),
    };
    let since = Instant::now();
    match tokio::time::timeout(timeout, socket.connect(address)).await {
        Err(_) => Answer::Silent,
        Ok(Err(error)) => classify(&error, since.elapsed()),
        Ok(Ok(stream)) => {
            let took = since.elapsed();
            // Reset, so that this host keeps no TIME_WAIT.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            let (Ok(ours), Ok(theirs)) = (stream.local_addr(), stream.peer_addr()) else {
                // Reset by the other end already: it did accept.
                return Answer::Accepted { took, doubtful: false };
            };
            if ours == theirs {
                // Nobody answered but this very socket.
                return Answer::FailedHere(Errno::ADDRINUSE.raw_os_error());
            }
            Answer::Accepted { took, doubtful: ours.ip() == theirs.ip() }
        }
    }
}

fn classify(error: &std::io::Error, took: Duration) -> Answer {
    let number = error.raw_os_error().unwrap_or(0);
    let errno = Errno::from_raw_os_error(number.clamp(1, 4095));
    match errno {
        Errno::CONNREFUSED => Answer::Refused(took),
        Errno::TIMEDOUT => Answer::Silent,
        errno if is_local(errno) => Answer::FailedHere(number),
        errno => Answer::Between(reason(errno)),
    }
}

/// The state that an answer means, where it is final.
impl Answer {
    pub(super) fn state(self) -> State {
        match self {
            Self::Accepted { took, .. } => State::open(took),
            Self::Refused(_) => State::Closed,
            Self::Between(reason) => State::Filtered(reason),
            Self::Silent => State::Filtered(super::TIMEOUT),
            Self::FailedHere(errno) => State::LocalError(errno),
        }
    }
}
