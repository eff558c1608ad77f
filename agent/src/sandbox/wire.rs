//! Messages over a pair of sockets: bytes of a bounded length, and descriptors.
//!
//! The sockets keep records (`SOCK_SEQPACKET`). A message is a first record that begins with the length of the
//! whole, and as many further ones as it takes; descriptors come with the first. Whoever receives names the
//! most it takes, and gets no more memory used than came.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Most bytes of one record; the system's default buffer (212,992) holds several.
const RECORD_BYTES_MAX: usize = 48 << 10;
/// Bytes of the length at the beginning of a message.
const LENGTH_BYTES: usize = 8;
/// Most descriptors of one message.
pub const DESCRIPTORS_MAX: usize = 3;
/// How long the other end may take to make room for a record.
const SEND_WITHIN: Duration = Duration::from_secs(20);

/// One end.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// A message as it came.
#[derive(Debug, Default)]
pub struct Message {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its descriptors.
    pub descriptors: Vec<OwnedFd>,
}

impl Socket {
    /// Both ends.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::sockopt::set_socket_timeout(&one, Timeout::Send, Some(SEND_WITHIN))?;
        Ok((Self(one), other))
    }

    /// The end that a descriptor is.
    pub fn of(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Sends a message.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let length = (bytes.len() as u64).to_le_bytes();
        let (first, mut rest) = bytes.split_at(bytes.len().min(RECORD_BYTES_MAX - LENGTH_BYTES));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors"));
        }
        self.send_record(&[IoSlice::new(&length), IoSlice::new(first)], &mut control)?;
        while !rest.is_empty() {
            let (record, more) = rest.split_at(rest.len().min(RECORD_BYTES_MAX));
            self.send_record(&[IoSlice::new(record)], &mut SendAncillaryBuffer::default())?;
            rest = more;
        }
        Ok(())
    }

    fn send_record(
        &self,
        parts: &[IoSlice<'_>],
        control: &mut SendAncillaryBuffer<'_, '_, '_>,
    ) -> io::Result<()> {
        loop {
            match rustix::net::sendmsg(&self.0, parts, control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }

    /// The next message of at most so many bytes, by this time if one is given; `None` where the other end
    /// is closed.
    pub fn receive(&self, most: usize, by: Option<Instant>) -> io::Result<Option<Message>> {
        let mut record = vec![0; RECORD_BYTES_MAX];
        let mut message = Message::default();
        let read = self.receive_record(&mut record, &mut message.descriptors, by)?;
        if read == 0 {
            return Ok(None);
        }
        let malformed = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let (length, first) = record[..read]
            .split_first_chunk()
            .ok_or_else(|| malformed("a message without length"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > most {
            return Err(malformed("a message longer than its limit"));
        }
        message.bytes.extend_from_slice(first);
        while message.bytes.len() < length {
            let mut none = Vec::new();
            let read = self.receive_record(&mut record, &mut none, by)?;
            if read == 0 || !none.is_empty() {
                return Err(malformed("a message that is cut"));
            }
            message.bytes.extend_from_slice(&record[..read]);
        }
        if message.bytes.len() > length {
            return Err(malformed("a message longer than it says"));
        }
        Ok(Some(message))
    }

    fn receive_record(
        &self,
        record: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
        by: Option<Instant>,
    ) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        loop {
            if let Some(by) = by {
                wait(self.0.as_fd(), by)?;
            }
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(record)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = match rustix::net::recvmsg(&self.0, &mut parts, &mut control, flags) {
                Err(rustix::io::Errno::INTR) => continue,
                // As good as closed: the other end died with something unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(0),
                received => received?,
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
            if received.flags.intersects(cut) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a record that is cut"));
            }
            return Ok(received.bytes);
        }
    }
}

/// Waits until something can be read, or the time is over.
fn wait(socket: BorrowedFd<'_>, by: Instant) -> io::Result<()> {
    loop {
        let left = by.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut one = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        match rustix::event::poll(&mut one, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            polled => return Ok(polled.map(drop)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(10))
    }

    #[test]
    fn messages_of_every_length_arrive_whole_with_their_descriptors() {
        let (one, other) = Socket::pair().unwrap();
        let other = Socket::of(other);
        let lengths = [
            0,
            1,
            RECORD_BYTES_MAX - LENGTH_BYTES,
            RECORD_BYTES_MAX,
            3 * RECORD_BYTES_MAX + 1,
            5 << 20,
        ];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for length in lengths {
                    one.send(&vec![length as u8; length], &[]).unwrap();
                }
            });
            for length in lengths {
                let message = other.receive(length, soon()).unwrap().unwrap();
                assert_eq!(message.bytes, vec![length as u8; length]);
            }
        });
        let file = tempfile::tempfile().unwrap();
        rustix::io::write(&file, b"seen").unwrap();
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
        one.send(b"x", &[file.as_fd(), file.as_fd(), file.as_fd()]).unwrap();
        let message = other.receive(1, soon()).unwrap().unwrap();
        assert_eq!(message.descriptors.len(), DESCRIPTORS_MAX);
        let mut text = String::new();
        File::from(message.descriptors.into_iter().next().unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "seen");
        assert!(one.send(b"x", &[file.as_fd(); 64]).is_err());
        drop(one);
        assert!(other.receive(1, soon()).unwrap().is_none());
    }

    #[test]
    fn what_is_too_long_cut_or_late_is_an_error() {
        let record = |bytes: &[u8]| {
            let (one, other) = Socket::pair().unwrap();
            let parts = [IoSlice::new(bytes)];
            one.send_record(&parts, &mut SendAncillaryBuffer::default()).unwrap();
            drop(one);
            Socket::of(other).receive(100, soon()).map(|message| message.unwrap().bytes)
        };
        let with_length = |length: u64, rest: &[u8]| [&length.to_le_bytes(), rest].concat();
        assert_eq!(record(&with_length(2, b"ab")).unwrap(), b"ab");
        assert!(record(&with_length(101, b"ab")).is_err());
        assert!(record(&with_length(u64::MAX, b"ab")).is_err());
        assert!(record(&with_length(3, b"ab")).is_err(), "the rest never comes");
        assert!(record(&with_length(1, b"ab")).is_err());
        assert!(record(b"1234567").is_err());
        let (_one, other) = Socket::pair().unwrap();
        let late = Socket::of(other).receive(1, Some(Instant::now())).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
