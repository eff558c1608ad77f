//! Syslog as RFC 5424 has it: to a local socket, or by UDP (RFC 5426) or TCP (RFC 6587, counted octets).

use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use consensus::Severity;

use super::{Failure, Note, Notifier};
use crate::settings::{SyslogSettings, SyslogTarget};

/// Longest message: what RFC 5424 section 6.1 asks receivers to take.
pub const MESSAGE_BYTES_MAX: usize = 2048;
/// Security and authorization messages, private.
const FACILITY: u8 = 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// One syslog.
pub struct Syslog {
    target: SyslogTarget,
}

impl Syslog {
    /// Where it is said.
    pub fn new(settings: &SyslogSettings) -> Self {
        Self { target: settings.address.clone() }
    }
}

impl Notifier for Syslog {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let message = message(note, std::process::id());
        match &self.target {
            SyslogTarget::Local(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.send_to(message.as_bytes(), path)?;
            }
            SyslogTarget::Udp(address) => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.send_to(message.as_bytes(), address)?;
            }
            SyslogTarget::Tcp(address) => {
                let mut socket = TcpStream::connect_timeout(address, PATIENCE)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.write_all(format!("{} {message}", message.len()).as_bytes())?;
                closed_well(&socket)?;
            }
        }
        Ok(())
    }
}

/// A receiver that has gone resets what was written: waiting for its end shows it, as far as TCP does.
fn closed_well(mut socket: &TcpStream) -> io::Result<()> {
    socket.shutdown(std::net::Shutdown::Write)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    match io::Read::read(&mut socket, &mut [0; 64]) {
        // Some receivers keep the connection open for more.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// The message, with who, what and how bad as structured data (32473 is RFC 5612's number for examples: we
/// have none of our own).
pub fn message(note: &Note, process: u32) -> String {
    let priority = FACILITY * 8 + level(note.severity);
    let host = header(&note.host);
    let mut text = format!(
        "<{priority}>1 {} {host} wardmote {process} {} [wardmote@32473 id=\"{}\" severity=\"{}\" \
         key=\"{}\"] \u{feff}{}",
        note.time_text(),
        note.kind.word(),
        value(&note.id),
        note.severity,
        value(&note.key),
        note.title,
    );
    let mut end = MESSAGE_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Syslog's levels: 2 critical, 3 error, 4 warning, 5 notice, 6 informational.
pub fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// A field of the header: visible ASCII.
fn header(text: &str) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(255).collect();
    if kept.is_empty() { "-".into() } else { kept }
}

/// A value of structured data: quote, backslash and closing bracket are escaped (section 6.3.3).
fn value(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
