//! The system journal, in its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>), with fields
//! of our own: `journalctl WARDMOTE_SEVERITY=high -o verbose`. What no datagram holds goes through a sealed
//! memory file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};

use super::syslog::level;
use super::{Failure, Kind, Note, Notifier};
use crate::notices::Notice;
use crate::settings::JournaldSettings;

const PATIENCE: Duration = Duration::from_secs(5);
/// Where the journal of this host listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// Most checks that an entry names.
const CHECKS_MAX: usize = 16;

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
        Ok(send(&self.socket, &entry(note), PATIENCE)?)
    }
}

/// Hands an entry over, as a datagram or, where none is large enough, as a sealed file.
pub fn send(path: &Path, entry: &[u8], patience: Duration) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(patience))?;
    match socket.send_to(entry, path) {
        Ok(_) => Ok(()),
        Err(error) if is_too_long(&error) => send_file(path, &socket, entry),
        Err(error) => Err(error),
    }
}

fn send_file(path: &Path, socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
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
    let address = SocketAddrUnix::new(path)?;
    sendmsg_addr(socket, &address, &[], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn is_too_long(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MSGSIZE | rustix::io::Errno::NOBUFS))
}

/// What kind of message it is: the same number everywhere and for ever (sd-id128(3), `journalctl -x`).
pub fn message_id(kind: Kind) -> &'static str {
    event(kind).id()
}

fn event(kind: Kind) -> Notice {
    match kind {
        Kind::New => Notice::CaseNew,
        Kind::Risen => Notice::CaseRisen,
        Kind::Further => Notice::CaseFurther,
        Kind::Gap => Notice::NotesLost,
        Kind::Summary => Notice::Summary,
    }
}

/// A note as an entry.
pub fn entry(note: &Note) -> Vec<u8> {
    let priority = level(note.severity).to_string();
    let (severity, body) = (note.severity.to_string(), note.body.to_string());
    let mut fields = vec![
        ("MESSAGE", note.title.as_str()),
        ("PRIORITY", &priority),
        ("SYSLOG_IDENTIFIER", "wardmote"),
        ("MESSAGE_ID", message_id(note.kind)),
        ("WARDMOTE_NOTE", &note.id),
        ("WARDMOTE_KIND", note.kind.word()),
        ("WARDMOTE_SEVERITY", &severity),
        ("WARDMOTE_FINDING", &note.key),
    ];
    fields.extend(note.key.strip_prefix("case-").map(|number| ("WARDMOTE_CASE", number)));
    let steps = note.body["steps"].as_array().into_iter().flatten();
    let checks: BTreeSet<&str> = steps.filter_map(|step| step["check"].as_str()).collect();
    fields.extend(checks.into_iter().take(CHECKS_MAX).map(|check| ("WARDMOTE_CHECK", check)));
    fields.push(("WARDMOTE_DATA", &body));
    encode(&fields)
}

/// The fields of an entry. Each value with its length, so that no line end in one makes another field.
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
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
