//! Mail, handed to a mail server (RFC 5321) without a program of the system's: EHLO, STARTTLS (RFC 3207), AUTH
//! PLAIN and LOGIN (RFC 4954), one message a connection.
//!
//! Nothing is sent in the clear but to a loopback address, and no password without TLS elsewhere; a server that
//! does not offer STARTTLS when it should is not spoken to any further. Every read and write ends at the
//! deadline; replies are bounded in lines and bytes.
//!
//! A recipient who is refused for good (5xx) does not keep the others from the message. One who is refused for
//! now (4xx) gets it later, and whoever has it already does not get it again, as long as this process lives.
//!
//! Our own, because what is needed is small: `lettre` 0.11 would bring some thirty crates (IDNA's tables among
//! them) and bounds each read, not the whole talk.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use zeroize::Zeroizing;

use super::email::message;
use super::http::{Patience, Timed, connect, tls};
use super::{Failure, Note, Notifier};
use crate::exit::hinted;
use crate::settings::{EmailSettings, SmtpSecurity, SmtpSettings};

const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(10), total: Duration::from_secs(90) };
/// Longest line of a reply (RFC 5321 asks for 512), most lines and bytes of one.
const LINE_BYTES_MAX: usize = 2048;
const LINES_MAX: usize = 128;
/// Longest file with a password.
const PASSWORD_BYTES_MAX: usize = 1024;
/// How often recipients are tried again who are refused for now while others have the message.
const TRIES_MAX: u32 = 8;
/// What is shown of a reply, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// One way to some mailboxes.
pub struct Smtp {
    settings: SmtpSettings,
    from: String,
    to: Vec<String>,
    tls: Option<Arc<ClientConfig>>,
    password: Option<Zeroizing<String>>,
    patience: Patience,
    /// The note of which some have the message: its identifier, who is done, and how often it was tried.
    progress: Option<(String, BTreeSet<usize>, u32)>,
}

impl Smtp {
    /// Reads the password and the certificates to trust.
    pub fn new(email: &EmailSettings, settings: &SmtpSettings) -> anyhow::Result<Self> {
        let from = email.from.clone().ok_or_else(|| hinted("smtp needs a sender", "from: …"))?;
        let tls = match settings.security {
            SmtpSecurity::None => None,
            SmtpSecurity::Starttls | SmtpSecurity::Tls => {
                Some(tls(settings.ca_file.as_deref()).map_err(|why| hinted(why, ""))?)
            }
        };
        let password = match &settings.password_file {
            Some(file) => {
                let bytes = file.read(PASSWORD_BYTES_MAX)?;
                let text =
                    std::str::from_utf8(&bytes).unwrap_or_default().trim_end_matches(['\r', '\n']);
                if text.is_empty() || text.contains(char::is_control) {
                    let hint = "one line with the password, and nothing else";
                    return Err(hinted(format!("{file}: no password"), hint));
                }
                Some(Zeroizing::new(text.to_string()))
            }
            None => None,
        };
        let (settings, to) = (settings.clone(), email.to.clone());
        Ok(Self { settings, from, to, tls, password, patience: PATIENCE, progress: None })
    }

    /// With less patience, for tests.
    #[cfg(test)]
    pub fn within(mut self, total: Duration) -> Self {
        self.patience.total = total;
        self
    }
}

impl Notifier for Smtp {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        if self.progress.as_ref().is_none_or(|(id, _, _)| *id != note.id) {
            self.progress = Some((note.id.clone(), BTreeSet::new(), 0));
        }
        let mut talk = self.open()?;
        let sent = self.deliver(&mut talk, note);
        // Whatever the answer is: it is done, or it is not.
        let _ = talk.line("QUIT");
        sent
    }
}

impl Smtp {
    /// A connection that takes mail: greeted, encrypted, authenticated.
    fn open(&self) -> Result<Talk, Failure> {
        let deadline = Instant::now() + self.patience.total;
        let place = (self.settings.host.as_str(), self.settings.port);
        let is_encrypted = self.tls.is_some();
        let socket = connect(place, is_encrypted, self.patience, deadline)?;
        let mut talk = Talk { wire: Wire::Plain(Timed { socket, deadline }), unread: Vec::new() };
        if self.settings.security == SmtpSecurity::Tls {
            talk = self.encrypted(talk)?;
        }
        expect(&talk.reply()?, 220, "it does not greet")?;
        let mut offers = talk.hello()?;
        if self.settings.security == SmtpSecurity::Starttls {
            if !offers.iter().any(|offer| offer == "STARTTLS") {
                return Err(Failure::Later("it offers no STARTTLS".into()));
            }
            talk.line("STARTTLS")?;
            expect(&talk.reply()?, 220, "STARTTLS")?;
            talk = self.encrypted(talk)?;
            offers = talk.hello()?;
        }
        if let (Some(user), Some(password)) = (&self.settings.user, &self.password) {
            authenticate(&mut talk, &offers, user, password)?;
        }
        Ok(talk)
    }

    fn encrypted(&self, talk: Talk) -> Result<Talk, Failure> {
        // What was said before TLS begins could be anybody's (CVE-2011-0411).
        if !talk.unread.is_empty() {
            return Err(Failure::Later("it said more before TLS began".into()));
        }
        let Wire::Plain(socket) = talk.wire else {
            return Err(Failure::Later("TLS twice".into()));
        };
        let config = self.tls.as_ref().ok_or_else(|| Failure::Later("no TLS".into()))?;
        let name = ServerName::try_from(self.settings.host.clone()).map_err(io::Error::other)?;
        let client = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let wire = Wire::Tls(Box::new(StreamOwned::new(client, socket)));
        Ok(Talk { wire, unread: Vec::new() })
    }

    fn deliver(&mut self, talk: &mut Talk, note: &Note) -> Result<(), Failure> {
        let Some((_, done, tries)) = &mut self.progress else { return Ok(()) };
        talk.line(&format!("MAIL FROM:<{}>", self.from))?;
        let reply = talk.reply()?;
        match reply.code {
            250 => {}
            552 => return Err(Failure::Never(format!("MAIL: {}", reply.shown()))),
            // The sender is a matter of the configuration: its operator can put it right.
            _ => return Err(Failure::Later(format!("MAIL: {}", reply.shown()))),
        }
        let (mut taken, mut refused, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for (number, to) in self.to.iter().enumerate().filter(|(number, _)| !done.contains(number))
        {
            talk.line(&format!("RCPT TO:<{to}>"))?;
            let reply = talk.reply()?;
            match reply.code {
                250 | 251 => taken.push(number),
                500..=599 => refused.push((number, format!("{to}: {}", reply.shown()))),
                _ => later.push(format!("{to}: {}", reply.shown())),
            }
        }
        if !taken.is_empty() {
            talk.line("DATA")?;
            expect(&talk.reply()?, 354, "DATA")?;
            let text = message(note, Some(&self.from), &self.to);
            talk.wire.write_all(content(&text).as_bytes())?;
            talk.wire.flush()?;
            let reply = talk.reply()?;
            match reply.code {
                250 => {}
                500..=599 => return Err(Failure::Never(format!("DATA: {}", reply.shown()))),
                _ => return Err(Failure::Later(format!("DATA: {}", reply.shown()))),
            }
        }
        done.extend(taken.iter().copied().chain(refused.iter().map(|(number, _)| *number)));
        let whys = |whys: &[String]| whys.join("; ");
        let refused: Vec<String> = refused.into_iter().map(|(_, why)| why).collect();
        if !refused.is_empty() {
            say!("wardmote: notify: refused for {}", scanner::redact::line(&whys(&refused)));
        }
        if !later.is_empty() {
            // With the message at some, one who is never ready must not hold up all that comes.
            *tries += u32::from(!done.is_empty());
            return Err(match *tries > TRIES_MAX {
                true => Failure::Never(whys(&later)),
                false => Failure::Later(whys(&later)),
            });
        }
        match taken.is_empty() && done.len() == refused.len() && !refused.is_empty() {
            true => Err(Failure::Never(whys(&refused))),
            false => Ok(()),
        }
    }
}

fn authenticate(
    talk: &mut Talk,
    offers: &[String],
    user: &str,
    password: &str,
) -> Result<(), Failure> {
    let ways = offers.iter().find_map(|offer| offer.strip_prefix("AUTH ")).unwrap_or_default();
    let has = |way: &str| ways.split(' ').any(|offered| offered == way);
    if has("PLAIN") {
        let words = Zeroizing::new(format!("\0{user}\0{password}"));
        let words = Zeroizing::new(STANDARD.encode(words.as_bytes()));
        talk.line(&format!("AUTH PLAIN {}", *words))?;
    } else if has("LOGIN") {
        talk.line("AUTH LOGIN")?;
        expect(&talk.reply()?, 334, "AUTH")?;
        talk.line(&STANDARD.encode(user))?;
        expect(&talk.reply()?, 334, "AUTH")?;
        talk.line(&Zeroizing::new(STANDARD.encode(password)))?;
    } else {
        return Err(Failure::Later("it offers neither AUTH PLAIN nor LOGIN".into()));
    }
    expect(&talk.reply()?, 235, "AUTH")
}

/// Another code than this is trouble that may pass, or that the operator can put right.
fn expect(reply: &Reply, code: u16, what: &str) -> Result<(), Failure> {
    match reply.code == code {
        true => Ok(()),
        false => Err(Failure::Later(format!("{what}: {}", reply.shown()))),
    }
}

/// A message as DATA wants it: CRLF, no line that is a lone dot but the last.
pub fn content(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 40 + 8);
    for line in text.lines() {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

enum Wire {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.read(room),
            Self::Tls(wire) => wire.read(room),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.write(bytes),
            Self::Tls(wire) => wire.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(wire) => wire.flush(),
            Self::Tls(wire) => wire.flush(),
        }
    }
}

struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn shown(&self) -> String {
        let text = format!("{} {}", self.code, self.lines.join(" "));
        let text: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        scanner::redact::printable(&text)
    }
}

struct Talk {
    wire: Wire,
    unread: Vec<u8>,
}

impl Talk {
    fn line(&mut self, line: &str) -> io::Result<()> {
        let line = Zeroizing::new(format!("{line}\r\n"));
        self.wire.write_all(line.as_bytes())?;
        self.wire.flush()
    }

    /// Says who speaks; what is offered, in capitals.
    fn hello(&mut self) -> Result<Vec<String>, Failure> {
        self.line(&format!("EHLO {}", own_name()))?;
        let reply = self.reply()?;
        expect(&reply, 250, "EHLO")?;
        Ok(reply.lines.iter().skip(1).map(|line| line.trim().to_ascii_uppercase()).collect())
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        for _ in 0..LINES_MAX {
            let line = self.read_line()?;
            let text = String::from_utf8_lossy(&line);
            let code = text.get(..3).filter(|code| code.bytes().all(|c| c.is_ascii_digit()));
            let (Some(Ok(code)), mark) = (code.map(str::parse), text.get(3..4).unwrap_or(" "))
            else {
                return Err(io::Error::other("it does not speak SMTP"));
            };
            lines.push(text.get(4..).unwrap_or_default().to_string());
            match mark {
                " " => return Ok(Reply { code, lines }),
                "-" => {}
                _ => return Err(io::Error::other("it does not speak SMTP")),
            }
        }
        Err(io::Error::other("its reply does not end"))
    }

    /// A line without its end.
    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.truncate(end);
                line.truncate(line.strip_suffix(b"\r").map_or(end, <[u8]>::len));
                return Ok(line);
            }
            if self.unread.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("it does not speak SMTP"));
            }
            let mut room = [0; 1024];
            match self.wire.read(&mut room) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up")),
                Ok(count) => self.unread.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A name that servers take: the host's, as far as it is one.
fn own_name() -> String {
    let name = super::host_name();
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.');
    match name.len() <= 255 && name.bytes().all(plain) {
        true => name,
        false => "localhost".into(),
    }
}
