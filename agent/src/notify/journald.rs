//! The system journal, in its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>), with fields
//! of our own: `journalctl WARDMOTE_SEVERITY=high -o verbose`. What no datagram holds goes through a sealed
//! memory file.

use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};

use super::syslog::level;
use super::{Failure, Kind, Note, Notifier};
use crate::settings::JournaldSettings;

const PATIENCE: Duration = Duration::from_secs(5);

/// One journal.
pub struct Journald {
    socket: PathBuf,
}

impl Journald {
    /// Where its socket is.
    pub fn new(settings: &JournaldSettings) -> Self {
        Self { socket: settings.socket.clone() }
    }
}

impl Notifier for Journald {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let entry = entry(note);
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        match socket.send_to(&entry, &self.socket) {
            Ok(_) => Ok(()),
            Err(error) if is_too_long(&error) => Ok(self.send_file(&socket, &entry)?),
            Err(error) => Err(error.into()),
        }
    }
}

impl Journald {
    fn send_file(&self, socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("wardmote-journal", flags)?);
        file.write_all(entry)?;
        let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, all)?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        let descriptors = [file.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for a descriptor"));
        }
        let address = SocketAddrUnix::new(&self.socket)?;
        sendmsg_addr(socket, &address, &[], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn is_too_long(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MSGSIZE | rustix::io::Errno::NOBUFS))
}

/// What kind of message it is: the same number everywhere and for ever (sd-id128(3), `journalctl -x`).
pub fn message_id(kind: Kind) -> &'static str {
    match kind {
        Kind::New => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e01",
        Kind::Risen => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e02",
        Kind::Further => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e03",
        Kind::Gap => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e04",
    }
}

/// The fields of an entry. Each value with its length, so that no line end in one makes another field.
pub fn entry(note: &Note) -> Vec<u8> {
    let priority = level(note.severity).to_string();
    let (severity, body) = (note.severity.to_string(), note.body.to_string());
    let fields = [
        ("MESSAGE", note.title.as_str()),
        ("PRIORITY", &priority),
        ("SYSLOG_IDENTIFIER", "wardmote"),
        ("MESSAGE_ID", message_id(note.kind)),
        ("WARDMOTE_NOTE", &note.id),
        ("WARDMOTE_KIND", note.kind.word()),
        ("WARDMOTE_SEVERITY", &severity),
        ("WARDMOTE_FINDING", &note.key),
        ("WARDMOTE_DATA", &body),
    ];
    let mut entry = Vec::new();
    for (name, value) in fields {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    }
    entry
}
