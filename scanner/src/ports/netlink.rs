//! Netlink dumps (RFC 3549, netlink(7)): one request, many answers, an end.
//!
//! Decoding is pure: [`Dump::feed`] takes a datagram's bytes, however hostile, and never reads past
//! them. A dump that the kernel says changed while it was made (`NLM_F_DUMP_INTR`) is made again; a
//! dump without an end, an error message or a cut datagram is an error, never a short list.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::gate::{Asked, Table};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_REQ_BYTES: usize = 56;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFADDRMSG_BYTES: usize = 8;

/// Most bytes of one datagram; the kernel fills at most 32 KiB.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Most messages of one dump.
pub const MESSAGES_MAX: usize = 1_000_000;
/// How often a dump that changed under us is made again.
const ATTEMPTS_MAX: usize = 5;
/// Longest wait for one datagram; the kernel answers at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

const HEADER_BYTES: usize = 16;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// Why a dump could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel, or a sandbox around this process, refused.
    #[error("{0}")]
    Refused(Errno),
    /// The answer breaks the protocol.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// More messages than [`MESSAGES_MAX`].
    #[error("more than {MESSAGES_MAX} messages")]
    TooMany,
    /// The table changed during every attempt.
    #[error("the table changed during each of {ATTEMPTS_MAX} attempts")]
    Unsteady,
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno)
    }
}

/// Whether more datagrams follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Read on.
    More,
    /// The kernel said that this was all.
    Done,
}

/// What has come of a dump so far.
#[derive(Debug, Default)]
pub struct Dump {
    /// Payloads of the wanted messages.
    pub payloads: Vec<Vec<u8>>,
    /// The table changed while it was read: the payloads may miss or repeat something.
    pub interrupted: bool,
}

impl Dump {
    /// Takes one datagram; keeps the payloads of messages of the `wanted` type.
    pub fn feed(&mut self, datagram: &[u8], wanted: u16) -> Result<Progress, NetlinkError> {
        let mut rest = datagram;
        while rest.len() >= HEADER_BYTES {
            let length = u32_at(rest, 0).map_or(0, |length| length as usize);
            if length < HEADER_BYTES || length > rest.len() {
                return Err(NetlinkError::Malformed("a message longer than its datagram"));
            }
            let kind = u16_at(rest, 4).unwrap_or(NLMSG_NOOP);
            let flags = u16_at(rest, 6).unwrap_or(0);
            let payload = &rest[HEADER_BYTES..length];
            self.interrupted |= flags & NLM_F_DUMP_INTR != 0;
            match kind {
                NLMSG_DONE => return outcome(payload).map(|()| Progress::Done),
                NLMSG_ERROR => {
                    outcome(payload)?;
                    return Err(NetlinkError::Malformed("an acknowledgement instead of a dump"));
                }
                kind if kind == wanted => {
                    if self.payloads.len() == MESSAGES_MAX {
                        return Err(NetlinkError::TooMany);
                    }
                    self.payloads.push(payload.to_vec());
                }
                _ => {}
            }
            rest = &rest[aligned(length).min(rest.len())..];
        }
        Ok(Progress::More)
    }
}

/// Asks the kernel for a table, or whoever asks it for this process. Payloads of its messages come back.
pub fn ask(table: Table) -> Result<Vec<Vec<u8>>, NetlinkError> {
    if let Some(asked) = asked() {
        return asked.dump(table);
    }
    match table {
        Table::Sockets { family, protocol, states } => {
            // `struct inet_diag_req_v2`.
            let mut request = [0; INET_DIAG_REQ_BYTES];
            (request[0], request[1]) = (family, protocol);
            request[4..8].copy_from_slice(&states.to_ne_bytes());
            dump(Some(SOCK_DIAG), SOCK_DIAG_BY_FAMILY, &request, SOCK_DIAG_BY_FAMILY)
        }
        Table::Addresses => dump(None, RTM_GETADDR, &[0; IFADDRMSG_BYTES], RTM_NEWADDR),
    }
}

static ASKED: OnceLock<Asked> = OnceLock::new();

/// From now on this process asks another one for the kernel's tables, because its sandbox lets it make no
/// socket. For the whole process, as the sandbox is; `false` where somebody had said so before.
pub fn ask_through(asked: Asked) -> bool {
    ASKED.set(asked).is_ok()
}

/// Who is asked instead of the kernel.
pub(super) fn asked() -> Option<&'static Asked> {
    ASKED.get()
}

/// Asks the kernel for a dump: `protocol` is `None` for NETLINK_ROUTE; payloads of messages of type
/// `answer` come back.
pub fn dump(
    protocol: Option<Protocol>,
    request: u16,
    body: &[u8],
    answer: u16,
) -> Result<Vec<Vec<u8>>, NetlinkError> {
    for _ in 0..ATTEMPTS_MAX {
        let dump = attempt(protocol, request, body, answer)?;
        if !dump.interrupted {
            return Ok(dump.payloads);
        }
    }
    Err(NetlinkError::Unsteady)
}

fn attempt(
    protocol: Option<Protocol>,
    request: u16,
    body: &[u8],
    answer: u16,
) -> Result<Dump, NetlinkError> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_WITHIN))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    let message = framed(request, NLM_F_REQUEST | NLM_F_DUMP, body);
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &kernel)?;
    let mut buffer = vec![0_u8; DATAGRAM_BYTES_MAX];
    let mut dump = Dump::default();
    for _ in 0..MESSAGES_MAX {
        let (kept, length, from) =
            match rustix::net::recvfrom(&socket, buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
        let from_kernel = from
            .and_then(|from| SocketAddrNetlink::try_from(from).ok())
            .is_some_and(|from| from.pid() == 0);
        if !from_kernel {
            continue;
        }
        if length > kept {
            return Err(NetlinkError::Malformed("a datagram longer than the buffer"));
        }
        if dump.feed(&buffer[..kept], answer)? == Progress::Done {
            return Ok(dump);
        }
    }
    Err(NetlinkError::TooMany)
}

/// A message with its header.
fn framed(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + body.len()).expect("requests are a few bytes");
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&1_u32.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(body);
    message
}

/// The error number at the start of NLMSG_ERROR and NLMSG_DONE payloads, 0 or negative.
fn outcome(payload: &[u8]) -> Result<(), NetlinkError> {
    match u32_at(payload, 0).map(|bits| bits.cast_signed()) {
        // Linux error numbers end at 4095 (MAX_ERRNO).
        Some(number @ -4095..=-1) => Err(NetlinkError::Refused(Errno::from_raw_os_error(-number))),
        Some(..-4095) => Err(NetlinkError::Malformed("an impossible error number")),
        _ => Ok(()),
    }
}

/// The attributes (type, value) after a message's fixed part; stops at the first malformed one.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        // The two high bits say "nested" and "network byte order".
        let kind = u16_at(rest, 2)? & 0x3fff;
        let value = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

/// A native-endian number at an offset.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..offset + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// A native-endian number at an offset.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut message = framed(kind, flags, payload);
        message.resize(aligned(message.len()), 0);
        message
    }

    #[test]
    fn several_messages_of_one_datagram_are_taken_until_done() {
        let mut bytes = message(20, 2, b"one");
        bytes.extend(message(NLMSG_NOOP, 0, b""));
        bytes.extend(message(20, 2, b"two!"));
        let mut dump = Dump::default();
        assert_eq!(dump.feed(&bytes, 20), Ok(Progress::More));
        assert_eq!(dump.feed(&message(NLMSG_DONE, 2, &[0; 4]), 20), Ok(Progress::Done));
        assert_eq!(dump.payloads, [b"one".to_vec(), b"two!".to_vec()]);
        assert!(!dump.interrupted);
    }

    #[test]
    fn errors_and_interruptions_are_told() {
        let mut dump = Dump::default();
        let refused = message(NLMSG_ERROR, 0, &(-1_i32).to_ne_bytes());
        assert_eq!(dump.feed(&refused, 20), Err(NetlinkError::Refused(Errno::PERM)));
        let failed = message(NLMSG_DONE, 0, &(-12_i32).to_ne_bytes());
        assert_eq!(dump.feed(&failed, 20), Err(NetlinkError::Refused(Errno::NOMEM)));
        let lowest = message(NLMSG_ERROR, 0, &i32::MIN.to_ne_bytes());
        assert!(dump.feed(&lowest, 20).is_err());
        assert_eq!(dump.feed(&message(20, NLM_F_DUMP_INTR, b""), 20), Ok(Progress::More));
        assert!(dump.interrupted);
    }

    #[test]
    fn hostile_lengths_and_every_truncation_end_without_a_panic() {
        let mut whole = message(20, 0, b"payload");
        whole.extend(message(NLMSG_DONE, 0, &[0; 4]));
        for end in 0..whole.len() {
            let _ = Dump::default().feed(&whole[..end], 20);
        }
        for length in [0_u32, 1, 15, 17, 4096, u32::MAX] {
            let mut bytes = message(20, 0, b"");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(Dump::default().feed(&bytes, 20).is_err(), "{length}");
        }
        for length in [0_u16, 3, 4, 5, u16::MAX] {
            let mut bytes = vec![0; 4];
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert!(attributes(&bytes).count() <= 1);
        }
    }

    #[test]
    fn attributes_are_padded_to_four_bytes() {
        let bytes = [5, 0, 11, 0, 1, 0, 0, 0, 8, 0, 21, 0, 1, 2, 3, 4];
        let seen: Vec<_> = attributes(&bytes).collect();
        if cfg!(target_endian = "little") {
            assert_eq!(seen, [(11, &[1][..]), (21, &[1, 2, 3, 4][..])]);
        }
    }
}
