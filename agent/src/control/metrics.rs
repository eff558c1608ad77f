//! Metrics for whoever scrapes them: `GET /metrics` over a unix socket or a loopback address, and nothing else
//! of HTTP. One answer a connection, [`CLIENTS_MAX`] at once, [`PATIENCE`] each, a head of [`HEAD_BYTES_MAX`].
//! A browser that a web page sends here under another name is refused (its `Host` is none of ours).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Shared, bind};
use crate::report::metrics;
use crate::settings::{AgentSettings, Loopback};

/// Connections at once, of each door.
pub const CLIENTS_MAX: usize = 8;
/// Longest time for one connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// How long it is waited when no connection can be taken.
const PAUSE: Duration = Duration::from_secs(1);

/// The doors that are open; closed when this is dropped.
#[derive(Default)]
pub struct Doors(Vec<JoinHandle<()>>);

impl Doors {
    /// Opens what the settings name, within a runtime; beside that what could not be opened.
    pub fn open(
        settings: &AgentSettings,
        state_directory: &Path,
        shared: &Shared,
    ) -> (Self, Option<String>) {
        let (mut doors, mut trouble) = (Vec::new(), Vec::new());
        if let Some(path) = &settings.metrics_socket {
            let path = state_directory.join(path);
            // Whoever collects them runs as somebody else; there is nothing secret in them.
            match bind(&path, 0o666) {
                Ok(listener) => doors.push(tokio::spawn(serve(shared.clone(), async move || {
                    listener.accept().await.map(|(stream, _)| stream)
                }))),
                Err(error) => trouble.push(format!("{}: {error}", path.display())),
            }
        }
        if let Some(address) = settings.metrics_listen {
            match listen(address) {
                Ok(listener) => doors.push(tokio::spawn(serve(shared.clone(), async move || {
                    listener.accept().await.map(|(stream, _)| stream)
                }))),
                Err(error) => trouble.push(format!("{address}: {error}")),
            }
        }
        let trouble = trouble.join("; ");
        (Self(doors), (!trouble.is_empty()).then(|| format!("no metrics: {trouble}")))
    }
}

fn listen(address: Loopback) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address.0)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn serve<S>(shared: Shared, accept: impl AsyncFn() -> std::io::Result<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match accept().await {
            Ok(stream) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, answer(stream, &shared)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut room = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() <= HEAD_BYTES_MAX {
        match stream.read(&mut room).await? {
            0 => break,
            count => head.extend_from_slice(&room[..count]),
        }
    }
    let text = response(&head, || metrics::text(&shared.status()));
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// The whole response to a request's head.
fn response(head: &[u8], metrics: impl FnOnce() -> String) -> String {
    let (status, kind, body, with_body) = match asked(head) {
        Ok(with_body) => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics(), with_body)
        }
        Err(status) => (status, "text/plain; charset=utf-8", format!("{status}\n"), true),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if with_body { head + &body } else { head }
}

/// Whether a body is wanted, or the status that refuses.
fn asked(head: &[u8]) -> Result<bool, &'static str> {
    let end = head.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end.filter(|end| *end <= HEAD_BYTES_MAX) else {
        return Err(match head.len() > HEAD_BYTES_MAX {
            true => "431 Request Header Fields Too Large",
            false => "400 Bad Request",
        });
    };
    let text = std::str::from_utf8(&head[..end]).map_err(|_| "400 Bad Request")?;
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Err("400 Bad Request") };
    if !version.starts_with("HTTP/1.") {
        return Err("505 HTTP Version Not Supported");
    }
    let hosts: Vec<&str> = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())
        .collect();
    if hosts.len() > 1 || !hosts.iter().all(|host| is_ours(host)) {
        return Err("421 Misdirected Request");
    }
    if target.split('?').next() != Some("/metrics") {
        return Err("404 Not Found");
    }
    match method {
        "GET" => Ok(true),
        "HEAD" => Ok(false),
        _ => Err("405 Method Not Allowed"),
    }
}

/// Loopback, by name or number, with or without a port; nothing, as some say over unix sockets.
fn is_ours(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let loopback = |address: std::net::IpAddr| address.is_loopback();
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(loopback)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::Board;
    use super::*;
    use crate::control::status::Status;

    fn status_of(head: &str) -> u16 {
        let text = response(head.as_bytes(), || "m 1\n".into());
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn only_metrics_are_given_and_only_under_a_name_of_this_host() {
        for (line, wanted) in [
            ("GET /metrics HTTP/1.1", 200),
            ("GET /metrics?x=1 HTTP/1.0", 200),
            ("HEAD /metrics HTTP/1.1", 200),
            ("POST /metrics HTTP/1.1", 405),
            ("GET / HTTP/1.1", 404),
            ("GET /metrics/../x HTTP/1.1", 404),
            ("GET /metrics HTTP/2", 505),
            ("GET /metrics", 400),
            ("GET  /metrics HTTP/1.1", 400),
            ("", 400),
        ] {
            assert_eq!(status_of(&format!("{line}\r\n\r\n")), wanted, "{line}");
        }
        for (host, wanted) in [
            ("localhost", 200),
            ("LOCALHOST:9469", 200),
            ("127.0.0.1:9469", 200),
            ("[::1]:9469", 200),
            ("", 200),
            ("evil.example", 421),
            ("evil.example:9469", 421),
            ("192.0.2.1", 421),
        ] {
            let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(status_of(&head), wanted, "{host}");
        }
        let two = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n";
        assert_eq!(status_of(two), 421);
        assert_eq!(status_of("GET /metrics HTTP/1.1\r\n"), 400, "cut");
        let long = |bytes: usize| {
            let line = "GET /metrics HTTP/1.1\r\nX: ";
            format!("{line}{}\r\n\r\n", "x".repeat(bytes - line.len()))
        };
        assert_eq!(
            (status_of(&long(HEAD_BYTES_MAX)), status_of(&long(HEAD_BYTES_MAX + 1))),
            (200, 431)
        );
        assert!(!response(b"HEAD /metrics HTTP/1.1\r\n\r\n", || "m 1\n".into()).contains("m 1"));
    }

    #[test]
    fn whatever_is_asked_is_answered() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |most: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % most).unwrap()
        };
        let words = [
            "GET", " ", "/metrics", "HTTP/1.1", "\r\n", "\r\n\r\n", "Host:", "[::1]", "é", "\0",
            ":",
        ];
        for _ in 0..20_000 {
            let head: String = (0..random(14)).map(|_| words[random(11)]).collect();
            let answer = response(head.as_bytes(), || "m 1\n".into());
            assert!(answer.starts_with("HTTP/1.1 ") && answer.contains("\r\n\r\n"), "{head:?}");
        }
    }

    fn asked_over(path: &Path) -> String {
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// As many as may ask at once say nothing: the next one waits until they are sent away.
    fn asks_beside_silent_ones(path: &Path) {
        let connect = || std::os::unix::net::UnixStream::connect(path).unwrap();
        let silent: Vec<_> = (0..CLIENTS_MAX - 1).map(|_| connect()).collect();
        let answer = asked_over(path);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"), "{head}");
        assert!(body.contains("wardmote_start_time_seconds 77\n"), "{body}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let last = connect();
        let started = std::time::Instant::now();
        assert_eq!(asked_over(path), answer);
        assert!(started.elapsed() < 2 * PATIENCE);
        drop((silent, last));
    }

    #[test]
    fn many_who_ask_and_say_nothing_keep_nobody_out_for_ever_and_doors_close() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.sock");
        let shared: Shared = Arc::new(Board::default());
        shared.write_status(Status { started: 77, ..Status::default() });
        let settings = AgentSettings {
            metrics_socket: Some("m.sock".into()),
            metrics_listen: Some("127.0.0.1:0".parse().unwrap()),
            ..AgentSettings::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (doors, trouble) = Doors::open(&settings, dir.path(), &shared);
            assert_eq!((doors.0.len(), trouble), (2, None));
            let there = path.clone();
            tokio::task::spawn_blocking(move || asks_beside_silent_ones(&there)).await.unwrap();
            drop(doors);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(std::os::unix::net::UnixStream::connect(&path).is_err(), "closed");
            let (_doors, trouble) = Doors::open(&settings, dir.path(), &shared);
            assert_eq!(trouble, None, "opened again over what was left");
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "precious").unwrap();
            let (_doors, trouble) = Doors::open(&settings, dir.path(), &shared);
            assert!(trouble.unwrap().contains("something else than a socket is there"));
            assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        });
    }
}
