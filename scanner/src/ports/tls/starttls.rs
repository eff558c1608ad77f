//! The talk before TLS: what a client says, and what a server has to answer, until both begin the
//! handshake. Pure: bytes in, bytes out.
//!
//! SMTP (RFC 3207), IMAP and POP3 (RFC 2595, 8314), FTP (RFC 4217), PostgreSQL (protocol 3.0, SSLRequest),
//! MySQL (SSLRequest after the greeting), LDAP (RFC 4511, 4.14). Nobody logs in. Bytes that come after the
//! answer that begins TLS end the talk: somebody could have put them in between (CVE-2011-0411,
//! CVE-2021-23222).

use std::fmt;

/// Most bytes that a server may send before TLS.
pub const TALK_BYTES_MAX: usize = 64 << 10;
/// Most characters of a refusal that are kept.
const REFUSAL_CHARS_MAX: usize = 120;

/// How TLS begins on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// At once.
    #[default]
    Direct,
    /// `STARTTLS` of SMTP.
    Smtp,
    /// `STARTTLS` of IMAP.
    Imap,
    /// `STLS` of POP3.
    Pop3,
    /// `AUTH TLS` of FTP.
    Ftp,
    /// `SSLRequest` of PostgreSQL.
    Postgresql,
    /// `SSLRequest` of MySQL and MariaDB.
    Mysql,
    /// The StartTLS extended operation of LDAP.
    Ldap,
}

impl Start {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Direct,
        Self::Smtp,
        Self::Imap,
        Self::Pop3,
        Self::Ftp,
        Self::Postgresql,
        Self::Mysql,
        Self::Ldap,
    ];

    /// The lower-case name of reports; `None` where TLS begins at once.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Direct => return None,
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Ftp => "ftp",
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
            Self::Ldap => "ldap",
        })
    }

    /// How TLS begins with a service of this canonical name, where it is not at once.
    pub fn of_service(name: &str) -> Option<Self> {
        Some(match name {
            "smtp" | "submission" => Self::Smtp,
            "imap" => Self::Imap,
            "pop3" => Self::Pop3,
            "ftp" => Self::Ftp,
            "postgresql" => Self::Postgresql,
            "mysql" | "mariadb" => Self::Mysql,
            "ldap" => Self::Ldap,
            _ => return None,
        })
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read on.
    More,
    /// Send this, then read on.
    Send(&'static [u8]),
    /// Send this, then begin the handshake.
    Handshake(&'static [u8]),
}

/// Why there is no TLS to be had this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TalkError {
    /// The service does not offer it.
    #[error("the service does not offer STARTTLS")]
    NotOffered,
    /// The service said no, or spoke another protocol: what it said.
    #[error("the service refuses: {0}")]
    Refused(String),
    /// Bytes came where TLS was to begin.
    #[error("bytes came in the clear where TLS was to begin")]
    Early,
    /// The bound.
    #[error("more than 64 KiB before TLS")]
    TooLong,
}

/// A talk in progress.
pub struct Talk {
    start: Start,
    turn: u8,
    unread: Vec<u8>,
    seen: usize,
    offered: bool,
}

impl fmt::Debug for Talk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Talk({:?}, turn {})", self.start, self.turn)
    }
}

const EHLO: &[u8] = b"EHLO localhost\r\n";
/// Length 8, code 80877103.
const POSTGRESQL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// Capabilities: CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION; packets up to 16 MiB; utf8mb4.
const MYSQL_REQUEST: &[u8] = &[
    32, 0, 0, 1, 0, 0x8a, 0, 0, 0, 0, 0, 1, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0,
];
/// Message 1, ExtendedRequest 1.3.6.1.4.1.1466.20037.
const LDAP_REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const CLIENT_SSL: u16 = 0x0800;

impl Talk {
    /// A talk that has not begun.
    pub fn new(start: Start) -> Self {
        Self { start, turn: 0, unread: Vec::new(), seen: 0, offered: false }
    }

    /// What the client says before it has heard anything.
    pub fn opening(&self) -> &'static [u8] {
        match self.start {
            Start::Postgresql => POSTGRESQL_REQUEST,
            Start::Ldap => LDAP_REQUEST,
            _ => b"",
        }
    }

    /// What is polite to say where no TLS came of it.
    pub fn goodbye(&self) -> &'static [u8] {
        match self.start {
            Start::Smtp | Start::Pop3 | Start::Ftp => b"QUIT\r\n",
            Start::Imap => b"b LOGOUT\r\n",
            // UnbindRequest.
            Start::Ldap => b"\x30\x05\x02\x01\x02\x42\x00",
            Start::Direct | Start::Postgresql | Start::Mysql => b"",
        }
    }

    /// Takes what the server said.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Step, TalkError> {
        self.seen = self.seen.saturating_add(bytes.len());
        if self.seen > TALK_BYTES_MAX {
            return Err(TalkError::TooLong);
        }
        self.unread.extend_from_slice(bytes);
        let step = match self.start {
            Start::Direct => Step::Handshake(b""),
            Start::Smtp => self.smtp()?,
            Start::Imap => self.imap()?,
            Start::Pop3 => self.pop3()?,
            Start::Ftp => self.ftp()?,
            Start::Postgresql => self.postgresql()?,
            Start::Mysql => self.mysql()?,
            Start::Ldap => self.ldap()?,
        };
        match step {
            Step::Handshake(_) if !self.unread.is_empty() => Err(TalkError::Early),
            step => Ok(step),
        }
    }

    /// The next whole line, without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.unread.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.unread.drain(..=end).collect();
        line.truncate(line.trim_ascii_end().len());
        Some(line)
    }

    /// The code of the next whole reply (RFC 5321, 4.2; RFC 959, 4.2), and its last line.
    fn reply(&mut self) -> Result<Option<(u16, Vec<u8>)>, TalkError> {
        while let Some(line) = self.line() {
            let code = line.get(..3).and_then(|code| std::str::from_utf8(code).ok());
            let code = code.and_then(|code| code.parse().ok());
            let text = line.get(4..).unwrap_or_default();
            self.offered |= text.eq_ignore_ascii_case(b"STARTTLS");
            match (code, line.get(3)) {
                (Some(code), None | Some(b' ')) => return Ok(Some((code, line))),
                (Some(_), Some(b'-')) => {}
                // A line in the middle of a long greeting of FTP.
                _ if self.start == Start::Ftp => {}
                _ => return Err(refused(&line)),
            }
        }
        Ok(None)
    }

    fn smtp(&mut self) -> Result<Step, TalkError> {
        let Some((code, line)) = self.reply()? else { return Ok(Step::More) };
        self.turn += 1;
        match (self.turn, code) {
            (1, 220) => Ok(Step::Send(EHLO)),
            (2, 250) if self.offered => Ok(Step::Send(b"STARTTLS\r\n")),
            (2, 250) => Err(TalkError::NotOffered),
            (3, 220) => Ok(Step::Handshake(b"")),
            _ => Err(refused(&line)),
        }
    }

    fn ftp(&mut self) -> Result<Step, TalkError> {
        let Some((code, line)) = self.reply()? else { return Ok(Step::More) };
        self.turn += 1;
        match (self.turn, code) {
            (1, 220) => Ok(Step::Send(b"AUTH TLS\r\n")),
            (2, 234) => Ok(Step::Handshake(b"")),
            (2, 500 | 502 | 504 | 530 | 534) => Err(TalkError::NotOffered),
            _ => Err(refused(&line)),
        }
    }

    fn imap(&mut self) -> Result<Step, TalkError> {
        while let Some(line) = self.line() {
            let upper = line.to_ascii_uppercase();
            match self.turn {
                0 if upper.starts_with(b"* OK") => {
                    self.turn = 1;
                    return Ok(Step::Send(b"a STARTTLS\r\n"));
                }
                0 => return Err(refused(&line)),
                _ if upper.starts_with(b"* BYE") => return Err(refused(&line)),
                _ if upper.starts_with(b"* ") => {}
                _ if upper.starts_with(b"A OK") => return Ok(Step::Handshake(b"")),
                _ if upper.starts_with(b"A BAD") || upper.starts_with(b"A NO") => {
                    return Err(TalkError::NotOffered);
                }
                _ => return Err(refused(&line)),
            }
        }
        Ok(Step::More)
    }

    fn pop3(&mut self) -> Result<Step, TalkError> {
        let Some(line) = self.line() else { return Ok(Step::More) };
        self.turn += 1;
        match (self.turn, line.starts_with(b"+OK"), line.starts_with(b"-ERR")) {
            (1, true, _) => Ok(Step::Send(b"STLS\r\n")),
            (2, true, _) => Ok(Step::Handshake(b"")),
            (2, _, true) => Err(TalkError::NotOffered),
            _ => Err(refused(&line)),
        }
    }

    fn postgresql(&mut self) -> Result<Step, TalkError> {
        let Some(&answer) = self.unread.first() else { return Ok(Step::More) };
        match answer {
            b'S' => {
                self.unread.remove(0);
                Ok(Step::Handshake(b""))
            }
            b'N' => Err(TalkError::NotOffered),
            _ => Err(refused(&self.unread)),
        }
    }

    /// The greeting: length (3), number, protocol 10, version up to NUL, thread (4), salt (8), filler,
    /// low half of the capabilities (2).
    fn mysql(&mut self) -> Result<Step, TalkError> {
        let Some(header) = self.unread.get(..4) else { return Ok(Step::More) };
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        if length > TALK_BYTES_MAX {
            return Err(TalkError::TooLong);
        }
        if self.unread.len() < 4 + length {
            return Ok(Step::More);
        }
        let greeting: Vec<u8> = self.unread.drain(..4 + length).skip(4).collect();
        if greeting.first() != Some(&10) {
            return Err(refused(greeting.get(3..).unwrap_or(&greeting)));
        }
        let version = greeting.iter().position(|byte| *byte == 0).unwrap_or(greeting.len());
        let at = version + 1 + 4 + 8 + 1;
        let Some(&[low, high]) = greeting.get(at..at + 2) else { return Err(refused(&greeting)) };
        if u16::from_le_bytes([low, high]) & CLIENT_SSL == 0 {
            return Err(TalkError::NotOffered);
        }
        Ok(Step::Handshake(MYSQL_REQUEST))
    }

    /// ExtendedResponse (0x78) with resultCode (0x0a, 1, code); short lengths only, as a server that says
    /// no more than the result needs.
    fn ldap(&mut self) -> Result<Step, TalkError> {
        let Some(whole) = ber_length(&self.unread) else { return Ok(Step::More) };
        if whole > TALK_BYTES_MAX {
            return Err(TalkError::TooLong);
        }
        if self.unread.len() < whole {
            return Ok(Step::More);
        }
        let message: Vec<u8> = self.unread.drain(..whole).collect();
        let operation = message.iter().position(|byte| *byte == 0x78);
        let is_sequence = message.first() == Some(&0x30);
        let rest = operation.filter(|_| is_sequence).map_or(&[][..], |at| &message[at + 1..]);
        // The length of the response has one to four bytes before its first element.
        let code = (1..=5).find_map(|at| match rest.get(at..at + 3) {
            Some([0x0a, 1, code]) => Some(*code),
            _ => None,
        });
        match code {
            Some(0) => Ok(Step::Handshake(b"")),
            // protocolError, unavailable, unwillingToPerform: RFC 4511, 4.14.2.
            Some(2 | 52 | 53) => Err(TalkError::NotOffered),
            Some(code) => Err(TalkError::Refused(format!("LDAP result {code}"))),
            None => Err(refused(&message)),
        }
    }
}

/// How long a BER value is with its header; `None` while that is not known.
fn ber_length(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.get(1)?;
    match first {
        0..=0x7f => Some(2 + usize::from(first)),
        0x81..=0x84 => {
            let count = usize::from(first - 0x80);
            let length = bytes.get(2..2 + count)?;
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            Some(length.saturating_add(2 + count))
        }
        // Too long, or of a form that LDAP forbids: over every bound.
        _ => Some(usize::MAX),
    }
}

fn refused(said: &[u8]) -> TalkError {
    let text: String = String::from_utf8_lossy(said).chars().take(REFUSAL_CHARS_MAX).collect();
    TalkError::Refused(crate::redact::printable(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the client sends until the end, with the server's answers given one by one.
    fn talk(start: Start, answers: &[&[u8]]) -> Result<Vec<&'static [u8]>, TalkError> {
        let mut talk = Talk::new(start);
        let mut sent = vec![talk.opening()];
        for answer in answers {
            // Byte by byte: a reply may come in any pieces.
            for (at, byte) in answer.iter().enumerate() {
                match talk.feed(&[*byte])? {
                    Step::More => {}
                    Step::Send(bytes) => sent.push(bytes),
                    Step::Handshake(bytes) => {
                        assert_eq!(at + 1, answer.len());
                        sent.push(bytes);
                        return Ok(sent);
                    }
                }
            }
        }
        panic!("no end after {answers:?}")
    }

    fn mysql_greeting(capabilities: u16) -> Vec<u8> {
        let mut body = b"\x0a8.0.36\0".to_vec();
        body.extend([1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0]);
        body.extend(capabilities.to_le_bytes());
        body.extend([45; 30]);
        let length = u8::try_from(body.len()).unwrap();
        [&[length, 0, 0, 0], &body[..]].concat()
    }

    #[test]
    fn every_protocol_comes_to_tls() {
        let sent = talk(
            Start::Smtp,
            &[
                b"220-hello\r\n220 mx\r\n",
                b"250-mx\r\n250-STARTTLS\r\n250 SIZE 1\r\n",
                b"220 go\r\n",
            ],
        );
        assert_eq!(sent.unwrap(), [&b""[..], EHLO, b"STARTTLS\r\n", b""]);
        let sent = talk(Start::Imap, &[b"* OK ready\r\n", b"* CAPABILITY X\r\na OK begin\r\n"]);
        assert_eq!(sent.unwrap(), [&b""[..], b"a STARTTLS\r\n", b""]);
        let sent = talk(Start::Pop3, &[b"+OK ready\r\n", b"+OK begin\r\n"]);
        assert_eq!(sent.unwrap(), [&b""[..], b"STLS\r\n", b""]);
        let sent = talk(Start::Ftp, &[b"220-Welcome\r\n here\r\n220 ready\r\n", b"234 go\r\n"]);
        assert_eq!(sent.unwrap(), [&b""[..], b"AUTH TLS\r\n", b""]);
        assert_eq!(talk(Start::Postgresql, &[b"S"]).unwrap(), [POSTGRESQL_REQUEST, b""]);
        let greeting = mysql_greeting(CLIENT_SSL);
        assert_eq!(talk(Start::Mysql, &[&greeting]).unwrap(), [&b""[..], MYSQL_REQUEST]);
        let answer = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(talk(Start::Ldap, &[answer]).unwrap(), [LDAP_REQUEST, b""]);
        let long = b"\x30\x84\0\0\0\x10\x02\x01\x01\x78\x84\0\0\0\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(talk(Start::Ldap, &[long]).unwrap(), [LDAP_REQUEST, b""]);
        assert_eq!((LDAP_REQUEST.len(), MYSQL_REQUEST.len()), (31, 36));
    }

    #[test]
    fn what_is_not_offered_and_what_is_refused_are_told_apart() {
        let not = Err(TalkError::NotOffered);
        assert_eq!(talk(Start::Smtp, &[b"220 mx\r\n", b"250-mx\r\n250 STARTTLSX\r\n"]), not);
        assert_eq!(talk(Start::Imap, &[b"* OK x\r\n", b"a BAD unknown\r\n"]), not);
        assert_eq!(talk(Start::Pop3, &[b"+OK x\r\n", b"-ERR unknown\r\n"]), not);
        assert_eq!(talk(Start::Ftp, &[b"220 x\r\n", b"530 Please login\r\n"]), not);
        assert_eq!(talk(Start::Postgresql, &[b"N"]), not);
        assert_eq!(talk(Start::Mysql, &[&mysql_greeting(0)]), not);
        let answer = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00";
        assert_eq!(talk(Start::Ldap, &[answer]), not);
        let refusal = |text: &str| Err(TalkError::Refused(text.into()));
        assert_eq!(talk(Start::Smtp, &[b"554 go away\r\n"]), refusal("554 go away"));
        assert_eq!(talk(Start::Smtp, &[b"SSH-2.0-x\r\n"]), refusal("SSH-2.0-x"));
        assert_eq!(talk(Start::Imap, &[b"* BYE full\r\n"]), refusal("* BYE full"));
        let blocked = b"\x0e\0\0\0\xff\x69\x04Host 'x' is";
        assert_eq!(talk(Start::Mysql, &[blocked]), refusal("Host 'x' is"));
    }

    #[test]
    fn nothing_may_come_between_the_answer_and_tls() {
        let mut talk = Talk::new(Start::Postgresql);
        assert_eq!(talk.feed(b"SX"), Err(TalkError::Early));
        let mut talk = Talk::new(Start::Pop3);
        talk.feed(b"+OK\r\n").unwrap();
        assert_eq!(talk.feed(b"+OK\r\n+OK injected\r\n"), Err(TalkError::Early));
    }

    #[test]
    fn endless_talk_ends() {
        for start in Start::ALL.into_iter().skip(1) {
            let mut talk = Talk::new(start);
            let piece = b"220-x\r\n* x\r\n".repeat(100);
            let ends = (0..=TALK_BYTES_MAX / piece.len()).any(|_| talk.feed(&piece).is_err());
            assert!(ends, "{start:?}");
        }
        let mut talk = Talk::new(Start::Smtp);
        assert_eq!(talk.feed(&vec![b'2'; TALK_BYTES_MAX]), Ok(Step::More));
        assert_eq!(talk.feed(b"2"), Err(TalkError::TooLong));
    }
}
