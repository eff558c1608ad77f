//! TLS as an observer needs it: one ClientHello that even old servers answer, and a reader of what they
//! answer in the clear (SSL 3.0 to TLS 1.2: RFC 6101, RFC 2246, RFC 4346, RFC 5246).
//!
//! Nothing is negotiated to its end and nothing is decrypted: after ServerHelloDone the talk is over.
//! Records, messages and certificates are bounded in size and number; SSL 2.0 is not spoken.

mod hello;
mod suites;

pub use hello::client_hello;
pub use suites::{OFFERED, suite_name};

/// Most bytes of one record's contents (RFC 5246, 6.2.3).
pub const RECORD_BYTES_MAX: usize = (1 << 14) + 2048;
/// Most bytes of handshake messages of one server.
pub const FLIGHT_BYTES_MAX: usize = 256 << 10;
/// Most certificates of one chain that are kept.
pub const CHAIN_MAX: usize = 32;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const FATAL: u8 = 2;

/// Why a server's answer cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsParseError {
    /// The server ended the handshake with an alert: its description (RFC 5246, 7.2).
    #[error("alert {0}")]
    Alert(u8),
    /// The first byte is no TLS record.
    #[error("no TLS record")]
    NotTls,
    /// The answer breaks the protocol, or a bound.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Whether more is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The server has more to say.
    More,
    /// The server's part is complete.
    Done,
}

/// What a server says in the clear, read piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// Chosen protocol as on the wire: 0x0300 is SSL 3.0, 0x0303 is TLS 1.2.
    pub version: Option<u16>,
    /// Chosen cipher suite.
    pub suite: Option<u16>,
    /// Certificates in DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
    /// Whether the server asks for a certificate of the client.
    pub asks_certificate: bool,
    /// Bytes of records that are not complete.
    raw: Vec<u8>,
    /// Bytes of messages that are not complete.
    messages: Vec<u8>,
    seen: usize,
}

impl Flight {
    /// Takes what came next. After [`Progress::Done`] or an error nothing more is to be given.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, TlsParseError> {
        self.raw.extend_from_slice(bytes);
        let mut raw = std::mem::take(&mut self.raw);
        let mut rest = &raw[..];
        while let Some((kind, contents, after)) = record(rest)? {
            // Headers count, so that empty records are bounded too.
            self.seen += rest.len() - after.len();
            if self.seen > FLIGHT_BYTES_MAX {
                return Err(TlsParseError::Malformed(
                    "more than 256 KiB before the handshake's end",
                ));
            }
            rest = after;
            match kind {
                HANDSHAKE => {
                    self.messages.extend_from_slice(contents);
                    if self.take()? == Progress::Done {
                        return Ok(Progress::Done);
                    }
                }
                ALERT => match contents {
                    // A warning (unrecognized_name, say) is followed by the handshake.
                    [level, _] if *level != FATAL => {}
                    [_, description] => return Err(TlsParseError::Alert(*description)),
                    _ => return Err(TlsParseError::Malformed("an alert that is not two bytes")),
                },
                _ => return Err(TlsParseError::Malformed("a record out of place")),
            }
        }
        let taken = raw.len() - rest.len();
        raw.drain(..taken);
        self.raw = raw;
        Ok(Progress::More)
    }

    /// Takes whole messages; what is left stays in place, so that many small records cost no more.
    fn take(&mut self) -> Result<Progress, TlsParseError> {
        let mut messages = std::mem::take(&mut self.messages);
        let mut rest = Reader(&messages);
        loop {
            let before = rest;
            let (Some(kind), Some(body)) = (rest.byte(), rest.vector(3)) else {
                let taken = messages.len() - before.0.len();
                messages.drain(..taken);
                self.messages = messages;
                return Ok(Progress::More);
            };
            match kind {
                SERVER_HELLO => self.hello(body).ok_or(BAD_HELLO)?,
                CERTIFICATE => self.certificates(body).ok_or(BAD_CHAIN)?,
                CERTIFICATE_REQUEST => self.asks_certificate = true,
                SERVER_HELLO_DONE if self.version.is_some() => return Ok(Progress::Done),
                SERVER_HELLO_DONE => return Err(BAD_HELLO),
                _ => {}
            }
        }
    }

    fn hello(&mut self, body: &[u8]) -> Option<()> {
        let mut body = Reader(body);
        let version = body.number()?;
        body.bytes(32)?;
        body.vector(1)?;
        let suite = body.number()?;
        (self.version, self.suite) = (Some(version), Some(suite));
        Some(())
    }

    fn certificates(&mut self, body: &[u8]) -> Option<()> {
        let mut body = Reader(body);
        let mut list = Reader(body.vector(3)?);
        while !list.0.is_empty() && self.chain.len() < CHAIN_MAX {
            self.chain.push(list.vector(3)?.to_vec());
        }
        Some(())
    }
}

const BAD_HELLO: TlsParseError = TlsParseError::Malformed("a ServerHello that cannot be read");
const BAD_CHAIN: TlsParseError = TlsParseError::Malformed("a Certificate that cannot be read");

/// A record: type, contents, what follows.
type Record<'a> = (u8, &'a [u8], &'a [u8]);

/// The next record; `None` while it is not complete.
fn record(bytes: &[u8]) -> Result<Option<Record<'_>>, TlsParseError> {
    let (Some(&kind), major) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    // ChangeCipherSpec, Alert, Handshake, Application Data; the version's first byte is always 3.
    if !(20..=23).contains(&kind) || major.is_some_and(|major| *major != 3) {
        return Err(TlsParseError::NotTls);
    }
    let Some(header) = bytes.get(..5) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if length > RECORD_BYTES_MAX {
        return Err(TlsParseError::Malformed("a record longer than the protocol allows"));
    }
    Ok(bytes.get(5..5 + length).map(|contents| (kind, contents, &bytes[5 + length..])))
}

/// Numbers and vectors of the presentation language (RFC 5246, 4).
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|taken| taken[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.bytes(2).map(|taken| u16::from_be_bytes([taken[0], taken[1]]))
    }

    /// A vector whose length has so many bytes.
    fn vector(&mut self, length_bytes: usize) -> Option<&'a [u8]> {
        let length = self.bytes(length_bytes)?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        self.bytes(length)
    }
}

/// The name of an alert (RFC 5246, 7.2; RFC 8446, 6), as IANA writes it.
pub fn alert_name(description: u8) -> Option<&'static str> {
    Some(match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
