//! One POST over HTTP/1.1, with TLS unless the host is a loopback address: what a webhook needs, and no more.
//!
//! Every read and write ends at the deadline, however slowly the other side drips. (Looking a name up is
//! the system's, with its own limits.) The answer's head is read up to [`HEAD_BYTES_MAX`], its body up to
//! [`BODY_BYTES_MAX`] and only where it is asked for; redirections are not followed, because a body that is
//! signed for one address is not another's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longest head of an answer.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest body of an answer that is looked at.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Longest address of a webhook.
pub const URL_BYTES_MAX: usize = 2048;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Certificates that the system trusts, where Debian and others, or Fedora and others, keep them.
const SYSTEM_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Where to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Reads `https://host[:port]/path?query`; `http` only for loopback addresses.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("a webhook's url is at most {URL_BYTES_MAX} visible characters"));
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("a webhook's url begins with https://".into()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a webhook's url holds no user or password: use secret_file".into());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("a `[` without `]` in the url")?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| "a port that is no number in the url")?,
            None if tls => 443,
            None => 80,
        };
        let loopback = host == "localhost"
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        if host.is_empty() || (!tls && !loopback) {
            return Err("a webhook's url begins with https:// (http only to loopback)".into());
        }
        let path = path.split('#').next().unwrap_or("");
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
        Ok(Self { tls, host: host.into(), port, path })
    }

    fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// How TLS is spoken: with the certificates of a file, or those that the system trusts.
pub fn tls(roots: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let file = roots.or_else(system).ok_or("no trusted certificates: install ca-certificates")?;
    let say = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let (bytes, _) = crate::settings::bounded(file, 4 << 20, "").map_err(|error| say(&error))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| say(&error))?;
        // Some that a system trusts may be of a kind that is not read; the others hold.
        let _ = store.add(certificate);
    }
    if store.is_empty() {
        return Err(say(&"no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| say(&error))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To connect to one address.
    pub connect: Duration,
    /// In all.
    pub total: Duration,
}

/// What a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// How long it wants to be left alone (RFC 9110, Retry-After).
    pub retry_after: Option<Duration>,
    /// Its body, where that was asked for; cut at [`BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its head.
    Head,
    /// Its body too.
    Body,
}

/// Posts JSON.
pub fn post(
    url: &Url,
    tls: Option<&Arc<ClientConfig>>,
    headers: &[(&str, &str)],
    body: &[u8],
    patience: Patience,
    want: Want,
) -> io::Result<Answer> {
    let deadline = Instant::now() + patience.total;
    let socket = connect((&url.host, url.port), url.tls, patience, deadline)?;
    let socket = Timed { socket, deadline };
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: wardmote/{}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        url.path,
        url.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let request = [head.as_bytes(), body].concat();
    match tls.filter(|_| url.tls) {
        Some(config) => {
            let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
            let client =
                ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            exchange(StreamOwned::new(client, socket), &request, want)
        }
        None if url.tls => Err(io::Error::other("no TLS for an https url")),
        None => exchange(socket, &request, want),
    }
}

/// Connects to the first address of a name that answers. Without TLS only loopback addresses are spoken to.
pub(super) fn connect(
    (host, port): (&str, u16),
    tls: bool,
    patience: Patience,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    for address in addresses {
        // Names can be made to mean anything: what is not loopback is not spoken to in the clear.
        if !tls && !address.ip().is_loopback() {
            last = io::Error::other("no TLS, and the name is no loopback address");
            continue;
        }
        match TcpStream::connect_timeout(&address, patience.connect.min(left(deadline)?)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: impl Read + Write, request: &[u8], want: Want) -> io::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut all = Vec::new();
    let mut ended = false;
    let end = loop {
        if let Some(end) = find(&all, b"\r\n\r\n") {
            break end;
        }
        if ended || all.len() > HEAD_BYTES_MAX {
            // A status line is an answer, whatever becomes of the rest.
            break find(&all, b"\r\n").ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
        }
        ended = match more(&mut stream, &mut all) {
            Ok(count) => count == 0,
            // Late, or cut: what came may be enough.
            Err(_) if find(&all, b"\r\n").is_some() => true,
            Err(error) => return Err(error),
        };
    };
    let text = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let status = status(lines.next().unwrap_or_default().as_bytes())?;
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let value = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let retry_after = value("retry-after").and_then(retry_after);
    let mut body = all.split_off((end + 4).min(all.len()));
    if want == Want::Head {
        body.clear();
        return Ok(Answer { status, retry_after, body });
    }
    let length = value("content-length").and_then(|text| text.parse().ok());
    let length = length.unwrap_or(usize::MAX).min(BODY_BYTES_MAX);
    // The head has come: what becomes of the body changes nothing in what was done.
    while !ended && body.len() < length && more(&mut stream, &mut body).is_ok_and(|count| count > 0)
    {
    }
    body.truncate(length);
    if value("transfer-encoding").is_some_and(|how| how.eq_ignore_ascii_case("chunked")) {
        body = unchunked(&body);
    }
    Ok(Answer { status, retry_after, body })
}

fn more(stream: &mut impl Read, all: &mut Vec<u8>) -> io::Result<usize> {
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room) {
            Ok(count) => {
                all.extend_from_slice(&room[..count]);
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Many end TLS without a word.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            Err(error) => return Err(error),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok()
}

/// The data of chunks (RFC 9112, section 7.1), as far as they are whole.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = find(bytes, b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        let rest = &bytes[end + 2..];
        if size == 0 || size > rest.len() {
            break;
        }
        data.extend_from_slice(&rest[..size]);
        bytes = rest[size..].strip_prefix(b"\r\n").unwrap_or_default();
    }
    data
}

fn status(line: &[u8]) -> io::Result<u16> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let number = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    number
        .filter(|_| text.is_char_boundary(12))
        .ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
        false => Ok(left),
    }
}

/// A socket whose every operation ends at the deadline.
pub(super) struct Timed {
    pub socket: TcpStream,
    pub deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        self.socket.read(room).map_err(late)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        self.socket.write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says this and hangs up.
    struct Said(io::Cursor<Vec<u8>>);

    impl Read for Said {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            // In small pieces, as networks do.
            let most = room.len().min(7);
            self.0.read(&mut room[..most])
        }
    }

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answer(said: &[u8]) -> io::Result<Answer> {
        exchange(Said(io::Cursor::new(said.to_vec())), b"POST", Want::Body)
    }

    #[test]
    fn answers_are_read_up_to_their_bounds() {
        let long = |head: usize| {
            let line = "HTTP/1.1 200 OK\r\nX: ";
            format!("{line}{}\r\nRetry-After: 5\r\n\r\n", "x".repeat(head)).into_bytes()
        };
        assert_eq!(answer(&long(100)).unwrap().retry_after, Some(Duration::from_secs(5)));
        assert_eq!(
            answer(&long(HEAD_BYTES_MAX + 8)).unwrap().retry_after,
            None,
            "its status is enough"
        );
        let body = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; BODY_BYTES_MAX + 9]].concat();
        assert_eq!(answer(&body).unwrap().body.len(), BODY_BYTES_MAX);
        assert!(answer(&vec![b'x'; 4 * HEAD_BYTES_MAX]).is_err());
        assert_eq!(unchunked(b"ffffffffffffffff\r\nx"), b"", "longer than what is there");
        assert_eq!(unchunked(b"2;a=b\r\nhi\r\n3\r\n!!!\r\n0\r\n\r\n"), b"hi!!!");
    }

    #[test]
    fn no_bytes_at_all_make_it_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let words: [&[u8]; 10] = [
            b"HTTP/1.1 ",
            b"200",
            b"\r\n",
            b"\r\n\r\n",
            b"Transfer-Encoding: chunked",
            b"Content-Length: ",
            b"99999999999999999999",
            b"Retry-After: ",
            b"-1",
            b"\xff\xc3\xa9",
        ];
        for _ in 0..20_000 {
            let mut said = b"HTTP/1.1 200 OK\r\n".to_vec();
            said.truncate(usize::try_from(random() % 20).unwrap());
            for _ in 0..random() % 12 {
                said.extend_from_slice(words[usize::try_from(random() % 10).unwrap()]);
                said.extend_from_slice(
                    &random().to_le_bytes()[..usize::try_from(random() % 4).unwrap()],
                );
            }
            if let Ok(answer) = answer(&said) {
                assert!(answer.body.len() <= BODY_BYTES_MAX && answer.status < 1_000);
            }
        }
    }
}
